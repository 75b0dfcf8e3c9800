//! From a frame to index entries: a pure function of the frame's bytes, the same at commit and at replay.
//!
//! Everything that had to be looked up when the commit was made is in the frame's assigned section.

use std::sync::Arc;

use crate::{
    error::{Error, Result},
    format::{
        block::{small_total_bytes, BlockAddress},
        bytes::to_u64,
        command::{BlockSource, Command, ValueSource},
        frame::{Assigned, StreamAssignment, StreamEffect},
        manifest::Counts,
        record::{self, kind, MemoryValue, StreamBounds, MEMORY_KEY_BYTES, STREAM_RECORD_KEY_BYTES},
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
    /// Where a small block starts in the image, and how long the key of the record is that owns it (0: loose).
    pub(crate) image: Option<(u64, usize)>,
}

impl Step<'_> {
    /// The index key of the record that the command writes; empty for a loose block.
    pub(crate) fn owner_key(&self) -> Vec<u8> {
        let mut key = Vec::new();
        match (&self.command, &self.stream) {
            (Command::AppendMemory { id, .. }, _) => record::memory_key_to(&mut key, *id),
            (Command::SetKv { key: user_key, .. }, _) => record::kv_key_to(&mut key, user_key.0),
            (Command::AppendStream { .. }, Some(stream)) => stream_record_key_to(&mut key, stream),
            _ => {}
        }
        key
    }
}

