//! Appends frames and marks at the log's end. One thread at a time, under the engine's append lock; no I/O but
//! the `pwrite` of a frame that asks for it.
//!
//! Invariants: frames lie back to back; each names the stored header CRC of the one before; the last 32 bytes of a
//! segment stay free for a mark; after an error the end is where it was.

use std::sync::Arc;

use super::segment::Segment;
use crate::{
    error::{Error, Result},
    format::{
        align8,
        bytes::{to_u64, to_usize},
        frame::{FrameHeader, FrameSeed, Mark, HEADER_BYTES, MARK_BYTES},
        manifest::LogPosition,
    },
};

/// Frames up to this length are put together first and go out in one piece: one system call, or one copy of what is in
/// the cache.
const ONE_PIECE_BYTES: u64 = 64 << 10;
pub(crate) const ONE_PIECE_STORED_BYTES: u64 = 4 << 10;

/// What a frame is made of; lengths as `format::frame` wants them.
#[derive(Debug, Clone, Copy)]
pub(crate) struct FrameParts<'a> {
    pub(crate) seq: u64,
    pub(crate) epoch: u64,
    pub(crate) durable_seq: u64,
    pub(crate) command_count: u32,
    /// `format::frame::payload_crc` of commands and image.
    pub(crate) payload_crc: u32,
    pub(crate) assigned: &'a [u8],
    pub(crate) commands: &'a [u8],
    pub(crate) image: &'a [u8],
}

/// Where a frame went: in [`Appender::current`].
#[derive(Debug, Clone, Copy)]
pub(crate) struct Appended {
    /// Of the frame in the segment.
    pub(crate) offset: u64,
    /// Of the frame's image in the segment.
    pub(crate) image_offset: u64,
    pub(crate) frame_len: u64,
}

#[derive(Debug)]
pub(crate) struct Appender {
    uuid: [u8; 16],
    /// The log's end.
    position: LogPosition,
    /// Oldest first. The last one is being written to once `current` is set.
    segments: Vec<Arc<Segment>>,
    current: Option<Arc<Segment>>,
    /// Of `current`.
    seed: u32,
    /// Set when half a frame could neither be finished nor wiped out.
    broken: Option<Error>,
    scratch: Vec<u8>,
}

impl Appender {
    /// Goes on behind `position`, in a segment that [`Appender::switch_to`] brings. `segments` are the files that
    /// recovery found, oldest first.
    pub(crate) fn new(uuid: [u8; 16], position: LogPosition, segments: Vec<Arc<Segment>>) -> Appender {
        Appender {
            uuid,
            position,
            segments,
            current: None,
            seed: 0,
            broken: None,
            scratch: Vec::new(),
        }
    }

    /// Whether a frame of this length fits into the current segment.
    pub(crate) fn has_room(&self, frame_len: u64) -> bool {
        self.current.as_ref().is_some_and(|segment| {
            self.position
                .offset
                .checked_add(frame_len)
                .and_then(|end| end.checked_add(to_u64(MARK_BYTES)))
                .is_some_and(|end| end <= segment.size())
        })
    }

    /// The next frame goes to the start of `segment`, whose number is above all others.
    pub(crate) fn switch_to(&mut self, segment: Arc<Segment>) {
        debug_assert!(segment.is_fresh() && segment.number() > self.position.segment);
        self.position.segment = segment.number();
        self.position.offset = 0;
        let seed = FrameSeed {
            uuid: self.uuid,
            segment: segment.number(),
        };
        self.seed = seed.crc();
        self.current = Some(Arc::clone(&segment));
        self.segments.push(segment);
    }

    /// Appends a frame, by `pwrite` if `written`, else by copying into the map. Where its payload lies in its place in
    /// `built`, which is empty otherwise, what comes before it is filled in, and all of it goes out in one piece.
    pub(crate) fn append(
        &mut self,
        parts: &FrameParts<'_>,
        built: &mut [u8],
        written: bool,
    ) -> Result<Appended> {
        if let Some(error) = &self.broken {
            return Err(error.clone());
        }
        let header = FrameHeader {
            seq: parts.seq,
            epoch: parts.epoch,
            durable_seq: parts.durable_seq,
            previous_crc: self.position.previous_crc,
            payload_crc: parts.payload_crc,
            command_count: parts.command_count,
            assigned_len: u32::try_from(parts.assigned.len())
                .map_err(|_| Error::too_large("a commit assigns more than 4 GiB"))?,
            commands_len: to_u64(parts.commands.len()),
            image_len: to_u64(parts.image.len()),
        };
        let frame_len = header
            .frame_len()
            .ok_or_else(|| Error::internal("a frame's parts have impossible lengths"))?;
        let segment = match &self.current {
            Some(segment) if self.has_room(frame_len) => segment,
            _ => return Err(Error::internal("a frame was appended where it doesn't fit")),
        };
        let (head, crc) = header.encode_seeded(self.seed, parts.assigned);
        let offset = self.position.offset;
        let put = match built {
            [] => put(
                segment,
                &mut self.scratch,
                offset,
                frame_len,
                &head,
                parts,
                written,
            ),
            built => put_built(segment, offset, frame_len, &head, parts.assigned, built, written),
        };
        if let Err(error) = put {
            self.wipe(offset, &head);
            return Err(error);
        }
        self.position.offset = offset.saturating_add(frame_len);
        self.position.previous_crc = crc;
        let image_offset = self.position.offset.saturating_sub(header.image_len);
        Ok(Appended {
            offset,
            image_offset,
            frame_len,
        })
    }

