//! What a store holds after each commit, kept in ordered maps beside it.

use std::collections::{BTreeMap, BTreeSet};

use sarsen::{BlockAddress, CommandKind};

/// One command of a commit. Blocks are named by the order in which they were appended.
#[derive(Debug, Clone)]
pub enum Command {
    Set(Vec<u8>, Vec<u8>),
    Delete(Vec<u8>),
    Memory(u64, Vec<&'static str>, Vec<u8>),
    MemoryOf(u64, Vec<&'static str>, usize),
    DeleteMemory(u64),
    Append(&'static str, Vec<u8>),
    Trim(&'static str, u64),
    Block(Vec<u8>),
    Free(usize),
}

/// A command as the log has to tell it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    pub kind: CommandKind,
    pub id: u64,
    pub key: Vec<u8>,
    pub value: Vec<u8>,
    pub tags: Vec<&'static str>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stream {
    pub first: u64,
    pub records: Vec<Vec<u8>>,
}

impl Stream {
    pub fn next(&self) -> u64 {
        self.first + self.records.len() as u64
    }
}

#[derive(Debug, Clone, Default)]
pub struct Model {
    pub pairs: BTreeMap<Vec<u8>, Vec<u8>>,
    /// Tags in byte order, bytes.
    pub memories: BTreeMap<u64, (Vec<&'static str>, Vec<u8>)>,
    pub streams: BTreeMap<&'static str, Stream>,
    /// Every block that was ever appended; `false` once it was freed.
    pub blocks: Vec<(Vec<u8>, bool)>,
    /// Whatever was ever named, to be asked for when it is gone.
    pub keys: BTreeSet<Vec<u8>>,
    pub ids: BTreeSet<u64>,
    pub names: BTreeSet<&'static str>,
    pub tags: BTreeSet<&'static str>,
}

impl Model {
    /// Applies a command; how the log is to tell it.
    pub fn apply(&mut self, command: &Command) -> Told {
        let told = |kind, id, key: &[u8], value: &[u8], tags: &[&'static str]| Told {
            kind,
            id,
            key: key.to_vec(),
            value: value.to_vec(),
            tags: tags.to_vec(),
        };
        match command {
            Command::Set(key, value) => {
                self.keys.insert(key.clone());
                self.pairs.insert(key.clone(), value.clone());
                told(CommandKind::SetKv, 0, key, value, &[])
            }
            Command::Delete(key) => {
                self.keys.insert(key.clone());
                self.pairs.remove(key);
                told(CommandKind::DeleteKv, 0, key, &[], &[])
            }
            Command::Memory(id, tags, bytes) => self.memory(*id, tags, bytes.clone()),
            Command::MemoryOf(id, tags, block) => {
                let bytes = self.blocks[*block].0.clone();
                self.memory(*id, tags, bytes)
            }
            Command::DeleteMemory(id) => {
                self.ids.insert(*id);
                self.memories.remove(id);
                told(CommandKind::DeleteMemory, *id, &[], &[], &[])
            }
            Command::Append(name, bytes) => {
                self.names.insert(name);
                let stream = self.streams.entry(name).or_default();
                let index = stream.next();
                stream.records.push(bytes.clone());
                told(CommandKind::AppendStream, index, name.as_bytes(), bytes, &[])
            }
            Command::Trim(name, before) => {
                self.names.insert(name);
                if *before == u64::MAX {
                    self.streams.remove(name);
                    return told(CommandKind::TrimStream, u64::MAX, name.as_bytes(), &[], &[]);
                }
                let stream = self.streams.entry(name).or_default();
                let dropped = before
                    .saturating_sub(stream.first)
                    .min(stream.records.len() as u64);
                stream.records.drain(..dropped as usize);
                stream.first += dropped;
                told(CommandKind::TrimStream, stream.first, name.as_bytes(), &[], &[])
            }
            Command::Block(bytes) => {
                self.blocks.push((bytes.clone(), true));
                told(CommandKind::AppendBlock, 0, &[], bytes, &[])
            }
            Command::Free(block) => {
                self.blocks[*block].1 = false;
                told(CommandKind::FreeBlock, 0, &[], &[], &[])
            }
        }
    }

    fn memory(&mut self, id: u64, tags: &[&'static str], bytes: Vec<u8>) -> Told {
        let mut tags = tags.to_vec();
        tags.sort_unstable();
        self.ids.insert(id);
        self.tags.extend(&tags);
        self.memories.insert(id, (tags.clone(), bytes.clone()));
        Told {
            kind: CommandKind::AppendMemory,
            id,
            key: Vec::new(),
            value: bytes,
            tags,
        }
    }
}

/// Bytes that follow from a number, no two alike.
pub fn filled(len: usize, number: u64) -> Vec<u8> {
    let mut state = number;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        // SplitMix64 (Steele, Lea, Flood 2014).
        state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = state;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        bytes.extend_from_slice(&(mixed ^ (mixed >> 31)).to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

/// Where the blocks of a store lie, in the order in which they were appended.
pub type Addresses = Vec<BlockAddress>;
