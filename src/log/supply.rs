//! Makes segments ready ahead of the appender, so that a commit changes no file-system metadata.
//!
//! A new segment is written full of zeros in small pieces (small page-cache folios: a later sync then writes little
//! more than what changed), synced, and its directory entry too; a recycled one is renamed. Each step writes at most
//! 256 KiB. A disk that is full shows here, as an ordinary error that leaves no file behind, never under a map.
//!
//! Any thread may call anything. `take` and `ready` never wait for I/O. Numbers only rise, and so does the order of
//! use: a ready segment that turns out too small goes back and gets a new number.

use crate::vfs::sync::{atomic::AtomicU64, Mutex};
use std::{
    path::PathBuf,
    sync::{atomic::Ordering, Arc, Weak},
};

use super::segment::{segment_file_name, LogWrite, Segment};
use crate::{
    error::{Error, Result},
    format::{
        align4096,
        bytes::{to_u64, to_usize},
        frame::MARK_BYTES,
    },
    vfs::{is_made, lock, Defect, File, OpenMode, Vfs},
};

/// Of the first segment of an opening; none is shorter.
pub(super) const FIRST_SEGMENT_BYTES: u64 = 16 << 10;
const STEP_BYTES: u64 = 256 << 10;
/// Up to this size a segment is written in the smallest pieces.
const SMALL_SEGMENT_BYTES: u64 = 1 << 20;
const SMALL_PIECE_BYTES: usize = 4 << 10;
const PIECE_BYTES: usize = 16 << 10;
const MOST_SPARES: usize = 2;

#[derive(Debug)]
pub(crate) struct Supply {
    vfs: Arc<dyn Vfs>,
    directory: PathBuf,
    how: LogWrite,
    max_segment: u64,
    next_number: AtomicU64,
    /// Held for moments only.
    shelf: Mutex<Shelf>,
    /// Held while a step writes. Taken before `shelf`.
    work: Mutex<Option<Work>>,
}

#[derive(Debug)]
struct Shelf {
    ready: Option<Arc<Segment>>,
    /// Of `next_size`, under the names they had.
    spares: Vec<Segment>,
    next_size: u64,
    last_taken: Weak<Segment>,
    /// The disk is full: segments are as small as will do, and none is kept for later.
    scarce: bool,
}

/// A segment on its way.
#[derive(Debug)]
struct Work {
    number: u64,
    size: u64,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Zeros { file: Arc<dyn File>, written: u64 },
    SyncFile { file: Arc<dyn File> },
    SyncDirectory { segment: Segment },
    Populate { segment: Segment, done: u64 },
    Ready { segment: Segment },
}

impl Supply {
    /// `next_number` is above the number of every file in `directory`. `max_segment` is where doubling ends.
    pub(crate) fn new(
        vfs: Arc<dyn Vfs>,
        directory: PathBuf,
        next_number: u64,
        how: LogWrite,
        max_segment: u64,
    ) -> Supply {
        let max_segment = align4096(max_segment.max(1));
        Supply {
            vfs,
            directory,
            how,
            max_segment,
            next_number: AtomicU64::new(next_number),
            shelf: Mutex::new(Shelf {
                ready: None,
                spares: Vec::new(),
                next_size: FIRST_SEGMENT_BYTES.min(max_segment),
                last_taken: Weak::new(),
                scarce: false,
            }),
            work: Mutex::new(None),
        }
    }

    /// One step of getting a segment ready that a frame of `min_len` bytes fits into; true while there is more to
    /// do. An error leaves nothing behind, and the next call starts anew.
    pub(crate) fn prepare(&self, min_len: u64) -> Result<bool> {
        let need = with_mark(min_len);
        let mut work = lock(&self.work);
        let too_small = {
            let mut shelf = lock(&self.shelf);
            match &shelf.ready {
                Some(ready) if ready.size() >= need => return Ok(false),
                _ => shelf.ready.take(),
            }
        };
        if let Some(ready) = too_small {
            self.recycle(ready)?;
        }
        if let Some(smaller) = work.take_if(|work| work.size < need) {
            self.abandon(smaller)?;
        }
        let mut current = match work.take() {
            Some(current) => current,
            None => self.start(need)?,
        };
        let (number, size) = (current.number, current.size);
        match self.step(current.stage, number, size) {
            Ok(Stage::Ready { segment }) => {
                let mut shelf = lock(&self.shelf);
                shelf.ready = Some(Arc::new(segment));
                if size <= self.max_segment && !shelf.scarce {
                    shelf.next_size = size.saturating_mul(2).min(self.max_segment);
                }
                Ok(false)
            }
            Ok(stage) => {
                current.stage = stage;
                *work = Some(current);
                Ok(true)
            }
            Err(error) => {
                // What failed is what the caller has to know; a file that stays is an orphan for the next opening.
                let _ = self.unlink(number);
                match error {
                    Error::NoSpace { .. } if self.make_do_with_less(size, need) => Ok(true),
                    error => Err(error),
                }
            }
        }
    }

