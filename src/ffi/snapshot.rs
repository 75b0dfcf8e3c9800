//! `sarsen_snapshot`: one frozen view over everything.

use std::sync::Arc;

use super::{
    error::sarsen_error,
    guard::{guard, guard_value, Call, Out, Shared},
    handle::{borrow, borrow_optional, take, Object},
    status::sarsen_status,
    store::{sarsen_store, share},
};
use crate::{
    error::{Error, Result},
    store::{Snapshot, Store},
};

/// One frozen view over all four kinds of data. Reads take one, or NULL for 'now'. Any number of threads. While it is
/// held, what it sees takes space on disk.
pub struct sarsen_snapshot {
    _private: (),
}

pub(super) struct SnapshotValue {
    shared: Arc<Shared>,
    snapshot: Snapshot,
}

impl Object for sarsen_snapshot {
    type Value = SnapshotValue;
    const TAG: u64 = u64::from_le_bytes(*b"sarssnap");
    const NAME: &'static str = "sarsen_snapshot";
}

/// The snapshot behind an optional argument, which has to be one of this store.
///
/// # Safety
/// `snapshot` is NULL or a live snapshot.
#[inline(always)]
pub(super) unsafe fn snapshot_of<'a>(
    snapshot: *const sarsen_snapshot,
    store: &Call<'_>,
) -> Result<Option<&'a Snapshot>> {
    // SAFETY: passed on to the caller.
    let value = unsafe { borrow_optional(snapshot) }?;
    let Some(value) = value else {
        return Ok(None);
    };
    let theirs: *const Store = &value.shared.store;
    if !std::ptr::eq(theirs, &**store) {
        return Err(Error::invalid("the snapshot is one of another store"));
    }
    Ok(Some(&value.snapshot))
}

/// ---- snapshots ----------------------------------------------------------------------------------------
///
/// Freezes what is visible now; free it with sarsen_snapshot_free, also after the store was closed.
#[no_mangle]
pub unsafe extern "C" fn sarsen_snapshot_new(
    store: *const sarsen_store,
    out: *mut *mut sarsen_snapshot,
    error: *mut *mut sarsen_error,
) -> sarsen_status {
    // SAFETY: this function's contract: pointers are NULL or good for what they are.
    unsafe {
        guard(error, || {
            let out = Out::required(out, "out", std::ptr::null_mut())?;
            let shared = share(store)?;
            let snapshot = shared.enter()?.snapshot()?;
            out.set_handle(SnapshotValue { shared, snapshot });
            Ok(())
        })
    }
}

/// The newest commit it sees; 0 for NULL.
#[no_mangle]
pub unsafe extern "C" fn sarsen_snapshot_seq(snapshot: *const sarsen_snapshot) -> u64 {
    // SAFETY: a live snapshot or NULL, by this function's contract.
    guard_value(0, || {
        // SAFETY: a live snapshot or NULL, by this function's contract.
        unsafe { borrow(snapshot) }.map(|value| value.snapshot.seq())
    })
}

/// Frees a snapshot. NULL is a no-op.
#[no_mangle]
pub unsafe extern "C" fn sarsen_snapshot_free(snapshot: *mut sarsen_snapshot) {
    guard_value((), || {
        // SAFETY: a live snapshot that is not used again, or NULL, by this function's contract.
        if let Some(value) = unsafe { take(snapshot) } {
            release(value.shared, value.snapshot);
        }
        Ok(())
    });
}

/// Drops what was made from a store; in a forked child its memory is left alone, since locks may be held there.
pub(super) fn release<T>(shared: Arc<Shared>, value: T) {
    if shared.store.forked() {
        std::mem::forget(value);
        std::mem::forget(shared);
    }
}
