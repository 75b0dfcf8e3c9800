//! A hot backup: a store of its own that holds exactly what a snapshot sees.
//!
//! The snapshot's index is written as one run; chunk files are copied as they are, so that every address stays
//! what it is. The manifest comes last: until it is there, the directory is not a store.

use crate::vfs::sync::atomic::AtomicU64;
use std::{
    path::{Path, PathBuf},
    sync::{atomic::Ordering, Arc},
};

use super::{
    import::remove_tree,
    manifest_file::{ManifestFile, MANIFEST_NAME},
    observer::Observer,
    open::{empty_manifest, new_uuid, parent_of},
    readers::Readers,
    state::View,
    upkeep::STEP_BYTES,
    Engine,
};
use crate::{
    blocks::{first_offset, Chunk},
    error::{Error, Result},
    format::{
        block::{ChunkHeader, CHUNK_HEADER_BYTES},
        bytes::to_usize,
        manifest::{ChunkMeta, Counts, PartMeta, RunMeta},
        record::{kind, RecordKey},
    },
    index::{BuildObserver, BuildRules, BuildStep, Builder, Entry},
    vfs::{is_made, Defect, OpenMode, Vfs},
};

const COPY_BYTES: usize = 1 << 20;

/// Keeps what the snapshot sees, and counts it.
struct SnapshotOnly {
    seq: u64,
    needed: Observer,
    counts: Counts,
}

impl BuildObserver for SnapshotOnly {
    fn keep(&mut self, entry: &Entry<'_>) -> Result<bool> {
        if entry.seq > self.seq || !self.needed.keep(entry)? {
            return Ok(false);
        }
        match entry.kind {
            kind::KV_INLINE | kind::KV_BLOCK => self.counts.kv += 1,
            kind::MEMORY => self.counts.memories += 1,
            kind::STREAM_NAME => self.counts.streams += 1,
            kind::STREAM_RECORD | kind::STREAM_INLINE => self.counts.stream_records += 1,
            kind::HOLD
                if matches!(
                    RecordKey::decode(entry.key),
                    Some(RecordKey::Block { owner: [], .. })
                ) =>
            {
                self.counts.blocks += 1;
            }
            _ => {}
        }
        Ok(true)
    }

    fn dropped(&mut self, _entry: &Entry<'_>) {}
}

/// Removes a backup that failed, its manifest first: a crash in between leaves no store, or a whole one.
fn take_back(vfs: &Arc<dyn Vfs>, path: &Path) -> Result<()> {
    let manifest = path.join(MANIFEST_NAME);
    if vfs.entry_kind(&manifest)?.is_some() {
        vfs.unlink(&manifest)?;
        vfs.sync_directory(path)?;
    }
    remove_tree(vfs, path)
}

impl Engine {
    /// Writes the backup to `path`, where nothing may be yet. `snapshot` is a seq that the caller holds; without one,
    /// the newest commit is taken. `pinned` is what a snapshot of a read-only store looks at, whatever was refreshed
    /// since. On failure what was written is removed.
    pub(crate) fn backup(&self, snapshot: Option<u64>, pinned: Option<&View>, path: &Path) -> Result<()> {
        self.check_not_closing()?;
        if self.vfs.entry_kind(path)?.is_some() {
            return Err(Error::invalid(format!(
                "{} exists already; a backup goes to a new path",
                path.display()
            )));
        }
        let outcome = if self.options.read_only {
            self.backup_view(&pinned.cloned().unwrap_or_else(|| self.view()), path)
        } else {
            let held = self.take_snapshot();
            let outcome = self.backup_held(snapshot.unwrap_or(held), path);
            self.release_snapshot(held);
            outcome
        };
        if outcome.is_err() {
            // The first error is what counts.
            let _ = take_back(&self.vfs, path);
        }
        outcome
    }

    fn backup_held(&self, seq: u64, path: &Path) -> Result<()> {
        if serves_blocks_from_log(&self.view()) {
            // Small blocks that are only in the log reach their chunks.
            self.checkpoint()?;
        }
        self.backup_view(&self.view_at(seq), path)
    }

