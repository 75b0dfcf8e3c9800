//! Sequences of calls of the C API drawn from the input, right and wrong ones: NULL, handles of another kind, impossible
//! lengths, children of closed stores. What is known is compared with a model, and every handle is freed exactly once.
//!
//! Handles that were freed are never passed again: the header calls that undefined.
#![expect(unsafe_code, reason = "it calls the C API as C does")]

mod handles;
mod reads;
mod store;
mod writes;

use std::{
    ffi::{c_void, CStr},
    ptr,
};

use sarsen::{c_api::*, simulation::SimVfs};

use super::{
    input::Input,
    model::Model,
    stores::{bases, disk, disk_with},
};
use handles::{Handle, Kind, Seen};

const MOST_CALLS: usize = 160;
/// The last byte of an input that begins with the first of the stores that are there.
const FIRST_BASE: u8 = 0xf0;

/// What is wrong with a call. One thing at a time, so that the answer is known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Twist {
    Nothing,
    NullHandle,
    WrongHandle,
    NullBytes,
    ImpossibleLength,
    NullOut,
}

/// A store that is open.
struct Opening {
    number: u32,
    pointer: *mut sarsen_store,
    read_only: bool,
    model: Model,
}

struct Calls<'a> {
    input: Input<'a>,
    disk: SimVfs,
    /// Of this path the model knows everything.
    openings: Vec<Opening>,
    next_opening: u32,
    /// What the store holds while nobody has it open for writing.
    closed_model: Model,
    handles: Vec<Handle>,
    views: Vec<(sarsen_view, Vec<u8>)>,
    blocks: Vec<(sarsen_block, Vec<u8>)>,
    backups: u32,
    twist: Twist,
    /// Pass a place for the error.
    wants_error: bool,
    error: *mut sarsen_error,
}

/// An input that ends with one of four bytes begins with a store that is there, others with a new one.
pub fn run(bytes: &[u8]) {
    let base = bytes
        .last()
        .and_then(|last| last.checked_sub(FIRST_BASE))
        .and_then(|base| bases().get(usize::from(base)));
    let mut calls = Calls {
        input: Input::new(bytes),
        disk: base.map_or_else(disk, |base| disk_with(&base.files)),
        openings: Vec::new(),
        next_opening: 1,
        closed_model: base.map(|base| base.model.clone()).unwrap_or_default(),
        handles: Vec::new(),
        views: Vec::new(),
        blocks: Vec::new(),
        backups: 0,
        twist: Twist::Nothing,
        wants_error: true,
        error: ptr::null_mut(),
    };
    calls.open(false);
    let mut made = 0;
    while !calls.input.is_empty() && made < MOST_CALLS {
        calls.call();
        made += 1;
    }
    calls.end();
}

