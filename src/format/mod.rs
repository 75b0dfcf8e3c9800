//! Bytes <-> structs: pure functions over slices, no I/O, total on any input. `docs/FORMAT.md` gives the same
//! layouts as byte tables, `golden` holds their vectors.
//!
//! Everything is little-endian except keys inside the index, which are big-endian so that they sort.

pub(crate) mod block;
pub(crate) mod bytes;
pub(crate) mod command;
pub(crate) mod frame;
#[cfg(feature = "simulation")]
pub(crate) mod fuzzing;
#[cfg(test)]
pub(crate) mod golden;
pub(crate) mod load;
pub(crate) mod manifest;
pub(crate) mod record;

/// Version of the disk format, in the manifest. A newer one is refused, an older one still opens.
pub(crate) const FORMAT_VERSION: u32 = 1;

/// Longest key-value key and stream name, in bytes.
pub(crate) const MAX_KEY_BYTES: usize = 65_535;
/// Longest tag, in bytes; the shortest has one.
pub(crate) const MAX_TAG_BYTES: usize = 1_024;
/// Most tags of one memory.
pub(crate) const MAX_TAGS: usize = 1_024;
/// Longest value, record or block, in bytes.
pub(crate) const MAX_VALUE_BYTES: u64 = (1 << 32) - 1;
/// Most bytes of a commit's commands, and beside them of its small blocks.
pub(crate) const MAX_COMMIT_BYTES: usize = 1 << 30;
/// Values up to this length lie in the index beside their key; longer ones become blocks.
pub(crate) const MAX_INLINE_BYTES: usize = 1_024;
/// Blocks up to this length travel in the frame and reach their chunk at the checkpoint; longer ones are written
/// to a chunk at once.
pub(crate) const MAX_SMALL_BYTES: usize = 32 * 1_024;
/// A block above this length carries one CRC for each page of this length.
pub(crate) const BLOCK_PAGE_BYTES: usize = 64 * 1_024;

/// Whether a memory can have these tags: within the limits, ascending, distinct.
pub(crate) fn are_tags(tags: &[&str]) -> bool {
    tags.len() <= MAX_TAGS
        && tags.iter().all(|tag| (1..=MAX_TAG_BYTES).contains(&tag.len()))
        && tags.is_sorted_by(|tag, next| tag < next)
}

/// Rounds up to the 8-byte boundary that frames and blocks start at; the last one where there is none above.
pub(crate) const fn align8(len: u64) -> u64 {
    len.saturating_add(7) & !7
}

/// The same for the 4 KiB boundary that large blocks, pages and manifest copies start at.
pub(crate) const fn align4096(len: u64) -> u64 {
    len.saturating_add(4_095) & !4_095
}
