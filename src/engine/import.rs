//! Taking over a directory in the ancestral layout, whole or not at all.
//!
//! The records are committed, one by one, to a store of their own in a directory within this one; closing that
//! store puts everything into chunks and runs. Those are then moved over and named by one manifest of this store.
//! Until that manifest is durable nothing has happened; leftovers are cleared by the next opening that writes.
//!
//! The layout: `state.wal` holds records of `u64` length and a bincode 1 `WalCommand`; blocks lie as raw bytes in
//! `blocks/chunk_NNNN.bin`. A torn last record ends the log.

use std::{
    path::{Path, PathBuf},
    sync::{atomic::Ordering, Arc},
};

use serde::Deserialize;

use super::{
    draft::{Data, Draft},
    lock,
    manifest_file::ManifestFile,
    merge::runs_of,
    state::State,
    Engine, Options, Survive,
};
use crate::{
    blocks::{chunk_file_name, Chunk},
    error::{Error, Result},
    format::{
        bytes::{to_u64, to_usize},
        manifest::Manifest,
    },
    index::part_file_name,
    vfs::{is_made, Defect, EntryKind, File, OpenMode, Vfs},
};

/// Holds the store in the making.
pub(super) const STAGING_NAME: &str = "import.tmp";
const WAL_NAME: &str = "state.wal";
const READ_BYTES: usize = 1 << 20;

/// A record of the ancestral log; the order of variants and fields is its format.
#[derive(Debug, Deserialize)]
enum WalCommand {
    AppendMemory {
        id: u64,
        chunk_id: u32,
        offset: u64,
        length: u64,
        tags: Vec<String>,
    },
    SetKv {
        key: String,
        value: Vec<u8>,
    },
    DeleteKv {
        key: String,
    },
    AppendStream {
        key: String,
        chunk_id: u32,
        offset: u64,
        length: u64,
    },
}

impl Engine {
    /// Imports into a store without commits; returns how many records it took over.
    pub(crate) fn import(&self, path: &Path) -> Result<u64> {
        self.check_writable()?;
        self.check_empty()?;
        if self.vfs.entry_kind(&path.join(WAL_NAME))? != Some(EntryKind::File) {
            return Err(Error::NotAStore {
                what: format!(
                    "{} holds no {WAL_NAME}, so there is nothing to import",
                    path.display()
                )
                .into(),
            });
        }
        self.begin()?;
        let staging = self.root.join(STAGING_NAME);
        remove_tree(&self.vfs, &staging)?;
        let outcome = self.import_through(path, &staging);
        if outcome.is_err() {
            // What can't be removed now is cleared by the next import or opening.
            let _ = remove_tree(&self.vfs, &staging);
        }
        outcome
    }

    fn check_empty(&self) -> Result<()> {
        if self.last_seq() != 0 {
            return Err(Error::invalid(format!(
                "an import needs a store without commits, this one has {}; import into a new one",
                self.last_seq()
            )));
        }
        Ok(())
    }

    fn import_through(&self, path: &Path, staging: &Path) -> Result<u64> {
        let options = Options {
            create: true,
            read_only: false,
            salvage: false,
            background: false,
            log_retention_bytes: 0,
            durability: Survive::Process,
            chunk_bytes: self.chunk_bytes,
            ..self.options.clone()
        };
        // Under this store's uuid: the files that are moved over are then this store's from the start.
        let staged = Engine::open_or_create(Arc::clone(&self.vfs), staging, &options, Some(self.uuid))?;
        let mut source = Ancestor::open(&self.vfs, path)?;
        let mut draft = Draft::new();
        let mut records = 0u64;
        while let Some(command) = source.next()? {
            source.add(&mut draft, command)?;
            staged.commit(&mut draft, Some(Survive::Process))?;
            records = records.saturating_add(1);
        }
        // Closing is content with a log that has it all, where a full disk allows no more; what is moved over has to be
        // in runs and chunks.
        staged.checkpoint()?;
        staged.close()?;
        drop(staged);
        if records == 0 {
            remove_tree(&self.vfs, staging)?;
            return Ok(0);
        }
        self.adopt(staging)?;
        remove_tree(&self.vfs, staging)?;
        Ok(records)
    }

