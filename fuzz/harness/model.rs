//! What a store that got commands one after another holds, as ordered maps.

use std::collections::{BTreeMap, BTreeSet};

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Memory {
    pub tags: BTreeSet<String>,
    pub data: Vec<u8>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Stream {
    pub first: u64,
    pub next: u64,
    pub records: BTreeMap<u64, Vec<u8>>,
}

#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Model {
    pub pairs: BTreeMap<Vec<u8>, Vec<u8>>,
    pub memories: BTreeMap<u64, Memory>,
    pub streams: BTreeMap<Vec<u8>, Stream>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Command {
    AppendBlock(Vec<u8>),
    /// Of a block that nobody asks for again.
    FreeBlock,
    AppendMemory(u64, BTreeSet<String>, Vec<u8>),
    DeleteMemory(u64),
    SetKv(Vec<u8>, Vec<u8>),
    DeleteKv(Vec<u8>),
    AppendStream(Vec<u8>, Vec<u8>),
    TrimStream(Vec<u8>, u64),
}

impl Model {
    pub fn apply(&mut self, command: &Command) {
        match command.clone() {
            Command::AppendBlock(_) | Command::FreeBlock => {}
            Command::AppendMemory(id, tags, data) => {
                self.memories.insert(id, Memory { tags, data });
            }
            Command::DeleteMemory(id) => {
                self.memories.remove(&id);
            }
            Command::SetKv(key, value) => {
                self.pairs.insert(key, value);
            }
            Command::DeleteKv(key) => {
                self.pairs.remove(&key);
            }
            Command::AppendStream(name, data) => {
                let stream = self.streams.entry(name).or_default();
                stream.records.insert(stream.next, data);
                stream.next += 1;
            }
            Command::TrimStream(name, u64::MAX) => {
                self.streams.remove(&name);
            }
            Command::TrimStream(name, before) => {
                if let Some(stream) = self.streams.get_mut(&name) {
                    stream.first = before.clamp(stream.first, stream.next);
                    let first = stream.first;
                    stream.records.retain(|index, _| *index >= first);
                }
            }
        }
    }
}
