//! Every entry from C passes through here: panics end here, errors become a status and an object, handles carried
//! over fork() are refused, and `sarsen_store_close` can wait for the calls that are under way.

use std::{
    panic::{catch_unwind, AssertUnwindSafe},
    sync::{
        atomic::{AtomicBool, AtomicUsize, Ordering},
        Arc, Condvar, Mutex, PoisonError,
    },
};

use super::{
    error::{new_error, sarsen_error},
    handle::new_handle,
    handle::Object,
    status::{sarsen_status, status_of, SARSEN_OK},
};
use crate::{
    error::{Error, Result},
    store::Store,
};

const SHARDS: usize = 8;

/// A counter on a cache line of its own.
#[repr(align(64))]
struct Shard(AtomicUsize);

/// What a store's handle and everything made from it share.
pub(super) struct Shared {
    pub(super) store: Store,
    closing: AtomicBool,
    /// Calls under way, spread so that reading threads don't meet at one cache line.
    calls: [Shard; SHARDS],
    drained: Mutex<()>,
    changed: Condvar,
}

impl Shared {
    pub(super) fn new(store: Store) -> Arc<Shared> {
        Arc::new(Shared {
            store,
            closing: AtomicBool::new(false),
            calls: std::array::from_fn(|_| Shard(AtomicUsize::new(0))),
            drained: Mutex::new(()),
            changed: Condvar::new(),
        })
    }

    /// The store, for the length of one call.
    pub(super) fn enter(&self) -> Result<Call<'_>> {
        if self.store.forked() {
            return Err(Error::Forked);
        }
        let shard = self.shard();
        shard.0.fetch_add(1, Ordering::SeqCst);
        let call = Call { shared: self, shard };
        if self.closing.load(Ordering::SeqCst) {
            return Err(Error::invalid("the store was closed; free this handle"));
        }
        Ok(call)
    }

    fn shard(&self) -> &Shard {
        // Threads have stacks of their own: the address of a local tells them apart well enough.
        let local = 0u8;
        let place = (std::ptr::from_ref(&local).addr() >> 16) % SHARDS;
        self.calls.get(place).unwrap_or(&self.calls[0])
    }

    /// No call gets in any more.
    pub(super) fn refuse_calls(&self) {
        self.closing.store(true, Ordering::SeqCst);
    }

    /// Waits until every call that got in has left.
    pub(super) fn wait_for_calls(&self) {
        let mut guard = self.drained.lock().unwrap_or_else(PoisonError::into_inner);
        while self
            .calls
            .iter()
            .map(|shard| shard.0.load(Ordering::SeqCst))
            .sum::<usize>()
            > 0
        {
            guard = self.changed.wait(guard).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

/// One call under way.
pub(super) struct Call<'a> {
    shared: &'a Shared,
    shard: &'a Shard,
}

impl std::ops::Deref for Call<'_> {
    type Target = Store;

    fn deref(&self) -> &Store {
        &self.shared.store
    }
}

impl Drop for Call<'_> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            self.shared.store.poison_after_panic();
        }
        self.shard.0.fetch_sub(1, Ordering::SeqCst);
        if self.shared.closing.load(Ordering::SeqCst) {
            let _guard = self.shared.drained.lock().unwrap_or_else(PoisonError::into_inner);
            self.shared.changed.notify_all();
        }
    }
}

/// Runs the body of an entry that can fail.
///
/// # Safety
/// `error` is NULL or points to writable memory for one pointer.
pub(super) unsafe fn guard(
    error: *mut *mut sarsen_error,
    body: impl FnOnce() -> Result<()>,
) -> sarsen_status {
    if !error.is_null() {
        // SAFETY: not NULL, so writable by the caller's promise.
        unsafe { error.write(std::ptr::null_mut()) };
    }
    let outcome = catch(body);
    match outcome {
        Ok(()) => SARSEN_OK,
        Err(failure) => {
            let status = status_of(&failure);
            let expected = matches!(failure, Error::NotFound | Error::End | Error::Timeout);
            if !error.is_null() && !expected {
                // SAFETY: as above.
                unsafe { error.write(new_error(&failure)) };
            }
            status
        }
    }
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
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|panic| {
        let text = panic
            .downcast_ref::<&str>()
            .map(|text| (*text).to_owned())
            .or_else(|| panic.downcast_ref::<String>().cloned())
            .unwrap_or_else(|| "unknown".to_owned());
        Err(Error::internal(format!("a panic was caught: {text}")))
    })
}

/// An out-parameter that has to be there. Pointers are set to NULL before anything can fail.
pub(super) struct Out<T>(*mut T);

impl<T> Out<T> {
    /// # Safety
    /// `pointer` is NULL or points to writable memory for one `T`.
    pub(super) unsafe fn required(pointer: *mut T, name: &str, empty: T) -> Result<Out<T>> {
        if pointer.is_null() {
            return Err(Error::invalid(format!(
                "{name} is NULL; it must point to where the answer goes"
            )));
        }
        // SAFETY: not NULL, so writable by the caller's promise.
        unsafe { pointer.write(empty) };
        Ok(Out(pointer))
    }

    /// # Safety
    /// As `required`; NULL means that the answer isn't wanted.
    pub(super) unsafe fn optional(pointer: *mut T, empty: T) -> Out<T> {
        if !pointer.is_null() {
            // SAFETY: not NULL, so writable by the caller's promise.
            unsafe { pointer.write(empty) };
        }
        Out(pointer)
    }

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
pub(super) unsafe fn bytes<'a>(data: *const std::ffi::c_void, len: usize, name: &str) -> Result<&'a [u8]> {
    if len == 0 {
        return Ok(&[]);
    }
    if data.is_null() {
        return Err(Error::invalid(format!("{name} is NULL with length {len}")));
    }
    if len > MOST_BYTES {
        return Err(Error::too_large(format!(
            "{name} has an impossible length of {len} bytes"
        )));
    }
    // SAFETY: not NULL, readable for `len` bytes by the caller's promise, no longer than isize::MAX.
    Ok(unsafe { std::slice::from_raw_parts(data.cast(), len) })
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
