//! Locks and waiting as everything above `vfs` does them. In tests of several threads a [`Turns`] decides which of them
//! runs: exactly one does, and hands over, as a seed decides, at each operation on the simulated disk, at a lock that
//! another one holds, and where it waits. So the same seed gives the same history. In the shipped library nothing of
//! that is left: these are the standard library's locks, and a panic elsewhere doesn't make them unusable.

use std::{sync::PoisonError, time::Duration};

use super::sync::{Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard};

/// A lock that a panic elsewhere left poisoned is still a lock: what it guards is checked by other means, or whole.
#[inline]
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    #[cfg(any(test, feature = "simulation"))]
    if let Some(turns) = turns::mine() {
        loop {
            match mutex.try_lock() {
                Ok(guard) => return guard,
                Err(std::sync::TryLockError::Poisoned(poisoned)) => return poisoned.into_inner(),
                Err(std::sync::TryLockError::WouldBlock) => turns.wait_for_others(),
            }
        }
    }
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[inline]
pub(crate) fn lock_shared<T>(lock: &RwLock<T>) -> RwLockReadGuard<'_, T> {
    #[cfg(any(test, feature = "simulation"))]
    if let Some(turns) = turns::mine() {
        loop {
            match lock.try_read() {
                Ok(guard) => return guard,
                Err(std::sync::TryLockError::Poisoned(poisoned)) => return poisoned.into_inner(),
                Err(std::sync::TryLockError::WouldBlock) => turns.wait_for_others(),
            }
        }
    }
    lock.read().unwrap_or_else(PoisonError::into_inner)
}

#[inline]
pub(crate) fn lock_exclusively<T>(lock: &RwLock<T>) -> RwLockWriteGuard<'_, T> {
    #[cfg(any(test, feature = "simulation"))]
    if let Some(turns) = turns::mine() {
        loop {
            match lock.try_write() {
                Ok(guard) => return guard,
                Err(std::sync::TryLockError::Poisoned(poisoned)) => return poisoned.into_inner(),
                Err(std::sync::TryLockError::WouldBlock) => turns.wait_for_others(),
            }
        }
    }
    lock.write().unwrap_or_else(PoisonError::into_inner)
}

/// Waits on the condition variable, for so long at most. It may come back with nothing changed.
pub(crate) fn wait<'a, T>(
    changed: &Condvar,
    mutex: &'a Mutex<T>,
    guard: MutexGuard<'a, T>,
    timeout: Option<Duration>,
) -> MutexGuard<'a, T> {
    #[cfg(any(test, feature = "simulation"))]
    if let Some(turns) = turns::mine() {
        drop(guard);
        turns.wait_for_others();
        return lock(mutex);
    }
    let _ = mutex;
    match timeout {
        None => changed.wait(guard).unwrap_or_else(PoisonError::into_inner),
        Some(timeout) => {
            changed
                .wait_timeout(guard, timeout)
                .unwrap_or_else(PoisonError::into_inner)
                .0
        }
    }
}

/// The same where nothing may ever change, and the time-out is what ends it. An explorer has no time: to it this is a place
/// where others may go on.
pub(crate) fn wait_briefly<'a, T>(
    changed: &Condvar,
    mutex: &'a Mutex<T>,
    guard: MutexGuard<'a, T>,
    timeout: Duration,
) -> MutexGuard<'a, T> {
    if cfg!(sarsen_explore) {
        drop(guard);
        super::sync::thread::yield_now();
        return lock(mutex);
    }
    wait(changed, mutex, guard, Some(timeout))
}

/// Stands where something is read from a map a second time: another process may have written meanwhile.
#[inline]
pub(crate) fn between_looks() {
    #[cfg(any(test, feature = "simulation"))]
    turns::at_operation();
}

