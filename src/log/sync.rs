//! Group sync: whoever needs a commit durable and finds no sync under way leads one for everybody.
//!
//! Any thread may call anything here. A failed sync poisons for good: the kernel may call pages clean that never
//! reached the disk, so a retry would prove nothing.
//!
//! **Gathering.** Threads that commit one after the other come back together once a sync has served them. A leader that
//! began at the first of them would leave the others to the next sync, and each commit would wait for two. So it waits
//! for as many as the last sync found: those that it served, and those that came while it ran. For half a sync's time at
//! most, and if they don't come the next leader expects as many as were there. One thread alone expects nobody.

use crate::vfs::sync::{
    atomic::{AtomicBool, AtomicU64},
    disordered, Condvar, Mutex, MutexGuard,
};
use std::{
    sync::atomic::Ordering,
    time::{Duration, Instant},
};

use crate::{
    error::{Error, Result},
    vfs::{lock, wait, wait_briefly},
};

#[derive(Debug, Default)]
struct State {
    led: bool,
    poisoned: Option<Error>,
    /// What those wait for that are in [`GroupSync::wait`] and don't lead.
    waiting: Vec<u64>,
    /// How many threads, the leader among them, the next sync is to serve.
    expected: usize,
    /// The leader waits for them.
    gathering: bool,
    /// How long the last sync took.
    sync_time: Duration,
}

impl State {
    fn is_gathered(&self) -> bool {
        self.waiting.len().saturating_add(1) >= self.expected
    }

    fn wait_no_more(&mut self, seq: u64) {
        if let Some(place) = self.waiting.iter().position(|waiting| *waiting == seq) {
            self.waiting.swap_remove(place);
        }
    }
}

#[derive(Debug)]
pub(crate) struct GroupSync {
    durable: AtomicU64,
    /// Whether `State::poisoned` is set, for the commit path, which must not take a lock to look.
    is_poisoned: AtomicBool,
    state: Mutex<State>,
    changed: Condvar,
    /// All that a leader waits for are there.
    gathered: Condvar,
}

