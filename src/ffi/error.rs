//! `sarsen_error`: what went wrong, in full.

use std::ffi::{c_char, CString};

use super::{
    guard::guard_value,
    handle::{borrow, new_handle, take, Object},
    status::{sarsen_status, status_of, SARSEN_INVALID_ARGUMENT},
};
use crate::error::Error;

/// What went wrong: status, message, and where there are any, errno, file, offset and the commits concerned. Belongs
/// to the caller, who frees it with sarsen_error_free. Any thread.
pub struct sarsen_error {
    _private: (),
}

pub(super) struct ErrorValue {
    status: sarsen_status,
    message: CString,
    os_code: i32,
    file: Option<CString>,
    offset: u64,
    first_seq: u64,
    last_seq: u64,
}

impl Object for sarsen_error {
    type Value = ErrorValue;
    const TAG: u64 = u64::from_le_bytes(*b"sarserro");
    const NAME: &'static str = "sarsen_error";
}

/// A C string with NUL bytes, which no message of ours has, left out.
fn c_string(text: &str) -> CString {
    CString::new(text.replace('\0', "")).unwrap_or_default()
}

pub(super) fn new_error(error: &Error) -> *mut sarsen_error {
    let mut value = ErrorValue {
        status: status_of(error),
        message: c_string(&error.to_string()),
        os_code: 0,
        file: None,
        offset: 0,
        first_seq: 0,
        last_seq: 0,
    };
    match error {
        Error::Io(refusal) | Error::NoSpace(refusal) => {
            value.os_code = refusal.os_code;
            value.file = refusal.file.as_deref().map(c_string);
        }
        Error::Corrupt(damage) => {
            value.file = Some(c_string(&damage.file));
            value.offset = damage.offset;
            value.first_seq = damage.first_seq;
            value.last_seq = damage.last_seq;
        }
        _ => {}
    }
    new_handle::<sarsen_error>(value)
}

/// ---- errors -------------------------------------------------------------------------------------------
///
/// The status that the failed function returned; SARSEN_INVALID_ARGUMENT for NULL.
#[no_mangle]
pub unsafe extern "C" fn sarsen_error_status(error: *const sarsen_error) -> sarsen_status {
    // SAFETY: a live error or NULL, by this function's contract.
    guard_value(SARSEN_INVALID_ARGUMENT, || {
        // SAFETY: a live error or NULL, by this function's contract.
        unsafe { borrow(error) }.map(|error| error.status)
    })
}

/// What happened and what to do next: one line of UTF-8 without a line end, good until the error is freed. A
/// fixed text for NULL.
#[no_mangle]
pub unsafe extern "C" fn sarsen_error_message(error: *const sarsen_error) -> *const c_char {
    let none = c"no error object".as_ptr();
    // SAFETY: a live error or NULL, by this function's contract.
    guard_value(none, || {
        // SAFETY: a live error or NULL, by this function's contract.
        unsafe { borrow(error) }.map(|error| error.message.as_ptr())
    })
}

/// errno where the system refused something; 0: not from the system.
#[no_mangle]
pub unsafe extern "C" fn sarsen_error_os_code(error: *const sarsen_error) -> i32 {
    // SAFETY: a live error or NULL, by this function's contract.
    guard_value(0, || unsafe { borrow(error) }.map(|error| error.os_code))
}

/// The file concerned, as a path within the store, good until the error is freed; NULL: none.
#[no_mangle]
pub unsafe extern "C" fn sarsen_error_file(error: *const sarsen_error) -> *const c_char {
    guard_value(std::ptr::null(), || {
        // SAFETY: a live error or NULL, by this function's contract.
        unsafe { borrow(error) }
            .map(|error| error.file.as_ref().map_or(std::ptr::null(), |file| file.as_ptr()))
    })
}

/// Byte offset in that file; 0 where there is none.
#[no_mangle]
pub unsafe extern "C" fn sarsen_error_offset(error: *const sarsen_error) -> u64 {
    // SAFETY: a live error or NULL, by this function's contract.
    guard_value(0, || unsafe { borrow(error) }.map(|error| error.offset))
}

/// First of the commits concerned; 0: none is known.
#[no_mangle]
pub unsafe extern "C" fn sarsen_error_first_seq(error: *const sarsen_error) -> u64 {
    // SAFETY: a live error or NULL, by this function's contract.
    guard_value(0, || unsafe { borrow(error) }.map(|error| error.first_seq))
}

/// Last of the commits concerned; 0: none is known.
#[no_mangle]
pub unsafe extern "C" fn sarsen_error_last_seq(error: *const sarsen_error) -> u64 {
    // SAFETY: a live error or NULL, by this function's contract.
    guard_value(0, || unsafe { borrow(error) }.map(|error| error.last_seq))
}

/// Frees an error. NULL is a no-op.
#[no_mangle]
pub unsafe extern "C" fn sarsen_error_free(error: *mut sarsen_error) {
    guard_value((), || {
        // SAFETY: a live error that is not used again, or NULL, by this function's contract.
        drop(unsafe { take(error) });
        Ok(())
    });
}
