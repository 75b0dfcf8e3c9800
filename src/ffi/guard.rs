//! Every entry from C passes through here: panics end here, errors become a status and an object, handles carried
//! over fork() are refused, and `sarsen_store_close` can wait for the calls that are under way.

use std::{
    any::Any,
    panic::{catch_unwind, AssertUnwindSafe},
    sync::Arc,
};

use super::{
    calls::{Calls, Inside},
    error::{new_error, sarsen_error},
    handle::new_handle,
    handle::Object,
    status::{sarsen_status, status_of, SARSEN_NOT_FOUND, SARSEN_OK},
};
use crate::{
    error::{Error, Result},
    store::Store,
};

/// What a store's handle and everything made from it share.
pub(super) struct Shared {
    pub(super) store: Store,
    pub(super) calls: Calls,
}

impl Shared {
    pub(super) fn new(store: Store) -> Arc<Shared> {
        Arc::new(Shared {
            store,
            calls: Calls::default(),
        })
    }

    /// Whether calls get in, without being one: for what touches only memory that its own handle holds, which closing
    /// has no need to wait for.
    #[inline(always)]
    pub(super) fn is_open(&self) -> bool {
        !self.store.forked() && !self.calls.refused()
    }

    /// The store, for the length of one call.
    #[inline(always)]
    pub(super) fn enter(&self) -> Result<Call<'_>> {
        if self.store.forked() {
            return Err(Error::Forked);
        }
        match self.calls.enter() {
            Some(inside) => Ok(Call {
                store: &self.store,
                _inside: inside,
            }),
            None => Err(closed()),
        }
    }
}

#[cold]
fn closed() -> Error {
    Error::invalid("the store was closed; free this handle")
}

/// One call under way.
pub(super) struct Call<'a> {
    store: &'a Store,
    _inside: Inside<'a>,
}

impl std::ops::Deref for Call<'_> {
    type Target = Store;

    fn deref(&self) -> &Store {
        self.store
    }
}

impl Drop for Call<'_> {
    #[inline(always)]
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.store.poison_after_panic();
        }
    }
}

/// Runs the body of an entry that can fail.
///
/// # Safety
/// `error` is NULL or points to writable memory for one pointer.
#[inline(always)]
pub(super) unsafe fn guard(
    error: *mut *mut sarsen_error,
    body: impl FnOnce() -> Result<()>,
) -> sarsen_status {
    if !error.is_null() {
        // SAFETY: not NULL, so writable by the caller's promise.
        unsafe { error.write(std::ptr::null_mut()) };
    }
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => SARSEN_OK,
        Ok(Err(Error::NotFound)) => SARSEN_NOT_FOUND,
        // SAFETY: as above.
        Ok(Err(failure)) => unsafe { tell(error, failure) },
        // SAFETY: as above.
        Err(panic) => unsafe { tell(error, caught(panic.as_ref())) },
    }
}

/// # Safety
/// As `guard`.
#[cold]
unsafe fn tell(error: *mut *mut sarsen_error, failure: Error) -> sarsen_status {
    let expected = matches!(failure, Error::NotFound | Error::End | Error::Timeout);
    if !error.is_null() && !expected {
        // SAFETY: not NULL, so writable by the caller's promise.
        unsafe { error.write(new_error(&failure)) };
    }
    status_of(&failure)
}

/// Runs the body of an entry that reports a status and has no place for an error object.
pub(super) fn guard_status(body: impl FnOnce() -> Result<()>) -> sarsen_status {
    catch(body).map_or_else(|failure| status_of(&failure), |()| SARSEN_OK)
}

/// Runs the body of an entry that can't fail; `otherwise` is returned if it does all the same.
pub(super) fn guard_value<T>(otherwise: T, body: impl FnOnce() -> Result<T>) -> T {
    match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(value)) => value,
        Ok(Err(_)) | Err(_) => otherwise,
    }
}

fn catch(body: impl FnOnce() -> Result<()>) -> Result<()> {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| Err(caught(panic.as_ref())))
}

#[cold]
fn caught(panic: &(dyn Any + Send)) -> Error {
    let text = panic
        .downcast_ref::<&str>()
        .map(|text| (*text).to_owned())
        .or_else(|| panic.downcast_ref::<String>().cloned())
        .unwrap_or_else(|| "unknown".to_owned());
    Error::internal(format!("a panic was caught: {text}"))
}

#[cold]
fn no_place(name: &str) -> Error {
    Error::invalid(format!("{name} is NULL; it must point to where the answer goes"))
}

/// An out-parameter that has to be there. Pointers are set to NULL before anything can fail.
pub(super) struct Out<T>(*mut T);

