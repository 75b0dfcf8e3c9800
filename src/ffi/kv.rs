//! Key-value: ordered byte keys.

use std::{ffi::c_void, sync::Arc};

use super::{
    error::sarsen_error,
    guard::{buffer, bytes, guard, guard_value, Out, Shared},
    handle::{borrow_mut, take, Object},
    snapshot::{release, sarsen_snapshot, snapshot_of},
    status::{sarsen_status, SARSEN_NOT_FOUND, SARSEN_OK},
    store::{enter, sarsen_store, share},
    view::{sarsen_bytes, sarsen_view},
};
use crate::{
    error::{Error, Result},
    store::{Filled, KvIter},
};

/// A scan over keys. Belongs to the caller. One thread at a time.
pub struct sarsen_kv_iter {
    _private: (),
}

pub(super) struct KvIterValue {
    shared: Arc<Shared>,
    iter: KvIter,
}

impl Object for sarsen_kv_iter {
    type Value = KvIterValue;
    const TAG: u64 = u64::from_le_bytes(*b"sarskvit");
    const NAME: &'static str = "sarsen_kv_iter";
}

/// ---- key-value ----------------------------------------------------------------------------------------
///
/// Commits one pair: `key` of 0 to 65,535 bytes, `value` of < 4 GiB.
#[no_mangle]
pub unsafe extern "C" fn sarsen_kv_set(
    store: *const sarsen_store,
    key: *const c_void,
    key_len: usize,
    value: *const c_void,
    value_len: usize,
    error: *mut *mut sarsen_error,
) -> sarsen_status {
    // SAFETY: this function's contract: pointers are NULL or good for what they are.
    unsafe {
        guard(error, || {
            enter(store)?.kv_set(bytes(key, key_len, "key")?, bytes(value, value_len, "value")?)
        })
    }
}

/// Commits the deletion of a key.
#[no_mangle]
pub unsafe extern "C" fn sarsen_kv_delete(
    store: *const sarsen_store,
    key: *const c_void,
    key_len: usize,
    error: *mut *mut sarsen_error,
) -> sarsen_status {
    // SAFETY: this function's contract.
    unsafe { guard(error, || enter(store)?.kv_delete(bytes(key, key_len, "key")?)) }
}

/// The value of a key, in place: a view to be released with sarsen_view_release. NOT_FOUND: no such key. `snapshot`
/// may be NULL: now. Takes no lock and no memory.
#[no_mangle]
pub unsafe extern "C" fn sarsen_kv_get(
    store: *const sarsen_store,
    snapshot: *const sarsen_snapshot,
    key: *const c_void,
    key_len: usize,
    out_value: *mut sarsen_view,
    error: *mut *mut sarsen_error,
) -> sarsen_status {
    // SAFETY: this function's contract.
    unsafe {
        guard(error, || {
            let out = Out::required(out_value, "out_value", sarsen_view::EMPTY)?;
            let store = enter(store)?;
            let snapshot = snapshot_of(snapshot, &store)?;
            out.set(sarsen_view::of(
                store.kv_get(snapshot, bytes(key, key_len, "key")?)?,
            ));
            Ok(())
        })
    }
}

/// The value of a key, copied: up to `cap` bytes of it; *out_len is its whole length (0 on failure).
#[no_mangle]
pub unsafe extern "C" fn sarsen_kv_read(
    store: *const sarsen_store,
    snapshot: *const sarsen_snapshot,
    key: *const c_void,
    key_len: usize,
    buffer: *mut c_void,
    cap: usize,
    out_len: *mut usize,
    error: *mut *mut sarsen_error,
) -> sarsen_status {
    // SAFETY: this function's contract.
    unsafe {
        guard(error, || {
            let out = Out::required(out_len, "out_len", 0)?;
            let store = enter(store)?;
            let snapshot = snapshot_of(snapshot, &store)?;
            let buffer = self::buffer(buffer, cap, "buffer")?;
            out.set(store.kv_read(snapshot, bytes(key, key_len, "key")?, buffer)?);
            Ok(())
        })
    }
}

/// Many keys at once, for less than one by one, all from one snapshot: `count` keys, as many places in out_values and
/// out_statuses. Each status is OK, with a view to be released, or NOT_FOUND. If the function fails, no view was
/// handed out.
#[no_mangle]
pub unsafe extern "C" fn sarsen_kv_get_many(
    store: *const sarsen_store,
    snapshot: *const sarsen_snapshot,
    keys: *const sarsen_bytes,
    count: usize,
    out_values: *mut sarsen_view,
    out_statuses: *mut sarsen_status,
    error: *mut *mut sarsen_error,
) -> sarsen_status {
    // SAFETY: this function's contract.
    unsafe {
        guard(error, || {
            if count == 0 {
                enter(store)?;
                return Ok(());
            }
            if keys.is_null() || out_values.is_null() || out_statuses.is_null() {
                return Err(Error::invalid("keys, out_values or out_statuses is NULL"));
            }
            if count > isize::MAX as usize / size_of::<sarsen_view>() {
                return Err(Error::too_large("count"));
            }
            for place in 0..count {
                out_values.add(place).write(sarsen_view::EMPTY);
                out_statuses.add(place).write(SARSEN_NOT_FOUND);
            }
            let keys = std::slice::from_raw_parts(keys, count)
                .iter()
                .map(|key| bytes(key.data.cast(), key.len, "a key"))
                .collect::<Result<Vec<&[u8]>>>()?;
            let store = enter(store)?;
            let snapshot = snapshot_of(snapshot, &store)?;
            let mut failure = None;
            let outcome = store.kv_get_many(snapshot, &keys, &mut |place, found| match found {
                Ok(view) if place < count => {
                    out_values.add(place).write(sarsen_view::of(view));
                    out_statuses.add(place).write(SARSEN_OK);
                }
                Ok(_) | Err(Error::NotFound) => {}
                Err(error) => failure = Some(error),
            });
            let outcome = outcome.and(failure.map_or(Ok(()), Err));
            if outcome.is_err() {
                for place in 0..count {
                    super::view::sarsen_view_release(out_values.add(place));
                }
            }
            outcome
        })
    }
}

