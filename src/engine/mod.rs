//! The engine owns the log, the chunks and the index, and makes one store of them: open and recover, commit,
//! make durable, checkpoint, merge, reclaim.
//!
//! Threads: every method may be called from any thread. Writers meet at the append lock, upkeep at the upkeep
//! lock; readers take neither. Lock order: `upkeep`, `naming`, `manifest`, `append`, then the short ones inside
//! log and blocks. No disk page is touched under the append lock.

mod anatomy;
mod apply;
mod background;
mod backup;
mod checkpoint;
mod commit;
mod dead;
mod draft;
mod durability;
mod follow;
#[cfg(feature = "simulation")]
pub(crate) mod fuzzing;
mod import;
mod liveness;
mod manifest_check;
mod manifest_file;
mod merge;
mod observer;
mod open;
mod readers;
mod reclaim;
mod recover;
mod reserve;
mod sorter;
mod stale;
mod state;
mod stats;
mod streams;
mod upkeep;
mod verify;

use crate::vfs::sync::{
    atomic::{AtomicBool, AtomicU32, AtomicU64},
    disordered, step, Mutex, RwLock,
};
use std::{
    collections::{BTreeMap, HashMap},
    path::PathBuf,
    sync::{atomic::Ordering, Arc},
};

use arc_swap::ArcSwap;

pub use self::{
    anatomy::{Anatomy, ChunkFigures, RunFigures, SegmentFigures},
    draft::Data,
    verify::Finding,
};
use self::{
    background::Background, commit::Append, durability::Notifications, follow::Followers,
    manifest_file::ManifestFile, readers::Readers, upkeep::Upkeep,
};
pub(crate) use self::{
    draft::{check_tag, Draft},
    follow::{FollowedCommand, FollowedCommit, Follower},
    state::{State, View},
    streams::StreamState,
};
use crate::{
    blocks::LargeWriter,
    error::{Error, Result},
    format::{block::BlockAddress, manifest::Counts},
    index::SpareArenas,
    log::{GroupSync, Supply},
    vfs::{is_made, lock, stripes::StripedCount, Defect, File, ForkSentinel, Pin, Region, Vfs},
};

/// What a commit survives.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Survive {
    /// `kill -9` of the host: the bytes are in the kernel's hands.
    Process,
    /// Power loss: the bytes are on stable storage.
    Power,
}

/// When the bytes of large blocks and index pages are checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Check {
    FirstTouch,
    EveryRead,
}

/// How frames get into the log at [`Survive::Process`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogMethod {
    /// Through a map where the file system keeps that safe, else with `pwrite`.
    Auto,
    Mapped,
    Written,
}

/// How a store is opened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Options {
    /// Create the store if nothing is at the path.
    pub create: bool,
    pub read_only: bool,
    /// What a commit survives that doesn't say.
    pub durability: Survive,
    /// Size of a chunk file, for a store that is created now.
    pub chunk_bytes: u64,
    /// Budget for the heap.
    pub memory_bytes: u64,
    /// Log kept for followers beyond what recovery needs, with the large blocks it names.
    pub log_retention_bytes: u64,
    /// Run a thread for upkeep.
    pub background: bool,
    /// Open a damaged store, read-only, with what is provably left.
    pub salvage: bool,
    pub check: Check,
    pub log_method: LogMethod,
    /// Cap on mapped bytes of chunks and runs; 0: none.
    pub mapped_bytes: u64,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            create: true,
            read_only: false,
            durability: Survive::Power,
            chunk_bytes: 64 << 20,
            memory_bytes: 64 << 20,
            log_retention_bytes: 0,
            background: true,
            salvage: false,
            check: Check::FirstTouch,
            log_method: LogMethod::Auto,
            mapped_bytes: 0,
        }
    }
}

/// What recovery found.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Closed in order, nothing to replay.
    Clean,
    /// Log replayed, nothing lost.
    Replayed,
    /// An unfinished, never durable tail was cut off.
    TornTail,
    /// Durable data was damaged; only with salvage does an open get this far.
    Damaged,
}

/// The figures behind a [`Verdict`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Recovery {
    pub verdict: Verdict,
    pub last_seq: u64,
    /// Newest commit known to have been durable before the stop.
    pub proven_seq: u64,
    pub replayed_commits: u64,
    pub replayed_bytes: u64,
    pub dropped_bytes: u64,
    pub elapsed_us: u64,
}

