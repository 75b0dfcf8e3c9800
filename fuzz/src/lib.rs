//! The library of the fuzz targets; `harness` says what they do.

#[path = "../../tests/crash/commits.rs"]
mod commits;
#[path = "../../tests/model/compare.rs"]
mod compare;
#[path = "../../tests/model/disk.rs"]
mod disk;
#[path = "../../tests/model/draws.rs"]
mod draws;
#[path = "../harness/mod.rs"]
pub mod harness;
#[path = "../../tests/crash/history.rs"]
mod history;
#[path = "../../tests/model/run.rs"]
mod run;
#[path = "../../tests/model/state.rs"]
mod state;
