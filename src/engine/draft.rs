//! A commit under construction: commands encoded as the frame will hold them, the image of its small blocks, and
//! what is left to fill in once the commit's place is known.
//!
//! Everything is checked when it is added, so that a commit fails for its size or its environment only.

use crate::{
    error::{Error, Result},
    format::{
        are_tags,
        block::{append_small_to_image, small_total_bytes, BlockAddress, ADDRESS_BYTES},
        bytes::to_u64,
        command::{BlockSource, Bytes, Command, ValueSource},
        frame::{self, Assigned, ASSIGNED_HEADER_BYTES, HEADER_BYTES, STREAM_ASSIGNMENT_BYTES},
        record::{MEMORY_KEY_BYTES, STREAM_RECORD_KEY_BYTES},
        MAX_COMMIT_BYTES, MAX_INLINE_BYTES, MAX_KEY_BYTES, MAX_SMALL_BYTES, MAX_TAGS, MAX_TAG_BYTES,
        MAX_VALUE_BYTES,
    },
    log::ONE_PIECE_STORED_BYTES,
};

/// The bytes of a record: given, or those of a block that is already there.
#[derive(Debug, Clone, Copy)]
pub enum Data<'a> {
    Bytes(&'a [u8]),
    Block(BlockAddress),
}

/// Where the block of a command will be found after the commit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum BlockPlace {
    None,
    /// In the image, at this offset.
    Image {
        offset: u64,
        len: u32,
        crc32c: u32,
    },
    /// The n-th large block.
    Large(usize),
    Named(BlockAddress),
}

#[derive(Debug, Clone, Copy)]
struct Slot {
    block: BlockPlace,
    /// Which entry of the assigned section is this command's.
    stream: Option<usize>,
}

/// A block too large for the frame. Its bytes are kept until the commit writes them to a chunk.
#[derive(Debug, Clone)]
pub(crate) struct LargeDraft {
    /// Where in the encoded commands the 24 bytes of its address go.
    patch_at: usize,
    pub(crate) len: usize,
    /// `None`: whoever commits brings them along.
    pub(crate) data: Option<Vec<u8>>,
    address: Option<BlockAddress>,
}

/// What a stream command wants; the name lies in the encoded commands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum StreamIntent {
    /// `at`: the index that the record must get; a stream that isn't there begins with it.
    Append {
        at: Option<u64>,
    },
    Trim {
        before: u64,
    },
}

#[derive(Debug, Clone)]
pub(crate) struct StreamDraft {
    name: std::ops::Range<usize>,
    pub(crate) intent: StreamIntent,
}

/// A command on loose blocks, in order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LooseDraft {
    /// `patch_at`: where in the encoded commands the address is.
    Free {
        block: BlockAddress,
        patch_at: usize,
    },
    Name(BlockAddress),
}

/// See the module.
#[derive(Debug, Clone, Default)]
pub(crate) struct Draft {
    pub(crate) commands: Vec<u8>,
    pub(crate) image: Vec<u8>,
    slots: Vec<Slot>,
    pub(crate) large: Vec<LargeDraft>,
    pub(crate) streams: Vec<StreamDraft>,
    pub(crate) loose: Vec<LooseDraft>,
    /// Some command adds something; without, a full disk is no reason to refuse.
    pub(crate) adds: bool,
    /// Bytes of large blocks are not kept, see [`Draft::lend`].
    lends: bool,
    /// What the commit was given, once it has happened.
    outcome: Option<Assigned>,
    /// The frame that it becomes, if that is short; what is assigned comes last.
    pub(crate) frame: Vec<u8>,
}

/// Lengths of a draft, to go back to when a command turns out not to fit.
struct Before {
    commands: usize,
    image: usize,
    large: usize,
    streams: usize,
    loose: usize,
}

impl Draft {
    pub(crate) fn new() -> Draft {
        Draft::default()
    }

    pub(crate) fn count(&self) -> usize {
        if self.outcome.is_some() {
            0
        } else {
            self.slots.len()
        }
    }

    pub(crate) fn clear(&mut self) {
        self.commands.clear();
        self.image.clear();
        self.slots.clear();
        self.large.clear();
        self.streams.clear();
        self.loose.clear();
        self.adds = false;
        self.lends = false;
        self.outcome = None;
    }

    /// For one command whose bytes outlive the commit (`Engine::commit_lent`): a large block is written from where it
    /// lies. Until the draft is cleared.
    pub(crate) fn lend(&mut self) {
        self.lends = true;
    }

