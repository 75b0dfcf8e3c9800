//! A segment: one file of the log. Frames lie in it from offset 0 without gaps; what follows the last one is a mark,
//! zeros, or leftovers that can't be taken for frames of this segment, since its number seeds their CRCs.
//!
//! Any thread may read and sync a segment; only the appender, under the append lock, writes into it.

use crate::vfs::sync::{atomic::AtomicBool, Mutex};
use std::{
    path::Path,
    sync::{atomic::Ordering, Arc},
};

use crate::{
    error::{Error, Result},
    vfs::{is_made, lock, Defect, EntryKind, File, OpenMode, Region, Vfs, WriteMap},
};

/// How frames that needn't be synced at once get into a segment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LogWrite {
    /// Copied into a writable map.
    Mapped,
    /// With `pwrite`; the map is for reading only.
    Written,
}

/// `00000001.log`; wider from a hundred million on.
pub(crate) fn segment_file_name(number: u64) -> String {
    format!("{number:08}.log")
}

/// The segment's file as errors name it.
pub(super) fn segment_display_name(number: u64) -> String {
    format!("log/{}", segment_file_name(number))
}

/// Number and length of every segment file in `directory`, ascending. Other files are none of the log's business.
pub(crate) fn segment_files(vfs: &dyn Vfs, directory: &Path) -> Result<Vec<(u64, u64)>> {
    Ok(segment_entries(vfs, directory)?.files)
}

/// What has the name of a segment, ascending.
#[derive(Debug, Default)]
pub(super) struct SegmentEntries {
    /// Number and length.
    pub(super) files: Vec<(u64, u64)>,
    /// Numbers of links, pipes and the like: somebody put them in the place of a file.
    pub(super) misfits: Vec<u64>,
}

pub(super) fn segment_entries(vfs: &dyn Vfs, directory: &Path) -> Result<SegmentEntries> {
    let mut found = SegmentEntries::default();
    for entry in vfs.list(directory)? {
        let number = entry.name.to_str().and_then(|name| {
            let number = name.strip_suffix(".log")?.parse().ok()?;
            // Only the one spelling that a segment is given: no signs, no other number of zeros.
            (segment_file_name(number) == name).then_some(number)
        });
        match (number, entry.kind) {
            (Some(number), EntryKind::File) => found.files.push((number, entry.len)),
            (Some(number), EntryKind::Other) => found.misfits.push(number),
            (Some(_), EntryKind::Directory) => {}
            (None, _) => {}
        }
    }
    found.files.sort_unstable();
    found.misfits.sort_unstable();
    Ok(found)
}

/// `None` if the file is gone.
pub(super) fn open(vfs: &dyn Vfs, directory: &Path, number: u64) -> Result<Option<Arc<dyn File>>> {
    let path = directory.join(segment_file_name(number));
    match vfs.open(&path, OpenMode::Read) {
        Ok(file) => Ok(Some(file)),
        Err(Error::Io(refusal)) if refusal.os_code == libc::ENOENT => Ok(None),
        Err(error) => Err(error),
    }
}

#[derive(Debug)]
pub(crate) struct Segment {
    number: u64,
    size: u64,
    /// None for one that is only kept for followers.
    file: Option<Arc<dyn File>>,
    region: Arc<Region>,
    /// References to `region` that the segment itself brings with it: more mean that somebody looks at its bytes.
    own_references: usize,
    map: Option<Arc<dyn WriteMap>>,
    fresh: bool,
    recycled: bool,
    stored_to: AtomicBool,
    synced: AtomicBool,
    sync_failed: AtomicBool,
    /// Syncs go one after the other: of two at once the kernel tells one of a failure, and the other that all is well.
    syncing: Mutex<()>,
}

impl Segment {
    /// A prepared file of this opening, to be written into.
    pub(super) fn fresh(number: u64, size: u64, file: Arc<dyn File>, how: LogWrite) -> Result<Segment> {
        let (region, map) = match how {
            LogWrite::Mapped => {
                let map = file.map_writable(size)?;
                (Arc::clone(map.region()), Some(map))
            }
            LogWrite::Written => (file.map(size)?, None),
        };
        let own_references = Arc::strong_count(&region);
        Ok(Segment::new(
            number,
            size,
            Some(file),
            region,
            own_references,
            map,
            true,
        ))
    }

