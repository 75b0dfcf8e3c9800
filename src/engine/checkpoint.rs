//! A checkpoint turns a closed generation into a run and its small blocks into chunk bytes, makes both durable,
//! names them in the manifest, and only then lets go of the log.
//!
//! One step writes or syncs some 256 KiB. Abandoning it at any step loses nothing: the log still has everything.

use std::{
    collections::HashMap,
    sync::{atomic::Ordering, Arc},
};

use super::{
    apply::{forged, Contents, Steps},
    commit::Frozen,
    lock,
    observer::{sum, Observer},
    readers::Retired,
    state::State,
    upkeep::STEP_BYTES,
    Engine,
};
use crate::{
    blocks::{chunk_file_name, Chunk, ChunkOptions, ChunkSet, PendingImage},
    error::{Error, Result},
    format::{
        align8,
        block::{BlockHeader, HEADER_BYTES},
        bytes::{to_u64, to_usize},
        frame::{Assigned, Frame, FrameSeed},
        manifest::{ChunkMeta, PartMeta},
    },
    index::{BuildRules, BuildStep, Builder, Merged, Part, Run, LARGE_PIECE_BYTES, SMALL_PIECE_BYTES},
    log::{self, Segment},
    vfs::{is_made, Defect, OpenMode},
};

/// Most data bytes of one part of a run. A merge takes that much space before it gives any back, so the parts of a small
/// index are smaller.
pub(super) const PART_BYTES: u64 = 16 << 20;
const LEAST_PART_BYTES: u64 = 2 << 20;

#[derive(Debug)]
enum Phase {
    /// Small blocks from the log into chunks; the number of frames done.
    Images(usize),
    SyncChunks,
    Index(Box<Builder>),
    SyncNames,
    Publish,
}

#[derive(Debug)]
pub(super) struct Checkpoint {
    frozen: Frozen,
    phase: Phase,
    /// Small chunks written by this checkpoint, and where their blocks end now.
    chunks: Vec<(Arc<Chunk>, u64)>,
    /// Those among them that did not exist before.
    created: Vec<Arc<Chunk>>,
    /// Chunks whose bytes are on disk for the manifest to list them.
    listed: ChunkSet,
    /// How long they were when they were synced. Large blocks may have come since.
    synced: HashMap<u32, u64>,
    parts: Vec<PartMeta>,
    observer: Option<Observer>,
    buffer: Vec<u8>,
}

impl Checkpoint {
    pub(super) fn new(frozen: Frozen) -> Checkpoint {
        Checkpoint {
            frozen,
            phase: Phase::Images(0),
            chunks: Vec::new(),
            created: Vec::new(),
            listed: ChunkSet::new(),
            synced: HashMap::new(),
            parts: Vec::new(),
            observer: None,
            buffer: Vec::new(),
        }
    }

    /// True once the checkpoint is done.
    pub(super) fn step(&mut self, engine: &Engine) -> Result<bool> {
        match &mut self.phase {
            Phase::Images(done) => {
                let done = *done;
                self.phase = match self.write_images(engine, done)? {
                    Some(done) => Phase::Images(done),
                    None => Phase::SyncChunks,
                };
                Ok(false)
            }
            Phase::SyncChunks => {
                self.sync_chunks(engine)?;
                self.sync_kept_log(engine)?;
                self.phase = Phase::Index(Box::new(self.start_index(engine)?));
                Ok(false)
            }
            Phase::Index(builder) => {
                let observer = self
                    .observer
                    .as_mut()
                    .ok_or_else(|| Error::internal("a checkpoint has no observer"))?;
                match builder.step(STEP_BYTES, observer)? {
                    BuildStep::Working => {}
                    BuildStep::Part { meta, .. } => self.parts.push(meta),
                    BuildStep::Done => self.phase = Phase::SyncNames,
                }
                Ok(false)
            }
            Phase::SyncNames => {
                if !self.parts.is_empty() && !is_made(Defect::PartNamesNotSynced) {
                    engine.vfs.sync_directory(&engine.index_directory())?;
                }
                self.phase = Phase::Publish;
                Ok(false)
            }
            Phase::Publish => {
                self.publish(engine)?;
                Ok(true)
            }
        }
    }

    pub(super) fn heap_bytes(&self) -> u64 {
        let index = match &self.phase {
            Phase::Index(builder) => builder.heap_bytes(),
            _ => 0,
        };
        index.saturating_add(to_u64(self.buffer.capacity()))
    }

