//! The manifest, keys and values of the index, and encoded batches under fuzzing.

use super::{mode, Mode, Numbers, Seed};
use crate::format::{
    align4096,
    block::{BlockAddress, ADDRESS_BYTES},
    bytes::{to_u64, to_usize, Reader},
    load::{Loaded, LoadedData},
    manifest::{ChunkMeta, Counts, Decoded, LogPosition, Manifest, PartMeta, RunMeta},
    record::{self, kind, MemoryValue, RecordKey, StreamBounds},
    FORMAT_VERSION, MAX_TAGS,
};

/// A manifest file: as it is, or made of a body in two equal copies, or in two of which one is another.
pub fn manifest(input: &[u8]) {
    let Some((mode, bytes)) = mode(input) else { return };
    match mode {
        Mode::Raw => check_manifest(bytes),
        Mode::Repaired => {
            let file = [copy_of(bytes), copy_of(bytes)].concat();
            match Manifest::decode(&file) {
                Decoded::Good { manifest, bad_copy } => {
                    assert_eq!(bad_copy, None);
                    assert_eq!(manifest.encode(), file, "a manifest is encoded as it was");
                }
                Decoded::Bad => {}
                other => panic!("a manifest with good CRCs is {other:?}"),
            }
        }
        Mode::Built => {
            let mut numbers = Numbers::new(bytes);
            let second = numbers.bytes(usize::MAX);
            let first = numbers.0.rest();
            let (mut first, mut second) = (copy_of(first), copy_of(second));
            let len = first.len().max(second.len());
            first.resize(len, 0);
            second.resize(len, 0);
            check_manifest(&[first, second].concat());
        }
    }
}

fn copy_of(body: &[u8]) -> Vec<u8> {
    let len = to_u64(body.len()).to_le_bytes();
    let crc = crc32c::crc32c_append(crc32c::crc32c(&FORMAT_VERSION.to_le_bytes()), &len);
    let crc = crc32c::crc32c_append(crc, body).to_le_bytes();
    let mut copy = [
        b"SARSENMF".as_slice(),
        &FORMAT_VERSION.to_le_bytes(),
        &crc,
        &len,
        body,
    ]
    .concat();
    copy.resize(to_usize(align4096(to_u64(copy.len()))).unwrap_or(0), 0);
    copy
}

fn check_manifest(file: &[u8]) {
    if let Decoded::Good { manifest, .. } = Manifest::decode(file) {
        let again = Manifest::decode(&manifest.encode());
        let expected = Decoded::Good {
            manifest,
            bad_copy: None,
        };
        assert_eq!(again, expected, "a manifest that was written is read");
    }
}

/// Keys of the index and the values that lie under them.
pub fn record(input: &[u8]) {
    let Some((which, bytes)) = input.split_first() else {
        return;
    };
    match which % 5 {
        0 => {
            if let Some(key) = RecordKey::decode(bytes) {
                assert_eq!(encoded_key(&key), bytes, "a key is encoded as it was");
            }
        }
        1 => {
            let head = MemoryValue::decode_head(bytes);
            if let Some(value) = MemoryValue::decode(bytes) {
                assert_eq!(value.encode(), bytes, "a memory is encoded as it was");
                assert_eq!(head, Some((value.block, value.ordinal)));
                assert!(value.tags.len() <= MAX_TAGS);
            }
        }
        2 => {
            if let Some(bounds) = StreamBounds::decode(bytes) {
                assert_eq!(bounds.encode().as_slice(), bytes);
            }
        }
        3 => {
            let ordinal = record::decode_tag_value(bytes);
            assert_eq!(ordinal.is_some(), bytes.len() == 4);
            if let Some(ordinal) = ordinal {
                assert_eq!(record::encode_tag_value(ordinal).as_slice(), bytes);
            }
            if let Some(id) = record::decode_stream_id(bytes) {
                assert_eq!(record::encode_stream_id(id).as_slice(), bytes);
            }
        }
        _ => {
            let Some((kind, value)) = bytes.split_first() else {
                return;
            };
            let block = record::block_of(*kind, value);
            let has_block = match *kind {
                kind::KV_BLOCK | kind::STREAM_RECORD => value.len() == ADDRESS_BYTES,
                kind::MEMORY => value.len() >= ADDRESS_BYTES + 4,
                _ => false,
            };
            assert_eq!(block.is_some(), has_block);
        }
    }
}

