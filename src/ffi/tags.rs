//! `sarsen_tags`: a set of UTF-8 strings.

use std::ffi::c_char;

use super::{
    guard::{bytes, guard_status, guard_value},
    handle::{borrow, borrow_mut, new_handle, take, Object},
    status::sarsen_status,
    view::sarsen_bytes,
};
use crate::{error::Error, format::MAX_TAG_BYTES, store::Tags};

/// A set of tags: UTF-8 strings of 1 to 1,024 bytes, up to 1,024 of them. Belongs to the caller. One thread at a time
/// while it is changed.
pub struct sarsen_tags {
    _private: (),
}

impl Object for sarsen_tags {
    type Value = Tags;
    const TAG: u64 = u64::from_le_bytes(*b"sarstags");
    const NAME: &'static str = "sarsen_tags";
}

/// ---- tags: a set of UTF-8 strings -----------------------------------------------------------------------
///
/// An empty set: free it with sarsen_tags_free. NULL only where memory ran out.
#[no_mangle]
pub extern "C" fn sarsen_tags_new() -> *mut sarsen_tags {
    guard_value(std::ptr::null_mut(), || {
        Ok(new_handle::<sarsen_tags>(Tags::new()))
    })
}

/// Puts a tag into the set; one that is there already stays there once. `tag` need not end with NUL. INVALID_ARGUMENT
/// for an empty tag and for what is not UTF-8, TOO_LARGE beyond 1,024 bytes or 1,024 tags.
#[no_mangle]
pub unsafe extern "C" fn sarsen_tags_add(
    tags: *mut sarsen_tags,
    tag: *const c_char,
    tag_len: usize,
) -> sarsen_status {
    guard_status(|| {
        if tag_len > MAX_TAG_BYTES {
            return Err(Error::too_large(format!(
                "a tag has at most {MAX_TAG_BYTES} bytes"
            )));
        }
        // SAFETY: a live set used by this thread alone and readable bytes, by this function's contract.
        let (tags, tag) = unsafe { (borrow_mut(tags)?, bytes(tag.cast(), tag_len, "tag")?) };
        tags.add(std::str::from_utf8(tag).map_err(|_| Error::invalid("the tag is not UTF-8"))?)
    })
}

/// How many tags are in the set; 0 for NULL.
#[no_mangle]
pub unsafe extern "C" fn sarsen_tags_count(tags: *const sarsen_tags) -> usize {
    // SAFETY: a live set or NULL, by this function's contract.
    guard_value(0, || unsafe { borrow(tags) }.map(Tags::len))
}

/// Tag number `index` in byte order, good until the set is changed or freed; NULL, 0 beyond the last one.
#[no_mangle]
pub unsafe extern "C" fn sarsen_tags_get(tags: *const sarsen_tags, index: usize) -> sarsen_bytes {
    guard_value(sarsen_bytes::EMPTY, || {
        // SAFETY: a live set or NULL, by this function's contract.
        let tag = unsafe { borrow(tags) }?.get(index);
        Ok(tag.map_or(sarsen_bytes::EMPTY, |tag| sarsen_bytes::of(tag.as_bytes())))
    })
}

/// Frees a set. NULL is a no-op.
#[no_mangle]
pub unsafe extern "C" fn sarsen_tags_free(tags: *mut sarsen_tags) {
    guard_value((), || {
        // SAFETY: a live set that is not used again, or NULL, by this function's contract.
        drop(unsafe { take(tags) });
        Ok(())
    });
}
