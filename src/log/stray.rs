//! Signs that a segment's file is not the one that belongs in its place, or not all of it: what no crash leaves, so it is
//! damage whatever else is known.
//!
//! A file that is renamed for another round gets a higher number, so what lies in it is of a lower one. And a segment is
//! as long as it is to be, and on disk, before its first frame.

use std::sync::Arc;

use super::{
    inspect::{frame_behind, header_at, mark_at, unchecked_header_at, unchecked_mark_at, CheckedHeader},
    replay::ReplayStart,
    segment::Segment,
    supply::FIRST_SEGMENT_BYTES,
};
use crate::format::{
    bytes::to_u64,
    frame::{FrameSeed, MARK_BYTES},
    manifest::LogPosition,
};

/// No sector lies within an assigned section that is shorter, so a torn write can't hit it alone.
const SMALL_ASSIGNED_BYTES: u32 = 500;
const SEGMENT_UNIT: u64 = 4_096;

/// Something that is wrong, with segment, offset and the commit that it is about.
pub(super) struct Stray {
    pub(super) segment: u64,
    pub(super) offset: u64,
    pub(super) what: String,
    pub(super) seq: u64,
}

/// Where the log that begins at `start` ends at `position` before commit `expected`, in segments of which those before `position` are passed.
pub(super) fn find(
    segments: &[Arc<Segment>],
    uuid: [u8; 16],
    start: &ReplayStart,
    position: &LogPosition,
    expected: u64,
    scratch: &mut Vec<u8>,
) -> Option<Stray> {
    let ahead = || {
        segments
            .iter()
            .filter(|segment| segment.number() >= position.segment)
    };
    let highest = segments.last().map_or(0, |segment| segment.number());
    let mut found = ahead().find_map(|segment| misnamed(segment, uuid, highest, expected, scratch));
    for segment in ahead() {
        let at_position = segment.number() == position.segment;
        let places = [0, position.offset];
        for offset in places.into_iter().take(if at_position { 2 } else { 1 }) {
            found = found.or_else(|| of_another_store(segment, uuid, start.epoch, offset, scratch));
        }
    }
    found.or_else(|| cut_short(ahead().next()?, uuid, position, expected, scratch))
}

/// A segment that begins with a frame of a later one.
fn misnamed(
    segment: &Segment,
    uuid: [u8; 16],
    highest: u64,
    expected: u64,
    scratch: &mut Vec<u8>,
) -> Option<Stray> {
    let (header, _, _) = unchecked_header_at(segment.region(), 0)?;
    if header.seq < expected || is_of(segment, uuid, segment.number(), 0, scratch) {
        return None;
    }
    let number = (segment.number().saturating_add(1)..=highest)
        .find(|number| is_of(segment, uuid, *number, 0, scratch))?;
    Some(Stray {
        segment: segment.number(),
        offset: 0,
        what: format!("this is segment {number} under the name of another one"),
        seq: expected,
    })
}

fn is_of(segment: &Segment, uuid: [u8; 16], number: u64, offset: u64, scratch: &mut Vec<u8>) -> bool {
    let seed = FrameSeed {
        uuid,
        segment: number,
    };
    header_at(segment.region(), &seed, offset, scratch).is_some()
}

/// Two frames that go on with each other, or one with its mark, whole but for CRCs that hold for no segment of this
/// store: with one frame alone, a damaged header would look the same. In a store that nobody wrote to yet, by its
/// manifest of epoch 0, there is no frame to be damaged.
fn of_another_store(
    segment: &Segment,
    uuid: [u8; 16],
    epoch: u64,
    offset: u64,
    scratch: &mut Vec<u8>,
) -> Option<Stray> {
    let first = whole_but_for_its_seed(segment, offset, scratch)?;
    let next = offset.checked_add(first.frame_len)?;
    let goes_on = match whole_but_for_its_seed(segment, next, scratch) {
        Some(second) => {
            second.header.previous_crc == first.crc
                && Some(second.header.seq) == first.header.seq.checked_add(1)
        }
        None => {
            let mark = unchecked_mark_at(segment.region(), next);
            mark.is_some_and(|mark| mark.epoch == first.header.epoch)
        }
    };
    if !goes_on && epoch > 0 {
        return None;
    }
    let ours = (1..=segment.number()).rev().any(|number| {
        let seed = FrameSeed {
            uuid,
            segment: number,
        };
        [offset, next].into_iter().any(|place| {
            header_at(segment.region(), &seed, place, scratch).is_some()
                || mark_at(segment.region(), &seed, place).is_some()
        })
    });
    (!ours).then(|| Stray {
        segment: segment.number(),
        offset,
        what: "these are frames of another store: this file or the manifest is not the one that belongs here"
            .into(),
        seq: 0,
    })
}

fn whole_but_for_its_seed(segment: &Segment, offset: u64, scratch: &mut Vec<u8>) -> Option<CheckedHeader> {
    let (header, crc, frame_len) = unchecked_header_at(segment.region(), offset)?;
    let end = offset.checked_add(frame_len)?;
    if end > segment.region().len() || header.assigned_len > SMALL_ASSIGNED_BYTES {
        return None;
    }
    let checked = CheckedHeader {
        header,
        crc,
        frame_len,
    };
    frame_behind(segment.region(), offset, &checked, scratch)?;
    Some(checked)
}

/// The segment that the log ends in is shorter than it was made, or than a frame in it says.
fn cut_short(
    segment: &Segment,
    uuid: [u8; 16],
    position: &LogPosition,
    expected: u64,
    scratch: &mut Vec<u8>,
) -> Option<Stray> {
    if segment.number() != position.segment || position.offset == 0 {
        return None;
    }
    let size = segment.size();
    let room_for_mark = position.offset.saturating_add(to_u64(MARK_BYTES)) <= size;
    let as_made = size >= FIRST_SEGMENT_BYTES && size.is_multiple_of(SEGMENT_UNIT) && room_for_mark;
    if as_made && !reaches_beyond(segment, uuid, position, expected, scratch) {
        return None;
    }
    Some(Stray {
        segment: position.segment,
        offset: position.offset,
        what: format!("the segment was cut short, to {size} bytes"),
        seq: expected,
    })
}

/// Whether the frame that comes next would end behind the segment's end, where no frame ends.
fn reaches_beyond(
    segment: &Segment,
    uuid: [u8; 16],
    position: &LogPosition,
    expected: u64,
    scratch: &mut Vec<u8>,
) -> bool {
    let seed = FrameSeed {
        uuid,
        segment: segment.number(),
    };
    unchecked_header_at(segment.region(), position.offset).is_some_and(|(header, crc, frame_len)| {
        let end = position.offset.saturating_add(frame_len);
        header.seq == expected
            && header.previous_crc == position.previous_crc
            && end > segment.size()
            && super::inspect::header_crc_holds(
                segment.region(),
                &seed,
                position.offset,
                &header,
                crc,
                scratch,
            )
    })
}
