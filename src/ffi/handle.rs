//! Handles: what a pointer in the host's hands points at.
//!
//! Each starts with a tag that says its kind, so that a handle of another kind is told from the right one. A freed
//! handle's tag is overwritten, which catches many uses after free, though the header calls those undefined.

use crate::error::{Error, Result};

/// A type the header declares and only this library defines.
pub(super) trait Object {
    type Value;
    const TAG: u64;
    const NAME: &'static str;
}

const FREED: u64 = u64::from_le_bytes(*b"sarsfree");

/// What is behind a pointer to an object.
#[repr(C)]
struct Handle<O: Object> {
    tag: u64,
    value: O::Value,
}

pub(super) fn new_handle<O: Object>(value: O::Value) -> *mut O {
    Box::into_raw(Box::new(Handle::<O> { tag: O::TAG, value })).cast()
}

#[inline(always)]
fn check<O: Object>(pointer: *const O) -> Result<*const Handle<O>> {
    let handle: *const Handle<O> = pointer.cast();
    if pointer.is_null() || !handle.is_aligned() {
        return Err(no_handle(pointer.is_null(), O::NAME));
    }
    // SAFETY: the caller promises a pointer that some function of this library handed out; every such object is a
    // Handle, which starts with its tag, whatever its kind.
    let tag = unsafe { handle.cast::<u64>().read() };
    if tag == O::TAG {
        Ok(handle)
    } else {
        Err(other_handle(tag, O::NAME))
    }
}

#[cold]
fn no_handle(is_null: bool, name: &str) -> Error {
    Error::invalid(match is_null {
        true => format!("the {name} is NULL"),
        false => format!("this is no {name}"),
    })
}

#[cold]
fn other_handle(tag: u64, name: &str) -> Error {
    Error::invalid(match tag {
        FREED => format!("the {name} was freed already"),
        _ => format!("this is no {name} but another kind of handle"),
    })
}

/// # Safety
/// The pointer is NULL or one this library handed out and that was not freed; nobody has it exclusively.
#[inline(always)]
pub(super) unsafe fn borrow<'a, O: Object>(pointer: *const O) -> Result<&'a O::Value> {
    let handle = check(pointer)?;
    // SAFETY: a live handle of this kind, by the tag and the caller's promise.
    Ok(unsafe { &(*handle).value })
}

/// # Safety
/// As `borrow`, and no other thread uses the object during the call.
#[inline(always)]
pub(super) unsafe fn borrow_mut<'a, O: Object>(pointer: *mut O) -> Result<&'a mut O::Value> {
    let handle = check(pointer.cast_const())?;
    // SAFETY: a live handle of this kind, used by this thread alone, by the caller's promise.
    Ok(unsafe { &mut (*handle.cast_mut()).value })
}

/// # Safety
/// As `borrow`, where NULL means an absent optional argument.
#[inline(always)]
pub(super) unsafe fn borrow_optional<'a, O: Object>(pointer: *const O) -> Result<Option<&'a O::Value>> {
    if pointer.is_null() {
        return Ok(None);
    }
    // SAFETY: passed on to the caller.
    unsafe { borrow(pointer) }.map(Some)
}

/// Takes the object back; `None` for NULL and for what is no live handle of this kind, which is left alone.
///
/// # Safety
/// As `borrow_mut`; the pointer is not used again.
pub(super) unsafe fn take<O: Object>(pointer: *mut O) -> Option<O::Value> {
    let handle = check(pointer.cast_const()).ok()?.cast_mut();
    // SAFETY: a live handle that `new_handle` boxed. The tag is overwritten before the memory goes back.
    unsafe {
        handle.cast::<u64>().write_volatile(FREED);
        let boxed = Box::from_raw(handle);
        Some(boxed.value)
    }
}
