//! Every system call of the crate behind two traits, so that the same engine runs on the real disk (`os`) and on
//! one that crashes on purpose (`sim`). Paths given to a [`Vfs`] are whole paths; errors name the file.
//!
//! All types here may be used from any thread. A failed sync is reported once and never retried here.

pub(crate) mod defect;
#[cfg(test)]
#[cfg(sarsen_explore)]
pub(crate) mod explore;
mod map;
mod os;
#[cfg(any(test, feature = "simulation"))]
pub(crate) mod sim;
pub(crate) mod stripes;
pub(crate) mod sync;
pub(crate) mod turn;

use std::{ffi::OsString, fmt::Debug, io, path::Path, sync::Arc};

pub(crate) use defect::{is_made, Defect};
pub(crate) use map::{prefetch, ForkSentinel, Pin, Region};
pub(crate) use os::OsVfs;
pub(crate) use turn::{between_looks, lock, lock_exclusively, lock_shared, wait, wait_briefly};

use crate::error::{Error, Refusal, Result};

/// What the operating system's refusal of `action` ("cannot sync") on `file` is to a caller.
fn os_error(action: &'static str, file: &str, error: &io::Error) -> Error {
    let os_code = error.raw_os_error().unwrap_or(0);
    let refusal = Box::new(Refusal {
        what: action.into(),
        file: Some(file.to_owned()),
        os_code,
    });
    match os_code {
        libc::ENOSPC | libc::EDQUOT => Error::NoSpace(refusal),
        _ => Error::Io(refusal),
    }
}

/// A failed sync is never "no space" to a caller, which would say that nothing was written: what the disk has is unknown.
fn sync_error(action: &'static str, file: &str, error: &io::Error) -> Error {
    Error::io(action, Some(file.to_owned()), error.raw_os_error().unwrap_or(0))
}

/// A file as errors name it: the last two components of its path, e.g. `log/00000001.log`. What lies above is the
/// host's business and may not belong in its logs.
fn short_name(path: &Path) -> String {
    let name = |path: &Path| path.file_name().map(|name| name.to_string_lossy().into_owned());
    match (path.parent().and_then(name), name(path)) {
        (Some(directory), Some(file)) => format!("{directory}/{file}"),
        (None, Some(file)) => file,
        _ => path.display().to_string(),
    }
}

/// How [`Vfs::open`] treats the file. Symbolic links are never followed, anything but a regular file is refused.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum OpenMode {
    /// Must exist; reading only.
    Read,
    /// Must exist; reading and writing.
    Write,
    /// Must not exist; created with mode 0600 for reading and writing.
    CreateNew,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum EntryKind {
    File,
    Directory,
    /// A symbolic link, FIFO, device or socket.
    Other,
}

#[derive(Debug, Clone)]
pub(crate) struct DirectoryEntry {
    pub(crate) name: OsString,
    pub(crate) kind: EntryKind,
    /// Bytes, 0 for anything but a file.
    pub(crate) len: u64,
}

/// A file system. A missing file is `Error::Io` with `ENOENT`, one that is in the way `EEXIST`; where absence is an
/// ordinary case, [`Vfs::entry_kind`] answers without an error.
pub(crate) trait Vfs: Send + Sync + Debug {
    fn open(&self, path: &Path, mode: OpenMode) -> Result<Arc<dyn File>>;
    /// Mode 0700. Fails if it exists.
    fn create_directory(&self, path: &Path) -> Result<()>;
    /// Atomic; replaces `to` if it exists.
    fn rename(&self, from: &Path, to: &Path) -> Result<()>;
    fn unlink(&self, path: &Path) -> Result<()>;
    /// Removes an empty directory.
    fn remove_directory(&self, path: &Path) -> Result<()>;
    /// Sorted by name.
    fn list(&self, directory: &Path) -> Result<Vec<DirectoryEntry>>;
    /// What is at `path` (the link itself, not its target); `None` where nothing is.
    fn entry_kind(&self, path: &Path) -> Result<Option<EntryKind>>;
    /// Makes creations, renames and removals in `directory` durable.
    fn sync_directory(&self, directory: &Path) -> Result<()>;
    /// Whether a store through a writable map can't fail later on this file system (full disk, network): an
    /// allow-list by `statfs` (ext4, XFS, tmpfs).
    fn map_is_safe(&self, directory: &Path) -> Result<bool>;
    /// Fills `buffer` with unpredictable bytes (seeded ones in the simulation).
    fn random(&self, buffer: &mut [u8]) -> Result<()>;
    /// Monotonic clock in microseconds; for statistics and budgets only, nothing is ordered by it.
    fn now_us(&self) -> u64;
    /// Bytes of disk that the file system accounts to the file or directory at `path` itself; what lies inside a
    /// directory isn't added up.
    fn disk_bytes(&self, path: &Path) -> Result<u64>;
}

