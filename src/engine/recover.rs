//! Recovery: the manifest says what is in runs and chunks, the log has the rest. Reads only.
//!
//! Frames are applied in order up to the first that is not whole; a large block that a frame above the proven seq
//! names must be whole too, else the log ends before that frame. What lies behind the end is looked at for
//! evidence that the end had been durable, which makes it damage instead of a torn tail.

use std::{path::Path, sync::Arc};

use super::{
    apply::{self, Contents, Steps, Tally},
    readers::Readers,
    sorter::{Kept, Sorter, REPLAYED_BYTES},
    stale,
    state::{Generation, State},
    Options, Recovery, Verdict,
};
use crate::{
    blocks::{large_end, Chunk, ChunkOptions, ChunkSet, PendingImage, MAX_CHUNK_BYTES},
    error::{Error, Result},
    format::{
        block::BlockAddress,
        bytes::to_u64,
        command::BlockSource,
        frame::{Assigned, Frame},
        manifest::{Counts, LogPosition, Manifest},
    },
    index::{Part, Run, SpareArenas},
    log::{self, ReplayEnd, ReplayStart, Segment},
    vfs::{is_made, Defect, Vfs},
};

/// What recovery works from.
pub(super) struct Sources<'a> {
    pub(super) vfs: &'a Arc<dyn Vfs>,
    pub(super) root: &'a Path,
    pub(super) manifest: &'a Manifest,
    pub(super) options: &'a Options,
    pub(super) readers: &'a Readers,
}

/// What it comes to.
pub(super) struct Recovered {
    pub(super) state: State,
    pub(super) recovery: Recovery,
    pub(super) position: LogPosition,
    pub(super) segments: Vec<Arc<Segment>>,
    pub(super) highest_segment: u64,
    pub(super) next_chunk: u32,
    pub(super) next_stream_id: u64,
    pub(super) small_chunk: u32,
    pub(super) small_offset: u64,
    pub(super) active_large: Option<(Arc<Chunk>, u64)>,
    pub(super) unproven_large: Vec<BlockAddress>,
    /// Whole frames up to this epoch were left out, since a large block that one of them names is not whole; 0: none.
    pub(super) undone_epoch: u64,
    pub(super) counts: Counts,
}

/// What replayed frames add up to.
struct Replayed {
    generation: Arc<Generation>,
    sorter: Sorter,
    chunks: ChunkSet,
    tally: Tally,
    scratch: apply::Scratch,
    commits: u64,
    next_chunk: u32,
    next_stream_id: u64,
    small_chunk: u32,
    small_offset: u64,
    /// Large blocks with the commit that names them.
    large: Vec<(u64, BlockAddress)>,
}

pub(super) fn recover(sources: &Sources<'_>, start_us: u64) -> Result<Recovered> {
    let mut limit = u64::MAX;
    let unknown_part = stale::unknown_part(sources)?;
    let (replayed, mut end) = loop {
        let (replayed, end) = replay(sources, limit)?;
        match first_broken_large(&replayed, end.proven_seq, sources.options.salvage)? {
            // The commit was never durable: the log ends before it.
            Some(seq) => limit = seq.saturating_sub(1),
            None => break (replayed, end),
        }
    };
    let cut_short = limit != u64::MAX;
    if let Some(part) = unknown_part.filter(|_| end.damage.is_none()) {
        end.damage = stale::damage(sources, &part, end.last_seq, end.highest_number);
    }
    if let Some(damage) = &end.damage {
        if !sources.options.salvage && !is_made(Defect::DamageTakenForTornTail) {
            return Err(damage.clone());
        }
    }
    let verdict = if is_made(Defect::DamageTakenForTornTail) && end.damage.is_some() {
        Verdict::TornTail
    } else if end.damage.is_some() {
        Verdict::Damaged
    } else if end.torn || cut_short {
        Verdict::TornTail
    } else if replayed.commits > 0 {
        Verdict::Replayed
    } else {
        Verdict::Clean
    };
    let recovery = Recovery {
        verdict,
        last_seq: end.last_seq,
        proven_seq: match &end.damage {
            // What is missing had been durable, too.
            Some(Error::Corrupt(damage)) => end.proven_seq.max(damage.last_seq),
            _ => end.proven_seq.min(end.last_seq),
        },
        replayed_commits: replayed.commits,
        replayed_bytes: end.replayed_bytes,
        dropped_bytes: end.dropped_bytes,
        elapsed_us: sources.vfs.now_us().saturating_sub(start_us),
    };
    if sources.options.read_only {
        if let Some(description) = sources.readers.description() {
            for segment in &end.segments {
                segment.region().keep_alive(Arc::new(Arc::clone(&description)));
            }
        }
    }
    let active_large = active_large(&replayed, sources.manifest.chunk_bytes);
    let unproven_large = replayed
        .large
        .iter()
        .filter(|(seq, _)| *seq > end.proven_seq)
        .map(|(_, address)| *address)
        .collect();
    let state = State {
        generations: vec![Arc::clone(&replayed.generation)],
        runs: open_runs(sources),
        chunks: replayed.chunks,
        mapped_cap: sources.options.mapped_bytes,
        hold: if sources.options.read_only {
            sources.readers.description()
        } else {
            None
        },
        stands_at: sources.options.read_only.then_some(end.last_seq),
    };
    Ok(Recovered {
        state,
        recovery,
        position: end.position,
        highest_segment: end.highest_number,
        segments: end.segments,
        next_chunk: replayed.next_chunk,
        next_stream_id: replayed.next_stream_id,
        small_chunk: replayed.small_chunk,
        small_offset: replayed.small_offset,
        active_large,
        unproven_large,
        undone_epoch: if cut_short { sources.manifest.epoch } else { 0 },
        counts: replayed.tally.counts,
    })
}

