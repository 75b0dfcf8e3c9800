//! What every fuzz target does with one input. The fuzzer's binaries call [`Target::run`], and so does
//! `tests/fuzz_findings.rs` with the inputs that once found something; a broken promise is a panic.
//!
//! A binary names nothing but its target: what it doesn't reach is left out of it, and is not looked through for new
//! coverage after each input.

mod ancestral_import;
mod batch_load;
mod c_calls;
mod input;
mod log_tail;
pub mod memory;
mod model;
mod operations;
mod panics;
mod repair;
mod store_directory;
mod stores;

use sarsen::decoders;

/// One target.
pub struct Target {
    pub name: &'static str,
    body: fn(&[u8]),
    /// Heap that it may take beside a multiple of the input: decoders take what a claimed length can make serde take
    /// ahead (1 MiB a list), stores what their files and their budgets allow.
    most_heap: u64,
}

impl Target {
    /// Puts the input through the target. Panics if it breaks a promise, panics (caught or not) or takes too much memory.
    pub fn run(&self, input: &[u8]) {
        let most = self.most_heap + HEAP_FACTOR * input.len() as u64;
        without_panics(|| memory::within(most, || (self.body)(input)));
    }
}

const DECODER: u64 = 8 << 20;
/// Of the input's length.
const HEAP_FACTOR: u64 = 128;

const fn decoder(name: &'static str, body: fn(&[u8])) -> Target {
    Target {
        name,
        body,
        most_heap: DECODER,
    }
}

/// Files, their copies on the simulated disk, and what a store's budget allows.
const STORE: u64 = 48 << 20;

const fn on_a_store(name: &'static str, body: fn(&[u8])) -> Target {
    Target {
        name,
        body,
        most_heap: STORE,
    }
}

/// What is promised of a store with memory_bytes of 256 KiB, and as much again for the copies of its disk, its backups
/// and the model, which came to less than 12 MiB with the store.
const MOST_HEAP_OF_OPERATIONS: u64 = (256 << 10) + 2 * (16 << 20);

pub const FRAME: Target = decoder("frame", decoders::frame);
pub const MARK: Target = decoder("mark", decoders::mark);
pub const ASSIGNED: Target = decoder("assigned", decoders::assigned);
pub const COMMANDS: Target = decoder("commands", decoders::commands);
pub const STEPS: Target = decoder("steps", decoders::steps);
pub const BLOCK_HEADER: Target = decoder("block_header", decoders::block_header);
pub const CHUNK_HEADER: Target = decoder("chunk_header", decoders::chunk_header);
pub const MANIFEST: Target = decoder("manifest", decoders::manifest);
pub const RECORD: Target = decoder("record", decoders::record);
pub const LOAD: Target = decoder("load", decoders::load);
pub const PAGE: Target = decoder("page", decoders::page);
pub const FOOTER: Target = decoder("footer", decoders::footer);
pub const MOVED: Target = decoder("moved", decoders::moved);
pub const PART: Target = decoder("part", decoders::part);
pub const CHUNK: Target = decoder("chunk", decoders::chunk);
pub const STORE_DIRECTORY: Target = on_a_store("store_directory", store_directory::run);
pub const LOG_TAIL: Target = on_a_store("log_tail", log_tail::run);
pub const ANCESTRAL_IMPORT: Target = on_a_store("ancestral_import", ancestral_import::run);
pub const BATCH_LOAD: Target = on_a_store("batch_load", batch_load::run);
pub const C_CALLS: Target = on_a_store("c_calls", c_calls::run);
pub const OPERATIONS: Target = Target {
    most_heap: MOST_HEAP_OF_OPERATIONS,
    ..on_a_store("operations", operations::run)
};

/// All of them, fast ones first.
pub const TARGETS: &[Target] = &[
    FRAME,
    MARK,
    ASSIGNED,
    COMMANDS,
    STEPS,
    BLOCK_HEADER,
    CHUNK_HEADER,
    MANIFEST,
    RECORD,
    LOAD,
    PAGE,
    FOOTER,
    MOVED,
    PART,
    CHUNK,
    STORE_DIRECTORY,
    LOG_TAIL,
    ANCESTRAL_IMPORT,
    BATCH_LOAD,
    C_CALLS,
    OPERATIONS,
];

pub fn target(name: &str) -> Option<&'static Target> {
    TARGETS.iter().find(|target| target.name == name)
}

/// Inputs to start from, by name.
pub fn seeds(name: &str) -> Vec<(String, Vec<u8>)> {
    let inside = match name {
        "steps" => decoders::steps_seeds(),
        "store_directory" => store_directory::seeds(),
        "log_tail" => log_tail::seeds(),
        "ancestral_import" => ancestral_import::seeds(),
        "batch_load" => batch_load::seeds(),
        "c_calls" => c_calls::seeds(),
        "operations" => operations::seeds(),
        _ => [
            decoders::seeds(name),
            decoders::index_seeds(name),
            decoders::block_seeds(name),
        ]
        .concat(),
    };
    inside
        .into_iter()
        .map(|(seed, bytes)| (seed.to_owned(), bytes))
        .collect()
}

/// Panics if the work panicked, even if that was caught within.
pub fn without_panics(work: impl FnOnce()) {
    let panics = panics::seen();
    work();
    assert_eq!(panics::seen(), panics, "a panic was caught on the way");
}

/// The control of what puts CRCs right: wiped out at every place where there is one, they come back as they were.
pub fn repairing_gives_back_every_crc() {
    for base in stores::bases() {
        let mut files = base.files.clone();
        let wiped = repair::wipe(&mut files);
        assert!(wiped > 10, "{wiped} places have a CRC");
        assert!(files != base.files);
        repair::repair(&mut files, true);
        for (name, bytes) in &base.files {
            assert!(files[name] == *bytes, "{name} is not what it was");
        }
    }
}