    /// Takes back what is on disk and in no manifest. The generation stays frozen; the next attempt starts over.
    pub(super) fn abandon(self, engine: &Engine) {
        if let Phase::Index(builder) = self.phase {
            builder.abandon();
        }
        for part in &self.parts {
            let _ = engine.vfs.unlink(&engine.part_path(part.file));
        }
        for chunk in &self.created {
            let _ = engine.vfs.unlink(chunk.path());
        }
    }

    /// Copies the images of some frames; `None` when all are done.
    fn write_images(&mut self, engine: &Engine, mut done: usize) -> Result<Option<usize>> {
        let generation = Arc::clone(&self.frozen.generation);
        let mut copied = 0;
        self.buffer.clear();
        let mut target: Option<(Arc<Chunk>, u64)> = None;
        while let Some(image) = generation.pending.get(done) {
            if copied >= STEP_BYTES {
                break;
            }
            let contiguous = target.as_ref().is_some_and(|(chunk, start)| {
                chunk.number() == image.chunk
                    && start.saturating_add(to_u64(self.buffer.len())) == image.offset
            });
            if !contiguous {
                self.flush(&mut target)?;
                target = Some((self.chunk(engine, image.chunk)?, image.offset));
            }
            let bad = || forged(image.segment, image.frame_offset, image.seq);
            let frame_len =
                (image.image_offset.saturating_sub(image.frame_offset)).saturating_add(image.image_len);
            let bytes = image
                .region
                .bytes(image.frame_offset, frame_len)
                .ok_or_else(bad)?;
            let seed = FrameSeed {
                uuid: engine.uuid,
                segment: image.segment,
            };
            let frame = Frame::decode(&seed, bytes).ok_or_else(|| {
                Error::corrupt_commits(
                    format!("log/{}", crate::log::segment_file_name(image.segment)),
                    image.frame_offset,
                    "a frame changed after it was written",
                    image.seq,
                    image.seq,
                )
            })?;
            let assigned = Assigned::decode(frame.assigned).ok_or_else(bad)?;
            let mut steps = Steps::new(Contents {
                command_count: frame.header.command_count,
                commands: frame.commands,
                image_len: frame.header.image_len,
                assigned: &assigned,
            });
            while let Some(step) = steps.next().map_err(|_| bad())? {
                let Some((start, _)) = &step.image else {
                    continue;
                };
                if self.buffer.len() >= STEP_BYTES {
                    self.flush(&mut target)?;
                }
                let (chunk, _) = target.as_ref().ok_or_else(bad)?;
                append_block(
                    &mut self.buffer,
                    chunk.nonce(),
                    image.offset,
                    *start,
                    &step.owner_key(),
                    frame.image,
                )
                .ok_or_else(bad)?;
            }
            let end = image.offset.saturating_add(image.image_len);
            self.extend_chunk(image.chunk, end, image.seq);
            copied = copied.saturating_add(to_usize(frame_len).unwrap_or(usize::MAX));
            done = done.saturating_add(1);
        }
        self.flush(&mut target)?;
        Ok(generation.pending.get(done).map(|_| done))
    }

    /// Writes the buffer to its chunk and moves the target behind it.
    fn flush(&mut self, target: &mut Option<(Arc<Chunk>, u64)>) -> Result<()> {
        if let Some((chunk, start)) = target {
            if !self.buffer.is_empty() {
                chunk.write(*start, &self.buffer)?;
                *start = start.saturating_add(to_u64(self.buffer.len()));
                self.buffer.clear();
            }
        }
        Ok(())
    }

    /// The chunk that small blocks go to: one that exists, or a new one.
    fn chunk(&mut self, engine: &Engine, number: u32) -> Result<Arc<Chunk>> {
        if let Some((chunk, _)) = self.chunks.iter().find(|(chunk, _)| chunk.number() == number) {
            return Ok(Arc::clone(chunk));
        }
        let known = engine.state.load().chunks.get(number).cloned();
        let chunk = match known {
            Some(chunk) => chunk,
            None => {
                let path = engine.blocks_directory().join(chunk_file_name(number, 0));
                engine.readers.forget(&path);
                let chunk = Chunk::create(
                    &engine.vfs,
                    &engine.blocks_directory(),
                    number,
                    engine.random_u64()?,
                    false,
                    engine.chunk_bytes,
                    engine.chunk_options(),
                )?;
                self.created.push(Arc::clone(&chunk));
                chunk
            }
        };
        self.chunks.push((Arc::clone(&chunk), chunk.len()));
        Ok(chunk)
    }

