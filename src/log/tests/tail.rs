//! Following the log from its files.

use super::*;
use crate::{
    error::Error,
    log::{first_seq, TailReader},
};

const FOREIGN: u64 = u64::MAX;

fn reader(disk: &SimVfs, first_segment: u64, seq: u64, epoch: u64) -> Result<TailReader> {
    let start = tail_start(first_segment);
    TailReader::open(shared(disk), directory(), UUID, &start, seq, epoch)
}

fn next(reader: &mut TailReader, limit_seq: u64) -> Option<Commit> {
    reader.poll(limit_seq).unwrap().map(|frame| {
        assert_eq!(frame.assigned(), ASSIGNED);
        Commit {
            seq: frame.header().seq,
            epoch: frame.header().epoch,
            commands: frame.commands().to_vec(),
            image: frame.image().to_vec(),
        }
    })
}

fn drain(reader: &mut TailReader, limit_seq: u64) -> Vec<Commit> {
    std::iter::from_fn(|| next(reader, limit_seq)).collect()
}

#[test]
fn a_reader_from_any_seq_gets_every_later_commit_in_order() {
    let disk = disk(1);
    let mut log = Log::create(&disk, LogWrite::Mapped, 16 << 10);
    for number in 0..500 {
        log.append(number % 90, number % 2 * 16, number % 3 == 0).unwrap();
        if number % 100 == 99 {
            log.sync().unwrap();
        }
    }
    assert_eq!(first_seq(&shared(&disk), &directory(), UUID, 0).unwrap(), Some(1));
    for seq in [1, 2, 77, 150, 333, 499, 500, 501] {
        for limit in [500, FOREIGN] {
            let mut reader = reader(&disk, 0, seq, u64::from(seq > 1)).unwrap();
            assert_eq!(
                drain(&mut reader, limit),
                log.commits[seq as usize - 1..],
                "from {seq}"
            );
        }
    }
}

#[test]
fn a_reader_goes_no_further_than_what_is_published() {
    let disk = disk(1);
    let mut log = Log::create(&disk, LogWrite::Mapped, 16 << 10);
    log.append_many(10);
    let mut reader = reader(&disk, 0, 4, 0).unwrap();
    assert_eq!(drain(&mut reader, 3), []);
    assert_eq!(drain(&mut reader, 6), log.commits[3..6]);
    assert_eq!(drain(&mut reader, 10), log.commits[6..]);
}

#[test]
fn a_reader_follows_a_living_writer_across_segments_and_openings() {
    let disk = disk(1);
    let mut reader = reader(&disk, 0, 1, 0).unwrap();
    assert!(reader.poll(FOREIGN).unwrap().is_none());
    let mut log = Log::create(&disk, LogWrite::Mapped, 16 << 10);
    let mut seen = Vec::new();
    for round in 0..40 {
        log.append_many(17);
        seen.extend(drain(
            &mut reader,
            if round % 2 == 0 { FOREIGN } else { log.last_seq() },
        ));
        assert_eq!(seen, log.commits);
        if round % 7 == 6 {
            log = Log::open(&disk, log.manifest, 0, LogWrite::Mapped, 16 << 10).0;
        }
    }
    assert!(
        log.appender.segments().len() > 5,
        "{:?}",
        log.appender.segments().len()
    );
}

#[test]
fn a_half_written_frame_is_not_there_yet() {
    let disk = disk(1);
    let mut log = Log::create(&disk, LogWrite::Mapped, 16 << 10);
    log.append_many(2);
    let last = log.append(300, 0, false).unwrap();
    let path = directory().join(segment_file_name(1));
    let mut bytes = vec![0; 64];
    let at = last.offset + last.frame_len - 64;
    disk.open(&path, OpenMode::Read)
        .unwrap()
        .read_at(at, &mut bytes)
        .unwrap();
    damage(&disk, 1, at, &[0; 64]);
    let mut first = reader(&disk, 0, 1, 0).unwrap();
    assert_eq!(drain(&mut first, FOREIGN), log.commits[..2]);
    // One that only skips it doesn't get past it either.
    let mut fourth = reader(&disk, 0, 4, 0).unwrap();
    assert!(fourth.poll(FOREIGN).unwrap().is_none());
    damage(&disk, 1, at, &bytes);
    assert_eq!(drain(&mut first, FOREIGN), log.commits[2..]);
    log.append_many(1);
    assert_eq!(drain(&mut fourth, FOREIGN), log.commits[3..]);
}

#[test]
fn a_reader_of_a_future_commit_waits_until_it_comes() {
    let disk = disk(1);
    let mut log = Log::create(&disk, LogWrite::Mapped, 16 << 10);
    let mut reader = reader(&disk, 0, 200, 1).unwrap();
    log.append_many(150);
    assert!(reader.poll(FOREIGN).unwrap().is_none());
    log.append_many(100);
    assert_eq!(drain(&mut reader, FOREIGN), log.commits[199..]);
}

