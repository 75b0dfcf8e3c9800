//! The store on a disk that loses power, whose process is killed, that fails: whatever is cut off, in the middle of
//! whichever operation, the store comes back as exactly the commits 1..n, and n is at least the newest one that was
//! acknowledged at a level that survives it.
//!
//! SARSEN_SIM_CRASHES says how many power losses (2,000 by default), SARSEN_SIM_SEED where the seeds start. A failure names
//! the seed, and `SARSEN_SIM_SEED=<seed> SARSEN_SIM_CRASHES=1` repeats it; it also prints a short history that fails in
//! the same way, which becomes a file in `tests/crash/traces`, to be played for ever after.

#![cfg(feature = "simulation")]
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stdout,
    reason = "a test says what it saw, and why it can't go on"
)]

#[path = "crash/beside.rs"]
mod beside;
#[path = "crash/commits.rs"]
mod commits;
#[path = "crash/difference.rs"]
mod difference;
#[path = "crash/history.rs"]
mod history;
#[path = "crash/rot.rs"]
mod rot;
#[path = "crash/shrink.rs"]
mod shrink;
#[path = "crash/text.rs"]
mod text;
#[path = "crash/threads.rs"]
mod threads;
#[path = "crash/trace.rs"]
mod trace;

use std::{
    env, fs,
    path::Path,
    sync::{
        atomic::{AtomicU64, Ordering},
        Mutex,
    },
    time::Instant,
};

use history::{play, Crashes};
use rot::{rot_once, Rotten};
use sarsen::simulation::{make, Defect, SimVfs};
use threads::play_threads;
use trace::Trace;

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

fn failure(trace: &Trace, control: Control) -> Option<(String, Trace)> {
    play(trace, disk_of(trace.seed, control)).failure
}

/// A short history that fails, as text.
fn short(trace: Trace, control: Control) -> Trace {
    shrink::shrink(trace, &mut |candidate| {
        failure(candidate, control).map(|(_, went)| went)
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
    let first_seed = number_from("SARSEN_SIM_SEED", 1);
    let next_seed = AtomicU64::new(first_seed);
    let start = Instant::now();
    let total = Mutex::new((Crashes::default(), Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| loop {
                let trace = Trace::drawn(next_seed.fetch_add(1, Ordering::Relaxed));
                let outcome = play(&trace, disk_of(trace.seed, Control::None));
                let failed = outcome.failure.map(|(what, went)| {
                    let short = short(went, Control::None);
                    format!("{what}\n{short}")
                });
                let mut total = total.lock().expect("no panic while it is held");
                total.0.add(&outcome.crashes);
                total.1.extend(failed);
                if total.0.power_losses >= wanted || total.1.len() > 3 {
                    return;
                }
            });
        }
    });
    let (crashes, failures) = total.into_inner().expect("no panic while it was held");
    println!(
        "{} simulated power losses and {} kills, {} rounds with a failing disk; {} commits refused by a \
         full disk, which {} stores got past; {} merges by upkeep, {} backups, {} imports; \
         seeds {first_seed} to {}; {} failures, {} s",
        crashes.power_losses,
        crashes.kills,
        crashes.faults,
        crashes.refused,
        crashes.went_on,
        crashes.merges,
        crashes.backups,
        crashes.imports,
        next_seed.load(Ordering::Relaxed) - 1,
        failures.len(),
        start.elapsed().as_secs()
    );
    for failure in &failures {
        println!("{failure}");
    }
    assert!(
        wanted < 1_000 || (crashes.refused > 0 && crashes.went_on > 0),
        "no disk was full: {crashes:?}"
    );
    assert!(
        failures.is_empty(),
        "{} histories failed\nagain with SARSEN_SIM_SEED=<seed> SARSEN_SIM_CRASHES=1",
        failures.len()
    );
}