    fn backup_view(&self, view: &View, path: &Path) -> Result<()> {
        let seq = view.seq;
        self.vfs.create_directory(path)?;
        for name in ["log", "blocks", "index"] {
            self.vfs.create_directory(&path.join(name))?;
        }
        drop(self.vfs.open(&path.join("LOCK"), OpenMode::CreateNew)?);
        drop(Readers::new(Arc::clone(&self.vfs), path, true)?);

        if is_made(Defect::BackupManifestFirst) {
            let mut manifest = empty_manifest([1; 16], self.chunk_bytes);
            manifest.checkpoint_seq = seq;
            manifest.first_log_seq = seq.saturating_add(1);
            ManifestFile::new(Arc::clone(&self.vfs), path.to_path_buf(), manifest.clone())
                .replace(manifest)?;
        }
        let uuid = new_uuid(&self.vfs)?;
        let next_file = Arc::new(AtomicU64::new(1));
        let (parts, counts) = self.copy_index(view, &path.join("index"), uuid, &next_file)?;
        let mut chunks = self.copy_chunks(view, &path.join("blocks"), &uuid)?;
        if self.options.read_only {
            self.write_pending(view, &path.join("blocks"), &uuid, &mut chunks)?;
        }
        for name in ["log", "blocks", "index"] {
            self.vfs.sync_directory(&path.join(name))?;
        }
        self.vfs.sync_directory(path)?;

        let mut manifest = empty_manifest(uuid, self.chunk_bytes);
        manifest.checkpoint_seq = seq;
        manifest.durable_seq = seq;
        manifest.first_log_seq = seq.saturating_add(1);
        manifest.next_chunk = self.next_chunk.load(Ordering::Relaxed);
        // Ids of streams go up to what any stream in the index has.
        manifest.next_stream_id = super::lock(&self.append).next_stream_id;
        manifest.counts = counts;
        manifest.chunks = chunks;
        if !parts.is_empty() {
            let id = next_file.fetch_add(1, Ordering::Relaxed);
            manifest.runs = vec![RunMeta {
                id,
                parts,
                above: None,
                merging_into: None,
            }];
        }
        manifest.next_file = next_file.load(Ordering::Relaxed);
        ManifestFile::new(Arc::clone(&self.vfs), path.to_path_buf(), manifest.clone()).replace(manifest)?;
        self.vfs.sync_directory(parent_of(path))?;
        Ok(())
    }

    fn copy_index(
        &self,
        view: &View,
        directory: &Path,
        uuid: [u8; 16],
        next_file: &Arc<AtomicU64>,
    ) -> Result<(Vec<PartMeta>, Counts)> {
        let mut only = SnapshotOnly {
            seq: view.seq,
            needed: Observer::new(&view.state, &[], view.seq, true),
            counts: Counts::default(),
        };
        let rules = BuildRules {
            snapshots: vec![view.seq],
            bottom: true,
            part_bytes: super::checkpoint::PART_BYTES,
            piece_bytes: crate::index::LARGE_PIECE_BYTES,
        };
        let mut builder = Builder::new(
            Arc::clone(&self.vfs),
            directory.to_path_buf(),
            uuid,
            Arc::clone(next_file),
            view.state.merged(),
            None,
            rules,
        )?;
        let mut parts = Vec::new();
        loop {
            self.check_not_closing()?;
            match builder.step(STEP_BYTES, &mut only)? {
                BuildStep::Working => {}
                BuildStep::Part { meta, .. } => parts.push(meta),
                BuildStep::Done => return Ok((parts, only.counts)),
            }
        }
    }

    /// A reader can't have the log checkpointed: what it serves from there goes to the copied chunks directly.
    fn write_pending(
        &self,
        view: &View,
        directory: &Path,
        uuid: &[u8; 16],
        chunks: &mut Vec<ChunkMeta>,
    ) -> Result<()> {
        for generation in view.state.generations.iter().rev() {
            let mut number = 0;
            while let Some(image) = generation.pending.get(number) {
                number = number.saturating_add(1);
                if image.seq > view.seq {
                    break;
                }
                let place = chunks.iter().position(|meta| meta.number == image.chunk);
                let path = directory.join(crate::blocks::chunk_file_name(image.chunk, 0));
                let (file, nonce) = match place.and_then(|place| chunks.get(place)) {
                    Some(meta) => (self.vfs.open(&path, OpenMode::Write)?, meta.nonce),
                    None => {
                        let header = ChunkHeader {
                            nonce: self.random_u64()?,
                            number: image.chunk,
                            rewrite: 0,
                        };
                        let file = self.vfs.open(&path, OpenMode::CreateNew)?;
                        file.write_at(0, &header.encode(uuid))?;
                        (file, header.nonce)
                    }
                };
                let mut finished = Vec::new();
                super::checkpoint::finish_image(self.uuid, nonce, &image, &mut finished)?;
                file.write_at(image.offset, &finished)?;
                file.sync()?;
                let end = image.offset.saturating_add(image.image_len);
                match place.and_then(|place| chunks.get_mut(place)) {
                    Some(meta) => meta.len = meta.len.max(end),
                    None => chunks.push(ChunkMeta {
                        number: image.chunk,
                        rewrite: 0,
                        nonce,
                        large: false,
                        len: end,
                        table_offset: 0,
                        last_seq: image.seq,
                        dead_bytes: 0,
                    }),
                }
            }
        }
        chunks.sort_unstable_by_key(|meta| meta.number);
        Ok(())
    }

