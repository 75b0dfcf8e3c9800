//! One disk from crash to crash: power lost or the process killed in the middle of whichever operation, with faults
//! in between; and what must hold whenever the store is opened again.

use std::{
    cell::RefCell,
    collections::{BTreeMap, BTreeSet, HashMap},
    panic::{catch_unwind, AssertUnwindSafe},
    path::{Path, PathBuf},
    rc::Rc,
    sync::Arc,
    time::Duration,
};

use sarsen::{simulation::SimVfs, Batch, BlockAddress, Check, Error, LogMethod, Options, Store, Survive};

use super::{
    commits::{ancestor, Action, Script, IMPORTED},
    difference::{compare, read_log, Difference},
    trace::{Round, Step, Stop, Trace},
};

/// More than any round takes: by then it goes round in circles.
const MOST_OPERATIONS: u64 = 5_000;
pub(crate) const STORE: &str = "/store";
pub(crate) const ANCESTOR: &str = "/ancestor";
/// The header of a chunk that a refused commit has made counts as live, and one commit makes no more than a few. The
/// smallest large block is larger.
const LESS_THAN_A_LARGE_BLOCK: u64 = 32 << 10;

/// What histories went through.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Crashes {
    pub(crate) power_losses: u64,
    pub(crate) kills: u64,
    /// Rounds in which an error was put down to a disk that fails.
    pub(crate) faults: u64,
    /// Commits that a full disk refused, and times that a store went on after that.
    pub(crate) refused: u64,
    pub(crate) went_on: u64,
    /// Runs and chunks that upkeep made and let go by itself, to see that it is at work at all.
    pub(crate) merges: u64,
    pub(crate) backups: u64,
    pub(crate) imports: u64,
    /// Of threads, from one to another.
    pub(crate) hand_overs: u64,
}

impl Crashes {
    pub(crate) fn add(&mut self, more: &Crashes) {
        self.power_losses += more.power_losses;
        self.kills += more.kills;
        self.faults += more.faults;
        self.refused += more.refused;
        self.went_on += more.went_on;
        self.merges += more.merges;
        self.backups += more.backups;
        self.imports += more.imports;
        self.hand_overs += more.hand_overs;
    }
}

pub(crate) struct History {
    pub(super) trace: Trace,
    pub(super) round: usize,
    pub(super) disk: SimVfs,
    pub(super) script: Rc<RefCell<Script>>,
    /// Newest commit that must survive power loss.
    pub(super) durable: u64,
    /// Newest commit that must survive the process.
    pub(super) acknowledged: u64,
    /// An epoch and a seq together never name two commits.
    pub(super) written: BTreeSet<(u64, u64)>,
    pub(super) epochs: BTreeMap<u64, u64>,
    /// Where the blocks lie that commits gave to nobody.
    pub(super) known: HashMap<u64, BlockAddress>,
    /// Backups, the seq of each, and whether it was finished.
    pub(super) backups: Vec<(PathBuf, u64, bool)>,
    pub(super) faulty: bool,
    /// The disk's room is limited.
    full: bool,
    pub(super) met_fault: bool,
    pub(super) crashes: Crashes,
    /// The trace as it went so far.
    pub(super) done: Vec<Round>,
}

/// How a history came out.
pub(crate) struct Outcome {
    pub(crate) crashes: Crashes,
    /// What is wrong, and the trace up to there.
    pub(crate) failure: Option<(String, Trace)>,
    pub(crate) history: History,
}

/// What a panic said.
pub(crate) fn message(panic: &(dyn std::any::Any + Send)) -> String {
    let text = panic
        .downcast_ref::<String>()
        .cloned()
        .or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    text.unwrap_or_default()
}

/// Plays the trace.
pub(crate) fn play(trace: &Trace, disk: SimVfs) -> Outcome {
    let mut history = History::new(trace, disk);
    let outcome = catch_unwind(AssertUnwindSafe(|| history.run()))
        .unwrap_or_else(|panic| history.wrong(&message(panic.as_ref())));
    let went = Trace {
        rounds: history.done.clone(),
        ..trace.clone()
    };
    Outcome {
        crashes: history.crashes,
        failure: outcome.err().map(|what| (what, went)),
        history,
    }
}

/// A file of the ancestor, there before the history begins.
fn put(disk: &SimVfs, name: &str, bytes: Vec<u8>) {
    disk.put(&Path::new(ANCESTOR).join(name), Arc::new(bytes))
        .expect("a file is put on an empty disk");
}

