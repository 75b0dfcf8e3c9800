//! Locks, condition variables, atomics and threads, as everything above takes them: those of the standard library.
//!
//! With `--cfg sarsen_explore` they are shuttle's instead, which runs one thread at a time and chooses at each of them
//! who goes on: the same engine, in every order that a test has time for. Nothing else depends on which they are.

#[cfg(not(sarsen_explore))]
pub(crate) use std::{
    sync::{atomic, Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard},
    thread,
};

#[cfg(sarsen_explore)]
pub(crate) use shuttle::{
    sync::{atomic, Condvar, Mutex, MutexGuard, RwLock, RwLockReadGuard, RwLockWriteGuard},
    thread,
};

/// A place where another thread may go on, for an explorer that does not see what comes next: the swap of a state.
#[inline(always)]
pub(crate) fn step() {
    #[cfg(sarsen_explore)]
    atomic::AtomicBool::new(false).load(std::sync::atomic::Ordering::SeqCst);
}

/// Orders that are wrong, for tests to see that the explorer finds what comes of them. None of this is in the library.
#[cfg(sarsen_explore)]
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Disorder {
    /// A view takes its seq first and its state afterwards.
    SeqBeforeState,
    /// A commit is published before its entries are in the memtable.
    PublishedEarly,
    /// Who waits for a commit looks for it before saying so.
    UncountedFollower,
    /// The sync leader reads what is published after its sync, and claims that.
    LeaderClaimsLate,
    /// A sync that ends wakes nobody.
    LeaderWakesNobody,
    /// Calls under way are counted before the next one is refused.
    CallsCountedEarly,
    /// Blocks are judged dead while commits name them.
    NamingUnlocked,
    /// A node of the skip list is linked before it is filled.
    LinkedBeforeFilled,
}

#[cfg(sarsen_explore)]
thread_local! {
    static DISORDER: std::cell::Cell<Option<Disorder>> = const { std::cell::Cell::new(None) };
}

/// All threads of an explored run are this one.
#[cfg(sarsen_explore)]
pub(crate) fn disorder(disorder: Option<Disorder>) {
    DISORDER.set(disorder);
}

/// Whether things are to be done in this wrong order: never, in the library.
macro_rules! disordered {
    ($name:ident) => {
        cfg!(sarsen_explore) && {
            #[cfg(sarsen_explore)]
            let wrong = $crate::vfs::sync::is_disordered($crate::vfs::sync::Disorder::$name);
            #[cfg(not(sarsen_explore))]
            let wrong = false;
            wrong
        }
    };
}
pub(crate) use disordered;

#[cfg(sarsen_explore)]
pub(crate) fn is_disordered(disorder: Disorder) -> bool {
    DISORDER.get() == Some(disorder)
}
