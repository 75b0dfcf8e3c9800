//! Blocks as they lie in chunk files, and the addresses that name them.
//!
//! A small block is `header | owner | bytes | zeros to 8`. A large one is `header | page CRCs | zeros to 4 KiB |
//! bytes`, both parts starting at 4 KiB boundaries. Header CRCs are seeded with the chunk's nonce and the block's
//! own address, so a block can't be taken for another one, wherever a stray copy of it lies.

use super::{
    align4096, align8,
    bytes::{to_u64, to_usize, Reader},
    BLOCK_PAGE_BYTES,
};

pub(crate) const HEADER_BYTES: usize = 24;
pub(crate) const CHUNK_HEADER_BYTES: usize = 32;
pub(crate) const ADDRESS_BYTES: usize = 24;

const SMALL_MAGIC: u32 = u32::from_le_bytes(*b"SBLK");
const LARGE_MAGIC: u32 = u32::from_le_bytes(*b"LBLK");
const CHUNK_MAGIC: u32 = u32::from_le_bytes(*b"SCHK");

/// Where a block lies. Never changes while the block lives; `sarsen_block` in C.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, serde::Serialize, serde::Deserialize)]
pub struct BlockAddress {
    pub chunk: u32,
    /// CRC-32C of the block's bytes.
    pub crc32c: u32,
    /// Of the block's header within the chunk's address space.
    pub offset: u64,
    pub len: u64,
}

impl BlockAddress {
    pub(crate) fn encode(&self) -> [u8; ADDRESS_BYTES] {
        let mut out = [0; ADDRESS_BYTES];
        put(&mut out, 0, &self.chunk.to_le_bytes());
        put(&mut out, 4, &self.crc32c.to_le_bytes());
        put(&mut out, 8, &self.offset.to_le_bytes());
        put(&mut out, 16, &self.len.to_le_bytes());
        out
    }

    pub(crate) fn decode(reader: &mut Reader<'_>) -> Option<BlockAddress> {
        Some(BlockAddress {
            chunk: reader.u32()?,
            crc32c: reader.u32()?,
            offset: reader.u64()?,
            len: reader.u64()?,
        })
    }
}

