//! What happens beside the commits of a history: imports and backups, and what is held across upkeep: snapshots,
//! iterators, views, readers.

use std::{
    collections::HashMap,
    path::{Path, PathBuf},
    rc::Rc,
};

use sarsen::{Error, KvIter, Options, Snapshot, Store, View};

use super::{
    commits::{Model, IMPORTED},
    difference::{compare, Difference},
    history::{History, ANCESTOR, STORE},
};

/// What was taken before upkeep and is looked at after it.
pub(crate) struct Held {
    snapshot: Snapshot,
    model: Rc<Model>,
    pairs: KvIter,
    /// Pairs that the iterator had given.
    given: usize,
    number: Option<View>,
}

impl History {
    /// Whole or not at all.
    pub(super) fn import(&mut self, store: &Store) -> sarsen::Result<bool> {
        if store.last_seq() > 0 || !self.trace.import {
            return Ok(false);
        }
        let records = store.import(Path::new(ANCESTOR))?;
        assert_eq!(records, IMPORTED, "records of an import");
        self.acknowledged = IMPORTED;
        self.crashes.imports += 1;
        Ok(true)
    }

    pub(super) fn back_up(&mut self, store: &Store) -> sarsen::Result<()> {
        let seq = store.last_seq();
        let path = PathBuf::from(format!("/backup {} {}", self.round, self.disk.operations()));
        self.backups.push((path.clone(), seq, false));
        store.backup(None, &path)?;
        self.crashes.backups += 1;
        if let Some((_, _, finished)) = self.backups.last_mut() {
            *finished = true;
        }
        Ok(())
    }

    /// A backup that was finished is the store as it was then, whatever happened since; one that was not is that, or
    /// no store.
    pub(super) fn check_backups(&mut self) -> Result<(), String> {
        self.faulty = false;
        for (path, seq, finished) in std::mem::take(&mut self.backups) {
            let options = Options {
                background: false,
                read_only: true,
                ..Options::default()
            };
            match Store::open_on(&self.disk, &path, &options) {
                Ok(copy) if copy.last_seq() == seq => {
                    let model = self.script.borrow_mut().state(seq).unwrap_or_default();
                    let compared = compare(&copy, None, &model, &self.known);
                    self.judge("a backup", compared)?;
                }
                Ok(copy) => return self.wrong(&format!("a backup of {seq} has {}", copy.last_seq())),
                Err(Error::NotAStore { .. }) if !finished => {}
                Err(error) => return self.wrong(&format!("a backup (finished: {finished}): {error}")),
            }
        }
        Ok(())
    }

    pub(super) fn hold(&mut self, store: &Store, held: &mut Vec<Held>) -> Result<bool, String> {
        let taken = (|| {
            let snapshot = store.snapshot()?;
            let model = self.script.borrow_mut().state(snapshot.seq()).unwrap_or_default();
            let mut pairs = store.kv_scan(Some(&snapshot), b"", b"", false)?;
            let mut given = 0;
            while given < model.pairs.len() / 2 && pairs.next()? {
                given += 1;
            }
            let number = store.kv_get(Some(&snapshot), b"number").ok();
            Ok(Held {
                snapshot,
                model,
                pairs,
                given,
                number,
            })
        })();
        match taken {
            Ok(taken) => held.push(taken),
            Err(error) => self.excuse("holding", &error)?,
        }
        Ok(true)
    }

    pub(super) fn peek(&mut self, reader: &mut Option<Store>, store: &Store) -> Result<bool, String> {
        let options = Options {
            read_only: true,
            ..self.options(&self.done[self.round])
        };
        match Store::open_on(&self.disk, Path::new(STORE), &options) {
            Ok(found) if found.last_seq() == store.last_seq() => {
                self.check_state(&found, "a reader")?;
                *reader = Some(found);
            }
            Ok(found) => {
                let (read, newest) = (found.last_seq(), store.last_seq());
                return self.wrong(&format!("a reader sees {read} beside a writer at {newest}"));
            }
            Err(error) => self.excuse("a reader opening", &error)?,
        }
        Ok(true)
    }

    /// Snapshots, iterators, views and the reader see what they saw.
    pub(super) fn look(
        &mut self,
        store: &Store,
        held: &mut Vec<Held>,
        reader: &Option<Store>,
    ) -> Result<bool, String> {
        for mut taken in held.drain(..) {
            let compared = compare(store, Some(&taken.snapshot), &taken.model, &HashMap::new());
            self.judge("a snapshot", compared)?;
            let rest = (|| {
                while taken.pairs.next()? {
                    let expected = taken.model.pairs.get(taken.pairs.key());
                    if !expected.is_some_and(|value| value.is(taken.pairs.value())) {
                        return Err(Difference::Wrong("an iterator gives something else".into()));
                    }
                    taken.given += 1;
                }
                if taken.given != taken.model.pairs.len() {
                    return Err(Difference::Wrong("an iterator gives fewer or more pairs".into()));
                }
                Ok(())
            })();
            self.judge("an iterator", rest)?;
            if let (Some(view), Some(value)) = (&taken.number, taken.model.pairs.get(&b"number"[..])) {
                if !value.is(view.bytes()) {
                    return self.wrong("a view's bytes changed");
                }
            }
        }
        if let Some(reader) = reader {
            self.check_state(reader, "an old reader")?;
            match reader.refresh() {
                Ok(_) if self.disk.lost_power() => {}
                Ok(seq) if seq == store.last_seq() => self.check_state(reader, "a refreshed reader")?,
                Ok(seq) => {
                    let newest = store.last_seq();
                    return self.wrong(&format!(
                        "a reader catches up to {seq}, the writer is at {newest}"
                    ));
                }
                Err(error) => self.excuse("refreshing", &error)?,
            }
        }
        Ok(true)
    }
}
