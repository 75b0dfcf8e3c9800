//! The manifest: what the store is made of. The file holds the same contents twice, each copy 4 KiB-aligned under
//! its own CRC: `magic (8) | version u32 | crc u32 | body length u64 | body`, the body being one serde struct in
//! bincode 1.3's fixed little-endian encoding. It is always written whole, beside the old one, and renamed.

use serde::{Deserialize, Serialize};

use super::{
    align4096,
    bytes::{to_u64, to_usize, u32_at, u64_at},
    FORMAT_VERSION,
};

const MAGIC: [u8; 8] = *b"SARSENMF";
const HEADER_BYTES: usize = 24;

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Manifest {
    pub(crate) uuid: [u8; 16],
    /// Of the newest opening that wrote; frames of a higher one prove this manifest stale.
    pub(crate) epoch: u64,
    /// Counts manifests.
    pub(crate) generation: u64,
    /// Newest commit in runs and chunks.
    pub(crate) checkpoint_seq: u64,
    /// Newest commit known durable when this was written; at least `checkpoint_seq`.
    pub(crate) durable_seq: u64,
    /// Where replay starts: the first frame after the checkpoint goes here.
    pub(crate) log: LogPosition,
    /// Oldest segment that is still kept.
    pub(crate) first_segment: u64,
    /// Oldest commit that followers find in the log, with every block it names.
    pub(crate) first_log_seq: u64,
    pub(crate) chunk_bytes: u64,
    pub(crate) next_chunk: u32,
    pub(crate) next_file: u64,
    pub(crate) next_stream_id: u64,
    /// The chunk that small blocks go to next and the address there; chunk 0: none yet.
    pub(crate) small_chunk: u32,
    pub(crate) small_offset: u64,
    pub(crate) counts: Counts,
    pub(crate) chunks: Vec<ChunkMeta>,
    /// Newest first.
    pub(crate) runs: Vec<RunMeta>,
}

/// Estimates for statistics; exact after a compaction.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Counts {
    pub(crate) kv: i64,
    pub(crate) memories: i64,
    pub(crate) streams: i64,
    pub(crate) stream_records: i64,
    pub(crate) blocks: i64,
}

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LogPosition {
    pub(crate) segment: u64,
    pub(crate) offset: u64,
    /// Stored header CRC of the frame before this position.
    pub(crate) previous_crc: u32,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct ChunkMeta {
    pub(crate) number: u32,
    /// Names the file together with the number; see `blocks::chunk_file_name`.
    pub(crate) rewrite: u32,
    pub(crate) nonce: u64,
    pub(crate) large: bool,
    /// Bytes of the file that belong to checkpointed blocks.
    pub(crate) len: u64,
    /// Offset of the table of moved blocks in a rewritten file, else 0.
    pub(crate) table_offset: u64,
    /// Newest commit that named a block in it.
    pub(crate) last_seq: u64,
    /// Estimate.
    pub(crate) dead_bytes: u64,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RunMeta {
    pub(crate) id: u64,
    /// Ascending and disjoint in key.
    pub(crate) parts: Vec<PartMeta>,
    /// The run counts only above this key (a merge has taken the rest over).
    pub(crate) above: Option<Vec<u8>>,
    /// The run that a merge under way is moving this one into.
    pub(crate) merging_into: Option<u64>,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct PartMeta {
    /// `index/<file>.run`
    pub(crate) file: u64,
    pub(crate) file_len: u64,
    /// CRC of the part's footer: tells an older copy of the file.
    pub(crate) footer_crc: u32,
    pub(crate) entries: u64,
    pub(crate) tombstones: u64,
    pub(crate) min_key: Vec<u8>,
    pub(crate) max_key: Vec<u8>,
    pub(crate) max_seq: u64,
}

/// What reading a manifest file gave.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Decoded {
    /// `bad_copy` is the byte offset of a copy that failed its check, if one did.
    Good {
        manifest: Box<Manifest>,
        bad_copy: Option<u64>,
    },
    NewerVersion(u32),
    NotAManifest,
    /// It is a manifest, but neither copy passes its check.
    Bad,
}

impl Manifest {
    /// The whole file.
    pub(crate) fn encode(&self) -> Vec<u8> {
        let body = bincode::serialize(self).unwrap_or_default();
        let mut copy = MAGIC.to_vec();
        copy.extend_from_slice(&FORMAT_VERSION.to_le_bytes());
        copy.extend_from_slice(&copy_crc(FORMAT_VERSION, &body).to_le_bytes());
        copy.extend_from_slice(&to_u64(body.len()).to_le_bytes());
        copy.extend_from_slice(&body);
        copy.resize(to_usize(align4096(to_u64(copy.len()))).unwrap_or(copy.len()), 0);
        copy.extend_from_within(..);
        copy
    }

    pub(crate) fn decode(file: &[u8]) -> Decoded {
        let half = file.len() / 2;
        let (first, second) = file.split_at_checked(half).unwrap_or_default();
        if let Some(version) = [first, second].iter().find_map(|copy| newer_version(copy)) {
            return Decoded::NewerVersion(version);
        }
        match (decode_copy(first), decode_copy(second)) {
            (Some(manifest), Some(twin)) if manifest == twin => Decoded::Good {
                manifest: Box::new(manifest),
                bad_copy: None,
            },
            (Some(_), Some(_)) => Decoded::Bad,
            (Some(manifest), None) => Decoded::Good {
                manifest: Box::new(manifest),
                bad_copy: Some(to_u64(half)),
            },
            (None, Some(manifest)) => Decoded::Good {
                manifest: Box::new(manifest),
                bad_copy: Some(0),
            },
            (None, None) if first.starts_with(&MAGIC) || second.starts_with(&MAGIC) => Decoded::Bad,
            (None, None) => Decoded::NotAManifest,
        }
    }
}

fn copy_crc(version: u32, body: &[u8]) -> u32 {
    let crc = crc32c::crc32c(&version.to_le_bytes());
    let crc = crc32c::crc32c_append(crc, &to_u64(body.len()).to_le_bytes());
    crc32c::crc32c_append(crc, body)
}

/// A copy's version if its CRC holds and the version is above this library's.
fn newer_version(copy: &[u8]) -> Option<u32> {
    let (version, _) = checked_body(copy)?;
    (version > FORMAT_VERSION).then_some(version)
}

fn checked_body(copy: &[u8]) -> Option<(u32, &[u8])> {
    if !copy.starts_with(&MAGIC) {
        return None;
    }
    let version = u32_at(copy, 8)?;
    let body = copy.get(HEADER_BYTES..)?.get(..to_usize(u64_at(copy, 16)?)?)?;
    (u32_at(copy, 12)? == copy_crc(version, body)).then_some((version, body))
}

fn decode_copy(copy: &[u8]) -> Option<Manifest> {
    use bincode::Options;
    let (_, body) = checked_body(copy)?;
    bincode::DefaultOptions::new()
        .with_fixint_encoding()
        .with_little_endian()
        .with_limit(to_u64(body.len()))
        .reject_trailing_bytes()
        .deserialize(body)
        .ok()
}
