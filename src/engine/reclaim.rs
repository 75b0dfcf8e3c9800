//! Space comes back by rewriting chunks: a new file under the same number holds the live blocks, and the old one
//! goes once a durable manifest names the new one. An address never changes.

use crate::vfs::sync::RwLockWriteGuard;
use std::{
    cmp::Reverse,
    sync::{atomic::Ordering, Arc},
};

use super::{
    liveness::Witnesses,
    lock,
    readers::Retired,
    state::State,
    upkeep::{LEAST_DELETED, STEP_BYTES},
    Engine,
};
use crate::vfs::sync::disordered;
use crate::{
    blocks::{chunk_file_name, Chunk, RewriteStep, Rewriter},
    error::Result,
    format::manifest::ChunkMeta,
    vfs::{is_made, lock_exclusively, Defect},
};

/// Dead bytes below this are left alone; a sixteenth of a chunk where chunks are small.
const LEAST_DEAD_BYTES: u64 = 4 << 20;

/// On a full disk, less is worth a chunk's rewriting.
const LEAST_DEAD_ON_A_FULL_DISK: u64 = 64 << 10;

#[derive(Debug)]
pub(super) struct Reclaim {
    chunk: Arc<Chunk>,
    rewriter: Rewriter,
}

pub(super) enum ReclaimStep {
    Working,
    /// The chunk is rewritten, or dropped.
    Done,
    /// It has to stay as it is for now.
    GaveUp,
}

impl Reclaim {
    /// The deadest chunk, while dead bytes exceed a third of live ones.
    pub(super) fn plan(engine: &Engine) -> Result<Option<Reclaim>> {
        let state = engine.state.load_full();
        let metas: Vec<ChunkMeta> = state.chunks.iter().map(|chunk| chunk.meta()).collect();
        let (dead, whole) = metas.iter().fold((0u64, 0u64), |(dead, whole), meta| {
            (
                dead.saturating_add(meta.dead_bytes),
                whole.saturating_add(meta.len),
            )
        });
        if dead < engine.least_dead_bytes() || dead < whole.saturating_sub(dead) / 3 {
            return Ok(None);
        }
        let candidate = state
            .chunks
            .iter()
            .filter(|chunk| engine.is_reclaimable(&state, chunk))
            .max_by_key(|chunk| chunk.meta().dead_bytes);
        if let Some(chunk) = candidate {
            return Reclaim::of(engine, chunk).map(Some);
        }
        // It may be where blocks go now. A chunk that is half dead is worth leaving for a new one.
        let half_dead = |meta: &&ChunkMeta| meta.dead_bytes >= meta.len / 2;
        let dead: Vec<u32> = metas.iter().filter(half_dead).map(|meta| meta.number).collect();
        engine.seal_chunks(|number| dead.contains(&number));
        Ok(None)
    }

    /// The next chunk off the list that has any dead bytes.
    pub(super) fn plan_next(engine: &Engine, wanted: &mut Vec<u32>) -> Result<Option<Reclaim>> {
        let state = engine.state.load_full();
        while let Some(number) = wanted.pop() {
            if let Some(chunk) = state
                .chunks
                .get(number)
                .filter(|chunk| engine.is_reclaimable(&state, chunk))
            {
                return Reclaim::of(engine, chunk).map(Some);
            }
        }
        Ok(None)
    }

    fn of(engine: &Engine, chunk: &Arc<Chunk>) -> Result<Reclaim> {
        let meta = chunk.meta();
        let name = chunk_file_name(meta.number, meta.rewrite.saturating_add(1));
        engine.readers.forget(&engine.blocks_directory().join(name));
        let rewriter = Rewriter::new(
            Arc::clone(&engine.vfs),
            engine.blocks_directory(),
            Arc::clone(chunk),
            None,
        )?;
        Ok(Reclaim {
            chunk: Arc::clone(chunk),
            rewriter,
        })
    }

