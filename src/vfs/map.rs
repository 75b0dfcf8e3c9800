//! Memory maps and the few system calls that need `unsafe`; the only such module outside `ffi`.
//!
//! A map is only ever touched through raw pointers. `&[u8]` is made for bytes that were *published* (nobody stores to
//! them any more) and never for bytes that may still change: those are copied out and checked as a copy. A file that
//! somebody else truncates under a map is a SIGBUS, which no check here can prevent; the store's lock and modes can.
//!
//! Everything here may be used from any thread; what may be stored when is the callers' protocol.
#![expect(
    unsafe_code,
    reason = "the one module outside ffi that may: memory maps and raw system calls"
)]

use super::stripes::{stripe, StripedCount, STRIPES};
use std::{
    any::Any,
    fmt,
    fs::File,
    io,
    os::fd::AsRawFd,
    ptr::NonNull,
    slice,
    sync::{
        atomic::{fence, Ordering},
        Arc, OnceLock,
    },
};

use memmap2::{MmapOptions, MmapRaw};

use crate::error::{Error, Result};

/// A stretch of mapped memory: a file's pages or anonymous ones. Views, segments, chunks, run parts and memtable
/// arenas are all regions, so one kind of pin keeps whatever a host looks at.
pub(crate) struct Region {
    start: NonNull<u8>,
    len: u64,
    writable: bool,
    of_file: bool,
    /// Owns the memory; shared with its pins, and with the prefixes that the simulation hands out.
    map: Arc<MmapRaw>,
    kept: OnceLock<Arc<dyn Any + Send + Sync>>,
    /// What views hold, once there were any: each thread its own, or all would write to one cache line.
    pins: OnceLock<Box<Pins>>,
}

type Pins = [OnceLock<Arc<Pin>>; STRIPES];

// SAFETY: the pointer is into a map that lives as long as the region and doesn't move, and nothing about it belongs to
// a thread; the other fields are `Send` by themselves.
unsafe impl Send for Region {}
// SAFETY: through `&Region` memory is read where it was published and stored to where it wasn't; that the two don't
// meet is the protocol of `bytes` and `store`. The other fields are `Sync` by themselves.
unsafe impl Sync for Region {}

impl Region {
    /// Anonymous zeroed memory (lazily committed by the kernel).
    pub(crate) fn anonymous(len: usize) -> Result<Arc<Region>> {
        let map = MmapOptions::new()
            .len(len)
            .no_reserve_swap()
            .map_anon()
            .map_err(|error| Error::io("cannot map memory", None, error.raw_os_error().unwrap_or(0)))?;
        Ok(Arc::new(Region::over(Arc::new(MmapRaw::from(map)), true, false)))
    }

    /// The first `len` bytes of `file`, which may be shorter; shared with every other map of it.
    pub(super) fn of_file(file: &File, len: u64, writable: bool) -> io::Result<Arc<Region>> {
        let len = usize::try_from(len).map_err(|_| io::Error::from_raw_os_error(libc::ENOMEM))?;
        let mut options = MmapOptions::new();
        options.len(len);
        let map = if writable {
            options.map_raw(file)?
        } else {
            options.map_raw_read_only(file)?
        };
        Ok(Arc::new(Region::over(Arc::new(map), writable, true)))
    }

    fn over(map: Arc<MmapRaw>, writable: bool, of_file: bool) -> Region {
        // A map is never at address 0; should a platform differ, an empty region can be read by nobody.
        let (start, len) = match NonNull::new(map.as_mut_ptr()) {
            Some(start) => (start, map.len() as u64),
            None => (NonNull::dangling(), 0),
        };
        Region {
            start,
            len,
            writable,
            of_file,
            map,
            kept: OnceLock::new(),
            pins: OnceLock::new(),
        }
    }

    /// The first `len` bytes of the same memory as a region of its own.
    #[cfg(any(test, feature = "simulation"))]
    pub(super) fn prefix(&self, len: u64) -> Option<Arc<Region>> {
        (len <= self.len).then(|| {
            let whole = Region::over(Arc::clone(&self.map), self.writable, self.of_file);
            Arc::new(Region { len, ..whole })
        })
    }

