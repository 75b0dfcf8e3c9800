//! The real file system, for Linux and, as far as it goes, other Unixes.
//!
//! Reads and writes go on after signals and short counts; a sync does not, since nobody knows what it did. Every
//! descriptor is close-on-exec, only regular files are opened (without waiting on a FIFO), and none through a symbolic
//! link as the path's last component. Usable from any thread: all file access is by position.

use std::{
    fs::{self, OpenOptions, TryLockError},
    io,
    os::unix::fs::{DirBuilderExt, FileExt, MetadataExt, OpenOptionsExt},
    path::Path,
    sync::Arc,
};

use super::{
    map, os_error, short_name, sync_error, DirectoryEntry, EntryKind, File, OpenMode, Region, Vfs, WriteMap,
};
use crate::error::{Error, Result};

/// Zeros are written in pieces of this size where the file system can't allocate by itself.
const ZEROS_LEN: u64 = 64 * 1024;

/// The file systems of this machine.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct OsVfs;

impl Vfs for OsVfs {
    fn open(&self, path: &Path, mode: OpenMode) -> Result<Arc<dyn File>> {
        let name = short_name(path);
        let mut options = OpenOptions::new();
        options
            .read(true)
            .mode(0o600)
            .custom_flags(libc::O_CLOEXEC | libc::O_NOFOLLOW | libc::O_NONBLOCK);
        match mode {
            OpenMode::Read => {}
            OpenMode::Write => {
                options.write(true);
            }
            OpenMode::CreateNew => {
                options.write(true).create_new(true);
            }
        }
        let action = match mode {
            OpenMode::CreateNew => "cannot create the file",
            OpenMode::Read | OpenMode::Write => "cannot open the file",
        };
        let file = options.open(path).map_err(|error| match error.raw_os_error() {
            Some(libc::ELOOP) => os_error("cannot open a symbolic link", &name, &error),
            _ => os_error(action, &name, &error),
        })?;
        let metadata = file.metadata().map_err(|error| os_error(action, &name, &error))?;
        if !metadata.is_file() {
            let os_code = if metadata.is_dir() { libc::EISDIR } else { 0 };
            return Err(Error::io(
                "cannot open what is no regular file",
                Some(name),
                os_code,
            ));
        }
        Ok(Arc::new(OsFile { file, name }))
    }

    fn create_directory(&self, path: &Path) -> Result<()> {
        fs::DirBuilder::new()
            .mode(0o700)
            .create(path)
            .map_err(failure("cannot create the directory", path))
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        fs::rename(from, to).map_err(failure("cannot rename the file", from))
    }

    fn unlink(&self, path: &Path) -> Result<()> {
        fs::remove_file(path).map_err(failure("cannot remove the file", path))
    }

    fn remove_directory(&self, path: &Path) -> Result<()> {
        fs::remove_dir(path).map_err(failure("cannot remove the directory", path))
    }

    fn list(&self, directory: &Path) -> Result<Vec<DirectoryEntry>> {
        let mut entries = Vec::new();
        for entry in fs::read_dir(directory).map_err(failure("cannot list the directory", directory))? {
            let entry = entry.map_err(failure("cannot list the directory", directory))?;
            let metadata = match entry.metadata() {
                Ok(metadata) => metadata,
                // Another process removed it after the kernel had listed it.
                Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
                Err(error) => return Err(failure("cannot look at the file", &entry.path())(error)),
            };
            let kind = kind_of(&metadata);
            let len = if kind == EntryKind::File {
                metadata.len()
            } else {
                0
            };
            entries.push(DirectoryEntry {
                name: entry.file_name(),
                kind,
                len,
            });
        }
        entries.sort_unstable_by(|a, b| a.name.cmp(&b.name));
        Ok(entries)
    }