#[test]
fn a_reader_that_the_log_was_released_past_gets_not_found() {
    for (recycled, limit) in [(true, 0), (false, 0), (true, FOREIGN), (false, FOREIGN)] {
        let disk = disk(1);
        let mut log = Log::create(&disk, LogWrite::Mapped, 16 << 10);
        log.append_many(100);
        let mut late = reader(&disk, 0, 1, 0).unwrap();
        assert_eq!(next(&mut late, FOREIGN).as_ref(), Some(&log.commits[0]));
        let pin = (!recycled).then(|| log.appender.segments());
        log.append_many(300);
        log.checkpoint(0).unwrap();
        // Recycling overwrites what the reader has mapped.
        log.append_many(600);
        let limit = limit.max(log.last_seq());
        let mut seen = 1;
        let error = loop {
            match late.poll(limit) {
                Ok(frame) => {
                    seen += 1;
                    assert_eq!(frame.unwrap().header().seq, seen);
                }
                Err(error) => break error,
            }
        };
        assert_eq!(error, Error::NotFound);
        assert!(seen < 300);
        let first = first_seq(&shared(&disk), &directory(), UUID, log.first_segment)
            .unwrap()
            .unwrap();
        assert!(first > 1);
        assert_eq!(
            reader(&disk, log.first_segment, first - 1, 0).unwrap_err(),
            Error::NotFound
        );
        let mut reader = reader(&disk, log.first_segment, first, 0).unwrap();
        assert_eq!(drain(&mut reader, limit).last(), log.commits.last());
        drop(pin);
    }
}

#[test]
fn a_follower_of_another_history_gets_a_conflict() {
    let disk = disk(1);
    let mut log = Log::create(&disk, LogWrite::Mapped, 16 << 10);
    log.append_many(5);
    let lost = log.append(50, 0, false).unwrap();
    log.append_many(2);
    damage(&disk, 1, lost.offset, &[0; 64]);
    let (mut log, _) = Log::open(&disk, log.manifest, 0, LogWrite::Mapped, 16 << 10);
    log.append_many(5);
    // Has seen commit 7 of epoch 1, which a crash undid.
    assert!(matches!(reader(&disk, 0, 8, 1), Err(Error::Conflict { .. })));
    assert_eq!(
        drain(&mut reader(&disk, 0, 8, 2).unwrap(), FOREIGN),
        log.commits[7..]
    );
    assert_eq!(
        drain(&mut reader(&disk, 0, 6, 1).unwrap(), FOREIGN),
        log.commits[5..]
    );
    // One that waits for its next commit learns of it when that comes.
    let mut waiting = reader(&disk, 0, 11, 1).unwrap_err();
    assert!(matches!(waiting, Error::Conflict { .. }), "{waiting:?}");
    let mut future = reader(&disk, 0, 12, 1).unwrap();
    assert!(future.poll(FOREIGN).unwrap().is_none());
    log.append_many(2);
    waiting = future.poll(FOREIGN).unwrap_err();
    assert!(matches!(waiting, Error::Conflict { .. }), "{waiting:?}");
}

#[test]
fn segments_behind_a_cut_off_tail_are_passed_over() {
    let disk = disk(1);
    let mut log = Log::create(&disk, LogWrite::Mapped, 16 << 10);
    log.append_many(5);
    let lost = log.append(50, 0, false).unwrap();
    log.append_many(500);
    damage(&disk, 1, lost.offset, &[0; 64]);
    // Before the next writer, a reader waits for commit 6 and takes nothing that lies behind.
    let mut early = reader(&disk, 0, 3, 0).unwrap();
    assert_eq!(drain(&mut early, FOREIGN), log.commits[2..5]);
    let mut far = reader(&disk, 0, 300, 0).unwrap();
    assert!(far.poll(FOREIGN).unwrap().is_none());
    let (mut log, _) = Log::open(&disk, log.manifest, 0, LogWrite::Mapped, 16 << 10);
    log.append_many(400);
    assert_eq!(drain(&mut early, FOREIGN), log.commits[5..]);
    assert_eq!(drain(&mut far, log.last_seq()), log.commits[299..]);
    for seq in [1, 6, 7, 200, 405] {
        assert_eq!(
            drain(&mut reader(&disk, 0, seq, 0).unwrap(), FOREIGN),
            log.commits[seq as usize - 1..]
        );
    }
}

