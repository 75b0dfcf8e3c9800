//! Golden vectors of part files: a whole one, and a page that leads to others. See `format::golden`.

use std::{path::Path, sync::Arc};

use super::{
    page::{crc_matches, hash_key, PageBuilder, PageHeader, PagePlace, PartSeed, HASH_LEVEL},
    part_format::{Footer, HashSlot},
    part_map::PartMap,
    Entry, PartWriter,
};
use crate::{
    error::Error,
    format::golden::{assert_golden, bytes_of},
    vfs::{sim::SimVfs, OpenMode, Vfs},
};

const PAGE: &str = "
    13ef6a10 | crc of uuid, part number, unit, the page from here on
    00 | level
    00 | zero
    0300 | count
    01000000 | units
    00000000 | previous units
    0200 | prefix length
    0000 | zero
    016b | prefix
    0700 | entry at 28 / 4
    0c00 | entry at 48 / 4
    1100 | entry at 68 / 4
    0900000000000000 | seq
    01 | kind: inline value
    010000 | suffix length
    03000000 | value length
    61 | suffix
    6e6577 | value
    0400000000000000 | seq
    00 | kind: tombstone
    010000 | suffix length
    00000000 | value length
    61 | suffix
    00*3 | zeros to 4
    0500000000000000 | seq
    01 | kind: inline value
    020000 | suffix length
    01000000 | value length
    6263 | suffix
    76 | value
    00*4009 | zeros to 4096
";

const HASH_PAGE: &str = "
    fc7aff92 | crc of uuid, part number, unit, the page from here on
    ff | level: hash page
    00 | zero
    0800 | buckets
    01000000 | units
    00000000 | previous units
    0000 | prefix length
    0000 | zero
    00*44 | zeros to 64
    0000000007004c4f | slot: unit 0, entry at 28 / 4, low 16 bits of the hash of the first key
    000000001100d67a | slot: unit 0, entry at 68 / 4, low 16 bits of the hash of the second key
    00*4016 | free slots, zeros
";

const FOOTER: &str = "
    53415253454e524e | magic
    01000000 | version
    00000000 | root level
    0500000000000000 | number
    0300000000000000 | entries
    0100000000000000 | tombstones
    0200000000000000 | keys
    0900000000000000 | highest seq
    01000000 | page units
    00000000 | root unit
    01000000 | home buckets
    01000000 | hash units
    03000000 | length of the least key
    04000000 | length of the greatest key
    30313233343536373839616263646566 | uuid
    016b61 | least key
    016b6263 | greatest key
    00*3985 | zeros
    01000000 | footer units
    c030c4fc | crc of the footer before it
";

const UPPER_PAGE: &str = "
    44c25d9d | crc of uuid, part number, unit, the page from here on
    01 | level
    00 | zero
    0300 | count
    01000000 | units
    03000000 | previous units
    0100 | prefix length
    0000 | zero
    01 | prefix
    0700 | entry at 28 / 4
    0c00 | entry at 48 / 4
    1200 | entry at 72 / 4
    00*1 | zeros to 4
    ffffffffffffffff | seq
    00 | kind 0
    000000 | suffix length
    04000000 | value length
    00000000 | value
    ffffffffffffffff | seq
    00 | kind 0
    010000 | suffix length
    04000000 | value length
    6d | suffix
    04000000 | value
    00*3 | zeros to 4
    4d00000000000000 | seq
    00 | kind 0
    010000 | suffix length
    04000000 | value length
    71 | suffix
    08000000 | value
    00*4003 | zeros to 4096
";

/// Of the store, and of the part.
const UUID: [u8; 16] = *b"0123456789abcdef";
const NUMBER: u64 = 5;

fn seed() -> PartSeed {
    PartSeed::new(&UUID, NUMBER)
}

/// That of the same part of another store, and that of the store's next part.
fn other_seeds() -> [PartSeed; 2] {
    [
        PartSeed::new(b"0123456789abcdeg", NUMBER),
        PartSeed::new(&UUID, NUMBER + 1),
    ]
}

/// Both versions of one key, and another key.
const ENTRIES: [Entry<'static>; 3] = [
    Entry {
        key: b"\x01ka",
        seq: 9,
        kind: 1,
        value: b"new",
    },
    Entry {
        key: b"\x01ka",
        seq: 4,
        kind: 0,
        value: b"",
    },
    Entry {
        key: b"\x01kbc",
        seq: 5,
        kind: 1,
        value: b"v",
    },
];

fn footer() -> Footer {
    Footer {
        uuid: UUID,
        number: NUMBER,
        entries: 3,
        tombstones: 1,
        keys: 2,
        max_seq: 9,
        page_units: 1,
        root_unit: 0,
        root_level: 0,
        home_buckets: 1,
        hash_units: 1,
        min_key: b"\x01ka".to_vec(),
        max_key: b"\x01kbc".to_vec(),
    }
}

