//! Counters that many threads change at once, in a few places each, so that threads seldom meet at one cache line.

use std::sync::atomic::Ordering::Relaxed;

use super::sync::atomic::AtomicU64;

/// More than there are threads that read at full speed on most machines.
pub(crate) const STRIPES: usize = 16;

/// Something on cache lines of its own: two, since processors fetch them in pairs.
#[repr(align(128))]
#[derive(Debug, Default)]
pub(crate) struct Apart<T>(pub(crate) T);

/// The calling thread's place. Another thread may have the same one, and a thread may come to another one later.
#[inline(always)]
pub(crate) fn stripe() -> usize {
    // Threads have stacks of their own, often at equal distances, which the multiplication spreads.
    const SPREAD: u64 = 0x9e37_79b9_7f4a_7c15;
    let local = 0u8;
    let stack = (std::ptr::from_ref(&local).addr() >> 16) as u64;
    // The upper four bits, so that the cast loses nothing.
    (stack.wrapping_mul(SPREAD) >> (u64::BITS - STRIPES.trailing_zeros())) as usize
}

const _: () = assert!(STRIPES.is_power_of_two());

/// A number that is the sum of its stripes.
#[derive(Debug, Default)]
pub(crate) struct StripedCount([Apart<AtomicU64>; STRIPES]);

impl StripedCount {
    #[inline(always)]
    pub(crate) fn add_one(&self, stripe: usize) {
        if let Some(Apart(part)) = self.0.get(stripe) {
            part.fetch_add(1, Relaxed);
        }
    }

    /// Also for what was added at another stripe.
    #[inline(always)]
    pub(crate) fn take_one(&self, stripe: usize) {
        if let Some(Apart(part)) = self.0.get(stripe) {
            part.fetch_sub(1, Relaxed);
        }
    }

    /// Exact while nobody changes it.
    pub(crate) fn sum(&self) -> u64 {
        let parts = self.0.iter().map(|Apart(part)| part.load(Relaxed));
        parts.fold(0, u64::wrapping_add)
    }
}

#[cfg(test)]
#[cfg(not(sarsen_explore))]
mod tests {
    use std::{collections::HashSet, sync::Arc};

    use super::*;

    #[test]
    fn what_threads_add_and_others_take_is_summed_up() {
        let count = Arc::new(StripedCount::default());
        let threads: Vec<_> = (0..4)
            .map(|_| {
                let count = Arc::clone(&count);
                std::thread::spawn(move || (0..1000).for_each(|_| count.add_one(stripe())))
            })
            .collect();
        threads.into_iter().for_each(|thread| thread.join().unwrap());
        (0..3999).for_each(|turn| count.take_one(turn % STRIPES));
        assert_eq!(count.sum(), 1);
    }

    #[test]
    fn threads_that_live_at_once_are_spread() {
        let gate = Arc::new(std::sync::Barrier::new(8));
        let threads: Vec<_> = (0..8)
            .map(|_| {
                let gate = Arc::clone(&gate);
                std::thread::spawn(move || {
                    gate.wait();
                    stripe()
                })
            })
            .collect();
        let places: HashSet<usize> = threads.into_iter().map(|thread| thread.join().unwrap()).collect();
        assert!(places.iter().all(|place| *place < STRIPES));
        assert!(places.len() > 1, "all of them at {places:?}");
    }
}
