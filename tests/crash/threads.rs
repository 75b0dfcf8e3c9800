//! Several threads on one store: two or three that commit and one that does upkeep and looks at snapshots. Exactly one
//! runs at a time; the seed decides who goes on at each operation on the disk and at each lock that is taken. So a
//! history is a function of its seed, and a crash may come between any two operations of any two threads.
//!
//! Each commit appends who made it, and which of that thread's it is, to one stream: after a crash that stream says in
//! which order commits came, and the store must be what they come to.

use std::{
    collections::HashMap,
    panic::{catch_unwind, AssertUnwindSafe},
    path::Path,
    sync::{
        atomic::{AtomicU64, Ordering},
        Mutex,
    },
    time::Duration,
};

use sarsen::{
    simulation::{make, Defect, Fault, FaultKind, Operation, SimVfs, Turns},
    Batch, BlockAddress, Error, LogMethod, Options, Store, Survive,
};

use super::{
    commits::{mix, random, stream_name, Action, Model, Value},
    difference::{compare, Difference},
    history::{message, Crashes, STORE},
};

const ROUNDS: usize = 4;
const MOST_COMMITS: u64 = 14;
/// The stream with the order of commits.
const ORDER: u64 = 99;

/// A commit: its thread above, its number in there below.
fn token(thread: u64, number: u64) -> u64 {
    (thread << 32) | number
}

fn order_value(token: u64) -> Value {
    Value { id: token, len: 16 }
}

fn actions(seed: u64, token: u64) -> Vec<Action> {
    let mut state = mix(seed, token);
    let thread = token >> 32;
    let mut actions = vec![Action::Append(ORDER, order_value(token))];
    let count = 1 + random(&mut state) % 3;
    for place in 1..=count {
        let draw = random(&mut state);
        let value = Value {
            id: (token << 8) + place,
            len: [0, 30, 700, 1_500, 9_000, 33_000][usize::try_from(random(&mut state) % 6).unwrap_or(0)],
        };
        let key = format!("key {}", draw / 64 % 6).into_bytes();
        actions.push(match draw % 12 {
            0..=2 => Action::Set(key, value),
            3 | 4 => Action::Delete(key),
            5 | 6 => Action::Append(draw / 64 % 2, value),
            7 => Action::Append(10 + thread, value),
            8 | 9 => Action::Remember(draw / 64 % 4, value, vec![format!("t {thread}")]),
            10 => Action::Forget(draw / 64 % 4),
            _ => Action::Delete(format!("key {}", draw / 64 % 9).into_bytes()),
        });
    }
    // A loose block now and then, which the thread's next commit names or frees.
    match token % 5 {
        1 => actions.push(Action::Block(Value {
            id: (token << 8) + 200,
            len: [900, 40_000][usize::try_from(token / 5 % 2).unwrap_or(0)],
        })),
        2 => actions.push(match token / 5 % 3 {
            0 => Action::Free(token - 1),
            _ => Action::Name(10 + thread, token - 1),
        }),
        _ => {}
    }
    actions
}

/// What is known of commits that were acknowledged.
#[derive(Debug, Clone, Copy)]
struct Acknowledged {
    seq: u64,
    token: u64,
    power: bool,
}

struct Threads {
    seed: u64,
    disk: SimVfs,
    defect: Option<Defect>,
    draw: u64,
    acknowledged: Vec<Acknowledged>,
    durable: u64,
    known: HashMap<u64, BlockAddress>,
    faulty: bool,
    crashes: Crashes,
    digest: u64,
}

/// What the history went through with a digest of who ran when, or what is wrong.
pub(crate) fn play_threads(
    seed: u64,
    disk: SimVfs,
    defect: Option<Defect>,
) -> Result<(Crashes, u64), String> {
    let mut threads = Threads {
        seed,
        disk,
        defect,
        draw: mix(seed, 21),
        acknowledged: Vec::new(),
        durable: 0,
        known: HashMap::new(),
        faulty: false,
        crashes: Crashes::default(),
        digest: seed,
    };
    catch_unwind(AssertUnwindSafe(|| threads.run()))
        .unwrap_or_else(|panic| Err(message(panic.as_ref())))
        .map_err(|what| format!("threads, seed {seed}: {what}"))?;
    Ok((threads.crashes, threads.digest))
}

impl Threads {
    fn below(&mut self, bound: u64) -> u64 {
        random(&mut self.draw) % bound
    }

    fn run(&mut self) -> Result<(), String> {
        for round in 0..ROUNDS {
            self.go_round(round)?;
        }
        self.disk.set_writeback(None);
        self.faulty = false;
        let options = self.options();
        match Store::open_on(&self.disk, Path::new(STORE), &options) {
            Ok(store) => self.check(&store).map(|_| ()),
            Err(error) => Err(format!("opening at the end: {error}")),
        }
    }

