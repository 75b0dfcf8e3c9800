//! Writing large blocks: space, concurrency, failures, recovery.

use super::*;
use crate::vfs::sim::{Fault, FaultKind, Operation};

fn discover(place: &Place, number: u32) -> Arc<Chunk> {
    Chunk::discover(
        &place.vfs,
        &place.directory,
        number,
        CAPACITY,
        ChunkOptions::default(),
    )
    .unwrap()
}

#[test]
fn a_block_is_readable_as_soon_as_append_returns_and_lies_at_a_4_kib_boundary() {
    let (place, _) = Place::simulated();
    let writer = place.large_writer(CAPACITY, 1);
    let mut end = 4_096;
    for len in [0, 1, 4_096, 33_000, 65_536, 65_537, 300_000] {
        let data = noise(len as u64, len);
        let (address, chunk) = writer.append(&data).unwrap();
        assert_eq!(
            (address.offset, address.len, address.crc32c),
            (end, len as u64, crc32c::crc32c(&data))
        );
        assert_eq!(bytes_of(&chunk, &address).unwrap(), data);
        end = large_end(&address);
        assert_eq!(
            (chunk.len(), to_u64(place.file_bytes(chunk.path()).len())),
            (end, end)
        );
    }
}

#[test]
fn a_full_chunk_is_followed_by_a_new_one_and_a_huge_block_gets_one_to_itself() {
    let (place, _) = Place::simulated();
    let writer = place.large_writer(CAPACITY, 10);
    assert_eq!(writer.active(), None);
    let exact = usize::try_from(CAPACITY - 4_096 - 4_096).unwrap();
    let numbers: Vec<u32> = [600_000, 600_000, 2_000_000, 100_000, exact, exact + 1]
        .into_iter()
        .map(|len| {
            let (address, chunk) = writer.append(&vec![3; len]).unwrap();
            assert_eq!(bytes_of(&chunk, &address).unwrap(), vec![3; len]);
            let reopened = place.open(&chunk.meta());
            assert_eq!(bytes_of(&reopened, &address).unwrap(), vec![3; len]);
            address.chunk
        })
        .collect();
    assert_eq!(numbers, [10, 11, 12, 11, 13, 14]);
    assert_eq!(writer.active(), Some(13));
    writer.seal();
    assert_eq!(writer.append(&[1; 33_000]).unwrap().0.chunk, 15);
}

#[test]
fn threads_append_and_sync_at_once_without_treading_on_each_other() {
    for place in [Place::real(), Place::simulated().0] {
        let writer = place.large_writer(CAPACITY, 1);
        let mut all: Vec<(BlockAddress, Arc<Chunk>)> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4_u64)
                .map(|thread| {
                    let writer = &writer;
                    scope.spawn(move || {
                        (0..25_u64)
                            .map(|index| {
                                let data =
                                    noise(thread * 100 + index, 33_000 + (index as usize * 7_919) % 150_000);
                                let (address, chunk) = writer.append(&data).unwrap();
                                assert_eq!(bytes_of(&chunk, &address).unwrap(), data);
                                if index % 5 == thread {
                                    writer.sync_all().unwrap();
                                }
                                (address, chunk)
                            })
                            .collect::<Vec<_>>()
                    })
                })
                .collect();
            threads
                .into_iter()
                .flat_map(|thread| thread.join().unwrap())
                .collect()
        });
        writer.sync_all().unwrap();
        assert_eq!(writer.unsynced_bytes(), 0);
        all.sort_by_key(|(address, _)| (address.chunk, address.offset));
        assert_eq!(all.len(), 100);
        for pair in all.windows(2) {
            assert!(pair[0].0.chunk < pair[1].0.chunk || large_end(&pair[0].0) <= pair[1].0.offset);
        }
        for (address, chunk) in &all {
            assert!(!chunk.is_unsynced());
            place.open(&chunk.meta()).check(address).unwrap();
        }
        let found: usize = {
            let mut chunks: Vec<_> = all.iter().map(|(_, chunk)| chunk).collect();
            chunks.dedup_by_key(|chunk| chunk.number());
            let count = |chunk: &Arc<Chunk>| {
                let mut count = 0;
                walk(chunk, 0, &mut |_| {
                    count += 1;
                    Ok(true)
                })
                .map(|()| count)
                .unwrap()
            };
            chunks.into_iter().map(count).sum()
        };
        assert_eq!(found, 100);
    }
}

