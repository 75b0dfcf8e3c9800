//! Small blocks that are served from the log.

use super::*;
use crate::{format::block::append_small_to_image, vfs::Region};

struct Frame {
    region: Arc<Region>,
    image_offset: u64,
    image_len: u64,
    /// Addresses relative to the image, and data.
    blocks: Vec<(BlockAddress, Vec<u8>)>,
}

fn frame(seed: u64, lens: &[usize]) -> Frame {
    let mut image = Vec::new();
    let mut blocks = Vec::new();
    for (index, len) in lens.iter().enumerate() {
        let data = noise(seed * 100 + index as u64, *len);
        let offset = to_u64(image.len());
        let crc32c = append_small_to_image(&mut image, 9 + index as u32, &data);
        blocks.push((
            BlockAddress {
                chunk: 0,
                crc32c,
                offset,
                len: *len as u64,
            },
            data,
        ));
    }
    let region = Region::anonymous(8_192 + image.len()).unwrap();
    region.store(4_096, &image).unwrap();
    Frame {
        region,
        image_offset: 4_096,
        image_len: to_u64(image.len()),
        blocks,
    }
}

fn push(pending: &Pending, frame: &Frame, chunk: u32, offset: u64, seq: u64) -> Result<()> {
    pending.push(PendingImage {
        chunk,
        offset,
        image_len: frame.image_len,
        region: &frame.region,
        image_offset: frame.image_offset,
        frame_offset: 4_000,
        segment: 3,
        seq,
    })
}

fn address_in(frame: &Frame, index: usize, chunk: u32, offset: u64) -> BlockAddress {
    let block = frame.blocks[index].0;
    BlockAddress {
        chunk,
        offset: offset + block.offset,
        ..block
    }
}

#[test]
fn every_range_of_a_pending_block_reads_back_from_its_frame() {
    let pending = Pending::new();
    let frame = frame(1, &[0, 1, 8, 100, 5_000]);
    push(&pending, &frame, 7, 32, 1).unwrap();
    for index in 0..frame.blocks.len() {
        let address = address_in(&frame, index, 7, 32);
        let data = &frame.blocks[index].1;
        for from in (0..=data.len()).step_by(37) {
            let len = (data.len() - from) as u64;
            let slice = pending.read(&address, from as u64, len).unwrap().unwrap();
            assert_eq!(slice.bytes(), &data[from..]);
            assert!(Arc::ptr_eq(slice.region(), &frame.region));
        }
        assert!(matches!(
            pending.read(&address, 1, address.len),
            Err(Error::InvalidArgument { .. })
        ));
    }
    assert_eq!(pending.image_bytes(), frame.image_len);
}

#[test]
fn an_address_is_found_among_many_frames_of_many_chunks_or_said_not_to_be_here() {
    let pending = Pending::new();
    assert!(pending.last().is_none() && pending.get(0).is_none());
    let mut placed = Vec::new();
    let mut seq = 0;
    for chunk in [2, 3, 9] {
        let mut offset = 32;
        for _ in 0..200 {
            seq += 1;
            let frame = frame(seq, &[20 + seq as usize % 50, 3]);
            push(&pending, &frame, chunk, offset, seq).unwrap();
            placed.push((chunk, offset, frame));
            offset += placed.last().unwrap().2.image_len + 64 * (seq % 2);
        }
    }
    let heap = pending.heap_bytes();
    assert!((600 * 64..600 * 64 * 3).contains(&heap), "{heap}");
    for (chunk, offset, frame) in &placed {
        for index in 0..2 {
            let address = address_in(frame, index, *chunk, *offset);
            let slice = pending.read(&address, 0, address.len).unwrap().unwrap();
            assert_eq!(slice.bytes(), frame.blocks[index].1);
        }
    }
    assert_eq!(
        (0..)
            .map_while(|index| pending.get(index))
            .map(|image| image.seq)
            .max(),
        Some(600)
    );
    assert_eq!(pending.last().unwrap().seq, 600);
    let address = address_in(&placed[0].2, 0, 2, 32);
    let end = placed[599].1 + placed[599].2.image_len;
    for (chunk, offset) in [
        (0, 32),
        (4, 32),
        (10, 32),
        (2, 0),
        (2, 24),
        (9, end),
        (9, u64::MAX),
    ] {
        let elsewhere = BlockAddress {
            chunk,
            offset,
            ..address
        };
        assert!(
            pending.read(&elsewhere, 0, 0).unwrap().is_none(),
            "{chunk} {offset}"
        );
    }
}

