//! Writing large blocks past the log, before their commit has a seq.
//!
//! Space is reserved under a short lock, bytes are written outside it, and a block's head goes last: an address whose
//! block is still being written has no head. Only where a crash left stale blocks behind, below the length that the
//! file had at recovery, is the lock kept while writing: there, old heads may be good, and what keeps them from being
//! found is that the chunk's `len` grows in order.
//!
//! Any thread may append or sync.

use crate::vfs::sync::{
    atomic::{AtomicBool, AtomicU32},
    Mutex,
};
use std::{
    path::PathBuf,
    sync::{atomic::Ordering::Relaxed, Arc},
};

use super::{ahead::Ahead, first_offset, large_header, large_total_bytes, Chunk, ChunkOptions};
use crate::{
    error::{Error, Result},
    format::{
        align4096,
        block::{encode_large_head, BlockAddress},
        bytes::{to_u64, to_usize},
        MAX_VALUE_BYTES,
    },
    vfs::{is_made, lock, Defect, Vfs},
};

/// Data is written in whole units of this, the rest padded with zeros.
const UNIT: usize = 4_096;

/// Appends large blocks to chunks of their own.
#[derive(Debug)]
pub(crate) struct LargeWriter {
    pub(super) vfs: Arc<dyn Vfs>,
    directory: PathBuf,
    pub(super) chunk_bytes: u64,
    next_chunk: Arc<AtomicU32>,
    options: ChunkOptions,
    pub(super) state: Mutex<State>,
    /// A good part of the active chunk is used, and no other one is ready.
    pub(super) wants_next: AtomicBool,
    /// Held for the whole of a step, before `state`.
    pub(super) ahead: Mutex<Option<Ahead>>,
    /// Held for the whole of a sync, before `state`.
    syncing: Mutex<()>,
}

#[derive(Debug, Default)]
pub(super) struct State {
    pub(super) active: Option<Active>,
    /// Ready for when the active one is full.
    pub(super) next: Option<Arc<Chunk>>,
    /// For the active chunk, a next one was asked for.
    asked_for: Option<u32>,
    /// Chunks that may hold unsynced blocks; the active one among them.
    written: Vec<Arc<Chunk>>,
    /// Files made so far, and those whose directory entry is synced.
    created: u64,
    entries_synced: u64,
    failed: Option<Error>,
}

#[derive(Debug)]
pub(super) struct Active {
    pub(super) chunk: Arc<Chunk>,
    pub(super) next: u64,
    /// Made ready ahead: the file is longer than what is reserved.
    pub(super) is_filled: bool,
    /// Below it lie bytes from before a crash.
    stale_end: u64,
}

impl State {
    /// The next sync is to cover this chunk.
    fn track(&mut self, chunk: &Arc<Chunk>) {
        if !self.written.iter().any(|known| Arc::ptr_eq(known, chunk)) {
            self.written.push(Arc::clone(chunk));
        }
    }

    /// Lets no more blocks into the active chunk. Nothing is written beyond what is reserved, so what was made ready there
    /// can be given back. True if that was anything.
    pub(super) fn retire_active(&mut self) -> bool {
        let retired = self.active.take().filter(|active| active.is_filled);
        if let Some(active) = &retired {
            active.chunk.cut_file(active.next);
        }
        retired.is_some()
    }

    /// Takes a reservation back whose write failed, and the disk space with it. What something was reserved behind is
    /// dead.
    fn give_back(&mut self, chunk: &Arc<Chunk>, offset: u64, total: u64) {
        match &mut self.active {
            Some(active)
                if Arc::ptr_eq(&active.chunk, chunk) && active.next == offset.saturating_add(total) =>
            {
                active.next = offset;
                chunk.cut_file(offset);
            }
            _ => chunk.add_dead(total),
        }
    }
}

impl LargeWriter {
    pub(crate) fn new(
        vfs: Arc<dyn Vfs>,
        directory: PathBuf,
        chunk_bytes: u64,
        next_chunk: Arc<AtomicU32>,
        options: ChunkOptions,
    ) -> LargeWriter {
        LargeWriter {
            vfs,
            directory,
            chunk_bytes,
            next_chunk,
            options,
            state: Mutex::default(),
            wants_next: AtomicBool::new(false),
            ahead: Mutex::default(),
            syncing: Mutex::default(),
        }
    }

    /// After recovery, before anything is read or appended: goes on behind `end`, the end of the last block that a
    /// frame or the manifest names. What lies behind is no longer readable and will be written over. A rewritten or
    /// full chunk isn't gone on with.
    pub(crate) fn resume(&self, chunk: Arc<Chunk>, end: u64) {
        let next = align4096(end).max(first_offset(true));
        if !chunk.is_large() || chunk.is_rewritten() || next >= self.chunk_bytes {
            return;
        }
        chunk.cut_len(next);
        // The process that made the file may have been killed before it synced the directory.
        self.track(&chunk);
        let mut state = lock(&self.state);
        state.active = Some(Active {
            chunk,
            next,
            is_filled: false,
            stale_end: u64::MAX,
        });
    }

