//! Reading in place: ranges, addresses that are off, first touch, pins.

use super::*;
use crate::vfs::sim::Operation;

fn mixed_small() -> Vec<(Vec<u8>, Vec<u8>)> {
    [0, 1, 7, 8, 9, 100, 1_000, 32 * 1_024]
        .into_iter()
        .enumerate()
        .map(|(index, len)| (noise(index as u64, index * 3), noise(100 + index as u64, len)))
        .collect()
}

#[test]
fn every_range_of_a_small_block_reads_back() {
    for place in [Place::real(), Place::simulated().0] {
        let blocks = mixed_small();
        let (chunk, addresses) = place.small(0, &blocks);
        for chunk in [
            Arc::clone(&chunk),
            place.open(&chunk.meta()),
            place.open_checking(&chunk.meta()),
        ] {
            for (address, (_, data)) in addresses.iter().zip(&blocks) {
                let step = (data.len() / 20).max(1);
                for from in (0..=data.len()).step_by(step) {
                    for to in (from..=data.len()).step_by(step) {
                        let slice = chunk.read(address, from as u64, (to - from) as u64).unwrap();
                        assert_eq!(slice.bytes(), &data[from..to]);
                        assert_eq!(
                            slice.region().bytes(slice.offset(), slice.len()),
                            Some(&data[from..to])
                        );
                    }
                }
            }
        }
    }
}

#[test]
fn every_range_of_a_large_block_reads_back() {
    for place in [Place::real(), Place::simulated().0] {
        let writer = place.large_writer(CAPACITY, 1);
        for len in [32 * 1_024 + 1, 65_535, 65_536, 65_537, 200_000, 3 * 65_536] {
            let data = noise(len as u64, len);
            let (address, chunk) = writer.append(&data).unwrap();
            let reopened = place.open(&chunk.meta());
            for chunk in [chunk, reopened] {
                let edges = [0, 1, 65_535, 65_536, 65_537, 131_072, len - 1, len];
                for from in edges {
                    for to in edges.into_iter().filter(|to| from <= *to && *to <= len) {
                        let slice = chunk.read(&address, from as u64, (to - from) as u64).unwrap();
                        assert_eq!(slice.bytes(), &data[from..to], "{len} {from} {to}");
                    }
                }
            }
        }
    }
}

#[test]
fn a_range_outside_the_block_is_an_invalid_argument() {
    let (place, _) = Place::simulated();
    let (small, addresses) = place.small(0, &[(vec![], vec![1; 10])]);
    let (large_address, large) = place.large_writer(CAPACITY, 1).append(&[2; 70_000]).unwrap();
    for (chunk, address) in [(small, addresses[0]), (large, large_address)] {
        for (from, len) in [
            (0, address.len + 1),
            (address.len, 1),
            (u64::MAX, 1),
            (1, u64::MAX),
        ] {
            let result = chunk.read(&address, from, len);
            assert!(
                matches!(result, Err(Error::InvalidArgument { .. })),
                "{from} {len}"
            );
        }
    }
}

#[test]
fn an_address_that_is_off_in_any_field_is_not_found() {
    let (place, _) = Place::simulated();
    let data = noise(1, 100_000);
    let (small, addresses) = place.small(4, &mixed_small());
    let (large_address, large) = place.large_writer(CAPACITY, 5).append(&data).unwrap();
    large.set_len(CAPACITY);
    for (chunk, address) in [(small, addresses[5]), (large, large_address)] {
        assert!(chunk.read(&address, 0, address.len).is_ok());
        let mut off = Vec::new();
        for delta in [1, 8, 24, 4_096, 65_536, 1 << 32] {
            for offset in [
                address.offset.wrapping_add(delta),
                address.offset.wrapping_sub(delta),
            ] {
                off.push(BlockAddress { offset, ..address });
            }
            for len in [address.len.wrapping_add(delta), address.len.wrapping_sub(delta)] {
                off.push(BlockAddress { len, ..address });
            }
        }
        off.extend([0, u64::MAX, u64::MAX - 7].map(|offset| BlockAddress { offset, ..address }));
        off.extend([0, u64::MAX, u64::MAX - 31].map(|len| BlockAddress { len, ..address }));
        off.push(BlockAddress {
            crc32c: address.crc32c ^ 1,
            ..address
        });
        off.push(BlockAddress {
            chunk: address.chunk ^ 1,
            ..address
        });
        for wrong in off {
            assert!(is_not_found(&chunk.read(&wrong, 0, 0)), "{wrong:?}");
            assert!(is_not_found(&chunk.read(&wrong, 0, wrong.len)), "{wrong:?}");
        }
    }
}