    /// Memory that it keeps when it is cleared.
    pub(crate) fn held_bytes(&self) -> usize {
        let entries = self.slots.capacity() * size_of::<Slot>()
            + self.large.capacity() * size_of::<LargeDraft>()
            + self.streams.capacity() * size_of::<StreamDraft>()
            + self.loose.capacity() * size_of::<LooseDraft>();
        entries + self.commands.capacity() + self.image.capacity() + self.frame.capacity()
    }

    pub(crate) fn append_block(&mut self, data: &[u8]) -> Result<()> {
        let before = self.begin()?;
        let (place, source) = self.place_bytes(0, data)?;
        self.finish(before, Command::AppendBlock { block: source }, place, None)
    }

    pub(crate) fn free_block(&mut self, block: BlockAddress) -> Result<()> {
        let before = self.begin()?;
        // Behind the u32 variant.
        let patch_at = before.commands + 4;
        self.loose.push(LooseDraft::Free { block, patch_at });
        self.finish(before, Command::FreeBlock { block }, BlockPlace::None, None)
    }

    /// `tags` are ascending and distinct.
    pub(crate) fn append_memory(&mut self, id: u64, tags: &[&str], data: Data<'_>) -> Result<()> {
        if tags.len() > MAX_TAGS {
            return Err(Error::too_large(format!("a memory has at most {MAX_TAGS} tags")));
        }
        tags.iter().try_for_each(|tag| check_tag(tag))?;
        debug_assert!(are_tags(tags));
        let before = self.begin()?;
        let (place, block) = self.place(MEMORY_KEY_BYTES, data)?;
        self.finish(
            before,
            Command::AppendMemory {
                id,
                tags: tags.to_vec(),
                block,
            },
            place,
            None,
        )
    }

    pub(crate) fn delete_memory(&mut self, id: u64) -> Result<()> {
        let before = self.begin()?;
        self.finish(before, Command::DeleteMemory { id }, BlockPlace::None, None)
    }

    pub(crate) fn set_kv(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        check_key(key)?;
        let before = self.begin()?;
        let (place, source) = if value.len() <= MAX_INLINE_BYTES {
            (BlockPlace::None, ValueSource::Inline(Bytes(value)))
        } else {
            let (place, source) = self.place_bytes(key.len() + 1, value)?;
            (place, ValueSource::Block(source))
        };
        self.finish(
            before,
            Command::SetKv {
                key: Bytes(key),
                value: source,
            },
            place,
            None,
        )
    }

    pub(crate) fn delete_kv(&mut self, key: &[u8]) -> Result<()> {
        check_key(key)?;
        let before = self.begin()?;
        self.finish(
            before,
            Command::DeleteKv { key: Bytes(key) },
            BlockPlace::None,
            None,
        )
    }

    /// `at`: the index that the record must get, or the commit is refused.
    pub(crate) fn append_stream(&mut self, name: &[u8], at: Option<u64>, data: Data<'_>) -> Result<()> {
        check_key(name)?;
        let before = self.begin()?;
        let intent = Some((name, StreamIntent::Append { at }));
        let name = Bytes(name);
        let (place, command) = match data {
            Data::Bytes(record) if record.len() <= MAX_INLINE_BYTES => {
                let record = Bytes(record);
                (BlockPlace::None, Command::AppendInlineRecord { name, record })
            }
            data => {
                let (place, block) = self.place(STREAM_RECORD_KEY_BYTES, data)?;
                (place, Command::AppendStream { name, block })
            }
        };
        self.finish(before, command, place, intent)
    }

    /// `u64::MAX` drops the stream.
    pub(crate) fn trim_stream(&mut self, name: &[u8], trim_before: u64) -> Result<()> {
        check_key(name)?;
        let before = self.begin()?;
        let command = Command::TrimStream {
            name: Bytes(name),
            before: trim_before,
        };
        self.finish(
            before,
            command,
            BlockPlace::None,
            Some((name, StreamIntent::Trim { before: trim_before })),
        )
    }

    fn begin(&mut self) -> Result<Before> {
        if self.outcome.is_some() {
            self.clear();
        }
        if u32::try_from(self.slots.len().saturating_add(1)).is_err() {
            return Err(Error::too_large("a commit has fewer than 2^32 commands"));
        }
        Ok(Before {
            commands: self.commands.len(),
            image: self.image.len(),
            large: self.large.len(),
            streams: self.streams.len(),
            loose: self.loose.len(),
        })
    }