fn encoded_key(key: &RecordKey<'_>) -> Vec<u8> {
    match *key {
        RecordKey::Kv(key) => record::kv_key(key),
        RecordKey::Memory(id) => record::memory_key(id),
        RecordKey::Tag { tag, id } => {
            let len = u16::try_from(tag.len()).unwrap_or(u16::MAX);
            let mut key = vec![record::SPACE_TAG];
            key.extend_from_slice(&len.to_be_bytes());
            key.extend_from_slice(tag);
            key.extend_from_slice(&id.to_be_bytes());
            if let Ok(text) = std::str::from_utf8(tag) {
                assert_eq!(record::tag_key(text, id), key);
            }
            key
        }
        RecordKey::StreamName(name) => record::stream_name_key(name),
        RecordKey::StreamBounds(id) => record::stream_bounds_key(id),
        RecordKey::StreamRecord { stream_id, index } => record::stream_record_key(stream_id, index),
        RecordKey::Block { chunk, offset, owner } => record::block_key(chunk, offset, owner),
    }
}

/// An encoded batch, command by command.
pub fn load(input: &[u8]) {
    let mut reader = Reader::new(input);
    while !reader.is_empty() {
        let before = reader.rest();
        let Ok(loaded) = Loaded::decode(&mut reader) else {
            return;
        };
        let taken = before.len().saturating_sub(reader.rest().len());
        assert!(taken >= 24, "a command takes its header's bytes at least");
        assert_eq!(
            Some(encoded_load(&loaded).as_slice()),
            before.get(..taken),
            "a loaded command is laid out as it was"
        );
    }
}

fn encoded_load(loaded: &Loaded<'_>) -> Vec<u8> {
    let data_of = |data: &LoadedData<'_>| match data {
        LoadedData::Bytes(bytes) => (0, bytes.to_vec()),
        LoadedData::Block(block) => (1, block.encode().to_vec()),
    };
    let none: &[&str] = &[];
    let (kind, flags, id, key, tags, data): (u8, u8, u64, &[u8], &[&str], Vec<u8>) = match loaded {
        Loaded::AppendBlock { data } => (1, 0, 0, &[], none, data.to_vec()),
        // Freeing always has an address, so its flag says nothing and is not set.
        Loaded::FreeBlock { block } => (2, 0, 0, &[], none, block.encode().to_vec()),
        Loaded::AppendMemory { id, tags, data } => {
            let (flags, data) = data_of(data);
            (3, flags, *id, &[], tags, data)
        }
        Loaded::DeleteMemory { id } => (4, 0, *id, &[], none, Vec::new()),
        Loaded::SetKv { key, value } => (5, 0, 0, key, none, value.to_vec()),
        Loaded::DeleteKv { key } => (6, 0, 0, key, none, Vec::new()),
        Loaded::AppendStream { name, data } => {
            let (flags, data) = data_of(data);
            (7, flags, 0, name, none, data)
        }
        Loaded::TrimStream { name, before } => (8, 0, *before, name, none, Vec::new()),
    };
    let mut out = vec![kind, flags];
    out.extend_from_slice(&u16::try_from(tags.len()).unwrap_or(u16::MAX).to_le_bytes());
    out.extend_from_slice(&u32::try_from(key.len()).unwrap_or(u32::MAX).to_le_bytes());
    out.extend_from_slice(&id.to_le_bytes());
    out.extend_from_slice(&to_u64(data.len()).to_le_bytes());
    out.extend_from_slice(key);
    for tag in tags {
        out.extend_from_slice(&u16::try_from(tag.len()).unwrap_or(u16::MAX).to_le_bytes());
        out.extend_from_slice(tag.as_bytes());
    }
    out.extend_from_slice(&data);
    out
}

const ADDRESS: BlockAddress = BlockAddress {
    chunk: 2,
    crc32c: 0x1234_5678,
    offset: 4_096,
    len: 70_000,
};

