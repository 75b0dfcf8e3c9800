//! The command inside a frame, in bincode 1.3's fixed little-endian encoding of one enum: u32 variant, u64 lengths,
//! fields in order. It is written out by hand, since a commit does it for each command; a test holds it against
//! bincode itself. The order of variants and fields is the disk format. `block` comes last wherever there is one, so
//! that the address of a large block can be patched in once it is known.

#[cfg(all(test, feature = "simulation"))]
use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::{
    block::{BlockAddress, ADDRESS_BYTES},
    bytes::{to_u64, to_usize, Reader},
};

/// A byte string: u64 length and the bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bytes<'a>(pub(crate) &'a [u8]);

#[cfg(all(test, feature = "simulation"))]
impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

#[cfg(all(test, feature = "simulation"))]
impl<'de: 'a, 'a> Deserialize<'de> for Bytes<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&'a [u8]>::deserialize(deserializer).map(Bytes)
    }
}

/// Where the bytes of a command's block are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(all(test, feature = "simulation"), derive(Serialize, Deserialize))]
pub(crate) enum BlockSource {
    /// The next block of the frame's image.
    Image { len: u32, crc32c: u32 },
    /// Already in a chunk, written for this commit.
    Large(BlockAddress),
    /// A loose block of an earlier commit, or of an earlier command of this one.
    Named(BlockAddress),
}

/// What a key-value pair holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[cfg_attr(all(test, feature = "simulation"), derive(Serialize, Deserialize))]
pub(crate) enum ValueSource<'a> {
    #[cfg_attr(all(test, feature = "simulation"), serde(borrow))]
    Inline(Bytes<'a>),
    Block(BlockSource),
}

/// One command of a commit.
#[derive(Debug, Clone, PartialEq, Eq)]
#[cfg_attr(all(test, feature = "simulation"), derive(Serialize, Deserialize))]
pub(crate) enum Command<'a> {
    AppendBlock {
        block: BlockSource,
    },
    FreeBlock {
        block: BlockAddress,
    },
    AppendMemory {
        id: u64,
        #[cfg_attr(all(test, feature = "simulation"), serde(borrow))]
        tags: Vec<&'a str>,
        block: BlockSource,
    },
    DeleteMemory {
        id: u64,
    },
    SetKv {
        #[cfg_attr(all(test, feature = "simulation"), serde(borrow))]
        key: Bytes<'a>,
        value: ValueSource<'a>,
    },
    DeleteKv {
        key: Bytes<'a>,
    },
    AppendStream {
        name: Bytes<'a>,
        block: BlockSource,
    },
    TrimStream {
        name: Bytes<'a>,
        before: u64,
    },
    /// A record that is short enough to lie in the index.
    AppendInlineRecord {
        name: Bytes<'a>,
        record: Bytes<'a>,
    },
}

impl<'a> Bytes<'a> {
    fn decode(reader: &mut Reader<'a>) -> Option<Bytes<'a>> {
        let len = to_usize(reader.u64()?)?;
        reader.take(len).map(Bytes)
    }

    fn encode_to(self, out: &mut Vec<u8>) {
        out.extend_from_slice(&to_u64(self.0.len()).to_le_bytes());
        out.extend_from_slice(self.0);
    }
}

impl BlockSource {
    fn decode(reader: &mut Reader<'_>) -> Option<BlockSource> {
        Some(match reader.u32()? {
            0 => BlockSource::Image {
                len: reader.u32()?,
                crc32c: reader.u32()?,
            },
            1 => BlockSource::Large(BlockAddress::decode(reader)?),
            2 => BlockSource::Named(BlockAddress::decode(reader)?),
            _ => return None,
        })
    }

