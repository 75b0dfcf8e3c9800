//! Layout of a part file beyond its pages (`page`): the hash index and the footer. Pure functions, total on any input.
//!
//! A part is `pages | hash pages | footer`, each a whole number of units of 4096 bytes. Among the pages, each page of
//! level n > 0 comes behind the pages it leads to; the last one is the root.
//!
//! **Hash index.** Open addressing over buckets of one cache line, eight slots each, about five of them used. A key's
//! home is bucket `(high half of its hash) × home buckets >> 32`; its newest version in this part has the first slot
//! that was free in that bucket or one of the seven behind it, in order; no slot if there was none. So a search ends
//! at the first free slot with "not here", and after eight full buckets with "look into the pages". Seven buckets
//! behind the last home bucket spare it from wrapping around. 63 buckets make a page, the first 64 bytes of which are
//! the page's header and zeros.
//!
//! | bits | slot, u64 | |
//! |---|---|---|
//! | 0..32 | unit | start of the page |
//! | 32..48 | offset | of the entry in the page, in units of 4 bytes; never 0, so a free slot is 0 |
//! | 48..64 | fingerprint | low 16 bits of the key's hash |
//!
//! | at | footer | |
//! |---|---|---|
//! | 0 | magic | `SARSENRN` |
//! | 8 | version u32 | 1 |
//! | 12 | root level u32 | |
//! | 16 | number u64 | of this file |
//! | 24 | entries u64 | |
//! | 32 | tombstones u64 | |
//! | 40 | keys u64 | |
//! | 48 | max seq u64 | |
//! | 56 | page units u32 | |
//! | 60 | root unit u32 | |
//! | 64 | home buckets u32 | |
//! | 68 | hash units u32 | |
//! | 72 | min key length u32, max key length u32 | |
//! | 80 | uuid, 16 bytes | of the store |
//! | 96 | min key, max key, zeros | |
//! | end - 8 | footer units u32 | |
//! | end - 4 | crc u32 | CRC-32C of the footer before it |

use super::page::{unit_offset, HASH_LEVEL, UNIT_BYTES};
use crate::format::{
    bytes::{to_u64, to_usize, u32_at, Reader},
    manifest::PartMeta,
};

pub(crate) const SLOT_BYTES: usize = 8;
pub(crate) const BUCKET_SLOTS: usize = 8;
pub(crate) const BUCKET_BYTES: usize = BUCKET_SLOTS * SLOT_BYTES;
/// Buckets of a hash page; its header takes the place of one.
pub(crate) const BUCKETS_PER_PAGE: usize = UNIT_BYTES / BUCKET_BYTES - 1;
/// Buckets that a search looks through before it turns to the pages.
pub(crate) const PROBE_BUCKETS: usize = 8;
/// Slots that are used of a bucket on average.
const KEYS_PER_BUCKET: u64 = 5;

const MAGIC: [u8; 8] = *b"SARSENRN";
pub(super) const VERSION: u32 = 1;
const FIXED_BYTES: usize = 96;
const TAIL_BYTES: usize = 8;

pub(crate) fn home_buckets(keys: u64) -> u64 {
    keys.div_ceil(KEYS_PER_BUCKET).max(1)
}

pub(crate) fn total_buckets(home_buckets: u64) -> u64 {
    home_buckets.saturating_add(to_u64(PROBE_BUCKETS - 1))
}

#[inline]
pub(crate) fn home_bucket(high_half: u32, home_buckets: u32) -> u64 {
    (u64::from(high_half) * u64::from(home_buckets)) >> 32
}

/// Where an entry lies, with 16 bits of its key's hash.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct HashSlot {
    pub(crate) unit: u32,
    pub(crate) offset: u16,
    pub(crate) fingerprint: u16,
}

impl HashSlot {
    pub(crate) fn new(unit: u32, offset: u16, hash: u64) -> HashSlot {
        let [a, b, ..] = hash.to_le_bytes();
        HashSlot {
            unit,
            offset,
            fingerprint: u16::from_le_bytes([a, b]),
        }
    }

    pub(crate) fn encode(self) -> u64 {
        u64::from(self.unit) | u64::from(self.offset) << 32 | u64::from(self.fingerprint) << 48
    }

    #[inline]
    pub(crate) fn decode(slot: u64) -> HashSlot {
        let [u0, u1, u2, u3, o0, o1, f0, f1] = slot.to_le_bytes();
        HashSlot {
            unit: u32::from_le_bytes([u0, u1, u2, u3]),
            offset: u16::from_le_bytes([o0, o1]),
            fingerprint: u16::from_le_bytes([f0, f1]),
        }
    }
}

/// Counts, bounds, and where things lie.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Footer {
    /// Of the store that the part belongs to.
    pub(crate) uuid: [u8; 16],
    pub(crate) number: u64,
    pub(crate) entries: u64,
    pub(crate) tombstones: u64,
    pub(crate) keys: u64,
    pub(crate) max_seq: u64,
    pub(crate) page_units: u32,
    pub(crate) root_unit: u32,
    pub(crate) root_level: u32,
    pub(crate) home_buckets: u32,
    pub(crate) hash_units: u32,
    pub(crate) min_key: Vec<u8>,
    pub(crate) max_key: Vec<u8>,
}

