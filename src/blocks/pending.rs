//! Small blocks that are in the log only: until the next checkpoint they are read from the mapped segment.
//!
//! One entry a frame, in order of chunk address, since commits only move upwards. Appended by one thread at a time
//! (the engine's append lock, or replay); read by any number without a lock. Entries never move.

use crate::vfs::sync::atomic::{AtomicU32, AtomicU64, AtomicUsize};
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

/// Places and lengths are kept in units of this.
const UNIT: u64 = 8;

/// The image of one frame and where its blocks will lie.
#[derive(Debug, Clone, Copy)]
pub(crate) struct PendingImage<'a> {
    pub(crate) chunk: u32,
    /// Address of the image's first block.
    pub(crate) offset: u64,
    pub(crate) image_len: u64,
    /// The segment that the frame is in.
    pub(crate) region: &'a Arc<Region>,
    pub(crate) image_offset: u64,
    pub(crate) frame_offset: u64,
    pub(crate) segment: u64,
    pub(crate) seq: u64,
}

impl PendingImage<'_> {
    fn end(&self) -> u64 {
        self.offset.saturating_add(self.image_len)
    }
}

/// What neighbouring images have in common.
#[derive(Debug)]
struct Stretch {
    chunk: u32,
    region: Arc<Region>,
    segment: u64,
    /// Seq of the first image.
    seq: u64,
}

/// An image in six words, so that many fit into the budget: its stretch, its seq above the stretch's, and in units
/// offset, length, place of the image and of the frame in the segment.
type Entry = [AtomicU32; 6];

/// A table that grows without moving; each bucket holds twice as many elements as the one before.
#[derive(Debug)]
struct Buckets<T>([OnceLock<Box<[T]>>; BUCKETS]);

impl<T> Buckets<T> {
    fn new() -> Buckets<T> {
        Buckets([const { OnceLock::new() }; BUCKETS])
    }

    fn get(&self, index: usize) -> Option<&T> {
        let (bucket, slot) = position(index);
        self.0.get(bucket)?.get()?.get(slot)
    }

    /// The element, in a bucket that is made if it isn't there, and the bytes that took. One thread at a time.
    fn get_or_make(&self, index: usize, make: impl FnMut() -> T) -> Option<(&T, u64)> {
        let (bucket, slot) = position(index);
        let bucket_slot = self.0.get(bucket)?;
        let made = match bucket_slot.get() {
            Some(_) => 0,
            None => {
                let mut make = make;
                let elements: Box<[T]> = (0..bucket_len(bucket)).map(|_| make()).collect();
                let bytes = to_u64(size_of_val(&*elements));
                bucket_slot.get_or_init(|| elements);
                bytes
            }
        };
        Some((bucket_slot.get()?.get(slot)?, made))
    }
}

/// The images above a checkpoint.
#[derive(Debug)]
pub(crate) struct Pending {
    entries: Buckets<Entry>,
    stretches: Buckets<OnceLock<Stretch>>,
    /// Of stretches; written by whoever pushes.
    stretch_count: AtomicUsize,
    len: AtomicUsize,
    image_bytes: AtomicU64,
    heap_bytes: AtomicU64,
}

impl Pending {
    pub(crate) fn new() -> Pending {
        Pending {
            entries: Buckets::new(),
            stretches: Buckets::new(),
            stretch_count: AtomicUsize::new(0),
            len: AtomicUsize::new(0),
            image_bytes: AtomicU64::new(0),
            heap_bytes: AtomicU64::new(to_u64(size_of::<Pending>())),
        }
    }

    /// Whether the image's address lies above all those before, and is one that an image can have.
    pub(crate) fn accepts(&self, image: &PendingImage<'_>) -> bool {
        words(image).is_some() && self.is_behind(self.len.load(Acquire), image)
    }

    /// The image's bytes are written, and its address lies above all those before. One thread at a time.
    pub(crate) fn push(&self, image: PendingImage<'_>) -> Result<()> {
        let index = self.len.load(Relaxed);
        let words = words(&image).filter(|_| self.is_behind(index, &image));
        let [offset, len, image_place, frame_place] = words
            .ok_or_else(|| Error::internal("pending blocks must be added in the order of their addresses"))?;
        if image
            .image_offset
            .checked_add(image.image_len)
            .is_none_or(|end| end > image.region.len())
        {
            return Err(Error::internal("pending blocks must lie within their segment"));
        }
        let too_many = || Error::internal("too many frames above the checkpoint");
        let (stretch, above) = self.stretch_for(&image).ok_or_else(too_many)?;
        let (entry, made) = self
            .entries
            .get_or_make(index, || std::array::from_fn(|_| AtomicU32::new(0)))
            .ok_or_else(too_many)?;
        for (word, value) in entry
            .iter()
            .zip([stretch, above, offset, len, image_place, frame_place])
        {
            word.store(value, Relaxed);
        }
        if made > 0 {
            self.heap_bytes.fetch_add(made, Relaxed);
        }
        let image_bytes = self.image_bytes.load(Relaxed).saturating_add(image.image_len);
        self.image_bytes.store(image_bytes, Relaxed);
        // Readers look at no entry from here on, so its words and its stretch are whole when they do.
        self.len.store(index.saturating_add(1), Release);
        Ok(())
    }

