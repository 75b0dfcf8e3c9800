//! Chunks made ready ahead.

use super::*;
use crate::vfs::sim::{Fault, FaultKind, Operation};

const LEN: usize = 60_000;

/// Appends blocks until a next chunk is wanted.
fn until_wanted(writer: &LargeWriter) -> Vec<(BlockAddress, Arc<Chunk>)> {
    let mut blocks = Vec::new();
    while !writer.wants_next() {
        assert!(!writer.prepare(), "nobody wants one yet");
        blocks.push(append(writer, blocks.len()));
    }
    blocks
}

fn append(writer: &LargeWriter, number: usize) -> (BlockAddress, Arc<Chunk>) {
    writer.append(&noise(number as u64, LEN)).unwrap()
}

#[test]
fn nothing_is_made_ready_for_blocks_that_are_synced_as_they_come() {
    let (place, _) = Place::simulated();
    let writer = place.large_writer(CAPACITY, 1);
    for number in 0..40 {
        writer.append_hurried(&noise(number, LEN)).unwrap();
        assert!(!writer.wants_next() && !writer.prepare());
    }
}

#[test]
fn the_next_chunk_is_full_of_zeros_before_it_is_needed_and_gives_the_rest_back() {
    let (place, sim) = Place::simulated();
    let writer = place.large_writer(CAPACITY, 1);
    let mut blocks = until_wanted(&writer);
    assert!((4..8).contains(&blocks.len()), "a quarter of it is used");
    while writer.prepare() {}
    let len = |number: u32| {
        let path = place.directory.join(chunk_file_name(number, 0));
        to_u64(place.file_bytes(&path).len())
    };
    assert_eq!(len(2), CAPACITY);
    let created = sim.count(Operation::Create);
    while blocks.last().unwrap().0.chunk == 1 {
        blocks.push(append(&writer, blocks.len()));
    }
    assert_eq!((blocks.last().unwrap().0.chunk, len(2)), (2, CAPACITY));
    assert_eq!(
        sim.count(Operation::Create),
        created,
        "no file was made meanwhile"
    );
    for (number, (address, chunk)) in blocks.iter().enumerate() {
        assert_eq!(bytes_of(chunk, address).unwrap(), noise(number as u64, LEN));
    }
    writer.sync_all().unwrap();
    let last = blocks.last().unwrap().0;
    for seed in 0..20 {
        let after = Place::on(&sim.crash(seed));
        let chunk = after.open(&blocks.last().unwrap().1.meta());
        assert_eq!(
            bytes_of(&chunk, &last).unwrap(),
            noise(blocks.len() as u64 - 1, LEN)
        );
    }
    assert!(writer.discard());
    assert_eq!(len(2), large_end(&last));
    assert!(!writer.discard());
    blocks.push(append(&writer, blocks.len()));
    let (address, chunk) = blocks.last().unwrap();
    assert_eq!(address.offset, large_end(&last));
    assert_eq!(
        bytes_of(chunk, address).unwrap(),
        noise(blocks.len() as u64 - 1, LEN)
    );
}

#[test]
fn what_was_made_ready_and_not_used_goes() {
    let (place, _) = Place::simulated();
    let writer = place.large_writer(CAPACITY, 1);
    for steps in [1, 3, 100] {
        let active = until_wanted(&writer).last().map(|(address, _)| address.chunk);
        for _ in 0..steps {
            writer.prepare();
        }
        let files = || place.vfs.list(&place.directory).unwrap().len();
        let before = files();
        assert!(writer.discard());
        assert_eq!(files(), before - 1);
        assert!(!writer.wants_next() && writer.active() == active);
        writer.seal();
    }
}

#[test]
fn whatever_hinders_it_leaves_no_file_and_the_writer_makes_a_chunk_of_its_own() {
    for operation in [Operation::Create, Operation::Write] {
        let (place, sim) = Place::simulated();
        let writer = place.large_writer(CAPACITY, 1);
        let mut blocks = until_wanted(&writer);
        sim.fail(Fault::new(operation, 1, FaultKind::NoSpace).forever());
        while writer.prepare() {}
        sim.clear_faults();
        assert!(!writer.wants_next());
        assert_eq!(
            place.vfs.list(&place.directory).unwrap().len(),
            1,
            "{operation:?}"
        );
        while blocks.last().unwrap().0.chunk == 1 {
            blocks.push(append(&writer, blocks.len()));
        }
        writer.sync_all().unwrap();
        let (address, chunk) = blocks.last().unwrap();
        assert_eq!(
            bytes_of(chunk, address).unwrap(),
            noise(blocks.len() as u64 - 1, LEN)
        );
    }
}

#[test]
fn the_chunk_that_was_begun_first_can_be_synced_alone() {
    let (place, _) = Place::simulated();
    let writer = place.large_writer(CAPACITY, 1);
    let mut blocks = vec![append(&writer, 0)];
    while blocks.last().unwrap().0.chunk < 3 {
        blocks.push(append(&writer, blocks.len()));
    }
    let unsynced = |number: u32| {
        let found = blocks.iter().find(|(address, _)| address.chunk == number);
        found.unwrap().1.is_unsynced()
    };
    for synced in 1..=3 {
        writer.sync_oldest().unwrap();
        for number in 1..=3 {
            assert_eq!(unsynced(number), number > synced, "{number} after {synced}");
        }
    }
    assert_eq!(writer.unsynced_bytes(), 0);
}
