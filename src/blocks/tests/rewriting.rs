//! Rewriting: addresses stay, the dead go, steps may be the last.

use super::*;
use crate::vfs::sim::{Fault, FaultKind, Operation};

type IsLive<'a> = &'a dyn Fn(&BlockAddress) -> bool;

/// Rewrites to the end; `None` where nothing is live.
pub(super) fn rewrite(
    place: &Place,
    chunk: &Arc<Chunk>,
    large: Option<Vec<BlockAddress>>,
    is_live: IsLive<'_>,
) -> Option<Arc<Chunk>> {
    try_rewrite(place, chunk, large, is_live).unwrap()
}

fn try_rewrite(
    place: &Place,
    chunk: &Arc<Chunk>,
    large: Option<Vec<BlockAddress>>,
    is_live: IsLive<'_>,
) -> Result<Option<Arc<Chunk>>> {
    let mut rewriter = Rewriter::new(
        Arc::clone(&place.vfs),
        place.directory.clone(),
        Arc::clone(chunk),
        large,
    )?;
    loop {
        match rewriter.step(20_000, &mut |found| Ok(is_live(&found.address)))? {
            RewriteStep::Working => {}
            RewriteStep::Empty => return Ok(None),
            RewriteStep::Done { meta, chunk, .. } => {
                place.vfs.sync_directory(&place.directory)?;
                assert_eq!(chunk.meta(), meta);
                return Ok(Some(chunk));
            }
        }
    }
}

fn many_small(count: u64) -> Vec<(Vec<u8>, Vec<u8>)> {
    (0..count)
        .map(|seed| {
            (
                noise(seed, seed as usize % 19),
                noise(seed + 9, (seed as usize * 37) % 700),
            )
        })
        .collect()
}

/// Neighbours live and die together, mostly.
fn survives(address: &BlockAddress, round: u64) -> bool {
    !(address.offset / 3_000 + round).is_multiple_of(7) && !(address.offset / 8 + round).is_multiple_of(11)
}

#[test]
fn rewriting_again_and_again_keeps_addresses_and_drops_the_dead() {
    for place in [Place::real(), Place::simulated().0] {
        let blocks = many_small(1_500);
        let (mut chunk, addresses) = place.small(4, &blocks);
        chunk.named_by(77);
        let mut live: Vec<(BlockAddress, Vec<u8>)> = addresses
            .into_iter()
            .zip(blocks.into_iter().map(|(_, data)| data))
            .collect();
        for round in 1..=4 {
            let before = chunk.len();
            chunk = rewrite(&place, &chunk, None, &|address| survives(address, round)).unwrap();
            let (kept, dead): (Vec<_>, Vec<_>) = live
                .into_iter()
                .partition(|(address, _)| survives(address, round));
            assert!(!kept.is_empty() && !dead.is_empty() && chunk.len() < before);
            let meta = chunk.meta();
            assert_eq!(
                (meta.rewrite, meta.last_seq, meta.dead_bytes),
                (round as u32, 77, 0)
            );
            assert_eq!(
                chunk.path().file_name().unwrap().to_str(),
                Some(&*chunk_file_name(4, round as u32))
            );
            for reader in [Arc::clone(&chunk), place.open_checking(&meta)] {
                for (address, data) in &kept {
                    assert_eq!(&bytes_of(&reader, address).unwrap(), data);
                    assert!(reader.contains(address.offset).unwrap());
                }
                for (address, _) in &dead {
                    assert!(is_not_found(&reader.read(address, 0, address.len)), "{address:?}");
                    assert!(!reader.contains(address.offset).unwrap());
                }
            }
            let mut walked = Vec::new();
            walk(&chunk, 0, &mut |found| {
                walked.push(found.address);
                Ok(true)
            })
            .unwrap();
            assert_eq!(
                walked,
                kept.iter().map(|(address, _)| *address).collect::<Vec<_>>()
            );
            assert_eq!(findings(&chunk), []);
            live = kept;
        }
    }
}

