//! Golden vectors: the bytes of every structure on disk, version 1, field by field as `docs/FORMAT.md` lays them out.
//! Each value is encoded to exactly these bytes, and these bytes are decoded to exactly that value. CRCs were worked
//! out apart from this crate. An existing vector is never edited: a store that was written with it must keep opening.

use super::{
    block::{append_small_to_image, BlockAddress},
    command::{BlockSource, Bytes, Command, ValueSource},
    frame::{payload_crc, Assigned, Frame, FrameHeader, FrameSeed, Mark, StreamAssignment, StreamEffect},
    manifest::{ChunkMeta, Counts, Decoded, LogPosition, Manifest, PartMeta, RunMeta},
};

mod blocks;
mod commands;
mod records;

/// The bytes of a vector: on each line hexadecimal digits, `00*n` for n zeros, and behind `|` what they are.
pub(crate) fn bytes_of(vector: &str) -> Vec<u8> {
    let mut bytes = Vec::new();
    for line in vector.lines() {
        let digits = line.split('|').next().unwrap_or_default();
        for word in digits.split_whitespace() {
            if let Some(count) = word.strip_prefix("00*") {
                bytes.resize(bytes.len() + count.parse::<usize>().unwrap(), 0);
                continue;
            }
            assert!(word.len().is_multiple_of(2), "half a byte in {line}");
            for at in (0..word.len()).step_by(2) {
                bytes.push(u8::from_str_radix(&word[at..at + 2], 16).unwrap());
            }
        }
    }
    bytes
}

/// Compares, and says where the difference is.
#[track_caller]
pub(crate) fn assert_golden(encoded: &[u8], vector: &str) {
    let golden = bytes_of(vector);
    let place = encoded
        .iter()
        .zip(&golden)
        .position(|(found, golden)| found != golden);
    assert!(
        encoded == golden,
        "{} bytes instead of {}, the first difference at {place:?}",
        encoded.len(),
        golden.len()
    );
}

const ADDRESS: BlockAddress = BlockAddress {
    chunk: 3,
    crc32c: 0x1122_3344,
    offset: 4_128,
    len: 5,
};

const BLOCK_ADDRESS: &str = "
    03000000 | chunk
    44332211 | crc
    2010000000000000 | offset
    0500000000000000 | len
";

const SEED: FrameSeed = FrameSeed {
    uuid: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15],
    segment: 7,
};

/// Of `hello`.
const HELLO_CRC: u32 = 0x9a71_bb4c;

const FRAME: &str = "
    5346524d | magic SFRM
    fb725ff0 | crc of uuid, segment, the header from seq on, assigned section
    2a00000000000000 | seq
    0200000000000000 | epoch
    2900000000000000 | durable seq
    efbeadde | previous crc
    69cb6527 | payload crc
    02000000 | commands
    30000000 | assigned length
    3300000000000000 | commands length
    3000000000000000 | image length
    03000000 | chunk
    01000000 | stream entries
    2010000000000000 | chunk offset
    0600000000000000 | stream id
    0000000000000000 | first
    0100000000000000 | next
    0100000000000000 | created
    04000000 | set key-value
    0100000000000000 6b | key
    00000000 | inline
    0100000000000000 76 | value
    06000000 | append to stream
    0100000000000000 73 | name
    00000000 | image
    05000000 | len
    4cbb719a | crc of hello
    00*5 | zeros to 8
    53424c4b | magic SBLK
    00000000 | no header crc yet
    0500000000000000 | len
    4cbb719a | crc of the data
    12000000 | owner length
    00*18 | owner, not known yet
    68656c6c6f | data
    00*1 | zeros to 8
";

const MARK: &str = "
    534d524b | magic SMRK
    a7a5fb79 | crc
    0200000000000000 | epoch
    2a00000000000000 | durable seq
    0000000000000000 | zero
";

const ASSIGNED: &str = "
    09000000 | chunk
    04000000 | stream entries
    2000000000000000 | chunk offset
    0100000000000000 | stream id
    0200000000000000 | first
    0300000000000000 | next
    0000000000000000 | changed
    0200000000000000 | stream id
    0000000000000000 | first
    0100000000000000 | next
    0100000000000000 | created
    0300000000000000 | stream id
    ffffffffffffffff | first
    0800000000000000 | next
    0200000000000000 | dropped
    0000000000000000 | stream id
    0000000000000000 | first
    0000000000000000 | next
    0300000000000000 | nothing
";

#[test]
fn a_frame() {
    let mut commands = Vec::new();
    Command::SetKv {
        key: Bytes(b"k"),
        value: ValueSource::Inline(Bytes(b"v")),
    }
    .encode_to(&mut commands);
    let block = BlockSource::Image {
        len: 5,
        crc32c: HELLO_CRC,
    };
    Command::AppendStream {
        name: Bytes(b"s"),
        block,
    }
    .encode_to(&mut commands);
    let mut image = Vec::new();
    assert_eq!(append_small_to_image(&mut image, 18, b"hello"), HELLO_CRC);
    let assigned = Assigned {
        chunk: 3,
        chunk_offset: 4_128,
        streams: vec![StreamAssignment {
            stream_id: 6,
            first: 0,
            next: 1,
            effect: StreamEffect::Created,
        }],
    };
    let mut assigned_bytes = Vec::new();
    assigned.encode_to(&mut assigned_bytes);
    let header = FrameHeader {
        seq: 42,
        epoch: 2,
        durable_seq: 41,
        previous_crc: 0xdead_beef,
        payload_crc: payload_crc(&commands, &image),
        command_count: 2,
        assigned_len: 48,
        commands_len: 51,
        image_len: 48,
    };
    let (head, crc) = header.encode(&SEED, &assigned_bytes);
    let padding = [0; 5];
    let frame = [&head, assigned_bytes.as_slice(), &commands, &padding, &image].concat();
    assert_golden(&frame, FRAME);

    let golden = bytes_of(FRAME);
    let decoded = Frame::decode(&SEED, &golden).unwrap();
    assert_eq!((decoded.header, decoded.crc), (header, crc));
    assert_eq!(Assigned::decode(decoded.assigned), Some(assigned));
    assert_eq!(
        (decoded.commands, decoded.image),
        (commands.as_slice(), image.as_slice())
    );
    assert_eq!((decoded.image_offset, decoded.frame_len()), (168, 216));
    let elsewhere = FrameSeed { segment: 8, ..SEED };
    assert!(
        Frame::decode(&elsewhere, &golden).is_none(),
        "a frame is good in its segment only"
    );
}

