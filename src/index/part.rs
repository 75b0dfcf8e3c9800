//! One immutable sorted file: point reads. `part_cursor` goes through it in order, `part_verify` checks all of it,
//! `part_format` and `page` have its layout.
//!
//! The file is opened and mapped at first use and stays mapped as long as the part lives, so what a read returns
//! borrows from the part. Any thread, no locks; after a page's first touch nothing is checksummed again.

use std::{
    path::{Path, PathBuf},
    sync::{Arc, OnceLock},
};

use super::{
    page::{entry_place, hash_key, is_same, PageEntry},
    part_cursor::PartCursor,
    part_format::{home_bucket, HashSlot, PROBE_BUCKETS, SLOT_BYTES},
    part_map::{corrupt, Bucket, Page, PartMap},
    Hit, Probe,
};
use crate::{
    error::Result,
    format::{bytes::to_u64, manifest::PartMeta},
    vfs::{open_member, Member, OpenMode, Vfs},
};

/// Name of a part file in the index directory.
pub(crate) fn part_file_name(number: u64) -> String {
    format!("{number:08}.run")
}

/// The number in it, if that is what it is called.
pub(crate) fn parse_part_file_name(name: &str) -> Option<u64> {
    let number = name.strip_suffix(".run")?.parse().ok()?;
    (part_file_name(number) == name).then_some(number)
}

/// What a point read waits for, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum PrefetchStep {
    Bucket,
    Entry,
}

/// One entry of many.
#[derive(Debug)]
pub(crate) struct SampledEntry {
    pub(crate) key: Vec<u8>,
    pub(crate) kind: u8,
    pub(crate) value_len: usize,
}

#[derive(Debug)]
pub(crate) struct Part {
    map: OnceLock<PartMap>,
    vfs: Arc<dyn Vfs>,
    path: PathBuf,
    /// Of the store that the part belongs to.
    uuid: [u8; 16],
    meta: PartMeta,
    check_every_read: bool,
    salvage: bool,
}

impl Part {
    /// No I/O: the file is opened at first use.
    pub(crate) fn new(
        vfs: Arc<dyn Vfs>,
        path: PathBuf,
        uuid: [u8; 16],
        meta: PartMeta,
        check_every_read: bool,
    ) -> Arc<Part> {
        Arc::new(Part {
            map: OnceLock::new(),
            vfs,
            path,
            uuid,
            meta,
            check_every_read,
            salvage: false,
        })
    }

    /// The same for a store of which as much as possible is to be read: the pages are asked where the hash index fails.
    pub(crate) fn salvaged(vfs: Arc<dyn Vfs>, path: PathBuf, uuid: [u8; 16], meta: PartMeta) -> Arc<Part> {
        Arc::new(Part {
            map: OnceLock::new(),
            vfs,
            path,
            uuid,
            meta,
            check_every_read: true,
            salvage: true,
        })
    }

    pub(crate) fn meta(&self) -> &PartMeta {
        &self.meta
    }

    /// Where the search for a key starts: its home bucket and fingerprint.
    #[inline(always)]
    fn home(map: &PartMap, hash: u64) -> (u64, u16) {
        let [f0, f1, _, _, h0, h1, h2, h3] = hash.to_le_bytes();
        let home = home_bucket(u32::from_le_bytes([h0, h1, h2, h3]), map.footer().home_buckets);
        (home, u16::from_le_bytes([f0, f1]))
    }

    /// Brings what a `get` of a key will read closer, as far as can be told without waiting for memory: in the first
    /// step its bucket, in the second, once that is there, its entry. Nothing if the file isn't mapped yet.
    #[inline]
    pub(crate) fn prefetch(&self, hash: u64, step: PrefetchStep) {
        let Some(map) = self.map.get() else { return };
        let (home, fingerprint) = Part::home(map, hash);
        match step {
            PrefetchStep::Bucket => map.prefetch_bucket(home),
            PrefetchStep::Entry => {
                let Some(bucket) = map.bucket_if_checked(home) else {
                    return;
                };
                if let Some(slot) = Candidates::of(bucket, fingerprint).next() {
                    map.prefetch_entry(slot.unit, entry_place(slot.offset));
                }
            }
        }
    }

