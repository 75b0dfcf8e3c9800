//! Reads the log after a crash, or beside a living writer: frames after the checkpoint, in order, up to the first
//! that is missing, and then, as evidence only, whatever lies behind. Writes nothing, so a crash in here leads to the
//! same state.
//!
//! *Damage* is a stop at a commit that something says had been durable: the manifest, an accepted frame, a mark or a
//! header behind the stop; so are files that can't be what they are taken for (`stray`). A *torn tail* is a stop behind which commits are proven to have been begun: a frame of the
//! next seq starts right there, or a header of this store, segment and seq or a later one lies behind it. Zeros, a mark
//! and the leftovers of a recycled segment are neither: their headers fail the segment's seed, and a leftover that
//! happens to start at the stop has a smaller seq.

use std::{path::Path, sync::Arc};

use super::{
    inspect::{frame_behind, header_at, look_on, unchecked_header_at, Evidence},
    segment::{segment_display_name, segment_entries, segment_files, Segment, SegmentEntries},
    stray,
};
use crate::{
    error::{Error, Result},
    format::{
        bytes::to_u64,
        frame::{Frame, FrameHeader, FrameSeed, HEADER_BYTES},
        manifest::LogPosition,
    },
    vfs::{between_looks, is_made, Defect, Region, Vfs},
};

/// Longer than any frame can be, and any segment for it.
const MOST_SEGMENT_BYTES: u64 = 8 << 30;

/// What the manifest says.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ReplayStart {
    /// Of the first frame after the checkpoint.
    pub(crate) position: LogPosition,
    pub(crate) checkpoint_seq: u64,
    pub(crate) epoch: u64,
    pub(crate) durable_seq: u64,
    /// Commits above this one are left out, whatever the log has.
    pub(crate) limit: u64,
    /// What can't be read counts as damaged, and is no reason to stop.
    pub(crate) salvage: bool,
    /// A writer may be at work on the same files.
    pub(crate) beside_writer: bool,
}

/// How far the log goes, and what that is worth.
#[derive(Debug)]
pub(crate) struct ReplayEnd {
    /// Behind the last frame.
    pub(crate) position: LogPosition,
    pub(crate) last_seq: u64,
    /// Newest commit, up to the last one, that something proves to have been durable.
    pub(crate) proven_seq: u64,
    /// Commits behind the end were begun, and never acknowledged as durable.
    pub(crate) torn: bool,
    /// From the end to the last sign of a frame.
    pub(crate) dropped_bytes: u64,
    pub(crate) replayed_bytes: u64,
    /// Every file from the first that is kept on, oldest first, those behind `position` too: they hold nothing that
    /// counts, and are released with the rest.
    pub(crate) segments: Vec<Arc<Segment>>,
    /// Of any segment file, kept or not.
    pub(crate) highest_number: u64,
    /// What stopped replay had been durable.
    pub(crate) damage: Option<Error>,
}

/// Where the chain of frames stands.
struct Chain {
    expected: u64,
    previous_crc: u32,
    epoch: u64,
    /// The manifest's: no frame's may be above it.
    most_epoch: u64,
}

impl Chain {
    fn goes_on_with(&self, header: &FrameHeader) -> bool {
        let skips = header.seq > self.expected && is_made(Defect::HoleSkipped);
        (skips || header.seq == self.expected && header.previous_crc == self.previous_crc)
            && header.epoch >= self.epoch
            && header.epoch <= self.most_epoch
    }
}

