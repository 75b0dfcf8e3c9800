//! One chunk file: its life, its lengths and its map. Reading the blocks in it is in `read`.
//!
//! The file is mapped at the first read, with its full capacity, so that it can grow under the map; bytes beyond the
//! file's end are never touched, since `file_len` bounds every access. Only blocks below `len` are handed out: above
//! it lies what a checkpoint or a large append is still writing, or what a crash left behind.
//!
//! Any thread may call anything. Small blocks are written by one checkpoint at a time, large ones by `LargeWriter`.

use crate::vfs::sync::{
    atomic::{AtomicBool, AtomicU64},
    Mutex,
};
use std::{
    path::{Path, PathBuf},
    sync::{
        atomic::Ordering::{AcqRel, Acquire, Relaxed, Release},
        Arc,
    },
};

use arc_swap::ArcSwapOption;

use super::{
    chunk_file_name, first_offset, large_end,
    mapping::{Mapping, MappingGuard},
    moved::MovedTable,
    writing::Writing,
    MAX_CHUNK_BYTES,
};
use crate::{
    error::{Error, Result},
    format::{
        block::{BlockAddress, ChunkHeader, CHUNK_HEADER_BYTES},
        bytes::{to_u64, to_usize},
        manifest::ChunkMeta,
    },
    vfs::{lock, open_member, write_zeros, File, Member, OpenMode, Vfs},
};

const FILL_PIECE_BYTES: usize = 64 << 10;

/// What the chunks of a store have in common.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct ChunkOptions {
    /// The store's: the CRCs of their headers are seeded with it.
    pub(crate) uuid: [u8; 16],
    /// Check large blocks at every read instead of when first touched.
    pub(crate) check_every_read: bool,
}

/// A chunk file, open or not.
#[derive(Debug)]
pub(crate) struct Chunk {
    vfs: Arc<dyn Vfs>,
    path: PathBuf,
    /// What never changes; the counters below it are kept apart.
    fixed: ChunkMeta,
    capacity: u64,
    options: ChunkOptions,
    len: AtomicU64,
    last_seq: AtomicU64,
    dead_bytes: AtomicU64,
    in_use: AtomicU64,
    /// Length that the file is known to have at least.
    file_len: AtomicU64,
    mapping: ArcSwapOption<Mapping>,
    /// Held while a map is made.
    making_map: Mutex<()>,
    /// The map stays, since the file's name is going away.
    keeps_map: AtomicBool,
    writing: Writing,
}

impl Chunk {
    /// A new file with its header; nothing is synced. The number must be one that neither manifest nor log names:
    /// a file that lies there is left over from a crash and is replaced.
    pub(crate) fn create(
        vfs: &Arc<dyn Vfs>,
        directory: &Path,
        number: u32,
        nonce: u64,
        large: bool,
        capacity: u64,
        options: ChunkOptions,
    ) -> Result<Arc<Chunk>> {
        if capacity > MAX_CHUNK_BYTES {
            return Err(Error::invalid("a chunk can't be larger than 32 GiB"));
        }
        let len = first_offset(large);
        let meta = ChunkMeta {
            number,
            rewrite: 0,
            nonce,
            large,
            len,
            table_offset: 0,
            last_seq: 0,
            dead_bytes: 0,
        };
        let path = directory.join(chunk_file_name(number, 0));
        let file = create_file(vfs, &path)?;
        if let Err(error) = file.write_at(0, &header_bytes(&options.uuid, &meta)) {
            drop(file);
            // What matters is the first error; a file that stays behind is replaced the next time.
            let _ = vfs.unlink(&path);
            return Err(error);
        }
        let chunk = Chunk::with(vfs, path, meta, capacity, options, Writing::of_new(file, len));
        chunk.file_len.store(len, Release);
        Ok(Arc::new(chunk))
    }

    /// A chunk that the manifest names. No I/O until it is used.
    pub(crate) fn open(
        vfs: &Arc<dyn Vfs>,
        directory: &Path,
        meta: &ChunkMeta,
        capacity: u64,
        options: ChunkOptions,
    ) -> Arc<Chunk> {
        let path = directory.join(chunk_file_name(meta.number, meta.rewrite));
        Arc::new(Chunk::with(
            vfs,
            path,
            *meta,
            capacity,
            options,
            Writing::default(),
        ))
    }

