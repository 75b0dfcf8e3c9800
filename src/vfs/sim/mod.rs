//! A disk in memory that fails and loses power on purpose, for tests of everything above `vfs`.
//!
//! Every file has a *cache* (what reads and maps see) and what is *durable*. Writes, stores through maps and changes
//! of length go to the cache and mark 512-byte sectors dirty; only [`File::sync`](super::File::sync) makes them
//! durable, and not the file's name: names are changed in the cache too, until their directory is synced.
//! [`SimVfs::crash`] gives the disk as the next boot finds it: each dirty sector old or new, lengths kept or lost, of
//! each directory's unsynced changes some that a real file system could have kept. [`SimVfs::restart`] is `kill -9`:
//! the cache stays as it is.
//!
//! Everything follows from the seeds and the order of calls, so tests use it from one thread, or
//! from several that take turns (`turn::turns`), though any may. What it
//! is stricter in than most real disks: a synced file without a synced name is lost; sectors reach the disk in any
//! order; directories don't wait for each other. Bit rot and other damage are done by tests
//! (`SimVfs::rot`, `damage`). What it doesn't model: SIGBUS, which is an error here.
#![cfg_attr(
    not(feature = "simulation"),
    expect(
        unreachable_pub,
        reason = "exported with the feature `simulation` only; unit tests see it anyway"
    )
)]

mod cache;
mod content;
mod crash;
mod damage;
mod disk;
mod file;
mod names;
#[cfg(test)]
mod same_as_os;
mod system;
#[cfg(test)]
mod tests;
mod tree;

use std::{fmt, path::Path, sync::Arc};

use disk::Disk;

use crate::error::Error;

/// What an operation answers once the power is gone.
const POWER_LOSS: &str = "simulated power loss";

/// What can be counted and made to fail. All but the first three change something and are points to crash at.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Operation {
    /// Opening a file that exists, and listing or looking at a directory.
    Open,
    Read,
    Map,
    /// Creating a file.
    Create,
    Write,
    /// A store through a writable map.
    Store,
    SetLength,
    Allocate,
    Sync,
    Rename,
    Unlink,
    CreateDirectory,
    RemoveDirectory,
    SyncDirectory,
}

/// How an operation fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FaultKind {
    /// EIO. A sync that fails so leaves clean pages with bytes that the disk never got: the cache keeps the new ones,
    /// the next sync answers OK without writing them, and they are gone after a crash or [`SimVfs::evict`].
    Io,
    /// ENOSPC; as bad as `Io` for a sync.
    NoSpace,
    /// EINTR. What was dirty stays dirty.
    Interrupted,
    /// Half of the bytes are written, then ENOSPC. For anything but a write the same as `Io`.
    ShortWrite,
}

/// What time does to bytes that nobody reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Rot {
    /// These bits of one byte are turned.
    Bits(u8),
    /// The sector is zeros.
    Zeros,
}

/// An operation that will fail.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub operation: Operation,
    /// Which one, counted from 1 from the call of [`SimVfs::fail`] on; 0 is the same as 1.
    pub nth: u64,
    pub kind: FaultKind,
    /// Whether all later ones fail too.
    pub forever: bool,
    /// Only operations on paths with this component count, e.g. `blocks`.
    pub within: Option<String>,
}

impl Fault {
    /// The `nth` operation from now on fails once.
    pub fn new(operation: Operation, nth: u64, kind: FaultKind) -> Fault {
        Fault {
            operation,
            nth,
            kind,
            forever: false,
            within: None,
        }
    }

    /// So do all that follow.
    #[must_use]
    pub fn forever(self) -> Fault {
        Fault {
            forever: true,
            ..self
        }
    }

    /// Only operations on paths with this component count and fail.
    #[must_use]
    pub fn within(self, component: &str) -> Fault {
        Fault {
            within: Some(component.to_owned()),
            ..self
        }
    }
}

/// A handle to a simulated disk; clones share it. The root directory exists.
#[derive(Clone)]
pub struct SimVfs {
    disk: Arc<Disk>,
}

impl SimVfs {
    /// An empty disk without faults. `seed` decides what `random` gives.
    pub fn new(seed: u64) -> SimVfs {
        SimVfs {
            disk: Arc::new(Disk::new(seed)),
        }
    }

