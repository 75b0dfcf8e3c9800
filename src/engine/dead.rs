//! How much of the index is dead: versions that newer runs supersede, and the tombstones that do so. No commit looks
//! for what it supersedes, so upkeep takes a few keys of each run, once, and looks them up in the runs below. Estimates,
//! known to upkeep alone: what they are wrong about is merged a little earlier or later.

use std::collections::HashMap;

use super::{state::State, Engine};
use crate::{
    error::Result,
    format::bytes::to_u64,
    index::{Run, TOMBSTONE},
};

/// Keys of a run that are looked up, and of them in one step.
const SAMPLES: u32 = 64;
const STEP_SAMPLES: u32 = 16;
/// What an entry takes besides its key and value: its header, its slot in the hash index.
const ENTRY_BYTES: u64 = 30;
/// More merging comes before a checkpoint's next step the more is dead: none while a third of what lives is, and with
/// each further of these shares of it a step more.
const DEAD_PER_STEP: u64 = 24;
const MOST_STEPS: u64 = 16;

#[derive(Debug, Default)]
pub(super) struct DeadEstimates {
    /// By run.
    samples: HashMap<u64, Sample>,
}

#[derive(Debug, Clone, Copy, Default)]
struct Sample {
    taken: u32,
    /// Bytes of the entries that were looked up, and bytes that are dead for their sake.
    own: u64,
    dead: u64,
}

/// Estimated bytes in runs.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Share {
    pub(super) dead: u64,
    pub(super) live: u64,
}

impl Share {
    /// Dead bytes exceed a third of the live ones.
    pub(super) fn is_much(self) -> bool {
        self.dead > self.live / 3
    }

    /// How many steps of merging should come before the next one of a checkpoint.
    pub(super) fn merge_steps(self) -> u64 {
        let steps = self.dead.saturating_mul(DEAD_PER_STEP) / self.live.max(1);
        steps.saturating_sub(DEAD_PER_STEP / 3).min(MOST_STEPS)
    }
}

impl DeadEstimates {
    /// Some keys of the newest run that nothing is known of; false where there is no such run.
    pub(super) fn step(&mut self, state: &State, target: Option<u64>) -> Result<bool> {
        let Some((run, older)) = self.next_unknown(state, target) else {
            return Ok(false);
        };
        let sample = self.samples.entry(run.id()).or_default();
        let end = sample.taken.saturating_add(STEP_SAMPLES);
        for number in sample.taken..end {
            let Some(found) = run.sample(number, SAMPLES)? else {
                continue;
            };
            let own = to_u64(found.key.len() + found.value_len) + ENTRY_BYTES;
            sample.own = sample.own.saturating_add(own);
            if found.kind == TOMBSTONE {
                sample.dead = sample.dead.saturating_add(own);
            }
            for run in older {
                if let Some(hit) = run.get(&found.key, u64::MAX)? {
                    let superseded = to_u64(found.key.len() + hit.value.len()) + ENTRY_BYTES;
                    sample.dead = sample.dead.saturating_add(superseded);
                    break;
                }
            }
        }
        sample.taken = end;
        Ok(true)
    }

    /// Whether a run is there that nothing is known of.
    pub(super) fn is_behind(&self, state: &State, target: Option<u64>) -> bool {
        self.next_unknown(state, target).is_some()
    }

    /// With the runs below it. The oldest one supersedes nothing; that which a merge is writing is judged once it is
    /// whole.
    fn next_unknown<'a>(
        &self,
        state: &'a State,
        target: Option<u64>,
    ) -> Option<(&'a Run, &'a [std::sync::Arc<Run>])> {
        let known = |run: &Run| {
            self.samples
                .get(&run.id())
                .is_some_and(|sample| sample.taken >= SAMPLES)
        };
        let mut rest = state.runs.as_slice();
        while let Some((run, older)) = rest.split_first() {
            if older.is_empty() {
                return None;
            }
            if !known(run) && target != Some(run.id()) {
                return Some((run, older));
            }
            rest = older;
        }
        None
    }

    /// What is known by now. Forgets runs that are gone.
    pub(super) fn share(&mut self, state: &State) -> Share {
        self.samples
            .retain(|id, _| state.runs.iter().any(|run| run.id() == *id));
        let mut share = Share::default();
        for run in &state.runs {
            let bytes = run.bytes();
            let sample = self.samples.get(&run.id()).copied().unwrap_or_default();
            let dead = u128::from(bytes) * u128::from(sample.dead) / u128::from(sample.own.max(1));
            share.dead = share.dead.saturating_add(u64::try_from(dead).unwrap_or(u64::MAX));
            share.live = share.live.saturating_add(bytes);
        }
        share.dead = share.dead.min(share.live);
        share.live -= share.dead;
        share
    }
}

impl Engine {
    /// Whether merging everything for it pays: not for what is little beside the memory that there is.
    pub(super) fn is_worth_merging(&self, share: Share) -> bool {
        share.is_much() && share.dead >= self.options.memory_bytes / 64
    }
}