    fn entry_kind(&self, path: &Path) -> Result<Option<EntryKind>> {
        match fs::symlink_metadata(path) {
            Ok(metadata) => Ok(Some(kind_of(&metadata))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(failure("cannot look at the file", path)(error)),
        }
    }

    fn sync_directory(&self, directory: &Path) -> Result<()> {
        open_directory(directory)
            .and_then(|directory| map::sync_all(&directory))
            .map_err(|error| sync_error("cannot sync the directory", &short_name(directory), &error))
    }

    #[cfg(target_os = "linux")]
    fn map_is_safe(&self, directory: &Path) -> Result<bool> {
        let magic = open_directory(directory)
            .and_then(|directory| map::file_system_magic(&directory))
            .map_err(failure("cannot find out the file system", directory))?;
        // ext2 to ext4 share a number. These overwrite allocated blocks in place, so a prewritten file stays
        // writable on a full disk; a file system that copies on write, or a network, may still fail.
        const EXT: u64 = 0xef53;
        const XFS: u64 = 0x5846_5342;
        const TMPFS: u64 = 0x0102_1994;
        Ok(matches!(magic, EXT | XFS | TMPFS))
    }

    #[cfg(not(target_os = "linux"))]
    fn map_is_safe(&self, _directory: &Path) -> Result<bool> {
        Ok(false)
    }

    fn random(&self, buffer: &mut [u8]) -> Result<()> {
        map::random(buffer).map_err(|error| {
            Error::io(
                "cannot get random bytes from the system",
                None,
                error.raw_os_error().unwrap_or(0),
            )
        })
    }

    fn now_us(&self) -> u64 {
        map::monotonic_us()
    }

    fn disk_bytes(&self, path: &Path) -> Result<u64> {
        let metadata = fs::symlink_metadata(path).map_err(failure("cannot look at the file", path))?;
        Ok(metadata.blocks().saturating_mul(512))
    }
}

fn failure<'a>(action: &'static str, path: &'a Path) -> impl Fn(io::Error) -> Error + 'a {
    move |error| os_error(action, &short_name(path), &error)
}

fn is_unsupported(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::Unsupported
        || matches!(error.raw_os_error(), Some(libc::EOPNOTSUPP | libc::ENOSYS))
}

fn open_directory(path: &Path) -> io::Result<fs::File> {
    OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_CLOEXEC | libc::O_DIRECTORY)
        .open(path)
}

fn kind_of(metadata: &fs::Metadata) -> EntryKind {
    let kind = metadata.file_type();
    if kind.is_file() {
        EntryKind::File
    } else if kind.is_dir() {
        EntryKind::Directory
    } else {
        EntryKind::Other
    }
}

/// A regular file; its locks are those of its open file description.
#[derive(Debug)]
struct OsFile {
    file: fs::File,
    /// For error messages.
    name: String,
}

impl OsFile {
    fn failed(&self, action: &'static str, error: &io::Error) -> Error {
        os_error(action, &self.name, error)
    }

    /// What `allocate` comes down to where the file system has no such call. Bytes that are there stay.
    fn write_zeros_from_end(&self, end: u64) -> io::Result<()> {
        let zeros = [0; ZEROS_LEN as usize];
        let mut position = self.file.metadata()?.len();
        while position < end {
            let piece = zeros
                .get(..(end - position).min(ZEROS_LEN) as usize)
                .unwrap_or(&zeros);
            self.file.write_all_at(piece, position)?;
            position += piece.len() as u64;
        }
        Ok(())
    }
}