impl<T> Out<T> {
    /// # Safety
    /// `pointer` is NULL or points to writable memory for one `T`.
    #[inline(always)]
    pub(super) unsafe fn required(pointer: *mut T, name: &str, empty: T) -> Result<Out<T>> {
        if pointer.is_null() {
            return Err(no_place(name));
        }
        // SAFETY: not NULL, so writable by the caller's promise.
        unsafe { pointer.write(empty) };
        Ok(Out(pointer))
    }

    /// # Safety
    /// As `required`; NULL means that the answer isn't wanted.
    #[inline(always)]
    pub(super) unsafe fn optional(pointer: *mut T, empty: T) -> Out<T> {
        if !pointer.is_null() {
            // SAFETY: not NULL, so writable by the caller's promise.
            unsafe { pointer.write(empty) };
        }
        Out(pointer)
    }

    #[inline(always)]
    pub(super) fn set(&self, value: T) {
        if !self.0.is_null() {
            // SAFETY: checked when this was made; the host keeps the place for the length of the call.
            unsafe { self.0.write(value) };
        }
    }

    pub(super) fn wanted(&self) -> bool {
        !self.0.is_null()
    }
}

impl<O: Object> Out<*mut O> {
    pub(super) fn set_handle(&self, value: O::Value) {
        if self.wanted() {
            self.set(new_handle::<O>(value));
        }
    }
}

/// The longest slice that a pointer and a length may describe.
const MOST_BYTES: usize = isize::MAX as usize;

/// Bytes given as pointer and length; NULL with length 0 is the empty string.
///
/// # Safety
/// `data` is NULL or points to `len` readable bytes that nobody changes during the call.
#[inline(always)]
pub(super) unsafe fn bytes<'a>(data: *const std::ffi::c_void, len: usize, name: &str) -> Result<&'a [u8]> {
    if len == 0 {
        return Ok(&[]);
    }
    if data.is_null() || len > MOST_BYTES {
        return Err(no_bytes(data.is_null(), len, name));
    }
    // SAFETY: not NULL, readable for `len` bytes by the caller's promise, no longer than isize::MAX.
    Ok(unsafe { std::slice::from_raw_parts(data.cast(), len) })
}

#[cold]
fn no_bytes(is_null: bool, len: usize, name: &str) -> Error {
    match is_null {
        true => Error::invalid(format!("{name} is NULL with length {len}")),
        false => Error::too_large(format!("{name} has an impossible length of {len} bytes")),
    }
}

/// A buffer to write to. The bytes in it may be uninitialised, so it is cleared first.
///
/// # Safety
/// `data` is NULL or points to `len` writable bytes that nobody else uses during the call.
pub(super) unsafe fn buffer<'a>(data: *mut std::ffi::c_void, len: usize, name: &str) -> Result<&'a mut [u8]> {
    if len == 0 {
        return Ok(&mut []);
    }
    if data.is_null() {
        return Err(Error::invalid(format!("{name} is NULL with length {len}")));
    }
    if len > MOST_BYTES {
        return Err(Error::invalid(format!(
            "{name} has an impossible length of {len} bytes"
        )));
    }
    // SAFETY: not NULL, writable for `len` bytes by the caller's promise; any bit pattern is a valid u8, and memory
    // the host owns is not undef to this library, which it reaches as opaque bytes.
    Ok(unsafe { std::slice::from_raw_parts_mut(data.cast(), len) })
}

/// A NUL-terminated UTF-8 path.
///
/// # Safety
/// `path` is NULL or points to a NUL-terminated string that nobody changes during the call.
pub(super) unsafe fn path<'a>(path: *const std::ffi::c_char) -> Result<&'a std::path::Path> {
    if path.is_null() {
        return Err(Error::invalid("the path is NULL"));
    }
    // SAFETY: not NULL, so a NUL-terminated string by the caller's promise.
    let text = unsafe { std::ffi::CStr::from_ptr(path) };
    let text = text
        .to_str()
        .map_err(|_| Error::invalid("the path is not UTF-8; sarsen takes UTF-8 paths"))?;
    if text.is_empty() {
        return Err(Error::invalid("the path is empty"));
    }
    Ok(std::path::Path::new(text))
}

