//! Reclaiming: a chunk's live blocks are copied to a new file under the same number, with a table that says where
//! each address went. The old file is not touched; the caller switches over in the manifest and unlinks it later.
//!
//! Small steps, each of which may be the last: what a crash leaves behind is a file that no manifest names, and the
//! next attempt replaces it. A step that failed may be tried again, except after a failed sync. A damaged block that
//! is live ends the rewriting, so that the evidence stays where it is. The caller keeps the chunk from being appended
//! to meanwhile.

use std::{path::PathBuf, sync::Arc};

use super::{
    chunk::{create_file, header_bytes},
    chunk_file_name, first_offset, large_total_bytes,
    moved::{self, Entry, ENTRY_BYTES, TABLE_HEADER_BYTES},
    walk::{walk_placed, Placed},
    Chunk, FoundBlock,
};
use crate::{
    error::{Error, Result},
    format::{
        align4096,
        block::BlockAddress,
        bytes::{to_u64, to_usize},
        manifest::ChunkMeta,
        BLOCK_PAGE_BYTES,
    },
    vfs::{is_made, Defect, File, Vfs},
};

/// Small blocks are collected to this length before they are written.
const COLLECTED_BYTES: usize = 128 * 1_024;
/// Most that is written or synced in one step.
const PIECE_BYTES: u64 = 256 * 1_024;
/// What asking whether a block is live costs, in bytes copied: an index look-up is some hundreds of nanoseconds.
const LOOKUP_BYTES: u64 = 1_024;

/// Entries of the table that are written in one step.
const TABLE_PIECE_ENTRIES: usize = 30 * 1_024;

/// How far a rewriting is.
#[derive(Debug)]
pub(crate) enum RewriteStep {
    Working,
    /// The new file is written and synced, its directory is not.
    Done {
        meta: ChunkMeta,
        chunk: Arc<Chunk>,
    },
    /// Nothing is live: no file was made, the chunk can be dropped.
    Empty,
}

/// Rewrites one chunk. For one thread.
#[derive(Debug)]
pub(crate) struct Rewriter {
    vfs: Arc<dyn Vfs>,
    directory: PathBuf,
    source: Arc<Chunk>,
    /// Of the new file; lengths and estimate are filled in at the end.
    meta: ChunkMeta,
    dead_at_start: u64,
    output: Output,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    /// Walking from this address on.
    Walk(u64),
    /// Looking at candidates, the last one of the list first.
    Candidates(Vec<BlockAddress>),
    /// In the middle of a large block: so many bytes of its data are copied.
    Copy {
        block: BlockAddress,
        done: u64,
        rest: Vec<BlockAddress>,
    },
    /// So many entries of the table are written.
    Table(usize),
    Finish,
    Over,
}

impl Rewriter {
    /// `large_addresses`: for a chunk of large blocks, those that the index names, in any order; without them, and
    /// for small blocks, the chunk is walked.
    pub(crate) fn new(
        vfs: Arc<dyn Vfs>,
        directory: PathBuf,
        chunk: Arc<Chunk>,
        large_addresses: Option<Vec<BlockAddress>>,
    ) -> Result<Rewriter> {
        let old = chunk.meta();
        let rewrite = old
            .rewrite
            .checked_add(1)
            .ok_or_else(|| Error::internal("rewritten too often"))?;
        let phase = if chunk.is_large() {
            Phase::Candidates(candidates(&chunk, large_addresses)?)
        } else {
            Phase::Walk(first_offset(false))
        };
        let meta = ChunkMeta { rewrite, ..old };
        let output = Output::new(
            directory.join(chunk_file_name(old.number, rewrite)),
            header_bytes(&chunk.options().uuid, &meta),
        );
        Ok(Rewriter {
            vfs,
            directory,
            source: chunk,
            meta,
            dead_at_start: old.dead_bytes,
            output,
            phase,
        })
    }

