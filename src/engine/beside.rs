//! A reader beside a living writer, one system call at a time: whatever the writer does between any two calls of an
//! opening, a refresh, a verification, a backup or a follower, the reader sees a prefix, and is told of no damage.
//!
//! Both work on one simulated disk as two processes would, each with locks of its own. The writer's step runs inside the
//! reader's call number `at`, before the disk is asked, for every number that there is.

use std::{
    path::Path,
    sync::{
        atomic::{AtomicU64, Ordering},
        Arc, Mutex,
    },
};

use super::*;
use crate::{
    error::{Error, Result},
    format::record,
    vfs::{
        sim::SimVfs, turn::turns::Turns, DirectoryEntry, EntryKind, File, OpenMode, Region, Vfs, WriteMap,
    },
};

const STORE: &str = "/store";
const KEYS: u64 = 7;
const MEMORY_BYTES: u64 = 256 << 10;
/// Of reader and writer at the same time.
const SCHEDULES: u64 = 300;

type Step = Box<dyn FnOnce() + Send>;

/// Counts calls, and does something before one of them.
struct Turn {
    calls: AtomicU64,
    at: AtomicU64,
    step: Mutex<Option<Step>>,
}

impl Turn {
    fn tick(&self) {
        if self.calls.fetch_add(1, Ordering::Relaxed) == self.at.load(Ordering::Relaxed) {
            let step = self.step.lock().unwrap().take();
            if let Some(step) = step {
                step();
            }
        }
    }
}

#[derive(Clone)]
struct Watched {
    disk: Arc<dyn Vfs>,
    turn: Arc<Turn>,
}

impl std::fmt::Debug for Watched {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Watched").finish_non_exhaustive()
    }
}

impl Watched {
    fn disk(&self) -> &dyn Vfs {
        self.turn.tick();
        self.disk.as_ref()
    }
}

impl Vfs for Watched {
    fn open(&self, path: &Path, mode: OpenMode) -> Result<Arc<dyn File>> {
        let file = self.disk().open(path, mode)?;
        Ok(Arc::new(WatchedFile {
            file,
            turn: Arc::clone(&self.turn),
        }))
    }
    fn create_directory(&self, path: &Path) -> Result<()> {
        self.disk().create_directory(path)
    }
    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        self.disk().rename(from, to)
    }
    fn unlink(&self, path: &Path) -> Result<()> {
        self.disk().unlink(path)
    }
    fn remove_directory(&self, path: &Path) -> Result<()> {
        self.disk().remove_directory(path)
    }
    fn list(&self, directory: &Path) -> Result<Vec<DirectoryEntry>> {
        self.disk().list(directory)
    }
    fn entry_kind(&self, path: &Path) -> Result<Option<EntryKind>> {
        self.disk().entry_kind(path)
    }
    fn sync_directory(&self, directory: &Path) -> Result<()> {
        self.disk().sync_directory(directory)
    }
    fn map_is_safe(&self, directory: &Path) -> Result<bool> {
        self.disk().map_is_safe(directory)
    }
    fn random(&self, buffer: &mut [u8]) -> Result<()> {
        self.disk().random(buffer)
    }
    fn now_us(&self) -> u64 {
        self.disk.now_us()
    }
    fn disk_bytes(&self, path: &Path) -> Result<u64> {
        self.disk().disk_bytes(path)
    }
}

struct WatchedFile {
    file: Arc<dyn File>,
    turn: Arc<Turn>,
}

impl std::fmt::Debug for WatchedFile {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.file.fmt(f)
    }
}

impl WatchedFile {
    fn file(&self) -> &dyn File {
        self.turn.tick();
        self.file.as_ref()
    }
}

impl File for WatchedFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.file().read_at(offset, buffer)
    }
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.file().write_at(offset, bytes)
    }
    fn len(&self) -> Result<u64> {
        self.file().len()
    }
    fn set_len(&self, len: u64) -> Result<()> {
        self.file().set_len(len)
    }
    fn allocate(&self, offset: u64, len: u64) -> Result<()> {
        self.file().allocate(offset, len)
    }
    fn sync(&self) -> Result<()> {
        self.file().sync()
    }
    fn map(&self, len: u64) -> Result<Arc<Region>> {
        self.file().map(len)
    }
    fn map_writable(&self, len: u64) -> Result<Arc<dyn WriteMap>> {
        self.file().map_writable(len)
    }
    fn try_lock_exclusive(&self) -> Result<bool> {
        self.file().try_lock_exclusive()
    }
    fn unlock(&self) -> Result<()> {
        self.file().unlock()
    }
    fn lock_byte_shared(&self, offset: u64) -> Result<()> {
        self.file().lock_byte_shared(offset)
    }
    fn is_locked_below(&self, end: u64) -> Result<bool> {
        self.file().is_locked_below(end)
    }
}

