//! A part file as it is mapped: checked access to its pages, and the way down the tree of pages.
//!
//! A page's CRC is checked when the page is first touched since the file was mapped (a bit per unit), or each time a
//! page is entered if so asked. The bits only say that somebody found immutable bytes to be right, so they need no
//! ordering. Any thread, no locks.

use crate::vfs::sync::atomic::AtomicU64;
use std::{
    path::Path,
    sync::{atomic::Ordering, Arc},
};

use super::{
    page::{crc_matches, unit_offset, PageEntry, PageHeader, PartSeed, HASH_LEVEL, UNIT_BYTES},
    part_file_name,
    part_format::{Footer, BUCKETS_PER_PAGE, BUCKET_BYTES, BUCKET_SLOTS, SLOT_BYTES, VERSION},
};
use crate::{
    error::{Error, Result},
    format::{
        bytes::{to_u64, to_usize},
        manifest::PartMeta,
    },
    vfs::{is_made, Defect, File, OpenMode, Region, Vfs},
};

#[derive(Debug)]
pub(crate) struct PartMap {
    region: Arc<Region>,
    /// One bit per unit: the page that starts there passed its check.
    checked: Box<[AtomicU64]>,
    footer: Footer,
    seed: PartSeed,
    check_every_read: bool,
}

/// A short entry ends in one of the two lines behind the one that it starts in.
pub(crate) const CACHE_LINE_BYTES: u64 = 64;

/// The slots of a bucket.
pub(crate) type Bucket = [[u8; SLOT_BYTES]; BUCKET_SLOTS];

/// A checked page of the tree.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Page<'a> {
    pub(crate) unit: u32,
    pub(crate) header: PageHeader,
    pub(crate) bytes: &'a [u8],
}

impl PartMap {
    /// Maps the file and checks that its footer is the one that the manifest means.
    pub(crate) fn open(
        file: &dyn File,
        uuid: &[u8; 16],
        meta: &PartMeta,
        check_every_read: bool,
    ) -> Result<PartMap> {
        let len = file.len()?;
        if len != meta.file_len {
            let at = len.min(meta.file_len);
            return Err(corrupt(
                meta.file,
                at,
                "the file has another length than the manifest says",
            ));
        }
        let region = file.map(len)?;
        let seed = PartSeed::new(uuid, meta.file);
        let footer = read_footer(&region, uuid, meta)?;
        let units = to_usize(len / to_u64(UNIT_BYTES)).unwrap_or(0);
        let checked = (0..units.div_ceil(64)).map(|_| AtomicU64::new(0)).collect();
        Ok(PartMap {
            region,
            checked,
            footer,
            seed,
            check_every_read,
        })
    }

    #[inline]
    pub(crate) fn region(&self) -> &Arc<Region> {
        &self.region
    }

    /// False if somebody still looks at bytes in it.
    pub(crate) fn unmap(self) -> bool {
        self.region.unmap()
    }

    pub(crate) fn footer(&self) -> &Footer {
        &self.footer
    }

    pub(crate) fn heap_bytes(&self) -> u64 {
        let own = self.checked.len() * 8 + self.footer.min_key.capacity() + self.footer.max_key.capacity();
        to_u64(own).saturating_add(self.region.pins_heap_bytes())
    }

    #[cold]
    pub(crate) fn corrupt(&self, unit: u32, what: &'static str) -> Error {
        corrupt(self.footer.number, unit_offset(unit), what)
    }

    #[inline(always)]
    fn is_checked(&self, unit: u32) -> bool {
        let (word, bit) = (unit / 64, unit % 64);
        let bits = to_usize(u64::from(word)).and_then(|word| self.checked.get(word));
        !self.check_every_read && bits.is_some_and(|bits| bits.load(Ordering::Relaxed) & (1 << bit) != 0)
    }

    #[cold]
    fn check(&self, unit: u32, page: &[u8]) -> Result<()> {
        if !crc_matches(self.seed, unit, page) && !is_made(Defect::IndexPagesNotChecked) {
            return Err(self.corrupt(unit, "an index page fails its check"));
        }
        if let Some(bits) = to_usize(u64::from(unit / 64)).and_then(|word| self.checked.get(word)) {
            bits.fetch_or(1 << (unit % 64), Ordering::Relaxed);
        }
        Ok(())
    }

