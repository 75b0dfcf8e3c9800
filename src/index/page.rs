//! Layout of the pages that a part file is made of: pure functions over bytes, total on any input.
//!
//! A page takes `units` times 4096 bytes and starts at such a boundary. Pages of level 0 hold the entries; those of
//! level n > 0 lead to pages of level n - 1: their entries' values are the unit that the child starts at, their keys
//! separate it from the child before. Little-endian.
//!
//! | at | page | |
//! |---|---|---|
//! | 0 | crc u32 | CRC-32C of the store's uuid, part number u64, unit u32, then the page's bytes from 4 on |
//! | 4 | level u8 | 255: a page of the hash index |
//! | 5 | zero u8 | |
//! | 6 | count u16 | entries; in a hash page, buckets |
//! | 8 | units u32 | length of this page |
//! | 12 | previous units u32 | length of the page before; 0 in the first one and in hash pages |
//! | 16 | prefix length u16 | at most 1024; 0 in hash pages |
//! | 18 | zero u16 | |
//! | 20 | prefix | what all keys of the page start with |
//! | | offsets u16 × count | of each entry from the page's start, in units of 4 bytes, in order |
//! | | entries, zeros | each entry starts at a multiple of 4 |
//!
//! | at | entry | |
//! |---|---|---|
//! | 0 | seq u64 | |
//! | 8 | kind u8 | |
//! | 9 | suffix length u24 | |
//! | 12 | value length u32 | |
//! | 16 | suffix, value | the key is the page's prefix and this suffix |

use std::cmp::Ordering;

use super::Entry;
use crate::format::bytes::{to_u64, to_usize, u32_at};

pub(crate) const UNIT_BYTES: usize = 4_096;
pub(crate) const PAGE_HEADER_BYTES: usize = 20;
pub(crate) const ENTRY_HEADER_BYTES: usize = 16;
/// Entries start at multiples of this, so that a u16 reaches far enough for two of the longest keys in a page that
/// leads to others.
pub(crate) const ENTRY_ALIGNMENT: usize = 4;
pub(crate) const MAX_PREFIX_BYTES: usize = 1_024;
pub(crate) const HASH_LEVEL: u8 = u8::MAX;
/// A page grows unit by unit up to this length while closing it would waste much; only an entry that is too long
/// for that gets a longer page, alone. So every entry starts where a u16 reaches.
pub(crate) const MAX_SHARED_PAGE_BYTES: usize = 4 * UNIT_BYTES;
/// A page is closed rather than made a unit longer once it wastes no more than this.
const WASTE_BYTES: usize = UNIT_BYTES / 8;
/// What the 24 bits of a suffix's length can say.
pub(crate) const MAX_SUFFIX_BYTES: usize = (1 << 24) - 1;

const _: () = assert!(MAX_SHARED_PAGE_BYTES <= 1 << 16);

/// Where an entry starts, from what a slot says.
#[inline]
pub(crate) fn entry_place(slot: u16) -> usize {
    usize::from(slot) * ENTRY_ALIGNMENT
}

const _: () = assert!(PAGE_HEADER_BYTES + MAX_PREFIX_BYTES + ENTRY_HEADER_BYTES <= UNIT_BYTES);

/// What the CRCs of a part's pages are seeded with: the store's uuid and the part's number. It tells them from those of
/// another store, and from those of another part. Computed once for a part.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PartSeed(u32);

impl PartSeed {
    pub(crate) fn new(uuid: &[u8; 16], number: u64) -> PartSeed {
        PartSeed(crc32c::crc32c_append(crc32c::crc32c(uuid), &number.to_le_bytes()))
    }
}

/// CRC that a page stores of itself. Seeding it with its place as well tells a page from a copy that strayed.
fn page_crc(seed: PartSeed, unit: u32, page: &[u8]) -> u32 {
    let seed = crc32c::crc32c_append(seed.0, &unit.to_le_bytes());
    crc32c::crc32c_append(seed, page.get(4..).unwrap_or_default())
}