impl File for OsFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        self.file
            .read_exact_at(buffer, offset)
            .map_err(|error| match error.kind() {
                io::ErrorKind::UnexpectedEof => self.failed("cannot read beyond the end of the file", &error),
                _ => self.failed("cannot read the file", &error),
            })
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.file
            .write_all_at(bytes, offset)
            .map_err(|error| self.failed("cannot write the file", &error))
    }

    fn len(&self) -> Result<u64> {
        let metadata = self
            .file
            .metadata()
            .map_err(|error| self.failed("cannot look at the file", &error))?;
        Ok(metadata.len())
    }

    fn set_len(&self, len: u64) -> Result<()> {
        self.file
            .set_len(len)
            .map_err(|error| self.failed("cannot set the file's length", &error))
    }

    fn allocate(&self, offset: u64, len: u64) -> Result<()> {
        if len == 0 {
            return Ok(());
        }
        let end = offset
            .checked_add(len)
            .ok_or_else(|| Error::invalid("the range to allocate overflows"))?;
        let result = match map::allocate(&self.file, offset, len) {
            Err(error) if is_unsupported(&error) => self.write_zeros_from_end(end),
            result => result,
        };
        result.map_err(|error| self.failed("cannot allocate disk space for the file", &error))
    }

    #[cfg(target_os = "linux")]
    fn keep_in_place(&self) {
        const BTRFS: u64 = 0x9123_683e;
        if map::file_system_magic(&self.file).is_ok_and(|magic| magic == BTRFS) {
            // Without it a full disk shows at more places, each time as an ordinary error.
            let _ = map::keep_in_place(&self.file);
        }
    }

    #[cfg(target_os = "linux")]
    fn start_write_back(&self, offset: u64, len: u64) {
        map::start_write_back(&self.file, offset, len);
    }

    fn sync(&self) -> Result<()> {
        map::sync_data(&self.file).map_err(|error| sync_error("cannot sync the file", &self.name, &error))
    }

    fn map(&self, len: u64) -> Result<Arc<Region>> {
        Region::of_file(&self.file, len, false).map_err(|error| self.failed("cannot map the file", &error))
    }

    fn map_writable(&self, len: u64) -> Result<Arc<dyn WriteMap>> {
        let held = self.len()?;
        if held < len {
            return Err(Error::internal(format!(
                "{} has {held} bytes, a writable map wants {len}",
                self.name
            )));
        }
        let region = Region::of_file(&self.file, len, true)
            .map_err(|error| self.failed("cannot map the file for writing", &error))?;
        Ok(Arc::new(OsWriteMap { region }))
    }

    fn try_lock_exclusive(&self) -> Result<bool> {
        match self.file.try_lock() {
            Ok(()) => Ok(true),
            Err(TryLockError::WouldBlock) => Ok(false),
            Err(TryLockError::Error(error)) => Err(self.failed("cannot lock the file", &error)),
        }
    }

    fn unlock(&self) -> Result<()> {
        let unlocked = self.file.unlock();
        unlocked.map_err(|error| self.failed("cannot unlock the file", &error))
    }

    fn lock_byte_shared(&self, offset: u64) -> Result<()> {
        map::lock_byte(&self.file, offset)
            .map_err(|error| self.failed("cannot take a shared lock in the file", &error))
    }

    fn is_locked_below(&self, end: u64) -> Result<bool> {
        map::is_locked_below(&self.file, end)
            .map_err(|error| self.failed("cannot look for locks in the file", &error))
    }
}

#[derive(Debug)]
struct OsWriteMap {
    region: Arc<Region>,
}

impl WriteMap for OsWriteMap {
    fn store(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        self.region
            .store(offset, bytes)
            .ok_or_else(|| Error::internal("a store outside a writable map"))
    }

    fn region(&self) -> &Arc<Region> {
        &self.region
    }

    fn populate(&self, offset: u64, len: u64) {
        self.region.populate(offset, len);
    }
}

#[cfg(test)]
mod tests {
    use std::{
        os::unix::fs::PermissionsExt,
        path::PathBuf,
        sync::atomic::{AtomicU32, Ordering},
    };

    use super::*;

    /// A directory of its own for each test, gone at its end.
    struct Scratch(PathBuf);

