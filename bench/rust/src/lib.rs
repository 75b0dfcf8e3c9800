//! redb and fjall behind the C interface of `peers.h`, for the benchmark only.
//!
//! Each is set up as its own documentation advises; the module of each says how. A panic ends the process: it is a
//! benchmark's child process, and its parent reports it.

mod fjall_peer;
mod redb_peer;

use std::{
    cell::RefCell,
    ffi::{c_char, c_void, CStr, CString},
    path::Path,
};

pub type Answer<T> = Result<T, Box<dyn std::error::Error>>;
pub type Each<'a> = &'a mut dyn FnMut(&[u8], &[u8]) -> bool;

pub struct Change<'a> {
    pub key: &'a [u8],
    /// `None`: the key is removed.
    pub value: Option<&'a [u8]>,
}

pub trait Peer: Send + Sync {
    fn put(&self, changes: &mut dyn Iterator<Item = Change<'_>>) -> Answer<()>;
    fn sync(&self) -> Answer<()>;
    fn settle(&mut self) -> Answer<()>;
    fn session(&self, frozen: bool) -> Answer<Box<dyn Session>>;
}

pub trait Session {
    /// Keeps what it found, for `Session::found`.
    fn get(&mut self, key: &[u8]) -> Answer<bool>;
    fn found(&self) -> &[u8];
    fn walk(&mut self, start: &[u8], each: Each<'_>) -> Answer<()>;
}

pub struct Setup<'a> {
    pub path: &'a Path,
    pub durable: bool,
    pub cache_bytes: u64,
    pub value_bytes: u64,
}

#[repr(C)]
pub struct RawChange {
    key: *const u8,
    key_len: usize,
    value: *const u8,
    value_len: usize,
    remove: bool,
}

type RawEach = extern "C" fn(*mut c_void, *const u8, usize, *const u8, usize) -> bool;

thread_local! {
    static FAILURE: RefCell<CString> = RefCell::default();
}

fn told<T>(answer: Answer<T>) -> Option<T> {
    answer
        .map_err(|error| {
            let text = CString::new(error.to_string().replace('\0', " ")).unwrap_or_default();
            FAILURE.with(|failure| *failure.borrow_mut() = text);
        })
        .ok()
}

/// # Safety
/// `data` points to `len` bytes, or `len` is 0.
unsafe fn slice<'a>(data: *const u8, len: usize) -> &'a [u8] {
    if len == 0 {
        return &[];
    }
    // SAFETY: as the caller promises.
    unsafe { std::slice::from_raw_parts(data, len) }
}

/// # Safety
/// As peers.h says: a path that ends with NUL and a place for the peer.
#[no_mangle]
pub unsafe extern "C" fn peer_open(
    engine: u32,
    path: *const c_char,
    durable: bool,
    cache_bytes: u64,
    value_bytes: u64,
    out: *mut *mut Box<dyn Peer>,
) -> i32 {
    // SAFETY: the caller gives a string.
    let path = unsafe { CStr::from_ptr(path) }.to_string_lossy().into_owned();
    let setup = Setup {
        path: Path::new(&path),
        durable,
        cache_bytes,
        value_bytes,
    };
    let opened = if engine == 0 {
        redb_peer::open(&setup)
    } else {
        fjall_peer::open(&setup)
    };
    let Some(peer) = told(opened) else { return -1 };
    // SAFETY: the caller gives a place.
    unsafe { *out = Box::into_raw(Box::new(peer)) };
    0
}

/// # Safety
/// `peer` came from `peer_open`, and no session of it is left.
#[no_mangle]
pub unsafe extern "C" fn peer_close(peer: *mut Box<dyn Peer>) {
    // SAFETY: made by Box::into_raw in peer_open.
    drop(unsafe { Box::from_raw(peer) });
}

/// # Safety
/// `peer` is open; `changes` are `count`.
#[no_mangle]
pub unsafe extern "C" fn peer_put(
    peer: *const Box<dyn Peer>,
    changes: *const RawChange,
    count: usize,
) -> i32 {
    // SAFETY: as the caller promises.
    let (peer, changes) = unsafe { (&*peer, std::slice::from_raw_parts(changes, count)) };
    let mut each = changes.iter().map(|change| Change {
        // SAFETY: the caller's bytes, for as long as the call.
        key: unsafe { slice(change.key, change.key_len) },
        // SAFETY: the same.
        value: (!change.remove).then(|| unsafe { slice(change.value, change.value_len) }),
    });
    told(peer.put(&mut each)).map_or(-1, |()| 0)
}

/// # Safety
/// `peer` is open.
#[no_mangle]
pub unsafe extern "C" fn peer_sync(peer: *const Box<dyn Peer>) -> i32 {
    // SAFETY: as the caller promises.
    told(unsafe { &*peer }.sync()).map_or(-1, |()| 0)
}

/// # Safety
/// `peer` is open, nothing else uses it.
#[no_mangle]
pub unsafe extern "C" fn peer_settle(peer: *mut Box<dyn Peer>) -> i32 {
    // SAFETY: as the caller promises.
    told(unsafe { &mut *peer }.settle()).map_or(-1, |()| 0)
}

/// # Safety
/// `peer` is open; `out` is a place.
#[no_mangle]
pub unsafe extern "C" fn peer_session_new(
    peer: *const Box<dyn Peer>,
    frozen: bool,
    out: *mut *mut Box<dyn Session>,
) -> i32 {
    // SAFETY: as the caller promises.
    let Some(session) = told(unsafe { &*peer }.session(frozen)) else {
        return -1;
    };
    // SAFETY: as the caller promises.
    unsafe { *out = Box::into_raw(Box::new(session)) };
    0
}

/// # Safety
/// `session` came from `peer_session_new`.
#[no_mangle]
pub unsafe extern "C" fn peer_session_free(session: *mut Box<dyn Session>) {
    // SAFETY: made by Box::into_raw in peer_session_new.
    drop(unsafe { Box::from_raw(session) });
}

/// # Safety
/// As peers.h says.
#[no_mangle]
pub unsafe extern "C" fn peer_get(
    session: *mut Box<dyn Session>,
    key: *const u8,
    key_len: usize,
    out: *mut *const u8,
    out_len: *mut usize,
) -> i32 {
    // SAFETY: as the caller promises.
    let (session, key) = unsafe { (&mut *session, slice(key, key_len)) };
    match told(session.get(key)) {
        None => -1,
        Some(false) => 1,
        Some(true) => {
            let found = session.found();
            // SAFETY: as the caller promises.
            unsafe { (*out, *out_len) = (found.as_ptr(), found.len()) };
            0
        }
    }
}

/// # Safety
/// As peers.h says.
#[no_mangle]
pub unsafe extern "C" fn peer_walk(
    session: *mut Box<dyn Session>,
    start: *const u8,
    start_len: usize,
    each: RawEach,
    user: *mut c_void,
) -> i32 {
    // SAFETY: as the caller promises.
    let (session, start) = unsafe { (&mut *session, slice(start, start_len)) };
    let mut call =
        |key: &[u8], value: &[u8]| each(user, key.as_ptr(), key.len(), value.as_ptr(), value.len());
    told(session.walk(start, &mut call)).map_or(-1, |()| 0)
}

#[no_mangle]
pub extern "C" fn peer_failure() -> *const c_char {
    FAILURE.with(|failure| failure.borrow().as_ptr())
}