#[test]
fn a_whole_part() {
    let disk = SimVfs::new(1);
    let path = Path::new("/00000005.run");
    let file = disk.open(path, OpenMode::CreateNew).unwrap();
    let mut writer = PartWriter::new(Arc::clone(&file), &UUID, NUMBER, super::LARGE_PIECE_BYTES);
    for entry in &ENTRIES {
        writer.add(entry).unwrap();
    }
    let meta = loop {
        if let Some(meta) = writer.finish_step().unwrap() {
            break meta;
        }
    };
    let mut written = vec![0; usize::try_from(meta.file_len).unwrap()];
    file.read_at(0, &mut written).unwrap();
    assert_golden(&written, &[PAGE, HASH_PAGE, FOOTER].concat());

    // And back: through the tree, and through the hash index.
    let copy = disk.open(Path::new("/copy"), OpenMode::CreateNew).unwrap();
    copy.write_at(0, &bytes_of(&[PAGE, HASH_PAGE, FOOTER].concat()))
        .unwrap();
    let map = PartMap::open(copy.as_ref(), &UUID, &meta, true).unwrap();
    assert_eq!(*map.footer(), footer());
    for (slot, entry) in (0..).zip(&ENTRIES) {
        let (page, found) = map.search(entry.key, entry.seq).unwrap();
        assert_eq!((page.unit, found), (0, slot));
        let found = map.entry(&page, slot).unwrap();
        let key = [b"\x01k", found.suffix].concat();
        let found = Entry {
            key: &key,
            seq: found.seq,
            kind: found.kind,
            value: found.value,
        };
        assert_eq!(found, *entry);
    }
    let bucket = map.bucket(0).unwrap();
    for (slot, offset, key) in [(0, 28, b"\x01ka".as_slice()), (1, 68, b"\x01kbc")] {
        let slot = u64::from_le_bytes(bucket[slot]);
        let expected = HashSlot::new(0, offset / 4, hash_key(key));
        assert_eq!(HashSlot::decode(slot), expected);
        assert_eq!(expected.encode(), slot);
    }
}

#[test]
fn a_page_that_leads_to_others() {
    let mut builder = PageBuilder::default();
    for (key, seq, child) in [
        (b"\x01".as_slice(), u64::MAX, 0_u32),
        (b"\x01m", u64::MAX, 4),
        (b"\x01q", 77, 8),
    ] {
        builder.add(&Entry {
            key,
            seq,
            kind: 0,
            value: &child.to_le_bytes(),
        });
    }
    let place = PagePlace {
        seed: seed(),
        unit: 9,
        level: 1,
        previous_units: 3,
    };
    let mut page = Vec::new();
    assert_eq!(builder.finish(place, &mut page, &mut |_, _| {}), Some(1));
    assert_golden(&page, UPPER_PAGE);

    let golden = bytes_of(UPPER_PAGE);
    assert!(crc_matches(seed(), 9, &golden));
    assert!(!crc_matches(seed(), 8, &golden), "in another place");
    assert!(other_seeds().iter().all(|other| !crc_matches(*other, 9, &golden)));
    let header = PageHeader {
        level: 1,
        count: 3,
        units: 1,
        previous_units: 3,
        prefix_len: 1,
    };
    assert_eq!(PageHeader::decode(&golden), Some(header));
    for (slot, suffix, seq, child) in [
        (0, b"".as_slice(), u64::MAX, 0),
        (1, b"m", u64::MAX, 4),
        (2, b"q", 77, 8),
    ] {
        let entry = header.entry(&golden, slot).unwrap();
        assert_eq!(
            (entry.suffix, entry.seq, entry.kind, entry.child()),
            (suffix, seq, 0, Some(child))
        );
    }
}

#[test]
fn a_footer() {
    let (encoded, crc) = footer().encode();
    assert_golden(&encoded, FOOTER);
    let golden = bytes_of(FOOTER);
    assert_eq!(Footer::decode(&golden, 3 * 4_096), Some(footer()));
    assert_eq!(Footer::decode_tail(&golden[4_096 - 8..]), Some((1, crc)));
}

#[test]
fn a_part_of_a_newer_version_is_told_from_a_damaged_one() {
    let mut part = bytes_of(&[PAGE, HASH_PAGE, FOOTER].concat());
    let footer_at = 2 * 4_096;
    part[footer_at + 8] = 2;
    let crc_at = part.len() - 4;
    let crc = crc32c::crc32c(&part[footer_at..crc_at]);
    part[crc_at..].copy_from_slice(&crc.to_le_bytes());
    let disk = SimVfs::new(1);
    let file = disk
        .open(Path::new("/00000005.run"), OpenMode::CreateNew)
        .unwrap();
    file.write_at(0, &part).unwrap();
    let meta = footer().meta(3 * 4_096, crc);
    let version = Error::Version {
        found: 2,
        supported: 1,
    };
    assert_eq!(
        PartMap::open(file.as_ref(), &UUID, &meta, true).err(),
        Some(version)
    );
    file.write_at(footer_at as u64 + 8, &[3]).unwrap();
    let damaged = PartMap::open(file.as_ref(), &UUID, &meta, true).err();
    assert!(matches!(damaged, Some(Error::Corrupt { .. })), "{damaged:?}");
}

#[test]
fn a_hash_page() {
    let golden = bytes_of(HASH_PAGE);
    assert!(crc_matches(seed(), 1, &golden));
    assert!(other_seeds().iter().all(|other| !crc_matches(*other, 1, &golden)));
    let header = PageHeader {
        level: HASH_LEVEL,
        count: 8,
        units: 1,
        previous_units: 0,
        prefix_len: 0,
    };
    assert_eq!(PageHeader::decode(&golden), Some(header));
}

/// The hash decides where readers look, so it is on disk as well.
#[test]
fn the_hash_of_a_key() {
    for (key, hash) in [
        (b"".as_slice(), 0),
        (b"\x01k", 0xe323_da4d_add6_e56f),
        (b"\x02\0\0\0\0\0\0\0\x07", 0x59d7_7356_8952_abc0),
    ] {
        assert_eq!(hash_key(key), hash, "{key:?}");
    }
}
