//! What a store is made of, file by file, for whoever draws a picture of it. Beside a writer in another process a
//! read-only opening tells of the state that it stands at.

use super::{lock, Engine};
use crate::{error::Result, format::bytes::to_u64, log};

/// A store's files, and what is known of what is in them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Anatomy {
    pub uuid: [u8; 16],
    /// Counts manifests.
    pub generation: u64,
    /// Of the newest opening that wrote.
    pub epoch: u64,
    /// Newest commit in runs and chunks; those above it are in the log only.
    pub checkpoint_seq: u64,
    pub chunk_bytes: u64,
    /// In the order of their numbers.
    pub chunks: Vec<ChunkFigures>,
    /// Newest first.
    pub runs: Vec<RunFigures>,
    /// Log files, ascending.
    pub segments: Vec<SegmentFigures>,
}

/// A chunk. Bytes; what is dead in it is an estimate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChunkFigures {
    pub number: u32,
    /// Has large blocks only, which are written past the log.
    pub large: bool,
    /// Was rewritten to get back the space of dead blocks.
    pub rewritten: bool,
    pub live_bytes: u64,
    pub dead_bytes: u64,
}

/// A sorted file, or several, of the index.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RunFigures {
    pub id: u64,
    pub parts: u64,
    pub bytes: u64,
    pub entries: u64,
    /// How many of the entries are deletions.
    pub tombstones: u64,
    /// A merge is under way and has taken a part of it over.
    pub merging: bool,
}

/// A file of the log.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SegmentFigures {
    pub number: u64,
    pub bytes: u64,
}

impl Engine {
    pub(crate) fn anatomy(&self) -> Result<Anatomy> {
        let (manifest, state) = {
            // A reader's refresh changes both while it holds this lock.
            let manifest = lock(&self.manifest);
            (manifest.current().clone(), self.state.load_full())
        };
        let chunks = state.chunks.iter().map(|chunk| {
            let meta = chunk.meta();
            let dead_bytes = meta.dead_bytes.min(meta.len);
            ChunkFigures {
                number: meta.number,
                large: meta.large,
                rewritten: chunk.is_rewritten(),
                live_bytes: meta.len.saturating_sub(dead_bytes),
                dead_bytes,
            }
        });
        let runs = state.runs.iter().map(|run| RunFigures {
            id: run.id(),
            parts: to_u64(run.parts().len()),
            bytes: run.bytes(),
            entries: run.entries(),
            tombstones: run.parts().iter().map(|part| part.meta().tombstones).sum(),
            merging: run.merging_into().is_some(),
        });
        let chunks = chunks.collect();
        let runs = runs.collect();
        let segments = log::segment_files(self.vfs.as_ref(), &self.log_directory())?;
        Ok(Anatomy {
            uuid: manifest.uuid,
            generation: manifest.generation,
            epoch: manifest.epoch,
            checkpoint_seq: manifest.checkpoint_seq,
            chunk_bytes: manifest.chunk_bytes,
            chunks,
            runs,
            segments: segments
                .into_iter()
                .map(|(number, bytes)| SegmentFigures { number, bytes })
                .collect(),
        })
    }
}