#[test]
fn what_sync_all_covered_survives_a_power_cut_name_and_bytes() {
    let (place, sim) = Place::simulated();
    let writer = place.large_writer(CAPACITY, 1);
    let mut blocks = Vec::new();
    for len in [40_000, 900_000, 500_000, 3_000_000] {
        blocks.push((writer.append(&noise(len, len as usize)).unwrap().0, len));
    }
    assert!(writer.unsynced_bytes() > 4_400_000);
    writer.sync_all().unwrap();
    assert_eq!(writer.unsynced_bytes(), 0);
    for seed in 0..20 {
        let after = Place::on(&sim.crash(seed));
        for (address, len) in &blocks {
            let chunk = discover(&after, address.chunk);
            chunk.named_large(address, 1);
            assert_eq!(bytes_of(&chunk, address).unwrap(), noise(*len, *len as usize));
        }
    }
}

#[test]
fn the_directory_is_synced_once_for_each_new_file() {
    let (place, sim) = Place::simulated();
    let writer = place.large_writer(CAPACITY, 1);
    let synced = || {
        let before = sim.count(Operation::SyncDirectory);
        writer.sync_all().unwrap();
        sim.count(Operation::SyncDirectory) - before
    };
    // The first goes to a new chunk, the second beside it, the third to another one, the fourth gets its own.
    for (len, expected) in [(40_000, 1), (40_000, 0), (1_000_000, 1), (2_000_000, 1), (10, 0)] {
        writer.append(&vec![1; len]).unwrap();
        assert_eq!((synced(), synced()), (expected, 0), "{len}");
    }
}

#[test]
fn a_sync_without_unsynced_bytes_does_nothing() {
    let (place, sim) = Place::simulated();
    let (chunk, _) = place.small(0, &[(vec![], vec![1; 50])]);
    let before = sim.count(Operation::Sync);
    chunk.sync().unwrap();
    assert_eq!(sim.count(Operation::Sync), before);
    chunk.write(500, &[1]).unwrap();
    assert!(chunk.is_unsynced());
    chunk.sync().unwrap();
    assert!(!chunk.is_unsynced());
    assert_eq!(sim.count(Operation::Sync), before + 1);
}

#[test]
fn a_failed_sync_stays_failed() {
    for kind in [FaultKind::Io, FaultKind::Interrupted, FaultKind::NoSpace] {
        let (place, sim) = Place::simulated();
        let writer = place.large_writer(CAPACITY, 1);
        let (_, chunk) = writer.append(&[1; 40_000]).unwrap();
        sim.fail(Fault::new(Operation::Sync, 1, kind));
        let error = writer.sync_all().unwrap_err();
        let syncs = sim.count(Operation::Sync);
        assert_eq!(writer.sync_all(), Err(error.clone()));
        assert_eq!(chunk.sync(), Err(error.clone()));
        assert_eq!(chunk.write(4_096, &[0]), Err(error.clone()));
        assert_eq!(writer.append(&[1; 40_000]).map(|_| ()), Err(error.clone()));
        assert_eq!(writer.append(&[1; 4_000_000]).map(|_| ()), Err(error));
        assert!(chunk.is_unsynced());
        chunk.close_file();
        assert!(
            chunk.sync().is_err(),
            "the descriptor that failed isn't closed and forgotten"
        );
        assert_eq!(sim.count(Operation::Sync), syncs, "nothing is tried again");
    }
}

#[test]
fn a_failed_directory_sync_stays_failed() {
    let (place, sim) = Place::simulated();
    let writer = place.large_writer(CAPACITY, 1);
    writer.append(&[1; 40_000]).unwrap();
    sim.fail(Fault::new(Operation::SyncDirectory, 1, FaultKind::Io));
    let error = writer.sync_all().unwrap_err();
    assert_eq!(writer.sync_all(), Err(error));
}

#[test]
fn a_full_disk_is_an_error_that_a_retry_gets_past() {
    let (place, sim) = Place::simulated();
    let writer = place.large_writer(CAPACITY, 1);
    let (first, chunk) = writer.append(&[1; 40_000]).unwrap();
    sim.set_capacity(Some(sim.used_bytes() + 60_000));
    for len in [100_000, 900_000, 3_000_000] {
        assert!(matches!(writer.append(&vec![2; len]), Err(Error::NoSpace { .. })));
    }
    assert_eq!(bytes_of(&chunk, &first).unwrap(), [1; 40_000]);
    sim.set_capacity(None);
    let (second, same) = writer.append(&[3; 100_000]).unwrap();
    assert_eq!(bytes_of(&same, &second).unwrap(), [3; 100_000]);
    let (alone, chunk) = writer.append(&[4; 3_000_000]).unwrap();
    assert_eq!(bytes_of(&chunk, &alone).unwrap(), [4; 3_000_000]);
    writer.sync_all().unwrap();
    assert_eq!(findings(&chunk), []);
}

