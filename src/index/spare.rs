//! Memory for memtables: kept from one to the next, and touched ahead of the writer. An insert that is the first to
//! touch a page waits for the kernel to find and clear one, on some machines for longer than a hundred inserts take.
//!
//! Any thread may call anything; the lock is held for moments only.

use crate::vfs::sync::{atomic::AtomicBool, Mutex};
use std::sync::{atomic::Ordering::Relaxed, Arc};

use super::memtable::{Memtable, LARGEST_ARENA_BYTES};
use crate::{
    error::Result,
    format::bytes::{to_u64, to_usize},
    vfs::{lock, Region},
};

/// So many are kept ready while a writer uses them up.
const AHEAD: usize = 2;

/// So many go back to the kernel in one step: it takes its time over them.
const STEP_ARENAS: usize = 4;

/// Arenas of the largest size, touched, that no memtable has. By default none is kept.
#[derive(Debug, Default)]
pub(crate) struct SpareArenas {
    shelf: Mutex<Vec<Arc<Region>>>,
    most: usize,
    /// One was taken, and fewer are left than should be.
    short: AtomicBool,
}

impl SpareArenas {
    /// Keeps up to so many bytes.
    pub(crate) fn new(bytes: u64) -> SpareArenas {
        SpareArenas {
            most: to_usize(bytes / LARGEST_ARENA_BYTES).unwrap_or(0),
            ..SpareArenas::default()
        }
    }

    /// An arena of this length.
    pub(super) fn take(&self, len: usize) -> Result<Arc<Region>> {
        if self.most > 0 && to_u64(len) == LARGEST_ARENA_BYTES {
            let spare = {
                let mut shelf = lock(&self.shelf);
                let spare = shelf.pop();
                self.short.store(shelf.len() < self.ahead(), Relaxed);
                spare
            };
            if let Some(spare) = spare {
                return Ok(spare);
            }
        }
        Region::anonymous(len)
    }

    /// Keeps an arena of a memtable that is going, unless somebody still looks at its bytes.
    pub(super) fn give_back(&self, arena: &Arc<Region>) {
        if arena.len() != LARGEST_ARENA_BYTES || Arc::strong_count(arena) > 1 || arena.is_pinned() {
            return;
        }
        let mut shelf = lock(&self.shelf);
        if shelf.len() < self.most {
            shelf.push(Arc::clone(arena));
        }
    }

    /// Whether a writer will want more than there are. One load.
    #[inline]
    pub(crate) fn is_short(&self) -> bool {
        self.short.load(Relaxed)
    }

    /// One arena more, if the shelf is short of them; whether that was so.
    pub(crate) fn prepare(&self) -> Result<bool> {
        if !self.is_short() {
            return Ok(false);
        }
        let arena = Region::anonymous(to_usize(LARGEST_ARENA_BYTES).unwrap_or(0))?;
        arena.populate(0, LARGEST_ARENA_BYTES);
        let mut shelf = lock(&self.shelf);
        shelf.push(arena);
        self.short.store(shelf.len() < self.ahead(), Relaxed);
        Ok(true)
    }

    /// Nobody writes much: what is more than the few that should be ready is given back, some at a time; false if none
    /// was.
    pub(crate) fn shrink(&self) -> bool {
        let surplus = {
            let mut shelf = lock(&self.shelf);
            let surplus = shelf.len().saturating_sub(self.ahead()).min(STEP_ARENAS);
            let kept = shelf.len() - surplus;
            shelf.split_off(kept)
        };
        !surplus.is_empty()
    }

    pub(crate) fn heap_bytes(&self) -> u64 {
        to_u64(lock(&self.shelf).len()).saturating_mul(LARGEST_ARENA_BYTES)
    }

    fn ahead(&self) -> usize {
        AHEAD.min(self.most)
    }
}

impl Memtable {
    #[cfg(any(test, feature = "simulation"))]
    pub(crate) fn new() -> Memtable {
        Memtable::with_arenas(Arc::default())
    }

    /// Where its arenas come from and go to.
    pub(crate) fn arenas(&self) -> &Arc<SpareArenas> {
        &self.spare
    }
}

#[cfg(test)]
#[cfg(not(sarsen_explore))]
mod tests {
    use super::*;
    use crate::vfs::stripes::StripedCount;

    fn fill(spare: &Arc<SpareArenas>, entries: u64, byte: u8) -> Memtable {
        let memtable = Memtable::with_arenas(Arc::clone(spare));
        for seq in 1..=entries {
            memtable
                .insert(&seq.to_be_bytes(), seq, 1, &[byte; 10_000])
                .unwrap();
        }
        memtable
    }

    #[test]
    fn a_memtable_leaves_its_arenas_to_the_next_but_for_those_that_somebody_looks_at() {
        let spare = Arc::new(SpareArenas::new(16 << 20));
        let memtable = fill(&spare, 600, 7);
        assert_eq!(spare.heap_bytes(), 0);
        let views = Arc::new(StripedCount::default());
        let late = memtable
            .get(&600_u64.to_be_bytes(), 600)
            .unwrap()
            .region
            .pin(&views);
        let early = memtable
            .get(&1_u64.to_be_bytes(), 600)
            .unwrap()
            .region
            .pin(&views);
        let third = Arc::clone(memtable.get(&300_u64.to_be_bytes(), 600).unwrap().region);
        drop(memtable);
        let kept = spare.heap_bytes() / LARGEST_ARENA_BYTES;
        assert!((2..=4).contains(&kept), "{kept}");
        let next = fill(&spare, 900, 9);
        assert_eq!(spare.heap_bytes(), 0);
        for seq in 1..=900_u64 {
            assert_eq!(next.get(&seq.to_be_bytes(), 900).unwrap().value, [9; 10_000]);
        }
        for pinned in [
            late.bytes(0, 64 << 10),
            early.bytes(0, 64 << 10),
            third.bytes(0, 64 << 10),
        ] {
            let found = pinned.unwrap();
            let has = |byte| found.windows(100).any(|bytes| bytes == [byte; 100]);
            assert!(has(7) && !has(9), "still what it was");
        }
    }

    #[test]
    fn arenas_are_made_ahead_while_they_are_used_up_and_no_more_are_kept_than_allowed() {
        let spare = Arc::new(SpareArenas::new(3 << 20));
        assert!(!spare.is_short() && !spare.prepare().unwrap());
        let memtable = fill(&spare, 300, 7);
        assert!(spare.is_short());
        while spare.prepare().unwrap() {}
        assert_eq!((spare.heap_bytes(), spare.is_short()), (2 << 20, false));
        drop(fill(&spare, 2_000, 7));
        drop(memtable);
        assert_eq!(spare.heap_bytes(), 3 << 20);
        assert!(spare.shrink() && !spare.shrink());
        assert_eq!(spare.heap_bytes(), 2 << 20);
        let none = Arc::new(SpareArenas::default());
        drop(fill(&none, 600, 7));
        assert!(!none.is_short() && none.heap_bytes() == 0);
    }
}
