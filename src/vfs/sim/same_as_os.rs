//! The simulated disk and the real one, given the same calls, answer the same.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{Random, SimVfs};
use crate::{
    error::Error,
    vfs::{DirectoryEntry, File, OpenMode, OsVfs, Vfs},
};

/// What an outcome is compared by: errors by their errno.
fn outcome<T>(result: crate::error::Result<T>) -> std::result::Result<T, i32> {
    result.map_err(|error| match error {
        Error::Io(refusal) | Error::NoSpace(refusal) => refusal.os_code,
        other => panic!("{other:?}"),
    })
}

fn listed(entries: Vec<DirectoryEntry>) -> Vec<String> {
    entries
        .into_iter()
        .map(|entry| format!("{:?} {:?} {}", entry.name, entry.kind, entry.len))
        .collect()
}

/// One of the two systems, with the files that the calls have opened.
struct Side {
    vfs: Arc<dyn Vfs>,
    root: PathBuf,
    open: BTreeMap<u64, Arc<dyn File>>,
}

impl Side {
    /// Makes the call that `random` chooses and says what came of it.
    fn step(&mut self, random: &mut Random) -> String {
        const PLACES: [&str; 7] = ["a", "b", "d", "d/a", "d/b", "d/e", "none/a"];
        let mut place = || self.root.join(PLACES[random.below(7) as usize]);
        let (first, second) = (place(), place());
        let (offset, len) = (random.below(9_000), random.below(3_000));
        let (call, handle) = (random.below(18), random.below(4));
        match call {
            0 | 1 => self.keep(handle, &first, OpenMode::CreateNew),
            2 => self.keep(handle, &first, OpenMode::Write),
            3 => self.keep(handle, &first, OpenMode::Read),
            4 => format!("mkdir {:?}", outcome(self.vfs.create_directory(&first))),
            5 => format!("rename {:?}", outcome(self.vfs.rename(&first, &second))),
            6 => format!("unlink {:?}", outcome(self.vfs.unlink(&first))),
            7 => format!("rmdir {:?}", outcome(self.vfs.remove_directory(&first))),
            8 => format!("list {:?}", outcome(self.vfs.list(&self.root).map(listed))),
            9 => format!("kind {:?}", outcome(self.vfs.entry_kind(&first))),
            10 => format!("sync {:?}", outcome(self.vfs.sync_directory(&first))),
            11 => format!("close {}", self.open.remove(&handle).is_some()),
            _ => match self.open.get(&handle) {
                None => "no such file".to_owned(),
                Some(file) => Side::step_in(file.as_ref(), call, offset, len),
            },
        }
    }

    fn keep(&mut self, handle: u64, path: &Path, mode: OpenMode) -> String {
        match outcome(self.vfs.open(path, mode)) {
            Ok(file) => {
                self.open.insert(handle, file);
                "opened".to_owned()
            }
            Err(os_code) => format!("open {mode:?} {os_code}"),
        }
    }

    fn step_in(file: &dyn File, call: u64, offset: u64, len: u64) -> String {
        match call {
            12 | 13 => {
                let bytes = vec![(offset % 251) as u8; len as usize];
                format!("write {:?}", outcome(file.write_at(offset, &bytes)))
            }
            14 => {
                let mut bytes = vec![0; len as usize];
                let read = outcome(file.read_at(offset, &mut bytes));
                format!("read {:?}", read.map(|()| bytes))
            }
            15 => format!(
                "set_len {:?} {:?}",
                outcome(file.set_len(offset)),
                outcome(file.len())
            ),
            16 => format!(
                "allocate {:?} {:?}",
                outcome(file.allocate(offset, len)),
                outcome(file.len())
            ),
            _ => {
                let end = file.len().unwrap();
                let map = file.map(end).unwrap();
                let whole = map.bytes(0, end).unwrap().to_vec();
                format!(
                    "sync {:?} lock {:?} {whole:?}",
                    outcome(file.sync()),
                    outcome(file.try_lock_exclusive())
                )
            }
        }
    }
}

#[test]
fn the_same_calls_have_the_same_outcomes_as_on_the_real_file_system() {
    for seed in 0..40 {
        let root = std::env::temp_dir().join(format!("sarsen-sim-{}-{seed}", std::process::id()));
        OsVfs.create_directory(&root).unwrap();
        let real = Side {
            vfs: Arc::new(OsVfs),
            root: root.clone(),
            open: BTreeMap::new(),
        };
        let simulated = Side {
            vfs: Arc::new(SimVfs::new(seed)),
            root: "/".into(),
            open: BTreeMap::new(),
        };
        let mut sides = [(real, Random(seed)), (simulated, Random(seed))];
        for step in 0..150 {
            let [real, simulated] = sides.each_mut().map(|(side, random)| side.step(random));
            assert!(
                real == simulated,
                "seed {seed}, step {step}: {real:.200} but simulated {simulated:.200}"
            );
        }
        drop(sides);
        std::fs::remove_dir_all(&root).unwrap();
    }
}