    /// Whether it lies behind the images before entry `index`.
    #[inline]
    fn is_behind(&self, index: usize, image: &PendingImage<'_>) -> bool {
        let last = index.checked_sub(1).and_then(|last| {
            let [stretch, _, offset, len, ..] = self.entries.get(last)?;
            let end = u64::from(offset.load(Relaxed)) + u64::from(len.load(Relaxed));
            Some((self.stretch(stretch.load(Relaxed))?.chunk, end * UNIT))
        });
        last.is_none_or(|end| end <= (image.chunk, image.offset))
    }

    /// The stretch that the image belongs to, which is the last one or a new one, and its seq above that one's.
    fn stretch_for(&self, image: &PendingImage<'_>) -> Option<(u32, u32)> {
        let count = self.stretch_count.load(Relaxed);
        if let Some(last) = count.checked_sub(1) {
            let stretch = self.stretches.get(last)?.get()?;
            let above = image.seq.checked_sub(stretch.seq).map(u32::try_from);
            if let Some(Ok(above)) = above {
                let same_file =
                    stretch.segment == image.segment && Arc::ptr_eq(&stretch.region, image.region);
                if same_file && stretch.chunk == image.chunk {
                    return Some((u32::try_from(last).ok()?, above));
                }
            }
        }
        let (slot, made) = self.stretches.get_or_make(count, OnceLock::new)?;
        self.heap_bytes.fetch_add(made, Relaxed);
        slot.get_or_init(|| Stretch {
            chunk: image.chunk,
            region: Arc::clone(image.region),
            segment: image.segment,
            seq: image.seq,
        });
        self.stretch_count.store(count.checked_add(1)?, Relaxed);
        Some((u32::try_from(count).ok()?, 0))
    }

    /// Checked bytes of a block, `None` where its address isn't pending. Errors as in `Chunk::read`.
    pub(crate) fn read(&self, address: &BlockAddress, from: u64, len: u64) -> Result<Option<BlockSlice<'_>>> {
        let Some(image) = self.find(address.chunk, address.offset) else {
            return Ok(None);
        };
        check_range(address, from, len)?;
        let damaged = |place: u64, what: &'static str| {
            let file = format!("log/{:08}.log", image.segment);
            Error::corrupt_commits(file, place, what, image.seq, image.seq)
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
            image.region,
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

    fn find(&self, chunk: u32, offset: u64) -> Option<PendingImage<'_>> {
        let (mut low, mut high) = (0, self.len.load(Acquire));
        while low < high {
            let middle = low + (high - low) / 2;
            if self.address_of(middle)? <= (chunk, offset) {
                low = middle + 1;
            } else {
                high = middle;
            }
        }
        let image = self.at(low.checked_sub(1)?)?;
        (image.chunk == chunk && offset < image.end()).then_some(image)
    }

    /// In the order of addresses, which is that of commits.
    pub(crate) fn get(&self, index: usize) -> Option<PendingImage<'_>> {
        (index < self.len.load(Acquire)).then(|| self.at(index)).flatten()
    }

    pub(crate) fn last(&self) -> Option<PendingImage<'_>> {
        self.at(self.len.load(Acquire).checked_sub(1)?)
    }

    /// Of an entry below `len`, as everything here.
    fn at(&self, index: usize) -> Option<PendingImage<'_>> {
        let [stretch, above, offset, len, image_place, frame_place] = self.entries.get(index)?;
        let stretch = self.stretch(stretch.load(Relaxed))?;
        let in_bytes = |word: &AtomicU32| u64::from(word.load(Relaxed)) * UNIT;
        Some(PendingImage {
            chunk: stretch.chunk,
            offset: in_bytes(offset),
            image_len: in_bytes(len),
            region: &stretch.region,
            image_offset: in_bytes(image_place),
            frame_offset: in_bytes(frame_place),
            segment: stretch.segment,
            seq: stretch.seq.saturating_add(u64::from(above.load(Relaxed))),
        })
    }

    fn address_of(&self, index: usize) -> Option<(u32, u64)> {
        let [stretch, _, offset, ..] = self.entries.get(index)?;
        let chunk = self.stretch(stretch.load(Relaxed))?.chunk;
        Some((chunk, u64::from(offset.load(Relaxed)) * UNIT))
    }

    fn stretch(&self, number: u32) -> Option<&Stretch> {
        self.stretches.get(usize::try_from(number).ok()?)?.get()
    }

    /// Bytes of blocks that are pending, headers included.
    pub(crate) fn image_bytes(&self) -> u64 {
        self.image_bytes.load(Relaxed)
    }

    pub(crate) fn heap_bytes(&self) -> u64 {
        self.heap_bytes.load(Relaxed)
    }
}

/// Offset, length, and the places of image and frame, in units; `None` where an image can't have these.
fn words(image: &PendingImage<'_>) -> Option<[u32; 4]> {
    let in_units = |bytes: u64| match bytes.is_multiple_of(UNIT) {
        true => u32::try_from(bytes / UNIT).ok(),
        false => None,
    };
    Some([
        in_units(image.offset)?,
        in_units(image.image_len)?,
        in_units(image.image_offset)?,
        in_units(image.frame_offset)?,
    ])
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