impl Footer {
    pub(crate) fn new(uuid: [u8; 16], number: u64) -> Footer {
        Footer {
            uuid,
            number,
            ..Footer::default()
        }
    }

    /// The footer and its CRC.
    pub(crate) fn encode(&self) -> (Vec<u8>, u32) {
        let len32 = |len: usize| u32::try_from(len).unwrap_or(u32::MAX);
        let mut out = MAGIC.to_vec();
        out.extend_from_slice(&VERSION.to_le_bytes());
        out.extend_from_slice(&self.root_level.to_le_bytes());
        for number in [
            self.number,
            self.entries,
            self.tombstones,
            self.keys,
            self.max_seq,
        ] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        for number in [
            self.page_units,
            self.root_unit,
            self.home_buckets,
            self.hash_units,
            len32(self.min_key.len()),
            len32(self.max_key.len()),
        ] {
            out.extend_from_slice(&number.to_le_bytes());
        }
        out.extend_from_slice(&self.uuid);
        out.extend_from_slice(&self.min_key);
        out.extend_from_slice(&self.max_key);
        let len = (out.len() + TAIL_BYTES).next_multiple_of(UNIT_BYTES);
        out.resize(len - TAIL_BYTES, 0);
        out.extend_from_slice(&len32(len / UNIT_BYTES).to_le_bytes());
        let crc = crc32c::crc32c(&out);
        out.extend_from_slice(&crc.to_le_bytes());
        (out, crc)
    }

    /// What the last eight bytes of a file say: the footer's units and its CRC.
    pub(crate) fn decode_tail(tail: &[u8]) -> Option<(u32, u32)> {
        let mut reader = Reader::new(tail);
        Some((reader.u32()?, reader.u32()?))
    }

    /// `bytes` is the whole footer of a file of `file_len` bytes. Everything that reading the file relies on is checked.
    pub(crate) fn decode(bytes: &[u8], file_len: u64) -> Option<Footer> {
        let (checked, stored_crc) = bytes.split_at_checked(bytes.len().checked_sub(4)?)?;
        if u32_at(stored_crc, 0)? != crc32c::crc32c(checked) {
            return None;
        }
        let mut reader = Reader::new(bytes.get(..bytes.len().checked_sub(TAIL_BYTES)?)?);
        if reader.take(MAGIC.len())? != MAGIC || reader.u32()? != VERSION {
            return None;
        }
        let root_level = reader.u32()?;
        let (number, entries, tombstones) = (reader.u64()?, reader.u64()?, reader.u64()?);
        let (keys, max_seq) = (reader.u64()?, reader.u64()?);
        let (page_units, root_unit) = (reader.u32()?, reader.u32()?);
        let (home_buckets, hash_units) = (reader.u32()?, reader.u32()?);
        let (min_len, max_len) = (reader.u32()?, reader.u32()?);
        let uuid = reader.take(16)?.try_into().ok()?;
        let min_key = reader.take(to_usize(u64::from(min_len))?)?.to_vec();
        let max_key = reader.take(to_usize(u64::from(max_len))?)?.to_vec();
        let footer = Footer {
            uuid,
            number,
            entries,
            tombstones,
            keys,
            max_seq,
            page_units,
            root_unit,
            root_level,
            home_buckets,
            hash_units,
            min_key,
            max_key,
        };
        let buckets_fit =
            total_buckets(u64::from(home_buckets)) <= u64::from(hash_units) * to_u64(BUCKETS_PER_PAGE);
        let all_there = footer.offset().checked_add(to_u64(bytes.len())) == Some(file_len);
        let sound = home_buckets > 0 && buckets_fit && all_there;
        (sound && root_unit < page_units && root_level < u32::from(HASH_LEVEL)).then_some(footer)
    }

    /// The version of a footer that is whole, where this library doesn't know it.
    pub(crate) fn newer_version(bytes: &[u8]) -> Option<u32> {
        let (checked, stored_crc) = bytes.split_at_checked(bytes.len().checked_sub(4)?)?;
        if u32_at(stored_crc, 0)? != crc32c::crc32c(checked) || !checked.starts_with(&MAGIC) {
            return None;
        }
        u32_at(checked, MAGIC.len()).filter(|version| *version > VERSION)
    }

    /// Where the footer itself starts.
    pub(crate) fn offset(&self) -> u64 {
        unit_offset(self.page_units).saturating_add(unit_offset(self.hash_units))
    }

    /// The description that goes to the manifest.
    pub(crate) fn meta(&self, file_len: u64, footer_crc: u32) -> PartMeta {
        PartMeta {
            file: self.number,
            file_len,
            footer_crc,
            entries: self.entries,
            tombstones: self.tombstones,
            min_key: self.min_key.clone(),
            max_key: self.max_key.clone(),
            max_seq: self.max_seq,
        }
    }
}

const _: () = assert!(FIXED_BYTES == 8 + 2 * 4 + 5 * 8 + 6 * 4 + 16);