fn options(read_only: bool) -> Options {
    Options {
        read_only,
        memory_bytes: MEMORY_BYTES,
        chunk_bytes: 64 << 10,
        background: false,
        ..Options::default()
    }
}

fn value_of(seq: u64) -> Vec<u8> {
    let len = match seq % 9 {
        0 => 40_000,
        1 | 2 => 3_000,
        _ => 100,
    };
    (0..len)
        .map(|at: u64| u8::try_from((at * 7 + seq * 131) % 251).unwrap())
        .collect()
}

/// The writer, which comes and goes.
struct Writer {
    disk: SimVfs,
    engine: Mutex<Option<Arc<Engine>>>,
    retention: u64,
    memory: u64,
}

impl Writer {
    fn open(&self) -> Arc<Engine> {
        let options = Options {
            log_retention_bytes: self.retention,
            memory_bytes: self.memory,
            ..options(false)
        };
        let engine = Engine::open(Arc::new(self.disk.clone()), Path::new(STORE), &options).unwrap();
        *self.engine.lock().unwrap() = Some(Arc::clone(&engine));
        engine
    }

    fn engine(&self) -> Arc<Engine> {
        let open = self.engine.lock().unwrap().clone();
        open.unwrap_or_else(|| self.open())
    }

    fn commit(&self, count: u64) {
        for _ in 0..count {
            self.commit_with(0);
        }
    }

    /// Once, with so many KiB more.
    fn commit_with(&self, more: u64) {
        let engine = self.engine();
        let seq = engine.last_seq() + 1;
        let mut draft = Draft::new();
        draft.set_kv(&(seq % KEYS).to_le_bytes(), &value_of(seq)).unwrap();
        draft
            .append_stream(b"s", None, Data::Bytes(&seq.to_le_bytes()))
            .unwrap();
        for number in 0..more {
            draft
                .set_kv(format!("extra-{number}").as_bytes(), &[7; 1_024])
                .unwrap();
        }
        assert_eq!(engine.commit(&mut draft, Some(Survive::Process)).unwrap(), seq);
    }

    fn close(&self) {
        let open = self.engine.lock().unwrap().take();
        if let Some(engine) = open {
            engine.close().unwrap();
        }
    }

    /// As a kill would: nothing is written any more, only the lock goes.
    fn die(&self) {
        let open = self.engine.lock().unwrap().take();
        if let Some(engine) = open {
            engine.closed.store(true, Ordering::Release);
            *lock(&engine.lock) = None;
        }
    }

    fn last_seq(&self) -> u64 {
        let open = self.engine.lock().unwrap().clone();
        open.map_or(0, |engine| engine.last_seq())
    }
}

/// Everything is as it was after that commit.
fn is_prefix(engine: &Engine, seq: u64) {
    assert_eq!(engine.last_seq(), seq);
    let view = engine.view();
    assert_eq!(view.seq, seq);
    for key in 0..KEYS {
        let newest = (0..KEYS)
            .map(|back| seq.saturating_sub(back))
            .find(|seq| seq % KEYS == key && *seq > 0);
        let hit = view.get(&record::kv_key(&key.to_le_bytes())).unwrap();
        let found = hit.map(|hit| match record::block_of(hit.kind, hit.value) {
            Some(block) => view.block(&block).unwrap().bytes().to_vec(),
            None => hit.value.to_vec(),
        });
        let expected = newest.map(value_of);
        assert!(found == expected, "key {key} at seq {seq}");
    }
    let stream = StreamState::read(&view, b"s").unwrap();
    let next = match stream {
        StreamState::Missing => 0,
        StreamState::There { next, .. } => next,
    };
    assert_eq!(next, seq, "the stream's end");
}

