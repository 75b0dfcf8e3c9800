//! Small stores with every kind of file and structure in them, made on a simulated disk by a writer that is killed in
//! the end, and copies of their files at earlier moments of the same lives.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use sarsen::{simulation::SimVfs, Batch, Check, Data, Options, Store, Survive, Tags};

use crate::model::{filled, Addresses, Command, Model, Told};

pub const ROOT: &str = "/store";

/// Files by their paths within the store.
pub type Files = BTreeMap<String, Vec<u8>>;

/// The files as they were when commit `seq` was the newest.
#[derive(Debug, Clone)]
pub struct Moment {
    pub seq: u64,
    pub files: Files,
}

/// A store that nobody has open, and what it has to hold.
#[derive(Clone)]
pub struct Shape {
    pub name: &'static str,
    pub disk: SimVfs,
    pub options: Options,
    /// By commit, from 0 on.
    pub models: Vec<Model>,
    /// What the log tells of each commit, from 1 on (the first is empty).
    pub told: Vec<Vec<Told>>,
    pub blocks: Addresses,
    /// Newest commit that was acknowledged at the power level.
    pub durable: u64,
    pub last: u64,
    pub moments: Vec<Moment>,
    /// Length of each file when `durable` was acknowledged.
    pub durable_lens: BTreeMap<String, u64>,
}

impl Shape {
    pub fn root() -> &'static Path {
        Path::new(ROOT)
    }

    pub fn path(file: &str) -> PathBuf {
        Path::new(ROOT).join(file)
    }

    pub fn files(&self) -> Files {
        files_of(&self.disk)
    }

    /// How damage is looked at: nothing is written.
    pub fn read_only(&self) -> Options {
        Options {
            read_only: true,
            create: false,
            ..self.options.clone()
        }
    }

    pub fn salvage(&self) -> Options {
        Options {
            salvage: true,
            create: false,
            ..self.options.clone()
        }
    }
}

pub fn files_of(disk: &SimVfs) -> Files {
    files_below(ROOT, disk)
}

pub fn files_below(root: &str, disk: &SimVfs) -> Files {
    disk.files()
        .into_iter()
        .filter(|(path, _)| path.starts_with(root))
        .map(|(path, bytes)| {
            let name = path.strip_prefix(root).expect("it lies in the store");
            (name.display().to_string(), bytes)
        })
        .collect()
}

struct Life {
    /// Makes the values of two otherwise equal lives different.
    salt: u64,
    disk: SimVfs,
    options: Options,
    store: Option<Store>,
    models: Vec<Model>,
    told: Vec<Vec<Told>>,
    blocks: Addresses,
    durable: u64,
    durable_lens: BTreeMap<String, u64>,
    moments: Vec<Moment>,
}

impl Life {
    fn new(seed: u64, options: Options) -> Life {
        let disk = SimVfs::new(seed).with_reserve(1 << 20);
        let store = Store::open_on(&disk, Shape::root(), &options).expect("a new store");
        let mut life = Life {
            salt: VALUES.get().unwrap_or(seed) << 32,
            disk,
            options,
            store: Some(store),
            models: vec![Model::default()],
            told: vec![Vec::new()],
            blocks: Vec::new(),
            durable: 0,
            durable_lens: BTreeMap::new(),
            moments: Vec::new(),
        };
        everyday(&mut life, 500, EXTRA.get());
        life
    }

    fn store(&self) -> &Store {
        self.store.as_ref().expect("the store is open")
    }

    fn commit(&mut self, survive: Survive, commands: &[Command]) {
        let mut batch = Batch::new();
        let mut model = self.models.last().expect("a model").clone();
        let mut told = Vec::new();
        for command in commands {
            told.push(model.apply(command));
            let added = match command {
                Command::Set(key, value) => batch.set_kv(key, value),
                Command::Delete(key) => batch.delete_kv(key),
                Command::Memory(id, tags, bytes) => {
                    batch.append_memory(*id, &Tags::of(tags).expect("tags"), Data::Bytes(bytes))
                }
                Command::MemoryOf(id, tags, block) => batch.append_memory(
                    *id,
                    &Tags::of(tags).expect("tags"),
                    Data::Block(self.blocks[*block]),
                ),
                Command::DeleteMemory(id) => batch.delete_memory(*id),
                Command::Append(name, bytes) => batch.append_stream(name.as_bytes(), Data::Bytes(bytes)),
                Command::Trim(name, before) => batch.trim_stream(name.as_bytes(), *before),
                Command::Block(bytes) => batch.append_block(bytes),
                Command::Free(block) => batch.free_block(&self.blocks[*block]),
            };
            added.expect("a command");
        }
        let seq = self
            .store()
            .commit(&mut batch, Some(survive))
            .expect("a commit succeeds");
        assert_eq!(seq, self.models.len() as u64);
        for (number, command) in commands.iter().enumerate() {
            if matches!(command, Command::Block(_)) {
                let (_, address) = batch.result(number).expect("the batch was committed");
                self.blocks.push(address.expect("a block has an address"));
            }
        }
        self.models.push(model);
        self.told.push(told);
        if survive == Survive::Power {
            self.durable = seq;
            self.durable_lens = files_of(&self.disk)
                .into_iter()
                .map(|(name, bytes)| (name, bytes.len() as u64))
                .collect();
        }
    }

