//! The one ordered index: what is newest in memory (`memtable`), immutable sorted files on disk (`part`, and `run`, a
//! sequence of parts disjoint in key), and everything that reads across them (`merged`, `scan`) or writes new ones
//! (`builder`, driven by `plan`).
//!
//! An entry is one version of a key. The order everywhere is key ascending, then seq *descending*: a key's newest
//! version comes first. Where the same (key, seq) occurs twice, the one met first wins: in a memtable the later
//! insert, across sources the newer source.
//!
//! Everything here may be read from any thread at once; builders and cursors belong to one caller at a time.

use std::sync::Arc;

use crate::vfs::Region;

mod builder;
#[cfg(test)]
#[cfg(sarsen_explore)]
mod explored;
mod filter;
#[cfg(feature = "simulation")]
pub(crate) mod fuzzing;
#[cfg(test)]
mod golden;
mod growing;
mod hints;
mod memtable;
mod merged;
mod page;
mod part;
mod part_cursor;
mod part_format;
mod part_map;
mod part_verify;
mod part_writer;
mod plan;
mod run;
mod scan;
mod spare;
#[cfg(test)]
mod tests;

pub(crate) use builder::{BuildObserver, BuildRules, BuildStep, Builder};
pub(crate) use memtable::{Memtable, MemtableCursor};
pub(crate) use merged::Merged;
pub(crate) use page::{copy_short, hash_key};
pub(crate) use part::{parse_part_file_name, part_file_name, Part, PrefetchStep, SampledEntry};
pub(crate) use part_map::read_unknown_footer;
pub(crate) use part_writer::{PartWriter, LARGE_PIECE_BYTES, SMALL_PIECE_BYTES};
pub(crate) use plan::{plan_merge, MergePlan};
pub(crate) use run::Run;
pub(crate) use scan::Scan;
pub(crate) use spare::SpareArenas;

/// Kind of an entry that says: deleted as of its seq. Every other kind means something to the caller only.
pub(crate) const TOMBSTONE: u8 = 0;

/// One version of a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Entry<'a> {
    pub(crate) key: &'a [u8],
    pub(crate) seq: u64,
    pub(crate) kind: u8,
    pub(crate) value: &'a [u8],
}

/// What a point read found. `region` is what the value lies in: cloning it pins the value.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Hit<'a> {
    pub(crate) seq: u64,
    pub(crate) kind: u8,
    pub(crate) value: &'a [u8],
    pub(crate) region: &'a Arc<Region>,
}

/// What a look-up says that opens nothing, checks nothing and can't fail.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Probe<'a> {
    Found(Hit<'a>),
    Absent,
    /// It takes more than that.
    Unsure,
}
