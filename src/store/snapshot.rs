//! One frozen view over everything.

use std::sync::Arc;

use crate::engine::{Engine, View};

/// What was visible at one commit, over all four kinds of data, until this is dropped. Any number of threads.
#[derive(Debug)]
pub struct Snapshot {
    engine: Arc<Engine>,
    seq: u64,
}

impl Snapshot {
    pub(super) fn new(engine: Arc<Engine>) -> Snapshot {
        let seq = engine.take_snapshot();
        Snapshot { engine, seq }
    }

    /// The newest commit it sees.
    pub fn seq(&self) -> u64 {
        self.seq
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        self.engine.release_snapshot(self.seq);
    }
}

/// What a read looks at: a snapshot, or now.
pub(super) fn view_of(engine: &Engine, snapshot: Option<&Snapshot>) -> View {
    match snapshot {
        Some(snapshot) => engine.view_at(snapshot.seq),
        None => engine.view(),
    }
}