/// Counters; all but the counts are exact.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Stats {
    pub commits: u64,
    pub syncs: u64,
    pub bytes_appended: u64,
    pub kv_count: u64,
    pub memory_count: u64,
    pub stream_count: u64,
    pub stream_record_count: u64,
    pub block_count: u64,
    pub block_bytes_live: u64,
    pub block_bytes_dead: u64,
    pub log_bytes: u64,
    pub index_bytes: u64,
    pub disk_bytes: u64,
    pub heap_bytes: u64,
    pub mapped_bytes: u64,
    pub pinned_views: u64,
    pub oldest_snapshot_seq: u64,
    pub checkpoints: u64,
    pub compactions: u64,
    pub stalls_us: u64,
}

#[derive(Debug, Default)]
struct Counters {
    /// Changes under the append lock only, as does the next.
    commits: AtomicU64,
    frame_bytes: AtomicU64,
    large_bytes: AtomicU64,
    syncs: AtomicU64,
    checkpoints: AtomicU64,
    compactions: AtomicU64,
    stalls_us: AtomicU64,
    /// Memory of upkeep's jobs when one last made a step.
    jobs_heap_bytes: AtomicU64,
    /// Views handed out and not yet released.
    pinned_views: Arc<StripedCount>,
    /// Index entries that were deleted or trimmed since the last merge of everything.
    deleted: AtomicU64,
    /// How many of them are in generations that were closed: those that a merge can meet.
    deleted_frozen: AtomicU64,
}

/// A store in use. See the module.
#[derive(Debug)]
pub(crate) struct Engine {
    vfs: Arc<dyn Vfs>,
    root: PathBuf,
    options: Options,
    uuid: [u8; 16],
    chunk_bytes: u64,
    state: ArcSwap<State>,
    /// What the appender says of its segment, for upkeep to see without the append lock.
    log_half_used: AtomicBool,
    /// Newest commit that is whole in the log and in the memtable, as is every one before it.
    published: AtomicU64,
    append: Mutex<Append>,
    supply: Supply,
    arenas: Arc<SpareArenas>,
    group: GroupSync,
    large: LargeWriter,
    next_chunk: Arc<AtomicU32>,
    next_file: Arc<AtomicU64>,
    manifest: Mutex<ManifestFile>,
    upkeep: Mutex<Upkeep>,
    /// Held shared by commits that name loose blocks, exclusively while a block is judged dead.
    naming: RwLock<()>,
    /// Snapshot seq → how many hold it.
    snapshots: Mutex<BTreeMap<u64, u64>>,
    notifications: Notifications,
    followers: Followers,
    background: Background,
    readers: Readers,
    counters: Counters,
    /// Bytes that died before their chunk came into being, by chunk.
    dead_early: Mutex<HashMap<u32, u64>>,
    /// What merges took away from the counts since the store was opened; never positive.
    dropped: Mutex<Counts>,
    recovery: Mutex<Recovery>,
    /// See `Recovered`. An opening that writes wipes them out before its first frame.
    undone_epoch: AtomicU64,
    /// Commits above the proven one were replayed and may be in the page cache only, even after a sync that
    /// succeeds; a checkpoint puts them into new files and clears this.
    unproven: AtomicBool,
    /// The large blocks of those commits.
    unproven_large: Mutex<Vec<BlockAddress>>,
    /// This opening's epoch is durable in the manifest, so the log may be written.
    begun: AtomicBool,
    /// From so many deletions on, everything is merged.
    garbage_threshold: AtomicU64,
    /// Set first: what waits or takes long comes to an end.
    closing: AtomicBool,
    closed: AtomicBool,
    fork: ForkSentinel,
    reserve: reserve::Reserve,
    /// Locked exclusively for as long as the writer lives; none for a reader.
    lock: Mutex<Option<Arc<dyn File>>>,
}

impl Engine {
    /// The state as it is now, held without counting. A seq to look at it with is to be read afterwards.
    #[inline]
    pub(crate) fn state(&self) -> arc_swap::Guard<Arc<State>> {
        step();
        self.state.load()
    }

