//! What a reader needs, frozen: memtables, runs and chunks. Swapped whole through one atomic pointer, so that no
//! read takes a lock.
//!
//! A view is a state and a seq. The order in which they are taken matters: the state first, then the published
//! seq. Merges that led to the state dropped only versions that a commit up to that seq superseded.

use crate::vfs::sync::atomic::AtomicU64;
use std::sync::{atomic::Ordering, Arc};

use crate::{
    blocks::{BlockSlice, ChunkSet, Pending},
    error::{Error, Result},
    format::block::BlockAddress,
    index::{hash_key, Hit, Memtable, Merged, PrefetchStep, Probe, Run, Scan, SpareArenas},
    vfs::File,
};

/// What commits wrote since one checkpoint: their index entries, and where in the log their small blocks are.
#[derive(Debug)]
pub(crate) struct Generation {
    pub(crate) memtable: Arc<Memtable>,
    pub(crate) pending: Pending,
    /// Newest commit in it; 0 while there is none.
    pub(crate) last_seq: AtomicU64,
    /// Log bytes that its frames take.
    pub(crate) log_bytes: AtomicU64,
}

impl Generation {
    pub(crate) fn new(arenas: Arc<SpareArenas>) -> Arc<Generation> {
        Arc::new(Generation {
            memtable: Arc::new(Memtable::with_arenas(arenas)),
            pending: Pending::new(),
            last_seq: AtomicU64::new(0),
            log_bytes: AtomicU64::new(0),
        })
    }

    pub(crate) fn heap_bytes(&self) -> u64 {
        self.memtable
            .heap_bytes()
            .saturating_add(self.pending.heap_bytes())
    }

    pub(crate) fn is_empty(&self) -> bool {
        self.last_seq.load(Ordering::Acquire) == 0
    }
}

#[derive(Debug, Clone)]
pub(crate) struct State {
    /// Newest first; the first one is being written. A second one is on its way into a run.
    pub(crate) generations: Vec<Arc<Generation>>,
    /// Newest first.
    pub(crate) runs: Vec<Arc<Run>>,
    pub(crate) chunks: ChunkSet,
    /// Cap on mapped bytes; 0: none.
    pub(crate) mapped_cap: u64,
    /// In a read-only opening: what holds the lock that keeps these files from being unlinked before first use.
    #[expect(dead_code, reason = "held for what it holds")]
    pub(crate) hold: Option<Arc<dyn File>>,
    /// In a read-only opening: the commit it stands at. A refresh swaps both with the one pointer, since an older seq
    /// looks for versions that the newer state's merges have dropped.
    pub(crate) stands_at: Option<u64>,
}