pub(crate) fn crc_matches(seed: PartSeed, unit: u32, page: &[u8]) -> bool {
    u32_at(page, 0).is_some_and(|stored| stored == page_crc(seed, unit, page))
}

pub(crate) fn unit_offset(unit: u32) -> u64 {
    u64::from(unit).saturating_mul(to_u64(UNIT_BYTES))
}

/// The fixed part of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PageHeader {
    pub(crate) level: u8,
    pub(crate) count: u16,
    pub(crate) units: u32,
    pub(crate) previous_units: u32,
    pub(crate) prefix_len: u16,
}

impl PageHeader {
    #[inline]
    pub(crate) fn decode(page: &[u8]) -> Option<PageHeader> {
        let header = page.first_chunk::<PAGE_HEADER_BYTES>()?;
        let [_, _, _, _, level, zero, c0, c1, u0, u1, u2, u3, v0, v1, v2, v3, p0, p1, z0, z1] = *header;
        if zero | z0 | z1 != 0 {
            return None;
        }
        Some(PageHeader {
            level,
            count: u16::from_le_bytes([c0, c1]),
            units: u32::from_le_bytes([u0, u1, u2, u3]),
            previous_units: u32::from_le_bytes([v0, v1, v2, v3]),
            prefix_len: u16::from_le_bytes([p0, p1]),
        })
    }

    /// Appends the header with a CRC of zero.
    pub(crate) fn encode_into(&self, out: &mut Vec<u8>) {
        out.extend_from_slice(&[0, 0, 0, 0, self.level, 0]);
        out.extend_from_slice(&self.count.to_le_bytes());
        out.extend_from_slice(&self.units.to_le_bytes());
        out.extend_from_slice(&self.previous_units.to_le_bytes());
        out.extend_from_slice(&self.prefix_len.to_le_bytes());
        out.extend_from_slice(&[0, 0]);
    }

    #[inline]
    fn prefix_bytes(&self) -> usize {
        usize::from(self.prefix_len)
    }

    #[inline]
    pub(crate) fn prefix<'a>(&self, page: &'a [u8]) -> Option<&'a [u8]> {
        page.get(PAGE_HEADER_BYTES..PAGE_HEADER_BYTES + self.prefix_bytes())
    }

    /// Where the entry in `slot` starts.
    #[inline(always)]
    pub(crate) fn entry_offset(&self, page: &[u8], slot: u16) -> Option<usize> {
        let at = PAGE_HEADER_BYTES + self.prefix_bytes() + 2 * usize::from(slot);
        let offset = page.get(at..)?.first_chunk::<2>()?;
        Some(entry_place(u16::from_le_bytes(*offset)))
    }

    #[inline(always)]
    pub(crate) fn entry<'a>(&self, page: &'a [u8], slot: u16) -> Option<PageEntry<'a>> {
        PageEntry::decode(page, self.entry_offset(page, slot)?)
    }

    /// The first slot whose entry is at or behind (key, seq) in the index's order, `count` where none is; and
    /// whether it is exactly there.
    pub(crate) fn search(&self, page: &[u8], key: &[u8], seq: u64) -> Option<(u16, bool)> {
        let prefix = self.prefix(page)?;
        let Some(rest) = key.strip_prefix(prefix) else {
            return Some((if key < prefix { 0 } else { self.count }, false));
        };
        let (mut low, mut high) = (0, self.count);
        let mut exact = false;
        while low < high {
            let middle = low + (high - low) / 2;
            let entry = self.entry(page, middle)?;
            match entry.suffix.cmp(rest).then(seq.cmp(&entry.seq)) {
                Ordering::Less => low = middle + 1,
                Ordering::Equal => {
                    exact = true;
                    high = middle;
                }
                Ordering::Greater => high = middle,
            }
        }
        Some((low, exact))
    }
}

