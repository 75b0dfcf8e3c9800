//! Opening a store: to read it, beside whoever writes it; or to write it, under its lock.

use std::{
    collections::BTreeSet,
    fs,
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    time::Duration,
};

use clap::Args;
use sarsen::{Error, Options, Store};

use crate::failure::Failure;

/// Arguments of every command that changes a store.
#[derive(Debug, Clone, Args)]
pub struct Writing {
    /// The store's directory
    #[arg(value_name = "STORE")]
    pub path: PathBuf,
    /// Make the store if nothing is there yet
    #[arg(long)]
    pub create: bool,
    /// Bytes of log to keep for those who follow it [default: 0, or all of it where the store keeps some already]
    #[arg(long, value_name = "BYTES")]
    pub keep_log: Option<u64>,
}

impl Writing {
    pub fn open(&self) -> Result<Store, Failure> {
        open_for_writing(&self.path, self.create, self.keep_log(), false)
    }

    /// For work that takes long: upkeep goes on beside it.
    pub fn open_at_length(&self) -> Result<Store, Failure> {
        open_for_writing(&self.path, self.create, self.keep_log(), true)
    }

    fn keep_log(&self) -> u64 {
        self.keep_log.unwrap_or_else(|| kept_log(&self.path))
    }
}

/// Opens to read. Nothing in the store is written.
pub fn for_reading(path: &Path) -> Result<Store, Failure> {
    let options = Options {
        create: false,
        read_only: true,
        background: false,
        ..Options::default()
    };
    open(path, &options)
}

/// Makes a new store, for work that takes long.
pub fn new_store(path: &Path) -> Result<Store, Failure> {
    open_for_writing(path, true, 0, true)
}

/// Opens to write: nobody else may have done so.
fn open_for_writing(
    path: &Path,
    create: bool,
    log_retention_bytes: u64,
    background: bool,
) -> Result<Store, Failure> {
    let options = Options {
        create,
        background,
        log_retention_bytes,
        ..Options::default()
    };
    open(path, &options)
}

/// Closes after writing. Each command leaves a run or two in the index; the upkeep that is due is done here, since this
/// process has no thread for it, but none that takes long.
pub fn close(store: &Store) -> Result<(), Failure> {
    const MOST_TURNS: u32 = 10;
    for _ in 0..MOST_TURNS {
        if !store.maintain(Duration::from_millis(20))? {
            break;
        }
    }
    Ok(store.close()?)
}

/// Opens to read what is left of a damaged store. All of it is read first.
pub fn for_salvage(path: &Path) -> Result<Store, Failure> {
    let options = Options {
        create: false,
        read_only: true,
        background: false,
        salvage: true,
        ..Options::default()
    };
    open(path, &options)
}

fn open(path: &Path, options: &Options) -> Result<Store, Failure> {
    Store::open(path, options).map_err(|error| match error {
        Error::Locked { .. } => Failure::Busy {
            store: path.to_owned(),
            holders: holders(path),
        },
        Error::NotAStore { .. } if !path.exists() && !options.create && !options.read_only => Failure::Usage(
            format!("nothing is at {}; --create makes a store there", path.display()),
        ),
        Error::NotAStore { .. } if !path.exists() => {
            Failure::Usage(format!("nothing is at {}", path.display()))
        }
        error => Failure::Store(error),
    })
}

/// How much log a writer keeps that wasn't told: none, unless the store's own program keeps log for its followers. How
/// much, the store doesn't say, so none of it is let go; the program's next opening sees to that.
fn kept_log(path: &Path) -> u64 {
    // Whatever is wrong with the store, opening it for writing says so.
    let Ok(store) = for_reading(path) else { return 0 };
    match store.anatomy() {
        Ok(anatomy) if store.log_first_seq() <= anatomy.checkpoint_seq => u64::MAX,
        _ => 0,
    }
}

/// The processes that have the store's lock, as far as can be seen: `process 4711 (name)`.
pub fn holders(path: &Path) -> Vec<String> {
    let Ok(lock) = fs::canonicalize(path.join("LOCK")) else {
        return Vec::new();
    };
    let mut pids = holders_by_file(&lock);
    if pids.is_empty() {
        pids = holders_by_list(&lock);
    }
    pids.into_iter()
        .map(|pid| match fs::read_to_string(format!("/proc/{pid}/comm")) {
            Ok(name) => format!("process {pid} ({})", name.trim_end()),
            Err(_) => format!("process {pid}"),
        })
        .collect()
}

/// Processes of ours, or all if we are root: those with a lock through a descriptor of the file.
fn holders_by_file(lock: &Path) -> BTreeSet<u64> {
    let entries = |path: &Path| fs::read_dir(path).into_iter().flatten().flatten();
    let mut holders = BTreeSet::new();
    for process in entries(Path::new("/proc")) {
        let Some(pid) = process.file_name().to_str().and_then(|name| name.parse().ok()) else {
            continue;
        };
        for descriptor in entries(&process.path().join("fd")) {
            if fs::read_link(descriptor.path()).is_ok_and(|path| path == lock) {
                let about = process.path().join("fdinfo").join(descriptor.file_name());
                if fs::read_to_string(about).is_ok_and(|about| about.contains("FLOCK")) {
                    holders.insert(pid);
                }
            }
        }
    }
    holders
}

/// Processes of anybody. The kernel hands its list out in pieces and may leave out some of it while others lock and
/// unlock.
fn holders_by_list(lock: &Path) -> BTreeSet<u64> {
    let Ok(inode) = fs::metadata(lock).map(|lock| lock.ino()) else {
        return BTreeSet::new();
    };
    let locks = fs::read_to_string("/proc/locks").unwrap_or_default();
    locks.lines().filter_map(|line| holder_of(line, inode)).collect()
}

/// From a line of /proc/locks such as `3: FLOCK  ADVISORY  WRITE 4711 08:01:131 0 EOF`, if it is about that inode. The
/// device is not compared: some file systems show another one there than `stat` does.
fn holder_of(line: &str, inode: u64) -> Option<u64> {
    let mut words = line.split_ascii_whitespace().skip(1);
    if words.next()? != "FLOCK" {
        // Waiting for the lock, `-> FLOCK`, is not having it.
        return None;
    }
    let mut words = words.skip(2);
    let pid = words.next()?.parse().ok().filter(|pid| *pid > 0)?;
    let place = words.next()?;
    (place.rsplit(':').next()?.parse() == Ok(inode)).then_some(pid)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_holder_is_read_from_the_kernels_list() {
        let line = "3: FLOCK  ADVISORY  WRITE 4711 08:01:131 0 EOF";
        assert_eq!(holder_of(line, 131), Some(4711));
        assert_eq!(holder_of(line, 132), None);
        assert_eq!(
            holder_of("3: -> FLOCK  ADVISORY  WRITE 4712 08:01:131 0 EOF", 131),
            None
        );
        assert_eq!(
            holder_of("1: POSIX  ADVISORY  WRITE 4711 08:01:131 0 EOF", 131),
            None
        );
        assert_eq!(holder_of("2: OFDLCK ADVISORY  READ  -1 00:1a:131 5 5", 131), None);
        assert_eq!(
            holder_of("3: FLOCK  ADVISORY  WRITE -1 08:01:131 0 EOF", 131),
            None
        );
        assert_eq!(holder_of("", 131), None);
    }
}
