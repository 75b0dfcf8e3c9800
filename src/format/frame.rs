//! A frame: one commit in the log. `header (64) | assigned section | commands | zeros to 8 | image of small blocks`.
//!
//! The payload (commands and image) and its CRC are built before the commit's place is known; only the assigned
//! section and the header need it. The header CRC is seeded with the store's uuid and the segment's number, so a
//! frame is valid in one place only, and it holds the stored header CRC of the frame before it.

use super::{
    align8,
    bytes::{to_u64, to_usize, u32_at, Reader},
    MAX_COMMIT_BYTES,
};

pub(crate) const HEADER_BYTES: usize = 64;
pub(crate) const MARK_BYTES: usize = 32;

pub(crate) const FRAME_MAGIC: u32 = u32::from_le_bytes(*b"SFRM");
pub(crate) const MARK_MAGIC: u32 = u32::from_le_bytes(*b"SMRK");

/// What the CRCs of a segment's frames and marks are seeded with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameSeed {
    pub(crate) uuid: [u8; 16],
    pub(crate) segment: u64,
}

impl FrameSeed {
    /// The same for all that is in the segment.
    pub(crate) fn crc(&self) -> u32 {
        crc32c::crc32c_append(crc32c::crc32c(&self.uuid), &self.segment.to_le_bytes())
    }
}

/// The fixed part of a frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct FrameHeader {
    pub(crate) seq: u64,
    pub(crate) epoch: u64,
    /// Newest commit that was known durable when this frame was written.
    pub(crate) durable_seq: u64,
    /// Stored header CRC of the frame before this one.
    pub(crate) previous_crc: u32,
    pub(crate) payload_crc: u32,
    pub(crate) command_count: u32,
    pub(crate) assigned_len: u32,
    pub(crate) commands_len: u64,
    pub(crate) image_len: u64,
}

impl FrameHeader {
    /// The header's bytes and its CRC, which the next frame names.
    pub(crate) fn encode(&self, seed: &FrameSeed, assigned: &[u8]) -> ([u8; HEADER_BYTES], u32) {
        self.encode_seeded(seed.crc(), assigned)
    }

    /// The same for an appender, which has the segment's [`FrameSeed::crc`] at hand.
    pub(crate) fn encode_seeded(&self, seed: u32, assigned: &[u8]) -> ([u8; HEADER_BYTES], u32) {
        let mut out = [0; HEADER_BYTES];
        {
            let mut rest: &mut [u8] = &mut out;
            let mut put = |bytes: &[u8]| {
                if let Some((place, tail)) = std::mem::take(&mut rest).split_at_mut_checked(bytes.len()) {
                    place.copy_from_slice(bytes);
                    rest = tail;
                }
            };
            put(&FRAME_MAGIC.to_le_bytes());
            put(&[0; 4]);
            put(&self.seq.to_le_bytes());
            put(&self.epoch.to_le_bytes());
            put(&self.durable_seq.to_le_bytes());
            put(&self.previous_crc.to_le_bytes());
            put(&self.payload_crc.to_le_bytes());
            put(&self.command_count.to_le_bytes());
            put(&self.assigned_len.to_le_bytes());
            put(&self.commands_len.to_le_bytes());
            put(&self.image_len.to_le_bytes());
        }
        let crc = header_crc(seed, &out, assigned);
        if let Some(place) = out.get_mut(4..8) {
            place.copy_from_slice(&crc.to_le_bytes());
        }
        (out, crc)
    }

    /// Whole length in the log, a multiple of 8; `None` where the lengths make no sense.
    pub(crate) fn frame_len(&self) -> Option<u64> {
        let most = to_u64(MAX_COMMIT_BYTES);
        if self.commands_len > most
            || self.image_len > most * 2
            || !self.image_len.is_multiple_of(8)
            || !self.assigned_len.is_multiple_of(8)
        {
            return None;
        }
        Some(to_u64(HEADER_BYTES) + u64::from(self.assigned_len) + align8(self.commands_len) + self.image_len)
    }