    /// A chunk of large blocks that replayed frames name and the manifest doesn't know yet: its file says the nonce.
    /// It has no length until [`Chunk::named_large`] gives it one.
    pub(crate) fn discover(
        vfs: &Arc<dyn Vfs>,
        directory: &Path,
        number: u32,
        capacity: u64,
        options: ChunkOptions,
    ) -> Result<Arc<Chunk>> {
        let name = chunk_file_name(number, 0);
        let path = directory.join(&name);
        let damaged = |what: &'static str| Error::corrupt(format!("blocks/{name}"), 0, what);
        let file = match open_member(vfs.as_ref(), &path, OpenMode::Read)? {
            Member::File(file) => file,
            Member::Absent(what) => return Err(damaged(what)),
        };
        let mut bytes = [0; CHUNK_HEADER_BYTES];
        if file.len()? < to_u64(bytes.len()) {
            return Err(damaged("the chunk's file ends inside its header"));
        }
        file.read_at(0, &mut bytes)?;
        let header = ChunkHeader::decode(&bytes, &options.uuid)
            .filter(|header| header.number == number && header.rewrite == 0)
            .ok_or_else(|| damaged("the chunk's header fails its check"))?;
        let meta = ChunkMeta {
            number,
            rewrite: 0,
            nonce: header.nonce,
            large: true,
            len: first_offset(true),
            table_offset: 0,
            last_seq: 0,
            dead_bytes: 0,
        };
        Ok(Chunk::open(vfs, directory, &meta, capacity, options))
    }

    fn with(
        vfs: &Arc<dyn Vfs>,
        path: PathBuf,
        meta: ChunkMeta,
        capacity: u64,
        options: ChunkOptions,
        writing: Writing,
    ) -> Chunk {
        Chunk {
            vfs: Arc::clone(vfs),
            path,
            fixed: meta,
            capacity,
            options,
            len: AtomicU64::new(meta.len),
            last_seq: AtomicU64::new(meta.last_seq),
            dead_bytes: AtomicU64::new(meta.dead_bytes),
            in_use: AtomicU64::new(0),
            file_len: AtomicU64::new(0),
            mapping: ArcSwapOption::empty(),
            making_map: Mutex::new(()),
            keeps_map: AtomicBool::new(false),
            writing,
        }
    }

    pub(crate) fn number(&self) -> u32 {
        self.fixed.number
    }

    pub(crate) fn nonce(&self) -> u64 {
        self.fixed.nonce
    }

    pub(crate) fn is_large(&self) -> bool {
        self.fixed.large
    }

