//! `sarsen_options`: how a store is opened.

use super::{
    guard::{guard_status, guard_value},
    handle::{borrow_mut, new_handle, take, Object},
    status::sarsen_status,
};
use crate::{
    error::{Error, Result},
    store::{Check, LogMethod, Options, Survive},
};

/// How a store is opened. Belongs to the caller; opening copies it. One thread at a time.
pub struct sarsen_options {
    _private: (),
}

impl Object for sarsen_options {
    type Value = Options;
    const TAG: u64 = u64::from_le_bytes(*b"sarsopti");
    const NAME: &'static str = "sarsen_options";
}

/// What a commit survives: kill -9 of the host. The bytes were handed to the kernel, without a sync.
pub const SARSEN_SURVIVE_PROCESS: u32 = 1;
/// What a commit survives: power loss. The bytes are on stable storage when the call returns.
pub const SARSEN_SURVIVE_POWER: u32 = 2;

/// Large blocks and index pages are checked when first touched since their file was mapped.
pub const SARSEN_CHECK_FIRST_TOUCH: u32 = 1;
/// They are checked at every read.
pub const SARSEN_CHECK_EVERY_READ: u32 = 2;

/// The log is written through a map where the file system keeps that safe (ext4, XFS, tmpfs), else with pwrite.
pub const SARSEN_LOG_AUTO: u32 = 0;
/// The log is always written through a map, commits that survive power loss included. On another file system a full disk
/// may then end the process with SIGBUS.
pub const SARSEN_LOG_MAPPED: u32 = 1;
/// The log is always written with pwrite.
pub const SARSEN_LOG_WRITTEN: u32 = 2;

pub(super) fn survive(number: u32) -> Result<Survive> {
    match number {
        SARSEN_SURVIVE_PROCESS => Ok(Survive::Process),
        SARSEN_SURVIVE_POWER => Ok(Survive::Power),
        _ => Err(Error::invalid(format!(
            "{number} is no durability; use SARSEN_SURVIVE_PROCESS or SARSEN_SURVIVE_POWER"
        ))),
    }
}

unsafe fn set(
    options: *mut sarsen_options,
    change: impl FnOnce(&mut Options) -> Result<()>,
) -> sarsen_status {
    // SAFETY: live options used by this thread alone, or NULL, by the callers' contracts.
    guard_status(|| change(unsafe { borrow_mut(options) }?))
}

/// ---- options ------------------------------------------------------------------------------------------
///
/// New options with every default: free them with sarsen_options_free. NULL only where memory ran out.
#[no_mangle]
pub extern "C" fn sarsen_options_new() -> *mut sarsen_options {
    guard_value(std::ptr::null_mut(), || {
        Ok(new_handle::<sarsen_options>(Options::default()))
    })
}

/// Frees options. NULL is a no-op.
#[no_mangle]
pub unsafe extern "C" fn sarsen_options_free(options: *mut sarsen_options) {
    guard_value((), || {
        // SAFETY: live options that are not used again, or NULL, by this function's contract.
        let _ = unsafe { take(options) };
        Ok(())
    });
}

/// Create the store if nothing, or an empty directory, is at the path. Default: true.
#[no_mangle]
pub unsafe extern "C" fn sarsen_options_set_create(
    options: *mut sarsen_options,
    create: bool,
) -> sarsen_status {
    // SAFETY: passed on to the caller.
    unsafe {
        set(options, |options| {
            options.create = create;
            Ok(())
        })
    }
}

/// Open for reading only: beside a writer in another process, or without one. Writes nothing inside the store. The
/// store stays at the commit of its opening until sarsen_store_refresh. Default: false.
#[no_mangle]
pub unsafe extern "C" fn sarsen_options_set_read_only(
    options: *mut sarsen_options,
    read_only: bool,
) -> sarsen_status {
    // SAFETY: passed on to the caller.
    unsafe {
        set(options, |options| {
            options.read_only = read_only;
            Ok(())
        })
    }
}

/// What a commit survives that doesn't say: SARSEN_SURVIVE_PROCESS or SARSEN_SURVIVE_POWER. Default: POWER.
#[no_mangle]
pub unsafe extern "C" fn sarsen_options_set_durability(
    options: *mut sarsen_options,
    survive: u32,
) -> sarsen_status {
    // SAFETY: passed on to the caller.
    unsafe {
        set(options, |options| {
            options.durability = self::survive(survive)?;
            Ok(())
        })
    }
}

