//! What else may stand where a file or directory of a store belongs, on the real disk: directories, links, pipes, sockets,
//! devices, files that can't be read, or that are said to be a tebibyte long.

use std::{
    env,
    ffi::CString,
    fs,
    os::unix::{
        ffi::OsStrExt,
        fs::{symlink, PermissionsExt},
        net::UnixListener,
    },
    path::{Path, PathBuf},
    sync::mpsc,
    thread,
    time::Duration,
};

use sarsen::{Error, Options, Store};

use crate::{
    examine::{read_all, Outcome},
    store::{Files, Shape},
};

/// Opening and reading takes milliseconds.
const MOST_SECONDS: u64 = 60;

const DIRECTORIES: [&str; 3] = ["log", "blocks", "index"];

/// A directory for the test, gone in the end.
struct Place(PathBuf);

impl Place {
    fn new() -> Place {
        let path = env::temp_dir().join(format!("sarsen-damage-{}", std::process::id()));
        let _ = fs::remove_dir_all(&path);
        fs::create_dir_all(&path).expect("a directory for the test");
        Place(path)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    Nothing,
    Empty,
    Directory,
    LinkToItself,
    LinkToAGoodCopy,
    LinkToNothing,
    Pipe,
    Socket,
    Device,
    Unreadable,
    /// A sparse file, the original bytes at its start.
    Tebibyte,
}

pub const ENTRIES: [Entry; 11] = [
    Entry::Nothing,
    Entry::Empty,
    Entry::Directory,
    Entry::LinkToItself,
    Entry::LinkToAGoodCopy,
    Entry::LinkToNothing,
    Entry::Pipe,
    Entry::Socket,
    Entry::Device,
    Entry::Unreadable,
    Entry::Tebibyte,
];

fn c_path(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).expect("a path without zeros")
}

/// Whether the kernel lets everybody read everything: then a file can't be unreadable, but there can be devices.
fn is_root() -> bool {
    // SAFETY: it takes nothing and only answers.
    unsafe { libc::geteuid() == 0 }
}

/// Puts the entry in the place of the file or directory at `path`; false where this can't be done here.
fn put(entry: Entry, path: &Path, spare: &Path) -> bool {
    if matches!(entry, Entry::Device) && !is_root() || matches!(entry, Entry::Unreadable) && is_root() {
        return false;
    }
    let bytes = fs::read(path).ok();
    fs::rename(path, spare).expect("what is there is moved away");
    match entry {
        Entry::Nothing => {}
        Entry::Empty => fs::write(path, b"").expect("an empty file"),
        Entry::Directory => fs::create_dir(path).expect("a directory"),
        Entry::LinkToItself => symlink(path, path).expect("a link"),
        Entry::LinkToAGoodCopy => symlink(spare, path).expect("a link"),
        Entry::LinkToNothing => symlink("/nowhere at all", path).expect("a link"),
        // SAFETY: a path that ends in a zero, and a mode.
        Entry::Pipe => assert_eq!(unsafe { libc::mkfifo(c_path(path).as_ptr(), 0o600) }, 0),
        Entry::Socket => {
            // Its name stays when it is closed; the whole path would be too long for one.
            let here = env::temp_dir().join(format!("sarsen-{}.sock", std::process::id()));
            let _ = fs::remove_file(&here);
            drop(UnixListener::bind(&here).expect("a socket"));
            fs::rename(&here, path).expect("a socket in its place");
        }
        Entry::Device => {
            // Major 1, minor 5: an endless file of zeros.
            // SAFETY: a path that ends in a zero, a mode, a device.
            let made =
                unsafe { libc::mknod(c_path(path).as_ptr(), libc::S_IFCHR | 0o600, libc::makedev(1, 5)) };
            if made != 0 {
                fs::rename(spare, path).expect("it goes back");
                return false;
            }
        }
        Entry::Unreadable => {
            fs::write(path, bytes.unwrap_or_default()).expect("a file");
            fs::set_permissions(path, fs::Permissions::from_mode(0o000)).expect("its mode");
        }
        Entry::Tebibyte => {
            fs::write(path, bytes.unwrap_or_default()).expect("a file");
            let file = fs::OpenOptions::new().write(true).open(path).expect("the file");
            if file.set_len(1 << 40).is_err() {
                fs::remove_file(path).expect("it is removed");
                fs::rename(spare, path).expect("it goes back");
                return false;
            }
        }
    }
    true
}

