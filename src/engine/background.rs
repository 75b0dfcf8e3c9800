//! The one thread that a store may have. It does upkeep steps while there are any, and sleeps on a condition
//! variable in between; nothing polls.

use crate::vfs::sync::{atomic::AtomicBool, thread, Condvar, Mutex};
use std::sync::{atomic::Ordering, Arc};

use super::{lock, Engine};
use crate::{
    error::{Error, Result},
    vfs::wait,
};

/// Of the thread, as debuggers show it.
const NAME: &str = "sarsen";
const STACK_BYTES: usize = 1 << 20;

#[derive(Debug, Default)]
pub(super) struct Background {
    /// Work was announced and not yet taken up: the writer's way out before it takes the lock.
    announced: AtomicBool,
    phase: Mutex<Phase>,
    changed: Condvar,
    thread: Mutex<Option<thread::JoinHandle<()>>>,
    running: AtomicBool,
}

#[derive(Debug, Default)]
struct Phase {
    stop: bool,
    working: bool,
}

impl Background {
    /// Announces work. One atomic load if it is announced already or no thread is there.
    pub(super) fn wake(&self) {
        if !self.running.load(Ordering::Relaxed) || self.announced.load(Ordering::Relaxed) {
            return;
        }
        if !self.announced.swap(true, Ordering::AcqRel) {
            let phase = lock(&self.phase);
            if !phase.working {
                self.changed.notify_all();
            }
        }
    }

    /// Waits for work; false: the store is being closed.
    fn wait(&self) -> bool {
        let mut phase = lock(&self.phase);
        loop {
            if phase.stop {
                phase.working = false;
                self.changed.notify_all();
                return false;
            }
            if self.announced.swap(false, Ordering::AcqRel) {
                phase.working = true;
                return true;
            }
            if phase.working {
                phase.working = false;
                self.changed.notify_all();
            }
            phase = wait(&self.changed, &self.phase, phase, None);
        }
    }

    /// Tells threads that wait in `wait_for` that something was finished.
    pub(super) fn finished_something(&self) {
        if self.running.load(Ordering::Relaxed) {
            let _phase = lock(&self.phase);
            self.changed.notify_all();
        }
    }

    /// Lets the thread do what a commit needs: returns once `done`, or once the thread has no work left, which leaves
    /// it to the caller. The same condition variable serves both directions.
    pub(super) fn wait_for(&self, mut done: impl FnMut() -> bool) {
        if !self.running.load(Ordering::Relaxed) || thread::current().name() == Some(NAME) {
            return;
        }
        self.wake();
        let mut phase = lock(&self.phase);
        while !phase.stop && (phase.working || self.announced.load(Ordering::Acquire)) && !done() {
            phase = wait(&self.changed, &self.phase, phase, None);
        }
    }

    /// The thread is about to end on its own.
    fn gone(&self) {
        lock(&self.phase).stop = true;
        self.running.store(false, Ordering::Relaxed);
        self.changed.notify_all();
    }

    fn stopping(&self) -> bool {
        lock(&self.phase).stop
    }

    /// Ends the thread after its current step. The thread itself may call this (it then ends on its own).
    pub(super) fn stop(&self) {
        lock(&self.phase).stop = true;
        self.changed.notify_all();
        self.running.store(false, Ordering::Relaxed);
        if let Some(thread) = lock(&self.thread).take() {
            if thread.thread().id() != thread::current().id() {
                // A panic in it has poisoned the store already.
                let _ = thread.join();
            }
        }
    }
}

impl Engine {
    pub(super) fn start_background(self: &Arc<Self>) -> Result<()> {
        if !self.options.background || self.options.read_only {
            return Ok(());
        }
        let engine = Arc::clone(self);
        self.background.running.store(true, Ordering::Relaxed);
        let thread = thread::Builder::new()
            .name(NAME.to_owned())
            // Said here, the size doesn't come from the environment.
            .stack_size(STACK_BYTES)
            .spawn(move || engine.run_background())
            .map_err(|error| {
                Error::io(
                    "the background thread can't be started; open with background = false",
                    None,
                    error.raw_os_error().unwrap_or(0),
                )
            })?;
        *lock(&self.background.thread) = Some(thread);
        Ok(())
    }

    fn run_background(&self) {
        while self.background.wait() {
            loop {
                let step = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| self.upkeep_step()));
                match step {
                    Ok(Ok(true)) if !self.background.stopping() => {}
                    // Errors are kept where the next commit or maintain call meets them: a full disk by trying
                    // again, anything else as a poisoned store.
                    Ok(_) => break,
                    Err(_) => {
                        self.poison(&Error::internal("upkeep panicked"));
                        self.background.gone();
                        self.run_notifications();
                        return;
                    }
                }
            }
        }
    }
}