    /// Looks into the buckets of `key`, where all that this reads was checked before: what most reads come to.
    #[inline(always)]
    pub(crate) fn probe(&self, key: &[u8], hash: u64, seq: u64) -> Probe<'_> {
        self.probe_if_sure(key, hash, seq).unwrap_or(Probe::Unsure)
    }

    #[inline(always)]
    fn probe_if_sure(&self, key: &[u8], hash: u64, seq: u64) -> Option<Probe<'_>> {
        let map = self.map.get()?;
        let (home, fingerprint) = Part::home(map, hash);
        for bucket in home..home + to_u64(PROBE_BUCKETS) {
            let bucket = map.bucket_if_checked(bucket)?;
            for slot in Candidates::of(bucket, fingerprint) {
                // All at once: where the value ends is known only once the entry is there.
                map.prefetch_entry(slot.unit, entry_place(slot.offset));
                let page = map.page_if_checked(slot.unit)?;
                let newest = PageEntry::decode(page.bytes, entry_place(slot.offset))?;
                if page.header.level != 0 || newest.seq > seq {
                    return None;
                }
                if is_of(&page, &newest, key)? {
                    return Some(Probe::Found(hit(map, &newest)));
                }
            }
            if ends_search(bucket) {
                return Some(Probe::Absent);
            }
        }
        None
    }

    /// The newest version of `key` at or below `seq`; tombstones too.
    pub(crate) fn get(&self, key: &[u8], seq: u64) -> Result<Option<Hit<'_>>> {
        let map = self.map()?;
        let (home, fingerprint) = Part::home(map, hash_key(key));
        'buckets: for bucket in home..home + to_u64(PROBE_BUCKETS) {
            let bucket = match map.bucket(bucket) {
                Err(_) if self.salvage => break,
                bucket => bucket?,
            };
            for slot in Candidates::of(bucket, fingerprint) {
                let page = match map.page(slot.unit) {
                    Err(_) if self.salvage => break 'buckets,
                    page => page?,
                };
                let newest = PageEntry::decode(page.bytes, entry_place(slot.offset));
                let newest = newest
                    .filter(|_| page.header.level == 0)
                    .ok_or_else(|| map.malformed(slot.unit))?;
                if !is_of(&page, &newest, key).ok_or_else(|| map.malformed(slot.unit))? {
                    continue;
                }
                if newest.seq <= seq {
                    return Ok(Some(hit(map, &newest)));
                }
                return older(map, &page, key, seq);
            }
            if ends_search(bucket) {
                return Ok(None);
            }
        }
        let (page, slot) = map.search(key, seq)?;
        version_at(map, &page, slot, key)
    }

    /// The newest version of a key that `number` stands for: any one, but for other numbers most likely others. `None`
    /// where that leads to none.
    pub(crate) fn sample(&self, number: u32) -> Result<Option<SampledEntry>> {
        // Odd, so that numbers which follow each other come to buckets far apart.
        const SPREAD: u32 = 0x9e37_79b1;
        let map = self.map()?;
        let bucket = map.bucket(home_bucket(
            number.wrapping_mul(SPREAD),
            map.footer().home_buckets,
        ))?;
        let Some(slot) = bucket
            .iter()
            .map(|slot| u64::from_le_bytes(*slot))
            .find(|slot| *slot != 0)
        else {
            return Ok(None);
        };
        let slot = HashSlot::decode(slot);
        let page = map.page(slot.unit)?;
        let entry = PageEntry::decode(page.bytes, entry_place(slot.offset));
        let entry = entry.filter(|_| page.header.level == 0);
        let (prefix, entry) = page
            .header
            .prefix(page.bytes)
            .zip(entry)
            .ok_or_else(|| map.malformed(slot.unit))?;
        Ok(Some(SampledEntry {
            key: [prefix, entry.suffix].concat(),
            kind: entry.kind,
            value_len: entry.value.len(),
        }))
    }

    pub(crate) fn cursor(self: &Arc<Self>) -> PartCursor {
        PartCursor::new(Arc::clone(self))
    }

    /// Everything in heap that this part holds, mapped or not.
    pub(crate) fn heap_bytes(&self) -> u64 {
        let keys = self.meta.min_key.capacity() + self.meta.max_key.capacity();
        let own = to_u64(size_of::<Part>() + keys + self.path.as_os_str().len());
        own + self.map.get().map_or(0, PartMap::heap_bytes)
    }

    /// Bytes of file that are mapped.
    pub(crate) fn mapped_bytes(&self) -> u64 {
        self.map.get().map_or(0, |map| map.region().len())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Maps the file, if it can be: readers with an older state may still come, and its name is about to go.
    pub(crate) fn keep_mapped(&self) {
        // One that can't be mapped now could not have been read later either.
        let _ = self.map();
    }

    /// Lets go of the map; false if somebody still looks at bytes in it.
    pub(crate) fn unmap(self) -> bool {
        self.map.into_inner().is_none_or(PartMap::unmap)
    }

    /// The same file, of which nothing was read yet.
    pub(crate) fn reopened(&self) -> Arc<Part> {
        Part::new(
            Arc::clone(&self.vfs),
            self.path.clone(),
            self.uuid,
            self.meta.clone(),
            self.check_every_read,
        )
    }

    #[inline]
    pub(crate) fn map(&self) -> Result<&PartMap> {
        match self.map.get() {
            Some(map) => Ok(map),
            None => self.open(),
        }
    }

    #[cold]
    fn open(&self) -> Result<&PartMap> {
        match self.open_unshared() {
            Ok(map) => Ok(self.map.get_or_init(|| map)),
            // Mapped by somebody else meanwhile, who may have taken its name away since.
            Err(error) => self.map.get().ok_or(error),
        }
    }

    /// A map of its own, of which nothing is known to be right.
    pub(crate) fn open_unshared(&self) -> Result<PartMap> {
        match open_member(self.vfs.as_ref(), &self.path, OpenMode::Read)? {
            Member::File(file) => PartMap::open(file.as_ref(), &self.uuid, &self.meta, self.check_every_read),
            Member::Absent(what) => Err(corrupt(self.meta.file, 0, what)),
        }
    }
}