    fn place(&mut self, owner_len: usize, data: Data<'_>) -> Result<(BlockPlace, BlockSource)> {
        match data {
            Data::Bytes(bytes) => self.place_bytes(owner_len, bytes),
            Data::Block(address) => {
                self.loose.push(LooseDraft::Name(address));
                Ok((BlockPlace::Named(address), BlockSource::Named(address)))
            }
        }
    }

    fn place_bytes(&mut self, owner_len: usize, data: &[u8]) -> Result<(BlockPlace, BlockSource)> {
        if to_u64(data.len()) > MAX_VALUE_BYTES {
            return Err(Error::too_large(
                "values, records and blocks are shorter than 4 GiB",
            ));
        }
        if data.len() > MAX_SMALL_BYTES {
            let address = BlockAddress {
                chunk: 0,
                crc32c: 0,
                offset: 0,
                len: to_u64(data.len()),
            };
            self.large.push(LargeDraft {
                patch_at: usize::MAX,
                len: data.len(),
                data: (!self.lends).then(|| data.to_vec()),
                address: None,
            });
            return Ok((
                BlockPlace::Large(self.large.len() - 1),
                BlockSource::Large(address),
            ));
        }
        let offset = to_u64(self.image.len());
        let total = small_total_bytes(owner_len, data.len());
        if offset.saturating_add(total) > to_u64(MAX_COMMIT_BYTES) {
            return Err(Error::too_large(
                "a commit has at most 1 GiB of small blocks; split it",
            ));
        }
        let owner_len = u32::try_from(owner_len).map_err(|_| Error::too_large("key"))?;
        let crc32c = append_small_to_image(&mut self.image, owner_len, data);
        let len = u32::try_from(data.len()).map_err(|_| Error::too_large("block"))?;
        Ok((
            BlockPlace::Image { offset, len, crc32c },
            BlockSource::Image { len, crc32c },
        ))
    }

    fn finish(
        &mut self,
        before: Before,
        command: Command<'_>,
        block: BlockPlace,
        stream: Option<(&[u8], StreamIntent)>,
    ) -> Result<()> {
        command.encode_to(&mut self.commands);
        if self.commands.len() > MAX_COMMIT_BYTES {
            self.commands.truncate(before.commands);
            self.image.truncate(before.image);
            self.large.truncate(before.large);
            self.streams.truncate(before.streams);
            self.loose.truncate(before.loose);
            return Err(Error::too_large(
                "a commit has at most 1 GiB of commands; split it",
            ));
        }
        if let BlockPlace::Large(number) = block {
            if let Some(large) = self.large.get_mut(number) {
                // `block` is the last field of every command that has one.
                large.patch_at = self.commands.len() - ADDRESS_BYTES;
            }
        }
        let stream = stream.map(|(name, intent)| {
            // All stream commands start with a u32 variant and the name's u64 length.
            let start = before.commands + 12;
            self.streams.push(StreamDraft {
                name: start..start + name.len(),
                intent,
            });
            self.streams.len() - 1
        });
        self.slots.push(Slot { block, stream });
        self.adds |= !matches!(
            command,
            Command::FreeBlock { .. }
                | Command::DeleteMemory { .. }
                | Command::DeleteKv { .. }
                | Command::TrimStream { .. }
        );
        Ok(())
    }

    /// Whether the commands of `other` could be added to these.
    pub(crate) fn check_joined(&self, other: &Draft) -> Result<()> {
        let joined = |a: usize, b: usize| a.saturating_add(b) <= MAX_COMMIT_BYTES;
        let counted = u32::try_from(self.slots.len().saturating_add(other.slots.len())).is_ok();
        if counted
            && joined(self.commands.len(), other.commands.len())
            && joined(self.image.len(), other.image.len())
        {
            return Ok(());
        }
        Err(Error::too_large(
            "a commit has at most 1 GiB of commands, and of small blocks; split it",
        ))
    }

    pub(crate) fn command_count(&self) -> u32 {
        u32::try_from(self.slots.len()).unwrap_or(u32::MAX)
    }

    pub(crate) fn stream_name(&self, stream: &StreamDraft) -> &[u8] {
        self.commands.get(stream.name.clone()).unwrap_or_default()
    }

    /// Whole length of the frame that this draft becomes.
    pub(crate) fn frame_len(&self) -> u64 {
        let assigned = ASSIGNED_HEADER_BYTES + STREAM_ASSIGNMENT_BYTES * self.streams.len();
        to_u64(HEADER_BYTES + assigned)
            + crate::format::align8(to_u64(self.commands.len()))
            + to_u64(self.image.len())
    }

