//! Streams: per name, records numbered from 0 without gaps.

use std::{ffi::c_void, sync::Arc};

use super::{
    error::sarsen_error,
    guard::{buffer, bytes, guard, guard_value, Out, Shared},
    handle::{borrow_mut, take, Object},
    kv::answer_filled,
    snapshot::{release, sarsen_snapshot, snapshot_of},
    status::sarsen_status,
    store::{enter, sarsen_store, share},
    view::{sarsen_bytes, sarsen_view},
};
use crate::{
    error::Error,
    store::{StreamIter, StreamNames},
};

/// A walk along one stream. Belongs to the caller. One thread at a time.
pub struct sarsen_stream_iter {
    _private: (),
}

pub(super) struct StreamIterValue {
    shared: Arc<Shared>,
    iter: StreamIter,
}

impl Object for sarsen_stream_iter {
    type Value = StreamIterValue;
    const TAG: u64 = u64::from_le_bytes(*b"sarsstri");
    const NAME: &'static str = "sarsen_stream_iter";
}

/// A walk over the streams there are. Belongs to the caller. One thread at a time.
pub struct sarsen_stream_names {
    _private: (),
}

pub(super) struct StreamNamesValue {
    shared: Arc<Shared>,
    names: StreamNames,
}

impl Object for sarsen_stream_names {
    type Value = StreamNamesValue;
    const TAG: u64 = u64::from_le_bytes(*b"sarsstrn");
    const NAME: &'static str = "sarsen_stream_names";
}

/// ---- streams ------------------------------------------------------------------------------------------
///
/// A stream comes into being with its first record. Trimming drops records from the front; numbering goes on, also when
/// nothing is left (first == next). Trimming before UINT64_MAX drops the stream: bounds answers NOT_FOUND, and a later
/// append starts at 0 again.
///
/// Commits one record of < 4 GiB. *out_index (may be NULL) is its number.
#[no_mangle]
pub unsafe extern "C" fn sarsen_stream_append(
    store: *const sarsen_store,
    name: *const c_void,
    name_len: usize,
    data: *const c_void,
    len: usize,
    out_index: *mut u64,
    error: *mut *mut sarsen_error,
) -> sarsen_status {
    // SAFETY: this function's contract: pointers are NULL or good for what they are.
    unsafe {
        guard(error, || {
            let out = Out::optional(out_index, 0);
            let store = enter(store)?;
            out.set(store.stream_append(bytes(name, name_len, "name")?, bytes(data, len, "data")?)?);
            Ok(())
        })
    }
}

/// The stream's records are *out_first to *out_next - 1; either may be NULL. NOT_FOUND: no such stream. `snapshot` may
/// be NULL: now.
#[no_mangle]
pub unsafe extern "C" fn sarsen_stream_bounds(
    store: *const sarsen_store,
    snapshot: *const sarsen_snapshot,
    name: *const c_void,
    name_len: usize,
    out_first: *mut u64,
    out_next: *mut u64,
    error: *mut *mut sarsen_error,
) -> sarsen_status {
    // SAFETY: this function's contract.
    unsafe {
        guard(error, || {
            let first_out = Out::optional(out_first, 0);
            let next_out = Out::optional(out_next, 0);
            let store = enter(store)?;
            let snapshot = snapshot_of(snapshot, &store)?;
            let (first, next) = store.stream_bounds(snapshot, bytes(name, name_len, "name")?)?;
            first_out.set(first);
            next_out.set(next);
            Ok(())
        })
    }
}

/// Record number `index`, in place: a view to be released with sarsen_view_release. NOT_FOUND: no such stream or
/// record.
#[no_mangle]
pub unsafe extern "C" fn sarsen_stream_get(
    store: *const sarsen_store,
    snapshot: *const sarsen_snapshot,
    name: *const c_void,
    name_len: usize,
    index: u64,
    out_record: *mut sarsen_view,
    error: *mut *mut sarsen_error,
) -> sarsen_status {
    // SAFETY: this function's contract.
    unsafe {
        guard(error, || {
            let out = Out::required(out_record, "out_record", sarsen_view::EMPTY)?;
            let store = enter(store)?;
            let snapshot = snapshot_of(snapshot, &store)?;
            out.set(sarsen_view::of(store.stream_get(
                snapshot,
                bytes(name, name_len, "name")?,
                index,
            )?));
            Ok(())
        })
    }
}

/// Commits the dropping of the records below index `before`; UINT64_MAX drops the stream.
#[no_mangle]
pub unsafe extern "C" fn sarsen_stream_trim(
    store: *const sarsen_store,
    name: *const c_void,
    name_len: usize,
    before: u64,
    error: *mut *mut sarsen_error,
) -> sarsen_status {
    // SAFETY: this function's contract.
    unsafe {
        guard(error, || {
            enter(store)?.stream_trim(bytes(name, name_len, "name")?, before)
        })
    }
}

