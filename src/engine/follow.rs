//! Following the log: commits in order as they come, within the writing process and from a read-only opening.
//!
//! Within the process a follower sleeps until a commit wakes it; the committing thread looks at one counter and
//! takes a lock only if somebody waits. In another process there is nobody to wake a follower: it polls the
//! mapped tail and backs off to 1 ms.

use crate::vfs::sync::{atomic::AtomicUsize, disordered, Condvar, Mutex};
use std::{
    sync::{atomic::Ordering, Arc},
    time::{Duration, Instant},
};

use super::{
    apply::{forged, Contents, Step, Steps, StepsPosition},
    lock,
    manifest_file::ManifestFile,
    Engine, View,
};
use crate::{
    error::{Error, Result},
    format::{block::BlockAddress, command::BlockSource, frame::Assigned},
    log::{self, TailFrame, TailReader, TailStart},
    vfs::wait,
};

/// Wakes followers of this process.
#[derive(Debug, Default)]
pub(super) struct Followers {
    waiting: AtomicUsize,
    lock: Mutex<()>,
    changed: Condvar,
}

impl Followers {
    /// To be called after `published` was stored.
    pub(super) fn wake(&self) {
        if self.waiting.load(Ordering::SeqCst) > 0 {
            let _guard = lock(&self.lock);
            self.changed.notify_all();
        }
    }

    /// Whatever they wait for.
    pub(super) fn wake_all(&self) {
        let _guard = lock(&self.lock);
        self.changed.notify_all();
    }

    /// Sleeps until `done` holds or the time is up.
    fn wait(&self, until: Option<Instant>, mut done: impl FnMut() -> bool) {
        let missed = disordered!(UncountedFollower) && !done();
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let mut guard = lock(&self.lock);
        while missed || !done() {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                break;
            }
            guard = wait(&self.changed, &self.lock, guard, left);
        }
        drop(guard);
        self.waiting.fetch_sub(1, Ordering::SeqCst);
    }
}

const FIRST_PAUSE: Duration = Duration::from_micros(20);
const LONGEST_PAUSE: Duration = Duration::from_millis(1);

/// A place in the log. One thread at a time.
#[derive(Debug)]
pub(crate) struct Follower {
    engine: Arc<Engine>,
    tail: TailReader,
}

/// A commit read from the log, and how far its commands were looked at. Its bytes are this value's own.
#[derive(Debug)]
pub(crate) struct FollowedCommit {
    frame: TailFrame,
    assigned: Assigned,
    position: StepsPosition,
    /// What has its blocks, where that isn't what the engine shows.
    view: Option<View>,
}

/// One command of it.
#[derive(Debug)]
pub(crate) struct FollowedCommand<'a> {
    pub(crate) seq: u64,
    pub(crate) epoch: u64,
    /// The last command of its commit.
    pub(crate) last: bool,
    pub(crate) step: Step<'a>,
    /// The bytes of its block, where they came with the frame.
    pub(crate) bytes: Option<&'a [u8]>,
}

impl Engine {
    /// Oldest commit that is still in the log; the next one to come where it is empty.
    pub(crate) fn first_log_seq(&self) -> Result<u64> {
        Ok(lock(&self.manifest)
            .current()
            .first_log_seq
            .min(self.last_seq().saturating_add(1)))
    }

    /// Commits from `seq` on. `NotFound` if the log no longer reaches back to it; `Conflict` if the commit before it
    /// is of another epoch than `epoch` (0: any).
    pub(crate) fn follow(self: &Arc<Self>, seq: u64, epoch: u64) -> Result<Follower> {
        Ok(Follower {
            engine: Arc::clone(self),
            tail: self.tail_from(seq, epoch)?,
        })
    }

