//! The writing side of a file: the descriptor, what isn't synced yet, and the failure of a sync, which stays.
//!
//! Any thread may write or sync. A sync covers every write that had returned before it began. The descriptor is never
//! closed while bytes written through it are unsynced: the kernel reports a write-back error once, to descriptors
//! open at that time.

use std::sync::Arc;

use crate::{
    error::{Error, Result},
    format::bytes::to_u64,
    vfs::{lock, sync::Mutex, File},
};

#[derive(Debug, Default)]
pub(super) struct Writing {
    state: Mutex<State>,
    /// Syncs go one after the other, so that two don't take credit for the same bytes.
    syncing: Mutex<()>,
}

#[derive(Debug, Default)]
struct State {
    file: Option<Arc<dyn File>>,
    in_flight: u64,
    unsynced: u64,
    failed: Option<Error>,
}

impl Writing {
    /// Of a file that was just created and has a header of `unsynced` bytes.
    pub(super) fn of_new(file: Arc<dyn File>, unsynced: u64) -> Writing {
        let state = State {
            file: Some(file),
            unsynced,
            ..State::default()
        };
        Writing {
            state: Mutex::new(state),
            syncing: Mutex::default(),
        }
    }

    pub(super) fn file(&self) -> Option<Arc<dyn File>> {
        lock(&self.state).file.clone()
    }

    /// `open` is asked for a descriptor if there is none.
    pub(super) fn write(
        &self,
        offset: u64,
        bytes: &[u8],
        open: &dyn Fn() -> Result<Arc<dyn File>>,
    ) -> Result<()> {
        let file = {
            let mut state = lock(&self.state);
            if let Some(error) = &state.failed {
                return Err(error.clone());
            }
            let file = match &state.file {
                Some(file) => Arc::clone(file),
                None => {
                    let file = open()?;
                    state.file = Some(Arc::clone(&file));
                    file
                }
            };
            state.in_flight = state.in_flight.saturating_add(1);
            file
        };
        let result = file.write_at(offset, bytes);
        let mut state = lock(&self.state);
        state.in_flight = state.in_flight.saturating_sub(1);
        // A failed write may have left some of its bytes behind.
        state.unsynced = state.unsynced.saturating_add(to_u64(bytes.len()));
        result
    }

    pub(super) fn sync(&self) -> Result<()> {
        let _one_at_a_time = lock(&self.syncing);
        let (file, covered) = {
            let state = lock(&self.state);
            match (&state.failed, &state.file) {
                (Some(error), _) => return Err(error.clone()),
                (None, Some(file)) if state.unsynced > 0 => (Arc::clone(file), state.unsynced),
                (None, _) => return Ok(()),
            }
        };
        let result = file.sync();
        let mut state = lock(&self.state);
        match &result {
            Ok(()) => state.unsynced = state.unsynced.saturating_sub(covered),
            Err(error) => state.failed = Some(error.clone()),
        }
        result
    }

    /// 0 once everything is synced and nothing is being written.
    pub(super) fn unsynced_bytes(&self) -> u64 {
        let state = lock(&self.state);
        state.unsynced.max(state.in_flight)
    }

    /// Closes the descriptor where the rule above allows it.
    pub(super) fn close(&self) {
        let mut state = lock(&self.state);
        if state.unsynced == 0 && state.in_flight == 0 && state.failed.is_none() {
            state.file = None;
        }
    }
}
