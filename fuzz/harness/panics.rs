//! Counts panics of this thread, caught ones as well: the C API turns a panic into a status, which may not hide it.

use std::{cell::Cell, panic, sync::Once};

thread_local! {
    static SEEN: Cell<u64> = const { Cell::new(0) };
}

/// How many there were so far.
pub fn seen() -> u64 {
    static HOOK: Once = Once::new();
    HOOK.call_once(|| {
        let report = panic::take_hook();
        panic::set_hook(Box::new(move |info| {
            SEEN.set(SEEN.get() + 1);
            report(info);
        }));
    });
    SEEN.get()
}