    pub(super) fn tail_from(&self, seq: u64, epoch: u64) -> Result<TailReader> {
        if seq == 0 {
            return Err(Error::invalid("commits are numbered from 1"));
        }
        if seq > self.last_seq().saturating_add(1) && !self.options.read_only {
            return Err(Error::invalid(format!(
                "commit {seq} lies beyond the next one, {}",
                self.last_seq() + 1
            )));
        }
        let start = {
            // A refresh changes both while it holds this lock.
            let manifest = lock(&self.manifest);
            let last_seq = self.last_seq();
            let current = manifest.current();
            if seq < current.first_log_seq {
                return Err(Error::NotFound);
            }
            TailStart {
                first_segment: current.first_segment,
                replay_seq: current.checkpoint_seq.saturating_add(1),
                replay_from: current.log,
                last_seq,
                undone_epoch: self.undone_epoch.load(Ordering::Relaxed),
            }
        };
        TailReader::open(
            Arc::clone(&self.vfs),
            self.root.join("log"),
            self.uuid,
            &start,
            seq,
            epoch,
        )
        .map_err(|error| self.damaged_or_released(seq, error))
    }

    /// What it means that commit `seq` is not to be found in the log: damage, unless the log was released past it.
    pub(super) fn damaged_or_released(&self, seq: u64, error: Error) -> Error {
        if let (true, Error::Io(refusal)) = (self.options.salvage, &error) {
            return Error::corrupt("log", 0, refusal.what.clone());
        }
        if error != Error::NotFound || seq > self.known_seq() {
            return error;
        }
        match self.log_now() {
            Ok((first_segment, first_log_seq)) if seq >= first_log_seq => log::damage_that_hides(
                self.vfs.as_ref(),
                &self.log_directory(),
                self.uuid,
                first_segment,
                seq,
                seq <= self.last_seq(),
            )
            .unwrap_or(error),
            Ok(_) => error,
            Err(error) => error,
        }
    }

    /// The newest commit that must be in the log: a salvaged store knows of some that it doesn't have.
    fn known_seq(&self) -> u64 {
        self.last_seq().max(self.recovery().proven_seq)
    }

    /// A block that commit `seq` names is not there. The log that is kept is kept with its blocks, so that is damage
    /// unless it was released past that commit.
    pub(crate) fn damaged_or_released_block(&self, seq: u64, block: &BlockAddress) -> Error {
        match self.log_now() {
            Ok((_, first_log_seq)) if seq >= first_log_seq => Error::corrupt_commits(
                self.state.load().chunk_file(block.chunk),
                block.offset,
                "a block that the log names is not there",
                seq,
                seq,
            ),
            Ok(_) => Error::NotFound,
            Err(error) => error,
        }
    }

    /// Oldest segment and oldest commit of the log as it is now, also where another process is writing it.
    fn log_now(&self) -> Result<(u64, u64)> {
        if self.options.read_only {
            let manifest = ManifestFile::read(&self.vfs, &self.root)?.ok_or(Error::NotFound)?;
            let current = manifest.current();
            return Ok((current.first_segment, current.first_log_seq));
        }
        let manifest = lock(&self.manifest);
        Ok((manifest.current().first_segment, manifest.current().first_log_seq))
    }

    /// What has the large blocks of a commit that came after this opening, which another process writes; `None` while
    /// they aren't whole: such a commit is one that a crash cut off, and recovery leaves it out.
    fn view_of_later(&self, frame: &TailFrame) -> Result<Option<View>> {
        if large_blocks(frame)?.is_empty() {
            return Ok(Some(self.view()));
        }
        let view = self.newest_view()?;
        Ok((view.seq >= frame.header().seq).then_some(view))
    }
}