fn chunk_options(sources: &Sources<'_>) -> ChunkOptions {
    ChunkOptions {
        uuid: sources.manifest.uuid,
        check_every_read: sources.options.check == super::Check::EveryRead,
    }
}

fn open_runs(sources: &Sources<'_>) -> Vec<Arc<Run>> {
    let check_every_read = sources.options.check == super::Check::EveryRead;
    let uuid = sources.manifest.uuid;
    let open = |meta: &crate::format::manifest::PartMeta| {
        let path = sources
            .root
            .join("index")
            .join(crate::index::part_file_name(meta.file));
        if sources.options.salvage {
            return Part::salvaged(Arc::clone(sources.vfs), path, uuid, meta.clone());
        }
        Part::new(
            Arc::clone(sources.vfs),
            path,
            uuid,
            meta.clone(),
            check_every_read,
        )
    };
    let runs = sources.manifest.runs.iter();
    runs.map(|meta| {
        let parts = meta.parts.iter().map(open).collect();
        Arc::new(Run::new(meta.id, parts, meta.above.clone(), meta.merging_into))
    })
    .collect()
}

/// Plays the log up to commit `limit`.
fn replay(sources: &Sources<'_>, limit: u64) -> Result<(Replayed, ReplayEnd)> {
    let manifest = sources.manifest;
    let directory = sources.root.join("blocks");
    let options = chunk_options(sources);
    let open = |meta| Chunk::open(sources.vfs, &directory, meta, manifest.chunk_bytes, options);
    let chunks: ChunkSet = manifest.chunks.iter().map(open).collect();
    // For this memtable and those that come after it: what one leaves, which has as much at most.
    let arenas = Arc::new(SpareArenas::new(sources.options.memory_bytes / 4));
    let generation = Generation::new(arenas);
    let mut replayed = Replayed {
        sorter: Sorter::new(Arc::clone(&generation.memtable), REPLAYED_BYTES, Kept::default()),
        generation,
        chunks,
        tally: Tally {
            counts: manifest.counts,
            deleted: 0,
        },
        scratch: apply::Scratch::default(),
        commits: 0,
        next_chunk: manifest.next_chunk,
        next_stream_id: manifest.next_stream_id,
        small_chunk: manifest.small_chunk,
        small_offset: manifest.small_offset,
        large: Vec::new(),
    };
    let start = ReplayStart {
        position: manifest.log,
        checkpoint_seq: manifest.checkpoint_seq,
        epoch: manifest.epoch,
        durable_seq: manifest.durable_seq,
        limit,
        salvage: sources.options.salvage,
        beside_writer: sources.options.read_only && !sources.options.salvage,
    };
    let end = log::replay(
        sources.vfs,
        &sources.root.join("log"),
        manifest.uuid,
        manifest.first_segment,
        start,
        &mut |frame, segment, offset| replayed.apply(sources, &directory, options, frame, segment, offset),
    )?;
    replayed.sorter.finish()?;
    Ok((replayed, end))
}