impl GroupSync {
    /// `durable`: the newest commit that is known to be durable already.
    pub(crate) fn new(durable: u64) -> GroupSync {
        GroupSync {
            durable: AtomicU64::new(durable),
            is_poisoned: AtomicBool::new(false),
            state: Mutex::new(State::default()),
            changed: Condvar::new(),
            gathered: Condvar::new(),
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
        self.wake_all();
    }

    /// Everybody who waits, now and later, for what isn't durable yet gets [`Error::Poisoned`].
    pub(crate) fn poison(&self, error: Error) {
        self.poison_locked(&mut self.lock(), error);
        self.wake_all();
    }

    /// Also a leader that waits for others.
    fn wake_all(&self) {
        self.changed.notify_all();
        self.gathered.notify_one();
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

    #[inline]
    pub(crate) fn is_poisoned(&self) -> bool {
        self.is_poisoned.load(Ordering::Acquire)
    }

    /// What poisoned the store, as [`Error::Poisoned`]. One load where nothing did.
    #[inline]
    pub(crate) fn poisoned(&self) -> Option<Error> {
        if !self.is_poisoned() {
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
        let mut is_waiting = false;
        let outcome = loop {
            if self.durable() >= seq {
                break Some(Ok(()));
            }
            if let Some(error) = &state.poisoned {
                break Some(Err(error.clone()));
            }
            if !state.led {
                break None;
            }
            let left = until.map(|until| until.saturating_duration_since(Instant::now()));
            if left == Some(Duration::ZERO) {
                break Some(Err(Error::Timeout));
            }
            if !is_waiting {
                is_waiting = true;
                state.waiting.push(seq);
                if state.gathering && state.is_gathered() {
                    self.gathered.notify_one();
                }
            }
            state = wait(&self.changed, &self.state, state, left);
        };
        if is_waiting {
            state.wait_no_more(seq);
        }
        match outcome {
            Some(outcome) => outcome,
            None => self.lead(state, seq, sync),
        }
    }

    fn lead<'a>(
        &'a self,
        mut state: MutexGuard<'a, State>,
        seq: u64,
        sync: &dyn Fn() -> Result<u64>,
    ) -> Result<()> {
        state.led = true;
        if !state.is_gathered() {
            state.gathering = true;
            let most = state.sync_time / 2;
            state = wait_briefly(&self.gathered, &self.state, state, most);
            state.gathering = false;
            let otherwise = match &state.poisoned {
                _ if self.durable() >= seq => Some(Ok(())),
                poisoned => poisoned.clone().map(Err),
            };
            if let Some(outcome) = otherwise {
                state.led = false;
                drop(state);
                self.changed.notify_all();
                return outcome;
            }
        }
        drop(state);

        let mut lead = Lead {
            group: self,
            outcome: Err(Error::internal("a sync panicked")),
            began: Instant::now(),
        };
        lead.outcome = sync();
        let outcome = lead.outcome.clone();
        drop(lead);
        match outcome {
            Ok(durable) if durable < seq => Err(Error::internal(
                "a sync covered less than what was published before it",
            )),
            Ok(_) => Ok(()),
            // Elsewhere a full disk means that nothing was written. What is synced here has been.
            Err(error @ Error::NoSpace { .. }) => Err(self.poisoned().unwrap_or(error)),
            Err(error) => Err(error),
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }
}

/// Ends the lead with what the sync came to, whichever way the leader leaves.
struct Lead<'a> {
    group: &'a GroupSync,
    outcome: Result<u64>,
    began: Instant,
}

impl Drop for Lead<'_> {
    fn drop(&mut self) {
        let mut state = self.group.lock();
        state.led = false;
        state.expected = state.waiting.len().saturating_add(1);
        state.sync_time = self.began.elapsed();
        match &self.outcome {
            Ok(seq) => {
                let durable = self.group.durable.fetch_max(*seq, Ordering::AcqRel).max(*seq);
                state.waiting.retain(|waiting| *waiting > durable);
            }
            Err(error) => self.group.poison_locked(&mut state, error.clone()),
        }
        drop(state);
        if disordered!(LeaderWakesNobody) {
            return;
        }
        self.group.changed.notify_all();
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::{atomic::AtomicU32, mpsc, Arc},
        thread,
    };

    use super::*;

    fn io_error() -> Error {
        Error::io("cannot sync", None, 5)
    }

    /// A group whose first leader is inside its sync until the sender speaks or is dropped.
    fn with_leader_at_work(
        outcome: Result<u64>,
    ) -> (Arc<GroupSync>, mpsc::Sender<()>, thread::JoinHandle<Result<()>>) {
        let group = Arc::new(GroupSync::new(0));
        let (started, has_started) = mpsc::channel();
        let (go_on, may_go_on) = mpsc::channel::<()>();
        let leader = thread::spawn({
            let group = Arc::clone(&group);
            move || {
                group.wait(1, None, &|| {
                    started.send(()).unwrap();
                    let _ = may_go_on.recv();
                    outcome.clone()
                })
            }
        });
        has_started.recv().unwrap();
        (group, go_on, leader)
    }

    #[test]
    fn one_sync_serves_everybody_who_waits_for_what_it_covers() {
        let (group, go_on, leader) = with_leader_at_work(Ok(5));
        let syncs = Arc::new(AtomicU32::new(0));
        let waiters: Vec<_> = (1..=5)
            .map(|seq| {
                let (group, syncs) = (Arc::clone(&group), Arc::clone(&syncs));
                thread::spawn(move || {
                    group.wait(seq, None, &|| {
                        syncs.fetch_add(1, Ordering::Relaxed);
                        Ok(seq)
                    })
                })
            })
            .collect();
        go_on.send(()).unwrap();
        leader.join().unwrap().unwrap();
        for waiter in waiters {
            waiter.join().unwrap().unwrap();
        }
        assert_eq!((group.durable(), syncs.load(Ordering::Relaxed)), (5, 0));
    }

    #[test]
    fn whoever_a_sync_did_not_cover_leads_the_next_one() {
        let (group, go_on, leader) = with_leader_at_work(Ok(5));
        let waiters: Vec<_> = (6..=9)
            .map(|seq| {
                let group = Arc::clone(&group);
                thread::spawn(move || group.wait(seq, None, &|| Ok(seq)))
            })
            .collect();
        go_on.send(()).unwrap();
        leader.join().unwrap().unwrap();
        for waiter in waiters {
            waiter.join().unwrap().unwrap();
        }
        assert_eq!(group.durable(), 9);
    }

    /// A group whose next leader waits for so many, itself among them, for half of that time at most.
    fn that_expects(threads: usize, sync_time: Duration) -> Arc<GroupSync> {
        let group = Arc::new(GroupSync::new(0));
        {
            let mut state = group.lock();
            (state.expected, state.sync_time) = (threads, sync_time);
        }
        group
    }

    #[test]
    fn a_leader_waits_for_those_whom_the_last_sync_found() {
        let group = that_expects(3, Duration::MAX);
        let threads: Vec<_> = (1..=3)
            .map(|seq| {
                let thread = thread::spawn({
                    let group = Arc::clone(&group);
                    move || {
                        let lead = || {
                            assert_eq!(group.lock().waiting, [2, 3]);
                            Ok(3)
                        };
                        group.wait(seq, None, &lead)
                    }
                });
                // The first one leads; the others come one after the other.
                while seq < 3 && !(group.lock().gathering && group.lock().waiting.len() + 1 == seq as usize) {
                    thread::yield_now();
                }
                thread
            })
            .collect();
        for thread in threads {
            thread.join().unwrap().unwrap();
        }
        assert_eq!((group.durable(), group.lock().expected), (3, 3));
        assert!(group.lock().waiting.is_empty());
    }

    #[test]
    fn a_leader_goes_on_without_those_who_do_not_come() {
        let group = that_expects(9, Duration::from_millis(2));
        assert_eq!(group.wait(1, None, &|| Ok(1)), Ok(()));
        assert_eq!((group.durable(), group.lock().expected), (1, 1));
    }

    #[test]
    fn a_leader_that_waits_hears_of_poison_and_lets_the_others_go() {
        let group = that_expects(3, Duration::MAX);
        let threads: Vec<_> = (1..=2)
            .map(|seq| {
                let group = Arc::clone(&group);
                thread::spawn(move || group.wait(seq, None, &|| panic!("there is nothing to sync any more")))
            })
            .collect();
        while group.lock().waiting.is_empty() {
            thread::yield_now();
        }
        group.poison(io_error());
        for thread in threads {
            assert!(matches!(thread.join().unwrap(), Err(Error::Poisoned { .. })));
        }
    }

    #[test]
    fn a_failed_sync_poisons_everybody_now_and_later() {
        let (group, go_on, leader) = with_leader_at_work(Err(io_error()));
        let waiter = thread::spawn({
            let group = Arc::clone(&group);
            move || group.wait(1, None, &|| panic!("no second sync after one failed"))
        });
        go_on.send(()).unwrap();
        assert_eq!(
            leader.join().unwrap(),
            Err(io_error()),
            "the leader learns the cause"
        );
        assert!(matches!(waiter.join().unwrap(), Err(Error::Poisoned { .. })));
        assert!(matches!(
            group.wait(1, None, &|| Ok(1)),
            Err(Error::Poisoned { .. })
        ));
        assert!(matches!(group.poisoned(), Some(Error::Poisoned { .. })));
        assert_eq!(group.durable(), 0);
    }

    #[test]
    fn what_was_durable_before_the_poison_stays_so() {
        let group = GroupSync::new(3);
        group.poison(io_error());
        group.poison(Error::Poisoned { what: "later".into() });
        assert_eq!(group.wait(3, None, &|| Ok(3)), Ok(()));
        match group.wait(4, None, &|| Ok(4)) {
            Err(Error::Poisoned { what }) => {
                assert!(what.contains("cannot sync"), "the first reason: {what}")
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_panic_in_a_sync_poisons_and_wakes_the_others() {
        let (group, go_on, leader) = with_leader_at_work(Ok(0));
        let panicking = thread::spawn({
            let group = Arc::clone(&group);
            move || group.wait(2, None, &|| panic!("on purpose"))
        });
        go_on.send(()).unwrap();
        assert!(
            matches!(leader.join().unwrap(), Err(Error::Internal { .. })),
            "a sync that covers too little"
        );
        assert!(panicking.join().is_err());
        assert!(matches!(
            group.wait(1, None, &|| Ok(1)),
            Err(Error::Poisoned { .. })
        ));
    }

    #[test]
    fn a_time_out_bounds_the_wait_for_others_and_not_ones_own_sync() {
        let (group, go_on, leader) = with_leader_at_work(Ok(1));
        assert_eq!(
            group.wait(1, Some(Duration::from_millis(1)), &|| Ok(1)),
            Err(Error::Timeout)
        );
        drop(go_on);
        leader.join().unwrap().unwrap();
        assert_eq!(group.wait(2, Some(Duration::ZERO), &|| Ok(2)), Ok(()));
        assert_eq!(group.wait(3, Some(Duration::MAX), &|| Ok(3)), Ok(()));
    }

    #[test]
    fn a_checkpoint_that_makes_commits_durable_wakes_who_waits_for_them() {
        let (group, go_on, leader) = with_leader_at_work(Ok(1));
        let waiter = thread::spawn({
            let group = Arc::clone(&group);
            move || group.wait(7, None, &|| Ok(7))
        });
        group.advance(8);
        waiter.join().unwrap().unwrap();
        group.advance(2);
        assert_eq!(group.durable(), 8);
        drop(go_on);
        leader.join().unwrap().unwrap();
    }
}