#[test]
fn a_mark() {
    let mark = Mark {
        epoch: 2,
        durable_seq: 42,
    };
    assert_golden(&mark.encode(&SEED), MARK);
    assert_eq!(Mark::decode(&SEED, &bytes_of(MARK)), Some(mark));
}

#[test]
fn an_assigned_section() {
    let stream = |stream_id, first, next, effect| StreamAssignment {
        stream_id,
        first,
        next,
        effect,
    };
    let assigned = Assigned {
        chunk: 9,
        chunk_offset: 32,
        streams: vec![
            stream(1, 2, 3, StreamEffect::Changed),
            stream(2, 0, 1, StreamEffect::Created),
            stream(3, u64::MAX, 8, StreamEffect::Dropped),
            stream(0, 0, 0, StreamEffect::Nothing),
        ],
    };
    let mut encoded = Vec::new();
    assigned.encode_to(&mut encoded);
    assert_golden(&encoded, ASSIGNED);
    assert_eq!(Assigned::decode(&bytes_of(ASSIGNED)), Some(assigned));
}

const MANIFEST_COPY: &str = "
    53415253454e4d46 | magic
    01000000 | version
    9c7753ab | crc of version, length, body
    5b01000000000000 | body length
    0001020304050607 08090a0b0c0d0e0f | uuid
    0300000000000000 | epoch
    1100000000000000 | generation
    6400000000000000 | checkpoint seq
    6500000000000000 | durable seq
    0500000000000000 | log segment
    8002000000000000 | log offset
    bebafeca | log previous crc
    0400000000000000 | first segment
    5a00000000000000 | first log seq
    0000010000000000 | chunk bytes
    06000000 | next chunk
    0c00000000000000 | next file
    0800000000000000 | next stream id
    02000000 | small chunk
    2010000000000000 | small offset
    0a00000000000000 | pairs
    ffffffffffffffff | memories
    0300000000000000 | streams
    0400000000000000 | stream records
    0500000000000000 | loose blocks
    0100000000000000 | chunks
    02000000 | number
    01000000 | rewrite
    0102030405060708 | nonce
    01 | large
    0020000000000000 | len
    401f000000000000 | table offset
    6300000000000000 | last seq
    1800000000000000 | dead bytes
    0200000000000000 | runs
    0b00000000000000 | id
    0100000000000000 | parts
    0a00000000000000 | file
    0030000000000000 | file length
    88776655 | footer crc
    0200000000000000 | entries
    0100000000000000 | tombstones
    0200000000000000 0161 | least key
    0200000000000000 0162 | greatest key
    6400000000000000 | highest seq
    00 | above nothing
    00 | merging into nothing
    0900000000000000 | id
    0000000000000000 | parts
    0102000000000000 00016d | above
    010b000000000000 00 | merging into
    00*3725 | zeros to 4096
";

#[test]
fn a_manifest() {
    let manifest = Manifest {
        uuid: SEED.uuid,
        epoch: 3,
        generation: 17,
        checkpoint_seq: 100,
        durable_seq: 101,
        log: LogPosition {
            segment: 5,
            offset: 640,
            previous_crc: 0xcafe_babe,
        },
        first_segment: 4,
        first_log_seq: 90,
        chunk_bytes: 65_536,
        next_chunk: 6,
        next_file: 12,
        next_stream_id: 8,
        small_chunk: 2,
        small_offset: 4_128,
        counts: Counts {
            kv: 10,
            memories: -1,
            streams: 3,
            stream_records: 4,
            blocks: 5,
        },
        chunks: vec![ChunkMeta {
            number: 2,
            rewrite: 1,
            nonce: 0x0807_0605_0403_0201,
            large: true,
            len: 8_192,
            table_offset: 8_000,
            last_seq: 99,
            dead_bytes: 24,
        }],
        runs: vec![
            RunMeta {
                id: 11,
                parts: vec![PartMeta {
                    file: 10,
                    file_len: 12_288,
                    footer_crc: 0x5566_7788,
                    entries: 2,
                    tombstones: 1,
                    min_key: b"\x01a".to_vec(),
                    max_key: b"\x01b".to_vec(),
                    max_seq: 100,
                }],
                above: None,
                merging_into: None,
            },
            RunMeta {
                id: 9,
                parts: Vec::new(),
                above: Some(b"\x01m".to_vec()),
                merging_into: Some(11),
            },
        ],
    };
    assert_golden(&manifest.encode(), &MANIFEST_COPY.repeat(2));
    let expected = Decoded::Good {
        manifest: Box::new(manifest),
        bad_copy: None,
    };
    assert_eq!(Manifest::decode(&bytes_of(&MANIFEST_COPY.repeat(2))), expected);
}

#[test]
fn the_format_is_version_1() {
    assert_eq!(super::FORMAT_VERSION, 1);
}
