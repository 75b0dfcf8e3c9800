//! Figures about the store.

use std::{path::Path, sync::atomic::Ordering};

use super::{lock, observer::sum, Engine, Stats};
use crate::{error::Result, vfs::EntryKind};

impl Engine {
    pub(crate) fn stats(&self) -> Result<Stats> {
        let state = self.state.load_full();
        let (log_bytes, counts) = {
            let append = lock(&self.append);
            (append.appender.bytes(), append.tally.counts)
        };
        let counts = sum(&counts, &lock(&self.dropped));
        let (live, dead) = self.block_bytes();
        let pending: u64 = state
            .generations
            .iter()
            .map(|generation| generation.pending.image_bytes())
            .sum();
        let count = |count: i64| u64::try_from(count).unwrap_or(0);
        let load = |counter: &crate::vfs::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
        let mut disk_bytes = self.vfs.disk_bytes(&self.root)?;
        self.add_disk_bytes(&self.root, &mut disk_bytes)?;
        Ok(Stats {
            commits: load(&self.counters.commits),
            syncs: load(&self.counters.syncs),
            bytes_appended: load(&self.counters.frame_bytes).saturating_add(load(&self.counters.large_bytes)),
            kv_count: count(counts.kv),
            memory_count: count(counts.memories),
            stream_count: count(counts.streams),
            stream_record_count: count(counts.stream_records),
            block_count: count(counts.blocks),
            block_bytes_live: live.saturating_add(pending),
            block_bytes_dead: dead,
            log_bytes,
            index_bytes: state.index_bytes(),
            disk_bytes,
            heap_bytes: state
                .heap_bytes()
                .saturating_add(load(&self.counters.jobs_heap_bytes))
                .saturating_add(self.arenas.heap_bytes()),
            mapped_bytes: state.mapped_bytes(),
            pinned_views: self.counters.pinned_views.sum(),
            oldest_snapshot_seq: self.snapshot_seqs().first().copied().unwrap_or(0),
            checkpoints: load(&self.counters.checkpoints),
            compactions: load(&self.counters.compactions),
            stalls_us: load(&self.counters.stalls_us),
        })
    }

    fn add_disk_bytes(&self, directory: &Path, sum: &mut u64) -> Result<()> {
        for entry in self.vfs.list(directory)? {
            let path = directory.join(&entry.name);
            // Upkeep may unlink a file between the listing and this look at it.
            *sum = sum.saturating_add(self.vfs.disk_bytes(&path).unwrap_or(0));
            if entry.kind == EntryKind::Directory {
                self.add_disk_bytes(&path, sum)?;
            }
        }
        Ok(())
    }
}