fn write_files(root: &Path, files: &Files) {
    for directory in DIRECTORIES {
        fs::create_dir_all(root.join(directory)).expect("a directory");
    }
    for (name, bytes) in files {
        let path = root.join(name);
        fs::write(path, bytes).expect("a file");
    }
}

/// Puts everything in the place of every file and directory of the store. How many times that was tried, and what went
/// wrong.
pub fn try_all(shape: &Shape) -> (u64, Vec<String>) {
    let place = Place::new();
    let files = shape.files();
    let directories = DIRECTORIES.map(str::to_owned);
    let (mut tried, mut wrong) = (0, Vec::new());
    for name in files.keys().chain(&directories) {
        for entry in ENTRIES {
            let root = place.0.join("store");
            write_files(&root, &files);
            if put(entry, &root.join(name), &place.0.join("spare")) {
                for options in [shape.read_only(), shape.salvage()] {
                    tried += 1;
                    let what = format!("{} {name}: {entry:?}, salvage {}", shape.name, options.salvage);
                    let watch = watch(what.clone());
                    if let Err(error) = look(shape, &root, name, entry, &options) {
                        wrong.push(format!("{what}: {error}"));
                    }
                    drop(watch);
                }
            }
            fs::remove_dir_all(&place.0).expect("it is cleared away");
            fs::create_dir_all(&place.0).expect("a directory for the test");
        }
    }
    (tried, wrong)
}

/// Ends the process, saying why, unless it is dropped in time.
fn watch(what: String) -> mpsc::Sender<()> {
    let (sender, receiver) = mpsc::channel();
    thread::spawn(move || {
        let waited = receiver.recv_timeout(Duration::from_secs(MOST_SECONDS));
        if waited == Err(mpsc::RecvTimeoutError::Timeout) {
            eprintln!("no end after {MOST_SECONDS} seconds: {what}");
            std::process::abort();
        }
    });
    sender
}

fn look(shape: &Shape, root: &Path, name: &str, entry: Entry, options: &Options) -> Result<(), String> {
    let manifest = name == "MANIFEST";
    let store = match Store::open(root, options) {
        Ok(store) => store,
        Err(Error::Corrupt { .. } | Error::NotAStore { .. }) if !options.salvage || manifest => return Ok(()),
        // No link is followed, whatever else is done to get at the rest.
        Err(Error::Corrupt(damage))
            if damage.file == name
                && DIRECTORIES.contains(&name)
                && !matches!(entry, Entry::Nothing | Entry::Empty | Entry::Tebibyte) =>
        {
            return Ok(());
        }
        // What is in the way of a lock, or what the system refuses, is told as that.
        Err(Error::Io { .. }) if !options.salvage || (manifest && entry == Entry::Unreadable) => {
            return Ok(())
        }
        Err(error) => return Err(format!("opening answers {error:?}")),
    };
    let mut outcome = Outcome::default();
    if options.salvage || entry != Entry::Unreadable {
        read_all(shape, &store, &mut outcome);
        // What can't be read for other reasons than damage is an error of its own.
        outcome
            .wrong
            .retain(|wrong| !(entry == Entry::Unreadable && wrong.contains("cannot open")));
    }
    if let Some(wrong) = outcome.wrong.first() {
        return Err(wrong.clone());
    }
    let findings = match store.verify() {
        Ok(findings) => findings,
        // Not damage, but no finding either.
        Err(Error::Io { .. }) if entry == Entry::Unreadable && !options.salvage => return Ok(()),
        Err(error) => return Err(format!("verify: {error:?}")),
    };
    let recovery = store.recovery();
    let needed = !matches!(name, "LOCK" | "READERS");
    let log = name.starts_with("log");
    if needed && !log && findings.is_empty() && entry != Entry::Tebibyte {
        return Err("verify finds nothing".to_owned());
    }
    // A chunk may hold blocks of commits that nothing proves.
    let least = if name.starts_with("blocks") {
        shape.durable
    } else {
        shape.last
    };
    if recovery.last_seq < least && !log {
        return Err(format!("commits are missing: {recovery:?}"));
    }
    // Of a log whose end is simply not there nothing may be known; anything else in its place is seen.
    if log
        && needed
        && recovery.last_seq < shape.last
        && !matches!(entry, Entry::Nothing | Entry::Empty | Entry::Directory)
        && findings.is_empty()
    {
        return Err(format!("commits are missing silently: {recovery:?}"));
    }
    Ok(())
}