#[test]
fn a_write_that_fails_half_way_gives_its_space_back_and_is_not_found() {
    let (place, sim) = Place::simulated();
    let writer = place.large_writer(CAPACITY, 1);
    let (first, chunk) = writer.append(&[1; 40_000]).unwrap();
    let data = noise(1, 100_000);
    let expected = BlockAddress {
        chunk: first.chunk,
        crc32c: crc32c::crc32c(&data),
        offset: large_end(&first),
        len: to_u64(data.len()),
    };
    for nth in 1..=3 {
        sim.fail(Fault::new(Operation::Write, nth, FaultKind::ShortWrite));
        assert!(writer.append(&data).is_err());
        assert!(is_not_found(&chunk.read(&expected, 0, 1)));
    }
    assert_eq!(writer.append(&data).unwrap().0, expected);
    assert_eq!(bytes_of(&chunk, &expected).unwrap(), data);
    let files = place.names().len();
    sim.fail(Fault::new(Operation::Write, 2, FaultKind::ShortWrite));
    assert!(writer.append(&[1; 4_000_000]).is_err());
    assert_eq!(
        place.names().len(),
        files,
        "the chunk it would have had to itself is gone"
    );
}

#[test]
fn after_a_crash_space_that_no_frame_names_is_used_again_and_what_was_there_is_not_found() {
    for place in [Place::real(), Place::simulated().0] {
        let writer = place.large_writer(CAPACITY, 1);
        let named = writer.append(&[1; 40_000]).unwrap().0;
        let lost = [50_000, 60_000].map(|len| writer.append(&vec![2; len]).unwrap().0);
        drop(writer);

        let chunk = discover(&place, 1);
        assert_eq!(
            (chunk.len(), chunk.is_large(), chunk.meta().rewrite),
            (4_096, true, 0)
        );
        lost.iter().for_each(|address| chunk.named_large(address, 5));
        let writer = place.large_writer(CAPACITY, 2);
        writer.resume(Arc::clone(&chunk), large_end(&named));
        assert_eq!(writer.active(), Some(1));
        assert!(chunk.read(&named, 0, 1).is_ok());
        assert!(lost
            .iter()
            .all(|address| is_not_found(&chunk.read(address, 0, 1))));
        // Short enough to end before the second lost block, whose head stays on the disk for now.
        let (new, _) = writer.append(&[3; 35_000]).unwrap();
        assert_eq!(new.offset, lost[0].offset);
        assert!(lost
            .iter()
            .all(|address| is_not_found(&chunk.read(address, 0, 1))));
        assert_eq!(bytes_of(&chunk, &new).unwrap(), [3; 35_000]);
        let (beyond, _) = writer.append(&[4; 300_000]).unwrap();
        assert_eq!(bytes_of(&chunk, &beyond).unwrap(), [4; 300_000]);
        assert!(lost
            .iter()
            .all(|address| is_not_found(&chunk.read(address, 0, 1))));
        assert_eq!(findings(&chunk), []);
    }
}

#[test]
fn a_chunk_without_room_or_with_a_table_is_not_resumed() {
    let (place, _) = Place::simulated();
    let writer = place.large_writer(CAPACITY, 5);
    writer.resume(place.create(1, true), CAPACITY);
    writer.resume(place.create(2, false), 32);
    let rewritten = ChunkMeta {
        rewrite: 1,
        ..place.create(3, true).meta()
    };
    writer.resume(place.open(&rewritten), 4_096);
    assert_eq!(writer.active(), None);
    assert_eq!(writer.append(&[1; 40_000]).unwrap().0.chunk, 5);
}

#[test]
fn a_block_that_a_failed_sync_left_in_the_cache_only_is_durable_once_written_again() {
    let (place, sim) = Place::simulated();
    let writer = place.large_writer(CAPACITY, 1);
    let data = noise(4, 700_001);
    let (address, _) = writer.append(&data).unwrap();
    sim.fail(Fault::new(Operation::Sync, 1, FaultKind::Io));
    assert!(writer.sync_all().is_err());
    sim.sync_directory(&place.directory).unwrap();

    let killed = sim.restart();
    let place = Place::on(&killed);
    let chunk = discover(&place, 1);
    chunk.check(&address).unwrap();
    assert!(!chunk.is_unsynced());
    let lost = |disk: &SimVfs| {
        let after = Place::on(disk);
        Chunk::discover(&after.vfs, &after.directory, 1, CAPACITY, ChunkOptions::default())
            .and_then(|chunk| chunk.check(&address))
            .is_err()
    };
    assert!(
        (0..10).all(|seed| lost(&killed.crash(seed))),
        "the fault is as bad as it is meant to be"
    );
    chunk.write_again(&address).unwrap();
    assert!(chunk.is_unsynced());
    let writer = place.large_writer(CAPACITY, 2);
    writer.track(&chunk);
    writer.sync_all().unwrap();
    assert!(!(0..10).any(|seed| lost(&killed.crash(seed))));
}