/// An entry where it lies in its page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PageEntry<'a> {
    pub(crate) seq: u64,
    pub(crate) kind: u8,
    pub(crate) suffix: &'a [u8],
    pub(crate) value: &'a [u8],
    /// From the page's start to the value's.
    pub(crate) value_offset: usize,
}

impl<'a> PageEntry<'a> {
    #[inline(always)]
    pub(crate) fn decode(page: &'a [u8], offset: usize) -> Option<PageEntry<'a>> {
        let (seq, rest) = page.get(offset..)?.split_first_chunk::<8>()?;
        let (lengths, rest) = rest.split_first_chunk::<8>()?;
        let [kind, s0, s1, s2, v0, v1, v2, v3] = *lengths;
        let suffix_len = to_usize(u64::from(u32::from_le_bytes([s0, s1, s2, 0])))?;
        let value_len = to_usize(u64::from(u32::from_le_bytes([v0, v1, v2, v3])))?;
        let (suffix, rest) = rest.split_at_checked(suffix_len)?;
        Some(PageEntry {
            seq: u64::from_le_bytes(*seq),
            kind,
            suffix,
            value: rest.get(..value_len)?,
            // No overflow: all of it lies inside `page`.
            value_offset: offset + ENTRY_HEADER_BYTES + suffix_len,
        })
    }

    /// The child that an entry of a page of level > 0 leads to.
    pub(crate) fn child(&self) -> Option<u32> {
        self.value.try_into().ok().map(u32::from_le_bytes)
    }
}

/// Collects the entries of one page.
#[derive(Debug, Default)]
pub(crate) struct PageBuilder {
    entries: Vec<Pending>,
    /// Keys and values of `entries`, one after another.
    bytes: Vec<u8>,
    prefix_len: usize,
    key_bytes: usize,
}

#[derive(Debug, Clone, Copy)]
struct Pending {
    seq: u64,
    kind: u8,
    key_start: usize,
    value_start: usize,
    end: usize,
}

impl PageBuilder {
    pub(crate) fn count(&self) -> usize {
        self.entries.len()
    }

    fn first_key(&self) -> &[u8] {
        self.entries
            .first()
            .and_then(|first| self.bytes.get(first.key_start..first.value_start))
            .unwrap_or_default()
    }

    pub(crate) fn last_key(&self) -> &[u8] {
        self.entries
            .last()
            .and_then(|last| self.bytes.get(last.key_start..last.value_start))
            .unwrap_or_default()
    }

    pub(crate) fn last_seq(&self) -> u64 {
        self.entries.last().map_or(0, |last| last.seq)
    }

    /// Bytes that the page takes at most as it stands, before it is rounded up to units.
    pub(crate) fn encoded_len(&self) -> usize {
        encoded_len(
            self.entries.len(),
            self.prefix_len,
            self.key_bytes,
            self.bytes.len() - self.key_bytes,
        )
    }

    /// Whether the page should take this entry as well, or be closed first.
    pub(crate) fn has_room(&self, entry: &Entry<'_>) -> bool {
        if self.entries.is_empty() {
            return true;
        }
        let now = self.encoded_len();
        let then = encoded_len(
            self.entries.len() + 1,
            self.prefix_with(entry.key),
            self.key_bytes + entry.key.len(),
            self.bytes.len() - self.key_bytes + entry.value.len(),
        );
        let room = now.next_multiple_of(UNIT_BYTES);
        then <= MAX_SHARED_PAGE_BYTES && (then <= room || room - now > WASTE_BYTES)
    }

    fn prefix_with(&self, key: &[u8]) -> usize {
        if self.entries.is_empty() {
            return key.len().min(MAX_PREFIX_BYTES);
        }
        // Keys come in order, so what the first and the last share is shared by all.
        common_prefix(self.first_key().get(..self.prefix_len).unwrap_or_default(), key)
    }

