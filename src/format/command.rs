//! The command inside a frame: one serde enum in bincode 1.3's fixed little-endian encoding (u32 variant, u64
//! lengths). The order of variants and fields is the disk format. `block` comes last wherever there is one, so
//! that the address of a large block can be patched in once it is known.

use serde::{Deserialize, Deserializer, Serialize, Serializer};

use super::block::BlockAddress;

/// A byte string that bincode writes in one piece.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bytes<'a>(pub(crate) &'a [u8]);

impl Serialize for Bytes<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_bytes(self.0)
    }
}

impl<'de: 'a, 'a> Deserialize<'de> for Bytes<'a> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        <&'a [u8]>::deserialize(deserializer).map(Bytes)
    }
}

/// Where the bytes of a command's block are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum BlockSource {
    /// The next block of the frame's image.
    Image { len: u32, crc32c: u32 },
    /// Already in a chunk, written for this commit.
    Large(BlockAddress),
    /// A loose block of an earlier commit, or of an earlier command of this one.
    Named(BlockAddress),
}

/// What a key-value pair holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum ValueSource<'a> {
    #[serde(borrow)]
    Inline(Bytes<'a>),
    Block(BlockSource),
}

/// One command of a commit.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Command<'a> {
    AppendBlock {
        block: BlockSource,
    },
    FreeBlock {
        block: BlockAddress,
    },
    AppendMemory {
        id: u64,
        #[serde(borrow)]
        tags: Vec<&'a str>,
        block: BlockSource,
    },
    DeleteMemory {
        id: u64,
    },
    SetKv {
        #[serde(borrow)]
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
}

impl<'a> Command<'a> {
    /// Appends the encoded command. Infallible: writing to a Vec can't fail and every type here has a length.
    pub(crate) fn encode_to(&self, out: &mut Vec<u8>) {
        let written = bincode::serialize_into(&mut *out, self);
        debug_assert!(written.is_ok());
    }

    /// Takes one command off the front of `bytes`; `None` where they hold none, or one beyond the limits, which no
    /// batch takes: whoever reads on need not check them again.
    pub(crate) fn decode(bytes: &mut &'a [u8]) -> Option<Command<'a>> {
        use bincode::Options;
        let mut reader = SliceReader { rest: bytes };
        let limit = super::bytes::to_u64(bytes.len());
        let command = bincode::DefaultOptions::new()
            .with_fixint_encoding()
            .with_little_endian()
            .allow_trailing_bytes()
            .with_limit(limit)
            .deserialize_from_custom_seed(std::marker::PhantomData::<Command<'a>>, &mut reader)
            .ok()?;
        if !command.is_within_limits() {
            return None;
        }
        *bytes = reader.rest;
        Some(command)
    }

    fn is_within_limits(&self) -> bool {
        match self {
            Command::AppendMemory { tags, .. } => super::are_tags(tags),
            Command::SetKv { key, .. }
            | Command::DeleteKv { key }
            | Command::AppendStream { name: key, .. }
            | Command::TrimStream { name: key, .. } => key.0.len() <= super::MAX_KEY_BYTES,
            Command::AppendBlock { .. } | Command::FreeBlock { .. } | Command::DeleteMemory { .. } => true,
        }
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
        matches!(self, Command::AppendStream { .. } | Command::TrimStream { .. })
    }
}

/// Lets bincode borrow from a slice and tells how far it read.
struct SliceReader<'a> {
    rest: &'a [u8],
}

impl std::io::Read for SliceReader<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> std::io::Result<usize> {
        self.rest.read(buffer)
    }
}

impl<'a> bincode::BincodeRead<'a> for &mut SliceReader<'a> {
    fn forward_read_str<V: serde::de::Visitor<'a>>(
        &mut self,
        length: usize,
        visitor: V,
    ) -> bincode::Result<V::Value> {
        let bytes = self.split(length)?;
        let text = std::str::from_utf8(bytes).map_err(bincode::ErrorKind::InvalidUtf8Encoding)?;
        visitor.visit_borrowed_str(text)
    }

    fn get_byte_buffer(&mut self, length: usize) -> bincode::Result<Vec<u8>> {
        self.split(length).map(<[u8]>::to_vec)
    }

    fn forward_read_bytes<V: serde::de::Visitor<'a>>(
        &mut self,
        length: usize,
        visitor: V,
    ) -> bincode::Result<V::Value> {
        visitor.visit_borrowed_bytes(self.split(length)?)
    }
}

impl<'a> SliceReader<'a> {
    fn split(&mut self, length: usize) -> bincode::Result<&'a [u8]> {
        let (taken, rest) = self
            .rest
            .split_at_checked(length)
            .ok_or_else(|| bincode::ErrorKind::Io(std::io::ErrorKind::UnexpectedEof.into()))?;
        self.rest = rest;
        Ok(taken)
    }
}