    /// The fields of something that starts like a frame; nothing is checked but the magic.
    pub(crate) fn decode_unchecked(bytes: &[u8]) -> Option<(FrameHeader, u32)> {
        let mut reader = Reader::new(bytes.get(..HEADER_BYTES)?);
        if reader.u32()? != FRAME_MAGIC {
            return None;
        }
        let crc = reader.u32()?;
        let header = FrameHeader {
            seq: reader.u64()?,
            epoch: reader.u64()?,
            durable_seq: reader.u64()?,
            previous_crc: reader.u32()?,
            payload_crc: reader.u32()?,
            command_count: reader.u32()?,
            assigned_len: reader.u32()?,
            commands_len: reader.u64()?,
            image_len: reader.u64()?,
        };
        Some((header, crc))
    }
}

fn header_crc(seed: u32, header: &[u8], assigned: &[u8]) -> u32 {
    checksum(
        seed,
        [header.get(8..HEADER_BYTES).unwrap_or_default(), assigned, &[]],
    )
}

/// Up to so many bytes are put side by side first: a call for each piece costs more than the copy.
const TOGETHER_BYTES: usize = 256;

/// CRC-32C of the pieces as if they lay side by side.
fn checksum(seed: u32, pieces: [&[u8]; 3]) -> u32 {
    let mut together = [0; TOGETHER_BYTES];
    let mut len = 0_usize;
    for piece in pieces {
        let end = len.saturating_add(piece.len());
        match together.get_mut(len..end) {
            Some(place) => place.copy_from_slice(piece),
            None => {
                return pieces
                    .iter()
                    .fold(seed, |crc, piece| crc32c::crc32c_append(crc, piece))
            }
        }
        len = end;
    }
    crc32c::crc32c_append(seed, together.get(..len).unwrap_or_default())
}

/// The payload in the order that its CRC covers it: commands, zeros to 8, image.
pub(crate) fn payload_crc(commands: &[u8], image: &[u8]) -> u32 {
    let padding = to_usize(align8(to_u64(commands.len())))
        .unwrap_or(commands.len())
        .saturating_sub(commands.len());
    checksum(0, [commands, [0; 8].get(..padding).unwrap_or_default(), image])
}

/// A whole, checked frame over the bytes it was read from.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Frame<'a> {
    pub(crate) header: FrameHeader,
    /// Its stored header CRC.
    pub(crate) crc: u32,
    pub(crate) assigned: &'a [u8],
    pub(crate) commands: &'a [u8],
    pub(crate) image: &'a [u8],
    /// From the frame's start to the image's.
    pub(crate) image_offset: u64,
}

impl<'a> Frame<'a> {
    /// Parses and checks the frame at the start of `bytes`: magic, lengths, both CRCs. What its place in the chain
    /// asks of seq, epoch and previous CRC is for the caller.
    pub(crate) fn decode(seed: &FrameSeed, bytes: &'a [u8]) -> Option<Frame<'a>> {
        let (header, crc) = FrameHeader::decode_unchecked(bytes)?;
        let frame_len = to_usize(header.frame_len()?)?;
        let whole = bytes.get(..frame_len)?;
        let (fixed, rest) = whole.split_at_checked(HEADER_BYTES)?;
        let (assigned, payload) = rest.split_at_checked(to_usize(u64::from(header.assigned_len))?)?;
        if header_crc(seed.crc(), fixed, assigned) != crc || crc32c::crc32c(payload) != header.payload_crc {
            return None;
        }
        let commands = payload.get(..to_usize(header.commands_len)?)?;
        let image = payload.get(to_usize(align8(header.commands_len))?..)?;
        let image_offset = to_u64(frame_len) - header.image_len;
        Some(Frame {
            header,
            crc,
            assigned,
            commands,
            image,
            image_offset,
        })
    }

    pub(crate) fn frame_len(&self) -> u64 {
        self.image_offset.saturating_add(self.header.image_len)
    }
}

/// The durable mark at the log's end: says, between two frames, up to which commit the log is durable. The next
/// frame overwrites it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Mark {
    pub(crate) epoch: u64,
    pub(crate) durable_seq: u64,
}

