//! Bit rot in what lies on the disk while nobody has the store open: a turned bit, or a sector of zeros, in any file of a
//! store that was closed or that a crash left. Opened again, the store is what it was, or says that it is damaged; it
//! never gives a wrong byte, and never takes damage to what is proven to be durable for a torn tail.

use std::{cell::RefCell, collections::HashMap, path::Path, rc::Rc};

use sarsen::{
    simulation::{Rot, SimVfs},
    BlockAddress, Error, Options, Store,
};

use super::{
    commits::{random, Script},
    difference::{compare_all, Difference},
    history::{play, STORE},
    trace::Trace,
};

/// Kinds of rot tried in what one history leaves.
const TIMES: u64 = 12;

/// What became of the stores with rot in them.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Rotten {
    pub(crate) tried: u64,
    /// Everything was there: the rot lay where nothing is needed, or a second copy helped.
    pub(crate) harmless: u64,
    /// Opening said that the store is damaged.
    pub(crate) refused: u64,
    /// It opened, and reading, or verify, said so.
    pub(crate) noticed: u64,
    /// What nothing proves to have been durable was taken for a torn tail.
    pub(crate) torn: u64,
}

impl Rotten {
    pub(crate) fn add(&mut self, more: &Rotten) {
        self.tried += more.tried;
        self.harmless += more.harmless;
        self.refused += more.refused;
        self.noticed += more.noticed;
        self.torn += more.torn;
    }
}

/// A history to its end, and then rot in the disk that it leaves.
pub(crate) fn rot_once(trace: &Trace, disk: SimVfs) -> Result<Rotten, String> {
    let outcome = play(trace, disk);
    if let Some((what, _)) = outcome.failure {
        return Err(what);
    }
    let (history, Some(last)) = (outcome.history, trace.rounds.last()) else {
        return Ok(Rotten::default());
    };
    // What only the page cache has can't rot.
    let disk = history.disk().crash(trace.seed);
    let rotting = Rotting {
        disk: &disk,
        durable: history.durable,
        script: history.script(),
        known: history.known(),
        options: history.options(last),
    };
    rotting.try_some(TIMES, trace.seed)
}

/// A store as it lies on the disk, and what is known of it.
struct Rotting<'a> {
    disk: &'a SimVfs,
    /// Newest commit that must be there.
    durable: u64,
    script: &'a Rc<RefCell<Script>>,
    known: &'a HashMap<u64, BlockAddress>,
    options: Options,
}

