//! Key-value: ordered byte keys.

use std::sync::Arc;

use super::{check_key, check_open, snapshot::view_of, with_key, Snapshot, Store, View};
use crate::{
    engine::{self, Engine, State},
    error::{Error, Result},
    format::{
        bytes::to_u64,
        record::{self, kind, SPACE_KV},
    },
    index::{Hit, Probe, Scan},
};

/// Keys of a `kv_get_many` whose cache lines are fetched together: as many as the processor's buffers for misses are
/// kept busy by, and few enough that they are still in the cache when their turn comes.
const KEYS_AT_ONCE: usize = 32;

/// What a `fill` did.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Filled {
    /// So many whole records were written, taking so many bytes.
    Records { len: usize, count: usize },
    /// There is nothing more.
    End,
    /// The next record alone needs a buffer of this many bytes; the iterator has not moved.
    TooSmall { needed: usize },
}

impl Store {
    /// The live version of a key at a snapshot, or now.
    fn kv_hit<'a>(&self, state: &'a State, snapshot: Option<&Snapshot>, key: &[u8]) -> Result<Hit<'a>> {
        let seq = self.seq_of(state, snapshot);
        let hit = with_key(SPACE_KV, key, |key| state.get(key, seq))?;
        hit.filter(|hit| hit.kind != kind::TOMBSTONE)
            .ok_or(Error::NotFound)
    }

    #[inline(always)]
    fn seq_of(&self, state: &State, snapshot: Option<&Snapshot>) -> u64 {
        match snapshot {
            Some(snapshot) => snapshot.seq(),
            None => self.engine.newest_in(state),
        }
    }

    /// The state that a read looks at, held without counting.
    #[inline(always)]
    fn state_of(&self, snapshot: Option<&Snapshot>) -> arc_swap::Guard<Arc<State>> {
        match snapshot.and_then(Snapshot::pinned) {
            Some(view) => arc_swap::Guard::from_inner(Arc::clone(&view.state)),
            None => self.engine.state(),
        }
    }

    /// The value, in place.
    #[inline(always)]
    pub fn kv_get(&self, snapshot: Option<&Snapshot>, key: &[u8]) -> Result<View> {
        self.check_open()?;
        check_key(key)?;
        let state = self.state_of(snapshot);
        let seq = self.seq_of(&state, snapshot);
        match with_key(SPACE_KV, key, |key| state.probe(key, seq)) {
            Probe::Found(hit) if hit.kind == kind::KV_INLINE => View::of_hit(&self.engine, &hit),
            Probe::Absent => Err(Error::NotFound),
            _ => self.kv_get_slowly(&state, snapshot, key),
        }
    }

    /// Anything but an inline value, or nothing, in the first place that was looked at.
    #[cold]
    fn kv_get_slowly(&self, state: &State, snapshot: Option<&Snapshot>, key: &[u8]) -> Result<View> {
        let hit = self.kv_hit(state, snapshot, key)?;
        self.view_of(state, &hit)
    }

    fn view_of(&self, state: &State, hit: &Hit<'_>) -> Result<View> {
        match record::block_of(hit.kind, hit.value) {
            None => View::of_hit(&self.engine, hit),
            Some(block) => Ok(View::of_block(&self.engine, &state.read_owned_block(&block)?)),
        }
    }

    /// Copies as much of the value as fits and returns its whole length.
    #[inline(always)]
    pub fn kv_read(&self, snapshot: Option<&Snapshot>, key: &[u8], buffer: &mut [u8]) -> Result<usize> {
        self.check_open()?;
        check_key(key)?;
        let state = self.state_of(snapshot);
        let seq = self.seq_of(&state, snapshot);
        match with_key(SPACE_KV, key, |key| state.probe(key, seq)) {
            Probe::Found(hit) if hit.kind == kind::KV_INLINE => Ok(copy_front(hit.value, buffer)),
            Probe::Absent => Err(Error::NotFound),
            _ => self.kv_read_slowly(&state, snapshot, key, buffer),
        }
    }

    #[cold]
    fn kv_read_slowly(
        &self,
        state: &State,
        snapshot: Option<&Snapshot>,
        key: &[u8],
        buffer: &mut [u8],
    ) -> Result<usize> {
        let hit = self.kv_hit(state, snapshot, key)?;
        match record::block_of(hit.kind, hit.value) {
            None => Ok(copy_front(hit.value, buffer)),
            Some(block) => Ok(copy_front(state.read_owned_block(&block)?.bytes(), buffer)),
        }
    }

    /// Calls `each` with the number of a key and what it has, all from one snapshot. A key that is too long fails all.
    pub fn kv_get_many(
        &self,
        snapshot: Option<&Snapshot>,
        keys: &[&[u8]],
        each: &mut dyn FnMut(usize, Result<View>),
    ) -> Result<()> {
        self.check_open()?;
        keys.iter().try_for_each(|key| check_key(key))?;
        let view = view_of(&self.engine, snapshot);
        // The keys of a group, one after another, and where each of them ends.
        let mut bytes = Vec::new();
        let mut ends = Vec::with_capacity(keys.len().min(KEYS_AT_ONCE));
        let mut number = 0;
        for keys in keys.chunks(KEYS_AT_ONCE) {
            bytes.clear();
            ends.clear();
            for key in keys {
                bytes.push(SPACE_KV);
                bytes.extend_from_slice(key);
                ends.push(bytes.len());
            }
            let key_of = |number: usize| {
                let start = number
                    .checked_sub(1)
                    .and_then(|before| ends.get(before))
                    .unwrap_or(&0);
                ends.get(number)
                    .and_then(|end| bytes.get(*start..*end))
                    .unwrap_or_default()
            };
            view.state
                .probe_group(keys.len(), key_of, view.seq, |key, probe| {
                    let found = match probe {
                        Probe::Found(hit) if hit.kind == kind::KV_INLINE => View::of_hit(&self.engine, &hit),
                        Probe::Absent => Err(Error::NotFound),
                        _ => self.get_of_group(&view, key),
                    };
                    each(number, found);
                    number += 1;
                });
        }
        Ok(())
    }

    #[cold]
    fn get_of_group(&self, view: &engine::View, key: &[u8]) -> Result<View> {
        let hit = view.get(key)?.ok_or(Error::NotFound)?;
        self.view_of(&view.state, &hit)
    }

    /// Keys in `[start, end)`; an empty bound is none.
    pub fn kv_scan(
        &self,
        snapshot: Option<&Snapshot>,
        start: &[u8],
        end: &[u8],
        reverse: bool,
    ) -> Result<KvIter> {
        self.check_open()?;
        check_key(start)?;
        check_key(end)?;
        let view = view_of(&self.engine, snapshot);
        let upper = if end.is_empty() {
            vec![SPACE_KV + 1]
        } else {
            record::kv_key(end)
        };
        let scan = view.scan(record::kv_key(start), Some(upper), reverse);
        Ok(KvIter::new(&self.engine, view, scan))
    }

    /// Keys that start with `prefix`.
    pub fn kv_prefix(&self, snapshot: Option<&Snapshot>, prefix: &[u8], reverse: bool) -> Result<KvIter> {
        self.check_open()?;
        check_key(prefix)?;
        let view = view_of(&self.engine, snapshot);
        let scan = view.scan_prefix(record::kv_key(prefix), reverse);
        Ok(KvIter::new(&self.engine, view, scan))
    }
}