    /// Puts the payload together, where the frame is short, and gives its CRC. To be called when nothing of it changes any
    /// more.
    pub(crate) fn build_frame(&mut self) -> u32 {
        self.frame.clear();
        let len = self.frame_len();
        if len > ONE_PIECE_STORED_BYTES {
            return frame::payload_crc(&self.commands, &self.image);
        }
        let payload_start =
            HEADER_BYTES + ASSIGNED_HEADER_BYTES + STREAM_ASSIGNMENT_BYTES * self.streams.len();
        self.frame.resize(payload_start, 0);
        self.frame.extend_from_slice(&self.commands);
        self.frame
            .resize(crate::format::align8(to_u64(self.frame.len())) as usize, 0);
        self.frame.extend_from_slice(&self.image);
        crc32c::crc32c(self.frame.get(payload_start..).unwrap_or_default())
    }

    /// Fills in where large block number `number` was written.
    pub(crate) fn patch_large(&mut self, number: usize, address: BlockAddress) -> Result<()> {
        let large = self
            .large
            .get_mut(number)
            .ok_or_else(|| Error::internal("no such large block"))?;
        large.address = Some(address);
        // bincode writes a BlockAddress as its fields in order, which is what BlockAddress::encode gives.
        let place = large.patch_at..large.patch_at.saturating_add(ADDRESS_BYTES);
        self.commands
            .get_mut(place)
            .ok_or_else(|| Error::internal("a large block has no place in its command"))?
            .copy_from_slice(&address.encode());
        Ok(())
    }

    /// Makes the frees of blocks that are not there, says `is_there`, frees of nothing: of chunk 0. The index knows blocks
    /// by their place alone, and another one may lie in that place.
    pub(crate) fn void_frees(&mut self, is_there: impl Fn(&BlockAddress) -> Result<bool>) -> Result<()> {
        for command in &mut self.loose {
            let LooseDraft::Free { block, patch_at } = command else {
                continue;
            };
            if is_there(block)? {
                continue;
            }
            block.chunk = 0;
            self.commands
                .get_mut(*patch_at..patch_at.saturating_add(ADDRESS_BYTES))
                .ok_or_else(|| Error::internal("an address has no place in its command"))?
                .copy_from_slice(&block.encode());
        }
        Ok(())
    }

    /// Marks the draft as committed: it counts as empty, and tells its results until it is next changed.
    pub(crate) fn committed(&mut self, assigned: Assigned) {
        self.outcome = Some(assigned);
        for large in &mut self.large {
            large.data = None;
        }
    }

    /// What command number `command` of a committed draft was given: a stream index and a block.
    pub(crate) fn result(&self, command: usize) -> Result<(Option<u64>, Option<BlockAddress>)> {
        let assigned = self.outcome.as_ref().ok_or_else(|| {
            Error::invalid("the batch was not committed, or was changed since; results are gone")
        })?;
        let slot = self.slots.get(command).ok_or_else(|| {
            Error::invalid(format!(
                "command {command} of a commit that had {}",
                self.slots.len()
            ))
        })?;
        let index = slot
            .stream
            .filter(|number| {
                self.streams
                    .get(*number)
                    .is_some_and(|stream| matches!(stream.intent, StreamIntent::Append { .. }))
            })
            .and_then(|number| assigned.streams.get(number))
            .map(|stream| stream.next.wrapping_sub(1));
        let block = match slot.block {
            BlockPlace::None => None,
            BlockPlace::Image { offset, len, crc32c } => Some(BlockAddress {
                chunk: assigned.chunk,
                crc32c,
                offset: assigned.chunk_offset.saturating_add(offset),
                len: u64::from(len),
            }),
            BlockPlace::Large(number) => self.large.get(number).and_then(|large| large.address),
            BlockPlace::Named(address) => Some(address),
        };
        Ok((index, block))
    }
}

fn check_key(key: &[u8]) -> Result<()> {
    if key.len() > MAX_KEY_BYTES {
        return Err(Error::too_large(format!(
            "keys and stream names have at most {MAX_KEY_BYTES} bytes, this one has {}",
            key.len()
        )));
    }
    Ok(())
}

/// Tags have 1 to 1,024 bytes.
pub(crate) fn check_tag(tag: &str) -> Result<()> {
    if tag.is_empty() {
        return Err(Error::invalid("a tag has at least one byte"));
    }
    if tag.len() > MAX_TAG_BYTES {
        return Err(Error::too_large(format!(
            "a tag has at most {MAX_TAG_BYTES} bytes, this one has {}",
            tag.len()
        )));
    }
    Ok(())
}
