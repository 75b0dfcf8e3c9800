//! What keeps a store in shape: preparing log segments, checkpoints, merges, reclaiming, and letting go of files.
//! All in small steps, run by the background thread, by the host through `maintain`, or by a commit that can't
//! wait for either.

use std::sync::atomic::Ordering;

use super::{checkpoint::Checkpoint, lock, merge::Merge, reclaim::Reclaim, Engine};
use crate::error::{Error, Result};

/// A step writes or syncs about this much.
pub(super) const STEP_BYTES: usize = 256 << 10;

/// Deletions below this number don't make a small store merge.
pub(super) const LEAST_DELETED: u64 = 256;

/// Large-block bytes that may be written and not yet synced.
pub(super) const MOST_UNSYNCED_BYTES: u64 = 64 << 20;

/// Jobs under way. A checkpoint goes before everything else, since commits may wait for it.
#[derive(Debug, Default)]
pub(super) struct Upkeep {
    checkpoint: Option<Checkpoint>,
    merge: Option<Merge>,
    reclaim: Option<Reclaim>,
}

impl Engine {
    /// One step of whatever is most urgent; false when there is nothing to do.
    pub(super) fn upkeep_step(&self) -> Result<bool> {
        self.check_writable()?;
        if !self.begun.load(Ordering::Acquire) {
            return Ok(false);
        }
        if self.prepare_ahead()? {
            return Ok(true);
        }
        if self.sync_for_notifications()? {
            return Ok(true);
        }
        if self.large.unsynced_bytes() > MOST_UNSYNCED_BYTES / 2 {
            self.large.sync_all().inspect_err(|error| self.poison(error))?;
            return Ok(true);
        }
        let mut upkeep = lock(&self.upkeep);
        if self.step_checkpoint(&mut upkeep)? {
            return Ok(true);
        }
        self.readers.release(&self.supply)?;
        if upkeep.merge.is_none() && self.much_was_deleted() && self.freeze() {
            // What was deleted last has to be in a run to be merged.
            return Ok(true);
        }
        self.step_merge(&mut upkeep).and_then(|more| {
            if more {
                return Ok(true);
            }
            self.step_reclaim(&mut upkeep, false)
        })
    }

    /// A segment ready before the current one is full.
    fn prepare_ahead(&self) -> Result<bool> {
        let wanted = lock(&self.append).appender.half_used();
        if !wanted || self.supply.ready(0) {
            return Ok(false);
        }
        if !self.supply.prepare(0)? {
            self.background.finished_something();
        }
        Ok(true)
    }

    fn step_checkpoint(&self, upkeep: &mut Upkeep) -> Result<bool> {
        if upkeep.checkpoint.is_none() {
            let frozen = lock(&self.append).frozen.clone();
            upkeep.checkpoint = frozen.map(Checkpoint::new);
        }
        let Some(checkpoint) = &mut upkeep.checkpoint else {
            return Ok(false);
        };
        match checkpoint.step(self) {
            Ok(done) => {
                if done {
                    upkeep.checkpoint = None;
                }
                Ok(true)
            }
            Err(error) => {
                if let Some(checkpoint) = upkeep.checkpoint.take() {
                    checkpoint.abandon(self);
                }
                Err(self.upkeep_failed(error))
            }
        }
    }

    fn step_merge(&self, upkeep: &mut Upkeep) -> Result<bool> {
        if upkeep.merge.is_none() {
            upkeep.merge = Merge::plan(self, self.much_was_deleted())?;
        }
        let Some(merge) = &mut upkeep.merge else {
            return Ok(false);
        };
        match merge.step(self) {
            Ok(done) => {
                if done {
                    upkeep.merge = None;
                }
                Ok(true)
            }
            Err(error) => {
                if let Some(merge) = upkeep.merge.take() {
                    merge.abandon();
                }
                Err(self.upkeep_failed(error))
            }
        }
    }