#[test]
fn rot_never_gives_a_wrong_byte_and_is_no_torn_tail() {
    let first = number_from("SARSEN_SIM_SEED", 1);
    let histories = number_from("SARSEN_SIM_ROT", 100);
    let start = Instant::now();
    let (mut rotten, mut failures) = (Rotten::default(), Vec::new());
    for seed in first..first + histories {
        match rot_once(&Trace::drawn(seed), disk_of(seed, Control::None)) {
            Ok(more) => rotten.add(&more),
            Err(what) => failures.push(format!("rot, seed {seed}: {what}\n{}", Trace::drawn(seed))),
        }
        if failures.len() > 3 {
            break;
        }
    }
    println!(
        "{histories} histories ended in rot, {} times: {} harmless, {} refused, {} noticed when read, {} torn ends; \
         seeds {first} to {}; {} failures, {} s",
        rotten.tried,
        rotten.harmless,
        rotten.refused,
        rotten.noticed,
        rotten.torn,
        first + histories - 1,
        failures.len(),
        start.elapsed().as_secs()
    );
    assert!(
        failures.is_empty(),
        "{failures:#?}\nagain with SARSEN_SIM_SEED=<seed> SARSEN_SIM_ROT=1"
    );
    assert!(
        histories < 50 || (rotten.refused > 0 && rotten.noticed > 0),
        "the rot hit nothing: {rotten:?}"
    );
}

#[test]
fn threads_that_crash_leave_a_prefix_of_their_commits_in_order() {
    let first = number_from("SARSEN_SIM_SEED", 1);
    let histories = number_from("SARSEN_SIM_THREADS", 150);
    let start = Instant::now();
    let mut total = Crashes::default();
    let mut failures = Vec::new();
    for seed in first..first + histories {
        match play_threads(seed, disk_of(seed, Control::None), None) {
            Ok((crashes, _)) => total.add(&crashes),
            Err(what) => failures.push(what),
        }
        if failures.len() > 3 {
            break;
        }
    }
    println!(
        "{histories} histories of several threads: {} power losses, {} kills, {} hand-overs; seeds {first} to {}; {} failures, {} s",
        total.power_losses,
        total.kills,
        total.hand_overs,
        first + histories - 1,
        failures.len(),
        start.elapsed().as_secs()
    );
    assert!(
        failures.is_empty(),
        "{failures:#?}\nagain with SARSEN_SIM_SEED=<seed> SARSEN_SIM_THREADS=1"
    );
}

#[test]
fn a_history_of_several_threads_is_a_function_of_its_seed() {
    let run = |seed| {
        let disk = disk_of(seed, Control::None);
        play_threads(seed, disk, None).map(|(crashes, digest)| (crashes.hand_overs, digest))
    };
    let mut digests = std::collections::BTreeSet::new();
    for seed in 1..20 {
        let first = run(seed).expect("a history without a defect");
        assert!(first.0 > 20, "only {} hand-overs", first.0);
        assert_eq!(Ok(first), run(seed), "seed {seed}");
        digests.insert(first.1);
    }
    assert_eq!(digests.len(), 19, "seeds don't make a difference");
}

#[test]
fn what_failed_once_does_not_fail_again() {
    let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/crash/traces");
    let mut played = 0;
    for entry in fs::read_dir(&directory).expect("the traces can be listed") {
        let path = entry.expect("the traces can be listed").path();
        let text = fs::read_to_string(&path).expect("a trace can be read");
        let trace = Trace::parse(&text).unwrap_or_else(|| panic!("{} is no trace", path.display()));
        if let Some((what, _)) = failure(&trace, Control::None) {
            panic!("{}: {what}", path.display());
        }
        if let Err(what) = rot_once(&trace, disk_of(trace.seed, Control::None)) {
            panic!("{}, rot: {what}", path.display());
        }
        played += 1;
    }
    assert!(played > 0, "no traces in {}", directory.display());
}

/// A checker that can't fire proves nothing. Gives the first history that fails.
fn fires(control: Control) -> Trace {
    let fired = (1..400).find_map(|seed| failure(&Trace::drawn(seed), control));
    make(None);
    let (what, went) = fired.unwrap_or_else(|| panic!("{control:?} went unnoticed"));
    println!("{control:?}: {what}");
    went
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

#[test]
fn blocks_that_a_refused_commit_leaves_are_noticed() {
    fires(Control::Mistake(Defect::RefusedBlocksForgotten));
}

#[test]
fn a_failing_history_is_made_short_and_its_text_fails_again() {
    let control = Control::Mistake(Defect::LeaderSyncsOnlyTheLog);
    let went = fires(control);
    let short = short(went, control);
    let text = short.to_string();
    println!("{text}");
    let again = Trace::parse(&text).expect("what was printed can be read");
    assert_eq!(again, short);
    let failed = failure(&again, control);
    make(None);
    assert!(failed.is_some(), "the short history doesn't fail");
    assert!(short.len() <= 15, "{} steps are left", short.len());
    assert_eq!(failure(&again, Control::None).map(|(what, _)| what), None);
}