    fn encode_to(&self, out: &mut Vec<u8>) {
        let (variant, address) = match self {
            BlockSource::Image { len, crc32c } => {
                let fields = u128::from(*len) << 32 | u128::from(*crc32c) << 64;
                // Three u32s: variant 0, length, CRC.
                if let Some((fields, _)) = fields.to_le_bytes().split_first_chunk::<12>() {
                    out.extend_from_slice(fields);
                }
                return;
            }
            BlockSource::Large(address) => (1_u32, address),
            BlockSource::Named(address) => (2, address),
        };
        out.extend_from_slice(&variant.to_le_bytes());
        out.extend_from_slice(&address.encode());
    }
}

impl<'a> ValueSource<'a> {
    fn decode(reader: &mut Reader<'a>) -> Option<ValueSource<'a>> {
        Some(match reader.u32()? {
            0 => ValueSource::Inline(Bytes::decode(reader)?),
            1 => ValueSource::Block(BlockSource::decode(reader)?),
            _ => return None,
        })
    }

    fn encode_to(&self, out: &mut Vec<u8>) {
        match self {
            ValueSource::Inline(bytes) => {
                out.extend_from_slice(&0_u32.to_le_bytes());
                bytes.encode_to(out);
            }
            ValueSource::Block(block) => {
                out.extend_from_slice(&1_u32.to_le_bytes());
                block.encode_to(out);
            }
        }
    }
}

impl<'a> Command<'a> {
    /// Appends the encoded command.
    pub(crate) fn encode_to(&self, out: &mut Vec<u8>) {
        out.reserve(self.most_encoded_bytes());
        match self {
            Command::AppendBlock { block } => {
                out.extend_from_slice(&0_u32.to_le_bytes());
                block.encode_to(out);
            }
            Command::FreeBlock { block } => {
                out.extend_from_slice(&1_u32.to_le_bytes());
                out.extend_from_slice(&block.encode());
            }
            Command::AppendMemory { id, tags, block } => {
                out.extend_from_slice(&2_u32.to_le_bytes());
                out.extend_from_slice(&id.to_le_bytes());
                out.extend_from_slice(&to_u64(tags.len()).to_le_bytes());
                tags.iter().for_each(|tag| Bytes(tag.as_bytes()).encode_to(out));
                block.encode_to(out);
            }
            Command::DeleteMemory { id } => {
                out.extend_from_slice(&3_u32.to_le_bytes());
                out.extend_from_slice(&id.to_le_bytes());
            }
            Command::SetKv { key, value } => {
                out.extend_from_slice(&4_u32.to_le_bytes());
                key.encode_to(out);
                value.encode_to(out);
            }
            Command::DeleteKv { key } => {
                out.extend_from_slice(&5_u32.to_le_bytes());
                key.encode_to(out);
            }
            Command::AppendStream { name, block } => {
                out.extend_from_slice(&6_u32.to_le_bytes());
                name.encode_to(out);
                block.encode_to(out);
            }
            Command::TrimStream { name, before } => {
                out.extend_from_slice(&7_u32.to_le_bytes());
                name.encode_to(out);
                out.extend_from_slice(&before.to_le_bytes());
            }
            Command::AppendInlineRecord { name, record } => {
                out.extend_from_slice(&8_u32.to_le_bytes());
                name.encode_to(out);
                record.encode_to(out);
            }
        }
    }

    /// At least what it takes, encoded: room is made once.
    fn most_encoded_bytes(&self) -> usize {
        /// A command's variant and fixed fields, and a block's.
        const FIXED: usize = 32 + ADDRESS_BYTES;
        match self {
            Command::AppendMemory { tags, .. } => FIXED + tags.iter().map(|tag| tag.len() + 8).sum::<usize>(),
            Command::SetKv { key, value } => {
                let value = match value {
                    ValueSource::Inline(value) => value.0.len(),
                    ValueSource::Block(_) => 0,
                };
                FIXED.saturating_add(key.0.len()).saturating_add(value)
            }
            Command::AppendInlineRecord { name, record } => {
                FIXED.saturating_add(name.0.len()).saturating_add(record.0.len())
            }
            Command::DeleteKv { key: name }
            | Command::AppendStream { name, .. }
            | Command::TrimStream { name, .. } => FIXED.saturating_add(name.0.len()),
            _ => FIXED,
        }
    }