fn put(out: &mut [u8], at: usize, bytes: &[u8]) {
    if let Some(place) = at.checked_add(bytes.len()).and_then(|end| out.get_mut(at..end)) {
        place.copy_from_slice(bytes);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum BlockKind {
    Small,
    Large,
}

/// The fixed part of a block.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct BlockHeader {
    pub(crate) kind: BlockKind,
    pub(crate) len: u64,
    pub(crate) data_crc: u32,
    /// Bytes between the header and the data: the owner's index key (small) or the page CRCs (large).
    pub(crate) extra_len: u32,
}

impl BlockHeader {
    /// `extra` is what follows the header. A seed of `None` leaves the CRC zero: the form a small block has in a
    /// frame, before its address is known.
    pub(crate) fn encode(&self, seed: Option<(u64, u64)>, extra: &[u8]) -> [u8; HEADER_BYTES] {
        let mut out = [0; HEADER_BYTES];
        let magic = match self.kind {
            BlockKind::Small => SMALL_MAGIC,
            BlockKind::Large => LARGE_MAGIC,
        };
        put(&mut out, 0, &magic.to_le_bytes());
        put(&mut out, 8, &self.len.to_le_bytes());
        put(&mut out, 16, &self.data_crc.to_le_bytes());
        put(&mut out, 20, &self.extra_len.to_le_bytes());
        if let Some((nonce, offset)) = seed {
            let crc = header_crc(nonce, offset, &out, extra);
            put(&mut out, 4, &crc.to_le_bytes());
        }
        out
    }

    /// The fields, without a check of any CRC: `None` where this is no block header.
    pub(crate) fn decode(bytes: &[u8]) -> Option<BlockHeader> {
        let mut reader = Reader::new(bytes);
        let kind = match reader.u32()? {
            SMALL_MAGIC => BlockKind::Small,
            LARGE_MAGIC => BlockKind::Large,
            _ => return None,
        };
        reader.u32()?;
        Some(BlockHeader {
            kind,
            len: reader.u64()?,
            data_crc: reader.u32()?,
            extra_len: reader.u32()?,
        })
    }

    /// Whether `header` (24 bytes) and what follows it carry the CRC of a block at this place.
    pub(crate) fn crc_matches(nonce: u64, offset: u64, header: &[u8], extra: &[u8]) -> bool {
        super::bytes::u32_at(header, 4)
            .is_some_and(|stored| stored == header_crc(nonce, offset, header, extra))
    }

    /// From the header's start to the data's.
    pub(crate) fn data_offset(&self) -> u64 {
        let end = to_u64(HEADER_BYTES).saturating_add(u64::from(self.extra_len));
        match self.kind {
            BlockKind::Small => end,
            BlockKind::Large => align4096(end),
        }
    }

    /// From the header's start to the end of the space this block takes.
    pub(crate) fn total_bytes(&self) -> u64 {
        let end = self.data_offset().saturating_add(self.len);
        match self.kind {
            BlockKind::Small => align8(end),
            BlockKind::Large => align4096(end),
        }
    }
}

/// Bytes that a header's CRC covers besides its owner or table, and an owner that is no longer than most.
const SHORT_CRC_BYTES: usize = 96;

fn header_crc(nonce: u64, offset: u64, header: &[u8], extra: &[u8]) -> u32 {
    let header = header.get(8..HEADER_BYTES).unwrap_or_default();
    let (nonce, offset) = (nonce.to_le_bytes(), offset.to_le_bytes());
    let mut together = [0; SHORT_CRC_BYTES];
    let mut len = 0;
    for piece in [&nonce, &offset, header, extra] {
        let place = together
            .get_mut(len..)
            .and_then(|rest| rest.get_mut(..piece.len()));
        let Some(place) = place else {
            let crc = together.get(..len).map_or(0, crc32c::crc32c);
            // Only the last piece can be too long.
            return crc32c::crc32c_append(crc, piece);
        };
        place.copy_from_slice(piece);
        len += piece.len();
    }
    // One string: a call costs more than the few bytes of a piece.
    together.get(..len).map_or(0, crc32c::crc32c)
}

/// Bytes a small block takes in a frame and in its chunk.
pub(crate) fn small_total_bytes(owner_len: usize, len: usize) -> u64 {
    align8(
        to_u64(HEADER_BYTES)
            .saturating_add(to_u64(owner_len))
            .saturating_add(to_u64(len)),
    )
}

/// Appends a small block in the form it has in a frame: CRC zero, owner zero (it is known at the checkpoint).
/// Returns the CRC-32C of the data.
pub(crate) fn append_small_to_image(image: &mut Vec<u8>, owner_len: u32, data: &[u8]) -> u32 {
    let data_crc = crc32c::crc32c(data);
    let header = BlockHeader {
        kind: BlockKind::Small,
        len: to_u64(data.len()),
        data_crc,
        extra_len: owner_len,
    };
    image.extend_from_slice(&header.encode(None, &[]));
    image.resize(
        image
            .len()
            .saturating_add(to_usize(u64::from(owner_len)).unwrap_or(0)),
        0,
    );
    image.extend_from_slice(data);
    image.resize(to_usize(align8(to_u64(image.len()))).unwrap_or(image.len()), 0);
    data_crc
}

/// One CRC for each 64 KiB page, only for blocks longer than a page; and the CRC of the whole.
pub(crate) fn large_crcs(data: &[u8]) -> (Vec<u32>, u32) {
    if data.len() <= BLOCK_PAGE_BYTES {
        return (Vec::new(), crc32c::crc32c(data));
    }
    let mut pages = Vec::with_capacity(data.len().div_ceil(BLOCK_PAGE_BYTES));
    let mut whole = 0;
    for page in data.chunks(BLOCK_PAGE_BYTES) {
        let crc = crc32c::crc32c(page);
        whole = match page.len() {
            BLOCK_PAGE_BYTES => after_a_page(whole) ^ crc,
            _ => crc32c::crc32c_append(whole, page),
        };
        pages.push(crc);
    }
    (pages, whole)
}

/// What a CRC becomes when a page of zeros follows: the rest of putting two CRCs together is an XOR. A matrix over
/// GF(2), one row for each bit of the CRC, as in zlib's `crc32_combine`. For any length it would have to be made
/// anew, which takes longer than reading a page twice.
#[expect(clippy::indexing_slicing, reason = "the compiler does it, and would notice")]
const PAGE_OF_ZEROS: [u32; 32] = {
    // One zero bit, squared until it is a page of them.
    let mut rows = [0_u32; 32];
    rows[0] = 0x82f6_3b78;
    let mut row = 1;
    while row < 32 {
        rows[row] = 1 << (row - 1);
        row += 1;
    }
    let mut bits = 1;
    while bits < 8 * BLOCK_PAGE_BYTES {
        let mut squared = [0; 32];
        row = 0;
        while row < 32 {
            squared[row] = times(&rows, rows[row]);
            row += 1;
        }
        rows = squared;
        bits *= 2;
    }
    assert!(bits == 8 * BLOCK_PAGE_BYTES);
    rows
};

#[expect(clippy::indexing_slicing, reason = "of 32 rows with the numbers of 32 bits")]
const fn times(rows: &[u32; 32], mut vector: u32) -> u32 {
    let mut sum = 0;
    while vector != 0 {
        sum ^= rows[vector.trailing_zeros() as usize];
        vector &= vector - 1;
    }
    sum
}

fn after_a_page(crc: u32) -> u32 {
    times(&PAGE_OF_ZEROS, crc)
}

/// The 4 KiB-aligned head of a large block: header, page CRCs, zeros.
pub(crate) fn encode_large_head(nonce: u64, offset: u64, data: &[u8]) -> (Vec<u8>, u32) {
    let (pages, whole) = large_crcs(data);
    let table: Vec<u8> = pages.iter().flat_map(|crc| crc.to_le_bytes()).collect();
    let header = BlockHeader {
        kind: BlockKind::Large,
        len: to_u64(data.len()),
        data_crc: whole,
        extra_len: u32::try_from(table.len()).unwrap_or(u32::MAX),
    };
    let mut head = header.encode(Some((nonce, offset)), &table).to_vec();
    head.extend_from_slice(&table);
    head.resize(to_usize(header.data_offset()).unwrap_or(head.len()), 0);
    (head, whole)
}

fn chunk_header_crc(uuid: &[u8; 16], header: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(uuid), header.get(8..).unwrap_or_default())
}