impl Rotting<'_> {
    /// So many kinds of rot, each in a copy of its own.
    fn try_some(&self, times: u64, seed: u64) -> Result<Rotten, String> {
        let mut draw = seed | 1;
        let mut rotten = Rotten::default();
        let (found, proven) = match self.open(&self.disk.restart(), false) {
            Ok(store) => {
                if self.read(&store, store.last_seq(), false)? {
                    let model = self.script.borrow_mut().state(store.last_seq());
                    let found = model.map(|model| compare_all(&store, &model, self.known));
                    return Err(format!(
                        "damaged before the rot: {found:?}, {:?}, verify {:?}",
                        store.recovery(),
                        store.verify()
                    ));
                }
                (store.last_seq(), store.recovery().proven_seq)
            }
            // On a disk that is full from the beginning none was ever made.
            Err(Error::NotAStore { .. }) if self.durable == 0 => return Ok(rotten),
            Err(error) => return Err(format!("opening before the rot: {error}")),
        };
        if found < self.durable {
            return Err(format!(
                "before the rot commit {} had to be there, {found} is newest",
                self.durable
            ));
        }
        let files: Vec<_> = self
            .disk
            .files()
            .into_iter()
            .map(|(path, bytes)| (path, bytes.len() as u64))
            .filter(|(path, len)| path.starts_with(STORE) && *len > 0)
            .collect();
        for _ in 0..times {
            let (path, len) = &files[usize::try_from(random(&mut draw)).unwrap_or(0) % files.len()];
            // The beginning of a file and, of the log, what was written are worth more than the rest.
            let reach = [*len, (*len).min(4_096), (*len).min(600)]
                [usize::try_from(random(&mut draw) % 3).unwrap_or(0)];
            let offset = random(&mut draw) % reach;
            let rot = match random(&mut draw) % 4 {
                0 => Rot::Zeros,
                _ => Rot::Bits(1 << (random(&mut draw) % 8)),
            };
            let disk = self.disk.restart();
            if !disk.rot(path, offset, rot) {
                continue;
            }
            rotten.tried += 1;
            // A sector of zeros may take the only proof with it; one bit can't hit both the proof and what it proves.
            let in_log = rot == Rot::Zeros && path.starts_with(Path::new(STORE).join("log"));
            let least = if in_log { 0 } else { proven };
            self.judge(&disk, found, least, &mut rotten)
                .map_err(|what| format!("{rot:?} at {} {offset}: {what}", path.display()))?;
        }
        Ok(rotten)
    }

    fn open(&self, disk: &SimVfs, salvage: bool) -> sarsen::Result<Store> {
        let options = Options {
            read_only: true,
            salvage,
            ..self.options.clone()
        };
        Store::open_on(disk, Path::new(STORE), &options)
    }

    fn judge(&self, disk: &SimVfs, found: u64, least: u64, rotten: &mut Rotten) -> Result<(), String> {
        let store = match self.open(disk, false) {
            Ok(store) => store,
            Err(Error::Corrupt { .. } | Error::Version { .. } | Error::NotAStore { .. }) => {
                rotten.refused += 1;
                return self.salvage(disk, found);
            }
            Err(error) => return Err(format!("opening: {error}")),
        };
        let newest = store.last_seq();
        if newest > found || newest < least {
            return Err(format!(
                "commit {newest} is newest, {found} was, {least} is proven: {:?}",
                store.recovery()
            ));
        }
        if self.read(&store, newest, false)? {
            rotten.noticed += 1;
        } else if newest < found {
            rotten.torn += 1;
        } else {
            rotten.harmless += 1;
        }
        Ok(())
    }

    /// Whether something is not there any more; `verify` says the same.
    fn read(&self, store: &Store, newest: u64, salvaged: bool) -> Result<bool, String> {
        let Some(model) = self.script.borrow_mut().state(newest) else {
            return Err(format!("commit {newest} is part of an import"));
        };
        let damaged = match compare_all(store, &model, self.known) {
            Ok(()) => None,
            // Salvage may go back behind what upkeep has kept: less than all, and no wrong byte.
            Err(Difference::Missing(_) | Difference::Failed(Error::NotFound)) if salvaged => return Ok(true),
            Err(Difference::Failed(error @ (Error::Corrupt { .. } | Error::NotFound))) => Some(error),
            Err(Difference::Wrong(what) | Difference::Missing(what)) => return Err(what),
            Err(Difference::Failed(error)) => return Err(format!("reading: {error}")),
        };
        match store.verify() {
            Ok(findings) if findings.is_empty() && damaged.is_some() => Err(format!(
                "reading says that it is damaged ({damaged:?}), verify doesn't"
            )),
            Ok(_) | Err(Error::Corrupt { .. }) => Ok(damaged.is_some()),
            Err(error) => Err(format!("verifying: {error}")),
        }
    }

    /// With salvage, a store that was refused gives what is left, and no wrong byte.
    fn salvage(&self, disk: &SimVfs, found: u64) -> Result<(), String> {
        match self.open(disk, true) {
            Ok(store) if store.last_seq() > found => Err("salvage finds more than there was".into()),
            Ok(store) => self.read(&store, store.last_seq(), true).map(|_| ()),
            Err(Error::Corrupt { .. } | Error::Version { .. } | Error::NotAStore { .. }) => Ok(()),
            Err(error) => Err(format!("opening with salvage: {error}")),
        }
    }
}
