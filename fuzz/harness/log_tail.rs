//! Any bytes behind a log's good prefix, in its last segment or in one of their own: the prefix stays what it is, and
//! nothing else counts unless its CRCs say so.

use std::{collections::BTreeMap, sync::Arc};

use sarsen::{Error, Store};

use super::{
    input::Input,
    repair::{anchors, repair},
    store_directory::{allowed, pairs, use_it},
    stores::{bases, disk_with, options, root},
};

/// The first byte: whether CRCs are put right, where the bytes go, and which store it is.
pub fn run(bytes: &[u8]) {
    let mut input = Input::new(bytes);
    let how = input.u8();
    let base = &bases()[if how & 4 == 0 { 2 } else { 3 }];
    let mut files = base.files.clone();
    let last = files.keys().rfind(|name| name.starts_with("log/"));
    let last = last.expect("a log").clone();
    if how & 2 == 0 {
        let file = Arc::make_mut(files.get_mut(&last).expect("a segment"));
        let end = end_of_frames(&last, file);
        let room = file.len() - end;
        let tail = &input.rest()[..input.rest().len().min(room)];
        file[end..end + tail.len()].copy_from_slice(tail);
    } else {
        let number = 1 + last[4..12].parse::<u64>().expect("a segment's number");
        files.insert(format!("log/{number:08}.log"), Arc::new(input.rest().to_vec()));
    }
    let repaired = how & 1 != 0;
    if repaired {
        repair(&mut files, false);
    }
    let disk = disk_with(&files);
    if !repaired {
        match Store::open_on(&disk, root(), &options()) {
            Ok(store) => prefix_is_there(&store, base.last_seq, &base.model.pairs),
            Err(Error::Corrupt { .. }) => {}
            Err(error) => panic!("opening: {error}"),
        }
    }
    use_it(&disk, &options());
}

fn prefix_is_there(store: &Store, last_seq: u64, expected: &BTreeMap<Vec<u8>, Vec<u8>>) {
    assert_eq!(
        store.last_seq(),
        last_seq,
        "bytes without good CRCs are no commits"
    );
    let found = allowed("pairs", pairs(store, false)).expect("the prefix can be read");
    assert!(found == *expected, "the prefix is not what it was");
}

/// Behind the last frame; what is there may be a mark.
fn end_of_frames(name: &str, file: &[u8]) -> usize {
    let frames = anchors(name, file)
        .into_iter()
        .filter(|at| file[*at..].starts_with(b"SFRM"));
    let Some(at) = frames.max() else { return 0 };
    let number =
        |offset: usize| u64::from_le_bytes(file[at + offset..at + offset + 8].try_into().expect("8 bytes"));
    let assigned = u32::from_le_bytes(file[at + 44..at + 48].try_into().expect("4 bytes"));
    let len = 64 + u64::from(assigned) + number(48).next_multiple_of(8) + number(56);
    at + usize::try_from(len).expect("a length")
}

pub fn seeds() -> Vec<(&'static str, Vec<u8>)> {
    // Frames of the store itself, from its start: CRCs put right, they follow on or don't.
    let base = &bases()[2];
    let (name, segment) = base
        .files
        .iter()
        .rfind(|(name, _)| name.starts_with("log/"))
        .expect("a log");
    let end = end_of_frames(name, segment);
    let frames: Vec<usize> = anchors(name, segment)
        .into_iter()
        .filter(|at| segment[*at..].starts_with(b"SFRM"))
        .collect();
    let last = frames.iter().copied().max().unwrap_or(0);
    let mut next = segment[last..end].to_vec();
    let stored: [u8; 4] = next[4..8].try_into().expect("4 bytes");
    // Its successor: seq one more, the frame before is itself.
    next[8] += 1;
    next[32..36].copy_from_slice(&stored);
    vec![
        ("nothing", vec![0]),
        ("zeros", vec![0; 65]),
        ("mark", [&[0], b"SMRK".as_slice(), &[0; 28]].concat()),
        (
            "mark_repaired",
            [
                &[1],
                b"SMRK".as_slice(),
                &[0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0, 9],
                &[0; 19],
            ]
            .concat(),
        ),
        ("last_frame_again", [&[1], &segment[last..end]].concat()),
        ("successor", [&[1], next.as_slice()].concat()),
        ("successor_elsewhere", [&[3], next.as_slice()].concat()),
        ("successor_raw", [&[0], next.as_slice()].concat()),
        ("kept_log", [&[4], next.as_slice()].concat()),
    ]
}
