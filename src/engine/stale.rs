//! Finding out that the manifest is an older copy, or that of another store, where the log says nothing: after an orderly
//! close there is none.
//!
//! A part of the index with a number above all that the manifest knows is what a crash left of a checkpoint or a merge,
//! or it belongs to a newer manifest; an import takes the numbers of its parts in the manifest first. What a checkpoint
//! takes over is in a segment first, which is on disk with its name before its first frame, and goes only behind the
//! manifest that names the part. So where such a part holds commits that nothing else has, and no segment is there that
//! they can have come from, they are missing.
//!
//! A part with another uuid is none that this store wrote.

use super::recover::Sources;
use crate::{
    error::{Error, Result},
    index::{parse_part_file_name, read_unknown_footer},
    vfs::EntryKind,
};

/// A part that the manifest doesn't know.
pub(super) struct UnknownPart {
    name: String,
    max_seq: u64,
    is_foreign: bool,
}

/// One of another store, or else the newest of this one. To be called before the log is looked at: a writer may be at
/// work beside this.
pub(super) fn unknown_part(sources: &Sources<'_>) -> Result<Option<UnknownPart>> {
    let manifest = sources.manifest;
    if manifest.log.offset > 0 {
        return Ok(None);
    }
    let directory = sources.root.join("index");
    let mut newest: Option<UnknownPart> = None;
    let entries = match sources.vfs.list(&directory) {
        // Its parts are missing then, which is damage enough.
        Err(_) if sources.options.salvage => return Ok(None),
        entries => entries?,
    };
    for entry in entries {
        let name = entry.name.to_string_lossy();
        let Some(number) = parse_part_file_name(&name).filter(|_| entry.kind == EntryKind::File) else {
            continue;
        };
        let mut named = manifest.runs.iter().flat_map(|run| &run.parts);
        if named.any(|part| part.file == number) {
            continue;
        }
        // One that is not whole, or can't be read, says nothing.
        let Ok(Some(footer)) = read_unknown_footer(sources.vfs, &directory.join(&entry.name), number) else {
            continue;
        };
        let part = UnknownPart {
            name: name.into_owned(),
            max_seq: footer.max_seq,
            is_foreign: footer.uuid != manifest.uuid,
        };
        if part.is_foreign {
            return Ok(Some(part));
        }
        let is_newer = newest.as_ref().is_none_or(|newest| newest.max_seq < part.max_seq);
        if number >= manifest.next_file && is_newer {
            newest = Some(part);
        }
    }
    Ok(newest)
}

/// Damage, if the part is of another store, or has commits behind `last_seq` that no segment can have had.
pub(super) fn damage(
    sources: &Sources<'_>,
    part: &UnknownPart,
    last_seq: u64,
    highest_segment: u64,
) -> Option<Error> {
    if part.is_foreign {
        let what = format!("index/{} is of another store, or the manifest is", part.name);
        return Some(Error::corrupt(super::manifest_file::MANIFEST_NAME, 0, what));
    }
    let has_no_log = highest_segment <= sources.manifest.log.segment;
    (has_no_log && part.max_seq > last_seq).then(|| {
        Error::corrupt_commits(
            super::manifest_file::MANIFEST_NAME.to_owned(),
            0,
            format!(
                "the manifest is an older copy that knows only commits up to {last_seq}: index/{} has commit {}",
                part.name, part.max_seq
            ),
            last_seq.saturating_add(1),
            part.max_seq,
        )
    })
}