#[test]
fn a_block_that_is_not_whole_is_not_written_again() {
    let (place, _) = Place::simulated();
    let (address, chunk) = place.large_writer(CAPACITY, 1).append(&[1; 90_000]).unwrap();
    chunk.sync().unwrap();
    place.flip(chunk.path(), address.offset + 80_000, 0);
    assert!(is_corrupt(&chunk.write_again(&address)));
    assert!(!chunk.is_unsynced());
}

#[test]
fn a_check_reaches_beyond_the_length_and_a_read_does_not() {
    let (place, _) = Place::simulated();
    let (address, _) = place.large_writer(CAPACITY, 1).append(&[1; 90_000]).unwrap();
    let chunk = discover(&place, 1);
    chunk.check(&address).unwrap();
    assert!(is_not_found(&chunk.read(&address, 0, 1)));
    let beyond = BlockAddress {
        offset: 1 << 30,
        ..address
    };
    assert!(is_refused(&chunk.check(&beyond)));
}

#[test]
fn a_chunk_is_in_use_from_append_on_until_the_commit_is_over_and_not_after_a_failure() {
    let (place, sim) = Place::simulated();
    let writer = place.large_writer(CAPACITY, 1);
    let (_, chunk) = writer.append(&[1; 40_000]).unwrap();
    writer.append(&[1; 40_000]).unwrap();
    let (_, alone) = writer.append(&[1; 4_000_000]).unwrap();
    sim.fail(Fault::new(Operation::Write, 1, FaultKind::Io));
    assert!(writer.append(&[1; 40_000]).is_err());
    assert!(chunk.is_in_use() && alone.is_in_use());
    alone.end_use();
    chunk.end_use();
    assert!(chunk.is_in_use() && !alone.is_in_use());
    chunk.end_use();
    assert!(!chunk.is_in_use());
}

#[test]
fn a_sync_between_reservation_and_write_does_not_make_the_next_one_miss_the_block() {
    let (place, sim) = Place::simulated();
    let writer = place.large_writer(CAPACITY, 1);
    let (first, chunk) = writer.append(&[1; 33_000]).unwrap();
    // Another thread has reserved the space behind; the chunk is given up and synced before it writes.
    writer.seal();
    writer.sync_all().unwrap();
    let offset = large_end(&first);
    let address = writer
        .write_reserved(&chunk, offset, &[2; 33_000], large_total_bytes(33_000), false)
        .unwrap();
    assert!(writer.unsynced_bytes() >= 33_000);
    writer.sync_all().unwrap();
    assert!(!chunk.is_unsynced());
    assert!((0..10).all(|seed| discover(&Place::on(&sim.crash(seed)), 1).check(&address).is_ok()));
}

#[test]
fn nothing_from_before_a_crash_shows_up_while_threads_write_over_it() {
    let (place, _) = Place::simulated();
    let stale: Vec<BlockAddress> = {
        let writer = place.large_writer(CAPACITY, 1);
        (0..100)
            .map(|index| writer.append(&[index; 10]).unwrap().0)
            .collect()
    };
    for _ in 0..20 {
        // The old blocks are put back for each round.
        let chunk = discover(&place, 1);
        for (index, address) in stale.iter().enumerate() {
            let (head, _) = block::encode_large_head(chunk.nonce(), address.offset, &[index as u8; 10]);
            chunk.write(address.offset, &head).unwrap();
            chunk.write(address.offset + 4_096, &[index as u8; 10]).unwrap();
            chunk.check(address).unwrap();
        }
        let writer = place.large_writer(CAPACITY, 2);
        writer.resume(Arc::clone(&chunk), 4_096);
        let appending = std::sync::atomic::AtomicU32::new(2);
        std::thread::scope(|scope| {
            let append = || {
                for _ in 0..12 {
                    writer.append(&[200; 29_000]).unwrap();
                }
                appending.fetch_sub(1, Ordering::AcqRel);
            };
            scope.spawn(append);
            scope.spawn(append);
            while appending.load(Ordering::Acquire) > 0 {
                for address in &stale {
                    assert!(is_not_found(&chunk.read(address, 0, 0)), "{address:?}");
                }
            }
        });
    }
}
