//! What a manifest whose CRC holds must say to be one of this library's. Everything else relies on it: numbers that
//! leave room to count on, lists in order, lengths that can be. A manifest that breaks this was forged, or a defect
//! wrote it; either way it is damage.

use super::open::{LEAST_CHUNK_BYTES, MOST_CHUNK_BYTES};
use crate::{
    blocks::MAX_CHUNK_BYTES,
    format::manifest::{ChunkMeta, Manifest, RunMeta},
};

/// Nothing counts as far as this; twice of it still fits into an i64.
const MOST: u64 = 1 << 61;

/// What can't be, if anything.
pub(super) fn contradiction(manifest: &Manifest) -> Option<&'static str> {
    let numbers = [
        manifest.epoch,
        manifest.generation,
        manifest.checkpoint_seq,
        manifest.durable_seq,
        manifest.log.segment,
        manifest.log.offset,
        manifest.first_segment,
        manifest.first_log_seq,
        manifest.next_file,
        manifest.next_stream_id,
    ];
    let counts = manifest.counts;
    let counts = [
        counts.kv,
        counts.memories,
        counts.streams,
        counts.stream_records,
        counts.blocks,
    ];
    if numbers.iter().any(|number| *number > MOST) || counts.iter().any(|count| count.unsigned_abs() > MOST) {
        return Some("a number is larger than any that was counted");
    }
    if !(LEAST_CHUNK_BYTES..=MOST_CHUNK_BYTES).contains(&manifest.chunk_bytes) {
        return Some("no chunk has such a size");
    }
    let ascend = manifest.chunks.is_sorted_by(|one, next| one.number < next.number);
    if !ascend || !manifest.chunks.iter().all(|chunk| is_sound(chunk, manifest)) {
        return Some("the list of chunks makes no sense");
    }
    if manifest.small_chunk >= manifest.next_chunk.max(1) || !small_chunk_takes_more(manifest) {
        return Some("small blocks would go where none can be");
    }
    if !manifest.runs.iter().all(|run| run_is_sound(run, manifest)) {
        return Some("the list of runs makes no sense");
    }
    None
}

fn is_sound(chunk: &ChunkMeta, manifest: &Manifest) -> bool {
    (1..manifest.next_chunk).contains(&chunk.number)
        && chunk.len <= MAX_CHUNK_BYTES
        && chunk.last_seq <= MOST
        && chunk.dead_bytes <= MOST
        && match chunk.rewrite {
            0 => chunk.table_offset == 0,
            _ => chunk.table_offset < chunk.len,
        }
}

fn small_chunk_takes_more(manifest: &Manifest) -> bool {
    let chunk = manifest
        .chunks
        .iter()
        .find(|chunk| chunk.number == manifest.small_chunk);
    manifest.small_offset <= MAX_CHUNK_BYTES
        && chunk.is_none_or(|chunk| chunk.rewrite == 0 && !chunk.large && manifest.small_offset >= chunk.len)
}

fn run_is_sound(run: &RunMeta, manifest: &Manifest) -> bool {
    let known = |number: u64| (1..manifest.next_file).contains(&number);
    known(run.id)
        && run.merging_into.is_none_or(known)
        && run.parts.iter().all(|part| {
            known(part.file)
                && part.min_key <= part.max_key
                && part.tombstones <= part.entries
                && part.max_seq <= MOST
        })
        && run.parts.is_sorted_by(|one, next| one.max_key < next.min_key)
}
