//! A node of the skip list, as u32 words.

use std::sync::atomic::Ordering::{self, Acquire, Relaxed};

use super::NOWHERE;
use crate::{index::hints::NIL, vfs::sync::atomic::AtomicU32};

/// Words of a node before its links: two of key prefix, one of place.
pub(super) const LINKS: usize = 3;

/// A node's words, and those behind it in its bucket.
#[derive(Clone, Copy)]
pub(super) struct Node<'a> {
    pub(super) words: &'a [AtomicU32],
}

impl Node<'_> {
    #[inline(always)]
    pub(super) fn prefix(self) -> u64 {
        let [high, low, ..] = self.words else { return 0 };
        u64::from(high.load(Relaxed)) << 32 | u64::from(low.load(Relaxed))
    }

    #[inline]
    pub(super) fn place(self) -> u32 {
        let [_, _, place, ..] = self.words else {
            return NOWHERE;
        };
        place.load(Acquire)
    }

    pub(super) fn set_place(self, to: u32, order: Ordering) {
        if let [_, _, place, ..] = self.words {
            place.store(to, order);
        }
    }

    pub(super) fn fill(self, prefix: u64, place: u32) {
        let [high, low, ..] = self.words else {
            return;
        };
        high.store((prefix >> 32) as u32, Relaxed);
        low.store((prefix & u64::from(u32::MAX)) as u32, Relaxed);
        self.set_place(place, Relaxed);
    }

    #[inline(always)]
    pub(super) fn link(self, level: usize) -> u32 {
        self.words
            .get(LINKS + level)
            .map_or(NIL, |word| word.load(Acquire))
    }

    pub(super) fn set_link(self, level: usize, to: u32, order: Ordering) {
        if let Some(word) = self.words.get(LINKS + level) {
            word.store(to, order);
        }
    }
}
