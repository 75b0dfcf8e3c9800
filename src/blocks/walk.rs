//! Going through the blocks of a chunk in the order of their addresses.
//!
//! Small blocks lie back to back, so each one says where the next is and a gap is damage. Large ones are found by
//! their heads at 4 KiB boundaries: between them there may be space that was reserved and never used. A head can't be
//! mistaken, since its CRC is seeded with a random nonce and its own address.

use super::{first_offset, mapping::Mapping, moved::Extent, Chunk};
use crate::{
    error::Result,
    format::{
        block::{BlockAddress, BlockHeader, BlockKind, HEADER_BYTES},
        bytes::to_u64,
    },
};

/// A block that lies in a chunk, whether anything needs it or not.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FoundBlock<'a> {
    pub(crate) address: BlockAddress,
    /// The index key of the record that wrote it; empty for large blocks, whose owners the index knows.
    pub(crate) owner: &'a [u8],
    /// What it takes in the chunk, header and padding included.
    pub(crate) total_bytes: u64,
}

/// A found block and where it is in the file.
#[derive(Debug, Clone, Copy)]
pub(super) struct Placed<'a> {
    pub(super) found: FoundBlock<'a>,
    pub(super) place: u64,
    /// All of it: header, owner or page CRCs, data, padding.
    pub(super) bytes: &'a [u8],
    pub(super) data: &'a [u8],
    pub(super) data_place: u64,
    pub(super) page_crcs: &'a [u8],
    /// What lies between the head and the data and behind the data: zeros.
    pub(super) gaps: [&'a [u8]; 2],
}

/// Calls `each` for every block from address `from` on (the chunk's first, or the end of another block) until it
/// answers false. Headers are checked, data is not. Damage to a header ends the walk with `Corrupt`.
pub(super) fn walk_placed(
    chunk: &Chunk,
    from: u64,
    each: &mut dyn FnMut(&Placed<'_>) -> Result<bool>,
) -> Result<()> {
    let first = first_offset(chunk.is_large());
    if !chunk.is_rewritten() {
        let end = chunk.len();
        let from = from.max(first);
        if from >= end {
            return Ok(());
        }
        let mapping = chunk.map(end)?;
        let whole = Extent {
            address: from,
            place: from,
            len: end.saturating_sub(from),
        };
        walk_extent(chunk, &mapping, whole, from, each)?;
        return Ok(());
    }
    let mapping = chunk.map(0)?;
    let Some(moved) = mapping.moved() else {
        return Ok(());
    };
    let mut index = moved.first_beyond(mapping.region(), from);
    while let Some(extent) = moved.extent(mapping.region(), index) {
        if !walk_extent(chunk, &mapping, extent, from, each)? {
            break;
        }
        index = index.saturating_add(1);
    }
    Ok(())
}

fn walk_extent(
    chunk: &Chunk,
    mapping: &Mapping,
    extent: Extent,
    from: u64,
    each: &mut dyn FnMut(&Placed<'_>) -> Result<bool>,
) -> Result<bool> {
    let mut done = from.saturating_sub(extent.address);
    while done < extent.len {
        let address = extent.address.saturating_add(done);
        let place = extent.place.saturating_add(done);
        match block_at(chunk, mapping, address, place, extent.len.saturating_sub(done)) {
            Some(placed) => {
                done = done.saturating_add(placed.found.total_bytes);
                if !each(&placed)? {
                    return Ok(false);
                }
            }
            None if chunk.is_large() && !chunk.is_rewritten() => done = done.saturating_add(4_096),
            None => return Err(chunk.damaged(place, "there is no block where one must be")),
        }
    }
    Ok(true)
}

/// The block at this place, if its header is good and it ends within `room`.
pub(super) fn block_at<'a>(
    chunk: &Chunk,
    mapping: &'a Mapping,
    address: u64,
    place: u64,
    room: u64,
) -> Option<Placed<'a>> {
    let region = mapping.region();
    // Large blocks may be in the making below `len`: their header is copied out and believed after its check.
    let mut bytes = [0; HEADER_BYTES];
    chunk
        .covers(mapping, place.checked_add(to_u64(bytes.len()))?)
        .then_some(())?;
    region.copy_to(place, &mut bytes)?;
    let header = BlockHeader::decode(&bytes)?;
    let total_bytes = header.total_bytes();
    if (header.kind == BlockKind::Large) != chunk.is_large() || total_bytes > room {
        return None;
    }
    let data_place = place.checked_add(header.data_offset())?;
    let end = place.checked_add(total_bytes)?;
    chunk.covers(mapping, end).then_some(())?;
    let extra = region.bytes(
        place.checked_add(to_u64(HEADER_BYTES))?,
        u64::from(header.extra_len),
    )?;
    if !BlockHeader::crc_matches(chunk.nonce(), address, &bytes, extra) {
        return None;
    }
    let (owner, page_crcs) = if chunk.is_large() {
        (&[][..], extra)
    } else {
        (extra, &[][..])
    };
    let extra_end = place
        .checked_add(to_u64(HEADER_BYTES))?
        .checked_add(u64::from(header.extra_len))?;
    let data_end = data_place.checked_add(header.len)?;
    let block = BlockAddress {
        chunk: chunk.number(),
        crc32c: header.data_crc,
        offset: address,
        len: header.len,
    };
    Some(Placed {
        found: FoundBlock {
            address: block,
            owner,
            total_bytes,
        },
        place,
        bytes: region.bytes(place, total_bytes)?,
        data: region.bytes(data_place, header.len)?,
        data_place,
        page_crcs,
        gaps: [
            region.bytes(extra_end, data_place.checked_sub(extra_end)?)?,
            region.bytes(data_end, end.checked_sub(data_end)?)?,
        ],
    })
}

impl Chunk {
    /// The block with a good header that begins at this address, which is that of one. Its data is not looked at.
    /// `Corrupt` where a small block, or one in a rewritten chunk, has no good header there.
    pub(crate) fn block_at(&self, address: u64) -> Result<Option<BlockAddress>> {
        let mut begins = None;
        walk_placed(self, address, &mut |placed| {
            begins = Some(placed.found.address).filter(|found| found.offset == address);
            Ok(false)
        })?;
        Ok(begins)
    }
}
