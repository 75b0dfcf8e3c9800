//! The newest versions of keys, in memory: a skip list that keeps every version until a checkpoint writes it out.
//!
//! One writer at a time (the engine's append lock; a mutex of its own makes a second one wait), any number of readers
//! that take no lock and never wait. Nothing is ever removed or moved: it all goes when the memtable does, except
//! arenas that somebody pinned through an `Arc<Region>`.
//!
//! Keys and values lie in *arenas* (anonymous regions), each version as one record, which names the record of the
//! version before it. Nodes, one a key, lie apart, as u32 words: eight bytes that sort as the key does, for comparing
//! without a look at the arena, the place of the newest version's record, a link for each level.
//!
//! **Publication.** An insert stores the record and the node's words while no link leads to the node, then stores
//! the links to it with `Release`, the lowest level first; or, where the key has a node, the record's place in there,
//! with `Release` as well. A reader learns a node's number and a record's place only by loading such a word with
//! `Acquire`, so all that was stored before it, in the record, in the node and in the tables of arenas and words, is
//! visible to that reader and is never stored to again; only the links and the place of the node change later, each
//! by one atomic store. A node that is linked on its lower levels only is merely found by a longer way. The bytes
//! behind a record's end are not part of any slice handed out, so later records may be stored there meanwhile.

use crate::vfs::sync::{
    atomic::{AtomicU32, AtomicU64, AtomicUsize},
    disordered, Mutex, MutexGuard,
};
use std::{
    fmt,
    sync::{
        atomic::Ordering::{Relaxed, Release},
        Arc, OnceLock,
    },
};

use super::{
    filter::KeyFilter,
    growing::{memtable_full, Growing},
    hash_key,
    hints::{Hint, Hints, LEVELS, NIL},
    Entry, Hit, SpareArenas,
};
use crate::{
    error::{Error, Result},
    format::{align4096, align8, bytes::to_u64, record::sort_number},
    vfs::{prefetch, Region},
};

pub(crate) use cursor::MemtableCursor;
use node::{Node, LINKS};

mod cursor;
mod node;
#[cfg(test)]
mod tests;

const FIRST_ARENA_BYTES: u64 = 64 << 10;
pub(super) const LARGEST_ARENA_BYTES: u64 = 1 << 20;
/// A longer record gets an arena of its own: then no arena loses much at its end, and an offset always fits a place.
const SHARED_RECORD_BYTES: u64 = 128 << 10;
const CACHE_LINE_BYTES: u64 = 64;
/// A place is an arena's number above an offset in units of eight bytes.
const PLACE_OFFSET_BITS: u32 = 17;
const MOST_ARENAS: u32 = 1 << (u32::BITS - PLACE_OFFSET_BITS);
const _: () = assert!(LARGEST_ARENA_BYTES == 8 << PLACE_OFFSET_BITS);
const _: () = assert!(SHARED_RECORD_BYTES <= LARGEST_ARENA_BYTES);

/// A record: seq u64; kind u8, key length u24, value length u32; the place of the version before it, as a u64, if the
/// key length has the bit `CHAINED`; the key; the value. In an arena of its own both lengths are u64s behind the usual
/// header, whose key length is then `WIDE`, and the place of the version before it is there always.
const HEADER_BYTES: u64 = 16;
const CHAINED_HEADER_BYTES: u64 = 24;
const WIDE_HEADER_BYTES: u64 = 40;
const WIDE: u64 = 0xff_ffff;
const CHAINED: u64 = 1 << 22;
const _: () = assert!(SHARED_RECORD_BYTES < CHAINED);
/// No place: no record is so short that it starts there.
const NOWHERE: u32 = u32::MAX;

/// Words: the first four buckets take 1 KiB each; 92 buckets hold 2^32 words.
type Words = Growing<AtomicU32, 256, 92>;
type Arenas = Growing<OnceLock<Arc<Region>>, 8, 44>;

pub(crate) struct Memtable {
    words: Words,
    arenas: Arenas,
    filter: KeyFilter,
    /// Levels in use, at least 1.
    height: AtomicUsize,
    entries: AtomicU64,
    heap_bytes: AtomicU64,
    writer: Mutex<Writer>,
    pub(super) spare: Arc<SpareArenas>,
}

impl Drop for Memtable {
    fn drop(&mut self) {
        (0..MOST_ARENAS)
            .map_while(|number| self.arena(number))
            .for_each(|arena| self.spare.give_back(arena));
    }
}