/// What [`open_member`] found.
pub(crate) enum Member {
    File(Arc<dyn File>),
    /// Why there is no such file.
    Absent(&'static str),
}

/// Opens a file that has to be there. Where something else is, or nothing, that is damage; an error is what keeps a
/// regular file from being opened.
pub(crate) fn open_member(vfs: &dyn Vfs, path: &Path, mode: OpenMode) -> Result<Member> {
    let error = match vfs.open(path, mode) {
        Ok(file) => return Ok(Member::File(file)),
        Err(error) => error,
    };
    let kind = match vfs.entry_kind(path) {
        // The directory may be gone as a whole, or be none.
        Err(Error::Io(refusal)) if refusal.os_code == libc::ENOTDIR => Ok(None),
        kind => kind,
    };
    match kind {
        Ok(Some(EntryKind::File)) => Err(error),
        Ok(Some(_)) => Ok(Member::Absent("this is no regular file")),
        Ok(None) => Ok(Member::Absent("the file is missing")),
        Err(_) => Err(error),
    }
}

/// An open file. Closed when the last reference goes.
pub(crate) trait File: Send + Sync + Debug {
    /// Reads exactly `buffer.len()` bytes; reading beyond the end is `Error::Io` naming the file.
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()>;
    /// Writes exactly these bytes, extending the file where needed. After an error some of them may be written.
    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()>;
    fn len(&self) -> Result<u64>;
    fn set_len(&self, len: u64) -> Result<()>;
    /// Allocates disk blocks for `len` bytes from `offset` on and extends the file (fallocate), contents zero.
    fn allocate(&self, offset: u64, len: u64) -> Result<()>;
    /// A wish, on an empty file: what is written again goes to the place it has. Else a file system that copies on write
    /// needs new space for it, and refuses when the disk is full.
    fn keep_in_place(&self) {}
    /// A wish: that the disk gets what was written here soon, so that the sync which has to wait for it finds little left
    /// to do. Proves nothing, and a failure shows in that sync.
    fn start_write_back(&self, _offset: u64, _len: u64) {}
    /// `fdatasync`: contents and length. EINTR is a failure.
    fn sync(&self) -> Result<()>;
    /// Maps `[0, len)` for reading. `len` may exceed the file; bytes beyond its end must not be touched until it
    /// has grown over them.
    fn map(&self, len: u64) -> Result<Arc<Region>>;
    /// Maps `[0, len)` of a file that is at least that long, for reading and storing.
    fn map_writable(&self, len: u64) -> Result<Arc<dyn WriteMap>>;
    /// `flock` in exclusive mode without waiting; false if another open file description has it. Held until the
    /// file is closed.
    fn try_lock_exclusive(&self) -> Result<bool>;
    /// Gives that lock back, also for descriptors that a forked child has inherited.
    fn unlock(&self) -> Result<()>;
    /// Shared OFD lock on the one byte at `offset`, without waiting; held until the file is closed.
    fn lock_byte_shared(&self, offset: u64) -> Result<()>;
    /// Whether another open file description holds a lock on any byte of `[0, end)`.
    fn is_locked_below(&self, end: u64) -> Result<bool>;
}

/// A writable map of a file. Stores go through here so that the simulation sees which bytes are dirty.
pub(crate) trait WriteMap: Send + Sync + Debug {
    /// Copies `bytes` to `offset`. Panics never; an out-of-range store is `Error::Internal`.
    fn store(&self, offset: u64, bytes: &[u8]) -> Result<()>;
    /// The same memory for reading.
    fn region(&self) -> &Arc<Region>;
    /// Faults the pages of `[offset, offset + len)` in for writing (`MADV_POPULATE_WRITE` where there), so that a
    /// later store takes no page fault. Failing to do so is not an error.
    fn populate(&self, offset: u64, len: u64);
}

/// Zeros to `[from, to)` in pieces of this length: no page-cache folio gets larger than the piece it was written with.
pub(crate) fn write_zeros(file: &dyn File, from: u64, to: u64, piece: usize) -> Result<()> {
    // Not a constant: the library would be larger by it.
    let zeros = vec![0; piece];
    let mut at = from;
    while at < to {
        let len = usize::try_from(to.saturating_sub(at)).unwrap_or(piece).min(piece);
        file.write_at(at, zeros.get(..len).unwrap_or(&zeros))?;
        at = at.saturating_add(piece as u64);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_full_disk_and_a_used_up_quota_can_be_told_from_other_errors() {
        for os_code in [libc::ENOSPC, libc::EDQUOT] {
            let error = os_error("cannot write", "log/1", &io::Error::from_raw_os_error(os_code));
            assert!(
                matches!(&error, Error::NoSpace(refusal) if refusal.os_code == os_code),
                "{error:?}"
            );
        }
        let error = os_error("cannot write", "log/1", &io::Error::from_raw_os_error(libc::EIO));
        assert_eq!(error, Error::io("cannot write", Some("log/1".into()), libc::EIO));
    }

    #[test]
    fn errors_name_a_file_by_its_directory_and_itself() {
        for (path, name) in [
            ("/a/b/c", "b/c"),
            ("b/c", "b/c"),
            ("c", "c"),
            ("/c", "c"),
            ("/", "/"),
            ("", ""),
        ] {
            assert_eq!(short_name(Path::new(path)), name);
        }
    }
}
