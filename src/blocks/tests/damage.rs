//! Damaged and hostile files: the right bytes or an error, never anything else.

use super::*;
use crate::blocks::{
    moved::{self, Entry, MovedTable},
    walk::walk_placed,
};

fn small_blocks() -> Vec<(Vec<u8>, Vec<u8>)> {
    (0..6)
        .map(|index| (noise(index, 9), noise(index + 50, 20 + 7 * index as usize)))
        .collect()
}

/// Flips bits of the file one by one and reads all blocks each time. Counts the reads that were refused.
fn flip_and_read(
    place: &Place,
    chunk: &Chunk,
    blocks: &[(BlockAddress, Vec<u8>)],
    flips: impl Iterator<Item = (u64, u8)>,
) -> usize {
    let meta = chunk.meta();
    let mut refused = 0;
    for (offset, bit) in flips {
        place.flip(chunk.path(), offset, bit);
        for reopened in [place.open(&meta), place.open_checking(&meta)] {
            for (address, data) in blocks {
                match bytes_of(&reopened, address) {
                    Ok(bytes) => assert_eq!(&bytes, data, "wrong bytes after a flip at {offset}"),
                    Err(Error::NotFound | Error::Corrupt { .. }) => refused += 1,
                    Err(error) => panic!("{error} after a flip at {offset}"),
                }
            }
            walk_placed(&reopened, 0, &mut |_| Ok(true)).unwrap_or_default();
            reopened.verify(&mut |_, _| {});
        }
        place.flip(chunk.path(), offset, bit);
    }
    refused
}

fn every_bit(range: std::ops::Range<u64>) -> impl Iterator<Item = (u64, u8)> {
    range.flat_map(|offset| (0..8).map(move |bit| (offset, bit)))
}

#[test]
fn a_flipped_bit_anywhere_among_small_blocks_never_gives_wrong_bytes() {
    let (place, _) = Place::simulated();
    let (chunk, addresses) = place.small(0, &small_blocks());
    let blocks: Vec<_> = addresses
        .into_iter()
        .zip(small_blocks().into_iter().map(|(_, data)| data))
        .collect();
    let refused = flip_and_read(&place, &chunk, &blocks, every_bit(0..chunk.len()));
    // Every flip but those in padding hits one block at least, in both readers.
    assert!(refused as u64 > 2 * 8 * (chunk.len() - 6 * 7));
    assert!(findings(&chunk).is_empty());
}

#[test]
fn a_flipped_bit_anywhere_in_a_large_block_never_gives_wrong_bytes() {
    let (place, _) = Place::simulated();
    let writer = place.large_writer(CAPACITY, 1);
    let blocks: Vec<(BlockAddress, Vec<u8>)> = [40_000, 140_001]
        .into_iter()
        .map(|len| {
            let data = noise(len, len as usize);
            (writer.append(&data).unwrap().0, data)
        })
        .collect();
    let (_, chunk) = writer.append(&[0; 33_000]).unwrap();
    let head = blocks[1].0.offset;
    let sparse = (4_096..chunk.len())
        .step_by(1_531)
        .map(|offset| (offset, (offset % 8) as u8));
    let flips = every_bit(0..32)
        .chain(every_bit(head..head + 24 + 12))
        .chain(sparse);
    assert!(flip_and_read(&place, &chunk, &blocks, flips) > 1_000);
    let data_start = head + 4_096;
    for offset in [data_start, data_start + 65_536, data_start + 140_000] {
        place.flip(chunk.path(), offset, 5);
        assert!(is_corrupt(&bytes_of(&place.open(&chunk.meta()), &blocks[1].0)));
        assert_eq!(findings(&place.open(&chunk.meta())).len(), 1);
        place.flip(chunk.path(), offset, 5);
    }
}

