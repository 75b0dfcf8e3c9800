//! Looking at log bytes that this or another process may be storing to at this moment: everything is copied out of the
//! map first and checked in the copy. Bytes that pass are final, because a frame is never changed once it is whole.
//!
//! Pure reading, from any thread. Nothing here allocates more than the file is long.

use crate::{
    format::{
        align8,
        bytes::{to_u64, to_usize},
        frame::{Frame, FrameHeader, FrameSeed, Mark, FRAME_MAGIC, HEADER_BYTES, MARK_BYTES, MARK_MAGIC},
    },
    vfs::{is_made, Defect, Region},
};

const PIECE_BYTES: usize = 64 << 10;
/// Headers with no more than this beside them are always looked at by [`look_on`].
const SMALL_ASSIGNED_BYTES: u32 = 256;

/// A header whose CRC holds, assigned section included; the payload behind it may be anything.
#[derive(Debug, Clone, Copy)]
pub(super) struct CheckedHeader {
    pub(super) header: FrameHeader,
    pub(super) crc: u32,
    /// The whole frame's; it ends inside the region.
    pub(super) frame_len: u64,
}

/// The header at `offset`, if its own CRC holds for this segment.
pub(super) fn header_at(
    region: &Region,
    seed: &FrameSeed,
    offset: u64,
    scratch: &mut Vec<u8>,
) -> Option<CheckedHeader> {
    let (header, crc, frame_len) = unchecked_header_at(region, offset)?;
    if offset.checked_add(frame_len)? > region.len() {
        return None;
    }
    header_crc_holds(region, seed, offset, &header, crc, scratch).then_some(CheckedHeader {
        header,
        crc,
        frame_len,
    })
}

/// Whether header and assigned section are what the CRC says, wherever the rest of the frame ends.
pub(super) fn header_crc_holds(
    region: &Region,
    seed: &FrameSeed,
    offset: u64,
    header: &FrameHeader,
    crc: u32,
    scratch: &mut Vec<u8>,
) -> bool {
    let assigned_at = offset.saturating_add(to_u64(HEADER_BYTES));
    let assigned_end = assigned_at.saturating_add(u64::from(header.assigned_len));
    let Some(len) = to_usize(u64::from(header.assigned_len)).filter(|_| assigned_end <= region.len()) else {
        return false;
    };
    scratch.clear();
    scratch.resize(len, 0);
    region.copy_to(assigned_at, scratch).is_some() && header.encode(seed, scratch).1 == crc
}

/// What claims to be a header at `offset`: magic and lengths make sense, nothing else is checked.
pub(super) fn unchecked_header_at(region: &Region, offset: u64) -> Option<(FrameHeader, u32, u64)> {
    let mut head = [0; HEADER_BYTES];
    region.copy_to(offset, &mut head)?;
    let (header, crc) = FrameHeader::decode_unchecked(&head)?;
    Some((header, crc, header.frame_len()?))
}

/// The whole frame behind a checked header, its payload checked too; its slices point into the region.
pub(super) fn frame_behind<'a>(
    region: &'a Region,
    offset: u64,
    checked: &CheckedHeader,
    scratch: &mut Vec<u8>,
) -> Option<Frame<'a>> {
    let header = checked.header;
    let head_len = to_u64(HEADER_BYTES).checked_add(u64::from(header.assigned_len))?;
    let end = offset.checked_add(checked.frame_len)?;
    let mut at = offset.checked_add(head_len)?;
    let commands_at = at;
    let mut crc = 0;
    while at < end {
        let len = to_usize(end - at).unwrap_or(PIECE_BYTES).min(PIECE_BYTES);
        scratch.resize(len, 0);
        region.copy_to(at, scratch)?;
        crc = crc32c::crc32c_append(crc, scratch);
        at = at.checked_add(to_u64(len))?;
    }
    if crc != header.payload_crc && !is_made(Defect::TornFrameAccepted) {
        return None;
    }
    let image_offset = head_len.checked_add(align8(header.commands_len))?;
    Some(Frame {
        header,
        crc: checked.crc,
        assigned: region.bytes(
            offset.checked_add(to_u64(HEADER_BYTES))?,
            u64::from(header.assigned_len),
        )?,
        commands: region.bytes(commands_at, header.commands_len)?,
        image: region.bytes(offset.checked_add(image_offset)?, header.image_len)?,
        image_offset,
    })
}

/// The mark at `offset`, if its CRC holds for this segment.
pub(super) fn mark_at(region: &Region, seed: &FrameSeed, offset: u64) -> Option<Mark> {
    let mut bytes = [0; MARK_BYTES];
    region.copy_to(offset, &mut bytes)?;
    Mark::decode(seed, &bytes)
}

