//! From published to durable: the sync leader's work, waiting, and callbacks.

use crate::vfs::sync::Mutex;
use std::{
    collections::BTreeMap,
    sync::{atomic::Ordering, Arc},
    time::Duration,
};

use super::{lock, Engine};
use crate::vfs::sync::disordered;
use crate::{
    error::{Error, Result},
    log::Segment,
    vfs::{is_made, Defect},
};

/// Told once: the seq asked for, and whether it is durable.
pub(crate) type DurableCallback = Box<dyn FnOnce(u64, Result<()>) + Send>;

#[derive(Default)]
pub(super) struct Notifications {
    waiting: Mutex<BTreeMap<u64, Vec<DurableCallback>>>,
}

impl std::fmt::Debug for Notifications {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Notifications")
            .field("seqs", &lock(&self.waiting).len())
            .finish()
    }
}

impl Notifications {
    /// Newest seq that somebody waits for.
    fn newest(&self) -> Option<u64> {
        lock(&self.waiting).keys().next_back().copied()
    }

    fn add(&self, seq: u64, callback: DurableCallback) {
        lock(&self.waiting).entry(seq).or_default().push(callback);
    }

    fn take_up_to(&self, seq: u64) -> BTreeMap<u64, Vec<DurableCallback>> {
        let mut waiting = lock(&self.waiting);
        if waiting.keys().next().is_none_or(|first| *first > seq) {
            return BTreeMap::new();
        }
        match seq.checked_add(1) {
            Some(above) => {
                let later = waiting.split_off(&above);
                std::mem::replace(&mut *waiting, later)
            }
            None => std::mem::take(&mut *waiting),
        }
    }
}

impl Engine {
    /// Makes everything published so far durable.
    pub(crate) fn sync(&self) -> Result<()> {
        self.check_writable()?;
        self.begin()?;
        self.prove()?;
        self.wait_durable(self.last_seq(), None)
    }

    /// Returns once commit `seq` is durable, syncing for it unless somebody is. The time-out bounds only the wait
    /// for others.
    pub(crate) fn wait_durable(&self, seq: u64, timeout: Option<Duration>) -> Result<()> {
        if seq <= self.group.durable() {
            return Ok(());
        }
        self.check_writable()?;
        if seq > self.last_seq() {
            return Err(Error::invalid(format!(
                "commit {seq} does not exist yet, the newest is {}",
                self.last_seq()
            )));
        }
        self.begin()?;
        self.prove()?;
        self.wait_for_sync(seq, timeout)
    }

    /// The end of a power-safe commit that is in the log already, so it has no other outcome than durable or unknown:
    /// closing meanwhile doesn't refuse it, since that makes it durable too.
    pub(super) fn wait_for_sync(&self, seq: u64, timeout: Option<Duration>) -> Result<()> {
        let waited = self.group.wait(seq, timeout, &|| self.sync_log());
        self.run_notifications();
        waited
    }

    /// Calls `callback` once commit `seq` is durable: now, if it is.
    pub(crate) fn notify_durable(&self, seq: u64, callback: DurableCallback) -> Result<()> {
        if seq > self.last_seq() {
            return Err(Error::invalid(format!(
                "commit {seq} does not exist yet, the newest is {}",
                self.last_seq()
            )));
        }
        if seq > self.group.durable() {
            self.check_writable()?;
        }
        self.notifications.add(seq, callback);
        // Added first, looked at second: a sync that ends in between is not missed.
        self.run_notifications();
        if self.notifications.newest().is_some() {
            self.background.wake();
        }
        Ok(())
    }

    /// Upkeep's share: syncs if a callback waits for it. True if there was something to do.
    pub(super) fn sync_for_notifications(&self) -> Result<bool> {
        let Some(seq) = self.notifications.newest() else {
            return Ok(false);
        };
        if seq > self.group.durable() {
            self.wait_durable(seq, None)?;
        } else {
            self.run_notifications();
        }
        Ok(true)
    }

    /// Calls, holding no lock, every callback whose seq is durable; all of them with the error of a poisoned store.
    pub(super) fn run_notifications(&self) {
        let (due, outcome) = match self.group.poisoned() {
            Some(error) => (self.notifications.take_up_to(u64::MAX), Err(error)),
            None => (self.notifications.take_up_to(self.group.durable()), Ok(())),
        };
        let durable = self.group.durable();
        for (seq, callbacks) in due {
            for callback in callbacks {
                callback(seq, if seq <= durable { Ok(()) } else { outcome.clone() });
            }
        }
    }

    /// The last ones are told that the store was closed.
    pub(super) fn end_notifications(&self) {
        self.run_notifications();
        for (seq, callbacks) in self.notifications.take_up_to(u64::MAX) {
            for callback in callbacks {
                callback(seq, Err(Error::invalid("the store was closed")));
            }
        }
    }

    /// What the leader does: large blocks of every commit first, then the log, then the mark. Claims no more than
    /// what was published before it began.
    pub(super) fn sync_log(&self) -> Result<u64> {
        let (target, segments) = {
            let append = lock(&self.append);
            let segments: Vec<Arc<Segment>> = append
                .appender
                .segments()
                .into_iter()
                .filter(|segment| segment.number() >= append.unsynced_segment)
                .collect();
            (self.published.load(Ordering::Acquire), segments)
        };
        if self.large.unsynced_bytes() > 0 {
            // Both at once; what counts is that neither is missing when the commit is called durable.
            segments.iter().for_each(|segment| segment.start_write_back());
        }
        self.sync_large()?;
        if is_made(Defect::MarkBeforeSync) {
            let mut append = lock(&self.append);
            let epoch = append.epoch;
            let _ = append.appender.put_mark(epoch, target, true);
        }
        for segment in segments.iter().filter(|_| !is_made(Defect::LogNotSynced)) {
            segment.sync()?;
        }
        self.counters.syncs.fetch_add(1, Ordering::Relaxed);
        if disordered!(LeaderClaimsLate) {
            return Ok(self.published.load(Ordering::Acquire));
        }
        let mut append = lock(&self.append);
        if let Some(last) = segments.last() {
            append.unsynced_segment = append.unsynced_segment.max(last.number());
        }
        let newest = self.published.load(Ordering::Acquire);
        if newest == target || is_made(Defect::MarkClaimsMore) {
            let epoch = append.epoch;
            // Only evidence for a later recovery; the log is durable without it.
            let _ = append.appender.put_mark(epoch, newest, true);
        }
        if is_made(Defect::LeaderClaimsMore) {
            return Ok(newest);
        }
        Ok(target)
    }

    fn sync_large(&self) -> Result<()> {
        if is_made(Defect::LeaderSyncsOnlyTheLog) {
            return Ok(());
        }
        self.large.sync_all()
    }

    /// Commits that were replayed above the proven one may never have reached the disk, whatever a sync says now:
    /// before the first power-safe acknowledgement they are put into new files.
    pub(super) fn prove(&self) -> Result<()> {
        if !self.unproven.load(Ordering::Acquire) || is_made(Defect::ReplayTakenForDurable) {
            return Ok(());
        }
        self.stall(|| self.checkpoint())
    }
}