/// The first bytes of a chunk file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ChunkHeader {
    /// Seeds the CRC of every block header in the chunk; kept when the chunk is rewritten or copied to a backup.
    pub(crate) nonce: u64,
    pub(crate) number: u32,
    /// Counts how often the chunk was rewritten; the table of moved blocks is at the file's end when above 0.
    pub(crate) rewrite: u32,
}

impl ChunkHeader {
    /// `uuid`: of the store that the file belongs to.
    pub(crate) fn encode(&self, uuid: &[u8; 16]) -> [u8; CHUNK_HEADER_BYTES] {
        let mut out = [0; CHUNK_HEADER_BYTES];
        put(&mut out, 0, &CHUNK_MAGIC.to_le_bytes());
        put(&mut out, 8, &self.nonce.to_le_bytes());
        put(&mut out, 16, &self.number.to_le_bytes());
        put(&mut out, 20, &self.rewrite.to_le_bytes());
        let crc = chunk_header_crc(uuid, &out);
        put(&mut out, 4, &crc.to_le_bytes());
        out
    }

    pub(crate) fn decode(bytes: &[u8], uuid: &[u8; 16]) -> Option<ChunkHeader> {
        let bytes = bytes.get(..CHUNK_HEADER_BYTES)?;
        let mut reader = Reader::new(bytes);
        let magic = reader.u32()?;
        let crc = reader.u32()?;
        if magic != CHUNK_MAGIC || crc != chunk_header_crc(uuid, bytes) {
            return None;
        }
        let (nonce, number, rewrite) = (reader.u64()?, reader.u32()?, reader.u32()?);
        (reader.u64()? == 0).then_some(ChunkHeader {
            nonce,
            number,
            rewrite,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_crc_of_a_large_block_is_that_of_all_its_bytes_and_each_page_has_its_own() {
        let data: Vec<u8> = (0..4 * BLOCK_PAGE_BYTES as u32 + 77)
            .map(|i| (i.wrapping_mul(i) >> 7) as u8)
            .collect();
        for len in [
            0,
            1,
            BLOCK_PAGE_BYTES,
            BLOCK_PAGE_BYTES + 1,
            4 * BLOCK_PAGE_BYTES,
            data.len(),
        ] {
            let data = &data[..len];
            let (pages, whole) = large_crcs(data);
            assert_eq!(whole, crc32c::crc32c(data), "{len}");
            let expected = data.chunks(BLOCK_PAGE_BYTES).map(crc32c::crc32c);
            assert!(
                len <= BLOCK_PAGE_BYTES && pages.is_empty() || pages.into_iter().eq(expected),
                "{len}"
            );
        }
    }
}