    /// Has [`LargeWriter::sync_all`] sync a chunk that was written to past this writer (`Chunk::write_again`).
    pub(crate) fn track(&self, chunk: &Arc<Chunk>) {
        let mut state = lock(&self.state);
        state.created = state.created.saturating_add(1);
        state.track(chunk);
    }

    /// The chunk that the next block goes to: not one to rewrite.
    pub(crate) fn active(&self) -> Option<u32> {
        lock(&self.state)
            .active
            .as_ref()
            .map(|active| active.chunk.number())
    }

    /// Lets the next block go to a new chunk, so that the one before can be rewritten.
    pub(crate) fn seal(&self) {
        lock(&self.state).retire_active();
    }

    /// A chunk that is gone, or was rewritten and synced: else its file would stay open, and its space taken.
    pub(crate) fn forget(&self, chunk: &Arc<Chunk>) {
        lock(&self.state)
            .written
            .retain(|known| !Arc::ptr_eq(known, chunk));
    }

    /// As `append`, for a block that is to be synced soon: the disk may begin.
    pub(crate) fn append_hurried(&self, data: &[u8]) -> Result<(BlockAddress, Arc<Chunk>)> {
        self.append_how(data, true)
    }

    /// Writes a block. Nothing is synced. Answers its address and its chunk, which may be new and counts as in use
    /// until the caller ends that. A failure leaves nothing that could be read.
    pub(crate) fn append(&self, data: &[u8]) -> Result<(BlockAddress, Arc<Chunk>)> {
        self.append_how(data, false)
    }

    fn append_how(&self, data: &[u8], hurried: bool) -> Result<(BlockAddress, Arc<Chunk>)> {
        let len = to_u64(data.len());
        if len > MAX_VALUE_BYTES {
            return Err(Error::too_large("a block is shorter than 4 GiB"));
        }
        let total = large_total_bytes(len);
        if first_offset(true).saturating_add(total) > self.chunk_bytes {
            return self.append_alone(data, total, hurried);
        }
        let mut state = lock(&self.state);
        if let Some(error) = &state.failed {
            return Err(error.clone());
        }
        self.make_room(&mut state, total)?;
        let State {
            active: Some(active),
            next,
            asked_for,
            ..
        } = &mut *state
        else {
            return Err(Error::internal("there is no chunk for large blocks"));
        };
        if active.stale_end == u64::MAX {
            active.stale_end = active.chunk.file_len()?;
        }
        let (chunk, offset) = (Arc::clone(&active.chunk), active.next);
        if !hurried && offset >= self.chunk_bytes / 4 && *asked_for != Some(chunk.number()) {
            *asked_for = Some(chunk.number());
            self.wants_next.store(next.is_none(), Relaxed);
        }
        if offset < active.stale_end {
            let address =
                write_block(&chunk, offset, data, total, hurried).inspect_err(|_| chunk.cut_file(offset))?;
            chunk.begin_use();
            active.next = offset.saturating_add(total);
            return Ok((address, chunk));
        }
        active.next = offset.saturating_add(total);
        chunk.begin_use();
        drop(state);
        let address = self.write_reserved(&chunk, offset, data, total, hurried)?;
        Ok((address, chunk))
    }

    /// Writes a block to space that is reserved for it, holding no lock.
    pub(super) fn write_reserved(
        &self,
        chunk: &Arc<Chunk>,
        offset: u64,
        data: &[u8],
        total: u64,
        hurried: bool,
    ) -> Result<BlockAddress> {
        let result = write_block(chunk, offset, data, total, hurried);
        let mut state = lock(&self.state);
        // A sync that ran between the reservation and the last write may have found nothing unsynced in a chunk that
        // is full, and let go of it.
        state.track(chunk);
        if result.is_err() {
            state.give_back(chunk, offset, total);
            chunk.end_use();
        }
        result
    }

    /// A block that is larger than a chunk has one to itself.
    fn append_alone(&self, data: &[u8], total: u64, hurried: bool) -> Result<(BlockAddress, Arc<Chunk>)> {
        if let Some(error) = &lock(&self.state).failed {
            return Err(error.clone());
        }
        let offset = first_offset(true);
        let chunk = self.create(offset.saturating_add(total))?;
        match write_block(&chunk, offset, data, total, hurried) {
            Ok(address) => {
                let mut state = lock(&self.state);
                state.created = state.created.saturating_add(1);
                state.track(&chunk);
                chunk.begin_use();
                Ok((address, chunk))
            }
            Err(error) => {
                // Nobody knows this chunk; if its file stays, the next opening clears it away.
                let _ = self.vfs.unlink(chunk.path());
                Err(error)
            }
        }
    }