#[test]
fn a_flipped_bit_anywhere_in_a_rewritten_chunk_never_gives_wrong_bytes() {
    let (place, _) = Place::simulated();
    let (chunk, addresses) = place.small(0, &small_blocks());
    let chunk = super::rewriting::rewrite(&place, &chunk, None, &|address| {
        address.offset != addresses[2].offset
    })
    .unwrap();
    let blocks: Vec<_> = addresses
        .into_iter()
        .zip(small_blocks().into_iter().map(|(_, data)| data))
        .enumerate()
        .filter_map(|(index, block)| (index != 2).then_some(block))
        .collect();
    assert_eq!(flip_and_read(&place, &chunk, &blocks, std::iter::empty()), 0);
    let refused = flip_and_read(&place, &chunk, &blocks, every_bit(0..chunk.len()));
    assert!(refused as u64 > 2 * 8 * (chunk.len() - 5 * 7));
    let table = chunk.meta().table_offset..chunk.len();
    let all_refused = flip_and_read(&place, &chunk, &blocks, every_bit(table.clone()));
    assert_eq!(
        all_refused as u64,
        2 * 5 * 8 * (table.end - table.start),
        "a bad table is no table"
    );
}

#[test]
fn a_truncated_or_missing_file_is_corrupt_and_no_signal() {
    let place = Place::real();
    let (chunk, addresses) = place.small(0, &small_blocks());
    let (large_address, large) = place.large_writer(CAPACITY, 1).append(&[7; 150_000]).unwrap();
    for (chunk, address) in [(chunk, addresses[5]), (large, large_address)] {
        let meta = chunk.meta();
        let last = address.offset + 24;
        for len in [
            last + 4_000.min(chunk.len() - last - 8),
            last,
            last - 1,
            32,
            31,
            0,
        ] {
            place
                .vfs
                .open(chunk.path(), OpenMode::Write)
                .unwrap()
                .set_len(len)
                .unwrap();
            assert!(
                is_refused(&place.open(&meta).read(&address, 0, address.len)),
                "{len}"
            );
            assert!(!findings(&place.open(&meta)).is_empty());
        }
        place.vfs.unlink(chunk.path()).unwrap();
        assert!(is_corrupt(&place.open(&meta).read(&address, 0, address.len)));
        assert_eq!(
            findings(&place.open(&meta)),
            [(0, "the file is missing".to_owned())]
        );
    }
}

#[test]
fn another_chunks_file_under_the_name_is_corrupt() {
    let (place, _) = Place::simulated();
    let (chunk, addresses) = place.small(0, &small_blocks());
    for header in [
        block::ChunkHeader {
            nonce: NONCE,
            number: 1,
            rewrite: 0,
        },
        block::ChunkHeader {
            nonce: NONCE + 1,
            number: 0,
            rewrite: 0,
        },
        block::ChunkHeader {
            nonce: NONCE,
            number: 0,
            rewrite: 1,
        },
    ] {
        place.overwrite(chunk.path(), 0, &header.encode(&[0; 16]));
        assert!(is_corrupt(&place.open(&chunk.meta()).read(&addresses[0], 0, 1)));
        let discovered = Chunk::discover(&place.vfs, &place.directory, 0, CAPACITY, ChunkOptions::default());
        assert_eq!(discovered.is_ok(), header.number == 0 && header.rewrite == 0);
    }
}

#[test]
fn verify_names_the_place_and_goes_on_behind_it() {
    let (place, _) = Place::simulated();
    let (chunk, addresses) = place.small(0, &small_blocks());
    assert_eq!(findings(&chunk), []);
    place.flip(chunk.path(), addresses[1].offset, 0);
    place.flip(chunk.path(), addresses[4].offset + 24 + 9, 0);
    let found = findings(&chunk);
    assert_eq!(found.len(), 2, "{found:?}");
    let expected = format!(
        "no block can be read between byte {} and byte {}",
        addresses[1].offset, addresses[2].offset
    );
    assert_eq!(found[0], (addresses[1].offset, expected));
    assert_eq!(found[1].0, addresses[4].offset + 24 + 9);
    // The last block's header: nothing good comes behind it.
    place.flip(chunk.path(), addresses[5].offset + 20, 0);
    assert_eq!(findings(&chunk).len(), 3);
}