    /// A rewritten chunk takes no more blocks.
    pub(crate) fn is_rewritten(&self) -> bool {
        self.fixed.rewrite > 0
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// As it goes into the manifest.
    pub(crate) fn meta(&self) -> ChunkMeta {
        ChunkMeta {
            len: self.len(),
            last_seq: self.last_seq.load(Relaxed),
            dead_bytes: self.dead_bytes.load(Relaxed),
            ..self.fixed
        }
    }

    /// End of the blocks that may be read: checkpointed small ones, written large ones. A rewritten file's length.
    pub(crate) fn len(&self) -> u64 {
        self.len.load(Acquire)
    }

    /// Only ever grows, whoever comes first.
    pub(crate) fn set_len(&self, len: u64) {
        self.len.fetch_max(len, Release);
    }

    /// Recovery: what lies beyond is named by no frame.
    pub(super) fn cut_len(&self, len: u64) {
        self.len.store(len, Release);
    }

    /// A commit named a block in here.
    pub(crate) fn named_by(&self, seq: u64) {
        self.last_seq.fetch_max(seq, Relaxed);
    }

    /// Replay: a frame names this large block, so it may be read from now on.
    pub(crate) fn named_large(&self, address: &BlockAddress, seq: u64) {
        self.set_len(large_end(address));
        self.named_by(seq);
    }

    /// A block was written here for a commit that has yet to name it.
    pub(super) fn begin_use(&self) {
        self.in_use.fetch_add(1, AcqRel);
    }

    /// That commit named it, or came to nothing.
    pub(crate) fn end_use(&self) {
        self.in_use.fetch_sub(1, AcqRel);
    }

    /// Whether commits under way have blocks here: it can't be rewritten yet.
    pub(crate) fn is_in_use(&self) -> bool {
        self.in_use.load(Acquire) > 0
    }

    /// Raises the estimate that reclaiming goes by.
    pub(crate) fn add_dead(&self, bytes: u64) {
        self.dead_bytes.fetch_add(bytes, Relaxed);
    }

    pub(super) fn options(&self) -> ChunkOptions {
        self.options
    }

    pub(super) fn capacity(&self) -> u64 {
        self.capacity
    }

    /// Writes at a place of the file; it counts as unsynced then, whatever comes of it.
    pub(crate) fn write(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        if self.is_rewritten() {
            return Err(Error::internal("a rewritten chunk takes no more blocks"));
        }
        let end = offset
            .checked_add(to_u64(bytes.len()))
            .filter(|end| *end <= MAX_CHUNK_BYTES);
        let end = end.ok_or_else(|| Error::internal("a write beyond the end of any chunk"))?;
        self.write_in_place(offset, bytes)?;
        self.file_len.fetch_max(end, Release);
        Ok(())
    }

    /// After a failed write, where nobody has read or reserved anything from `end` on: its disk space is given back.
    /// Where that fails, the next block is written over it.
    pub(super) fn cut_file(&self, end: u64) {
        let Some(file) = self.writing.file() else { return };
        if file.len().is_ok_and(|len| len > end) && file.set_len(end).is_ok() {
            self.file_len.store(end, Release);
        }
    }

    pub(super) fn write_in_place(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.writing
            .write(offset, bytes, &|| self.open_existing(OpenMode::Write))
    }

    /// Zeros where blocks are to come. They don't count as unsynced: it doesn't matter whether the disk ever gets them.
    pub(super) fn fill(&self, from: u64, to: u64) -> Result<()> {
        let file = self.writing.file();
        let file = file.ok_or_else(|| Error::internal("a chunk to be filled is not open"))?;
        write_zeros(file.as_ref(), from, to, FILL_PIECE_BYTES)?;
        self.file_len.fetch_max(to, Release);
        Ok(())
    }

    /// A sync of these bytes comes soon.
    pub(super) fn start_write_back(&self, offset: u64, len: u64) {
        if let Some(file) = self.writing.file() {
            file.start_write_back(offset, len);
        }
    }

    pub(super) fn header(&self) -> Vec<u8> {
        header_bytes(&self.options.uuid, &self.fixed)
    }

    /// `fdatasync`, if anything was written since the last one. Once it failed it fails for good: what the disk has
    /// can't be known any more.
    pub(crate) fn sync(&self) -> Result<()> {
        self.writing.sync()
    }

    pub(crate) fn is_unsynced(&self) -> bool {
        self.writing.unsynced_bytes() > 0
    }

    pub(crate) fn unsynced_bytes(&self) -> u64 {
        self.writing.unsynced_bytes()
    }

    /// Closes the descriptor for writing unless bytes are unsynced; a later write opens it again. To be called once
    /// the chunk is full, since a store has more chunks than a process descriptors.
    pub(crate) fn close_file(&self) {
        self.writing.close();
    }

    /// Gives the map and the descriptor up; slices and views keep what they point into. The next read maps again and
    /// checks again.
    pub(crate) fn drop_map(&self) {
        let _not_while_made = lock(&self.making_map);
        if !self.keeps_map.load(Relaxed) {
            self.mapping.store(None);
        }
        self.close_file();
    }

    /// Before the file is unlinked: whoever still has this chunk reads through a map that is never dropped. Where
    /// mapping fails, such a reader is told that the file is missing.
    pub(crate) fn keep_mapped(&self) {
        {
            let _not_while_dropped = lock(&self.making_map);
            self.keeps_map.store(true, Relaxed);
        }
        let _ = self.map(self.file_len.load(Acquire));
    }

    /// Whether a block at this address can still be here: a rewritten chunk kept some. The address must be one that
    /// was given out.
    pub(crate) fn contains(&self, address: u64) -> Result<bool> {
        if !self.is_rewritten() {
            return Ok(address >= first_offset(self.fixed.large));
        }
        Ok(self.map(0)?.place_of(address, u64::MAX).is_some())
    }

    pub(crate) fn heap_bytes(&self) -> u64 {
        let mapping = self.mapping.load();
        let fixed = to_u64(size_of::<Chunk>().saturating_add(self.path.as_os_str().len()));
        fixed.saturating_add(mapping.as_ref().map_or(0, |mapping| mapping.heap_bytes()))
    }

    /// Address space taken by the map.
    pub(crate) fn mapped_bytes(&self) -> u64 {
        self.mapping
            .load()
            .as_ref()
            .map_or(0, |mapping| mapping.region().len())
    }

    /// The map, covering at least `[0, end)`, all of which the file has. No lock where there is one already.
    pub(super) fn map(&self, end: u64) -> Result<MappingGuard> {
        match MappingGuard::new(self.mapping.load()) {
            Some(mapping) if self.covers(&mapping, end) => Ok(mapping),
            _ => self.make_map(end),
        }
    }

    pub(super) fn covers(&self, mapping: &Mapping, end: u64) -> bool {
        end <= self.file_len.load(Acquire) && end <= mapping.region().len()
    }

    /// Maps, or maps again where the file has outgrown its map.
    #[cold]
    fn make_map(&self, end: u64) -> Result<MappingGuard> {
        let _one_at_a_time = lock(&self.making_map);
        if let Some(mapping) = MappingGuard::new(self.mapping.load()) {
            if self.covers(&mapping, end) {
                return Ok(mapping);
            }
        }
        let file = match self.writing.file() {
            Some(file) => file,
            None => self.open_existing(OpenMode::Read)?,
        };
        let file_len = file.len()?;
        let needed = if self.is_rewritten() {
            self.fixed.len
        } else {
            first_offset(self.fixed.large)
        };
        if file_len < end.max(needed) {
            return Err(self.damaged(file_len, "the chunk's file ends before its blocks do"));
        }
        self.file_len.store(file_len, Release);
        if let Some(mapping) = MappingGuard::new(self.mapping.load()) {
            if self.covers(&mapping, end) {
                return Ok(mapping);
            }
        }
        // What is behind the end of any chunk is nobody's, and no reason to make room for it.
        let map_len = if self.is_rewritten() {
            self.fixed.len
        } else {
            file_len.min(MAX_CHUNK_BYTES).max(self.capacity)
        };
        let region = file.map(map_len)?;
        let header = region
            .bytes(0, to_u64(CHUNK_HEADER_BYTES))
            .and_then(|bytes| ChunkHeader::decode(bytes, &self.options.uuid));
        let expected = ChunkHeader {
            nonce: self.fixed.nonce,
            number: self.fixed.number,
            rewrite: self.fixed.rewrite,
        };
        if header != Some(expected) {
            return Err(self.damaged(0, "the chunk's header fails its check"));
        }
        let moved = if self.is_rewritten() {
            let first = first_offset(self.fixed.large);
            let table = MovedTable::check(&region, &self.fixed, first);
            Some(table.map_err(|what| self.damaged(self.fixed.table_offset, what))?)
        } else {
            None
        };
        let mapping = Arc::new(Mapping::new(region, moved, self.fixed.large));
        self.mapping.store(Some(Arc::clone(&mapping)));
        Ok(MappingGuard::of(mapping))
    }

    /// What the file system says.
    pub(super) fn file_len(&self) -> Result<u64> {
        match self.writing.file() {
            Some(file) => file.len(),
            None => self.open_existing(OpenMode::Read)?.len(),
        }
    }

    /// For reading through a descriptor.
    pub(super) fn open_for_reading(&self) -> Result<Arc<dyn File>> {
        self.open_existing(OpenMode::Read)
    }

    fn open_existing(&self, mode: OpenMode) -> Result<Arc<dyn File>> {
        match open_member(self.vfs.as_ref(), &self.path, mode)? {
            Member::File(file) => Ok(file),
            Member::Absent(what) => Err(self.damaged(0, what)),
        }
    }

    pub(super) fn damaged(&self, offset: u64, what: impl Into<std::borrow::Cow<'static, str>>) -> Error {
        Error::corrupt(
            format!(
                "blocks/{}",
                chunk_file_name(self.fixed.number, self.fixed.rewrite)
            ),
            offset,
            what,
        )
    }
}

/// What a chunk's file begins with, up to its first block.
pub(super) fn header_bytes(uuid: &[u8; 16], meta: &ChunkMeta) -> Vec<u8> {
    let header = ChunkHeader {
        nonce: meta.nonce,
        number: meta.number,
        rewrite: meta.rewrite,
    };
    let mut bytes = header.encode(uuid).to_vec();
    bytes.resize(
        to_usize(first_offset(meta.large)).unwrap_or(CHUNK_HEADER_BYTES),
        0,
    );
    bytes
}

/// Creates the file, in the place of one that a crash left behind.
pub(super) fn create_file(vfs: &Arc<dyn Vfs>, path: &Path) -> Result<Arc<dyn File>> {
    if vfs.entry_kind(path)?.is_some() {
        vfs.unlink(path)?;
    }
    vfs.open(path, OpenMode::CreateNew)
}