    /// Makes the active chunk one that has `total` bytes left.
    fn make_room(&self, state: &mut State, total: u64) -> Result<()> {
        let has_room = |active: &Active| {
            active
                .next
                .checked_add(total)
                .is_some_and(|end| end <= self.chunk_bytes)
        };
        if state.active.as_ref().is_some_and(has_room) {
            return Ok(());
        }
        let ready = state.next.take();
        let is_filled = ready.is_some();
        let chunk = match ready {
            Some(ready) => ready,
            None => self.create(self.chunk_bytes)?,
        };
        state.retire_active();
        let next = first_offset(true);
        state.created = state.created.saturating_add(1);
        state.written.push(Arc::clone(&chunk));
        state.active = Some(Active {
            chunk,
            next,
            is_filled,
            stale_end: next,
        });
        Ok(())
    }

    pub(super) fn create(&self, capacity: u64) -> Result<Arc<Chunk>> {
        let number = self
            .next_chunk
            .fetch_update(Relaxed, Relaxed, |number| number.checked_add(1))
            .map_err(|_| {
                Error::too_large("the store has used up its 2^32 chunk numbers; copy it with a backup")
            })?;
        let mut nonce = [0; 8];
        self.vfs.random(&mut nonce)?;
        let nonce = u64::from_le_bytes(nonce);
        Chunk::create(
            &self.vfs,
            &self.directory,
            number,
            nonce,
            true,
            capacity,
            self.options,
        )
    }

    /// Whether upkeep is to make the next chunk ready. One load.
    pub(crate) fn wants_next(&self) -> bool {
        self.wants_next.load(Relaxed)
    }

    pub(crate) fn unsynced_bytes(&self) -> u64 {
        lock(&self.state)
            .written
            .iter()
            .map(|chunk| chunk.unsynced_bytes())
            .sum()
    }

    /// Makes every block durable whose `append` had returned, file and directory entry. A failure stays.
    pub(crate) fn sync_all(&self) -> Result<()> {
        self.sync_chunks(usize::MAX)
    }

    /// The same for the blocks of the chunk that was begun first, so that fewer are unsynced.
    pub(crate) fn sync_oldest(&self) -> Result<()> {
        self.sync_chunks(1)
    }

    fn sync_chunks(&self, most: usize) -> Result<()> {
        let _one_at_a_time = lock(&self.syncing);
        let (mut chunks, created, entries_synced) = {
            let state = lock(&self.state);
            if let Some(error) = &state.failed {
                return Err(error.clone());
            }
            (state.written.clone(), state.created, state.entries_synced)
        };
        chunks.retain(|chunk| chunk.is_unsynced());
        chunks.truncate(most);
        let result = chunks.iter().try_for_each(|chunk| chunk.sync()).and_then(|()| {
            if created == entries_synced || is_made(Defect::LargeChunkNamesNotSynced) {
                return Ok(());
            }
            self.vfs.sync_directory(&self.directory)
        });
        let mut state = lock(&self.state);
        if let Err(error) = result {
            state.failed = Some(error.clone());
            return Err(error);
        }
        state.entries_synced = created;
        let active = state.active.as_ref().map(|active| active.chunk.number());
        state.written.retain(|chunk| {
            let stays = Some(chunk.number()) == active || chunk.is_unsynced();
            if !stays {
                chunk.close_file();
            }
            stays
        });
        Ok(())
    }
}

fn write_block(chunk: &Chunk, offset: u64, data: &[u8], total: u64, hurried: bool) -> Result<BlockAddress> {
    let start = offset.saturating_add(large_header(to_u64(data.len()), 0).data_offset());
    let (whole, rest) = data
        .split_at_checked(data.len() - data.len() % UNIT)
        .unwrap_or((data, &[]));
    if !whole.is_empty() {
        chunk.write(start, whole)?;
    }
    if !rest.is_empty() {
        let mut padded = rest.to_vec();
        padded.resize(UNIT, 0);
        chunk.write(start.saturating_add(to_u64(whole.len())), &padded)?;
    }
    let (head, crc32c) = encode_large_head(chunk.nonce(), offset, data);
    chunk.write(offset, &head)?;
    if hurried {
        // While the frame is built. Head and bytes go out together: for the head alone the disk would be asked twice.
        chunk.start_write_back(offset, total);
    }
    if is_made(Defect::LargeWriteTooLong) {
        chunk.write(offset.saturating_add(total), &[0; UNIT])?;
    }
    chunk.set_len(offset.saturating_add(total));
    debug_assert_eq!(
        to_usize(total),
        Some(head.len() + data.len().next_multiple_of(UNIT))
    );
    Ok(BlockAddress {
        chunk: chunk.number(),
        crc32c,
        offset,
        len: to_u64(data.len()),
    })
}
