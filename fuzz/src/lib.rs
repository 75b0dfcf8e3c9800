//! The library of the fuzz targets; `harness` says what they do.

#[path = "../../tests/crash/beside.rs"]
mod beside;
#[path = "../../tests/crash/commits.rs"]
mod commits;
#[path = "../../tests/model/compare.rs"]
mod compare;
#[expect(dead_code, reason = "other tests use more of it")]
#[path = "../../tests/crash/difference.rs"]
mod difference;
#[path = "../../tests/model/disk.rs"]
mod disk;
#[path = "../../tests/model/draws.rs"]
mod draws;
#[path = "../harness/mod.rs"]
pub mod harness;
#[expect(dead_code, reason = "other tests use more of it")]
#[path = "../../tests/crash/history.rs"]
mod history;
#[path = "../../tests/model/run.rs"]
mod run;
#[path = "../../tests/model/state.rs"]
mod state;
#[path = "../../tests/crash/trace.rs"]
mod trace;
