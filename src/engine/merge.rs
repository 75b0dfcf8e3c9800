//! Merging runs, one part at a time: each finished part goes into the target run by one manifest edit that also
//! takes the keys it covers away from the inputs. A crash in between leaves a valid store, and the merge goes on
//! from there.

use std::{
    path::Path,
    sync::{atomic::Ordering, Arc},
};

use super::{
    lock,
    observer::{sum, Observer},
    readers::Retired,
    state::State,
    upkeep::STEP_BYTES,
    Engine,
};
use crate::{
    error::{Error, Result},
    format::manifest::{Manifest, PartMeta, RunMeta},
    index::{plan_merge, BuildRules, BuildStep, Builder, MergePlan, Merged, Part, Run},
    vfs::{is_made, Defect},
};

#[derive(Debug)]
pub(super) struct Merge {
    /// Newest first.
    inputs: Vec<u64>,
    into: u64,
    builder: Builder,
    /// Written and synced, and not yet in the manifest, with its last key.
    finished: Option<(PartMeta, Vec<u8>)>,
    observer: Observer,
    everything: bool,
    /// Deletions counted when the merge began: those that it gets rid of.
    deleted: u64,
}

impl Merge {
    /// The next merge worth doing, if any.
    pub(super) fn plan(engine: &Engine, everything: bool) -> Result<Option<Merge>> {
        let counters = &engine.counters;
        let frozen = counters.deleted_frozen.load(Ordering::Relaxed);
        let deleted = frozen.min(counters.deleted.load(Ordering::Relaxed));
        let state = engine.state.load_full();
        let Some(MergePlan { inputs, into, bottom }) = plan_merge(&state.runs, everything) else {
            return Ok(None);
        };
        let runs: Vec<Arc<Run>> = state
            .runs
            .iter()
            .filter(|run| inputs.contains(&run.id()))
            .cloned()
            .collect();
        let after = runs
            .iter()
            .filter_map(|run| run.above())
            .max()
            .map(<[u8]>::to_vec);
        // In this order: a snapshot that isn't on the list yet sees nothing older than the newest commit.
        let last_seq = engine.last_seq();
        let snapshots = engine.kept_seqs();
        let observer = Observer::new(&state, &snapshots, last_seq, bottom);
        let builder = Builder::new(
            Arc::clone(&engine.vfs),
            engine.index_directory(),
            engine.uuid,
            Arc::clone(&engine.next_file),
            Merged::new(&[], &runs),
            after,
            BuildRules {
                snapshots: match is_made(Defect::SnapshotsForgotten) {
                    true => Vec::new(),
                    false => snapshots,
                },
                bottom: bottom || is_made(Defect::TombstonesDropped),
                part_bytes: engine.part_bytes(),
                piece_bytes: engine.piece_bytes(),
            },
        )?;
        let into = into.unwrap_or_else(|| engine.next_file.fetch_add(1, Ordering::Relaxed));
        Ok(Some(Merge {
            inputs,
            into,
            builder,
            finished: None,
            observer,
            everything,
            deleted,
        }))
    }

    /// True once the merge is done.
    pub(super) fn step(&mut self, engine: &Engine) -> Result<bool> {
        if let Some((meta, last_key)) = self.finished.take() {
            let path = engine.part_path(meta.file);
            self.publish(engine, Some(meta), Some(last_key))
                .inspect_err(|error| engine.remove_unnamed(&path, error))?;
            return Ok(false);
        }
        match self.builder.step(STEP_BYTES, &mut self.observer)? {
            BuildStep::Working => Ok(false),
            BuildStep::Part { meta, last_key } => {
                self.finished = Some((meta, last_key));
                Ok(false)
            }
            BuildStep::Done => {
                self.publish(engine, None, None)?;
                if self.everything {
                    engine.counters.deleted.fetch_sub(self.deleted, Ordering::Relaxed);
                }
                engine.set_garbage_threshold();
                engine.counters.compactions.fetch_add(1, Ordering::Relaxed);
                Ok(true)
            }
        }
    }

    /// The run that comes out of it.
    pub(super) fn target(&self) -> u64 {
        self.into
    }

    pub(super) fn heap_bytes(&self) -> u64 {
        self.builder.heap_bytes()
    }

    pub(super) fn abandon(self, engine: &Engine) {
        if let Some((meta, _)) = &self.finished {
            // What stays is cleared by the next opening.
            let _ = engine.vfs.unlink(&engine.part_path(meta.file));
        }
        self.builder.abandon();
    }