    /// On a full disk: lets spare segments go, and takes the next one half as large; false if nothing is left to try.
    fn make_do_with_less(&self, size: u64, need: u64) -> bool {
        let (spares, less) = {
            let mut shelf = lock(&self.shelf);
            let half = size / 2;
            let less = half >= need.max(FIRST_SEGMENT_BYTES);
            if less {
                shelf.next_size = half;
            }
            (std::mem::take(&mut shelf.spares), less)
        };
        for spare in &spares {
            let _ = self.unlink(spare.number());
        }
        less || !spares.is_empty()
    }

    /// The disk has no room for what the ready segment would hold: it goes, and the next one is half as large; false if
    /// that would be too small for a frame of `min_len` bytes.
    pub(crate) fn replace_with_smaller(&self, min_len: u64) -> Result<bool> {
        let need = with_mark(min_len).max(FIRST_SEGMENT_BYTES);
        let (ready, spares) = {
            let mut shelf = lock(&self.shelf);
            let half = shelf.ready.as_ref().map_or(0, |ready| ready.size() / 2);
            if half < need {
                return Ok(false);
            }
            shelf.next_size = half;
            (shelf.ready.take(), std::mem::take(&mut shelf.spares))
        };
        let ready = ready.iter().map(|ready| ready.number());
        for number in ready.chain(spares.iter().map(Segment::number)) {
            self.unlink(number)?;
        }
        Ok(true)
    }

    fn start(&self, need: u64) -> Result<Work> {
        let (size, spare) = {
            let mut shelf = lock(&self.shelf);
            let mut size = match shelf.scarce {
                true => FIRST_SEGMENT_BYTES.min(self.max_segment),
                false => shelf.next_size,
            };
            while size < need && size < self.max_segment {
                size = size.saturating_mul(2).min(self.max_segment);
            }
            if size < need {
                size = need
                    .checked_add(4_095)
                    .map(|len| len & !4_095)
                    .ok_or_else(|| Error::too_large("a frame"))?;
            }
            let spare = shelf.spares.iter().position(|spare| spare.size() == size);
            (size, spare.map(|place| shelf.spares.swap_remove(place)))
        };
        let number = self.next_number.fetch_add(1, Ordering::Relaxed);
        let path = self.directory.join(segment_file_name(number));
        let stage = match spare {
            Some(spare) => {
                let old = spare.number();
                if let Err(error) = self
                    .vfs
                    .rename(&self.directory.join(segment_file_name(old)), &path)
                {
                    let _ = self.unlink(old);
                    return Err(error);
                }
                Stage::SyncDirectory {
                    segment: spare.reborn(number),
                }
            }
            None => {
                let file = self.vfs.open(&path, OpenMode::CreateNew)?;
                file.keep_in_place();
                Stage::Zeros { file, written: 0 }
            }
        };
        Ok(Work { number, size, stage })
    }

    /// Does one step and gives the stage after it.
    fn step(&self, stage: Stage, number: u64, size: u64) -> Result<Stage> {
        match stage {
            Stage::Zeros { file, written } => {
                let end = written.saturating_add(STEP_BYTES).min(size);
                write_zeros(file.as_ref(), written, end, size)?;
                file.start_write_back(written, end.saturating_sub(written));
                Ok(if end < size {
                    Stage::Zeros { file, written: end }
                } else {
                    Stage::SyncFile { file }
                })
            }
            Stage::SyncFile { file } => {
                if !is_made(Defect::SegmentNotSynced) {
                    file.sync()?;
                }
                Ok(Stage::SyncDirectory {
                    segment: Segment::fresh(number, size, file, self.how)?,
                })
            }
            Stage::SyncDirectory { segment } => {
                if !is_made(Defect::SegmentNameNotSynced) {
                    self.vfs.sync_directory(&self.directory)?;
                }
                let pays = match lock(&self.shelf).last_taken.upgrade() {
                    // Populated pages are dirty ones, which the next sync writes: no use where `pwrite` does the work.
                    Some(taken) => taken.was_stored_to(),
                    None => true,
                };
                Ok(if pays && segment.map().is_some() {
                    Stage::Populate { segment, done: 0 }
                } else {
                    Stage::Ready { segment }
                })
            }
            Stage::Populate { segment, done } => {
                let end = done.saturating_add(STEP_BYTES).min(size);
                if let Some(map) = segment.map() {
                    map.populate(done, end.saturating_sub(done));
                }
                Ok(if end < size {
                    Stage::Populate { segment, done: end }
                } else {
                    Stage::Ready { segment }
                })
            }
            Stage::Ready { segment } => Ok(Stage::Ready { segment }),
        }
    }