/// Records from index `from` on, or from the first one there is. NOT_FOUND: no such stream. The iterator sees one
/// snapshot throughout (NULL: now), and is freed with sarsen_stream_iter_free.
#[no_mangle]
pub unsafe extern "C" fn sarsen_stream_read(
    store: *const sarsen_store,
    snapshot: *const sarsen_snapshot,
    name: *const c_void,
    name_len: usize,
    from: u64,
    out: *mut *mut sarsen_stream_iter,
    error: *mut *mut sarsen_error,
) -> sarsen_status {
    // SAFETY: this function's contract.
    unsafe {
        guard(error, || {
            let out = Out::required(out, "out", std::ptr::null_mut())?;
            let shared = share(store)?;
            let iter = {
                let store = shared.enter()?;
                let snapshot = snapshot_of(snapshot, &store)?;
                store.stream_read(snapshot, bytes(name, name_len, "name")?, from)?
            };
            out.set_handle(StreamIterValue { shared, iter });
            Ok(())
        })
    }
}

/// The next record: OK, or END when there is none left. The bytes are good until the next call on the iterator. Either
/// out-parameter may be NULL.
#[no_mangle]
pub unsafe extern "C" fn sarsen_stream_iter_next(
    iter: *mut sarsen_stream_iter,
    out_index: *mut u64,
    out_record: *mut sarsen_bytes,
    error: *mut *mut sarsen_error,
) -> sarsen_status {
    // SAFETY: this function's contract.
    unsafe {
        guard(error, || {
            let index = Out::optional(out_index, 0);
            let record = Out::optional(out_record, sarsen_bytes::EMPTY);
            let this = borrow_mut(iter)?;
            if !(this.shared.is_open() && this.iter.next_in_page()) {
                let _call = this.shared.enter()?;
                if !this.iter.next()? {
                    return Err(Error::End);
                }
            }
            index.set(this.iter.index());
            record.set(sarsen_bytes::of(this.iter.record()));
            Ok(())
        })
    }
}

/// As many whole records as fit into `cap` bytes: u64 index, u32 length (little-endian), bytes, one after another. The
/// answers are those of sarsen_kv_iter_fill.
#[no_mangle]
pub unsafe extern "C" fn sarsen_stream_iter_fill(
    iter: *mut sarsen_stream_iter,
    buffer: *mut c_void,
    cap: usize,
    out_len: *mut usize,
    out_count: *mut usize,
    error: *mut *mut sarsen_error,
) -> sarsen_status {
    // SAFETY: this function's contract.
    unsafe {
        guard(error, || {
            let len = Out::required(out_len, "out_len", 0)?;
            let count = Out::required(out_count, "out_count", 0)?;
            let this = borrow_mut(iter)?;
            let _call = this.shared.enter()?;
            answer_filled(
                this.iter.fill(self::buffer(buffer, cap, "buffer")?)?,
                &len,
                &count,
            )
        })
    }
}

/// Frees an iterator, also one of a closed store. NULL is a no-op.
#[no_mangle]
pub unsafe extern "C" fn sarsen_stream_iter_free(iter: *mut sarsen_stream_iter) {
    guard_value((), || {
        // SAFETY: a live iterator that is not used again, or NULL, by this function's contract.
        if let Some(value) = unsafe { take(iter) } {
            release(value.shared, value.iter);
        }
        Ok(())
    });
}

/// The streams whose names start with `prefix`, in byte order of their names; freed with sarsen_stream_names_free.
#[no_mangle]
pub unsafe extern "C" fn sarsen_stream_list(
    store: *const sarsen_store,
    snapshot: *const sarsen_snapshot,
    prefix: *const c_void,
    prefix_len: usize,
    out: *mut *mut sarsen_stream_names,
    error: *mut *mut sarsen_error,
) -> sarsen_status {
    // SAFETY: this function's contract.
    unsafe {
        guard(error, || {
            let out = Out::required(out, "out", std::ptr::null_mut())?;
            let shared = share(store)?;
            let names = {
                let store = shared.enter()?;
                let snapshot = snapshot_of(snapshot, &store)?;
                store.stream_list(snapshot, bytes(prefix, prefix_len, "prefix")?)?
            };
            out.set_handle(StreamNamesValue { shared, names });
            Ok(())
        })
    }
}

/// The next stream with its bounds: OK, or END when there is none left. The name is good until the next call. Each
/// out-parameter may be NULL.
#[no_mangle]
pub unsafe extern "C" fn sarsen_stream_names_next(
    names: *mut sarsen_stream_names,
    out_name: *mut sarsen_bytes,
    out_first: *mut u64,
    out_next: *mut u64,
    error: *mut *mut sarsen_error,
) -> sarsen_status {
    // SAFETY: this function's contract.
    unsafe {
        guard(error, || {
            let name = Out::optional(out_name, sarsen_bytes::EMPTY);
            let first = Out::optional(out_first, 0);
            let next = Out::optional(out_next, 0);
            let this = borrow_mut(names)?;
            let _call = this.shared.enter()?;
            if !this.names.next()? {
                return Err(Error::End);
            }
            name.set(sarsen_bytes::of(this.names.name()));
            first.set(this.names.first());
            next.set(this.names.next_index());
            Ok(())
        })
    }
}

/// Frees a walk over streams, also one of a closed store. NULL is a no-op.
#[no_mangle]
pub unsafe extern "C" fn sarsen_stream_names_free(names: *mut sarsen_stream_names) {
    guard_value((), || {
        // SAFETY: a live object that is not used again, or NULL, by this function's contract.
        if let Some(value) = unsafe { take(names) } {
            release(value.shared, value.names);
        }
        Ok(())
    });
}