    fn options(&mut self) -> Options {
        Options {
            memory_bytes: 256 << 10,
            chunk_bytes: if self.seed.is_multiple_of(2) {
                64 << 10
            } else {
                512 << 10
            },
            background: false,
            log_retention_bytes: if self.seed.is_multiple_of(3) { 64 << 10 } else { 0 },
            log_method: [LogMethod::Auto, LogMethod::Written][usize::try_from(self.below(2)).unwrap_or(0)],
            ..Options::default()
        }
    }

    fn excused(&self, error: &Error) -> bool {
        let failed = matches!(
            error,
            Error::Io { .. } | Error::NoSpace { .. } | Error::Poisoned { .. }
        );
        self.disk.lost_power() || (self.faulty && failed)
    }

    fn go_round(&mut self, round: usize) -> Result<(), String> {
        let write_back = [None, Some(40), Some(4)][usize::try_from(self.below(3)).unwrap_or(0)];
        self.disk.set_writeback(write_back);
        let within = [60, 300, 700, 300][round % 4];
        let stop = self.disk.operations() + 1 + self.below(within);
        self.disk.crash_at(stop);
        self.faulty = self.below(4) == 0;
        if self.faulty {
            let nth = 1 + self.below(40);
            let operation = [Operation::Sync, Operation::Write, Operation::SyncDirectory]
                [usize::try_from(self.below(3)).unwrap_or(0)];
            self.disk.fail(Fault::new(operation, nth, FaultKind::Io));
        }
        let options = self.options();
        match Store::open_on(&self.disk, Path::new(STORE), &options) {
            Ok(store) => {
                let numbers = self.check(&store)?;
                self.write(&store, &numbers)?;
                self.crash();
            }
            Err(error) if self.excused(&error) => self.crash(),
            Err(error) => return Err(format!("opening: {error}")),
        }
        self.disk.clear_faults();
        Ok(())
    }

    fn crash(&mut self) {
        if self.below(4) == 0 {
            self.crashes.kills += 1;
            self.disk = self.disk.restart();
            return;
        }
        self.crashes.power_losses += 1;
        let durable = self.durable;
        for commit in &mut self.acknowledged {
            commit.power |= commit.seq <= durable;
        }
        self.acknowledged.retain(|commit| commit.power);
        let seed = random(&mut self.draw);
        self.disk = self.disk.crash(seed);
    }

    /// The store is what the commits in it come to, in their order, and each acknowledged one is in its place. Gives the
    /// next commit of each thread.
    fn check(&mut self, store: &Store) -> Result<HashMap<u64, u64>, String> {
        let found = store.last_seq();
        let (order, model) = match self.read_order(store) {
            Ok(read) => read,
            Err(Difference::Wrong(what) | Difference::Missing(what)) => return Err(what),
            Err(Difference::Failed(error)) if self.excused(&error) => return Ok(HashMap::new()),
            Err(Difference::Failed(error)) => return Err(format!("reading the order: {error}")),
        };
        if order.len() as u64 != found {
            return Err(format!("{} commits are told, {found} is newest", order.len()));
        }
        for commit in &self.acknowledged {
            let place = usize::try_from(commit.seq - 1).unwrap_or(usize::MAX);
            match order.get(place) {
                Some(told) if *told == commit.token => {}
                other => {
                    return Err(format!(
                        "{commit:?} was acknowledged, there is {other:?} of {found}"
                    ))
                }
            }
        }
        self.durable = self.durable.min(found);
        let mut numbers: HashMap<u64, u64> = HashMap::new();
        for told in &order {
            let next = numbers.entry(told >> 32).or_default();
            if *told & 0xffff_ffff != *next {
                return Err(format!("{told:#x} is not commit {next} of its thread"));
            }
            *next += 1;
        }
        self.known.retain(|told, _| order.contains(told));
        match compare(store, None, &model, &self.known) {
            Err(Difference::Wrong(what) | Difference::Missing(what)) => {
                Err(format!("after commit {found}: {what}"))
            }
            Err(Difference::Failed(error)) if !self.excused(&error) => {
                Err(format!("after commit {found}: {error}"))
            }
            _ => Ok(numbers),
        }
    }

    fn read_order(&self, store: &Store) -> Result<(Vec<u64>, Model), Difference> {
        let (mut order, mut model) = (Vec::new(), Model::default());
        let mut records = match store.stream_read(None, &stream_name(ORDER), 0) {
            Ok(records) => records,
            Err(Error::NotFound) => return Ok((order, model)),
            Err(error) => return Err(error.into()),
        };
        while records.next()? {
            let head = records.record().get(..8).and_then(|head| head.try_into().ok());
            let told = u64::from_le_bytes(head.unwrap_or_default());
            if !order_value(told).is(records.record()) {
                return Err(Difference::Wrong("a record of the order is no such".into()));
            }
            for action in actions(self.seed, told) {
                model.apply(told, &action);
            }
            order.push(told);
        }
        Ok((order, model))
    }

