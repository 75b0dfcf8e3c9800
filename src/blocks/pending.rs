//! Small blocks that are in the log only: until the next checkpoint they are read from the mapped segment.
//!
//! One entry a frame, in order of chunk address, since commits only move upwards. Appended by one thread at a time
//! (the engine's append lock, or replay); read by any number without a lock. Entries never move.

use crate::vfs::sync::atomic::{AtomicU64, AtomicUsize};
use std::sync::{
    atomic::Ordering::{Acquire, Relaxed, Release},
    Arc, OnceLock,
};

use super::{read::check_range, BlockSlice};
use crate::{
    error::{Error, Result},
    format::{
        block::{BlockAddress, BlockHeader, BlockKind},
        bytes::{to_u64, u32_at},
    },
    vfs::Region,
};

/// Entries of the first bucket; each further one holds twice as many.
const FIRST_BUCKET: usize = 16;
const BUCKETS: usize = 32;

/// The image of one frame and where its blocks will lie.
#[derive(Debug)]
pub(crate) struct PendingImage {
    pub(crate) chunk: u32,
    /// Address of the image's first block.
    pub(crate) offset: u64,
    pub(crate) image_len: u64,
    /// The segment that the frame is in.
    pub(crate) region: Arc<Region>,
    pub(crate) image_offset: u64,
    pub(crate) frame_offset: u64,
    pub(crate) segment: u64,
    pub(crate) seq: u64,
}

impl PendingImage {
    fn end(&self) -> u64 {
        self.offset.saturating_add(self.image_len)
    }
}

type Bucket = OnceLock<Box<[OnceLock<PendingImage>]>>;

/// The images above a checkpoint.
#[derive(Debug)]
pub(crate) struct Pending {
    buckets: [Bucket; BUCKETS],
    len: AtomicUsize,
    image_bytes: AtomicU64,
    heap_bytes: AtomicU64,
}

impl Pending {
    pub(crate) fn new() -> Pending {
        Pending {
            buckets: [const { OnceLock::new() }; BUCKETS],
            len: AtomicUsize::new(0),
            image_bytes: AtomicU64::new(0),
            heap_bytes: AtomicU64::new(to_u64(size_of::<Pending>())),
        }
    }

    /// Whether the image's address lies above all those before.
    pub(crate) fn accepts(&self, image: &PendingImage) -> bool {
        self.last()
            .is_none_or(|last| (last.chunk, last.end()) <= (image.chunk, image.offset))
    }

    /// The image's bytes are written, and its address lies above all those before. One thread at a time.
    pub(crate) fn push(&self, image: PendingImage) -> Result<()> {
        let index = self.len.load(Acquire);
        if !self.accepts(&image) {
            return Err(Error::internal(
                "pending blocks must be added in the order of their addresses",
            ));
        }
        if image
            .image_offset
            .checked_add(image.image_len)
            .is_none_or(|end| end > image.region.len())
        {
            return Err(Error::internal("pending blocks must lie within their segment"));
        }
        let (bucket, slot) = position(index);
        let slots = self
            .buckets
            .get(bucket)
            .ok_or_else(|| Error::internal("too many frames above the checkpoint"))?
            .get_or_init(|| self.new_bucket(bucket));
        let image_len = image.image_len;
        let added = slots.get(slot).is_some_and(|slot| slot.set(image).is_ok());
        if !added {
            return Err(Error::internal("two threads added pending blocks at once"));
        }
        self.image_bytes.fetch_add(image_len, Relaxed);
        self.len.store(index.saturating_add(1), Release);
        Ok(())
    }