    pub(crate) fn add(&mut self, entry: &Entry<'_>) {
        self.prefix_len = self.prefix_with(entry.key);
        let key_start = self.bytes.len();
        self.bytes.extend_from_slice(entry.key);
        let value_start = self.bytes.len();
        self.bytes.extend_from_slice(entry.value);
        self.key_bytes += entry.key.len();
        self.entries.push(Pending {
            seq: entry.seq,
            kind: entry.kind,
            key_start,
            value_start,
            end: self.bytes.len(),
        });
    }

    /// Appends the finished page to `out` and empties the builder; returns its units. `each` is told of every key's
    /// first entry in this page and its offset; that may be a further version of the key the page before ended with.
    pub(crate) fn finish(
        &mut self,
        place: PagePlace,
        out: &mut Vec<u8>,
        each: &mut dyn FnMut(&[u8], u16),
    ) -> Option<u32> {
        let start = out.len();
        let page_len = self.encoded_len().next_multiple_of(UNIT_BYTES);
        let units = u32::try_from(page_len / UNIT_BYTES).ok()?;
        let header = PageHeader {
            level: place.level,
            count: u16::try_from(self.entries.len()).ok()?,
            units,
            previous_units: place.previous_units,
            prefix_len: u16::try_from(self.prefix_len).ok()?,
        };
        header.encode_into(out);
        out.extend_from_slice(self.first_key().get(..self.prefix_len)?);

        let mut offset = PAGE_HEADER_BYTES + self.prefix_len + 2 * self.entries.len();
        for entry in &self.entries {
            offset = offset.next_multiple_of(ENTRY_ALIGNMENT);
            out.extend_from_slice(&u16::try_from(offset / ENTRY_ALIGNMENT).ok()?.to_le_bytes());
            offset += ENTRY_HEADER_BYTES + (entry.end - entry.key_start) - self.prefix_len;
        }
        let mut previous_key: Option<&[u8]> = None;
        for entry in &self.entries {
            out.resize(start + (out.len() - start).next_multiple_of(ENTRY_ALIGNMENT), 0);
            let key = self.bytes.get(entry.key_start..entry.value_start)?;
            if previous_key != Some(key) {
                each(key, u16::try_from((out.len() - start) / ENTRY_ALIGNMENT).ok()?);
                previous_key = Some(key);
            }
            let suffix = key.get(self.prefix_len..)?;
            let value = self.bytes.get(entry.value_start..entry.end)?;
            let [s0, s1, s2, _] = u32::try_from(suffix.len()).ok()?.to_le_bytes();
            out.extend_from_slice(&entry.seq.to_le_bytes());
            out.extend_from_slice(&[entry.kind, s0, s1, s2]);
            out.extend_from_slice(&u32::try_from(value.len()).ok()?.to_le_bytes());
            out.extend_from_slice(suffix);
            out.extend_from_slice(value);
        }
        out.resize(start + page_len, 0);
        seal(place.seed, place.unit, out.get_mut(start..)?);

        self.entries.clear();
        self.bytes.clear();
        self.prefix_len = 0;
        self.key_bytes = 0;
        Some(units)
    }

    pub(crate) fn heap_bytes(&self) -> u64 {
        to_u64(self.bytes.capacity() + self.entries.capacity() * size_of::<Pending>())
    }
}

/// Where a page goes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PagePlace {
    pub(crate) seed: PartSeed,
    pub(crate) unit: u32,
    pub(crate) level: u8,
    pub(crate) previous_units: u32,
}

/// Puts the CRC into a finished page.
pub(crate) fn seal(seed: PartSeed, unit: u32, page: &mut [u8]) {
    let crc = page_crc(seed, unit, page);
    if let Some(place) = page.first_chunk_mut::<4>() {
        *place = crc.to_le_bytes();
    }
}