    /// Copies every chunk that is there, as the newest state of a writer has it: the snapshot's blocks are live in all of
    /// them.
    fn copy_chunks(&self, view: &View, directory: &Path, uuid: &[u8; 16]) -> Result<Vec<ChunkMeta>> {
        let mut metas = Vec::new();
        for number in view
            .state
            .chunks
            .iter()
            .map(|chunk| chunk.number())
            .collect::<Vec<u32>>()
        {
            self.check_not_closing()?;
            loop {
                // A chunk that was dropped meanwhile had nothing that the snapshot needs. A reader's lock keeps the
                // files that its view names; its newest state may be past them.
                let state = match self.options.read_only {
                    true => Arc::clone(&view.state),
                    false => self.state.load_full(),
                };
                let Some(chunk) = state.chunks.get(number).cloned() else {
                    break;
                };
                match self.copy_chunk(&chunk, directory, uuid) {
                    Ok(meta) => {
                        metas.push(meta);
                        break;
                    }
                    // Rewritten and unlinked before it could be opened: the newer one serves as well.
                    Err(Error::Io { .. }) if !self.options.read_only && self.is_replaced(&chunk) => {}
                    Err(error) => return Err(error),
                }
            }
        }
        Ok(metas)
    }

    fn is_replaced(&self, chunk: &Arc<Chunk>) -> bool {
        self.state
            .load()
            .chunks
            .get(chunk.number())
            .is_none_or(|known| !Arc::ptr_eq(known, chunk))
    }

    fn copy_chunk(&self, chunk: &Arc<Chunk>, directory: &Path, uuid: &[u8; 16]) -> Result<ChunkMeta> {
        let meta = chunk.meta();
        let from = self.vfs.open(chunk.path(), OpenMode::Read)?;
        // A rewritten file ends with its table; a plain one holds more than its checkpointed bytes at times.
        let len = if meta.table_offset > 0 {
            from.len()?
        } else {
            meta.len.max(first_offset(meta.large))
        };
        let path: PathBuf = directory.join(crate::blocks::chunk_file_name(meta.number, meta.rewrite));
        let to = self.vfs.open(&path, OpenMode::CreateNew)?;
        let mut buffer = vec![0; COPY_BYTES.min(to_usize(len).unwrap_or(COPY_BYTES))];
        let mut at = 0u64;
        while at < len {
            let piece_len = to_usize(len - at).unwrap_or(usize::MAX).min(buffer.len());
            let piece = buffer
                .get_mut(..piece_len)
                .ok_or_else(|| Error::internal("copy buffer"))?;
            from.read_at(at, piece)?;
            if at == 0 {
                reseal_header(piece, &self.uuid, uuid).ok_or_else(|| {
                    Error::corrupt(
                        chunk.path().display().to_string(),
                        0,
                        "the chunk's header is damaged",
                    )
                })?;
            }
            to.write_at(at, piece)?;
            at = at.saturating_add(crate::format::bytes::to_u64(piece_len));
        }
        if !is_made(Defect::BackupNotSynced) {
            to.sync()?;
        }
        Ok(meta)
    }
}

/// The header at the start of a chunk's bytes becomes that of the same chunk in another store.
fn reseal_header(bytes: &mut [u8], from: &[u8; 16], to: &[u8; 16]) -> Option<()> {
    let header = ChunkHeader::decode(bytes, from)?;
    let place = bytes.first_chunk_mut::<CHUNK_HEADER_BYTES>()?;
    *place = header.encode(to);
    Some(())
}

/// Whether some generation still serves small blocks from the log.
fn serves_blocks_from_log(view: &View) -> bool {
    view.state
        .generations
        .iter()
        .any(|generation| generation.pending.get(0).is_some())
}
