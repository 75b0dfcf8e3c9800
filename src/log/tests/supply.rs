//! Segments made ready ahead.

use super::*;
use crate::error::Error;

fn supply(disk: &SimVfs, max_segment: u64) -> Supply {
    Supply::new(shared(disk), directory(), 1, LogWrite::Mapped, max_segment)
}

fn make_ready(supply: &Supply, min_len: u64) -> Arc<Segment> {
    while supply.prepare(min_len).unwrap() {}
    assert!(supply.ready(min_len) && !supply.prepare(min_len).unwrap());
    supply.take(min_len).unwrap()
}

#[test]
fn sizes_double_up_to_the_limit_and_numbers_rise() {
    let disk = disk(1);
    let supply = supply(&disk, 100_000);
    let made: Vec<(u64, u64)> = (0..5)
        .map(|_| {
            let segment = make_ready(&supply, 0);
            (segment.number(), segment.size())
        })
        .collect();
    assert_eq!(
        made,
        [
            (1, 16 << 10),
            (2, 32 << 10),
            (3, 64 << 10),
            (4, 102_400),
            (5, 102_400)
        ]
    );
    assert_eq!((supply.next_number(), names(&disk).len()), (6, 5));
}

#[test]
fn a_ready_segment_is_durable_with_its_name_and_length_before_it_is_used() {
    let disk = disk(1);
    let supply = supply(&disk, 1 << 20);
    let segment = make_ready(&supply, 300_000);
    for seed in 0..50 {
        let crashed = disk.crash(seed);
        let file = crashed
            .open(&directory().join("00000001.log"), OpenMode::Read)
            .unwrap();
        assert_eq!(file.len().unwrap(), segment.size());
    }
}

#[test]
fn a_step_writes_no_more_than_256_kib_in_small_pieces() {
    let disk = disk(1).with_reserve(4 << 20);
    let supply = supply(&disk, 4 << 20);
    let mut steps = 0;
    loop {
        let before = disk.count(Operation::Write);
        let more = supply.prepare(2 << 20).unwrap();
        assert!(disk.count(Operation::Write) - before <= 16, "16 pieces of 16 KiB");
        steps += 1;
        if !more {
            break;
        }
    }
    assert!(steps > 16, "{steps}");
}

#[test]
fn a_segment_too_small_for_a_frame_is_replaced_and_the_order_of_numbers_kept() {
    let disk = disk(1);
    let supply = supply(&disk, 64 << 10);
    while supply.prepare(0).unwrap() {}
    assert!(!supply.ready(20_000) && supply.take(20_000).is_none());
    // Half-way to the next one, a yet larger frame comes.
    assert!(supply.prepare(20_000).unwrap());
    let large = make_ready(&supply, 200_000);
    assert!(large.size() >= 200_032 && large.size().is_multiple_of(4096));
    let next = make_ready(&supply, 0);
    assert!(next.number() > large.number());
    assert_eq!(
        names(&disk),
        [
            segment_file_name(large.number()),
            segment_file_name(next.number())
        ]
    );
}

#[test]
fn a_full_disk_leaves_nothing_behind_and_a_retry_works() {
    for capacity in [0, 4096, 64 << 10, 300 << 10] {
        let disk = disk(1);
        let supply = supply(&disk, 1 << 20);
        disk.set_capacity(Some(capacity));
        let error = loop {
            match supply.prepare(500_000) {
                Ok(more) => assert!(more),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, Error::NoSpace { .. }), "{error:?}");
        assert!(names(&disk).is_empty() && !supply.ready(0));
        assert!(matches!(supply.prepare(500_000), Err(Error::NoSpace { .. })) || capacity >= 256 << 10);
        disk.set_capacity(None);
        assert!(make_ready(&supply, 500_000).size() > 500_000);
        assert_eq!(names(&disk).len(), 1);
    }
}

#[test]
fn a_failed_sync_while_preparing_discards_the_file() {
    for operation in [Operation::Sync, Operation::SyncDirectory, Operation::Create] {
        let disk = disk(1);
        let supply = supply(&disk, 1 << 20);
        disk.fail(Fault::new(operation, 1, FaultKind::Io));
        let error = loop {
            match supply.prepare(0) {
                Ok(more) => assert!(more),
                Err(error) => break error,
            }
        };
        assert!(matches!(error, Error::Io { .. }), "{error:?}");
        assert!(names(&disk).is_empty());
        make_ready(&supply, 0);
    }
}

#[test]
fn a_released_segment_is_renamed_and_used_again_without_a_write() {
    let disk = disk(1);
    let supply = supply(&disk, 16 << 10);
    let first = make_ready(&supply, 0);
    let second = make_ready(&supply, 0);
    supply.recycle(first).unwrap();
    let writes = disk.count(Operation::Write);
    let third = make_ready(&supply, 0);
    assert_eq!(third.number(), 3);
    assert_eq!(disk.count(Operation::Write), writes);
    assert_eq!(
        names(&disk),
        [segment_file_name(second.number()), segment_file_name(3)]
    );
    for seed in 0..50 {
        let names = names(&disk.crash(seed));
        assert_eq!(names, [segment_file_name(2), segment_file_name(3)]);
    }
}

#[test]
fn a_segment_that_a_view_pins_is_unlinked_and_not_recycled() {
    let disk = disk(1);
    let supply = supply(&disk, 16 << 10);
    for hold_segment in [false, true] {
        let segment = make_ready(&supply, 0);
        let region = (!hold_segment).then(|| Arc::clone(segment.region()));
        let held = hold_segment.then(|| Arc::clone(&segment));
        supply.recycle(segment).unwrap();
        assert!(names(&disk).is_empty());
        drop((region, held));
    }
}

