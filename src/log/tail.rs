//! Follows the log through its files, within the writing process and in others alike: commits in order, each checked,
//! from a given seq on.
//!
//! A reader holds no lock and holds back nothing. It maps one segment at a time; a segment that was released under it
//! stays readable until it is recycled, and then its frames fail the seed of the number they are looked for under. One
//! thread at a time per reader.

use std::{path::PathBuf, sync::Arc};

use super::{
    inspect::{frame_behind, header_at, unchecked_header_at, CheckedHeader},
    segment::{open, segment_display_name, segment_file_name, segment_files},
    survey::{first_header, live_segments, First},
};
use crate::{
    error::{Error, Result},
    format::{
        bytes::to_usize,
        frame::{Frame, FrameHeader, FrameSeed, HEADER_BYTES},
        manifest::LogPosition,
    },
    vfs::{Region, Vfs},
};

/// A whole frame, checked, in memory of its own.
#[derive(Debug, Clone)]
pub(crate) struct TailFrame {
    header: FrameHeader,
    /// Where it was read from.
    segment: u64,
    offset: u64,
    bytes: Vec<u8>,
    /// Where assigned section, commands and image end and start.
    assigned_end: usize,
    commands_end: usize,
    image_start: usize,
}

impl TailFrame {
    fn new(seed: &FrameSeed, offset: u64, bytes: Vec<u8>) -> Option<TailFrame> {
        let frame = Frame::decode(seed, &bytes)?;
        let header = frame.header;
        let assigned_end = HEADER_BYTES.checked_add(frame.assigned.len())?;
        let commands_end = assigned_end.checked_add(frame.commands.len())?;
        let image_start = to_usize(frame.image_offset)?;
        Some(TailFrame {
            header,
            segment: seed.segment,
            offset,
            bytes,
            assigned_end,
            commands_end,
            image_start,
        })
    }

    pub(crate) fn header(&self) -> &FrameHeader {
        &self.header
    }

    /// Number of its segment, and its offset there.
    pub(crate) fn place(&self) -> (u64, u64) {
        (self.segment, self.offset)
    }

    pub(crate) fn assigned(&self) -> &[u8] {
        self.bytes
            .get(HEADER_BYTES..self.assigned_end)
            .unwrap_or_default()
    }

    pub(crate) fn commands(&self) -> &[u8] {
        self.bytes
            .get(self.assigned_end..self.commands_end)
            .unwrap_or_default()
    }

    pub(crate) fn image(&self) -> &[u8] {
        self.bytes.get(self.image_start..).unwrap_or_default()
    }
}

/// What an opening knows about the log that it reads.
#[derive(Debug, Clone, Copy)]
pub(crate) struct TailStart {
    pub(crate) first_segment: u64,
    /// The commit that replay begins with, and where it goes on from the ones before.
    pub(crate) replay_seq: u64,
    pub(crate) replay_from: LogPosition,
    /// Newest commit.
    pub(crate) last_seq: u64,
    /// Whole frames above it, of epochs up to this one, are no commits: recovery left them out. 0: there are none.
    pub(crate) undone_epoch: u64,
}

/// Where in the log a reader stands.
#[derive(Debug)]
struct Place {
    number: u64,
    region: Arc<Region>,
    offset: u64,
}

#[derive(Debug)]
pub(crate) struct TailReader {
    vfs: Arc<dyn Vfs>,
    directory: PathBuf,
    uuid: [u8; 16],
    /// None while the log has no frame at all.
    place: Option<Place>,
    first_segment: u64,
    /// Newest segment when the reader was opened.
    known_segment: u64,
    /// Seq of the frame at the place.
    expected: u64,
    /// Header CRC and epoch of the frame before it; `None` at the start of the log.
    previous: Option<(u32, u64)>,
    /// First seq to give out: frames before it are only followed.
    wanted: u64,
    /// What the frame before `wanted` must have as its epoch, unless 0.
    wanted_epoch: u64,
    /// What recovery left out: above this seq, up to this epoch.
    undone: (u64, u64),
    /// Something says that the commits up to this one were durable, so they must be somewhere.
    proven_seq: u64,
    /// Segments behind the place as the last survey found them. Where one goes on with the chain, it counts and not
    /// what lies at the place: recovery may have undone whole commits, and an opening went on before them.
    ahead: Vec<First>,
    /// Commits up to this one were published, and their segments there, when the survey was made.
    surveyed_seq: u64,
    /// Nothing was at the place when the reader last looked.
    seen_empty: bool,
    /// The segment is being written to: frames came into it under the reader's eyes. So nothing in it was undone.
    beside_writer: bool,
    scratch: Vec<u8>,
}

