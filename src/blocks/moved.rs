//! The table at the end of a rewritten chunk: where the blocks are that the rewriting kept.
//!
//! Blocks are copied in order, back to back, so neighbours that both live stay neighbours. The table has one entry
//! for each *extent* of such neighbours, not for each block:
//!
//! | bytes | |
//! |---|---|
//! | 0..4 | magic `SMOV` |
//! | 4..8 | CRC-32C of nonce, chunk number, rewrite count, the table's own offset, count and entries |
//! | 8..16 | u64 count |
//! | 16.. | count entries of u32 address and u32 place, both in units of 8 bytes, ascending |
//!
//! An extent ends where the next one's place begins, the last one at the table. That a block really starts at an
//! address within an extent, its header says, whose CRC is seeded with the address; so a wrong entry can make a block
//! unfindable, but never give another one's bytes.

use super::MAX_CHUNK_BYTES;
use crate::{
    format::{
        bytes::{to_u64, u32_at, u64_at},
        manifest::ChunkMeta,
    },
    vfs::Region,
};

pub(super) const TABLE_HEADER_BYTES: u64 = 16;
pub(super) const ENTRY_BYTES: u64 = 8;
const MAGIC: u32 = u32::from_le_bytes(*b"SMOV");
/// What addresses and places are multiples of.
const UNIT: u64 = 8;

/// Neighbouring blocks that moved together.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    /// In the chunk's address space.
    pub(super) address: u64,
    /// In the file.
    pub(super) place: u64,
    pub(super) len: u64,
}

/// An entry as it lies in the table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Entry {
    address: u32,
    place: u32,
}

impl Entry {
    /// `None` where a number doesn't fit, which `MAX_CHUNK_BYTES` rules out.
    pub(super) fn new(address: u64, place: u64) -> Option<Entry> {
        let unit = |bytes: u64| {
            bytes
                .is_multiple_of(UNIT)
                .then(|| u32::try_from(bytes / UNIT).ok())
                .flatten()
        };
        Some(Entry {
            address: unit(address)?,
            place: unit(place)?,
        })
    }

    fn encode(self) -> [u8; 8] {
        (u64::from(self.address) | (u64::from(self.place) << 32)).to_le_bytes()
    }

    fn address(self) -> u64 {
        u64::from(self.address).saturating_mul(UNIT)
    }

    fn place(self) -> u64 {
        u64::from(self.place).saturating_mul(UNIT)
    }
}

/// The table's header and its entries, for writing.
pub(super) fn encode_header(meta: &ChunkMeta, entries: &[Entry]) -> [u8; 16] {
    let count = to_u64(entries.len());
    let crc = entries.iter().fold(seed(meta, count), |crc, entry| {
        crc32c::crc32c_append(crc, &entry.encode())
    });
    let first = u64::from(MAGIC) | (u64::from(crc) << 32);
    (u128::from(first) | (u128::from(count) << 64)).to_le_bytes()
}

pub(super) fn encode_entries(entries: &[Entry]) -> Vec<u8> {
    entries.iter().flat_map(|entry| entry.encode()).collect()
}

fn seed(meta: &ChunkMeta, count: u64) -> u32 {
    let crc = crc32c::crc32c(&meta.nonce.to_le_bytes());
    let crc = crc32c::crc32c_append(crc, &meta.number.to_le_bytes());
    let crc = crc32c::crc32c_append(crc, &meta.rewrite.to_le_bytes());
    let crc = crc32c::crc32c_append(crc, &meta.table_offset.to_le_bytes());
    crc32c::crc32c_append(crc, &count.to_le_bytes())
}

/// A table that passed its check, within the region that the chunk is mapped to.
#[derive(Debug)]
pub(super) struct MovedTable {
    offset: u64,
    count: u64,
}