    fn step_reclaim(&self, upkeep: &mut Upkeep, everything: bool) -> Result<bool> {
        if upkeep.reclaim.is_none() {
            upkeep.reclaim = Reclaim::plan(self, everything)?;
        }
        let Some(reclaim) = &mut upkeep.reclaim else {
            return Ok(false);
        };
        match reclaim.step(self) {
            Ok(done) => {
                if done {
                    upkeep.reclaim = None;
                }
                Ok(true)
            }
            Err(error) => {
                if let Some(reclaim) = upkeep.reclaim.take() {
                    reclaim.abandon();
                }
                Err(self.upkeep_failed(error))
            }
        }
    }

    /// A full disk is met again, and got past, by the next attempt. Damage that was read is reported and harms
    /// nothing further. Anything else leaves open what is on disk.
    fn upkeep_failed(&self, error: Error) -> Error {
        if !matches!(error, Error::NoSpace { .. } | Error::Corrupt { .. }) {
            self.poison(&error);
        }
        error
    }

    /// Runs the checkpoint under way, if there is one, to its end.
    pub(super) fn finish_checkpoint(&self) -> Result<()> {
        loop {
            if let Some(error) = self.group.poisoned() {
                return Err(error);
            }
            let mut upkeep = lock(&self.upkeep);
            if !self.step_checkpoint(&mut upkeep)? {
                return Ok(());
            }
        }
    }

    /// Everything committed so far goes into runs and chunks; the log before it is released.
    pub(crate) fn checkpoint(&self) -> Result<()> {
        self.check_writable()?;
        self.begin()?;
        // One that is under way may have been frozen before the newest commit.
        self.finish_checkpoint()?;
        if self.freeze() {
            self.finish_checkpoint()?;
        }
        self.run_notifications();
        self.readers.release(&self.supply)
    }

    /// Checkpoints, merges everything into one run and gives back all dead space.
    pub(crate) fn compact(&self) -> Result<()> {
        self.check_writable()?;
        self.begin()?;
        self.seal_chunks(|_| true);
        self.checkpoint()?;
        // A merge that is under way already covers less than everything.
        while self.compact_step(|engine, upkeep| match upkeep.merge {
            Some(_) => engine.step_merge(upkeep),
            None => Ok(false),
        })? {}
        {
            let mut upkeep = lock(&self.upkeep);
            if upkeep.merge.is_none() {
                upkeep.merge = Merge::plan(self, true)?;
            }
        }
        while self.compact_step(|engine, upkeep| match upkeep.merge {
            Some(_) => engine.step_merge(upkeep),
            None => Ok(false),
        })? {}
        while self.compact_step(|engine, upkeep| engine.step_reclaim(upkeep, true))? {}
        self.readers.release(&self.supply)
    }

    fn compact_step(&self, step: impl FnOnce(&Engine, &mut Upkeep) -> Result<bool>) -> Result<bool> {
        self.check_writable()?;
        let mut upkeep = lock(&self.upkeep);
        if self.step_checkpoint(&mut upkeep)? {
            return Ok(true);
        }
        step(self, &mut upkeep)
    }

    /// Upkeep for about `budget_us`; whether work is left.
    pub(crate) fn maintain(&self, budget_us: u64) -> Result<bool> {
        self.check_writable()?;
        self.begin()?;
        let start = self.vfs.now_us();
        loop {
            if !self.upkeep_step()? {
                return Ok(false);
            }
            if self.vfs.now_us().saturating_sub(start) >= budget_us {
                return Ok(true);
            }
        }
    }

    /// Gives back what abandoned jobs have on disk; for closing.
    pub(super) fn abandon_jobs(&self) {
        let mut upkeep = lock(&self.upkeep);
        if let Some(merge) = upkeep.merge.take() {
            merge.abandon();
        }
        if let Some(reclaim) = upkeep.reclaim.take() {
            reclaim.abandon();
        }
        if let Some(checkpoint) = upkeep.checkpoint.take() {
            checkpoint.abandon(self);
        }
    }
}