    /// How much address space (not memory) each file reserves so that its maps never move, 64 MiB if not told. A file
    /// that must grow beyond it while mapped is an `Error::Internal`.
    #[must_use]
    pub fn with_reserve(self, bytes: u64) -> SimVfs {
        self.disk.lock().reserve = bytes;
        self
    }

    /// Arms a fault; several may wait at the same time.
    pub fn fail(&self, fault: Fault) {
        self.disk.lock().arm(fault);
    }

    /// Disarms all faults.
    pub fn clear_faults(&self) {
        self.disk.lock().disarm();
    }

    /// Bytes, counted in blocks of 4 KiB a file, above which there is no space.
    pub fn set_capacity(&self, bytes: Option<u64>) {
        self.disk.lock().capacity = bytes;
    }

    /// Bytes that count towards the capacity.
    pub fn used_bytes(&self) -> u64 {
        self.disk.lock().used_bytes()
    }

    /// How many operations that change something were begun.
    pub fn operations(&self) -> u64 {
        self.disk.lock().operations
    }

    /// How many operations of one sort were begun.
    pub fn count(&self, operation: Operation) -> u64 {
        self.disk.lock().count(operation)
    }

    /// Cuts the power instead of operation number `operation` (as [`SimVfs::operations`] counts, from 1; 0 is at
    /// once): from then on everything fails and nothing changes.
    pub fn crash_at(&self, operation: u64) {
        self.disk.lock().cut_power_at(operation);
    }

    /// Panics at an operation behind number `operation`: by then, whoever is at work goes round in circles.
    pub fn expect_end_by(&self, operation: u64) {
        self.disk.lock().most_operations = operation;
    }

    /// Whether [`SimVfs::crash_at`] has struck.
    pub fn lost_power(&self) -> bool {
        self.disk.lock().off
    }

    /// Whether an error comes from lost power and not from a fault.
    pub fn is_power_loss(error: &Error) -> bool {
        matches!(error, Error::Io(refusal) if refusal.what == POWER_LOSS)
    }

    /// Control: file syncs answer OK and make nothing durable. A checker that then finds no loss is broken.
    pub fn set_sync_is_noop(&self, noop: bool) {
        self.disk.lock().sync_is_noop = noop;
    }

    /// The same for files with this directory (a component of the path, e.g. `blocks`) only.
    pub fn set_sync_is_noop_for(&self, component: &str) {
        self.disk.lock().sync_is_noop_for.push(component.to_owned());
    }

    /// Lets the kernel write dirty sectors of some file back by itself before one operation in `one_in`, so that a
    /// crash also finds states between two syncs. `None`, as at first: never.
    pub fn set_writeback(&self, one_in: Option<u64>) {
        self.disk.lock().writeback = one_in;
    }

    /// Bit rot, on a disk that a crash left or nobody has open: changes durable bytes of a file by exclusive or with
    /// `mask`, or to zeros. False if nothing of the file lies there.
    pub fn rot(&self, path: &Path, offset: u64, rot: Rot) -> bool {
        self.disk.lock().rot(path, offset, rot)
    }

    /// Drops clean pages of files that aren't mapped: bytes that a failed sync left only there are gone.
    pub fn evict(&self) {
        self.disk.lock().evict();
    }

    /// The disk after power was lost at this moment and came back, one of the possible ones by `seed`. Open files
    /// and locks are gone, faults disarmed, operations counted from 0; capacity, reserve, lying syncs and writeback
    /// are as before. The disk as it is stays untouched, so many crashes can be tried from one state.
    #[must_use]
    pub fn crash(&self, seed: u64) -> SimVfs {
        SimVfs {
            disk: Arc::new(self.disk.crashed(seed)),
        }
    }

    /// The disk after the process was killed at this moment: what is in the cache stays, durable or not; all else as
    /// for [`SimVfs::crash`]. It is a copy.
    #[must_use]
    pub fn restart(&self) -> SimVfs {
        SimVfs {
            disk: Arc::new(self.disk.restarted()),
        }
    }
}

impl fmt::Debug for SimVfs {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimVfs")
            .field("operations", &self.operations())
            .finish_non_exhaustive()
    }
}

/// SplitMix64 (Steele, Lea, Flood 2014): small, seeded, and good enough to choose by.
#[derive(Debug, Clone)]
pub(crate) struct Random(pub(crate) u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number in `0..bound`; 0 if that is empty.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next().checked_rem(bound).unwrap_or(0)
    }

    fn chance(&mut self, of: u64, among: u64) -> bool {
        self.below(among) < of
    }
}
