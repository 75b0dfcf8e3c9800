//! Foreign readers, and files that nothing needs any more.
//!
//! A process that opens the store read-only holds a shared OFD lock on the byte of `READERS` whose offset is the
//! generation of the manifest it reads. A file retired by generation g is unlinked, or recycled, once no byte
//! below g is locked. Within this process, views and iterators read through maps, which outlive an unlinked name.

use crate::vfs::sync::Mutex;
use std::{
    collections::VecDeque,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::lock;
use crate::{
    blocks::Chunk,
    error::Result,
    index::Part,
    log::{Segment, Supply},
    vfs::{is_made, Defect, File, OpenMode, Vfs},
};

pub(crate) const READERS_NAME: &str = "READERS";

#[derive(Debug)]
pub(crate) enum Retired {
    /// A leftover that nothing in this process reads.
    File(PathBuf),
    Part(Arc<Part>),
    Chunk(Arc<Chunk>),
    Segment(Arc<Segment>),
}

#[derive(Debug)]
pub(crate) struct Readers {
    vfs: Arc<dyn Vfs>,
    /// Open for as long as the store is; a reader's locks are on this description.
    file: Mutex<Option<Arc<dyn File>>>,
    queue: Mutex<VecDeque<(u64, Retired)>>,
    /// A large file on its way out. Locked for as long as a step of that takes.
    leaving: Mutex<Option<Leaving>>,
}

/// A file is cut to its end piece by piece before it is unlinked: giving back all that a large one takes, in memory and
/// on disk, is work of several milliseconds.
#[derive(Debug)]
struct Leaving {
    path: PathBuf,
    file: Arc<dyn File>,
    len: u64,
}

/// Of a file that leaves.
const PIECE_BYTES: u64 = 1 << 20;

impl Readers {
    pub(crate) fn new(vfs: Arc<dyn Vfs>, root: &Path, writer: bool) -> Result<Readers> {
        let path = root.join(READERS_NAME);
        let file = match vfs.entry_kind(&path)? {
            Some(_) => Some(vfs.open(&path, OpenMode::Read)?),
            None if writer => Some(vfs.open(&path, OpenMode::CreateNew)?),
            None => None,
        };
        Ok(Readers {
            vfs,
            file: Mutex::new(file),
            queue: Mutex::new(VecDeque::new()),
            leaving: Mutex::new(None),
        })
    }

    /// Where there is no such file.
    pub(crate) fn none(vfs: Arc<dyn Vfs>) -> Readers {
        Readers {
            vfs,
            file: Mutex::new(None),
            queue: Mutex::new(VecDeque::new()),
            leaving: Mutex::new(None),
        }
    }

    /// The description that holds this reader's lock: what must stay open as long as a view does.
    pub(crate) fn description(&self) -> Option<Arc<dyn File>> {
        lock(&self.file).clone()
    }

    /// A reader's lock on the files of `generation`.
    pub(crate) fn hold(&self, generation: u64) -> Result<()> {
        match lock(&self.file).as_ref() {
            Some(file) => file.lock_byte_shared(generation),
            None => Ok(()),
        }
    }

    /// Starts a description of its own for a next lock; the old one goes when the last view under it goes.
    pub(crate) fn renew(&self, root: &Path) -> Result<()> {
        let path = root.join(READERS_NAME);
        let mut file = lock(&self.file);
        if file.is_some() {
            *file = Some(self.vfs.open(&path, OpenMode::Read)?);
        }
        Ok(())
    }

    pub(crate) fn retire(&self, generation: u64, what: Retired) {
        lock(&self.queue).push_back((generation, what));
    }

    /// A file is going to be made in place of one that waits here: then that one's removal is off.
    pub(crate) fn forget(&self, path: &Path) {
        lock(&self.queue).retain(|(_, what)| !matches!(what, Retired::File(file) if file == path));
    }

    /// Whether some foreign reader may still need what a generation below `generation` is made of.
    pub(crate) fn needed_below(&self, generation: u64) -> Result<bool> {
        match lock(&self.file).as_ref() {
            Some(file) => Ok(file.is_locked_below(generation)? && !is_made(Defect::ReaderLocksIgnored)),
            None => Ok(false),
        }
    }

    /// Unlinks or recycles what no foreign reader needs; whether that was anything. One that can't be unlinked is an
    /// orphan for the next opening; the store itself is not harmed by it.
    pub(crate) fn release(&self, supply: &Supply) -> Result<bool> {
        let mut released = false;
        while self.release_step(supply)? {
            released = true;
        }
        Ok(released)
    }

    /// One file of that, or a piece of a large one.
    pub(crate) fn release_step(&self, supply: &Supply) -> Result<bool> {
        let mut leaving = lock(&self.leaving);
        if let Some(file) = leaving.take() {
            *leaving = self.cut(file)?;
            return Ok(true);
        }
        let Some(what) = self.next_unneeded()? else {
            return Ok(false);
        };
        match what {
            Retired::File(path) => self.vfs.unlink(&path)?,
            Retired::Part(part) => *leaving = self.let_go(part)?,
            // A reader with an older state may come to it later: it is mapped before its name goes.
            Retired::Chunk(chunk) => {
                chunk.keep_mapped();
                self.vfs.unlink(chunk.path())?;
            }
            Retired::Segment(segment) => supply.recycle(segment)?,
        }
        Ok(true)
    }

    /// A reader with an older state may come to the part later, or look at bytes in it now: then it is mapped before its
    /// name goes, and kept as it is until the last of them is gone.
    fn let_go(&self, part: Arc<Part>) -> Result<Option<Leaving>> {
        let path = part.path().to_owned();
        let len = part.meta().file_len;
        let is_ours = match Arc::try_unwrap(part) {
            Ok(part) => part.unmap(),
            Err(part) => {
                part.keep_mapped();
                false
            }
        };
        if !is_ours || len <= PIECE_BYTES {
            self.vfs.unlink(&path)?;
            return Ok(None);
        }
        let file = self.vfs.open(&path, OpenMode::Write)?;
        self.cut(Leaving { path, file, len })
    }

    fn cut(&self, mut leaving: Leaving) -> Result<Option<Leaving>> {
        leaving.len = leaving.len.saturating_sub(PIECE_BYTES);
        if leaving.len == 0 {
            self.vfs.unlink(&leaving.path)?;
            return Ok(None);
        }
        leaving.file.set_len(leaving.len)?;
        Ok(Some(leaving))
    }

    /// Looked at and taken under one lock: several threads release at once.
    fn next_unneeded(&self) -> Result<Option<Retired>> {
        let mut queue = lock(&self.queue);
        match queue.front() {
            Some((generation, _)) if !self.needed_below(*generation)? => {}
            _ => return Ok(None),
        }
        Ok(queue.pop_front().map(|(_, what)| what))
    }

    /// Closes the description; pending files become orphans, which the next writer removes.
    pub(crate) fn close(&self) {
        lock(&self.queue).clear();
        *lock(&self.leaving) = None;
        *lock(&self.file) = None;
    }
}
