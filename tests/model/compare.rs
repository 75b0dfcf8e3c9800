//! Whether the store, or a snapshot of it, is what the model says: through every way to read it.

use sarsen::{Error, Filled, KvIter, Snapshot, Store, StreamIter};

use super::{
    draws::{Content, Draws},
    state::{set_of, Memory, Model, Stream},
};

/// A store as one of its snapshots, or the newest commit, shows it.
#[derive(Clone, Copy)]
pub struct Seen<'a> {
    pub store: &'a Store,
    pub snapshot: Option<&'a Snapshot>,
    pub model: &'a Model,
}

impl<'a> Seen<'a> {
    pub fn of(store: &'a Store, snapshot: Option<&'a Snapshot>, model: &'a Model) -> Self {
        Self {
            store,
            snapshot,
            model,
        }
    }
}

/// Long byte strings are not for reading: where they differ says more.
#[track_caller]
pub fn same(what: &str, found: &[u8], expected: &[u8]) {
    if found == expected {
        return;
    }
    let place = found
        .iter()
        .zip(expected)
        .position(|(found, expected)| found != expected);
    let (found, expected) = (found.len(), expected.len());
    panic!("{what}: {found} bytes instead of {expected}, the first difference at {place:?}");
}

#[track_caller]
pub fn is_missing<T>(what: &str, found: sarsen::Result<T>) {
    match found {
        Err(Error::NotFound) => {}
        Err(error) => panic!("{what}: {error} instead of not found"),
        Ok(_) => panic!("{what} is there, but not in the model"),
    }
}

/// The start of a key and its length, for messages.
pub fn brief(key: &[u8]) -> String {
    format!(
        "{}.. ({} bytes)",
        key.get(..24).unwrap_or(key).escape_ascii(),
        key.len()
    )
}

/// All pairs that are left, through `next` or in pieces through `fill`.
pub fn pairs_of(iter: &mut KvIter, draws: &mut Draws) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut pairs = Vec::new();
    if draws.one_in(2) {
        while iter.next().expect("the next pair") {
            pairs.push((iter.key().to_vec(), iter.value().to_vec()));
        }
        return pairs;
    }
    in_pieces(
        draws,
        |buffer| iter.fill(buffer).expect("more pairs"),
        |rest| {
            let (key_len, value_len) = (u32_of(rest), u32_of(rest));
            (taken(rest, key_len).to_vec(), taken(rest, value_len).to_vec())
        },
    )
}

/// All records that are left, in either way.
pub fn records_of(iter: &mut StreamIter, draws: &mut Draws) -> Vec<(u64, Vec<u8>)> {
    let mut records = Vec::new();
    if draws.one_in(2) {
        while iter.next().expect("the next record") {
            records.push((iter.index(), iter.record().to_vec()));
        }
        return records;
    }
    in_pieces(
        draws,
        |buffer| iter.fill(buffer).expect("more records"),
        |rest| {
            let index = u64::from_le_bytes(taken(rest, 8).try_into().expect("8 bytes"));
            let record_len = u32_of(rest);
            (index, taken(rest, record_len).to_vec())
        },
    )
}

/// What `fill` lays out in a buffer that is too short for it all, taken from there one by one.
fn in_pieces<T>(
    draws: &mut Draws,
    mut fill: impl FnMut(&mut [u8]) -> Filled,
    mut take: impl FnMut(&mut &[u8]) -> T,
) -> Vec<T> {
    let mut all = Vec::new();
    let mut buffer = vec![0; 1 + draws.below(100_000)];
    loop {
        match fill(&mut buffer) {
            Filled::End => return all,
            Filled::TooSmall { needed } => {
                assert!(needed > buffer.len(), "{needed} bytes fit into {}", buffer.len());
                buffer.resize(needed, 0);
            }
            Filled::Records { len, count } => {
                let mut rest = &buffer[..len];
                for _ in 0..count {
                    all.push(take(&mut rest));
                }
                assert!(rest.is_empty(), "{} bytes behind {count} entries", rest.len());
            }
        }
    }
}

fn taken<'a>(rest: &mut &'a [u8], len: usize) -> &'a [u8] {
    let (front, behind) = rest.split_at(len);
    *rest = behind;
    front
}