impl Replayed {
    fn apply(
        &mut self,
        sources: &Sources<'_>,
        directory: &Path,
        options: ChunkOptions,
        frame: &Frame<'_>,
        segment: &Arc<Segment>,
        offset: u64,
    ) -> Result<()> {
        let seq = frame.header.seq;
        // The frame's CRCs hold, so what does not add up in it was written that way, or forged.
        let bad = |what: &'static str| {
            Error::corrupt_commits(
                format!("log/{}", log::segment_file_name(segment.number())),
                offset,
                what,
                seq,
                seq,
            )
        };
        let assigned = Assigned::decode(frame.assigned)
            .ok_or_else(|| bad("a frame's assigned section makes no sense"))?;
        let contents = Contents {
            command_count: match is_made(Defect::HalfBatchReplayed) {
                true => frame.header.command_count.div_ceil(2),
                false => frame.header.command_count,
            },
            commands: frame.commands,
            image_len: frame.header.image_len,
            assigned: &assigned,
        };
        let inconsistent = |_| bad("a frame's commands make no sense");
        apply::apply(&self.sorter, seq, contents, &mut self.tally, &mut self.scratch)
            .map_err(inconsistent)?;
        let mut steps = Steps::new(contents);
        while let Some(step) = steps.next().map_err(inconsistent)? {
            match step.command.block() {
                Some(BlockSource::Large(address)) => {
                    self.large.push((seq, *address));
                    self.name_chunk(sources, directory, options, address, seq)?;
                }
                Some(BlockSource::Named(address)) => {
                    // A small chunk that the manifest doesn't list is still to be made from the log.
                    if let Some(chunk) = self.chunks.get(address.chunk) {
                        chunk.named_by(seq);
                    }
                }
                _ => {}
            }
        }
        if !frame.image.is_empty() {
            // Where a checkpoint will write: behind all blocks that are there, in a chunk that takes more.
            let chunk = self.chunks.get(assigned.chunk);
            let is_behind = chunk.is_none_or(|chunk| {
                !chunk.is_large() && !chunk.is_rewritten() && assigned.chunk_offset >= chunk.len()
            });
            if assigned.chunk == 0 || !is_behind || apply::image_end(&assigned, frame.image) > MAX_CHUNK_BYTES
            {
                return Err(bad("a frame's blocks lie where no more blocks can be"));
            }
            let image = PendingImage {
                chunk: assigned.chunk,
                offset: assigned.chunk_offset,
                image_len: to_u64(frame.image.len()),
                region: segment.region(),
                image_offset: offset.saturating_add(frame.image_offset),
                frame_offset: offset,
                segment: segment.number(),
                seq,
            };
            if !self.generation.pending.accepts(&image) {
                return Err(bad("a frame's blocks lie below those of the frames before it"));
            }
            self.generation.pending.push(image)?;
            self.small_chunk = assigned.chunk;
            self.small_offset = apply::image_end(&assigned, frame.image);
            self.next_chunk = self.next_chunk.max(assigned.chunk.saturating_add(1));
        }
        for stream in &assigned.streams {
            if !is_made(Defect::StreamIdsReused) {
                self.next_stream_id = self.next_stream_id.max(stream.stream_id.saturating_add(1));
            }
        }
        self.generation
            .last_seq
            .store(seq, std::sync::atomic::Ordering::Release);
        self.generation
            .log_bytes
            .fetch_add(frame.frame_len(), std::sync::atomic::Ordering::Relaxed);
        self.commits = self.commits.saturating_add(1);
        Ok(())
    }

    /// A commit wrote a large block to this chunk; a chunk that came into being since the checkpoint is taken in.
    fn name_chunk(
        &mut self,
        sources: &Sources<'_>,
        directory: &Path,
        options: ChunkOptions,
        address: &BlockAddress,
        seq: u64,
    ) -> Result<()> {
        if self.chunks.get(address.chunk).is_none() {
            let capacity = sources.manifest.chunk_bytes;
            match Chunk::discover(sources.vfs, directory, address.chunk, capacity, options) {
                Ok(chunk) => self.chunks = self.chunks.with(chunk),
                // Its file is not there: where that matters, the block is found broken.
                Err(Error::NotFound | Error::Corrupt { .. }) => {}
                // Nor can it be read, for salvage.
                Err(_) if sources.options.salvage => {}
                Err(error) => return Err(error),
            }
        }
        if let Some(chunk) = self.chunks.get(address.chunk).filter(|chunk| chunk.is_large()) {
            chunk.named_large(address, seq);
        }
        self.next_chunk = self.next_chunk.max(address.chunk.saturating_add(1));
        Ok(())
    }
}

/// The first commit above the proven one with a large block that is not whole.
fn first_broken_large(replayed: &Replayed, proven_seq: u64, salvage: bool) -> Result<Option<u64>> {
    if is_made(Defect::LargeBlocksNotCheckedAtReplay) {
        return Ok(None);
    }
    for (seq, address) in replayed.large.iter().filter(|(seq, _)| *seq > proven_seq) {
        let checked = match replayed.chunks.get(address.chunk) {
            Some(chunk) => chunk.check(address),
            None => Err(Error::NotFound),
        };
        match checked {
            Ok(()) => {}
            Err(Error::NotFound | Error::Corrupt { .. }) => return Ok(Some(*seq)),
            Err(_) if salvage => return Ok(Some(*seq)),
            Err(error) => return Err(error),
        }
    }
    Ok(None)
}

/// The large chunk that still has room, and where its last named block ends. Reserved space behind that, which no
/// frame names, is used again.
fn active_large(replayed: &Replayed, chunk_bytes: u64) -> Option<(Arc<Chunk>, u64)> {
    let chunk = replayed
        .chunks
        .iter()
        .filter(|chunk| chunk.is_large())
        .max_by_key(|chunk| chunk.number())?;
    let meta = chunk.meta();
    let named = replayed
        .large
        .iter()
        .filter(|(_, address)| address.chunk == meta.number);
    let end = named
        .map(|(_, address)| large_end(address))
        .fold(meta.len, u64::max);
    (meta.rewrite == 0 && end < chunk_bytes).then(|| (Arc::clone(chunk), end))
}