    pub(super) fn step(&mut self, engine: &Engine) -> Result<ReclaimStep> {
        let outcome = {
            // No commit can be on its way to naming a block that is judged dead here.
            let _naming = (!disordered!(NamingUnlocked)).then(|| engine.no_naming());
            if self.chunk.meta().last_seq >= engine.retained_from() && !is_made(Defect::RetainedLogForgotten)
            {
                // A commit named a block in here since. Should the block die, followers will still ask for it.
                return Ok(ReclaimStep::GaveUp);
            }
            // In this order: a snapshot that isn't on the list yet sees nothing older than the view.
            let view = engine.view();
            let snapshots = match is_made(Defect::SnapshotsForgottenByReclaim) {
                true => Vec::new(),
                false => engine.kept_seqs(),
            };
            let witnesses = Witnesses::new(&view.state, &snapshots, view.seq);
            self.rewriter.step(STEP_BYTES, &mut |found| {
                if found.owner.is_empty() && is_made(Defect::LooseBlocksForgotten) {
                    return Ok(false);
                }
                witnesses.any(|view| view.needs(&found.address, found.owner))
            })?
        };
        match outcome {
            RewriteStep::Working => Ok(ReclaimStep::Working),
            RewriteStep::Done { meta, chunk, .. } => {
                let path = chunk.path().to_owned();
                self.put_in_force(engine, meta, chunk)
                    .inspect_err(|error| engine.remove_unnamed(&path, error))?;
                Ok(ReclaimStep::Done)
            }
            RewriteStep::Empty => {
                self.switch(engine, None)?;
                Ok(ReclaimStep::Done)
            }
        }
    }

    fn put_in_force(&self, engine: &Engine, meta: ChunkMeta, chunk: Arc<Chunk>) -> Result<()> {
        if !is_made(Defect::RewrittenNameNotSynced) {
            engine.vfs.sync_directory(&engine.blocks_directory())?;
        }
        self.switch(engine, Some((meta, chunk)))
    }

    pub(super) fn heap_bytes(&self) -> u64 {
        self.rewriter.heap_bytes()
    }

    pub(super) fn abandon(self) {
        self.rewriter.abandon();
    }

    fn switch(&self, engine: &Engine, to: Option<(ChunkMeta, Arc<Chunk>)>) -> Result<()> {
        let number = self.chunk.number();
        if is_made(Defect::ChunkUnlinkedEarly) {
            let _ = engine.vfs.unlink(self.chunk.path());
        }
        let generation = engine.edit_manifest(|manifest| {
            match &to {
                Some((meta, _)) => {
                    if let Some(listed) = manifest.chunks.iter_mut().find(|listed| listed.number == number) {
                        *listed = ChunkMeta {
                            last_seq: self.chunk.meta().last_seq,
                            ..*meta
                        };
                    }
                }
                None => manifest.chunks.retain(|listed| listed.number != number),
            }
            if manifest.small_chunk == number {
                manifest.small_chunk = 0;
            }
        })?;
        engine.large.forget(&self.chunk);
        {
            // Who named a block meanwhile told the chunk that goes.
            let _naming = engine.no_naming();
            if let Some((_, chunk)) = &to {
                chunk.named_by(self.chunk.meta().last_seq);
            }
            engine.state.rcu(|state| {
                let mut next: State = (**state).clone();
                next.chunks = match &to {
                    Some((_, chunk)) => next.chunks.with(Arc::clone(chunk)),
                    None => next.chunks.without(number),
                };
                next
            });
        }
        engine
            .readers
            .retire(generation, Retired::Chunk(Arc::clone(&self.chunk)));
        Ok(())
    }
}