fn copy_front(value: &[u8], buffer: &mut [u8]) -> usize {
    let shared = value.len().min(buffer.len());
    if let (Some(from), Some(to)) = (value.get(..shared), buffer.get_mut(..shared)) {
        to.copy_from_slice(from);
    }
    value.len()
}

/// A scan over keys. Sees one snapshot throughout. One thread at a time.
#[derive(Debug)]
pub struct KvIter {
    engine: Arc<Engine>,
    view: engine::View,
    scan: Scan,
    /// The scan stands on a pair that was not handed out yet.
    ahead: bool,
    /// What the next call says: the pair that it stands for is behind those that were handed out.
    failed: Option<Error>,
    /// The current value, where it is a block.
    block: Option<View>,
}

impl KvIter {
    fn new(engine: &Arc<Engine>, view: engine::View, scan: Scan) -> KvIter {
        KvIter {
            engine: Arc::clone(engine),
            view,
            scan,
            ahead: false,
            failed: None,
            block: None,
        }
    }

    /// To the next pair; false: there is none.
    #[expect(
        clippy::should_implement_trait,
        reason = "it can fail, and lends what it finds"
    )]
    pub fn next(&mut self) -> Result<bool> {
        let found = self.look_ahead()?;
        self.ahead = false;
        Ok(found)
    }

    /// Does what `next` does where that takes nothing but memory which this iterator holds, so that it may go on while
    /// the store is being closed. If not, nothing has happened.
    #[inline(always)]
    pub(crate) fn next_in_page(&mut self) -> bool {
        !self.ahead
            && self.failed.is_none()
            && self.block.is_none()
            && self.scan.next_in_page(kind::KV_INLINE)
    }

    fn look_ahead(&mut self) -> Result<bool> {
        check_open(&self.engine)?;
        if self.ahead {
            return Ok(true);
        }
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        if self.next_in_page() {
            self.ahead = true;
            return Ok(true);
        }
        self.block = None;
        if !self.scan.next()? {
            return Ok(false);
        }
        if let Some(entry) = self.scan.entry() {
            if let Some(block) = record::block_of(entry.kind, entry.value) {
                self.block = Some(View::of_block(&self.engine, &self.view.block(&block)?));
            }
        }
        self.ahead = true;
        Ok(true)
    }

    /// The current key and value; good until the next call.
    #[inline(always)]
    pub fn pair(&self) -> (&[u8], &[u8]) {
        let Some(entry) = self.scan.entry() else {
            return (&[], &[]);
        };
        let value = self.block.as_ref().map_or(entry.value, View::bytes);
        (entry.key.get(1..).unwrap_or_default(), value)
    }

    /// Of the current pair; good until the next call.
    pub fn key(&self) -> &[u8] {
        self.pair().0
    }

    /// Of the current pair; good until the next call.
    pub fn value(&self) -> &[u8] {
        self.pair().1
    }

    /// Writes as many whole pairs as fit: u32 key length, u32 value length, key, value.
    pub fn fill(&mut self, buffer: &mut [u8]) -> Result<Filled> {
        let mut filler = Filler::new(buffer);
        while filler.before(self.look_ahead(), &mut self.failed)? {
            let (key, value) = self.pair();
            let lengths = [length_u32(key)?.to_le_bytes(), length_u32(value)?.to_le_bytes()];
            if !filler.put(&[lengths.as_flattened(), key, value]) {
                break;
            }
            self.ahead = false;
        }
        Ok(filler.filled(self.ahead))
    }
}

