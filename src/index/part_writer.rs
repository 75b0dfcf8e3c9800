//! Writes one part file, front to back: pages as they fill up, then the hash index, then the footer. `part_format`
//! has the layout. Used by one thread; what it wrote is nobody's until the manifest names it.
//!
//! In heap it holds the pages being filled (one a level), 12 bytes a key for the hash index, and at the end the
//! table itself (12.8 bytes a key).

use std::sync::Arc;

use super::{
    page::{
        hash_key, seal, separator, PageBuilder, PageHeader, PagePlace, PartSeed, HASH_LEVEL,
        MAX_SUFFIX_BYTES, UNIT_BYTES,
    },
    part_format::{
        home_bucket, home_buckets, total_buckets, Footer, HashSlot, BUCKETS_PER_PAGE, BUCKET_SLOTS,
        PROBE_BUCKETS, SLOT_BYTES,
    },
    Entry, TOMBSTONE,
};
use crate::{
    error::{Error, Result},
    format::{
        bytes::{to_u64, to_usize},
        manifest::PartMeta,
    },
    vfs::File,
};

/// A file is written in pieces of this size, each at a multiple of it. A file system that keeps what is written at
/// once in one stretch of memory (large folios) then has it mapped by one entry of the page table: a point read in a
/// large store spends much of its time on looking up the places of 4 KiB pages.
pub(crate) const LARGE_PIECE_BYTES: usize = 2 << 20;
/// The same for a host that gives upkeep little time at once: writing 2 MiB into memory that the kernel has to find
/// first takes several milliseconds.
pub(crate) const SMALL_PIECE_BYTES: usize = 256 << 10;
/// With those, a sync comes after so much already: a disk that only takes bytes in when it is told to flush them needs as
/// long for that as there are many.
const SMALL_PIECES_SYNC_BYTES: u64 = 1 << 20;
/// Of hash pages in one step.
const STEP_BYTES: usize = 256 << 10;
/// Keys that are put into the hash index in one step.
const STEP_KEYS: usize = 16 << 10;
/// What a page that fills the buffer may reach beyond a piece; an entry that is longer makes it grow.
const SPARE_BYTES: usize = 64 << 10;

#[derive(Debug)]
pub(crate) struct PartWriter {
    file: Arc<dyn File>,
    piece_bytes: usize,
    footer: Footer,
    seed: PartSeed,
    levels: Vec<Level>,
    /// Unit that the next page goes to, and the units of the page before.
    next_unit: u32,
    previous_units: u32,
    /// High half of each key's hash, and its slot.
    hashes: Vec<u32>,
    slots: Vec<u64>,
    /// Finished bytes that are not written yet, and where they go.
    buffer: Vec<u8>,
    written: u64,
    synced: u64,
    /// What the last finished page of entries ended with.
    last_key: Vec<u8>,
    last_seq: u64,
    stage: Stage,
}

#[derive(Debug, Default)]
struct Level {
    page: PageBuilder,
    /// Key and seq that lead to the page being filled: nothing before it is at or behind them.
    fence: (Vec<u8>, u64),
    /// Start of the last page finished, and how many were.
    last_unit: u32,
    pages: u64,
}

#[derive(Debug)]
enum Stage {
    Entries,
    Fill { table: Vec<u64>, next_key: usize },
    Hash { table: Vec<u64>, next_page: usize },
    Written(Box<PartMeta>),
}

impl PartWriter {
    /// `file` is empty, open for writing, and called by `number` in the index directory of the store with this uuid.
    pub(crate) fn new(file: Arc<dyn File>, uuid: &[u8; 16], number: u64, piece_bytes: usize) -> PartWriter {
        PartWriter {
            file,
            piece_bytes,
            footer: Footer::new(*uuid, number),
            seed: PartSeed::new(uuid, number),
            levels: vec![Level::default()],
            next_unit: 0,
            previous_units: 0,
            hashes: Vec::new(),
            slots: Vec::new(),
            buffer: Vec::new(),
            written: 0,
            synced: 0,
            last_key: Vec::new(),
            last_seq: 0,
            stage: Stage::Entries,
        }
    }

