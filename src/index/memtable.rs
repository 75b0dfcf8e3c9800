//! The newest versions of keys, in memory: a skip list that keeps every version until a checkpoint writes it out.
//!
//! One writer at a time (the engine's append lock; a mutex of its own makes a second one wait), any number of readers
//! that take no lock and never wait. Nothing is ever removed or moved: it all goes when the memtable does, except
//! arenas that somebody pinned through an `Arc<Region>`.
//!
//! Keys and values lie in *arenas* (anonymous regions), each entry as one record. Nodes lie apart, as u32 words:
//! eight bytes that sort as the key does, for comparing without a look at the arena, the place of the record, a link for each level.
//! Equal (key, seq) are ordered by node, the later one first, so the order is total and walking back is one search.
//!
//! **Publication.** An insert stores the record and the node's words while no link leads to the node, then stores
//! the links to it with `Release`, the lowest level first. A reader learns a node's number only by loading such a
//! link with `Acquire`, so all that was stored before it, in the record, in the node and in the tables of arenas and
//! words, is visible to that reader and is never stored to again; only the links of the node change later, each by
//! one atomic store. A node that is linked on its lower levels only is merely found by a longer way. The bytes
//! behind a record's end are not part of any slice handed out, so later records may be stored there meanwhile.

use crate::vfs::sync::{
    atomic::{AtomicU32, AtomicU64, AtomicUsize},
    disordered, Mutex,
};
use std::{
    cmp::Ordering as Order,
    fmt,
    sync::{
        atomic::Ordering::{Acquire, Relaxed, Release},
        Arc, OnceLock,
    },
};

use super::{Entry, Hit};
use crate::{
    error::{Error, Result},
    format::{align4096, align8, bytes::to_u64, record::sort_number},
    vfs::Region,
};

/// Levels of the list. One node in four reaches the next level, so these serve 4^12 = 16 million entries well.
const LEVELS: usize = 12;
/// The head's number and, since nothing links to the head, the link that leads nowhere.
const NIL: u32 = 0;
/// Words of a node before its links: two of key prefix, one of place.
const LINKS: usize = 3;

const FIRST_ARENA_BYTES: u64 = 64 << 10;
const LARGEST_ARENA_BYTES: u64 = 1 << 20;
/// A longer record gets an arena of its own: then no arena loses much at its end, and an offset always fits a place.
const SHARED_RECORD_BYTES: u64 = 128 << 10;
/// A place is an arena's number above an offset in units of eight bytes.
const PLACE_OFFSET_BITS: u32 = 17;
const MOST_ARENAS: u32 = 1 << (u32::BITS - PLACE_OFFSET_BITS);
const _: () = assert!(LARGEST_ARENA_BYTES == 8 << PLACE_OFFSET_BITS);
const _: () = assert!(SHARED_RECORD_BYTES <= LARGEST_ARENA_BYTES);

/// A record: seq u64; kind u8, key length u24, value length u32; the key; the value. In an arena of its own both
/// lengths are u64s behind the usual header, whose key length is then `WIDE`.
const HEADER_BYTES: u64 = 16;
const WIDE_HEADER_BYTES: u64 = 32;
const WIDE: u64 = 0xff_ffff;
const _: () = assert!(SHARED_RECORD_BYTES < WIDE);

/// Words: the first four buckets take 1 KiB each; 92 buckets hold 2^32 words.
type Words = Growing<AtomicU32, 256, 92>;
type Arenas = Growing<OnceLock<Arc<Region>>, 8, 44>;

pub(crate) struct Memtable {
    words: Words,
    arenas: Arenas,
    /// Levels in use, at least 1.
    height: AtomicUsize,
    entries: AtomicU64,
    heap_bytes: AtomicU64,
    writer: Mutex<Writer>,
}

impl Memtable {
    pub(crate) fn new() -> Memtable {
        Memtable {
            words: Growing::new(),
            arenas: Growing::new(),
            height: AtomicUsize::new(1),
            entries: AtomicU64::new(0),
            heap_bytes: AtomicU64::new(to_u64(size_of::<Memtable>())),
            writer: Mutex::new(Writer::new()),
        }
    }