    fn extend_chunk(&mut self, number: u32, to: u64, seq: u64) {
        if let Some((chunk, end)) = self.chunks.iter_mut().find(|(chunk, _)| chunk.number() == number) {
            *end = (*end).max(to);
            chunk.named_by(seq);
        }
    }

    /// Every chunk with a block of this generation or of an earlier one reaches the disk.
    fn sync_chunks(&mut self, engine: &Engine) -> Result<()> {
        self.listed = engine.state.load().chunks.clone();
        self.synced = self
            .listed
            .iter()
            .map(|chunk| (chunk.number(), chunk.len()))
            .collect();
        engine.rewrite_unproven()?;
        // A file whose sync failed once fails for good. Only those that the next attempt makes anew can be tried again.
        engine.large.sync_all().map_err(Error::lasting)?;
        for (chunk, _) in self.chunks.iter().filter(|_| !is_made(Defect::ChunksNotSynced)) {
            let is_new = self.created.iter().any(|created| Arc::ptr_eq(created, chunk));
            chunk
                .sync()
                .map_err(|error| if is_new { error } else { error.lasting() })?;
        }
        for chunk in self.listed.iter() {
            if chunk.is_unsynced() {
                chunk.sync().map_err(Error::lasting)?;
            }
        }
        if !self.created.is_empty() && !is_made(Defect::ChunkNamesNotSynced) {
            engine.vfs.sync_directory(&engine.blocks_directory())?;
        }
        Ok(())
    }

    /// Recovery will not need the log up to here, but followers ask for it: a crash must leave no hole there.
    fn sync_kept_log(&self, engine: &Engine) -> Result<()> {
        if engine.options.log_retention_bytes == 0 || is_made(Defect::KeptLogNotSynced) {
            return Ok(());
        }
        let from = lock(&engine.manifest).current().log;
        let segments = lock(&engine.append).appender.segments();
        for segment in segments
            .iter()
            .filter(|segment| (from.segment..=self.frozen.position.segment).contains(&segment.number()))
        {
            if segment.is_of_this_opening() {
                segment.sync().map_err(Error::lasting)?;
            } else {
                let start = if segment.number() == from.segment {
                    from.offset
                } else {
                    0
                };
                write_again(engine, segment, start)?;
            }
        }
        Ok(())
    }

    fn start_index(&mut self, engine: &Engine) -> Result<Builder> {
        let state = engine.state.load_full();
        let bottom = state.runs.is_empty();
        // In this order: a snapshot that isn't on the list yet sees nothing older than the newest commit.
        let last_seq = engine.last_seq();
        let snapshots = engine.snapshot_seqs();
        self.observer = Some(Observer::new(&state, &snapshots, last_seq, false));
        Builder::new(
            Arc::clone(&engine.vfs),
            engine.index_directory(),
            engine.uuid,
            Arc::clone(&engine.next_file),
            Merged::new(&[Arc::clone(&self.frozen.generation.memtable)], &[]),
            None,
            BuildRules {
                snapshots,
                bottom,
                part_bytes: engine.part_bytes(),
                piece_bytes: engine.piece_bytes(),
            },
        )
    }