impl Engine {
    /// While this is held, no commit names a loose block.
    fn no_naming(&self) -> RwLockWriteGuard<'_, ()> {
        lock_exclusively(&self.naming)
    }

    fn is_reclaimable(&self, state: &State, chunk: &Chunk) -> bool {
        chunk.meta().dead_bytes > 0
            && !self.is_being_written(state, chunk.number())
            // In this order: a commit that has a block in there names the chunk before it lets go of it.
            && !chunk.is_in_use()
            && (chunk.meta().last_seq < self.retained_from() || is_made(Defect::RetainedLogForgotten))
    }

    /// Whether commits or the next checkpoint may still add to the chunk.
    fn is_being_written(&self, state: &State, number: u32) -> bool {
        let frozen_chunk = {
            let append = lock(&self.append);
            if append.small_chunk == number {
                return true;
            }
            append.frozen.as_ref().map(|frozen| frozen.small_chunk)
        };
        frozen_chunk == Some(number)
            || self.large.active() == Some(number)
            || state.generations.iter().any(|generation| {
                // Images lie in ascending order of their chunks.
                let first = generation.pending.get(0).map(|image| image.chunk);
                let last = generation.pending.last().map(|image| image.chunk);
                first.is_some_and(|first| first <= number) && last.is_some_and(|last| number <= last)
            })
    }

    /// Chunks whose rewriting would give back something worth it on a full disk, the one that takes least room last.
    pub(super) fn dead_chunks(&self) -> Vec<u32> {
        let state = self.state.load();
        let mut dead: Vec<ChunkMeta> = state.chunks.iter().map(|chunk| chunk.meta()).collect();
        dead.retain(|meta| meta.dead_bytes >= LEAST_DEAD_ON_A_FULL_DISK);
        dead.sort_unstable_by_key(|meta| (Reverse(meta.len.saturating_sub(meta.dead_bytes)), meta.number));
        dead.iter().map(|meta| meta.number).collect()
    }

    /// Whether one of these chunks can't be rewritten before the next checkpoint.
    pub(super) fn log_keeps(&self, chunks: &[u32]) -> bool {
        let state = self.state.load_full();
        let checkpoint_seq = lock(&self.manifest).current().checkpoint_seq;
        let mut known = chunks.iter().filter_map(|number| state.chunks.get(*number));
        known.any(|chunk| {
            chunk.meta().last_seq > checkpoint_seq || self.is_being_written(&state, chunk.number())
        })
    }

    /// Lets the next blocks go to new chunks where the current ones are meant, so that those can be rewritten once
    /// the next checkpoint is done.
    pub(super) fn seal_chunks(&self, meant: impl Fn(u32) -> bool) {
        let mut append = lock(&self.append);
        if meant(append.small_chunk) {
            append.small_chunk = 0;
        }
        drop(append);
        if self.large.active().is_some_and(meant) {
            self.large.seal();
        }
    }

    /// Counts bytes of a chunk as dead; kept for later if the chunk is still to be made.
    pub(super) fn add_dead(&self, number: u32, bytes: u64) {
        match self.state.load().chunks.get(number) {
            Some(chunk) => chunk.add_dead(bytes),
            None => {
                let mut early = lock(&self.dead_early);
                let dead = early.entry(number).or_insert(0);
                *dead = dead.saturating_add(bytes);
            }
        }
    }

    /// Chunks named by a commit from here on stay as they are: replay and followers find their blocks there.
    fn retained_from(&self) -> u64 {
        let manifest = lock(&self.manifest);
        manifest
            .current()
            .first_log_seq
            .min(manifest.current().checkpoint_seq.saturating_add(1))
    }

    /// Live and dead bytes of all chunks; estimates.
    pub(super) fn block_bytes(&self) -> (u64, u64) {
        let state = self.state.load();
        state.chunks.iter().fold((0, 0), |(live, dead), chunk| {
            let meta = chunk.meta();
            let gone = meta.dead_bytes.min(meta.len);
            (live + (meta.len - gone), dead + gone)
        })
    }

    /// Whether so many entries were deleted that merging everything pays. One comparison, for every commit.
    pub(super) fn much_was_deleted(&self) -> bool {
        self.counters.deleted.load(Ordering::Relaxed) >= self.garbage_threshold.load(Ordering::Relaxed)
    }

    /// The same where the disk is full.
    pub(super) fn some_was_deleted(&self) -> bool {
        let deleted = self.counters.deleted.load(Ordering::Relaxed);
        deleted > 0 && deleted >= self.state.load().index_entries() / 64
    }

    fn least_dead_bytes(&self) -> u64 {
        (self.chunk_bytes / 16).min(LEAST_DEAD_BYTES)
    }

    /// A sixth of all entries, which tombstones and holds on blocks are among; but few deletions in a small store are left alone.
    pub(super) fn set_garbage_threshold(&self) {
        let entries = self.state.load().index_entries();
        let (live, dead) = self.block_bytes();
        let least = if live.saturating_add(dead) >= self.least_dead_bytes() {
            1
        } else {
            LEAST_DELETED
        };
        self.garbage_threshold
            .store((entries / 6).max(least), Ordering::Relaxed);
    }
}
