//! Cuts off whole frames behind the log's end that recovery left out on purpose, because a large block that they name
//! is broken. Should that block ever look whole again (the same bytes written to the same place), they would come back
//! as soon as a crash takes the frame that was to stand in their place.

use std::{path::Path, sync::Arc};

use super::segment::{segment_file_name, segment_files};
use crate::{
    error::Result,
    format::{
        bytes::to_u64,
        frame::{FrameHeader, HEADER_BYTES},
        manifest::LogPosition,
    },
    vfs::{File, OpenMode, Vfs},
};

/// Wipes out every header that could go on with the log behind `position`, where commit `seq` comes next. To be called
/// once an opening's epoch is durable and before its first append; the caller syncs the files that it returns. A crash
/// in here changes nothing that recovery would find: what is wiped out was left out before.
pub(crate) fn cut_off(
    vfs: &Arc<dyn Vfs>,
    directory: &Path,
    position: &LogPosition,
    seq: u64,
) -> Result<Vec<Arc<dyn File>>> {
    let mut wiped = Vec::new();
    for (number, _) in segment_files(vfs.as_ref(), directory)? {
        if number < position.segment {
            continue;
        }
        let offset = if number == position.segment {
            position.offset
        } else {
            0
        };
        let path = directory.join(segment_file_name(number));
        let mut head = [0; HEADER_BYTES];
        let file = vfs.open(&path, OpenMode::Read)?;
        let len = file.len()?;
        if offset
            .checked_add(to_u64(HEADER_BYTES))
            .is_none_or(|end| end > len)
        {
            continue;
        }
        file.read_at(offset, &mut head)?;
        let goes_on = FrameHeader::decode_unchecked(&head)
            .is_some_and(|(header, _)| header.seq == seq && header.previous_crc == position.previous_crc);
        // Zeros may be those of an opening that did not see them through to the disk; the page cache alone has them.
        let perhaps_wiped = head == [0; HEADER_BYTES];
        if goes_on || perhaps_wiped {
            let file = vfs.open(&path, OpenMode::Write)?;
            file.write_at(offset, &[0; HEADER_BYTES])?;
            wiped.push(file);
        }
    }
    Ok(wiped)
}
