//! The one manifest file: read whole, written whole beside itself, synced, renamed, directory synced. There is
//! no older manifest to fall back on.

use std::{
    path::{Path, PathBuf},
    sync::Arc,
};

use super::manifest_check::contradiction;
use crate::{
    error::{Error, Result},
    format::{
        bytes::{to_u64, to_usize},
        manifest::{Decoded, Manifest},
        FORMAT_VERSION,
    },
    vfs::{is_made, open_member, Defect, Member, OpenMode, Vfs},
};

pub(crate) const MANIFEST_NAME: &str = "MANIFEST";
pub(crate) const NEW_MANIFEST_NAME: &str = "MANIFEST.new";
/// Nothing legitimate comes near: 10,000 chunks and as many parts take some 5 MiB a copy.
const MOST_BYTES: u64 = 1 << 30;

/// The manifest as it is on disk, and the way to replace it.
#[derive(Debug)]
pub(crate) struct ManifestFile {
    vfs: Arc<dyn Vfs>,
    root: PathBuf,
    current: Manifest,
    /// Offset of a copy that failed its check when the file was read.
    bad_copy: Option<u64>,
}

impl ManifestFile {
    /// For a store that is being created: nothing is on disk until `replace`.
    pub(crate) fn new(vfs: Arc<dyn Vfs>, root: PathBuf, manifest: Manifest) -> ManifestFile {
        ManifestFile {
            vfs,
            root,
            current: manifest,
            bad_copy: None,
        }
    }

    /// `None`: there is no manifest file.
    pub(crate) fn read(vfs: &Arc<dyn Vfs>, root: &Path) -> Result<Option<ManifestFile>> {
        let path = root.join(MANIFEST_NAME);
        if vfs.entry_kind(&path)?.is_none() {
            return Ok(None);
        }
        let file = match open_member(vfs.as_ref(), &path, OpenMode::Read)? {
            Member::File(file) => file,
            Member::Absent(what) => return Err(Error::corrupt(MANIFEST_NAME, 0, what)),
        };
        let len = file.len()?;
        if len > MOST_BYTES {
            return Err(Error::corrupt(
                MANIFEST_NAME,
                0,
                format!("{len} bytes are too many for a manifest"),
            ));
        }
        let mut bytes = vec![0; to_usize(len).ok_or_else(|| Error::internal("manifest length"))?];
        file.read_at(0, &mut bytes)?;
        match Manifest::decode(&bytes) {
            Decoded::Good { manifest, bad_copy } => match contradiction(&manifest) {
                Some(what) => Err(Error::corrupt(MANIFEST_NAME, 0, what)),
                None => Ok(Some(ManifestFile {
                    vfs: Arc::clone(vfs),
                    root: root.to_path_buf(),
                    current: *manifest,
                    bad_copy,
                })),
            },
            Decoded::NewerVersion(found) => Err(Error::Version {
                found,
                supported: FORMAT_VERSION,
            }),
            Decoded::NotAManifest if vfs.entry_kind(&root.join(super::open::LOCK_NAME))?.is_some() => {
                Err(Error::corrupt(
                    MANIFEST_NAME,
                    0,
                    "the manifest is overwritten with something else",
                ))
            }
            Decoded::NotAManifest => Err(Error::NotAStore {
                what: format!("{} is no manifest of a store", path.display()).into(),
            }),
            Decoded::Bad => Err(Error::corrupt(
                MANIFEST_NAME,
                0,
                "both copies of the manifest are damaged",
            )),
        }
    }

    pub(crate) fn current(&self) -> &Manifest {
        &self.current
    }

    pub(crate) fn bad_copy(&self) -> Option<u64> {
        self.bad_copy
    }

    /// Makes `next` the manifest, durably. The generation is counted here. After an error the old one is still in
    /// force as far as this process knows; whether the new one is on disk is unknown, unless the disk was full.
    pub(crate) fn replace(&mut self, mut next: Manifest) -> Result<()> {
        next.generation = self.current.generation.saturating_add(1);
        let bytes = next.encode();
        let new_path = self.root.join(NEW_MANIFEST_NAME);
        if self.vfs.entry_kind(&new_path)?.is_some() {
            self.vfs.unlink(&new_path)?;
        }
        if is_made(Defect::ManifestWrittenInPlace) && self.current.generation > 0 {
            let file = self.vfs.open(&self.root.join(MANIFEST_NAME), OpenMode::Write)?;
            file.write_at(0, &bytes)?;
            file.sync()?;
            self.current = next;
            return Ok(());
        }
        let file = self.vfs.open(&new_path, OpenMode::CreateNew)?;
        let written = file
            .write_at(0, &bytes)
            .and_then(|()| match is_made(Defect::ManifestNotSynced) {
                true => Ok(()),
                false => file.sync(),
            });
        drop(file);
        if let Err(error) = written {
            // A leftover is replaced by the next attempt anyway.
            let _ = self.vfs.unlink(&new_path);
            return Err(error);
        }
        self.vfs.rename(&new_path, &self.root.join(MANIFEST_NAME))?;
        // From the rename on a full disk no longer means that nothing was written.
        if !is_made(Defect::ManifestNameNotSynced) {
            self.vfs.sync_directory(&self.root).map_err(Error::lasting)?;
        }
        debug_assert_eq!(to_u64(bytes.len()) % 8192, 0);
        self.current = next;
        self.bad_copy = None;
        Ok(())
    }
}
