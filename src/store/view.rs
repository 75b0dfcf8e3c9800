//! Bytes inside the store, pinned.

use std::{ops::Deref, sync::Arc};

use crate::{
    blocks::BlockSlice,
    engine::Engine,
    error::{Error, Result},
    format::bytes::to_u64,
    index::Hit,
    vfs::{Pin, Region},
};

/// Bytes inside the store, kept in place for as long as this lives, also after the store is closed.
#[derive(Debug)]
pub struct View {
    /// `None` only once it was turned into its parts.
    pin: Option<Arc<Pin>>,
    offset: u64,
    len: u64,
}

impl View {
    #[inline(always)]
    pub(super) fn new(engine: &Engine, region: &Region, offset: u64, len: u64) -> View {
        View {
            pin: Some(engine.pin(region)),
            offset,
            len,
        }
    }

    pub(super) fn of_block(engine: &Engine, slice: &BlockSlice<'_>) -> View {
        View::new(engine, slice.region(), slice.offset(), slice.len())
    }

    /// This view if it is of the same region, which costs no counting, or else a new one.
    pub(super) fn moved_to(view: Option<View>, engine: &Engine, slice: &BlockSlice<'_>) -> View {
        match view {
            Some(mut view) if view.pin.as_ref().is_some_and(|pin| pin.is_of(slice.region())) => {
                view.offset = slice.offset();
                view.len = slice.len();
                view
            }
            _ => View::of_block(engine, slice),
        }
    }

    /// An inline value, where it lies in its memtable or run.
    #[inline(always)]
    pub(super) fn of_hit(engine: &Engine, hit: &Hit<'_>) -> Result<View> {
        let offset = offset_in(hit.region, hit.value)?;
        Ok(View::new(engine, hit.region, offset, to_u64(hit.value.len())))
    }

    /// The bytes.
    #[inline]
    pub fn bytes(&self) -> &[u8] {
        self.pin
            .as_ref()
            .and_then(|pin| pin.bytes(self.offset, self.len))
            .unwrap_or_default()
    }

    /// The one reference that keeps the bytes in place; to be given to `released` in the end.
    #[inline]
    pub(crate) fn into_pin(mut self) -> Option<Arc<Pin>> {
        self.pin.take()
    }

    /// Ends a view that `into_pin` took apart.
    #[inline]
    pub(crate) fn released(pin: Arc<Pin>) {
        drop(View {
            pin: Some(pin),
            offset: 0,
            len: 0,
        });
    }
}

impl Drop for View {
    #[inline]
    fn drop(&mut self) {
        if let Some(pin) = &self.pin {
            pin.view_released();
        }
    }
}

impl Deref for View {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes()
    }
}

/// Where in the region a slice of it starts.
#[inline(always)]
fn offset_in(region: &Region, bytes: &[u8]) -> Result<u64> {
    if bytes.is_empty() {
        return Ok(0);
    }
    let lost = || Error::internal("a value lies outside its region");
    let base = region.bytes(0, 0).ok_or_else(lost)?.as_ptr().addr();
    bytes
        .as_ptr()
        .addr()
        .checked_sub(base)
        .map(to_u64)
        .ok_or_else(lost)
}
