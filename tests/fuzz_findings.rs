//! Inputs that once broke a fuzz target, and those that fuzzing starts from, through the same code as the fuzzer runs;
//! and controls: what a target is to notice, it notices.
//!
//! `fuzz/findings/<target>/` holds the former, `fuzz/corpus/<target>/` the latter. After a change of what the latter are
//! made of, `SARSEN_FUZZ_WRITE_SEEDS=1 cargo test --locked --features simulation --test fuzz_findings` writes them anew.

#![cfg(feature = "simulation")]
#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test says what it saw, and why it can't go on"
)]

#[path = "crash/beside.rs"]
mod beside;
#[path = "crash/commits.rs"]
mod commits;
#[path = "model/compare.rs"]
mod compare;
#[expect(dead_code, reason = "other tests use more of it")]
#[path = "crash/difference.rs"]
mod difference;
#[path = "model/disk.rs"]
mod disk;
#[path = "model/draws.rs"]
mod draws;
#[path = "../fuzz/harness/mod.rs"]
mod harness;
#[expect(dead_code, reason = "other tests use more of it")]
#[path = "crash/history.rs"]
mod history;
#[path = "model/run.rs"]
mod run;
#[path = "model/state.rs"]
mod state;
#[path = "crash/trace.rs"]
mod trace;

use std::{
    fs,
    panic::{catch_unwind, AssertUnwindSafe},
    path::{Path, PathBuf},
};

use harness::{seeds, target, OPERATIONS, TARGETS};

const MOST_CORPUS_BYTES: u64 = 200 << 10;

fn below_fuzz(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz").join(name)
}

/// Files of a directory, none where it is missing.
fn files(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else {
        return Vec::new();
    };
    let mut found: Vec<PathBuf> = entries
        .map(|entry| entry.expect("a directory can be listed").path())
        .collect();
    found.sort();
    found
}

/// Every input below `name`, with its target's name; how many there were.
fn replay(name: &str) -> usize {
    let mut count = 0;
    for directory in files(&below_fuzz(name)).iter().filter(|path| path.is_dir()) {
        let of = directory
            .file_name()
            .and_then(|name| name.to_str())
            .expect("a target's name");
        let target = target(of).unwrap_or_else(|| panic!("fuzz/{name}/{of} is of no target"));
        for file in files(directory) {
            let input = fs::read(&file).expect("an input can be read");
            let outcome = catch_unwind(AssertUnwindSafe(|| target.run(&input)));
            assert!(outcome.is_ok(), "{} breaks its target again", file.display());
            count += 1;
        }
    }
    count
}

#[test]
fn what_fuzzing_found_stays_fixed() {
    println!("{} findings", replay("findings"));
}

#[test]
fn what_fuzzing_starts_from_is_checked_in_and_breaks_nothing() {
    let mut bytes = 0;
    for target in TARGETS {
        let directory = below_fuzz("corpus").join(target.name);
        let seeds = seeds(target.name);
        assert!(!seeds.is_empty(), "{} has nothing to start from", target.name);
        for (name, input) in seeds {
            let path = directory.join(name);
            if std::env::var_os("SARSEN_FUZZ_WRITE_SEEDS").is_some() {
                fs::create_dir_all(&directory).expect("a directory for inputs");
                fs::write(&path, &input).expect("an input can be written");
            }
            let found = fs::read(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            assert!(found == input, "{} is not what it is made of now", path.display());
            bytes += u64::try_from(input.len()).expect("a length");
        }
    }
    assert!(
        bytes <= MOST_CORPUS_BYTES,
        "{bytes} bytes of inputs are checked in"
    );
    assert!(replay("corpus") >= TARGETS.len());
}

#[test]
fn memory_beyond_what_a_target_may_take_is_noticed() {
    let take = |len: usize| {
        catch_unwind(|| harness::memory::within(1_000, || drop(std::hint::black_box(vec![0_u8; len]))))
    };
    assert!(take(900).is_ok());
    assert!(take(1_100).is_err(), "too much memory is noticed");
}

/// Edits of bytes are undone by what puts CRCs right where nothing but CRCs was changed.
#[test]
fn repairing_a_store_gives_back_every_crc_that_was_wiped_out() {
    harness::repairing_gives_back_every_crc();
}

/// A defect made on purpose is noticed by the target that plays operations against the model.
#[test]
fn operations_that_go_wrong_are_noticed() {
    use sarsen::simulation::{make, Defect};
    let inputs = || (0..12_u8).map(|seed| vec![3, seed, 0, 0, 0, 0, 0, 0, 0]);
    inputs().for_each(|input| OPERATIONS.run(&input));
    make(Some(Defect::LogNotSynced));
    let noticed = inputs().any(|input| catch_unwind(|| OPERATIONS.run(&input)).is_err());
    make(None);
    assert!(noticed, "a log that is never synced goes unnoticed");
}

/// The C API turns a panic into a status; the run fails all the same.
#[test]
fn a_panic_that_is_caught_on_the_way_is_noticed() {
    let outcome = catch_unwind(|| harness::without_panics(|| drop(catch_unwind(|| panic!("on purpose")))));
    assert!(outcome.is_err(), "a caught panic goes unnoticed");
    harness::without_panics(|| ());
}
