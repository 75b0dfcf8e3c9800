//! Disk space kept back for the day when the disk is full: giving space back takes some first, for the frame of a
//! deletion, for a checkpoint, for the new copy of a chunk.
//!
//! Upkeep keeps the file `RESERVE` allocated, as large as all that together. When upkeep, or a commit that only deletes,
//! finds the disk full, the file is cut to nothing, and what it took is there for them. From then on commits that add
//! anything are refused until the reserve could be allocated anew.

use crate::vfs::sync::{
    atomic::{AtomicBool, AtomicU64, AtomicUsize},
    Mutex,
};
use std::sync::{atomic::Ordering, Arc};

use super::{lock, Engine};
use crate::{
    error::{Error, Refusal, Result},
    vfs::{File, OpenMode},
};

pub(super) const RESERVE_NAME: &str = "RESERVE";

/// A store below this has nothing worth a reserve.
const LEAST_STORE_BYTES: u64 = 1 << 20;
/// For a segment; on a full disk a smaller one than usual does.
const SEGMENT_BYTES: u64 = 1 << 20;
/// Sizes are multiples of this.
const STEP_BYTES: u64 = 64 << 10;

#[derive(Debug, Default)]
pub(super) struct Reserve {
    file: Mutex<Option<Arc<dyn File>>>,
    bytes: AtomicU64,
    /// Bytes of log whose checkpoint it is large enough for.
    covered_log: AtomicU64,
    /// Bytes of log that the last checkpoint wrote: so much is likely to come again.
    usual_log: AtomicU64,
    /// It was given up, and additions wait until it is there again.
    spent: AtomicBool,
    /// Commits that write with what it was given up for: it isn't to be had back under their hands.
    users: AtomicUsize,
    /// The same for a job of upkeep, which begins anew once it was given up.
    job_waits: AtomicBool,
    /// A commit was refused for want of space, and none that adds something went through since.
    short: AtomicBool,
    /// Since then upkeep has not yet done all that it could about it.
    wanted: AtomicBool,
}

/// While a commit uses the reserve.
struct Use<'a>(&'a AtomicUsize);