    /// Moves the staged files over and switches the manifest.
    fn adopt(&self, staging: &Path) -> Result<()> {
        let staged = ManifestFile::read(&self.vfs, staging)?
            .ok_or_else(|| Error::internal("the staged store has no manifest"))?;
        let staged: &Manifest = staged.current();
        let mut manifest = lock(&self.manifest);
        let mut append = lock(&self.append);
        self.check_empty()?;

        // The numbers are the store's before its files get them: should this fail half-way, nothing new takes them, and
        // the files that stay are not mistaken for those of a newer manifest.
        self.next_chunk.fetch_max(staged.next_chunk, Ordering::Relaxed);
        self.next_file.fetch_max(staged.next_file, Ordering::Relaxed);
        let mut next = manifest.current().clone();
        next.next_chunk = staged.next_chunk.max(next.next_chunk);
        next.next_file = staged.next_file.max(next.next_file);
        self.put_in_force(&mut manifest, next.clone())?;
        if !is_made(Defect::ImportManifestFirst) {
            self.take_files(staging, staged)?;
        }

        next.checkpoint_seq = staged.checkpoint_seq;
        next.durable_seq = staged.checkpoint_seq;
        next.first_log_seq = staged.checkpoint_seq.saturating_add(1);
        next.next_stream_id = staged.next_stream_id;
        next.small_chunk = staged.small_chunk;
        next.small_offset = staged.small_offset;
        next.counts = staged.counts;
        next.chunks.clone_from(&staged.chunks);
        next.runs.clone_from(&staged.runs);
        self.put_in_force(&mut manifest, next)?;
        if is_made(Defect::ImportManifestFirst) {
            self.take_files(staging, staged)?;
        }

        let current = manifest.current();
        let directory = self.blocks_directory();
        self.state.rcu(|state| {
            let mut next: State = (**state).clone();
            next.runs = runs_of(self, &[], &current.runs);
            for meta in &current.chunks {
                let chunk = Chunk::open(
                    &self.vfs,
                    &directory,
                    meta,
                    self.chunk_bytes,
                    self.chunk_options(),
                );
                next.chunks = next.chunks.with(chunk);
            }
            next
        });
        append.next_seq = current.checkpoint_seq.saturating_add(1);
        append.next_stream_id = current.next_stream_id;
        append.small_chunk = current.small_chunk;
        append.small_offset = current.small_offset;
        append.tally.counts = current.counts;
        append.streams.forget();
        self.published.store(current.checkpoint_seq, Ordering::SeqCst);
        self.group.advance(current.checkpoint_seq);
        Ok(())
    }

    /// After a failure other than a full disk nobody knows which manifest is in force.
    fn put_in_force(&self, manifest: &mut ManifestFile, next: Manifest) -> Result<()> {
        manifest.replace(next).inspect_err(|error| {
            if !matches!(error, Error::NoSpace { .. }) {
                self.poison(error);
            }
        })
    }

    /// Moves chunks and parts from the staged store to their places in this one, names synced.
    fn take_files(&self, staging: &Path, staged: &Manifest) -> Result<()> {
        for chunk in &staged.chunks {
            let name = chunk_file_name(chunk.number, chunk.rewrite);
            self.readers.forget(&self.blocks_directory().join(&name));
            self.vfs.rename(
                &staging.join("blocks").join(&name),
                &self.blocks_directory().join(&name),
            )?;
        }
        for part in staged.runs.iter().flat_map(|run| &run.parts) {
            let name = part_file_name(part.file);
            self.readers.forget(&self.index_directory().join(&name));
            self.vfs.rename(
                &staging.join("index").join(&name),
                &self.index_directory().join(&name),
            )?;
        }
        if is_made(Defect::ImportNotSynced) {
            return Ok(());
        }
        self.vfs.sync_directory(&self.blocks_directory())?;
        self.vfs.sync_directory(&self.index_directory())
    }
}

/// Removes a directory with everything in it, if it is there.
pub(super) fn remove_tree(vfs: &Arc<dyn Vfs>, path: &Path) -> Result<()> {
    match vfs.entry_kind(path)? {
        None => return Ok(()),
        Some(EntryKind::Directory) => {}
        Some(_) => return vfs.unlink(path),
    }
    for entry in vfs.list(path)? {
        remove_tree(vfs, &path.join(&entry.name))?;
    }
    vfs.remove_directory(path)
}

/// The directory that is being imported, read in order.
struct Ancestor {
    vfs: Arc<dyn Vfs>,
    path: PathBuf,
    wal: Arc<dyn File>,
    wal_len: u64,
    at: u64,
    buffer: Vec<u8>,
    /// Where in the file the buffer starts.
    buffer_at: u64,
    chunk: Option<(u32, Arc<dyn File>, u64)>,
}