fn u32_of(rest: &mut &[u8]) -> usize {
    let bytes = taken(rest, 4).try_into().expect("4 bytes");
    usize::try_from(u32::from_le_bytes(bytes)).expect("a length")
}

impl Seen<'_> {
    /// Everything, both ways: nothing is missing and nothing is too much.
    pub fn everything(&self, draws: &mut Draws) {
        self.all_but_blocks(draws);
        self.all_blocks(draws);
    }

    /// All that is read through the snapshot: addresses are looked up in the store as it is now.
    pub fn all_but_blocks(&self, draws: &mut Draws) {
        self.all_pairs(draws);
        self.all_memories(draws);
        self.all_streams(draws);
        self.all_loose();
    }

    /// A few reads drawn at random.
    pub fn something(&self, draws: &mut Draws) {
        match draws.below(8) {
            0 => self.range(draws, false),
            1 => self.range(draws, true),
            2 => self.prefix(draws, false),
            3 => self.prefix(draws, true),
            4 | 5 => self.query(draws),
            6 => {
                let key = draws.key();
                self.pair(&key, draws);
            }
            _ => {
                let name = draws.name();
                match self.model.streams.get(&name) {
                    Some(stream) => self.stream(&name, stream, draws),
                    None => self.no_stream(&name),
                }
            }
        }
    }

    fn scanned(&self, what: &str, mut iter: KvIter, expected: &[(&Vec<u8>, &Content)], draws: &mut Draws) {
        let found = pairs_of(&mut iter, draws);
        for ((key, value), (expected_key, expected_value)) in found.iter().zip(expected) {
            let (key, expected_key) = (brief(key), brief(expected_key));
            assert_eq!(key, expected_key, "{what}: another key");
            same(&format!("{what}: the value of {key}"), value, expected_value);
        }
        let keys_differ = found
            .iter()
            .zip(expected)
            .any(|(found, expected)| found.0 != *expected.0);
        assert!(!keys_differ, "{what}: keys differ far behind their start");
        assert_eq!(found.len(), expected.len(), "{what}: another number of pairs");
        assert!(!iter.next().expect("the end"), "{what}: a pair behind the end");
    }

    fn all_pairs(&self, draws: &mut Draws) {
        let mut expected = self.model.range(b"", b"");
        let forward = self
            .store
            .kv_scan(self.snapshot, b"", b"", false)
            .expect("a scan");
        self.scanned("all pairs", forward, &expected, draws);
        expected.reverse();
        let backward = self.store.kv_prefix(self.snapshot, b"", true).expect("a scan");
        self.scanned("all pairs backward", backward, &expected, draws);
        let keys = draws.all_keys();
        for key in keys.iter() {
            self.pair(key, draws);
        }
        let keys: Vec<&[u8]> = keys.iter().map(Vec::as_slice).collect();
        let mut told = 0;
        let each = &mut |number: usize, found: sarsen::Result<sarsen::View>| {
            assert_eq!(number, told, "keys are answered in order");
            told += 1;
            match self.model.pairs.get(keys[number]) {
                Some(record) => same(&brief(keys[number]), &found.expect("a value"), &record.content),
                None => is_missing(&brief(keys[number]), found),
            }
        };
        self.store
            .kv_get_many(self.snapshot, &keys, each)
            .expect("many keys");
        assert_eq!(told, keys.len(), "every key is answered");
    }

    fn pair(&self, key: &[u8], draws: &mut Draws) {
        let what = brief(key);
        let Some(record) = self.model.pairs.get(key) else {
            is_missing(&what, self.store.kv_get(self.snapshot, key));
            is_missing(&what, self.store.kv_read(self.snapshot, key, &mut []));
            return;
        };
        let found = self.store.kv_get(self.snapshot, key);
        let found = found.unwrap_or_else(|error| panic!("{what}: {error}"));
        same(&what, &found, &record.content);
        let mut buffer = vec![0; draws.below(record.content.len() + 2)];
        let len = self
            .store
            .kv_read(self.snapshot, key, &mut buffer)
            .expect("a value");
        assert_eq!(len, record.content.len(), "{what}: the length told by a read");
        let copied = len.min(buffer.len());
        same(&what, &buffer[..copied], &record.content[..copied]);
    }

    fn range(&self, draws: &mut Draws, reverse: bool) {
        let (start, end) = (draws.prefix(), draws.prefix());
        let mut expected = self.model.range(&start, &end);
        if reverse {
            expected.reverse();
        }
        let what = format!("from {} to {}, reverse {reverse}", brief(&start), brief(&end));
        let iter = self
            .store
            .kv_scan(self.snapshot, &start, &end, reverse)
            .expect("a scan");
        self.scanned(&what, iter, &expected, draws);
    }

    fn prefix(&self, draws: &mut Draws, reverse: bool) {
        let prefix = draws.prefix();
        let mut expected = self.model.range(&prefix, b"");
        expected.retain(|(key, _)| key.starts_with(&prefix));
        if reverse {
            expected.reverse();
        }
        let what = format!("prefix {}, reverse {reverse}", brief(&prefix));
        let iter = self
            .store
            .kv_prefix(self.snapshot, &prefix, reverse)
            .expect("a scan");
        self.scanned(&what, iter, &expected, draws);
    }

    fn all_memories(&self, draws: &mut Draws) {
        self.found(&[], &[], &[], 0);
        for (id, memory) in &self.model.memories {
            self.memory(*id, memory);
            for tag in &memory.tags {
                self.found(std::slice::from_ref(tag), &[], &[], *id);
            }
        }
        for _ in 0..6 {
            self.query(draws);
            let id = draws.id();
            if !self.model.memories.contains_key(&id) {
                is_missing(&format!("memory {id}"), self.store.memory_get(self.snapshot, id));
                is_missing(&format!("memory {id}"), self.store.memory_info(self.snapshot, id));
            }
        }
    }

    fn memory(&self, id: u64, memory: &Memory) {
        let what = format!("memory {id}");
        let found = self.store.memory_get(self.snapshot, id);
        let found = found.unwrap_or_else(|error| panic!("{what}: {error}"));
        same(&what, &found, &memory.record.content);
        let (block, tags) = self
            .store
            .memory_info(self.snapshot, id)
            .expect("what a memory is");
        let tags: Vec<&str> = tags.iter().collect();
        assert_eq!(tags, memory.tags, "{what}: tags");
        assert_eq!(
            block.crc32c,
            crc32c::crc32c(&memory.record.content),
            "{what}: the block's CRC"
        );
        if let Some(expected) = memory.record.block {
            assert_eq!(block, expected, "{what}: its block");
        }
    }

    fn query(&self, draws: &mut Draws) {
        let (all, any) = (draws.tags(2), draws.tags(3));
        let none = if draws.one_in(2) {
            draws.tags(2)
        } else {
            Vec::new()
        };
        let from = if draws.one_in(2) { 0 } else { draws.id() };
        self.found(&all, &any, &none, from);
    }

    fn found(&self, all: &[String], any: &[String], none: &[String], from: u64) {
        let what = format!("all of {all:?}, one of {any:?}, none of {none:?}, from {from}");
        let set = |tags: &[String]| set_of(tags).expect("a set");
        let iter = self
            .store
            .memory_find(self.snapshot, &set(all), &set(any), &set(none), from);
        let mut iter = iter.expect("a query");
        let mut ids = Vec::new();
        while iter.next().expect("the next memory") {
            let id = iter.id();
            if let Some(memory) = self.model.memories.get(&id) {
                same(
                    &format!("memory {id}"),
                    iter.data().expect("its data"),
                    &memory.record.content,
                );
            }
            ids.push(id);
        }
        assert_eq!(ids, self.model.find(all, any, none, from), "{what}");
    }

    /// The blocks that hold themselves, in the order of their addresses.
    fn all_loose(&self) {
        let mut blocks = self.store.block_list(self.snapshot).expect("a list");
        let mut found = Vec::new();
        while let Some(block) = blocks.next().expect("the next block") {
            if let Some(content) = self.model.loose.get(&block) {
                same(
                    &format!("loose {block:?}"),
                    blocks.data().expect("its bytes"),
                    content,
                );
            }
            found.push(block);
        }
        let in_order = found.is_sorted_by_key(|block| (block.chunk, block.offset));
        assert!(in_order, "loose blocks are in order: {found:?}");
        let count = u64::try_from(found.len()).expect("a count");
        assert_eq!(count, self.model.loose_count(), "loose blocks: {found:?}");
        let known = |block| self.model.loose.contains_key(block);
        let met = found.iter().filter(|block| known(block)).count();
        assert_eq!(met, self.model.loose.len(), "every known one is among them");
    }

    fn all_streams(&self, draws: &mut Draws) {
        for prefix in [&b""[..], b"s", b"s1", b"\xff", b"none"] {
            let mut names = self.store.stream_list(self.snapshot, prefix).expect("a list");
            let mut expected = self
                .model
                .streams
                .iter()
                .filter(|(name, _)| name.starts_with(prefix));
            while names.next().expect("the next stream") {
                let (name, stream) = expected.next().expect("a stream that is not in the model");
                assert_eq!(brief(names.name()), brief(name), "streams of {}", brief(prefix));
                assert_eq!((names.first(), names.next_index()), (stream.first, stream.next));
            }
            assert_eq!(expected.count(), 0, "streams of {} are missing", brief(prefix));
        }
        for (name, stream) in &self.model.streams {
            self.stream(name, stream, draws);
        }
        for _ in 0..6 {
            let name = draws.name();
            if !self.model.streams.contains_key(&name) {
                self.no_stream(&name);
            }
        }
    }

    fn no_stream(&self, name: &[u8]) {
        let what = format!("stream {}", brief(name));
        is_missing(&what, self.store.stream_bounds(self.snapshot, name));
        is_missing(&what, self.store.stream_get(self.snapshot, name, 0));
        is_missing(&what, self.store.stream_read(self.snapshot, name, 0));
    }

    fn stream(&self, name: &[u8], stream: &Stream, draws: &mut Draws) {
        let what = format!("stream {}", brief(name));
        let bounds = self.store.stream_bounds(self.snapshot, name);
        assert_eq!(
            bounds.expect("bounds"),
            (stream.first, stream.next),
            "{what}: bounds"
        );
        let reach = usize::try_from(stream.next).expect("a short stream") + 2;
        for from in [0, u64::try_from(draws.below(reach)).expect("an index"), u64::MAX] {
            let iter = self.store.stream_read(self.snapshot, name, from);
            let mut iter = iter.expect("a stream");
            let found = records_of(&mut iter, draws);
            let expected: Vec<_> = stream.records.range(from..).collect();
            assert_eq!(
                found.len(),
                expected.len(),
                "{what} from {from}: another number of records"
            );
            for ((index, bytes), (expected_index, record)) in found.iter().zip(expected) {
                assert_eq!(index, expected_index, "{what} from {from}");
                same(&format!("{what}, record {index}"), bytes, &record.content);
            }
        }
        for (index, record) in &stream.records {
            let found = self.store.stream_get(self.snapshot, name, *index);
            let found = found.unwrap_or_else(|error| panic!("{what}, record {index}: {error}"));
            same(&format!("{what}, record {index}"), &found, &record.content);
        }
        for index in [stream.next, stream.next + 1, u64::MAX] {
            is_missing(&what, self.store.stream_get(self.snapshot, name, index));
        }
        if let Some(index) = stream.first.checked_sub(1) {
            is_missing(&what, self.store.stream_get(self.snapshot, name, index));
        }
    }

    /// Whatever the model still needs is readable by its address, whole or in part.
    fn all_blocks(&self, draws: &mut Draws) {
        for (block, content) in self.model.blocks() {
            let what = format!("{block:?}");
            same(&what, &self.block(&block), &content);
            let from = draws.below(content.len() + 1);
            let to = from + draws.below(content.len() - from + 1);
            let start = u64::try_from(from).expect("an offset");
            let len = u64::try_from(to - from).expect("a length");
            let part = self.store.block_view(&block, start, len);
            same(&what, &part.expect("a part of a block"), &content[from..to]);
            let mut buffer = vec![0; to - from];
            self.store.block_read(&block, start, &mut buffer).expect("a copy");
            same(&what, &buffer, &content[from..to]);
            let beyond = self.store.block_view(&block, start, block.len - start + 1);
            assert!(
                matches!(beyond, Err(Error::InvalidArgument { .. })),
                "{what}: {beyond:?}"
            );
        }
    }

    #[track_caller]
    fn block(&self, block: &sarsen::BlockAddress) -> sarsen::View {
        let view = self.store.block_view(block, 0, block.len);
        view.unwrap_or_else(|error| panic!("{block:?}: {error}"))
    }
}