    /// Checked bytes of a block, `None` where its address isn't pending. Errors as in `Chunk::read`.
    pub(crate) fn read(&self, address: &BlockAddress, from: u64, len: u64) -> Result<Option<BlockSlice<'_>>> {
        let Some(image) = self.find(address.chunk, address.offset) else {
            return Ok(None);
        };
        check_range(address, from, len)?;
        let damaged = |place: u64, what: &'static str| Error::Corrupt {
            file: format!("log/{:08}.log", image.segment),
            offset: place,
            what: what.into(),
            first_seq: image.seq,
            last_seq: image.seq,
        };
        let within = address.offset.saturating_sub(image.offset);
        let place = image.image_offset.saturating_add(within);
        let room = image.image_len.saturating_sub(within);
        let bytes = image.region.bytes(place, room).ok_or(Error::NotFound)?;
        let header = BlockHeader::decode(bytes).ok_or(Error::NotFound)?;
        let is_this_one = header.kind == BlockKind::Small
            && header.len == address.len
            && header.data_crc == address.crc32c
            && header.total_bytes() <= room
            && within.is_multiple_of(8)
            // The address isn't known yet when the image is built, so its CRC is left out.
            && u32_at(bytes, 4) == Some(0);
        if !is_this_one {
            return Err(Error::NotFound);
        }
        let data_place = place.saturating_add(header.data_offset());
        let data = image
            .region
            .bytes(data_place, header.len)
            .ok_or(Error::NotFound)?;
        if crc32c::crc32c(data) != header.data_crc {
            return Err(damaged(data_place, "the bytes of a block fail their check"));
        }
        Ok(Some(BlockSlice::borrowed(
            &image.region,
            data_place.saturating_add(from),
            len,
        )))
    }

    /// The block that an image has at this address, as its header says, `None` where its address isn't pending.
    pub(crate) fn block_at(&self, chunk: u32, offset: u64) -> Option<Option<BlockAddress>> {
        let image = self.find(chunk, offset)?;
        let within = offset.saturating_sub(image.offset);
        let place = image.image_offset.saturating_add(within);
        let bytes = image.region.bytes(place, image.image_len.saturating_sub(within));
        let header = bytes.and_then(BlockHeader::decode);
        Some(header.map(|header| BlockAddress {
            chunk,
            crc32c: header.data_crc,
            offset,
            len: header.len,
        }))
    }

    fn find(&self, chunk: u32, offset: u64) -> Option<&PendingImage> {
        let (mut low, mut high) = (0, self.len.load(Acquire));
        while low < high {
            let middle = low + (high - low) / 2;
            let image = self.get(middle)?;
            if (image.chunk, image.offset) <= (chunk, offset) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let image = self.get(low.checked_sub(1)?)?;
        (image.chunk == chunk && offset < image.end()).then_some(image)
    }

    /// In the order of addresses, which is that of commits.
    pub(crate) fn get(&self, index: usize) -> Option<&PendingImage> {
        let (bucket, slot) = position(index);
        self.buckets.get(bucket)?.get()?.get(slot)?.get()
    }

    pub(crate) fn last(&self) -> Option<&PendingImage> {
        self.get(self.len.load(Acquire).checked_sub(1)?)
    }

    /// Bytes of blocks that are pending, headers included.
    pub(crate) fn image_bytes(&self) -> u64 {
        self.image_bytes.load(Relaxed)
    }

    pub(crate) fn heap_bytes(&self) -> u64 {
        self.heap_bytes.load(Relaxed)
    }

    #[cold]
    fn new_bucket(&self, bucket: usize) -> Box<[OnceLock<PendingImage>]> {
        let slots: Box<[_]> = (0..bucket_len(bucket)).map(|_| OnceLock::new()).collect();
        self.heap_bytes.fetch_add(to_u64(size_of_val(&*slots)), Relaxed);
        slots
    }
}

/// Bucket and slot of an entry.
fn position(index: usize) -> (usize, usize) {
    let shifted = index.saturating_add(FIRST_BUCKET);
    let bucket = (shifted / FIRST_BUCKET).ilog2();
    let bucket = usize::try_from(bucket).unwrap_or(BUCKETS);
    (bucket, shifted.saturating_sub(bucket_len(bucket)))
}

/// Shifted indices of a bucket start at its length.
fn bucket_len(bucket: usize) -> usize {
    FIRST_BUCKET << bucket.min(BUCKETS)
}