#[test]
fn a_copy_of_a_block_at_another_place_or_in_another_chunk_is_not_taken_for_it() {
    let (place, _) = Place::simulated();
    let inner = (b"owner".to_vec(), b"inner bytes".to_vec());
    let (chunk, addresses) = place.small(0, &[inner]);
    let stored = place.file_bytes(chunk.path())[32..].to_vec();

    // The block's own bytes as data of another block.
    let (outer, outer_addresses) = place.small(1, &[(vec![], stored.clone())]);
    let copy = BlockAddress {
        chunk: 1,
        offset: outer_addresses[0].offset + 24,
        ..addresses[0]
    };
    assert!(outer.read(&outer_addresses[0], 0, outer_addresses[0].len).is_ok());
    assert!(is_not_found(&outer.read(&copy, 0, copy.len)));

    // The same bytes at the same place of a chunk with another nonce.
    let stranger = Chunk::create(
        &place.vfs,
        &place.directory,
        2,
        NONCE + 1,
        false,
        CAPACITY,
        ChunkOptions::default(),
    )
    .unwrap();
    stranger.write(32, &stored).unwrap();
    stranger.set_len(32 + to_u64(stored.len()));
    let copy = BlockAddress {
        chunk: 2,
        ..addresses[0]
    };
    assert!(is_not_found(&stranger.read(&copy, 0, copy.len)));
}

#[test]
fn blocks_above_the_length_of_a_chunk_are_not_found_until_it_grows() {
    let (place, _) = Place::simulated();
    let (chunk, addresses) = place.small(0, &[(vec![], vec![1; 50]), (vec![], vec![2; 50])]);
    let shorter = place.open(&ChunkMeta {
        len: addresses[1].offset,
        ..chunk.meta()
    });
    assert!(shorter.read(&addresses[0], 0, 50).is_ok());
    assert!(is_not_found(&shorter.read(&addresses[1], 0, 50)));
    shorter.set_len(chunk.len());
    assert_eq!(bytes_of(&shorter, &addresses[1]).unwrap(), [2; 50]);
    shorter.set_len(32);
    assert_eq!(shorter.len(), chunk.len());
}

#[test]
fn a_chunk_that_is_mapped_serves_what_is_written_to_it_later() {
    for place in [Place::real(), Place::simulated().0] {
        let writer = place.large_writer(CAPACITY, 1);
        let (first, chunk) = writer.append(&[1; 40_000]).unwrap();
        let reader = place.open(&chunk.meta());
        assert!(reader.read(&first, 0, 40_000).is_ok());
        let (second, _) = writer.append(&[2; 90_000]).unwrap();
        assert!(is_not_found(&reader.read(&second, 0, 1)));
        reader.named_large(&second, 9);
        assert_eq!(bytes_of(&reader, &second).unwrap(), [2; 90_000]);
        assert_eq!(reader.meta().last_seq, 9);
    }
}