impl Mark {
    pub(crate) fn encode(&self, seed: &FrameSeed) -> [u8; MARK_BYTES] {
        let mut body = [0; MARK_BYTES - 8];
        if let Some((epoch, rest)) = body.split_first_chunk_mut::<8>() {
            *epoch = self.epoch.to_le_bytes();
            if let Some((durable_seq, _)) = rest.split_first_chunk_mut::<8>() {
                *durable_seq = self.durable_seq.to_le_bytes();
            }
        }
        let crc = crc32c::crc32c_append(seed.crc(), &body);
        let mut out = [0; MARK_BYTES];
        if let Some((magic, rest)) = out.split_first_chunk_mut::<4>() {
            *magic = MARK_MAGIC.to_le_bytes();
            if let Some((stored, rest)) = rest.split_first_chunk_mut::<4>() {
                *stored = crc.to_le_bytes();
                rest.copy_from_slice(&body);
            }
        }
        out
    }

    pub(crate) fn decode(seed: &FrameSeed, bytes: &[u8]) -> Option<Mark> {
        let bytes = bytes.get(..MARK_BYTES)?;
        if u32_at(bytes, 4)? != crc32c::crc32c_append(seed.crc(), bytes.get(8..)?) {
            return None;
        }
        Mark::decode_unchecked(bytes)
    }

    /// The fields of something that looks like a mark; all is checked but the CRC.
    pub(crate) fn decode_unchecked(bytes: &[u8]) -> Option<Mark> {
        let bytes = bytes.get(..MARK_BYTES)?;
        if u32_at(bytes, 0)? != MARK_MAGIC {
            return None;
        }
        let mut reader = Reader::new(bytes.get(8..)?);
        let mark = Mark {
            epoch: reader.u64()?,
            durable_seq: reader.u64()?,
        };
        (reader.u64()? == 0).then_some(mark)
    }
}

pub(crate) const ASSIGNED_HEADER_BYTES: usize = 16;
pub(crate) const STREAM_ASSIGNMENT_BYTES: usize = 32;

/// What a commit was given under the append lock.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Assigned {
    /// Where the frame's image will lie: its chunk and the address of its first block. 0, 0 without an image.
    pub(crate) chunk: u32,
    pub(crate) chunk_offset: u64,
    /// One for each stream command, in order.
    pub(crate) streams: Vec<StreamAssignment>,
}

/// A stream's bounds after one command on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StreamAssignment {
    pub(crate) stream_id: u64,
    pub(crate) first: u64,
    /// After an append, the record's index is `next - 1`.
    pub(crate) next: u64,
    pub(crate) effect: StreamEffect,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamEffect {
    /// Appended or trimmed.
    Changed,
    /// Appended to a name that had no stream.
    Created,
    /// The whole stream is gone.
    Dropped,
    /// A trim that had nothing to do.
    Nothing,
}

impl Assigned {
    pub(crate) fn encode_to(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&self.chunk.to_le_bytes());
        out.extend_from_slice(
            &u32::try_from(self.streams.len())
                .unwrap_or(u32::MAX)
                .to_le_bytes(),
        );
        out.extend_from_slice(&self.chunk_offset.to_le_bytes());
        for stream in &self.streams {
            let effect: u64 = match stream.effect {
                StreamEffect::Changed => 0,
                StreamEffect::Created => 1,
                StreamEffect::Dropped => 2,
                StreamEffect::Nothing => 3,
            };
            for field in [stream.stream_id, stream.first, stream.next, effect] {
                out.extend_from_slice(&field.to_le_bytes());
            }
        }
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<Assigned> {
        let mut reader = Reader::new(bytes);
        let chunk = reader.u32()?;
        let count = to_usize(u64::from(reader.u32()?))?;
        let chunk_offset = reader.u64()?;
        if reader.rest().len() != count.checked_mul(STREAM_ASSIGNMENT_BYTES)? {
            return None;
        }
        let mut streams = Vec::with_capacity(count);
        for _ in 0..count {
            let (stream_id, first, next) = (reader.u64()?, reader.u64()?, reader.u64()?);
            let effect = match reader.u64()? {
                0 => StreamEffect::Changed,
                1 => StreamEffect::Created,
                2 => StreamEffect::Dropped,
                3 => StreamEffect::Nothing,
                _ => return None,
            };
            streams.push(StreamAssignment {
                stream_id,
                first,
                next,
                effect,
            });
        }
        Some(Assigned {
            chunk,
            chunk_offset,
            streams,
        })
    }
}