    /// Adds a version. Where (key, seq) is there already, this one comes first. An insert that fails changed nothing
    /// that a reader could see. O(log n), less where the key is next to one that was inserted a moment ago.
    pub(crate) fn insert(&self, key: &[u8], seq: u64, kind: u8, value: &[u8]) -> Result<()> {
        let mut writer = self
            .writer
            .lock()
            .map_err(|_| Error::internal("an insert into the memtable panicked"))?;
        let writer = &mut *writer;
        let height = writer.next_height();
        let place = self.put_record(writer, key, seq, kind, value)?;
        let number = self.new_node(writer, LINKS + height)?;
        let target = Target::newest(key, seq);

        let hint = writer.hint(key);
        if !self.hint_fits(hint, &target, height) {
            let top = self.height.load(Relaxed).max(height);
            self.descend(&target, top, |level, node| {
                if let Some(previous) = hint.previous.get_mut(level) {
                    *previous = node;
                }
            });
        }
        let node = self.node(number);
        if !disordered!(LinkedBeforeFilled) {
            node.fill(target.prefix, place);
        }
        let previous = hint.previous.iter().take(height);
        for (level, &previous) in previous.clone().enumerate() {
            node.set_link(level, self.node(previous).link(level), Relaxed);
        }
        for (level, &previous) in previous.enumerate() {
            self.node(previous).set_link(level, number, Release);
        }
        if disordered!(LinkedBeforeFilled) {
            node.fill(target.prefix, place);
        }
        hint.node = number;
        hint.height = height;
        // A reader that doesn't see this yet starts its searches one level lower.
        self.height.fetch_max(height, Relaxed);
        self.entries
            .store(self.entries.load(Relaxed).saturating_add(1), Relaxed);
        Ok(())
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

    #[inline(never)]
    fn get_by_search(&self, key: &[u8], seq: u64) -> Option<Hit<'_>> {
        let target = Target::newest(key, seq);
        let (_, number) = self.find(&target);
        let node = self.linked(number)?;
        if node.prefix() != target.prefix {
            return None;
        }
        let record = self.record(node)?;
        if record.key != key {
            return None;
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
        MemtableCursor {
            memtable: Arc::clone(self),
            at: NIL,
            repeats_key: false,
        }
    }

    /// The last node before the target and the first one not before it.
    fn find(&self, target: &Target<'_>) -> (u32, u32) {
        self.descend(target, self.height.load(Relaxed), |_, _| {})
    }

    /// Searches from level `top - 1` down; tells `passed` the last node before the target on each level.
    #[inline(always)]
    fn descend(&self, target: &Target<'_>, top: usize, mut passed: impl FnMut(usize, u32)) -> (u32, u32) {
        let mut level = top.saturating_sub(1);
        let (mut last, mut last_node) = (NIL, self.node(NIL));
        // The node that ended the level above often ends this one too, and was compared there.
        let mut beyond = NIL;
        loop {
            let next = last_node.link(level);
            if next != beyond && next != NIL {
                let next_node = self.node(next);
                if self.is_before(next, next_node, target) {
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
        if self.is_before(hint.node, self.node(hint.node), target) {
            hint.previous
                .iter_mut()
                .take(hint.height)
                .for_each(|previous| *previous = hint.node);
        } else {
            // On higher levels the previous node is this one or an earlier one, so it's before the target as well.
            let [lowest, ..] = hint.previous;
            if lowest != NIL && !self.is_before(lowest, self.node(lowest), target) {
                return false;
            }
        }
        let mut beyond = NIL;
        for (level, &previous) in hint.previous.iter().take(height).enumerate() {
            let next = self.node(previous).link(level);
            if next != beyond && next != NIL {
                if self.is_before(next, self.node(next), target) {
                    return false;
                }
                beyond = next;
            }
        }
        true
    }

    #[inline(always)]
    fn is_before(&self, number: u32, node: Node<'_>, target: &Target<'_>) -> bool {
        let prefix = node.prefix();
        if prefix != target.prefix {
            return prefix < target.prefix;
        }
        self.is_before_by_record(number, node, target)
    }

    fn is_before_by_record(&self, number: u32, node: Node<'_>, target: &Target<'_>) -> bool {
        let Some(record) = self.record(node) else {
            return false;
        };
        match record.key.cmp(target.key) {
            Order::Less => true,
            Order::Greater => false,
            Order::Equal => record.seq > target.seq || (record.seq == target.seq && number > target.node),
        }
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

    /// Always there for a linked node.
    #[inline]
    fn record(&self, node: Node<'_>) -> Option<Record<'_>> {
        let place = node.place();
        let [slot, ..] = self.arenas.from(place >> PLACE_OFFSET_BITS) else {
            return None;
        };
        let arena = slot.get()?;
        let offset = u64::from(place & ((1 << PLACE_OFFSET_BITS) - 1)) * 8;
        let [seq, packed] = words_at(arena, offset)?;
        let [kind, ..] = packed.to_le_bytes();
        let (header, key_len, value_len) = match (packed >> 8) & WIDE {
            WIDE => {
                let [key_len, value_len] = words_at(arena, offset.checked_add(HEADER_BYTES)?)?;
                (WIDE_HEADER_BYTES, key_len, value_len)
            }
            key_len => (HEADER_BYTES, key_len, packed >> 32),
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
        })
    }

    /// Stores a record that nothing leads to yet; its place.
    fn put_record(&self, writer: &mut Writer, key: &[u8], seq: u64, kind: u8, value: &[u8]) -> Result<u32> {
        let full = || Error::too_large("a key with its value, for this machine's memory");
        let outside = || Error::internal("a memtable record outside its arena");
        let (key_len, value_len) = (to_u64(key.len()), to_u64(value.len()));
        let body = key_len.checked_add(value_len).ok_or_else(full)?;
        // The longest that can be aligned to a page without overflow, and more than any machine has.
        if body > u64::MAX >> 1 {
            return Err(full());
        }
        let wide = body > SHARED_RECORD_BYTES - HEADER_BYTES;
        let header_bytes = if wide { WIDE_HEADER_BYTES } else { HEADER_BYTES };
        let len = header_bytes + body;
        let (number, arena, offset) = if wide {
            let (number, arena) = self.new_arena(writer, len)?;
            self.heap_bytes.fetch_add(align4096(len), Relaxed);
            (number, arena, 0)
        } else {
            self.shared_room(writer, len)?
        };

        let mut header = [0; WIDE_HEADER_BYTES as usize];
        let (packed_key, packed_value) = if wide { (WIDE, 0) } else { (key_len, value_len) };
        let fields = [
            seq,
            u64::from(kind) | packed_key << 8 | packed_value << 32,
            key_len,
            value_len,
        ];
        for (to, field) in header.chunks_exact_mut(8).zip(fields) {
            to.copy_from_slice(&field.to_le_bytes());
        }
        let (narrow, _) = header.split_at(HEADER_BYTES as usize);
        let header = if wide { &header[..] } else { narrow };
        arena.store(offset, header).ok_or_else(outside)?;
        arena.store(offset + header_bytes, key).ok_or_else(outside)?;
        arena
            .store(offset + header_bytes + key_len, value)
            .ok_or_else(outside)?;
        let unit = u32::try_from(offset / 8).map_err(|_| outside())?;
        Ok(number << PLACE_OFFSET_BITS | unit)
    }

    /// Room for `len <= SHARED_RECORD_BYTES` bytes in the arena that is being filled, or in a new one.
    fn shared_room<'a>(&'a self, writer: &mut Writer, len: u64) -> Result<(u32, &'a Arc<Region>, u64)> {
        let filling = match writer.filling {
            Some(number) => self.arena(number).map(|arena| (number, arena)),
            None => None,
        };
        let (number, arena, offset) = match filling {
            Some((number, arena)) if arena.len().saturating_sub(writer.filled) >= len => {
                (number, arena, writer.filled)
            }
            _ => {
                let bytes = writer.next_arena_bytes.max(align4096(len));
                let (number, arena) = self.new_arena(writer, bytes)?;
                writer.next_arena_bytes = (writer.next_arena_bytes * 2).min(LARGEST_ARENA_BYTES);
                writer.filling = Some(number);
                writer.filled = 0;
                (number, arena, 0)
            }
        };
        writer.filled = align8(offset + len);
        let touched = align4096(writer.filled) - align4096(offset);
        if touched > 0 {
            self.heap_bytes.fetch_add(touched, Relaxed);
        }
        Ok((number, arena, offset))
    }

    /// An arena of at least `bytes`, none of them touched.
    fn new_arena(&self, writer: &mut Writer, bytes: u64) -> Result<(u32, &Arc<Region>)> {
        let number = writer.arenas;
        let len =
            usize::try_from(bytes).map_err(|_| Error::too_large("an entry, for this machine's memory"))?;
        if number >= MOST_ARENAS {
            return Err(memtable_full());
        }
        let table_bytes = self.arenas.ensure(number, OnceLock::new)?;
        let arena = Region::anonymous(len)?;
        self.heap_bytes
            .fetch_add(table_bytes + to_u64(size_of::<Region>()), Relaxed);
        // A slot is set once: the writer never comes back to a number.
        let [slot, ..] = self.arenas.from(number) else {
            return Err(memtable_full());
        };
        writer.arenas = number + 1;
        Ok((number, slot.get_or_init(|| arena)))
    }

    fn arena(&self, number: u32) -> Option<&Arc<Region>> {
        self.arenas.from(number).first().and_then(OnceLock::get)
    }

    /// A node of `len` words that nothing leads to yet, all of them in one bucket.
    fn new_node(&self, writer: &mut Writer, len: usize) -> Result<u32> {
        if writer.words == 0 {
            let bytes = self.words.ensure(NIL, || AtomicU32::new(0))?;
            self.heap_bytes.fetch_add(bytes, Relaxed);
            writer.words = to_u32(LINKS + LEVELS)?;
        }
        let mut number = writer.words;
        let rest = Words::rest_of_bucket(number);
        if rest < len {
            number = number.checked_add(to_u32(rest)?).ok_or_else(memtable_full)?;
        }
        let end = number.checked_add(to_u32(len)?).ok_or_else(memtable_full)?;
        let bytes = self.words.ensure(number, || AtomicU32::new(0))?;
        if bytes > 0 {
            self.heap_bytes.fetch_add(bytes, Relaxed);
        }
        writer.words = end;
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

/// Walks the versions of a memtable in order; keeps it alive. Off the end, `next` and `prev` stay there.
#[derive(Debug)]
pub(crate) struct MemtableCursor {
    memtable: Arc<Memtable>,
    at: u32,
    /// `next` came from another version of the same key.
    repeats_key: bool,
}

impl MemtableCursor {
    /// To this key's newest version at or below `seq`, or else to the next key.
    pub(crate) fn seek(&mut self, key: &[u8], seq: u64) {
        (_, self.at) = self.memtable.find(&Target::newest(key, seq));
    }

    /// To the last version of the last key below `key`.
    pub(crate) fn seek_before(&mut self, key: &[u8]) {
        (self.at, _) = self.memtable.find(&Target::newest(key, u64::MAX));
    }

    pub(crate) fn seek_first(&mut self) {
        self.at = self.memtable.node(NIL).link(0);
    }

    pub(crate) fn seek_last(&mut self) {
        let mut last = NIL;
        for level in (0..self.memtable.height.load(Relaxed)).rev() {
            loop {
                match self.memtable.node(last).link(level) {
                    NIL => break,
                    next => last = next,
                }
            }
        }
        self.at = last;
    }

    pub(crate) fn next(&mut self) {
        let memtable = &self.memtable;
        let Some(node) = memtable.linked(self.at) else {
            return;
        };
        self.at = node.link(0);
        self.repeats_key = memtable.linked(self.at).is_some_and(|next| {
            let key = |node| memtable.record(node).map(|record| record.key);
            node.prefix() == next.prefix() && key(node) == key(next)
        });
    }

    /// Whether the last `next` only went to an older version of the key that it came from.
    pub(crate) fn repeats_key(&self) -> bool {
        self.repeats_key
    }

    /// O(log n): there are no links back.
    pub(crate) fn prev(&mut self) {
        if let Some(record) = self.record() {
            let here = Target {
                node: self.at,
                ..Target::newest(record.key, record.seq)
            };
            (self.at, _) = self.memtable.find(&here);
        }
    }

    pub(crate) fn is_off(&self) -> bool {
        self.at == NIL
    }

    /// None: off either end.
    pub(crate) fn entry(&self) -> Option<Entry<'_>> {
        let record = self.record()?;
        Some(Entry {
            key: record.key,
            seq: record.seq,
            kind: record.kind,
            value: record.value()?,
        })
    }

    /// What the entry's key and value lie in.
    pub(crate) fn region(&self) -> Option<&Arc<Region>> {
        Some(self.record()?.arena)
    }

    fn record(&self) -> Option<Record<'_>> {
        self.memtable.record(self.memtable.linked(self.at)?)
    }
}

/// A position in the order of versions.
struct Target<'a> {
    key: &'a [u8],
    prefix: u64,
    seq: u64,
    /// Among equals, nodes with a higher number come before the target.
    node: u32,
}

impl<'a> Target<'a> {
    /// Before whatever has the same key and seq.
    fn newest(key: &'a [u8], seq: u64) -> Target<'a> {
        Target {
            key,
            prefix: sort_number(key),
            seq,
            node: u32::MAX,
        }
    }
}

/// A node's words, and those behind it in its bucket.
#[derive(Clone, Copy)]
struct Node<'a> {
    words: &'a [AtomicU32],
}

impl Node<'_> {
    #[inline(always)]
    fn prefix(self) -> u64 {
        let [high, low, ..] = self.words else { return 0 };
        u64::from(high.load(Relaxed)) << 32 | u64::from(low.load(Relaxed))
    }

    #[inline]
    fn place(self) -> u32 {
        let [_, _, place, ..] = self.words else {
            return u32::MAX;
        };
        place.load(Relaxed)
    }

    fn fill(self, prefix: u64, place: u32) {
        let [high, low, place_word, ..] = self.words else {
            return;
        };
        high.store((prefix >> 32) as u32, Relaxed);
        low.store((prefix & u64::from(u32::MAX)) as u32, Relaxed);
        place_word.store(place, Relaxed);
    }

    #[inline(always)]
    fn link(self, level: usize) -> u32 {
        self.words
            .get(LINKS + level)
            .map_or(NIL, |word| word.load(Acquire))
    }

    fn set_link(self, level: usize, to: u32, order: std::sync::atomic::Ordering) {
        if let Some(word) = self.words.get(LINKS + level) {
            word.store(to, order);
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

/// What only the writer needs to know.
struct Writer {
    /// Number of the next node's first word; 0 before the head has its words.
    words: u32,
    /// Arenas made so far.
    arenas: u32,
    /// The shared arena that records go to, and how far.
    filling: Option<u32>,
    filled: u64,
    next_arena_bytes: u64,
    random: u64,
    hints: [Hint; Writer::HINTS],
}

/// Where the last insert of its kind went. `previous` are the last nodes before it on each level (none of them
/// behind the one a level below); for levels above `height`, those of an earlier insert.
#[derive(Clone, Copy)]
struct Hint {
    node: u32,
    height: usize,
    previous: [u32; LEVELS],
}

impl Writer {
    const HINTS: usize = 64;

    fn new() -> Writer {
        Writer {
            words: 0,
            arenas: 0,
            filling: None,
            filled: 0,
            next_arena_bytes: FIRST_ARENA_BYTES,
            random: 0x9e37_79b9_7f4a_7c15,
            hints: [Hint {
                node: NIL,
                height: 0,
                previous: [NIL; LEVELS],
            }; Writer::HINTS],
        }
    }

    /// One in four is higher than 1, one in four of those higher than 2, and so on. xorshift64* (Vigna, 2014): the
    /// same inserts give the same list, which keeps simulations repeatable.
    fn next_height(&mut self) -> usize {
        self.random ^= self.random >> 12;
        self.random ^= self.random << 25;
        self.random ^= self.random >> 27;
        let bits = (self.random.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 32) as u32;
        (1 + bits.trailing_zeros() as usize / 2).min(LEVELS)
    }

    /// Interleaved runs of ascending keys differ in their space, the first byte, in length (a stream's records and its
    /// bounds), or in what comes before a number at their end (memories with the same tags), so each mostly has a hint
    /// of its own. A hint shared by two is only slower.
    fn hint(&mut self, key: &[u8]) -> &mut Hint {
        let byte = |at: usize| key.get(at).map_or(0, |byte| u64::from(*byte));
        let before_number = key.len().saturating_sub(9);
        let kind = byte(0) | byte(3) << 8 | byte(before_number) << 16 | to_u64(key.len()) << 24;
        // The upper bits of the product: the kinds that every store has get different ones.
        let slot = (kind.wrapping_mul(0xa076_1d64_78bd_642f) >> 58) as usize % Writer::HINTS;
        let [first, rest @ ..] = &mut self.hints;
        match slot.checked_sub(1) {
            Some(slot) => rest.get_mut(slot).unwrap_or(first),
            None => first,
        }
    }
}

/// A table that grows without moving: elements lie in buckets, four of one size, then four of twice that size, and
/// so on, so that at most a fifth of it is unused and an element's bucket is a matter of a few shifts.
struct Growing<T, const FIRST: u64, const BUCKETS: usize> {
    buckets: [OnceLock<Box<[T]>>; BUCKETS],
}

impl<T, const FIRST: u64, const BUCKETS: usize> Growing<T, FIRST, BUCKETS> {
    fn new() -> Self {
        const { assert!(FIRST.is_power_of_two()) };
        Growing {
            buckets: std::array::from_fn(|_| OnceLock::new()),
        }
    }

    /// Bucket, offset in it and its length.
    #[inline(always)]
    fn locate(index: u32) -> (usize, usize, usize) {
        let shifted = u64::from(index) + 4 * FIRST;
        let bits = shifted.ilog2() - 2;
        // The three leading bits are 4 to 7.
        let bucket = u64::from(bits) * 4 + (shifted >> bits) - (u64::from(FIRST.ilog2()) * 4 + 4);
        let len = 1_u64 << bits;
        // Less than 2^33 / 4 each: lossless where a bucket of that length can exist at all.
        (bucket as usize, (shifted & (len - 1)) as usize, len as usize)
    }

    /// The elements from `index` to the end of its bucket; none where that bucket isn't there.
    #[inline(always)]
    fn from(&self, index: u32) -> &[T] {
        let (bucket, offset, _) = Self::locate(index);
        let bucket = self.buckets.get(bucket).and_then(OnceLock::get);
        bucket.and_then(|bucket| bucket.get(offset..)).unwrap_or_default()
    }

    fn rest_of_bucket(index: u32) -> usize {
        let (_, offset, len) = Self::locate(index);
        len - offset
    }

    /// Makes the bucket of `index` unless it's there; the bytes that took. One caller at a time.
    fn ensure(&self, index: u32, make: impl FnMut() -> T) -> Result<u64> {
        let (bucket, _, len) = Self::locate(index);
        let slot = self.buckets.get(bucket).ok_or_else(memtable_full)?;
        if slot.get().is_some() {
            return Ok(0);
        }
        let mut elements = Vec::new();
        elements.try_reserve_exact(len).map_err(|_| Error::Io {
            what: "no memory for the memtable".into(),
            file: None,
            os_code: libc::ENOMEM,
        })?;
        elements.resize_with(len, make);
        slot.get_or_init(|| elements.into_boxed_slice());
        Ok(to_u64(len.saturating_mul(size_of::<T>())))
    }
}

fn to_u32(words: usize) -> Result<u32> {
    u32::try_from(words).map_err(|_| memtable_full())
}

fn memtable_full() -> Error {
    Error::too_large("the memtable, which can't number more entries; run a checkpoint")
}