    /// Whether a prefix of this memory is still out.
    #[cfg(any(test, feature = "simulation"))]
    pub(super) fn is_shared(&self) -> bool {
        Arc::strong_count(&self.map) > 1
    }

    /// Unmaps the memory; false if somebody still looks at it, who keeps it mapped.
    pub(crate) fn unmap(self: Arc<Self>) -> bool {
        let map = Arc::clone(&self.map);
        let Some(region) = Arc::into_inner(self) else {
            return false;
        };
        // What else belongs to the region may hold the memory, too.
        drop(region);
        Arc::into_inner(map).is_some()
    }

    #[inline]
    pub(crate) fn len(&self) -> u64 {
        self.len
    }

    /// The bytes at `[offset, offset + len)`, or None if that isn't inside the region.
    /// Callers only ask for bytes that were published, i.e. that nobody stores to any more.
    #[inline]
    pub(crate) fn bytes(&self, offset: u64, len: u64) -> Option<&[u8]> {
        let start = self.at(offset, len)?;
        // SAFETY: `at` says that the range is inside the map, which lives as long as `self`, is readable and, being
        // one allocation, no longer than isize::MAX (so the cast loses nothing). Nobody stores to published bytes.
        Some(unsafe { slice::from_raw_parts(start, len as usize) })
    }

    /// Asks the processor to fetch the cache line at `offset`, which is about to be read. Only a hint; nothing where
    /// the offset is outside.
    #[inline]
    pub(crate) fn prefetch(&self, offset: u64) {
        if let Some(line) = self.at(offset, 1) {
            prefetch_line(line.cast_const());
        }
    }

    /// Copies bytes that another thread or process may be storing to at this moment: the copy may be torn,
    /// and is to be checked before use. None if out of range.
    // Not inlined, so that the compiler knows the copy only as the result of a call and can't read the map twice.
    #[inline(never)]
    pub(crate) fn copy_to(&self, offset: u64, buffer: &mut [u8]) -> Option<()> {
        let from = self.at(offset, buffer.len() as u64)?;
        // SAFETY: `at` says that the source is inside the map; the target is an exclusive slice, hence elsewhere. A
        // store by another process is outside Rust's memory model, and one by a thread of this process is a race
        // between two `memcpy`s over plain bytes: no reference to the map is made, any mix of old and new bytes is a
        // valid `u8`, and callers trust nothing in the copy before its checksum.
        unsafe { std::ptr::copy_nonoverlapping(from, buffer.as_mut_ptr(), buffer.len()) };
        Some(())
    }

