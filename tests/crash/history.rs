//! One disk from crash to crash: power lost or the process killed in the middle of whichever operation, with faults
//! in between; and what must hold whenever the store is opened again.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
    time::Duration,
};

use sarsen::{
    simulation::{Fault, FaultKind, Operation, SimVfs},
    Batch, BlockAddress, Error, Options, Store, Survive,
};

use super::commits::{commit, has_loose_block, random, read, read_log, Model};

/// As many commits as a history can come to.
pub(crate) const MODELS: u64 = 400;
const ROUNDS: usize = 6;
const MOST_COMMITS: u64 = 60;

/// What a history went through.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Crashes {
    pub(crate) power_losses: u64,
    pub(crate) kills: u64,
    /// Rounds in which an error was put down to a disk that fails.
    pub(crate) faults: u64,
}

pub(crate) struct History<'a> {
    seed: u64,
    round: usize,
    random: u64,
    disk: SimVfs,
    options: Options,
    /// What the store holds after each commit.
    all: &'a [Model],
    /// Newest commit that must survive power loss.
    durable: u64,
    /// Newest commit that must survive the process.
    acknowledged: u64,
    /// An epoch and a seq together never name two commits.
    written: BTreeSet<(u64, u64)>,
    epochs: BTreeMap<u64, u64>,
    /// Something may fail in this round.
    faulty: bool,
    met_fault: bool,
    crashes: Crashes,
}

