//! What keeps a store in shape: preparing log segments, checkpoints, merges, reclaiming, and letting go of files.
//! All in small steps, run by the background thread, by the host through `maintain`, or by a commit that can't
//! wait for either.

use std::sync::atomic::Ordering;

use super::{
    checkpoint::Checkpoint,
    dead::DeadEstimates,
    lock,
    merge::Merge,
    reclaim::{Reclaim, ReclaimStep},
    Engine,
};
use crate::{
    error::{Error, Result},
    format::bytes::to_u64,
    vfs::{is_made, sync::MutexGuard, Defect},
};

/// A step writes or syncs about this much.
pub(super) const STEP_BYTES: usize = 256 << 10;

/// Deletions below this number don't make a small store merge.
pub(super) const LEAST_DELETED: u64 = 256;

/// From this number of runs on, merging takes turns with checkpoints, the more of them the more runs there are: so
/// writers that outrun merging are slowed down before reading suffers.
const MANY_RUNS: usize = 24;

/// Less log is left without a checkpoint while space is short.
const LEAST_LOG_BYTES: u64 = 64 << 10;

/// Large-block bytes that may be written and not yet synced, and from when on upkeep syncs them.
pub(super) const MOST_UNSYNCED_BYTES: u64 = 512 << 20;
pub(super) const SYNC_FROM_BYTES: u64 = 16 << 20;

/// Jobs under way. A checkpoint goes before everything else, since commits may wait for it.
#[derive(Debug, Default)]
pub(super) struct Upkeep {
    checkpoint: Option<Checkpoint>,
    merge: Option<Merge>,
    reclaim: Option<Reclaim>,
    /// Steps of merging that come before the next step of a checkpoint.
    merge_steps_due: u64,
    dead: DeadEstimates,
    /// So much was deleted that a generation was closed for everything to be merged next.
    merge_of_everything_due: bool,
    making_space: Option<MakingSpace>,
}

/// What otherwise isn't worth the work, while somebody needs space that isn't there.
#[derive(Debug, Clone, Copy)]
struct MakingSpace {
    /// Everything is still to be merged, for the sake of what was deleted.
    merge: bool,
}

impl Upkeep {
    /// What the jobs under way hold in memory.
    fn heap_bytes(&self) -> u64 {
        self.checkpoint.as_ref().map_or(0, Checkpoint::heap_bytes)
            + self.merge.as_ref().map_or(0, Merge::heap_bytes)
            + self.reclaim.as_ref().map_or(0, Reclaim::heap_bytes)
    }

    /// The run that the merge under way writes.
    fn merge_target(&self) -> Option<u64> {
        self.merge.as_ref().map(Merge::target)
    }

    /// Lets go of the merge under way, and of what it has on disk; false if there is none.
    fn give_up_merge(&mut self, engine: &Engine) -> bool {
        let Some(merge) = self.merge.take() else {
            return false;
        };
        merge.abandon(engine);
        if let Some(making) = &mut self.making_space {
            making.merge = true;
        }
        true
    }

    /// The same for a chunk's rewriting.
    fn give_up_reclaim(&mut self) -> bool {
        let Some(reclaim) = self.reclaim.take() else {
            return false;
        };
        reclaim.abandon();
        true
    }
}

