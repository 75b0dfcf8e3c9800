//! An allocator that counts, for each thread, what is taken: damage must not make the engine ask for more than the store
//! is long.

use std::{
    alloc::{GlobalAlloc, Layout, System},
    cell::Cell,
};

thread_local! {
    static LARGEST: Cell<usize> = const { Cell::new(0) };
    static LIVE: Cell<isize> = const { Cell::new(0) };
    static MOST: Cell<isize> = const { Cell::new(0) };
}

pub struct Counting;

fn note(taken: usize, given_back: usize) {
    let live = LIVE.get() + taken as isize - given_back as isize;
    LIVE.set(live);
    MOST.set(MOST.get().max(live));
    LARGEST.set(LARGEST.get().max(taken));
}

// SAFETY: every call is the system allocator's, with the same arguments. What is noted lies in thread-locals that need
// neither memory nor a destructor, so nothing in here allocates.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        note(layout.size(), 0);
        // SAFETY: the caller's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        note(layout.size(), 0);
        // SAFETY: the caller's.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        note(0, layout.size());
        // SAFETY: the caller's.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        note(new_size, layout.size());
        // SAFETY: the caller's.
        unsafe { System.realloc(pointer, layout, new_size) }
    }
}

/// Heap that this thread took between two moments.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Use {
    /// The largest single piece.
    pub largest: usize,
    /// The most that was held at once.
    pub most: usize,
}

pub struct Begun(isize);

pub fn begin() -> Begun {
    LARGEST.set(0);
    MOST.set(LIVE.get());
    Begun(LIVE.get())
}

pub fn end(begun: Begun) -> Use {
    Use {
        largest: LARGEST.get(),
        most: usize::try_from(MOST.get() - begun.0).unwrap_or(0),
    }
}