impl State {
    /// Newest version of `key` at or below `seq`, tombstones too.
    pub(crate) fn get(&self, key: &[u8], seq: u64) -> Result<Option<Hit<'_>>> {
        match self.probe(key, seq) {
            Probe::Found(hit) => Ok(Some(hit)),
            Probe::Absent => Ok(None),
            Probe::Unsure => self.get_slowly(key, seq),
        }
    }

    /// What `get` says, unless that takes more than a look.
    #[inline(always)]
    pub(crate) fn probe(&self, key: &[u8], seq: u64) -> Probe<'_> {
        let hash = hash_key(key);
        if let Some(hit) = self.get_from_memory(key, hash, seq) {
            return Probe::Found(hit);
        }
        for run in &self.runs {
            match run.probe(key, hash, seq) {
                Probe::Absent => {}
                sure_or_not => return sure_or_not,
            }
        }
        Probe::Absent
    }

    #[inline(always)]
    fn get_from_memory(&self, key: &[u8], hash: u64, seq: u64) -> Option<Hit<'_>> {
        self.generations
            .iter()
            .find_map(|generation| generation.memtable.get_hashed(key, hash, seq))
    }

    /// Probes many keys, and has what these look-ups wait for fetched into the cache for all of them at once: the
    /// processor waits for many lines in the time it waits for one.
    pub(crate) fn probe_group<'s, 'k>(
        &'s self,
        count: usize,
        key: impl Fn(usize) -> &'k [u8],
        seq: u64,
        mut each: impl FnMut(&'k [u8], Probe<'s>),
    ) {
        let mut places = Vec::with_capacity(count.saturating_mul(self.runs.len()));
        for key in (0..count).map(&key) {
            let hash = hash_key(key);
            for run in &self.runs {
                let part = run.part_of(key);
                if let Some(part) = part {
                    part.prefetch(hash, PrefetchStep::Bucket);
                }
                places.push((hash, part));
            }
        }
        for (hash, part) in &places {
            if let Some(part) = part {
                part.prefetch(*hash, PrefetchStep::Entry);
            }
        }
        let mut places = places.as_slice();
        for key in (0..count).map(&key) {
            let (of_key, rest) = places.split_at_checked(self.runs.len()).unwrap_or_default();
            places = rest;
            let hash = of_key.first().map_or_else(|| hash_key(key), |(hash, _)| *hash);
            let found = self.get_from_memory(key, hash, seq).map(Probe::Found);
            let found = found.or_else(|| {
                let mut parts = of_key.iter().filter_map(|(hash, part)| Some((*hash, (*part)?)));
                parts.find_map(|(hash, part)| match part.probe(key, hash, seq) {
                    Probe::Absent => None,
                    sure_or_not => Some(sure_or_not),
                })
            });
            each(key, found.unwrap_or(Probe::Absent));
        }
    }

    /// What takes opening files, checking pages, or looking further than into the first bucket.
    #[cold]
    fn get_slowly(&self, key: &[u8], seq: u64) -> Result<Option<Hit<'_>>> {
        for generation in &self.generations {
            if let Some(hit) = generation.memtable.get(key, seq) {
                return Ok(Some(hit));
            }
        }
        for run in &self.runs {
            if let Some(hit) = run.get(key, seq)? {
                return Ok(Some(hit));
            }
        }
        Ok(None)
    }

    pub(crate) fn merged(&self) -> Merged {
        let memtables: Vec<Arc<Memtable>> = self
            .generations
            .iter()
            .map(|generation| Arc::clone(&generation.memtable))
            .collect();
        Merged::new(&memtables, &self.runs)
    }

    /// Keys in `[lower, upper)` as they stood at `seq`.
    pub(crate) fn scan(&self, lower: Vec<u8>, upper: Option<Vec<u8>>, seq: u64, reverse: bool) -> Scan {
        Scan::new(self.merged(), lower, upper, seq, reverse)
    }

    /// Checked bytes of a block: from the log while it is not in its chunk yet.
    pub(crate) fn read_block(&self, address: &BlockAddress, from: u64, len: u64) -> Result<BlockSlice<'_>> {
        if from.checked_add(len).is_none_or(|end| end > address.len) {
            return Err(Error::invalid(format!(
                "bytes {from} to {} of a block that has {}",
                from.saturating_add(len),
                address.len
            )));
        }
        for generation in &self.generations {
            if let Some(slice) = generation.pending.read(address, from, len)? {
                return Ok(slice);
            }
        }
        let chunk = self.chunks.get(address.chunk).ok_or(Error::NotFound)?;
        if self.mapped_cap == 0 || chunk.mapped_bytes() > 0 {
            return chunk.read(address, from, len);
        }
        let slice = chunk.read(address, from, len)?;
        self.unmap_others(address.chunk);
        Ok(slice)
    }

    /// The block with a good header that begins at this address, which is that of one; its bytes are not looked at.
    pub(crate) fn block_at(&self, chunk: u32, offset: u64) -> Result<Option<BlockAddress>> {
        let mut generations = self.generations.iter();
        if let Some(found) = generations.find_map(|generation| generation.pending.block_at(chunk, offset)) {
            return Ok(found);
        }
        match self.chunks.get(chunk) {
            Some(chunk) => chunk.block_at(offset),
            None => Ok(None),
        }
    }

    /// That no block is at an address where the index says that one is.
    pub(crate) fn block_is_gone(&self, chunk: u32, offset: u64) -> Error {
        Error::corrupt(
            self.chunk_file(chunk),
            offset,
            "a block that the index names is not there",
        )
    }

    /// A whole block that an entry of the index names: if it isn't there, that is damage.
    pub(crate) fn read_owned_block(&self, address: &BlockAddress) -> Result<BlockSlice<'_>> {
        self.read_block(address, 0, address.len)
            .map_err(|error| match error {
                Error::NotFound => self.block_is_gone(address.chunk, address.offset),
                error => error,
            })
    }

    /// The file of a chunk, as errors name it.
    pub(crate) fn chunk_file(&self, number: u32) -> String {
        let rewrite = self.chunks.get(number).map_or(0, |chunk| chunk.meta().rewrite);
        format!("blocks/{}", crate::blocks::chunk_file_name(number, rewrite))
    }

    /// Keeps what is mapped within the cap by giving up the maps of other chunks; slices keep theirs.
    fn unmap_others(&self, number: u32) {
        let mut mapped = self.mapped_bytes();
        for chunk in self.chunks.iter().filter(|chunk| chunk.number() != number) {
            if mapped <= self.mapped_cap {
                return;
            }
            mapped = mapped.saturating_sub(chunk.mapped_bytes());
            chunk.drop_map();
        }
    }

    pub(crate) fn heap_bytes(&self) -> u64 {
        let generations: u64 = self
            .generations
            .iter()
            .map(|generation| generation.heap_bytes())
            .sum();
        let parts: u64 = self
            .runs
            .iter()
            .flat_map(|run| run.parts())
            .map(|part| part.heap_bytes())
            .sum();
        let chunks: u64 = self.chunks.iter().map(|chunk| chunk.heap_bytes()).sum();
        generations.saturating_add(parts).saturating_add(chunks)
    }

    pub(crate) fn mapped_bytes(&self) -> u64 {
        let parts: u64 = self
            .runs
            .iter()
            .flat_map(|run| run.parts())
            .map(|part| part.mapped_bytes())
            .sum();
        let chunks: u64 = self.chunks.iter().map(|chunk| chunk.mapped_bytes()).sum();
        parts.saturating_add(chunks)
    }

    pub(crate) fn index_bytes(&self) -> u64 {
        self.runs.iter().map(|run| run.bytes()).sum()
    }

    pub(crate) fn index_entries(&self) -> u64 {
        let memtables: u64 = self
            .generations
            .iter()
            .map(|generation| generation.memtable.entries())
            .sum();
        memtables.saturating_add(self.runs.iter().map(|run| run.entries()).sum())
    }
}

