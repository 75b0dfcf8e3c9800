//! Loose blocks, by address.

use std::{ffi::OsStr, path::Path};

use sarsen::{BlockAddress, Error};
use serde_json::json;

use super::{print_value, Outcome};
use crate::{
    failure::{Ending, Failure},
    opening::{close, for_reading, Writing},
    output::{object, Output},
};

/// `CHUNK:OFFSET:LENGTH:CRC`, the last in hex.
pub fn address_text(block: &BlockAddress) -> String {
    let BlockAddress {
        chunk,
        crc32c,
        offset,
        len,
    } = block;
    format!("{chunk}:{offset}:{len}:{crc32c:08x}")
}

fn address_of(text: &str) -> Result<BlockAddress, Failure> {
    let mut parts = text.split(':');
    let mut next = || parts.next().filter(|part| !part.starts_with('+'));
    let address = (|| {
        let (chunk, offset, len, crc32c) = (next()?, next()?, next()?, next()?);
        let address = BlockAddress {
            chunk: chunk.parse().ok()?,
            crc32c: u32::from_str_radix(crc32c, 16).ok()?,
            offset: offset.parse().ok()?,
            len: len.parse().ok()?,
        };
        next().is_none().then_some(address)
    })();
    address.ok_or_else(|| {
        Failure::Usage(format!(
            "{text} is no address of a block; one reads CHUNK:OFFSET:LENGTH:CRC, such as 1:32:17:9ab3c1d2"
        ))
    })
}

fn missing(address: &str) -> Failure {
    Failure::NotFound(format!("no block {address}"))
}

pub fn append(store: &Writing, data: &OsStr, output: &mut Output) -> Outcome {
    let data = output.arrivals().value(data)?;
    let store = store.open()?;
    let block = store.block_append(&data)?;
    close(&store)?;
    let address = address_text(&block);
    output.told(json!({ "block": address, "len": block.len }), Some(&address))?;
    Ok(Ending::Done)
}

pub fn read(path: &Path, address: &str, from: u64, len: Option<u64>, output: &mut Output) -> Outcome {
    let block = address_of(address)?;
    let store = for_reading(path)?;
    let len = len.unwrap_or_else(|| block.len.saturating_sub(from));
    let bytes = match store.block_view(&block, from, len) {
        Err(Error::NotFound) => return Err(missing(address)),
        found => found?,
    };
    print_value(output, object([("block", json!(address))]), "data", &bytes)?;
    Ok(Ending::Done)
}

pub fn free(store: &Writing, address: &str, output: &mut Output) -> Outcome {
    let block = address_of(address)?;
    let store = store.open()?;
    if !is_loose(&store, &block)? {
        return Err(Failure::NotFound(format!(
            "no loose block {address}; one that memories or records name goes with them"
        )));
    }
    store.block_free(&block)?;
    close(&store)?;
    output.told(json!({ "freed": address }), None)?;
    Ok(Ending::Done)
}

/// By its place: a block whose head is damaged can be freed, too.
fn is_loose(store: &sarsen::Store, block: &BlockAddress) -> Result<bool, Failure> {
    let mut blocks = store.block_list(None)?;
    loop {
        match blocks.next() {
            Ok(None) => return Ok(false),
            Ok(Some(found)) if found == *block => return Ok(true),
            Ok(Some(_)) => {}
            Err(Error::Corrupt(damage)) if damage.offset == block.offset => return Ok(true),
            Err(error) => return Err(error.into()),
        }
    }
}

pub fn list(path: &Path, output: &mut Output) -> Outcome {
    let store = for_reading(path)?;
    let mut blocks = store.block_list(None)?;
    while let Some(block) = blocks.next()? {
        let address = address_text(&block);
        output.told(json!({ "block": address, "len": block.len }), Some(&address))?;
    }
    Ok(Ending::Done)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_reads_back_and_nothing_else_is_one() {
        let block = BlockAddress {
            chunk: 7,
            crc32c: 0xab,
            offset: u64::MAX,
            len: 17,
        };
        assert_eq!(address_of(&address_text(&block)).unwrap(), block);
        for wrong in [
            "",
            "1",
            "1:2:3",
            "1:2:3:4:5",
            "a:2:3:4",
            "+1:2:3:4",
            "1:2:3:+4",
            "1:2:3:zz",
            "4294967296:0:0:0",
        ] {
            assert!(address_of(wrong).is_err(), "{wrong}");
        }
    }
}
