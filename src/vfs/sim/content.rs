//! The bytes of one simulated file: in the cache, on the disk, and which sectors differ.
//!
//! The cache is memory that never moves while a map of it is out. Until somebody writes or maps, a file has no cache
//! of its own and reads come from the durable bytes, which crashed disks share: so a crash copies only what changed.

use std::sync::Arc;

use super::{
    cache::{reserved, Cache},
    Random, Rot,
};
use crate::{
    error::{Error, Result},
    vfs::Region,
};

/// What a disk writes as a whole or not at all.
pub(super) const SECTOR: u64 = 512;
/// What a file system allocates.
pub(super) const BLOCK: u64 = 4096;

/// A set of sector or block numbers.
#[derive(Debug, Clone, Default)]
pub(super) struct Numbers {
    words: Vec<u64>,
}

impl Numbers {
    fn insert(&mut self, number: u64) {
        let word = (number / 64) as usize;
        if self.words.len() <= word {
            self.words.resize(word + 1, 0);
        }
        if let Some(word) = self.words.get_mut(word) {
            *word |= 1 << (number % 64);
        }
    }

    fn remove(&mut self, number: u64) {
        if let Some(word) = self.words.get_mut((number / 64) as usize) {
            *word &= !(1 << (number % 64));
        }
    }

    fn contains(&self, number: u64) -> bool {
        self.words
            .get((number / 64) as usize)
            .is_some_and(|word| word & (1 << (number % 64)) != 0)
    }

    /// Removes all from `first` on.
    fn cut(&mut self, first: u64) {
        self.words.truncate(first.div_ceil(64) as usize);
        if let (Some(word), 1..) = (self.words.get_mut((first / 64) as usize), first % 64) {
            *word &= (1 << (first % 64)) - 1;
        }
    }

    fn count(&self) -> u64 {
        self.words.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    fn is_empty(&self) -> bool {
        self.words.iter().all(|word| *word == 0)
    }

    fn iter(&self) -> impl Iterator<Item = u64> + '_ {
        self.words.iter().zip(0u64..).flat_map(|(word, position)| {
            (0..64)
                .filter(move |bit| word & (1 << bit) != 0)
                .map(move |bit| position * 64 + bit)
        })
    }
}

/// How a crash chooses among the sectors that aren't durable.
#[derive(Debug, Clone, Copy)]
pub(super) enum Survival {
    Nothing,
    Everything,
    /// Each by itself, with this many chances in 8.
    Some(u64),
    /// Up to some place.
    Head,
    /// From some place on: what lies before it is lost.
    Tail,
}

impl Survival {
    pub(super) fn choose(random: &mut Random) -> Survival {
        match random.below(8) {
            0 => Survival::Nothing,
            1 => Survival::Everything,
            2 => Survival::Some(1),
            3 => Survival::Some(4),
            4 => Survival::Some(7),
            5 | 6 => Survival::Head,
            _ => Survival::Tail,
        }
    }

    /// Which of these sectors (ascending) reached the disk.
    fn survivors(self, sectors: Vec<u64>, random: &mut Random) -> Vec<u64> {
        let place = random.below(sectors.len() as u64 + 1) as usize;
        let survives = |position: usize, random: &mut Random| match self {
            Survival::Nothing => false,
            Survival::Everything => true,
            Survival::Some(chances) => random.chance(chances, 8),
            Survival::Head => position < place,
            Survival::Tail => position >= place,
        };
        let numbered = sectors.into_iter().enumerate();
        numbered
            .filter(|(position, _)| survives(*position, random))
            .map(|(_, sector)| sector)
            .collect()
    }

    /// Whether a change of length reached the disk.
    fn keeps_length(self, random: &mut Random) -> bool {
        match self {
            Survival::Nothing => false,
            Survival::Everything => true,
            Survival::Some(_) | Survival::Head | Survival::Tail => random.chance(1, 2),
        }
    }
}