    /// Stores to memory that no reader was told of yet. None if out of range or not writable.
    #[inline]
    pub(crate) fn store(&self, offset: u64, bytes: &[u8]) -> Option<()> {
        if !self.writable {
            return None;
        }
        let to = self.at(offset, bytes.len() as u64)?;
        // SAFETY: `at` says that the target is inside the map, which is writable. No slice over it exists, since
        // slices are made of published bytes only; so the source, a slice, is elsewhere. `copy_to` may read what is
        // stored here and copes with a mixture.
        unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), to, bytes.len()) };
        Some(())
    }

    /// Something that must live as long as the region and its pins (a reader's lock). Set once, before the first pin:
    /// else it isn't taken, and the answer is false.
    pub(crate) fn keep_alive(&self, what: Arc<dyn Any + Send + Sync>) -> bool {
        self.pins.get().is_none() && self.kept.set(what).is_ok()
    }

    /// A reference for a view of these bytes, counted in `views`, which has to be the same one each time. Takes memory
    /// only for the first view of a thread.
    #[inline(always)]
    pub(crate) fn pin(&self, views: &Arc<StripedCount>) -> Arc<Pin> {
        let stripe = stripe();
        let pins = self.pins.get_or_init(Region::no_pins);
        let pin = match pins.get(stripe).and_then(OnceLock::get) {
            Some(pin) => Arc::clone(pin),
            None => self.first_pin(stripe, views),
        };
        pin.views.add_one(stripe);
        pin
    }

    #[cold]
    fn no_pins() -> Box<Pins> {
        Box::new(std::array::from_fn(|_| OnceLock::new()))
    }

    #[cold]
    fn first_pin(&self, stripe: usize, views: &Arc<StripedCount>) -> Arc<Pin> {
        let new = || {
            let region = Region::over(Arc::clone(&self.map), self.writable, self.of_file);
            let region = Region {
                len: self.len,
                ..region
            };
            if let Some(kept) = self.kept.get() {
                region.keep_alive(Arc::clone(kept));
            }
            Arc::new(Pin {
                region,
                views: Arc::clone(views),
            })
        };
        match self.pins.get().and_then(|pins| pins.get(stripe)) {
            Some(slot) => Arc::clone(slot.get_or_init(new)),
            None => new(),
        }
    }

    /// Memory that pins take, which stays with the region.
    pub(crate) fn pins_heap_bytes(&self) -> u64 {
        let Some(pins) = self.pins.get() else { return 0 };
        // Their counts have a cache line of their own.
        let each = size_of::<Pin>() + align_of::<Pin>();
        let there = pins.iter().filter(|pin| pin.get().is_some()).count();
        (size_of::<Pins>() + there * each) as u64
    }

    /// Whether a view is out. To be asked by the last one that has the region: nobody else makes one meanwhile.
    pub(crate) fn is_pinned(&self) -> bool {
        // Behind the end of every other reference to the region, so that all pins it led to are seen...
        fence(Ordering::Acquire);
        let mut pins = self.pins.get().into_iter().flat_map(|pins| pins.iter());
        let pinned = pins.any(|pin| pin.get().is_some_and(|pin| Arc::strong_count(pin) > 1));
        // ... and behind all that was read through those that are gone.
        fence(Ordering::Acquire);
        pinned
    }

    /// Keeps the kernel from committing 2 MiB at the first store to a large, sparse reserve.
    #[cfg(any(test, feature = "simulation"))]
    pub(super) fn advise_small_pages(&self) {
        #[cfg(target_os = "linux")]
        self.advise(0, self.len, libc::MADV_NOHUGEPAGE);
    }

    /// Faults pages in for writing where the kernel can (Linux 5.14); elsewhere the first store does.
    pub(crate) fn populate(&self, offset: u64, len: u64) {
        #[cfg(target_os = "linux")]
        if self.writable {
            self.advise(offset, len, libc::MADV_POPULATE_WRITE);
        }
        #[cfg(not(target_os = "linux"))]
        let _ = (offset, len);
    }

    /// `offset` as a pointer, if `[offset, offset + len)` is inside the region.
    #[inline]
    fn at(&self, offset: u64, len: u64) -> Option<*mut u8> {
        if offset > self.len || len > self.len - offset {
            return None;
        }
        // SAFETY: offset <= self.len, the length of the map, which came from a usize: the cast loses nothing and the
        // result is inside the map or one past its end.
        Some(unsafe { self.start.as_ptr().add(offset as usize) })
    }

    /// Only for advice that changes no contents. The part of the range that is outside the region is ignored, and so
    /// is failure: it's a hint.
    fn advise(&self, offset: u64, len: u64, advice: libc::c_int) {
        let first = offset.min(self.len);
        let aligned = first - first % page_size();
        let len = len.min(self.len - first) + (first - aligned);
        if let (Some(start), Ok(len @ 1..)) = (self.at(aligned, len), usize::try_from(len)) {
            // SAFETY: the range is inside the map and starts at a page (a map does). `populate` and the
            // like pass only advice that keeps what the pages hold.
            unsafe { libc::madvise(start.cast(), len, advice) };
        }
    }
}

/// Keeps a region's memory where it is, and what the region keeps alive, for the views of one thread or a few.
#[repr(align(64))]
#[derive(Debug)]
pub(crate) struct Pin {
    /// Of the same memory; itself without pins.
    region: Region,
    views: Arc<StripedCount>,
}

impl Pin {
    /// As `Region::bytes`.
    #[inline(always)]
    pub(crate) fn bytes(&self, offset: u64, len: u64) -> Option<&[u8]> {
        self.region.bytes(offset, len)
    }

    /// Whether it is one of this region.
    pub(crate) fn is_of(&self, region: &Region) -> bool {
        Arc::ptr_eq(&self.region.map, &region.map) && self.region.len == region.len
    }

    /// A view that `Region::pin` counted is no more.
    #[inline(always)]
    pub(crate) fn view_released(&self) {
        self.views.take_one(stripe());
    }
}