/// A state together with the commit up to which it is looked at.
#[derive(Debug, Clone)]
pub(crate) struct View {
    pub(crate) state: Arc<State>,
    pub(crate) seq: u64,
}

impl View {
    /// The live version of `key`: tombstones are `None`.
    pub(crate) fn get(&self, key: &[u8]) -> Result<Option<Hit<'_>>> {
        let hit = self.state.get(key, self.seq)?;
        Ok(hit.filter(|hit| hit.kind != crate::format::record::kind::TOMBSTONE))
    }

    pub(crate) fn scan(&self, lower: Vec<u8>, upper: Option<Vec<u8>>, reverse: bool) -> Scan {
        self.state.scan(lower, upper, self.seq, reverse)
    }

    /// Every key that starts with `prefix`.
    pub(crate) fn scan_prefix(&self, prefix: Vec<u8>, reverse: bool) -> Scan {
        let upper = prefix_end(&prefix);
        self.state.scan(prefix, upper, self.seq, reverse)
    }

    pub(crate) fn block(&self, address: &BlockAddress) -> Result<BlockSlice<'_>> {
        self.state.read_owned_block(address)
    }

    pub(crate) fn block_range(&self, address: &BlockAddress, from: u64, len: u64) -> Result<BlockSlice<'_>> {
        self.state.read_block(address, from, len)
    }
}

/// The first key after all keys that start with `prefix`; `None` where there is none (empty, or all 0xFF).
pub(crate) fn prefix_end(prefix: &[u8]) -> Option<Vec<u8>> {
    let mut end = prefix.to_vec();
    while let Some(last) = end.pop() {
        if let Some(next) = last.checked_add(1) {
            end.push(next);
            return Some(end);
        }
    }
    None
}