#[test]
fn owners_are_told_and_kept() {
    let (place, _) = Place::simulated();
    let blocks = many_small(40);
    let (chunk, addresses) = place.small(0, &blocks);
    for chunk in [
        Arc::clone(&chunk),
        rewrite(&place, &chunk, None, &|_| true).unwrap(),
    ] {
        let mut index = 0;
        walk(&chunk, 0, &mut |found| {
            assert_eq!(
                (found.address, found.owner),
                (addresses[index], &blocks[index].0[..])
            );
            index += 1;
            Ok(index < 30)
        })
        .unwrap();
        assert_eq!(index, 30, "the walk ends when told");
        walk(&chunk, addresses[30].offset, &mut |found| {
            assert_eq!(found.address, addresses[index]);
            index += 1;
            Ok(true)
        })
        .unwrap();
        assert_eq!(index, 40, "and goes on where told");
    }
}

#[test]
fn neighbours_that_live_share_one_entry_of_the_table() {
    let (place, _) = Place::simulated();
    let (chunk, addresses) = place.small(0, &many_small(1_000));
    let whole = rewrite(&place, &chunk, None, &|_| true).unwrap();
    assert_eq!(whole.len(), chunk.len() + 16 + 8);
    let gone = addresses[500];
    let two = rewrite(&place, &whole, None, &|address| *address != gone).unwrap();
    assert_eq!(two.meta().len, two.meta().table_offset + 16 + 2 * 8);
}

#[test]
fn large_blocks_keep_their_addresses_whether_found_by_the_index_or_by_walking() {
    for place in [Place::real(), Place::simulated().0] {
        let writer = place.large_writer(4 * CAPACITY, 1);
        let blocks: Vec<(BlockAddress, Vec<u8>, Arc<Chunk>)> = (0..12_u64)
            .map(|seed| {
                let data = noise(seed, 33_000 + seed as usize * 21_001);
                let (address, chunk) = writer.append(&data).unwrap();
                (address, data, chunk)
            })
            .collect();
        writer.sync_all().unwrap();
        let mut chunk = Arc::clone(&blocks[0].2);
        let mut known: Vec<BlockAddress> = blocks.iter().rev().map(|(address, ..)| *address).collect();
        known.extend_from_within(3..6);
        let is_live = |address: &BlockAddress, round: u32| {
            let index = blocks.iter().position(|(other, ..)| other == address).unwrap() as u32;
            index >= round && index % 4 != 1
        };
        for (round, list) in [(1, Some(known.clone())), (2, None), (3, Some(known.clone()))] {
            // Later rounds are also asked about blocks that are gone: the index may lag.
            chunk = rewrite(&place, &chunk, list, &|address| is_live(address, round)).unwrap();
            assert_eq!(chunk.meta().table_offset % 4_096, 0);
            for (address, data, _) in &blocks {
                let result = bytes_of(&place.open(&chunk.meta()), address);
                if is_live(address, round) {
                    assert_eq!(&result.unwrap(), data);
                } else {
                    assert!(is_not_found(&result));
                }
            }
            assert_eq!(findings(&chunk), []);
        }
    }
}

#[test]
fn a_chunk_without_live_blocks_is_empty_and_makes_no_file() {
    let (place, _) = Place::simulated();
    let (small, _) = place.small(0, &many_small(300));
    let (_, large) = place.large_writer(CAPACITY, 1).append(&[1; 40_000]).unwrap();
    let blank = place.create(7, false);
    let names = place.names();
    for chunk in [small, large, blank] {
        assert!(rewrite(&place, &chunk, None, &|_| false).is_none());
    }
    assert_eq!(place.names(), names);
}