/// What is done with a frame, its segment, and its offset there.
pub(crate) type Apply<'a> = &'a mut dyn FnMut(&Frame<'_>, &Arc<Segment>, u64) -> Result<()>;

/// Calls `apply` with every frame after the checkpoint, its segment, and its offset there.
pub(crate) fn replay(
    vfs: &Arc<dyn Vfs>,
    directory: &Path,
    uuid: [u8; 16],
    first_segment: u64,
    start: ReplayStart,
    apply: Apply<'_>,
) -> Result<ReplayEnd> {
    let SegmentEntries { files, misfits } = match segment_entries(vfs.as_ref(), directory) {
        Err(_) if start.salvage => SegmentEntries::default(),
        entries => entries?,
    };
    let highest_number = files.last().map_or(0, |(number, _)| *number);
    let (mut segments, unreadable) = open_segments(vfs.as_ref(), directory, &files, first_segment, &start)?;
    let misfit = misfits.into_iter().find(|number| *number >= first_segment);
    let misfit = misfit.map(|number| {
        Error::corrupt(
            segment_display_name(number),
            0,
            "this is no regular file, so no segment of the log",
        )
    });

    let mut scratch = Vec::new();
    let mut position = start.position;
    let mut chain = Chain {
        expected: start.checkpoint_seq.saturating_add(1),
        previous_crc: start.position.previous_crc,
        epoch: 0,
        most_epoch: start.epoch,
    };
    let mut claimed_seq = start.durable_seq.max(start.checkpoint_seq);
    let mut replayed_bytes: u64 = 0;
    // The seq at which the files were looked at again, it being claimed as durable before that.
    let mut looked_at = 0;
    let evidence = loop {
        if chain.expected > start.limit {
            // What is left out still proves what lies before it, and a stop on purpose is no damage.
            let behind = gather(&segments, uuid, &position, &mut scratch);
            claimed_seq = claimed_seq.max(behind.durable_seq.min(start.limit));
            break Behind::default();
        }
        let mut grown = false;
        if let Some((segment, offset, frame)) = next_frame(&segments, uuid, &position, &chain, &mut scratch) {
            // Mapped while a living writer was still filling it with zeros; now it is as long as it is to be.
            grown = start.beside_writer && offset == 0 && segment.has_grown()?;
            if !grown {
                apply(&frame, segment, offset)?;
                claimed_seq = claimed_seq.max(frame.header.durable_seq);
                replayed_bytes = replayed_bytes.saturating_add(frame.frame_len());
                chain.expected = frame.header.seq.saturating_add(1);
                chain.previous_crc = frame.crc;
                chain.epoch = frame.header.epoch;
                position = LogPosition {
                    segment: segment.number(),
                    offset: offset.saturating_add(frame.frame_len()),
                    previous_crc: frame.crc,
                };
                continue;
            }
        }
        if grown && look_again(vfs.as_ref(), directory, &mut segments, &position)? {
            continue;
        }
        between_looks();
        let evidence = gather(&segments, uuid, &position, &mut scratch);
        if looked_at == chain.expected {
            break evidence;
        }
        // A writer that lives beside us may have gone on since. What it calls durable was whole before it said so, in
        // files that were as long as they are to be: a look that comes after the claim finds it, unless it is damaged.
        let is_claimed = evidence.durable_seq.max(claimed_seq) >= chain.expected;
        let went_on = start.beside_writer && look_again(vfs.as_ref(), directory, &mut segments, &position)?;
        if !went_on && !is_claimed {
            break evidence;
        }
        claimed_seq = claimed_seq.max(evidence.durable_seq);
        if is_claimed {
            looked_at = chain.expected;
        }
    };
    claimed_seq = claimed_seq.max(evidence.durable_seq);

    let last_seq = chain.expected.saturating_sub(1);
    let torn_bytes = begun_at(&segments, &position, chain.expected);
    let dropped_bytes = torn_bytes.unwrap_or(0).max(evidence.bytes_behind);
    Ok(ReplayEnd {
        position,
        last_seq,
        proven_seq: claimed_seq.min(last_seq),
        torn: torn_bytes.is_some() || evidence.newest_seq >= chain.expected,
        dropped_bytes,
        replayed_bytes,
        damage: damage(&segments, &start, &position, &chain, claimed_seq, &evidence)
            .or_else(|| {
                if chain.expected > start.limit {
                    return None;
                }
                let found = stray::find(&segments, uuid, &start, &position, chain.expected, &mut scratch)?;
                Some(Error::corrupt_commits(
                    segment_display_name(found.segment),
                    found.offset,
                    found.what,
                    found.seq,
                    found.seq,
                ))
            })
            .or(unreadable)
            .or(misfit),
        segments,
        highest_number,
    })
}

/// The segments, and what is wrong with the first that can't be read, which is in their list without a byte.
fn open_segments(
    vfs: &dyn Vfs,
    directory: &Path,
    files: &[(u64, u64)],
    first_segment: u64,
    start: &ReplayStart,
) -> Result<(Vec<Arc<Segment>>, Option<Error>)> {
    let no_bytes = Region::anonymous(0)?;
    let mut segments = Vec::new();
    let mut unreadable = None;
    // What lies below was released, whether or not its removal reached the disk.
    for (number, len) in files.iter().filter(|(number, _)| *number >= first_segment) {
        if *number < start.position.segment {
            segments.push(Arc::new(Segment::retained(*number, *len, &no_bytes)));
            continue;
        }
        let opened = if *len > MOST_SEGMENT_BYTES {
            Err(Error::corrupt(
                segment_display_name(*number),
                0,
                format!("{len} bytes are too many for a segment"),
            ))
        } else {
            Segment::replayed(vfs, directory, *number)
        };
        let segment = match opened {
            Ok(Some(segment)) => segment,
            // A living writer takes segments away that it made ready and has no use for, or gives them another number.
            // One that counts is not taken away under a reader's lock, and is missed as damage.
            Ok(None) => continue,
            Err(error) if start.salvage => {
                let name = segment_display_name(*number);
                unreadable.get_or_insert(match error {
                    Error::Corrupt { .. } => error,
                    error => Error::corrupt(name, 0, error.to_string()),
                });
                Segment::retained(*number, 0, &no_bytes)
            }
            Err(error) => return Err(error),
        };
        segments.push(Arc::new(segment));
    }
    Ok((segments, unreadable))
}

/// Takes in what a living writer did to its files since they were mapped: segments that were still being filled with
/// zeros, and new ones. Whether that was anything.
fn look_again(
    vfs: &dyn Vfs,
    directory: &Path,
    segments: &mut Vec<Arc<Segment>>,
    position: &LogPosition,
) -> Result<bool> {
    let mut went_on = false;
    for (number, len) in segment_files(vfs, directory)? {
        if number < position.segment || len > MOST_SEGMENT_BYTES {
            continue;
        }
        let place = segments.binary_search_by_key(&number, |segment| segment.number());
        let known = place.is_ok_and(|place| segments.get(place).is_some_and(|segment| segment.size() >= len));
        if known {
            continue;
        }
        let Some(segment) = Segment::replayed(vfs, directory, number)?.map(Arc::new) else {
            continue;
        };
        match place {
            Ok(place) => {
                if let Some(shorter) = segments.get_mut(place) {
                    *shorter = segment;
                }
            }
            Err(place) => segments.insert(place, segment),
        }
        went_on = true;
    }
    Ok(went_on)
}

/// The whole frame that goes on with the chain: at the position, or else at the start of a later segment. An opening
/// starts a segment of its own, so the next one need not be the one with the next number; and the frame at the position
/// may be one that an earlier crash tore, header intact and of the right seq, with the one that took its place
/// elsewhere. Where two openings went on behind the same commit, the later epoch counts: the other's was never durable.
fn next_frame<'a>(
    segments: &'a [Arc<Segment>],
    uuid: [u8; 16],
    position: &LogPosition,
    chain: &Chain,
    scratch: &mut Vec<u8>,
) -> Option<(&'a Arc<Segment>, u64, Frame<'a>)> {
    let mut best: Option<(&Arc<Segment>, u64, Frame<'a>)> = None;
    for segment in segments
        .iter()
        .filter(|segment| segment.number() >= position.segment)
    {
        let offset = if segment.number() == position.segment {
            position.offset
        } else {
            0
        };
        let newest = best.as_ref().map_or(0, |(_, _, frame)| frame.header.epoch);
        // A look without any check first: there are as many as segments, for each frame.
        match unchecked_header_at(segment.region(), offset) {
            Some((header, ..)) if chain.goes_on_with(&header) && header.epoch > newest => {}
            _ => continue,
        }
        let seed = FrameSeed {
            uuid,
            segment: segment.number(),
        };
        let checked = header_at(segment.region(), &seed, offset, scratch);
        if let Some(checked) = checked.filter(|checked| chain.goes_on_with(&checked.header)) {
            if let Some(frame) = frame_behind(segment.region(), offset, &checked, scratch) {
                best = Some((segment, offset, frame));
            }
        }
    }
    best
}

#[derive(Debug, Default)]
struct Behind {
    durable_seq: u64,
    newest_seq: u64,
    newest_epoch: u64,
    bytes_behind: u64,
}

/// What lies behind `position`, in its segment and in all later ones.
fn gather(
    segments: &[Arc<Segment>],
    uuid: [u8; 16],
    position: &LogPosition,
    scratch: &mut Vec<u8>,
) -> Behind {
    let mut behind = Behind::default();
    for segment in segments
        .iter()
        .filter(|segment| segment.number() >= position.segment)
    {
        let from = if segment.number() == position.segment {
            position.offset
        } else {
            0
        };
        let seed = FrameSeed {
            uuid,
            segment: segment.number(),
        };
        let found: Evidence = look_on(segment.region(), &seed, from, scratch);
        behind.durable_seq = behind.durable_seq.max(found.durable_seq);
        behind.newest_seq = behind.newest_seq.max(found.newest_seq);
        behind.newest_epoch = behind.newest_epoch.max(found.newest_epoch);
        behind.bytes_behind = behind.bytes_behind.saturating_add(found.end.saturating_sub(from));
    }
    behind
}

/// Bytes that a frame of seq `expected` takes that begins at the position and isn't whole.
fn begun_at(segments: &[Arc<Segment>], position: &LogPosition, expected: u64) -> Option<u64> {
    let segment = segments
        .iter()
        .find(|segment| segment.number() == position.segment)?;
    let (header, _, frame_len) = unchecked_header_at(segment.region(), position.offset)?;
    let room = segment.size().saturating_sub(position.offset);
    (header.seq == expected).then(|| frame_len.clamp(to_u64(HEADER_BYTES), room.max(to_u64(HEADER_BYTES))))
}

fn damage(
    segments: &[Arc<Segment>],
    start: &ReplayStart,
    position: &LogPosition,
    chain: &Chain,
    claimed_seq: u64,
    behind: &Behind,
) -> Option<Error> {
    let expected = chain.expected;
    let corrupt = |what: String, first_seq: u64, last_seq: u64| {
        Some(Error::corrupt_commits(
            segment_display_name(position.segment),
            position.offset,
            what,
            first_seq,
            last_seq,
        ))
    };
    if behind.newest_epoch > start.epoch {
        return corrupt(
            format!(
                "the log goes on in epoch {}, but the manifest is an older copy that knows only epoch {}",
                behind.newest_epoch, start.epoch
            ),
            expected,
            behind.newest_seq.max(expected),
        );
    }
    if claimed_seq >= expected {
        return corrupt(
            format!("commit {expected} had been durable, but isn't there"),
            expected,
            claimed_seq,
        );
    }
    // The file was as long as it is to be before its first frame, and it is kept as long as a manifest names it.
    let size = segments
        .iter()
        .find(|segment| segment.number() == position.segment)
        .map(|segment| segment.size());
    if position.offset > size.unwrap_or(0) {
        let what = if size.is_some() {
            "the segment was cut short"
        } else {
            "the segment file is missing"
        };
        return corrupt(what.to_owned(), 0, 0);
    }
    None
}