/// What claims to be a mark at `offset`; its CRC is not checked.
pub(super) fn unchecked_mark_at(region: &Region, offset: u64) -> Option<Mark> {
    let mut bytes = [0; MARK_BYTES];
    region.copy_to(offset, &mut bytes)?;
    Mark::decode_unchecked(&bytes)
}

/// What frames and marks behind a log's end say. None of them is ever applied.
#[derive(Debug, Default, Clone, Copy)]
pub(super) struct Evidence {
    /// Newest commit that one of them says was durable.
    pub(super) durable_seq: u64,
    /// Newest commit of which a header is there.
    pub(super) newest_seq: u64,
    pub(super) newest_epoch: u64,
    /// Where the last frame ends that has a header.
    pub(super) end: u64,
}

/// Looks at every 8-byte boundary of the region from `offset` on. A header whose own CRC holds is evidence even where
/// its payload is torn: what it says was true when it was written.
pub(super) fn look_on(region: &Region, seed: &FrameSeed, offset: u64, scratch: &mut Vec<u8>) -> Evidence {
    let mut evidence = Evidence::default();
    // True headers don't overlap; a file made up of false ones must not cost more than a few times its length.
    let mut budget = region.len().saturating_mul(2);
    let mut piece = Vec::new();
    let mut start = align8(offset);
    while start < region.len() {
        let len = region.len().saturating_sub(start).min(to_u64(PIECE_BYTES));
        piece.resize(to_usize(len).unwrap_or(0), 0);
        if region.copy_to(start, &mut piece).is_none() {
            break;
        }
        for (index, magic) in magics_in(&piece) {
            let at = start.saturating_add(to_u64(index).saturating_mul(8));
            if magic == MARK_MAGIC {
                if let Some(mark) = mark_at(region, seed, at) {
                    evidence.durable_seq = evidence.durable_seq.max(mark.durable_seq);
                    evidence.newest_epoch = evidence.newest_epoch.max(mark.epoch);
                }
                continue;
            }
            let Some((header, _, _)) = unchecked_header_at(region, at) else {
                continue;
            };
            if header.assigned_len > SMALL_ASSIGNED_BYTES {
                match budget.checked_sub(u64::from(header.assigned_len)) {
                    Some(left) => budget = left,
                    None => continue,
                }
            }
            if let Some(checked) = header_at(region, seed, at, scratch) {
                evidence.durable_seq = evidence.durable_seq.max(checked.header.durable_seq);
                evidence.newest_seq = evidence.newest_seq.max(checked.header.seq);
                evidence.newest_epoch = evidence.newest_epoch.max(checked.header.epoch);
                evidence.end = evidence.end.max(at.saturating_add(checked.frame_len));
            }
        }
        start = start.saturating_add(len);
    }
    evidence
}

/// The numbers of the eight-byte words that begin with the magic of a frame or a mark, and which one. Many halves of words
/// are looked at together and without a branch, which the compiler makes vectors of: what lies behind a log's end may be
/// most of the log.
fn magics_in(piece: &[u8]) -> impl Iterator<Item = (usize, u32)> + '_ {
    const TOGETHER: usize = 32;
    let is_magic = |half: u32| (half == FRAME_MAGIC) | (half == MARK_MAGIC);
    let groups = piece.chunks(8 * TOGETHER).enumerate();
    let with_any = groups.filter(move |(_, group)| {
        let halves = group.as_chunks().0.iter();
        // Numbers, since a `bool` is not made vectors of.
        halves.fold(0, |any, half| {
            any | u32::from(is_magic(u32::from_le_bytes(*half)))
        }) != 0
    });
    with_any.flat_map(move |(number, group)| {
        let words = group.as_chunks::<8>().0.iter().enumerate();
        words.filter_map(move |(index, word)| {
            let first_half = u32::from_le_bytes(*word.first_chunk()?);
            is_magic(first_half).then_some((number * TOGETHER + index, first_half))
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn magics_are_found_wherever_a_word_begins_and_nowhere_else() {
        for len in [0, 7, 8, 255, 256, 260, 264, 600] {
            let words = len / 8;
            for word in 0..words {
                for (magic, offset, found) in [
                    (FRAME_MAGIC, 0, true),
                    (MARK_MAGIC, 0, true),
                    (FRAME_MAGIC, 4, false),
                ] {
                    let mut piece = vec![0x5a; len];
                    let at = word * 8 + offset;
                    piece[at..at + 4].copy_from_slice(&magic.to_le_bytes());
                    let expected = found.then_some((word, magic));
                    assert!(magics_in(&piece).eq(expected), "{len} bytes, at {at}");
                }
            }
            let all = FRAME_MAGIC.to_le_bytes().repeat(len / 4);
            assert!(magics_in(&all).eq((0..words).map(|word| (word, FRAME_MAGIC))));
        }
    }
}