/// Keys in [start, end) in byte order, or from the end backwards; a bound of length 0: unbounded. The iterator sees one
/// snapshot throughout (NULL: now), and is freed with sarsen_kv_iter_free.
#[no_mangle]
pub unsafe extern "C" fn sarsen_kv_scan(
    store: *const sarsen_store,
    snapshot: *const sarsen_snapshot,
    start: *const c_void,
    start_len: usize,
    end: *const c_void,
    end_len: usize,
    reverse: bool,
    out: *mut *mut sarsen_kv_iter,
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
                store.kv_scan(
                    snapshot,
                    bytes(start, start_len, "start")?,
                    bytes(end, end_len, "end")?,
                    reverse,
                )?
            };
            out.set_handle(KvIterValue { shared, iter });
            Ok(())
        })
    }
}

/// Keys that start with `prefix`; else as sarsen_kv_scan.
#[no_mangle]
pub unsafe extern "C" fn sarsen_kv_prefix(
    store: *const sarsen_store,
    snapshot: *const sarsen_snapshot,
    prefix: *const c_void,
    prefix_len: usize,
    reverse: bool,
    out: *mut *mut sarsen_kv_iter,
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
                store.kv_prefix(snapshot, bytes(prefix, prefix_len, "prefix")?, reverse)?
            };
            out.set_handle(KvIterValue { shared, iter });
            Ok(())
        })
    }
}

/// The next pair: OK, or END when there is none left. The bytes are good until the next call on the iterator. Either
/// out-parameter may be NULL; without out_value, a value that doesn't lie beside its key is neither read nor checked.
///
/// CORRUPT in the place of a pair whose value is damaged: the next call goes on behind it. Where the index is damaged,
/// nobody can tell which keys follow, and each further call says so again: a scan from a key behind that place, or
/// from the other end, may get at the rest. Other iterators do the same.
#[no_mangle]
pub unsafe extern "C" fn sarsen_kv_iter_next(
    iter: *mut sarsen_kv_iter,
    out_key: *mut sarsen_bytes,
    out_value: *mut sarsen_bytes,
    error: *mut *mut sarsen_error,
) -> sarsen_status {
    // SAFETY: this function's contract.
    unsafe {
        guard(error, || {
            let key = Out::optional(out_key, sarsen_bytes::EMPTY);
            let value = Out::optional(out_value, sarsen_bytes::EMPTY);
            let this = borrow_mut(iter)?;
            let wants_value = value.wanted();
            let in_page = this.shared.is_open()
                && match wants_value {
                    true => this.iter.next_in_page(),
                    false => this.iter.next_key_in_page(),
                };
            if !in_page {
                let _call = this.shared.enter()?;
                let found = match wants_value {
                    true => this.iter.next()?,
                    false => this.iter.next_key()?,
                };
                if !found {
                    return Err(Error::End);
                }
            }
            let pair = this.iter.pair();
            key.set(sarsen_bytes::of(pair.0));
            value.set(sarsen_bytes::of(pair.1));
            Ok(())
        })
    }
}

/// As many whole pairs as fit into `cap` bytes: u32 key_len, u32 value_len (little-endian), key, value, one after
/// another. OK with *out_count >= 1 and *out_len bytes; END with 0 when there is none left; TOO_LARGE if the next pair
/// alone does not fit: *out_len is the size it needs, and the iterator has not moved.
#[no_mangle]
pub unsafe extern "C" fn sarsen_kv_iter_fill(
    iter: *mut sarsen_kv_iter,
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

/// What every `_fill` function answers.
pub(super) fn answer_filled(filled: Filled, len: &Out<usize>, count: &Out<usize>) -> Result<()> {
    match filled {
        Filled::Records {
            len: bytes,
            count: records,
        } => {
            len.set(bytes);
            count.set(records);
            Ok(())
        }
        Filled::End => Err(Error::End),
        Filled::TooSmall { needed } => {
            len.set(needed);
            Err(Error::too_large(format!(
                "the next record needs a buffer of {needed} bytes"
            )))
        }
    }
}

/// Frees an iterator, also one of a closed store. NULL is a no-op.
#[no_mangle]
pub unsafe extern "C" fn sarsen_kv_iter_free(iter: *mut sarsen_kv_iter) {
    guard_value((), || {
        // SAFETY: a live iterator that is not used again, or NULL, by this function's contract.
        if let Some(value) = unsafe { take(iter) } {
            release(value.shared, value.iter);
        }
        Ok(())
    });
}
