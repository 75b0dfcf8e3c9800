//! A position on one version in a part. Steps within a page read one entry and copy its key into a buffer that is
//! reused; no search, no checksum, no allocation. Belongs to one thread at a time; holds its part.

use std::sync::Arc;

use super::{
    page::{copy_short, is_same, key_prefix, unit_offset, PageHeader},
    part::Part,
    part_map::{Page, PartMap, CACHE_LINE_BYTES},
    Entry,
};
use crate::{error::Result, format::bytes::to_u64, vfs::Region};

/// How far ahead of a scan lines are fetched: what it gets through in the time that one takes.
const READ_AHEAD_BYTES: u64 = 512;

/// What keys have to be below for a step to be taken without asking further. Prefixes are those of `key_prefix`, or
/// `u64::MAX` where there is no such key.
#[derive(Debug, Clone, Copy)]
pub(crate) struct ScanEnd<'a> {
    /// Of the first key in all other sources.
    pub(crate) other_prefix: u64,
    pub(crate) other: &'a [u8],
    /// Of the scan's end.
    pub(crate) upper_prefix: u64,
    pub(crate) upper: Option<&'a [u8]>,
}

impl ScanEnd<'_> {
    #[inline(always)]
    fn is_behind(&self, key: &[u8]) -> bool {
        let prefix = key_prefix(key);
        (prefix < self.other_prefix || is_below(key, self.other))
            && (prefix < self.upper_prefix || self.upper.is_none_or(|upper| is_below(key, upper)))
    }
}

/// Where prefixes don't tell.
#[inline(never)]
fn is_below(key: &[u8], end: &[u8]) -> bool {
    key < end
}

#[derive(Debug)]
pub(crate) struct PartCursor {
    part: Arc<Part>,
    /// Whether the rest says anything: false before the first seek and off either end.
    valid: bool,
    /// What the part is mapped by, once the cursor has been in it.
    region: Option<Arc<Region>>,
    unit: u32,
    header: PageHeader,
    slot: u16,
    key: Vec<u8>,
    /// Scratch for the key of the page before.
    key_before: Vec<u8>,
    /// `next` came from another version of the same key.
    repeats_key: bool,
    seq: u64,
    kind: u8,
    /// In the part's region.
    value_offset: u64,
    value_len: u64,
}

impl PartCursor {
    pub(crate) fn new(part: Arc<Part>) -> PartCursor {
        PartCursor {
            part,
            valid: false,
            region: None,
            unit: 0,
            header: PageHeader {
                level: 0,
                count: 0,
                units: 0,
                previous_units: 0,
                prefix_len: 0,
            },
            slot: 0,
            key: Vec::new(),
            key_before: Vec::new(),
            repeats_key: false,
            seq: 0,
            kind: 0,
            value_offset: 0,
            value_len: 0,
        }
    }

    /// To the first version at or behind (key, seq): this key's newest at or below `seq`, or the next key.
    pub(crate) fn seek(&mut self, key: &[u8], seq: u64) -> Result<()> {
        self.enter(|map| {
            let (page, slot) = map.search(key, seq)?;
            if slot < page.header.count {
                return Ok(Some((page, slot)));
            }
            Ok(map.next_page(&page)?.map(|page| (page, 0)))
        })
    }

    /// To the last version of a key below `key`.
    pub(crate) fn seek_before(&mut self, key: &[u8]) -> Result<()> {
        self.enter(|map| {
            let (page, slot) = map.search(key, u64::MAX)?;
            match slot.checked_sub(1) {
                Some(slot) => Ok(Some((page, slot))),
                None => last_of(map.previous_page(&page)?),
            }
        })
    }

    pub(crate) fn seek_first(&mut self) -> Result<()> {
        self.enter(|map| Ok(Some((map.end_page(false)?, 0))))
    }

    pub(crate) fn seek_last(&mut self) -> Result<()> {
        self.enter(|map| last_of(Some(map.end_page(true)?)))
    }

    /// One version on. Off the end it stays there until the next seek.
    #[inline]
    pub(crate) fn next(&mut self) -> Result<()> {
        if !self.valid {
            return Ok(());
        }
        let slot = self.slot + 1;
        if slot < self.header.count {
            return self.step(slot);
        }
        let (unit, units) = (self.unit, self.header.units);
        std::mem::swap(&mut self.key, &mut self.key_before);
        self.enter(|map| Ok(map.page_behind(unit, units)?.map(|page| (page, 0))))?;
        self.repeats_key = self.valid && self.key == self.key_before;
        Ok(())
    }

