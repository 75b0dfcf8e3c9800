//! Where replay stops, and what it makes of that.

use super::*;
use crate::error::Error;

const BOTH: [LogWrite; 2] = [LogWrite::Mapped, LogWrite::Written];

#[test]
fn frames_replay_in_order_across_segments_of_growing_size() {
    for how in BOTH {
        let disk = disk(1);
        let mut log = Log::create(&disk, how, 64 << 10);
        for number in 0..600 {
            log.append(number % 300, number % 3 * 8, number % 2 == 0).unwrap();
        }
        assert!(log.appender.segments().len() > 3);
        let (commits, end) = log.recover(&disk.restart());
        assert_eq!(commits, log.commits);
        assert_eq!((end.last_seq, end.torn, end.dropped_bytes), (600, false, 0));
        assert_eq!((end.damage, end.position), (None, log.appender.position()));
    }
}

#[test]
fn a_frame_larger_than_any_segment_gets_one_of_its_own_and_replays() {
    for how in BOTH {
        let disk = disk(1);
        let mut log = Log::create(&disk, how, 32 << 10);
        log.append_many(3);
        log.append(200_001, 100_000, true).unwrap();
        log.append(150_003, 80_000, false).unwrap();
        log.append_many(3);
        let (commits, end) = log.recover(&disk.restart());
        assert_eq!(commits, log.commits);
        assert_eq!((end.torn, end.damage), (false, None));
    }
}

#[test]
fn an_opening_goes_on_where_the_last_one_stopped_with_a_higher_epoch() {
    let disk = disk(1);
    let mut log = Log::create(&disk, LogWrite::Mapped, 64 << 10);
    log.append_many(5);
    for epoch in 2..6 {
        let (mut next, damage) = Log::open(&disk, log.manifest, 0, LogWrite::Mapped, 64 << 10);
        assert_eq!((damage, &next.commits), (None, &log.commits));
        next.append_many(5);
        log = next;
        let (commits, end) = log.recover(&disk);
        assert_eq!(
            (commits.len() as u64, commits[commits.len() - 1].epoch, end.torn),
            (epoch * 5, epoch, false)
        );
    }
}

#[test]
fn a_torn_tail_is_cut_off_and_is_no_damage() {
    let disk = disk(1);
    let mut log = Log::create(&disk, LogWrite::Mapped, 64 << 10);
    log.append_many(4);
    log.sync().unwrap();
    log.append_many(2);
    let torn = log.append(100, 0, false).unwrap();
    damage(
        &disk,
        torn.segment.number(),
        torn.offset + torn.frame_len - 8,
        &[0; 8],
    );
    let (commits, end) = log.recover(&disk);
    assert_eq!(commits, log.commits[..6]);
    assert_eq!(
        (end.torn, end.dropped_bytes, end.damage),
        (true, torn.frame_len, None)
    );
    assert_eq!((end.last_seq, end.proven_seq), (6, 4));
}

#[test]
fn frames_behind_a_hole_are_never_applied_and_show_that_the_tail_is_torn() {
    let disk = disk(1);
    let mut log = Log::create(&disk, LogWrite::Mapped, 16 << 10);
    log.append_many(3);
    let hole = log.append(50, 0, false).unwrap();
    log.append_many(300);
    // The sector with the header is gone altogether, as after a power loss.
    damage(&disk, hole.segment.number(), hole.offset, &[0; 64]);
    let (commits, end) = log.recover(&disk);
    assert_eq!(commits, log.commits[..3]);
    assert!(end.torn && end.dropped_bytes > 16 << 10, "{end:?}");
    assert_eq!(end.damage, None);
}

