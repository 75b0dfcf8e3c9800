//! Where a run keeps its store: a directory of its own, or a simulated disk that fails when it is told to.

use std::{
    env, fs,
    path::{Path, PathBuf},
};

use sarsen::{
    simulation::{Fault, FaultKind, Operation, SimVfs},
    Options, Result, Store,
};

use super::draws::Draws;

pub enum Disk {
    Real {
        /// Everything of this run; removed in the end.
        directory: PathBuf,
        store: PathBuf,
        copies: u32,
    },
    Failing {
        disk: SimVfs,
        copies: u32,
    },
}

impl Disk {
    pub fn real(seed: u64) -> Disk {
        let directory = env::temp_dir().join(format!("sarsen-model-{}-{seed}", std::process::id()));
        // Of an earlier process with this number.
        let _ = fs::remove_dir_all(&directory);
        fs::create_dir_all(&directory).expect("a directory for the test");
        let store = directory.join("store");
        Disk::Real {
            directory,
            store,
            copies: 0,
        }
    }

    pub fn failing(seed: u64) -> Disk {
        Disk::Failing {
            disk: SimVfs::new(seed).with_reserve(8 << 20),
            copies: 0,
        }
    }

    pub fn open(&self, options: &Options) -> Result<Store> {
        match self {
            Disk::Real { store, .. } => Store::open(store, options),
            Disk::Failing { disk, .. } => Store::open_on(disk, Path::new("/store"), options),
        }
    }

    /// A backup of the store goes to a new place and is opened there; `with` it is over.
    pub fn copied(
        &mut self,
        copy: impl FnOnce(&Path) -> Result<()>,
        options: &Options,
        with: impl FnOnce(&Store),
    ) {
        match self {
            Disk::Real {
                directory, copies, ..
            } => {
                *copies += 1;
                let path = directory.join(format!("backup {copies}"));
                copy(&path).expect("a backup");
                with(&Store::open(&path, options).expect("a backup is a store"));
                fs::remove_dir_all(&path).expect("a backup can be removed");
            }
            Disk::Failing { disk, copies } => {
                *copies += 1;
                let path = PathBuf::from(format!("/backup {copies}"));
                copy(&path).expect("a backup");
                with(&Store::open_on(disk, &path, options).expect("a backup is a store"));
            }
        }
    }

    /// What a process that is killed at this moment leaves: whatever it does afterwards happens elsewhere. The store
    /// must have no thread of its own.
    pub fn kill(&mut self, store: Store) {
        match self {
            Disk::Real {
                directory,
                store: path,
                copies,
            } => {
                *copies += 1;
                let left = directory.join(format!("left {copies}"));
                copy_tree(path, &left);
                drop(store);
                fs::remove_dir_all(&*path).expect("a store can be removed");
                *path = left;
            }
            Disk::Failing { disk, .. } => {
                let left = disk.restart();
                drop(store);
                *disk = left;
            }
        }
    }

    /// Lets one of the next operations that write fail. False: this disk never does.
    pub fn arm(&self, draws: &mut Draws) -> bool {
        match self {
            Disk::Real { .. } => false,
            Disk::Failing { disk, .. } => {
                const OPERATIONS: [Operation; 6] = [
                    Operation::Create,
                    Operation::Write,
                    Operation::Write,
                    Operation::SyncDirectory,
                    Operation::Sync,
                    Operation::Rename,
                ];
                let operation = OPERATIONS[draws.below(6)];
                let kind = match draws.below(12) {
                    0 => FaultKind::Io,
                    1..=3 => FaultKind::ShortWrite,
                    _ => FaultKind::NoSpace,
                };
                let fault = Fault::new(operation, 1 + draws.next() % 12, kind);
                let fault = match draws.below(4) {
                    0 => fault.within("log"),
                    1 => fault.within("blocks"),
                    2 => fault.within("index"),
                    _ => fault,
                };
                disk.fail(if draws.one_in(3) { fault.forever() } else { fault });
                true
            }
        }
    }

    pub fn disarm(&self) {
        if let Disk::Failing { disk, .. } = self {
            disk.clear_faults();
        }
    }
}

impl Drop for Disk {
    fn drop(&mut self) {
        if let Disk::Real { directory, .. } = self {
            let _ = fs::remove_dir_all(directory);
        }
    }
}

fn copy_tree(from: &Path, to: &Path) {
    fs::create_dir(to).expect("a directory for a copy");
    for entry in fs::read_dir(from).expect("a store can be listed") {
        let entry = entry.expect("a store can be listed");
        let target = to.join(entry.file_name());
        if entry.file_type().expect("a file has a type").is_dir() {
            copy_tree(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).expect("a file of a store can be copied");
        }
    }
}