impl fmt::Debug for Region {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Region")
            .field("start", &self.start)
            .field("len", &self.len)
            .field("writable", &self.writable)
            .field("of_file", &self.of_file)
            .field("sharers", &Arc::strong_count(&self.map))
            .field("keeps", &self.kept.get().is_some())
            .finish_non_exhaustive()
    }
}

/// One page that the kernel wipes in a forked child (`MADV_WIPEONFORK`). Where it can't (Linux before 4.14, other
/// systems), the process id tells.
#[derive(Debug)]
pub(crate) struct ForkSentinel {
    page: Arc<Region>,
    process: Option<u32>,
}

impl ForkSentinel {
    pub(crate) fn new() -> Result<ForkSentinel> {
        let page = Region::anonymous(1)?;
        #[cfg(target_os = "linux")]
        // SAFETY: `madvise` on the one page of a private anonymous map that this sentinel owns; the advice changes
        // nothing in this process. The length is rounded up to the page by the kernel.
        let wiped = unsafe { libc::madvise(page.start.as_ptr().cast(), 1, libc::MADV_WIPEONFORK) } == 0;
        #[cfg(not(target_os = "linux"))]
        let wiped = false;
        page.store(0, &[1])
            .ok_or_else(|| Error::internal("no room for the fork sentinel"))?;
        Ok(ForkSentinel {
            page,
            process: (!wiped).then(std::process::id),
        })
    }

    /// True in a child process of the one that made it.
    #[inline]
    pub(crate) fn forked(&self) -> bool {
        // SAFETY: the page is mapped for as long as `self.page` lives. Volatile, since the kernel changes it.
        let mark = unsafe { self.page.start.as_ptr().read_volatile() };
        mark == 0 || self.process.is_some_and(|process| process != std::process::id())
    }
}

fn page_size() -> u64 {
    // SAFETY: `sysconf` has no preconditions.
    let size = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    u64::try_from(size).unwrap_or(0).max(4096)
}

/// 0 or more is success, as everywhere in POSIX.
fn checked(result: libc::c_int) -> io::Result<()> {
    if result < 0 {
        Err(io::Error::last_os_error())
    } else {
        Ok(())
    }
}

/// The same for what lies elsewhere.
#[inline]
pub(crate) fn prefetch<T>(what: &T) {
    prefetch_line(std::ptr::from_ref(what).cast());
}

#[inline]
fn prefetch_line(line: *const u8) {
    #[cfg(target_arch = "x86_64")]
    {
        use std::arch::x86_64::{_mm_prefetch, _MM_HINT_T0};
        // SAFETY: SSE is part of x86-64, and a prefetch reads nothing that the program could notice.
        unsafe { _mm_prefetch::<_MM_HINT_T0>(line.cast()) };
    }
    #[cfg(not(target_arch = "x86_64"))]
    let _ = line;
}

fn file_offset(value: u64) -> io::Result<libc::off_t> {
    libc::off_t::try_from(value).map_err(|_| io::Error::from_raw_os_error(libc::EFBIG))
}

/// Contents and length of a file. Unlike `File::sync_data`, it doesn't try again when a signal interrupts it: whether
/// the pages count as written by then is anybody's guess.
pub(super) fn sync_data(file: &File) -> io::Result<()> {
    #[cfg(target_vendor = "apple")]
    // SAFETY: the descriptor is open; F_FULLFSYNC takes no argument.
    let result = unsafe { libc::fcntl(file.as_raw_fd(), libc::F_FULLFSYNC) };
    #[cfg(not(target_vendor = "apple"))]
    // SAFETY: the descriptor is open, and nothing else is asked for.
    let result = unsafe { libc::fdatasync(file.as_raw_fd()) };
    checked(result)
}

/// A directory's entries; not tried again either.
pub(super) fn sync_all(directory: &File) -> io::Result<()> {
    // SAFETY: the descriptor is open, and nothing else is asked for.
    checked(unsafe { libc::fsync(directory.as_raw_fd()) })
}

