//! Frames, marks, assigned sections and commands under fuzzing.

use super::{mode, put, Mode, Numbers, Seed};
use crate::format::{
    align8,
    block::{append_small_to_image, BlockAddress},
    bytes::{to_u64, to_usize},
    command::{BlockSource, Bytes, Command, ValueSource},
    frame::{
        payload_crc, Assigned, Frame, FrameHeader, FrameSeed, Mark, StreamAssignment, StreamEffect,
        HEADER_BYTES, MARK_BYTES,
    },
};

const SEED: FrameSeed = FrameSeed {
    uuid: *b"a store to fuzz.",
    segment: 3,
};

/// A frame: header, both CRCs, and what is in it.
pub fn frame(input: &[u8]) {
    let Some((mode, bytes)) = mode(input) else { return };
    match mode {
        Mode::Raw => {
            check_frame(bytes);
        }
        Mode::Repaired => {
            let mut repaired = bytes.to_vec();
            let fits = repair_frame(&mut repaired).is_some();
            assert_eq!(
                check_frame(&repaired),
                fits,
                "a frame with good CRCs is taken if it fits"
            );
        }
        Mode::Built => build_frame(bytes),
    }
}

/// Puts magic and CRCs right; `None` where the lengths say that this is no frame.
fn repair_frame(bytes: &mut [u8]) -> Option<()> {
    put(bytes, 0, b"SFRM");
    let (mut header, _) = FrameHeader::decode_unchecked(bytes)?;
    let whole = bytes.get_mut(..to_usize(header.frame_len()?)?)?;
    let (fixed, rest) = whole.split_at_mut_checked(HEADER_BYTES)?;
    let (assigned, payload) = rest.split_at_checked(to_usize(u64::from(header.assigned_len))?)?;
    header.payload_crc = crc32c::crc32c(payload);
    fixed.copy_from_slice(&header.encode(&SEED, assigned).0);
    Some(())
}

/// Whether it is a frame; one that is must be what the encoder makes of it.
fn check_frame(bytes: &[u8]) -> bool {
    let Some(frame) = Frame::decode(&SEED, bytes) else {
        return false;
    };
    let (again, crc) = frame.header.encode(&SEED, frame.assigned);
    assert_eq!(
        Some(again.as_slice()),
        bytes.get(..HEADER_BYTES),
        "a header is encoded as it was"
    );
    assert_eq!(crc, frame.crc);
    assert_eq!(Some(frame.frame_len()), frame.header.frame_len());
    assert!(
        frame.frame_len() <= to_u64(bytes.len()),
        "a frame lies within its bytes"
    );
    assert_eq!(to_u64(frame.commands.len()), frame.header.commands_len);
    assert_eq!(to_u64(frame.image.len()), frame.header.image_len);
    let image = to_usize(frame.image_offset).and_then(|at| bytes.get(at..)?.get(..frame.image.len()));
    assert_eq!(image, Some(frame.image), "the image is where the frame says");
    assigned(frame.assigned);
    commands(frame.commands);
    true
}

fn build_frame(bytes: &[u8]) {
    let mut numbers = Numbers::new(bytes);
    let mut header = FrameHeader {
        seq: numbers.u64(),
        epoch: numbers.u64(),
        durable_seq: numbers.u64(),
        previous_crc: numbers.u32(),
        payload_crc: 0,
        command_count: numbers.u32(),
        assigned_len: 0,
        commands_len: 0,
        image_len: 0,
    };
    let assigned = numbers.bytes(usize::MAX);
    let assigned = assigned.get(..assigned.len() & !7).unwrap_or_default();
    let commands = numbers.bytes(usize::MAX);
    let image = numbers.0.rest();
    let image = image.get(..image.len() & !7).unwrap_or_default();
    header.assigned_len = u32::try_from(assigned.len()).unwrap_or(0);
    header.commands_len = to_u64(commands.len());
    header.image_len = to_u64(image.len());
    header.payload_crc = payload_crc(commands, image);
    let (fixed, crc) = header.encode(&SEED, assigned);
    let mut whole = [&fixed, assigned, commands].concat();
    whole.resize(to_usize(align8(to_u64(whole.len()))).unwrap_or(0), 0);
    whole.extend_from_slice(image);
    assert!(check_frame(&whole), "a frame that was written is read");
    let Some(frame) = Frame::decode(&SEED, &whole) else {
        return;
    };
    assert_eq!((frame.header, frame.crc), (header, crc));
    assert_eq!(
        (frame.assigned, frame.commands, frame.image),
        (assigned, commands, image)
    );
    let elsewhere = FrameSeed { segment: 4, ..SEED };
    assert!(
        Frame::decode(&elsewhere, &whole).is_none(),
        "a frame counts in its own segment only"
    );
}

