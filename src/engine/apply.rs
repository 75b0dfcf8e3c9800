//! From a frame to index entries: a pure function of the frame's bytes, the same at commit and at replay.
//!
//! Everything that had to be looked up when the commit was made is in the frame's assigned section.

use std::collections::HashMap;

use crate::{
    error::{Error, Result},
    format::{
        block::{small_total_bytes, BlockAddress},
        bytes::to_u64,
        command::{BlockSource, Command, ValueSource},
        frame::{Assigned, StreamAssignment, StreamEffect},
        manifest::Counts,
        record::{self, kind, MemoryValue, StreamBounds},
    },
    index::Memtable,
};

/// The parts of a frame that its commands need.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Contents<'a> {
    pub(crate) command_count: u32,
    pub(crate) commands: &'a [u8],
    pub(crate) image_len: u64,
    pub(crate) assigned: &'a Assigned,
}

/// One command with what it was given.
#[derive(Debug)]
pub(crate) struct Step<'a> {
    pub(crate) ordinal: u32,
    pub(crate) command: Command<'a>,
    pub(crate) stream: Option<StreamAssignment>,
    pub(crate) block: Option<BlockAddress>,
    /// Where a small block starts in the image, and the key of the record that owns it (empty: loose).
    pub(crate) image: Option<(u64, Vec<u8>)>,
}

/// How far a walk over a frame's commands has come.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct StepsPosition {
    pub(crate) ordinal: u32,
    command_offset: usize,
    image_offset: u64,
    stream: usize,
}

/// Walks the commands of a frame in order.
#[derive(Debug)]
pub(crate) struct Steps<'a> {
    contents: Contents<'a>,
    position: StepsPosition,
}

/// What a frame's commands say is not what its sections hold: only a defect or a forged file gets here, since the
/// CRCs passed.
fn inconsistent(what: &'static str) -> Error {
    Error::internal(what)
}

/// The same, to whoever reads the frame from the log: its CRCs hold, so it was written that way, or forged.
pub(super) fn forged(segment: u64, offset: u64, seq: u64) -> Error {
    Error::Corrupt {
        file: format!("log/{}", crate::log::segment_file_name(segment)),
        offset,
        what: "the parts of a frame contradict each other".into(),
        first_seq: seq,
        last_seq: seq,
    }
}

