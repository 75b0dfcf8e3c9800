//! `sarsen_view`: bytes inside the store, pinned until released.

use std::{ffi::c_void, sync::Arc};

use super::guard::guard_value;
use crate::{store::View, vfs::Pin};

/// Bytes that something else owns; each function says for how long they are good.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct sarsen_bytes {
    pub data: *const u8,
    pub len: usize,
}

impl sarsen_bytes {
    pub(super) const EMPTY: sarsen_bytes = sarsen_bytes {
        data: std::ptr::null(),
        len: 0,
    };

    #[inline(always)]
    pub(super) fn of(bytes: &[u8]) -> sarsen_bytes {
        sarsen_bytes {
            data: bytes.as_ptr(),
            len: bytes.len(),
        }
    }
}

/// Bytes inside the store, kept in place until released; also after the store is closed. The bytes may be read by
/// many threads at once. Alignment of `data` is not promised.
#[repr(C)]
#[derive(Debug, Clone, Copy)]
pub struct sarsen_view {
    pub data: *const u8,
    pub len: usize,
    /// Private.
    pub pin: *mut c_void,
}

impl sarsen_view {
    pub(super) const EMPTY: sarsen_view = sarsen_view {
        data: std::ptr::null(),
        len: 0,
        pin: std::ptr::null_mut(),
    };

    /// The view's pin is one reference that keeps the mapped region, so handing one out takes no memory.
    #[inline(always)]
    pub(super) fn of(view: View) -> sarsen_view {
        let bytes = view.bytes();
        let (data, len) = (bytes.as_ptr(), bytes.len());
        let pin = view
            .into_pin()
            .map_or(std::ptr::null_mut(), |pin| Arc::into_raw(pin).cast_mut().cast());
        sarsen_view { data, len, pin }
    }
}

/// ---- views --------------------------------------------------------------------------------------------
///
/// Gives a view back and sets it to NULL. A view that was copied is released once, through one of the copies. NULL
/// and a released view are no-ops. Any thread; the store may be closed.
#[no_mangle]
pub unsafe extern "C" fn sarsen_view_release(view: *mut sarsen_view) {
    guard_value((), || {
        if view.is_null() {
            return Ok(());
        }
        // SAFETY: not NULL, so a view of the caller's that nobody else uses during the call.
        let taken = unsafe { view.replace(sarsen_view::EMPTY) };
        if !taken.pin.is_null() {
            // SAFETY: a pin that is not NULL came from `Arc::into_raw` in `of`, and is given back once.
            let pin: Arc<Pin> = unsafe { Arc::from_raw(taken.pin.cast_const().cast()) };
            View::released(pin);
        }
        Ok(())
    });
}
