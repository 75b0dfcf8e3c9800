//! One frozen view over everything.

use std::sync::Arc;

use crate::engine::{Engine, View};

/// What was visible at one commit, over all four kinds of data, until this is dropped. Any number of threads.
#[derive(Debug)]
pub struct Snapshot {
    engine: Arc<Engine>,
    seq: u64,
    /// In a read-only store: the writer doesn't know of this snapshot, so it keeps what it looks at itself.
    pinned: Option<View>,
}

impl Snapshot {
    pub(super) fn new(engine: Arc<Engine>) -> Snapshot {
        if engine.options().read_only {
            let view = engine.view();
            return Snapshot {
                engine,
                seq: view.seq,
                pinned: Some(view),
            };
        }
        let seq = engine.take_snapshot();
        Snapshot {
            engine,
            seq,
            pinned: None,
        }
    }

    pub(super) fn pinned(&self) -> Option<&View> {
        self.pinned.as_ref()
    }

    /// The newest commit it sees.
    pub fn seq(&self) -> u64 {
        self.seq
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        if self.pinned.is_none() {
            self.engine.release_snapshot(self.seq);
        }
    }
}

/// What a read looks at: a snapshot, or now.
pub(super) fn view_of(engine: &Engine, snapshot: Option<&Snapshot>) -> View {
    match snapshot {
        Some(Snapshot {
            pinned: Some(view), ..
        }) => view.clone(),
        Some(snapshot) => engine.view_at(snapshot.seq),
        None => engine.view(),
    }
}