    /// A frame that failed half-way may have become whole on its own account: it must not be found after a crash,
    /// least of all beside the one that takes its seq next. Where its header isn't there, it is none; wiping that out
    /// may fail for the same reason, and would break the log for nothing: a full disk that copies on write.
    fn wipe(&mut self, offset: u64, head: &[u8; HEADER_BYTES]) {
        let Some(segment) = &self.current else { return };
        let there = segment.region().bytes(offset, to_u64(HEADER_BYTES));
        if there.is_some_and(|there| there != head) {
            return;
        }
        if let Err(error) = write(segment, offset, &[0; HEADER_BYTES], segment.map().is_none()) {
            // Whatever is written next, a later opening may find half a frame in its place.
            self.broken = Some(Error::Poisoned {
                what: error.to_string().into(),
            });
        }
    }

    /// Puts a durable mark at the log's end. It takes no place: the next frame overwrites it.
    pub(crate) fn put_mark(&mut self, epoch: u64, durable_seq: u64, written: bool) -> Result<()> {
        let Some(segment) = &self.current else {
            return Ok(());
        };
        let seed = FrameSeed {
            uuid: self.uuid,
            segment: self.position.segment,
        };
        write(
            segment,
            self.position.offset,
            &Mark { epoch, durable_seq }.encode(&seed),
            written,
        )
    }

    /// The segment that frames go to.
    pub(crate) fn current(&self) -> Option<&Arc<Segment>> {
        self.current.as_ref()
    }

    /// The log's end.
    pub(crate) fn position(&self) -> LogPosition {
        self.position
    }

    /// Whether it is time to make the next segment ready.
    pub(crate) fn half_used(&self) -> bool {
        self.current
            .as_ref()
            .is_none_or(|segment| self.position.offset >= segment.size() / 2)
    }

    /// Whether the current segment takes more space than one has to.
    pub(crate) fn is_large(&self) -> bool {
        self.current
            .as_ref()
            .is_some_and(|segment| segment.size() > super::supply::FIRST_SEGMENT_BYTES)
    }

    /// All that are still held, oldest first.
    pub(crate) fn segments(&self) -> Vec<Arc<Segment>> {
        self.segments.clone()
    }

    /// Lets go of the segments below `segment_number`; the one being written to stays in any case.
    pub(crate) fn release_before(&mut self, segment_number: u64) -> Vec<Arc<Segment>> {
        let end = self.position.segment.min(segment_number);
        let kept = self.segments.partition_point(|segment| segment.number() < end);
        self.segments.drain(..kept).collect()
    }

    /// Disk bytes of the segments held.
    pub(crate) fn bytes(&self) -> u64 {
        self.segments
            .iter()
            .map(|segment| segment.size())
            .fold(0, u64::saturating_add)
    }
}

fn put(
    segment: &Segment,
    frame: &mut Vec<u8>,
    offset: u64,
    frame_len: u64,
    head: &[u8; HEADER_BYTES],
    parts: &FrameParts<'_>,
    written: bool,
) -> Result<()> {
    let commands_len = to_u64(parts.commands.len());
    let padding = to_usize(align8(commands_len).saturating_sub(commands_len)).unwrap_or(0);
    let padding = [0_u8; 8].get(..padding).unwrap_or_default();
    frame.clear();
    let one_piece = match segment.map() {
        Some(_) if !written => ONE_PIECE_STORED_BYTES,
        _ => ONE_PIECE_BYTES,
    };
    if frame_len <= one_piece {
        frame.reserve(to_usize(frame_len).unwrap_or(0));
        for piece in [head, parts.assigned, parts.commands, padding, parts.image] {
            frame.extend_from_slice(piece);
        }
        return write(segment, offset, frame, written);
    }
    // The header last: until it is there, nobody who looks takes this for a frame.
    frame.extend_from_slice(head);
    frame.extend_from_slice(parts.assigned);
    let commands_at = offset.saturating_add(to_u64(frame.len()));
    let padding_at = commands_at.saturating_add(commands_len);
    let image_at = padding_at.saturating_add(to_u64(padding.len()));
    for (at, piece) in [
        (image_at, parts.image),
        (padding_at, padding),
        (commands_at, parts.commands),
    ] {
        if !piece.is_empty() {
            write(segment, at, piece, written)?;
        }
    }
    write(segment, offset, frame, written)?;
    if to_u64(frame.capacity()) > ONE_PIECE_BYTES {
        *frame = Vec::new();
    }
    Ok(())
}

fn put_built(
    segment: &Segment,
    offset: u64,
    frame_len: u64,
    head: &[u8; HEADER_BYTES],
    assigned: &[u8],
    built: &mut [u8],
    written: bool,
) -> Result<()> {
    let misfit = || Error::internal("a frame was built with other lengths than it has");
    if to_u64(built.len()) != frame_len {
        return Err(misfit());
    }
    let (place, rest) = built.split_at_mut_checked(HEADER_BYTES).ok_or_else(misfit)?;
    place.copy_from_slice(head);
    rest.get_mut(..assigned.len())
        .ok_or_else(misfit)?
        .copy_from_slice(assigned);
    write(segment, offset, built, written)
}

/// Exactly these bytes, never rounded up to a page: their neighbours are stored through the map.
fn write(segment: &Segment, offset: u64, bytes: &[u8], written: bool) -> Result<()> {
    match segment.map() {
        Some(map) if !written => {
            segment.note_stored_to();
            map.store(offset, bytes)
        }
        _ => match segment.file() {
            Some(file) => file.write_at(offset, bytes),
            None => Err(Error::internal(
                "a segment that is only kept for followers was written to",
            )),
        },
    }
}