#[test]
fn verify_reports_padding_that_is_not_zero() {
    let (place, _) = Place::simulated();
    let (chunk, addresses) = place.small(0, &[(vec![], vec![1; 9])]);
    let (large_address, large) = place.large_writer(CAPACITY, 1).append(&[7; 40_000]).unwrap();
    place.flip(chunk.path(), addresses[0].offset + 24 + 9, 0);
    place.flip(large.path(), large_address.offset + 1_000, 0);
    for (chunk, address) in [(chunk, addresses[0]), (large, large_address)] {
        assert_eq!(findings(&chunk).len(), 1);
        assert!(chunk.read(&address, 0, address.len).is_ok());
    }
}

#[test]
fn an_unreadable_sector_is_a_finding_and_no_signal() {
    use crate::vfs::sim::{Fault, FaultKind, Operation};
    let (place, sim) = Place::simulated();
    let (chunk, _) = place.small(0, &small_blocks());
    // The length is asked first; then the sector is read.
    sim.fail(Fault::new(Operation::Read, 2, FaultKind::Io));
    assert_eq!(findings(&chunk).len(), 1);
    assert_eq!(findings(&chunk), []);
}

#[test]
fn walking_stops_with_corrupt_at_a_damaged_header() {
    let (place, _) = Place::simulated();
    let (chunk, addresses) = place.small(0, &small_blocks());
    place.flip(chunk.path(), addresses[3].offset + 25, 0);
    let mut seen = Vec::new();
    let result = walk(&chunk, 0, &mut |found| {
        seen.push(found.address);
        Ok(true)
    });
    assert!(matches!(result, Err(Error::Corrupt(damage)) if damage.offset == addresses[3].offset));
    assert_eq!(seen, addresses[..3]);
}

#[test]
fn a_table_with_a_good_crc_over_nonsense_is_refused() {
    let (place, _) = Place::simulated();
    let entry = |address: u64, place: u64| Entry::new(address, place).unwrap();
    let meta = ChunkMeta {
        number: 0,
        rewrite: 1,
        nonce: NONCE,
        large: false,
        len: 0,
        table_offset: 232,
        last_seq: 0,
        dead_bytes: 0,
    };
    let check = |entries: &[Entry], len: u64| {
        let meta = ChunkMeta { len, ..meta };
        let path = place.directory.join("table");
        let file = super::super::chunk::create_file(&place.vfs, &path).unwrap();
        file.write_at(meta.table_offset, &moved::encode_header(&meta, entries))
            .unwrap();
        file.write_at(meta.table_offset + 16, &moved::encode_entries(entries))
            .unwrap();
        let region = file.map(file.len().unwrap()).unwrap();
        MovedTable::check(&region, &meta, 32).is_ok()
    };
    let good = [entry(32, 32), entry(400, 132 / 8 * 8)];
    assert!(check(&good, 232 + 16 + 16));
    assert!(!check(&good, 232 + 16 + 8), "the length must fit");
    for bad in [
        vec![entry(40, 32), entry(40, 128)],
        vec![entry(32, 32), entry(64, 128)],
        vec![entry(24, 32)],
        vec![entry(32, 40)],
        vec![entry(32, 32), entry(400, 32)],
        vec![entry(32, 32), entry(400, 240)],
        vec![entry(400, 128), entry(32, 32)],
        vec![],
    ] {
        assert!(!check(&bad, 232 + 16 + 8 * to_u64(bad.len())), "{bad:?}");
    }
    assert_eq!(Entry::new(4, 32), None);
    assert_eq!(Entry::new(MAX_CHUNK_BYTES, 32), None);
}