/// Copies a struct that may grow: min(its size, the host's), and zeroes the rest of the host's.
///
/// # Safety
/// `out` is NULL or points to `out_size` writable bytes.
pub(super) unsafe fn write_sized<T: Copy>(value: &T, out: *mut T, out_size: usize) -> Result<()> {
    if out.is_null() {
        return Err(Error::invalid("the struct to fill in is NULL"));
    }
    if out_size == 0 || out_size > MOST_BYTES {
        return Err(Error::invalid(format!(
            "a struct of {out_size} bytes; pass sizeof of it"
        )));
    }
    let shared = out_size.min(size_of::<T>());
    // SAFETY: `out` is writable for `out_size` bytes by the caller's promise, of which `shared` are copied from a
    // value that has as many, and the rest is zeroed.
    unsafe {
        let target: *mut u8 = out.cast();
        target.copy_from_nonoverlapping(std::ptr::from_ref(value).cast(), shared);
        target.add(shared).write_bytes(0, out_size - shared);
    }
    Ok(())
}

#[cfg(test)]
#[expect(unsafe_code, reason = "calls the C functions as C would")]
mod tests {
    use std::ptr::{null, null_mut};

    use super::*;
    use crate::ffi::{
        error::{sarsen_error_free, sarsen_error_message, sarsen_error_status},
        kv::{sarsen_kv_read, sarsen_kv_set},
        status::{SARSEN_INTERNAL, SARSEN_POISONED},
        store::{enter, sarsen_store, sarsen_store_close, sarsen_store_open},
    };

    fn message(error: *const sarsen_error) -> String {
        // SAFETY: an error that is live, or NULL.
        let text = unsafe { std::ffi::CStr::from_ptr(sarsen_error_message(error)) };
        text.to_str().unwrap().to_owned()
    }

    #[test]
    fn a_panic_in_an_entry_is_a_status_and_an_error_object() {
        let text: fn() -> Result<()> = || panic!("a text");
        let number: fn() -> Result<()> = || panic!("number {}", "7".len());
        let neither: fn() -> Result<()> = || std::panic::panic_any(7);
        for (body, said) in [(text, "a text"), (number, "number 1"), (neither, "unknown")] {
            let mut error: *mut sarsen_error = null_mut();
            // SAFETY: a place for one pointer.
            assert_eq!(unsafe { guard(&raw mut error, body) }, SARSEN_INTERNAL);
            assert!(message(error).contains(said), "{}", message(error));
            // SAFETY: the error is live and freed once.
            unsafe {
                assert_eq!(sarsen_error_status(error), SARSEN_INTERNAL);
                sarsen_error_free(error);
            }
        }
        // SAFETY: nobody wants the error.
        let unheard = unsafe { guard(null_mut(), || panic!("unheard")) };
        assert_eq!(unheard, SARSEN_INTERNAL);
        assert_eq!(guard_status(|| panic!("on purpose")), SARSEN_INTERNAL);
        assert_eq!(guard_value(7, || panic!("on purpose")), 7);
    }

    /// Nobody knows in what state a call that panicked left things: no write goes on, reads and closing do.
    #[test]
    fn a_panic_inside_a_store_poisons_it_and_counts_as_a_call_that_left() {
        let path = std::env::temp_dir().join(format!("sarsen-guard-{}", std::process::id()));
        let _ = std::fs::remove_dir_all(&path);
        let text = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
        let mut store: *mut sarsen_store = null_mut();
        let key = b"key".as_ptr().cast();
        // SAFETY: live handles, and pointers that are good for their lengths.
        unsafe {
            assert_eq!(
                sarsen_store_open(text.as_ptr(), null(), &raw mut store, null_mut()),
                SARSEN_OK
            );
            assert_eq!(sarsen_kv_set(store, key, 3, key, 3, null_mut()), SARSEN_OK);
            let panicked = guard(null_mut(), || {
                let _call = enter(store)?;
                panic!("half-way")
            });
            assert_eq!(panicked, SARSEN_INTERNAL);
            assert_eq!(sarsen_kv_set(store, key, 3, key, 3, null_mut()), SARSEN_POISONED);
            let (mut buffer, mut len) = ([0u8; 8], 0);
            let to = buffer.as_mut_ptr().cast();
            assert_eq!(
                sarsen_kv_read(store, null(), key, 3, to, 8, &raw mut len, null_mut()),
                SARSEN_OK
            );
            assert_eq!(buffer.get(..len), Some(&b"key"[..]));
            assert_eq!(
                sarsen_store_close(store, null_mut()),
                SARSEN_POISONED,
                "it doesn't wait for ever"
            );
            assert_eq!(
                sarsen_store_open(text.as_ptr(), null(), &raw mut store, null_mut()),
                SARSEN_OK
            );
            assert_eq!(
                sarsen_kv_set(store, key, 3, key, 3, null_mut()),
                SARSEN_OK,
                "reopened, it is as good as new"
            );
            assert_eq!(sarsen_store_close(store, null_mut()), SARSEN_OK);
        }
        std::fs::remove_dir_all(&path).unwrap();
    }
}