pub(super) fn length_u32(bytes: &[u8]) -> Result<u32> {
    u32::try_from(to_u64(bytes.len())).map_err(|_| Error::internal("a record longer than any can be"))
}

/// Puts whole records into a buffer.
pub(super) struct Filler<'a> {
    buffer: &'a mut [u8],
    len: usize,
    count: usize,
    needed: usize,
}

impl<'a> Filler<'a> {
    pub(super) fn new(buffer: &'a mut [u8]) -> Filler<'a> {
        Filler {
            buffer,
            len: 0,
            count: 0,
            needed: 0,
        }
    }

    /// False, and nothing put, if the record doesn't fit any more.
    pub(super) fn put(&mut self, pieces: &[&[u8]]) -> bool {
        let total: usize = pieces.iter().map(|piece| piece.len()).sum();
        let place = self
            .len
            .checked_add(total)
            .and_then(|end| self.buffer.get_mut(self.len..end));
        let Some(mut place) = place else {
            self.needed = total;
            return false;
        };
        for piece in pieces {
            let Some((front, rest)) = place.split_at_mut_checked(piece.len()) else {
                return false;
            };
            front.copy_from_slice(piece);
            place = rest;
        }
        self.len += total;
        self.count += 1;
        true
    }

    /// Whether there is a next record. What failed in its place waits in `failed` if the buffer has records already:
    /// they were passed by, and are handed out first.
    pub(super) fn before(&self, next: Result<bool>, failed: &mut Option<Error>) -> Result<bool> {
        match next {
            Err(error) if self.count > 0 => {
                *failed = Some(error);
                Ok(false)
            }
            next => next,
        }
    }

    /// `more`: a record was found that did not fit.
    pub(super) fn filled(&self, more: bool) -> Filled {
        match (self.count, more) {
            (0, true) => Filled::TooSmall { needed: self.needed },
            (0, false) => Filled::End,
            _ => Filled::Records {
                len: self.len,
                count: self.count,
            },
        }
    }
}
