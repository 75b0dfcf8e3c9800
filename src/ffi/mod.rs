//! The C API: one file an object, each function under its C name, its doc comment being the header's text.
//! Nothing happens here but checking arguments, catching panics and turning errors into statuses.
#![expect(
    unsafe_code,
    reason = "pointers from C are dereferenced here, each with its SAFETY"
)]
#![expect(
    non_camel_case_types,
    reason = "the names of the C API, so that grep finds them"
)]
#![cfg_attr(
    feature = "simulation",
    expect(
        clippy::missing_safety_doc,
        reason = "the doc comments are the header's, which states the contract in C's words"
    )
)]

mod batch;
mod block;
mod calls;
mod error;
mod guard;
mod handle;
mod kv;
mod log;
mod memory;
mod options;
mod report;
#[cfg(feature = "simulation")]
mod simulation;
mod snapshot;
mod status;
mod store;
mod stream;
mod tags;
mod view;

/// The C functions and types under their own names, for a caller in Rust that pretends to be C.
#[cfg(feature = "simulation")]
pub mod names {
    pub use super::{
        batch::*, block::*, error::*, kv::*, log::*, memory::*, options::*, report::*, simulation::*,
        snapshot::*, status::*, store::*, stream::*, tags::*, view::*,
    };
}