#[test]
fn at_most_two_segments_wait_for_reuse() {
    let disk = disk(1);
    let supply = supply(&disk, 16 << 10);
    let segments: Vec<Arc<Segment>> = (0..5).map(|_| make_ready(&supply, 0)).collect();
    for segment in segments {
        supply.recycle(segment).unwrap();
    }
    assert_eq!(names(&disk).len(), 2);
    supply.discard().unwrap();
    assert!(names(&disk).is_empty());
    make_ready(&supply, 0);
}

#[test]
fn closing_removes_what_is_ready_spare_or_under_way() {
    let disk = disk(1);
    let supply = supply(&disk, 16 << 10);
    let used = make_ready(&supply, 0);
    while supply.prepare(0).unwrap() {}
    assert!(supply.prepare(100_000).unwrap());
    supply.discard().unwrap();
    assert_eq!(names(&disk), [segment_file_name(used.number())]);
}

/// Two segments that frames were copied into: from then on it is known how they are used.
fn used(supply: &Supply) -> Arc<Segment> {
    let first = make_ready(supply, 0);
    first.note_stored_to();
    let second = make_ready(supply, 0);
    second.note_stored_to();
    second
}

#[test]
fn what_is_stored_to_and_never_synced_gets_a_name_and_a_length_on_disk_and_its_zeros_in_large_pieces() {
    let disk = disk(1);
    let supply = supply(&disk, 1 << 20);
    let current = used(&supply);
    let (writes, syncs) = (disk.count(Operation::Write), disk.count(Operation::Sync));
    let lazy = make_ready(&supply, 600_000);
    assert_eq!(
        disk.count(Operation::Write) - writes,
        4,
        "1 MiB in pieces of 256 KiB"
    );
    assert_eq!(disk.count(Operation::Sync) - syncs, 1);
    for seed in 0..50 {
        let path = directory().join(segment_file_name(lazy.number()));
        let file = disk.crash(seed).open(&path, OpenMode::Read).unwrap();
        assert_eq!(file.len().unwrap(), lazy.size());
    }
    // Whoever asks for one sync is likely to ask for more: small pages again, on the disk before they are used.
    drop(current);
    lazy.note_stored_to();
    lazy.sync().unwrap();
    let writes = disk.count(Operation::Write);
    make_ready(&supply, 600_000);
    assert_eq!(
        disk.count(Operation::Write) - writes,
        256,
        "1 MiB in pieces of 4 KiB"
    );
}

#[test]
fn a_writer_that_waited_finds_more_segments_ready_until_there_is_time_to_give_them_back() {
    let disk = disk(1);
    let supply = supply(&disk, 16 << 10);
    assert!(supply.is_short() && !supply.is_outrun());
    supply.note_outrun();
    assert!(!supply.is_outrun(), "before the first there is none");
    let _first = make_ready(&supply, 0);
    supply.note_outrun();
    supply.note_outrun();
    while supply.prepare(0).unwrap() || supply.is_short() {}
    assert_eq!(names(&disk).len(), 1 + 3);
    assert_eq!(supply.ready_bytes(), 3 * (16 << 10));
    let taken: Vec<_> = (0..2).map(|_| supply.take(0).unwrap()).collect();
    assert!(taken.iter().map(|segment| segment.number()).eq([2, 3]));
    assert!(supply.is_short());
    while supply.prepare(0).unwrap() || supply.is_short() {}
    assert!(supply.calm_down().unwrap() && supply.calm_down().unwrap());
    assert!(!supply.calm_down().unwrap() && names(&disk).len() == 4, "1 to 4");
    assert!(!supply.is_outrun() && !supply.is_short());
    let last = supply.take(0).unwrap();
    assert_eq!(last.number(), 4);
    assert!(supply.take(0).is_none());
    // A frame that fits into none of them gets a segment behind them all.
    supply.note_outrun();
    while supply.prepare(0).unwrap() || supply.is_short() {}
    let large = make_ready(&supply, 100_000);
    assert!(large.number() > 8 && supply.take(0).is_none());
}

/// A commit that the disk has no room for halves segments while the background thread, which it had to wait for, makes
/// more of them ahead.
#[test]
fn segments_get_smaller_whatever_is_under_way_until_one_of_the_least_size_is_left() {
    let disk = disk(1);
    let supply = supply(&disk, 1 << 20);
    let _first = make_ready(&supply, 0);
    let mut ready = Vec::new();
    loop {
        if !supply.ready(5_000) {
            supply.note_outrun();
            while supply.prepare(0).unwrap() || supply.is_short() {}
            supply.note_outrun();
            assert!(
                supply.prepare(0).unwrap(),
                "one more, twice as large, is under way"
            );
        }
        ready.push((supply.ready_bytes() >> 10, names(&disk).len()));
        if !supply.replace_with_smaller(5_000).unwrap() {
            break;
        }
        assert!(ready.len() < 10, "{ready:?}");
    }
    assert_eq!(ready, [(32 + 64, 4), (16 + 32, 4), (16, 2)]);
    assert_eq!((supply.ready_bytes(), names(&disk).len()), (16 << 10, 2));
    supply.note_outrun(); // by another commit
    assert!(supply.is_short() && !supply.replace_with_smaller(5_000).unwrap());
    assert!(!supply.is_short() && !supply.is_outrun() && supply.ready(5_000));
}