impl MovedTable {
    /// Checks everything about the table once; the error says what is wrong with it.
    pub(super) fn check(
        region: &Region,
        meta: &ChunkMeta,
        first_offset: u64,
    ) -> Result<MovedTable, &'static str> {
        const SHORT: &str = "the table of moved blocks lies outside the file";
        let header = region.bytes(meta.table_offset, TABLE_HEADER_BYTES).ok_or(SHORT)?;
        let count = u64_at(header, 8).ok_or(SHORT)?;
        let entries_len = count.checked_mul(ENTRY_BYTES).ok_or(SHORT)?;
        let expected_len = meta
            .table_offset
            .checked_add(TABLE_HEADER_BYTES)
            .and_then(|at| at.checked_add(entries_len));
        if u32_at(header, 0) != Some(MAGIC)
            || expected_len != Some(meta.len)
            || meta.table_offset > MAX_CHUNK_BYTES
        {
            return Err("the table of moved blocks has a bad header");
        }
        let table = MovedTable {
            offset: meta.table_offset,
            count,
        };
        let entries = region.bytes(table.entries_offset(), entries_len).ok_or(SHORT)?;
        if u32_at(header, 4) != Some(crc32c::crc32c_append(seed(meta, count), entries)) {
            return Err("the table of moved blocks fails its check");
        }
        table
            .check_order(region, first_offset)
            .ok_or("the table of moved blocks is out of order")?;
        Ok(table)
    }

    /// A CRC can be right over nonsense: extents must start behind the header, ascend and not overlap.
    fn check_order(&self, region: &Region, first_offset: u64) -> Option<()> {
        let (mut least_address, mut next_place) = (first_offset, first_offset);
        for index in 0..self.count {
            let extent = self.extent(region, index)?;
            if extent.address < least_address || extent.place != next_place || extent.len == 0 {
                return None;
            }
            least_address = extent.address.checked_add(extent.len)?;
            next_place = extent.place.checked_add(extent.len)?;
        }
        (next_place == self.offset && least_address <= MAX_CHUNK_BYTES).then_some(())
    }

    fn entries_offset(&self) -> u64 {
        self.offset.saturating_add(TABLE_HEADER_BYTES)
    }

    pub(super) fn count(&self) -> u64 {
        self.count
    }

    fn entry(&self, region: &Region, index: u64) -> Option<Entry> {
        if index >= self.count {
            return None;
        }
        let at = index
            .checked_mul(ENTRY_BYTES)?
            .checked_add(self.entries_offset())?;
        let bytes = region.bytes(at, ENTRY_BYTES)?;
        Some(Entry {
            address: u32_at(bytes, 0)?,
            place: u32_at(bytes, 4)?,
        })
    }

    pub(super) fn extent(&self, region: &Region, index: u64) -> Option<Extent> {
        let entry = self.entry(region, index)?;
        let end = match index.checked_add(1) {
            Some(next) if next < self.count => self.entry(region, next)?.place(),
            _ => self.offset,
        };
        let len = end.checked_sub(entry.place())?;
        Some(Extent {
            address: entry.address(),
            place: entry.place(),
            len,
        })
    }

    /// The first extent that reaches beyond `address`; `count` where none does.
    pub(super) fn first_beyond(&self, region: &Region, address: u64) -> u64 {
        let (mut low, mut high) = (0, self.count);
        while low < high {
            let middle = low + (high - low) / 2;
            let is_beyond = self
                .extent(region, middle)
                .is_some_and(|extent| extent.address.saturating_add(extent.len) > address);
            if is_beyond {
                high = middle;
            } else {
                low = middle + 1;
            }
        }
        low
    }

    /// Where `address` went, and how far the extent around it reaches in the file.
    pub(super) fn place_of(&self, region: &Region, address: u64) -> Option<(u64, u64)> {
        let extent = self.extent(region, self.first_beyond(region, address))?;
        let within = address.checked_sub(extent.address)?;
        Some((
            extent.place.checked_add(within)?,
            extent.place.checked_add(extent.len)?,
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::golden::{assert_golden, bytes_of};

    /// See `format::golden`.
    const MOVED_TABLE: &str = "
        534d4f56 | magic SMOV
        428bf303 | crc of nonce, number, rewrite, table offset, count, entries
        0200000000000000 | count
        00020000 | address 4096 / 8
        00020000 | place 4096 / 8
        000a0000 | address 20480 / 8
        00040000 | place 8192 / 8
    ";

    #[test]
    fn a_table_of_moved_blocks_has_its_golden_bytes() {
        let meta = ChunkMeta {
            number: 2,
            rewrite: 1,
            nonce: 0x0807_0605_0403_0201,
            large: true,
            len: 16_384 + 32,
            table_offset: 16_384,
            last_seq: 9,
            dead_bytes: 0,
        };
        let entries: Vec<Entry> = [(4_096, 4_096), (20_480, 8_192)]
            .iter()
            .map(|(address, place)| Entry::new(*address, *place).unwrap())
            .collect();
        let table = [
            encode_header(&meta, &entries).as_slice(),
            &encode_entries(&entries),
        ]
        .concat();
        assert_golden(&table, MOVED_TABLE);

        let region = Region::anonymous(16_384 + 32).unwrap();
        region.store(16_384, &bytes_of(MOVED_TABLE)).unwrap();
        let table = MovedTable::check(&region, &meta, 4_096).unwrap();
        let extents = [
            Extent {
                address: 4_096,
                place: 4_096,
                len: 4_096,
            },
            Extent {
                address: 20_480,
                place: 8_192,
                len: 8_192,
            },
        ];
        assert_eq!(table.count(), 2);
        for (index, extent) in (0..).zip(extents) {
            assert_eq!(table.extent(&region, index), Some(extent));
        }
        assert_eq!(table.place_of(&region, 24_576), Some((12_288, 16_384)));
        assert_eq!(table.place_of(&region, 8_192), None);
    }
}