fn stream_record_key_to(key: &mut Vec<u8>, stream: &StreamAssignment) {
    record::stream_record_key_to(key, stream.stream_id, stream.next.wrapping_sub(1));
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
    Error::corrupt_commits(
        format!("log/{}", crate::log::segment_file_name(segment)),
        offset,
        "the parts of a frame contradict each other",
        seq,
        seq,
    )
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

    #[inline]
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
                let owner_len = owner_key_len(&command);
                let start = self.position.image_offset;
                self.position.image_offset = usize::try_from(*len)
                    .ok()
                    .and_then(|len| start.checked_add(small_total_bytes(owner_len, len)))
                    .filter(|end| *end <= self.contents.image_len)
                    .ok_or_else(|| inconsistent("a small block lies outside its frame"))?;
                let address = BlockAddress {
                    chunk: self.contents.assigned.chunk,
                    crc32c: *crc32c,
                    offset: self.contents.assigned.chunk_offset.saturating_add(start),
                    len: u64::from(*len),
                };
                (Some(address), Some((start, owner_len)))
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

/// Length of the index key of the record that a command writes; 0 for a loose block.
fn owner_key_len(command: &Command<'_>) -> usize {
    match command {
        Command::AppendMemory { .. } => MEMORY_KEY_BYTES,
        Command::SetKv { key, .. } => key.0.len().saturating_add(1),
        Command::AppendStream { .. } => STREAM_RECORD_KEY_BYTES,
        _ => 0,
    }
}

/// Keys and values while they are put together, kept from commit to commit: applying one takes no memory.
#[derive(Debug, Default)]
pub(crate) struct Scratch {
    key: Vec<u8>,
    /// Of what is held or found by `key`: a block, a tag.
    second: Vec<u8>,
    value: Vec<u8>,
    /// What streams came to, with the command that made it so.
    bounds: Vec<(u64, u32, StreamBounds)>,
}

/// Where the index entries of frames go.
pub(crate) trait Entries {
    /// As `Memtable::insert`.
    fn insert(&self, key: &[u8], seq: u64, kind: u8, value: &[u8]) -> Result<()>;
}

impl Entries for Arc<Memtable> {
    #[inline]
    fn insert(&self, key: &[u8], seq: u64, kind: u8, value: &[u8]) -> Result<()> {
        Memtable::insert(self, key, seq, kind, value)
    }
}

/// Writes the index entries of a frame. `counts` and `deleted` are what it adds to the statistics.
pub(crate) fn apply(
    memtable: &dyn Entries,
    seq: u64,
    contents: Contents<'_>,
    tally: &mut Tally,
    scratch: &mut Scratch,
) -> Result<()> {
    scratch.bounds.clear();
    let mut steps = Steps::new(contents);
    while let Some(step) = steps.next()? {
        apply_step(memtable, seq, &step, scratch, tally)?;
    }
    // A stream's bounds are written once, as its last command left them.
    scratch
        .bounds
        .sort_unstable_by_key(|(stream_id, ordinal, _)| (*stream_id, *ordinal));
    let mut bounds = scratch.bounds.iter().peekable();
    while let Some((stream_id, _, last)) = bounds.next() {
        if bounds.peek().is_some_and(|(next, ..)| next == stream_id) {
            continue;
        }
        record::stream_bounds_key_to(&mut scratch.key, *stream_id);
        memtable.insert(&scratch.key, seq, kind::STREAM_BOUNDS, &last.encode())?;
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
    memtable: &dyn Entries,
    seq: u64,
    step: &Step<'_>,
    scratch: &mut Scratch,
    tally: &mut Tally,
) -> Result<()> {
    let Scratch {
        key,
        second,
        value,
        bounds,
    } = scratch;
    let block = || step.block.ok_or_else(|| inconsistent("a command has no block"));
    match &step.command {
        Command::AppendBlock { block: source } => {
            if matches!(source, BlockSource::Named(_)) {
                return Err(inconsistent("a block can't be appended by naming one"));
            }
            let address = block()?;
            record::block_key_to(key, address.chunk, address.offset, &[]);
            memtable.insert(key, seq, kind::HOLD, &[])?;
            tally.counts.blocks += 1;
        }
        Command::FreeBlock { block } => {
            record::block_key_to(key, block.chunk, block.offset, &[]);
            memtable.insert(key, seq, kind::TOMBSTONE, &[])?;
            tally.deleted += 1;
        }
        Command::AppendMemory {
            id,
            tags,
            block: source,
        } => {
            let address = block()?;
            record::memory_key_to(key, *id);
            MemoryValue::encode_to(value, &address, step.ordinal, tags);
            memtable.insert(key, seq, kind::MEMORY, value)?;
            for tag in tags {
                record::tag_key_to(second, tag, *id);
                memtable.insert(second, seq, kind::TAG, &record::encode_tag_value(step.ordinal))?;
            }
            hold(memtable, seq, source, &address, key, second)?;
            tally.counts.memories += 1;
        }
        Command::DeleteMemory { id } => {
            record::memory_key_to(key, *id);
            memtable.insert(key, seq, kind::TOMBSTONE, &[])?;
            tally.deleted += 1;
        }
        Command::SetKv {
            key: user_key,
            value: source,
        } => {
            record::kv_key_to(key, user_key.0);
            match source {
                ValueSource::Inline(value) => memtable.insert(key, seq, kind::KV_INLINE, value.0)?,
                ValueSource::Block(source) => {
                    let address = block()?;
                    memtable.insert(key, seq, kind::KV_BLOCK, &address.encode())?;
                    hold(memtable, seq, source, &address, key, second)?;
                }
            }
            tally.counts.kv += 1;
        }
        Command::DeleteKv { key: user_key } => {
            record::kv_key_to(key, user_key.0);
            memtable.insert(key, seq, kind::TOMBSTONE, &[])?;
            tally.deleted += 1;
        }
        Command::AppendStream { name, block: source } => {
            let address = block()?;
            let stream = appended(memtable, seq, step, name.0, key, tally)?;
            memtable.insert(key, seq, kind::STREAM_RECORD, &address.encode())?;
            hold(memtable, seq, source, &address, key, second)?;
            note_bounds(bounds, step.ordinal, &stream);
        }
        Command::AppendInlineRecord { name, record } => {
            let stream = appended(memtable, seq, step, name.0, key, tally)?;
            memtable.insert(key, seq, kind::STREAM_INLINE, record.0)?;
            note_bounds(bounds, step.ordinal, &stream);
        }
        Command::TrimStream { name, .. } => {
            let stream = step
                .stream
                .ok_or_else(|| inconsistent("a stream command was not assigned"))?;
            if stream.effect == StreamEffect::Nothing {
                return Ok(());
            }
            note_bounds(bounds, step.ordinal, &stream);
            if stream.effect == StreamEffect::Dropped {
                record::stream_name_key_to(key, name.0);
                memtable.insert(key, seq, kind::TOMBSTONE, &[])?;
            }
            tally.deleted += 1;
        }
    }
    Ok(())
}

/// What an append of a record comes to, beside the record's own entry, whose key is left in `key`.
fn appended(
    memtable: &dyn Entries,
    seq: u64,
    step: &Step<'_>,
    name: &[u8],
    key: &mut Vec<u8>,
    tally: &mut Tally,
) -> Result<StreamAssignment> {
    let stream = step
        .stream
        .ok_or_else(|| inconsistent("a stream command was not assigned"))?;
    if stream.effect == StreamEffect::Created {
        let stream_id = record::encode_stream_id(stream.stream_id);
        record::stream_name_key_to(key, name);
        memtable.insert(key, seq, kind::STREAM_NAME, &stream_id)?;
        tally.counts.streams += 1;
    }
    stream_record_key_to(key, &stream);
    tally.counts.stream_records += 1;
    Ok(stream)
}

fn note_bounds(bounds: &mut Vec<(u64, u32, StreamBounds)>, ordinal: u32, stream: &StreamAssignment) {
    let now = StreamBounds {
        first: stream.first,
        next: stream.next,
    };
    match bounds.last_mut() {
        Some((stream_id, last, bounds)) if *stream_id == stream.stream_id => {
            (*last, *bounds) = (ordinal, now)
        }
        _ => bounds.push((stream.stream_id, ordinal, now)),
    }
}

/// A record holds its block by an index entry where the block's own header can't say so: large and named blocks.
/// A loose block that is named for the first time stops holding itself. `key` is for the entries' keys.
fn hold(
    memtable: &dyn Entries,
    seq: u64,
    source: &BlockSource,
    address: &BlockAddress,
    owner: &[u8],
    key: &mut Vec<u8>,
) -> Result<()> {
    match source {
        BlockSource::Image { .. } => return Ok(()),
        BlockSource::Large(_) => {}
        BlockSource::Named(_) => {
            record::block_key_to(key, address.chunk, address.offset, &[]);
            memtable.insert(key, seq, kind::TOMBSTONE, &[])?;
        }
    }
    record::block_key_to(key, address.chunk, address.offset, owner);
    memtable.insert(key, seq, kind::HOLD, &[])
}

/// The address space that a frame's image takes in its chunk.
pub(crate) fn image_end(assigned: &Assigned, image: &[u8]) -> u64 {
    assigned.chunk_offset.saturating_add(to_u64(image.len()))
}