/// Size of a chunk file in bytes, 64 KiB to 16 GiB, for a store that is created; one that exists keeps its own.
/// Default: 64 MiB.
#[no_mangle]
pub unsafe extern "C" fn sarsen_options_set_chunk_bytes(
    options: *mut sarsen_options,
    bytes: u64,
) -> sarsen_status {
    // SAFETY: passed on to the caller.
    unsafe {
        set(options, |options| {
            Options {
                chunk_bytes: bytes,
                ..options.clone()
            }
            .check()?;
            options.chunk_bytes = bytes;
            Ok(())
        })
    }
}

/// Budget for the heap in bytes, at least 256 KiB. The store stays within it plus 16 MiB, the host's own batches
/// and what its views pin aside. Default: 64 MiB.
#[no_mangle]
pub unsafe extern "C" fn sarsen_options_set_memory_bytes(
    options: *mut sarsen_options,
    bytes: u64,
) -> sarsen_status {
    // SAFETY: passed on to the caller.
    unsafe {
        set(options, |options| {
            Options {
                memory_bytes: bytes,
                ..options.clone()
            }
            .check()?;
            options.memory_bytes = bytes;
            Ok(())
        })
    }
}

/// Bytes of log to keep for log readers beyond what recovery needs, with the large blocks they name. Default: 0.
#[no_mangle]
pub unsafe extern "C" fn sarsen_options_set_log_retention_bytes(
    options: *mut sarsen_options,
    bytes: u64,
) -> sarsen_status {
    // SAFETY: passed on to the caller.
    unsafe {
        set(options, |options| {
            options.log_retention_bytes = bytes;
            Ok(())
        })
    }
}

/// Run one thread for upkeep. Without it the host calls sarsen_store_maintain; if it never does, commits do the
/// work when memory would overflow. Default: true.
#[no_mangle]
pub unsafe extern "C" fn sarsen_options_set_background(
    options: *mut sarsen_options,
    background: bool,
) -> sarsen_status {
    // SAFETY: passed on to the caller.
    unsafe {
        set(options, |options| {
            options.background = background;
            Ok(())
        })
    }
}

/// Open a damaged store for what is left of it: read-only, with every commit before damage in the log, and of the rest
/// all that passes its checks; what doesn't, or is missing, answers CORRUPT. Nothing is written. All of the store is read
/// first, so opening takes as long as sarsen_store_verify, whose report lists the damage; where there is any, the verdict
/// is DAMAGED. CORRUPT, as without: no good copy is in MANIFEST, so nothing says what the store is made of; or a link or
/// the like stands in the place of a directory. Default: false.
#[no_mangle]
pub unsafe extern "C" fn sarsen_options_set_salvage(
    options: *mut sarsen_options,
    salvage: bool,
) -> sarsen_status {
    // SAFETY: passed on to the caller.
    unsafe {
        set(options, |options| {
            options.salvage = salvage;
            Ok(())
        })
    }
}

/// When large blocks and index pages are checked: SARSEN_CHECK_FIRST_TOUCH or SARSEN_CHECK_EVERY_READ. Small blocks
/// are checked at every read in any case. Default: FIRST_TOUCH.
#[no_mangle]
pub unsafe extern "C" fn sarsen_options_set_check(options: *mut sarsen_options, check: u32) -> sarsen_status {
    // SAFETY: passed on to the caller.
    unsafe {
        set(options, |options| {
            options.check = match check {
                SARSEN_CHECK_FIRST_TOUCH => Check::FirstTouch,
                SARSEN_CHECK_EVERY_READ => Check::EveryRead,
                _ => return Err(Error::invalid(format!("{check} is no check"))),
            };
            Ok(())
        })
    }
}

/// How frames get into the log: SARSEN_LOG_AUTO, SARSEN_LOG_MAPPED or SARSEN_LOG_WRITTEN. Default: AUTO.
#[no_mangle]
pub unsafe extern "C" fn sarsen_options_set_log_write(
    options: *mut sarsen_options,
    how: u32,
) -> sarsen_status {
    // SAFETY: passed on to the caller.
    unsafe {
        set(options, |options| {
            options.log_method = match how {
                SARSEN_LOG_AUTO => LogMethod::Auto,
                SARSEN_LOG_MAPPED => LogMethod::Mapped,
                SARSEN_LOG_WRITTEN => LogMethod::Written,
                _ => return Err(Error::invalid(format!("{how} is no way to write the log"))),
            };
            Ok(())
        })
    }
}

/// Cap in bytes on what is mapped of chunks, beyond what views hold; one chunk may exceed it. Runs are mapped as long as
/// they are in use. 0: none. Default: 0.
#[no_mangle]
pub unsafe extern "C" fn sarsen_options_set_mapped_bytes(
    options: *mut sarsen_options,
    bytes: u64,
) -> sarsen_status {
    // SAFETY: passed on to the caller.
    unsafe {
        set(options, |options| {
            options.mapped_bytes = bytes;
            Ok(())
        })
    }
}