/// The slots of a bucket that have a fingerprint.
struct Candidates<'a> {
    bucket: &'a Bucket,
    /// A bit each.
    left: u32,
}

impl<'a> Candidates<'a> {
    /// All slots are compared at once: a loop that leaves early costs more in branches that nobody can foretell.
    #[inline(always)]
    fn of(bucket: &'a Bucket, fingerprint: u16) -> Candidates<'a> {
        let mut left = 0;
        for (number, slot) in bucket.iter().enumerate() {
            let slot = HashSlot::decode(u64::from_le_bytes(*slot));
            left |= u32::from(slot.fingerprint == fingerprint) << number;
        }
        Candidates { bucket, left }
    }
}

impl Iterator for Candidates<'_> {
    type Item = HashSlot;

    #[inline(always)]
    fn next(&mut self) -> Option<HashSlot> {
        // Out of range, so none, where no bit is left.
        let slot = self.bucket.get(self.left.trailing_zeros() as usize)?;
        self.left &= self.left.wrapping_sub(1);
        // A free slot looks like one with a fingerprint of 0; those behind it are free as well.
        let slot = u64::from_le_bytes(*slot);
        (slot != 0).then(|| HashSlot::decode(slot))
    }
}

#[inline(always)]
fn hit<'a>(map: &'a PartMap, entry: &PageEntry<'a>) -> Hit<'a> {
    Hit {
        seq: entry.seq,
        kind: entry.kind,
        value: entry.value,
        region: map.region(),
    }
}

/// Slots are taken in order: one that is free says that no key of this home went further.
#[inline(always)]
fn ends_search(bucket: &Bucket) -> bool {
    let [.., last] = bucket;
    *last == [0; SLOT_BYTES]
}

/// `None`: the page is malformed.
#[inline(always)]
fn is_of(page: &Page<'_>, entry: &PageEntry<'_>, key: &[u8]) -> Option<bool> {
    let prefix = page.header.prefix(page.bytes)?;
    let Some((front, back)) = key.split_at_checked(prefix.len()) else {
        return Some(false);
    };
    Some(is_same(back, entry.suffix) && is_same(front, prefix))
}

/// The version at or below `seq` of a key whose newest version, in `page`, is above it.
#[cold]
fn older<'a>(map: &'a PartMap, page: &Page<'a>, key: &[u8], seq: u64) -> Result<Option<Hit<'a>>> {
    let (slot, _) = page
        .header
        .search(page.bytes, key, seq)
        .ok_or_else(|| map.malformed(page.unit))?;
    if slot < page.header.count {
        return version_at(map, page, slot, key);
    }
    let (page, slot) = map.search(key, seq)?;
    version_at(map, &page, slot, key)
}

/// The entry that a search for a version of `key` ended at, if it is one of `key`.
fn version_at<'a>(map: &'a PartMap, page: &Page<'a>, slot: u16, key: &[u8]) -> Result<Option<Hit<'a>>> {
    let next = if slot < page.header.count {
        Some((*page, slot))
    } else {
        map.next_page(page)?.map(|page| (page, 0))
    };
    let Some((page, slot)) = next else { return Ok(None) };
    let entry = map.entry(&page, slot)?;
    let is_of = is_of(&page, &entry, key).ok_or_else(|| map.malformed(page.unit))?;
    Ok(is_of.then(|| hit(map, &entry)))
}
