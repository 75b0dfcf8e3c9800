//! Blocks by address, and the loose ones that nothing names yet.

use std::sync::Arc;

use super::{check_open, snapshot::view_of, Snapshot, Store, View};
use crate::{
    engine::{self, Engine},
    error::{Error, Result},
    format::{
        block::BlockAddress,
        bytes::to_u64,
        record::{RecordKey, SPACE_BLOCK},
    },
    index::Scan,
};

impl Store {
    /// Bytes `[from, from + len)` of a block, in place. `NotFound`: no such block; `InvalidArgument`: the range leaves
    /// it; `Corrupt`: the index says that a block is there, and it isn't, or its bytes fail their check.
    pub fn block_view(&self, block: &BlockAddress, from: u64, len: u64) -> Result<View> {
        self.check_open()?;
        let state = self.engine.state();
        let slice = state
            .read_block(block, from, len)
            .map_err(|error| self.why(error, block))?;
        Ok(View::of_block(&self.engine, &slice))
    }

    /// The same range, copied.
    pub fn block_read(&self, block: &BlockAddress, from: u64, buffer: &mut [u8]) -> Result<()> {
        self.check_open()?;
        let state = self.engine.state();
        let slice = state
            .read_block(block, from, to_u64(buffer.len()))
            .map_err(|error| self.why(error, block))?;
        if slice.bytes().len() != buffer.len() {
            return Err(Error::internal(
                "a block's range has another length than was asked for",
            ));
        }
        buffer.copy_from_slice(slice.bytes());
        Ok(())
    }

    fn why(&self, error: Error, block: &BlockAddress) -> Error {
        match error {
            Error::NotFound => self.engine.view().why_missing(block),
            error => error,
        }
    }

    /// Loose blocks that hold themselves: appended, and neither freed nor named by a record or memory yet. In the order
    /// of their addresses.
    pub fn block_list(&self, snapshot: Option<&Snapshot>) -> Result<BlockIter> {
        self.check_open()?;
        let view = view_of(&self.engine, snapshot);
        let scan = view.scan_prefix(vec![SPACE_BLOCK], false);
        Ok(BlockIter {
            engine: Arc::clone(&self.engine),
            view,
            scan,
            address: None,
            data: None,
        })
    }
}

/// A walk over loose blocks. Sees one snapshot throughout. One thread at a time.
#[derive(Debug)]
pub struct BlockIter {
    engine: Arc<Engine>,
    view: engine::View,
    scan: Scan,
    address: Option<BlockAddress>,
    data: Option<View>,
}

impl BlockIter {
    /// To the next block; `None`: there is no more. `Corrupt` in the place of a block whose head is damaged: the next
    /// call goes on behind it.
    #[expect(
        clippy::should_implement_trait,
        reason = "it can fail, and lends what it finds"
    )]
    pub fn next(&mut self) -> Result<Option<BlockAddress>> {
        check_open(&self.engine)?;
        (self.address, self.data) = (None, None);
        while self.scan.next()? {
            let malformed = || Error::corrupt("index", 0, "a block's entry makes no sense");
            let entry = self.scan.entry().ok_or_else(malformed)?;
            match RecordKey::decode(entry.key) {
                Some(RecordKey::Block {
                    chunk,
                    offset,
                    owner: [],
                }) => {
                    let state = &self.view.state;
                    let found = state.block_at(chunk, offset)?;
                    self.address = Some(found.ok_or_else(|| state.block_is_gone(chunk, offset))?);
                    return Ok(self.address);
                }
                // A record's hold on a block that isn't loose any more.
                Some(RecordKey::Block { .. }) => {}
                _ => return Err(malformed()),
            }
        }
        Ok(None)
    }

    /// The current block's bytes; good until the next call of `next`.
    pub fn data(&mut self) -> Result<&[u8]> {
        if self.data.is_none() {
            if let Some(address) = &self.address {
                self.data = Some(View::of_block(&self.engine, &self.view.block(address)?));
            }
        }
        Ok(self.data.as_ref().map(View::bytes).unwrap_or_default())
    }
}