impl Ancestor {
    fn open(vfs: &Arc<dyn Vfs>, path: &Path) -> Result<Ancestor> {
        let wal = vfs.open(&path.join(WAL_NAME), OpenMode::Read)?;
        let wal_len = wal.len()?;
        Ok(Ancestor {
            vfs: Arc::clone(vfs),
            path: path.to_path_buf(),
            wal,
            wal_len,
            at: 0,
            buffer: Vec::new(),
            buffer_at: 0,
            chunk: None,
        })
    }

    /// The next `len` bytes, or `None` where the file ends before.
    fn take(&mut self, len: u64) -> Result<Option<&[u8]>> {
        let Some(end) = self.at.checked_add(len).filter(|end| *end <= self.wal_len) else {
            return Ok(None);
        };
        let too_long = || Error::too_large("a record of the imported log");
        let wanted = to_usize(len).ok_or_else(too_long)?;
        let buffered_to = self.buffer_at.saturating_add(to_u64(self.buffer.len()));
        if self.at < self.buffer_at || end > buffered_to {
            let left = to_usize(self.wal_len - self.at).unwrap_or(usize::MAX);
            self.buffer.resize(wanted.max(READ_BYTES).min(left), 0);
            self.buffer_at = self.at;
            self.wal.read_at(self.at, &mut self.buffer)?;
        }
        let start = to_usize(self.at - self.buffer_at).ok_or_else(too_long)?;
        self.at = end;
        let bytes = self.buffer.get(start..).and_then(|bytes| bytes.get(..wanted));
        bytes
            .map(Some)
            .ok_or_else(|| Error::internal("the import's buffer is too short"))
    }

    fn next(&mut self) -> Result<Option<WalCommand>> {
        use bincode::Options;
        let record_at = self.at;
        let Some(len) = self
            .take(8)?
            .and_then(|bytes| <[u8; 8]>::try_from(bytes).ok())
            .map(u64::from_le_bytes)
        else {
            return Ok(None);
        };
        let Some(record) = self.take(len)? else {
            return Ok(None);
        };
        let decoded = bincode::DefaultOptions::new()
            .with_fixint_encoding()
            .with_little_endian()
            .with_limit(len)
            .reject_trailing_bytes()
            .deserialize::<WalCommand>(record);
        match decoded {
            Ok(command) => Ok(Some(command)),
            // The last record may be torn within its bytes as well.
            Err(_) if self.at == self.wal_len => Ok(None),
            Err(_) => Err(Error::corrupt(
                WAL_NAME,
                record_at,
                "a record of the log to import can't be decoded",
            )),
        }
    }

    fn add(&mut self, draft: &mut Draft, command: WalCommand) -> Result<()> {
        match command {
            WalCommand::AppendMemory {
                id,
                chunk_id,
                offset,
                length,
                tags,
            } => {
                let data = self.block(chunk_id, offset, length)?;
                let mut tags: Vec<&str> = tags
                    .iter()
                    .map(String::as_str)
                    .filter(|tag| !tag.is_empty())
                    .collect();
                tags.sort_unstable();
                tags.dedup();
                draft.append_memory(id, &tags, Data::Bytes(&data))
            }
            WalCommand::SetKv { key, value } => draft.set_kv(key.as_bytes(), &value),
            WalCommand::DeleteKv { key } => draft.delete_kv(key.as_bytes()),
            WalCommand::AppendStream {
                key,
                chunk_id,
                offset,
                length,
            } => {
                let data = self.block(chunk_id, offset, length)?;
                draft.append_stream(key.as_bytes(), None, Data::Bytes(&data))
            }
        }
    }

    fn block(&mut self, number: u32, offset: u64, length: u64) -> Result<Vec<u8>> {
        let name = format!("blocks/chunk_{number:04}.bin");
        if self.chunk.as_ref().is_none_or(|(open, ..)| *open != number) {
            let path = self.path.join("blocks").join(format!("chunk_{number:04}.bin"));
            if self.vfs.entry_kind(&path)? != Some(EntryKind::File) {
                return Err(Error::corrupt(
                    name,
                    0,
                    "the log to import names this chunk, but it is not there",
                ));
            }
            let file = self.vfs.open(&path, OpenMode::Read)?;
            let len = file.len()?;
            self.chunk = Some((number, file, len));
        }
        let Some((_, file, len)) = &self.chunk else {
            return Err(Error::internal("no chunk is open"));
        };
        if offset.checked_add(length).is_none_or(|end| end > *len) {
            return Err(Error::corrupt(
                name,
                offset,
                format!("the log to import names {length} bytes here, the file has {len}"),
            ));
        }
        let mut data = vec![0; to_usize(length).ok_or_else(|| Error::too_large("an imported block"))?];
        file.read_at(offset, &mut data)?;
        Ok(data)
    }
}
