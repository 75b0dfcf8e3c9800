//! The log: commits as frames in segment files, in the order of their seq.
//!
//! `supply` makes segments ready ahead of time, `appender` writes frames and marks into them, `sync` makes one sync
//! serve many waiters, `replay` reads the log after a crash, `cut` removes what recovery undid. `tail` follows the
//! log, `survey` tells it which segments count. `inspect` is how both look at bytes that somebody may be storing to;
//! `missing` says where damage is that hides a commit, `stray` which
//! files can't be what they are taken for.
//!
//! An opening appends nothing to a segment of an earlier one: its first frame starts a new segment, whose number is
//! above every number in use. Nor does it change anything there, but for a header that `cut` wipes out. So whatever a crash left behind a log's end stays there, as evidence, until a
//! checkpoint releases the segment. Numbers in use rise along the log, with gaps.

mod appender;
mod cut;
mod inspect;
mod missing;
mod replay;
mod segment;
mod stray;
mod supply;
mod survey;
mod sync;
mod tail;

#[cfg(test)]
mod tests;

pub(crate) use appender::{Appender, FrameParts, ONE_PIECE_STORED_BYTES};
pub(crate) use cut::cut_off;
pub(crate) use missing::damage_that_hides;
pub(crate) use replay::{replay, ReplayEnd, ReplayStart};
pub(crate) use segment::{segment_file_name, segment_files, LogWrite, Segment};
pub(crate) use supply::Supply;
pub(crate) use survey::{first_seq, segment_starts};
pub(crate) use sync::GroupSync;
pub(crate) use tail::{TailFrame, TailReader, TailStart};