#[test]
fn no_step_writes_or_syncs_more_than_256_kib() {
    let (place, sim) = Place::simulated();
    let blocks: Vec<_> = (0..60)
        .map(|seed| (noise(seed, 40), noise(seed, 32 * 1_024)))
        .collect();
    let chunk = {
        let big = Chunk::create(
            &place.vfs,
            &place.directory,
            0,
            NONCE,
            false,
            4 << 20,
            ChunkOptions::default(),
        );
        let chunk = big.unwrap();
        let mut bytes = Vec::new();
        for (owner, data) in &blocks {
            let offset = 32 + to_u64(bytes.len());
            small_block(&mut bytes, &chunk, offset, owner, data);
        }
        chunk.write(32, &bytes).unwrap();
        chunk.set_len(32 + to_u64(bytes.len()));
        chunk
    };
    let (_, large) = place
        .large_writer(4 << 20, 1)
        .append(&noise(1, 3_000_000))
        .unwrap();
    for chunk in [chunk, large] {
        let mut rewriter = Rewriter::new(
            Arc::clone(&place.vfs),
            place.directory.clone(),
            Arc::clone(&chunk),
            None,
        )
        .unwrap();
        let mut steps = 0;
        loop {
            let (length, syncs) = (sim.used_bytes(), sim.count(Operation::Sync));
            let step = rewriter.step(usize::MAX, &mut |_| Ok(true)).unwrap();
            steps += 1;
            let grown = sim.used_bytes() - length;
            assert!(grown <= 260 * 1_024, "{grown}");
            if sim.count(Operation::Sync) > syncs {
                assert_eq!(grown, 0, "a step that syncs doesn't write");
            }
            assert!(rewriter.heap_bytes() < 1 << 20);
            if let RewriteStep::Done { meta, .. } = step {
                assert_eq!(meta.table_offset, chunk.len(), "everything was copied");
                break;
            }
        }
        assert!(steps > 12, "{steps}");
    }
}

#[test]
fn after_a_crash_at_any_step_the_old_chunk_is_whole_and_rewriting_starts_over() {
    let (place, sim) = Place::simulated();
    let blocks = many_small(1_200);
    let (chunk, addresses) = place.small(0, &blocks);
    let meta = chunk.meta();
    let mut operations = 0;
    for nth in 1.. {
        let disk = sim.restart();
        disk.crash_at(nth);
        let place = Place::on(&disk);
        let outcome = try_rewrite(&place, &place.open(&meta), None, &|address| survives(address, 0));
        if let Ok(done) = outcome {
            assert!(!disk.lost_power() && done.is_some());
            break;
        }
        operations += 1;
        for seed in 0..3 {
            let place = Place::on(&disk.crash(seed));
            let chunk = place.open(&meta);
            assert_eq!(findings(&chunk), []);
            let rewritten = rewrite(&place, &chunk, None, &|address| survives(address, 0)).unwrap();
            for (address, (_, data)) in addresses
                .iter()
                .zip(&blocks)
                .filter(|(address, _)| survives(address, 0))
            {
                assert_eq!(&bytes_of(&rewritten, address).unwrap(), data);
            }
            assert_eq!(place.names(), ["chunk_0000.bin", "chunk_0000.r1.bin"]);
        }
    }
    assert!(operations >= 6, "{operations}");
}

#[test]
fn what_is_done_survives_a_power_cut() {
    let (place, sim) = Place::simulated();
    let blocks = many_small(1_200);
    let (chunk, addresses) = place.small(0, &blocks);
    let rewritten = rewrite(&place, &chunk, None, &|address| survives(address, 0)).unwrap();
    for seed in 0..10 {
        let after = Place::on(&sim.crash(seed)).open(&rewritten.meta());
        assert_eq!(findings(&after), []);
        let kept = addresses.iter().filter(|address| survives(address, 0));
        assert!(kept.clone().count() > 300);
        assert!(kept
            .clone()
            .all(|address| after.read(address, 0, address.len).is_ok()));
    }
}

#[test]
fn a_step_that_found_the_disk_full_can_be_tried_again() {
    let (place, sim) = Place::simulated();
    let (small, addresses) = place.small(0, &many_small(1_500));
    let (large_address, large) = place
        .large_writer(CAPACITY, 1)
        .append(&noise(1, 600_000))
        .unwrap();
    for (chunk, addresses) in [(small, addresses), (large, vec![large_address])] {
        let mut rewriter = Rewriter::new(
            Arc::clone(&place.vfs),
            place.directory.clone(),
            Arc::clone(&chunk),
            None,
        )
        .unwrap();
        let mut refused = 0;
        let done = loop {
            sim.fail(Fault::new(Operation::Write, 1, FaultKind::ShortWrite));
            let step = match rewriter.step(50_000, &mut |_| Ok(true)) {
                Err(error) => {
                    assert!(matches!(error, Error::NoSpace { .. }), "{error}");
                    refused += 1;
                    rewriter.step(50_000, &mut |_| Ok(true)).unwrap()
                }
                Ok(step) => step,
            };
            sim.clear_faults();
            if let RewriteStep::Done { chunk, .. } = step {
                break chunk;
            }
        };
        assert!(refused >= 3, "{refused}");
        assert_eq!(findings(&done), []);
        assert!(addresses.iter().all(|address| done.check(address).is_ok()));
    }
}