#[test]
fn damage_at_or_below_a_durable_mark_is_reported_with_place_and_commits() {
    let disk = disk(1);
    let mut log = Log::create(&disk, LogWrite::Mapped, 64 << 10);
    log.append_many(4);
    let bad = log.append(100, 16, false).unwrap();
    log.append_many(2);
    log.sync().unwrap();
    for at in [0, 8, 30, 63, 70, bad.frame_len - 1] {
        let disk = disk.restart();
        let mut byte = [0];
        let path = directory().join(segment_file_name(1));
        disk.open(&path, OpenMode::Read)
            .unwrap()
            .read_at(bad.offset + at, &mut byte)
            .unwrap();
        damage(&disk, 1, bad.offset + at, &[byte[0] ^ 4]);
        let (commits, end) = log.recover(&disk);
        assert_eq!((commits.len(), end.last_seq, end.proven_seq), (4, 4, 4));
        match end.damage.unwrap() {
            Error::Corrupt(found) => {
                assert_eq!(
                    (found.file.as_str(), found.offset),
                    ("log/00000001.log", bad.offset)
                );
                assert_eq!((found.first_seq, found.last_seq), (5, 7));
            }
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn damage_is_known_by_a_later_frames_word_alone() {
    let disk = disk(1);
    let mut log = Log::create(&disk, LogWrite::Mapped, 64 << 10);
    let bad = log.append(100, 0, false).unwrap();
    log.sync().unwrap();
    // Overwrites the mark, and carries its word on, in an own segment.
    log.append(70_000, 0, false).unwrap();
    damage(&disk, 1, bad.offset, &[0; 64]);
    let (commits, end) = log.recover(&disk);
    assert!(commits.is_empty());
    assert!(
        matches!(&end.damage, Some(Error::Corrupt(found)) if (found.first_seq, found.last_seq) == (1, 1)),
        "{end:?}"
    );
}

#[test]
fn damage_is_known_by_the_manifests_word_alone() {
    let disk = disk(1);
    let mut log = Log::create(&disk, LogWrite::Mapped, 64 << 10);
    log.append_many(2);
    let manifest = ReplayStart {
        durable_seq: 3,
        ..log.manifest
    };
    let (_, end) = recover(&disk, 0, manifest);
    assert!(
        matches!(&end.damage, Some(Error::Corrupt(found)) if (found.first_seq, found.last_seq) == (3, 3)),
        "{end:?}"
    );
}

#[test]
fn a_missing_segment_is_damage_where_later_ones_prove_it() {
    let disk = disk(1);
    let mut log = Log::create(&disk, LogWrite::Mapped, 16 << 10);
    log.append_many(150);
    log.sync().unwrap();
    log.append_many(300);
    assert!(log.appender.segments().len() >= 3);
    disk.unlink(&directory().join(segment_file_name(1))).unwrap();
    let (commits, end) = log.recover(&disk);
    assert!(commits.is_empty());
    assert!(
        matches!(&end.damage, Some(Error::Corrupt(found)) if found.first_seq == 1),
        "{end:?}"
    );
}

#[test]
fn a_missing_or_shortened_segment_that_the_manifest_names_is_damage() {
    let disk = disk(1);
    let mut log = Log::create(&disk, LogWrite::Mapped, 16 << 10);
    log.append_many(10);
    log.checkpoint(0).unwrap();
    let path = directory().join(segment_file_name(1));
    let shorter = disk.restart();
    shorter
        .open(&path, OpenMode::Write)
        .unwrap()
        .set_len(600)
        .unwrap();
    let gone = disk.restart();
    gone.unlink(&path).unwrap();
    for disk in [shorter, gone] {
        let (_, end) = log.recover(&disk);
        assert!(matches!(end.damage, Some(Error::Corrupt { .. })), "{end:?}");
        assert_eq!(end.last_seq, 10);
    }
    assert_eq!(log.recover(&disk).1.damage, None);
}

#[test]
fn a_stale_manifest_is_found_out_by_frames_of_a_higher_epoch() {
    let disk = disk(1);
    let mut log = Log::create(&disk, LogWrite::Mapped, 64 << 10);
    log.append_many(2);
    let old = log.manifest;
    let (mut log, _) = Log::open(&disk, log.manifest, 0, LogWrite::Mapped, 64 << 10);
    log.append_many(2);
    let (commits, end) = recover(&disk, 0, old);
    assert_eq!(commits.len(), 2);
    assert!(matches!(end.damage, Some(Error::Corrupt { .. })), "{end:?}");
}

#[test]
fn frames_of_an_older_epoch_behind_a_cut_off_tail_never_come_back() {
    let disk = disk(1);
    let mut log = Log::create(&disk, LogWrite::Mapped, 16 << 10);
    log.append(40, 0, false).unwrap();
    let lost = log.append(40, 0, false).unwrap();
    let ghost = log.append(40, 0, false).unwrap();
    // Whole segments of ghosts, too.
    log.append_many(400);
    damage(&disk, 1, lost.offset, &[0; 64]);
    let (mut next, _) = Log::open(&disk, log.manifest, 0, LogWrite::Mapped, 16 << 10);
    assert_eq!(next.last_seq(), 1);
    // Of the same length as the ones before, so that seqs and places fit.
    for _ in 0..3 {
        next.append(40, 0, false).unwrap();
    }
    let (commits, end) = next.recover(&disk);
    assert_eq!(commits, next.commits);
    assert_eq!((commits.len(), end.damage), (4, None));
    assert!(commits[1..].iter().all(|commit| commit.epoch == 2));

    // Even where a frame of the new epoch lies right before them: what they name as predecessor isn't it.
    let mut bytes = vec![0; lost.frame_len as usize];
    let replacement = &next.commits[1];
    let header = replacement.header(0, next_crc(&disk, 1, 0));
    let seed = crate::format::frame::FrameSeed {
        uuid: UUID,
        segment: 1,
    };
    bytes[..HEADER_BYTES].copy_from_slice(&header.encode(&seed, &ASSIGNED).0);
    bytes[HEADER_BYTES + 16..HEADER_BYTES + 16 + 40].copy_from_slice(&replacement.commands);
    damage(&disk, 1, lost.offset, &bytes);
    for number in 2..=end.highest_number {
        disk.unlink(&directory().join(segment_file_name(number))).unwrap();
    }
    let (commits, end) = next.recover(&disk);
    assert_eq!(commits, next.commits[..2]);
    assert_eq!((end.position.offset, end.torn), (ghost.offset, true));
}

/// Stored header CRC of the frame at a place.
fn next_crc(disk: &SimVfs, segment: u64, offset: u64) -> u32 {
    let mut bytes = [0; HEADER_BYTES];
    let path = directory().join(segment_file_name(segment));
    disk.open(&path, OpenMode::Read)
        .unwrap()
        .read_at(offset, &mut bytes)
        .unwrap();
    FrameHeader::decode_unchecked(&bytes).unwrap().1
}

#[test]
fn what_a_recycled_segment_held_before_never_parses_and_is_no_torn_tail() {
    let disk = disk(1);
    let mut log = Log::create(&disk, LogWrite::Mapped, 16 << 10);
    let mut reused = 0;
    for round in 0..30 {
        log.append_many(60 + round);
        let (commits, end) = log.recover(&disk.restart());
        assert_eq!(
            (commits, end.torn, end.damage),
            (log.commits.clone(), false, None)
        );
        let creations = disk.count(Operation::Create);
        log.checkpoint(0).unwrap();
        log.append_many(100);
        reused += u64::from(disk.count(Operation::Create) == creations);
        log.checkpoint(0).unwrap();
    }
    assert!(reused > 20, "only {reused} rounds went without a new file");
}

#[test]
fn a_mark_is_overwritten_by_the_next_frame_and_takes_no_place() {
    for written in [false, true] {
        let disk = disk(1);
        let mut log = Log::create(&disk, LogWrite::Mapped, 64 << 10);
        log.append_many(3);
        let end = log.appender.position();
        log.sync().unwrap();
        assert_eq!(log.appender.position(), end);
        assert_eq!(log.recover(&disk).1.proven_seq, 3, "by the mark");
        let next = log.append(10, 0, written).unwrap();
        assert_eq!(next.offset, end.offset);
        let (commits, found) = log.recover(&disk);
        assert_eq!(commits, log.commits);
        assert_eq!((found.proven_seq, found.torn), (3, false), "by the frame");
    }
}

#[test]
fn a_mark_fits_behind_a_frame_that_fills_its_segment() {
    let disk = disk(1);
    let mut log = Log::create(&disk, LogWrite::Written, 16 << 10);
    let overhead = HEADER_BYTES + ASSIGNED.len() + 32;
    let full = log.append((16 << 10) - overhead, 0, true).unwrap();
    assert_eq!(full.frame_len + 32, full.segment.size());
    log.sync().unwrap();
    assert_eq!(log.recover(&disk).1.proven_seq, 1);
}

#[test]
fn a_failed_pwrite_leaves_the_end_where_it_was_and_nothing_to_be_found() {
    for (how, kind) in [
        (LogWrite::Written, FaultKind::ShortWrite),
        (LogWrite::Mapped, FaultKind::Io),
    ] {
        for commands in [40, 100_000] {
            for nth in 1..=3 {
                let disk = disk(1);
                let mut log = Log::create(&disk, how, 16 << 10);
                log.append_many(3);
                // Makes the segment that the large frame needs ready.
                while log.supply.prepare(200_000).unwrap() {}
                let before = log.appender.position();
                disk.fail(Fault::new(Operation::Write, nth, kind));
                let failed = log.append(commands, 24, true);
                disk.clear_faults();
                if failed.is_ok() {
                    // A small frame is one write.
                    assert!(commands == 40 && nth > 1, "{nth}");
                    continue;
                }
                assert_eq!(log.appender.position().previous_crc, before.previous_crc);
                let (commits, end) = log.recover(&disk.restart());
                assert_eq!((commits.len(), end.damage), (3, None));
                log.append(60, 0, true).unwrap();
                log.append(commands, 24, true).unwrap();
                let (commits, end) = log.recover(&disk.restart());
                assert_eq!((commits, end.torn), (log.commits.clone(), false));
            }
        }
    }
}

#[test]
fn after_a_frame_that_could_be_neither_finished_nor_wiped_out_nothing_follows() {
    let disk = disk(1);
    let mut log = Log::create(&disk, LogWrite::Written, 16 << 10);
    log.append_many(3);
    disk.fail(Fault::new(Operation::Write, 1, FaultKind::ShortWrite).forever());
    assert!(log.append(100, 0, true).is_err());
    disk.clear_faults();
    assert!(
        log.append(100, 0, true).is_err(),
        "it could be taken for the frame that failed"
    );
}

#[test]
fn a_failed_sync_of_a_segment_fails_for_good() {
    let disk = disk(1);
    let mut log = Log::create(&disk, LogWrite::Mapped, 16 << 10);
    log.append_many(3);
    disk.fail(Fault::new(Operation::Sync, 1, FaultKind::Io));
    assert!(matches!(log.sync(), Err(Error::Io { .. })));
    assert!(
        matches!(log.sync(), Err(Error::Poisoned { .. })),
        "the disk would answer OK now"
    );
}

#[test]
fn replay_writes_nothing_and_ends_the_same_however_often_it_runs() {
    let disk = disk(1);
    let mut log = Log::create(&disk, LogWrite::Mapped, 16 << 10);
    log.append_many(200);
    let torn = log.append(100, 0, false).unwrap();
    damage(&disk, torn.segment.number(), torn.offset + 90, &[9; 8]);
    let operations = disk.operations();
    let first = log.recover(&disk);
    let second = log.recover(&disk);
    assert_eq!(disk.operations(), operations);
    assert_eq!(first.0, second.0);
    assert_eq!(
        format!("{:?}", first.1.position),
        format!("{:?}", second.1.position)
    );
    assert!(first.1.torn && second.1.torn);
}

#[test]
fn segments_of_other_shapes_and_files_of_other_names_do_no_harm() {
    let disk = disk(1);
    let mut log = Log::create(&disk, LogWrite::Mapped, 16 << 10);
    log.append_many(5);
    for name in [
        "00000002.log",
        "00000003.log",
        "2.log",
        "+0000002.log",
        "note.txt",
        "00000009.log.bak",
    ] {
        let file = disk.open(&directory().join(name), OpenMode::CreateNew).unwrap();
        if name != "00000002.log" {
            file.write_at(0, b"SFRMSMRK").unwrap();
        }
    }
    disk.create_directory(&directory().join("00000007.log")).unwrap();
    let (commits, end) = log.recover(&disk);
    assert_eq!(
        (commits, end.torn, end.damage, end.highest_number),
        (log.commits.clone(), false, None, 3)
    );
}

#[test]
fn where_two_openings_went_on_behind_the_same_commit_the_later_one_counts() {
    let disk = disk(1);
    let mut log = Log::create(&disk, LogWrite::Mapped, 16 << 10);
    log.append_many(10);
    let limit = ReplayStart {
        limit: 5,
        ..log.manifest
    };
    let (mut next, _) = Log::open(&disk, limit, 0, LogWrite::Mapped, 16 << 10);
    next.manifest.limit = u64::MAX;
    next.append_many(3);
    let (commits, end) = next.recover(&disk);
    assert_eq!(commits, next.commits);
    assert_eq!((commits.len(), commits[7].epoch, end.damage), (8, 2, None));
}

#[test]
fn what_is_left_out_on_purpose_still_proves_what_it_proved() {
    let disk = disk(1);
    let mut log = Log::create(&disk, LogWrite::Mapped, 64 << 10);
    log.append_many(7);
    log.sync().unwrap();
    log.append_many(3);
    for (limit, proven_seq) in [(u64::MAX, 7), (9, 7), (7, 7), (6, 6)] {
        let start = ReplayStart {
            limit,
            ..log.manifest
        };
        let (commits, end) = recover(&disk, 0, start);
        assert_eq!(commits.len() as u64, limit.min(10));
        assert_eq!((end.proven_seq, end.damage), (proven_seq, None), "up to {limit}");
    }
}

#[test]
fn what_recovery_undid_does_not_come_back_once_it_was_cut_off() {
    for undone_to in [5, 100] {
        let disk = disk(1);
        let mut log = Log::create(&disk, LogWrite::Mapped, 16 << 10);
        log.append_many(300);
        let firsts: Vec<u64> = log.segment_starts.clone();
        for limit in [undone_to, firsts[1] - 1, 299, 300] {
            let disk = disk.restart();
            let start = ReplayStart {
                limit,
                ..log.manifest
            };
            let (_, end) = recover(&disk, 0, start);
            cut_off_durably(&disk, &end.position, limit + 1);
            for seed in 0..20 {
                let (commits, end) = log.recover(&disk.crash(seed));
                assert!(commits.len() as u64 <= limit, "{} of {limit}", commits.len());
                assert_eq!(end.damage, None);
            }
            let (commits, _) = log.recover(&disk);
            assert_eq!(commits, log.commits[..limit as usize]);
        }
    }
}

#[test]
fn what_was_cut_off_in_the_page_cache_only_is_cut_off_again() {
    let disk = disk(1);
    let mut log = Log::create(&disk, LogWrite::Mapped, 16 << 10);
    log.append_many(10);
    for segment in log.appender.segments() {
        segment.sync().unwrap();
    }
    let start = ReplayStart {
        limit: 5,
        ..log.manifest
    };
    let (_, end) = recover(&disk, 0, start);
    cut_off(&shared(&disk), &directory(), &end.position, 6).unwrap(); // and killed before the sync
    let came_back = (0..20).any(|seed| log.recover(&disk.crash(seed)).0.len() > 5);
    assert!(came_back, "the control: zeros that were not synced may be lost");
    let reopened = disk.restart();
    cut_off_durably(&reopened, &end.position, 6);
    for seed in 0..20 {
        let (commits, end) = log.recover(&reopened.crash(seed));
        assert_eq!((commits.len(), end.damage), (5, None));
    }
}
