//! Each mistake on the list, made on purpose, is found by the tests of crashes, of threads, of rot, or by the model. A check that can't fail
//! proves nothing; this is where it is seen to fail.
//!
//! Prints a table of defect, test, seed, and what was wrong. SARSEN_SIM_DEFECT=<name> looks for that one alone.

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
#[path = "crash/difference.rs"]
mod difference;
#[path = "model/disk.rs"]
mod disk;
#[path = "model/draws.rs"]
mod draws;
#[path = "crash/history.rs"]
mod history;
#[path = "crash/rot.rs"]
mod rot;
#[path = "model/run.rs"]
mod run;
#[path = "model/state.rs"]
mod state;
#[path = "crash/threads.rs"]
mod threads;
#[path = "crash/trace.rs"]
mod trace;

use std::{
    panic::{catch_unwind, AssertUnwindSafe},
    sync::{
        atomic::{AtomicUsize, Ordering},
        Mutex, PoisonError,
    },
};

use sarsen::simulation::{make, Defect, SimVfs};

use disk::Disk;
use draws::Draws;
use history::{message, play, Crashes};
use rot::{rot_once, Rotten};
use run::{Run, PHASES, STEPS};
use threads::play_threads;
use trace::Trace;

/// So many seeds are tried of each, those of one kind before those of the next.
const HISTORIES: u64 = 2_000;
const THREADS: u64 = 5_000;
const ROTTEN: u64 = 100;
const MODEL_RUNS: u64 = 30;

/// What notices a defect.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Test {
    /// Histories of one thread: `tests/crash/history.rs`.
    Crash,
    /// Histories of several: `tests/crash/threads.rs`.
    Threads,
    /// Rot in what a history left: `tests/crash/rot.rs`.
    Rot,
    /// The store beside ordered maps: `tests/model/`.
    Model,
}

/// Where a defect was noticed before, so that it need not be looked for.
const NOTICED: &[(Defect, Test, u64)] = &[
    (Defect::EpochNotBumped, Test::Crash, 1),
    (Defect::LeaderSyncsOnlyTheLog, Test::Crash, 14),
    (Defect::LogNotSynced, Test::Crash, 1),
    (Defect::FailedSyncRetried, Test::Crash, 54),
    (Defect::SegmentSyncsOverlap, Test::Threads, 2838),
    (Defect::ReplayTakenForDurable, Test::Crash, 143),
    (Defect::LargeBlocksNotRewritten, Test::Crash, 10),
    (Defect::SegmentNotSynced, Test::Crash, 15),
    (Defect::SegmentNameNotSynced, Test::Crash, 1),
    (Defect::MarkBeforeSync, Test::Crash, 44),
    (Defect::NothingCutOff, Test::Crash, 703),
    (Defect::PositionOfNewestCommit, Test::Crash, 33),
    (Defect::LogReleasedEarly, Test::Crash, 1),
    (Defect::ManifestNotSynced, Test::Crash, 1),
    (Defect::ManifestNameNotSynced, Test::Crash, 1),
    (Defect::ManifestWrittenInPlace, Test::Crash, 9),
    (Defect::DirectoriesNotSynced, Test::Crash, 181),
    (Defect::ChunksNotSynced, Test::Crash, 8),
    (Defect::ChunkNamesNotSynced, Test::Crash, 12),
    (Defect::LargeChunkNamesNotSynced, Test::Crash, 6),
    (Defect::PartsNotSynced, Test::Crash, 3),
    (Defect::PartNamesNotSynced, Test::Crash, 3),
    (Defect::PartsUnlinkedEarly, Test::Crash, 1),
    (Defect::ChunkUnlinkedEarly, Test::Crash, 4),
    (Defect::TombstonesDropped, Test::Model, 6),
    (Defect::SnapshotsForgotten, Test::Crash, 4),
    (Defect::SnapshotsForgottenByReclaim, Test::Crash, 4),
    (Defect::LooseBlocksForgotten, Test::Crash, 4),
    (Defect::RetainedLogForgotten, Test::Crash, 8),
    (Defect::KeptLogNotSynced, Test::Crash, 6),
    (Defect::DeletionsTakenForDurable, Test::Crash, 98),
    (Defect::StreamIdsReused, Test::Crash, 1),
    (Defect::TornFrameAccepted, Test::Crash, 3),
    (Defect::HoleSkipped, Test::Crash, 1),
    (Defect::DamageTakenForTornTail, Test::Rot, 22),
    (Defect::HalfBatchReplayed, Test::Crash, 1),
    (Defect::LargeBlocksNotCheckedAtReplay, Test::Crash, 2),
    (Defect::PublishedEarly, Test::Crash, 35),
    (Defect::LeaderClaimsMore, Test::Threads, 15),
    (Defect::MarkClaimsMore, Test::Threads, 53),
    (Defect::ReaderLocksIgnored, Test::Crash, 4),
    (Defect::BackupManifestFirst, Test::Crash, 19),
    (Defect::BackupNotSynced, Test::Crash, 3),
    (Defect::ImportManifestFirst, Test::Crash, 20),
    (Defect::ImportNotSynced, Test::Crash, 8),
    (Defect::BlocksNotChecked, Test::Crash, 50),
    (Defect::IndexPagesNotChecked, Test::Rot, 5),
    (Defect::LargeWriteTooLong, Test::Threads, 3),
    (Defect::RewrittenChunkNotSynced, Test::Crash, 4),
    (Defect::RewrittenNameNotSynced, Test::Crash, 116),
    (Defect::MergedPartNamesNotSynced, Test::Crash, 12),
    (Defect::CloseAnswersEarly, Test::Crash, 4),
    (Defect::PoisonLookedAtTooEarly, Test::Threads, 81),
    (Defect::RefusedBlocksForgotten, Test::Crash, 10),
];