/// What the reader does, with a look at all of it after each step.
fn read(reader_disk: Arc<dyn Vfs>, writer: &Writer, disk: &SimVfs) {
    let committed = writer.last_seq();
    let reader = Engine::open(reader_disk, Path::new(STORE), &options(true)).unwrap();
    let opened_at = reader.last_seq();
    assert!(
        opened_at >= committed,
        "opened at {opened_at}, {committed} were committed"
    );
    is_prefix(&reader, opened_at);

    let committed = writer.last_seq().max(opened_at);
    let seq = reader.refresh().unwrap();
    assert!(seq >= committed, "refreshed to {seq}, {committed} were committed");
    is_prefix(&reader, seq);
    assert_eq!(reader.verify().unwrap(), Vec::new());
    let newest = reader.newest_view().unwrap();
    assert!(newest.seq >= seq);

    reader.backup(None, None, Path::new("/copy")).unwrap();
    let copy = Engine::open(Arc::new(disk.clone()), Path::new("/copy"), &options(false)).unwrap();
    is_prefix(&copy, seq);
    assert_eq!(copy.verify().unwrap(), Vec::new());
    copy.close().unwrap();

    let mut expected = reader.first_log_seq().unwrap();
    match reader.follow(expected, 0) {
        Ok(mut follower) => loop {
            match follower.next(std::time::Duration::ZERO) {
                Ok(mut commit) => {
                    let told = commit.step().unwrap().unwrap();
                    assert_eq!(told.seq, expected);
                    expected += 1;
                }
                Err(Error::Timeout | Error::NotFound) => break,
                Err(error) => panic!("the follower at {expected}: {error}"),
            }
        },
        Err(Error::NotFound) => {}
        Err(error) => panic!("following from {expected}: {error}"),
    }
    is_prefix(&reader, seq);
    reader.close().unwrap();
}

type Act = fn(&Writer);

/// What a writer does in one go, and whether it is open before.
const ACTS: [(&str, bool, Act); 10] = [
    ("begins and commits", false, |writer| writer.commit(1)),
    ("commits", true, |writer| writer.commit(20)),
    (
        "commits what fits into no segment that is ready",
        true,
        |writer| {
            writer.commit_with(300);
            writer.commit(3);
        },
    ),
    ("syncs", true, |writer| {
        writer.commit(2);
        writer.engine().sync().unwrap();
    }),
    ("checkpoints", true, |writer| {
        writer.engine().checkpoint().unwrap()
    }),
    ("checkpoints and goes on", true, |writer| {
        for _ in 0..4 {
            writer.commit(9);
            writer.engine().checkpoint().unwrap();
        }
        writer.commit(9);
    }),
    ("compacts", true, |writer| {
        writer.commit(40);
        writer.engine().compact().unwrap();
        writer.commit(40);
        writer.engine().compact().unwrap();
    }),
    ("closes", true, Writer::close),
    ("closes, opens, commits", true, |writer| {
        writer.close();
        writer.commit(5);
    }),
    ("is killed, opens, commits and compacts", true, |writer| {
        writer.commit(3);
        writer.die();
        writer.commit(30);
        writer.engine().compact().unwrap();
        writer.commit(1);
    }),
];

fn writer(disk: &SimVfs, retention: u64, memory: u64) -> Arc<Writer> {
    Arc::new(Writer {
        disk: disk.clone(),
        engine: Mutex::new(None),
        retention,
        memory,
    })
}

fn play(retention: u64, is_open: bool, act: Act, at: u64) -> u64 {
    let disk = SimVfs::new(1).with_reserve(4 << 20);
    let writer = writer(&disk, retention, MEMORY_BYTES);
    writer.commit(25);
    writer.engine().compact().unwrap();
    writer.commit(25);
    if !is_open {
        writer.close();
    }
    read_while(&disk, &writer, act, at)
}

/// Reads all, and has the writer act before call number `at`; how many calls there were.
fn read_while(disk: &SimVfs, writer: &Arc<Writer>, act: Act, at: u64) -> u64 {
    let turn = Arc::new(Turn {
        calls: AtomicU64::new(0),
        at: AtomicU64::new(at),
        step: Mutex::new(Some(Box::new({
            let writer = Arc::clone(writer);
            move || act(&writer)
        }))),
    });
    let watched = Watched {
        disk: Arc::new(disk.clone()),
        turn: Arc::clone(&turn),
    };
    read(Arc::new(watched), writer, disk);
    writer.close();
    turn.calls.load(Ordering::Relaxed)
}

#[test]
fn whatever_a_writer_does_between_two_calls_of_a_reader_it_sees_a_prefix() {
    let mut played = 0;
    for (number, (name, is_open, act)) in (0u64..).zip(ACTS) {
        // Half of the acts with log that is kept for followers.
        let retention = (number % 2) << 20;
        let calls = play(retention, is_open, act, u64::MAX);
        for at in 0..calls {
            let outcome = std::panic::catch_unwind(|| play(retention, is_open, act, at));
            assert!(outcome.is_ok(), "a writer {name} at call {at} of {calls}");
            played += 1;
        }
    }
    assert!(played > 500, "{played} places are too few to be all");
}