    /// A file that an earlier opening wrote, for reading; `None` if it is gone.
    pub(super) fn replayed(vfs: &dyn Vfs, directory: &Path, number: u64) -> Result<Option<Segment>> {
        let Some(file) = open(vfs, directory, number)? else {
            return Ok(None);
        };
        let size = file.len()?;
        let region = if size == 0 {
            Region::anonymous(0)?
        } else {
            file.map(size)?
        };
        Ok(Some(Segment::new(
            number,
            size,
            Some(file),
            region,
            0,
            None,
            false,
        )))
    }

    /// A file that recovery has no use for; followers open it themselves.
    pub(super) fn retained(number: u64, size: u64, no_bytes: &Arc<Region>) -> Segment {
        Segment::new(number, size, None, Arc::clone(no_bytes), 0, None, false)
    }

    fn new(
        number: u64,
        size: u64,
        file: Option<Arc<dyn File>>,
        region: Arc<Region>,
        own_references: usize,
        map: Option<Arc<dyn WriteMap>>,
        fresh: bool,
    ) -> Segment {
        Segment {
            number,
            size,
            file,
            region,
            own_references,
            map,
            fresh,
            recycled: false,
            stored_to: AtomicBool::new(false),
            synced: AtomicBool::new(false),
            sync_failed: AtomicBool::new(false),
            syncing: Mutex::new(()),
        }
    }

    /// The same file, renamed, for another round.
    pub(super) fn reborn(self, number: u64) -> Segment {
        let again = Segment::new(
            number,
            self.size,
            self.file,
            self.region,
            self.own_references,
            self.map,
            true,
        );
        Segment {
            recycled: true,
            ..again
        }
    }

    /// Whether this is a later round: the file has bytes in all its pages.
    pub(super) fn is_recycled(&self) -> bool {
        self.recycled
    }

    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Bytes of the file.
    pub(crate) fn size(&self) -> u64 {
        self.size
    }

    /// Whether the file is longer than it was when it was mapped.
    pub(super) fn has_grown(&self) -> Result<bool> {
        self.file
            .as_ref()
            .map_or(Ok(false), |file| Ok(file.len()? > self.size))
    }

    /// The mapped bytes. Empty for a segment that is only kept for followers.
    pub(crate) fn region(&self) -> &Arc<Region> {
        &self.region
    }

    pub(super) fn file(&self) -> Option<&Arc<dyn File>> {
        self.file.as_ref()
    }

    pub(super) fn map(&self) -> Option<&Arc<dyn WriteMap>> {
        self.map.as_ref()
    }

    /// Made in this opening: only such segments are written into, and recycled.
    pub(super) fn is_fresh(&self) -> bool {
        self.fresh
    }

    /// Whether frames were copied into the map: then preparing the next segment's pages pays.
    pub(super) fn was_stored_to(&self) -> bool {
        self.stored_to.load(Ordering::Relaxed)
    }

    /// Whether somebody needed frames in it to be on the disk.
    pub(super) fn was_synced(&self) -> bool {
        self.synced.load(Ordering::Relaxed)
    }

    pub(super) fn note_stored_to(&self) {
        if !self.was_stored_to() {
            self.stored_to.store(true, Ordering::Relaxed);
        }
    }

    /// Whether nobody but the owner of this segment can see or sync its bytes, and no sync of them ever failed.
    pub(super) fn is_reusable(&self) -> bool {
        self.fresh
            && Arc::strong_count(&self.region) <= self.own_references
            && !self.region.is_pinned()
            && !self.sync_failed.load(Ordering::Acquire)
    }

    /// Prepared here, and not found when the store was opened.
    pub(crate) fn is_of_this_opening(&self) -> bool {
        self.fresh
    }

    /// A sync comes soon.
    pub(crate) fn start_write_back(&self) {
        if let Some(file) = &self.file {
            file.start_write_back(0, self.size);
        }
    }

    /// Makes what was written into the segment so far durable. After one failure it fails for good: the kernel
    /// forgets which pages never reached the disk, so a later success would prove nothing.
    pub(crate) fn sync(&self) -> Result<()> {
        let Some(file) = &self.file else { return Ok(()) };
        self.synced.store(true, Ordering::Relaxed);
        let _one_at_a_time = (!is_made(Defect::SegmentSyncsOverlap)).then(|| lock(&self.syncing));
        if self.sync_failed.load(Ordering::Acquire) {
            return Err(Error::Poisoned {
                what: "an earlier sync of the log failed".into(),
            });
        }
        let synced = match file.sync() {
            Err(_) if is_made(Defect::FailedSyncRetried) => file.sync(),
            synced => synced,
        };
        synced.inspect_err(|_| self.sync_failed.store(true, Ordering::Release))
    }
}
