//! Keys and values of the one ordered index: a space byte, then the key of that space. Integers in keys are
//! big-endian so that byte order is numeric order.
//!
//! | space | key after the space byte | value |
//! |---|---|---|
//! | key-value | the user's key | inline bytes or a block |
//! | memory | id | block, version, tags |
//! | tag | u16 length, tag, id | the memory's version |
//! | stream name | name | stream id |
//! | stream | id, 0 | bounds |
//! | stream | id, 1, index | inline bytes or a block |
//! | block | chunk, offset | empty: a loose block that holds itself |
//! | block | chunk, offset, owner's index key | empty: a record that holds a named or large block |

use super::{
    block::{BlockAddress, ADDRESS_BYTES},
    bytes::{to_u64, to_usize, Reader},
};

pub(crate) const SPACE_KV: u8 = 1;
pub(crate) const SPACE_MEMORY: u8 = 2;
pub(crate) const SPACE_TAG: u8 = 3;
pub(crate) const SPACE_STREAM_NAME: u8 = 4;
pub(crate) const SPACE_STREAM: u8 = 5;
pub(crate) const SPACE_BLOCK: u8 = 6;

/// What an index entry's value is; stored beside it.
pub(crate) mod kind {
    pub(crate) const TOMBSTONE: u8 = 0;
    pub(crate) const KV_INLINE: u8 = 1;
    pub(crate) const KV_BLOCK: u8 = 2;
    pub(crate) const MEMORY: u8 = 3;
    pub(crate) const TAG: u8 = 4;
    pub(crate) const STREAM_NAME: u8 = 5;
    pub(crate) const STREAM_BOUNDS: u8 = 6;
    pub(crate) const STREAM_RECORD: u8 = 7;
    pub(crate) const HOLD: u8 = 8;
    pub(crate) const STREAM_INLINE: u8 = 9;
}

/// Length of the index key of a stream record, the owner that a stream's block names.
pub(crate) const STREAM_RECORD_KEY_BYTES: usize = 18;
/// Length of the index key of a memory.
pub(crate) const MEMORY_KEY_BYTES: usize = 9;

pub(crate) fn kv_key(key: &[u8]) -> Vec<u8> {
    built(|out| kv_key_to(out, key))
}

/// Like its sisters below: the key takes the place of what is in `out`.
pub(crate) fn kv_key_to(out: &mut Vec<u8>, key: &[u8]) {
    with_space(out, SPACE_KV, &[key]);
}

pub(crate) fn memory_key(id: u64) -> Vec<u8> {
    built(|out| memory_key_to(out, id))
}

pub(crate) fn memory_key_to(out: &mut Vec<u8>, id: u64) {
    with_space(out, SPACE_MEMORY, &[&id.to_be_bytes()]);
}

/// The key under which `id` is found by `tag`; `tag_prefix` without the id.
#[cfg(any(test, feature = "simulation"))]
pub(crate) fn tag_key(tag: &str, id: u64) -> Vec<u8> {
    built(|out| tag_key_to(out, tag, id))
}

pub(crate) fn tag_key_to(out: &mut Vec<u8>, tag: &str, id: u64) {
    let len = tag_len(tag);
    with_space(out, SPACE_TAG, &[&len, tag.as_bytes(), &id.to_be_bytes()]);
}

pub(crate) fn tag_prefix(tag: &str) -> Vec<u8> {
    built(|out| with_space(out, SPACE_TAG, &[&tag_len(tag), tag.as_bytes()]))
}

fn tag_len(tag: &str) -> [u8; 2] {
    u16::try_from(tag.len()).unwrap_or(u16::MAX).to_be_bytes()
}

pub(crate) fn stream_name_key(name: &[u8]) -> Vec<u8> {
    built(|out| stream_name_key_to(out, name))
}

pub(crate) fn stream_name_key_to(out: &mut Vec<u8>, name: &[u8]) {
    with_space(out, SPACE_STREAM_NAME, &[name]);
}

pub(crate) fn stream_bounds_key(stream_id: u64) -> Vec<u8> {
    built(|out| stream_bounds_key_to(out, stream_id))
}

pub(crate) fn stream_bounds_key_to(out: &mut Vec<u8>, stream_id: u64) {
    with_space(out, SPACE_STREAM, &[&stream_id.to_be_bytes(), &[0]]);
}

