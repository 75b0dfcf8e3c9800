//! Stores that earlier versions wrote keep opening: each is checked in below `tests/compat`, as text, with records of
//! all four kinds in runs, in rewritten chunks and in a log that nobody replayed; and one beside it whose log is kept for
//! followers from its first commit on.
//!
//! A file of the store is a `.hex` file: hexadecimal bytes, `xx*n` for n times the byte xx, behind `|` a comment. A new
//! version of the format gets a directory of its own, written by
//! `SARSEN_COMPAT_WRITE=v2 cargo test --locked --test compat -- --ignored`, and a test at the end of this file; what an
//! existing one holds is never edited.

#![expect(
    clippy::expect_used,
    clippy::indexing_slicing,
    reason = "a test says why it can't go on"
)]

use std::{
    collections::BTreeMap,
    env,
    fmt::Write,
    fs,
    path::{Path, PathBuf},
    time::Duration,
};

use sarsen::{Batch, BlockAddress, CommandKind, Data, Error, Options, Store, Survive, Tags, Verdict};

/// Runs of a byte shorter than this are written out.
const LEAST_RUN: usize = 6;
const BYTES_PER_LINE: usize = 48;

// ---- files as text -------------------------------------------------------------------------------

fn to_text(bytes: &[u8]) -> String {
    let mut text = String::new();
    let mut in_line = 0;
    let mut rest = bytes;
    while let Some(first) = rest.first() {
        let run = rest.iter().take_while(|byte| *byte == first).count();
        if run >= LEAST_RUN {
            let space = if in_line > 0 { " " } else { "" };
            writeln!(text, "{space}{first:02x}*{run}").expect("text grows");
            in_line = 0;
            rest = &rest[run..];
            continue;
        }
        write!(text, "{first:02x}").expect("text grows");
        in_line += 1;
        rest = &rest[1..];
        if in_line == BYTES_PER_LINE {
            text.push('\n');
            in_line = 0;
        }
    }
    if in_line > 0 {
        text.push('\n');
    }
    if bytes.is_empty() {
        text.push_str("| empty\n");
    }
    text
}

fn to_bytes(text: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in text.lines() {
        let digits = line.split('|').next().unwrap_or_default();
        for word in digits.split_whitespace() {
            let byte = |digits: &str| u8::from_str_radix(digits, 16).expect("two hexadecimal digits");
            match word.split_once('*') {
                Some((digits, count)) => {
                    let len = bytes.len() + count.parse::<usize>().expect("a number");
                    bytes.resize(len, byte(digits));
                }
                None => {
                    for at in (0..word.len()).step_by(2) {
                        bytes.push(byte(&word[at..at + 2]));
                    }
                }
            }
        }
    }
    bytes
}

#[test]
fn text_holds_every_byte() {
    let mut bytes: Vec<u8> = (0..=255).collect();
    bytes.extend_from_slice(&[0; 5_000]);
    bytes.extend_from_slice(b"aaaaabbbbbbbc");
    assert_eq!(to_bytes(&to_text(&bytes)), bytes);
    assert_eq!(to_bytes(&to_text(b"")), b"");
}

fn files_below(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("a directory can be listed") {
        let path = entry.expect("a directory can be listed").path();
        if path.is_dir() {
            files_below(&path, found);
        } else {
            found.push(path);
        }
    }
    found.sort();
}

fn compat_directory(version: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/compat")
        .join(version)
}

/// A place for one test, removed in the end.
struct Place(PathBuf);