impl History {
    fn new(trace: &Trace, disk: SimVfs) -> History {
        if trace.import {
            let (wal, chunk) = ancestor();
            put(&disk, "state.wal", wal);
            put(&disk, "blocks/chunk_0000.bin", chunk);
        }
        History {
            trace: trace.clone(),
            round: 0,
            disk,
            script: Script::shared(trace.seed, trace.import),
            durable: 0,
            acknowledged: 0,
            written: BTreeSet::new(),
            epochs: BTreeMap::new(),
            known: HashMap::new(),
            backups: Vec::new(),
            faulty: false,
            full: false,
            met_fault: false,
            crashes: Crashes::default(),
            done: Vec::new(),
        }
    }

    pub(crate) fn disk(&self) -> &SimVfs {
        &self.disk
    }

    pub(crate) fn known(&self) -> &HashMap<u64, BlockAddress> {
        &self.known
    }

    pub(crate) fn script(&self) -> &Rc<RefCell<Script>> {
        &self.script
    }

    pub(crate) fn options(&self, round: &Round) -> Options {
        Options {
            memory_bytes: self.trace.memory_kib << 10,
            chunk_bytes: self.trace.chunk_kib << 10,
            background: false,
            log_retention_bytes: self.trace.retention_kib << 10,
            log_method: [LogMethod::Auto, LogMethod::Mapped, LogMethod::Written][round.log_method],
            check: [Check::FirstTouch, Check::EveryRead][round.check],
            mapped_bytes: if round.log_method == 1 { 1 << 20 } else { 0 },
            ..Options::default()
        }
    }

    /// `Err` says what is wrong.
    fn run(&mut self) -> Result<(), String> {
        let rounds = std::mem::take(&mut self.trace.rounds);
        for (number, round) in rounds.iter().enumerate() {
            self.round = number;
            self.met_fault = false;
            self.done.push(Round {
                steps: Vec::new(),
                stop: Stop::AtTheEnd,
                ..round.clone()
            });
            self.go_round(round)?;
            self.crashes.faults += u64::from(self.met_fault);
        }
        Ok(())
    }

    pub(super) fn wrong<T>(&self, what: &str) -> Result<T, String> {
        Err(format!("seed {}, round {}: {what}", self.trace.seed, self.round))
    }

    /// An error is no wonder once the power is gone, or where the disk fails; but never damage, or a defect. A full
    /// disk refuses, and harms nothing.
    pub(super) fn excuse(&mut self, what: &str, error: &Error) -> Result<(), String> {
        let failed = matches!(
            error,
            Error::Io { .. } | Error::NoSpace { .. } | Error::Poisoned { .. }
        );
        if self.disk.lost_power() {
            return Ok(());
        }
        if self.full && matches!(error, Error::NoSpace { .. }) {
            return Ok(());
        }
        if self.faulty && failed {
            self.met_fault = true;
            return Ok(());
        }
        self.wrong(&format!("{what}: {error}"))
    }

    pub(super) fn judge(&mut self, what: &str, compared: Result<(), Difference>) -> Result<(), String> {
        match compared {
            Ok(()) => Ok(()),
            Err(Difference::Wrong(how) | Difference::Missing(how)) => self.wrong(&format!("{what}: {how}")),
            Err(Difference::Failed(error)) => self.excuse(what, &error),
        }
    }

    fn go_round(&mut self, round: &Round) -> Result<(), String> {
        self.disk.set_writeback(round.writeback);
        let start = self.disk.operations();
        self.disk.expect_end_by(start + MOST_OPERATIONS);
        match round.stop {
            Stop::Operation(operation) => self.disk.crash_at(start + operation),
            Stop::InLastStep(operation) if round.steps.is_empty() => self.disk.crash_at(start + operation),
            _ => {}
        }
        self.faulty = round.fault.is_some();
        self.set_room(round.room_kib);
        if let Some(fault) = &round.fault {
            self.disk.fail(fault.clone());
        }
        let next = match Store::open_on(&self.disk, Path::new(STORE), &self.options(round)) {
            Ok(store) => {
                self.note_stop(start);
                self.check(&store)?;
                self.look_at_log(&store)?;
                self.write(round, &store)?;
                // Taken before the store goes, which may write once more.
                self.crash(round)
            }
            Err(error) => {
                self.note_stop(start);
                self.excuse("opening", &error)?;
                self.crash(round)
            }
        };
        self.disk = next;
        self.check_backups()
    }