    /// The page of the tree that starts at `unit`.
    #[inline]
    pub(crate) fn page(&self, unit: u32) -> Result<Page<'_>> {
        match self.page_if_sound(unit) {
            Some(page) if self.is_checked(unit) => Ok(page),
            Some(page) => self.check(unit, page.bytes).map(|()| page),
            None => Err(self.corrupt(unit, "there is no index page here")),
        }
    }

    /// The same, if it needs no check any more.
    #[inline(always)]
    pub(crate) fn page_if_checked(&self, unit: u32) -> Option<Page<'_>> {
        self.page_if_sound(unit).filter(|_| self.is_checked(unit))
    }

    #[inline(always)]
    fn page_if_sound(&self, unit: u32) -> Option<Page<'_>> {
        let offset = unit_offset(unit);
        let header = PageHeader::decode(self.region.bytes(offset, to_u64(UNIT_BYTES))?)?;
        let end = u64::from(unit) + u64::from(header.units);
        if header.units == 0 || end > u64::from(self.footer.page_units) || header.level == HASH_LEVEL {
            return None;
        }
        Some(Page {
            unit,
            header,
            bytes: self.region.bytes(offset, unit_offset(header.units))?,
        })
    }

    /// The hash page that a bucket is in, and its place in the file.
    #[inline(always)]
    fn bucket_place(&self, bucket: u64) -> Option<(u32, u64)> {
        let per_page = to_u64(BUCKETS_PER_PAGE);
        let page = u32::try_from(bucket / per_page).ok()?;
        let unit = self.footer.page_units.checked_add(page)?;
        let offset = unit_offset(unit) + (bucket % per_page + 1) * to_u64(BUCKET_BYTES);
        Some((unit, offset))
    }

    /// A bucket of the hash index.
    #[inline]
    pub(crate) fn bucket(&self, bucket: u64) -> Result<&Bucket> {
        let beyond = || self.corrupt(self.footer.page_units, "a bucket beyond the hash index");
        let (unit, offset) = self.bucket_place(bucket).ok_or_else(beyond)?;
        if !self.is_checked(unit) {
            self.check_hash_page(unit)?;
        }
        self.bucket_at(offset).ok_or_else(beyond)
    }

    /// The same, if its page needs no check any more.
    #[inline(always)]
    pub(crate) fn bucket_if_checked(&self, bucket: u64) -> Option<&Bucket> {
        let (unit, offset) = self.bucket_place(bucket)?;
        self.bucket_at(offset).filter(|_| self.is_checked(unit))
    }

    #[inline(always)]
    fn bucket_at(&self, offset: u64) -> Option<&Bucket> {
        let bytes = self.region.bytes(offset, to_u64(BUCKET_BYTES))?;
        bytes.as_chunks().0.first_chunk()
    }

    /// Has the bucket fetched into the cache.
    #[inline]
    pub(crate) fn prefetch_bucket(&self, bucket: u64) {
        if let Some((_, offset)) = self.bucket_place(bucket) {
            self.region.prefetch(offset);
        }
    }

    /// Has the head of a page and an entry in it fetched into the cache.
    #[inline]
    pub(crate) fn prefetch_entry(&self, unit: u32, offset_in_page: usize) {
        let page = unit_offset(unit);
        let entry = page.saturating_add(to_u64(offset_in_page));
        self.region.prefetch(page);
        self.region.prefetch(entry);
        self.region.prefetch(entry.saturating_add(CACHE_LINE_BYTES));
        self.region.prefetch(entry.saturating_add(2 * CACHE_LINE_BYTES));
    }

    #[cold]
    fn check_hash_page(&self, unit: u32) -> Result<()> {
        let page = self.region.bytes(unit_offset(unit), to_u64(UNIT_BYTES));
        let page = page.filter(|_| unit - self.footer.page_units < self.footer.hash_units);
        let page = page.ok_or_else(|| self.corrupt(unit, "a bucket beyond the hash index"))?;
        if PageHeader::decode(page).is_none_or(|header| header.level != HASH_LEVEL) {
            return Err(self.corrupt(unit, "this is no page of the hash index"));
        }
        self.check(unit, page)
    }

    /// The page and slot of the first entry at or behind (key, seq); the slot is the page's count where that entry
    /// is the next page's first.
    pub(crate) fn search(&self, key: &[u8], seq: u64) -> Result<(Page<'_>, u16)> {
        let mut page = self.page(self.footer.root_unit)?;
        let mut level = self.footer.root_level;
        loop {
            if u32::from(page.header.level) != level {
                return Err(self.corrupt(page.unit, "an index page of the wrong level"));
            }
            let found = page.header.search(page.bytes, key, seq);
            let (slot, exact) = found.ok_or_else(|| self.malformed(page.unit))?;
            if level == 0 {
                return Ok((page, slot));
            }
            let slot = if exact { slot } else { slot.saturating_sub(1) };
            page = self.child(&page, slot)?;
            level -= 1;
        }
    }

    /// The first or the last page of entries.
    pub(crate) fn end_page(&self, last: bool) -> Result<Page<'_>> {
        let mut page = self.page(self.footer.root_unit)?;
        for level in (0..self.footer.root_level).rev() {
            let slot = if last {
                page.header.count.saturating_sub(1)
            } else {
                0
            };
            page = self.child(&page, slot)?;
            if u32::from(page.header.level) != level {
                return Err(self.corrupt(page.unit, "an index page of the wrong level"));
            }
        }
        Ok(page)
    }

    fn child(&self, page: &Page<'_>, slot: u16) -> Result<Page<'_>> {
        let child = (slot < page.header.count)
            .then(|| page.header.entry(page.bytes, slot)?.child())
            .flatten();
        // Children come before the page that leads to them.
        let child = child.filter(|child| *child < page.unit);
        self.page(child.ok_or_else(|| self.malformed(page.unit))?)
    }

    /// The page of entries behind this one.
    pub(crate) fn next_page(&self, page: &Page<'_>) -> Result<Option<Page<'_>>> {
        self.page_behind(page.unit, page.header.units)
    }

    /// The page of entries behind the one at `unit`, which is `units` long.
    pub(crate) fn page_behind(&self, unit: u32, units: u32) -> Result<Option<Page<'_>>> {
        let mut next = unit.saturating_add(units);
        while next < self.footer.page_units {
            let page = self.page(next)?;
            if page.header.level == 0 {
                return Ok(Some(page));
            }
            next = next.saturating_add(page.header.units);
        }
        Ok(None)
    }

    /// The page of entries before this one.
    pub(crate) fn previous_page(&self, page: &Page<'_>) -> Result<Option<Page<'_>>> {
        let (mut unit, mut units) = (page.unit, page.header.previous_units);
        while unit > 0 {
            let previous = unit.checked_sub(units).filter(|previous| *previous < unit);
            let page = self.page(previous.ok_or_else(|| self.malformed(unit))?)?;
            if page.header.level == 0 {
                return Ok(Some(page));
            }
            (unit, units) = (page.unit, page.header.previous_units);
        }
        Ok(None)
    }

    #[inline]
    pub(crate) fn entry<'a>(&self, page: &Page<'a>, slot: u16) -> Result<PageEntry<'a>> {
        page.header
            .entry(page.bytes, slot)
            .ok_or_else(|| self.malformed(page.unit))
    }

    #[cold]
    pub(crate) fn malformed(&self, unit: u32) -> Error {
        self.corrupt(unit, "an index page is malformed")
    }
}

