//! The engine under every schedule that shuttle has time for: one thread at a time, on a simulated disk, with a choice
//! of who goes on at each lock, condition variable and atomic. `make explore` runs this; each test first runs with one
//! order made wrong on purpose, which has to be found.

use std::{path::Path, sync::Arc, time::Duration};

use shuttle::{
    sync::atomic::{AtomicU64, Ordering::SeqCst},
    thread,
};

use super::*;
use crate::{
    format::record,
    vfs::{
        defect::{make, Defect},
        explore::{explore, explore_with},
        sim::SimVfs,
        sync::Disorder,
    },
};

fn options() -> Options {
    Options {
        memory_bytes: 256 << 10,
        chunk_bytes: 64 << 10,
        background: false,
        ..Options::default()
    }
}

fn open(disk: &SimVfs) -> Arc<Engine> {
    Engine::open(Arc::new(disk.clone()), Path::new("/store"), &options()).unwrap()
}

fn set(engine: &Engine, keys: &[&[u8]], value: u64, survive: Survive) -> u64 {
    let mut draft = Draft::new();
    for key in keys {
        draft.set_kv(key, &value.to_le_bytes()).unwrap();
    }
    engine.commit(&mut draft, Some(survive)).unwrap()
}

fn get(view: &View, key: &[u8]) -> u64 {
    let hit = view.get(&record::kv_key(key)).unwrap();
    hit.map_or(0, |hit| u64::from_le_bytes(hit.value.try_into().unwrap()))
}

/// Commit n sets both keys to n, so a view or a snapshot at n has n under both, whatever upkeep drops meanwhile.
fn views_and_snapshots_beside_commits_and_merges() {
    let engine = open(&SimVfs::new(1).with_reserve(1 << 20));
    for value in 1..=2 {
        set(&engine, &[b"a", b"b"], value, Survive::Process);
        engine.checkpoint().unwrap();
    }
    let writer = thread::spawn({
        let engine = Arc::clone(&engine);
        move || {
            for value in 3..=5 {
                assert_eq!(set(&engine, &[b"a", b"b"], value, Survive::Process), value);
            }
        }
    });
    let upkeep = thread::spawn({
        let engine = Arc::clone(&engine);
        move || engine.compact().unwrap()
    });
    let mut newest = 2;
    for _ in 0..2 {
        let view = engine.view();
        let found = get(&view, b"a");
        assert_eq!(found, get(&view, b"b"), "one commit, whole");
        assert!(found >= newest, "{found} after {newest}");
        newest = found;
        let seq = engine.take_snapshot();
        assert!(seq >= newest);
        for key in [b"a", b"b"] {
            assert_eq!(get(&engine.view_at(seq), key), seq, "what the snapshot sees");
        }
        newest = seq;
        engine.release_snapshot(seq);
    }
    writer.join().unwrap();
    upkeep.join().unwrap();
    assert_eq!(get(&engine.view(), b"a"), 5);
    engine.close().unwrap();
}

#[test]
fn a_commit_is_seen_once_it_is_whole() {
    explore(
        Disorder::PublishedEarly,
        views_and_snapshots_beside_commits_and_merges,
    );
}

/// A checkpoint keeps of a key what the newest commit sees: an older seq finds nothing in the state that it leads to.
fn views_beside_checkpoints() {
    let engine = open(&SimVfs::new(1).with_reserve(1 << 20));
    set(&engine, &[b"a"], 1, Survive::Process);
    let upkeep = thread::spawn({
        let engine = Arc::clone(&engine);
        move || {
            set(&engine, &[b"a"], 2, Survive::Process);
            engine.checkpoint().unwrap();
        }
    });
    for _ in 0..20 {
        assert!(get(&engine.view(), b"a") > 0, "a key that was always there");
    }
    upkeep.join().unwrap();
    engine.close().unwrap();
}

#[test]
fn a_view_is_a_state_and_a_seq_that_go_together() {
    explore(Disorder::SeqBeforeState, views_beside_checkpoints);
}

fn block_of(view: &View, key: &[u8]) -> Option<u8> {
    let hit = view.get(&record::kv_key(key)).unwrap()?;
    let block = record::block_of(hit.kind, hit.value).unwrap();
    let slice = view.block(&block).unwrap();
    slice.bytes().first().copied()
}

/// A chunk is rewritten while what lies in it is replaced, right after a snapshot that still needs it.
fn a_snapshot_beside_rewriting() {
    let engine = open(&SimVfs::new(1).with_reserve(1 << 20));
    let put = |byte: u8| {
        let mut draft = Draft::new();
        draft.set_kv(b"a", &[byte; 2_000]).unwrap();
        engine.commit(&mut draft, Some(Survive::Process)).unwrap();
    };
    put(1);
    put(2);
    engine.seal_chunks(|_| true);
    engine.checkpoint().unwrap();
    let upkeep = thread::spawn({
        let engine = Arc::clone(&engine);
        move || engine.compact().unwrap()
    });
    for byte in 3..=4 {
        let seq = engine.take_snapshot();
        put(byte);
        thread::yield_now();
        assert_eq!(block_of(&engine.view_at(seq), b"a"), Some(byte - 1));
        thread::yield_now();
        assert_eq!(block_of(&engine.view_at(seq), b"a"), Some(byte - 1));
        engine.release_snapshot(seq);
    }
    upkeep.join().unwrap();
    engine.close().unwrap();
}