    /// Values of this life.
    fn filler(&self) -> impl Fn(usize, u64) -> Vec<u8> + use<> {
        let salt = self.salt;
        move |len, number| filled(len, salt + number)
    }

    fn process(&mut self, commands: &[Command]) {
        self.commit(Survive::Process, commands);
    }

    fn power(&mut self, commands: &[Command]) {
        self.commit(Survive::Power, commands);
    }

    fn checkpoint(&mut self) {
        self.store().checkpoint().expect("a checkpoint");
        self.moment();
    }

    fn compact(&mut self) {
        self.store().compact().expect("a compaction");
        self.moment();
    }

    fn moment(&mut self) {
        let seq = self.store().last_seq();
        let files = files_of(&self.disk);
        self.moments.push(Moment { seq, files });
    }

    /// Closes the store and opens it again.
    fn reopen(&mut self) {
        self.store().close().expect("it closes");
        self.store = None;
        self.moments.push(Moment {
            seq: self.models.len() as u64 - 1,
            files: files_of(&self.disk),
        });
        self.open();
    }

    /// Kills the writer and opens what it left.
    fn kill_and_open(&mut self) {
        let disk = self.disk.restart();
        self.store = None;
        self.disk = disk;
        self.open();
        assert_eq!(
            self.store().last_seq() + 1,
            self.models.len() as u64,
            "a kill loses nothing"
        );
    }

    fn open(&mut self) {
        let store = Store::open_on(&self.disk, Shape::root(), &self.options).expect("it opens again");
        self.store = Some(store);
    }

    /// The disk as a killed writer leaves it.
    fn killed(mut self, name: &'static str) -> Shape {
        let disk = self.disk.restart();
        self.store = None;
        self.shape(name, disk)
    }

    fn closed(mut self, name: &'static str) -> Shape {
        self.store().close().expect("it closes");
        self.durable = self.models.len() as u64 - 1;
        self.store = None;
        let disk = self.disk.restart();
        self.durable_lens = files_of(&disk)
            .into_iter()
            .map(|(name, bytes)| (name, bytes.len() as u64))
            .collect();
        self.shape(name, disk)
    }

    fn shape(self, name: &'static str, disk: SimVfs) -> Shape {
        Shape {
            name,
            disk,
            options: self.options,
            last: self.models.len() as u64 - 1,
            models: self.models,
            told: self.told,
            blocks: self.blocks,
            durable: self.durable,
            moments: self.moments,
            durable_lens: self.durable_lens,
        }
    }
}

fn options() -> Options {
    Options {
        memory_bytes: 256 << 10,
        chunk_bytes: 128 << 10,
        background: false,
        durability: Survive::Process,
        ..Options::default()
    }
}

fn key(number: u64) -> Vec<u8> {
    format!("settings/of the host/{number:04}").into_bytes()
}

const TAGS: [&str; 4] = ["topic:stones", "topic:wood", "year:2001", "a"];

/// A dozen commits with a bit of everything, all small.
fn everyday(life: &mut Life, from: u64, commits: u64) {
    let filled = life.filler();
    for number in from..from + commits {
        let tags = vec![TAGS[(number % 3) as usize], TAGS[3]];
        let mut commands = vec![
            Command::Set(key(number), filled(30 + (number % 40) as usize, number)),
            Command::Append("log", filled(40 + (number % 50) as usize, 1_000 + number)),
            Command::Memory(
                number * 7,
                tags,
                filled(60 + (number % 90) as usize, 2_000 + number),
            ),
        ];
        if number % 5 == 0 {
            commands.push(Command::Set(
                format!("small/{number}").into_bytes(),
                filled(1_100 + number as usize, 3_000 + number),
            ));
        }
        life.process(&commands);
    }
}