impl Engine {
    /// One step of whatever is most urgent; false when there is nothing to do.
    pub(super) fn upkeep_step(&self) -> Result<bool> {
        self.check_writable()?;
        if !self.begun.load(Ordering::Acquire) {
            return Ok(false);
        }
        // Room for more log is not worth what giving space back needs: a full disk is no reason to stop here.
        let full = match self.prepare_ahead() {
            Ok(true) => return Ok(true),
            Ok(false) => None,
            Err(error @ Error::NoSpace { .. }) => Some(error),
            Err(error) => return Err(error),
        };
        // Somebody waits for the first; the others are for later.
        if self.sync_for_notifications()? || self.prepare_chunk() || self.arenas.prepare()? {
            return Ok(true);
        }
        if self.large.unsynced_bytes() > SYNC_FROM_BYTES {
            self.large.sync_all().inspect_err(|error| self.poison(error))?;
            return Ok(true);
        }
        let mut upkeep = self.lock_upkeep()?;
        // Ahead of what takes more space, or it would wait until there is nothing else to do.
        if self.readers.release_step(&self.supply)? {
            return Ok(true);
        }
        if self.step_urgent(&mut upkeep)? {
            return Ok(true);
        }
        let is_new = upkeep.merge.is_none() && !upkeep.merge_of_everything_due;
        if is_new && self.much_was_deleted() && self.freeze() {
            // What was deleted last has to be in a run to be merged: this once. A host that commits between any two
            // steps has always something newer, and the merge would wait for that again and again.
            upkeep.merge_of_everything_due = true;
            return Ok(true);
        }
        if self.step_merge(&mut upkeep)? || self.step_reclaim(&mut upkeep, None)? {
            return Ok(true);
        }
        // The reserve isn't filled again under a job that is at it with what it was given up for.
        let under_way = upkeep.making_space.is_some() || self.take_want_of_space();
        if !under_way {
            self.end_of_jobs();
        }
        if under_way || full.is_some() || self.reserve_missing().is_some() {
            match self.step_for_space(&mut upkeep) {
                Ok(true) => return Ok(true),
                outcome => {
                    // Done; or nothing more can be done until somebody deletes something, or is refused again.
                    upkeep.making_space = None;
                    outcome?;
                }
            }
        }
        self.end_of_jobs();
        match full.or_else(|| self.reserve_missing()) {
            Some(error) => Err(error),
            None => {
                self.tend_reserve();
                Ok(self.supply.calm_down()? || self.arenas.shrink())
            }
        }
    }

