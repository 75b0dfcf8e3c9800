//! The layout in which a foreign caller builds many commands in its own memory (`sarsen_batch_load`).
//!
//! Per command: `kind u8 | flags u8 | tag count u16 | key length u32 | id u64 | data length u64 | key | tags, each
//! u16 length and bytes | data`. Kinds are those of `sarsen_command`. Flag bit 0: the data is a block's address
//! (u32 chunk, u32 crc32c, u64 offset, u64 len) instead of bytes; freeing a block always has an address as data.

use super::{
    block::{BlockAddress, ADDRESS_BYTES},
    bytes::{to_usize, Reader},
};

/// One command as the caller laid it out.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Loaded<'a> {
    AppendBlock {
        data: &'a [u8],
    },
    FreeBlock {
        block: BlockAddress,
    },
    AppendMemory {
        id: u64,
        tags: Vec<&'a str>,
        data: LoadedData<'a>,
    },
    DeleteMemory {
        id: u64,
    },
    SetKv {
        key: &'a [u8],
        value: &'a [u8],
    },
    DeleteKv {
        key: &'a [u8],
    },
    AppendStream {
        name: &'a [u8],
        data: LoadedData<'a>,
    },
    TrimStream {
        name: &'a [u8],
        before: u64,
    },
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum LoadedData<'a> {
    Bytes(&'a [u8]),
    Block(BlockAddress),
}

impl<'a> Loaded<'a> {
    /// Takes one command off the reader. The error says what is wrong with it.
    pub(crate) fn decode(reader: &mut Reader<'a>) -> Result<Loaded<'a>, &'static str> {
        const SHORT: &str = "the encoded batch ends inside a command";
        let kind = reader.u8().ok_or(SHORT)?;
        let flags = reader.u8().ok_or(SHORT)?;
        let tag_count = reader.u16().ok_or(SHORT)?;
        let key_len = reader.u32().ok_or(SHORT)?;
        let id = reader.u64().ok_or(SHORT)?;
        let data_len = reader.u64().ok_or(SHORT)?;
        let key = reader
            .take(to_usize(u64::from(key_len)).ok_or(SHORT)?)
            .ok_or(SHORT)?;
        let mut tags = Vec::with_capacity(usize::from(tag_count).min(super::MAX_TAGS));
        for _ in 0..tag_count {
            let len = usize::from(reader.u16().ok_or(SHORT)?);
            let tag = reader.take(len).ok_or(SHORT)?;
            tags.push(std::str::from_utf8(tag).map_err(|_| "a tag is not UTF-8")?);
        }
        let data = reader.take(to_usize(data_len).ok_or(SHORT)?).ok_or(SHORT)?;

        let by_address = flags == 1;
        if flags > 1 {
            return Err("unknown flag bits");
        }
        let address = || -> Result<BlockAddress, &'static str> {
            if data.len() != ADDRESS_BYTES {
                return Err("a block address has 24 bytes");
            }
            BlockAddress::decode(&mut Reader::new(data)).ok_or(SHORT)
        };
        let loaded = match kind {
            1 => Loaded::AppendBlock { data },
            2 => Loaded::FreeBlock { block: address()? },
            3 => {
                let data = if by_address {
                    LoadedData::Block(address()?)
                } else {
                    LoadedData::Bytes(data)
                };
                Loaded::AppendMemory {
                    id,
                    tags: std::mem::take(&mut tags),
                    data,
                }
            }
            4 => Loaded::DeleteMemory { id },
            5 => Loaded::SetKv { key, value: data },
            6 => Loaded::DeleteKv { key },
            7 => {
                let data = if by_address {
                    LoadedData::Block(address()?)
                } else {
                    LoadedData::Bytes(data)
                };
                Loaded::AppendStream { name: key, data }
            }
            8 => Loaded::TrimStream {
                name: key,
                before: id,
            },
            _ => return Err("unknown command kind"),
        };
        if by_address && !matches!(kind, 3 | 7) {
            return Err("only memories and stream records can name a block");
        }
        if !tags.is_empty() {
            return Err("only memories have tags");
        }
        if !key.is_empty() && matches!(kind, 1..=4) {
            return Err("a command without a key has key bytes");
        }
        if !data.is_empty() && matches!(kind, 4 | 6 | 8) {
            return Err("a command without data has data bytes");
        }
        if id != 0 && !matches!(kind, 3 | 4 | 8) {
            return Err("a command without an id has one");
        }
        Ok(loaded)
    }
}
