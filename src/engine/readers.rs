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
}

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
        })
    }

    /// Where there is no such file.
    pub(crate) fn none(vfs: Arc<dyn Vfs>) -> Readers {
        Readers {
            vfs,
            file: Mutex::new(None),
            queue: Mutex::new(VecDeque::new()),
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
        while let Some(what) = self.next_unneeded()? {
            released = true;
            match what {
                Retired::File(path) => self.vfs.unlink(&path)?,
                // A reader with an older state may come to it later: it is mapped before its name goes.
                Retired::Part(part) => {
                    part.keep_mapped();
                    self.vfs.unlink(part.path())?;
                }
                Retired::Chunk(chunk) => {
                    chunk.keep_mapped();
                    self.vfs.unlink(chunk.path())?;
                }
                Retired::Segment(segment) => supply.recycle(segment)?,
            }
        }
        Ok(released)
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
        *lock(&self.file) = None;
    }
}