impl Drop for Use<'_> {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Engine {
    /// What an earlier opening left. One that was spent is filled before anything else is added.
    pub(super) fn find_reserve(&self) -> Result<()> {
        let path = self.root.join(RESERVE_NAME);
        if self.vfs.entry_kind(&path)?.is_none() {
            return Ok(());
        }
        let file = self.vfs.open(&path, OpenMode::Write)?;
        let bytes = file.len()?;
        self.reserve.bytes.store(bytes, Ordering::Relaxed);
        self.reserve.spent.store(bytes == 0, Ordering::Relaxed);
        *lock(&self.reserve.file) = Some(file);
        Ok(())
    }

    /// Refuses a commit that adds something while the reserve is spent and can't be had back.
    pub(super) fn check_reserve(&self) -> Result<()> {
        if !self.reserve.spent.load(Ordering::Relaxed) {
            return Ok(());
        }
        if self.job_waits() && !self.options.background {
            self.stall(|| {
                while self.upkeep_step()? {}
                Ok(())
            })?;
        }
        self.fill_reserve(0)
    }

    /// Does what only gives space back: where the disk is full, once more without the files that nobody needs, or with
    /// the reserve.
    pub(super) fn with_reserve(&self, work: impl Fn() -> Result<()>) -> Result<()> {
        match work() {
            Err(error @ Error::NoSpace { .. }) => {
                self.reserve.users.fetch_add(1, Ordering::Relaxed);
                let _use = Use(&self.reserve.users);
                if self.readers.release(&self.supply)? {
                    match work() {
                        Err(Error::NoSpace { .. }) => {}
                        outcome => return outcome,
                    }
                }
                match self.spend_reserve() {
                    true => work(),
                    false => Err(error),
                }
            }
            outcome => outcome,
        }
    }

    /// A job failed on a full disk; true if it may begin anew: without the files that nobody needs, with the reserve,
    /// or with what the other jobs had.
    pub(super) fn find_space_for_a_job(&self, give_up_others: impl FnOnce() -> bool) -> Result<bool> {
        let found = self.readers.release(&self.supply)? || self.spend_reserve() || give_up_others();
        self.reserve.job_waits.store(found, Ordering::Relaxed);
        Ok(found)
    }

    /// A commit found the disk full: upkeep goes to all lengths, once.
    pub(super) fn note_refusal(&self) {
        self.reserve.short.store(true, Ordering::Relaxed);
        self.reserve.wanted.store(true, Ordering::Relaxed);
        self.background.wake();
    }

    /// A commit went through. What only deletes is made use of where space is short.
    pub(super) fn note_success(&self, adds: bool) {
        if !self.reserve.short.load(Ordering::Relaxed) {
            return;
        }
        if adds {
            self.reserve.short.store(false, Ordering::Relaxed);
        } else {
            self.reserve.wanted.store(true, Ordering::Relaxed);
            self.background.wake();
        }
    }

    /// Whether upkeep is to make space now. A refusal, or a deletion after one, asks for it once.
    pub(super) fn take_want_of_space(&self) -> bool {
        self.reserve.wanted.swap(false, Ordering::Relaxed)
    }

    /// Whether a job that a full disk stopped is to begin anew with what was found for it.
    pub(super) fn job_waits(&self) -> bool {
        self.reserve.job_waits.load(Ordering::Relaxed)
    }

    /// No job needs it any more.
    pub(super) fn end_of_jobs(&self) {
        self.reserve.job_waits.store(false, Ordering::Relaxed);
    }

    /// Whether `log_bytes` could be checkpointed should the disk be full by then. No more may be added otherwise, or
    /// what is in the log would take room that only a checkpoint of it gives back.
    pub(super) fn reserve_covers(&self, log_bytes: u64) -> bool {
        log_bytes <= self.reserve.covered_log.load(Ordering::Relaxed)
    }

    /// Makes the reserve large enough for so much log.
    pub(super) fn cover_log(&self, log_bytes: u64) -> Result<()> {
        if self.reserve_covers(log_bytes) {
            return Ok(());
        }
        self.fill_reserve(log_bytes)
    }

    /// A checkpoint wrote so much of the log.
    pub(super) fn note_checkpointed(&self, log_bytes: u64) {
        self.reserve.usual_log.store(log_bytes, Ordering::Relaxed);
    }

    /// Gives the reserve up for what has to be written now, and log that was prepared ahead; false if there is neither.
    pub(super) fn spend_reserve(&self) -> bool {
        let discarded = self.large.discard();
        let economised = self.supply.economise().unwrap_or(false) || discarded;
        let file = lock(&self.reserve.file);
        let Some(file) = file.as_ref() else {
            return economised;
        };
        if self.reserve.bytes.load(Ordering::Relaxed) == 0 || file.set_len(0).is_err() {
            return economised;
        }
        self.reserve.bytes.store(0, Ordering::Relaxed);
        self.reserve.covered_log.store(0, Ordering::Relaxed);
        self.reserve.spent.store(true, Ordering::Relaxed);
        true
    }

    /// The disk is too full for the reserve to be had back.
    pub(super) fn reserve_missing(&self) -> Option<Error> {
        if self.reserve.spent.load(Ordering::Relaxed) {
            self.fill_reserve(0).err()
        } else {
            None
        }
    }

    /// Upkeep's share: whatever hinders it, the store can do without.
    pub(super) fn tend_reserve(&self) {
        let _ = self.fill_reserve(self.reserve.usual_log.load(Ordering::Relaxed));
    }

    /// For closing: without log, it need not be large.
    pub(super) fn settle_reserve(&self) {
        let _ = self.fill_reserve(0);
    }

    /// Brings the reserve to the size that is wanted now, or nearly; with at least so much log.
    fn fill_reserve(&self, log_bytes: u64) -> Result<()> {
        let mut slot = lock(&self.reserve.file);
        let full = |os_code| {
            Error::NoSpace(Box::new(Refusal {
                what: "the reserve for deletions is used up".into(),
                file: None,
                os_code,
            }))
        };
        if self.reserve.users.load(Ordering::Relaxed) > 0 || self.job_waits() {
            return Err(full(0));
        }
        let log_bytes = log_bytes.max(self.log_without_checkpoint());
        let wanted = self.reserve_wanted(log_bytes);
        let mut held = self.reserve.bytes.load(Ordering::Relaxed);
        let roomy = (wanted + wanted / 8).next_multiple_of(STEP_BYTES);
        if held < wanted || held > 2 * roomy {
            let file = match slot.as_ref() {
                Some(file) => Arc::clone(file),
                None => {
                    let path = self.root.join(RESERVE_NAME);
                    let file = self.vfs.open(&path, OpenMode::CreateNew)?;
                    *slot = Some(Arc::clone(&file));
                    file
                }
            };
            let resized = if held < roomy {
                file.allocate(held, roomy - held)
            } else {
                file.set_len(roomy)
            };
            if let Err(error) = resized {
                // What was allocated in part is of no use to a later attempt.
                let _ = file.set_len(held);
                return Err(match error {
                    Error::NoSpace(refusal) => full(refusal.os_code),
                    error => error,
                });
            }
            self.reserve.bytes.store(roomy, Ordering::Relaxed);
            held = roomy;
        }
        let covered = log_bytes.saturating_add(held.saturating_sub(wanted));
        self.reserve.covered_log.store(covered, Ordering::Relaxed);
        self.reserve.spent.store(false, Ordering::Relaxed);
        self.supply.relax();
        Ok(())
    }

    /// The log that has no checkpoint yet, one part, a segment, and the live blocks of the chunk that would be
    /// rewritten next.
    fn reserve_wanted(&self, log: u64) -> u64 {
        let state = self.state.load();
        let index = state.index_bytes();
        let (mut blocks, mut next_chunk) = (0u64, 0u64);
        for meta in state.chunks.iter().map(|chunk| chunk.meta()) {
            blocks = blocks.saturating_add(meta.len);
            if meta.dead_bytes > 0 {
                next_chunk = next_chunk.max(meta.len.saturating_sub(meta.dead_bytes));
            }
        }
        if index.saturating_add(blocks).saturating_add(log) < LEAST_STORE_BYTES {
            return 0;
        }
        log.saturating_add(index.min(self.part_bytes()))
            .saturating_add(SEGMENT_BYTES)
            .saturating_add(next_chunk)
    }

    pub(super) fn log_without_checkpoint(&self) -> u64 {
        let state = self.state.load();
        let bytes = state
            .generations
            .iter()
            .map(|generation| generation.log_bytes.load(Ordering::Relaxed));
        bytes.sum()
    }
}
