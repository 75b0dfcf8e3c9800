//! Whether a block is still needed.
//!
//! A small block of a record names its owner in its header. Large and loose blocks have index entries: one for a
//! loose block that holds itself, one for each record that holds it. A hold counts while its record, as the view
//! sees it, still names the block; entries of records that are gone are dropped by merges.

use super::state::{State, View};
use crate::{
    error::{Error, Result},
    format::{
        block::BlockAddress,
        record::{self, RecordKey, StreamBounds},
    },
};

impl View {
    /// Whether the block is loose and holds itself, or a record holds it, and its bytes are there.
    pub(crate) fn is_live(&self, address: &BlockAddress) -> Result<bool> {
        match self.block_range(address, 0, 0) {
            Ok(_) => Ok(self.holds_itself(address)? || self.is_held_by_record(address)?),
            Err(Error::NotFound) => match self.why_missing(address) {
                Error::NotFound => Ok(false),
                error => Err(error),
            },
            Err(error) => Err(error),
        }
    }

    /// Whether the bytes of this block, not of another one in its place, are there, damaged or not.
    pub(crate) fn is_there(&self, address: &BlockAddress) -> Result<bool> {
        match self.block_range(address, 0, 0) {
            Ok(_) | Err(Error::Corrupt { .. }) => Ok(true),
            Err(Error::NotFound) => match self.why_missing(address) {
                Error::NotFound => Ok(false),
                Error::Corrupt { .. } => Ok(true),
                error => Err(error),
            },
            Err(error) => Err(error),
        }
    }

    /// Why no block was found at its address: `Corrupt` where the index says that one is there, else `NotFound`.
    pub(crate) fn why_missing(&self, address: &BlockAddress) -> Error {
        match self.is_gone(address) {
            Ok(true) => self.state.block_is_gone(address.chunk, address.offset),
            Ok(false) => Error::NotFound,
            Err(error) => error,
        }
    }

    fn is_gone(&self, address: &BlockAddress) -> Result<bool> {
        if self.is_held_by_record(address)? {
            return Ok(true);
        }
        // What holds itself is known by its place alone: another block may lie there, under its own length and CRC.
        Ok(self.holds_itself(address)? && self.state.block_at(address.chunk, address.offset)?.is_none())
    }

    fn holds_itself(&self, address: &BlockAddress) -> Result<bool> {
        Ok(self
            .get(&record::block_key(address.chunk, address.offset, &[]))?
            .is_some())
    }

    /// Whether some record that the view sees holds the block by an index entry.
    pub(crate) fn is_held_by_record(&self, address: &BlockAddress) -> Result<bool> {
        let mut holds = self.scan_prefix(record::block_key(address.chunk, address.offset, &[]), false);
        while holds.next()? {
            let Some(entry) = holds.entry() else { break };
            if let Some(RecordKey::Block { owner, .. }) = RecordKey::decode(entry.key) {
                if !owner.is_empty() && self.record_names(owner, address)? {
                    return Ok(true);
                }
            }
        }
        Ok(false)
    }

    /// Whether the record under this index key names the block.
    pub(crate) fn record_names(&self, owner: &[u8], address: &BlockAddress) -> Result<bool> {
        if let Some(RecordKey::StreamRecord { stream_id, index }) = RecordKey::decode(owner) {
            if !self.stream_reaches(stream_id, index)? {
                return Ok(false);
            }
        }
        let Some(hit) = self.get(owner)? else {
            return Ok(false);
        };
        Ok(record::block_of(hit.kind, hit.value).is_some_and(|named| named == *address))
    }

    /// Whether `index` lies within the bounds of the stream.
    pub(crate) fn stream_reaches(&self, stream_id: u64, index: u64) -> Result<bool> {
        let Some(hit) = self.get(&record::stream_bounds_key(stream_id))? else {
            return Ok(false);
        };
        Ok(
            StreamBounds::decode(hit.value)
                .is_some_and(|bounds| bounds.first <= index && index < bounds.next),
        )
    }

    /// Whether a block in a chunk is needed: by its owner, or through index entries where it has none.
    pub(crate) fn needs(&self, address: &BlockAddress, owner: &[u8]) -> Result<bool> {
        if owner.is_empty() {
            return Ok(self.holds_itself(address)? || self.is_held_by_record(address)?);
        }
        self.record_names(owner, address)
    }
}

/// The states that something must be dead in before it may go: every snapshot, and now.
#[derive(Debug)]
pub(super) struct Witnesses {
    views: Vec<View>,
}

impl Witnesses {
    pub(super) fn new(state: &std::sync::Arc<State>, snapshots: &[u64], now: u64) -> Witnesses {
        let seqs = snapshots.iter().copied().filter(|seq| *seq != now).chain([now]);
        Witnesses {
            views: seqs
                .map(|seq| View {
                    state: std::sync::Arc::clone(state),
                    seq,
                })
                .collect(),
        }
    }

    /// Whether any of them says yes.
    pub(super) fn any(&self, mut says: impl FnMut(&View) -> Result<bool>) -> Result<bool> {
        for view in self.views.iter().rev() {
            if says(view)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}