/// Allocates disk blocks for the range and extends the file; `Unsupported` where the file system can't.
#[cfg(target_os = "linux")]
pub(super) fn allocate(file: &File, offset: u64, len: u64) -> io::Result<()> {
    let (offset, len) = (file_offset(offset)?, file_offset(len)?);
    loop {
        // SAFETY: the descriptor is open; mode 0 changes no bytes that are there.
        match checked(unsafe { libc::fallocate(file.as_raw_fd(), 0, offset, len) }) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            result => return result,
        }
    }
}

#[cfg(not(target_os = "linux"))]
pub(super) fn allocate(_file: &File, offset: u64, len: u64) -> io::Result<()> {
    file_offset(offset)?;
    file_offset(len)?;
    Err(io::ErrorKind::Unsupported.into())
}

/// Has the kernel submit what is dirty in the range. Unlike with a wait, write-back errors stay for the sync to see.
#[cfg(target_os = "linux")]
pub(super) fn start_write_back(file: &File, offset: u64, len: u64) {
    if let (Ok(offset), Ok(len)) = (file_offset(offset), file_offset(len)) {
        // SAFETY: the descriptor is open, and the call changes no contents.
        unsafe { libc::sync_file_range(file.as_raw_fd(), offset, len, libc::SYNC_FILE_RANGE_WRITE) };
    }
}

/// Has the file system not copy this empty file on write (btrfs).
#[cfg(target_os = "linux")]
pub(super) fn keep_in_place(file: &File) -> io::Result<()> {
    const FS_NOCOW_FL: libc::c_int = 0x0080_0000;
    let mut flags: libc::c_int = 0;
    // SAFETY: the descriptor is open; both calls take the address of an int, whatever their numbers say of a long.
    unsafe {
        checked(libc::ioctl(file.as_raw_fd(), libc::FS_IOC_GETFLAGS, &mut flags))?;
        flags |= FS_NOCOW_FL;
        checked(libc::ioctl(file.as_raw_fd(), libc::FS_IOC_SETFLAGS, &flags))
    }
}

/// What `statfs` calls the kind of file system that `file` is on.
#[cfg(target_os = "linux")]
pub(super) fn file_system_magic(file: &File) -> io::Result<u64> {
    let mut answer = std::mem::MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: the descriptor is open, and the kernel fills in the whole structure if it answers 0.
    let answer = unsafe {
        checked(libc::fstatfs(file.as_raw_fd(), answer.as_mut_ptr()))?;
        answer.assume_init()
    };
    // The type's sign and width differ between architectures; a magic is 32 bits everywhere.
    Ok(answer.f_type as u64 & 0xffff_ffff)
}

#[cfg(target_os = "linux")]
fn byte_range(kind: libc::c_int, offset: u64, len: u64) -> io::Result<libc::flock> {
    // SAFETY: a structure of integers, for which zero is valid; l_pid must be 0 for OFD locks.
    let mut range: libc::flock = unsafe { std::mem::zeroed() };
    range.l_type = kind as libc::c_short;
    range.l_whence = libc::SEEK_SET as libc::c_short;
    range.l_start = file_offset(offset)?;
    range.l_len = file_offset(len)?;
    Ok(range)
}

/// Sets a shared lock of this open file description on one byte, without waiting.
#[cfg(target_os = "linux")]
pub(super) fn lock_byte(file: &File, offset: u64) -> io::Result<()> {
    let range = byte_range(libc::F_RDLCK, offset, 1)?;
    // SAFETY: the descriptor is open, and the command reads one `flock`.
    checked(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_SETLK, &range) })
}

/// Whether another open file description has a lock on any of the first `end` bytes.
#[cfg(target_os = "linux")]
pub(super) fn is_locked_below(file: &File, end: u64) -> io::Result<bool> {
    if end == 0 {
        // To fcntl a length of 0 means "up to infinity".
        return Ok(false);
    }
    let mut range = byte_range(libc::F_WRLCK, 0, end)?;
    // SAFETY: the descriptor is open, and the command reads and writes one `flock`.
    checked(unsafe { libc::fcntl(file.as_raw_fd(), libc::F_OFD_GETLK, &mut range) })?;
    Ok(range.l_type != libc::F_UNLCK as libc::c_short)
}

// Elsewhere there are only locks that belong to the process, and closing any descriptor of the file frees them all:
// better no foreign readers than readers that lose their lock unnoticed.
#[cfg(not(target_os = "linux"))]
pub(super) fn lock_byte(_file: &File, _offset: u64) -> io::Result<()> {
    Err(io::Error::from_raw_os_error(libc::ENOTSUP))
}