impl Memtable {
    /// Takes its arenas from there, and leaves them there.
    pub(crate) fn with_arenas(spare: Arc<SpareArenas>) -> Memtable {
        Memtable {
            words: Growing::new(),
            arenas: Growing::new(),
            filter: KeyFilter::default(),
            height: AtomicUsize::new(1),
            entries: AtomicU64::new(0),
            heap_bytes: AtomicU64::new(to_u64(size_of::<Memtable>())),
            writer: Mutex::new(Writer::new()),
            spare,
        }
    }

    /// Adds a version; of one key they come in the order of their seqs. Where (key, seq) is there already, this one comes
    /// first. An insert that fails changed nothing that a reader could see. O(log n), less where the key is next to one
    /// that was inserted a moment ago.
    pub(crate) fn insert(&self, key: &[u8], seq: u64, kind: u8, value: &[u8]) -> Result<()> {
        let mut writer = self.lock_writer()?;
        let Writer { room, random, hints } = &mut *writer;
        let height = next_height(random);
        let entry = Entry {
            key,
            seq,
            kind,
            value,
        };
        let target = Target::new(key);
        let hint = hints.of(key, &self.heap_bytes);
        let sure = hint.is_sure();
        if !sure && !self.is_key_of(hint.node, &target) {
            if !self.hint_fits(hint, &target, height) {
                let top = self.height.load(Relaxed).max(height);
                self.search(&mut hint.previous, &target, NIL, top);
            }
            let [lowest, ..] = hint.previous;
            let next = self.node(lowest).link(0);
            if !self.is_key_of(next, &target) {
                // Should the insert fail, its neighbours are none of the last one's.
                hint.node = NIL;
                let number = self.add_key(room, &target, &entry, hint.previous.iter().take(height))?;
                (hint.node, hint.height, hint.seq) = (number, height as u32, seq);
                return Ok(());
            }
            // Higher than that it may be, but then a search will notice.
            (hint.node, hint.height) = (next, 1);
        }
        // Where the hint is sure the record, mostly no longer in the cache, need not be looked at.
        let newest = sure.then_some(hint.seq);
        self.add_version(room, hint.node, newest, &entry)?;
        hint.seq = seq;
        Ok(())
    }