impl Calls<'_> {
    fn call(&mut self) {
        let (what, how) = (self.input.u8(), self.input.u8());
        self.wants_error = how & 1 == 0;
        self.twist = match how >> 1 {
            0..=99 => Twist::Nothing,
            100..=105 => Twist::NullHandle,
            106..=111 => Twist::WrongHandle,
            112..=117 => Twist::NullBytes,
            118..=122 => Twist::ImpossibleLength,
            _ => Twist::NullOut,
        };
        match what % 52 {
            0..=2 => self.kv_set(),
            3 => self.kv_delete(),
            4 | 5 => self.stream_append(),
            6 => self.stream_trim(),
            7 | 8 => self.memory_append(),
            9 => self.memory_delete(),
            10 => self.block_append(),
            11 => self.block_free(),
            12 => self.batch_new(),
            13..=15 => self.batch_add(),
            16 => self.batch_load(),
            17 | 18 => self.batch_commit(),
            19 => self.batch_clear(),
            20 | 21 => self.kv_get(),
            22 => self.kv_read(),
            23 => self.kv_get_many(),
            24 | 25 => self.kv_scan(),
            26 | 27 => self.kv_iter_next(),
            28 => self.kv_iter_fill(),
            29 => self.memory_get(),
            30 => self.memory_info(),
            31 => self.memory_find(),
            32 => self.memory_iter_next(),
            33 => self.stream_get(),
            34 => self.stream_read(),
            35 => self.stream_iter_next(),
            36 => self.stream_list(),
            37 => self.stream_names_next(),
            38 => self.block_view(),
            39 => self.snapshot_new(),
            40 => self.tags_change(),
            41 => self.log_read(),
            42 => self.log_next(),
            43 => self.verify(),
            44 => self.figures(),
            45 => self.durability(),
            46 => self.upkeep(),
            47 => self.release_view(),
            48 => self.free_something(),
            49 => self.close(),
            50 => self.open_again(),
            _ => self.rare(),
        }
    }

    // ---- arguments -------------------------------------------------------------------------------

    /// Where the error is to go.
    fn place(&mut self) -> *mut *mut sarsen_error {
        if self.wants_error {
            // Something that the call must overwrite.
            self.error = ptr::dangling_mut();
            &raw mut self.error
        } else {
            ptr::null_mut()
        }
    }

    /// Bytes to pass, after the twist: a pointer and a length.
    fn passed(&self, bytes: &[u8]) -> (*const c_void, usize) {
        match self.twist {
            Twist::NullBytes => (ptr::null(), bytes.len().max(1)),
            Twist::ImpossibleLength => (bytes.as_ptr().cast(), usize::MAX - bytes.len() % 2),
            _ if bytes.is_empty() => (ptr::null(), 0),
            _ => (bytes.as_ptr().cast(), bytes.len()),
        }
    }

    /// A place for an answer, after the twist.
    fn out<T>(&self, place: &mut T) -> *mut T {
        if self.twist == Twist::NullOut {
            ptr::null_mut()
        } else {
            place
        }
    }

    fn key(&mut self) -> Vec<u8> {
        const KEYS: [&[u8]; 6] = [b"", b"a", b"ab", b"b", b"\xff", b"key"];
        match self.input.below(10) {
            number @ 0..=5 => KEYS[number].to_vec(),
            6 => vec![b'k'; 65_535 + self.input.below(2)],
            _ => {
                let len = self.input.below(9);
                self.input.take(len).to_vec()
            }
        }
    }

    fn value(&mut self) -> Vec<u8> {
        const LENGTHS: [usize; 8] = [0, 1, 9, 100, 1_024, 1_025, 3_000, 33_000];
        let len = LENGTHS[self.input.below(LENGTHS.len())];
        let byte = self.input.u8();
        (0..len).map(|at| byte.wrapping_add((at % 251) as u8)).collect()
    }

    fn tag(&mut self) -> String {
        const TAGS: [&str; 5] = ["a", "b", "ab", "all", "\u{1F980}"];
        TAGS[self.input.below(TAGS.len())].to_owned()
    }

    fn id(&mut self) -> u64 {
        match self.input.below(8) {
            0 => u64::MAX,
            number => number as u64,
        }
    }

    // ---- answers ---------------------------------------------------------------------------------

    /// The status must be one of these, and the error object what the header says.
    #[track_caller]
    fn settle(&mut self, status: sarsen_status, allowed: &[sarsen_status]) {
        let error = std::mem::replace(&mut self.error, ptr::null_mut());
        assert!(
            allowed.contains(&status),
            "status {status} instead of one of {allowed:?}"
        );
        if !self.wants_error {
            return;
        }
        let expected = [SARSEN_OK, SARSEN_NOT_FOUND, SARSEN_END, SARSEN_TIMEOUT].contains(&status);
        assert_eq!(
            error.is_null(),
            expected,
            "an error object beside status {status}"
        );
        if error.is_null() {
            return;
        }
        // SAFETY: an error that the call handed out.
        unsafe {
            assert_eq!(sarsen_error_status(error), status);
            assert!(!CStr::from_ptr(sarsen_error_message(error)).is_empty());
            let file = sarsen_error_file(error);
            assert!(file.is_null() || !CStr::from_ptr(file).is_empty());
            let numbers = (
                sarsen_error_offset(error),
                sarsen_error_first_seq(error),
                sarsen_error_last_seq(error),
            );
            assert!(numbers.1 <= numbers.2);
            assert!(sarsen_error_os_code(error) >= 0);
            if self.handles.len().is_multiple_of(4) && self.handles.len() < 40 {
                self.keep(Kind::Error, error.cast(), None, Seen::Nothing);
            } else {
                sarsen_error_free(error);
            }
        }
    }

    /// What a call answers whose arguments are wrong.
    fn is_refused(&self) -> bool {
        self.twist != Twist::Nothing
    }

    const REFUSED: [sarsen_status; 2] = [SARSEN_INVALID_ARGUMENT, SARSEN_TOO_LARGE];

    fn check_view(&mut self, mut view: sarsen_view, expected: &[u8]) {
        assert_eq!(view.len, expected.len(), "the length of a view");
        // SAFETY: a view that a call filled in.
        let found = unsafe { bytes_at(view.data, view.len) };
        assert!(found == expected, "the bytes of a view");
        if self.views.len() < 16 {
            self.views.push((view, expected.to_vec()));
        } else {
            // SAFETY: as above, released once.
            unsafe { sarsen_view_release(&mut view) };
        }
    }

    fn release_view(&mut self) {
        if self.views.is_empty() {
            return;
        }
        let place = self.input.below(self.views.len());
        let (mut view, expected) = self.views.swap_remove(place);
        // SAFETY: a view that was handed out and not yet released; released twice, the second time empty.
        unsafe {
            assert!(bytes_at(view.data, view.len) == expected, "a view changed");
            sarsen_view_release(&mut view);
            assert!(view.data.is_null() && view.len == 0);
            sarsen_view_release(&mut view);
            sarsen_view_release(ptr::null_mut());
        }
    }

    /// Frees everything that is left, children after their stores.
    fn end(&mut self) {
        self.twist = Twist::Nothing;
        while !self.openings.is_empty() {
            self.close();
        }
        while let Some(handle) = self.handles.pop() {
            handle.free();
        }
        while !self.views.is_empty() {
            self.release_view();
        }
    }
}

