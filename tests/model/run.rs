//! One store and its model, from the first commit to the last comparison.

mod reading;
mod writing;

use std::{collections::BTreeMap, time::Duration};

use sarsen::{BlockAddress, Check, Error, LogMethod, Options, Result, Snapshot, Store, Survive, View};

use super::{
    compare::{same, Seen},
    disk::Disk,
    draws::{Content, Draws},
    state::{Command, Model},
};
use reading::Walk;

pub const PHASES: usize = 8;
pub const STEPS: usize = 90;

pub struct Run {
    // In this order: the store goes before its directory does.
    snapshots: Vec<(Snapshot, Model)>,
    walks: Vec<Walk>,
    views: Vec<(View, Content)>,
    /// A read-only opening of the same store, and what it saw when it was opened.
    reader: Option<(Store, Model)>,
    store: Option<Store>,
    disk: Disk,
    options: Options,
    model: Model,
    draws: Draws,
    /// Every block that the store ever told of, but for the oldest.
    known: BTreeMap<BlockAddress, Content>,
    /// The disk may fail at this time.
    failing: bool,
}

impl Run {
    pub fn new(mut draws: Draws, disk: Disk) -> Run {
        let options = Options {
            memory_bytes: 256 << 10,
            chunk_bytes: [64 << 10, 100_000, 256 << 10][draws.below(3)],
            log_retention_bytes: [0, 0, 200_000][draws.below(3)],
            ..Options::default()
        };
        let mut run = Run {
            snapshots: Vec::new(),
            walks: Vec::new(),
            views: Vec::new(),
            reader: None,
            store: None,
            disk,
            options,
            model: Model::default(),
            draws,
            known: BTreeMap::new(),
            failing: false,
        };
        run.open();
        run
    }

    /// Phases of so many steps, each with a comparison of everything behind it.
    pub fn play(mut self, phases: usize, steps: usize) {
        for _ in 0..phases {
            for _ in 0..steps {
                self.step();
            }
            self.compare_everything();
        }
        self.reopen();
        self.compare_everything();
    }

    fn store(&self) -> &Store {
        self.store.as_ref().expect("the store is open")
    }

