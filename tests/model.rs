//! The store beside ordered maps: whatever is done to both in whatever order, they hold the same. Commands of all four
//! kinds, batches, snapshots, views and scans that outlive what they saw, readers, backups, upkeep, closing, killing,
//! and a disk that is full at times. Budgets are the smallest there are, so that checkpoints, merges and reclaims
//! happen all the time.
//!
//! SARSEN_MODEL_ROUNDS says how many stores are filled, SARSEN_MODEL_SEED the seed of the first one. A failure prints
//! the command that repeats it.

#![cfg(feature = "simulation")]
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::print_stderr,
    reason = "a test says what it saw, and why it can't go on"
)]

#[path = "model/compare.rs"]
mod compare;
#[path = "model/disk.rs"]
mod disk;
#[path = "model/draws.rs"]
mod draws;
#[path = "model/run.rs"]
mod run;
#[path = "model/state.rs"]
mod state;

use std::env;

use disk::Disk;
use draws::Draws;
use run::{Run, PHASES, STEPS};

/// Known to have failed once.
const KNOWN_SEEDS: [u64; 0] = [];

fn number_from(name: &str) -> Option<u64> {
    let text = env::var(name).ok().filter(|text| !text.is_empty())?;
    Some(
        text.parse()
            .unwrap_or_else(|_| panic!("{name} is {text}, which is no number")),
    )
}

/// Says how to get the same run again, if this one fails.
struct Repeat {
    seed: u64,
    test: &'static str,
}

impl Drop for Repeat {
    fn drop(&mut self) {
        if std::thread::panicking() {
            let Repeat { seed, test } = self;
            eprintln!(
                "again with: SARSEN_MODEL_SEED={seed} SARSEN_MODEL_ROUNDS=1 \
                 cargo test --locked --features simulation --test model -- {test}"
            );
        }
    }
}

fn rounds(test: &'static str, otherwise: u64, make: impl Fn(u64) -> Disk) {
    let first = number_from("SARSEN_MODEL_SEED");
    let count = number_from("SARSEN_MODEL_ROUNDS").unwrap_or(otherwise);
    let known = KNOWN_SEEDS.iter().copied().filter(|_| first.is_none());
    let first = first.unwrap_or(1);
    for seed in known.chain(first..first.saturating_add(count)) {
        let _repeat = Repeat { seed, test };
        Run::new(Draws::new(seed, &[]), make(seed)).play(PHASES, STEPS);
    }
}

#[test]
fn the_store_holds_what_ordered_maps_hold() {
    rounds("the_store_holds_what_ordered_maps_hold", 15, Disk::real);
}

#[test]
fn a_disk_that_fails_at_times_changes_nothing_else() {
    rounds(
        "a_disk_that_fails_at_times_changes_nothing_else",
        15,
        Disk::failing,
    );
}
