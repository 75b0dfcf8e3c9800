//! What the log promises, on the simulated disk. A [`Log`] here is what the engine does with the parts of this
//! folder, with the manifest kept in a variable that no crash touches.

mod cost;
mod crash;
mod recovery;
mod supply;
mod tail;

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    cut_off, replay, segment_file_name, Appender, FrameParts, LogWrite, ReplayEnd, ReplayStart, Segment,
    Supply, TailStart,
};
use crate::{
    error::Result,
    format::{
        frame::{payload_crc, FrameHeader, HEADER_BYTES},
        manifest::LogPosition,
    },
    vfs::{
        sim::{Fault, FaultKind, Operation, SimVfs},
        OpenMode, Vfs,
    },
};

const UUID: [u8; 16] = [7; 16];
/// Two chunks' worth of nothing: an assigned section without streams.
const ASSIGNED: [u8; 16] = [0; 16];

fn directory() -> PathBuf {
    PathBuf::from("/log")
}

/// Where a frame went.
#[derive(Debug)]
struct Put {
    segment: Arc<Segment>,
    offset: u64,
    frame_len: u64,
}

/// What one commit wrote.
#[derive(Clone, PartialEq, Eq)]
struct Commit {
    seq: u64,
    epoch: u64,
    commands: Vec<u8>,
    image: Vec<u8>,
}

impl std::fmt::Debug for Commit {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let (first, lens) = (self.commands.first(), (self.commands.len(), self.image.len()));
        write!(f, "{}e{} {first:?}*{lens:?}", self.seq, self.epoch)
    }
}

impl Commit {
    fn header(&self, durable_seq: u64, previous_crc: u32) -> FrameHeader {
        FrameHeader {
            seq: self.seq,
            epoch: self.epoch,
            durable_seq,
            previous_crc,
            payload_crc: payload_crc(&self.commands, &self.image),
            command_count: 1,
            assigned_len: ASSIGNED.len() as u32,
            commands_len: self.commands.len() as u64,
            image_len: self.image.len() as u64,
        }
    }

    fn frame_len(&self) -> u64 {
        self.header(0, 0).frame_len().unwrap()
    }
}

/// A disk with an empty log directory that no crash takes back.
fn disk(seed: u64) -> SimVfs {
    let disk = SimVfs::new(seed).with_reserve(1 << 20);
    disk.create_directory(&directory()).unwrap();
    disk.sync_directory(Path::new("/")).unwrap();
    disk
}

fn shared(disk: &SimVfs) -> Arc<dyn Vfs> {
    Arc::new(disk.clone())
}

fn cut_off_durably(disk: &SimVfs, position: &LogPosition, seq: u64) {
    for file in cut_off(&shared(disk), &directory(), position, seq).unwrap() {
        file.sync().unwrap();
    }
}

/// The manifest of a store that was just created.
fn empty() -> ReplayStart {
    ReplayStart {
        position: LogPosition::default(),
        checkpoint_seq: 0,
        epoch: 0,
        durable_seq: 0,
        limit: u64::MAX,
        salvage: false,
        beside_writer: false,
    }
}

/// What a replay gave, with the commits it saw.
fn recover(disk: &SimVfs, first_segment: u64, start: ReplayStart) -> (Vec<Commit>, ReplayEnd) {
    let mut commits = Vec::new();
    let end = replay(
        &shared(disk),
        &directory(),
        UUID,
        first_segment,
        start,
        &mut |frame, segment, offset| {
            let image_at = offset + frame.image_offset;
            assert_eq!(
                segment.region().bytes(image_at, frame.header.image_len),
                Some(frame.image)
            );
            assert_eq!(frame.assigned, ASSIGNED);
            commits.push(Commit {
                seq: frame.header.seq,
                epoch: frame.header.epoch,
                commands: frame.commands.to_vec(),
                image: frame.image.to_vec(),
            });
            Ok(())
        },
    )
    .unwrap();
    (commits, end)
}

struct Log {
    supply: Supply,
    appender: Appender,
    /// The newest durable manifest.
    manifest: ReplayStart,
    first_segment: u64,
    durable_seq: u64,
    /// Every commit since the checkpoint.
    commits: Vec<Commit>,
    /// Seqs of the first frames of this opening's segments.
    segment_starts: Vec<u64>,
}

impl Log {
    fn create(disk: &SimVfs, how: LogWrite, max_segment: u64) -> Log {
        Log::open(disk, empty(), 0, how, max_segment).0
    }

