//! Crashes at every kind of moment: what replay finds is a prefix of what was appended, and no shorter than what was
//! durable.

use super::*;
use crate::log::TailReader;

/// SplitMix64.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (mixed ^ (mixed >> 31)) % bound
    }
}

/// Appends, syncs and checkpoints until the power goes or the work is done.
fn work(log: &mut Log, random: &mut Random) -> Result<()> {
    for _ in 0..random.below(150) {
        match random.below(20) {
            0 => log.sync()?,
            1 => log.checkpoint(random.below(3))?,
            2 => {
                log.supply.prepare(random.below(3) * 9_000)?;
            }
            size => {
                let commands = random.below(if size == 3 { 9_000 } else { 300 });
                log.append(
                    commands as usize,
                    random.below(5) as usize * 24,
                    random.below(2) == 0,
                )?;
            }
        }
    }
    Ok(())
}

#[derive(Default)]
struct Tally {
    rounds: u64,
    lost: u64,
    damaged: u64,
    torn: u64,
    dropped: u64,
    undone: u64,
}

/// A reader from any commit that is still in the log gets all that follow.
fn follow(disk: &SimVfs, log: &Log, random: &mut Random) {
    let Some(first) = log
        .commits
        .get(random.below(log.commits.len() as u64 + 1) as usize)
    else {
        return;
    };
    let start = tail_start(log.first_segment);
    let open = TailReader::open(shared(disk), directory(), UUID, &start, first.seq, 0);
    let mut reader = open.unwrap();
    for commit in &log.commits[(first.seq - log.commits[0].seq) as usize..] {
        let frame = reader.poll(log.last_seq()).unwrap().unwrap();
        assert_eq!(
            (frame.header().seq, frame.header().epoch),
            (commit.seq, commit.epoch)
        );
        assert_eq!(
            (frame.commands(), frame.image()),
            (&commit.commands[..], &commit.image[..])
        );
    }
    assert!(reader.poll(log.last_seq()).unwrap().is_none());
}

/// One store's life through several crashes. Damage ends it: on a disk that keeps its word there must be none.
fn live(seed: u64, sync_lies: bool, tally: &mut Tally) {
    let mut random = Random(seed);
    let mut disk = disk(seed);
    disk.set_writeback([None, Some(3), Some(20)][random.below(3) as usize]);
    let how = if random.below(4) == 0 {
        LogWrite::Written
    } else {
        LogWrite::Mapped
    };
    let mut log = Log::create(&disk, how, 16 << 10 << random.below(2));
    for round in 0..4 {
        if sync_lies && round == 1 {
            disk.set_sync_is_noop_for("log");
        }
        if random.below(2) == 0 {
            disk.crash_at(disk.operations() + 1 + random.below(150));
        }
        if let Err(error) = work(&mut log, &mut random) {
            assert!(SimVfs::is_power_loss(&error), "seed {seed}: {error:?}");
        }
        if !disk.lost_power() && !sync_lies {
            follow(&disk, &log, &mut random);
        }
        let killed = !disk.lost_power() && random.below(4) == 0;
        let found = if killed {
            disk.restart()
        } else {
            disk.crash(random.below(u64::MAX))
        };
        let open = |manifest| Log::open(&found, manifest, log.first_segment, how, 16 << 10);
        let (mut next, damage) = open(log.manifest);
        let (_, end) = log.recover(&found);
        tally.rounds += 1;
        tally.torn += u64::from(end.torn);
        tally.dropped += (log.commits.len() - next.commits.len().min(log.commits.len())) as u64;
        if damage.is_some() {
            assert!(sync_lies, "seed {seed}: {damage:?}");
            tally.damaged += 1;
            return;
        }
        if !log.commits.starts_with(&next.commits) {
            let found: Vec<_> = next
                .commits
                .iter()
                .map(|commit| (commit.seq, commit.epoch))
                .collect();
            assert!(sync_lies, "seed {seed}, round {round}: {found:?} is no prefix");
            tally.lost += 1;
            return;
        }
        let missing = log.durable_seq.saturating_sub(next.last_seq());
        if missing > 0 {
            assert!(
                sync_lies,
                "seed {seed}, round {round}: {missing} durable commits are gone"
            );
            tally.lost += 1;
            return;
        }
        assert!(next.durable_seq <= next.last_seq());
        if killed {
            assert_eq!(next.commits, log.commits, "seed {seed}: kill -9 loses nothing");
            let appended = log
                .commits
                .last()
                .is_some_and(|commit| commit.epoch == log.manifest.epoch);
            assert!(
                !(appended && end.torn),
                "seed {seed}: whole frames and nothing else"
            );
        }
        if !killed && random.below(3) == 0 {
            // Whole commits that were never durable can be undone, for a broken large block say.
            let limit = next.durable_seq + random.below(next.last_seq() - next.durable_seq + 1);
            next = open(ReplayStart {
                limit,
                ..log.manifest
            })
            .0;
            next.manifest.limit = u64::MAX;
            let (position, seq) = (next.appender.position(), next.last_seq() + 1);
            cut_off_durably(&found, &position, seq);
            tally.undone += log.commits.len() as u64 - next.commits.len() as u64;
        }
        (log, disk) = (next, found);
        if killed {
            // What is in the page cache only goes to new files before anything counts on it.
            log.manifest.checkpoint_seq = log.last_seq();
            log.manifest.durable_seq = log.last_seq();
            log.manifest.position = log.appender.position();
            log.durable_seq = log.last_seq();
            log.commits.clear();
        }
    }
}

#[test]
fn every_crash_leaves_a_prefix_that_holds_what_was_durable() {
    let mut tally = Tally::default();
    for seed in 0..1_000 {
        live(seed, false, &mut tally);
    }
    assert!(
        tally.rounds == 4_000 && tally.torn > 300 && tally.dropped > 1_500 && tally.undone > 300,
        "the crashes must bite"
    );
}

#[test]
fn a_disk_that_lies_about_syncs_is_found_out() {
    let mut tally = Tally::default();
    for seed in 0..300 {
        live(seed, true, &mut tally);
    }
    assert!(
        tally.damaged + tally.lost > 50,
        "the checker is blind: {} + {}",
        tally.damaged,
        tally.lost
    );
    assert!(tally.damaged > 50, "so is replay");
}
