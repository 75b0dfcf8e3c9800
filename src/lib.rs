//! sarsen: an embedded store that keeps blocks, memories, key-value pairs and streams behind one log and one
//! atomic commit. See `docs/ARCHITECTURE.md` for how it works and `include/sarsen.h` for the C API.

mod blocks;
mod engine;
mod error;
mod ffi;
mod format;
mod index;
mod log;
mod store;
mod vfs;

pub use error::{Error, Result};
pub use store::{
    Batch, BlockAddress, Check, CommandKind, Data, Filled, Finding, KvIter, LogCommand, LogMethod, LogReader,
    MemoryIter, Options, Recovery, Snapshot, Stats, Store, StreamIter, StreamNames, Survive, Tags, Verdict,
    View,
};

/// The simulated disk that the crash tests run on; no part of the library's promise.
#[cfg(feature = "simulation")]
pub mod simulation {
    pub use crate::vfs::{
        defect::{make, Defect},
        sim::{Fault, FaultKind, Operation, Rot, SimVfs},
        turn::turns::{Entered, Turns},
    };
}