    /// Entries come in the index's order, no (key, seq) twice.
    pub(crate) fn add(&mut self, entry: &Entry<'_>) -> Result<()> {
        if entry.key.len() > MAX_SUFFIX_BYTES || u32::try_from(entry.value.len()).is_err() {
            return Err(Error::too_large("a key or value beyond what the index can hold"));
        }
        let page = &self.levels.first().ok_or_else(no_room)?.page;
        let (last_key, last_seq) = match page.count() {
            0 => (self.last_key.as_slice(), self.last_seq),
            _ => (page.last_key(), page.last_seq()),
        };
        let same_key = self.footer.entries > 0 && last_key == entry.key;
        if self.footer.entries > 0 && (last_key > entry.key || (same_key && last_seq <= entry.seq)) {
            return Err(Error::internal("index entries were written out of order"));
        }
        if !page.has_room(entry) {
            self.close_page(0)?;
        }
        if !same_key {
            self.footer.keys += 1;
        }
        if self.footer.entries == 0 {
            self.footer.min_key = entry.key.to_vec();
        }
        self.footer.entries += 1;
        self.footer.tombstones += u64::from(entry.kind == TOMBSTONE);
        self.footer.max_seq = self.footer.max_seq.max(entry.seq);
        self.add_to_level(0, entry)?;
        self.write_pieces()
    }

    /// Size of the file if it were finished now: exact but for the last pages.
    pub(crate) fn bytes(&self) -> u64 {
        let open: usize = self.levels.iter().map(|level| level.page.encoded_len()).sum();
        let hash =
            total_buckets(home_buckets(self.footer.keys)).saturating_mul(to_u64(BUCKET_SLOTS * SLOT_BYTES));
        super::page::unit_offset(self.next_unit)
            .saturating_add(to_u64(open))
            .saturating_add(hash)
    }

    pub(crate) fn heap_bytes(&self) -> u64 {
        let pages: u64 = self.levels.iter().map(|level| level.page.heap_bytes()).sum();
        let table = match &self.stage {
            Stage::Fill { table, .. } | Stage::Hash { table, .. } => table.capacity() * SLOT_BYTES,
            _ => 0,
        };
        pages
            + to_u64(
                self.buffer.capacity()
                    + self.hashes.capacity() * 4
                    + self.slots.capacity() * SLOT_BYTES
                    + table,
            )
    }

    /// A sync of what is written so far, if one is due; false if none is.
    pub(crate) fn sync_step(&mut self) -> Result<bool> {
        let due = self.synced.saturating_add(SMALL_PIECES_SYNC_BYTES);
        if self.piece_bytes >= LARGE_PIECE_BYTES || self.written < due {
            return Ok(false);
        }
        self.file.sync()?;
        self.synced = self.written;
        Ok(true)
    }