static MODEL: Mutex<()> = Mutex::new(());

/// What one test says to one seed.
fn says(test: Test, seed: u64, defect: Option<Defect>) -> Option<String> {
    let disk = SimVfs::new(seed).with_reserve(4 << 20);
    make(defect);
    let outcome = catch_unwind(AssertUnwindSafe(|| match test {
        Test::Crash => play(&Trace::drawn(seed), disk).failure.map(|(what, _)| what),
        Test::Threads => play_threads(seed, disk, defect).err(),
        Test::Rot => rot_once(&Trace::drawn(seed), disk).err(),
        Test::Model => {
            // Runs on the real disk take directories by their seeds.
            let _one_at_a_time = MODEL.lock().unwrap_or_else(PoisonError::into_inner);
            let disk = if seed.is_multiple_of(2) {
                Disk::real
            } else {
                Disk::failing
            };
            Run::new(Draws::new(seed, &[]), disk(seed)).play(PHASES, STEPS);
            None
        }
    }));
    make(None);
    outcome.unwrap_or_else(|panic| Some(message(panic.as_ref())))
}

/// What finds it: the test, the seed, and what it says.
fn found(defect: Defect) -> Option<(Test, u64, String)> {
    let looked_for = [
        (Test::Crash, HISTORIES),
        (Test::Threads, THREADS),
        (Test::Rot, ROTTEN),
        (Test::Model, MODEL_RUNS),
    ];
    let before = NOTICED.iter().filter(|(noticed, ..)| *noticed == defect);
    let before = before.map(|(_, test, seed)| (*test, *seed));
    let all = looked_for
        .into_iter()
        .flat_map(|(test, seeds)| (1..=seeds).map(move |seed| (test, seed)));
    before
        .chain(all)
        .find_map(|(test, seed)| says(test, seed, Some(defect)).map(|what| (test, seed, what)))
}

#[test]
fn each_defect_is_found() {
    // What is expected to fail doesn't have to say so.
    std::panic::set_hook(Box::new(|_| {}));
    let next = AtomicUsize::new(0);
    let missed = Mutex::new(Vec::new());
    let named = std::env::var("SARSEN_SIM_DEFECT").unwrap_or_default();
    let defects: Vec<Defect> = Defect::ALL
        .into_iter()
        .filter(|defect| named.is_empty() || format!("{defect:?}") == named)
        .collect();
    std::thread::scope(|scope| {
        for _ in 0..std::thread::available_parallelism().map_or(1, usize::from) {
            scope.spawn(|| {
                while let Some(defect) = defects.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let outcome = found(*defect);
                    match &outcome {
                        Some((test, seed, what)) => {
                            let what: String = what
                                .lines()
                                .next()
                                .unwrap_or_default()
                                .chars()
                                .take(150)
                                .collect();
                            println!("{defect:?} | {test:?} | seed {seed} | {what}");
                        }
                        None => println!("{defect:?} | nothing noticed it"),
                    }
                    if outcome.is_none() {
                        missed.lock().expect("no panic while it is held").push(*defect);
                    }
                }
            });
        }
    });
    let _ = std::panic::take_hook();
    let missed = missed.into_inner().expect("no panic while it was held");
    assert!(missed.is_empty(), "not found: {missed:?}");
}

#[test]
fn without_a_defect_nothing_is_found() {
    for (_, test, seed) in NOTICED {
        assert_eq!(says(*test, *seed, None), None, "{test:?}, seed {seed}");
    }
    for seed in 1..=4 {
        assert_eq!(says(Test::Model, seed, None), None, "model, seed {seed}");
    }
    let disk = |seed| SimVfs::new(seed).with_reserve(4 << 20);
    let (mut crashes, mut rotten) = (Crashes::default(), Rotten::default());
    for seed in 1..=60 {
        let outcome = play(&Trace::drawn(seed), disk(seed));
        assert_eq!(outcome.failure, None);
        crashes.add(&outcome.crashes);
        let (threads, _) = play_threads(seed, disk(seed), None).expect("no defect, no failure");
        crashes.add(&threads);
    }
    for seed in 1..=20 {
        rotten.add(&rot_once(&Trace::drawn(seed), disk(seed)).expect("no defect, no failure"));
    }
    assert!(
        crashes.power_losses > 200 && rotten.tried > 100,
        "{crashes:?}, {rotten:?}"
    );
}
