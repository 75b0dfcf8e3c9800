//! The simulated disk as a [`Vfs`].

use std::{path::Path, sync::Arc};

use super::{
    content::Content,
    disk::{refused, Node},
    file::{Handle, SimFile},
    Operation, SimVfs,
};
use crate::{
    error::Result,
    vfs::{DirectoryEntry, EntryKind, File, OpenMode, Vfs},
};

impl Vfs for SimVfs {
    fn open(&self, path: &Path, mode: OpenMode) -> Result<Arc<dyn File>> {
        let mut state = self.disk.lock();
        let inode = if mode == OpenMode::CreateNew {
            let fail = |os_code| refused(Operation::Create, path, os_code);
            state.begin(Operation::Create, path)?;
            let place = state.place(path).map_err(fail)?;
            state.add(place, Node::File(Content::default())).map_err(fail)?
        } else {
            state.begin(Operation::Open, path)?;
            let inode = state
                .resolve(path)
                .map_err(|os_code| refused(Operation::Open, path, os_code))?;
            if state.entries(inode).is_some() {
                return Err(refused(Operation::Open, path, libc::EISDIR));
            }
            inode
        };
        let description = state.open(inode);
        let handle = Handle::new(Arc::clone(&self.disk), inode, description, path);
        Ok(Arc::new(SimFile::new(handle, mode != OpenMode::Read)))
    }

    fn create_directory(&self, path: &Path) -> Result<()> {
        let fail = |os_code| refused(Operation::CreateDirectory, path, os_code);
        let mut state = self.disk.lock();
        state.begin(Operation::CreateDirectory, path)?;
        let place = state.place(path).map_err(fail)?;
        state.add(place, Node::Directory).map_err(fail)?;
        Ok(())
    }

    fn rename(&self, from: &Path, to: &Path) -> Result<()> {
        let fail = |os_code| refused(Operation::Rename, from, os_code);
        let mut state = self.disk.lock();
        state.begin(Operation::Rename, from)?;
        let (from_place, to_place) = (state.place(from).map_err(fail)?, state.place(to).map_err(fail)?);
        let source = state.resolve(from).map_err(fail)?;
        if from != to && to.starts_with(from) {
            return Err(fail(libc::EINVAL));
        }
        if from != to && from.starts_with(to) {
            return Err(fail(libc::ENOTEMPTY));
        }
        if let Ok(target) = state.resolve(to) {
            match (state.entries(source), state.entries(target)) {
                _ if source == target => return Ok(()),
                (None, Some(_)) => return Err(fail(libc::EISDIR)),
                (Some(_), None) => return Err(fail(libc::ENOTDIR)),
                (Some(_), Some(target)) if !target.is_empty() => return Err(fail(libc::ENOTEMPTY)),
                _ => {}
            }
        }
        state.names.rename(from_place, to_place);
        Ok(())
    }

    fn unlink(&self, path: &Path) -> Result<()> {
        let fail = |os_code| refused(Operation::Unlink, path, os_code);
        let mut state = self.disk.lock();
        state.begin(Operation::Unlink, path)?;
        let inode = state.resolve(path).map_err(fail)?;
        if state.entries(inode).is_some() {
            return Err(fail(libc::EISDIR));
        }
        let place = state.place(path).map_err(fail)?;
        state.names.remove(place);
        Ok(())
    }

    fn remove_directory(&self, path: &Path) -> Result<()> {
        let fail = |os_code| refused(Operation::RemoveDirectory, path, os_code);
        let mut state = self.disk.lock();
        state.begin(Operation::RemoveDirectory, path)?;
        let inode = state.resolve(path).map_err(fail)?;
        let place = state.place(path).map_err(fail)?;
        match state.entries(inode) {
            None => return Err(fail(libc::ENOTDIR)),
            Some(entries) if !entries.is_empty() => return Err(fail(libc::ENOTEMPTY)),
            Some(_) => {}
        }
        state.names.remove(place);
        Ok(())
    }

    fn list(&self, directory: &Path) -> Result<Vec<DirectoryEntry>> {
        let fail = |os_code| refused(Operation::Open, directory, os_code);
        let mut state = self.disk.lock();
        state.begin(Operation::Open, directory)?;
        let inode = state.resolve(directory).map_err(fail)?;
        let names = state.entries(inode).ok_or_else(|| fail(libc::ENOTDIR))?;
        Ok(names
            .iter()
            .map(|(name, inode)| match state.content(*inode) {
                Ok(content) => DirectoryEntry {
                    name: name.clone(),
                    kind: EntryKind::File,
                    len: content.len(),
                },
                Err(_) => DirectoryEntry {
                    name: name.clone(),
                    kind: EntryKind::Directory,
                    len: 0,
                },
            })
            .collect())
    }

    fn entry_kind(&self, path: &Path) -> Result<Option<EntryKind>> {
        let mut state = self.disk.lock();
        state.begin(Operation::Open, path)?;
        match state.resolve(path) {
            Ok(inode) if state.entries(inode).is_some() => Ok(Some(EntryKind::Directory)),
            Ok(_) => Ok(Some(EntryKind::File)),
            Err(libc::ENOENT) => Ok(None),
            Err(os_code) => Err(refused(Operation::Open, path, os_code)),
        }
    }

    /// When it fails, the changes stay volatile, and a later sync can make them durable: file systems write names to
    /// a journal, and stop altogether when that fails, rather than forget.
    fn sync_directory(&self, directory: &Path) -> Result<()> {
        let fail = |os_code| refused(Operation::SyncDirectory, directory, os_code);
        let mut state = self.disk.lock();
        state.begin(Operation::SyncDirectory, directory)?;
        let inode = state.resolve(directory).map_err(fail)?;
        state.entries(inode).ok_or_else(|| fail(libc::ENOTDIR))?;
        state.names.sync(inode);
        state.forget_unreachable();
        Ok(())
    }

    fn map_is_safe(&self, directory: &Path) -> Result<bool> {
        let mut state = self.disk.lock();
        state.begin(Operation::Open, directory)?;
        state
            .resolve(directory)
            .map_err(|os_code| refused(Operation::Open, directory, os_code))?;
        Ok(true)
    }

    fn random(&self, buffer: &mut [u8]) -> Result<()> {
        let mut state = self.disk.lock();
        for part in buffer.chunks_mut(8) {
            let bytes = state.random.next().to_le_bytes();
            part.iter_mut().zip(bytes).for_each(|(to, from)| *to = from);
        }
        Ok(())
    }

    /// One more with every call.
    fn now_us(&self) -> u64 {
        let mut state = self.disk.lock();
        state.clock_us += 1;
        state.clock_us
    }

    fn disk_bytes(&self, path: &Path) -> Result<u64> {
        let mut state = self.disk.lock();
        state.begin(Operation::Open, path)?;
        let inode = state
            .resolve(path)
            .map_err(|os_code| refused(Operation::Open, path, os_code))?;
        Ok(state.content(inode).map_or(0, Content::allocated_bytes))
    }
}
