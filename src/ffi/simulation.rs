//! A store on a simulated disk behind a C handle: what fuzzing of the C API works on. Not exported.

use std::path::Path;

use super::{
    error::sarsen_error,
    guard::{guard, Out, Shared},
    handle::borrow_optional,
    options::sarsen_options,
    status::sarsen_status,
    store::sarsen_store,
};
use crate::{
    store::{Options, Store},
    vfs::sim::SimVfs,
};

/// `sarsen_store_open`, but for the disk.
///
/// # Safety
/// That of `sarsen_store_open`.
pub unsafe fn open_on(
    disk: &SimVfs,
    path: &Path,
    options: *const sarsen_options,
    out_store: *mut *mut sarsen_store,
    error: *mut *mut sarsen_error,
) -> sarsen_status {
    // SAFETY: this function's contract: pointers are NULL or good for what they are.
    unsafe {
        guard(error, || {
            let out = Out::required(out_store, "out_store", std::ptr::null_mut())?;
            let defaults = Options::default();
            let options = borrow_optional(options)?.unwrap_or(&defaults);
            out.set_handle(Shared::new(Store::open_on(disk, path, options)?));
            Ok(())
        })
    }
}
