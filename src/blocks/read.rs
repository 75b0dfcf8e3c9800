//! Reading blocks in place. Every byte handed out was checked: a small block at each read, a large one page by page
//! when first touched since its chunk was mapped, or at each read where the options say so.
//!
//! An address is believed only as far as the header at its place agrees: length, CRC of the bytes, and a header CRC
//! seeded with the chunk's nonce and the block's own address. Anything else is `NotFound`, never another block's
//! bytes. Any thread may read; no lock and no allocation once the chunk is mapped.

use super::{
    first_offset, large_end, large_header,
    mapping::{Mapping, MappingGuard},
    BlockSlice, Chunk,
};
use crate::{
    error::{Error, Result},
    format::{
        block::{BlockAddress, BlockHeader, BlockKind, HEADER_BYTES},
        bytes::{to_u64, to_usize, u32_at},
        BLOCK_PAGE_BYTES,
    },
    vfs::{is_made, Defect},
};

const PAGE: u64 = to_u64(BLOCK_PAGE_BYTES);

/// A block whose header was checked.
#[derive(Debug)]
pub(super) struct Located {
    pub(super) mapping: MappingGuard,
    pub(super) header: BlockHeader,
    /// Of the header in the file.
    pub(super) place: u64,
}

impl Located {
    fn data_place(&self) -> u64 {
        self.place.saturating_add(self.header.data_offset())
    }
}

/// Which checks a reader may skip.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Trust {
    /// What was checked since the chunk was mapped.
    FirstTouch,
    Nothing,
}