    impl Scratch {
        fn new() -> Scratch {
            static COUNT: AtomicU32 = AtomicU32::new(0);
            let number = COUNT.fetch_add(1, Ordering::Relaxed);
            let path = std::env::temp_dir().join(format!("sarsen-os-{}-{number}", std::process::id()));
            OsVfs.create_directory(&path).unwrap();
            Scratch(path)
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.join(name)
        }

        fn create(&self, name: &str) -> Arc<dyn File> {
            OsVfs.open(&self.path(name), OpenMode::CreateNew).unwrap()
        }
    }

    impl Drop for Scratch {
        fn drop(&mut self) {
            fs::remove_dir_all(&self.0).unwrap();
        }
    }

    fn os_code(result: Result<Arc<dyn File>>) -> i32 {
        match result {
            Err(Error::Io(refusal)) => refusal.os_code,
            other => panic!("no Error::Io but {other:?}"),
        }
    }

    #[test]
    fn what_was_written_is_read_back_and_nothing_beyond_the_end() {
        let scratch = Scratch::new();
        let file = scratch.create("data");
        file.write_at(3, b"abc").unwrap();
        file.sync().unwrap();
        assert_eq!(file.len(), Ok(6));
        let mut buffer = [9; 6];
        file.read_at(0, &mut buffer).unwrap();
        assert_eq!(&buffer, b"\0\0\0abc");
        let error = file.read_at(1, &mut buffer).unwrap_err();
        assert!(
            matches!(&error, Error::Io(refusal) if refusal.os_code == 0
                && refusal.file.as_ref().is_some_and(|name| name.ends_with("/data"))),
            "{error:?}"
        );
        let reader = OsVfs.open(&scratch.path("data"), OpenMode::Read).unwrap();
        assert!(matches!(
            reader.write_at(0, b"x"),
            Err(Error::Io(refusal)) if refusal.os_code == libc::EBADF
        ));
    }

    #[test]
    fn files_and_directories_are_for_their_owner_only() {
        let scratch = Scratch::new();
        drop(scratch.create("data"));
        let mode = |path: &Path| fs::symlink_metadata(path).unwrap().permissions().mode() & 0o777;
        assert_eq!((mode(&scratch.path("data")), mode(&scratch.0)), (0o600, 0o700));
        assert_eq!(
            os_code(OsVfs.open(&scratch.path("data"), OpenMode::CreateNew)),
            libc::EEXIST
        );
        assert_eq!(
            os_code(OsVfs.open(&scratch.path("none"), OpenMode::Write)),
            libc::ENOENT
        );
    }