/// A reader maps a segment that the writer is filling with zeros, which then is finished, and written full.
#[test]
fn a_segment_may_grow_while_a_reader_opens_it() {
    let play = |at| {
        let disk = SimVfs::new(1).with_reserve(4 << 20);
        let writer = writer(&disk, 0, 4 << 20);
        while writer.engine().supply.prepare(0).unwrap() {}
        while writer.engine().supply.ready(0) {
            writer.commit_with(5);
        }
        // Once the one in use is full, this one follows.
        assert!(
            writer.engine().supply.prepare(260 << 10).unwrap(),
            "all was made in one step"
        );
        read_while(
            &disk,
            &writer,
            |writer| {
                while writer.engine().supply.prepare(260 << 10).unwrap() {}
                while writer.engine().supply.ready(0) {
                    writer.commit_with(20);
                }
                // Well behind where its zeros ended.
                for _ in 0..20 {
                    writer.commit_with(20);
                }
            },
            at,
        )
    };
    for at in 0..play(u64::MAX) {
        let outcome = std::panic::catch_unwind(|| play(at));
        assert!(outcome.is_ok(), "a segment grew at call {at}");
    }
}

/// A reader with an older state comes to a part that upkeep has retired: it is mapped before its name goes, and who is
/// opening it at that moment takes that map.
#[test]
fn a_part_may_go_while_a_reader_opens_it() {
    let disk = SimVfs::new(1).with_reserve(4 << 20);
    for at in 0..4 {
        let turn = Arc::new(Turn {
            calls: AtomicU64::new(0),
            at: AtomicU64::new(u64::MAX),
            step: Mutex::new(None),
        });
        let watched = Watched {
            disk: Arc::new(disk.clone()),
            turn: Arc::clone(&turn),
        };
        let engine = Engine::open(Arc::new(watched), Path::new(STORE), &options(false)).unwrap();
        let set = |engine: &Engine, value: &[u8]| {
            let mut draft = Draft::new();
            draft.set_kv(b"key", value).unwrap();
            engine.commit(&mut draft, Some(Survive::Process)).unwrap();
        };
        set(&engine, b"old");
        engine.checkpoint().unwrap();
        let view = engine.view();
        *turn.step.lock().unwrap() = Some(Box::new({
            let engine = Arc::clone(&engine);
            move || {
                set(&engine, b"new");
                engine.compact().unwrap();
            }
        }));
        turn.at
            .store(turn.calls.load(Ordering::Relaxed) + at, Ordering::Relaxed);
        let hit = view.get(&record::kv_key(b"key")).unwrap().unwrap();
        assert_eq!(hit.value, b"old");
        let left = turn.step.lock().unwrap().take();
        assert!(at > 0 || left.is_none(), "nothing came in between");
        engine.close().unwrap();
    }
}

/// Reader and writer at the same time: who goes on is decided at each operation on the disk, and between a reader's
/// looks at what it has mapped.
fn beside_in_turns(seed: u64) -> u64 {
    let disk = SimVfs::new(seed).with_reserve(4 << 20);
    let writer = writer(&disk, 0, MEMORY_BYTES);
    writer.commit(3);
    let turns = Turns::new(2, seed, 1 + seed % 4);
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let _entered = turns.enter(0);
            for round in 0..8 {
                // So many that the next segment is made, and taken into use, in between.
                writer.commit_with(5 * (round % 4));
                writer.engine().sync().unwrap();
                while round % 2 == 0 && writer.engine().supply.prepare(0).unwrap() {}
            }
        });
        scope.spawn(|| {
            let _entered = turns.enter(1);
            for _ in 0..4 {
                let durable = writer.engine().durable_seq();
                let reader = Engine::open(Arc::new(disk.clone()), Path::new(STORE), &options(true)).unwrap();
                assert!(reader.last_seq() >= durable);
                is_prefix(&reader, reader.last_seq());
                let durable = writer.engine().durable_seq();
                let seq = reader.refresh().unwrap();
                assert!(seq >= durable);
                is_prefix(&reader, seq);
                reader.close().unwrap();
            }
        });
    });
    writer.close();
    turns.history().0
}

/// Of these, some have a segment made, filled and synced by the writer while the reader looks for one and the same frame.
#[test]
fn a_commit_that_comes_between_two_looks_is_no_damage() {
    let mut hand_overs = 0;
    for seed in 0..SCHEDULES {
        let outcome = std::panic::catch_unwind(|| beside_in_turns(seed));
        assert!(outcome.is_ok(), "schedule {seed}");
        hand_overs += outcome.unwrap_or_default();
    }
    assert!(
        hand_overs > 100 * SCHEDULES,
        "{hand_overs} hand-overs are too few"
    );
}
