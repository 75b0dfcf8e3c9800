//! `sarsen_report`: what verify found.

use std::ffi::{c_char, CString};

use super::{
    error::sarsen_error,
    guard::{guard, guard_status, guard_value, Out},
    handle::{borrow_mut, take, Object},
    status::sarsen_status,
    store::{enter, sarsen_store},
};
use crate::{error::Error, store::Finding};

/// Findings of sarsen_store_verify, one a call. Belongs to the caller. One thread at a time.
pub struct sarsen_report {
    _private: (),
}

pub(super) struct ReportValue {
    left: std::vec::IntoIter<Finding>,
    /// Strings of the finding told last.
    file: CString,
    what: CString,
}

impl Object for sarsen_report {
    type Value = ReportValue;
    const TAG: u64 = u64::from_le_bytes(*b"sarsrepo");
    const NAME: &'static str = "sarsen_report";
}

/// ---- verify -------------------------------------------------------------------------------------------
///
/// Reads and checks every byte of the store. OK means that it could be read, not that nothing is wrong: the report
/// says that, and is freed with sarsen_report_free. Upkeep waits meanwhile; commits and reads go on.
#[no_mangle]
pub unsafe extern "C" fn sarsen_store_verify(
    store: *const sarsen_store,
    out: *mut *mut sarsen_report,
    error: *mut *mut sarsen_error,
) -> sarsen_status {
    // SAFETY: this function's contract: pointers are NULL or good for what they are.
    unsafe {
        guard(error, || {
            let out = Out::required(out, "out", std::ptr::null_mut())?;
            let findings = enter(store)?.verify()?;
            out.set_handle(ReportValue {
                left: findings.into_iter(),
                file: CString::default(),
                what: CString::default(),
            });
            Ok(())
        })
    }
}

/// The next finding: OK, or END when there is none left. *out_file is a path within the store, *out_offset a byte
/// offset in it, *out_what one line of text; each may be NULL. Strings are good until the next call.
#[no_mangle]
pub unsafe extern "C" fn sarsen_report_next(
    report: *mut sarsen_report,
    out_file: *mut *const c_char,
    out_offset: *mut u64,
    out_what: *mut *const c_char,
) -> sarsen_status {
    // SAFETY: this function's contract: pointers are NULL or good for what they are.
    guard_status(|| unsafe {
        let file = Out::optional(out_file, std::ptr::null());
        let offset = Out::optional(out_offset, 0);
        let what = Out::optional(out_what, std::ptr::null());
        let report = borrow_mut(report)?;
        let finding = report.left.next().ok_or(Error::End)?;
        report.file = CString::new(finding.file.replace('\0', "")).unwrap_or_default();
        report.what = CString::new(finding.what.replace('\0', "")).unwrap_or_default();
        file.set(report.file.as_ptr());
        offset.set(finding.offset);
        what.set(report.what.as_ptr());
        Ok(())
    })
}

/// Frees a report. NULL is a no-op.
#[no_mangle]
pub unsafe extern "C" fn sarsen_report_free(report: *mut sarsen_report) {
    guard_value((), || {
        // SAFETY: a live report that is not used again, or NULL, by this function's contract.
        drop(unsafe { take(report) });
        Ok(())
    });
}