    /// Everything at the newest commit.
    pub(crate) fn view(&self) -> View {
        let early = disordered!(SeqBeforeState).then(|| self.last_seq());
        step();
        let state = self.state.load_full();
        let seq = early.unwrap_or_else(|| self.newest_in(&state));
        View { state, seq }
    }

    /// The newest commit to look at a state with that was loaded before.
    #[inline]
    pub(crate) fn newest_in(&self, state: &State) -> u64 {
        state
            .stands_at
            .unwrap_or_else(|| self.published.load(Ordering::Acquire))
    }

    /// Everything as it stood at `seq`, which a snapshot holds.
    pub(crate) fn view_at(&self, seq: u64) -> View {
        step();
        View {
            state: self.state.load_full(),
            seq,
        }
    }

    pub(crate) fn last_seq(&self) -> u64 {
        self.published.load(Ordering::Acquire)
    }

    pub(crate) fn durable_seq(&self) -> u64 {
        self.group.durable()
    }

    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    pub(crate) fn recovery(&self) -> Recovery {
        *lock(&self.recovery)
    }

    /// True in a child process of the one that opened the store.
    pub(crate) fn forked(&self) -> bool {
        self.fork.forked()
    }

    #[inline]
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// For what waits or works for long: no reason to hold up who closes the store.
    fn check_not_closing(&self) -> Result<()> {
        if self.closing.load(Ordering::Acquire) {
            return Err(Error::invalid("the store was closed"));
        }
        Ok(())
    }

    /// Keeps every version that is visible now until `release_snapshot`.
    pub(crate) fn take_snapshot(&self) -> u64 {
        // The seq is read under the lock: a merge that has not seen this snapshot has only inputs up to a seq that
        // was published before.
        let mut snapshots = lock(&self.snapshots);
        let seq = self.published.load(Ordering::Acquire);
        let holders = snapshots.entry(seq).or_insert(0);
        *holders = holders.saturating_add(1);
        seq
    }

    pub(crate) fn release_snapshot(&self, seq: u64) {
        let mut snapshots = lock(&self.snapshots);
        if let Some(holders) = snapshots.get_mut(&seq) {
            *holders = holders.saturating_sub(1);
            if *holders == 0 {
                snapshots.remove(&seq);
            }
        }
    }

    /// Ascending.
    fn snapshot_seqs(&self) -> Vec<u64> {
        lock(&self.snapshots).keys().copied().collect()
    }

    /// What merging and reclaiming must keep besides the newest state: what snapshots see, and what a power loss may go
    /// back to, since a deletion that is not durable yet may be undone. Ascending.
    fn kept_seqs(&self) -> Vec<u64> {
        let durable = self.group.durable();
        let mut seqs = self.snapshot_seqs();
        if is_made(Defect::DeletionsTakenForDurable) {
            return seqs;
        }
        if let Err(place) = seqs.binary_search(&durable) {
            seqs.insert(place, durable);
        }
        seqs
    }

    /// What a view that is handed out holds and is counted by.
    #[inline(always)]
    pub(crate) fn pin(&self, region: &Region) -> Arc<Pin> {
        region.pin(&self.counters.pinned_views)
    }

    /// Refuses what a handle in this condition can't do any more.
    #[inline]
    fn check_writable(&self) -> Result<()> {
        match self.is_closed() || self.options.read_only || self.group.is_poisoned() {
            false => Ok(()),
            true => self.why_not_writable(),
        }
    }

    #[cold]
    fn why_not_writable(&self) -> Result<()> {
        if self.is_closed() {
            return Err(Error::invalid("the store was closed"));
        }
        if self.options.read_only {
            return Err(Error::ReadOnly);
        }
        match self.group.poisoned() {
            Some(error) => Err(error),
            None => Ok(()),
        }
    }

    pub(crate) fn poison(&self, error: &Error) {
        self.group.poison(error.clone());
    }
}

#[cfg(test)]
#[cfg(not(sarsen_explore))]
mod beside;
#[cfg(test)]
#[cfg(sarsen_explore)]
mod explored;
#[cfg(test)]
#[cfg(not(sarsen_explore))]
mod full_disk;
#[cfg(test)]
#[cfg(not(sarsen_explore))]
mod refused;
#[cfg(test)]
#[cfg(not(sarsen_explore))]
mod tests;
