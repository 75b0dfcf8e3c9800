//! The whole disk at once: every file's bytes, and files put there ready-made. For tests that edit what a store left.

use std::{
    ffi::OsStr,
    path::{Path, PathBuf},
    sync::Arc,
};

use super::{
    content::Content,
    disk::{refused, Node, State, ROOT},
    Operation, SimVfs,
};
use crate::error::Result;

impl SimVfs {
    /// Every file with what reading it gives, in the order of their paths. Counts as no operation.
    pub fn files(&self) -> Vec<(PathBuf, Vec<u8>)> {
        let state = self.disk.lock();
        let (mut found, mut waiting) = (Vec::new(), vec![(PathBuf::from("/"), ROOT)]);
        while let Some((path, directory)) = waiting.pop() {
            for (name, inode) in state.entries(directory).into_iter().flatten() {
                let path = path.join(name);
                match state.content(*inode) {
                    Ok(content) => found.push((path, content.bytes())),
                    Err(_) => waiting.push((path, *inode)),
                }
            }
        }
        found.sort();
        found
    }

    /// A file with these bytes, durable, in the place of what is there; directories above it are made. Counts as no
    /// operation, so nothing armed strikes.
    pub fn put(&self, path: &Path, bytes: Arc<Vec<u8>>) -> Result<()> {
        let fail = |os_code| refused(Operation::Create, path, os_code);
        let mut state = self.disk.lock();
        state.make_directories(path).map_err(fail)?;
        let place = state.place(path).map_err(fail)?;
        if state
            .resolve(path)
            .is_ok_and(|there| state.entries(there).is_some())
        {
            return Err(fail(libc::EISDIR));
        }
        state.names.remove(place.clone());
        state
            .add(place.clone(), Node::File(Content::durable(bytes)))
            .map_err(fail)?;
        state.names.sync(place.directory);
        state.forget_unreachable();
        Ok(())
    }
}

impl State {
    fn make_directories(&mut self, path: &Path) -> std::result::Result<(), i32> {
        let above = path.parent().unwrap_or_else(|| Path::new("/"));
        let mut made = PathBuf::new();
        for component in above.components() {
            made.push(component);
            if made.file_name().map_or(0, OsStr::len) == 0 || self.resolve(&made).is_ok() {
                continue;
            }
            let place = self.place(&made)?;
            self.add(place.clone(), Node::Directory)?;
            self.names.sync(place.directory);
        }
        Ok(())
    }
}