pub(crate) fn stream_record_key(stream_id: u64, index: u64) -> Vec<u8> {
    built(|out| stream_record_key_to(out, stream_id, index))
}

pub(crate) fn stream_record_key_to(out: &mut Vec<u8>, stream_id: u64, index: u64) {
    with_space(
        out,
        SPACE_STREAM,
        &[&stream_id.to_be_bytes(), &[1], &index.to_be_bytes()],
    );
}

/// The index of the record whose key this is.
#[inline(always)]
pub(crate) fn index_of_record(key: &[u8]) -> Option<u64> {
    let (before, index) = key.split_last_chunk::<8>()?;
    let is_record = before.len() == 10 && before.first() == Some(&SPACE_STREAM) && before.last() == Some(&1);
    is_record.then(|| u64::from_be_bytes(*index))
}

/// The key of a loose block's hold on itself; with an owner, of that record's hold on the block.
pub(crate) fn block_key(chunk: u32, offset: u64, owner: &[u8]) -> Vec<u8> {
    built(|out| block_key_to(out, chunk, offset, owner))
}

pub(crate) fn block_key_to(out: &mut Vec<u8>, chunk: u32, offset: u64, owner: &[u8]) {
    with_space(
        out,
        SPACE_BLOCK,
        &[&chunk.to_be_bytes(), &offset.to_be_bytes(), owner],
    );
}

fn built(build: impl FnOnce(&mut Vec<u8>)) -> Vec<u8> {
    let mut key = Vec::new();
    build(&mut key);
    key
}

#[inline(always)]
pub(crate) fn with_space<const N: usize>(out: &mut Vec<u8>, space: u8, parts: &[&[u8]; N]) {
    out.clear();
    out.reserve(1 + parts.iter().map(|part| part.len()).sum::<usize>());
    out.push(space);
    for part in parts {
        out.extend_from_slice(part);
    }
}

/// A number that sorts as the key does, as far as it goes: where two differ, so do the keys. The first eight bytes of
/// most keys; in spaces whose keys are numbers, most of them small, the numbers closed up.
#[inline]
pub(crate) fn sort_number(key: &[u8]) -> u64 {
    const BELOW_SPACE: u64 = (1 << 56) - 1;
    let eight_from = |from: usize| key.get(from..).map_or(0, first_eight);
    let (space, below) = match key.first() {
        Some(&SPACE_MEMORY) => {
            let id = eight_from(1);
            let below = if id < 1 << 55 { id } else { 1 << 55 | id >> 9 };
            (SPACE_MEMORY, below)
        }
        Some(&SPACE_STREAM) => {
            // 24 bits of id, one of kind, 31 of index.
            let below = match (eight_from(1), key.get(9)) {
                (0xff_ffff.., _) => BELOW_SPACE,
                (id, None | Some(0)) => id << 32,
                (id, Some(1)) => id << 32 | 1 << 31 | eight_from(10).min((1 << 31) - 1),
                (id, Some(_)) => id << 32 | 0xffff_ffff,
            };
            (SPACE_STREAM, below)
        }
        Some(&SPACE_BLOCK) => {
            // 20 bits of chunk, 36 of offset in units of 8 bytes.
            let below = match eight_from(1) >> 32 {
                0xf_ffff.. => BELOW_SPACE,
                chunk => chunk << 36 | (eight_from(5) >> 3).min((1 << 36) - 1),
            };
            (SPACE_BLOCK, below)
        }
        _ => return first_eight(key),
    };
    u64::from(space) << 56 | below
}

/// Big-endian, zeros behind a shorter key.
#[inline]
fn first_eight(key: &[u8]) -> u64 {
    if let Some(first) = key.first_chunk() {
        return u64::from_be_bytes(*first);
    }
    let mut first = [0; 8];
    first.iter_mut().zip(key).for_each(|(to, from)| *to = *from);
    u64::from_be_bytes(first)
}

