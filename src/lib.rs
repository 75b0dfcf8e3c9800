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

pub use error::{Damage, Error, Refusal, Result, Text};
pub use store::{
    Anatomy, Batch, BlockAddress, BlockIter, Check, ChunkFigures, CommandKind, Data, Filled, Finding, KvIter,
    LogCommand, LogMethod, LogReader, MemoryIter, Options, Recovery, RunFigures, SegmentFigures, Snapshot,
    Stats, Store, StreamIter, StreamNames, Survive, Tags, Verdict, View,
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

/// What fuzzing calls: the promises of each decoder, checked for any input, and inputs to start from. No part of the
/// library's promise either.
#[cfg(feature = "simulation")]
pub mod decoders {
    pub use crate::{
        blocks::fuzzing::{block_seeds, chunk, moved},
        engine::fuzzing::{steps, steps_seeds},
        format::fuzzing::{
            assigned, block_header, chunk_header, commands, frame, load, manifest, mark, record, seeds, Seed,
        },
        index::fuzzing::{footer, index_seeds, page, part},
    };
}

/// The C API for fuzzing: the functions of `include/sarsen.h`, and a way to open a store on a simulated disk.
#[cfg(feature = "simulation")]
pub mod c_api {
    pub use crate::ffi::names::*;
}
