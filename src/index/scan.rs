//! What a reader at a seq sees of a range of keys: the newest version of each key at or below that seq, deleted keys
//! left out, in either direction.

use std::sync::Arc;

use super::{page::key_prefix, Entry, Merged, TOMBSTONE};
use crate::{
    error::{Error, Result},
    format::bytes::to_u64,
    vfs::Region,
};

/// One thread at a time; holds what it reads from.
#[derive(Debug)]
pub(crate) struct Scan {
    merged: Merged,
    lower: Vec<u8>,
    upper: Option<Vec<u8>>,
    upper_prefix: u64,
    seq: u64,
    reverse: bool,
    state: State,
    /// Backward: the key that was found.
    key: Vec<u8>,
    held: Option<Held>,
    /// What ended the scan before its end: said again each time, or what lies behind would seem not to be there.
    failed: Option<Error>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    Start,
    /// The source stands on what was found (forward), or before all of it (backward).
    Going,
    End,
}

/// Going backwards a key's newest version comes last, when the source has left it.
#[derive(Debug)]
struct Held {
    seq: u64,
    kind: u8,
    region: Arc<Region>,
    offset: u64,
    len: u64,
}

impl Scan {
    /// Keys in `[lower, upper)`, or from `lower` on.
    pub(crate) fn new(
        merged: Merged,
        lower: Vec<u8>,
        upper: Option<Vec<u8>>,
        seq: u64,
        reverse: bool,
    ) -> Scan {
        Scan {
            merged,
            lower,
            upper_prefix: upper.as_deref().map_or(u64::MAX, key_prefix),
            upper,
            seq,
            reverse,
            state: State::Start,
            key: Vec::new(),
            held: None,
            failed: None,
        }
    }

    /// To the next key; false at the end, and from then on. After an error it stays where it is and answers the same
    /// again: a damaged page may hold newer versions of whatever lies around it, so nothing can be passed over.
    pub(crate) fn next(&mut self) -> Result<bool> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let outcome = if self.reverse {
            self.step_back()
        } else {
            self.step_on()
        };
        if !matches!(outcome, Ok(true)) {
            self.state = State::End;
        }
        self.failed = outcome.as_ref().err().cloned();
        outcome
    }

    /// Does what `next` does where that is to go to the next entry of a page and that one is of this kind. If not,
    /// nothing has happened. Touches nothing but what this scan holds, and can't fail.
    #[inline(always)]
    pub(crate) fn next_in_page(&mut self, kind: u8) -> bool {
        self.next_in_page_if(|other| other == kind)
    }

    /// The same for an entry of a `wanted` kind.
    #[inline(always)]
    pub(crate) fn next_in_page_if(&mut self, wanted: impl FnOnce(u8) -> bool) -> bool {
        if self.reverse || self.state != State::Going {
            return false;
        }
        let upper = self.upper.as_deref();
        self.merged
            .next_key_if(self.seq, wanted, self.upper_prefix, upper)
    }

    /// What `next` found; good until the next call.
    #[inline(always)]
    pub(crate) fn entry(&self) -> Option<Entry<'_>> {
        if self.state != State::Going {
            return None;
        }
        if !self.reverse {
            return self.merged.entry();
        }
        let held = self.held.as_ref()?;
        let value = held.region.bytes(held.offset, held.len)?;
        Some(Entry {
            key: &self.key,
            seq: held.seq,
            kind: held.kind,
            value,
        })
    }

    /// The next call of `next` finds the first key at or above `key` (and `lower`). For scans that go forward.
    pub(crate) fn seek(&mut self, key: &[u8]) -> Result<()> {
        if self.reverse {
            return Err(Error::internal("a scan that goes backwards can't seek"));
        }
        let from = if key > self.lower.as_slice() {
            key
        } else {
            self.lower.as_slice()
        };
        self.lower = from.to_vec();
        self.state = State::Start;
        self.failed = None;
        Ok(())
    }

    fn step_on(&mut self) -> Result<bool> {
        match self.state {
            State::End => return Ok(false),
            State::Start => {
                self.merged.seek(&self.lower, u64::MAX)?;
                self.state = State::Going;
            }
            State::Going => self.merged.next_key()?,
        }
        loop {
            let Some(entry) = self.merged.entry() else {
                return Ok(false);
            };
            if self.upper.as_deref().is_some_and(|upper| entry.key >= upper) {
                return Ok(false);
            }
            if entry.seq > self.seq {
                self.merged.next()?;
            } else if entry.kind == TOMBSTONE {
                self.merged.next_key()?;
            } else {
                return Ok(true);
            }
        }
    }

    fn step_back(&mut self) -> Result<bool> {
        match self.state {
            State::End => return Ok(false),
            State::Start => {
                match &self.upper {
                    Some(upper) => self.merged.seek_before(upper)?,
                    None => self.merged.seek_last()?,
                }
                self.state = State::Going;
            }
            State::Going => {}
        }
        loop {
            self.held = None;
            let Some(entry) = self.merged.entry() else {
                return Ok(false);
            };
            if entry.key < self.lower.as_slice() {
                return Ok(false);
            }
            self.key.clear();
            self.key.extend_from_slice(entry.key);
            // Versions come oldest first: the last one at or below the seq is the newest.
            while let Some(entry) = self
                .merged
                .entry()
                .filter(|entry| entry.key == self.key.as_slice())
            {
                if entry.seq <= self.seq {
                    self.held = Some(hold(&self.merged, &entry)?);
                }
                self.merged.prev()?;
            }
            if self.held.as_ref().is_some_and(|held| held.kind != TOMBSTONE) {
                return Ok(true);
            }
        }
    }
}

fn hold(merged: &Merged, entry: &Entry<'_>) -> Result<Held> {
    let lost = || Error::internal("a value lies outside its region");
    let region = merged.region().ok_or_else(lost)?;
    let base = region.bytes(0, 0).ok_or_else(lost)?.as_ptr().addr();
    let len = to_u64(entry.value.len());
    let offset = entry
        .value
        .as_ptr()
        .addr()
        .checked_sub(base)
        .filter(|_| len > 0)
        .unwrap_or(0);
    Ok(Held {
        seq: entry.seq,
        kind: entry.kind,
        region: Arc::clone(region),
        offset: to_u64(offset),
        len,
    })
}