impl Chunk {
    /// Checked bytes `[from, from + len)` of a block. `NotFound`: no such block is there; `InvalidArgument`: the
    /// range is outside the block; `Corrupt`: its bytes fail their check.
    pub(crate) fn read(&self, address: &BlockAddress, from: u64, len: u64) -> Result<BlockSlice<'_>> {
        check_range(address, from, len)?;
        let trust = if self.options().check_every_read {
            Trust::Nothing
        } else {
            Trust::FirstTouch
        };
        let block = self.locate(address, self.len(), trust)?;
        self.check_data(address, &block, from, len, trust)?;
        let start = block.data_place().saturating_add(from);
        Ok(BlockSlice::mapped(block.mapping, start, len))
    }

    /// Checks every byte of a block, whatever was checked before. Recovery asks this of a large block before it
    /// believes the frame that names it, so it may lie beyond `len`.
    pub(crate) fn check(&self, address: &BlockAddress) -> Result<()> {
        if self.is_large() && !self.is_rewritten() {
            // With the padding behind it: blocks that come later count on it.
            self.map(large_end(address))?;
        }
        let block = self.locate(address, u64::MAX, Trust::Nothing)?;
        self.check_data(address, &block, 0, address.len, Trust::Nothing)
    }

    /// Writes a large block, as it is, to its place once more and counts it as unsynced: after a crash its pages may
    /// look clean though the disk never got them. The block is checked first.
    pub(crate) fn write_again(&self, address: &BlockAddress) -> Result<()> {
        if !self.is_large() || self.is_rewritten() {
            return Err(Error::internal(
                "only large blocks that the log names are written again",
            ));
        }
        self.check(address)?;
        let block = self.locate(address, u64::MAX, Trust::Nothing)?;
        self.write_in_place(0, &self.header())?;
        let end = block.data_place().saturating_add(address.len);
        let mut place = block.place;
        while place < end {
            let len = (4 * PAGE).min(end.saturating_sub(place));
            // A copy: a write from a map of the same pages is nothing to rely on.
            let piece = self.raw(&block.mapping, place, len)?.to_vec();
            self.write_in_place(place, &piece)?;
            place = place.saturating_add(len);
        }
        Ok(())
    }

    /// Finds the block's header and checks it; all of the block then lies within the map and the file.
    pub(super) fn locate_block(&self, address: &BlockAddress) -> Result<Located> {
        self.locate(address, self.len(), Trust::FirstTouch)
    }

    fn locate(&self, address: &BlockAddress, limit: u64, trust: Trust) -> Result<Located> {
        let large = self.is_large();
        let alignment = if large { 4_096 } else { 8 };
        let Some(header_end) = address.offset.checked_add(to_u64(HEADER_BYTES)) else {
            return Err(Error::NotFound);
        };
        let is_outside =
            !self.is_rewritten() && (header_end > limit || (large && large_end(address) > limit));
        if address.chunk != self.number()
            || address.offset < first_offset(large)
            || !address.offset.is_multiple_of(alignment)
            || is_outside
        {
            return Err(Error::NotFound);
        }
        if self.is_rewritten() {
            let mapping = self.map(0)?;
            let Some((place, end)) = mapping.place_of(address.offset, limit) else {
                return Err(Error::NotFound);
            };
            return self.locate_at(address, mapping, place, end, trust);
        }
        let mapping = self.map(header_end)?;
        self.locate_at(address, mapping, address.offset, limit, trust)
    }

    /// `limit`: where, at the latest, a block at `place` ends.
    fn locate_at(
        &self,
        address: &BlockAddress,
        mapping: MappingGuard,
        place: u64,
        limit: u64,
        trust: Trust,
    ) -> Result<Located> {
        // Copied out: at an address that nobody was given, an append may be writing this moment.
        let mut bytes = [0; HEADER_BYTES];
        let copied = mapping.region().copy_to(place, &mut bytes);
        let Some(header) = copied.and_then(|()| BlockHeader::decode(&bytes)) else {
            return Err(Error::NotFound);
        };
        let kind_fits = match header.kind {
            BlockKind::Small => !self.is_large(),
            BlockKind::Large => self.is_large() && header == large_header(address.len, address.crc32c),
        };
        let end = place.saturating_add(header.total_bytes());
        if !kind_fits || header.len != address.len || header.data_crc != address.crc32c || end > limit {
            return Err(Error::NotFound);
        }
        let data_end = place
            .saturating_add(header.data_offset())
            .saturating_add(header.len);
        let mapping = if self.is_rewritten() || self.covers(&mapping, data_end) {
            mapping
        } else {
            self.map(data_end)?
        };
        if trust == Trust::Nothing || !mapping.was_checked(place) {
            let extra_place = place.saturating_add(to_u64(HEADER_BYTES));
            let extra_len = u64::from(header.extra_len);
            let Some(extra) = mapping.region().bytes(extra_place, extra_len) else {
                return Err(Error::NotFound);
            };
            if !BlockHeader::crc_matches(self.nonce(), address.offset, &bytes, extra) {
                return Err(Error::NotFound);
            }
            mapping.set_checked(place);
        }
        Ok(Located {
            mapping,
            header,
            place,
        })
    }

    /// Checks what covers `[from, from + len)` of the data: pages of a large block, the whole of a small one.
    fn check_data(
        &self,
        address: &BlockAddress,
        block: &Located,
        from: u64,
        len: u64,
        trust: Trust,
    ) -> Result<()> {
        if !self.is_large() {
            return self.check_whole(block);
        }
        if len == 0 {
            return Ok(());
        }
        let last = from.saturating_add(len).saturating_sub(1) / PAGE;
        for page in from / PAGE..=last {
            self.check_page(address, block, page, trust)?;
        }
        Ok(())
    }

    pub(super) fn check_whole(&self, block: &Located) -> Result<()> {
        let data = self.raw(&block.mapping, block.data_place(), block.header.len)?;
        if crc32c::crc32c(data) != block.header.data_crc && !is_made(Defect::BlocksNotChecked) {
            return Err(self.damaged(block.data_place(), "the bytes of a block fail their check"));
        }
        Ok(())
    }

    fn check_page(&self, address: &BlockAddress, block: &Located, page: u64, trust: Trust) -> Result<()> {
        let start = page.saturating_mul(PAGE);
        let place = block.data_place().saturating_add(start);
        if trust == Trust::FirstTouch && block.mapping.was_checked(place) {
            return Ok(());
        }
        let len = PAGE.min(address.len.saturating_sub(start));
        let data = self.raw(&block.mapping, place, len)?;
        let expected = if block.header.extra_len == 0 {
            Some(block.header.data_crc)
        } else {
            let table_place = block.place.saturating_add(to_u64(HEADER_BYTES));
            let table = self.raw(&block.mapping, table_place, u64::from(block.header.extra_len))?;
            to_usize(page.saturating_mul(4)).and_then(|at| u32_at(table, at))
        };
        if expected != Some(crc32c::crc32c(data)) && !is_made(Defect::BlocksNotChecked) {
            return Err(self.damaged(place, "a page of a large block fails its check"));
        }
        block.mapping.set_checked(place);
        Ok(())
    }

    /// Bytes of the file; the caller knows that it has them.
    pub(super) fn raw<'m>(&self, mapping: &'m Mapping, place: u64, len: u64) -> Result<&'m [u8]> {
        mapping
            .region()
            .bytes(place, len)
            .ok_or_else(|| self.damaged(place, "a block reaches beyond its chunk"))
    }
}

pub(super) fn check_range(address: &BlockAddress, from: u64, len: u64) -> Result<()> {
    match from.checked_add(len) {
        Some(end) if end <= address.len => Ok(()),
        _ => Err(Error::invalid("the range reaches beyond the end of the block")),
    }
}