    /// Takes one command off the front of `bytes`; `None` where they hold none, or one beyond the limits, which no
    /// batch takes: whoever reads on need not check them again.
    pub(crate) fn decode(bytes: &mut &'a [u8]) -> Option<Command<'a>> {
        let mut reader = Reader::new(bytes);
        let command = Command::read(&mut reader)?;
        if !command.is_within_limits() {
            return None;
        }
        *bytes = reader.rest();
        Some(command)
    }

    fn is_within_limits(&self) -> bool {
        match self {
            Command::AppendMemory { tags, .. } => super::are_tags(tags),
            Command::SetKv { key, .. }
            | Command::DeleteKv { key }
            | Command::AppendStream { name: key, .. }
            | Command::AppendInlineRecord { name: key, .. }
            | Command::TrimStream { name: key, .. } => key.0.len() <= super::MAX_KEY_BYTES,
            Command::AppendBlock { .. } | Command::FreeBlock { .. } | Command::DeleteMemory { .. } => true,
        }
    }

    fn read(reader: &mut Reader<'a>) -> Option<Command<'a>> {
        Some(match reader.u32()? {
            0 => Command::AppendBlock {
                block: BlockSource::decode(reader)?,
            },
            1 => Command::FreeBlock {
                block: BlockAddress::decode(reader)?,
            },
            2 => {
                let id = reader.u64()?;
                let count = to_usize(reader.u64()?)?;
                // Each has a length of eight bytes: a count that the bytes can't hold asks for no memory.
                let mut tags = Vec::with_capacity(count.min(reader.rest().len() / 8));
                for _ in 0..count {
                    tags.push(std::str::from_utf8(Bytes::decode(reader)?.0).ok()?);
                }
                Command::AppendMemory {
                    id,
                    tags,
                    block: BlockSource::decode(reader)?,
                }
            }
            3 => Command::DeleteMemory { id: reader.u64()? },
            4 => Command::SetKv {
                key: Bytes::decode(reader)?,
                value: ValueSource::decode(reader)?,
            },
            5 => Command::DeleteKv {
                key: Bytes::decode(reader)?,
            },
            6 => Command::AppendStream {
                name: Bytes::decode(reader)?,
                block: BlockSource::decode(reader)?,
            },
            7 => Command::TrimStream {
                name: Bytes::decode(reader)?,
                before: reader.u64()?,
            },
            8 => Command::AppendInlineRecord {
                name: Bytes::decode(reader)?,
                record: Bytes::decode(reader)?,
            },
            _ => return None,
        })
    }

    pub(crate) fn block(&self) -> Option<&BlockSource> {
        match self {
            Command::AppendBlock { block }
            | Command::AppendMemory { block, .. }
            | Command::AppendStream { block, .. }
            | Command::SetKv {
                value: ValueSource::Block(block),
                ..
            } => Some(block),
            _ => None,
        }
    }

    /// Whether the assigned section has an entry for this command.
    pub(crate) fn is_stream(&self) -> bool {
        matches!(
            self,
            Command::AppendStream { .. } | Command::TrimStream { .. } | Command::AppendInlineRecord { .. }
        )
    }
}

#[cfg(all(test, feature = "simulation"))]
mod tests {
    use super::*;
    use crate::format::fuzzing::sample_commands;

    /// What bincode makes of the front of `bytes`, and how many of them it took.
    fn decode_with_bincode(bytes: &[u8]) -> Option<(Command<'_>, usize)> {
        use bincode::Options;
        let options = bincode::DefaultOptions::new()
            .with_fixint_encoding()
            .with_little_endian()
            .allow_trailing_bytes()
            .with_limit(to_u64(bytes.len()));
        let command: Command<'_> = options.deserialize(bytes).ok()?;
        let len = to_usize(bincode::serialized_size(&command).ok()?)?;
        Some((command, len))
    }

    fn decode_by_hand(bytes: &[u8]) -> Option<(Command<'_>, usize)> {
        let mut rest = bytes;
        let command = Command::decode(&mut rest)?;
        Some((command, bytes.len() - rest.len()))
    }

    #[test]
    fn commands_are_encoded_as_bincode_encodes_them() {
        for command in sample_commands() {
            let mut encoded = b"before".to_vec();
            command.encode_to(&mut encoded);
            assert_eq!(
                encoded.strip_prefix(b"before"),
                Some(&bincode::serialize(&command).unwrap()[..])
            );
        }
    }

    /// Cut short, and with each byte changed in several ways: variants, lengths and text that make no sense.
    #[test]
    fn bincode_and_decoding_agree_on_what_is_a_command() {
        let (mut good, mut bad) = (0, 0);
        for command in sample_commands() {
            let mut encoded = Vec::new();
            command.encode_to(&mut encoded);
            encoded.extend_from_slice(b"trailing");
            for len in 0..=encoded.len() {
                assert_eq!(
                    decode_by_hand(&encoded[..len]),
                    decode_with_bincode(&encoded[..len])
                );
            }
            for at in 0..encoded.len() {
                for change in [1, 2, 0x80, 0xff] {
                    let mut changed = encoded.clone();
                    changed[at] ^= change;
                    let decoded = decode_by_hand(&changed);
                    assert_eq!(decoded, decode_with_bincode(&changed), "byte {at} of {command:?}");
                    *(if decoded.is_some() { &mut good } else { &mut bad }) += 1;
                }
            }
        }
        assert!(good > 100 && bad > 100, "{good} decoded, {bad} refused");
    }
}
