//! Statuses: what C sees of an error.

use std::ffi::{c_char, CStr};

use crate::error::Error;

/// What a function that can fail returns. 0 is success.
pub type sarsen_status = u32;

/// Done.
pub const SARSEN_OK: u32 = 0;
/// No such key, id, record or block. Sets no error object.
pub const SARSEN_NOT_FOUND: u32 = 1;
/// An iterator has nothing more. Sets no error object.
pub const SARSEN_END: u32 = 2;
/// A wait ran out. Sets no error object.
pub const SARSEN_TIMEOUT: u32 = 3;
/// The call makes no sense as it is; nothing was done.
pub const SARSEN_INVALID_ARGUMENT: u32 = 10;
/// The operating system refused; sarsen_error_os_code() has errno.
pub const SARSEN_IO: u32 = 11;
/// Disk full: nothing was written, reads go on, retry later.
pub const SARSEN_NO_SPACE: u32 = 12;
/// Damage to data that had been made durable.
pub const SARSEN_CORRUPT: u32 = 13;
/// Another process or handle has the store open for writing.
pub const SARSEN_LOCKED: u32 = 14;
/// The path exists, but holds no store; or nothing is there and creating was not asked for.
pub const SARSEN_NOT_A_STORE: u32 = 15;
/// Written by a newer format.
pub const SARSEN_VERSION: u32 = 16;
/// A write to a store that was opened read-only.
pub const SARSEN_READ_ONLY: u32 = 17;
/// Beyond the documented sizes; nothing was done.
pub const SARSEN_TOO_LARGE: u32 = 18;
/// An earlier write failed half-way; close the store and open it again.
pub const SARSEN_POISONED: u32 = 19;
/// Used in a child process after fork().
pub const SARSEN_FORKED: u32 = 20;
/// A condition did not hold; nothing was written.
pub const SARSEN_CONFLICT: u32 = 21;
/// A defect in sarsen. The store refuses further writes until it is reopened.
pub const SARSEN_INTERNAL: u32 = 22;

pub(super) fn status_of(error: &Error) -> sarsen_status {
    match error {
        Error::NotFound => SARSEN_NOT_FOUND,
        Error::End => SARSEN_END,
        Error::Timeout => SARSEN_TIMEOUT,
        Error::InvalidArgument { .. } => SARSEN_INVALID_ARGUMENT,
        Error::Io { .. } => SARSEN_IO,
        Error::NoSpace { .. } => SARSEN_NO_SPACE,
        Error::Corrupt { .. } => SARSEN_CORRUPT,
        Error::Locked { .. } => SARSEN_LOCKED,
        Error::NotAStore { .. } => SARSEN_NOT_A_STORE,
        Error::Version { .. } => SARSEN_VERSION,
        Error::ReadOnly => SARSEN_READ_ONLY,
        Error::TooLarge { .. } => SARSEN_TOO_LARGE,
        Error::Poisoned { .. } => SARSEN_POISONED,
        Error::Forked => SARSEN_FORKED,
        Error::Conflict { .. } => SARSEN_CONFLICT,
        Error::Internal { .. } => SARSEN_INTERNAL,
    }
}

/// ---- library ------------------------------------------------------------------------------------------
///
/// Version of the ABI: raised when a program built against an older header has to be rebuilt. Never fails; any
/// thread.
#[no_mangle]
pub extern "C" fn sarsen_abi_version() -> u32 {
    0
}

/// Version of the library, such as "0.1.0": a constant string that is never freed. Any thread.
#[no_mangle]
pub extern "C" fn sarsen_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// The status's name, such as "SARSEN_NOT_FOUND"; "unknown status" for a number that is none. A constant string
/// that is never freed. Any thread.
#[no_mangle]
pub extern "C" fn sarsen_status_name(status: sarsen_status) -> *const c_char {
    name_of(status).as_ptr()
}

fn name_of(status: sarsen_status) -> &'static CStr {
    match status {
        SARSEN_OK => c"SARSEN_OK",
        SARSEN_NOT_FOUND => c"SARSEN_NOT_FOUND",
        SARSEN_END => c"SARSEN_END",
        SARSEN_TIMEOUT => c"SARSEN_TIMEOUT",
        SARSEN_INVALID_ARGUMENT => c"SARSEN_INVALID_ARGUMENT",
        SARSEN_IO => c"SARSEN_IO",
        SARSEN_NO_SPACE => c"SARSEN_NO_SPACE",
        SARSEN_CORRUPT => c"SARSEN_CORRUPT",
        SARSEN_LOCKED => c"SARSEN_LOCKED",
        SARSEN_NOT_A_STORE => c"SARSEN_NOT_A_STORE",
        SARSEN_VERSION => c"SARSEN_VERSION",
        SARSEN_READ_ONLY => c"SARSEN_READ_ONLY",
        SARSEN_TOO_LARGE => c"SARSEN_TOO_LARGE",
        SARSEN_POISONED => c"SARSEN_POISONED",
        SARSEN_FORKED => c"SARSEN_FORKED",
        SARSEN_CONFLICT => c"SARSEN_CONFLICT",
        SARSEN_INTERNAL => c"SARSEN_INTERNAL",
        _ => c"unknown status",
    }
}
