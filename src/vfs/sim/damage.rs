//! Damage on purpose: what bit rot, a careless copy or a hostile hand does to files between two openings. It is done to
//! the cache, which is what the next opening sees; locks, faults and counts of operations don't come into it.

use std::path::Path;

use super::{
    disk::{refused, State},
    Operation, SimVfs,
};
use crate::error::Result;

impl SimVfs {
    /// What a file holds.
    pub fn contents(&self, path: &Path) -> Result<Vec<u8>> {
        let state = self.disk.lock();
        let content = state.content(resolve(&state, path)?)?;
        let mut bytes = vec![0; usize::try_from(content.len()).unwrap_or(0)];
        content.read(0, &mut bytes)?;
        Ok(bytes)
    }

    /// Flips the bits of `mask` in one byte, as the file is now, also under who has it mapped; what lies on the disk
    /// alone rots with [`SimVfs::rot`].
    pub fn flip(&self, path: &Path, offset: u64, mask: u8) -> Result<()> {
        let mut state = self.disk.lock();
        let reserve = state.reserve;
        let inode = resolve(&state, path)?;
        let content = state.content_mut(inode)?;
        let mut byte = [0];
        content.read(offset, &mut byte)?;
        content.write(offset, &[byte[0] ^ mask], reserve)
    }

    /// Takes the file away.
    pub fn lose(&self, path: &Path) -> Result<()> {
        let mut state = self.disk.lock();
        resolve(&state, path)?;
        let fail = |os_code| refused(Operation::Unlink, path, os_code);
        let place = state.place(path).map_err(fail)?;
        state.names.remove(place);
        Ok(())
    }
}

fn resolve(state: &State, path: &Path) -> Result<u64> {
    state
        .resolve(path)
        .map_err(|os_code| refused(Operation::Open, path, os_code))
}
