//! What `log --follow` and `stream tail --follow` have in common: they wait in short turns, until somebody interrupts.

use std::{
    sync::{
        atomic::{AtomicBool, Ordering},
        Arc,
    },
    time::Duration,
};

use signal_hook::consts::{SIGINT, SIGTERM};

use crate::failure::Failure;

/// How soon an interruption is noticed while nothing comes.
pub const TURN: Duration = Duration::from_millis(100);

/// Turns true when the process is asked to end, by Ctrl-C or SIGTERM: what it prints ends with a whole line then.
#[derive(Debug)]
pub struct Interrupted(Arc<AtomicBool>);

impl Interrupted {
    pub fn watch() -> Result<Interrupted, Failure> {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [SIGINT, SIGTERM] {
            // A second time ends it at once, should it hang.
            signal_hook::flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(&flag))
                .and_then(|_| signal_hook::flag::register(signal, Arc::clone(&flag)))
                .map_err(|error| Failure::System {
                    what: "cannot watch for interruptions".to_owned(),
                    error,
                })?;
        }
        Ok(Interrupted(flag))
    }

    pub fn yet(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }
}
