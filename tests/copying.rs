//! What somebody needs who copies a store entry by entry, or draws a picture of it: loose blocks are listed, streams that
//! lost their first records begin where they began, and the store says what it is made of.

#![expect(clippy::expect_used, reason = "a test says what it can't go on without")]

use std::{path::PathBuf, time::Duration};

use sarsen::{Batch, BlockAddress, CommandKind, Data, Error, Options, Snapshot, Store, Survive, Tags};

struct Scratch(PathBuf);

impl Scratch {
    fn new(name: &str) -> Scratch {
        let path = std::env::temp_dir().join(format!("sarsen-copying-{}-{name}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        Scratch(path)
    }

    fn open(&self, options: &Options) -> Store {
        Store::open(&self.0, options).expect("the store opens")
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

fn by_hand() -> Options {
    Options {
        background: false,
        durability: Survive::Process,
        ..Options::default()
    }
}

fn beside() -> Options {
    Options {
        read_only: true,
        ..by_hand()
    }
}

fn loose(store: &Store, snapshot: Option<&Snapshot>) -> Vec<(BlockAddress, Vec<u8>)> {
    let mut blocks = store.block_list(snapshot).expect("blocks can be listed");
    let mut found = Vec::new();
    while let Some(address) = blocks.next().expect("the next block") {
        found.push((address, blocks.data().expect("its bytes").to_vec()));
    }
    found
}

#[test]
fn loose_blocks_are_listed_until_they_are_freed_or_named() {
    let scratch = Scratch::new("blocks");
    let store = scratch.open(&by_hand());
    let small = store.block_append(b"small").expect("appended");
    let large = store.block_append(&[7; 100_000]).expect("appended");
    let freed = store.block_append(b"freed").expect("appended");
    let named = store.block_append(b"named").expect("appended");
    // What memories and records hold on their own is not loose.
    store
        .memory_append(1, &Tags::new(), &[8; 100_000])
        .expect("appended");
    let before = store.snapshot().expect("a snapshot");
    store.block_free(&freed).expect("freed");
    let mut batch = Batch::new();
    batch.append_stream(b"stream", Data::Block(named)).expect("named");
    store.commit(&mut batch, None).expect("committed");

    let mut all = [
        (small, b"small".to_vec()),
        (large, vec![7; 100_000]),
        (freed, b"freed".to_vec()),
        (named, b"named".to_vec()),
    ];
    all.sort_unstable_by_key(|(address, _)| (address.chunk, address.offset));
    let left: Vec<_> = all
        .iter()
        .filter(|(address, _)| *address == small || *address == large)
        .cloned()
        .collect();
    assert_eq!(loose(&store, Some(&before)), all, "as the snapshot saw them");
    assert_eq!(loose(&store, None), left, "from the log");
    assert_eq!(loose(&scratch.open(&beside()), None), left, "beside the writer");
    drop(before);
    store.compact().expect("compacted");
    assert_eq!(loose(&store, None), left, "from rewritten chunks");
    store.close().expect("closed");
    assert_eq!(loose(&scratch.open(&by_hand()), None), left, "opened again");
}

#[test]
fn a_stream_begins_with_the_index_that_its_first_record_must_get() {
    let scratch = Scratch::new("streams");
    let options = Options {
        log_retention_bytes: 1 << 20,
        ..by_hand()
    };
    let begins = u64::MAX - 9;
    let store = scratch.open(&options);
    let mut batch = Batch::new();
    batch
        .append_stream_at(b"late", begins, Data::Bytes(b"a"))
        .expect("added");
    batch
        .append_stream_at(b"late", begins + 1, Data::Bytes(&[9; 40_000]))
        .expect("added");
    batch
        .append_stream_at(b"empty", 6, Data::Bytes(b""))
        .expect("added");
    batch.trim_stream(b"empty", 7).expect("added");
    store.commit(&mut batch, None).expect("committed");
    assert_eq!(batch.result(0).expect("a result").0, Some(begins));
    assert_eq!(store.stream_append(b"late", b"c").expect("appended"), begins + 2);

    let check = |store: &Store, when: &str| {
        let bounds = |name: &[u8]| store.stream_bounds(None, name).expect("bounds");
        assert_eq!(bounds(b"late"), (begins, begins + 3), "{when}");
        assert_eq!(bounds(b"empty"), (7, 7), "{when}");
        let mut records = store.stream_read(None, b"late", 0).expect("readable");
        let mut read = Vec::new();
        while records.next().expect("the next record") {
            read.push((records.index() - begins, records.record().len()));
        }
        assert_eq!(read, [(0, 1), (1, 40_000), (2, 1)], "{when}");
        assert_eq!(store.verify(), Ok(Vec::new()), "{when}");
    };
    check(&store, "when committed");
    check(&scratch.open(&beside()), "replayed");
    let mut log = store.log_read(1, 0).expect("the log reaches back");
    let mut told = Vec::new();
    for _ in 0..5 {
        let command = log.next(Duration::ZERO).expect("a command");
        told.push((command.kind, command.key.to_vec(), command.id));
    }
    assert_eq!(told[1], (CommandKind::AppendStream, b"late".to_vec(), begins + 1));
    assert_eq!(told[3], (CommandKind::TrimStream, b"empty".to_vec(), 7));
    store.close().expect("closed");
    check(&scratch.open(&options), "checkpointed");
}

#[test]
fn a_record_whose_index_is_not_the_next_one_refuses_the_whole_commit() {
    let scratch = Scratch::new("conflict");
    let store = scratch.open(&by_hand());
    store.stream_append(b"stream", b"0").expect("appended");
    for index in [0, 2, u64::MAX] {
        let mut batch = Batch::new();
        batch.set_kv(b"key", b"value").expect("added");
        batch
            .append_stream_at(b"stream", index, Data::Bytes(&[1; 50_000]))
            .expect("added");
        let refused = store.commit(&mut batch, None);
        assert!(matches!(refused, Err(Error::Conflict { .. })), "{refused:?}");
        assert_eq!(batch.count(), 2, "the batch is as it was");
        assert_eq!(store.kv_get(None, b"key").err(), Some(Error::NotFound));
    }
    let mut batch = Batch::new();
    batch
        .append_stream_at(b"stream", 1, Data::Bytes(b"1"))
        .expect("added");
    assert_eq!(store.commit(&mut batch, None), Ok(2), "no seq was used up");
}

#[test]
fn a_store_says_what_it_is_made_of() {
    let scratch = Scratch::new("anatomy");
    let options = Options {
        chunk_bytes: 64 << 10,
        ..by_hand()
    };
    let store = scratch.open(&options);
    let empty = store.anatomy().expect("an anatomy");
    assert_eq!(
        (empty.chunks.len(), empty.runs.len(), empty.checkpoint_seq),
        (0, 0, 0)
    );
    for number in 0..100u32 {
        store
            .kv_set(&number.to_be_bytes(), &[1; 2_000])
            .expect("committed");
    }
    store.block_append(&[3; 100_000]).expect("appended");
    store.checkpoint().expect("a checkpoint");
    store.kv_delete(&7u32.to_be_bytes()).expect("deleted");
    let unfinished = store.anatomy().expect("an anatomy");
    assert!(!unfinished.segments.is_empty(), "{unfinished:?}");
    store.checkpoint().expect("a checkpoint");
    let made = store.anatomy().expect("an anatomy");
    assert_eq!(scratch.open(&beside()).anatomy().as_ref(), Ok(&made));
    assert_eq!(made.checkpoint_seq, 102);
    assert_eq!(made.chunk_bytes, 64 << 10);
    assert_eq!(made.runs.len(), 2);
    assert_eq!(
        (made.runs[0].entries, made.runs[0].tombstones),
        (1, 1),
        "the newest first"
    );
    assert!(
        made.runs[1].entries >= 100 && made.runs[1].tombstones == 0,
        "{made:?}"
    );
    assert_eq!((made.runs[1].parts, made.runs[1].merging), (1, false));
    assert!(made.chunks.iter().any(|chunk| chunk.large), "{made:?}");
    assert!(made.chunks.iter().any(|chunk| !chunk.large), "{made:?}");
    assert!(made.chunks.windows(2).all(|pair| pair[0].number < pair[1].number));

    for number in 0..90u32 {
        store.kv_delete(&number.to_be_bytes()).expect("deleted");
    }
    store.compact().expect("compacted");
    let compacted = store.anatomy().expect("an anatomy");
    let stats = store.stats().expect("figures");
    let live: u64 = compacted.chunks.iter().map(|chunk| chunk.live_bytes).sum();
    let dead: u64 = compacted.chunks.iter().map(|chunk| chunk.dead_bytes).sum();
    assert_eq!((live, dead), (stats.block_bytes_live, stats.block_bytes_dead));
    let indexed: u64 = compacted.runs.iter().map(|run| run.bytes).sum();
    assert_eq!(indexed, stats.index_bytes);
    assert_eq!((compacted.runs.len(), compacted.runs[0].tombstones), (1, 0));
    assert!(compacted.runs[0].entries < made.runs[1].entries, "{compacted:?}");
}