    /// Puts a part into the target and takes everything up to `last_key` away from the inputs; without a key,
    /// everything that is left.
    fn publish(&mut self, engine: &Engine, part: Option<PartMeta>, last_key: Option<Vec<u8>>) -> Result<()> {
        if part.is_some() && !is_made(Defect::MergedPartNamesNotSynced) {
            engine.vfs.sync_directory(&engine.index_directory())?;
        }
        self.observer.book_dead(engine);
        let counts = self.observer.change();
        let mut retired: Vec<PartMeta> = Vec::new();
        let (inputs, into) = (&self.inputs, self.into);
        if is_made(Defect::PartsUnlinkedEarly) {
            let mut next = lock(&engine.manifest).current().clone();
            for part in advance(&mut next, inputs, into, part.as_ref(), last_key.as_deref()) {
                let _ = engine.vfs.unlink(&engine.part_path(part.file));
            }
        }
        let generation = engine.edit_manifest(|manifest| {
            retired = advance(manifest, inputs, into, part.as_ref(), last_key.as_deref());
            manifest.counts = sum(&manifest.counts, &counts);
        })?;
        self.observer.book_counts(engine);

        let before = engine.state.load().runs.clone();
        let metas = lock(&engine.manifest).current().runs.clone();
        engine.state.rcu(|state| {
            let mut next: State = (**state).clone();
            next.runs = runs_of(engine, &next.runs, &metas);
            next
        });
        for part in before
            .iter()
            .flat_map(|run| run.parts())
            .filter(|part| retired.contains(part.meta()))
        {
            engine.readers.retire(generation, Retired::Part(Arc::clone(part)));
        }
        // Nothing of the merge may hold them, or their space would come back only at its end.
        self.builder.forget_passed();
        // In this order, as in the plan.
        let state = engine.state.load_full();
        let last_seq = engine.last_seq();
        let snapshots = engine.kept_seqs();
        self.observer.renew(&state, &snapshots, last_seq);
        Ok(())
    }
}

/// The manifest edit of one step of a merge. Returns the parts that are not needed any more.
fn advance(
    manifest: &mut Manifest,
    inputs: &[u64],
    into: u64,
    part: Option<&PartMeta>,
    last_key: Option<&[u8]>,
) -> Vec<PartMeta> {
    let mut retired = Vec::new();
    let place = manifest
        .runs
        .iter()
        .position(|run| inputs.contains(&run.id))
        .unwrap_or(0);
    for run in manifest.runs.iter_mut().filter(|run| inputs.contains(&run.id)) {
        let (gone, left) = match last_key {
            Some(last_key) => run
                .parts
                .drain(..)
                .partition(|part| part.max_key.as_slice() <= last_key),
            None => (std::mem::take(&mut run.parts), Vec::new()),
        };
        retired.extend::<Vec<PartMeta>>(gone);
        run.parts = left;
        run.above = last_key.map(<[u8]>::to_vec);
        run.merging_into = Some(into);
    }
    if let Some(part) = part {
        match manifest.runs.iter_mut().find(|run| run.id == into) {
            Some(run) => run.parts.push(part.clone()),
            None => {
                let run = RunMeta {
                    id: into,
                    parts: vec![part.clone()],
                    above: None,
                    merging_into: None,
                };
                manifest.runs.insert(place, run);
            }
        }
    }
    manifest.runs.retain(|run| !run.parts.is_empty());
    retired
}

/// The runs that the manifest lists, from those at hand where they did not change.
pub(super) fn runs_of(engine: &Engine, known: &[Arc<Run>], metas: &[RunMeta]) -> Vec<Arc<Run>> {
    metas
        .iter()
        .map(|meta| {
            if let Some(run) = known.iter().find(|run| run.meta() == *meta) {
                return Arc::clone(run);
            }
            let parts: Vec<Arc<Part>> = meta
                .parts
                .iter()
                .map(|part| {
                    let same = known
                        .iter()
                        .flat_map(|run| run.parts())
                        .find(|known| known.meta() == part);
                    same.map_or_else(|| engine.open_part(part), Arc::clone)
                })
                .collect();
            Arc::new(Run::new(meta.id, parts, meta.above.clone(), meta.merging_into))
        })
        .collect()
}

impl Engine {
    pub(super) fn open_part(&self, meta: &PartMeta) -> Arc<Part> {
        let check_every_read = self.options.check == super::Check::EveryRead;
        Part::new(
            Arc::clone(&self.vfs),
            self.part_path(meta.file),
            self.uuid,
            meta.clone(),
            check_every_read,
        )
    }

    /// A file that a manifest was to name goes if a full disk refused that manifest: its space is what the next attempt
    /// needs. After any other error the manifest on disk may name it.
    pub(super) fn remove_unnamed(&self, path: &Path, error: &Error) {
        if matches!(error, Error::NoSpace { .. }) {
            let _ = self.vfs.unlink(path);
        }
    }

    /// Changes the manifest, durably. Facts that every manifest carries are filled in here. A failure other than a
    /// full disk leaves open which manifest is on disk: it poisons.
    pub(super) fn edit_manifest(&self, edit: impl FnOnce(&mut Manifest)) -> Result<u64> {
        let mut manifest = lock(&self.manifest);
        let mut next = manifest.current().clone();
        next.durable_seq = next.durable_seq.max(self.group.durable());
        next.next_chunk = self.next_chunk.load(Ordering::Relaxed);
        next.next_file = self.next_file.load(Ordering::Relaxed);
        edit(&mut next);
        let replaced = manifest.replace(next);
        if let Err(error) = &replaced {
            if !matches!(error, Error::NoSpace { .. }) {
                self.poison(error);
            }
        }
        replaced.map(|()| manifest.current().generation)
    }
}