/// An index key taken apart.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum RecordKey<'a> {
    Kv(&'a [u8]),
    Memory(u64),
    Tag {
        tag: &'a [u8],
        id: u64,
    },
    StreamName(&'a [u8]),
    StreamBounds(u64),
    StreamRecord {
        stream_id: u64,
        index: u64,
    },
    Block {
        chunk: u32,
        offset: u64,
        owner: &'a [u8],
    },
}

impl<'a> RecordKey<'a> {
    pub(crate) fn decode(key: &'a [u8]) -> Option<RecordKey<'a>> {
        let (space, rest) = key.split_first()?;
        let (decoded, tail) = match *space {
            SPACE_KV => (RecordKey::Kv(rest), [].as_slice()),
            SPACE_MEMORY => {
                let (id, tail) = be_u64(rest)?;
                (RecordKey::Memory(id), tail)
            }
            SPACE_TAG => {
                let (len, rest) = rest.split_first_chunk::<2>()?;
                let (tag, rest) = rest.split_at_checked(usize::from(u16::from_be_bytes(*len)))?;
                let (id, tail) = be_u64(rest)?;
                (RecordKey::Tag { tag, id }, tail)
            }
            SPACE_STREAM_NAME => (RecordKey::StreamName(rest), [].as_slice()),
            SPACE_STREAM => {
                let (stream_id, rest) = be_u64(rest)?;
                match rest.split_first()? {
                    (0, tail) => (RecordKey::StreamBounds(stream_id), tail),
                    (1, rest) => {
                        let (index, tail) = be_u64(rest)?;
                        (RecordKey::StreamRecord { stream_id, index }, tail)
                    }
                    _ => return None,
                }
            }
            SPACE_BLOCK => {
                let (chunk, rest) = rest.split_first_chunk::<4>()?;
                let (offset, owner) = be_u64(rest)?;
                (
                    RecordKey::Block {
                        chunk: u32::from_be_bytes(*chunk),
                        offset,
                        owner,
                    },
                    [].as_slice(),
                )
            }
            _ => return None,
        };
        tail.is_empty().then_some(decoded)
    }
}

fn be_u64(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let (number, rest) = bytes.split_first_chunk::<8>()?;
    Some((u64::from_be_bytes(*number), rest))
}

/// The value of a memory: its block, the number of the command within its commit that wrote it, its tags.
/// (seq, ordinal) is its version: a tag entry counts only if it names the same one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct MemoryValue<'a> {
    pub(crate) block: BlockAddress,
    pub(crate) ordinal: u32,
    pub(crate) tags: Vec<&'a str>,
}

impl<'a> MemoryValue<'a> {
    #[cfg(any(test, feature = "simulation"))]
    pub(crate) fn encode(&self) -> Vec<u8> {
        built(|out| MemoryValue::encode_to(out, &self.block, self.ordinal, &self.tags))
    }

    /// Takes the place of what is in `out`.
    pub(crate) fn encode_to(out: &mut Vec<u8>, block: &BlockAddress, ordinal: u32, tags: &[&str]) {
        out.clear();
        out.reserve(ADDRESS_BYTES + 8 + tags.iter().map(|tag| tag.len() + 2).sum::<usize>());
        out.extend_from_slice(&block.encode());
        out.extend_from_slice(&ordinal.to_le_bytes());
        out.extend_from_slice(&u32::try_from(tags.len()).unwrap_or(u32::MAX).to_le_bytes());
        for tag in tags {
            out.extend_from_slice(&u16::try_from(tag.len()).unwrap_or(u16::MAX).to_le_bytes());
            out.extend_from_slice(tag.as_bytes());
        }
    }

    /// The block and the ordinal alone.
    pub(crate) fn decode_head(bytes: &[u8]) -> Option<(BlockAddress, u32)> {
        let mut reader = Reader::new(bytes);
        Some((BlockAddress::decode(&mut reader)?, reader.u32()?))
    }

    /// `None` also for tags that no memory can have.
    pub(crate) fn decode(bytes: &'a [u8]) -> Option<MemoryValue<'a>> {
        let mut reader = Reader::new(bytes);
        let block = BlockAddress::decode(&mut reader)?;
        let ordinal = reader.u32()?;
        let count = to_usize(u64::from(reader.u32()?))?;
        if count > super::MAX_TAGS {
            return None;
        }
        let mut tags = Vec::with_capacity(count);
        for _ in 0..count {
            let len = usize::from(reader.u16()?);
            tags.push(std::str::from_utf8(reader.take(len)?).ok()?);
        }
        (reader.is_empty() && super::are_tags(&tags)).then_some(MemoryValue { block, ordinal, tags })
    }
}

/// The value of a tag entry.
pub(crate) fn encode_tag_value(ordinal: u32) -> [u8; 4] {
    ordinal.to_le_bytes()
}

pub(crate) fn decode_tag_value(bytes: &[u8]) -> Option<u32> {
    <[u8; 4]>::try_from(bytes).ok().map(u32::from_le_bytes)
}

pub(crate) fn encode_stream_id(stream_id: u64) -> [u8; 8] {
    stream_id.to_le_bytes()
}

pub(crate) fn decode_stream_id(bytes: &[u8]) -> Option<u64> {
    <[u8; 8]>::try_from(bytes).ok().map(u64::from_le_bytes)
}

/// Bounds of a stream: its records are `first..next`. Dropped: `first` is `u64::MAX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct StreamBounds {
    pub(crate) first: u64,
    pub(crate) next: u64,
}

impl StreamBounds {
    pub(crate) const BYTES: usize = 16;

    pub(crate) fn encode(&self) -> [u8; Self::BYTES] {
        let mut out = [0; Self::BYTES];
        if let Some((first, rest)) = out.split_first_chunk_mut::<8>() {
            *first = self.first.to_le_bytes();
            if let Some((next, _)) = rest.split_first_chunk_mut::<8>() {
                *next = self.next.to_le_bytes();
            }
        }
        out
    }

    pub(crate) fn decode(bytes: &[u8]) -> Option<StreamBounds> {
        let mut reader = Reader::new(bytes);
        let bounds = StreamBounds {
            first: reader.u64()?,
            next: reader.u64()?,
        };
        reader.is_empty().then_some(bounds)
    }

    pub(crate) fn is_dropped(&self) -> bool {
        self.first == u64::MAX
    }
}

/// The block that a value of this kind names, if it names one.
pub(crate) fn block_of(kind: u8, value: &[u8]) -> Option<BlockAddress> {
    match kind {
        kind::KV_BLOCK | kind::STREAM_RECORD => (to_u64(value.len()) == to_u64(ADDRESS_BYTES))
            .then(|| BlockAddress::decode(&mut Reader::new(value)))
            .flatten(),
        kind::MEMORY => MemoryValue::decode_head(value).map(|(block, _)| block),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Numbers at and around the places where one is closed up, and keys cut short or with a tail.
    #[test]
    fn sort_numbers_never_contradict_the_order_of_keys() {
        let mut numbers = vec![0, 1, 2, 7, 8, 9, 255, 256, u64::MAX - 1, u64::MAX];
        for bits in [20, 24, 31, 32, 36, 39, 40, 55, 56, 63] {
            let limit = 1_u64 << bits;
            numbers.extend([limit - 9, limit - 2, limit - 1, limit, limit + 1, limit + 512]);
        }
        let mut keys: Vec<Vec<u8>> = vec![Vec::new(), vec![SPACE_STREAM], vec![0xff; 20]];
        for &first in &numbers {
            keys.extend([
                memory_key(first),
                stream_bounds_key(first),
                kv_key(&first.to_be_bytes()),
            ]);
            for &second in &numbers {
                keys.push(stream_record_key(first, second));
                let chunk = u32::try_from(first).unwrap_or(u32::MAX);
                keys.push(block_key(chunk, second, &[]));
                keys.push(block_key(chunk, second, b"owner"));
            }
            let mut unknown = stream_record_key(first, first);
            unknown[9] = 2;
            keys.push(unknown);
        }
        let cut: Vec<Vec<u8>> = keys
            .iter()
            .step_by(7)
            .flat_map(|key| (0..key.len()).map(|len| key[..len].to_vec()))
            .collect();
        keys.extend(cut);
        keys.sort_unstable();
        keys.dedup();
        for pair in keys.windows(2) {
            let (low, high) = (sort_number(&pair[0]), sort_number(&pair[1]));
            assert!(low <= high, "{:?} and {:?}", pair[0], pair[1]);
        }
    }

    #[test]
    fn neighbours_in_one_stream_one_chunk_and_among_memories_are_told_apart() {
        for number in 0..1_000 {
            assert!(
                sort_number(&stream_record_key(3, number)) < sort_number(&stream_record_key(3, number + 1))
            );
            assert!(sort_number(&stream_bounds_key(number)) < sort_number(&stream_record_key(number, 0)));
            assert!(sort_number(&memory_key(number)) < sort_number(&memory_key(number + 1)));
            assert!(
                sort_number(&block_key(2, number * 8, &[])) < sort_number(&block_key(2, number * 8 + 8, &[]))
            );
        }
    }
}
