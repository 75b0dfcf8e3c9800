//! The store as ordered maps, and what each command does to them.

use std::collections::{BTreeMap, BTreeSet};

use sarsen::{Batch, BlockAddress, Data, Result, Tags};

use super::draws::Content;

/// A value or a record.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Record {
    pub content: Content,
    /// Where its block lies, if it has one and the store told.
    pub block: Option<BlockAddress>,
    /// The block is one that it named.
    pub named: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Memory {
    pub record: Record,
    /// Sorted.
    pub tags: Vec<String>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stream {
    pub first: u64,
    pub next: u64,
    pub records: BTreeMap<u64, Record>,
}

/// The bytes of a record to come.
#[derive(Debug, Clone)]
pub enum Source {
    Bytes(Content),
    /// A block that is there already, and what it holds.
    Named(BlockAddress, Content),
}

#[derive(Debug, Clone)]
pub enum Command {
    AppendBlock(Content),
    FreeBlock(BlockAddress),
    AppendMemory(u64, Vec<String>, Source),
    DeleteMemory(u64),
    SetKv(Vec<u8>, Content),
    DeleteKv(Vec<u8>),
    AppendStream(Vec<u8>, Source),
    TrimStream(Vec<u8>, u64),
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Model {
    pub pairs: BTreeMap<Vec<u8>, Record>,
    pub memories: BTreeMap<u64, Memory>,
    pub streams: BTreeMap<Vec<u8>, Stream>,
    /// Blocks that hold themselves.
    pub loose: BTreeMap<BlockAddress, Content>,
    /// Loose blocks whose addresses nobody was told.
    pub loose_unknown: u64,
}

impl Source {
    fn data(&self) -> Data<'_> {
        match self {
            Source::Bytes(content) => Data::Bytes(content),
            Source::Named(block, _) => Data::Block(*block),
        }
    }

    fn encoded(&self) -> (u8, Vec<u8>) {
        match self {
            Source::Bytes(content) => (0, content.to_vec()),
            Source::Named(block, _) => (1, address_bytes(block)),
        }
    }

    fn record(&self, block: Option<BlockAddress>) -> Record {
        match self {
            Source::Bytes(content) => Record {
                content: content.clone(),
                block,
                named: false,
            },
            Source::Named(block, content) => Record {
                content: content.clone(),
                block: Some(*block),
                named: true,
            },
        }
    }
}

fn address_bytes(block: &BlockAddress) -> Vec<u8> {
    let mut bytes = block.chunk.to_le_bytes().to_vec();
    bytes.extend_from_slice(&block.crc32c.to_le_bytes());
    bytes.extend_from_slice(&block.offset.to_le_bytes());
    bytes.extend_from_slice(&block.len.to_le_bytes());
    bytes
}

impl Command {
    pub fn add_to(&self, batch: &mut Batch) -> Result<()> {
        match self {
            Command::AppendBlock(content) => batch.append_block(content),
            Command::FreeBlock(block) => batch.free_block(block),
            Command::AppendMemory(id, tags, source) => {
                batch.append_memory(*id, &set_of(tags)?, source.data())
            }
            Command::DeleteMemory(id) => batch.delete_memory(*id),
            Command::SetKv(key, content) => batch.set_kv(key, content),
            Command::DeleteKv(key) => batch.delete_kv(key),
            Command::AppendStream(name, source) => batch.append_stream(name, source.data()),
            Command::TrimStream(name, before) => batch.trim_stream(name, *before),
        }
    }

    /// The same command as `Batch::load` takes it.
    pub fn encode_to(&self, out: &mut Vec<u8>) {
        let no_tags: &[String] = &[];
        let (kind, flags, id, key, tags, data) = match self {
            Command::AppendBlock(content) => (1, 0, 0, Vec::new(), no_tags, content.to_vec()),
            Command::FreeBlock(block) => (2, 0, 0, Vec::new(), no_tags, address_bytes(block)),
            Command::AppendMemory(id, tags, source) => {
                let (flags, data) = source.encoded();
                (3, flags, *id, Vec::new(), tags.as_slice(), data)
            }
            Command::DeleteMemory(id) => (4, 0, *id, Vec::new(), no_tags, Vec::new()),
            Command::SetKv(key, content) => (5, 0, 0, key.clone(), no_tags, content.to_vec()),
            Command::DeleteKv(key) => (6, 0, 0, key.clone(), no_tags, Vec::new()),
            Command::AppendStream(name, source) => {
                let (flags, data) = source.encoded();
                (7, flags, 0, name.clone(), no_tags, data)
            }
            Command::TrimStream(name, before) => (8, 0, *before, name.clone(), no_tags, Vec::new()),
        };
        out.extend_from_slice(&[kind, flags]);
        out.extend_from_slice(&u16::try_from(tags.len()).expect("few tags").to_le_bytes());
        out.extend_from_slice(&u32::try_from(key.len()).expect("a short key").to_le_bytes());
        out.extend_from_slice(&id.to_le_bytes());
        out.extend_from_slice(&u64::try_from(data.len()).expect("a length").to_le_bytes());
        out.extend_from_slice(&key);
        for tag in tags {
            out.extend_from_slice(&u16::try_from(tag.len()).expect("a short tag").to_le_bytes());
            out.extend_from_slice(tag.as_bytes());
        }
        out.extend_from_slice(&data);
    }
}

pub fn set_of(tags: &[String]) -> Result<Tags> {
    let tags: Vec<&str> = tags.iter().map(String::as_str).collect();
    Tags::of(&tags)
}

impl Model {
    /// What the command changes; `block` is what the store said it was given. Returns a stream record's index.
    pub fn apply(&mut self, command: &Command, block: Option<BlockAddress>) -> Option<u64> {
        match command {
            Command::AppendBlock(content) => match block {
                Some(block) => {
                    self.loose.insert(block, content.clone());
                }
                None => self.loose_unknown += 1,
            },
            Command::FreeBlock(block) => {
                self.loose.remove(block);
            }
            Command::AppendMemory(id, tags, source) => {
                self.name(source);
                let memory = Memory {
                    record: source.record(block),
                    tags: tags.clone(),
                };
                self.memories.insert(*id, memory);
            }
            Command::DeleteMemory(id) => {
                self.memories.remove(id);
            }
            Command::SetKv(key, content) => {
                let record = Source::Bytes(content.clone()).record(block);
                self.pairs.insert(key.clone(), record);
            }
            Command::DeleteKv(key) => {
                self.pairs.remove(key);
            }
            Command::AppendStream(name, source) => {
                self.name(source);
                let stream = self.streams.entry(name.clone()).or_default();
                let index = stream.next;
                stream.records.insert(index, source.record(block));
                stream.next += 1;
                return Some(index);
            }
            Command::TrimStream(name, u64::MAX) => {
                self.streams.remove(name);
            }
            Command::TrimStream(name, before) => {
                if let Some(stream) = self.streams.get_mut(name) {
                    stream.first = stream.first.max(*before).min(stream.next);
                    let first = stream.first;
                    stream.records.retain(|index, _| *index >= first);
                }
            }
        }
        None
    }

    /// A block that is named for the first time stops holding itself.
    fn name(&mut self, source: &Source) {
        if let Source::Named(block, _) = source {
            self.loose.remove(block);
        }
    }

    pub fn records(&self) -> impl Iterator<Item = &Record> {
        let memories = self.memories.values().map(|memory| &memory.record);
        let streams = self.streams.values().flat_map(|stream| stream.records.values());
        self.pairs.values().chain(memories).chain(streams)
    }

    /// Every block that the store must still have, with its bytes.
    pub fn blocks(&self) -> BTreeMap<BlockAddress, Content> {
        let mut blocks = self.loose.clone();
        for record in self.records() {
            if let Some(block) = record.block {
                blocks.insert(block, record.content.clone());
            }
        }
        blocks
    }

    /// Blocks that a command may name: loose ones, and those that others named.
    pub fn nameable(&self) -> Vec<(BlockAddress, Content)> {
        let named = self.records().filter(|record| record.named);
        let named = named.filter_map(|record| Some((record.block?, record.content.clone())));
        let mut blocks: BTreeMap<BlockAddress, Content> = named.collect();
        blocks.extend(self.loose.clone());
        blocks.into_iter().collect()
    }

    /// Ids from `from` on that carry all of `all`, one of `any`, if there are any, and none of `none`.
    pub fn find(&self, all: &[String], any: &[String], none: &[String], from: u64) -> Vec<u64> {
        self.memories
            .range(from..)
            .filter(|(_, memory)| {
                let has = |tag: &String| memory.tags.contains(tag);
                all.iter().all(has) && (any.is_empty() || any.iter().any(has)) && !none.iter().any(has)
            })
            .map(|(id, _)| *id)
            .collect()
    }

    /// Keys in `[start, end)`; an empty bound is none.
    pub fn range(&self, start: &[u8], end: &[u8]) -> Vec<(&Vec<u8>, &Content)> {
        let within = |key: &Vec<u8>| key.as_slice() >= start && (end.is_empty() || key.as_slice() < end);
        let pairs = self.pairs.iter().filter(|(key, _)| within(key));
        pairs.map(|(key, record)| (key, &record.content)).collect()
    }

    /// How many loose blocks nothing names.
    pub fn loose_count(&self) -> u64 {
        let loose: BTreeSet<&BlockAddress> = self.loose.keys().collect();
        u64::try_from(loose.len()).expect("a count") + self.loose_unknown
    }
}
