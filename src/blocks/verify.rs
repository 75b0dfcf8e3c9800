//! Checking a chunk from end to end, and going on behind damage.

use super::{
    first_offset,
    mapping::Mapping,
    walk::{block_at, Placed},
    Chunk,
};
use crate::{
    error::{Error, Result},
    format::{
        bytes::{to_u64, to_usize, u32_at},
        BLOCK_PAGE_BYTES,
    },
};

/// Bytes read at a time.
const PIECE: u64 = 256 * 1_024;

impl Chunk {
    /// Tells `report` of every place in the file that is damaged. Checks the chunk's header, the table of moved
    /// blocks, and each block that is found: header, data, padding. A large block whose head is damaged can't be
    /// told from unused space here; whoever holds its address asks [`Chunk::check`].
    pub(crate) fn verify(&self, report: &mut dyn FnMut(u64, String)) {
        if let Err(error) = self.verify_readable().and_then(|()| self.verify_blocks(report)) {
            match error {
                Error::Corrupt(damage) => report(damage.offset, damage.what.into_owned()),
                other => report(0, other.to_string()),
            }
        }
    }

    /// Reads the file through a descriptor first: a sector that the disk can't read is an error here, and would be a
    /// signal in the map.
    fn verify_readable(&self) -> Result<()> {
        let file = self.open_for_reading()?;
        let end = file.len()?.min(self.len());
        let mut buffer = vec![0; to_usize(PIECE.min(end)).unwrap_or_default()];
        let mut offset = 0;
        while offset < end {
            let len = PIECE.min(end.saturating_sub(offset));
            let piece = to_usize(len)
                .and_then(|len| buffer.get_mut(..len))
                .unwrap_or_default();
            file.read_at(offset, piece)
                .map_err(|error| self.damaged(offset, error.to_string()))?;
            offset = offset.saturating_add(len);
        }
        Ok(())
    }

    fn verify_blocks(&self, report: &mut dyn FnMut(u64, String)) -> Result<()> {
        let first = first_offset(self.is_large());
        if self.is_rewritten() {
            let mapping = self.map(0)?;
            let Some(moved) = mapping.moved() else {
                return Ok(());
            };
            for index in 0..moved.count() {
                if let Some(extent) = moved.extent(mapping.region(), index) {
                    self.verify_range(&mapping, extent.address, extent.place, extent.len, report);
                }
            }
            return Ok(());
        }
        let end = self.len();
        let mapping = self.map(end)?;
        self.verify_range(&mapping, first, first, end.saturating_sub(first), report);
        Ok(())
    }

    /// Blocks of neighbouring addresses. Behind a bad header the next good one is looked for.
    fn verify_range(
        &self,
        mapping: &Mapping,
        address: u64,
        place: u64,
        len: u64,
        report: &mut dyn FnMut(u64, String),
    ) {
        let alignment = if self.is_large() { 4_096 } else { 8 };
        let may_have_gaps = self.is_large() && !self.is_rewritten();
        let mut done = 0;
        let mut damaged_from = None;
        while done < len {
            let at = place.saturating_add(done);
            let found = block_at(
                self,
                mapping,
                address.saturating_add(done),
                at,
                len.saturating_sub(done),
            );
            if found.is_some() {
                if let Some(start) = damaged_from.take() {
                    report_gap(start, at, report);
                }
            }
            match found {
                Some(placed) => {
                    self.verify_block(&placed, report);
                    done = done.saturating_add(placed.found.total_bytes);
                }
                None => {
                    if !may_have_gaps {
                        damaged_from.get_or_insert(at);
                    }
                    done = done.saturating_add(alignment);
                }
            }
        }
        if let Some(start) = damaged_from {
            report_gap(start, place.saturating_add(len), report);
        }
    }

    fn verify_block(&self, placed: &Placed<'_>, report: &mut dyn FnMut(u64, String)) {
        let address = &placed.found.address;
        let crcs = placed.data.chunks(BLOCK_PAGE_BYTES).map(crc32c::crc32c);
        let expected = placed.page_crcs.chunks_exact(4).map(|crc| u32_at(crc, 0));
        let bad_page = crcs
            .zip(expected)
            .position(|(crc, expected)| Some(crc) != expected);
        if bad_page.is_some() || crc32c::crc32c(placed.data) != address.crc32c {
            let page = bad_page.unwrap_or_default().saturating_mul(BLOCK_PAGE_BYTES);
            let at = placed.data_place.saturating_add(to_u64(page));
            report(
                at,
                format!(
                    "the bytes of the block at address {} fail their check",
                    address.offset
                ),
            );
        }
        if placed.gaps.iter().any(|gap| gap.iter().any(|byte| *byte != 0)) {
            let what = format!(
                "the padding of the block at address {} isn't zero",
                address.offset
            );
            report(placed.place, what);
        }
    }
}

fn report_gap(start: u64, end: u64, report: &mut dyn FnMut(u64, String)) {
    report(
        start,
        format!("no block can be read between byte {start} and byte {end}"),
    );
}
