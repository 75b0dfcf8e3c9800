//! What a read hands out: checked bytes, and the region that keeps them mapped.
//!
//! A slice borrows the chunk or the list of pending blocks. Whoever needs the bytes for longer clones the region:
//! a view survives the chunk's map being dropped and the chunk itself.

use std::sync::Arc;

use super::mapping::MappingGuard;
use crate::vfs::Region;

/// Bytes of one block that passed their check.
#[derive(Debug)]
pub(crate) struct BlockSlice<'a> {
    pin: Pin<'a>,
    offset: u64,
    len: u64,
}

#[derive(Debug)]
enum Pin<'a> {
    Borrowed(&'a Arc<Region>),
    /// Keeps the map without touching the count that all readers share.
    Mapped(MappingGuard),
}

impl<'a> BlockSlice<'a> {
    /// The caller has found `[offset, offset + len)` to lie within the region.
    pub(super) fn borrowed(region: &'a Arc<Region>, offset: u64, len: u64) -> BlockSlice<'a> {
        BlockSlice {
            pin: Pin::Borrowed(region),
            offset,
            len,
        }
    }

    /// The same for a chunk's map.
    pub(super) fn mapped(mapping: MappingGuard, offset: u64, len: u64) -> BlockSlice<'a> {
        BlockSlice {
            pin: Pin::Mapped(mapping),
            offset,
            len,
        }
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        self.region().bytes(self.offset, self.len).unwrap_or_default()
    }

    /// Pins the bytes beyond the slice's own life.
    pub(crate) fn region(&self) -> &Arc<Region> {
        match &self.pin {
            Pin::Borrowed(region) => region,
            Pin::Mapped(mapping) => mapping.region(),
        }
    }

    /// Of the bytes within the region.
    pub(crate) fn offset(&self) -> u64 {
        self.offset
    }

    pub(crate) fn len(&self) -> u64 {
        self.len
    }
}
