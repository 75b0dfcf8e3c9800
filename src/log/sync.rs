//! Group sync: whoever needs a commit durable and finds no sync under way leads one for everybody.
//!
//! Any thread may call anything here. A failed sync poisons for good: the kernel may call pages clean that never
//! reached the disk, so a retry would prove nothing.

use std::{
    sync::{
        atomic::{AtomicBool, AtomicU64, Ordering},
        Condvar, Mutex, MutexGuard, PoisonError,
    },
    time::{Duration, Instant},
};

use crate::error::{Error, Result};

#[derive(Debug, Default)]
struct State {
    led: bool,
    poisoned: Option<Error>,
}

#[derive(Debug)]
pub(crate) struct GroupSync {
    durable: AtomicU64,
    /// Whether `State::poisoned` is set, for the commit path, which must not take a lock to look.
    is_poisoned: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
}

impl GroupSync {
    /// `durable`: the newest commit that is known to be durable already.
    pub(crate) fn new(durable: u64) -> GroupSync {
        GroupSync {
            durable: AtomicU64::new(durable),
            is_poisoned: AtomicBool::new(false),
            state: Mutex::new(State::default()),
            changed: Condvar::new(),
        }
    }

    /// The newest durable commit. One load.
    #[inline]
    pub(crate) fn durable(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    /// Commits up to `seq` are durable by other means, a checkpoint say.
    pub(crate) fn advance(&self, seq: u64) {
        self.durable.fetch_max(seq, Ordering::AcqRel);
        // Whoever has looked at `durable` under the lock is asleep by the time it is ours.
        drop(self.lock());
        self.changed.notify_all();
    }

    /// Everybody who waits, now and later, for what isn't durable yet gets [`Error::Poisoned`].
    pub(crate) fn poison(&self, error: Error) {
        self.poison_locked(&mut self.lock(), error);
        self.changed.notify_all();
    }

    /// The first reason counts.
    fn poison_locked(&self, state: &mut State, error: Error) {
        if state.poisoned.is_none() {
            state.poisoned = Some(match error {
                Error::Poisoned { .. } => error,
                error => Error::Poisoned {
                    what: error.to_string().into(),
                },
            });
            self.is_poisoned.store(true, Ordering::Release);
        }
    }

    /// What poisoned the store, as [`Error::Poisoned`]. One load where nothing did.
    #[inline]
    pub(crate) fn poisoned(&self) -> Option<Error> {
        if !self.is_poisoned.load(Ordering::Acquire) {
            return None;
        }
        self.lock().poisoned.clone()
    }

    /// Returns once `durable() >= seq`. Leads a sync if none is under way: `sync` gives the seq that is durable then,
    /// and its failure poisons. The time-out bounds only the wait for others.
    pub(crate) fn wait(
        &self,
        seq: u64,
        timeout: Option<Duration>,
        sync: &dyn Fn() -> Result<u64>,
    ) -> Result<()> {
        if self.durable() >= seq {
            return Ok(());
        }
        // A time-out too long to be a point in time is none.
        let until = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut state = self.lock();
        loop {
            if self.durable() >= seq {
                return Ok(());
            }
            if let Some(error) = &state.poisoned {
                return Err(error.clone());
            }
            if !state.led {
                break;
            }
            state = match until {
                None => self.changed.wait(state).unwrap_or_else(PoisonError::into_inner),
                Some(until) => {
                    let left = until.saturating_duration_since(Instant::now());
                    if left.is_zero() {
                        return Err(Error::Timeout);
                    }
                    self.changed
                        .wait_timeout(state, left)
                        .unwrap_or_else(PoisonError::into_inner)
                        .0
                }
            };
        }
        state.led = true;
        drop(state);

        let mut lead = Lead {
            group: self,
            outcome: Err(Error::internal("a sync panicked")),
        };
        lead.outcome = sync();
        let outcome = lead.outcome.clone();
        drop(lead);
        if outcome? < seq {
            return Err(Error::internal(
                "a sync covered less than what was published before it",
            ));
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        // Nothing that happens under this lock can panic half-way.
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Ends the lead with what the sync came to, whichever way the leader leaves.
struct Lead<'a> {
    group: &'a GroupSync,
    outcome: Result<u64>,
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        let mut state = self.group.lock();
        state.led = false;
        match &self.outcome {
            Ok(seq) => {
                self.group.durable.fetch_max(*seq, Ordering::AcqRel);
            }
            Err(error) => self.group.poison_locked(&mut state, error.clone()),
        }
        drop(state);
        self.group.changed.notify_all();
    }
}