#[cfg(any(test, feature = "simulation"))]
pub(crate) mod turns {
    //! Whose turn it is.
    #![cfg_attr(
        not(feature = "simulation"),
        expect(
            unreachable_pub,
            dead_code,
            reason = "exported with the feature `simulation` only"
        )
    )]

    use std::{
        cell::RefCell,
        sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError},
    };

    use crate::vfs::sim::Random;

    /// Hand-overs in a row that got nobody anywhere: the threads wait for each other.
    const MOST_WAITS: u64 = 100_000;

    /// Threads of which exactly one runs at a time. Each enters with its number before it does anything, and leaves
    /// when what it gets from [`Turns::enter`] is dropped.
    #[derive(Debug, Clone)]
    pub struct Turns {
        shared: Arc<Shared>,
        me: usize,
    }

    #[derive(Debug)]
    struct Shared {
        state: Mutex<State>,
        /// One for each thread.
        woken: Vec<Condvar>,
    }

    #[derive(Debug)]
    struct State {
        random: Random,
        /// Who runs; nobody until all have entered.
        current: Option<usize>,
        entered: Vec<bool>,
        left: Vec<bool>,
        /// A thread hands over at one operation in so many.
        one_in: u64,
        waits: u64,
        hand_overs: u64,
        /// What happened, in short: the same seed gives the same one.
        digest: u64,
    }

    thread_local! {
        static MINE: RefCell<Option<Turns>> = const { RefCell::new(None) };
    }

    /// What this thread takes its turns by, if it does.
    pub(crate) fn mine() -> Option<Turns> {
        MINE.with_borrow(Clone::clone)
    }

    /// An operation on the simulated disk begins.
    pub(crate) fn at_operation() {
        if let Some(turns) = mine() {
            turns.operation();
        }
    }

    /// Leaves when dropped.
    #[derive(Debug)]
    pub struct Entered(());

    impl Drop for Entered {
        fn drop(&mut self) {
            if let Some(turns) = MINE.take() {
                turns.leave();
            }
        }
    }

    impl Turns {
        /// For so many threads; one of them hands over at about one operation in `one_in`.
        pub fn new(threads: usize, seed: u64, one_in: u64) -> Turns {
            Turns {
                shared: Arc::new(Shared {
                    state: Mutex::new(State {
                        random: Random(seed),
                        current: None,
                        entered: vec![false; threads],
                        left: vec![false; threads],
                        one_in,
                        waits: 0,
                        hand_overs: 0,
                        digest: seed,
                    }),
                    woken: (0..threads).map(|_| Condvar::new()).collect(),
                }),
                me: 0,
            }
        }

        /// Thread number `me` takes part from now on; returns when it is its turn.
        pub fn enter(&self, me: usize) -> Entered {
            let turns = Turns {
                shared: Arc::clone(&self.shared),
                me,
            };
            let mut state = turns.lock();
            if let Some(entered) = state.entered.get_mut(me) {
                *entered = true;
            }
            if state.entered.iter().all(|entered| *entered) {
                turns.hand_over(&mut state, true);
            }
            turns.wait_for_turn(state);
            MINE.set(Some(turns));
            Entered(())
        }

        /// How often somebody else went on, and a digest of who did when.
        pub fn history(&self) -> (u64, u64) {
            let state = self.lock();
            (state.hand_overs, state.digest)
        }

        fn lock(&self) -> MutexGuard<'_, State> {
            self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
        }

        fn operation(&self) {
            let mut state = self.lock();
            state.waits = 0;
            let one_in = state.one_in;
            if state.random.below(one_in) == 0 {
                self.hand_over(&mut state, true);
                self.wait_for_turn(state);
            }
        }

        /// This thread can't go on until another one did something.
        pub(crate) fn wait_for_others(&self) {
            let mut state = self.lock();
            state.waits += 1;
            assert!(state.waits < MOST_WAITS, "the threads wait for each other");
            self.hand_over(&mut state, false);
            self.wait_for_turn(state);
        }

        fn leave(&self) {
            let mut state = self.lock();
            if let Some(left) = state.left.get_mut(self.me) {
                *left = true;
            }
            state.waits = 0;
            self.hand_over(&mut state, false);
        }

        /// To anybody who takes part, this thread among them or, if there are others, not.
        fn hand_over(&self, state: &mut State, or_me: bool) {
            let others: Vec<usize> = (0..state.left.len())
                .filter(|thread| state.left.get(*thread) == Some(&false))
                .filter(|thread| or_me || *thread != self.me)
                .collect();
            let chosen = state.random.below(others.len() as u64);
            let next = others.get(chosen as usize).copied();
            // Alone, it goes on; once everybody has left, nobody does.
            let alone = (state.left.get(self.me) == Some(&false)).then_some(self.me);
            state.current = next.or(alone);
            state.hand_overs += 1;
            state.digest = state
                .digest
                .rotate_left(7)
                .wrapping_mul(0x9e37_79b9_7f4a_7c15)
                .wrapping_add(next.unwrap_or(0) as u64 + 1);
            if let Some(woken) = state.current.and_then(|next| self.shared.woken.get(next)) {
                woken.notify_all();
            }
        }

        fn wait_for_turn(&self, mut state: MutexGuard<'_, State>) {
            let Some(woken) = self.shared.woken.get(self.me) else {
                return;
            };
            while state.current != Some(self.me) {
                state = woken.wait(state).unwrap_or_else(PoisonError::into_inner);
            }
        }
    }
}
