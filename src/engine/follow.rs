//! Following the log: commits in order as they come, within the writing process and from a read-only opening.
//!
//! Within the process a follower sleeps until a commit wakes it; the committing thread looks at one counter and
//! takes a lock only if somebody waits. In another process there is nobody to wake a follower: it polls the
//! mapped tail and backs off to 1 ms.

use std::{
    sync::{
        atomic::{AtomicUsize, Ordering},
        Arc, Condvar, Mutex,
    },
    time::{Duration, Instant},
};

use super::{
    apply::{Contents, Step, Steps, StepsPosition},
    lock, Engine,
};
use crate::{
    error::{Error, Result},
    format::{block::BlockAddress, frame::Assigned},
    log::{TailFrame, TailReader, TailStart},
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
        self.waiting.fetch_add(1, Ordering::SeqCst);
        let mut guard = lock(&self.lock);
        while !done() {
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                break;
            }
            guard = match left {
                Some(left) => {
                    self.changed
                        .wait_timeout(guard, left)
                        .unwrap_or_else(std::sync::PoisonError::into_inner)
                        .0
                }
                None => self
                    .changed
                    .wait(guard)
                    .unwrap_or_else(std::sync::PoisonError::into_inner),
            };
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
        let last_seq = self.last_seq();
        let start = {
            let manifest = lock(&self.manifest);
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
            let limit = if foreign { u64::MAX } else { self.engine.last_seq() };
            if let Some(frame) = self.tail.poll(limit)? {
                let assigned = Assigned::decode(frame.assigned())
                    .ok_or_else(|| Error::internal("a frame's assigned section can't be decoded"))?;
                return Ok(FollowedCommit {
                    frame,
                    assigned,
                    position: StepsPosition::default(),
                });
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
        let contents = Contents {
            command_count: header.command_count,
            commands: self.frame.commands(),
            image_len: header.image_len,
            assigned: &self.assigned,
        };
        let mut steps = Steps::resume(contents, self.position);
        let Some(step) = steps.next()? else {
            return Ok(None);
        };
        self.position = steps.position();
        let bytes = match (&step.image, &step.block) {
            (Some((start, owner)), Some(block)) => {
                let bytes = image_bytes(self.frame.image(), *start, owner.len(), block.len);
                Some(bytes.ok_or_else(|| Error::internal("a small block lies outside its frame"))?)
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

fn image_bytes(image: &[u8], start: u64, owner_len: usize, len: u64) -> Option<&[u8]> {
    let start = usize::try_from(start)
        .ok()?
        .checked_add(crate::format::block::HEADER_BYTES)?
        .checked_add(owner_len)?;
    image.get(start..)?.get(..usize::try_from(len).ok()?)
}
