//! Disk space kept back for the day when the disk is full: giving space back takes some first, for the frame of a
//! deletion, for a checkpoint, for the new copy of a chunk.
//!
//! Upkeep keeps the file `RESERVE` allocated, as large as all that together. When upkeep, or a commit that only deletes,
//! finds the disk full, the file is cut to nothing, and what it took is there for them. From then on commits that add
//! anything are refused until the reserve could be allocated anew.

use crate::vfs::sync::{
    atomic::{AtomicBool, AtomicU64},
    Mutex,
};
use std::sync::{atomic::Ordering, Arc};

use super::{checkpoint::PART_BYTES, lock, Engine};
use crate::{
    error::{Error, Result},
    vfs::{File, OpenMode},
};

pub(super) const RESERVE_NAME: &str = "RESERVE";

/// A store below this has nothing worth a reserve.
const LEAST_STORE_BYTES: u64 = 1 << 20;
/// For a segment; on a full disk a smaller one than usual does.
const SEGMENT_BYTES: u64 = 1 << 20;
/// Sizes are multiples of this.
const STEP_BYTES: u64 = 64 << 10;

#[derive(Debug, Default)]
pub(super) struct Reserve {
    file: Mutex<Option<Arc<dyn File>>>,
    bytes: AtomicU64,
    /// It was given up, and additions wait until it is there again.
    spent: AtomicBool,
}

impl Engine {
    /// What an earlier opening left. One that was spent is filled before anything else is added.
    pub(super) fn find_reserve(&self) -> Result<()> {
        let path = self.root.join(RESERVE_NAME);
        if self.vfs.entry_kind(&path)?.is_none() {
            return Ok(());
        }
        let file = self.vfs.open(&path, OpenMode::Write)?;
        let bytes = file.len()?;
        self.reserve.bytes.store(bytes, Ordering::Relaxed);
        self.reserve.spent.store(bytes == 0, Ordering::Relaxed);
        *lock(&self.reserve.file) = Some(file);
        Ok(())
    }

    /// Refuses a commit that adds something while the reserve is spent and can't be had back.
    pub(super) fn check_reserve(&self) -> Result<()> {
        if self.reserve.spent.load(Ordering::Relaxed) {
            self.fill_reserve()?;
        }
        Ok(())
    }

    /// Gives the reserve up for what has to be written now; false if there is none.
    pub(super) fn spend_reserve(&self) -> bool {
        let file = lock(&self.reserve.file);
        let Some(file) = file.as_ref() else { return false };
        if self.reserve.bytes.load(Ordering::Relaxed) == 0 || file.set_len(0).is_err() {
            return false;
        }
        self.reserve.bytes.store(0, Ordering::Relaxed);
        self.reserve.spent.store(true, Ordering::Relaxed);
        true
    }

    /// The disk is too full for the reserve to be had back.
    pub(super) fn reserve_missing(&self) -> Option<Error> {
        if self.reserve.spent.load(Ordering::Relaxed) {
            self.fill_reserve().err()
        } else {
            None
        }
    }

    /// Upkeep's share: whatever hinders it, the store can do without.
    pub(super) fn tend_reserve(&self) {
        let _ = self.fill_reserve();
    }

    /// Brings the reserve to the size that is wanted now, or nearly.
    fn fill_reserve(&self) -> Result<()> {
        let wanted = self.reserve_wanted();
        let held = self.reserve.bytes.load(Ordering::Relaxed);
        let roomy = (wanted + wanted / 8).next_multiple_of(STEP_BYTES);
        if held < wanted || held > 2 * roomy {
            let mut slot = lock(&self.reserve.file);
            let file = match slot.as_ref() {
                Some(file) => Arc::clone(file),
                None => {
                    let file = self
                        .vfs
                        .open(&self.root.join(RESERVE_NAME), OpenMode::CreateNew)?;
                    *slot = Some(Arc::clone(&file));
                    file
                }
            };
            let resized = if held < roomy {
                file.allocate(held, roomy - held)
            } else {
                file.set_len(roomy)
            };
            if let Err(error) = resized {
                // What was allocated in part is of no use to a later attempt.
                let _ = file.set_len(held);
                return Err(match error {
                    Error::NoSpace { os_code, .. } => Error::NoSpace {
                        what: "the disk is full; delete something, or free space elsewhere".into(),
                        file: None,
                        os_code,
                    },
                    error => error,
                });
            }
            self.reserve.bytes.store(roomy, Ordering::Relaxed);
        }
        self.reserve.spent.store(false, Ordering::Relaxed);
        Ok(())
    }

    /// The log that has no checkpoint yet, one part, a segment, and the live blocks of the chunk that would be
    /// rewritten next.
    fn reserve_wanted(&self) -> u64 {
        let state = self.state.load();
        let index = state.index_bytes();
        let (mut blocks, mut next_chunk) = (0u64, 0u64);
        for meta in state.chunks.iter().map(|chunk| chunk.meta()) {
            blocks = blocks.saturating_add(meta.len);
            if meta.dead_bytes > 0 {
                next_chunk = next_chunk.max(meta.len.saturating_sub(meta.dead_bytes));
            }
        }
        let log: u64 = state
            .generations
            .iter()
            .map(|generation| generation.log_bytes.load(Ordering::Relaxed))
            .sum();
        if index.saturating_add(blocks).saturating_add(log) < LEAST_STORE_BYTES {
            return 0;
        }
        log.saturating_add(index.min(PART_BYTES))
            .saturating_add(SEGMENT_BYTES)
            .saturating_add(next_chunk)
    }
}
