//! The library of the fuzz targets; `harness` says what they do.

#[path = "../harness/mod.rs"]
pub mod harness;