impl TailReader {
    /// A reader whose first frame is that of `seq`. `NotFound` if the log doesn't reach back to it, or not far enough
    /// to tell the epoch of the commit before; `Conflict` if that isn't `epoch` (0: any).
    pub(crate) fn open(
        vfs: Arc<dyn Vfs>,
        directory: PathBuf,
        uuid: [u8; 16],
        start: &TailStart,
        seq: u64,
        epoch: u64,
    ) -> Result<TailReader> {
        let known_segment = segment_files(vfs.as_ref(), &directory)?
            .last()
            .map_or(0, |(number, _)| *number);
        let mut live = live_segments(vfs.as_ref(), &directory, uuid, start.first_segment)?;
        // A segment that begins above the newest commit is what a crash left of later ones.
        live.retain(|first| first.header.seq <= start.last_seq);
        let mut reader = TailReader {
            vfs,
            directory,
            uuid,
            place: None,
            first_segment: start.first_segment,
            known_segment,
            expected: seq,
            previous: None,
            wanted: seq,
            wanted_epoch: epoch,
            undone: (start.last_seq, start.undone_epoch),
            proven_seq: live
                .iter()
                .map(|first| first.header.durable_seq)
                .max()
                .unwrap_or(0),
            surveyed_seq: seq.saturating_sub(1),
            seen_empty: false,
            beside_writer: false,
            ahead: Vec::new(),
            scratch: Vec::new(),
        };
        let first = reader.start_of(&live);
        reader.ahead = live;
        match first {
            Ok(Some(first)) => {
                reader.enter(first.number)?.ok_or(Error::NotFound)?;
                reader.expected = first.header.seq;
            }
            Ok(None) if seq > start.last_seq || seq < start.replay_seq => return Ok(reader),
            Ok(None) => reader.start_at_replay(start, Error::NotFound)?,
            Err(error) => reader.start_at_replay(start, error)?,
        }
        while let Err(error) = reader.skip_to_wanted(start.last_seq) {
            // What a checkpoint made superfluous may have holes, which are no harm where more is wanted.
            reader.leap(start, error)?;
        }
        if reader.expected == reader.wanted {
            reader.check_epoch(None)?;
        }
        Ok(reader)
    }

    /// Everything from there on is whole, as opening found. With `error` where that is of no use.
    fn start_at_replay(&mut self, start: &TailStart, error: Error) -> Result<()> {
        if self.place.is_some() && self.expected >= start.replay_seq || start.replay_seq > self.wanted {
            return Err(error);
        }
        self.enter(start.replay_from.segment)?.ok_or(error)?;
        if let Some(place) = &mut self.place {
            place.offset = start.replay_from.offset;
        }
        self.expected = start.replay_seq;
        self.previous = None;
        Ok(())
    }

    /// Goes on in the next segment before the wanted commit, or where replay begins; with `error` where neither helps.
    fn leap(&mut self, start: &TailStart, error: Error) -> Result<()> {
        let next = |first: &&First| first.header.seq > self.expected && first.header.seq <= self.wanted;
        let Some(first) = self.ahead.iter().find(next).copied() else {
            return self.start_at_replay(start, error);
        };
        self.enter(first.number)?.ok_or(error)?;
        self.expected = first.header.seq;
        self.previous = None;
        Ok(())
    }

    /// The segment to start in: it has the frame before the wanted one, and it is proven that its first frame counts.
    /// From there to the wanted frame every link is checked.
    fn start_of(&self, live: &[First]) -> Result<Option<First>> {
        let Some(oldest) = live.first() else {
            return Ok(None);
        };
        if oldest.header.seq > self.wanted {
            return Err(Error::NotFound);
        }
        let start = live
            .iter()
            .rev()
            .find(|first| first.header.seq < self.wanted && first.header.seq <= self.proven_seq);
        Ok(Some(*start.unwrap_or(oldest)))
    }

    /// The next frame, or `None` if it isn't there yet or its seq is above `limit_seq`: what is published, or
    /// `u64::MAX` in another process. `NotFound` once the log was released past the reader.
    pub(crate) fn poll(&mut self, limit_seq: u64) -> Result<Option<TailFrame>> {
        self.poll_if(limit_seq, &mut |_| Ok(true))
    }

