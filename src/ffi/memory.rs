//! Memories: a u64 id, a block, a set of tags.

use std::{ffi::c_void, sync::Arc};

use super::{
    block::sarsen_block,
    error::sarsen_error,
    guard::{bytes, guard, guard_value, Out, Shared},
    handle::{borrow_mut, borrow_optional, take, Object},
    snapshot::{release, sarsen_snapshot, snapshot_of},
    status::sarsen_status,
    store::{enter, sarsen_store, share},
    tags::sarsen_tags,
    view::{sarsen_bytes, sarsen_view},
};
use crate::{
    error::Error,
    store::{MemoryIter, Tags},
};

/// A query for memories. Belongs to the caller. One thread at a time.
pub struct sarsen_memory_iter {
    _private: (),
}

pub(super) struct MemoryIterValue {
    shared: Arc<Shared>,
    iter: MemoryIter,
}

impl Object for sarsen_memory_iter {
    type Value = MemoryIterValue;
    const TAG: u64 = u64::from_le_bytes(*b"sarsmemi");
    const NAME: &'static str = "sarsen_memory_iter";
}

/// ---- memories -----------------------------------------------------------------------------------------
///
/// Commits memory `id`: its bytes (< 4 GiB) and its tags (NULL: none). An id that is there is replaced, bytes and tags.
#[no_mangle]
pub unsafe extern "C" fn sarsen_memory_append(
    store: *const sarsen_store,
    id: u64,
    tags: *const sarsen_tags,
    data: *const c_void,
    len: usize,
    error: *mut *mut sarsen_error,
) -> sarsen_status {
    // SAFETY: this function's contract: pointers are NULL or good for what they are.
    unsafe {
        guard(error, || {
            let none = Tags::new();
            let tags = borrow_optional(tags)?.unwrap_or(&none);
            enter(store)?.memory_append(id, tags, bytes(data, len, "data")?)
        })
    }
}

/// Commits the deletion of memory `id`.
#[no_mangle]
pub unsafe extern "C" fn sarsen_memory_delete(
    store: *const sarsen_store,
    id: u64,
    error: *mut *mut sarsen_error,
) -> sarsen_status {
    // SAFETY: this function's contract.
    unsafe { guard(error, || enter(store)?.memory_delete(id)) }
}

/// The bytes of memory `id`, in place: a view to be released with sarsen_view_release. NOT_FOUND: no such id.
/// `snapshot` may be NULL: now.
#[no_mangle]
pub unsafe extern "C" fn sarsen_memory_get(
    store: *const sarsen_store,
    snapshot: *const sarsen_snapshot,
    id: u64,
    out_data: *mut sarsen_view,
    error: *mut *mut sarsen_error,
) -> sarsen_status {
    // SAFETY: this function's contract.
    unsafe {
        guard(error, || {
            let out = Out::required(out_data, "out_data", sarsen_view::EMPTY)?;
            let store = enter(store)?;
            let snapshot = snapshot_of(snapshot, &store)?;
            out.set(sarsen_view::of(store.memory_get(snapshot, id)?));
            Ok(())
        })
    }
}

/// Where the bytes of memory `id` lie, and its tags, a set to be freed with sarsen_tags_free. Either may be NULL.
#[no_mangle]
pub unsafe extern "C" fn sarsen_memory_info(
    store: *const sarsen_store,
    snapshot: *const sarsen_snapshot,
    id: u64,
    out_block: *mut sarsen_block,
    out_tags: *mut *mut sarsen_tags,
    error: *mut *mut sarsen_error,
) -> sarsen_status {
    // SAFETY: this function's contract.
    unsafe {
        guard(error, || {
            let block_out = Out::optional(out_block, sarsen_block::EMPTY);
            let tags_out = Out::optional(out_tags, std::ptr::null_mut());
            let store = enter(store)?;
            let snapshot = snapshot_of(snapshot, &store)?;
            let (block, tags) = store.memory_info(snapshot, id)?;
            block_out.set(sarsen_block::of(block));
            tags_out.set_handle(tags);
            Ok(())
        })
    }
}

/// Ids in ascending order, from `from_id` on, that carry all tags of `all`, at least one of `any` (NULL or empty: no
/// condition) and none of `none`. The iterator sees one snapshot throughout (NULL: now), and is freed with
/// sarsen_memory_iter_free. Takes time in proportion to the rarest tag of `all`, not to the store.
#[no_mangle]
pub unsafe extern "C" fn sarsen_memory_find(
    store: *const sarsen_store,
    snapshot: *const sarsen_snapshot,
    all: *const sarsen_tags,
    any: *const sarsen_tags,
    none: *const sarsen_tags,
    from_id: u64,
    out: *mut *mut sarsen_memory_iter,
    error: *mut *mut sarsen_error,
) -> sarsen_status {
    // SAFETY: this function's contract.
    unsafe {
        guard(error, || {
            let out = Out::required(out, "out", std::ptr::null_mut())?;
            let empty = Tags::new();
            let all = borrow_optional(all)?.unwrap_or(&empty);
            let any = borrow_optional(any)?.unwrap_or(&empty);
            let none = borrow_optional(none)?.unwrap_or(&empty);
            let shared = share(store)?;
            let iter = {
                let store = shared.enter()?;
                let snapshot = snapshot_of(snapshot, &store)?;
                store.memory_find(snapshot, all, any, none, from_id)?
            };
            out.set_handle(MemoryIterValue { shared, iter });
            Ok(())
        })
    }
}

/// The next memory: OK, or END when there is none left. The bytes are good until the next call on the iterator. With
/// out_data NULL they are not touched; out_id may be NULL, too.
#[no_mangle]
pub unsafe extern "C" fn sarsen_memory_iter_next(
    iter: *mut sarsen_memory_iter,
    out_id: *mut u64,
    out_data: *mut sarsen_bytes,
    error: *mut *mut sarsen_error,
) -> sarsen_status {
    // SAFETY: this function's contract.
    unsafe {
        guard(error, || {
            let id = Out::optional(out_id, 0);
            let data = Out::optional(out_data, sarsen_bytes::EMPTY);
            let this = borrow_mut(iter)?;
            let _call = this.shared.enter()?;
            if !this.iter.next()? {
                return Err(Error::End);
            }
            id.set(this.iter.id());
            if data.wanted() {
                data.set(sarsen_bytes::of(this.iter.data()?));
            }
            Ok(())
        })
    }
}

/// Frees an iterator, also one of a closed store. NULL is a no-op.
#[no_mangle]
pub unsafe extern "C" fn sarsen_memory_iter_free(iter: *mut sarsen_memory_iter) {
    guard_value((), || {
        // SAFETY: a live iterator that is not used again, or NULL, by this function's contract.
        if let Some(value) = unsafe { take(iter) } {
            release(value.shared, value.iter);
        }
        Ok(())
    });
}
