//! Small stores to start from, as the files that they leave: with runs, rewritten and large chunks, and a log tail.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use sarsen::{simulation::SimVfs, Batch, Data, Options, Store, Survive, Tags};

use super::model::{Command, Model};

/// Where a store lies on its disk.
pub fn root() -> &'static Path {
    Path::new("/store")
}

/// Files of a store by their paths within it.
pub type Files = BTreeMap<String, Arc<Vec<u8>>>;

pub struct Base {
    pub files: Files,
    /// What it holds.
    pub model: Model,
    pub last_seq: u64,
}

pub fn options() -> Options {
    Options {
        chunk_bytes: 64 << 10,
        memory_bytes: 256 << 10,
        background: false,
        durability: Survive::Process,
        ..Options::default()
    }
}

/// A disk on which mapped files may grow to 1 MiB; more costs the address sanitizer time for each of them.
pub fn disk() -> SimVfs {
    SimVfs::new(7).with_reserve(1 << 20)
}

/// The disk with a store of these files.
pub fn disk_with(files: &Files) -> SimVfs {
    let disk = disk();
    for directory in ["log", "blocks", "index"] {
        // A file makes its directory; it goes again with the first opening that writes.
        let name = root().join(directory).join("none");
        disk.put(&name, Arc::new(Vec::new()))
            .expect("a directory of the store");
    }
    for (name, bytes) in files {
        disk.put(&root().join(name), Arc::clone(bytes))
            .expect("a file of the store");
    }
    disk
}

fn files_of(disk: &SimVfs) -> Files {
    let below = |path: PathBuf| {
        path.strip_prefix(root())
            .ok()
            .map(|path| path.display().to_string())
    };
    disk.files()
        .into_iter()
        .filter_map(|(path, bytes)| Some((below(path)?, Arc::new(bytes))))
        .collect()
}

fn value(number: u64, len: usize) -> Vec<u8> {
    let start = number.to_le_bytes();
    start.iter().copied().cycle().take(len).collect()
}

struct Filling {
    store: Store,
    model: Model,
}

impl Filling {
    fn set(&mut self, key: &str, value: Vec<u8>) {
        self.store.kv_set(key.as_bytes(), &value).expect("a pair");
        self.model.apply(&Command::SetKv(key.as_bytes().to_vec(), value));
    }

    fn some_of_everything(&mut self, round: u64) {
        let mut batch = Batch::new();
        let names = ["all".to_owned(), format!("round:{round}")];
        let tags = Tags::of(&names.each_ref().map(String::as_str)).expect("tags");
        for number in 0..4 {
            let id = round * 3 + number;
            batch
                .append_memory(id, &tags, Data::Bytes(&value(id, 100)))
                .expect("a memory");
            let memory = Command::AppendMemory(id, names.iter().cloned().collect(), value(id, 100));
            self.model.apply(&memory);
            let stream = format!("s{}", number % 2).into_bytes();
            batch
                .append_stream(&stream, Data::Bytes(&value(number, 60)))
                .expect("a record");
            self.model
                .apply(&Command::AppendStream(stream, value(number, 60)));
        }
        batch.trim_stream(b"s0", round).expect("a trim");
        self.model.apply(&Command::TrimStream(b"s0".to_vec(), round));
        batch.append_block(&value(round, 500)).expect("a block");
        self.store.commit(&mut batch, None).expect("a commit");
        let block = self.store.block_append(&value(round, 300)).expect("a block");
        batch
            .append_stream(b"named", Data::Block(block))
            .expect("a record");
        let named = Command::AppendStream(b"named".to_vec(), value(round, 300));
        self.model.apply(&named);
        self.store.commit(&mut batch, None).expect("a commit");
        for number in 0..6 {
            self.set(
                &format!("key {number:02} {}", round % 2),
                value(number + round, 40),
            );
        }
        self.set("a value in a block", value(round, 3_000));
        if round.is_multiple_of(2) {
            self.set("a large value", value(round, 33_000));
        }
        self.store.kv_delete(b"key 03 0").expect("a deletion");
        self.model.apply(&Command::DeleteKv(b"key 03 0".to_vec()));
    }
}

fn build(retention: u64, work: impl FnOnce(&mut Filling), close: bool) -> Base {
    let disk = disk();
    let options = Options {
        log_retention_bytes: retention,
        ..options()
    };
    let store = Store::open_on(&disk, root(), &options).expect("a store");
    let mut filling = Filling {
        store,
        model: Model::default(),
    };
    work(&mut filling);
    let Filling { store, model } = filling;
    let last_seq = store.last_seq();
    let files = if close {
        store.close().expect("the store closes");
        files_of(&disk)
    } else {
        store.sync().expect("the store syncs");
        files_of(&disk.restart())
    };
    Base {
        files,
        model,
        last_seq,
    }
}

/// Closed with one run; runs, a rewritten chunk and a log tail; a log tail only; log that is kept.
pub fn bases() -> &'static [Base; 4] {
    static BASES: OnceLock<[Base; 4]> = OnceLock::new();
    BASES.get_or_init(|| {
        [
            build(0, |filling| filling.some_of_everything(1), true),
            build(
                0,
                |filling| {
                    for round in 0..3 {
                        filling.some_of_everything(round);
                        filling.store.checkpoint().expect("a checkpoint");
                    }
                    filling.store.stream_trim(b"s1", u64::MAX).expect("a trim");
                    filling
                        .model
                        .apply(&Command::TrimStream(b"s1".to_vec(), u64::MAX));
                    filling.store.compact().expect("a compaction");
                    filling.some_of_everything(3);
                    filling.store.checkpoint().expect("a checkpoint");
                    filling.some_of_everything(4);
                },
                false,
            ),
            build(0, |filling| filling.some_of_everything(2), false),
            build(
                100_000,
                |filling| {
                    filling.some_of_everything(1);
                    filling.store.checkpoint().expect("a checkpoint");
                    filling.some_of_everything(3);
                },
                false,
            ),
        ]
    })
}
