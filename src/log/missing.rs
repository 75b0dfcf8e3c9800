//! Where a commit would have to be that is not in the log any more: for the error that says so. Reads only.

use std::path::Path;

use super::{
    inspect::{frame_behind, header_at},
    segment::{open, segment_display_name, segment_files},
};
use crate::{
    error::{Error, Result},
    format::{
        bytes::{to_u64, u32_at},
        frame::{FrameSeed, Mark, MARK_BYTES},
    },
    vfs::{Region, Vfs},
};

/// The damage that hides commit `seq`, which the log is known to have: in the frame itself, or at the first place behind
/// whole headers from which it can't be reached. `None` where nothing does, if recovery reached it (`recovered`): the
/// frame is whole, and was not given out for want of the one before it, which tells the epoch.
pub(crate) fn damage_that_hides(
    vfs: &dyn Vfs,
    directory: &Path,
    uuid: [u8; 16],
    first_segment: u64,
    seq: u64,
    recovered: bool,
) -> Option<Error> {
    let (segment, offset) =
        find(vfs, directory, uuid, first_segment, seq, recovered).unwrap_or(Some((first_segment, 0)))?;
    Some(Error::corrupt_commits(
        segment_display_name(segment),
        offset,
        "the frame of a commit that the log has to have is damaged or missing",
        seq,
        seq,
    ))
}

/// `None`: recovery reached the frame, and it is whole.
fn find(
    vfs: &dyn Vfs,
    directory: &Path,
    uuid: [u8; 16],
    first_segment: u64,
    seq: u64,
    recovered: bool,
) -> Result<Option<(u64, u64)>> {
    let mut scratch = Vec::new();
    let mut suspect = None;
    let mut last = (first_segment, 0);
    for (number, _) in segment_files(vfs, directory)? {
        if number < first_segment {
            continue;
        }
        let Some(file) = open(vfs, directory, number)? else {
            continue;
        };
        let len = file.len()?;
        if len == 0 {
            suspect.get_or_insert((number, 0));
            continue;
        }
        let region = file.map(len)?;
        let seed = FrameSeed {
            uuid,
            segment: number,
        };
        let mut offset = 0;
        while let Some(checked) = header_at(&region, &seed, offset, &mut scratch) {
            match checked.header.seq.cmp(&seq) {
                // Somewhere before this place.
                std::cmp::Ordering::Greater => return Ok(Some(suspect.unwrap_or(last))),
                std::cmp::Ordering::Equal => {
                    let whole = recovered && frame_behind(&region, offset, &checked, &mut scratch).is_some();
                    return Ok((!whole).then_some((number, offset)));
                }
                std::cmp::Ordering::Less => {}
            }
            suspect = None;
            offset = offset.saturating_add(checked.frame_len);
            last = (number, offset);
        }
        if !looks_unused(&region, &seed, offset) {
            suspect.get_or_insert((number, offset));
        }
    }
    Ok(Some(suspect.unwrap_or(last)))
}

/// Zeros or a mark: nothing was there.
fn looks_unused(region: &Region, seed: &FrameSeed, offset: u64) -> bool {
    let mut bytes = [0; MARK_BYTES];
    let room = region.len().saturating_sub(offset).min(to_u64(bytes.len()));
    if room < to_u64(bytes.len()) || region.copy_to(offset, &mut bytes).is_none() {
        return true;
    }
    Mark::decode(seed, &bytes).is_some() || (u32_at(&bytes, 0) == Some(0) && u32_at(&bytes, 8) == Some(0))
}
