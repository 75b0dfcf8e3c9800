//! Counts what a thread has allocated, so that a target can say how much memory an input may cost.
//!
//! Counted is the heap of the calling thread: targets work in one thread. Memory maps are not counted; the fuzzer's
//! limit on the whole process has them.
#![expect(unsafe_code, reason = "an allocator that counts is one")]

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

thread_local! {
    static NOW: Cell<i64> = const { Cell::new(0) };
    static MOST: Cell<i64> = const { Cell::new(0) };
}

struct Counting;

#[global_allocator]
static ALLOCATOR: Counting = Counting;

fn count(bytes: i64) {
    let now = NOW.get() + bytes;
    NOW.set(now);
    if now > MOST.get() {
        MOST.set(now);
    }
}

fn signed(bytes: usize) -> i64 {
    i64::try_from(bytes).unwrap_or(i64::MAX)
}

// SAFETY: everything is passed on to the system's allocator as it came; counting touches two plain thread-local
// numbers, which allocate nothing and have no destructors.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        count(signed(layout.size()));
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        count(-signed(layout.size()));
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        count(signed(layout.size()));
        // SAFETY: the caller's promise.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        count(signed(new_size) - signed(layout.size()));
        // SAFETY: the caller's promise.
        unsafe { System.realloc(pointer, layout, new_size) }
    }
}

/// Does the work and panics if this thread's heap grew by more than `most` bytes meanwhile.
pub fn within<T>(most: u64, work: impl FnOnce() -> T) -> T {
    let start = NOW.get();
    MOST.set(start);
    let done = work();
    let grown = u64::try_from(MOST.get() - start).unwrap_or(0);
    assert!(
        grown <= most,
        "{grown} bytes of heap were taken, {most} are allowed"
    );
    done
}