    /// Goes on for about `budget` bytes of work, at most 256 KiB of writing or syncing. `live` is asked once for each
    /// block; a block that dies later counts as dead in the new chunk (`Chunk::add_dead` on the old one is carried
    /// over).
    pub(crate) fn step(
        &mut self,
        budget: usize,
        live: &mut dyn FnMut(&FoundBlock<'_>) -> Result<bool>,
    ) -> Result<RewriteStep> {
        if self.output.unsynced >= PIECE_BYTES {
            self.output.sync()?;
            return Ok(RewriteStep::Working);
        }
        let budget = to_u64(budget).clamp(LOOKUP_BYTES, PIECE_BYTES);
        match &mut self.phase {
            Phase::Walk(_) => self.walk(budget, live),
            Phase::Candidates(_) => self.look_at_candidates(budget, live),
            Phase::Copy { .. } => self.copy(budget),
            Phase::Table(_) => self.write_table(),
            Phase::Finish => self.finish(),
            Phase::Over => Err(Error::internal("a rewriting went on after its end")),
        }
    }

    /// Gives up: the unfinished file goes.
    pub(crate) fn abandon(self) {
        if self.output.file.is_some() {
            drop(self.output.file);
            // Should it stay, the next attempt replaces it.
            let _ = self.vfs.unlink(&self.output.path);
        }
    }

    pub(crate) fn heap_bytes(&self) -> u64 {
        let list = match &self.phase {
            Phase::Candidates(rest) | Phase::Copy { rest, .. } => rest.capacity() * size_of::<BlockAddress>(),
            _ => 0,
        };
        let output = &self.output;
        to_u64(size_of::<Rewriter>() + list + output.collected.capacity())
            .saturating_add(to_u64(output.entries.capacity() * size_of::<Entry>()))
    }

    fn walk(
        &mut self,
        budget: u64,
        live: &mut dyn FnMut(&FoundBlock<'_>) -> Result<bool>,
    ) -> Result<RewriteStep> {
        let Phase::Walk(next) = &mut self.phase else {
            return Ok(RewriteStep::Working);
        };
        let (source, output, vfs) = (&self.source, &mut self.output, &self.vfs);
        let (mut spent, mut at_end) = (0_u64, true);
        // Collected by a step whose write failed.
        if !output.is_full() {
            walk_placed(source, *next, &mut |placed: &Placed<'_>| {
                spent = spent.saturating_add(LOOKUP_BYTES);
                let found = &placed.found;
                if live(found)? {
                    if crc32c::crc32c(placed.data) != found.address.crc32c {
                        return Err(
                            source.damaged(placed.data_place, "the bytes of a block fail their check")
                        );
                    }
                    output.keep(found.address.offset, output.end(), found.total_bytes)?;
                    output.collected.extend_from_slice(placed.bytes);
                    spent = spent.saturating_add(found.total_bytes);
                }
                *next = found.address.offset.saturating_add(found.total_bytes);
                at_end = spent < budget && !output.is_full();
                Ok(at_end)
            })?;
        } else {
            at_end = false;
        }
        if at_end {
            return self.end_of_blocks();
        }
        if output.is_full() {
            output.flush(vfs)?;
        }
        Ok(RewriteStep::Working)
    }

    fn look_at_candidates(
        &mut self,
        budget: u64,
        live: &mut dyn FnMut(&FoundBlock<'_>) -> Result<bool>,
    ) -> Result<RewriteStep> {
        let Phase::Candidates(rest) = &mut self.phase else {
            return Ok(RewriteStep::Working);
        };
        let mut spent = 0_u64;
        while let Some(address) = rest.last().copied() {
            if spent >= budget {
                return Ok(RewriteStep::Working);
            }
            spent = spent.saturating_add(LOOKUP_BYTES);
            let total_bytes = large_total_bytes(address.len);
            if !live(&FoundBlock {
                address,
                owner: &[],
                total_bytes,
            })? {
                rest.pop();
                continue;
            }
            let block = self.source.locate_block(&address).map_err(|error| match error {
                Error::NotFound => self
                    .source
                    .damaged(address.offset, "a live block isn't where its address says"),
                other => other,
            })?;
            if address.offset < self.output.kept_end {
                return Err(self.source.damaged(address.offset, "two live blocks overlap"));
            }
            let head = self
                .source
                .raw(&block.mapping, block.place, block.header.data_offset())?;
            self.output.flush(&self.vfs)?;
            let place = self.output.written;
            self.output.write(&self.vfs, head)?;
            self.output.keep(address.offset, place, total_bytes)?;
            rest.pop();
            self.phase = Phase::Copy {
                block: address,
                done: 0,
                rest: std::mem::take(rest),
            };
            return Ok(RewriteStep::Working);
        }
        self.end_of_blocks()
    }

    fn copy(&mut self, budget: u64) -> Result<RewriteStep> {
        let Phase::Copy { block, done, rest } = &mut self.phase else {
            return Ok(RewriteStep::Working);
        };
        if *done < block.len {
            // Whole pages, so that each is checked once.
            let page = to_u64(BLOCK_PAGE_BYTES);
            let len = (budget / page)
                .max(1)
                .saturating_mul(page)
                .min(block.len.saturating_sub(*done));
            let slice = self.source.read(block, *done, len)?;
            let bytes = slice.bytes();
            let padded_len = to_usize(align4096(len)).unwrap_or(bytes.len());
            if padded_len == bytes.len() {
                self.output.write(&self.vfs, bytes)?;
            } else {
                let mut padded = bytes.to_vec();
                padded.resize(padded_len, 0);
                self.output.write(&self.vfs, &padded)?;
            }
            *done = done.saturating_add(len);
        }
        if *done >= block.len {
            self.phase = Phase::Candidates(std::mem::take(rest));
        }
        Ok(RewriteStep::Working)
    }

    fn end_of_blocks(&mut self) -> Result<RewriteStep> {
        if self.output.entries.is_empty() {
            self.phase = Phase::Over;
            return Ok(RewriteStep::Empty);
        }
        self.output.flush(&self.vfs)?;
        let table_len = ENTRY_BYTES.saturating_mul(to_u64(self.output.entries.len()));
        self.meta.table_offset = self.output.written;
        self.meta.len = self
            .output
            .written
            .saturating_add(TABLE_HEADER_BYTES)
            .saturating_add(table_len);
        self.phase = Phase::Table(0);
        Ok(RewriteStep::Working)
    }

    fn write_table(&mut self) -> Result<RewriteStep> {
        let Phase::Table(written) = &mut self.phase else {
            return Ok(RewriteStep::Working);
        };
        let rest = self.output.entries.get(*written..).unwrap_or_default();
        let count = rest.len().min(TABLE_PIECE_ENTRIES);
        let mut bytes = Vec::new();
        if *written == 0 {
            bytes.extend_from_slice(&moved::encode_header(&self.meta, &self.output.entries));
        }
        bytes.extend_from_slice(&moved::encode_entries(rest.get(..count).unwrap_or_default()));
        self.output.write(&self.vfs, &bytes)?;
        *written = written.saturating_add(count);
        if *written >= self.output.entries.len() {
            self.phase = Phase::Finish;
        }
        Ok(RewriteStep::Working)
    }

    fn finish(&mut self) -> Result<RewriteStep> {
        self.output.sync()?;
        let old = self.source.meta();
        let meta = ChunkMeta {
            last_seq: old.last_seq,
            dead_bytes: old.dead_bytes.saturating_sub(self.dead_at_start),
            ..self.meta
        };
        let source = &self.source;
        let chunk = Chunk::open(
            &self.vfs,
            &self.directory,
            &meta,
            source.capacity(),
            source.options(),
        );
        // Synced, so it may be closed; from here on the file is the caller's.
        self.output.file = None;
        self.phase = Phase::Over;
        Ok(RewriteStep::Done { meta, chunk })
    }
}

/// Large blocks to ask about, the one with the lowest address last.
fn candidates(chunk: &Arc<Chunk>, addresses: Option<Vec<BlockAddress>>) -> Result<Vec<BlockAddress>> {
    let mut list = match addresses {
        Some(list) => list,
        None => {
            let mut list = Vec::new();
            walk_placed(chunk, 0, &mut |placed| {
                list.push(placed.found.address);
                Ok(true)
            })?;
            list
        }
    };
    if list.iter().any(|address| address.chunk != chunk.number()) {
        return Err(Error::internal(
            "a block of another chunk was given to a rewriting",
        ));
    }
    list.sort_unstable_by_key(|address| std::cmp::Reverse((address.offset, address.len, address.crc32c)));
    list.dedup();
    Ok(list)
}

/// The new file. Made when there is something to write to it.
#[derive(Debug)]
struct Output {
    path: PathBuf,
    file: Option<Arc<dyn File>>,
    /// Bytes collected for writing at `written`.
    collected: Vec<u8>,
    written: u64,
    unsynced: u64,
    entries: Vec<Entry>,
    /// Address behind the block that was kept last: one that starts there needs no entry.
    kept_end: u64,
    failed_sync: Option<Error>,
}

impl Output {
    fn new(path: PathBuf, header: Vec<u8>) -> Output {
        Output {
            path,
            file: None,
            collected: header,
            written: 0,
            unsynced: 0,
            entries: Vec::new(),
            kept_end: 0,
            failed_sync: None,
        }
    }

    fn is_full(&self) -> bool {
        self.collected.len() >= COLLECTED_BYTES
    }

    /// Where the next bytes that are collected will lie.
    fn end(&self) -> u64 {
        self.written.saturating_add(to_u64(self.collected.len()))
    }

    /// Notes where the block of `address` goes in the new file.
    fn keep(&mut self, address: u64, place: u64, total_bytes: u64) -> Result<()> {
        if self.entries.is_empty() || address != self.kept_end {
            let entry = Entry::new(address, place);
            self.entries
                .push(entry.ok_or_else(|| Error::internal("a chunk reaches beyond 32 GiB"))?);
        }
        self.kept_end = address.saturating_add(total_bytes);
        Ok(())
    }

    /// Writes what was collected. Fails without a change, so that it can be tried again.
    fn flush(&mut self, vfs: &Arc<dyn Vfs>) -> Result<()> {
        let collected = std::mem::take(&mut self.collected);
        let result = self.write(vfs, &collected);
        self.collected = collected;
        if result.is_ok() {
            self.collected.clear();
        }
        result
    }

    fn write(&mut self, vfs: &Arc<dyn Vfs>, bytes: &[u8]) -> Result<()> {
        let file = match &self.file {
            Some(file) => file,
            None => self.file.insert(create_file(vfs, &self.path)?),
        };
        file.write_at(self.written, bytes)?;
        self.written = self.written.saturating_add(to_u64(bytes.len()));
        self.unsynced = self.unsynced.saturating_add(to_u64(bytes.len()));
        Ok(())
    }

    fn sync(&mut self) -> Result<()> {
        if let Some(error) = &self.failed_sync {
            return Err(error.clone());
        }
        if let Some(file) = self
            .file
            .as_ref()
            .filter(|_| !is_made(Defect::RewrittenChunkNotSynced))
        {
            file.sync()
                .inspect_err(|error| self.failed_sync = Some(error.clone()))?;
        }
        self.unsynced = 0;
        Ok(())
    }
}
