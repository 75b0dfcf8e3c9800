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
mod snapshot;
mod status;
mod store;
mod stream;
mod tags;
mod view;
