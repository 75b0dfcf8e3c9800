//! Makes segments ready ahead of the appender, so that a commit changes no file-system metadata.
//!
//! A new segment is written full of zeros in small pieces (small page-cache folios: a later sync then writes little
//! more than what changed), synced, and its directory entry too; a recycled one is renamed. Each step writes at most
//! 256 KiB. A disk that is full shows here, as an ordinary error that leaves no file behind, never under a map.
//!
//! Where frames were copied into the segments before and nobody asked for a sync, the next one is allocated, synced while
//! it has no contents, and only then filled with zeros in large pieces: no byte of it goes to the disk before somebody
//! needs it there, and large folios are cheap to touch. Writers that outrun this have several ready at a time.
//!
//! Any thread may call anything. `take` and `ready` never wait for I/O. Numbers only rise, and so does the order of
//! use: a ready segment that turns out too small goes back and gets a new number.

use crate::vfs::sync::{
    atomic::{AtomicBool, AtomicU64},
    Mutex,
};
use std::{
    collections::VecDeque,
    path::PathBuf,
    sync::{atomic::Ordering, Arc, Weak},
};

use super::segment::{segment_file_name, LogWrite, Segment};
use crate::{
    error::{Error, Result},
    format::{align4096, bytes::to_u64, frame::MARK_BYTES},
    vfs::{is_made, lock, write_zeros, Defect, File, OpenMode, Vfs},
};

/// Of the first segment of an opening; none is shorter.
pub(super) const FIRST_SEGMENT_BYTES: u64 = 16 << 10;
const STEP_BYTES: u64 = 256 << 10;
/// Up to this size a segment is written in the smallest pieces.
const SMALL_SEGMENT_BYTES: u64 = 1 << 20;
const SMALL_PIECE_BYTES: usize = 4 << 10;
const PIECE_BYTES: usize = 16 << 10;
/// Of a segment that isn't to be synced soon.
const LARGE_PIECE_BYTES: usize = 256 << 10;
const MOST_SPARES: usize = 2;
/// Segments ready at a time, and spare, while a writer is faster than one at a time can be made.
const MOST_READY: usize = 4;
const MOST_SPARES_OUTRUN: usize = 16;

#[derive(Debug)]
pub(crate) struct Supply {
    vfs: Arc<dyn Vfs>,
    directory: PathBuf,
    how: LogWrite,
    max_segment: u64,
    next_number: AtomicU64,
    /// Held for moments only.
    shelf: Mutex<Shelf>,
    /// Fewer segments are ready than should be.
    short: AtomicBool,
    /// Held while a step writes. Taken before `shelf`.
    work: Mutex<Option<Work>>,
}

#[derive(Debug)]
struct Shelf {
    /// In the order of their numbers, which is that of use.
    ready: VecDeque<Arc<Segment>>,
    /// How many are to be ready.
    wanted: usize,
    /// Of `next_size`, under the names they had.
    spares: Vec<Segment>,
    next_size: u64,
    last_taken: Weak<Segment>,
    /// How the one before it was used.
    before: Habit,
    /// The disk is full: segments are as small as will do, and none is kept for later.
    scarce: bool,
}

/// What happens to segments, as far as it tells how the next one should be made.
#[derive(Debug, Clone, Copy, Default)]
struct Habit {
    /// Frames were copied into the map: then touching pages ahead pays.
    stored_to: bool,
    /// Somebody waited for a sync.
    synced: bool,
}

impl Shelf {
    fn habit(&self) -> Habit {
        match self.last_taken.upgrade() {
            Some(taken) => Habit {
                stored_to: self.before.stored_to || taken.was_stored_to(),
                synced: self.before.synced || taken.was_synced(),
            },
            None => self.before,
        }
    }
}

/// A segment on its way.
#[derive(Debug)]
struct Work {
    number: u64,
    size: u64,
    /// No byte of it is to reach the disk before somebody asks for that.
    lazy: bool,
    stage: Stage,
}