impl Follower {
    /// The next commit, waiting for it up to `timeout`.
    pub(crate) fn next(&mut self, timeout: Duration) -> Result<FollowedCommit> {
        // A time-out too long to be a point in time is none at all.
        let until = Instant::now().checked_add(timeout);
        let mut pause = FIRST_PAUSE;
        loop {
            self.engine.check_not_closing()?;
            let foreign = self.engine.options.read_only;
            // Behind damage nothing counts, whatever is there.
            let open_ended = foreign && !self.engine.options.salvage;
            let limit = if open_ended {
                u64::MAX
            } else {
                self.engine.last_seq()
            };
            let mut view = None;
            let polled = self.tail.poll_if(limit, &mut |frame| {
                if foreign && frame.header().seq > self.engine.last_seq() {
                    view = self.engine.view_of_later(frame)?;
                    return Ok(view.is_some());
                }
                Ok(true)
            });
            let polled =
                polled.map_err(|error| self.engine.damaged_or_released(self.tail.next_seq(), error))?;
            if let Some(frame) = polled {
                return Ok(FollowedCommit {
                    assigned: assigned_of(&frame)?,
                    frame,
                    position: StepsPosition::default(),
                    view,
                });
            }
            if foreign && self.tail.next_seq() <= self.engine.known_seq() {
                // It was there when this store was opened: nothing to wait for.
                return Err(self
                    .engine
                    .damaged_or_released(self.tail.next_seq(), Error::NotFound));
            }
            let now = Instant::now();
            if until.is_some_and(|until| until <= now) {
                return Err(Error::Timeout);
            }
            if foreign {
                let left = until.map_or(pause, |until| until.saturating_duration_since(now));
                std::thread::park_timeout(pause.min(left));
                pause = (pause * 2).min(LONGEST_PAUSE);
            } else {
                let engine = &self.engine;
                engine.followers.wait(until, || {
                    engine.last_seq() > limit || engine.check_not_closing().is_err()
                });
            }
        }
    }
}

impl FollowedCommit {
    /// Every command was looked at.
    pub(crate) fn is_over(&self) -> bool {
        self.position.ordinal >= self.frame.header().command_count
    }

    pub(crate) fn seq(&self) -> u64 {
        self.frame.header().seq
    }

    /// Where to look for its blocks, if not in what the engine shows.
    pub(crate) fn view(&self) -> Option<&View> {
        self.view.as_ref()
    }

    /// The block of the next command, if it has one whose bytes are not in the frame.
    pub(crate) fn peek_block(&mut self) -> Result<Option<BlockAddress>> {
        let before = self.position;
        let block = self
            .step()?
            .and_then(|told| told.step.block.filter(|_| told.bytes.is_none()));
        self.position = before;
        Ok(block)
    }

    /// The next command.
    pub(crate) fn step(&mut self) -> Result<Option<FollowedCommand<'_>>> {
        let header = *self.frame.header();
        let contents = contents_of(&self.frame, &self.assigned);
        let mut steps = Steps::resume(contents, self.position);
        let Some(step) = steps.next().map_err(|_| forged_frame(&self.frame))? else {
            return Ok(None);
        };
        self.position = steps.position();
        let bytes = match (&step.image, &step.block) {
            (Some((start, owner_len)), Some(block)) => {
                let bytes = image_bytes(self.frame.image(), *start, *owner_len, block.len);
                Some(bytes.ok_or_else(|| forged_frame(&self.frame))?)
            }
            _ => None,
        };
        let last = self.position.ordinal == header.command_count;
        Ok(Some(FollowedCommand {
            seq: header.seq,
            epoch: header.epoch,
            last,
            step,
            bytes,
        }))
    }
}

/// Those that a commit wrote past the log.
pub(super) fn large_blocks(frame: &TailFrame) -> Result<Vec<BlockAddress>> {
    let assigned = assigned_of(frame)?;
    let mut steps = Steps::new(contents_of(frame, &assigned));
    let mut blocks = Vec::new();
    while let Some(step) = steps.next().map_err(|_| forged_frame(frame))? {
        if let Some(BlockSource::Large(address)) = step.command.block() {
            blocks.push(*address);
        }
    }
    Ok(blocks)
}

fn assigned_of(frame: &TailFrame) -> Result<Assigned> {
    Assigned::decode(frame.assigned()).ok_or_else(|| forged_frame(frame))
}

fn contents_of<'a>(frame: &'a TailFrame, assigned: &'a Assigned) -> Contents<'a> {
    let header = frame.header();
    Contents {
        command_count: header.command_count,
        commands: frame.commands(),
        image_len: header.image_len,
        assigned,
    }
}

fn forged_frame(frame: &TailFrame) -> Error {
    let (segment, offset) = frame.place();
    forged(segment, offset, frame.header().seq)
}

fn image_bytes(image: &[u8], start: u64, owner_len: usize, len: u64) -> Option<&[u8]> {
    let start = usize::try_from(start)
        .ok()?
        .checked_add(crate::format::block::HEADER_BYTES)?
        .checked_add(owner_len)?;
    image.get(start..)?.get(..usize::try_from(len).ok()?)
}