impl<'a> History<'a> {
    pub(crate) fn new(seed: u64, disk: SimVfs, all: &'a [Model]) -> History<'a> {
        History {
            seed,
            round: 0,
            random: seed.wrapping_mul(0x2545_f491_4f6c_dd1d) | 1,
            disk,
            options: Options {
                memory_bytes: 256 << 10,
                chunk_bytes: 256 << 10,
                background: false,
                log_retention_bytes: if seed.is_multiple_of(3) { 200_000 } else { 0 },
                ..Options::default()
            },
            all,
            durable: 0,
            acknowledged: 0,
            written: BTreeSet::new(),
            epochs: BTreeMap::new(),
            faulty: false,
            met_fault: false,
            crashes: Crashes::default(),
        }
    }

    /// `Err` says what is wrong.
    pub(crate) fn run(mut self) -> Result<Crashes, String> {
        for round in 0..ROUNDS {
            self.round = round;
            self.met_fault = false;
            self.go_round()?;
            self.crashes.faults += u64::from(self.met_fault);
        }
        Ok(self.crashes)
    }

    fn below(&mut self, bound: u64) -> u64 {
        random(&mut self.random) % bound
    }

    fn one_in(&mut self, n: u64) -> bool {
        self.below(n) == 0
    }

    fn wrong<T>(&self, what: &str) -> Result<T, String> {
        Err(format!("seed {}, round {}: {what}", self.seed, self.round))
    }

    /// An error is no wonder once the power is gone, or where the disk fails; but never damage, or a defect.
    fn excuse(&mut self, what: &str, error: &Error) -> Result<(), String> {
        let failed = matches!(
            error,
            Error::Io { .. } | Error::NoSpace { .. } | Error::Poisoned { .. }
        );
        if self.disk.lost_power() {
            return Ok(());
        }
        if self.faulty && failed {
            self.met_fault = true;
            return Ok(());
        }
        self.wrong(&format!("{what}: {error}"))
    }

    fn go_round(&mut self) -> Result<(), String> {
        let write_back = [None, Some(40), Some(4)][self.round_choice(3)];
        self.disk.set_writeback(write_back);
        let within = [14, 40, 150, 600, 150, 600][self.round % 6];
        let stop = self.disk.operations() + 1 + self.below(within);
        self.disk.crash_at(stop);
        self.faulty = self.one_in(3);
        if self.faulty {
            let fault = self.draw_fault();
            self.disk.fail(fault);
        }
        let next = match Store::open_on(&self.disk, Path::new("/store"), &self.options) {
            Ok(store) => {
                self.check(&store)?;
                self.write(&store)?;
                if !self.disk.lost_power() && self.one_in(3) {
                    let newest = store.last_seq();
                    match store.close() {
                        Ok(()) => self.durable = self.durable.max(newest),
                        Err(error) => self.excuse("closing", &error)?,
                    }
                }
                // Taken before the store goes, which may write once more.
                self.crash()
            }
            Err(error) => {
                self.excuse("opening", &error)?;
                self.crash()
            }
        };
        self.disk = next;
        self.disk.clear_faults();
        Ok(())
    }

    fn round_choice(&mut self, among: u64) -> usize {
        usize::try_from(self.below(among)).unwrap_or(0)
    }

    fn draw_fault(&mut self) -> Fault {
        const OPERATIONS: [Operation; 12] = [
            Operation::Open,
            Operation::Read,
            Operation::Map,
            Operation::Create,
            Operation::Write,
            Operation::Write,
            Operation::Sync,
            Operation::Sync,
            Operation::Rename,
            Operation::Unlink,
            Operation::Allocate,
            Operation::SyncDirectory,
        ];
        const KINDS: [FaultKind; 4] = [
            FaultKind::Io,
            FaultKind::NoSpace,
            FaultKind::Interrupted,
            FaultKind::ShortWrite,
        ];
        let operation = OPERATIONS[self.round_choice(12)];
        let kind = KINDS[self.round_choice(4)];
        let reach = [4, 20, 100][self.round_choice(3)];
        let mut fault = Fault::new(operation, 1 + self.below(reach), kind);
        if self.one_in(3) {
            fault = fault.within(["log", "blocks", "index"][self.round_choice(3)]);
        }
        if self.one_in(4) {
            fault = fault.forever();
        }
        fault
    }

    /// Power lost, or the process killed: the disk as the next opening finds it.
    fn crash(&mut self) -> SimVfs {
        if self.one_in(4) {
            self.crashes.kills += 1;
            return self.disk.restart();
        }
        self.crashes.power_losses += 1;
        self.acknowledged = self.durable;
        let seed = random(&mut self.random);
        self.disk.crash(seed)
    }

    /// What opening found is exactly what some commit left, with all that was acknowledged.
    fn check(&mut self, store: &Store) -> Result<(), String> {
        let found = store.last_seq();
        let due = self.durable.max(self.acknowledged);
        if found < due {
            return self.wrong(&format!("commit {due} was acknowledged, {found} is newest"));
        }
        self.acknowledged = found;
        match read(store) {
            Ok(model) => {
                let expected = usize::try_from(found).ok().and_then(|found| self.all.get(found));
                if expected != Some(&model) {
                    return self.wrong(&format!("not the state after commit {found}"));
                }
            }
            Err(error) => self.excuse("reading", &error)?,
        }
        if store.recovery().proven_seq > found {
            return self.wrong("proven beyond the newest commit");
        }
        if self.one_in(4) {
            match store.verify() {
                Ok(findings) if !findings.is_empty() && !self.faulty => {
                    return self.wrong(&format!("verify found {findings:?}"));
                }
                Ok(_) => {}
                Err(error) => self.excuse("verifying", &error)?,
            }
        }
        Ok(())
    }

    /// The log as a follower reads it; gives the loose block of the newest commit, where it is told.
    fn check_log(&mut self, store: &Store) -> Result<Option<BlockAddress>, String> {
        let found = store.last_seq();
        let first = store.log_first_seq();
        self.epochs.retain(|seq, _| *seq <= found);
        let log = match read_log(store, first) {
            Ok(log) => log,
            Err(error) => {
                self.excuse("reading the log", &error)?;
                Vec::new()
            }
        };
        let wrong = log.iter().zip(first..).find(|((seq, epoch, _), due)| {
            seq != due || self.epochs.get(seq).is_some_and(|written| written != epoch)
        });
        if let Some(wrong) = wrong {
            return self.wrong(&format!("in the log is {wrong:?}"));
        }
        Ok(log.last().and_then(|(_, _, loose)| *loose))
    }

    /// Commits and upkeep until the power is cut, or for a while.
    fn write(&mut self, store: &Store) -> Result<(), String> {
        let mut loose = self.check_log(store)?;
        let mut epoch = None;
        let mut number = store.last_seq();
        let last = (number + MOST_COMMITS).min(self.all.len() as u64 - 3);
        let mut refused = 0;
        while number < last && refused < 5 {
            let mut batch = Batch::new();
            commit(number + 1, &mut batch, &mut Model::default(), loose);
            let commands = batch.count();
            let survive = if self.one_in(3) {
                Survive::Power
            } else {
                Survive::Process
            };
            match store.commit(&mut batch, Some(survive)) {
                Ok(seq) if seq == number + 1 => {}
                Ok(seq) => return self.wrong(&format!("commit {} got seq {seq}", number + 1)),
                Err(error) => {
                    self.excuse("committing", &error)?;
                    if !matches!(error, Error::NoSpace { .. }) || self.disk.lost_power() {
                        return Ok(());
                    }
                    if store.last_seq() != number {
                        return self.wrong("a commit that was refused for want of space is there");
                    }
                    refused += 1;
                    continue;
                }
            }
            number += 1;
            self.acknowledged = number;
            if survive == Survive::Power {
                self.durable = number;
            }
            loose = if has_loose_block(number) {
                batch.result(commands - 1).ok().and_then(|(_, block)| block)
            } else {
                None
            };
            if epoch.is_none() {
                epoch = read_log(store, number)
                    .ok()
                    .and_then(|log| log.first().map(|(_, epoch, _)| *epoch));
            }
            if let Some(epoch) = epoch {
                if !self.written.insert((epoch, number)) {
                    return self.wrong(&format!("commit {number} of epoch {epoch} was made twice"));
                }
                self.epochs.insert(number, epoch);
            }
            if !self.tend(store, number)? {
                return Ok(());
            }
        }
        Ok(())
    }

    /// Now and then something besides commits; false once the round is over.
    fn tend(&mut self, store: &Store, number: u64) -> Result<bool, String> {
        let done = match self.below(14) {
            0 => store.checkpoint().map(|()| true),
            1 | 12 | 13 => store.maintain(Duration::ZERO).map(|_| false),
            2 => store.sync().map(|()| true),
            3 if number.is_multiple_of(3) => store.compact().map(|()| true),
            4 if number.is_multiple_of(5) => self.back_up(store).map(|()| false),
            _ => Ok(false),
        };
        match done {
            Ok(true) => self.durable = self.durable.max(number),
            Ok(false) => {}
            Err(error) => {
                self.excuse("upkeep", &error)?;
                return Ok(matches!(error, Error::NoSpace { .. }) && !self.disk.lost_power());
            }
        }
        self.durable = self.durable.max(store.durable_seq().min(number));
        Ok(true)
    }

    /// A backup that was finished is the store as it was then.
    fn back_up(&self, store: &Store) -> sarsen::Result<()> {
        let seq = store.last_seq();
        let path = PathBuf::from(format!("/backup {} {seq}", self.round));
        store.backup(None, &path)?;
        let options = Options {
            background: false,
            read_only: true,
            ..Options::default()
        };
        let copy = Store::open_on(&self.disk, &path, &options)?;
        assert_eq!(copy.last_seq(), seq, "a backup has another seq");
        let found = read(&copy)?;
        assert!(
            usize::try_from(seq).is_ok_and(|seq| self.all.get(seq) == Some(&found)),
            "a backup is not the store as it was at commit {seq}"
        );
        copy.close()
    }
}
