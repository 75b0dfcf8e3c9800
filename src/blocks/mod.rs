//! Chunk files and the blocks in them: writing, reading in place with checks, reclaiming by rewriting.
//!
//! A chunk holds either small blocks, which a checkpoint copies out of the log, or large ones, which go to the chunk
//! before their commit has a seq. Only a frame makes a block exist; nothing here knows about commits. An address
//! stays good while its block lives: a rewritten chunk finds the new place through a table (`moved`).
//!
//! Reads may come from any thread and take no lock once the chunk is mapped. Writing says at each type who may.

mod ahead;
mod chunk;
#[cfg(feature = "simulation")]
pub(crate) mod fuzzing;
mod large;
mod mapping;
mod moved;
mod pending;
mod read;
mod rewrite;
mod set;
mod slice;
#[cfg(test)]
mod tests;
mod verify;
mod walk;
mod writing;

pub(crate) use chunk::{Chunk, ChunkOptions};
pub(crate) use large::LargeWriter;
pub(crate) use pending::{Pending, PendingImage};
pub(crate) use rewrite::{RewriteStep, Rewriter};
pub(crate) use set::ChunkSet;
pub(crate) use slice::BlockSlice;
pub(crate) use walk::FoundBlock;

use crate::format::{
    block::{BlockAddress, BlockHeader, BlockKind, CHUNK_HEADER_BYTES},
    bytes::to_u64,
    BLOCK_PAGE_BYTES,
};

/// No chunk reaches beyond this: places in a table of moved blocks are u32 in units of 8 bytes.
pub(crate) const MAX_CHUNK_BYTES: u64 = 1 << 35;

/// Where the first block of a chunk lies, and how long a chunk without blocks is.
pub(crate) const fn first_offset(large: bool) -> u64 {
    if large {
        4_096
    } else {
        to_u64(CHUNK_HEADER_BYTES)
    }
}

/// The chunk's file within the blocks directory: `chunk_0000.bin`, once rewritten `chunk_0000.r1.bin`.
pub(crate) fn chunk_file_name(number: u32, rewrite: u32) -> String {
    match rewrite {
        0 => format!("chunk_{number:04}.bin"),
        _ => format!("chunk_{number:04}.r{rewrite}.bin"),
    }
}

/// The number and the rewrite count in a chunk's file name; `None` where the name is none of ours.
pub(crate) fn parse_chunk_file_name(name: &str) -> Option<(u32, u32)> {
    let middle = name.strip_prefix("chunk_")?.strip_suffix(".bin")?;
    let (number, rewrite) = middle.split_once(".r").unwrap_or((middle, "0"));
    let parsed = (number.parse().ok()?, rewrite.parse().ok()?);
    (chunk_file_name(parsed.0, parsed.1) == name).then_some(parsed)
}

/// The header that a large block of `len` bytes has.
fn large_header(len: u64, data_crc: u32) -> BlockHeader {
    let page = to_u64(BLOCK_PAGE_BYTES);
    let table = if len > page {
        len.div_ceil(page).saturating_mul(4)
    } else {
        0
    };
    BlockHeader {
        kind: BlockKind::Large,
        len,
        data_crc,
        extra_len: u32::try_from(table).unwrap_or(u32::MAX),
    }
}

/// Bytes that a large block of `len` bytes takes in its chunk, head included.
pub(crate) fn large_total_bytes(len: u64) -> u64 {
    large_header(len, 0).total_bytes()
}

/// Where the next block may lie behind the large block at `address`.
pub(crate) fn large_end(address: &BlockAddress) -> u64 {
    address.offset.saturating_add(large_total_bytes(address.len))
}