    #[test]
    fn only_regular_files_are_opened_and_no_link_is_followed() {
        let scratch = Scratch::new();
        drop(scratch.create("data"));
        std::os::unix::fs::symlink(scratch.path("data"), scratch.path("link")).unwrap();
        map::make_fifo(&scratch.path("fifo")).unwrap();
        for mode in [OpenMode::Read, OpenMode::Write] {
            assert_eq!(os_code(OsVfs.open(&scratch.path("link"), mode)), libc::ELOOP);
            // Nobody has the FIFO's other end: a plain open would wait for ever.
            assert_eq!(os_code(OsVfs.open(&scratch.path("fifo"), mode)), 0);
        }
        assert_eq!(os_code(OsVfs.open(&scratch.0, OpenMode::Read)), libc::EISDIR);
        assert_eq!(os_code(OsVfs.open(&scratch.0, OpenMode::Write)), libc::EISDIR);
        assert_eq!(
            OsVfs.entry_kind(&scratch.path("link")),
            Ok(Some(EntryKind::Other))
        );
        assert_eq!(OsVfs.entry_kind(&scratch.path("none")), Ok(None));
        OsVfs.create_directory(&scratch.path("a")).unwrap();
        let entries = OsVfs.list(&scratch.0).unwrap();
        let entries: Vec<_> = entries
            .iter()
            .map(|entry| (entry.name.to_str().unwrap(), entry.kind))
            .collect();
        let other = EntryKind::Other;
        assert_eq!(
            entries,
            [
                ("a", EntryKind::Directory),
                ("data", EntryKind::File),
                ("fifo", other),
                ("link", other)
            ]
        );
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn descriptors_are_not_inherited_by_programs_that_the_host_starts() {
        let scratch = Scratch::new();
        let _file = scratch.create("data");
        let path = fs::canonicalize(scratch.path("data")).unwrap();
        let descriptor = fs::read_dir("/proc/self/fd")
            .unwrap()
            .filter_map(io::Result::ok)
            .find(|entry| fs::read_link(entry.path()).is_ok_and(|target| target == path))
            .unwrap();
        let info = fs::read_to_string(Path::new("/proc/self/fdinfo").join(descriptor.file_name())).unwrap();
        let flags = info.lines().find_map(|line| line.strip_prefix("flags:")).unwrap();
        let flags = i32::from_str_radix(flags.trim(), 8).unwrap();
        assert_ne!(flags & libc::O_CLOEXEC, 0);
    }

    #[test]
    fn a_second_open_does_not_get_the_lock_until_the_first_is_closed() {
        let scratch = Scratch::new();
        let first = scratch.create("LOCK");
        let second = OsVfs.open(&scratch.path("LOCK"), OpenMode::Write).unwrap();
        assert_eq!(
            (first.try_lock_exclusive(), second.try_lock_exclusive()),
            (Ok(true), Ok(false))
        );
        drop(first);
        assert_eq!(second.try_lock_exclusive(), Ok(true));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn a_byte_lock_is_seen_by_other_opens_only_and_goes_with_its_own() {
        let scratch = Scratch::new();
        let writer = scratch.create("READERS");
        let open = || OsVfs.open(&scratch.path("READERS"), OpenMode::Read).unwrap();
        let (first, second) = (open(), open());
        first.lock_byte_shared(7).unwrap();
        second.lock_byte_shared(7).unwrap();
        second.lock_byte_shared(3).unwrap();
        assert_eq!(
            (writer.is_locked_below(8), writer.is_locked_below(7)),
            (Ok(true), Ok(true))
        );
        assert_eq!(
            (writer.is_locked_below(3), writer.is_locked_below(0)),
            (Ok(false), Ok(false))
        );
        drop(second);
        assert_eq!(
            (writer.is_locked_below(8), first.is_locked_below(8)),
            (Ok(true), Ok(false))
        );
        drop(first);
        assert_eq!(writer.is_locked_below(u64::from(u32::MAX)), Ok(false));
    }

    #[test]
    fn a_map_shows_what_is_written_after_it_was_made_even_beyond_the_old_end() {
        let scratch = Scratch::new();
        let file = scratch.create("data");
        let empty = file.map(0).unwrap();
        assert_eq!((empty.len(), empty.bytes(0, 0)), (0, Some(&b""[..])));
        let map = file.map(10_000).unwrap();
        file.write_at(9_000, b"later").unwrap();
        assert_eq!(map.bytes(9_000, 5), Some(&b"later"[..]));
        assert_eq!(map.store(0, b"x"), None, "a map for reading");
        let mut copy = [0; 5];
        map.copy_to(9_000, &mut copy).unwrap();
        assert_eq!(&copy, b"later");
    }

    #[test]
    fn stores_through_a_writable_map_reach_the_file_and_stay_inside_it() {
        let scratch = Scratch::new();
        let file = scratch.create("data");
        assert!(matches!(file.map_writable(1), Err(Error::Internal { .. })));
        file.allocate(0, 8192).unwrap();
        let map = file.map_writable(8192).unwrap();
        map.populate(4000, 200);
        map.populate(4000, u64::MAX);
        map.store(4090, b"across a page").unwrap();
        file.sync().unwrap();
        let mut buffer = [0; 13];
        file.read_at(4090, &mut buffer).unwrap();
        assert_eq!(&buffer, b"across a page");
        assert_eq!(map.region().bytes(4090, 6), Some(&b"across"[..]));
        for offset in [8180, 8193, u64::MAX] {
            assert!(
                matches!(map.store(offset, &buffer), Err(Error::Internal { .. })),
                "{offset}"
            );
        }
    }

    #[test]
    fn allocating_extends_with_zeros_takes_disk_and_keeps_what_is_there() {
        let scratch = Scratch::new();
        let (file, path) = (scratch.create("data"), scratch.path("data"));
        file.write_at(0, b"kept").unwrap();
        file.allocate(0, 0).unwrap();
        assert_eq!(file.len(), Ok(4));
        file.allocate(0, 100_000).unwrap();
        assert_eq!(file.len(), Ok(100_000));
        assert!(OsVfs.disk_bytes(&path).unwrap() >= 100_000);
        assert!(matches!(
            file.allocate(u64::MAX, 2),
            Err(Error::InvalidArgument { .. })
        ));
        let plain = OsFile {
            file: OpenOptions::new().read(true).write(true).open(&path).unwrap(),
            name: String::new(),
        };
        plain.write_zeros_from_end(250_000).unwrap();
        plain.write_zeros_from_end(10).unwrap();
        let mut buffer = vec![1; 250_000];
        file.read_at(0, &mut buffer).unwrap();
        assert!(buffer.starts_with(b"kept") && buffer.iter().skip(4).all(|byte| *byte == 0));
        assert_eq!(file.len(), Ok(250_000));
    }

    #[test]
    fn offsets_beyond_four_gib_are_not_cut_off() {
        let scratch = Scratch::new();
        let file = scratch.create("sparse");
        let offset = (5 << 30) + 123;
        file.set_len(6 << 30).unwrap();
        file.write_at(offset, b"far out").unwrap();
        let map = file.map(6 << 30).unwrap();
        assert_eq!(map.bytes(offset, 7), Some(&b"far out"[..]));
        assert_eq!(map.bytes(offset & 0xffff_ffff, 7), Some(&[0; 7][..]));
        assert!(OsVfs.disk_bytes(&scratch.path("sparse")).unwrap() < 1 << 20);
    }

    #[test]
    fn a_rename_replaces_its_target_and_removals_say_what_is_missing() {
        let scratch = Scratch::new();
        scratch.create("new").write_at(0, b"new").unwrap();
        scratch.create("old").write_at(0, b"old").unwrap();
        OsVfs.rename(&scratch.path("new"), &scratch.path("old")).unwrap();
        OsVfs.sync_directory(&scratch.0).unwrap();
        let mut buffer = [0; 3];
        OsVfs
            .open(&scratch.path("old"), OpenMode::Read)
            .unwrap()
            .read_at(0, &mut buffer)
            .unwrap();
        assert_eq!(&buffer, b"new");
        let error = OsVfs.unlink(&scratch.path("new")).unwrap_err();
        assert!(error.to_string().contains("/new"), "{error}");
        assert!(matches!(
            OsVfs.remove_directory(&scratch.0),
            Err(Error::Io(refusal)) if refusal.os_code == libc::ENOTEMPTY
        ));
        OsVfs.unlink(&scratch.path("old")).unwrap();
        assert_eq!(OsVfs.list(&scratch.0).unwrap().len(), 0);
        let missing = OsVfs.sync_directory(&scratch.path("none"));
        assert!(matches!(
            missing,
            Err(Error::Io(refusal)) if refusal.os_code == libc::ENOENT
        ));
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn maps_are_safe_on_memory_and_not_on_the_process_file_system() {
        assert_eq!(OsVfs.map_is_safe(Path::new("/proc")), Ok(false));
        if fs::metadata("/dev/shm").is_ok() {
            assert_eq!(OsVfs.map_is_safe(Path::new("/dev/shm")), Ok(true));
        }
    }
}
