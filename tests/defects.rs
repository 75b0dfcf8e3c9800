//! Each mistake on the list, made on purpose, is found by the tests of crashes or by the model. A check that can't fail
//! proves nothing; this is where it is seen to fail.
//!
//! Prints a table of defect, test, seed, and what was wrong.

#![cfg(feature = "simulation")]
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test says what it saw, and why it can't go on"
)]

#[path = "crash/commits.rs"]
mod commits;
#[path = "model/compare.rs"]
mod compare;
#[path = "model/disk.rs"]
mod disk;
#[path = "model/draws.rs"]
mod draws;
#[path = "crash/history.rs"]
mod history;
#[path = "model/run.rs"]
mod run;
#[path = "model/state.rs"]
mod state;

use std::{
    panic::{catch_unwind, AssertUnwindSafe},
    sync::{
        atomic::{AtomicUsize, Ordering},
        Mutex,
    },
};

use sarsen::simulation::{make, Defect, SimVfs};

use commits::models;
use disk::Disk;
use draws::Draws;
use history::{History, MODELS};
use run::{Run, PHASES, STEPS};

/// A defect that the crash tests don't find within so many histories is left to the model.
const HISTORIES: u64 = 600;
const MODEL_RUNS: u64 = 30;

fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    text.unwrap_or_default()
}

/// What finds it: the test, the seed, and what it says.
fn found(defect: Option<Defect>) -> Option<(&'static str, u64, String)> {
    let all = models(MODELS);
    make(defect);
    let by_crash = (1..=HISTORIES).find_map(|seed| {
        let disk = SimVfs::new(seed).with_reserve(4 << 20);
        let outcome = catch_unwind(AssertUnwindSafe(|| History::new(seed, disk, &all).run()));
        match outcome {
            Ok(Ok(_)) => None,
            Ok(Err(what)) => Some(("crash", seed, what)),
            Err(panic) => Some(("crash", seed, message(panic.as_ref()))),
        }
    });
    let outcome = by_crash.or_else(|| {
        (1..=MODEL_RUNS).find_map(|seed| {
            let disk = if seed.is_multiple_of(2) {
                Disk::real
            } else {
                Disk::failing
            };
            catch_unwind(AssertUnwindSafe(|| {
                Run::new(Draws::new(seed, &[]), disk(seed)).play(PHASES, STEPS)
            }))
            .err()
            .map(|panic| ("model", seed, message(panic.as_ref())))
        })
    });
    make(None);
    outcome
}

#[test]
fn each_defect_is_found() {
    assert_eq!(found(None), None, "without any defect");
    // What is expected to fail doesn't have to say so.
    std::panic::set_hook(Box::new(|_| {}));
    let next = AtomicUsize::new(0);
    let table = Mutex::new(Vec::new());
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(defect) = Defect::ALL.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = found(Some(*defect));
                    table
                        .lock()
                        .expect("no panic while it is held")
                        .push((*defect, outcome));
                }
            });
        }
    });
    let _ = std::panic::take_hook();
    let table = table.into_inner().expect("no panic while it was held");
    let mut missed = Vec::new();
    for (defect, outcome) in table {
        match outcome {
            Some((test, seed, what)) => {
                let what: String = what
                    .lines()
                    .next()
                    .unwrap_or_default()
                    .chars()
                    .take(150)
                    .collect();
                println!("{defect:?} | {test} | seed {seed} | {what}");
            }
            None => missed.push(defect),
        }
    }
    assert!(missed.is_empty(), "not found: {missed:?}");
}
