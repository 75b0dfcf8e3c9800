//! The memory of one simulated file's cache. Making it and faulting its pages in costs a history more than all its
//! copying, so each thread keeps some for the next files.

use std::{cell::RefCell, ops::Deref, sync::Arc};

use super::content::BLOCK;
use crate::{
    error::{Error, Result},
    vfs::Region,
};

#[derive(Debug)]
pub(super) struct Cache {
    region: Arc<Region>,
    /// Behind this are zeros.
    touched: u64,
}

/// Spare memory that a thread keeps, in pieces; larger ones go back to the system.
const MOST_SPARES: usize = 64;
const MOST_SPARE_BYTES: u64 = 4 << 20;

thread_local! {
    static SPARES: RefCell<Vec<Arc<Region>>> = const { RefCell::new(Vec::new()) };
}

impl Cache {
    /// Somebody wrote up to here.
    pub(super) fn touched_to(&mut self, end: u64) {
        self.touched = self.touched.max(end);
    }

    /// The same with these bytes at the beginning; pages of zeros stay uncommitted.
    pub(super) fn holding(mut self, bytes: &[u8]) -> Cache {
        for (page, offset) in bytes.chunks(BLOCK as usize).zip((0u64..).step_by(BLOCK as usize)) {
            if page.iter().any(|byte| *byte != 0) {
                self.region.store(offset, page);
                self.touched = offset + BLOCK;
            }
        }
        self
    }
}

impl Deref for Cache {
    type Target = Arc<Region>;

    fn deref(&self) -> &Arc<Region> {
        &self.region
    }
}

impl Drop for Cache {
    fn drop(&mut self) {
        const ZEROS: &[u8] = &[0; 16 << 10];
        if self.region.is_shared() || self.region.len() > MOST_SPARE_BYTES {
            return;
        }
        let end = self.touched.next_multiple_of(BLOCK).min(self.region.len());
        for at in (0..end).step_by(ZEROS.len()) {
            let len = (end - at).min(ZEROS.len() as u64) as usize;
            self.region.store(at, ZEROS.get(..len).unwrap_or(ZEROS));
        }
        // A thread that is at its end keeps nothing.
        let _ = SPARES.try_with(|spares| {
            let mut spares = spares.borrow_mut();
            if spares.len() < MOST_SPARES {
                spares.push(Arc::clone(&self.region));
            }
        });
    }
}

/// Whole pages of memory, so that the last sector of a file is whole too.
pub(super) fn reserved(len: u64, reserve: u64) -> Result<Cache> {
    let bytes = len
        .max(reserve)
        .checked_next_multiple_of(BLOCK)
        .and_then(|bytes| usize::try_from(bytes).ok());
    let bytes = bytes.ok_or_else(|| Error::too_large("a simulated file"))?;
    let spare = SPARES.with_borrow_mut(|spares| {
        let place = spares.iter().position(|spare| spare.len() == bytes as u64)?;
        Some(spares.swap_remove(place))
    });
    let region = match spare {
        Some(region) => region,
        None => {
            let region = Region::anonymous(bytes)?;
            region.advise_small_pages();
            region
        }
    };
    Ok(Cache { region, touched: 0 })
}