    /// One step of finishing, which makes 256 KiB and writes at most a piece; the part's description once all is written. Not synced:
    /// that is up to the caller, for file and directory.
    pub(crate) fn finish_step(&mut self) -> Result<Option<PartMeta>> {
        match &mut self.stage {
            Stage::Entries => {
                if self.footer.entries == 0 {
                    return Err(Error::internal("an index part without entries"));
                }
                self.close_levels()?;
                let table = self.empty_table()?;
                self.stage = Stage::Fill { table, next_key: 0 };
                Ok(None)
            }
            Stage::Fill { table, next_key } => {
                let end = next_key.saturating_add(STEP_KEYS).min(self.slots.len());
                let hashes = self.hashes.get(*next_key..end).unwrap_or_default();
                let slots = self.slots.get(*next_key..end).unwrap_or_default();
                for (high, slot) in hashes.iter().zip(slots) {
                    put_in_table(table, self.footer.home_buckets, *high, *slot)?;
                }
                *next_key = end;
                if end == self.slots.len() {
                    (self.hashes, self.slots) = (Vec::new(), Vec::new());
                    let table = std::mem::take(table);
                    self.stage = Stage::Hash { table, next_page: 0 };
                }
                Ok(None)
            }
            Stage::Hash { table, next_page } => {
                let start = self.next_unit;
                for page in table.chunks(BUCKETS_PER_PAGE * BUCKET_SLOTS).skip(*next_page) {
                    encode_hash_page(self.seed, self.next_unit, page, &mut self.buffer)?;
                    *next_page += 1;
                    self.next_unit = self.next_unit.checked_add(1).ok_or_else(no_room)?;
                    if super::page::unit_offset(self.next_unit - start) >= to_u64(STEP_BYTES) {
                        self.write_pieces()?;
                        return Ok(None);
                    }
                }
                let (footer, crc) = self.footer.encode();
                self.buffer.extend_from_slice(&footer);
                self.write_pieces()?;
                let rest = std::mem::take(&mut self.buffer);
                write_piece(self.file.as_ref(), &mut self.written, &rest)?;
                let meta = self.footer.meta(self.written, crc);
                self.stage = Stage::Written(Box::new(meta.clone()));
                Ok(Some(meta))
            }
            Stage::Written(meta) => Ok(Some(meta.as_ref().clone())),
        }
    }

    fn add_to_level(&mut self, level: usize, entry: &Entry<'_>) -> Result<()> {
        let last_key = &self.last_key;
        let level_state = self.levels.get_mut(level).ok_or_else(no_room)?;
        if level_state.page.count() == 0 {
            level_state.fence = if level > 0 {
                (entry.key.to_vec(), entry.seq)
            } else if self.footer.entries > 1 && last_key != entry.key {
                (separator(last_key, entry.key).to_vec(), u64::MAX)
            } else {
                (entry.key.to_vec(), entry.seq)
            };
        }
        level_state.page.add(entry);
        Ok(())
    }

    fn close_page(&mut self, level: usize) -> Result<()> {
        let unit = self.next_unit;
        let place = PagePlace {
            seed: self.seed,
            unit,
            level: u8::try_from(level).map_err(|_| no_room())?,
            previous_units: self.previous_units,
        };
        let state = self.levels.get_mut(level).ok_or_else(no_room)?;
        let mut carried = None;
        if level == 0 {
            // A key that began in an earlier page is in the hash index already.
            carried = (unit > 0).then(|| std::mem::take(&mut self.last_key));
            self.last_key = state.page.last_key().to_vec();
            self.last_seq = state.page.last_seq();
        }
        let (hashes, slots) = (&mut self.hashes, &mut self.slots);
        let units = state
            .page
            .finish(place, &mut self.buffer, &mut |key, offset| {
                if level == 0 && carried.as_deref() != Some(key) {
                    let hash = hash_key(key);
                    hashes.push(high_half(hash));
                    slots.push(HashSlot::new(unit, offset, hash).encode());
                }
            })
            .ok_or_else(no_room)?;
        state.last_unit = unit;
        state.pages += 1;
        let (fence_key, fence_seq) = std::mem::take(&mut state.fence);
        self.previous_units = units;
        self.next_unit = unit.checked_add(units).ok_or_else(no_room)?;

        let parent = level + 1;
        if self.levels.len() == parent {
            self.levels.push(Level::default());
        }
        let child = unit.to_le_bytes();
        let entry = Entry {
            key: &fence_key,
            seq: fence_seq,
            kind: 0,
            value: &child,
        };
        // Two children at least, however long their keys, or the tree would have no root.
        let page = &self.levels.get(parent).ok_or_else(no_room)?.page;
        if page.count() >= 2 && !page.has_room(&entry) {
            self.close_page(parent)?;
        }
        self.add_to_level(parent, &entry)
    }