fn encoded_len(count: usize, prefix_len: usize, key_bytes: usize, value_bytes: usize) -> usize {
    let padding = ENTRY_ALIGNMENT - 1;
    let entries = count * (2 + ENTRY_HEADER_BYTES + padding);
    PAGE_HEADER_BYTES + prefix_len + entries + (key_bytes - count * prefix_len) + value_bytes
}

pub(crate) fn common_prefix(left: &[u8], right: &[u8]) -> usize {
    left.iter()
        .zip(right)
        .take_while(|(left, right)| left == right)
        .count()
}

/// Equality of short strings of any length, without a call.
#[inline(always)]
pub(crate) fn is_same(left: &[u8], right: &[u8]) -> bool {
    if left.len() != right.len() {
        return false;
    }
    let ends = |bytes: &[u8]| {
        Some((
            u64::from_le_bytes(*bytes.first_chunk()?),
            u64::from_le_bytes(*bytes.last_chunk()?),
        ))
    };
    let short_ends = |bytes: &[u8]| {
        Some((
            u32::from_le_bytes(*bytes.first_chunk()?),
            u32::from_le_bytes(*bytes.last_chunk()?),
        ))
    };
    match left.len() {
        8..=16 => ends(left) == ends(right),
        4..8 => short_ends(left) == short_ends(right),
        0..4 => left.iter().zip(right).all(|(left, right)| left == right),
        _ => left == right,
    }
}

/// Copies a string to a place of its length, without a call for the most usual lengths.
#[inline(always)]
pub(crate) fn copy_short(from: &[u8], to: &mut [u8]) {
    if from.len() != to.len() {
        return;
    }
    if (8..=16).contains(&from.len()) {
        // Two pieces that may overlap.
        if let (Some(to), Some(from)) = (to.first_chunk_mut::<8>(), from.first_chunk::<8>()) {
            *to = *from;
        }
        if let (Some(to), Some(from)) = (to.last_chunk_mut::<8>(), from.last_chunk::<8>()) {
            *to = *from;
        }
    } else {
        to.copy_from_slice(from);
    }
}

/// The first eight bytes, zeros behind a shorter key: where two prefixes differ, the keys sort as they do.
#[inline(always)]
pub(crate) fn key_prefix(key: &[u8]) -> u64 {
    if let Some(prefix) = key.first_chunk() {
        return u64::from_be_bytes(*prefix);
    }
    let mut prefix = [0; 8];
    prefix.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    u64::from_be_bytes(prefix)
}

/// The shortest key above `below` and not above `key`, where `below < key`.
pub(crate) fn separator<'a>(below: &[u8], key: &'a [u8]) -> &'a [u8] {
    key.get(..=common_prefix(below, key)).unwrap_or(key)
}

/// Hash of a key for the hash index. It is part of the file format: eight bytes at a time, folding 128-bit products.
#[inline]
pub(crate) fn hash_key(key: &[u8]) -> u64 {
    const SEED: u64 = 0x9ae1_6a3b_2f90_404f;
    const WORD: u64 = 0xd6e8_feb8_6659_fd93;
    const END: u64 = 0xa076_1d64_78bd_642f;
    let fold = |state: u64, factor: u64| {
        let product = u128::from(state) * u128::from(factor);
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = product.to_le_bytes();
        u64::from_le_bytes([a, b, c, d, e, f, g, h]) ^ u64::from_le_bytes([i, j, k, l, m, n, o, p])
    };
    let (words, tail) = key.as_chunks::<8>();
    let mut state = SEED ^ to_u64(key.len());
    for word in words {
        state = fold(state ^ u64::from_le_bytes(*word), WORD);
    }
    if !tail.is_empty() {
        let last = match key.last_chunk() {
            Some(last) => u64::from_le_bytes(*last) >> (64 - 8 * tail.len()),
            None => tail
                .iter()
                .rev()
                .fold(0, |last, byte| last << 8 | u64::from(*byte)),
        };
        state = fold(state ^ last, WORD);
    }
    fold(state ^ SEED, END)
}
