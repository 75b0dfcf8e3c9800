//! A chunk's map with what was found good in it so far. Comes and goes as a whole: a new map trusts nothing.

use crate::vfs::sync::atomic::AtomicU64;
use std::{
    ops::Deref,
    sync::{atomic::Ordering::Relaxed, Arc},
};

use arc_swap::Guard;

use super::moved::MovedTable;
use crate::{
    format::bytes::{to_u64, to_usize},
    vfs::Region,
};

/// Pages and heads of large blocks start at distinct multiples of this: a bit each says "checked".
const GRAIN: u64 = 4_096;

#[derive(Debug)]
pub(super) struct Mapping {
    region: Arc<Region>,
    /// Of a rewritten chunk; checked before the mapping was made.
    moved: Option<MovedTable>,
    /// Empty for chunks of small blocks, which are checked at every read.
    touched: Box<[AtomicU64]>,
}

impl Mapping {
    pub(super) fn new(region: Arc<Region>, moved: Option<MovedTable>, large: bool) -> Mapping {
        let words = if large {
            region.len().div_ceil(GRAIN).div_ceil(64)
        } else {
            0
        };
        let touched = (0..words).map(|_| AtomicU64::new(0)).collect();
        Mapping {
            region,
            moved,
            touched,
        }
    }

    pub(super) fn region(&self) -> &Arc<Region> {
        &self.region
    }

    pub(super) fn moved(&self) -> Option<&MovedTable> {
        self.moved.as_ref()
    }

    /// Where `address` lies in the file and where, at the latest, its block must end: `limit` in a chunk that was
    /// never rewritten.
    pub(super) fn place_of(&self, address: u64, limit: u64) -> Option<(u64, u64)> {
        match &self.moved {
            None => Some((address, limit)),
            Some(moved) => moved.place_of(&self.region, address),
        }
    }

    /// Whether what starts at this place of the file was checked. Relaxed: the bytes are older than any reader's
    /// knowledge of their address.
    pub(super) fn was_checked(&self, place: u64) -> bool {
        self.bit(place)
            .is_some_and(|(word, bit)| word.load(Relaxed) & bit != 0)
    }

    pub(super) fn set_checked(&self, place: u64) {
        if let Some((word, bit)) = self.bit(place) {
            word.fetch_or(bit, Relaxed);
        }
    }

    fn bit(&self, place: u64) -> Option<(&AtomicU64, u64)> {
        let index = place / GRAIN;
        Some((self.touched.get(to_usize(index / 64)?)?, 1 << (index % 64)))
    }

    pub(super) fn heap_bytes(&self) -> u64 {
        let own = to_u64(size_of::<Mapping>().saturating_add(size_of_val(&*self.touched)));
        own.saturating_add(self.region.pins_heap_bytes())
    }
}

/// A mapping held without counting: readers on many cores share no cache line for it.
#[derive(Debug)]
pub(super) struct MappingGuard(Guard<Option<Arc<Mapping>>>);

impl MappingGuard {
    pub(super) fn new(guard: Guard<Option<Arc<Mapping>>>) -> Option<MappingGuard> {
        guard.is_some().then_some(MappingGuard(guard))
    }

    pub(super) fn of(mapping: Arc<Mapping>) -> MappingGuard {
        MappingGuard(Guard::from_inner(Some(mapping)))
    }
}

impl Deref for MappingGuard {
    type Target = Mapping;

    fn deref(&self) -> &Mapping {
        match &*self.0 {
            Some(mapping) => mapping,
            None => unreachable!("both constructors put a mapping in, and a guard's content never changes"),
        }
    }
}
