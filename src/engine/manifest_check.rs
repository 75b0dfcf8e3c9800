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
        && manifest.small_offset.is_multiple_of(8)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{engine::open::empty_manifest, format::manifest::PartMeta};

    fn sound() -> Manifest {
        let chunk = |number, rewrite, table_offset| ChunkMeta {
            number,
            rewrite,
            nonce: 1,
            large: false,
            len: 200,
            table_offset,
            last_seq: 3,
            dead_bytes: 0,
        };
        let part = |file, min_key: &[u8], max_key: &[u8]| PartMeta {
            file,
            file_len: 12_288,
            footer_crc: 1,
            entries: 2,
            tombstones: 1,
            min_key: min_key.to_vec(),
            max_key: max_key.to_vec(),
            max_seq: 3,
        };
        let mut manifest = empty_manifest([1; 16], 64 << 10);
        manifest.next_chunk = 3;
        manifest.next_file = 4;
        manifest.small_chunk = 2;
        manifest.small_offset = 200;
        manifest.chunks = vec![chunk(1, 1, 100), chunk(2, 0, 0)];
        manifest.runs = vec![RunMeta {
            id: 3,
            parts: vec![part(1, b"a", b"b"), part(2, b"c", b"c")],
            above: None,
            merging_into: None,
        }];
        manifest
    }

    #[test]
    fn what_the_library_writes_is_sound_and_each_contradiction_is_found() {
        assert_eq!(contradiction(&empty_manifest([1; 16], 64 << 10)), None);
        assert_eq!(contradiction(&sound()), None);
        let breaks: [fn(&mut Manifest); 21] = [
            |manifest| manifest.checkpoint_seq = u64::MAX,
            |manifest| manifest.epoch = u64::MAX,
            |manifest| manifest.counts.kv = i64::MIN,
            |manifest| manifest.counts.blocks = i64::MAX,
            |manifest| manifest.chunk_bytes = 0,
            |manifest| manifest.chunk_bytes = 1 << 47,
            |manifest| manifest.chunks.reverse(),
            |manifest| manifest.next_chunk = 2,
            |manifest| manifest.chunks[0].number = 0,
            |manifest| manifest.chunks[0].len = 1 << 36,
            |manifest| manifest.chunks[0].table_offset = 200,
            |manifest| manifest.chunks[1].table_offset = 8,
            |manifest| manifest.small_chunk = 1,
            |manifest| manifest.small_chunk = 3,
            |manifest| manifest.small_offset = 192,
            |manifest| manifest.small_offset = 204,
            |manifest| manifest.chunks[1].large = true,
            |manifest| manifest.next_file = 3,
            |manifest| manifest.runs[0].merging_into = Some(9),
            |manifest| manifest.runs[0].parts.reverse(),
            |manifest| manifest.runs[0].parts[0].tombstones = 3,
        ];
        for (number, change) in breaks.iter().enumerate() {
            let mut manifest = sound();
            change(&mut manifest);
            assert!(
                contradiction(&manifest).is_some(),
                "break {number} goes unnoticed"
            );
        }
    }
}