    fn publish(&mut self, engine: &Engine) -> Result<()> {
        let seq = self.frozen.last_seq;
        let segments = lock(&engine.append).appender.segments();
        let first_segment = first_kept_segment(
            &segments,
            self.frozen.position.segment,
            engine.options.log_retention_bytes,
        );

        let first_log_seq = if engine.options.log_retention_bytes == 0 {
            seq.saturating_add(1)
        } else {
            let kept = log::first_seq(&engine.vfs, &engine.log_directory(), engine.uuid, first_segment)?;
            // What was given up once stays so: its blocks may be gone.
            kept.unwrap_or(u64::MAX)
                .min(seq.saturating_add(1))
                .max(engine.first_log_seq()?)
        };

        let run = (!self.parts.is_empty()).then(|| {
            let parts: Vec<Arc<Part>> = self.parts.iter().map(|meta| engine.open_part(meta)).collect();
            let id = engine.next_file.fetch_add(1, Ordering::Relaxed);
            Arc::new(Run::new(id, parts, None, None))
        });
        if let Some(observer) = &mut self.observer {
            observer.book_dead(engine);
        }
        let change = self.observer.as_ref().map(Observer::change).unwrap_or_default();
        let dropped = sum(&lock(&engine.dropped), &change);
        // Of what was synced, that which no reclaim has dropped or replaced since.
        let mut listed = engine.state.load().chunks.common(&self.listed);
        for (chunk, end) in &self.chunks {
            listed = listed.with(Arc::clone(chunk));
            chunk.set_len((*end).max(chunk.len()));
            // A commit up to here may have named a block that had no chunk yet.
            chunk.named_by(seq);
            if let Some(bytes) = lock(&engine.dead_early).remove(&chunk.number()) {
                chunk.add_dead(bytes);
            }
        }
        // In order of their numbers, as the set is.
        let metas: Vec<ChunkMeta> = listed
            .iter()
            .map(|chunk| {
                let mut meta = chunk.meta();
                if meta.large && meta.rewrite == 0 {
                    meta.len = self
                        .synced
                        .get(&meta.number)
                        .map_or(meta.len, |len| meta.len.min(*len));
                }
                meta
            })
            .collect();
        let frozen = &self.frozen;
        let newest =
            is_made(Defect::PositionOfNewestCommit).then(|| lock(&engine.append).appender.position());
        if is_made(Defect::LogReleasedEarly) {
            for segment in segments.iter().filter(|segment| segment.number() < first_segment) {
                let name = log::segment_file_name(segment.number());
                let _ = engine.vfs.unlink(&engine.log_directory().join(name));
            }
        }
        let generation = engine.edit_manifest(|manifest| {
            manifest.checkpoint_seq = seq;
            manifest.durable_seq = manifest.durable_seq.max(seq);
            manifest.log = newest.unwrap_or(frozen.position);
            manifest.first_segment = first_segment;
            manifest.first_log_seq = first_log_seq;
            manifest.small_chunk = frozen.small_chunk;
            manifest.small_offset = frozen.small_offset;
            manifest.next_stream_id = frozen.next_stream_id;
            manifest.counts = sum(&frozen.counts, &dropped);
            manifest.chunks = metas;
            if let Some(run) = &run {
                manifest.runs.insert(0, run.meta());
            }
        })?;
        if let Some(observer) = &mut self.observer {
            observer.book_counts(engine);
        }

        let released = {
            let mut append = lock(&engine.append);
            for chunk in &self.created {
                // Commits up to now may have named a block in there, and found no chunk to tell.
                chunk.named_by(append.next_seq.saturating_sub(1));
            }
            engine.state.rcu(|state| {
                let mut next: State = (**state).clone();
                next.generations
                    .retain(|generation| !Arc::ptr_eq(generation, &frozen.generation));
                if let Some(run) = &run {
                    next.runs.insert(0, Arc::clone(run));
                }
                for (chunk, _) in &self.chunks {
                    next.chunks = next.chunks.with(Arc::clone(chunk));
                }
                next
            });
            append.frozen = None;
            append.appender.release_before(first_segment)
        };
        for (chunk, _) in &self.chunks {
            if chunk.number() != frozen.small_chunk {
                chunk.close_file();
            }
        }
        engine.set_garbage_threshold();
        engine.unproven.store(false, Ordering::Release);
        lock(&engine.unproven_large).clear();
        engine.background.finished_something();
        engine.group.advance(seq);
        for segment in released {
            engine.readers.retire(generation, Retired::Segment(segment));
        }
        engine.counters.syncs.fetch_add(1, Ordering::Relaxed);
        engine.counters.checkpoints.fetch_add(1, Ordering::Relaxed);
        engine.note_checkpointed(frozen.generation.log_bytes.load(Ordering::Relaxed));
        engine.end_of_jobs();
        engine.tend_reserve();
        Ok(())
    }
}

/// Writes what replay found in a segment to its place once more, and syncs it: as for large blocks, its pages may look
/// clean though the disk never got them.
fn write_again(engine: &Engine, segment: &Segment, start: u64) -> Result<()> {
    let name = log::segment_file_name(segment.number());
    let file = engine
        .vfs
        .open(&engine.log_directory().join(name), OpenMode::Write)?;
    let mut at = start;
    while engine.unproven.load(Ordering::Acquire) && at < segment.size() {
        let len = to_u64(STEP_BYTES).min(segment.size().saturating_sub(at));
        let piece = segment.region().bytes(at, len);
        // A copy: a write from a map of the same pages is nothing to rely on.
        let piece = piece
            .ok_or_else(|| Error::internal("a segment is shorter than its size"))?
            .to_vec();
        file.write_at(at, &piece)?;
        at = at.saturating_add(len);
    }
    file.sync().map_err(Error::lasting)
}