    /// The same for versions in the order of their keys, those of one key in the order of their seqs. O(log d) each, d
    /// keys from the one before: it is a finger search (Pugh, "A Skip List Cookbook", 1990).
    pub(crate) fn insert_sorted<'a>(&self, entries: impl Iterator<Item = Entry<'a>>) -> Result<()> {
        let mut writer = self.lock_writer()?;
        let Writer { room, random, .. } = &mut *writer;
        // The last node on each level before the latest key, and so before the next one.
        let mut previous = [NIL; LEVELS];
        for entry in entries {
            let target = Target::new(entry.key);
            self.follow(&mut previous, &target);
            let [lowest, ..] = previous;
            let next = self.node(lowest).link(0);
            if self.is_key_of(next, &target) {
                self.add_version(room, next, None, &entry)?;
            } else {
                self.add_key(room, &target, &entry, previous.iter().take(next_height(random)))?;
            }
        }
        Ok(())
    }

    fn lock_writer(&self) -> Result<MutexGuard<'_, Writer>> {
        self.writer
            .lock()
            .map_err(|_| Error::internal("an insert into the memtable panicked"))
    }

    /// A key with its first version, behind the `previous` nodes, of which there are as many as it gets levels; its node.
    /// Inlined like the next one: as calls they made the commit of a memory with tags take a tenth longer.
    #[inline(always)]
    fn add_key<'a>(
        &self,
        room: &mut Room,
        target: &Target<'_>,
        entry: &Entry<'_>,
        previous: impl ExactSizeIterator<Item = &'a u32> + Clone,
    ) -> Result<u32> {
        let height = previous.len();
        let place = self.put_record(room, entry, NOWHERE)?;
        let number = self.new_node(room, LINKS + height)?;
        let taken = self.filter.add(hash_key(target.key));
        if taken > 0 {
            self.heap_bytes.fetch_add(taken, Relaxed);
        }
        self.link_in(number, target, place, previous);
        // A reader that doesn't see this yet starts its searches one level lower.
        self.height.fetch_max(height, Relaxed);
        self.count_entry();
        Ok(number)
    }

    /// A version of a key that is there. `newest` is the seq of the one before, where that is known.
    #[inline(always)]
    fn add_version(
        &self,
        room: &mut Room,
        number: u32,
        newest: Option<u64>,
        entry: &Entry<'_>,
    ) -> Result<()> {
        let node = self.node(number);
        let older = node.place();
        let newest = newest.or_else(|| self.record_at(older).map(|record| record.seq));
        if newest.is_none_or(|newest| newest > entry.seq) {
            return Err(Error::internal("a version older than what the memtable has"));
        }
        let place = self.put_record(room, entry, older)?;
        node.set_place(place, Release);
        self.count_entry();
        Ok(())
    }

    /// Fills a node that nothing leads to yet and has the nodes before it, from the lowest level on, lead to it.
    fn link_in<'a>(
        &self,
        number: u32,
        target: &Target<'_>,
        place: u32,
        previous: impl Iterator<Item = &'a u32> + Clone,
    ) {
        let node = self.node(number);
        if !disordered!(LinkedBeforeFilled) {
            node.fill(target.prefix, place);
        }
        for (level, &previous) in previous.clone().enumerate() {
            node.set_link(level, self.node(previous).link(level), Relaxed);
        }
        for (level, &previous) in previous.enumerate() {
            self.node(previous).set_link(level, number, Release);
        }
        if disordered!(LinkedBeforeFilled) {
            node.fill(target.prefix, place);
        }
    }

    fn count_entry(&self) {
        self.entries
            .store(self.entries.load(Relaxed).saturating_add(1), Relaxed);
    }

    /// Newest version of `key` at or below `seq`; tombstones too.
    #[inline(always)]
    pub(crate) fn get(&self, key: &[u8], seq: u64) -> Option<Hit<'_>> {
        // What a reader's seq covers was counted before it was published.
        if self.entries.load(Relaxed) == 0 {
            return None;
        }
        self.get_by_search(key, seq)
    }

    /// The same, where the key's hash is known: mostly without a search for a key that isn't there.
    #[inline(always)]
    pub(crate) fn get_hashed(&self, key: &[u8], hash: u64, seq: u64) -> Option<Hit<'_>> {
        if self.entries.load(Relaxed) == 0 || !self.filter.may_have(hash) {
            return None;
        }
        self.get_by_search(key, seq)
    }

    #[inline(never)]
    fn get_by_search(&self, key: &[u8], seq: u64) -> Option<Hit<'_>> {
        let target = Target::new(key);
        let (_, number) = self.find(&target);
        let node = self.linked(number)?;
        if node.prefix() != target.prefix {
            return None;
        }
        let mut record = self.record_at(node.place())?;
        if record.key != key {
            return None;
        }
        while record.seq > seq {
            record = self.record_at(record.older)?;
        }
        Some(Hit {
            seq: record.seq,
            kind: record.kind,
            value: record.value()?,
            region: record.arena,
        })
    }

    /// Memory in use: arenas as far as they were touched, nodes, tables.
    pub(crate) fn heap_bytes(&self) -> u64 {
        self.heap_bytes.load(Relaxed)
    }

    /// Versions, not keys.
    pub(crate) fn entries(&self) -> u64 {
        self.entries.load(Relaxed)
    }

    /// A cursor that is off the end until it seeks. It sees what is inserted meanwhile.
    pub(crate) fn cursor(self: &Arc<Self>) -> MemtableCursor {
        MemtableCursor::new(Arc::clone(self))
    }

    /// The last node before the target and the first one not before it.
    fn find(&self, target: &Target<'_>) -> (u32, u32) {
        self.descend(target, NIL, self.height.load(Relaxed), |_, _| {})
    }

    /// Moves the last nodes before one key on to those before another that is none before it.
    fn follow(&self, previous: &mut [u32; LEVELS], target: &Target<'_>) {
        let top = self.height.load(Relaxed);
        let is_passed = |(level, &last): &(usize, &u32)| {
            let next = self.node(last).link(*level);
            next != NIL && self.is_before(self.node(next), target)
        };
        let Some((level, &start)) = previous.iter().enumerate().take(top).take_while(is_passed).last() else {
            return;
        };
        self.search(previous, target, start, level + 1);
    }

    /// Finds the last node before the target on each level below `top`, from a node on the highest of them on.
    #[inline(always)]
    fn search(&self, previous: &mut [u32; LEVELS], target: &Target<'_>, start: u32, top: usize) {
        self.descend(target, start, top, |level, node| {
            if let Some(previous) = previous.get_mut(level) {
                *previous = node;
            }
        });
    }

    /// Searches from level `top - 1` down, from a node on that level before the target; tells `passed` the last node
    /// before it on each level.
    #[inline(always)]
    fn descend(
        &self,
        target: &Target<'_>,
        start: u32,
        top: usize,
        mut passed: impl FnMut(usize, u32),
    ) -> (u32, u32) {
        let mut level = top.saturating_sub(1);
        let (mut last, mut last_node) = (start, self.node(start));
        // The node that ended the level above often ends this one too, and was compared there.
        let mut beyond = NIL;
        loop {
            let next = last_node.link(level);
            if next != beyond && next != NIL {
                // It may turn out to lie beyond; by then the one to be looked at instead has been fetched, too.
                if let Some(below) = level.checked_sub(1).map(|below| last_node.link(below)) {
                    if below != next {
                        self.words.from(below).first().inspect(|word| prefetch(*word));
                    }
                }
                let next_node = self.node(next);
                if self.is_before(next_node, target) {
                    (last, last_node) = (next, next_node);
                    continue;
                }
                beyond = next;
            }
            passed(level, last);
            if level == 0 {
                return (last, next);
            }
            level -= 1;
        }
    }

    /// Whether the target belongs right behind or right before the node of the last insert, on each of `height`
    /// levels; if so `hint.previous` is where it goes.
    fn hint_fits(&self, hint: &mut Hint, target: &Target<'_>, height: usize) -> bool {
        if hint.node == NIL {
            return false;
        }
        if self.is_before(self.node(hint.node), target) {
            hint.previous
                .iter_mut()
                .take(hint.height as usize)
                .for_each(|previous| *previous = hint.node);
        } else {
            // On higher levels the previous node is this one or an earlier one, so it's before the target as well.
            let [lowest, ..] = hint.previous;
            if lowest != NIL && !self.is_before(self.node(lowest), target) {
                return false;
            }
        }
        let mut beyond = NIL;
        for (level, &previous) in hint.previous.iter().take(height).enumerate() {
            let next = self.node(previous).link(level);
            if next != beyond && next != NIL {
                if self.is_before(self.node(next), target) {
                    return false;
                }
                beyond = next;
            }
        }
        true
    }

    #[inline(always)]
    fn is_before(&self, node: Node<'_>, target: &Target<'_>) -> bool {
        let prefix = node.prefix();
        if prefix != target.prefix {
            return prefix < target.prefix;
        }
        self.key_of(node).is_some_and(|key| key < target.key)
    }

    /// Whether there is such a node, and it is that of the target's key.
    #[inline]
    fn is_key_of(&self, number: u32, target: &Target<'_>) -> bool {
        self.linked(number)
            .is_some_and(|node| node.prefix() == target.prefix && self.key_of(node) == Some(target.key))
    }

    fn key_of(&self, node: Node<'_>) -> Option<&[u8]> {
        self.record_at(node.place()).map(|record| record.key)
    }

    /// Place of the oldest version of a node's key; `NOWHERE` for the head.
    fn oldest(&self, number: u32) -> u32 {
        let mut place = self.linked(number).map_or(NOWHERE, Node::place);
        while let Some(older) = self
            .record_at(place)
            .map(|record| record.older)
            .filter(|older| *older != NOWHERE)
        {
            place = older;
        }
        place
    }

    /// The node whose words start at `number`.
    #[inline(always)]
    fn node(&self, number: u32) -> Node<'_> {
        Node {
            words: self.words.from(number),
        }
    }

    /// The same, unless the number is the link that leads nowhere.
    fn linked(&self, number: u32) -> Option<Node<'_>> {
        (number != NIL).then(|| self.node(number))
    }

    /// Always there for the place that a linked node or a record names.
    #[inline]
    fn record_at(&self, place: u32) -> Option<Record<'_>> {
        if place == NOWHERE {
            return None;
        }
        let (arena, offset) = place_of(place);
        let arena = self.arena(arena)?;
        let [seq, packed] = words_at(arena, offset)?;
        let [kind, ..] = packed.to_le_bytes();
        let (header, key_len, value_len, older) = match (packed >> 8) & WIDE {
            WIDE => {
                let [key_len, value_len] = words_at(arena, offset.checked_add(HEADER_BYTES)?)?;
                let older = word_at(arena, offset.checked_add(WIDE_HEADER_BYTES - 8)?)?;
                (WIDE_HEADER_BYTES, key_len, value_len, older)
            }
            key_len if key_len & CHAINED != 0 => {
                let older = word_at(arena, offset.checked_add(HEADER_BYTES)?)?;
                (CHAINED_HEADER_BYTES, key_len & !CHAINED, packed >> 32, older)
            }
            key_len => (HEADER_BYTES, key_len, packed >> 32, u64::from(NOWHERE)),
        };
        let key_offset = offset.checked_add(header)?;
        let key = arena.bytes(key_offset, key_len)?;
        Some(Record {
            arena,
            seq,
            kind,
            key,
            value_offset: key_offset.checked_add(key_len)?,
            value_len,
            older: u32::try_from(older).ok()?,
        })
    }

    /// Stores a record that nothing leads to yet, whose older version is there; its place.
    fn put_record(&self, room: &mut Room, entry: &Entry<'_>, older: u32) -> Result<u32> {
        let full = || Error::too_large("a key with its value, for this machine's memory");
        let outside = || Error::internal("a memtable record outside its arena");
        let (key_len, value_len) = (to_u64(entry.key.len()), to_u64(entry.value.len()));
        let body = key_len.checked_add(value_len).ok_or_else(full)?;
        // The longest that can be aligned to a page without overflow, and more than any machine has.
        if body > u64::MAX >> 1 {
            return Err(full());
        }
        let wide = body > SHARED_RECORD_BYTES - HEADER_BYTES;
        let chained = older != NOWHERE;
        let header_bytes = match (wide, chained) {
            (true, _) => WIDE_HEADER_BYTES,
            (false, true) => CHAINED_HEADER_BYTES,
            (false, false) => HEADER_BYTES,
        };
        let len = header_bytes + body;
        let (number, arena, offset) = if wide {
            let (number, arena) = self.new_arena(room, len)?;
            self.heap_bytes.fetch_add(align4096(len), Relaxed);
            (number, arena, 0)
        } else {
            self.shared_room(room, len)?
        };

        let (packed_key, packed_value) = match (wide, chained) {
            (true, _) => (WIDE, 0),
            (false, true) => (key_len | CHAINED, value_len),
            (false, false) => (key_len, value_len),
        };
        let packed = u64::from(entry.kind) | packed_key << 8 | packed_value << 32;
        let older = u64::from(older);
        let fields = if wide {
            [entry.seq, packed, key_len, value_len, older]
        } else {
            [entry.seq, packed, older, 0, 0]
        };
        let mut header = [0; WIDE_HEADER_BYTES as usize];
        for (to, field) in header.chunks_exact_mut(8).zip(fields) {
            to.copy_from_slice(&field.to_le_bytes());
        }
        let header = header.get(..header_bytes as usize).unwrap_or_default();
        arena.store(offset, header).ok_or_else(outside)?;
        arena
            .store(offset + header_bytes, entry.key)
            .ok_or_else(outside)?;
        arena
            .store(offset + header_bytes + key_len, entry.value)
            .ok_or_else(outside)?;
        let unit = u32::try_from(offset / 8).map_err(|_| outside())?;
        Ok(number << PLACE_OFFSET_BITS | unit)
    }

    /// Room for `len <= SHARED_RECORD_BYTES` bytes in the arena that is being filled, or in a new one.
    fn shared_room<'a>(&'a self, room: &mut Room, len: u64) -> Result<(u32, &'a Arc<Region>, u64)> {
        let filling = match room.filling {
            Some(number) => self.arena(number).map(|arena| (number, arena)),
            None => None,
        };
        let (number, arena, offset) = match filling {
            Some((number, arena)) if arena.len().saturating_sub(room.filled) >= len => {
                (number, arena, room.filled)
            }
            _ => {
                let bytes = room.next_arena_bytes.max(align4096(len));
                let (number, arena) = self.new_arena(room, bytes)?;
                room.next_arena_bytes = (room.next_arena_bytes * 2).min(LARGEST_ARENA_BYTES);
                room.filling = Some(number);
                room.filled = 0;
                (number, arena, 0)
            }
        };
        room.filled = align8(offset + len);
        let touched = align4096(room.filled) - align4096(offset);
        if touched > 0 {
            self.heap_bytes.fetch_add(touched, Relaxed);
        }
        Ok((number, arena, offset))
    }

    /// An arena of at least `bytes`, none of them touched.
    fn new_arena(&self, room: &mut Room, bytes: u64) -> Result<(u32, &Arc<Region>)> {
        let number = room.arenas;
        let len =
            usize::try_from(bytes).map_err(|_| Error::too_large("an entry, for this machine's memory"))?;
        if number >= MOST_ARENAS {
            return Err(memtable_full());
        }
        let table_bytes = self.arenas.ensure(number, OnceLock::new)?;
        let arena = self.spare.take(len)?;
        self.heap_bytes
            .fetch_add(table_bytes + to_u64(size_of::<Region>()), Relaxed);
        // A slot is set once: the writer never comes back to a number.
        let [slot, ..] = self.arenas.from(number) else {
            return Err(memtable_full());
        };
        room.arenas = number + 1;
        Ok((number, slot.get_or_init(|| arena)))
    }

    #[inline]
    fn arena(&self, number: u32) -> Option<&Arc<Region>> {
        self.arenas.from(number).first().and_then(OnceLock::get)
    }

    /// A node of `len` words that nothing leads to yet, all of them in one bucket.
    fn new_node(&self, room: &mut Room, len: usize) -> Result<u32> {
        if room.words == 0 {
            let bytes = self.words.ensure(NIL, || AtomicU32::new(0))?;
            self.heap_bytes.fetch_add(bytes, Relaxed);
            room.words = to_u32(LINKS + LEVELS)?;
        }
        let mut number = room.words;
        let rest = Words::rest_of_bucket(number);
        if rest < len {
            number = number.checked_add(to_u32(rest)?).ok_or_else(memtable_full)?;
        }
        let end = number.checked_add(to_u32(len)?).ok_or_else(memtable_full)?;
        let bytes = self.words.ensure(number, || AtomicU32::new(0))?;
        if bytes > 0 {
            self.heap_bytes.fetch_add(bytes, Relaxed);
        }
        room.words = end;
        Ok(number)
    }
}

