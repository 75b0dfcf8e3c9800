//! Crashes at every kind of moment: what replay finds is a prefix of what was appended, and no shorter than what was
//! durable.

use super::*;

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
        let killed = !disk.lost_power() && random.below(4) == 0;
        let found = if killed {
            disk.restart()
        } else {
            disk.crash(random.below(u64::MAX))
        };
        let (next, damage) = Log::open(&found, log.manifest, log.first_segment, how, 16 << 10);
        let (_, end) = log.recover(&found);
        tally.rounds += 1;
        tally.torn += u64::from(end.torn);
        tally.dropped += (log.commits.len() - next.commits.len().min(log.commits.len())) as u64;
        if damage.is_some() {
            assert!(sync_lies, "seed {seed}: {damage:?}");
            tally.damaged += 1;
            return;
        }
        assert!(
            log.commits.starts_with(&next.commits),
            "seed {seed}, round {round}: {:?} is no prefix",
            next.commits
                .iter()
                .map(|commit| (commit.seq, commit.epoch))
                .collect::<Vec<_>>()
        );
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
    for seed in 0..1_500 {
        live(seed, false, &mut tally);
    }
    assert!(
        tally.rounds == 6_000 && tally.torn > 500 && tally.dropped > 2_000,
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