/// A whole image as its chunk holds it, behind what `out` has.
pub(super) fn finish_image(
    uuid: [u8; 16],
    nonce: u64,
    image: &PendingImage<'_>,
    out: &mut Vec<u8>,
) -> Result<()> {
    let bad = || forged(image.segment, image.frame_offset, image.seq);
    let frame_len = (image.image_offset.saturating_sub(image.frame_offset)).saturating_add(image.image_len);
    let bytes = image
        .region
        .bytes(image.frame_offset, frame_len)
        .ok_or_else(bad)?;
    let seed = FrameSeed {
        uuid,
        segment: image.segment,
    };
    let frame = Frame::decode(&seed, bytes).ok_or_else(bad)?;
    let assigned = Assigned::decode(frame.assigned).ok_or_else(bad)?;
    let mut steps = Steps::new(Contents {
        command_count: frame.header.command_count,
        commands: frame.commands,
        image_len: frame.header.image_len,
        assigned: &assigned,
    });
    while let Some(step) = steps.next().map_err(|_| bad())? {
        if let Some((start, _)) = &step.image {
            append_block(out, nonce, image.offset, *start, &step.owner_key(), frame.image).ok_or_else(bad)?;
        }
    }
    Ok(())
}

/// Puts one small block, as its chunk holds it, behind what the buffer has. `start` is the block's place in the
/// image, whose own place in the chunk is `image_offset`.
fn append_block(
    buffer: &mut Vec<u8>,
    nonce: u64,
    image_offset: u64,
    start: u64,
    owner: &[u8],
    image: &[u8],
) -> Option<()> {
    let bytes = image.get(to_usize(start)?..)?;
    let header = BlockHeader::decode(bytes)?;
    if to_usize(u64::from(header.extra_len))? != owner.len() {
        return None;
    }
    let data_start = HEADER_BYTES.checked_add(owner.len())?;
    let data = bytes.get(data_start..)?.get(..to_usize(header.len)?)?;
    let begin = buffer.len();
    buffer.extend_from_slice(&header.encode(Some((nonce, image_offset.checked_add(start)?)), owner));
    buffer.extend_from_slice(owner);
    buffer.extend_from_slice(data);
    let total = to_usize(align8(to_u64(buffer.len().checked_sub(begin)?)))?;
    buffer.resize(begin.checked_add(total)?, 0);
    Some(())
}

/// Segments before the replay position stay as far as the retention reaches.
fn first_kept_segment(segments: &[Arc<Segment>], position_segment: u64, retention_bytes: u64) -> u64 {
    let mut first = position_segment;
    let mut kept = 0u64;
    for segment in segments
        .iter()
        .rev()
        .filter(|segment| segment.number() < position_segment)
    {
        kept = kept.saturating_add(segment.size());
        if kept > retention_bytes {
            break;
        }
        first = segment.number();
    }
    first
}

impl Engine {
    /// Large blocks of commits that were replayed above the proven one: written again, so that the next sync has
    /// something to sync. Their bytes were checked when the log was replayed.
    fn rewrite_unproven(&self) -> Result<()> {
        if !self.unproven.load(Ordering::Acquire) {
            return Ok(());
        }
        let addresses = lock(&self.unproven_large).clone();
        let state = self.state.load_full();
        for address in addresses {
            if is_made(Defect::LargeBlocksNotRewritten) {
                continue;
            }
            if let Some(chunk) = state.chunks.get(address.chunk) {
                chunk.write_again(&address)?;
            }
        }
        self.vfs.sync_directory(&self.blocks_directory())
    }

    /// Of the parts that are written now.
    pub(super) fn part_bytes(&self) -> u64 {
        (self.state.load().index_bytes() / 16).clamp(LEAST_PART_BYTES, PART_BYTES)
    }

    /// The pieces that they are written in: those of a host that has no thread for it are small.
    pub(super) fn piece_bytes(&self) -> usize {
        match self.options.background {
            true => LARGE_PIECE_BYTES,
            false => SMALL_PIECE_BYTES,
        }
    }

    pub(super) fn chunk_options(&self) -> ChunkOptions {
        ChunkOptions {
            uuid: self.uuid,
            check_every_read: self.options.check == super::Check::EveryRead,
        }
    }
}