    /// One version on, if that is within the page, the newest of the next key, of a `wanted` kind, at or below `seq`,
    /// and below `end`. If not, the cursor stays where it is: `next` knows what to do. Most steps of a scan are such.
    #[inline(always)]
    pub(crate) fn next_if(&mut self, seq: u64, wanted: impl FnOnce(u8) -> bool, end: &ScanEnd<'_>) -> bool {
        let Some(region) = self.region.as_ref().filter(|_| self.valid) else {
            return false;
        };
        let slot = self.slot + 1;
        let start = unit_offset(self.unit);
        let page = region.bytes(start, unit_offset(self.header.units));
        let entry = page
            .filter(|_| slot < self.header.count)
            .and_then(|page| self.header.entry(page, slot));
        let Some(entry) = entry.filter(|entry| entry.seq <= seq && wanted(entry.kind)) else {
            return false;
        };
        let prefix_len = usize::from(self.header.prefix_len);
        match self.key.get_mut(prefix_len..) {
            Some(suffix) if suffix.len() == entry.suffix.len() => {
                if is_same(suffix, entry.suffix) {
                    return false;
                }
                copy_short(entry.suffix, suffix);
            }
            _ => {
                self.key.truncate(prefix_len);
                self.key.extend_from_slice(entry.suffix);
            }
        }
        if !end.is_behind(&self.key) {
            self.restore_key();
            return false;
        }
        self.repeats_key = false;
        self.slot = slot;
        self.seq = entry.seq;
        self.kind = entry.kind;
        self.value_offset = start + to_u64(entry.value_offset);
        self.value_len = to_u64(entry.value.len());
        // The next page lies behind this one: so its head is on its way when the scan gets there, too.
        let ahead = self.value_offset + self.value_len + READ_AHEAD_BYTES;
        region.prefetch(ahead);
        region.prefetch(ahead + CACHE_LINE_BYTES);
        true
    }

    /// Puts the key of the entry that the cursor is on into `key` again.
    #[cold]
    fn restore_key(&mut self) {
        let start = unit_offset(self.unit);
        let region = self.region.as_ref();
        let page = region.and_then(|region| region.bytes(start, unit_offset(self.header.units)));
        if let Some(entry) = page.and_then(|page| self.header.entry(page, self.slot)) {
            self.key.truncate(usize::from(self.header.prefix_len));
            self.key.extend_from_slice(entry.suffix);
        }
    }

    /// Whether the last `next` only went to an older version of the key that it came from.
    #[inline]
    pub(crate) fn repeats_key(&self) -> bool {
        self.valid && self.repeats_key
    }

    /// One version back. Off the start it stays there until the next seek.
    #[inline]
    pub(crate) fn prev(&mut self) -> Result<()> {
        if !self.valid {
            return Ok(());
        }
        if let Some(slot) = self.slot.checked_sub(1) {
            return self.step(slot);
        }
        let unit = self.unit;
        self.enter(|map| last_of(map.previous_page(&map.page(unit)?)?))
    }

    /// Off either end.
    #[inline]
    pub(crate) fn is_off(&self) -> bool {
        !self.valid
    }

    #[inline(always)]
    pub(crate) fn entry(&self) -> Option<Entry<'_>> {
        if !self.valid {
            return None;
        }
        let value = self.region.as_ref()?.bytes(self.value_offset, self.value_len)?;
        Some(Entry {
            key: &self.key,
            seq: self.seq,
            kind: self.kind,
            value,
        })
    }

    /// What the value lies in.
    #[inline]
    pub(crate) fn region(&self) -> Option<&Arc<Region>> {
        self.region.as_ref().filter(|_| self.valid)
    }

    /// Goes to the page and slot that `find` names.
    fn enter(
        &mut self,
        find: impl for<'a> FnOnce(&'a PartMap) -> Result<Option<(Page<'a>, u16)>>,
    ) -> Result<()> {
        self.valid = false;
        let part = Arc::clone(&self.part);
        let map = part.map()?;
        if self.region.is_none() {
            self.region = Some(Arc::clone(map.region()));
        }
        let Some((page, slot)) = find(map)? else {
            return Ok(());
        };
        let prefix = page
            .header
            .prefix(page.bytes)
            .filter(|_| slot < page.header.count && page.header.level == 0);
        let prefix = prefix.ok_or_else(|| map.malformed(page.unit))?;
        self.unit = page.unit;
        self.header = page.header;
        self.key.clear();
        self.key.extend_from_slice(prefix);
        self.step(slot)
    }

    /// Reads the entry in `slot` of the page that the cursor is in, whose prefix is in `key`.
    #[inline]
    fn step(&mut self, slot: u16) -> Result<()> {
        self.valid = false;
        let map = self.part.map()?;
        let start = unit_offset(self.unit);
        let page = map.region().bytes(start, unit_offset(self.header.units));
        let entry = page
            .and_then(|page| self.header.entry(page, slot))
            .ok_or_else(|| map.malformed(self.unit))?;
        let prefix_len = usize::from(self.header.prefix_len);
        self.repeats_key = self.key.get(prefix_len..) == Some(entry.suffix);
        if !self.repeats_key {
            self.key.truncate(prefix_len);
            self.key.extend_from_slice(entry.suffix);
        }
        self.slot = slot;
        self.seq = entry.seq;
        self.kind = entry.kind;
        self.value_offset = start + to_u64(entry.value_offset);
        self.value_len = to_u64(entry.value.len());
        self.valid = true;
        Ok(())
    }
}

fn last_of(page: Option<Page<'_>>) -> Result<Option<(Page<'_>, u16)>> {
    Ok(page.map(|page| (page, page.header.count.saturating_sub(1))))
}
