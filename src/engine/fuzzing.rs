//! What fuzzing asks of a frame's contents once its CRCs hold: commands and what they were assigned are walked and
//! applied to an index, or refused. See `format::fuzzing`.

use super::apply::{apply, Contents, Scratch, Steps, Tally};
use crate::{
    format::{
        bytes::to_u64,
        command::Command,
        frame::{Assigned, StreamAssignment, StreamEffect},
        fuzzing::{Numbers, Seed},
        record::{block_of, kind, MemoryValue, RecordKey},
    },
    index::Memtable,
};
use std::sync::Arc;

const SEQ: u64 = 9;

/// A frame's contents: length and commands, number of commands, image length, then the assigned section.
pub fn steps(input: &[u8]) {
    let mut numbers = Numbers::new(input);
    let commands = numbers.bytes(usize::MAX);
    let (command_count, image_len) = (numbers.u16(), numbers.u32());
    let Some(assigned) = Assigned::decode(numbers.0.rest()) else {
        return;
    };
    let contents = Contents {
        command_count: u32::from(command_count),
        commands,
        image_len: u64::from(image_len),
        assigned: &assigned,
    };
    let walked = walk(contents);
    let memtable = Arc::new(Memtable::new());
    let mut tally = Tally::default();
    let applied = apply(&memtable, SEQ, contents, &mut tally, &mut Scratch::default());
    let Some(walked) = walked else {
        assert!(applied.is_err(), "what can't be walked can't be applied");
        return;
    };
    assert_eq!(walked, command_count, "every command is a step");
    if applied.is_err() {
        return;
    }
    let mut cursor = memtable.cursor();
    cursor.seek_first();
    while let Some(entry) = cursor.entry() {
        assert_eq!(entry.seq, SEQ);
        assert!(
            RecordKey::decode(entry.key).is_some(),
            "a key of the index: {:?}",
            entry.key
        );
        if matches!(entry.kind, kind::KV_BLOCK | kind::STREAM_RECORD | kind::MEMORY) {
            assert!(
                block_of(entry.kind, entry.value).is_some(),
                "a record names its block"
            );
        }
        if entry.kind == kind::MEMORY {
            // A commit holds no more tags than a memory may have; a forged frame can.
            let _ = MemoryValue::decode(entry.value);
        }
        cursor.next();
    }
}

/// How many steps there are; from the middle they go on as from the start.
fn walk(contents: Contents<'_>) -> Option<u16> {
    let mut steps = Steps::new(contents);
    let mut count = 0_u16;
    let mut image_end = 0;
    loop {
        let mut resumed = Steps::resume(contents, steps.position());
        let (step, again) = (steps.next().ok()?, resumed.next().ok()?);
        assert_eq!(format!("{step:?}"), format!("{again:?}"));
        let Some(step) = step else { return Some(count) };
        assert_eq!(step.ordinal, u32::from(count));
        assert_eq!(step.stream.is_some(), step.command.is_stream());
        if let Some((start, _)) = &step.image {
            assert!(
                *start >= image_end && *start < contents.image_len,
                "a small block lies in the image"
            );
            image_end = start.saturating_add(step.block.map_or(0, |block| block.len));
            assert!(image_end <= contents.image_len);
        }
        count = count.checked_add(1)?;
    }
}

/// Inputs to start from.
pub fn steps_seeds() -> Vec<Seed> {
    let assigned = |streams: Vec<StreamAssignment>| {
        let mut out = Vec::new();
        Assigned {
            chunk: 1,
            chunk_offset: 32,
            streams,
        }
        .encode_to(&mut out);
        out
    };
    let stream = StreamAssignment {
        stream_id: 1,
        first: 0,
        next: 1,
        effect: StreamEffect::Created,
    };
    let dropped = StreamAssignment {
        stream_id: 1,
        first: u64::MAX,
        next: 1,
        effect: StreamEffect::Dropped,
    };
    let seed = |commands: &[Command<'_>], image_len: u32, assigned: Vec<u8>| {
        let mut encoded = Vec::new();
        commands
            .iter()
            .for_each(|command| command.encode_to(&mut encoded));
        let len = u16::try_from(to_u64(encoded.len())).unwrap_or(0);
        let count = u16::try_from(commands.len()).unwrap_or(0);
        [
            len.to_le_bytes().as_slice(),
            &encoded,
            &count.to_le_bytes(),
            &image_len.to_le_bytes(),
            &assigned,
        ]
        .concat()
    };
    let all = crate::format::fuzzing::sample_commands();
    vec![
        ("all", seed(&all, 32 + 40, assigned(vec![stream, dropped]))),
        (
            "one",
            seed(all.get(3..4).unwrap_or_default(), 0, assigned(Vec::new())),
        ),
        ("nothing", seed(&[], 0, assigned(Vec::new()))),
    ]
}