    fn set_room(&mut self, room_kib: Option<u64>) {
        let capacity = room_kib.map(|room_kib| self.disk.used_bytes() + (room_kib << 10));
        self.disk.set_capacity(capacity);
        self.full = capacity.is_some();
    }

    /// The trace as it went says in which step the power was lost.
    fn note_stop(&mut self, start: u64) {
        if !self.disk.lost_power() {
            return;
        }
        let within = self.disk.operations() + 1 - start;
        if let Some(done) = self.done.last_mut() {
            if done.stop == Stop::AtTheEnd {
                done.stop = Stop::InLastStep(within);
            }
        }
    }

    /// Power lost, or the process killed: the disk as the next opening finds it.
    fn crash(&mut self, round: &Round) -> SimVfs {
        let next = if round.kill {
            self.crashes.kills += 1;
            self.disk.restart()
        } else {
            self.crashes.power_losses += 1;
            self.acknowledged = self.durable;
            self.disk.crash(round.seed)
        };
        next.clear_faults();
        next.set_capacity(None);
        self.full = false;
        next
    }

    /// What opening found is exactly what some commit left, with all that was acknowledged.
    fn check(&mut self, store: &Store) -> Result<(), String> {
        let found = store.last_seq();
        let due = self.durable.max(self.acknowledged);
        if found < due {
            return self.wrong(&format!("commit {due} was acknowledged, {found} is newest"));
        }
        self.acknowledged = found;
        self.known.retain(|seq, _| *seq <= found);
        self.check_state(store, "after opening")?;
        if store.recovery().proven_seq > found {
            return self.wrong("proven beyond the newest commit");
        }
        Ok(())
    }

    pub(super) fn check_state(&mut self, store: &Store, when: &str) -> Result<(), String> {
        let found = store.last_seq();
        let Some(model) = self.script.borrow_mut().state(found) else {
            return self.wrong(&format!(
                "{when}: commit {found} is the newest, which is part of an import"
            ));
        };
        let compared = compare(store, None, &model, &self.known);
        self.judge(&format!("{when}, commit {found}"), compared)
    }

    /// The log as a follower reads it.
    fn look_at_log(&mut self, store: &Store) -> Result<(), String> {
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
        for (seq, _, block) in log {
            if let Some(block) = block {
                if self.known.insert(seq, block).is_some_and(|known| known != block) {
                    return self.wrong(&format!("the block of commit {seq} lies elsewhere"));
                }
            }
        }
        Ok(())
    }

    /// The steps of a round, until the power is cut.
    fn write(&mut self, round: &Round, store: &Store) -> Result<(), String> {
        let mut held = Vec::new();
        let mut reader = None;
        let mut epoch = None;
        for (place, step) in round.steps.iter().enumerate() {
            if self.disk.lost_power() {
                return Ok(());
            }
            let start = self.disk.operations();
            match round.stop {
                Stop::InLastStep(operation) if place + 1 == round.steps.len() => {
                    self.disk.crash_at(start + operation);
                }
                _ => {}
            }
            if let Some(done) = self.done.last_mut() {
                done.steps.push(*step);
            }
            let goes_on = match step {
                Step::Commit { power } => self.commit(store, *power, &mut epoch),
                Step::Hold => self.hold(store, &mut held),
                Step::Peek => self.peek(&mut reader, store),
                Step::Look => self.look(store, &mut held, &reader),
                Step::GoOn => self.go_on(store, &mut epoch),
                Step::Close => {
                    held.clear();
                    self.close(store).map(|()| false)
                }
                upkeep => self.tend(store, *upkeep),
            }?;
            self.note_stop(start);
            if !goes_on {
                return Ok(());
            }
        }
        self.look(store, &mut held, &reader)?;
        self.crashes.merges += store.stats().map_or(0, |stats| stats.compactions);
        Ok(())
    }

    fn close(&mut self, store: &Store) -> Result<(), String> {
        let newest = store.last_seq();
        match store.close() {
            Ok(()) => self.durable = self.durable.max(newest),
            Err(error) => self.excuse("closing", &error)?,
        }
        Ok(())
    }