#[cfg(not(target_os = "linux"))]
pub(super) fn is_locked_below(_file: &File, _end: u64) -> io::Result<bool> {
    Ok(false)
}

/// Unpredictable bytes from the kernel.
pub(super) fn random(buffer: &mut [u8]) -> io::Result<()> {
    // 256 is what both calls give at once without being interrupted half-way.
    for part in buffer.chunks_mut(256) {
        loop {
            #[cfg(target_os = "linux")]
            // SAFETY: the kernel writes to this exclusive slice and nowhere else.
            let result = unsafe { libc::getrandom(part.as_mut_ptr().cast(), part.len(), 0) };
            #[cfg(not(target_os = "linux"))]
            // SAFETY: the kernel writes to this exclusive slice and nowhere else.
            let result = unsafe { libc::getentropy(part.as_mut_ptr().cast(), part.len()) };
            if result >= 0 {
                break;
            }
            let error = io::Error::last_os_error();
            if error.kind() != io::ErrorKind::Interrupted {
                return Err(error);
            }
        }
    }
    Ok(())
}

/// Microseconds of a clock that never goes back.
pub(super) fn monotonic_us() -> u64 {
    let mut now = libc::timespec {
        tv_sec: 0,
        tv_nsec: 0,
    };
    // SAFETY: the call writes one `timespec`; this clock exists everywhere, and should it not, the time is 0.
    unsafe { libc::clock_gettime(libc::CLOCK_MONOTONIC, &mut now) };
    let seconds = u64::try_from(now.tv_sec).unwrap_or(0);
    let nanoseconds = u64::try_from(now.tv_nsec).unwrap_or(0);
    seconds
        .saturating_mul(1_000_000)
        .saturating_add(nanoseconds / 1_000)
}