#[test]
fn an_address_within_an_image_that_is_off_is_not_found() {
    let pending = Pending::new();
    let frame = frame(1, &[100, 100, 100]);
    push(&pending, &frame, 1, 32, 1).unwrap();
    let address = address_in(&frame, 1, 1, 32);
    let mut off = vec![
        BlockAddress { len: 99, ..address },
        BlockAddress { len: 101, ..address },
        BlockAddress {
            crc32c: address.crc32c ^ 1,
            ..address
        },
    ];
    off.extend(
        (32..32 + frame.image_len)
            .filter(|offset| *offset != address.offset)
            .map(|offset| BlockAddress { offset, ..address }),
    );
    for wrong in off {
        assert!(is_not_found(&pending.read(&wrong, 0, 0)), "{wrong:?}");
    }
}

#[test]
fn a_flipped_bit_anywhere_in_an_image_is_corrupt_or_not_found() {
    let frame = frame(1, &[40, 90]);
    let address = address_in(&frame, 1, 1, 32);
    let mut corrupt = 0;
    for offset in frame.image_offset..frame.image_offset + frame.image_len {
        let pending = Pending::new();
        push(&pending, &frame, 1, 32, 4).unwrap();
        let byte = frame.region.bytes(offset, 1).unwrap()[0];
        frame.region.store(offset, &[byte ^ 4]).unwrap();
        match pending.read(&address, 0, address.len) {
            Ok(slice) => assert_eq!(slice.unwrap().bytes(), frame.blocks[1].1),
            Err(Error::Corrupt(damage)) => {
                assert_eq!((damage.first_seq, damage.last_seq), (4, 4));
                assert_eq!(damage.file, "log/00000003.log");
                corrupt += 1;
            }
            Err(error) => assert_eq!(error, Error::NotFound),
        }
        frame.region.store(offset, &[byte]).unwrap();
    }
    assert!(corrupt >= 90);
}

#[test]
fn images_that_go_backwards_overlap_or_leave_their_segment_are_refused() {
    let pending = Pending::new();
    let frame = frame(1, &[100]);
    push(&pending, &frame, 2, 320, 1).unwrap();
    for (chunk, offset) in [(1, 10_000), (2, 0), (2, 320), (2, 320 + frame.image_len - 8)] {
        assert!(matches!(
            push(&pending, &frame, chunk, offset, 2),
            Err(Error::Internal { .. })
        ));
    }
    push(&pending, &frame, 2, 320 + frame.image_len, 2).unwrap();
    let outside = Frame {
        image_offset: frame.region.len() - 8,
        ..frame
    };
    assert!(push(&pending, &outside, 3, 32, 3).is_err());
}

#[test]
fn readers_see_every_image_that_was_there_before_while_one_thread_adds() {
    let pending = Pending::new();
    let frames: Vec<Frame> = (0..500).map(|seed| frame(seed, &[30])).collect();
    let offsets: Vec<u64> = (0..500).map(|index| 32 + index * 128).collect();
    let added = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| loop {
                let count = added.load(Ordering::Acquire) as usize;
                for index in (0..count).rev().take(20) {
                    let address = address_in(&frames[index], 0, 1, offsets[index]);
                    let slice = pending.read(&address, 0, 30).unwrap().unwrap();
                    assert_eq!(slice.bytes(), frames[index].blocks[0].1);
                }
                if count == frames.len() {
                    break;
                }
            });
        }
        for (index, frame) in frames.iter().enumerate() {
            push(&pending, frame, 1, offsets[index], index as u64 + 1).unwrap();
            added.store(index as u64 + 1, Ordering::Release);
        }
    });
}

#[test]
fn frames_of_one_segment_take_little_more_than_24_bytes_each() {
    let pending = Pending::new();
    let frame = frame(1, &[100]);
    for seq in 0..1_000 {
        push(&pending, &frame, 2, 32 + seq * frame.image_len, 7 + seq).unwrap();
    }
    let heap = pending.heap_bytes();
    assert!((24_000..32_000).contains(&heap), "{heap}");
    let seqs = (0..1_000).map(|index| pending.get(index).unwrap().seq);
    assert!(seqs.eq(7..1_007));
}