/// A durable mark.
pub fn mark(input: &[u8]) {
    let Some((mode, bytes)) = mode(input) else { return };
    let mut bytes = bytes.to_vec();
    if mode == Mode::Repaired {
        put(&mut bytes, 0, b"SMRK");
        let body = bytes.get(8..MARK_BYTES).unwrap_or_default();
        let seed = [SEED.uuid.as_slice(), &SEED.segment.to_le_bytes()].concat();
        let crc = crc32c::crc32c_append(crc32c::crc32c(&seed), body);
        put(&mut bytes, 4, &crc.to_le_bytes());
    }
    if mode == Mode::Built {
        let mut numbers = Numbers::new(&bytes);
        let mark = Mark {
            epoch: numbers.u64(),
            durable_seq: numbers.u64(),
        };
        assert_eq!(Mark::decode(&SEED, &mark.encode(&SEED)), Some(mark));
    }
    if let Some(mark) = Mark::decode(&SEED, &bytes) {
        assert_eq!(
            Some(mark.encode(&SEED).as_slice()),
            bytes.get(..MARK_BYTES),
            "a mark is encoded as it was"
        );
    }
}

/// An assigned section.
pub fn assigned(input: &[u8]) {
    if let Some(assigned) = Assigned::decode(input) {
        let mut again = Vec::new();
        assigned.encode_to(&mut again);
        assert_eq!(again, input, "an assigned section is encoded as it was");
    }
}

/// Commands one after another, up to the first that is none.
pub fn commands(input: &[u8]) {
    let mut rest = input;
    loop {
        let before = rest;
        let Some(command) = Command::decode(&mut rest) else {
            return;
        };
        let taken = before.len().saturating_sub(rest.len());
        assert!(taken > 0, "a command takes bytes");
        let mut again = Vec::new();
        command.encode_to(&mut again);
        assert_eq!(
            Some(again.as_slice()),
            before.get(..taken),
            "a command is encoded as it was"
        );
        assert_eq!(
            command.block().is_some(),
            matches!(
                command,
                Command::AppendBlock { .. }
                    | Command::AppendMemory { .. }
                    | Command::AppendStream { .. }
                    | Command::SetKv {
                        value: ValueSource::Block(_),
                        ..
                    }
            )
        );
    }
}

const ADDRESS: BlockAddress = BlockAddress {
    chunk: 2,
    crc32c: 0x1234_5678,
    offset: 4_096,
    len: 70_000,
};

pub(crate) fn sample_commands() -> Vec<Command<'static>> {
    let small = BlockSource::Image {
        len: 5,
        crc32c: crc32c::crc32c(b"stone"),
    };
    vec![
        Command::AppendBlock { block: small },
        Command::FreeBlock { block: ADDRESS },
        Command::AppendMemory {
            id: 7,
            tags: vec!["topic:stones", "z"],
            block: BlockSource::Large(ADDRESS),
        },
        Command::DeleteMemory { id: 8 },
        Command::SetKv {
            key: Bytes(b"theme"),
            value: ValueSource::Inline(Bytes(b"dark")),
        },
        Command::SetKv {
            key: Bytes(b"big"),
            value: ValueSource::Block(small),
        },
        Command::DeleteKv { key: Bytes(b"gone") },
        Command::AppendStream {
            name: Bytes(b"s"),
            block: BlockSource::Named(ADDRESS),
        },
        Command::TrimStream {
            name: Bytes(b"s"),
            before: 1,
        },
        Command::AppendInlineRecord {
            name: Bytes(b"s"),
            record: Bytes(b"stone"),
        },
    ]
}