    fn write(&mut self, store: &Store, numbers: &HashMap<u64, u64>) -> Result<(), String> {
        let writers = 2 + self.below(2);
        let one_in = 1 + self.below(4);
        let seed = random(&mut self.draw);
        let turns = Turns::new(usize::try_from(writers + 1).unwrap_or(3), seed, one_in);
        let working = AtomicU64::new(writers);
        let told = Mutex::new((Vec::new(), HashMap::new()));
        let outcomes: Vec<Result<(), String>> = std::thread::scope(|scope| {
            let this = &*self;
            let (turns, working, told) = (&turns, &working, &told);
            let mut handles = Vec::new();
            for thread in 0..=writers {
                handles.push(scope.spawn(move || {
                    make(this.defect);
                    let _entered = turns.enter(usize::try_from(thread).unwrap_or(0));
                    if thread == writers {
                        return this.tend(store, mix(seed, 77), working);
                    }
                    let first = numbers.get(&thread).copied().unwrap_or(0);
                    let outcome = this.commit_all(store, thread, first, told);
                    working.fetch_sub(1, Ordering::SeqCst);
                    outcome
                }));
            }
            let joined = handles.into_iter().map(|handle| handle.join());
            joined
                .map(|outcome| outcome.unwrap_or_else(|panic| Err(message(panic.as_ref()))))
                .collect()
        });
        let (hand_overs, digest) = turns.history();
        self.crashes.hand_overs += hand_overs;
        self.digest = mix(self.digest, digest);
        let (acknowledged, known) = told.into_inner().map_err(|_| "a thread panicked".to_owned())?;
        self.acknowledged.extend(acknowledged);
        let newest_power = self.acknowledged.iter().filter(|commit| commit.power);
        let newest_power = newest_power.map(|commit| commit.seq).max().unwrap_or(0);
        self.durable = self.durable.max(newest_power).max(store.durable_seq());
        self.known.extend(known);
        outcomes.into_iter().collect()
    }

    fn commit_all(
        &self,
        store: &Store,
        thread: u64,
        first: u64,
        told: &Mutex<(Vec<Acknowledged>, HashMap<u64, BlockAddress>)>,
    ) -> Result<(), String> {
        let mut mine: HashMap<u64, BlockAddress> = self.known.clone();
        for number in first..first + MOST_COMMITS {
            let token = token(thread, number);
            let mut batch = Batch::new();
            let mut block = None;
            // Whatever the block of the commit before was, its bytes follow from that commit.
            let mut before = Model::default();
            if number > 0 {
                for action in actions(self.seed, token - 1) {
                    if matches!(action, Action::Block(_)) {
                        before.apply(token - 1, &action);
                    }
                }
            }
            for action in actions(self.seed, token) {
                if matches!(action, Action::Block(_)) {
                    block = Some(batch.count());
                }
                let put = action.put(&before, &mine, &mut batch);
                put.map_err(|error| format!("{action:?}: {error}"))?;
            }
            let power = mix(self.seed, token ^ 0xffff).is_multiple_of(3);
            let survive = if power { Survive::Power } else { Survive::Process };
            match store.commit(&mut batch, Some(survive)) {
                Ok(seq) => {
                    let address = block.and_then(|command| batch.result(command).ok());
                    let mut told = told.lock().map_err(|_| "a thread panicked".to_owned())?;
                    told.0.push(Acknowledged { seq, token, power });
                    if let Some((_, Some(address))) = address {
                        mine.insert(token, address);
                        told.1.insert(token, address);
                    }
                }
                Err(error) if self.excused(&error) => return Ok(()),
                Err(error) => return Err(format!("committing {token:#x}: {error}")),
            }
        }
        Ok(())
    }

    /// Upkeep, and a look at what a snapshot sees, until nobody commits any more.
    fn tend(&self, store: &Store, seed: u64, working: &AtomicU64) -> Result<(), String> {
        let mut draw = seed;
        while working.load(Ordering::SeqCst) > 0 && !self.disk.lost_power() {
            let done = match random(&mut draw) % 24 {
                0 => store.checkpoint(),
                1 => store.sync(),
                2 => store.compact(),
                3..=5 => self.look(store),
                _ => store.maintain(Duration::ZERO).map(|_| ()),
            };
            match done {
                Ok(()) => {}
                Err(error) if self.excused(&error) => return Ok(()),
                Err(error) => return Err(format!("upkeep: {error}")),
            }
        }
        Ok(())
    }

    fn look(&self, store: &Store) -> sarsen::Result<()> {
        let snapshot = store.snapshot()?;
        let told = match store.stream_bounds(Some(&snapshot), &stream_name(ORDER)) {
            Ok((_, next)) => next,
            Err(Error::NotFound) => 0,
            Err(error) => return Err(error),
        };
        assert_eq!(
            told,
            snapshot.seq(),
            "a snapshot sees other commits than its seq says"
        );
        Ok(())
    }
}