#[test]
fn a_snapshot_that_is_not_on_the_list_yet_needs_nothing_that_is_judged_dead() {
    explore_with(
        |wrong| make(wrong.then_some(Defect::SnapshotsForgottenByReclaim)),
        a_snapshot_beside_rewriting,
    );
}

/// Whatever was acknowledged when the power went is there when it is back.
fn commits_of_two_threads_and_a_power_loss() {
    let disk = SimVfs::new(1).with_reserve(1 << 20);
    let engine = open(&disk);
    set(&engine, &[b"begin"], 0, Survive::Power);
    let acknowledged = Arc::new(AtomicU64::new(1));
    let writers: Vec<_> = (0..2)
        .map(|number: u8| {
            let (engine, acknowledged) = (Arc::clone(&engine), Arc::clone(&acknowledged));
            thread::spawn(move || {
                for value in 1..=2 {
                    let seq = set(&engine, &[&[number]], value, Survive::Power);
                    assert!(engine.durable_seq() >= seq);
                    acknowledged.fetch_max(seq, SeqCst);
                }
            })
        })
        .collect();
    for seed in 0..3 {
        thread::yield_now();
        let least = acknowledged.load(SeqCst);
        let survived = disk.crash(seed);
        let after = open(&survived);
        assert!(
            after.last_seq() >= least,
            "{least} was acknowledged, {} is there",
            after.last_seq()
        );
    }
    for writer in writers {
        writer.join().unwrap();
    }
    assert_eq!(engine.durable_seq(), 5);
    engine.close().unwrap();
}

#[test]
fn a_sync_claims_no_more_than_was_published_before_it() {
    explore(
        Disorder::LeaderClaimsLate,
        commits_of_two_threads_and_a_power_loss,
    );
}

#[test]
fn whoever_waits_for_a_sync_is_woken_by_it() {
    explore(
        Disorder::LeaderWakesNobody,
        commits_of_two_threads_and_a_power_loss,
    );
}

/// A follower that sleeps is woken by the commit that it waits for.
fn a_follower_beside_commits() {
    let engine = open(&SimVfs::new(1).with_reserve(1 << 20));
    set(&engine, &[b"a"], 1, Survive::Process);
    let follower = thread::spawn({
        let engine = Arc::clone(&engine);
        move || {
            let mut follower = engine.follow(1, 0).unwrap();
            for seq in 1..=3 {
                let mut commit = follower.next(Duration::MAX).unwrap();
                assert_eq!(commit.step().unwrap().unwrap().seq, seq);
            }
        }
    });
    for value in 2..=3 {
        set(&engine, &[b"a"], value, Survive::Process);
    }
    follower.join().unwrap();
    engine.close().unwrap();
}

#[test]
fn a_follower_is_woken_by_the_commit_that_it_waits_for() {
    explore(Disorder::UncountedFollower, a_follower_beside_commits);
}

/// One names a loose block, one frees it, and upkeep rewrites the chunk that it lies in.
fn a_block_is_named_freed_and_judged() {
    let engine = open(&SimVfs::new(1).with_reserve(1 << 20));
    let mut draft = Draft::new();
    draft.append_block(&[7; 100]).unwrap();
    draft.append_block(&[8; 100]).unwrap();
    engine.commit(&mut draft, Some(Survive::Process)).unwrap();
    let block = draft.result(0).unwrap().1.unwrap();
    let dead = draft.result(1).unwrap().1.unwrap();
    let mut draft = Draft::new();
    draft.free_block(dead).unwrap();
    engine.commit(&mut draft, Some(Survive::Process)).unwrap();
    engine.seal_chunks(|_| true);
    engine.checkpoint().unwrap();

    let naming = thread::spawn({
        let engine = Arc::clone(&engine);
        move || {
            let mut draft = Draft::new();
            draft.append_memory(1, &[], Data::Block(block)).unwrap();
            engine.commit(&mut draft, Some(Survive::Process)).is_ok()
        }
    });
    let freeing = thread::spawn({
        let engine = Arc::clone(&engine);
        move || {
            let mut draft = Draft::new();
            draft.free_block(block).unwrap();
            engine.commit(&mut draft, Some(Survive::Process)).unwrap();
        }
    });
    engine.compact().unwrap();
    freeing.join().unwrap();
    if naming.join().unwrap() {
        let view = engine.view();
        let bytes = view.block(&block).map(|slice| slice.bytes().to_vec());
        assert_eq!(bytes.unwrap(), vec![7; 100], "a memory names it");
    }
    engine.close().unwrap();
}

#[test]
fn no_block_is_judged_dead_while_a_commit_names_it() {
    explore(Disorder::NamingUnlocked, a_block_is_named_freed_and_judged);
}
