//! Puts entries of all kinds into a store, by commits of some thousand commands. What is there already, and the same, is
//! left alone, so that doing it all again changes nothing, and doing it again after a crash finishes it.
//!
//! Commits need not survive a power loss one by one: `finish` makes all of them do so.

use std::{
    collections::HashMap,
    hash::{DefaultHasher, Hash, Hasher},
};

use sarsen::{Batch, BlockAddress, Data, Error, Store, Survive, Tags};

use super::export::Totals;
use crate::{bytes::escape, failure::Failure};

/// A commit holds about so many commands, or bytes, whichever comes first.
const MOST_COMMANDS: usize = 4096;
const MOST_BYTES: usize = 8 << 20;

pub struct Loader<'a> {
    store: &'a Store,
    batch: Batch,
    bytes: usize,
    stream: Option<Stream>,
    /// Loose blocks that were there before, by a hash of their bytes: each stands for one of the entries at most. They
    /// are read once the first block comes.
    loose: Option<HashMap<u64, Vec<BlockAddress>>>,
    /// What was put in.
    pub added: Totals,
    /// What was there already.
    pub same: Totals,
}

/// The stream whose records come.
struct Stream {
    name: Vec<u8>,
    /// Its bounds with what is in the batch; `None`: it isn't there.
    bounds: Option<(u64, u64)>,
    /// Records below this one are in the store.
    committed: u64,
}

impl<'a> Loader<'a> {
    pub fn new(store: &'a Store) -> Loader<'a> {
        Loader {
            store,
            batch: Batch::new(),
            bytes: 0,
            stream: None,
            loose: None,
            added: Totals::default(),
            same: Totals::default(),
        }
    }

    pub fn pair(&mut self, key: &[u8], value: &[u8]) -> Result<(), Failure> {
        match self.store.kv_get(None, key) {
            Ok(there) if there.bytes() == value => {
                self.same.pairs += 1;
                return Ok(());
            }
            Ok(_) | Err(Error::NotFound) => {}
            Err(error) => return Err(error.into()),
        }
        self.make_room(key.len() + value.len())?;
        self.batch.set_kv(key, value)?;
        self.added.pairs += 1;
        Ok(())
    }

    pub fn memory(&mut self, id: u64, tags: &Tags, data: &[u8]) -> Result<(), Failure> {
        match self.store.memory_info(None, id) {
            Ok((_, there)) if there == *tags && self.store.memory_get(None, id)?.bytes() == data => {
                self.same.memories += 1;
                return Ok(());
            }
            Ok(_) | Err(Error::NotFound) => {}
            Err(error) => return Err(error.into()),
        }
        self.make_room(data.len())?;
        self.batch.append_memory(id, tags, Data::Bytes(data))?;
        self.added.memories += 1;
        Ok(())
    }

    /// The records that follow are those of this stream, which is to begin with record `first`; `next` is the one behind
    /// the last of them.
    pub fn stream(&mut self, name: &[u8], first: u64, next: u64) -> Result<(), Failure> {
        let bounds = match self.store.stream_bounds(None, name) {
            Err(Error::NotFound) => None,
            bounds => Some(bounds?),
        };
        self.stream = Some(Stream {
            name: name.to_vec(),
            bounds,
            committed: bounds.map_or(0, |(_, next)| next),
        });
        match bounds {
            // All of its records were trimmed: what is left of it is the number that comes next.
            None if first == next => {
                let last = next.checked_sub(1).ok_or_else(|| {
                    Failure::Malformed(format!(
                        "stream {}: no stream ends before it begins",
                        escape(name)
                    ))
                })?;
                self.batch.append_stream_at(name, last, Data::Bytes(b""))?;
                self.batch.trim_stream(name, next)?;
                self.added.streams += 1;
            }
            None => self.added.streams += 1,
            Some((_, there)) if there < first => {
                return Err(self.conflict(&format!("goes on at {there}, the export's begins at {first}")));
            }
            Some((there, _)) => {
                if there < first {
                    self.batch.trim_stream(name, first)?;
                }
                self.same.streams += 1;
            }
        }
        Ok(())
    }

    /// Record `index` of the stream that was named last.
    pub fn record(&mut self, index: u64, data: &[u8]) -> Result<(), Failure> {
        let Some(stream) = &self.stream else {
            return Err(Failure::Malformed(
                "a record without a stream before it".to_owned(),
            ));
        };
        match stream.bounds {
            Some((first, next)) if index < next => {
                // What was trimmed since is not brought back.
                if index >= first && index < stream.committed {
                    let there = self.store.stream_get(None, &stream.name, index)?;
                    if there.bytes() != data {
                        return Err(self.conflict(&format!("has another record {index} than the export")));
                    }
                }
                self.same.records += 1;
                return Ok(());
            }
            Some((_, next)) if index > next => {
                return Err(self.conflict(&format!("goes on at {next}, the next record is {index}")));
            }
            _ => {}
        }
        self.make_room(data.len())?;
        if let Some(stream) = &mut self.stream {
            self.batch
                .append_stream_at(&stream.name, index, Data::Bytes(data))?;
            let first = stream.bounds.map_or(index, |(first, _)| first);
            stream.bounds = Some((first, index.saturating_add(1)));
        }
        self.added.records += 1;
        Ok(())
    }

    /// A loose block; one with the same bytes that was there before, and did not stand for another one yet, will do.
    pub fn block(&mut self, data: &[u8]) -> Result<(), Failure> {
        if self.take_loose(data)? {
            self.same.blocks += 1;
            return Ok(());
        }
        self.make_room(data.len())?;
        self.batch.append_block(data)?;
        self.added.blocks += 1;
        Ok(())
    }

    fn take_loose(&mut self, data: &[u8]) -> Result<bool, Failure> {
        let loose = match &mut self.loose {
            Some(loose) => loose,
            none => none.insert(loose_blocks(self.store)?),
        };
        let places = loose.entry(hash_of(data)).or_default();
        for (number, place) in places.iter().enumerate() {
            if self.store.block_view(place, 0, place.len)?.bytes() == data {
                places.swap_remove(number);
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// Commits what is left, and makes all of it durable.
    pub fn finish(&mut self) -> Result<(), Failure> {
        self.flush()?;
        Ok(self.store.sync()?)
    }

    fn conflict(&self, what: &str) -> Failure {
        let name = self.stream.as_ref().map(|stream| escape(&stream.name));
        Failure::Conflict(format!(
            "the store's stream {} {what}; what came before is imported",
            name.unwrap_or_default()
        ))
    }

    fn make_room(&mut self, bytes: usize) -> Result<(), Failure> {
        if self.batch.count() >= MOST_COMMANDS || self.bytes.saturating_add(bytes) > MOST_BYTES {
            self.flush()?;
        }
        self.bytes = self.bytes.saturating_add(bytes);
        Ok(())
    }

    fn flush(&mut self) -> Result<(), Failure> {
        self.store.commit(&mut self.batch, Some(Survive::Process))?;
        self.bytes = 0;
        Ok(())
    }
}

fn hash_of(data: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    data.hash(&mut hasher);
    hasher.finish()
}

fn loose_blocks(store: &Store) -> Result<HashMap<u64, Vec<BlockAddress>>, Failure> {
    let mut loose: HashMap<u64, Vec<BlockAddress>> = HashMap::new();
    let mut blocks = store.block_list(None)?;
    while let Some(block) = blocks.next()? {
        loose.entry(hash_of(blocks.data()?)).or_default().push(block);
    }
    Ok(loose)
}