/// Rewritten chunks with their tables, a merged run, a second run with tombstones above it, a log of two openings: the
/// first ends in commits that are durable and some that aren't, the second has only such.
pub fn rewritten(seed: u64) -> Shape {
    let mut life = Life::new(seed, options());
    let filled = life.filler();
    life.process(&[Command::Block(filled(900, 1)), Command::Block(filled(34_000, 2))]);
    everyday(&mut life, 0, 24);
    life.process(&[
        Command::Set(b"large/overwritten".to_vec(), filled(33_000, 3)),
        Command::Append("dropped", filled(50, 4)),
        Command::Append("dropped", filled(1_500, 5)),
        Command::Append("again", filled(20, 6)),
        Command::Set(Vec::new(), b"of the empty key".to_vec()),
        Command::Set(b"empty".to_vec(), Vec::new()),
    ]);
    life.checkpoint();
    life.process(&[
        Command::Set(b"large/overwritten".to_vec(), filled(10, 7)),
        Command::Trim("dropped", u64::MAX),
        Command::Trim("again", u64::MAX),
        Command::Delete(key(3)),
        Command::DeleteMemory(14),
        Command::Memory(21, vec![TAGS[1]], filled(70, 8)),
        Command::Trim("log", 4),
    ]);
    life.compact();
    life.reopen();
    life.process(&[
        Command::Delete(key(5)),
        Command::Set(key(6), filled(44, 9)),
        Command::MemoryOf(1_000, vec![TAGS[0]], 0),
        Command::DeleteMemory(28),
        Command::Append("again", filled(1_200, 10)),
        Command::Trim("log", 6),
        Command::Block(filled(700, 11)),
        Command::Block(filled(701, 12)),
    ]);
    everyday(&mut life, 24, 4);
    life.process(&[Command::Free(3)]);
    life.checkpoint();
    everyday(&mut life, 28, 6);
    life.power(&[
        Command::Set(b"large/in the log".to_vec(), filled(33_500, 13)),
        Command::Delete(key(7)),
        Command::Append("again", filled(90, 14)),
    ]);
    life.moment();
    everyday(&mut life, 34, 3);
    life.kill_and_open();
    life.moment();
    life.process(&[
        Command::Delete(key(8)),
        Command::Set(b"small/late".to_vec(), filled(1_300, 15)),
        Command::Trim("again", 1),
    ]);
    life.process(&[Command::Set(b"large/late".to_vec(), filled(32_800, 16))]);
    everyday(&mut life, 37, 2);
    life.killed("rewritten")
}

/// Log that is kept for followers, over more than one segment; a large block with CRCs for its pages; a log that ends in
/// a mark.
pub fn retained(seed: u64) -> Shape {
    let mut life = Life::new(
        seed,
        Options {
            log_retention_bytes: 4 << 20,
            ..options()
        },
    );
    let filled = life.filler();
    life.process(&[
        Command::Block(filled(2_000, 1)),
        Command::Set(b"pages".to_vec(), filled(70_000, 2)),
    ]);
    everyday(&mut life, 100, 40);
    life.process(&[
        Command::MemoryOf(5, vec![TAGS[2]], 0),
        Command::Append("dropped", filled(50, 4)),
        Command::Delete(key(101)),
    ]);
    life.checkpoint();
    everyday(&mut life, 140, 8);
    life.reopen();
    everyday(&mut life, 148, 4);
    life.process(&[
        Command::Trim("dropped", u64::MAX),
        Command::DeleteMemory(707),
        Command::Trim("log", 10),
    ]);
    life.checkpoint();
    everyday(&mut life, 152, 8);
    life.power(&[Command::Set(b"last".to_vec(), filled(1_400, 5))]);
    life.killed("retained")
}

/// Closed in order: nothing but a manifest, one run and its chunks. Everything is checked at every read.
pub fn closed(seed: u64) -> Shape {
    let mut life = Life::new(
        seed,
        Options {
            check: Check::EveryRead,
            ..options()
        },
    );
    let filled = life.filler();
    everyday(&mut life, 200, 12);
    life.reopen();
    life.process(&[
        Command::Delete(key(203)),
        Command::Memory(9, Vec::new(), filled(30, 1)),
    ]);
    everyday(&mut life, 212, 12);
    life.compact();
    life.closed("closed")
}

/// The same lives as `shapes`, with a few commits more at the start: parts hold other entries.
pub fn longer_shapes(seed: u64) -> Vec<Shape> {
    EXTRA.set(3);
    let shapes = shapes(seed);
    EXTRA.set(0);
    shapes
}

/// The same lives as `shapes(of)` down to the last value, under other uuids and nonces.
pub fn twins(seed: u64, of: u64) -> Vec<Shape> {
    VALUES.set(Some(of));
    let shapes = shapes(seed);
    VALUES.set(None);
    shapes
}

thread_local! {
    /// Commits that come before all others.
    static EXTRA: std::cell::Cell<u64> = const { std::cell::Cell::new(0) };
    /// What tells values of this life from those of others, if it is not the seed.
    static VALUES: std::cell::Cell<Option<u64>> = const { std::cell::Cell::new(None) };
}

/// `seed` tells stores with the same history apart: uuids, nonces and values are others.
pub fn shapes(seed: u64) -> Vec<Shape> {
    vec![rewritten(seed), retained(seed), closed(seed)]
}