    /// Closes the pages still open, from the bottom up to the one page that leads to all others.
    fn close_levels(&mut self) -> Result<()> {
        self.close_page(0)?;
        self.footer.max_key = self.last_key.clone();
        let mut level = 0;
        while self.levels.get(level).is_some_and(|state| state.pages > 1) {
            level += 1;
            self.close_page(level)?;
        }
        let root = self.levels.get(level).ok_or_else(no_room)?;
        self.footer.root_unit = root.last_unit;
        self.footer.root_level = u32::try_from(level).map_err(|_| no_room())?;
        self.footer.page_units = self.next_unit;
        Ok(())
    }

    /// The slots of all buckets, in order.
    fn empty_table(&mut self) -> Result<Vec<u64>> {
        let homes = home_buckets(self.footer.keys);
        let total = total_buckets(homes);
        self.footer.home_buckets = u32::try_from(homes).map_err(|_| no_room())?;
        self.footer.hash_units =
            u32::try_from(total.div_ceil(to_u64(BUCKETS_PER_PAGE))).map_err(|_| no_room())?;
        Ok(vec![
            0;
            to_usize(total)
                .ok_or_else(no_room)?
                .saturating_mul(BUCKET_SLOTS)
        ])
    }

    /// Writes what is buffered as far as it makes whole pieces.
    fn write_pieces(&mut self) -> Result<()> {
        let piece_bytes = self.piece_bytes;
        if self.buffer.len() < piece_bytes {
            if self.buffer.len() > piece_bytes / 4 {
                let room = (piece_bytes + SPARE_BYTES).saturating_sub(self.buffer.len());
                self.buffer.reserve_exact(room);
            }
            return Ok(());
        }
        let whole = self.buffer.len() - self.buffer.len() % piece_bytes;
        for piece in self.buffer.chunks_exact(piece_bytes) {
            write_piece(self.file.as_ref(), &mut self.written, piece)?;
        }
        self.buffer.drain(..whole);
        self.buffer.shrink_to(piece_bytes + SPARE_BYTES);
        Ok(())
    }
}

/// Its way to the disk begins here, so that the part's sync has little to wait for.
fn write_piece(file: &dyn File, written: &mut u64, piece: &[u8]) -> Result<()> {
    let len = to_u64(piece.len());
    file.write_at(*written, piece)?;
    file.start_write_back(*written, len);
    *written = written.saturating_add(len);
    Ok(())
}

/// A key for which all the buckets that a reader looks through are full is left out: readers who meet only full
/// buckets turn to the pages.
fn put_in_table(table: &mut [u64], home_buckets: u32, high: u32, slot: u64) -> Result<()> {
    let home = to_usize(home_bucket(high, home_buckets)).ok_or_else(no_room)?;
    let reach = table
        .iter_mut()
        .skip(home * BUCKET_SLOTS)
        .take(PROBE_BUCKETS * BUCKET_SLOTS);
    if let Some(free) = reach.into_iter().find(|place| **place == 0) {
        *free = slot;
    }
    Ok(())
}

fn high_half(hash: u64) -> u32 {
    let [_, _, _, _, a, b, c, d] = hash.to_le_bytes();
    u32::from_le_bytes([a, b, c, d])
}

fn encode_hash_page(seed: PartSeed, unit: u32, slots: &[u64], out: &mut Vec<u8>) -> Result<()> {
    let start = out.len();
    let count = u16::try_from(slots.len() / BUCKET_SLOTS).map_err(|_| no_room())?;
    PageHeader {
        level: HASH_LEVEL,
        count,
        units: 1,
        previous_units: 0,
        prefix_len: 0,
    }
    .encode_into(out);
    out.resize(start + BUCKET_SLOTS * SLOT_BYTES, 0);
    for slot in slots {
        out.extend_from_slice(&slot.to_le_bytes());
    }
    out.resize(start + UNIT_BYTES, 0);
    seal(seed, unit, out.get_mut(start..).unwrap_or_default());
    Ok(())
}

fn no_room() -> Error {
    Error::internal("an index part outgrew its format")
}
