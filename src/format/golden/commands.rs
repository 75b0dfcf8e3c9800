//! Commands as frames hold them, and as callers lay them out in batches.

use super::{assert_golden, bytes_of, ADDRESS};
use crate::format::{
    bytes::Reader,
    command::{BlockSource, Bytes, Command, ValueSource},
    load::{Loaded, LoadedData},
};

const APPEND_BLOCK: &str = "
    00000000 | append block
    00000000 | image
    05000000 | len
    44332211 | crc
";

const APPEND_LARGE_BLOCK: &str = "
    00000000 | append block
    01000000 | large
    03000000 | chunk
    44332211 | crc
    2010000000000000 | offset
    0500000000000000 | len
";

const FREE_BLOCK: &str = "
    01000000 | free block
    03000000 | chunk
    44332211 | crc
    2010000000000000 | offset
    0500000000000000 | len
";

const APPEND_MEMORY: &str = "
    02000000 | append memory
    0807060504030201 | id
    0200000000000000 | tags
    0100000000000000 61 | a
    0200000000000000 c3a9 | é
    02000000 | named
    03000000 | chunk
    44332211 | crc
    2010000000000000 | offset
    0500000000000000 | len
";

const DELETE_MEMORY: &str = "
    03000000 | delete memory
    ffffffffffffffff | id
";

const SET_INLINE: &str = "
    04000000 | set key-value
    0100000000000000 6b | key
    00000000 | inline
    0100000000000000 76 | value
";

const SET_BLOCK: &str = "
    04000000 | set key-value
    0000000000000000 | key, empty
    01000000 | block
    01000000 | large
    03000000 | chunk
    44332211 | crc
    2010000000000000 | offset
    0500000000000000 | len
";

const DELETE_KV: &str = "
    05000000 | delete key-value
    0200000000000000 ff00 | key
";

const APPEND_STREAM: &str = "
    06000000 | append to stream
    0300000000000000 6c6f67 | name
    00000000 | image
    05000000 | len
    44332211 | crc
";

const TRIM_STREAM: &str = "
    07000000 | trim stream
    0300000000000000 6c6f67 | name
    0900000000000000 | before
";

const APPEND_INLINE_STREAM: &str = "
    08000000 | append to stream, inline
    0300000000000000 6c6f67 | name
    0500000000000000 73746f6e65 | record
";

#[test]
fn every_command() {
    let image = BlockSource::Image {
        len: 5,
        crc32c: 0x1122_3344,
    };
    let large = BlockSource::Large(ADDRESS);
    let commands = [
        (Command::AppendBlock { block: image }, APPEND_BLOCK),
        (Command::AppendBlock { block: large }, APPEND_LARGE_BLOCK),
        (Command::FreeBlock { block: ADDRESS }, FREE_BLOCK),
        (
            Command::AppendMemory {
                id: 0x0102_0304_0506_0708,
                tags: vec!["a", "\u{e9}"],
                block: BlockSource::Named(ADDRESS),
            },
            APPEND_MEMORY,
        ),
        (Command::DeleteMemory { id: u64::MAX }, DELETE_MEMORY),
        (
            Command::SetKv {
                key: Bytes(b"k"),
                value: ValueSource::Inline(Bytes(b"v")),
            },
            SET_INLINE,
        ),
        (
            Command::SetKv {
                key: Bytes(b""),
                value: ValueSource::Block(large),
            },
            SET_BLOCK,
        ),
        (
            Command::DeleteKv {
                key: Bytes(b"\xff\x00"),
            },
            DELETE_KV,
        ),
        (
            Command::AppendStream {
                name: Bytes(b"log"),
                block: image,
            },
            APPEND_STREAM,
        ),
        (
            Command::TrimStream {
                name: Bytes(b"log"),
                before: 9,
            },
            TRIM_STREAM,
        ),
        (
            Command::AppendInlineRecord {
                name: Bytes(b"log"),
                record: Bytes(b"stone"),
            },
            APPEND_INLINE_STREAM,
        ),
    ];
    for (command, vector) in &commands {
        let mut encoded = Vec::new();
        command.encode_to(&mut encoded);
        assert_golden(&encoded, vector);
        // A command says by itself where it ends.
        let golden = [bytes_of(vector), vec![0xaa; 3]].concat();
        let mut rest = golden.as_slice();
        assert_eq!(Command::decode(&mut rest).as_ref(), Some(command));
        assert_eq!(rest, [0xaa; 3]);
    }
}

const BATCH: &str = "
    01 | append block
    00 | flags
    0000 | tags
    00000000 | key length
    0000000000000000 | id
    0500000000000000 | data length
    626c6f636b | data
    02 | free block
    00 | flags
    0000 | tags
    00000000 | key length
    0000000000000000 | id
    1800000000000000 | data length
    0300000044332211 2010000000000000 0500000000000000 | data
    03 | append memory
    00 | flags
    0200 | tags
    00000000 | key length
    0700000000000000 | id
    0600000000000000 | data length
    010062 | tag
    010061 | tag
    6d656d6f7279 | data
    03 | append memory of a block
    01 | flags
    0000 | tags
    00000000 | key length
    ffffffffffffffff | id
    1800000000000000 | data length
    0300000044332211 2010000000000000 0500000000000000 | data
    04 | delete memory
    00 | flags
    0000 | tags
    00000000 | key length
    0700000000000000 | id
    0000000000000000 | data length
    05 | set key-value
    00 | flags
    0000 | tags
    01000000 | key length
    0000000000000000 | id
    0100000000000000 | data length
    6b | key
    76 | data
    06 | delete key-value
    00 | flags
    0000 | tags
    00000000 | key length
    0000000000000000 | id
    0000000000000000 | data length
    07 | append to stream
    00 | flags
    0000 | tags
    01000000 | key length
    0000000000000000 | id
    0000000000000000 | data length
    73 | key
    07 | append a block to a stream
    01 | flags
    0000 | tags
    01000000 | key length
    0000000000000000 | id
    1800000000000000 | data length
    73 | key
    0300000044332211 2010000000000000 0500000000000000 | data
    08 | trim stream
    00 | flags
    0000 | tags
    01000000 | key length
    0900000000000000 | id
    0000000000000000 | data length
    73 | key
";

/// Callers encode batches; the library only decodes them.
#[test]
fn a_batch_that_a_caller_laid_out() {
    let expected = [
        Loaded::AppendBlock { data: b"block" },
        Loaded::FreeBlock { block: ADDRESS },
        Loaded::AppendMemory {
            id: 7,
            tags: vec!["b", "a"],
            data: LoadedData::Bytes(b"memory"),
        },
        Loaded::AppendMemory {
            id: u64::MAX,
            tags: Vec::new(),
            data: LoadedData::Block(ADDRESS),
        },
        Loaded::DeleteMemory { id: 7 },
        Loaded::SetKv {
            key: b"k",
            value: b"v",
        },
        Loaded::DeleteKv { key: b"" },
        Loaded::AppendStream {
            name: b"s",
            data: LoadedData::Bytes(b""),
        },
        Loaded::AppendStream {
            name: b"s",
            data: LoadedData::Block(ADDRESS),
        },
        Loaded::TrimStream {
            name: b"s",
            before: 9,
        },
    ];
    let golden = bytes_of(BATCH);
    let mut reader = Reader::new(&golden);
    for command in expected {
        assert_eq!(Loaded::decode(&mut reader), Ok(command));
    }
    assert!(reader.is_empty());
}