    /// Poison is looked at once the lock is ours: a job that failed while we waited for it may have put a manifest in
    /// force, and the next attempt would write over the files that it names.
    fn lock_upkeep(&self) -> Result<MutexGuard<'_, Upkeep>> {
        let before = self.group.poisoned();
        let upkeep = lock(&self.upkeep);
        let poisoned = match is_made(Defect::PoisonLookedAtTooEarly) {
            true => before,
            false => self.group.poisoned(),
        };
        poisoned.map_or(Ok(upkeep), Err)
    }

    fn step_for_space(&self, upkeep: &mut Upkeep) -> Result<bool> {
        let making = match upkeep.making_space {
            Some(making) => making,
            None => {
                let making = MakingSpace {
                    merge: self.some_was_deleted(),
                };
                upkeep.making_space = Some(making);
                let dead = self.dead_chunks();
                self.seal_chunks(|number| dead.contains(&number));
                // A checkpoint gives log back, and the reserve for it needs no space any more.
                let is_large = lock(&self.append).appender.is_large()
                    || self.log_without_checkpoint() >= LEAST_LOG_BYTES;
                if (making.merge || is_large || self.log_keeps(&dead)) && self.freeze() {
                    return Ok(true);
                }
                making
            }
        };
        if making.merge {
            upkeep.making_space = Some(MakingSpace { merge: false });
            upkeep.merge = self.plan_merge_of_everything(upkeep)?;
            if self.step_merge(upkeep)? {
                return Ok(true);
            }
        }
        self.step_reclaim(upkeep, Some(&mut self.dead_chunks()))
    }

    /// A segment ready before the current one is full.
    fn prepare_ahead(&self) -> Result<bool> {
        if !self.supply.is_short() || self.supply.is_scarce() {
            return Ok(false);
        }
        if !self.log_half_used.load(Ordering::Relaxed) && !self.supply.is_outrun() {
            return Ok(false);
        }
        if !self.supply.prepare(0)? {
            self.background.finished_something();
            let log_bytes = self.log_ahead(&lock(&self.append), 0);
            // Where that isn't to be had, commits are refused that would need it.
            let _ = self.cover_log(log_bytes);
        }
        Ok(true)
    }

    /// The next chunk for large blocks. What a full disk has left is for others.
    fn prepare_chunk(&self) -> bool {
        !self.supply.is_scarce() && self.large.prepare()
    }

    /// What commits wait for or will: the checkpoint under way, and merging where it falls behind.
    fn step_urgent(&self, upkeep: &mut Upkeep) -> Result<bool> {
        self.counters
            .jobs_heap_bytes
            .store(upkeep.heap_bytes(), Ordering::Relaxed);
        if upkeep.merge_steps_due > 0 {
            upkeep.merge_steps_due -= 1;
            if self.step_merge(upkeep)? {
                return Ok(true);
            }
            upkeep.merge_steps_due = 0;
        }
        if !self.step_checkpoint(upkeep)? {
            return Ok(false);
        }
        if self.job_waits() {
            // A merge would take the room that was found for the checkpoint, be given up for it again, and so on.
            return Ok(true);
        }
        let state = self.state.load();
        let for_reading = to_u64(state.runs.len().saturating_sub(MANY_RUNS));
        let share = upkeep.dead.share(&state);
        let for_space = match self.is_worth_merging(share) {
            true => share.merge_steps(),
            false => u64::from(upkeep.dead.is_behind(&state, upkeep.merge_target())),
        };
        upkeep.merge_steps_due = for_reading.max(for_space);
        Ok(true)
    }

    fn step_checkpoint(&self, upkeep: &mut Upkeep) -> Result<bool> {
        // Looked at first without the append lock, which commits are busy with.
        if upkeep.checkpoint.is_none() && self.state.load().generations.len() > 1 {
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
                let checkpoint = upkeep.checkpoint.take();
                let outcome = self.upkeep_failed(upkeep, error);
                // Where nobody knows which manifest is on disk, the new one may name the files.
                if let Some(checkpoint) = checkpoint.filter(|_| self.group.poisoned().is_none()) {
                    checkpoint.abandon(self);
                }
                outcome
            }
        }
    }

    fn plan_merge_of_everything(&self, upkeep: &mut Upkeep) -> Result<Option<Merge>> {
        let merge = Merge::plan(self, true)?;
        upkeep.merge_of_everything_due = false;
        Ok(merge)
    }

    fn step_merge(&self, upkeep: &mut Upkeep) -> Result<bool> {
        let target = upkeep.merge_target();
        let state = self.state.load_full();
        if upkeep.dead.step(&state, target)? {
            return Ok(true);
        }
        if upkeep.merge.is_none() {
            let much_is_dead = upkeep.merge_of_everything_due
                || self.much_was_deleted()
                || self.is_worth_merging(upkeep.dead.share(&state));
            upkeep.merge = match much_is_dead {
                true => self.plan_merge_of_everything(upkeep)?,
                false => Merge::plan(self, false)?,
            };
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
                upkeep.give_up_merge(self);
                self.upkeep_failed(upkeep, error)
            }
        }
    }

    /// Rewrites what is worth it or, with a list, the chunks on it that have dead bytes.
    fn step_reclaim(&self, upkeep: &mut Upkeep, wanted: Option<&mut Vec<u32>>) -> Result<bool> {
        if upkeep.reclaim.is_none() {
            upkeep.reclaim = match wanted {
                Some(wanted) => Reclaim::plan_next(self, wanted)?,
                None => Reclaim::plan(self)?,
            };
        }
        let Some(reclaim) = &mut upkeep.reclaim else {
            return Ok(false);
        };
        match reclaim.step(self) {
            Ok(ReclaimStep::Working) => Ok(true),
            Ok(ReclaimStep::Done) => {
                upkeep.reclaim = None;
                Ok(true)
            }
            Ok(ReclaimStep::GaveUp) => {
                upkeep.give_up_reclaim();
                Ok(true)
            }
            Err(error) => {
                upkeep.give_up_reclaim();
                self.upkeep_failed(upkeep, error)
            }
        }
    }

    /// The next attempt meets a full disk with the reserve given up, or what the other jobs had taken, or again, and
    /// gets past it once there is room. Damage that was read is reported and harms nothing further. Anything else
    /// leaves open what is on disk.
    fn upkeep_failed(&self, upkeep: &mut Upkeep, error: Error) -> Result<bool> {
        match &error {
            Error::NoSpace { .. } => {
                if self.find_space_for_a_job(|| upkeep.give_up_merge(self) | upkeep.give_up_reclaim())? {
                    return Ok(true);
                }
            }
            Error::Corrupt { .. } => {}
            _ => self.poison(&error),
        }
        Err(error)
    }

    /// Runs the checkpoint under way, if there is one, to its end. One that begins meanwhile is somebody else's.
    pub(super) fn finish_checkpoint(&self) -> Result<()> {
        let frozen_seq = || lock(&self.append).frozen.as_ref().map(|frozen| frozen.last_seq);
        let Some(last_seq) = frozen_seq() else {
            return Ok(());
        };
        loop {
            let mut upkeep = self.lock_upkeep()?;
            if frozen_seq().is_none_or(|seq| seq > last_seq) {
                return Ok(());
            }
            self.readers.release_step(&self.supply)?;
            self.step_urgent(&mut upkeep)?;
        }
    }

    /// Everything committed so far goes into runs and chunks; the log before it is released.
    pub(crate) fn checkpoint(&self) -> Result<()> {
        self.check_writable()?;
        self.begin_upkeep()?;
        let last_seq = self.last_seq();
        loop {
            self.finish_checkpoint()?;
            let done = lock(&self.manifest).current().checkpoint_seq >= last_seq;
            if done || !(self.freeze() || lock(&self.append).frozen.is_some()) {
                break;
            }
        }
        self.run_notifications();
        self.readers.release(&self.supply).map(drop)
    }

    /// Checkpoints, merges everything into one run and gives back all dead space. What others commit meanwhile is
    /// none of its business, so it comes to an end beside any writer.
    pub(crate) fn compact(&self) -> Result<()> {
        self.check_writable()?;
        self.begin_upkeep()?;
        self.seal_chunks(|_| true);
        self.large.discard();
        self.checkpoint()?;
        // A merge that is under way covers less than everything.
        let under_way = lock(&self.upkeep).merge.as_ref().map(Merge::target);
        self.finish_merge(under_way)?;
        let everything = {
            let mut upkeep = self.lock_upkeep()?;
            if upkeep.merge.is_none() {
                upkeep.merge = self.plan_merge_of_everything(&mut upkeep)?;
            }
            upkeep.merge.as_ref().map(Merge::target)
        };
        self.finish_merge(everything)?;
        let mut chunks: Vec<u32> = self
            .state
            .load()
            .chunks
            .iter()
            .map(|chunk| chunk.number())
            .collect();
        while self.compact_step(|engine, upkeep| engine.step_reclaim(upkeep, Some(&mut chunks)))? {}
        self.end_of_jobs();
        self.tend_reserve();
        self.readers.release(&self.supply).map(drop)
    }

    /// Goes on until the merge into this run is over.
    fn finish_merge(&self, into: Option<u64>) -> Result<()> {
        let Some(into) = into else {
            return Ok(());
        };
        while self.compact_step(|engine, upkeep| match &upkeep.merge {
            Some(merge) if merge.target() == into => engine.step_merge(upkeep),
            _ => Ok(false),
        })? {}
        Ok(())
    }

    /// One step of compacting, and one of what can't wait for its end.
    fn compact_step(&self, step: impl FnOnce(&Engine, &mut Upkeep) -> Result<bool>) -> Result<bool> {
        self.check_not_closing()?;
        self.check_writable()?;
        let mut upkeep = self.lock_upkeep()?;
        self.step_urgent(&mut upkeep)?;
        step(self, &mut upkeep)
    }

    /// Upkeep for about `budget_us`; whether work is left.
    pub(crate) fn maintain(&self, budget_us: u64) -> Result<bool> {
        self.check_writable()?;
        self.begin_upkeep()?;
        let start = self.vfs.now_us();
        loop {
            self.check_not_closing()?;
            if !self.upkeep_step()? {
                return Ok(false);
            }
            if self.vfs.now_us().saturating_sub(start) >= budget_us {
                return Ok(true);
            }
        }
    }

    /// For closing: what little is left of dead versions goes, where that takes no longer than a few checkpoints. A store
    /// that is larger goes on with it at its next opening.
    pub(super) fn merge_before_closing(&self) -> Result<()> {
        loop {
            let mut upkeep = lock(&self.upkeep);
            let state = self.state.load_full();
            let target = upkeep.merge_target();
            if upkeep.dead.step(&state, target)? {
                continue;
            }
            let share = upkeep.dead.share(&state);
            let is_small = share.live <= self.options.memory_bytes.saturating_mul(2);
            if upkeep.merge.is_none() {
                upkeep.merge_of_everything_due = share.is_noticeable() && !self.is_little(share);
            }
            let is_due = upkeep.merge.is_some() || upkeep.merge_of_everything_due;
            if !is_small || !is_due || !self.step_merge(&mut upkeep)? {
                return Ok(());
            }
        }
    }

    /// Gives back what abandoned jobs have on disk; for closing.
    pub(super) fn abandon_jobs(&self) {
        let mut upkeep = lock(&self.upkeep);
        upkeep.give_up_merge(self);
        upkeep.give_up_reclaim();
        if let Some(checkpoint) = upkeep.checkpoint.take() {
            checkpoint.abandon(self);
        }
    }
}
