//! Open files and writable maps of the simulated disk.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    disk::{refused, Disk},
    FaultKind, Operation,
};
use crate::{
    error::{Error, Result},
    vfs::{short_name, File, Region, WriteMap},
};

/// What keeps an inode open, with the locks of one open file description.
#[derive(Debug)]
pub(super) struct Handle {
    disk: Arc<Disk>,
    inode: u64,
    description: u64,
    /// As it was opened; a rename doesn't change it.
    path: PathBuf,
}

impl Handle {
    pub(super) fn new(disk: Arc<Disk>, inode: u64, description: u64, path: &Path) -> Handle {
        Handle {
            disk,
            inode,
            description,
            path: path.to_owned(),
        }
    }

    fn refused(&self, operation: Operation, os_code: i32) -> Error {
        refused(operation, &self.path, os_code)
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.disk.lock().close(self.inode, self.description);
    }
}

#[derive(Debug)]
pub(super) struct SimFile {
    handle: Handle,
    writable: bool,
}

impl SimFile {
    pub(super) fn new(handle: Handle, writable: bool) -> SimFile {
        SimFile { handle, writable }
    }

    fn check_writable(&self, operation: Operation) -> Result<()> {
        match operation {
            _ if self.writable => Ok(()),
            Operation::SetLength => Err(self.handle.refused(operation, libc::EINVAL)),
            Operation::Map => Err(self.handle.refused(operation, libc::EACCES)),
            _ => Err(self.handle.refused(operation, libc::EBADF)),
        }
    }

    fn end_of(&self, operation: Operation, offset: u64, len: u64) -> Result<u64> {
        let end = offset.checked_add(len).filter(|end| *end <= i64::MAX as u64);
        end.ok_or_else(|| self.handle.refused(operation, libc::EFBIG))
    }
}

impl File for SimFile {
    fn read_at(&self, offset: u64, buffer: &mut [u8]) -> Result<()> {
        let mut state = self.handle.disk.lock();
        state.begin(Operation::Read, &self.handle.path)?;
        let content = state.content(self.handle.inode)?;
        // Reading nothing succeeds wherever it is, as it does with pread.
        if buffer.is_empty() {
            return Ok(());
        }
        match offset.checked_add(buffer.len() as u64) {
            Some(end) if end <= content.len() => content.read(offset, buffer),
            _ => Err(Error::io(
                "cannot read beyond the end of the file",
                Some(short_name(&self.handle.path)),
                0,
            )),
        }
    }

    fn write_at(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        if bytes.is_empty() {
            // No system call either on the real file system.
            return Ok(());
        }
        self.check_writable(Operation::Write)?;
        self.end_of(Operation::Write, offset, bytes.len() as u64)?;
        let mut state = self.handle.disk.lock();
        let fault = state.begin_with_fault(Operation::Write, &self.handle.path)?;
        let fits = match fault {
            None => {
                state
                    .content(self.handle.inode)?
                    .fitting(offset, bytes.len() as u64, state.free_blocks())
            }
            Some(FaultKind::ShortWrite) => bytes.len() as u64 / 2,
            Some(kind) => return Err(self.handle.refused(Operation::Write, kind.os_code())),
        };
        let reserve = state.reserve;
        let written = bytes.get(..fits as usize).unwrap_or(bytes);
        state
            .content_mut(self.handle.inode)?
            .write(offset, written, reserve)?;
        if written.len() < bytes.len() {
            return Err(self.handle.refused(Operation::Write, libc::ENOSPC));
        }
        Ok(())
    }

    fn len(&self) -> Result<u64> {
        let mut state = self.handle.disk.lock();
        state.begin(Operation::Read, &self.handle.path)?;
        Ok(state.content(self.handle.inode)?.len())
    }

    fn set_len(&self, len: u64) -> Result<()> {
        self.check_writable(Operation::SetLength)?;
        self.end_of(Operation::SetLength, len, 0)?;
        let mut state = self.handle.disk.lock();
        state.begin(Operation::SetLength, &self.handle.path)?;
        let reserve = state.reserve;
        state.content_mut(self.handle.inode)?.set_len(len, reserve)
    }

    fn allocate(&self, offset: u64, len: u64) -> Result<()> {
        if len == 0 {
            return Ok(());
        }
        self.check_writable(Operation::Allocate)?;
        self.end_of(Operation::Allocate, offset, len)?;
        let mut state = self.handle.disk.lock();
        state.begin(Operation::Allocate, &self.handle.path)?;
        if state.content(self.handle.inode)?.missing_blocks(offset, len) > state.free_blocks() {
            return Err(self.handle.refused(Operation::Allocate, libc::ENOSPC));
        }
        let reserve = state.reserve;
        state
            .content_mut(self.handle.inode)?
            .allocate(offset, len, reserve)
    }