#[test]
fn a_file_that_outgrows_its_map_is_mapped_again_and_old_slices_stay() {
    for place in [Place::real(), Place::simulated().0] {
        let (address, chunk) = place.large_writer(CAPACITY, 1).append(&[5; 40_000]).unwrap();
        let reader = Chunk::open(
            &place.vfs,
            &place.directory,
            &chunk.meta(),
            8_192,
            ChunkOptions::default(),
        );
        let slice = reader.read(&address, 0, 40_000).unwrap();
        let mapped = reader.mapped_bytes();
        let writer = place.large_writer(CAPACITY, 2);
        writer.resume(Arc::clone(&chunk), chunk.len());
        let (second, _) = writer.append(&[6; 200_000]).unwrap();
        reader.named_large(&second, 1);
        assert_eq!(bytes_of(&reader, &second).unwrap(), [6; 200_000]);
        assert!(reader.mapped_bytes() > mapped);
        assert_eq!(slice.bytes(), [5; 40_000]);
    }
}

#[test]
fn a_read_makes_no_system_call_once_the_chunk_is_mapped() {
    let (place, sim) = Place::simulated();
    let (small, addresses) = place.small(0, &mixed_small());
    let (large_address, large) = place.large_writer(CAPACITY, 1).append(&[2; 70_000]).unwrap();
    assert!(small.read(&addresses[0], 0, 0).is_ok() && large.read(&large_address, 0, 1).is_ok());
    let calls = || [Operation::Open, Operation::Read, Operation::Map].map(|operation| sim.count(operation));
    let before = calls();
    for address in &addresses {
        assert!(small.read(address, 0, address.len).is_ok());
    }
    assert!(large.read(&large_address, 0, 70_000).is_ok());
    assert_eq!(calls(), before);
}

#[test]
fn opening_a_chunk_touches_no_disk_until_it_is_read() {
    let (place, sim) = Place::simulated();
    let (chunk, addresses) = place.small(0, &[(vec![], vec![1; 50])]);
    let before = sim.count(Operation::Open);
    let opened = place.open(&chunk.meta());
    assert_eq!((opened.mapped_bytes(), sim.count(Operation::Open)), (0, before));
    assert!(opened.read(&addresses[0], 0, 1).is_ok());
    assert_eq!(
        (opened.mapped_bytes(), sim.count(Operation::Open)),
        (CAPACITY, before + 1)
    );
}

#[test]
fn a_large_page_is_checked_when_first_touched_since_mapped_and_only_then() {
    let (place, _) = Place::simulated();
    let (address, written) = place
        .large_writer(CAPACITY, 1)
        .append(&noise(3, 150_000))
        .unwrap();
    let chunk = place.open(&written.meta());
    let checking = place.open_checking(&written.meta());
    assert!(chunk.read(&address, 0, 1).is_ok() && checking.read(&address, 0, 1).is_ok());
    let data_start = address.offset + 4_096;
    place.flip(written.path(), data_start + 500, 3);
    place.flip(written.path(), data_start + 2 * 65_536, 0);

    assert!(
        chunk.read(&address, 0, 1).is_ok(),
        "the first page was checked before"
    );
    assert!(
        chunk.read(&address, 65_536, 65_536).is_ok(),
        "the second page is whole"
    );
    assert!(
        is_corrupt(&chunk.read(&address, 2 * 65_536, 1)),
        "the third page was never checked"
    );
    assert!(
        is_corrupt(&chunk.read(&address, 65_536, 80_000)),
        "so it is as a part of a range"
    );
    assert!(
        is_corrupt(&checking.read(&address, 0, 1)),
        "every read is checked"
    );
    assert!(is_corrupt(&chunk.check(&address)), "a check checks");
    chunk.drop_map();
    assert!(
        is_corrupt(&chunk.read(&address, 0, 1)),
        "a new map trusts nothing"
    );
    assert!(chunk.read(&address, 65_536, 65_536).is_ok());
}

