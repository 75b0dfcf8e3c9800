//! Headers of blocks and chunks under fuzzing.

use super::{mode, put, Mode, Numbers, Seed};
use crate::format::{
    align4096,
    block::{
        append_small_to_image, encode_large_head, large_crcs, small_total_bytes, BlockAddress, BlockHeader,
        BlockKind, ChunkHeader, CHUNK_HEADER_BYTES, HEADER_BYTES,
    },
    bytes::{to_u64, u32_at, Reader},
    BLOCK_PAGE_BYTES,
};

/// A block's header and its lengths; what is written for bytes of the input is read back.
pub fn block_header(input: &[u8]) {
    let Some((mode, bytes)) = mode(input) else { return };
    match mode {
        Mode::Raw => {
            check_header(bytes, 1, 32);
            check_address(bytes);
        }
        Mode::Repaired => {
            let mut numbers = Numbers::new(bytes);
            let (nonce, offset) = (numbers.u64(), numbers.u64());
            let mut repaired = numbers.0.rest().to_vec();
            let magic = if repaired.len().is_multiple_of(2) {
                b"SBLK"
            } else {
                b"LBLK"
            };
            put(&mut repaired, 0, magic);
            check_header(&repaired, nonce, offset);
        }
        Mode::Built => build_blocks(bytes),
    }
}

fn check_header(bytes: &[u8], nonce: u64, offset: u64) {
    let Some(header) = BlockHeader::decode(bytes) else {
        return;
    };
    let extra = bytes.get(HEADER_BYTES..).unwrap_or_default();
    let again = header.encode(Some((nonce, offset)), extra);
    assert_eq!(
        again.get(8..),
        bytes.get(8..HEADER_BYTES),
        "a block header is encoded as it was"
    );
    assert!(BlockHeader::crc_matches(nonce, offset, &again, extra));
    assert_eq!(
        BlockHeader::crc_matches(nonce, offset, bytes, extra),
        u32_at(bytes, 4) == u32_at(&again, 4),
        "a header's CRC is right or wrong"
    );
    assert!(header.data_offset() >= to_u64(HEADER_BYTES));
    // A block takes space, or walks over a chunk would not come to an end.
    assert!(header.total_bytes() >= header.data_offset());
}

fn check_address(bytes: &[u8]) {
    let mut reader = Reader::new(bytes);
    if let Some(address) = BlockAddress::decode(&mut reader) {
        assert_eq!(Some(address.encode().as_slice()), bytes.get(..24));
        assert_eq!(reader.rest().len().saturating_add(24), bytes.len());
    }
}

fn build_blocks(bytes: &[u8]) {
    let mut numbers = Numbers::new(bytes);
    let (nonce, offset) = (numbers.u64(), numbers.u64());
    let owner_len = u32::from(numbers.u16());
    let repeat = numbers.u8();
    let data = numbers.0.rest().repeat(usize::from(repeat).max(1));

    let mut image = Vec::new();
    let crc = append_small_to_image(&mut image, owner_len, &data);
    let small = BlockHeader {
        kind: BlockKind::Small,
        len: to_u64(data.len()),
        data_crc: crc,
        extra_len: owner_len,
    };
    assert_eq!(BlockHeader::decode(&image), Some(small));
    assert_eq!(small.total_bytes(), to_u64(image.len()));
    let owner = usize::try_from(owner_len).unwrap_or(0);
    assert_eq!(small_total_bytes(owner, data.len()), to_u64(image.len()));

    let (head, whole) = encode_large_head(nonce, offset, &data);
    let (pages, crc_of_all) = large_crcs(&data);
    assert_eq!(
        (whole, crc_of_all),
        (crc, crc),
        "CRCs of pages add up to that of the whole"
    );
    let Some(large) = BlockHeader::decode(&head) else {
        panic!("a large block's head has a header");
    };
    assert_eq!(
        (large.kind, large.len, large.data_crc),
        (BlockKind::Large, to_u64(data.len()), crc)
    );
    assert_eq!(large.data_offset(), to_u64(head.len()));
    assert_eq!(
        large.total_bytes(),
        align4096(to_u64(head.len().saturating_add(data.len())))
    );
    let extra_end = usize::try_from(large.extra_len)
        .unwrap_or(0)
        .saturating_add(HEADER_BYTES);
    let extra = head.get(HEADER_BYTES..extra_end).unwrap_or_default();
    assert!(BlockHeader::crc_matches(nonce, offset, &head, extra));
    let stored: Vec<u32> = extra.chunks_exact(4).filter_map(|crc| u32_at(crc, 0)).collect();
    assert_eq!(stored, pages);
    assert_eq!(pages.is_empty(), data.len() <= BLOCK_PAGE_BYTES);
}

/// Of the store that a chunk's header is read for.
const UUID: [u8; 16] = *b"sixteen of bytes";

/// A chunk's header.
pub fn chunk_header(input: &[u8]) {
    let Some((mode, bytes)) = mode(input) else { return };
    let mut bytes = bytes.to_vec();
    if mode == Mode::Repaired {
        put(&mut bytes, 0, b"SCHK");
        let crc = crc32c::crc32c(&UUID);
        let crc = crc32c::crc32c_append(crc, bytes.get(8..CHUNK_HEADER_BYTES).unwrap_or_default());
        put(&mut bytes, 4, &crc.to_le_bytes());
    }
    if mode == Mode::Built {
        let mut numbers = Numbers::new(&bytes);
        let header = ChunkHeader {
            nonce: numbers.u64(),
            number: numbers.u32(),
            rewrite: numbers.u32(),
        };
        assert_eq!(ChunkHeader::decode(&header.encode(&UUID), &UUID), Some(header));
    }
    if let Some(header) = ChunkHeader::decode(&bytes, &UUID) {
        assert_eq!(
            Some(header.encode(&UUID).as_slice()),
            bytes.get(..CHUNK_HEADER_BYTES),
            "a chunk header is encoded as it was"
        );
    }
}

pub(super) fn block_header_seeds() -> Vec<Seed> {
    let mut small = Vec::new();
    append_small_to_image(&mut small, 9, b"a small block");
    let (large, _) = encode_large_head(5, 4_096, &[b'x'; 70_000]);
    let large = large.get(..64).unwrap_or_default();
    vec![
        ("small", [&[0], small.as_slice()].concat()),
        ("large", [&[0], large].concat()),
        ("repaired", [&[1], [3; 16].as_slice(), &small].concat()),
        (
            "built",
            [&[2], [0; 16].as_slice(), &[9, 0, 1], b"the bytes"].concat(),
        ),
        (
            "built_long",
            [&[2], [0; 16].as_slice(), &[9, 0, 255], &[b'y'; 300]].concat(),
        ),
    ]
}

pub(super) fn chunk_header_seeds() -> Vec<Seed> {
    let header = ChunkHeader {
        nonce: 99,
        number: 4,
        rewrite: 1,
    }
    .encode(&UUID);
    vec![
        ("whole", [&[0], header.as_slice()].concat()),
        ("repaired", [&[1], header.as_slice()].concat()),
        ("built", [2; 17].to_vec()),
    ]
}