    fn sync(&self) -> Result<()> {
        let mut state = self.handle.disk.lock();
        let fault = state.begin_with_fault(Operation::Sync, &self.handle.path)?;
        let lies = state.sync_lies_about(&self.handle.path);
        let content = state.content_mut(self.handle.inode)?;
        match fault {
            None if lies => Ok(()),
            None => {
                content.sync();
                Ok(())
            }
            Some(kind) => {
                if kind != FaultKind::Interrupted {
                    content.fail_sync();
                }
                Err(self.handle.refused(Operation::Sync, kind.os_code()))
            }
        }
    }

    fn map(&self, len: u64) -> Result<Arc<Region>> {
        let mut state = self.handle.disk.lock();
        state.begin(Operation::Map, &self.handle.path)?;
        let reserve = state.reserve;
        state.content_mut(self.handle.inode)?.map(len, reserve)
    }

    fn map_writable(&self, len: u64) -> Result<Arc<dyn WriteMap>> {
        self.check_writable(Operation::Map)?;
        let mut state = self.handle.disk.lock();
        state.begin(Operation::Map, &self.handle.path)?;
        let reserve = state.reserve;
        let content = state.content_mut(self.handle.inode)?;
        if content.len() < len {
            let (name, held) = (short_name(&self.handle.path), content.len());
            return Err(Error::internal(format!(
                "{name} has {held} bytes, a writable map wants {len}"
            )));
        }
        let region = content.map(len, reserve)?;
        let description = state.open(self.handle.inode);
        let disk = Arc::clone(&self.handle.disk);
        let handle = Handle::new(disk, self.handle.inode, description, &self.handle.path);
        Ok(Arc::new(SimWriteMap { handle, region }))
    }

    fn try_lock_exclusive(&self) -> Result<bool> {
        let mut state = self.handle.disk.lock();
        state.begin(Operation::Open, &self.handle.path)?;
        let Some(inode) = state.inodes.get_mut(&self.handle.inode) else {
            return Ok(false);
        };
        let holder = *inode.locks.exclusive.get_or_insert(self.handle.description);
        Ok(holder == self.handle.description)
    }

    fn unlock(&self) -> Result<()> {
        let mut state = self.handle.disk.lock();
        state.begin(Operation::Open, &self.handle.path)?;
        if let Some(inode) = state.inodes.get_mut(&self.handle.inode) {
            inode
                .locks
                .exclusive
                .take_if(|holder| *holder == self.handle.description);
        }
        Ok(())
    }

    fn lock_byte_shared(&self, offset: u64) -> Result<()> {
        let mut state = self.handle.disk.lock();
        state.begin(Operation::Open, &self.handle.path)?;
        if let Some(inode) = state.inodes.get_mut(&self.handle.inode) {
            inode.locks.bytes.insert((offset, self.handle.description));
        }
        Ok(())
    }

    fn is_locked_below(&self, end: u64) -> Result<bool> {
        let mut state = self.handle.disk.lock();
        state.begin(Operation::Open, &self.handle.path)?;
        let Some(inode) = state.inodes.get(&self.handle.inode) else {
            return Ok(false);
        };
        let mut below = inode.locks.bytes.range(..(end, 0));
        Ok(below.any(|(_, holder)| *holder != self.handle.description))
    }
}

#[derive(Debug)]
struct SimWriteMap {
    handle: Handle,
    region: Arc<Region>,
}

impl WriteMap for SimWriteMap {
    fn store(&self, offset: u64, bytes: &[u8]) -> Result<()> {
        let len = bytes.len() as u64;
        let outside = || Error::internal("a store outside a writable map");
        let end = offset
            .checked_add(len)
            .filter(|end| *end <= self.region.len())
            .ok_or_else(outside)?;
        let mut state = self.handle.disk.lock();
        state.begin(Operation::Store, &self.handle.path)?;
        let content = state.content(self.handle.inode)?;
        if end > content.len() {
            return Err(Error::internal(
                "a store beyond the end of a file that was cut, which would be a SIGBUS",
            ));
        }
        if content.missing_blocks(offset, len) > state.free_blocks() {
            return Err(Error::internal(
                "a store into a hole of a full disk, which would be a SIGBUS",
            ));
        }
        self.region.store(offset, bytes).ok_or_else(outside)?;
        state.content_mut(self.handle.inode)?.stored(offset, len);
        Ok(())
    }

    fn region(&self) -> &Arc<Region> {
        &self.region
    }

    fn populate(&self, _offset: u64, _len: u64) {}
}