/// # Safety
/// `data` is good for `len` bytes, or `len` is 0.
unsafe fn bytes_at<'a>(data: *const u8, len: usize) -> &'a [u8] {
    if len == 0 {
        return &[];
    }
    // SAFETY: this function's contract.
    unsafe { std::slice::from_raw_parts(data, len) }
}

/// A memory, its tags, a scan, streams, a search, the log, a write, upkeep, verify, and it closes.
const OLD_STORE: &[u8] = &[
    0, 29, 0, 0, 0, 3, 30, 0, 0, 0, 4, 24, 0, 0, 0, 0, 0, 0, 26, 0, 0, 26, 0, 0, 36, 0, 0, 0, 37, 0, 0, 32,
    0, 0, 41, 0, 0, 2, 0, 42, 0, 0, 3, 0, 0, 0, 1, 2, 7, 46, 0, 0, 1, 43, 0, 0, 49, 0, 0,
];

pub fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    // Pairs of what and how, with the arguments that each takes.
    vec![
        ("nothing", vec![]),
        ("set_and_get", vec![0, 0, 0, 1, 2, 7, 20, 0, 0, 0, 1, 44, 0]),
        (
            "scan",
            vec![
                0, 0, 0, 1, 2, 7, 0, 0, 0, 2, 3, 8, 24, 0, 0, 0, 0, 0, 0, 26, 0, 0, 26, 0, 0, 26, 0, 0,
            ],
        ),
        (
            "stream",
            vec![
                4, 0, 0, 1, 2, 9, 4, 0, 0, 1, 2, 9, 34, 0, 0, 0, 1, 0, 35, 0, 0, 33, 0, 0, 0, 1, 1, 36, 0, 0,
                0, 37, 0, 0,
            ],
        ),
        (
            "memory",
            vec![
                40, 0, 0, 0, 7, 0, 0, 1, 2, 4, 30, 0, 0, 0, 1, 31, 0, 0, 0, 0, 0, 0, 32, 0, 0,
            ],
        ),
        (
            "batch",
            vec![12, 0, 13, 0, 0, 0, 1, 2, 3, 14, 0, 0, 4, 1, 2, 3, 17, 0, 0, 0, 0],
        ),
        (
            "close_with_children",
            vec![
                39, 0, 0, 24, 0, 0, 0, 0, 0, 0, 49, 0, 0, 26, 0, 0, 50, 0, 0, 48, 0, 0,
            ],
        ),
        (
            "wrong_handles",
            vec![
                39, 0, 0, 0, 220, 0, 1, 2, 3, 20, 215, 0, 0, 1, 26, 220, 0, 43, 250, 0,
            ],
        ),
        (
            "impossible_lengths",
            vec![0, 240, 0, 1, 2, 3, 20, 240, 0, 0, 1, 4, 230, 0, 1, 2, 3],
        ),
        (
            "upkeep",
            vec![
                0, 0, 0, 1, 2, 7, 46, 0, 0, 0, 46, 0, 0, 1, 46, 0, 0, 2, 20, 0, 0, 0, 1, 43, 0, 0,
            ],
        ),
        ("log", vec![0, 0, 0, 1, 2, 7, 41, 0, 0, 0, 42, 0, 0, 42, 0, 0]),
        ("closed_store", [OLD_STORE, &[FIRST_BASE]].concat()),
        ("store_with_runs", [OLD_STORE, &[FIRST_BASE + 1]].concat()),
        ("log_tail", [OLD_STORE, &[FIRST_BASE + 2]].concat()),
        ("kept_log", [OLD_STORE, &[FIRST_BASE + 3]].concat()),
    ]
}