fn sample_manifest() -> Manifest {
    Manifest {
        uuid: *b"a store to fuzz.",
        epoch: 2,
        generation: 5,
        checkpoint_seq: 9,
        durable_seq: 9,
        log: LogPosition {
            segment: 3,
            offset: 0,
            previous_crc: 7,
        },
        first_segment: 3,
        first_log_seq: 10,
        chunk_bytes: 65_536,
        next_chunk: 3,
        next_file: 5,
        next_stream_id: 2,
        small_chunk: 1,
        small_offset: 128,
        counts: Counts {
            kv: 4,
            memories: 3,
            streams: 2,
            stream_records: 1,
            blocks: 0,
        },
        chunks: vec![ChunkMeta {
            number: 1,
            rewrite: 0,
            nonce: 3,
            large: false,
            len: 128,
            table_offset: 0,
            last_seq: 9,
            dead_bytes: 0,
        }],
        runs: vec![RunMeta {
            id: 4,
            parts: vec![PartMeta {
                file: 4,
                file_len: 16_384,
                footer_crc: 6,
                entries: 7,
                tombstones: 1,
                min_key: b"a".to_vec(),
                max_key: b"z".to_vec(),
                max_seq: 9,
            }],
            above: Some(b"b".to_vec()),
            merging_into: None,
        }],
    }
}

pub(super) fn manifest_seeds() -> Vec<Seed> {
    let file = sample_manifest().encode();
    let body_len = file
        .get(16..24)
        .and_then(|len| len.try_into().ok())
        .map_or(0, u64::from_le_bytes);
    let body = to_usize(body_len)
        .and_then(|len| file.get(24..)?.get(..len))
        .unwrap_or_default();
    let len = u16::try_from(body.len()).unwrap_or(0).to_le_bytes();
    vec![
        ("whole", [&[0], file.as_slice()].concat()),
        ("body", [&[1], body].concat()),
        ("two_bodies", [&[2], len.as_slice(), body, body].concat()),
    ]
}

pub(super) fn record_seeds() -> Vec<Seed> {
    let memory = MemoryValue {
        block: ADDRESS,
        ordinal: 3,
        tags: vec!["a", "topic:stones"],
    }
    .encode();
    let bounds = StreamBounds { first: 2, next: 9 }.encode();
    vec![
        ("key_kv", [&[0], record::kv_key(b"theme").as_slice()].concat()),
        ("key_memory", [&[0], record::memory_key(7).as_slice()].concat()),
        ("key_tag", [&[0], record::tag_key("topic", 7).as_slice()].concat()),
        (
            "key_name",
            [&[0], record::stream_name_key(b"s").as_slice()].concat(),
        ),
        (
            "key_bounds",
            [&[0], record::stream_bounds_key(1).as_slice()].concat(),
        ),
        (
            "key_record",
            [&[0], record::stream_record_key(1, 2).as_slice()].concat(),
        ),
        (
            "key_block",
            [&[0], record::block_key(1, 32, b"owner").as_slice()].concat(),
        ),
        ("memory", [&[1], memory.as_slice()].concat()),
        ("bounds", [&[2], bounds.as_slice()].concat()),
        ("tag_value", vec![3, 1, 2, 3, 4]),
        ("stream_id", vec![3, 1, 2, 3, 4, 5, 6, 7, 8]),
        ("block_of", [&[4, kind::MEMORY], memory.as_slice()].concat()),
    ]
}

pub(super) fn load_seeds() -> Vec<Seed> {
    let commands = [
        ("append_block", Loaded::AppendBlock { data: b"stone" }),
        ("free_block", Loaded::FreeBlock { block: ADDRESS }),
        (
            "append_memory",
            Loaded::AppendMemory {
                id: 7,
                tags: vec!["a", "topic:stones"],
                data: LoadedData::Bytes(b"They still stand."),
            },
        ),
        (
            "append_memory_block",
            Loaded::AppendMemory {
                id: 8,
                tags: Vec::new(),
                data: LoadedData::Block(ADDRESS),
            },
        ),
        ("delete_memory", Loaded::DeleteMemory { id: 7 }),
        (
            "set_kv",
            Loaded::SetKv {
                key: b"theme",
                value: b"dark",
            },
        ),
        ("delete_kv", Loaded::DeleteKv { key: b"theme" }),
        (
            "append_stream",
            Loaded::AppendStream {
                name: b"s",
                data: LoadedData::Bytes(b"record"),
            },
        ),
        (
            "trim_stream",
            Loaded::TrimStream {
                name: b"s",
                before: 1,
            },
        ),
    ];
    let all = commands.iter().flat_map(|(_, command)| encoded_load(command));
    let mut seeds: Vec<Seed> = vec![("all", all.collect())];
    for (name, command) in &commands {
        seeds.push((name, encoded_load(command)));
    }
    seeds
}
