//! The engine on a real directory: what one thread sees of commit, checkpoint, merge, reclaim and reopening.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::*;
use crate::{
    format::record,
    vfs::{
        sim::{Fault, FaultKind, Operation, SimVfs},
        OsVfs,
    },
};

struct Dir(PathBuf);

impl Dir {
    fn new(name: &str) -> Dir {
        let path = std::env::temp_dir().join(format!("sarsen-engine-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Dir(path)
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn small() -> Options {
    Options {
        memory_bytes: 256 << 10,
        chunk_bytes: 64 << 10,
        background: false,
        ..Options::default()
    }
}

fn open(dir: &Dir, options: &Options) -> Arc<Engine> {
    Engine::open(Arc::new(OsVfs), &dir.0, options).unwrap()
}

fn set(engine: &Engine, key: &[u8], value: &[u8]) -> u64 {
    let mut draft = Draft::new();
    draft.set_kv(key, value).unwrap();
    engine.commit(&mut draft, Some(Survive::Process)).unwrap()
}

fn get(engine: &Engine, key: &[u8]) -> Option<Vec<u8>> {
    let view = engine.view();
    let hit = view.get(&record::kv_key(key)).unwrap()?;
    Some(match record::block_of(hit.kind, hit.value) {
        Some(block) => view.block(&block).unwrap().bytes().to_vec(),
        None => hit.value.to_vec(),
    })
}

fn value_of(number: u32, len: usize) -> Vec<u8> {
    (0..len)
        .map(|at| u8::try_from((at * 31 + usize::try_from(number).unwrap() * 7) % 251).unwrap())
        .collect()
}

/// Lengths on both sides of every limit: inline, small, large, with pages.
const LENGTHS: [usize; 8] = [0, 1, 100, 1_024, 1_025, 32_768, 32_769, 200_000];

#[test]
fn what_was_committed_is_read_back_before_and_after_checkpoint_and_reopening() {
    let dir = Dir::new("read-back");
    let check = |engine: &Engine, step: &str| {
        for (number, len) in (0..).zip(LENGTHS) {
            let key = format!("key-{number}");
            assert_eq!(
                get(engine, key.as_bytes()),
                Some(value_of(number, len)),
                "{key} {step}"
            );
        }
    };
    let engine = open(&dir, &small());
    for (number, len) in (0..).zip(LENGTHS) {
        set(
            &engine,
            format!("key-{number}").as_bytes(),
            &value_of(number, len),
        );
    }
    check(&engine, "from the log");
    engine.checkpoint().unwrap();
    check(&engine, "after the checkpoint");
    engine.compact().unwrap();
    check(&engine, "after compaction");
    assert_eq!(engine.verify().unwrap(), Vec::new());
    engine.close().unwrap();
    drop(engine);
    let engine = open(&dir, &small());
    assert_eq!(engine.recovery().verdict, Verdict::Clean);
    check(&engine, "after reopening");
    assert_eq!(engine.last_seq(), u64::try_from(LENGTHS.len()).unwrap());
    engine.close().unwrap();
}

#[test]
fn a_store_that_was_not_closed_replays_its_log() {
    let dir = Dir::new("replay");
    let engine = open(&dir, &small());
    for (number, len) in (0..).zip(LENGTHS) {
        set(
            &engine,
            format!("key-{number}").as_bytes(),
            &value_of(number, len),
        );
    }
    // As if the process had been killed: nothing is written any more, only the lock goes.
    engine.closed.store(true, Ordering::Release);
    *lock(&engine.lock) = None;
    drop(engine);
    let engine = open(&dir, &small());
    let recovery = engine.recovery();
    assert_eq!(
        (recovery.verdict, recovery.replayed_commits),
        (Verdict::Replayed, 8)
    );
    for (number, len) in (0..).zip(LENGTHS) {
        assert_eq!(
            get(&engine, format!("key-{number}").as_bytes()),
            Some(value_of(number, len))
        );
    }
    set(&engine, b"more", b"after");
    engine.sync().unwrap();
    assert_eq!(engine.durable_seq(), 9);
    engine.close().unwrap();
}

#[test]
fn a_store_larger_than_its_memory_keeps_everything() {
    let dir = Dir::new("large");
    let engine = open(&dir, &small());
    let mut draft = Draft::new();
    let mut keys = std::collections::BTreeSet::new();
    for round in 0..200u32 {
        for number in 0..50u32 {
            let key = format!("{:08}", (round * 7_919 + number * 104_729) % 20_000);
            draft.set_kv(key.as_bytes(), &value_of(round, 100)).unwrap();
            keys.insert(key);
        }
        draft
            .append_stream(b"stream", None, Data::Bytes(&value_of(round, 3_000)))
            .unwrap();
        engine.commit(&mut draft, Some(Survive::Process)).unwrap();
        while engine.maintain(0).unwrap() {}
    }
    assert!(engine.counters.checkpoints.load(Ordering::Relaxed) > 3);
    assert!(engine.state.load().runs.len() < 12);
    assert_eq!(engine.verify().unwrap(), Vec::new());
    let view = engine.view();
    let mut scan = view.scan_prefix(vec![record::SPACE_KV], false);
    let mut count = 0;
    let mut previous = Vec::new();
    while scan.next().unwrap() {
        let entry = scan.entry().unwrap();
        assert!(previous.as_slice() < entry.key);
        previous = entry.key.to_vec();
        count += 1;
    }
    let mut reverse = view.scan_prefix(vec![record::SPACE_KV], true);
    let mut back = 0;
    while reverse.next().unwrap() {
        back += 1;
    }
    assert_eq!((count, back), (keys.len(), keys.len()));
    engine.close().unwrap();
}

#[test]
fn dead_space_comes_back_and_addresses_stay() {
    let dir = Dir::new("reclaim");
    let engine = open(&dir, &small());
    let mut draft = Draft::new();
    draft.append_block(&value_of(1, 5_000)).unwrap();
    draft.append_block(&value_of(2, 50_000)).unwrap();
    engine.commit(&mut draft, Some(Survive::Process)).unwrap();
    let small_block = draft.result(0).unwrap().1.unwrap();
    let large_block = draft.result(1).unwrap().1.unwrap();
    for round in 0..60u32 {
        set(&engine, b"same key", &value_of(round, 20_000));
        set(&engine, b"same large key", &value_of(round, 60_000));
    }
    engine.compact().unwrap();
    let chunk_bytes: u64 = engine
        .state
        .load()
        .chunks
        .iter()
        .map(|chunk| chunk.meta().len)
        .sum();
    assert!(
        chunk_bytes < 180_000,
        "{chunk_bytes} bytes in chunks for 135,000 that are live"
    );
    let view = engine.view();
    assert_eq!(view.block(&small_block).unwrap().bytes(), value_of(1, 5_000));
    assert_eq!(view.block(&large_block).unwrap().bytes(), value_of(2, 50_000));
    assert_eq!(get(&engine, b"same key"), Some(value_of(59, 20_000)));
    assert_eq!(get(&engine, b"same large key"), Some(value_of(59, 60_000)));
    assert_eq!(engine.verify().unwrap(), Vec::new());
    engine.close().unwrap();
}

/// As a game does: each frame a commit that trims something, and a slice of upkeep. The checkpoint itself raises the
/// number of deletions from which on merging pays.
#[test]
fn what_was_deleted_is_merged_away_behind_one_checkpoint_though_a_commit_comes_between_any_two_steps() {
    let dir = Dir::new("deleted-between");
    let engine = open(&dir, &small());
    for number in 0..2_000u32 {
        set(&engine, &number.to_be_bytes(), b"value");
    }
    engine.checkpoint().unwrap();
    while engine.maintain(0).unwrap() {}
    let delete = |numbers: std::ops::Range<u32>| {
        let mut draft = Draft::new();
        for number in numbers {
            draft.delete_kv(&number.to_be_bytes()).unwrap();
        }
        engine.commit(&mut draft, Some(Survive::Process)).unwrap();
    };
    delete(0..340);
    assert!(engine.much_was_deleted());
    let before = engine.stats().unwrap();
    for frame in 0..60 {
        engine.maintain(0).unwrap();
        delete(340 + frame..341 + frame);
    }
    let after = engine.stats().unwrap();
    assert_eq!(after.checkpoints - before.checkpoints, 1);
    assert_eq!(after.compactions - before.compactions, 1);
    assert!(!engine.much_was_deleted());
    assert_eq!(get(&engine, &399u32.to_be_bytes()), None);
    assert_eq!(get(&engine, &400u32.to_be_bytes()), Some(b"value".to_vec()));
    engine.close().unwrap();
}

#[test]
fn a_snapshot_sees_what_it_saw_through_overwrites_and_compaction() {
    let dir = Dir::new("snapshot");
    let engine = open(&dir, &small());
    set(&engine, b"k", &value_of(1, 5_000));
    let seq = engine.take_snapshot();
    for round in 2..30 {
        set(&engine, b"k", &value_of(round, 5_000));
        engine.checkpoint().unwrap();
    }
    engine.compact().unwrap();
    let view = engine.view_at(seq);
    let hit = view.get(&record::kv_key(b"k")).unwrap().unwrap();
    let block = record::block_of(hit.kind, hit.value).unwrap();
    assert_eq!(view.block(&block).unwrap().bytes(), value_of(1, 5_000));
    engine.release_snapshot(seq);
    engine.compact().unwrap();
    assert!(matches!(
        engine.view().block_range(&block, 0, block.len),
        Err(Error::NotFound)
    ));
    engine.close().unwrap();
}

#[test]
fn a_second_writer_is_refused_and_a_reader_is_not() {
    let dir = Dir::new("lock");
    let engine = open(&dir, &small());
    set(&engine, b"k", b"v");
    let second = Engine::open(Arc::new(OsVfs), &dir.0, &small());
    assert!(matches!(second, Err(Error::Locked { .. })));
    let reader = open(
        &dir,
        &Options {
            read_only: true,
            ..small()
        },
    );
    assert_eq!(get(&reader, b"k"), Some(b"v".to_vec()));
    set(&engine, b"k", b"w");
    assert_eq!(get(&reader, b"k"), Some(b"v".to_vec()));
    assert_eq!(reader.refresh().unwrap(), 2);
    assert_eq!(get(&reader, b"k"), Some(b"w".to_vec()));
    reader.close().unwrap();
    engine.close().unwrap();
}

#[test]
fn a_backup_holds_exactly_what_the_snapshot_sees() {
    let dir = Dir::new("backup");
    let copy = Dir::new("backup-copy");
    let engine = open(&dir, &small());
    for (number, len) in (0..).zip(LENGTHS) {
        set(
            &engine,
            format!("key-{number}").as_bytes(),
            &value_of(number, len),
        );
    }
    let seq = engine.take_snapshot();
    set(&engine, b"key-2", b"later");
    set(&engine, b"new", b"later");
    engine.backup(Some(seq), None, &copy.0).unwrap();
    engine.release_snapshot(seq);
    engine.close().unwrap();
    let restored = open(&copy, &small());
    assert_eq!(
        (restored.last_seq(), restored.recovery().verdict),
        (8, Verdict::Clean)
    );
    for (number, len) in (0..).zip(LENGTHS) {
        assert_eq!(
            get(&restored, format!("key-{number}").as_bytes()),
            Some(value_of(number, len))
        );
    }
    assert_eq!(get(&restored, b"new"), None);
    assert_eq!(restored.verify().unwrap(), Vec::new());
    set(&restored, b"new", b"goes on");
    restored.close().unwrap();
}

#[test]
fn a_new_store_takes_little_room() {
    let dir = Dir::new("empty");
    let engine = open(&dir, &Options::default());
    engine.close().unwrap();
    let stats = OsVfs;
    let mut bytes = crate::vfs::Vfs::disk_bytes(&stats, &dir.0).unwrap();
    for entry in crate::vfs::Vfs::list(&stats, &dir.0).unwrap() {
        bytes += crate::vfs::Vfs::disk_bytes(&stats, &dir.0.join(entry.name)).unwrap();
    }
    assert!(bytes <= 64 << 10, "{bytes} bytes");
}

#[test]
fn files_that_a_reader_kept_over_a_close_are_removed_once() {
    let dir = Dir::new("kept-for-a-reader");
    let engine = open(&dir, &small());
    set(&engine, b"k", b"v");
    let reader = open(
        &dir,
        &Options {
            read_only: true,
            ..small()
        },
    );
    engine.close().unwrap();
    drop(engine);
    let engine = open(&dir, &small());
    set(&engine, b"k", b"w");
    drop(reader);
    for _ in 0..3 {
        set(&engine, b"k", b"x");
        engine.checkpoint().unwrap();
    }
    engine.close().unwrap();
}

#[test]
fn a_block_that_a_batch_names_can_be_named_again_behind_a_free_of_it() {
    let dir = Dir::new("name-free-name");
    let engine = open(&dir, &small());
    let mut draft = Draft::new();
    draft.append_block(b"bytes").unwrap();
    engine.commit(&mut draft, Some(Survive::Process)).unwrap();
    let block = draft.result(0).unwrap().1.unwrap();
    draft.append_memory(1, &[], Data::Block(block)).unwrap();
    draft.free_block(block).unwrap();
    draft.append_memory(2, &[], Data::Block(block)).unwrap();
    engine.commit(&mut draft, Some(Survive::Process)).unwrap();
    engine.compact().unwrap();
    assert_eq!(engine.view().block(&block).unwrap().bytes(), b"bytes");
    // The other way round the block is gone before it is named.
    draft.append_block(b"other").unwrap();
    engine.commit(&mut draft, Some(Survive::Process)).unwrap();
    let other = draft.result(0).unwrap().1.unwrap();
    draft.free_block(other).unwrap();
    draft.append_memory(3, &[], Data::Block(other)).unwrap();
    assert_eq!(
        engine.commit(&mut draft, Some(Survive::Process)),
        Err(Error::NotFound)
    );
    engine.close().unwrap();
}

#[test]
fn counts_stay_exact_over_a_checkpoint_and_a_merge_that_a_full_disk_refused() {
    let disk = SimVfs::new(1);
    let engine = Engine::open(Arc::new(disk.clone()), std::path::Path::new("/store"), &small()).unwrap();
    for value in [b"v", b"w"] {
        set(&engine, b"k", value);
        set(&engine, b"k", value);
        // The manifest alone is written beside the directories.
        let refuse = || disk.fail(Fault::new(Operation::Write, 1, FaultKind::NoSpace).within("MANIFEST.new"));
        refuse();
        assert!(matches!(engine.checkpoint(), Err(Error::NoSpace { .. })));
        engine.checkpoint().unwrap();
        assert_eq!(
            engine.stats().unwrap().kv_count,
            if value == b"v" { 1 } else { 2 }
        );
        if value == b"w" {
            refuse();
            assert!(matches!(engine.compact(), Err(Error::NoSpace { .. })));
        }
    }
    engine.compact().unwrap();
    assert_eq!(engine.stats().unwrap().kv_count, 1);
    engine.close().unwrap();
}

#[test]
fn a_sync_that_finds_the_disk_full_does_not_say_that_nothing_was_written() {
    let disk = SimVfs::new(1);
    let engine = Engine::open(Arc::new(disk.clone()), std::path::Path::new("/store"), &small()).unwrap();
    set(&engine, b"k", b"v");
    // The directory entry of the chunk that the large block went to is synced behind the commit.
    disk.fail(Fault::new(Operation::SyncDirectory, 1, FaultKind::NoSpace).within("blocks"));
    let mut draft = Draft::new();
    draft.set_kv(b"large", &value_of(1, 50_000)).unwrap();
    let outcome = engine.commit(&mut draft, Some(Survive::Power));
    assert!(matches!(outcome, Err(Error::Poisoned { .. })), "{outcome:?}");
    assert_eq!(engine.last_seq(), 2);
    assert_eq!(get(&engine, b"large"), Some(value_of(1, 50_000)));
}

#[test]
fn what_a_manifest_that_may_be_on_disk_names_is_kept() {
    // EIO and ENOSPC of the sync of the root, once the new manifest has its name.
    for kind in [FaultKind::Io, FaultKind::NoSpace] {
        let disk = SimVfs::new(1);
        let path = std::path::Path::new("/store");
        let engine = Engine::open(Arc::new(disk.clone()), path, &small()).unwrap();
        set(&engine, b"k", b"v");
        let renames = disk.count(Operation::Rename);
        disk.fail(Fault::new(Operation::SyncDirectory, 2, kind));
        let outcome = engine.checkpoint();
        assert!(matches!(outcome, Err(Error::Io { .. })), "{outcome:?}");
        assert_eq!(disk.count(Operation::Rename), renames + 1);
        assert!(matches!(engine.checkpoint(), Err(Error::Poisoned { .. })));
        drop(engine);
        let engine = Engine::open(Arc::new(disk.restart()), path, &small()).unwrap();
        assert_eq!(get(&engine, b"k"), Some(b"v".to_vec()));
        assert_eq!(engine.verify().unwrap(), Vec::new());
        engine.close().unwrap();
    }
}

#[test]
fn a_chunk_that_a_full_disk_kept_from_being_synced_poisons() {
    let disk = SimVfs::new(1);
    let path = std::path::Path::new("/store");
    let engine = Engine::open(Arc::new(disk.clone()), path, &small()).unwrap();
    set(&engine, b"a", &value_of(1, 5_000));
    engine.checkpoint().unwrap();
    set(&engine, b"b", &value_of(2, 5_000));
    disk.fail(Fault::new(Operation::Sync, 1, FaultKind::NoSpace).within("blocks"));
    let outcome = engine.checkpoint();
    assert!(matches!(outcome, Err(Error::Io { .. })), "{outcome:?}");
    assert!(matches!(engine.checkpoint(), Err(Error::Poisoned { .. })));
    drop(engine);
    let engine = Engine::open(Arc::new(disk.restart()), path, &small()).unwrap();
    set(&engine, b"c", b"v");
    engine.checkpoint().unwrap();
    assert_eq!(get(&engine, b"b"), Some(value_of(2, 5_000)));
    engine.close().unwrap();
}

#[test]
fn freeing_an_address_that_no_block_has_changes_nothing() {
    let dir = Dir::new("free-nothing");
    let engine = open(&dir, &small());
    let mut draft = Draft::new();
    draft.append_block(b"bytes").unwrap();
    engine.commit(&mut draft, Some(Survive::Process)).unwrap();
    let block = draft.result(0).unwrap().1.unwrap();
    // Of a block that lay at the same place in a history that a power loss undid.
    let other = BlockAddress {
        crc32c: block.crc32c ^ 1,
        ..block
    };
    draft.free_block(other).unwrap();
    engine.commit(&mut draft, Some(Survive::Process)).unwrap();
    engine.compact().unwrap();
    assert_eq!(engine.view().block(&block).unwrap().bytes(), b"bytes");
    draft.append_memory(1, &[], Data::Block(block)).unwrap();
    engine.commit(&mut draft, Some(Survive::Process)).unwrap();
    engine.close().unwrap();
}

#[test]
fn a_store_whose_own_name_can_not_be_made_durable_is_not_opened() {
    let disk = SimVfs::new(1);
    let open = |disk: &SimVfs| Engine::open(Arc::new(disk.clone()), Path::new("/store"), &small());
    for attempt in ["of nothing", "of the empty directory that the first attempt left"] {
        disk.fail(Fault::new(Operation::SyncDirectory, 1, FaultKind::Io));
        assert!(matches!(open(&disk), Err(Error::Io { .. })), "{attempt}");
        disk.clear_faults();
    }
    let engine = open(&disk).unwrap();
    let mut draft = Draft::new();
    draft.set_kv(b"key", b"value").unwrap();
    engine.commit(&mut draft, Some(Survive::Power)).unwrap();
    let after = disk.crash(1);
    drop(engine);
    assert_eq!(open(&after).unwrap().last_seq(), 1);
}

#[test]
fn a_backup_from_a_refreshed_reader_gives_no_chunk_and_no_stream_out_twice() {
    use crate::engine::streams::StreamState;
    let append = |engine: &Engine, name: &[u8]| {
        let mut draft = Draft::new();
        draft.append_stream(name, None, Data::Bytes(b"a record")).unwrap();
        engine.commit(&mut draft, Some(Survive::Process)).unwrap();
    };
    let id_of = |engine: &Engine, name: &[u8]| match StreamState::read(&engine.view(), name).unwrap() {
        StreamState::There { stream_id, .. } => stream_id,
        StreamState::Missing => panic!("no stream"),
    };
    let (dir, copy) = (Dir::new("refreshed-backup"), Dir::new("refreshed-backup-copy"));
    let writer = open(&dir, &small());
    let read_only = Options {
        read_only: true,
        ..small()
    };
    let reader = open(&dir, &read_only);
    for number in 0..4 {
        set(&writer, &[number], &value_of(u32::from(number), 40_000));
    }
    append(&writer, b"first");
    writer.checkpoint().unwrap();
    reader.refresh().unwrap();
    reader.backup(None, None, &copy.0).unwrap();
    let copied = open(&copy, &small());
    set(&copied, b"new", &value_of(9, 40_000));
    set(&copied, b"new and small", &value_of(10, 2_000));
    append(&copied, b"second");
    assert_ne!(id_of(&copied, b"first"), id_of(&copied, b"second"));
    copied.compact().unwrap();
    for number in 0..4 {
        assert_eq!(get(&copied, &[number]), Some(value_of(u32::from(number), 40_000)));
    }
    assert_eq!(copied.verify().unwrap(), []);
}

#[test]
fn whoever_waits_for_durability_comes_before_what_is_made_ready_for_later() {
    let options = Options {
        chunk_bytes: 128 << 10,
        background: false,
        ..Options::default()
    };
    let engine = Engine::open(Arc::new(SimVfs::new(1)), Path::new("/store"), &options).unwrap();
    let mut seq = 0;
    while !engine.large.wants_next() {
        let mut draft = Draft::new();
        draft.set_kv(b"key", &[7; 40_000]).unwrap();
        seq = engine.commit(&mut draft, Some(Survive::Process)).unwrap();
    }
    let (told, hears) = std::sync::mpsc::channel();
    let tell = move |seq, outcome: Result<()>| told.send((seq, outcome.is_ok())).unwrap();
    engine.notify_durable(seq, Box::new(tell)).unwrap();
    assert!(engine.maintain(0).unwrap(), "there is more to do");
    assert_eq!(hears.try_recv().unwrap(), (seq, true));
    assert!(engine.large.wants_next());
    engine.close().unwrap();
}
