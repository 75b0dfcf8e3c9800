//! Keys and values of the index.

use super::{assert_golden, bytes_of, ADDRESS, BLOCK_ADDRESS};
use crate::format::record::{self, MemoryValue, RecordKey, StreamBounds};

const MEMORY: &str = "
    03000000 | chunk
    44332211 | crc
    2010000000000000 | offset
    0500000000000000 | len
    02000000 | ordinal
    02000000 | tags
    010061 | a
    0200c3a9 | é
";

#[test]
fn keys() {
    let owner = record::memory_key(7);
    let keys: [(Vec<u8>, RecordKey<'_>, &str); 9] = [
        (record::kv_key(b"k"), RecordKey::Kv(b"k"), "01 6b"),
        (record::kv_key(b""), RecordKey::Kv(b""), "01"),
        (record::memory_key(7), RecordKey::Memory(7), "02 0000000000000007"),
        (
            record::tag_key("tag", 258),
            RecordKey::Tag { tag: b"tag", id: 258 },
            "03 0003 746167 0000000000000102",
        ),
        (
            record::stream_name_key(b"log"),
            RecordKey::StreamName(b"log"),
            "04 6c6f67",
        ),
        (
            record::stream_bounds_key(6),
            RecordKey::StreamBounds(6),
            "05 0000000000000006 00",
        ),
        (
            record::stream_record_key(6, 258),
            RecordKey::StreamRecord {
                stream_id: 6,
                index: 258,
            },
            "05 0000000000000006 01 0000000000000102",
        ),
        (
            record::block_key(3, 4_128, &[]),
            RecordKey::Block {
                chunk: 3,
                offset: 4_128,
                owner: &[],
            },
            "06 00000003 0000000000001020",
        ),
        (
            record::block_key(3, 4_128, &owner),
            RecordKey::Block {
                chunk: 3,
                offset: 4_128,
                owner: &owner,
            },
            "06 00000003 0000000000001020 02 0000000000000007",
        ),
    ];
    for (encoded, key, vector) in keys {
        assert_golden(&encoded, vector);
        assert_eq!(RecordKey::decode(&bytes_of(vector)), Some(key));
    }
    assert_golden(&record::tag_prefix("tag"), "03 0003 746167");
}

#[test]
fn values() {
    let memory = MemoryValue {
        block: ADDRESS,
        ordinal: 2,
        tags: vec!["a", "\u{e9}"],
    };
    assert_golden(&memory.encode(), MEMORY);
    let golden = bytes_of(MEMORY);
    assert_eq!(MemoryValue::decode(&golden), Some(memory));
    assert_eq!(MemoryValue::decode_head(&golden), Some((ADDRESS, 2)));
    assert_eq!(record::block_of(record::kind::MEMORY, &golden), Some(ADDRESS));
    let address = bytes_of(BLOCK_ADDRESS);
    for kind in [record::kind::KV_BLOCK, record::kind::STREAM_RECORD] {
        assert_eq!(record::block_of(kind, &address), Some(ADDRESS));
    }

    assert_golden(&record::encode_tag_value(0x0102_0304), "04030201");
    assert_eq!(record::decode_tag_value(&bytes_of("04030201")), Some(0x0102_0304));
    assert_golden(&record::encode_stream_id(6), "0600000000000000");
    assert_eq!(record::decode_stream_id(&bytes_of("0600000000000000")), Some(6));
    for (bounds, vector) in [
        (
            StreamBounds { first: 2, next: 9 },
            "0200000000000000 0900000000000000",
        ),
        (
            StreamBounds {
                first: u64::MAX,
                next: 9,
            },
            "ffffffffffffffff 0900000000000000",
        ),
    ] {
        assert_golden(&bounds.encode(), vector);
        assert_eq!(StreamBounds::decode(&bytes_of(vector)), Some(bounds));
    }
}

#[test]
fn kinds_and_spaces() {
    use record::kind;
    let kinds = [
        kind::TOMBSTONE,
        kind::KV_INLINE,
        kind::KV_BLOCK,
        kind::MEMORY,
        kind::TAG,
        kind::STREAM_NAME,
        kind::STREAM_BOUNDS,
        kind::STREAM_RECORD,
        kind::HOLD,
        kind::STREAM_INLINE,
    ];
    assert_eq!(kinds, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
    let spaces = [
        record::SPACE_KV,
        record::SPACE_MEMORY,
        record::SPACE_TAG,
        record::SPACE_STREAM_NAME,
        record::SPACE_STREAM,
        record::SPACE_BLOCK,
    ];
    assert_eq!(spaces, [1, 2, 3, 4, 5, 6]);
}