fn sample_assigned() -> Vec<u8> {
    let mut out = Vec::new();
    Assigned {
        chunk: 1,
        chunk_offset: 32,
        streams: vec![
            StreamAssignment {
                stream_id: 1,
                first: 0,
                next: 1,
                effect: StreamEffect::Created,
            },
            StreamAssignment {
                stream_id: 1,
                first: 1,
                next: 1,
                effect: StreamEffect::Changed,
            },
            StreamAssignment {
                stream_id: 1,
                first: 1,
                next: 2,
                effect: StreamEffect::Changed,
            },
        ],
    }
    .encode_to(&mut out);
    out
}

fn encoded(commands: &[Command<'_>]) -> Vec<u8> {
    let mut out = Vec::new();
    commands.iter().for_each(|command| command.encode_to(&mut out));
    out
}

pub(super) fn frame_seeds() -> Vec<Seed> {
    let commands = encoded(&sample_commands());
    let mut image = Vec::new();
    append_small_to_image(&mut image, 0, b"stone");
    append_small_to_image(&mut image, 4, b"stone");
    let assigned = sample_assigned();
    let header = FrameHeader {
        seq: 9,
        epoch: 2,
        durable_seq: 7,
        previous_crc: 5,
        payload_crc: payload_crc(&commands, &image),
        command_count: 10,
        assigned_len: u32::try_from(assigned.len()).unwrap_or(0),
        commands_len: to_u64(commands.len()),
        image_len: to_u64(image.len()),
    };
    let (fixed, _) = header.encode(&SEED, &assigned);
    let mut whole = [fixed.as_slice(), &assigned, &commands].concat();
    whole.resize(to_usize(align8(to_u64(whole.len()))).unwrap_or(0), 0);
    whole.extend_from_slice(&image);
    let empty = FrameHeader {
        assigned_len: 0,
        commands_len: 0,
        image_len: 0,
        payload_crc: 0,
        ..header
    };
    let built = [
        [7; 32].as_slice(),
        &u16::try_from(assigned.len()).unwrap_or(0).to_le_bytes(),
        &assigned,
        &u16::try_from(commands.len()).unwrap_or(0).to_le_bytes(),
        &commands,
        &image,
    ];
    vec![
        ("whole", [&[0], whole.as_slice()].concat()),
        ("repaired", [&[1], whole.as_slice()].concat()),
        ("empty", [&[0], empty.encode(&SEED, &[]).0.as_slice()].concat()),
        ("built", [&[2], built.concat().as_slice()].concat()),
    ]
}

pub(super) fn mark_seeds() -> Vec<Seed> {
    let mark = Mark {
        epoch: 3,
        durable_seq: 12,
    }
    .encode(&SEED);
    vec![
        ("whole", [&[0], mark.as_slice()].concat()),
        ("repaired", [&[1], mark.as_slice()].concat()),
        ("built", [2; 17].to_vec()),
    ]
}

pub(super) fn assigned_seeds() -> Vec<Seed> {
    vec![("three_commands", sample_assigned()), ("nothing", vec![0; 16])]
}

pub(super) fn commands_seeds() -> Vec<Seed> {
    let commands = sample_commands();
    let mut seeds: Vec<Seed> = vec![("all", encoded(&commands))];
    let names = [
        "append_block",
        "free_block",
        "append_memory",
        "delete_memory",
        "set_kv",
        "set_kv_block",
        "delete_kv",
        "append_stream",
        "trim_stream",
        "append_inline_record",
    ];
    for (name, command) in names.into_iter().zip(commands) {
        seeds.push((name, encoded(&[command])));
    }
    seeds
}
