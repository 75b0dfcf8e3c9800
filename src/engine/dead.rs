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

    /// A smaller share: what closing doesn't leave in a small store, which nobody may open again for long.
    pub(super) fn is_noticeable(self) -> bool {
        self.dead > self.live / 5
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
        share.is_much() && !self.is_little(share)
    }

    pub(super) fn is_little(&self, share: Share) -> bool {
        share.dead < self.options.memory_bytes / 64
    }
}

#[cfg(test)]
#[cfg(not(sarsen_explore))]
mod tests {
    use std::{collections::BTreeMap, path::Path, sync::Arc};

    use super::super::{Draft, Options, Survive};
    use super::*;
    use crate::{
        format::record,
        vfs::{sim::SimVfs, OsVfs, Vfs},
    };

    const KEYS: u64 = 2_000;
    const VALUE_BYTES: usize = 200;

    fn options() -> Options {
        Options {
            memory_bytes: 256 << 10,
            background: false,
            ..Options::default()
        }
    }

    fn open(vfs: &Arc<dyn Vfs>, options: &Options) -> Arc<Engine> {
        Engine::open(Arc::clone(vfs), Path::new("/store"), options).unwrap()
    }

    fn set(engine: &Engine, number: u64, len: usize, fill: u8) {
        let mut draft = Draft::new();
        let key = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
        draft.set_kv(&key, &vec![fill; len]).unwrap();
        engine.commit(&mut draft, Some(Survive::Process)).unwrap();
    }

    /// Each key once, in an order of its own.
    fn set_all(engine: &Engine, round: u8) {
        for i in 0..KEYS {
            set(engine, (i * 7 + u64::from(round) * 31) % KEYS, VALUE_BYTES, round);
        }
    }

    fn index_bytes(engine: &Engine) -> u64 {
        engine.state.load().index_bytes()
    }

    /// The most that the index takes while all keys are overwritten so many times, and what lives of it.
    fn overwritten(rounds: u8, tend: fn(&Engine)) -> (u64, u64) {
        let vfs: Arc<dyn Vfs> = Arc::new(SimVfs::new(1));
        let engine = open(&vfs, &options());
        set_all(&engine, 0);
        engine.compact().unwrap();
        let live = index_bytes(&engine);
        let mut most = 0;
        for round in 1..=rounds {
            set_all(&engine, round);
            tend(&engine);
            most = most.max(index_bytes(&engine));
        }
        engine.close().unwrap();
        (most, live)
    }

    #[test]
    fn what_is_overwritten_again_and_again_takes_less_than_what_lives() {
        let (most, live) = overwritten(9, |engine| while engine.maintain(u64::MAX).unwrap() {});
        assert!(most < live * 3 / 2, "{most} bytes for {live} that live");
    }

    #[test]
    fn commits_that_do_all_of_upkeep_themselves_keep_dead_versions_in_bounds() {
        let (most, live) = overwritten(19, |_| {});
        assert!(most < live * 5 / 2, "{most} bytes for {live} that live");
    }

    #[test]
    fn a_small_store_has_little_that_is_dead_once_it_is_closed() {
        let vfs: Arc<dyn Vfs> = Arc::new(SimVfs::new(3));
        let roomy = Options {
            memory_bytes: 8 << 20,
            ..options()
        };
        let engine = open(&vfs, &roomy);
        set_all(&engine, 0);
        engine.compact().unwrap();
        let live = index_bytes(&engine);
        for round in 1..4 {
            set_all(&engine, round);
        }
        assert_eq!(index_bytes(&engine), live, "all of that is in memory");
        engine.close().unwrap();
        drop(engine);
        let engine = open(&vfs, &roomy);
        let closed = index_bytes(&engine);
        assert!(closed < live * 3 / 2, "{closed} bytes for {live} that live");
        let view = engine.view();
        for number in 0..KEYS {
            let key = number.wrapping_mul(0x9e37_79b9_7f4a_7c15).to_be_bytes();
            let hit = view.get(&record::kv_key(&key)).unwrap().unwrap();
            assert_eq!(hit.value, [3; VALUE_BYTES]);
        }
        drop(view);
        engine.close().unwrap();
    }

    /// The lengths that files had, in every step that upkeep makes until it has nothing left to do.
    fn lengths_while_upkeep_works(engine: &Engine, directory: &Path) -> BTreeMap<String, Vec<u64>> {
        let mut lengths: BTreeMap<String, Vec<u64>> = BTreeMap::new();
        loop {
            for entry in engine.vfs.list(directory).unwrap() {
                let seen = lengths
                    .entry(entry.name.to_string_lossy().into_owned())
                    .or_default();
                if seen.last() != Some(&entry.len) {
                    seen.push(entry.len);
                }
            }
            if !engine.maintain(0).unwrap() {
                return lengths;
            }
        }
    }

    #[test]
    fn a_large_part_goes_in_pieces_unless_somebody_looks_at_bytes_in_it() {
        let root = std::env::temp_dir().join(format!("sarsen-dead-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&root);
        let large = Options {
            background: false,
            ..Options::default()
        };
        let engine = Engine::open(Arc::new(OsVfs), &root, &large).unwrap();
        let directory = root.join("index");
        for (round, looked_at) in [(1, false), (2, true), (3, false)] {
            for number in 0..1_500 {
                set(&engine, number, 1_000, round);
            }
            engine.checkpoint().unwrap();
            let held = looked_at.then(|| {
                let view = engine.view();
                let key = record::kv_key(&0_u64.to_be_bytes());
                let hit = view.get(&key).unwrap().unwrap();
                (engine.pin(hit.region), hit.region.len())
            });
            let all_held = || held.iter().map(|(pin, len)| pin.bytes(0, *len).unwrap().to_vec());
            let before: Vec<Vec<u8>> = all_held().collect();
            let lengths = lengths_while_upkeep_works(&engine, &directory);
            let cut = |seen: &Vec<u64>| seen.windows(2).any(|pair| pair[0] > pair[1]);
            let were_cut = lengths.values().filter(|seen| cut(seen)).count();
            match (round, looked_at) {
                (1, _) => assert_eq!(were_cut, 0, "nothing went: {lengths:?}"),
                // Of the two that a merge takes the place of, one is held.
                (_, true) => assert_eq!(were_cut, 1, "{lengths:?}"),
                (_, false) => assert_eq!(were_cut, 2, "{lengths:?}"),
            }
            assert!(all_held().eq(before));
            held.iter().for_each(|(pin, _)| pin.view_released());
        }
        engine.close().unwrap();
        std::fs::remove_dir_all(&root).unwrap();
    }
}