    fn seen(&self) -> Seen<'_> {
        Seen::of(self.store(), None, &self.model)
    }

    fn step(&mut self) {
        match self.draws.below(100) {
            0..=19 => self.single_command(),
            20..=49 => self.batch(),
            50..=54 => self.refused(),
            55..=57 => self.take_snapshot(),
            58..=59 => self.end_snapshot(),
            60..=66 => self.read_something(),
            67..=70 => self.begin_walk(),
            71..=76 => self.go_on_walking(),
            77..=78 => self.hold_view(),
            79..=88 => self.upkeep(|store| store.maintain(Duration::ZERO).map(|_| ())),
            89 => self.upkeep(|store| {
                while store.maintain(Duration::from_millis(5))? {}
                Ok(())
            }),
            90..=91 => self.upkeep(Store::checkpoint),
            92 => self.compact(),
            93 => self.upkeep(Store::sync),
            94..=95 => self.fail_for_a_while(),
            96 => self.read_only(),
            97 if self.draws.one_in(2) => self.back_up(),
            98 => self.old_addresses(),
            99 if self.draws.one_in(2) => self.reopen(),
            _ => {}
        }
    }

    fn upkeep(&mut self, work: impl FnOnce(&Store) -> Result<()>) {
        let before = self.store().last_seq();
        if let Err(error) = work(self.store()) {
            self.may_fail(&error, before, &[]);
        }
    }

    fn compact(&mut self) {
        let before = self.store().last_seq();
        if let Err(error) = self.store().compact() {
            return self.may_fail(&error, before, &[]);
        }
        if self.snapshots.is_empty() {
            let stats = self.store().stats().expect("figures");
            let count = |len: usize| u64::try_from(len).expect("a count");
            let records = self
                .model
                .streams
                .values()
                .map(|stream| stream.records.len())
                .sum();
            assert_eq!(
                [
                    stats.kv_count,
                    stats.memory_count,
                    stats.stream_count,
                    stats.stream_record_count,
                    stats.block_count
                ],
                [
                    count(self.model.pairs.len()),
                    count(self.model.memories.len()),
                    count(self.model.streams.len()),
                    count(records),
                    self.model.loose_count()
                ],
                "counts are exact after a compaction"
            );
        }
    }

    /// On a disk that can fail: commits and upkeep while it does.
    fn fail_for_a_while(&mut self) {
        self.failing = self.disk.arm(&mut self.draws);
        if !self.failing {
            return;
        }
        for _ in 0..1 + self.draws.below(4) {
            match self.draws.below(6) {
                0 => self.upkeep(Store::checkpoint),
                1 => self.upkeep(Store::compact),
                2 => self.upkeep(|store| store.maintain(Duration::ZERO).map(|_| ())),
                _ => {
                    let commands = self.commands(8);
                    let mut batch = self.filled(&commands);
                    self.commit(&commands, &mut batch);
                    if batch.count() > 0 && self.draws.one_in(2) {
                        // It is what it was, so it can be tried again.
                        self.end_of_failing();
                        self.commit(&commands, &mut batch);
                    }
                }
            }
        }
        self.end_of_failing();
        self.seen().something(&mut self.draws.clone());
    }

    fn end_of_failing(&mut self) {
        self.disk.disarm();
        self.failing = false;
    }

    /// A full disk refuses and changes nothing. After anything else the store must be opened again to learn whether
    /// the commit that was on its way, if one was, is there.
    fn may_fail(&mut self, error: &Error, before: u64, commands: &[Command]) {
        match (&self.disk, error) {
            (Disk::Failing { .. }, Error::NoSpace { .. }) => {
                assert!(self.failing, "there is space again: {error}");
                assert_eq!(self.store().last_seq(), before, "a commit that failed took a seq");
            }
            (Disk::Failing { .. }, Error::Io { .. } | Error::Poisoned { .. }) => {
                self.kill();
                let found = self.store().last_seq();
                if !commands.is_empty() && found == before + 1 {
                    for command in commands {
                        self.model.apply(command, None);
                    }
                } else {
                    assert_eq!(found, before, "the newest commit after a failure");
                }
            }
            (Disk::Real { .. } | Disk::Failing { .. }, error) => panic!("unexpected: {error}"),
        }
    }

    fn open(&mut self) {
        let draws = &mut self.draws;
        let can_fail = !matches!(self.disk, Disk::Real { .. });
        self.options = Options {
            durability: [Survive::Process, Survive::Process, Survive::Power][draws.below(3)],
            background: !can_fail && draws.one_in(3),
            check: [Check::FirstTouch, Check::EveryRead][draws.below(2)],
            log_method: [LogMethod::Auto, LogMethod::Mapped, LogMethod::Written][draws.below(3)],
            mapped_bytes: [0, 0, 150_000][draws.below(3)],
            ..self.options.clone()
        };
        self.store = Some(self.disk.open(&self.options).expect("the store opens"));
    }

    /// Closed, dropped or killed.
    fn reopen(&mut self) {
        let newest = self.store().last_seq();
        match self.draws.below(3) {
            0 => {
                self.store().close().expect("the store closes");
                self.store().close().expect("closing again does nothing");
                self.all_is_closed();
                self.store = None;
            }
            1 => {
                self.store = None;
                self.all_is_closed();
            }
            _ if self.options.background => self.store = None,
            _ => self.kill(),
        }
        if self.store.is_none() {
            self.snapshots.clear();
            self.walks.clear();
            self.open();
        }
        assert_eq!(
            self.store().last_seq(),
            newest,
            "the newest commit after opening again"
        );
        if self.draws.one_in(2) {
            self.compare_everything();
        }
    }

    fn all_is_closed(&mut self) {
        for (view, content) in &self.views {
            same("a view of a closed store", view, content);
        }
        for mut walk in self.walks.drain(..) {
            let refused = walk.next();
            assert!(
                matches!(refused, Err(Error::InvalidArgument { .. })),
                "a walk in a closed store: {refused:?}"
            );
        }
        if let Some(store) = &self.store {
            let refused = store.kv_get(None, b"a").map(|_| ());
            assert!(
                matches!(refused, Err(Error::InvalidArgument { .. })),
                "{refused:?}"
            );
        }
    }

    fn kill(&mut self) {
        self.failing = false;
        self.reader = None;
        self.walks.clear();
        self.snapshots.clear();
        let store = self.store.take().expect("the store is open");
        self.disk.kill(store);
        self.open();
    }
}