    fn commit(&mut self, store: &Store, power: bool, epoch: &mut Option<u64>) -> Result<bool, String> {
        let seq = store.last_seq() + 1;
        if self.trace.import && seq <= IMPORTED {
            return Ok(true);
        }
        let Some(before) = self.script.borrow_mut().state(seq - 1) else {
            return self.wrong(&format!("commit {} has no state", seq - 1));
        };
        let actions = self.script.borrow_mut().actions(seq);
        let mut batch = Batch::new();
        let mut block = None;
        for action in &actions {
            if matches!(action, Action::Block(_)) {
                block = Some(batch.count());
            }
            if let Err(error) = action.put(&before, &self.known, &mut batch) {
                return self.wrong(&format!("{action:?}: {error}"));
            }
        }
        let survive = if power { Survive::Power } else { Survive::Process };
        let before = self.large_live_bytes(store);
        match store.commit(&mut batch, Some(survive)) {
            Ok(got) if got == seq => {}
            Ok(got) => return self.wrong(&format!("commit {seq} got seq {got}")),
            Err(error) => {
                self.excuse("committing", &error)?;
                if !matches!(error, Error::NoSpace { .. }) || self.disk.lost_power() {
                    return Ok(false);
                }
                if store.last_seq() != seq - 1 {
                    return self.wrong("a commit that was refused for want of space is there");
                }
                self.crashes.refused += u64::from(self.full);
                if let (Some(before), Some(after)) = (before, self.large_live_bytes(store)) {
                    if after > before + LESS_THAN_A_LARGE_BLOCK {
                        return self.wrong(&format!(
                            "a refused commit left blocks: {before} bytes live before, {after} after"
                        ));
                    }
                }
                return Ok(true);
            }
        }
        self.acknowledged = seq;
        if power {
            self.durable = seq;
        }
        if let Some((_, Some(address))) = block.and_then(|command| batch.result(command).ok()) {
            self.known.insert(seq, address);
        }
        if epoch.is_none() {
            *epoch = read_log(store, seq)
                .ok()
                .and_then(|log| log.first().map(|(_, epoch, _)| *epoch));
        }
        if let Some(epoch) = *epoch {
            if !self.written.insert((epoch, seq)) {
                return self.wrong(&format!("commit {seq} of epoch {epoch} was made twice"));
            }
            self.epochs.insert(seq, epoch);
        }
        Ok(true)
    }

    /// Of chunks of large blocks: small ones count twice where upkeep has copied some and could not go on. Asked for on a
    /// full disk without other faults only: it looks at files.
    fn large_live_bytes(&self, store: &Store) -> Option<u64> {
        let anatomy = (self.full && !self.faulty).then(|| store.anatomy())?.ok()?;
        let large = anatomy.chunks.iter().filter(|chunk| chunk.large);
        Some(large.map(|chunk| chunk.live_bytes).sum())
    }

    /// There is room again, by whatever was deleted beside the store: the same handle takes the next commit.
    fn go_on(&mut self, store: &Store, epoch: &mut Option<u64>) -> Result<bool, String> {
        self.set_room(None);
        if !self.tend(store, Step::Maintain(400))? {
            return Ok(false);
        }
        let goes_on = self.commit(store, false, epoch)?;
        self.crashes.went_on += u64::from(goes_on);
        Ok(goes_on)
    }

    /// False once the round is over.
    fn tend(&mut self, store: &Store, step: Step) -> Result<bool, String> {
        let number = store.last_seq();
        let done = match step {
            Step::Checkpoint => store.checkpoint().map(|()| true),
            Step::Maintain(steps) => maintain(store, steps).map(|()| false),
            Step::Sync => store.sync().map(|()| true),
            Step::Compact => store.compact().map(|()| true),
            Step::Backup => self.back_up(store).map(|()| false),
            Step::Import => self.import(store),
            Step::Verify => return self.verify(store),
            _ => Ok(false),
        };
        match done {
            Ok(true) => self.durable = self.durable.max(store.last_seq()),
            Ok(false) => {}
            Err(error) => {
                self.excuse(&format!("{step:?}"), &error)?;
                return Ok(matches!(error, Error::NoSpace { .. }) && !self.disk.lost_power());
            }
        }
        self.durable = self.durable.max(store.durable_seq().min(number));
        Ok(true)
    }

    fn verify(&mut self, store: &Store) -> Result<bool, String> {
        match store.verify() {
            Ok(findings) if !findings.is_empty() && !self.faulty && !self.disk.lost_power() => {
                return self.wrong(&format!("verify found {findings:?}"));
            }
            Ok(_) => {}
            Err(error) => self.excuse("verifying", &error)?,
        }
        Ok(true)
    }
}

fn maintain(store: &Store, steps: u64) -> sarsen::Result<()> {
    for _ in 0..steps {
        if !store.maintain(Duration::ZERO)? {
            break;
        }
    }
    Ok(())
}