#[derive(Debug, Default)]
pub(super) struct Content {
    /// `None` while nobody wrote or mapped: then it equals `durable`.
    cache: Option<Cache>,
    len: u64,
    durable: Arc<Vec<u8>>,
    dirty: Numbers,
    /// Clean, but a failed sync never wrote them.
    lost: Numbers,
    /// The shortest that the file was since its last sync, if that was shorter than what is durable.
    cut_to: Option<u64>,
    allocated: Numbers,
}

impl Content {
    /// A file that was written and synced.
    pub(super) fn durable(bytes: Arc<Vec<u8>>) -> Content {
        let mut content = Content {
            len: bytes.len() as u64,
            durable: bytes,
            ..Content::default()
        };
        content.allocate_blocks(0, content.len);
        content
    }

    /// Only what no cache lies over.
    pub(super) fn rot(&mut self, offset: u64, rot: Rot) -> bool {
        if self.cache.is_some() {
            return false;
        }
        let bytes = Arc::make_mut(&mut self.durable);
        let range = match rot {
            Rot::Bits(_) => offset..offset.saturating_add(1),
            Rot::Zeros => offset / SECTOR * SECTOR..(offset / SECTOR + 1) * SECTOR,
        };
        let end = (range.end as usize).min(bytes.len());
        let Some(hit) = bytes.get_mut(range.start as usize..end) else {
            return false;
        };
        let before = hit.to_vec();
        hit.iter_mut().for_each(|byte| match rot {
            Rot::Bits(bits) => *byte ^= bits,
            Rot::Zeros => *byte = 0,
        });
        before != hit
    }