#[test]
fn a_small_block_is_checked_at_every_read() {
    let (place, _) = Place::simulated();
    let (chunk, addresses) = place.small(0, &[(b"key".to_vec(), vec![1; 500])]);
    assert!(chunk.read(&addresses[0], 0, 1).is_ok());
    place.flip(chunk.path(), addresses[0].offset + 24 + 3 + 400, 1);
    assert!(is_corrupt(&chunk.read(&addresses[0], 0, 1)));
}

#[test]
fn views_survive_the_dropped_map_the_chunk_and_the_file() {
    let place = Place::real();
    let (small, addresses) = place.small(0, &mixed_small());
    let (large_address, large) = place
        .large_writer(CAPACITY, 1)
        .append(&noise(3, 150_000))
        .unwrap();
    let mut views = Vec::new();
    for (chunk, address) in [(&small, addresses[6]), (&large, large_address)] {
        let slice = chunk.read(&address, 0, address.len).unwrap();
        chunk.drop_map();
        assert_eq!(chunk.mapped_bytes(), 0);
        views.push((Arc::clone(slice.region()), slice.offset(), slice.bytes().to_vec()));
        assert_eq!(crc32c::crc32c(slice.bytes()), address.crc32c);
    }
    let paths = [small.path().to_owned(), large.path().to_owned()];
    drop((small, large));
    paths.iter().for_each(|path| place.vfs.unlink(path).unwrap());
    for (region, offset, bytes) in views {
        assert_eq!(region.bytes(offset, to_u64(bytes.len())), Some(&bytes[..]));
    }
}

#[test]
fn a_chunk_that_keeps_its_map_is_read_after_its_file_is_unlinked() {
    let place = Place::real();
    let (chunk, addresses) = place.small(0, &mixed_small());
    let opened = place.open(&chunk.meta());
    opened.keep_mapped();
    place.vfs.unlink(opened.path()).unwrap();
    opened.drop_map();
    for address in &addresses {
        assert!(opened.read(address, 0, address.len).is_ok());
    }
}

#[test]
fn heap_and_map_are_counted_and_given_back_with_the_map() {
    let (place, _) = Place::simulated();
    let (address, written) = place.large_writer(CAPACITY, 1).append(&[1; 150_000]).unwrap();
    let chunk = place.open(&written.meta());
    let cold = chunk.heap_bytes();
    assert!(chunk.read(&address, 0, 1).is_ok());
    assert!(chunk.heap_bytes() >= cold + CAPACITY / 4_096 / 8);
    assert_eq!(chunk.mapped_bytes(), CAPACITY);
    chunk.drop_map();
    assert_eq!((chunk.heap_bytes(), chunk.mapped_bytes()), (cold, 0));
}

#[test]
fn blocks_beyond_4_gib_read_back() {
    let place = Place::real();
    let far = 5 << 30;
    let capacity = 8 << 30;
    let options = ChunkOptions::default();
    let small = Chunk::create(&place.vfs, &place.directory, 0, NONCE, false, capacity, options).unwrap();
    let mut bytes = Vec::new();
    let address = small_block(&mut bytes, &small, far, b"key", b"a small block far out");
    small.write(far, &bytes).unwrap();
    small.set_len(far + to_u64(bytes.len()));
    assert_eq!(bytes_of(&small, &address).unwrap(), b"a small block far out");

    let writer = place.large_writer(capacity, 2);
    let large = Chunk::create(&place.vfs, &place.directory, 1, NONCE, true, capacity, options).unwrap();
    writer.resume(Arc::clone(&large), far);
    let data = noise(9, 140_000);
    let (address, _) = writer.append(&data).unwrap();
    assert_eq!(address.offset, far);
    let reopened = Chunk::open(&place.vfs, &place.directory, &large.meta(), capacity, options);
    assert_eq!(bytes_of(&reopened, &address).unwrap(), data);
    assert!(is_not_found(&reopened.read(
        &BlockAddress {
            offset: far - (1 << 32),
            ..address
        },
        0,
        1
    )));
}
