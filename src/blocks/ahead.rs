//! The next chunk for large blocks, made ready while the one before is filled: full of zeros, in the page cache only, for
//! the blocks to be written over before a sync meets them. A block takes half the time to write where there are pages
//! for it. Where blocks are synced as they come, the disk is what they wait for, and it would get all bytes twice: there
//! nothing is made ready.
//!
//! No manifest or frame names such a chunk before a block is in it. Whatever is in the way, a full disk say, is no
//! failure: whoever needs a chunk makes one then. Any thread may call anything.

use std::sync::{atomic::Ordering::Relaxed, Arc};

use super::{first_offset, large::LargeWriter, Chunk};
use crate::{error::Result, vfs::lock};

/// Written in one step.
const STEP_BYTES: u64 = 256 << 10;
/// Of a larger chunk only the beginning.
const MOST_BYTES: u64 = 64 << 20;

/// A chunk on its way.
#[derive(Debug)]
pub(super) struct Ahead {
    chunk: Arc<Chunk>,
    filled: u64,
}

impl LargeWriter {
    /// One step of getting the next chunk ready, if a writer is likely to want it; whether there was something to do.
    pub(crate) fn prepare(&self) -> bool {
        if !self.wants_next.load(Relaxed) {
            return false;
        }
        let mut ahead = lock(&self.ahead);
        let under_way = ahead.take();
        let number = under_way.as_ref().map(|ahead| Arc::clone(&ahead.chunk));
        match self.step_ahead(under_way) {
            Ok(Some(more)) => *ahead = Some(more),
            Ok(None) => self.wants_next.store(false, Relaxed),
            Err(_) => {
                self.wants_next.store(false, Relaxed);
                if let Some(chunk) = number {
                    // If the file stays, the next opening clears it away.
                    let _ = self.vfs.unlink(chunk.path());
                }
            }
        }
        true
    }

    /// `None`: there is nothing more to do.
    fn step_ahead(&self, under_way: Option<Ahead>) -> Result<Option<Ahead>> {
        let Some(Ahead { chunk, filled }) = under_way else {
            let chunk = self.create(self.chunk_bytes)?;
            let filled = first_offset(true);
            return Ok(Some(Ahead { chunk, filled }));
        };
        let end = self.chunk_bytes.min(MOST_BYTES);
        if filled < end {
            let until = filled.saturating_add(STEP_BYTES).min(end);
            chunk.fill(filled, until)?;
            return Ok(Some(Ahead { chunk, filled: until }));
        }
        lock(&self.state).next = Some(chunk);
        Ok(None)
    }

    /// For closing, and where the disk is full: gives back what was made ready. True if that was anything.
    pub(crate) fn discard(&self) -> bool {
        let under_way = lock(&self.ahead).take().map(|ahead| ahead.chunk);
        self.wants_next.store(false, Relaxed);
        let mut state = lock(&self.state);
        let ready = state.next.take();
        let mut found = false;
        for chunk in under_way.into_iter().chain(ready) {
            found = true;
            let _ = self.vfs.unlink(chunk.path());
        }
        if let Some(active) = state.active.as_mut().filter(|active| active.is_filled) {
            // Nothing is written beyond what is reserved, and nothing gets reserved while the lock is held.
            active.chunk.cut_file(active.next);
            active.is_filled = false;
            found = true;
        }
        found
    }
}
