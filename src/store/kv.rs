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

/// The state that one read looks at.
enum LookedAt<'s> {
    /// By the snapshot of a read-only store.
    Pinned(&'s State),
    Now(arc_swap::Guard<Arc<State>>),
}

impl std::ops::Deref for LookedAt<'_> {
    type Target = State;

    #[inline(always)]
    fn deref(&self) -> &State {
        match self {
            LookedAt::Pinned(state) => state,
            LookedAt::Now(state) => state,
        }
    }
}

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
    fn state_of<'s>(&self, snapshot: Option<&'s Snapshot>) -> LookedAt<'s> {
        match snapshot.and_then(Snapshot::pinned) {
            Some(view) => LookedAt::Pinned(&view.state),
            None => LookedAt::Now(self.engine.state()),
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

    /// To the next pair, of which only the key is asked for: a value that is a block is neither read nor checked, and
    /// seems to be empty. False: there is none.
    pub fn next_key(&mut self) -> Result<bool> {
        let found = self.look_ahead_for_key()?;
        self.ahead = false;
        Ok(found)
    }

    /// Does what `next` does where that takes nothing but memory which this iterator holds, so that it may go on while
    /// the store is being closed. If not, nothing has happened.
    #[inline(always)]
    pub(crate) fn next_in_page(&mut self) -> bool {
        self.next_in_page_if(|kind| kind == kind::KV_INLINE)
    }

    /// The same for `next_key`.
    #[inline(always)]
    pub(crate) fn next_key_in_page(&mut self) -> bool {
        self.next_in_page_if(|kind| kind == kind::KV_INLINE || kind == kind::KV_BLOCK)
    }

    #[inline(always)]
    fn next_in_page_if(&mut self, wanted: impl FnOnce(u8) -> bool) -> bool {
        !self.ahead && self.failed.is_none() && self.block.is_none() && self.scan.next_in_page_if(wanted)
    }

    fn look_ahead(&mut self) -> Result<bool> {
        let found = self.look_ahead_for_key()?;
        if !found || self.block.is_some() {
            return Ok(found);
        }
        if let Some(entry) = self.scan.entry() {
            if let Some(block) = record::block_of(entry.kind, entry.value) {
                // Where it can't be read, the iterator goes on behind it.
                self.ahead = false;
                self.block = Some(View::of_block(&self.engine, &self.view.block(&block)?));
                self.ahead = true;
            }
        }
        Ok(true)
    }

    fn look_ahead_for_key(&mut self) -> Result<bool> {
        check_open(&self.engine)?;
        if self.ahead {
            return Ok(true);
        }
        if let Some(error) = self.failed.take() {
            return Err(error);
        }
        self.block = None;
        self.ahead = self.next_key_in_page() || self.scan.next()?;
        Ok(self.ahead)
    }

    /// The current key and value; good until the next call.
    #[inline(always)]
    pub fn pair(&self) -> (&[u8], &[u8]) {
        let Some(entry) = self.scan.entry() else {
            return (&[], &[]);
        };
        let value = match &self.block {
            Some(block) => block.bytes(),
            None if entry.kind == kind::KV_INLINE => entry.value,
            None => &[],
        };
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

#[cfg(test)]
#[cfg(not(sarsen_explore))]
mod tests {
    use super::*;
    use crate::{engine::Survive, store::Options};

    const OPTIONS: Options = Options {
        create: true,
        read_only: false,
        durability: Survive::Process,
        chunk_bytes: 64 << 10,
        memory_bytes: 256 << 10,
        log_retention_bytes: 0,
        background: false,
        salvage: false,
        check: engine::Check::FirstTouch,
        log_method: engine::LogMethod::Auto,
        mapped_bytes: 0,
    };

    fn keys_to_the_end(iter: &mut KvIter) -> Vec<Vec<u8>> {
        let mut keys = Vec::new();
        while iter.next_key().unwrap() {
            keys.push(iter.key().to_vec());
        }
        keys
    }

    #[test]
    fn a_scan_of_keys_alone_does_not_read_values_and_one_with_values_goes_on_behind_a_damaged_one() {
        let path = std::env::temp_dir().join(format!("sarsen-kv-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        let store = Store::open(&path, &OPTIONS).unwrap();
        for key in [&b"a"[..], b"b", b"c", b"d"] {
            // Too long to lie beside its key, but for the first one.
            let len = if key == b"a" { 3 } else { 5000 };
            store.kv_set(key, &vec![key[0]; len]).unwrap();
        }
        store.close().unwrap();
        let blocks = std::fs::read_dir(path.join("blocks")).unwrap();
        for chunk in blocks.map(|entry| entry.unwrap().path()) {
            let mut bytes = std::fs::read(&chunk).unwrap();
            let place = bytes
                .windows(5000)
                .position(|piece| piece == [b'c'; 5000])
                .unwrap();
            bytes[place + 4000] ^= 1;
            std::fs::write(&chunk, bytes).unwrap();
        }

        let store = Store::open(&path, &OPTIONS).unwrap();
        for reverse in [false, true] {
            let mut keys = keys_to_the_end(&mut store.kv_scan(None, b"", b"", reverse).unwrap());
            keys.sort_unstable();
            assert_eq!(keys, [b"a", b"b", b"c", b"d"], "reverse: {reverse}");
        }
        let mut iter = store.kv_scan(None, b"", b"", false).unwrap();
        assert!(iter.next().unwrap() && iter.next().unwrap());
        assert_eq!(iter.pair(), (&b"b"[..], &[b'b'; 5000][..]));
        assert!(matches!(iter.next(), Err(Error::Corrupt { .. })));
        assert!(iter.next().unwrap(), "it goes on behind it");
        assert_eq!(iter.pair(), (&b"d"[..], &[b'd'; 5000][..]));
        assert!(!iter.next().unwrap());

        let mut iter = store.kv_scan(None, b"", b"", false).unwrap();
        assert!(iter.next_key().unwrap());
        assert_eq!(iter.pair(), (&b"a"[..], &b"aaa"[..]));
        assert!(iter.next_key().unwrap());
        assert_eq!(iter.pair(), (&b"b"[..], &b""[..]));
        assert!(iter.next_key().unwrap() && iter.next().unwrap());
        assert_eq!(iter.pair(), (&b"d"[..], &[b'd'; 5000][..]));
        assert!(!iter.next_key().unwrap());
        drop(iter);
        drop(store);
        std::fs::remove_dir_all(&path).unwrap();
    }
}