impl fmt::Debug for Memtable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memtable")
            .field("entries", &self.entries())
            .field("heap_bytes", &self.heap_bytes())
            .finish_non_exhaustive()
    }
}

/// The arena of a record, and where it starts in there.
#[inline]
fn place_of(place: u32) -> (u32, u64) {
    let offset = u64::from(place & ((1 << PLACE_OFFSET_BITS) - 1)) * 8;
    (place >> PLACE_OFFSET_BITS, offset)
}

/// A place in the order of keys.
struct Target<'a> {
    key: &'a [u8],
    prefix: u64,
}

impl<'a> Target<'a> {
    fn new(key: &'a [u8]) -> Target<'a> {
        Target {
            key,
            prefix: sort_number(key),
        }
    }
}

struct Record<'a> {
    arena: &'a Arc<Region>,
    seq: u64,
    kind: u8,
    key: &'a [u8],
    value_offset: u64,
    value_len: u64,
    older: u32,
}

impl<'a> Record<'a> {
    fn value(&self) -> Option<&'a [u8]> {
        self.arena.bytes(self.value_offset, self.value_len)
    }
}

#[inline]
fn words_at(arena: &Region, offset: u64) -> Option<[u64; 2]> {
    let (low, high) = arena.bytes(offset, 16)?.split_at_checked(8)?;
    Some([
        u64::from_le_bytes(*low.first_chunk()?),
        u64::from_le_bytes(*high.first_chunk()?),
    ])
}

