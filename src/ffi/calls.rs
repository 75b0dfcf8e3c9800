//! Counts the calls that are under way in a store, so that closing it can wait for them.
//!
//! Any thread may call anything; `wait` is for the one that closes. Every shard is one word: calls under way, and one
//! bit that says that the store is being closed. A call that leaves learns by its last touch of that word whether
//! somebody waits; if nobody does, it touches nothing more, since the closing thread may free all of this at once. If
//! somebody does, it is one of those that are waited for.

use crate::vfs::{
    stripes::{stripe, Apart, STRIPES},
    sync::{atomic::AtomicUsize, disordered, Condvar, Mutex, MutexGuard},
};
use std::sync::{atomic::Ordering, PoisonError};

/// The bit beside the count.
const CLOSING: usize = 1 << (usize::BITS - 1);

type Shard = Apart<AtomicUsize>;

#[derive(Default)]
pub(super) struct Calls {
    /// Spread so that reading threads don't meet at one cache line.
    shards: [Shard; STRIPES],
    /// Calls that left after the store began to close.
    left: Mutex<usize>,
    changed: Condvar,
}

impl Calls {
    /// Lets a call in; `None` once the store is being closed.
    #[inline(always)]
    pub(super) fn enter(&self) -> Option<Inside<'_>> {
        let shard = self.shard();
        if shard.0.fetch_add(1, Ordering::Acquire) & CLOSING != 0 {
            // Nobody waits for this one: the bit was there when it came.
            shard.0.fetch_sub(1, Ordering::Relaxed);
            return None;
        }
        Some(Inside { calls: self, shard })
    }

    /// Whether calls are refused by now.
    #[inline(always)]
    pub(super) fn refused(&self) -> bool {
        self.shard().0.load(Ordering::Acquire) & CLOSING != 0
    }

    #[inline(always)]
    fn shard(&self) -> &Shard {
        self.shards.get(stripe()).unwrap_or(&self.shards[0])
    }

    /// No call gets in any more. How many are inside.
    pub(super) fn refuse(&self) -> usize {
        let close = |shard: &Shard| {
            let early = disordered!(CallsCountedEarly).then(|| shard.0.load(Ordering::Acquire));
            let inside = shard.0.fetch_or(CLOSING, Ordering::AcqRel) & !CLOSING;
            early.unwrap_or(inside)
        };
        self.shards.iter().map(close).sum()
    }

    /// Waits until the calls that `refuse` found inside have left, and will not come back to this.
    pub(super) fn wait(&self, inside: usize) {
        let mut left = self.lock();
        while *left < inside {
            left = self.changed.wait(left).unwrap_or_else(PoisonError::into_inner);
        }
    }

    #[cold]
    fn tell_who_waits(&self) {
        let mut left = self.lock();
        *left = left.saturating_add(1);
        // Under the lock: without it the one that waits might be gone before it is told.
        self.changed.notify_all();
    }

    fn lock(&self) -> MutexGuard<'_, usize> {
        self.left.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A call that got in.
pub(super) struct Inside<'a> {
    calls: &'a Calls,
    shard: &'a Shard,
}

impl Drop for Inside<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        if self.shard.0.fetch_sub(1, Ordering::Release) & CLOSING != 0 {
            self.calls.tell_who_waits();
        }
    }
}

#[cfg(test)]
#[cfg(sarsen_explore)]
mod explored {
    use std::sync::{
        atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst},
        Arc,
    };

    use super::Calls;
    use crate::vfs::{explore::explore, sync::Disorder};

    /// Closing waits for whoever got in, and once it is over nobody is inside or comes in.
    fn calls_beside_close() {
        let calls = Arc::new(Calls::default());
        let inside = Arc::new(AtomicUsize::new(0));
        let closed = Arc::new(AtomicBool::new(false));
        let callers: Vec<_> = (0..3)
            .map(|_| {
                let (calls, inside, closed) = (Arc::clone(&calls), Arc::clone(&inside), Arc::clone(&closed));
                shuttle::thread::spawn(move || {
                    for _ in 0..2 {
                        let Some(call) = calls.enter() else { return };
                        inside.fetch_add(1, SeqCst);
                        shuttle::thread::yield_now();
                        assert!(!closed.load(SeqCst), "closed under a call");
                        inside.fetch_sub(1, SeqCst);
                        drop(call);
                    }
                })
            })
            .collect();
        let waited_for = calls.refuse();
        calls.wait(waited_for);
        closed.store(true, SeqCst);
        assert_eq!(inside.load(SeqCst), 0);
        assert!(calls.enter().is_none());
        for caller in callers {
            caller.join().unwrap();
        }
    }

    #[test]
    fn closing_waits_for_every_call_that_got_in() {
        explore(Disorder::CallsCountedEarly, calls_beside_close);
    }
}