impl Place {
    fn new(name: &str) -> Place {
        let path = env::temp_dir().join(format!("sarsen-compat-{}-{name}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a directory for the test");
        Place(path)
    }

    /// The store as it was left.
    fn rebuilt(version: &str, name: &str) -> Place {
        let place = Place::new(name);
        let from = compat_directory(version);
        let mut files = Vec::new();
        files_below(&from, &mut files);
        for file in files {
            let path = file.strip_prefix(&from).expect("below it").with_extension("");
            let target = place.0.join(path);
            fs::create_dir_all(target.parent().expect("a directory")).expect("a directory of the store");
            let text = fs::read_to_string(&file).expect("a file of the store as text");
            fs::write(target, to_bytes(&text)).expect("a file of the store");
        }
        place
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

// ---- what the store holds ------------------------------------------------------------------------

/// Loose blocks, by the letter that they consist of.
const LOOSE: [(u8, BlockAddress); 3] = [
    (
        b'A',
        BlockAddress {
            chunk: 1,
            crc32c: 0x9c2e_28a0,
            offset: 32,
            len: 5_000,
        },
    ),
    (
        b'B',
        BlockAddress {
            chunk: 2,
            crc32c: 0xc0f6_eaea,
            offset: 4_096,
            len: 50_000,
        },
    ),
    (
        b'D',
        BlockAddress {
            chunk: 5,
            crc32c: 0x8ba7_1a18,
            offset: 5_128,
            len: 1_200,
        },
    ),
];

fn options() -> Options {
    Options {
        memory_bytes: 256 << 10,
        chunk_bytes: 128 << 10,
        background: false,
        durability: Survive::Process,
        ..Options::default()
    }
}

/// One letter, often: such bytes are short as text.
fn many(letter: u8, len: usize) -> Vec<u8> {
    vec![letter; len]
}

#[derive(Debug, Default, PartialEq, Eq)]
struct Contents {
    pairs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Bytes and tags.
    memories: BTreeMap<u64, (Vec<u8>, Vec<&'static str>)>,
    /// First index and records.
    streams: BTreeMap<Vec<u8>, (u64, Vec<Vec<u8>>)>,
}

/// What `write` leaves, record by record.
fn contents() -> Contents {
    let mut contents = Contents::default();
    for (key, value) in [
        (b"".to_vec(), b"of the empty key".to_vec()),
        (b"\xff\xff\xff".to_vec(), b"of 0xff".to_vec()),
        (b"empty value".to_vec(), Vec::new()),
        (b"inline".to_vec(), many(b'i', 1_024)),
        (b"large".to_vec(), many(b'l', 32_769)),
        (b"large/pages".to_vec(), many(b'L', 70_000)),
        (b"overwritten".to_vec(), many(b'9', 2_000)),
        (b"overwritten/log".to_vec(), b"new".to_vec()),
        (b"small".to_vec(), many(b's', 1_025)),
        (b"small/longest".to_vec(), many(b'S', 32_768)),
        (b"log".to_vec(), b"inline".to_vec()),
        (b"log/small".to_vec(), many(b't', 1_500)),
        (b"log/large".to_vec(), many(b'T', 40_000)),
        (many(b'k', 65_535), b"of the longest key".to_vec()),
    ] {
        contents.pairs.insert(key, value);
    }
    for (id, bytes, tags) in [
        (1, b"one".to_vec(), vec!["a", "b"]),
        (2, many(b'm', 40_000), vec!["b"]),
        (3, b"three, replaced".to_vec(), vec!["c"]),
        (5, many(b'N', 3_000), vec!["b", "\u{e9}"]),
        (7, Vec::new(), Vec::new()),
        (u64::MAX, b"last".to_vec(), vec!["a"]),
    ] {
        contents.memories.insert(id, (bytes, tags));
    }
    let log = (4..10).map(|number| many(b'0' + number, 100));
    let log = log.chain([b"in the log".to_vec(), many(b'R', 33_000)]).collect();
    for (name, first, records) in [
        ("", 0, vec![b"unnamed".to_vec(), many(b'N', 3_000)]),
        ("again", 0, vec![b"second life".to_vec()]),
        ("emptied", 2, Vec::new()),
        ("log", 4, log),
    ] {
        contents
            .streams
            .insert(name.as_bytes().to_vec(), (first, records));
    }
    contents
}

const GONE_KEYS: [&[u8]; 3] = [b"deleted", b"deleted/log", b"never there"];
const GONE_IDS: [u64; 3] = [4, 6, 8];
const GONE_STREAMS: [&[u8]; 2] = [b"dropped", b"never there"];

/// Writes all of that: a part that is compacted, with chunks that were rewritten; a second run above it; a log that
/// nobody replays.
fn write(store: &Store) {
    let commit = |fill: &dyn Fn(&mut Batch) -> sarsen::Result<()>| {
        let mut batch = Batch::new();
        fill(&mut batch).expect("commands");
        store.commit(&mut batch, None).expect("a commit");
        batch
    };
    let tags = |tags: &[&str]| Tags::of(tags).expect("tags");
    let block = |letter: u8, len: usize| {
        let block = store.block_append(&many(letter, len)).expect("a block");
        if let Some((_, known)) = LOOSE.iter().find(|(known, _)| *known == letter) {
            assert_eq!(block, *known, "block {}; put this into LOOSE", char::from(letter));
        }
        block
    };

    block(b'A', 5_000);
    block(b'B', 50_000);
    for number in 0..10 {
        store
            .kv_set(b"overwritten", &many(b'0' + number, 2_000))
            .expect("a pair");
        commit(&|batch| batch.append_stream(b"log", Data::Bytes(&many(b'0' + number, 100))));
    }
    store.kv_set(b"large", &many(b'-', 45_000)).expect("a pair");
    commit(&|batch| {
        batch.set_kv(b"", b"of the empty key")?;
        batch.set_kv(b"\xff\xff\xff", b"of 0xff")?;
        batch.set_kv(b"empty value", b"")?;
        batch.set_kv(b"inline", &many(b'i', 1_024))?;
        batch.set_kv(b"small", &many(b's', 1_025))?;
        batch.set_kv(b"small/longest", &many(b'S', 32_768))?;
        batch.set_kv(b"large", &many(b'l', 32_769))?;
        batch.set_kv(b"large/pages", &many(b'L', 70_000))?;
        batch.set_kv(b"deleted", &many(b'd', 1_100))?;
        batch.set_kv(b"deleted/log", b"for a while")?;
        batch.set_kv(b"overwritten/log", b"old")?;
        batch.set_kv(&many(b'k', 65_535), b"of the longest key")?;
        batch.append_memory(1, &tags(&["b", "a"]), Data::Bytes(b"one"))?;
        batch.append_memory(2, &tags(&["b"]), Data::Bytes(&many(b'm', 40_000)))?;
        batch.append_memory(3, &tags(&["a", "b"]), Data::Bytes(b"three"))?;
        batch.append_memory(4, &tags(&["a"]), Data::Bytes(b"four"))?;
        batch.append_memory(6, &tags(&["c"]), Data::Bytes(b"six"))?;
        batch.append_stream(b"dropped", Data::Bytes(b"gone"))?;
        batch.append_stream(b"again", Data::Bytes(b"first life"))?;
        batch.append_stream(b"emptied", Data::Bytes(b"1"))?;
        batch.append_stream(b"emptied", Data::Bytes(b"2"))?;
        batch.append_stream(b"", Data::Bytes(b"unnamed"))
    });
    store.compact().expect("a compaction");

    let named = block(b'N', 3_000);
    let freed = block(b'F', 2_000);
    commit(&|batch| {
        batch.free_block(&freed)?;
        batch.delete_kv(b"deleted")?;
        batch.append_memory(3, &tags(&["c"]), Data::Bytes(b"three, replaced"))?;
        batch.delete_memory(4)?;
        batch.append_memory(5, &tags(&["\u{e9}", "b"]), Data::Block(named))?;
        batch.trim_stream(b"log", 4)?;
        batch.trim_stream(b"dropped", u64::MAX)?;
        batch.trim_stream(b"again", u64::MAX)?;
        batch.trim_stream(b"emptied", 2)
    });
    store.checkpoint().expect("a checkpoint");

    block(b'D', 1_200);
    commit(&|batch| {
        batch.set_kv(b"log", b"inline")?;
        batch.set_kv(b"log/small", &many(b't', 1_500))?;
        batch.set_kv(b"log/large", &many(b'T', 40_000))?;
        batch.delete_kv(b"deleted/log")?;
        batch.append_stream(b"log", Data::Bytes(b"in the log"))?;
        batch.append_stream(b"log", Data::Bytes(&many(b'R', 33_000)))
    });
    // Leaves a mark, which the next frame overwrites.
    store.sync().expect("a sync");
    commit(&|batch| {
        batch.set_kv(b"overwritten/log", b"new")?;
        batch.append_memory(7, &Tags::new(), Data::Bytes(b""))?;
        batch.append_memory(u64::MAX, &tags(&["a"]), Data::Bytes(b"last"))?;
        batch.delete_memory(6)?;
        batch.append_stream(b"again", Data::Bytes(b"second life"))?;
        batch.append_stream(b"", Data::Block(named))
    });
}

#[test]
#[ignore = "writes a store's files anew, see the top of this file"]
fn write_a_store() {
    let Ok(version) = env::var("SARSEN_COMPAT_WRITE") else {
        panic!("SARSEN_COMPAT_WRITE says which directory of tests/compat is to be written");
    };
    let place = Place::new("write");
    let path = place.0.join("store");
    let store = Store::open(&path, &options()).expect("a new store");
    write(&store);
    compare(&store, &contents());
    let names = write_text(&path, &version);
    for (part, count) in [(".r1.bin", 2), (".run", 2)] {
        let found = names.iter().filter(|name| name.ends_with(part)).count();
        assert!(found >= count, "{found} files {part}: {names:#?}");
    }
    let path = place.0.join("kept");
    let store = Store::open(&path, &keeping()).expect("a new store");
    write_kept(&store);
    write_text(&path, &format!("{version}_kept_log"));
}

/// The files as they lie there while the store is open: nobody closes it.
fn write_text(path: &Path, name: &str) -> Vec<String> {
    let mut files = Vec::new();
    files_below(path, &mut files);
    let to = compat_directory(name);
    let _ = fs::remove_dir_all(&to);
    for file in &files {
        let name = file.strip_prefix(path).expect("below it");
        let mut target = to.join(name).into_os_string();
        target.push(".hex");
        let target = PathBuf::from(target);
        fs::create_dir_all(target.parent().expect("a directory")).expect("a directory for text");
        fs::write(target, to_text(&fs::read(file).expect("a file of the store"))).expect("text");
    }
    files.iter().map(|file| file.display().to_string()).collect()
}

// ---- comparing -----------------------------------------------------------------------------------

#[track_caller]
fn is_missing<T>(what: &str, found: sarsen::Result<T>) {
    let error = found.err().unwrap_or_else(|| panic!("{what} is there"));
    assert_eq!(error, Error::NotFound, "{what}");
}

fn compare(store: &Store, expected: &Contents) {
    for reverse in [false, true] {
        let mut pairs = store.kv_scan(None, b"", b"", reverse).expect("a scan");
        let mut found = Vec::new();
        while pairs.next().expect("a pair") {
            found.push((pairs.key().to_vec(), pairs.value().to_vec()));
        }
        if reverse {
            found.reverse();
        }
        let expected: Vec<_> = expected.pairs.clone().into_iter().collect();
        assert!(found == expected, "pairs differ, reverse {reverse}");
    }
    for (key, value) in &expected.pairs {
        let found = store.kv_get(None, key).expect("a pair");
        assert!(*found == **value, "{}", key.escape_ascii());
    }
    for key in GONE_KEYS {
        is_missing("a pair", store.kv_get(None, key));
    }

    let none = Tags::new();
    let all_tags = ["a", "b", "c", "\u{e9}"];
    for tag in [None].into_iter().chain(all_tags.map(Some)) {
        let all = tag.map_or_else(Tags::new, |tag| Tags::of(&[tag]).expect("a tag"));
        let mut memories = store.memory_find(None, &all, &none, &none, 0).expect("a query");
        let mut ids = Vec::new();
        while memories.next().expect("a memory") {
            let id = memories.id();
            assert!(
                *memories.data().expect("its bytes") == *expected.memories[&id].0,
                "memory {id}"
            );
            ids.push(id);
        }
        let has = |tags: &[&str]| tag.is_none_or(|tag| tags.contains(&tag));
        let expected = expected.memories.iter().filter(|(_, (_, tags))| has(tags));
        let expected: Vec<u64> = expected.map(|(id, _)| *id).collect();
        assert_eq!(ids, expected, "memories with {tag:?}");
    }
    for (id, (bytes, tags)) in &expected.memories {
        assert!(
            *store.memory_get(None, *id).expect("a memory") == **bytes,
            "memory {id}"
        );
        let (block, found) = store.memory_info(None, *id).expect("a memory");
        assert_eq!(found.iter().collect::<Vec<_>>(), *tags, "tags of memory {id}");
        let found = store.block_view(&block, 0, block.len).expect("its block");
        assert!(*found == **bytes, "the block of memory {id}");
    }
    for id in GONE_IDS {
        is_missing("a memory", store.memory_get(None, id));
    }

    let mut names = store.stream_list(None, b"").expect("streams");
    for (name, (first, records)) in &expected.streams {
        let next = first + u64::try_from(records.len()).expect("a count");
        assert!(names.next().expect("a stream"), "a stream is missing");
        assert_eq!(
            (names.name(), names.first(), names.next_index()),
            (name.as_slice(), *first, next)
        );
        assert_eq!(store.stream_bounds(None, name), Ok((*first, next)));
        let mut found = store.stream_read(None, name, 0).expect("a stream");
        for (index, record) in (*first..).zip(records) {
            assert!(found.next().expect("a record"), "record {index} is missing");
            assert_eq!(found.index(), index);
            assert!(found.record() == record.as_slice(), "record {index}");
            assert!(
                *store.stream_get(None, name, index).expect("a record") == **record,
                "record {index}"
            );
        }
        assert!(!found.next().expect("the end"), "a record too much");
        is_missing("a record", store.stream_get(None, name, next));
    }
    assert!(!names.next().expect("the end"), "a stream too much");
    for name in GONE_STREAMS {
        is_missing("a stream", store.stream_bounds(None, name));
    }

    for (letter, block) in LOOSE {
        let found = store.block_view(&block, 0, block.len).expect("a loose block");
        assert!(
            *found == *many(letter, found.len()),
            "block {}",
            char::from(letter)
        );
        let part = store.block_view(&block, 1_000, 100).expect("a part of it");
        assert!(
            *part == *many(letter, 100),
            "a part of block {}",
            char::from(letter)
        );
    }
}

// ---- version 1 -----------------------------------------------------------------------------------

#[test]
fn a_store_of_version_1_is_read_as_it_was_left() {
    let place = Place::rebuilt("v1", "read");
    let before = to_read(&place.0);
    let read_only = Options {
        read_only: true,
        ..options()
    };
    let store = Store::open(&place.0, &read_only).expect("a reader opens it");
    assert_eq!(store.recovery().verdict, Verdict::Replayed);
    assert_eq!(
        (store.recovery().replayed_commits, store.recovery().proven_seq),
        (3, 29)
    );
    compare(&store, &contents());
    assert_eq!(store.verify().expect("a look at every byte"), []);
    drop(store);
    assert!(before == to_read(&place.0), "a reader changed something");
}

fn to_read(directory: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut files = Vec::new();
    files_below(directory, &mut files);
    let read = |file: PathBuf| {
        let bytes = fs::read(&file).expect("a file of the store");
        (file, bytes)
    };
    files.into_iter().map(read).collect()
}

#[test]
fn a_store_of_version_1_goes_on() {
    let place = Place::rebuilt("v1", "write");
    let mut expected = contents();
    let store = Store::open(&place.0, &options()).expect("a writer opens it");
    assert_eq!(store.verify().expect("a look at every byte"), []);
    compare(&store, &expected);

    let mut batch = Batch::new();
    let (letter, block) = LOOSE[0];
    batch.set_kv(b"new", &many(b'n', 5_000)).expect("a command");
    batch.delete_kv(b"large/pages").expect("a command");
    batch
        .append_memory(9, &Tags::of(&["a"]).expect("a tag"), Data::Block(block))
        .expect("a command");
    batch.delete_memory(2).expect("a command");
    batch
        .append_stream(b"log", Data::Bytes(b"more"))
        .expect("a command");
    batch.trim_stream(b"log", 6).expect("a command");
    let seq = store.commit(&mut batch, Some(Survive::Power)).expect("a commit");
    assert_eq!(seq, store.recovery().last_seq + 1);
    expected.pairs.insert(b"new".to_vec(), many(b'n', 5_000));
    expected.pairs.remove(b"large/pages".as_slice());
    expected.memories.insert(9, (many(letter, 5_000), vec!["a"]));
    expected.memories.remove(&2);
    let log = expected.streams.get_mut(b"log".as_slice()).expect("a stream");
    log.0 = 6;
    log.1.drain(..2);
    log.1.push(b"more".to_vec());
    compare(&store, &expected);
    store.checkpoint().expect("a checkpoint");
    compare(&store, &expected);
    store.compact().expect("a compaction");
    compare(&store, &expected);
    assert_eq!(store.verify().expect("a look at every byte"), []);
    store.close().expect("it closes");
    drop(store);

    let store = Store::open(&place.0, &options()).expect("it opens again");
    assert_eq!(store.recovery().verdict, Verdict::Clean);
    compare(&store, &expected);
    store.close().expect("it closes");
}

/// What is checked in can be read, and stays small.
#[test]
fn a_store_of_version_1_is_short_text() {
    let mut files = Vec::new();
    files_below(&compat_directory("v1"), &mut files);
    let mut bytes = 0;
    for file in &files {
        let text = fs::read_to_string(file).expect("text");
        assert!(text.is_ascii() && file.extension().is_some_and(|extension| extension == "hex"));
        bytes += text.len();
    }
    assert!(
        files.len() > 8 && bytes < 60 << 10,
        "{} files, {bytes} bytes",
        files.len()
    );
}

// ---- log that is kept ----------------------------------------------------------------------------

fn keeping() -> Options {
    Options {
        log_retention_bytes: 1 << 20,
        ..options()
    }
}

const KEPT_COMMITS: u64 = 9;

/// Commit number `seq`: a pair, a record, and in some a large block.
fn kept_value(seq: u64) -> Vec<u8> {
    let len = if seq.is_multiple_of(3) { 33_000 } else { 200 };
    many(b'a' + u8::try_from(seq).expect("a few commits"), len)
}

/// A checkpoint in the middle: the log before it is for followers only.
fn write_kept(store: &Store) {
    for seq in 1..=KEPT_COMMITS {
        let mut batch = Batch::new();
        batch.set_kv(b"key", &kept_value(seq)).expect("a command");
        batch
            .append_stream(b"log", Data::Bytes(&many(b'0', 50)))
            .expect("a command");
        assert_eq!(store.commit(&mut batch, None), Ok(seq));
        if seq == 6 {
            store.checkpoint().expect("a checkpoint");
        }
    }
}

fn reads_kept_log(store: &Store) {
    assert_eq!(store.log_first_seq(), 1);
    let mut reader = store.log_read(1, 0).expect("a log reader");
    for seq in 1..=KEPT_COMMITS {
        let set = reader.next(Duration::ZERO).expect("a command");
        assert_eq!(
            (set.seq, set.kind, set.key),
            (seq, CommandKind::SetKv, &b"key"[..])
        );
        assert!(*set.value == *kept_value(seq), "the value of commit {seq}");
        let append = reader.next(Duration::ZERO).expect("a command");
        assert_eq!(
            (append.seq, append.kind, append.id, append.last),
            (seq, CommandKind::AppendStream, seq - 1, true)
        );
        assert!(*append.value == *many(b'0', 50), "the record of commit {seq}");
    }
    assert!(matches!(reader.next(Duration::ZERO), Err(Error::Timeout)));
}

#[test]
fn the_log_that_a_store_of_version_1_keeps_is_read_from_its_start() {
    let place = Place::rebuilt("v1_kept_log", "kept");
    let store = Store::open(&place.0, &keeping()).expect("a writer opens it");
    assert_eq!(store.last_seq(), KEPT_COMMITS);
    assert_eq!(store.verify().expect("a look at every byte"), []);
    reads_kept_log(&store);
    let value = store.kv_get(None, b"key").expect("a pair");
    assert!(*value == *kept_value(KEPT_COMMITS));
    drop(value);
    store.compact().expect("a compaction");
    reads_kept_log(&store);
    assert_eq!(store.verify().expect("a look at every byte"), []);
    store.close().expect("it closes");
}

// ---- versions to come ----------------------------------------------------------------------------

/// Both copies of a manifest with another version and the CRC that goes with it.
fn with_version(manifest: &[u8], version: u32) -> Vec<u8> {
    let mut bytes = manifest.to_vec();
    let half = bytes.len() / 2;
    for copy in bytes.chunks_mut(half) {
        let body_len = u64::from_le_bytes(copy[16..24].try_into().expect("eight bytes"));
        let body_end = 24 + usize::try_from(body_len).expect("a small manifest");
        copy[8..12].copy_from_slice(&version.to_le_bytes());
        let crc = crc32c::crc32c(&version.to_le_bytes());
        let crc = crc32c::crc32c_append(crc, &copy[16..body_end]);
        copy[12..16].copy_from_slice(&crc.to_le_bytes());
    }
    bytes
}

#[test]
fn a_store_of_a_newer_version_is_refused_untouched() {
    let place = Place::rebuilt("v1", "newer");
    let manifest = place.0.join("MANIFEST");
    let own = fs::read(&manifest).expect("a manifest");
    assert!(with_version(&own, 1) == own, "the layout is as described");
    for (version, with_lock) in [(2, true), (u32::MAX, true), (2, false)] {
        fs::write(&manifest, with_version(&own, version)).expect("a manifest");
        if !with_lock {
            fs::remove_file(place.0.join("LOCK")).expect("a lock file");
            fs::remove_file(place.0.join("READERS")).expect("a lock file");
        }
        let before = to_read(&place.0);
        for (read_only, salvage) in [(false, false), (true, false), (false, true)] {
            let options = Options {
                read_only,
                salvage,
                ..options()
            };
            let refused = Store::open(&place.0, &options).expect_err("it is of a newer version");
            let expected = Error::Version {
                found: version,
                supported: 1,
            };
            assert_eq!(refused, expected);
            assert!(
                before == to_read(&place.0),
                "something in the directory has changed"
            );
        }
    }
    fs::write(&manifest, own).expect("a manifest");
    let store = Store::open(&place.0, &options()).expect("it opens as before");
    compare(&store, &contents());
}
