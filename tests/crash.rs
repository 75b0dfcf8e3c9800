//! The store on a disk that loses power, whose process is killed, that fails: whatever is cut off, in the middle of
//! whichever operation, the store comes back as exactly the commits 1..n, and n is at least the newest one that was
//! acknowledged at a level that survives it.
//!
//! SARSEN_SIM_CRASHES says how many power losses (2,000 by default), SARSEN_SIM_SEED where the seeds start. A failure names
//! the seed, and `SARSEN_SIM_SEED=<seed> SARSEN_SIM_CRASHES=1` repeats it.

#![cfg(feature = "simulation")]
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test says what it saw, and why it can't go on"
)]

#[path = "crash/commits.rs"]
mod commits;
#[path = "crash/history.rs"]
mod history;

use std::{
    env,
    panic::{catch_unwind, AssertUnwindSafe},
    sync::{
        atomic::{AtomicU64, Ordering},
        Mutex,
    },
};

use commits::{models, Model};
use history::{Crashes, History, MODELS};
use sarsen::simulation::{make, Defect, SimVfs};

/// What is done to the engine or the disk on purpose, to see the checker fire.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Control {
    None,
    SyncIsNoop,
    Mistake(Defect),
}

fn disk_of(seed: u64, control: Control) -> SimVfs {
    let disk = SimVfs::new(seed).with_reserve(4 << 20);
    match control {
        Control::None => {}
        Control::SyncIsNoop => disk.set_sync_is_noop(true),
        Control::Mistake(defect) => make(Some(defect)),
    }
    disk
}

/// One disk through several crashes. `Err` says what is wrong.
fn case(seed: u64, control: Control, all: &[Model]) -> Result<Crashes, String> {
    let history = History::new(seed, disk_of(seed, control), all);
    catch_unwind(AssertUnwindSafe(|| history.run())).unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<String>()
            .cloned()
            .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
        Err(format!("seed {seed}: {}", text.unwrap_or_default()))
    })
}

fn number_from(name: &str, otherwise: u64) -> u64 {
    env::var(name)
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(otherwise)
}

#[test]
fn whatever_a_crash_leaves_is_a_prefix_with_everything_acknowledged() {
    let wanted = number_from("SARSEN_SIM_CRASHES", 2_000);
    let next_seed = AtomicU64::new(number_from("SARSEN_SIM_SEED", 1));
    let total = Mutex::new((Crashes::default(), Vec::new()));
    let all = models(MODELS);
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| loop {
                let outcome = case(next_seed.fetch_add(1, Ordering::Relaxed), Control::None, &all);
                let mut total = total.lock().expect("no panic while it is held");
                match outcome {
                    Ok(crashes) => {
                        total.0.power_losses += crashes.power_losses;
                        total.0.kills += crashes.kills;
                        total.0.faults += crashes.faults;
                    }
                    Err(what) => total.1.push(what),
                }
                if total.0.power_losses >= wanted || total.1.len() > 3 {
                    return;
                }
            });
        }
    });
    let (crashes, failures) = total.into_inner().expect("no panic while it was held");
    println!(
        "{} simulated power losses and {} kills, {} rounds with a failing disk, {} failures",
        crashes.power_losses,
        crashes.kills,
        crashes.faults,
        failures.len()
    );
    assert!(
        failures.is_empty(),
        "{failures:#?}\nagain with SARSEN_SIM_SEED=<seed> SARSEN_SIM_CRASHES=1"
    );
}

/// A checker that can't fire proves nothing.
fn fires(control: Control) {
    let all = models(MODELS);
    let fired = (1..400).find_map(|seed| case(seed, control, &all).err());
    make(None);
    println!("{control:?}: {fired:?}");
    assert!(fired.is_some(), "{control:?} went unnoticed");
}

#[test]
fn a_sync_that_does_nothing_is_noticed() {
    fires(Control::SyncIsNoop);
}

#[test]
fn an_epoch_used_twice_is_noticed() {
    fires(Control::Mistake(Defect::EpochNotBumped));
}

#[test]
fn syncing_only_the_log_is_noticed() {
    fires(Control::Mistake(Defect::LeaderSyncsOnlyTheLog));
}