    /// The same; a frame that `counts` refuses is looked for again at the next call.
    pub(crate) fn poll_if(
        &mut self,
        limit_seq: u64,
        counts: &mut dyn FnMut(&TailFrame) -> Result<bool>,
    ) -> Result<Option<TailFrame>> {
        if !self.skip_to_wanted(limit_seq)? {
            return Ok(None);
        }
        let Some((checked, frame)) = self.find(limit_seq, Self::copied)? else {
            return Ok(None);
        };
        if !counts(&frame)? {
            return Ok(None);
        }
        if checked.header.seq == self.wanted {
            self.check_epoch(Some(&checked.header))?;
        }
        self.pass(&checked);
        Ok(Some(frame))
    }

    /// The commit that comes next.
    pub(crate) fn next_seq(&self) -> u64 {
        self.expected.max(self.wanted)
    }

    /// Goes as far towards the wanted frame as the log allows now; true once it comes next.
    fn skip_to_wanted(&mut self, limit_seq: u64) -> Result<bool> {
        loop {
            if self.place.is_some() && self.expected >= self.wanted {
                return Ok(true);
            }
            let Some(checked) = self.find(limit_seq, Self::here)? else {
                return Ok(false);
            };
            if checked.header.seq >= self.wanted {
                return Ok(true);
            }
            self.pass(&checked);
        }
    }

    /// What `take` makes of the whole frame that goes on with the chain, the reader moved to its segment; `None` if it
    /// is yet to come.
    fn find<T>(&mut self, limit_seq: u64, take: fn(&mut Self) -> Option<T>) -> Result<Option<T>> {
        if self.place.is_some() && self.expected > limit_seq {
            self.seen_empty = self.seen_empty || self.header_here().is_none();
            return Ok(None);
        }
        if self.place.is_some()
            && self.expected > self.surveyed_seq
            && !self.seen_empty
            && !self.beside_writer
        {
            self.survey(limit_seq)?;
        }
        if let Some(found) = self.look(take)? {
            return Ok(Some(found));
        }
        match self.check_passed_over(limit_seq) {
            Ok(()) => Ok(None),
            // A writer in another process may have gone on, and released, between the two looks. What was there
            // before the second one is found by it.
            Err(error) => self.look(take)?.map_or(Err(error), |found| Ok(Some(found))),
        }
    }

    fn survey(&mut self, limit_seq: u64) -> Result<()> {
        let from = self
            .place
            .as_ref()
            .map_or(self.first_segment, |place| place.number);
        self.ahead = live_segments(self.vfs.as_ref(), &self.directory, self.uuid, from)?;
        self.surveyed_seq = limit_seq;
        Ok(())
    }

    fn look<T>(&mut self, take: fn(&mut Self) -> Option<T>) -> Result<Option<T>> {
        let here = self.place.as_ref().map_or(u64::MAX, |place| place.number);
        let turn = |first: &&First| first.number > here && self.goes_on_with(&first.header);
        if let Some(first) = self.ahead.iter().find(turn).copied() {
            self.enter(first.number)?;
        }
        if let Some(found) = take(self) {
            return Ok(Some(found));
        }
        self.seen_empty = self.place.is_some() && self.header_here().is_none();
        let after = self
            .place
            .as_ref()
            .map_or(self.first_segment, |place| place.number.saturating_add(1));
        for (number, _) in segment_files(self.vfs.as_ref(), &self.directory)? {
            if number < after {
                continue;
            }
            let Some(first) = first_header(self.vfs.as_ref(), &self.directory, self.uuid, number)? else {
                continue;
            };
            self.proven_seq = self.proven_seq.max(first.header.durable_seq);
            if self.place.is_none() {
                if first.header.seq > self.wanted {
                    if number <= self.known_segment {
                        continue;
                    }
                    return Err(Error::NotFound);
                }
                // The log's first frame has come: whatever it is, the reader goes on from there.
                self.expected = first.header.seq;
            }
            // Its frame may be torn, or half-written: then one in a yet later segment may have taken its place.
            if self.goes_on_with(&first.header) && self.enter(number)?.is_some() {
                if let Some(found) = take(self) {
                    return Ok(Some(found));
                }
            }
        }
        Ok(None)
    }

    /// The header of the next frame, if it is at the place and whole.
    fn here(&mut self) -> Option<CheckedHeader> {
        let checked = self.header_here()?;
        let place = self.place.as_ref()?;
        frame_behind(&place.region, place.offset, &checked, &mut self.scratch)?;
        Some(checked)
    }

