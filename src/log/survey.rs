//! Which segments of the log count, as their first headers tell; read from the files without a map.

use std::{path::Path, sync::Arc};

use super::{
    inspect::CheckedHeader,
    segment::{open, segment_files},
};
use crate::{
    error::Result,
    format::{
        bytes::{to_u64, to_usize},
        frame::{FrameHeader, FrameSeed, HEADER_BYTES},
    },
    vfs::Vfs,
};

/// Seq of the oldest commit in the log; `None` where there is none.
pub(crate) fn first_seq(
    vfs: &Arc<dyn Vfs>,
    directory: &Path,
    uuid: [u8; 16],
    first_segment: u64,
) -> Result<Option<u64>> {
    Ok(live_segments(vfs.as_ref(), directory, uuid, first_segment)?
        .first()
        .map(|first| first.header.seq))
}

/// Seq of the first commit of each segment that counts, ascending.
pub(crate) fn segment_starts(
    vfs: &Arc<dyn Vfs>,
    directory: &Path,
    uuid: [u8; 16],
    first_segment: u64,
) -> Result<Vec<u64>> {
    let live = live_segments(vfs.as_ref(), directory, uuid, first_segment)?;
    Ok(live.iter().map(|first| first.header.seq).collect())
}

/// A segment as its first frame describes it.
#[derive(Debug, Clone, Copy)]
pub(super) struct First {
    pub(super) number: u64,
    pub(super) header: FrameHeader,
}

/// Those segments, oldest first, whose frames count. What a crash left behind a cut-off tail doesn't: the opening after
/// it started again at a seq no higher, in a later segment.
pub(super) fn live_segments(
    vfs: &dyn Vfs,
    directory: &Path,
    uuid: [u8; 16],
    first_segment: u64,
) -> Result<Vec<First>> {
    let mut live: Vec<First> = Vec::new();
    for (number, _) in segment_files(vfs, directory)? {
        if number < first_segment {
            continue;
        }
        if let Some(checked) = first_header(vfs, directory, uuid, number)? {
            while live
                .pop_if(|earlier| earlier.header.seq >= checked.header.seq)
                .is_some()
            {}
            live.push(First {
                number,
                header: checked.header,
            });
        }
    }
    Ok(live)
}

/// The header at the start of a segment file, read without a map; `None` if there is none, or no such file any more.
pub(super) fn first_header(
    vfs: &dyn Vfs,
    directory: &Path,
    uuid: [u8; 16],
    number: u64,
) -> Result<Option<CheckedHeader>> {
    let Some(file) = open(vfs, directory, number)? else {
        return Ok(None);
    };
    let size = file.len()?;
    let mut head = [0; HEADER_BYTES];
    if size < to_u64(HEADER_BYTES) {
        return Ok(None);
    }
    file.read_at(0, &mut head)?;
    let Some((header, crc)) = FrameHeader::decode_unchecked(&head) else {
        return Ok(None);
    };
    let Some(frame_len) = header.frame_len().filter(|len| *len <= size) else {
        return Ok(None);
    };
    let Some(assigned_len) = to_usize(u64::from(header.assigned_len)) else {
        return Ok(None);
    };
    let mut assigned = vec![0; assigned_len];
    file.read_at(to_u64(HEADER_BYTES), &mut assigned)?;
    let seed = FrameSeed {
        uuid,
        segment: number,
    };
    Ok(
        (header.encode(&seed, &assigned).1 == crc).then_some(CheckedHeader {
            header,
            crc,
            frame_len,
        }),
    )
}