/// A program started for this would, for a moment, hold copies of the descriptors, and so the locks, of other tests.
#[cfg(test)]
pub(super) fn make_fifo(path: &std::path::Path) -> io::Result<()> {
    let path = std::ffi::CString::new(path.as_os_str().as_encoded_bytes())?;
    // SAFETY: the path is a string that ends in zero and lives until the call is over.
    checked(unsafe { libc::mkfifo(path.as_ptr(), 0o600) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_outside_the_region_are_refused_whatever_the_numbers() {
        let region = Region::anonymous(100).unwrap();
        assert_eq!(region.store(90, b"0123456789"), Some(()));
        assert_eq!(region.bytes(90, 10), Some(&b"0123456789"[..]));
        assert_eq!(region.bytes(100, 0), Some(&b""[..]));
        for (offset, len) in [
            (91, 10),
            (101, 0),
            (u64::MAX, 1),
            (1, u64::MAX),
            (u64::MAX, u64::MAX),
        ] {
            assert_eq!(region.bytes(offset, len), None, "{offset} {len}");
        }
        assert_eq!(region.store(91, b"0123456789"), None);
        assert_eq!(region.copy_to(u64::MAX, &mut [0; 2]), None);
        let mut copy = [0; 3];
        assert_eq!(region.copy_to(97, &mut copy), Some(()));
        assert_eq!(&copy, b"789");
    }

    #[test]
    fn an_empty_region_has_no_bytes_but_works() {
        let region = Region::anonymous(0).unwrap();
        assert_eq!(
            (region.len(), region.bytes(0, 0), region.bytes(0, 1)),
            (0, Some(&b""[..]), None)
        );
        assert_eq!(region.store(0, b""), Some(()));
    }

    #[test]
    fn anonymous_memory_keeps_its_bytes_when_it_is_populated() {
        let region = Region::anonymous(3 * 4096).unwrap();
        region.store(5000, b"kept").unwrap();
        region.populate(5001, u64::MAX);
        assert_eq!(region.bytes(5000, 4), Some(&b"kept"[..]));
    }

    #[test]
    fn what_a_region_keeps_alive_goes_with_the_region() {
        let lock: Arc<dyn Any + Send + Sync> = Arc::new("a reader's lock");
        let region = Region::anonymous(1).unwrap();
        assert!(region.keep_alive(Arc::clone(&lock)));
        assert!(!region.keep_alive(Arc::new(())), "there is one already");
        assert_eq!(Arc::strong_count(&lock), 2);
        let owner = Arc::clone(&region);
        drop(region);
        assert_eq!(Arc::strong_count(&lock), 2);
        let views = Arc::new(StripedCount::default());
        let pin = owner.pin(&views);
        drop(owner);
        assert_eq!(Arc::strong_count(&lock), 2, "a view keeps it, too");
        drop(pin);
        assert_eq!(Arc::strong_count(&lock), 1);
    }

    #[test]
    fn a_pin_keeps_the_bytes_and_shows_until_it_is_gone() {
        let region = Region::anonymous(10).unwrap();
        region.store(0, b"kept").unwrap();
        let views = Arc::new(StripedCount::default());
        assert!(!region.is_pinned());
        assert_eq!(region.pins_heap_bytes(), 0);
        let (first, second) = (region.pin(&views), region.pin(&views));
        let taken = region.pins_heap_bytes();
        assert!((1..1000).contains(&taken), "{taken}");
        assert!(first.is_of(&region) && !first.is_of(&Region::anonymous(10).unwrap()));
        assert!(
            !region.keep_alive(Arc::new(())),
            "too late for the pins that are out"
        );
        first.view_released();
        drop(first);
        assert!(region.is_pinned());
        assert_eq!(views.sum(), 1);
        let other = Arc::clone(&region);
        let from_elsewhere = std::thread::spawn(move || other.pin(&views)).join().unwrap();
        drop(second);
        assert!(region.is_pinned());
        assert_eq!(from_elsewhere.bytes(0, 4), Some(&b"kept"[..]));
        drop(from_elsewhere);
        assert!(!region.is_pinned());
        let last = region.pin(&Arc::new(StripedCount::default()));
        drop(region);
        assert_eq!((last.bytes(0, 4), last.bytes(0, 11)), (Some(&b"kept"[..]), None));
    }

    #[test]
    fn a_prefix_is_the_same_memory_and_shows_that_it_is_out() {
        let whole = Region::anonymous(10).unwrap();
        assert!(whole.prefix(11).is_none() && !whole.is_shared());
        let prefix = whole.prefix(4).unwrap();
        assert!(whole.is_shared());
        whole.store(0, b"abcdef").unwrap();
        assert_eq!(
            (prefix.bytes(0, 4), prefix.bytes(0, 5)),
            (Some(&b"abcd"[..]), None)
        );
        drop(prefix);
        assert!(!whole.is_shared());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn only_a_forked_child_sees_the_fork() {
        let sentinel = ForkSentinel::new().unwrap();
        let by_process = ForkSentinel {
            page: Arc::clone(&sentinel.page),
            process: Some(std::process::id()),
        };
        assert!(!sentinel.forked() && !by_process.forked());
        // A fork that shares the table of descriptors: a copy would hold the locks of other tests for a moment.
        let flags = libc::c_long::from(libc::SIGCHLD | libc::CLONE_FILES);
        // SAFETY: without a stack of its own the child goes on with a copy of this one, as after `fork`. It looks at
        // two mapped bytes and leaves with `_exit`; no lock or allocation is touched.
        let child = unsafe {
            match libc::syscall(libc::SYS_clone, flags, 0, 0, 0, 0) {
                0 => libc::_exit(i32::from(sentinel.forked()) + 2 * i32::from(by_process.forked())),
                child => libc::pid_t::try_from(child).unwrap(),
            }
        };
        assert!(child > 0);
        let mut status = 0;
        // SAFETY: waits for the child made above and writes one integer.
        assert_eq!(unsafe { libc::waitpid(child, &mut status, 0) }, child);
        assert!(libc::WIFEXITED(status));
        assert_eq!(libc::WEXITSTATUS(status), 3);
        assert!(!sentinel.forked());
    }

    #[test]
    fn random_bytes_differ_and_the_clock_does_not_go_back() {
        let (mut first, mut second) = ([0; 300], [0; 300]);
        random(&mut first).unwrap();
        random(&mut second).unwrap();
        assert_ne!(first, second);
        let before = monotonic_us();
        assert!(before > 0 && monotonic_us() >= before);
    }
}
