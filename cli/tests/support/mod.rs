//! Runs the built `sarsen` and says what came of it. Where a test needs a store that another process has open, it opens it
//! itself: the command is the other process.

#![expect(clippy::expect_used, reason = "a test says what it can't go on without")]

use std::{
    ffi::OsStr,
    fs,
    io::Write,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    sync::atomic::{AtomicU32, Ordering},
};

use sarsen::{Batch, Data, Options, Store, Survive, Tags};
use serde_json::Value;

/// A directory of the test's own.
pub struct Scratch(PathBuf);

impl Scratch {
    pub fn new() -> Scratch {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let path = std::env::temp_dir().join(format!("sarsen-cli-{}-{number}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a scratch directory can be made");
        Scratch(path)
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub fn store(&self) -> PathBuf {
        self.path("a.sarsen")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

pub fn command() -> Command {
    Command::new(env!("CARGO_BIN_EXE_sarsen"))
}

/// What a command said, and how it ended.
pub struct Ran {
    pub code: i32,
    pub out: Vec<u8>,
    pub err: String,
}

impl Ran {
    pub fn of(output: Output) -> Ran {
        Ran {
            code: output.status.code().expect("it ended by itself"),
            out: output.stdout,
            err: String::from_utf8(output.stderr).expect("what it says is text"),
        }
    }

    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.out).expect("what it prints is text")
    }

    /// The lines of `--json`.
    pub fn json(&self) -> Vec<Value> {
        self.text()
            .lines()
            .map(|line| serde_json::from_str(line).expect("a line of JSON"))
            .collect()
    }
}

/// Words of a command: text, paths and whatever else.
#[macro_export]
macro_rules! sarsen {
    ($($word:expr),* $(,)?) => {
        $crate::support::run(&[$(std::ffi::OsStr::new(&$word)),*])
    };
}

/// The same, which has to end well.
#[macro_export]
macro_rules! done {
    ($($word:expr),* $(,)?) => {{
        let ran = $crate::sarsen!($($word),*);
        assert_eq!(ran.code, 0, "{}", ran.err);
        ran
    }};
}

pub fn run(words: &[&OsStr]) -> Ran {
    Ran::of(
        command()
            .args(words)
            .stdin(Stdio::null())
            .output()
            .expect("sarsen runs"),
    )
}

/// With bytes on stdin.
pub fn run_with(words: &[&OsStr], stdin: &[u8]) -> Ran {
    let mut child = command()
        .args(words)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("sarsen runs");
    let mut pipe = child.stdin.take().expect("a pipe");
    // Whoever doesn't want all of it may close its end.
    let _ = pipe.write_all(stdin);
    drop(pipe);
    Ran::of(child.wait_with_output().expect("it ends"))
}

pub fn signal(child: &Child, name: &str) {
    let sent = Command::new("sh")
        .args(["-c", "kill -s \"$1\" \"$2\"", "sh", name, &child.id().to_string()])
        .status();
    assert!(sent.expect("sh runs").success(), "{name} can be sent");
}

pub fn by_hand() -> Options {
    Options {
        background: false,
        durability: Survive::Process,
        ..Options::default()
    }
}

pub fn open(path: &Path) -> Store {
    Store::open(path, &by_hand()).expect("the store opens")
}

/// A store as a process that was killed leaves it: some of it is in the log only.
pub fn killed(path: &Path, write: impl FnOnce(&Store)) {
    let alive = path.with_extension("alive");
    let store = open(&alive);
    write(&store);
    copy(&alive, path);
    drop(store);
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir(to).expect("a directory can be made");
    for entry in fs::read_dir(from).expect("a directory can be read") {
        let entry = entry.expect("a directory can be read");
        let to = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &to);
        } else {
            fs::copy(entry.path(), to).expect("a file can be copied");
        }
    }
}