#[test]
fn a_failed_sync_of_the_new_file_stays_failed() {
    let (place, sim) = Place::simulated();
    let (chunk, _) = place.small(0, &many_small(100));
    let mut rewriter = Rewriter::new(
        Arc::clone(&place.vfs),
        place.directory.clone(),
        Arc::clone(&chunk),
        None,
    )
    .unwrap();
    sim.fail(Fault::new(Operation::Sync, 1, FaultKind::Io));
    let error = loop {
        if let Err(error) = rewriter.step(1 << 20, &mut |_| Ok(true)) {
            break error;
        }
    };
    assert_eq!(rewriter.step(1 << 20, &mut |_| Ok(true)).map(|_| ()), Err(error));
    rewriter.abandon();
    assert_eq!(place.names(), ["chunk_0000.bin"]);
}

#[test]
fn a_damaged_block_stops_the_rewriting_only_if_it_is_live() {
    let (place, _) = Place::simulated();
    let (small, addresses) = place.small(0, &many_small(50));
    let writer = place.large_writer(CAPACITY, 1);
    let (first, large) = writer.append(&[1; 90_000]).unwrap();
    let (second, _) = writer.append(&[2; 90_000]).unwrap();
    place.flip(small.path(), addresses[20].offset + 60, 0);
    place.flip(large.path(), first.offset, 0);
    for (chunk, bad, list) in [
        (small, addresses[20], addresses.clone()),
        (large, first, vec![first, second]),
    ] {
        let large = chunk.is_large().then(|| list.clone());
        assert!(is_corrupt(&try_rewrite(&place, &chunk, large.clone(), &|_| true)));
        let done = rewrite(&place, &chunk, large, &|address| *address != bad).unwrap();
        assert!(list
            .iter()
            .filter(|address| **address != bad)
            .all(|address| done.check(address).is_ok()));
        assert!(is_not_found(&done.check(&bad)));
    }
}

#[test]
fn what_dies_while_the_chunk_is_rewritten_counts_as_dead_in_the_new_one() {
    let (place, _) = Place::simulated();
    let (chunk, _) = place.small(0, &many_small(300));
    chunk.add_dead(5_000);
    let mut rewriter = Rewriter::new(
        Arc::clone(&place.vfs),
        place.directory.clone(),
        Arc::clone(&chunk),
        None,
    )
    .unwrap();
    chunk.add_dead(700);
    chunk.named_by(12);
    let meta = loop {
        if let RewriteStep::Done { meta, .. } = rewriter.step(1 << 20, &mut |_| Ok(true)).unwrap() {
            break meta;
        }
    };
    assert_eq!((meta.dead_bytes, meta.last_seq), (700, 12));
    assert!(matches!(
        rewriter.step(1, &mut |_| Ok(true)),
        Err(Error::Internal { .. })
    ));
}

#[test]
fn a_rewritten_chunk_takes_no_more_writes() {
    let (place, _) = Place::simulated();
    let (chunk, _) = place.small(0, &many_small(10));
    let rewritten = rewrite(&place, &chunk, None, &|_| true).unwrap();
    assert!(matches!(rewritten.write(32, &[1]), Err(Error::Internal { .. })));
}

#[test]
fn blocks_beyond_4_gib_come_home() {
    let place = Place::real();
    let (far, capacity) = (5 << 30, 8 << 30);
    let options = ChunkOptions::default();
    let writer = place.large_writer(capacity, 2);
    let chunk = Chunk::create(&place.vfs, &place.directory, 1, NONCE, true, capacity, options).unwrap();
    writer.resume(Arc::clone(&chunk), far);
    let data = noise(9, 140_000);
    let (address, _) = writer.append(&data).unwrap();
    let rewritten = rewrite(&place, &chunk, Some(vec![address]), &|_| true).unwrap();
    assert!(rewritten.len() < 200_000);
    assert_eq!(bytes_of(&rewritten, &address).unwrap(), data);
}