#[derive(Debug)]
enum Stage {
    Zeros {
        file: Arc<dyn File>,
        written: u64,
    },
    /// Of a lazy one.
    Allocate {
        file: Arc<dyn File>,
    },
    SyncFile {
        file: Arc<dyn File>,
    },
    SyncDirectory {
        segment: Segment,
    },
    /// The zeros of a lazy one.
    Fill {
        segment: Segment,
        written: u64,
    },
    Populate {
        segment: Segment,
        done: u64,
    },
    Ready {
        segment: Segment,
    },
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
                ready: VecDeque::new(),
                wanted: 1,
                spares: Vec::new(),
                next_size: FIRST_SEGMENT_BYTES.min(max_segment),
                last_taken: Weak::new(),
                before: Habit {
                    stored_to: true,
                    synced: true,
                },
                scarce: false,
            }),
            short: AtomicBool::new(true),
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
            match shelf.ready.front() {
                Some(first) if first.size() < need => std::mem::take(&mut shelf.ready),
                Some(_) if min_len > 0 || shelf.ready.len() >= shelf.wanted => return Ok(false),
                _ => VecDeque::new(),
            }
        };
        for ready in too_small {
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
        match self.step(current.stage, number, size, current.lazy) {
            Ok(Stage::Ready { segment }) => {
                let mut shelf = lock(&self.shelf);
                shelf.ready.push_back(Arc::new(segment));
                self.note_short(&shelf);
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

    /// The disk has no room for what the ready segments would hold: they go, and the next one is half as large as the
    /// first of them; or just that one stays, where half of it would be too small for a frame of `min_len` bytes. False
    /// if it is all that is left. What is under way goes, too: it may be larger than what comes next is to be.
    pub(crate) fn replace_with_smaller(&self, min_len: u64) -> Result<bool> {
        let need = with_mark(min_len).max(FIRST_SEGMENT_BYTES);
        let mut work = lock(&self.work);
        if let Some(larger) = work.take() {
            self.abandon(larger)?;
        }
        let (ready, spares) = {
            let mut shelf = lock(&self.shelf);
            let (mut ready, spares) = self.take_all(&mut shelf);
            let half = ready.front().map_or(0, |first| first.size() / 2);
            if half >= need {
                shelf.next_size = half;
            } else {
                shelf.ready.extend(ready.pop_front());
            }
            shelf.wanted = 1;
            self.note_short(&shelf);
            (ready, spares)
        };
        let ready = ready.iter().map(|ready| ready.number());
        let numbers: Vec<u64> = ready.chain(spares.iter().map(Segment::number)).collect();
        for number in &numbers {
            self.unlink(*number)?;
        }
        Ok(!numbers.is_empty())
    }

    fn start(&self, need: u64) -> Result<Work> {
        let (size, spare, habit) = {
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
            let spare = spare.map(|place| shelf.spares.swap_remove(place));
            (size, spare, shelf.habit())
        };
        let lazy = self.how == LogWrite::Mapped && habit.stored_to && !habit.synced;
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
                match lazy {
                    true => Stage::Allocate { file },
                    false => Stage::Zeros { file, written: 0 },
                }
            }
        };
        Ok(Work {
            number,
            size,
            lazy,
            stage,
        })
    }

    /// Does one step and gives the stage after it.
    fn step(&self, stage: Stage, number: u64, size: u64, lazy: bool) -> Result<Stage> {
        match stage {
            Stage::Allocate { file } => {
                file.allocate(0, size)?;
                Ok(Stage::SyncFile { file })
            }
            Stage::Zeros { file, written } => {
                let end = written.saturating_add(STEP_BYTES).min(size);
                let piece = match size <= SMALL_SEGMENT_BYTES {
                    true => SMALL_PIECE_BYTES,
                    false => PIECE_BYTES,
                };
                write_zeros(file.as_ref(), written, end, piece)?;
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
                // Populated pages are dirty ones, which the next sync writes: no use where `pwrite` does the work.
                let pays = lock(&self.shelf).habit().stored_to;
                Ok(if lazy && !segment.is_recycled() {
                    Stage::Fill { segment, written: 0 }
                } else if pays && segment.map().is_some() {
                    Stage::Populate { segment, done: 0 }
                } else {
                    Stage::Ready { segment }
                })
            }
            Stage::Fill { segment, written } => {
                let end = written.saturating_add(STEP_BYTES).min(size);
                if let Some(file) = segment.file() {
                    write_zeros(file.as_ref(), written, end, LARGE_PIECE_BYTES)?;
                }
                Ok(if end < size {
                    Stage::Fill {
                        segment,
                        written: end,
                    }
                } else {
                    Stage::Populate { segment, done: 0 }
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
            .front()
            .is_some_and(|ready| ready.size() >= with_mark(min_len))
    }

    /// Whether fewer segments are ready than should be once the current one is half used. One load.
    pub(crate) fn is_short(&self) -> bool {
        self.short.load(Ordering::Relaxed)
    }

    /// Whether a writer was faster than segments were made: then they are made whatever is used of the current one.
    pub(crate) fn is_outrun(&self) -> bool {
        lock(&self.shelf).wanted > 1
    }

    /// A commit had to wait for a segment. The first of an opening always does.
    pub(crate) fn note_outrun(&self) {
        let mut shelf = lock(&self.shelf);
        if shelf.last_taken.strong_count() == 0 {
            return;
        }
        shelf.wanted = shelf.wanted.saturating_add(1).min(MOST_READY);
        self.note_short(&shelf);
    }

    /// There is nothing left to do: one of the segments that are ready or spare beyond the usual is given back; whether
    /// there was one.
    pub(crate) fn calm_down(&self) -> Result<bool> {
        let surplus = {
            let mut shelf = lock(&self.shelf);
            shelf.wanted = 1;
            self.note_short(&shelf);
            let ready = match shelf.ready.len() > 1 {
                true => shelf.ready.pop_back().map(|ready| ready.number()),
                false => None,
            };
            ready.or_else(|| match shelf.spares.len() > MOST_SPARES {
                true => shelf.spares.pop().map(|spare| spare.number()),
                false => None,
            })
        };
        match surplus {
            Some(number) => self.unlink(number).map(|()| true),
            None => Ok(false),
        }
    }

    fn note_short(&self, shelf: &Shelf) {
        self.short
            .store(shelf.ready.len() < shelf.wanted, Ordering::Relaxed);
    }

    fn take_all(&self, shelf: &mut Shelf) -> (VecDeque<Arc<Segment>>, Vec<Segment>) {
        let all = (
            std::mem::take(&mut shelf.ready),
            std::mem::take(&mut shelf.spares),
        );
        self.note_short(shelf);
        all
    }

    /// Size of the segments that are ready; 0: none is.
    pub(crate) fn ready_bytes(&self) -> u64 {
        lock(&self.shelf).ready.iter().map(|ready| ready.size()).sum()
    }

    /// The ready segment, if a frame of `min_len` bytes fits into it.
    pub(crate) fn take(&self, min_len: u64) -> Option<Arc<Segment>> {
        let mut shelf = lock(&self.shelf);
        let fits = shelf.ready.front()?.size() >= with_mark(min_len);
        let taken = fits.then(|| shelf.ready.pop_front()).flatten()?;
        if let Some(last) = shelf.last_taken.upgrade() {
            shelf.before = Habit {
                stored_to: last.was_stored_to(),
                synced: last.was_synced(),
            };
        }
        shelf.last_taken = Arc::downgrade(&taken);
        self.note_short(&shelf);
        Some(taken)
    }

    /// Takes back a segment that neither recovery nor any reader needs: kept for another round if it is of this
    /// opening, of the right size and nobody looks at it (a view pins it), else unlinked.
    pub(crate) fn recycle(&self, segment: Arc<Segment>) -> Result<()> {
        let number = segment.number();
        if let Ok(segment) = Arc::try_unwrap(segment) {
            let mut shelf = lock(&self.shelf);
            let wanted = !shelf.scarce && segment.size() == shelf.next_size;
            let most = match shelf.wanted {
                1 => MOST_SPARES,
                _ => MOST_SPARES_OUTRUN,
            };
            if wanted && segment.is_reusable() && shelf.spares.len() < most {
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
        under_way || !shelf.ready.is_empty() || !shelf.spares.is_empty()
    }

    /// Removes every file that is ready, spare or under way: for closing, and on a full disk.
    pub(crate) fn discard(&self) -> Result<()> {
        let mut outcome = Ok(());
        if let Some(work) = lock(&self.work).take() {
            outcome = outcome.and(self.abandon(work));
        }
        let (ready, spares) = self.take_all(&mut lock(&self.shelf));
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
