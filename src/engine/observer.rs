//! What merges ask the data model: which entries nothing needs any more though no newer version hides them, and
//! what dies with an entry that is dropped.
//!
//! Four kinds of entries die without being overwritten: stream records below their stream's bounds, bounds of a
//! dropped stream, tags of a memory that was replaced or deleted, and holds on blocks that are gone.

use std::{collections::HashMap, sync::Arc};

use super::{
    liveness::Witnesses,
    lock,
    state::{State, View},
    Engine,
};
use crate::{
    blocks::ChunkSet,
    error::Result,
    format::{
        block::small_total_bytes,
        bytes::to_usize,
        manifest::Counts,
        record::{self, kind, MemoryValue, RecordKey, StreamBounds},
    },
    index::{BuildObserver, Entry},
};

#[derive(Debug)]
pub(super) struct Observer {
    witnesses: Witnesses,
    chunks: ChunkSet,
    /// Judge entries; a checkpoint only counts what it drops.
    judging: bool,
    /// Lowest index that any witness can still see, of the stream last asked about.
    reach: Option<(u64, u64)>,
    dropped: Counts,
    /// Bytes that died, by chunk.
    dead: HashMap<u32, u64>,
}

impl Observer {
    pub(super) fn new(state: &Arc<State>, snapshots: &[u64], now: u64, judging: bool) -> Observer {
        Observer {
            witnesses: Witnesses::new(state, snapshots, now),
            chunks: state.chunks.clone(),
            judging,
            reach: None,
            dropped: Counts::default(),
            dead: HashMap::new(),
        }
    }

    /// Goes on by a newer state, so that the files of the older one can go.
    pub(super) fn renew(&mut self, state: &Arc<State>, snapshots: &[u64], now: u64) {
        self.witnesses = Witnesses::new(state, snapshots, now);
        self.chunks = state.chunks.clone();
        self.reach = None;
    }

    /// Tells the chunks what died in them since the last time, so that the next manifest says so.
    pub(super) fn book_dead(&mut self, engine: &Engine) {
        for (number, bytes) in self.dead.drain() {
            engine.add_dead(number, bytes);
        }
    }

    /// By how much the counts change with what was dropped and is not booked yet.
    pub(super) fn change(&self) -> Counts {
        self.dropped
    }

    /// Books what was dropped since the last time. To be called once a manifest goes without it: after a failure
    /// whoever starts over drops it again.
    pub(super) fn book_counts(&mut self, engine: &Engine) {
        let change = std::mem::take(&mut self.dropped);
        let mut dropped = lock(&engine.dropped);
        *dropped = sum(&dropped, &change);
    }

    /// First index of the stream that some witness sees; `u64::MAX` where none does.
    fn stream_reach(&mut self, stream_id: u64) -> Result<u64> {
        if let Some((known, first)) = self.reach {
            if known == stream_id {
                return Ok(first);
            }
        }
        let key = record::stream_bounds_key(stream_id);
        let mut first = u64::MAX;
        self.witnesses.any(|view| {
            if let Some(hit) = view.get(&key)? {
                first = StreamBounds::decode(hit.value)
                    .map_or(0, |bounds| bounds.first)
                    .min(first);
            }
            Ok(false)
        })?;
        self.reach = Some((stream_id, first));
        Ok(first)
    }

    fn is_needed(&mut self, entry: &Entry<'_>) -> Result<bool> {
        match RecordKey::decode(entry.key) {
            Some(RecordKey::StreamRecord { stream_id, index }) => Ok(index >= self.stream_reach(stream_id)?),
            Some(RecordKey::Tag { id, .. }) => {
                let ordinal = record::decode_tag_value(entry.value);
                self.witnesses.any(|view| {
                    let Some(memory) = view.get(&record::memory_key(id))? else {
                        return Ok(false);
                    };
                    let version = MemoryValue::decode_head(memory.value).map(|(_, ordinal)| ordinal);
                    Ok(memory.seq == entry.seq && version == ordinal)
                })
            }
            Some(RecordKey::Block { chunk, offset, owner }) => {
                // A merge only meets entries of checkpointed commits, so their chunks exist, or did.
                let Some(chunk) = self.chunks.get(chunk) else {
                    return Ok(false);
                };
                if !chunk.contains(offset)? {
                    return Ok(false);
                }
                if owner.is_empty() {
                    return Ok(true);
                }
                let owner = owner.to_vec();
                let number = chunk.number();
                self.witnesses
                    .any(|view| names_place(view, &owner, number, offset))
            }
            _ => Ok(true),
        }
    }
}

/// Whether the record under `owner` names the block at this place.
fn names_place(view: &View, owner: &[u8], chunk: u32, offset: u64) -> Result<bool> {
    if let Some(RecordKey::StreamRecord { stream_id, index }) = RecordKey::decode(owner) {
        if !view.stream_reaches(stream_id, index)? {
            return Ok(false);
        }
    }
    let Some(hit) = view.get(owner)? else {
        return Ok(false);
    };
    Ok(record::block_of(hit.kind, hit.value)
        .is_some_and(|block| block.chunk == chunk && block.offset == offset))
}

impl BuildObserver for Observer {
    fn keep(&mut self, entry: &Entry<'_>) -> Result<bool> {
        if !self.judging || entry.kind == kind::TOMBSTONE {
            return Ok(true);
        }
        self.is_needed(entry)
    }

    fn dropped(&mut self, entry: &Entry<'_>) {
        match entry.kind {
            kind::KV_INLINE | kind::KV_BLOCK => self.dropped.kv -= 1,
            kind::MEMORY => self.dropped.memories -= 1,
            kind::STREAM_NAME => self.dropped.streams -= 1,
            kind::STREAM_RECORD | kind::STREAM_INLINE => self.dropped.stream_records -= 1,
            kind::HOLD
                if matches!(
                    RecordKey::decode(entry.key),
                    Some(RecordKey::Block { owner: [], .. })
                ) =>
            {
                self.dropped.blocks -= 1;
            }
            _ => {}
        }
        if let Some(block) = record::block_of(entry.kind, entry.value) {
            let len = to_usize(block.len).unwrap_or(usize::MAX);
            let dead = self.dead.entry(block.chunk).or_insert(0);
            *dead = dead.saturating_add(small_total_bytes(entry.key.len(), len));
        }
    }
}

pub(super) fn sum(a: &Counts, b: &Counts) -> Counts {
    Counts {
        kv: a.kv.saturating_add(b.kv),
        memories: a.memories.saturating_add(b.memories),
        streams: a.streams.saturating_add(b.streams),
        stream_records: a.stream_records.saturating_add(b.stream_records),
        blocks: a.blocks.saturating_add(b.blocks),
    }
}
