//! Blocks and what a chunk file begins with.

use super::{assert_golden, bytes_of, ADDRESS, BLOCK_ADDRESS, HELLO_CRC};
use crate::format::{
    block::{encode_large_head, BlockAddress, BlockHeader, BlockKind, ChunkHeader, HEADER_BYTES},
    bytes::Reader,
    record,
};

const SMALL_HEADER: &str = "
    53424c4b | magic SBLK
    c73df1f0 | crc of nonce, address, the header from len on, owner
    0500000000000000 | len
    4cbb719a | crc of the data
    02000000 | owner length
";

/// 40,000 zeros at address 4,096.
const LARGE_HEAD: &str = "
    4c424c4b | magic LBLK
    fe7c9c43 | crc of nonce, address, the header from len on, page crcs
    409c000000000000 | len
    e5b34a15 | crc of the data
    00000000 | length of the page crcs
    00*4072 | zeros to 4096
";

/// 65,536 times `a`, `bc`, at address 8,192.
const LARGE_HEAD_WITH_PAGES: &str = "
    4c424c4b | magic LBLK
    f11c2fee | crc of nonce, address, the header from len on, page crcs
    0200010000000000 | len
    8eb001df | crc of the data
    08000000 | length of the page crcs
    3fed954e | crc of page 0
    ac022e24 | crc of page 1
    00*4064 | zeros to 4096
";

const CHUNK_HEADER: &str = "
    5343484b | magic SCHK
    95a1d705 | crc of uuid, the rest
    0102030405060708 | nonce
    02000000 | number
    01000000 | rewrite
    0000000000000000 | zero
";

/// Of the store.
const UUID: [u8; 16] = *b"0123456789abcdef";
const NONCE: u64 = 0x0807_0605_0403_0201;

#[test]
fn a_block_address() {
    assert_golden(&ADDRESS.encode(), BLOCK_ADDRESS);
    let golden = bytes_of(BLOCK_ADDRESS);
    assert_eq!(BlockAddress::decode(&mut Reader::new(&golden)), Some(ADDRESS));
}

#[test]
fn a_small_block() {
    let header = BlockHeader {
        kind: BlockKind::Small,
        len: 5,
        data_crc: HELLO_CRC,
        extra_len: 2,
    };
    let owner = record::kv_key(b"k");
    assert_golden(&header.encode(Some((NONCE, 4_128)), &owner), SMALL_HEADER);
    let golden = bytes_of(SMALL_HEADER);
    assert_eq!(BlockHeader::decode(&golden), Some(header));
    assert!(BlockHeader::crc_matches(NONCE, 4_128, &golden, &owner));
    assert!(
        !BlockHeader::crc_matches(NONCE, 4_136, &golden, &owner),
        "at another address"
    );
    assert_eq!((header.data_offset(), header.total_bytes()), (26, 32));
}

#[test]
fn large_blocks() {
    let paged = [vec![b'a'; 65_536], b"bc".to_vec()].concat();
    for (data, offset, table_len, vector) in [
        (vec![0; 40_000], 4_096, 0, LARGE_HEAD),
        (paged, 8_192, 8, LARGE_HEAD_WITH_PAGES),
    ] {
        let (head, crc) = encode_large_head(NONCE, offset, &data);
        assert_golden(&head, vector);
        let golden = bytes_of(vector);
        let header = BlockHeader {
            kind: BlockKind::Large,
            len: u64::try_from(data.len()).unwrap(),
            data_crc: crc,
            extra_len: table_len,
        };
        assert_eq!(BlockHeader::decode(&golden), Some(header));
        let (fixed, table) = golden.split_at(HEADER_BYTES);
        let table = &table[..usize::try_from(table_len).unwrap()];
        assert!(BlockHeader::crc_matches(NONCE, offset, fixed, table));
        assert_eq!(header.data_offset(), 4_096);
    }
}

#[test]
fn a_chunk_header() {
    let header = ChunkHeader {
        nonce: NONCE,
        number: 2,
        rewrite: 1,
    };
    assert_golden(&header.encode(&UUID), CHUNK_HEADER);
    let golden = bytes_of(CHUNK_HEADER);
    assert_eq!(ChunkHeader::decode(&golden, &UUID), Some(header));
    assert_eq!(
        ChunkHeader::decode(&golden, b"0123456789abcdeg"),
        None,
        "in another store"
    );
}