#[test]
fn damage_in_what_is_kept_for_followers_is_said_and_not_handed_out() {
    let disk = disk(1);
    let mut log = Log::create(&disk, LogWrite::Mapped, 16 << 10);
    log.append_many(3);
    let bad = log.append(100, 0, false).unwrap();
    log.append_many(3);
    damage(&disk, 1, bad.offset + 90, &[0xFF; 4]);
    let mut reader = reader(&disk, 0, 1, 0).unwrap();
    for commit in &log.commits[..3] {
        assert_eq!(next(&mut reader, 7).as_ref(), Some(commit));
    }
    let error = reader.poll(7).unwrap_err();
    assert!(
        matches!(&error, Error::Corrupt(found) if (found.offset, found.first_seq) == (bad.offset, 4)),
        "{error:?}"
    );
}

/// Ten whole commits of epoch 1, of which recovery keeps only five: say that a large block of the sixth is broken.
fn half_undone(disk: &SimVfs) -> Log {
    let mut log = Log::create(disk, LogWrite::Mapped, 16 << 10);
    for _ in 0..10 {
        log.append(50, 0, false).unwrap();
    }
    let limit = ReplayStart {
        limit: 5,
        ..log.manifest
    };
    let (mut next, damage) = Log::open(disk, limit, 0, LogWrite::Mapped, 16 << 10);
    next.manifest.limit = u64::MAX;
    assert_eq!((damage, next.last_seq()), (None, 5));
    next
}

#[test]
fn whole_commits_that_recovery_undid_are_never_handed_out() {
    let disk = disk(1);
    let mut log = half_undone(&disk);
    // One follower starts before the writer goes on, where the undone commits are the log's end.
    let mut early = reader(&disk, 0, 3, 1).unwrap();
    assert_eq!(drain(&mut early, 5), log.commits[2..]);
    let mut slow = reader(&disk, 0, 3, 1).unwrap();
    let mut at_end = reader(&disk, 0, 6, 1).unwrap();
    assert!(at_end.poll(5).unwrap().is_none());
    for _ in 0..10 {
        log.append(50, 0, false).unwrap();
    }
    assert_eq!(drain(&mut early, 15), log.commits[5..]);
    assert_eq!(drain(&mut slow, 15), log.commits[2..]);
    assert_eq!(drain(&mut at_end, 15), log.commits[5..]);
    for (seq, epoch) in [(1, 0), (5, 1), (6, 1), (7, 2), (11, 2), (16, 2)] {
        for limit in [15, FOREIGN] {
            let mut reader = reader(&disk, 0, seq, epoch).unwrap();
            assert_eq!(
                drain(&mut reader, limit),
                log.commits[seq as usize - 1..],
                "{seq}"
            );
        }
    }
    assert!(matches!(reader(&disk, 0, 8, 1), Err(Error::Conflict { .. })));
}

#[test]
fn a_reader_beside_the_writer_looks_at_the_directory_only_where_a_segment_ends() {
    let disk = disk(1);
    let mut log = Log::create(&disk, LogWrite::Mapped, 16 << 10);
    log.append_many(3);
    let mut reader = reader(&disk, 0, 1, 0).unwrap();
    assert_eq!(drain(&mut reader, 3), log.commits);
    log.append_many(1);
    assert!(next(&mut reader, 4).is_some() && next(&mut reader, 4).is_none());
    let opened = disk.count(Operation::Open);
    for _ in 0..20 {
        log.append_many(1);
        let limit = log.last_seq();
        assert!(next(&mut reader, limit).is_some() && next(&mut reader, limit).is_none());
    }
    assert_eq!(disk.count(Operation::Open), opened);
}

#[test]
fn a_hole_that_a_checkpoint_got_past_harms_only_who_wants_what_was_in_it() {
    for (torn_at, len) in [(0, 64), (90, 8)] {
        let disk = disk(1);
        let mut log = Log::create(&disk, LogWrite::Mapped, 16 << 10);
        log.append_many(4);
        let lost = log.append(100, 0, false).unwrap();
        // Killed; what was replayed went to new files, and then the power failed.
        let before = log.commits.clone();
        let (mut log, _) = Log::open(&disk, log.manifest, 0, LogWrite::Mapped, 16 << 10);
        log.checkpoint(5).unwrap();
        log.append_many(3);
        log.sync().unwrap();
        damage(&disk, 1, lost.offset + torn_at, &vec![0; len]);
        assert_eq!(log.recover(&disk).0, log.commits);
        for seq in 6..=9 {
            let mut reader = reader(&disk, 0, seq, 0).unwrap();
            assert_eq!(drain(&mut reader, 8), log.commits[seq as usize - 6..]);
        }
        assert_eq!(
            reader(&disk, 0, 6, 1).unwrap().poll(8).unwrap_err(),
            Error::NotFound
        );
        assert_eq!(drain(&mut reader(&disk, 0, 6, 2).unwrap(), 8), log.commits);
        let mut reader = reader(&disk, 0, 4, 0).unwrap();
        assert_eq!(next(&mut reader, 8).as_ref(), Some(&before[3]));
        assert_eq!(reader.poll(8).unwrap_err(), Error::NotFound);
    }
}
