//! Blocks by address.

use super::{Store, View};
use crate::{
    error::{Error, Result},
    format::{block::BlockAddress, bytes::to_u64},
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
}