    /// Recovers, and starts the next epoch.
    fn open(
        disk: &SimVfs,
        mut manifest: ReplayStart,
        first_segment: u64,
        how: LogWrite,
        max_segment: u64,
    ) -> (Log, Option<crate::error::Error>) {
        let (commits, end) = recover(disk, first_segment, manifest);
        manifest.epoch += 1;
        let log = Log {
            supply: Supply::new(
                shared(disk),
                directory(),
                end.highest_number + 1,
                how,
                max_segment,
            ),
            appender: Appender::new(UUID, end.position, end.segments),
            manifest,
            first_segment,
            durable_seq: end.proven_seq,
            commits,
            segment_starts: Vec::new(),
        };
        (log, end.damage)
    }

    fn last_seq(&self) -> u64 {
        self.commits
            .last()
            .map_or(self.manifest.checkpoint_seq, |commit| commit.seq)
    }

    /// Appends the next commit, `commands` and `image` of these lengths.
    fn append(&mut self, commands: usize, image: usize, written: bool) -> Result<Put> {
        let seq = self.last_seq() + 1;
        let fill = (seq * 31 + self.manifest.epoch * 7) as u8 | 1;
        let commit = Commit {
            seq,
            epoch: self.manifest.epoch,
            commands: vec![fill; commands],
            image: vec![!fill | 2; image],
        };
        let frame_len = commit.frame_len();
        while !self.appender.has_room(frame_len) {
            match self.supply.take(frame_len) {
                Some(segment) => self.appender.switch_to(segment),
                None => while self.supply.prepare(frame_len)? {},
            }
        }
        let appended = self.appender.append(
            &FrameParts {
                seq,
                epoch: commit.epoch,
                durable_seq: self.durable_seq,
                command_count: 1,
                payload_crc: payload_crc(&commit.commands, &commit.image),
                assigned: &ASSIGNED,
                commands: &commit.commands,
                image: &commit.image,
            },
            &mut [],
            written,
        )?;
        assert_eq!(appended.frame_len, frame_len);
        if appended.offset == 0 {
            self.segment_starts.push(seq);
        }
        self.commits.push(commit);
        let segment = self.appender.current().map(Arc::clone);
        Ok(Put {
            segment: segment.unwrap(),
            offset: appended.offset,
            frame_len,
        })
    }

    fn append_many(&mut self, count: usize) {
        for number in 0..count {
            self.append(40 + number % 50, 0, number % 2 == 0).unwrap();
        }
    }

    /// Makes everything durable, and says so at the log's end.
    fn sync(&mut self) -> Result<()> {
        for segment in self.appender.segments() {
            segment.sync()?;
        }
        self.durable_seq = self.last_seq();
        self.appender
            .put_mark(self.manifest.epoch, self.durable_seq, true)
    }

    /// Everything goes to files that aren't the log, and the log before `keep` further segments is let go.
    fn checkpoint(&mut self, keep: u64) -> Result<()> {
        self.sync()?;
        self.manifest.checkpoint_seq = self.last_seq();
        self.manifest.durable_seq = self.durable_seq;
        self.manifest.position = self.appender.position();
        self.commits.clear();
        let keep_from = self.manifest.position.segment.saturating_sub(keep);
        self.first_segment = self.first_segment.max(keep_from);
        for segment in self.appender.release_before(self.first_segment) {
            self.supply.recycle(segment)?;
        }
        Ok(())
    }

    fn recover(&self, disk: &SimVfs) -> (Vec<Commit>, ReplayEnd) {
        recover(disk, self.first_segment, self.manifest)
    }
}

/// Changes bytes of a segment file behind everybody's back.
fn damage(disk: &SimVfs, segment: u64, offset: u64, bytes: &[u8]) {
    let path = directory().join(segment_file_name(segment));
    disk.open(&path, OpenMode::Write)
        .unwrap()
        .write_at(offset, bytes)
        .unwrap();
}

fn names(disk: &SimVfs) -> Vec<String> {
    let entries = disk.list(&directory()).unwrap();
    entries
        .into_iter()
        .map(|entry| entry.name.into_string().unwrap())
        .collect()
}

/// For a reader that no checkpoint helps, of a log in which everything counts.
fn tail_start(first_segment: u64) -> TailStart {
    TailStart {
        first_segment,
        replay_seq: u64::MAX,
        replay_from: LogPosition::default(),
        last_seq: u64::MAX,
        undone_epoch: 0,
    }
}