    /// Whether a frame of `min_len` bytes fits into the segment that is ready.
    pub(crate) fn ready(&self, min_len: u64) -> bool {
        lock(&self.shelf)
            .ready
            .as_ref()
            .is_some_and(|ready| ready.size() >= with_mark(min_len))
    }

    /// Size of the segment that is ready; 0: none is.
    pub(crate) fn ready_bytes(&self) -> u64 {
        lock(&self.shelf).ready.as_ref().map_or(0, |ready| ready.size())
    }

    /// The ready segment, if a frame of `min_len` bytes fits into it.
    pub(crate) fn take(&self, min_len: u64) -> Option<Arc<Segment>> {
        let mut shelf = lock(&self.shelf);
        let taken = shelf.ready.take_if(|ready| ready.size() >= with_mark(min_len))?;
        shelf.last_taken = Arc::downgrade(&taken);
        Some(taken)
    }

    /// Takes back a segment that neither recovery nor any reader needs: kept for another round if it is of this
    /// opening, of the right size and nobody looks at it (a view pins it), else unlinked.
    pub(crate) fn recycle(&self, segment: Arc<Segment>) -> Result<()> {
        let number = segment.number();
        if let Ok(segment) = Arc::try_unwrap(segment) {
            let mut shelf = lock(&self.shelf);
            let wanted = !shelf.scarce && segment.size() == shelf.next_size;
            if wanted && segment.is_reusable() && shelf.spares.len() < MOST_SPARES {
                shelf.spares.push(segment);
                return Ok(());
            }
        }
        self.unlink(number)
    }

    /// The disk is full: what was prepared ahead goes, for what gives space back needs it more; true if that was
    /// anything. Until `relax`, a segment is as large as what asks for it.
    pub(crate) fn economise(&self) -> Result<bool> {
        {
            let mut shelf = lock(&self.shelf);
            let known = std::mem::replace(&mut shelf.scarce, true);
            if known && shelf.spares.is_empty() {
                return Ok(false);
            }
        }
        let before = self.kept();
        self.discard()?;
        Ok(before)
    }

    pub(crate) fn relax(&self) {
        lock(&self.shelf).scarce = false;
    }

    pub(crate) fn is_scarce(&self) -> bool {
        lock(&self.shelf).scarce
    }

    fn kept(&self) -> bool {
        let under_way = lock(&self.work).is_some();
        let shelf = lock(&self.shelf);
        under_way || shelf.ready.is_some() || !shelf.spares.is_empty()
    }

    /// Removes every file that is ready, spare or under way: for closing, and on a full disk.
    pub(crate) fn discard(&self) -> Result<()> {
        let mut outcome = Ok(());
        if let Some(work) = lock(&self.work).take() {
            outcome = outcome.and(self.abandon(work));
        }
        let (ready, spares) = {
            let mut shelf = lock(&self.shelf);
            (shelf.ready.take(), std::mem::take(&mut shelf.spares))
        };
        for number in ready
            .iter()
            .map(|ready| ready.number())
            .chain(spares.iter().map(Segment::number))
        {
            outcome = outcome.and(self.unlink(number));
        }
        outcome
    }

    /// Number of the next file.
    pub(crate) fn next_number(&self) -> u64 {
        self.next_number.load(Ordering::Relaxed)
    }

    fn abandon(&self, work: Work) -> Result<()> {
        self.unlink(work.number)
    }

    fn unlink(&self, number: u64) -> Result<()> {
        self.vfs.unlink(&self.directory.join(segment_file_name(number)))
    }
}

/// Size that a segment must have for a frame of `frame_len` bytes: room for a mark stays behind it.
fn with_mark(frame_len: u64) -> u64 {
    frame_len.saturating_add(to_u64(MARK_BYTES))
}

/// `[from, to)` of a segment that is to be `size` long, in pieces that keep page-cache folios small.
fn write_zeros(file: &dyn File, from: u64, to: u64, size: u64) -> Result<()> {
    let zeros = [0_u8; PIECE_BYTES];
    let most = if size <= SMALL_SEGMENT_BYTES {
        SMALL_PIECE_BYTES
    } else {
        PIECE_BYTES
    };
    let mut at = from;
    while at < to {
        let len = to_usize(to.saturating_sub(at)).unwrap_or(most).min(most);
        file.write_at(at, zeros.get(..len).unwrap_or(&zeros))?;
        at = at.saturating_add(to_u64(len));
    }
    Ok(())
}
