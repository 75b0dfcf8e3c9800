//! A table that grows without moving, so that readers need no lock: one writer adds to it, any number of readers look.

use std::sync::OnceLock;

use crate::{
    error::{Error, Result},
    format::bytes::to_u64,
};

/// Elements lie in buckets, four of one size, then four of twice that size, and so on, so that at most a fifth of the
/// table is unused and an element's bucket is a matter of a few shifts.
pub(super) struct Growing<T, const FIRST: u64, const BUCKETS: usize> {
    buckets: [OnceLock<Box<[T]>>; BUCKETS],
}

impl<T, const FIRST: u64, const BUCKETS: usize> Growing<T, FIRST, BUCKETS> {
    pub(super) fn new() -> Self {
        const { assert!(FIRST.is_power_of_two()) };
        Growing {
            buckets: std::array::from_fn(|_| OnceLock::new()),
        }
    }

    /// Bucket, offset in it and its length.
    #[inline(always)]
    fn locate(index: u32) -> (usize, usize, usize) {
        let shifted = u64::from(index) + 4 * FIRST;
        let bits = shifted.ilog2() - 2;
        // The three leading bits are 4 to 7.
        let bucket = u64::from(bits) * 4 + (shifted >> bits) - (u64::from(FIRST.ilog2()) * 4 + 4);
        let len = 1_u64 << bits;
        // Less than 2^33 / 4 each: lossless where a bucket of that length can exist at all.
        (bucket as usize, (shifted & (len - 1)) as usize, len as usize)
    }

    /// The elements from `index` to the end of its bucket; none where that bucket isn't there.
    #[inline(always)]
    pub(super) fn from(&self, index: u32) -> &[T] {
        let (bucket, offset, _) = Self::locate(index);
        let bucket = self.buckets.get(bucket).and_then(OnceLock::get);
        bucket.and_then(|bucket| bucket.get(offset..)).unwrap_or_default()
    }

    pub(super) fn rest_of_bucket(index: u32) -> usize {
        let (_, offset, len) = Self::locate(index);
        len - offset
    }

    /// Makes the bucket of `index` unless it's there; the bytes that took. One caller at a time.
    pub(super) fn ensure(&self, index: u32, make: impl FnMut() -> T) -> Result<u64> {
        let (bucket, _, len) = Self::locate(index);
        let slot = self.buckets.get(bucket).ok_or_else(memtable_full)?;
        if slot.get().is_some() {
            return Ok(0);
        }
        let mut elements = Vec::new();
        elements
            .try_reserve_exact(len)
            .map_err(|_| Error::io("no memory for the memtable", None, libc::ENOMEM))?;
        elements.resize_with(len, make);
        slot.get_or_init(|| elements.into_boxed_slice());
        Ok(to_u64(len.saturating_mul(size_of::<T>())))
    }
}

pub(super) fn memtable_full() -> Error {
    Error::too_large("the memtable, which can't number more entries; run a checkpoint")
}