impl<'a> Steps<'a> {
    pub(crate) fn new(contents: Contents<'a>) -> Steps<'a> {
        Steps::resume(contents, StepsPosition::default())
    }

    pub(crate) fn resume(contents: Contents<'a>, position: StepsPosition) -> Steps<'a> {
        Steps { contents, position }
    }

    pub(crate) fn position(&self) -> StepsPosition {
        self.position
    }

    pub(crate) fn next(&mut self) -> Result<Option<Step<'a>>> {
        let mut rest = self
            .contents
            .commands
            .get(self.position.command_offset..)
            .unwrap_or_default();
        if self.position.ordinal == self.contents.command_count {
            if !rest.is_empty() || self.position.image_offset != self.contents.image_len {
                return Err(inconsistent("a frame holds bytes that no command names"));
            }
            return Ok(None);
        }
        let command = Command::decode(&mut rest).ok_or_else(|| inconsistent("a command can't be decoded"))?;
        self.position.command_offset = self.contents.commands.len().saturating_sub(rest.len());
        let stream = if command.is_stream() {
            let assigned = self.contents.assigned.streams.get(self.position.stream).copied();
            self.position.stream = self.position.stream.saturating_add(1);
            Some(assigned.ok_or_else(|| inconsistent("a stream command was not assigned"))?)
        } else {
            None
        };
        let (block, image) = match command.block() {
            None => (None, None),
            Some(BlockSource::Large(address) | BlockSource::Named(address)) => (Some(*address), None),
            Some(BlockSource::Image { len, crc32c }) => {
                let owner = owner_key(&command, stream.as_ref());
                let start = self.position.image_offset;
                self.position.image_offset = usize::try_from(*len)
                    .ok()
                    .and_then(|len| start.checked_add(small_total_bytes(owner.len(), len)))
                    .filter(|end| *end <= self.contents.image_len)
                    .ok_or_else(|| inconsistent("a small block lies outside its frame"))?;
                let address = BlockAddress {
                    chunk: self.contents.assigned.chunk,
                    crc32c: *crc32c,
                    offset: self.contents.assigned.chunk_offset.saturating_add(start),
                    len: u64::from(*len),
                };
                (Some(address), Some((start, owner)))
            }
        };
        let ordinal = self.position.ordinal;
        self.position.ordinal = ordinal.saturating_add(1);
        Ok(Some(Step {
            ordinal,
            command,
            stream,
            block,
            image,
        }))
    }
}

/// The index key of the record that a command writes; empty for a loose block.
fn owner_key(command: &Command<'_>, stream: Option<&StreamAssignment>) -> Vec<u8> {
    match command {
        Command::AppendMemory { id, .. } => record::memory_key(*id),
        Command::SetKv { key, .. } => record::kv_key(key.0),
        Command::AppendStream { .. } => stream
            .map(|stream| record::stream_record_key(stream.stream_id, stream.next.wrapping_sub(1)))
            .unwrap_or_default(),
        _ => Vec::new(),
    }
}

/// Writes the index entries of a frame. `counts` and `deleted` are what it adds to the statistics.
pub(crate) fn apply(memtable: &Memtable, seq: u64, contents: Contents<'_>, tally: &mut Tally) -> Result<()> {
    // A stream's bounds are written once, after its last command.
    let mut bounds: HashMap<u64, StreamBounds> = HashMap::new();
    let mut steps = Steps::new(contents);
    while let Some(step) = steps.next()? {
        apply_step(memtable, seq, &step, &mut bounds, tally)?;
    }
    for (stream_id, bounds) in bounds {
        memtable.insert(
            &record::stream_bounds_key(stream_id),
            seq,
            kind::STREAM_BOUNDS,
            &bounds.encode(),
        )?;
    }
    Ok(())
}

/// Changes to statistics.
#[derive(Debug, Default, Clone, Copy)]
pub(crate) struct Tally {
    pub(crate) counts: Counts,
    pub(crate) deleted: u64,
}

fn apply_step(
    memtable: &Memtable,
    seq: u64,
    step: &Step<'_>,
    bounds: &mut HashMap<u64, StreamBounds>,
    tally: &mut Tally,
) -> Result<()> {
    let block = || step.block.ok_or_else(|| inconsistent("a command has no block"));
    match &step.command {
        Command::AppendBlock { block: source } => {
            if matches!(source, BlockSource::Named(_)) {
                return Err(inconsistent("a block can't be appended by naming one"));
            }
            let address = block()?;
            memtable.insert(
                &record::block_key(address.chunk, address.offset, &[]),
                seq,
                kind::HOLD,
                &[],
            )?;
            tally.counts.blocks += 1;
        }
        Command::FreeBlock { block } => {
            memtable.insert(
                &record::block_key(block.chunk, block.offset, &[]),
                seq,
                kind::TOMBSTONE,
                &[],
            )?;
            tally.deleted += 1;
        }
        Command::AppendMemory {
            id,
            tags,
            block: source,
        } => {
            let address = block()?;
            let owner = record::memory_key(*id);
            let value = MemoryValue {
                block: address,
                ordinal: step.ordinal,
                tags: tags.clone(),
            }
            .encode();
            memtable.insert(&owner, seq, kind::MEMORY, &value)?;
            for tag in tags {
                memtable.insert(
                    &record::tag_key(tag, *id),
                    seq,
                    kind::TAG,
                    &record::encode_tag_value(step.ordinal),
                )?;
            }
            hold(memtable, seq, source, &address, &owner)?;
            tally.counts.memories += 1;
        }
        Command::DeleteMemory { id } => {
            memtable.insert(&record::memory_key(*id), seq, kind::TOMBSTONE, &[])?;
            tally.deleted += 1;
        }
        Command::SetKv { key, value } => {
            let key = record::kv_key(key.0);
            match value {
                ValueSource::Inline(value) => memtable.insert(&key, seq, kind::KV_INLINE, value.0)?,
                ValueSource::Block(source) => {
                    let address = block()?;
                    memtable.insert(&key, seq, kind::KV_BLOCK, &address.encode())?;
                    hold(memtable, seq, source, &address, &key)?;
                }
            }
            tally.counts.kv += 1;
        }
        Command::DeleteKv { key } => {
            memtable.insert(&record::kv_key(key.0), seq, kind::TOMBSTONE, &[])?;
            tally.deleted += 1;
        }
        Command::AppendStream { name, block: source } => {
            let address = block()?;
            let stream = step
                .stream
                .ok_or_else(|| inconsistent("a stream command was not assigned"))?;
            if stream.effect == StreamEffect::Created {
                let stream_id = record::encode_stream_id(stream.stream_id);
                memtable.insert(
                    &record::stream_name_key(name.0),
                    seq,
                    kind::STREAM_NAME,
                    &stream_id,
                )?;
                tally.counts.streams += 1;
            }
            let key = record::stream_record_key(stream.stream_id, stream.next.wrapping_sub(1));
            memtable.insert(&key, seq, kind::STREAM_RECORD, &address.encode())?;
            hold(memtable, seq, source, &address, &key)?;
            bounds.insert(
                stream.stream_id,
                StreamBounds {
                    first: stream.first,
                    next: stream.next,
                },
            );
            tally.counts.stream_records += 1;
        }
        Command::TrimStream { name, .. } => {
            let stream = step
                .stream
                .ok_or_else(|| inconsistent("a stream command was not assigned"))?;
            if stream.effect == StreamEffect::Nothing {
                return Ok(());
            }
            bounds.insert(
                stream.stream_id,
                StreamBounds {
                    first: stream.first,
                    next: stream.next,
                },
            );
            if stream.effect == StreamEffect::Dropped {
                memtable.insert(&record::stream_name_key(name.0), seq, kind::TOMBSTONE, &[])?;
            }
            tally.deleted += 1;
        }
    }
    Ok(())
}

/// A record holds its block by an index entry where the block's own header can't say so: large and named blocks.
/// A loose block that is named for the first time stops holding itself.
fn hold(
    memtable: &Memtable,
    seq: u64,
    source: &BlockSource,
    address: &BlockAddress,
    owner: &[u8],
) -> Result<()> {
    match source {
        BlockSource::Image { .. } => Ok(()),
        BlockSource::Large(_) => memtable.insert(
            &record::block_key(address.chunk, address.offset, owner),
            seq,
            kind::HOLD,
            &[],
        ),
        BlockSource::Named(_) => {
            memtable.insert(
                &record::block_key(address.chunk, address.offset, &[]),
                seq,
                kind::TOMBSTONE,
                &[],
            )?;
            memtable.insert(
                &record::block_key(address.chunk, address.offset, owner),
                seq,
                kind::HOLD,
                &[],
            )
        }
    }
}

/// The address space that a frame's image takes in its chunk.
pub(crate) fn image_end(assigned: &Assigned, image: &[u8]) -> u64 {
    assigned.chunk_offset.saturating_add(to_u64(image.len()))
}