/// Data of every kind and size, bytes that are no text among them; some of it in chunks and runs, some in the log.
pub fn fill(store: &Store) {
    let tags = |tags: &[&str]| Tags::of(tags).expect("tags");
    let mut batch = Batch::new();
    for number in 0..300u32 {
        let value = vec![number as u8; number as usize * 7];
        batch.set_kv(&number.to_be_bytes(), &value).expect("a pair");
    }
    batch.set_kv(b"", b"the empty key").expect("a pair");
    batch.set_kv(b"empty", b"").expect("a pair");
    batch.set_kv(b"large", &[0xfe; 100_000]).expect("a pair");
    batch
        .set_kv("Größe\n\t\\".as_bytes(), "“text” \u{0} ☃".as_bytes())
        .expect("a pair");
    for id in [0, 1, 7, u64::MAX] {
        batch
            .append_memory(
                id,
                &tags(&["all", "größe", "x y,z"]),
                Data::Bytes(&id.to_le_bytes()),
            )
            .expect("a memory");
    }
    batch
        .append_memory(8, &Tags::new(), Data::Bytes(&[3; 50_000]))
        .expect("a memory");
    for record in 0..50u32 {
        batch
            .append_stream(b"trimmed", Data::Bytes(&record.to_be_bytes()))
            .expect("a record");
    }
    batch.trim_stream(b"trimmed", 20).expect("a trim");
    batch
        .append_stream(b"no record left", Data::Bytes(b"gone"))
        .expect("a record");
    batch.trim_stream(b"no record left", 1).expect("a trim");
    batch.append_block(b"loose").expect("a block");
    batch.append_block(b"loose").expect("a block");
    batch.append_block(&[0xff; 70_000]).expect("a block");
    store.commit(&mut batch, None).expect("committed");
    store.checkpoint().expect("a checkpoint");
    store.stream_append(&[0xff, 0], &[0xfe, 0xff]).expect("a record");
    store.stream_append(b"", b"of the nameless").expect("a record");
    store.kv_set(b"late", b"in the log").expect("a pair");
    store.block_append(b"late").expect("a block");
    store
        .memory_append(9, &tags(&["late"]), b"in the log")
        .expect("a memory");
}

/// Name, first index, next index, records.
pub type Stream = (Vec<u8>, u64, u64, Vec<Vec<u8>>);

/// Everything in a store, but for the addresses of its blocks.
#[derive(Debug, PartialEq, Eq)]
pub struct Contents {
    pub pairs: Vec<(Vec<u8>, Vec<u8>)>,
    pub memories: Vec<(u64, Vec<String>, Vec<u8>)>,
    pub streams: Vec<Stream>,
    pub blocks: Vec<Vec<u8>>,
}

pub fn contents(path: &Path) -> Contents {
    let options = Options {
        read_only: true,
        ..by_hand()
    };
    let store = Store::open(path, &options).expect("the store opens to be read");
    let mut found = Contents {
        pairs: Vec::new(),
        memories: Vec::new(),
        streams: Vec::new(),
        blocks: Vec::new(),
    };
    let mut pairs = store.kv_scan(None, b"", b"", false).expect("a scan");
    while pairs.next().expect("a pair") {
        found.pairs.push((pairs.key().to_vec(), pairs.value().to_vec()));
    }
    let every = Tags::new();
    let mut memories = store
        .memory_find(None, &every, &every, &every, 0)
        .expect("a query");
    while memories.next().expect("a memory") {
        let id = memories.id();
        let (_, tags) = store.memory_info(None, id).expect("its tags");
        let tags = tags.iter().map(str::to_owned).collect();
        let data = memories.data().expect("its bytes").to_vec();
        found.memories.push((id, tags, data));
    }
    let mut names = store.stream_list(None, b"").expect("a list");
    while names.next().expect("a stream") {
        let mut records = store.stream_read(None, names.name(), 0).expect("a stream");
        let mut read = Vec::new();
        while records.next().expect("a record") {
            read.push(records.record().to_vec());
        }
        found
            .streams
            .push((names.name().to_vec(), names.first(), names.next_index(), read));
    }
    let mut blocks = store.block_list(None).expect("a list");
    while blocks.next().expect("a block").is_some() {
        found.blocks.push(blocks.data().expect("its bytes").to_vec());
    }
    found.blocks.sort();
    found
}