    /// The next frame, if it is at the place and whole.
    fn copied(&mut self) -> Option<(CheckedHeader, TailFrame)> {
        let checked = self.header_here()?;
        let place = self.place.as_ref()?;
        let mut bytes = vec![0; to_usize(checked.frame_len)?];
        place.region.copy_to(place.offset, &mut bytes)?;
        let frame = TailFrame::new(
            &FrameSeed {
                uuid: self.uuid,
                segment: place.number,
            },
            place.offset,
            bytes,
        )?;
        // The header held a moment ago, and it is still the same one.
        (frame.header == checked.header).then_some((checked, frame))
    }

    fn header_here(&mut self) -> Option<CheckedHeader> {
        let place = self.place.as_ref()?;
        let seed = FrameSeed {
            uuid: self.uuid,
            segment: place.number,
        };
        let checked = header_at(&place.region, &seed, place.offset, &mut self.scratch)?;
        self.goes_on_with(&checked.header).then_some(checked)
    }

    fn goes_on_with(&self, header: &FrameHeader) -> bool {
        let (undone_above, undone_epoch) = self.undone;
        header.seq == self.expected
            && (header.seq <= undone_above || header.epoch > undone_epoch)
            && self
                .previous
                .is_none_or(|(crc, epoch)| header.previous_crc == crc && header.epoch >= epoch)
    }

    /// Maps a segment and stands at its start; `None` if the file is gone.
    fn enter(&mut self, number: u64) -> Result<Option<()>> {
        let Some(file) = open(self.vfs.as_ref(), &self.directory, number)? else {
            return Ok(None);
        };
        let region = file.map(file.len()?)?;
        self.place = Some(Place {
            number,
            region,
            offset: 0,
        });
        self.seen_empty = false;
        self.beside_writer = false;
        Ok(Some(()))
    }

    fn pass(&mut self, checked: &CheckedHeader) {
        if let Some(place) = &mut self.place {
            place.offset = place.offset.saturating_add(checked.frame_len);
        }
        self.beside_writer = self.beside_writer || self.seen_empty;
        self.seen_empty = false;
        self.previous = Some((checked.crc, checked.header.epoch));
        self.proven_seq = self.proven_seq.max(checked.header.durable_seq);
        self.expected = checked.header.seq.saturating_add(1);
    }

    /// Whether the follower's history is this log's. Without the frame before the wanted one, the wanted one tells.
    fn check_epoch(&self, wanted: Option<&FrameHeader>) -> Result<()> {
        if self.wanted_epoch == 0 {
            return Ok(());
        }
        match (self.previous, wanted) {
            (Some((_, epoch)), _) if epoch == self.wanted_epoch => Ok(()),
            (Some((_, epoch)), _) => Err(Error::Conflict {
                what: format!(
                    "commit {} has epoch {epoch} in this log, not {}: the follower knows commits that a crash undid",
                    self.wanted.saturating_sub(1),
                    self.wanted_epoch
                )
                .into(),
            }),
            // One opening has one history, so a frame of the same epoch has the same past.
            (None, Some(header)) if header.epoch == self.wanted_epoch || header.seq == 1 => Ok(()),
            (None, Some(_)) => Err(Error::NotFound),
            (None, None) => Ok(()),
        }
    }

    /// Fails if the frame that should come next won't: the log was released past it, or it is damaged.
    fn check_passed_over(&mut self, limit_seq: u64) -> Result<()> {
        let published = self.expected <= limit_seq && limit_seq != u64::MAX;
        let Some(place) = &self.place else {
            return if published { Err(Error::NotFound) } else { Ok(()) };
        };
        let (number, offset) = (place.number, place.offset);
        let begun = unchecked_header_at(&place.region, offset)
            .is_some_and(|(header, _, _)| header.seq == self.expected);
        if self
            .vfs
            .entry_kind(&self.directory.join(segment_file_name(number)))?
            .is_none()
        {
            return Err(Error::NotFound);
        }
        if !published && self.expected > self.proven_seq {
            return Ok(());
        }
        if self.here().is_some() {
            return Ok(());
        }
        self.survey(limit_seq)?;
        let mut ahead = self.ahead.iter().filter(|first| first.number > number);
        let crashed_since =
            ahead.any(|first| self.previous.is_none_or(|(_, epoch)| first.header.epoch > epoch));
        if begun && !crashed_since {
            return Err(Error::corrupt_commits(
                segment_display_name(number),
                offset,
                "a frame that is kept for followers fails its check",
                self.expected,
                self.expected,
            ));
        }
        // A hole that recovery got past by way of a checkpoint: for a follower the log begins behind it.
        Err(Error::NotFound)
    }
}