#[inline]
fn word_at(arena: &Region, offset: u64) -> Option<u64> {
    arena
        .bytes(offset, 8)?
        .first_chunk()
        .copied()
        .map(u64::from_le_bytes)
}

/// What only the writer needs to know.
struct Writer {
    room: Room,
    random: u64,
    hints: Hints,
}

/// Where the next records and nodes go.
struct Room {
    /// Number of the next node's first word; 0 before the head has its words.
    words: u32,
    /// Arenas made so far.
    arenas: u32,
    /// The shared arena that records go to, and how far.
    filling: Option<u32>,
    filled: u64,
    next_arena_bytes: u64,
}

impl Writer {
    fn new() -> Writer {
        Writer {
            room: Room {
                words: 0,
                arenas: 0,
                filling: None,
                filled: 0,
                next_arena_bytes: FIRST_ARENA_BYTES,
            },
            random: 0x9e37_79b9_7f4a_7c15,
            hints: Hints::new(),
        }
    }
}

/// One in four is higher than 1, one in four of those higher than 2, and so on. xorshift64* (Vigna, 2014): the same
/// inserts give the same list, which keeps simulations repeatable.
fn next_height(random: &mut u64) -> usize {
    *random ^= *random >> 12;
    *random ^= *random << 25;
    *random ^= *random >> 27;
    let bits = (random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32;
    (1 + bits.trailing_zeros() as usize / 2).min(LEVELS)
}

fn to_u32(words: usize) -> Result<u32> {
    u32::try_from(words).map_err(|_| memtable_full())
}