    /// What reading all of it gives.
    pub(super) fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![0; self.len as usize];
        match self.read(0, &mut bytes) {
            Ok(()) => bytes,
            Err(_) => Vec::new(),
        }
    }

    pub(super) fn len(&self) -> u64 {
        self.len
    }

    pub(super) fn allocated_bytes(&self) -> u64 {
        self.allocated.count() * BLOCK
    }

    /// How many blocks of the range aren't allocated.
    pub(super) fn missing_blocks(&self, offset: u64, len: u64) -> u64 {
        units(BLOCK, offset, len)
            .filter(|block| !self.allocated.contains(*block))
            .count() as u64
    }

    /// How many of the range's bytes fit if only `free` blocks can be allocated.
    pub(super) fn fitting(&self, offset: u64, len: u64, free: u64) -> u64 {
        let mut missing = units(BLOCK, offset, len).filter(|block| !self.allocated.contains(*block));
        match missing.nth(usize::try_from(free).unwrap_or(usize::MAX)) {
            Some(block) => (block * BLOCK).saturating_sub(offset).min(len),
            None => len,
        }
    }

    /// The caller has checked that the range is inside the file.
    pub(super) fn read(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let read = match &self.cache {
            Some(cache) => cache.copy_to(offset, buffer),
            None => {
                part(&self.durable, offset, buffer.len() as u64).map(|bytes| buffer.copy_from_slice(bytes))
            }
        };
        read.ok_or_else(|| Error::internal("the simulated file is shorter than it says"))
    }

    pub(super) fn write(&mut self, offset: u64, bytes: &[u8], reserve: u64) -> Result<()> {
        let end = offset + bytes.len() as u64;
        self.cached(self.len.max(end), reserve)?
            .store(offset, bytes)
            .ok_or_else(|| Error::internal("the simulated file has no room for a write"))?;
        if !bytes.is_empty() {
            self.len = self.len.max(end);
        }
        self.stored(offset, bytes.len() as u64);
        Ok(())
    }

    /// Notes that the range of the cache was written to.
    pub(super) fn stored(&mut self, offset: u64, len: u64) {
        for sector in units(SECTOR, offset, len) {
            self.dirty.insert(sector);
            self.lost.remove(sector);
        }
        if let Some(cache) = &mut self.cache {
            cache.touched_to(offset + len);
        }
        self.allocate_blocks(offset, len);
    }

    pub(super) fn set_len(&mut self, len: u64, reserve: u64) -> Result<()> {
        let old = self.len;
        let cache = self.cached(old.max(len), reserve)?;
        if len < old {
            // What is behind the end reads as zeros should the file grow again.
            let zeros = vec![0; (old - len) as usize];
            cache
                .store(len, &zeros)
                .ok_or_else(|| Error::internal("the simulated file is too short"))?;
            self.dirty.cut(len.div_ceil(SECTOR));
            self.lost.cut(len.div_ceil(SECTOR));
            self.allocated.cut(len.div_ceil(BLOCK));
            if len < self.durable.len() as u64 {
                self.cut_to = Some(self.cut_to.map_or(len, |cut_to| cut_to.min(len)));
            }
        }
        self.len = len;
        Ok(())
    }

    /// Blocks for the range; a longer file.
    pub(super) fn allocate(&mut self, offset: u64, len: u64, reserve: u64) -> Result<()> {
        let end = self.len.max(offset + len);
        self.cached(end, reserve)?;
        self.len = end;
        self.allocate_blocks(offset, len);
        Ok(())
    }

    fn allocate_blocks(&mut self, offset: u64, len: u64) {
        for block in units(BLOCK, offset, len) {
            self.allocated.insert(block);
        }
    }

    pub(super) fn map(&mut self, len: u64, reserve: u64) -> Result<Arc<Region>> {
        self.cached(self.len.max(len), reserve)?
            .prefix(len)
            .ok_or_else(|| Error::internal("the simulated file has no room for a map"))
    }

    pub(super) fn sync(&mut self) {
        self.reach_disk(self.len, self.dirty.iter().collect());
        self.dirty = Numbers::default();
    }

    /// The sync failed: what was dirty counts as clean. The length is metadata and may still become durable.
    pub(super) fn fail_sync(&mut self) {
        for sector in self.dirty.iter() {
            self.lost.insert(sector);
        }
        self.dirty = Numbers::default();
    }

    /// Some dirty sectors are written without anybody asking.
    pub(super) fn write_back(&mut self, random: &mut Random) {
        let sectors = Survival::choose(random).survivors(self.dirty.iter().collect(), random);
        let Some(last) = sectors.last() else { return };
        for sector in &sectors {
            self.dirty.remove(*sector);
        }
        // A file system lets the durable length grow over what it has written.
        let written = ((last + 1) * SECTOR).min(self.len);
        let durable = (self.durable.len() as u64).min(self.cut_to.unwrap_or(u64::MAX));
        self.reach_disk(written.max(durable), sectors);
    }

    pub(super) fn evict(&mut self) {
        let on_disk = self.cut_to.unwrap_or(self.durable.len() as u64);
        match &self.cache {
            Some(cache) if !cache.is_shared() => {
                for sector in self.lost.iter() {
                    let start = sector * SECTOR;
                    let mut bytes = [0; SECTOR as usize];
                    let len = on_disk.saturating_sub(start).min(SECTOR);
                    if let Some(found) = part(&self.durable, start, len) {
                        bytes.iter_mut().zip(found).for_each(|(to, from)| *to = *from);
                    }
                    // The cache is a reserve of pages, so the last sector is whole too, with zeros behind the end.
                    cache.store(start, &bytes);
                }
                self.lost = Numbers::default();
            }
            _ => {}
        }
    }

    /// What is found after the power was lost.
    pub(super) fn crashed(&self, survival: Survival, random: &mut Random) -> Content {
        let mut found = Content {
            len: self.durable.len() as u64,
            durable: Arc::clone(&self.durable),
            allocated: self.allocated.clone(),
            ..Content::default()
        };
        if self.dirty.is_empty() && self.cut_to.is_none() && self.len == found.len {
            return found;
        }
        let mut sectors: Vec<u64> = self.dirty.iter().collect();
        let length_survives = survival.keeps_length(random);
        match self.cut_to {
            // The cut didn't reach the disk, so nothing that was written in place of what it freed did.
            Some(cut_to) if !length_survives => {
                sectors.retain(|sector| *sector < cut_to / SECTOR);
                found.write_sectors(survival.survivors(sectors, random), self);
                found.allocate_blocks(0, found.len);
            }
            _ => {
                let shortest = found.len.min(self.cut_to.unwrap_or(found.len));
                let len = if length_survives {
                    self.len
                } else if matches!(survival, Survival::Nothing) || random.chance(1, 2) {
                    shortest
                } else {
                    // Some of what the file grew by, as far as a write-back had come.
                    (shortest + random.below(self.len - shortest + 1))
                        .next_multiple_of(SECTOR)
                        .min(self.len)
                };
                let bytes = Arc::make_mut(&mut found.durable);
                bytes.truncate(shortest as usize);
                bytes.resize(len as usize, 0);
                found.len = len;
                found.write_sectors(survival.survivors(sectors, random), self);
                found.allocated.cut(len.div_ceil(BLOCK));
            }
        }
        found
    }

    /// The same file for another process.
    pub(super) fn copy(&self, reserve: u64) -> Result<Content> {
        let mut copy = Content {
            cache: None,
            len: self.len,
            durable: Arc::clone(&self.durable),
            dirty: self.dirty.clone(),
            lost: self.lost.clone(),
            cut_to: self.cut_to,
            allocated: self.allocated.clone(),
        };
        if let Some(cache) = &self.cache {
            let fresh = reserved(self.len, reserve)?;
            copy.cache = Some(fresh.holding(cache.bytes(0, self.len).unwrap_or_default()));
        }
        Ok(copy)
    }

    /// Makes `len` and these sectors of the cache durable.
    fn reach_disk(&mut self, len: u64, sectors: Vec<u64>) {
        let mut durable = std::mem::take(&mut self.durable);
        if self.cut_to.is_some() || durable.len() as u64 != len {
            let bytes = Arc::make_mut(&mut durable);
            bytes.truncate(self.cut_to.take().map_or(usize::MAX, |cut_to| cut_to as usize));
            bytes.resize(len as usize, 0);
        }
        if !sectors.is_empty() {
            let bytes = Arc::make_mut(&mut durable);
            sectors
                .into_iter()
                .for_each(|sector| self.copy_sector(sector, bytes));
        }
        self.durable = durable;
    }

    fn write_sectors(&mut self, sectors: Vec<u64>, from: &Content) {
        if !sectors.is_empty() {
            let bytes = Arc::make_mut(&mut self.durable);
            sectors
                .into_iter()
                .for_each(|sector| from.copy_sector(sector, bytes));
        }
    }

    /// Copies what the cache has of one sector to its place in `bytes`, as far as that goes.
    fn copy_sector(&self, sector: u64, bytes: &mut [u8]) {
        let start = sector * SECTOR;
        let len = SECTOR.min(self.len.saturating_sub(start));
        let to = bytes.get_mut(start as usize..).and_then(|rest| {
            let len = rest.len().min(len as usize);
            rest.get_mut(..len)
        });
        if let (Some(cache), Some(to)) = (&self.cache, to) {
            cache.copy_to(start, to);
        }
    }

    /// The cache with room for `len` bytes.
    fn cached(&mut self, len: u64, reserve: u64) -> Result<&Arc<Region>> {
        let cache = match self.cache.take() {
            Some(cache) if cache.len() >= len => cache,
            Some(cache) if cache.is_shared() => {
                let held = cache.len();
                self.cache = Some(cache);
                return Err(Error::internal(format!(
                    "a mapped file of the simulation outgrew its reserve: {len} of {held} bytes; use with_reserve"
                )));
            }
            old => {
                let fresh = reserved(len, reserve)?;
                match &old {
                    Some(old) => fresh.holding(old.bytes(0, self.len).unwrap_or_default()),
                    None => fresh.holding(&self.durable),
                }
            }
        };
        Ok(self.cache.insert(cache))
    }
}

fn part(bytes: &[u8], offset: u64, len: u64) -> Option<&[u8]> {
    let start = usize::try_from(offset).ok()?;
    bytes.get(start..start.checked_add(usize::try_from(len).ok()?)?)
}

/// The numbers of the units of `size` bytes that the range touches.
fn units(size: u64, offset: u64, len: u64) -> std::ops::Range<u64> {
    let first = offset / size;
    first..if len == 0 {
        first
    } else {
        (offset + len).div_ceil(size)
    }
}