fn read_footer(region: &Region, uuid: &[u8; 16], meta: &PartMeta) -> Result<Footer> {
    let wrong = |what| corrupt(meta.file, meta.file_len.saturating_sub(to_u64(UNIT_BYTES)), what);
    let len = region.len();
    let tail = len.checked_sub(8).and_then(|at| region.bytes(at, 8));
    let (units, crc) = tail
        .and_then(Footer::decode_tail)
        .ok_or_else(|| wrong("the file is too short"))?;
    if crc != meta.footer_crc {
        return Err(wrong("the footer is not the one that the manifest names"));
    }
    let footer_len = unit_offset(units);
    let bytes = len
        .checked_sub(footer_len)
        .and_then(|at| region.bytes(at, footer_len));
    if let Some(found) = bytes.and_then(Footer::newer_version) {
        return Err(Error::Version {
            found,
            supported: VERSION,
        });
    }
    let footer = bytes.and_then(|bytes| Footer::decode(bytes, len));
    let footer = footer.ok_or_else(|| wrong("the footer fails its check"))?;
    if footer.uuid != *uuid {
        return Err(wrong("the part is one of another store"));
    }
    if footer.meta(len, crc) != *meta {
        return Err(wrong("the footer contradicts the manifest"));
    }
    Ok(footer)
}

/// What the footer of a part that nothing else describes says; `None` if it is not whole.
pub(crate) fn read_unknown_footer(vfs: &Arc<dyn Vfs>, path: &Path, number: u64) -> Result<Option<Footer>> {
    let file = vfs.open(path, OpenMode::Read)?;
    let len = file.len()?;
    let mut tail = [0; 8];
    let Some(tail_at) = len.checked_sub(to_u64(tail.len())) else {
        return Ok(None);
    };
    file.read_at(tail_at, &mut tail)?;
    let footer_at = Footer::decode_tail(&tail).and_then(|(units, _)| len.checked_sub(unit_offset(units)));
    let Some(bytes) = footer_at.and_then(|at| to_usize(len - at)) else {
        return Ok(None);
    };
    let mut footer = vec![0; bytes];
    file.read_at(len - to_u64(bytes), &mut footer)?;
    Ok(Footer::decode(&footer, len).filter(|footer| footer.number == number))
}

#[cold]
pub(crate) fn corrupt(number: u64, offset: u64, what: &'static str) -> Error {
    Error::corrupt(format!("index/{}", part_file_name(number)), offset, what)
}
