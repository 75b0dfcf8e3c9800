//! Opening and closing: find or create the store, recover it, hand it over; and the way back.
//!
//! Opening a store for writing writes nothing: the new epoch goes out with the first append (`begin`), which is
//! also when leftovers of the last opening are cleared away. Evidence of what happened stays until then.

use crate::vfs::sync::{
    atomic::{AtomicBool, AtomicU32, AtomicU64},
    Mutex, RwLock,
};
use std::{
    collections::{BTreeMap, HashMap, HashSet},
    ffi::OsStr,
    path::{Path, PathBuf},
    sync::{atomic::Ordering, Arc},
};

use arc_swap::ArcSwap;

use super::{
    apply::Tally,
    background::Background,
    commit::{Append, AppendStart},
    durability::Notifications,
    follow::Followers,
    lock,
    manifest_file::{ManifestFile, MANIFEST_NAME, NEW_MANIFEST_NAME},
    readers::{Readers, Retired, READERS_NAME},
    recover::{recover, Recovered, Sources},
    reserve::Reserve,
    state::View,
    upkeep::{Upkeep, LEAST_DELETED},
    Counters, Engine, LogMethod, Options, Verdict,
};
use crate::{
    blocks::{parse_chunk_file_name, LargeWriter},
    error::{Error, Result},
    format::manifest::{Counts, LogPosition, Manifest},
    index::{parse_part_file_name, part_file_name},
    log::{self, segment_file_name, Appender, GroupSync, LogWrite, Supply},
    vfs::{is_made, Defect, EntryKind, File, ForkSentinel, OpenMode, Vfs},
};

pub(super) const LOCK_NAME: &str = "LOCK";
const LOG_NAME: &str = "log";
const BLOCKS_NAME: &str = "blocks";
const INDEX_NAME: &str = "index";
/// Largest log segment; as large as a memtable where that is less.
const MOST_SEGMENT_BYTES: u64 = 16 << 20;

pub(super) const LEAST_CHUNK_BYTES: u64 = 64 << 10;
pub(super) const MOST_CHUNK_BYTES: u64 = 16 << 30;
const LEAST_MEMORY_BYTES: u64 = 256 << 10;

/// What is at the path of a store.
enum Found {
    Nothing,
    /// Nothing but what an interrupted creation leaves.
    Empty,
    Store,
}

impl Engine {
    pub(crate) fn open(vfs: Arc<dyn Vfs>, root: &Path, options: &Options) -> Result<Arc<Engine>> {
        Engine::open_or_create(vfs, root, options, None)
    }

    /// A store that is created gets this uuid, if one is given.
    pub(super) fn open_or_create(
        vfs: Arc<dyn Vfs>,
        root: &Path,
        options: &Options,
        uuid: Option<[u8; 16]>,
    ) -> Result<Arc<Engine>> {
        options.check()?;
        let start_us = vfs.now_us();
        let mut options = options.clone();
        // What salvage finds may have holes that a writer would build upon.
        options.read_only |= options.salvage;
        match look_at(&vfs, root)? {
            Found::Store => {
                check_directories(&vfs, root, options.salvage)?;
                // A store that this library can't read is left as it is, without a new lock file even.
                ManifestFile::read(&vfs, root)?;
            }
            Found::Nothing | Found::Empty if !options.create || options.read_only => {
                return Err(Error::NotAStore {
                    what: format!(
                        "nothing is at {}; open with create to make a store there",
                        root.display()
                    )
                    .into(),
                });
            }
            Found::Nothing => {
                match vfs.create_directory(root) {
                    // Somebody else creates it at this moment; the lock decides who goes on.
                    Err(Error::Io(refusal)) if refusal.os_code == libc::EEXIST => {}
                    created => created?,
                }
                vfs.sync_directory(parent_of(root))?;
            }
            // The host made it, or a creation that was cut off before its name was durable. Where the directory
            // above may not be opened, its name is the host's to care for.
            Found::Empty => match vfs.sync_directory(parent_of(root)) {
                Err(Error::Io(refusal)) if matches!(refusal.os_code, libc::EACCES | libc::EPERM) => {}
                synced => synced?,
            },
        }
        let lock_file = if options.read_only {
            None
        } else {
            Some(take_lock(&vfs, root)?)
        };
        if !options.read_only && vfs.entry_kind(&root.join(MANIFEST_NAME))?.is_none() {
            create(&vfs, root, &options, uuid)?;
        }
        if !options.read_only {
            // A process that was killed while it switched manifests may have left the new one's name in the page cache
            // only. What it calls durable is so once its name is.
            vfs.sync_directory(root)?;
        }
        let readers = match Readers::new(Arc::clone(&vfs), root, !options.read_only) {
            // Whatever stands there instead of the file: no writer can be at work beside this.
            Err(_) if options.salvage => Readers::none(Arc::clone(&vfs)),
            readers => readers?,
        };
        let (manifest, recovered) = read_and_recover(&vfs, root, &options, &readers, start_us)?;
        let engine = Arc::new(Engine::assemble(
            vfs, root, options, readers, manifest, recovered, lock_file,
        )?);
        if engine.options.salvage {
            engine.judge_salvaged()?;
        }
        engine.start_background()?;
        Ok(engine)
    }

    fn assemble(
        vfs: Arc<dyn Vfs>,
        root: &Path,
        options: Options,
        readers: Readers,
        manifest: ManifestFile,
        recovered: Recovered,
        lock_file: Option<Arc<dyn File>>,
    ) -> Result<Engine> {
        let current = manifest.current().clone();
        let map_is_safe = vfs.map_is_safe(root)?;
        let always_written = match options.log_method {
            LogMethod::Auto => !map_is_safe,
            LogMethod::Mapped => false,
            LogMethod::Written => true,
        };
        let how = if always_written {
            LogWrite::Written
        } else {
            LogWrite::Mapped
        };
        // An opening starts a segment of its own, above every number that a file has or had.
        let next_segment = recovered
            .highest_segment
            .max(recovered.position.segment)
            .saturating_add(1);
        let supply = Supply::new(
            Arc::clone(&vfs),
            root.join(LOG_NAME),
            next_segment,
            how,
            MOST_SEGMENT_BYTES.min(options.memory_bytes / 4),
        );

        let next_chunk = Arc::new(AtomicU32::new(recovered.next_chunk));
        let chunk_options = crate::blocks::ChunkOptions {
            uuid: current.uuid,
            check_every_read: options.check == super::Check::EveryRead,
        };
        let large = LargeWriter::new(
            Arc::clone(&vfs),
            root.join(BLOCKS_NAME),
            current.chunk_bytes,
            Arc::clone(&next_chunk),
            chunk_options,
        );
        if let Some((chunk, end)) = &recovered.active_large {
            large.resume(Arc::clone(chunk), *end);
        }
        let generation = recovered
            .state
            .generations
            .first()
            .cloned()
            .ok_or_else(|| Error::internal("recovery gave no generation"))?;
        let arenas = Arc::clone(generation.memtable.arenas());
        let append = Append::new(AppendStart {
            appender: Appender::new(current.uuid, recovered.position, recovered.segments),
            epoch: current.epoch.saturating_add(1),
            last_seq: recovered.recovery.last_seq,
            small_chunk: recovered.small_chunk,
            small_offset: recovered.small_offset,
            next_stream_id: recovered.next_stream_id,
            generation,
            tally: Tally {
                counts: recovered.counts,
                deleted: 0,
            },
            always_written,
        });
        Ok(Engine {
            fork: ForkSentinel::new()?,
            root: root.to_path_buf(),
            uuid: current.uuid,
            chunk_bytes: current.chunk_bytes,
            log_half_used: AtomicBool::new(true),
            published: AtomicU64::new(recovered.recovery.last_seq),
            append: Mutex::new(append),
            supply,
            arenas,
            group: GroupSync::new(recovered.recovery.proven_seq),
            large,
            next_chunk,
            next_file: Arc::new(AtomicU64::new(current.next_file)),
            manifest: Mutex::new(manifest),
            upkeep: Mutex::new(Upkeep::default()),
            naming: RwLock::new(()),
            snapshots: Mutex::new(BTreeMap::new()),
            notifications: Notifications::default(),
            followers: Followers::default(),
            background: Background::default(),
            readers,
            counters: Counters::default(),
            dead_early: Mutex::new(HashMap::new()),
            dropped: Mutex::new(Counts::default()),
            recovery: Mutex::new(recovered.recovery),
            undone_epoch: AtomicU64::new(recovered.undone_epoch),
            unproven: AtomicBool::new(recovered.recovery.last_seq > recovered.recovery.proven_seq),
            unproven_large: Mutex::new(recovered.unproven_large),
            begun: AtomicBool::new(false),
            reserve: Reserve::default(),
            closing: AtomicBool::new(false),
            closed: AtomicBool::new(false),
            lock: Mutex::new(lock_file),
            garbage_threshold: AtomicU64::new(LEAST_DELETED),
            state: ArcSwap::from_pointee(recovered.state),
            options,
            vfs,
        })
    }

    /// Makes this opening's epoch durable, so that nothing an earlier one left in the log can be taken for a frame
    /// of this one; then clears away what the earlier one left. The first write of an opening pays for it.
    pub(super) fn begin(&self) -> Result<()> {
        if self.begun.load(Ordering::Acquire) {
            return Ok(());
        }
        let mut manifest = lock(&self.manifest);
        if self.begun.load(Ordering::Acquire) {
            return Ok(());
        }
        self.check_writable()?;
        let mut next = manifest.current().clone();
        next.epoch = lock(&self.append).epoch;
        if is_made(Defect::EpochNotBumped) {
            next.epoch = manifest.current().epoch;
        }
        self.find_reserve().inspect_err(|error| self.poison(error))?;
        let mut replaced = manifest.replace(next.clone());
        if matches!(replaced, Err(Error::NoSpace { .. })) {
            // What is in the way may be what jobs that a crash cut off have left.
            let generation = manifest.current().generation;
            self.clear_leftovers(manifest.current(), generation)?;
            replaced = manifest.replace(next);
        }
        if let Err(error) = replaced {
            if !matches!(error, Error::NoSpace { .. }) {
                self.poison(&error);
            }
            return Err(error);
        }
        // Frames that recovery left out must not come back once something else stands in their place.
        let position = lock(&self.append).appender.position();
        let next_seq = self.last_seq().saturating_add(1);
        if !is_made(Defect::NothingCutOff) {
            let wiped =
                log::cut_off(&self.vfs, &self.log_directory(), &position, next_seq).inspect_err(|error| {
                    if !matches!(error, Error::NoSpace { .. }) {
                        self.poison(error);
                    }
                })?;
            for file in wiped {
                file.sync().inspect_err(|error| self.poison(error))?;
            }
        }
        let generation = manifest.current().generation;
        self.clear_leftovers(manifest.current(), generation)?;
        self.begun.store(true, Ordering::Release);
        Ok(())
    }

    /// As `begin`, for what gives space back: a full disk is met with the reserve.
    pub(super) fn begin_upkeep(&self) -> Result<()> {
        self.with_reserve(|| self.begin())
    }

    /// Files that no manifest names and no replay used: of jobs that a crash cut off, of segments already released.
    fn clear_leftovers(&self, manifest: &Manifest, generation: u64) -> Result<()> {
        let state = self.state.load();
        let chunks: HashSet<(u32, u32)> = state
            .chunks
            .iter()
            .map(|chunk| chunk.meta())
            .map(|meta| (meta.number, meta.rewrite))
            .collect();
        let parts: HashSet<String> = manifest
            .runs
            .iter()
            .flat_map(|run| &run.parts)
            .map(|part| part_file_name(part.file))
            .collect();
        let mut newest_chunk = 0;
        let leftover = |directory: &str, keep: &mut dyn FnMut(&str) -> bool| -> Result<()> {
            let path = self.root.join(directory);
            for entry in self.vfs.list(&path)? {
                let known = entry.name.to_str().is_none_or(&mut *keep);
                if !known && entry.kind == EntryKind::File {
                    let path = path.join(&entry.name);
                    self.readers.forget(&path);
                    self.readers.retire(generation, Retired::File(path));
                }
            }
            Ok(())
        };
        leftover(BLOCKS_NAME, &mut |name| match parse_chunk_file_name(name) {
            Some(chunk) => {
                newest_chunk = newest_chunk.max(chunk.0);
                chunks.contains(&chunk)
            }
            None => true,
        })?;
        let mut newest_part = 0;
        leftover(INDEX_NAME, &mut |name| match parse_part_file_name(name) {
            Some(number) => {
                newest_part = newest_part.max(number);
                parts.contains(name)
            }
            None => true,
        })?;
        super::import::remove_tree(&self.vfs, &self.root.join(super::import::STAGING_NAME))?;
        leftover(LOG_NAME, &mut |name| {
            let number = name
                .strip_suffix(".log")
                .and_then(|number| number.parse::<u64>().ok());
            match number.filter(|number| segment_file_name(*number) == name) {
                Some(number) => number >= manifest.first_segment,
                None => true,
            }
        })?;
        // Some of them may stay for a while, for foreign readers: nothing new takes their names.
        self.next_chunk
            .fetch_max(newest_chunk.saturating_add(1), Ordering::Relaxed);
        self.next_file
            .fetch_max(newest_part.saturating_add(1), Ordering::Relaxed);
        self.readers.release(&self.supply).map(drop)
    }

    /// Closing is near: calls that wait, or work for long, come to an end.
    pub(crate) fn announce_close(&self) {
        self.closing.store(true, Ordering::SeqCst);
        self.followers.wake_all();
    }

    /// Stops upkeep, checkpoints (where that fails, syncs the log), lets go of everything. Calls in progress on
    /// other threads either finish before or are refused.
    pub(crate) fn close(&self) -> Result<()> {
        self.announce_close();
        let mut begun = Ok(());
        if !self.is_closed() && !self.options.read_only && self.recovery().verdict != Verdict::Clean {
            // What was replayed is checkpointed too. Where that can't be begun, the log simply stays as it is, which
            // is as good for what is known to be durable.
            begun = self.begin_upkeep();
            if !self.unproven.load(Ordering::Acquire) {
                begun = Ok(());
            }
        }
        if self.closed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        self.background.stop();
        let outcome = if self.options.read_only
            || self.group.poisoned().is_some()
            || !self.begun.load(Ordering::Acquire)
        {
            self.group.poisoned().map_or(begun, Err)
        } else {
            self.last_checkpoint()
        };
        self.abandon_jobs();
        self.large.discard();
        self.end_notifications();
        self.readers.close();
        if let Some(file) = lock(&self.lock).take() {
            // Closing would do, but for a forked child that has the descriptor too.
            let _ = file.unlock();
        }
        outcome
    }

    fn last_checkpoint(&self) -> Result<()> {
        if is_made(Defect::CloseAnswersEarly) {
            return Ok(());
        }
        // A commit that passed its checks before `closed` was set is in the log once this lock was ours.
        drop(lock(&self.append));
        let checkpointed = self.finish_checkpoint().and_then(|()| {
            if self.freeze() {
                self.finish_checkpoint()?;
            }
            Ok(())
        });
        match checkpointed {
            Ok(()) => {
                match self.merge_before_closing() {
                    // Nothing is lost by it: the next opening goes on from there.
                    Ok(()) | Err(Error::NoSpace { .. } | Error::Corrupt { .. }) => {}
                    Err(error) => return Err(error),
                }
                self.readers.release(&self.supply)?;
                self.release_log()?;
                self.settle_reserve();
                Ok(())
            }
            Err(error) => {
                if self.unproven.load(Ordering::Acquire) {
                    // The mark of a sync would claim what was replayed, and only that checkpoint could have proven it.
                    return Err(error);
                }
                // Durable in the log is as good.
                let newest = self.last_seq();
                self.group.wait(newest, None, &|| self.sync_log())?;
                match error {
                    Error::NoSpace { .. } => Ok(()),
                    error => Err(error),
                }
            }
        }
    }

    /// Nothing is in the log that recovery needs: the next opening starts a new segment.
    fn release_log(&self) -> Result<()> {
        if self.options.log_retention_bytes > 0 {
            // What a crash left behind the newest commit stays in the file, and is no torn tail of this history.
            let position = LogPosition {
                segment: self.supply.next_number(),
                offset: 0,
                previous_crc: lock(&self.append).appender.position().previous_crc,
            };
            return self.edit_manifest(|manifest| manifest.log = position).map(|_| ());
        }
        let (position, segments) = {
            let mut append = lock(&self.append);
            let previous_crc = append.appender.position().previous_crc;
            // Whatever comes next is in a segment above this one.
            let segment = self.supply.next_number().saturating_sub(1);
            let mut segments = append.appender.release_before(u64::MAX);
            segments.extend(append.appender.segments());
            (
                LogPosition {
                    segment,
                    offset: 0,
                    previous_crc,
                },
                segments,
            )
        };
        let generation = self.edit_manifest(|manifest| {
            manifest.log = position;
            manifest.first_segment = position.segment.saturating_add(1);
            manifest.first_log_seq = manifest.checkpoint_seq.saturating_add(1);
        })?;
        if !self.readers.needed_below(generation)? {
            for segment in segments {
                self.vfs
                    .unlink(&self.log_directory().join(segment_file_name(segment.number())))?;
            }
            self.supply.discard()?;
        }
        Ok(())
    }

    /// A read-only store looks at what the writer has done since.
    pub(crate) fn refresh(&self) -> Result<u64> {
        if self.is_closed() {
            return Err(Error::invalid("the store was closed"));
        }
        if !self.options.read_only {
            return Ok(self.last_seq());
        }
        let start_us = self.vfs.now_us();
        let mut slot = lock(&self.manifest);
        self.readers.renew(&self.root)?;
        let (manifest, recovered) =
            read_and_recover(&self.vfs, &self.root, &self.options, &self.readers, start_us)?;
        if manifest.current().uuid != self.uuid {
            return Err(Error::Conflict {
                what: "another store is at this path now; open it anew".into(),
            });
        }
        let seq = recovered.recovery.last_seq;
        {
            // Backups ask for these.
            let mut append = lock(&self.append);
            append.next_stream_id = append.next_stream_id.max(recovered.next_stream_id);
            self.next_chunk.fetch_max(recovered.next_chunk, Ordering::Relaxed);
        }
        *slot = manifest;
        *lock(&self.recovery) = recovered.recovery;
        self.undone_epoch.store(recovered.undone_epoch, Ordering::Relaxed);
        self.state.store(Arc::new(recovered.state));
        self.published.store(seq, Ordering::SeqCst);
        self.group.advance(recovered.recovery.proven_seq);
        drop(slot);
        if self.options.salvage {
            self.judge_salvaged()?;
        }
        Ok(seq)
    }

    /// What a read-only store would see after a refresh, without changing what it sees.
    pub(crate) fn newest_view(&self) -> Result<View> {
        let start_us = self.vfs.now_us();
        let (_, recovered) = read_and_recover(&self.vfs, &self.root, &self.options, &self.readers, start_us)?;
        Ok(View {
            state: Arc::new(recovered.state),
            seq: recovered.recovery.last_seq,
        })
    }

    /// Salvage reads everything before it hands out anything: the verdict is about the whole store then, not about the
    /// log only.
    fn judge_salvaged(&self) -> Result<()> {
        let is_sound = self.verify()?.is_empty();
        let mut recovery = lock(&self.recovery);
        if !is_sound {
            recovery.verdict = Verdict::Damaged;
        }
        Ok(())
    }

    pub(super) fn log_directory(&self) -> PathBuf {
        self.root.join(LOG_NAME)
    }

    pub(super) fn blocks_directory(&self) -> PathBuf {
        self.root.join(BLOCKS_NAME)
    }

    pub(super) fn index_directory(&self) -> PathBuf {
        self.root.join(INDEX_NAME)
    }

    pub(super) fn part_path(&self, file: u64) -> PathBuf {
        self.root.join(INDEX_NAME).join(part_file_name(file))
    }

    pub(super) fn random_u64(&self) -> Result<u64> {
        random_u64(&self.vfs)
    }
}

fn random_u64(vfs: &Arc<dyn Vfs>) -> Result<u64> {
    let mut bytes = [0; 8];
    vfs.random(&mut bytes)?;
    Ok(u64::from_le_bytes(bytes))
}

impl Options {
    /// Whether the sizes make sense.
    pub(crate) fn check(&self) -> Result<()> {
        if !(LEAST_CHUNK_BYTES..=MOST_CHUNK_BYTES).contains(&self.chunk_bytes) {
            return Err(Error::invalid(format!(
                "chunk_bytes is {}; it goes from {LEAST_CHUNK_BYTES} to {MOST_CHUNK_BYTES}",
                self.chunk_bytes
            )));
        }
        if self.memory_bytes < LEAST_MEMORY_BYTES {
            return Err(Error::invalid(format!(
                "memory_bytes is {}; at least {LEAST_MEMORY_BYTES} are needed",
                self.memory_bytes
            )));
        }
        Ok(())
    }
}

/// The directory that has the store's name in it.
pub(super) fn parent_of(root: &Path) -> &Path {
    match root.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        Some(_) => Path::new("."),
        None => root,
    }
}

fn look_at(vfs: &Arc<dyn Vfs>, root: &Path) -> Result<Found> {
    match vfs.entry_kind(root)? {
        None => return Ok(Found::Nothing),
        Some(EntryKind::Directory) => {}
        Some(_) => {
            return Err(Error::NotAStore {
                what: format!("{} is not a directory", root.display()).into(),
            });
        }
    }
    let mut empty = true;
    for entry in vfs.list(root)? {
        if entry.name == OsStr::new(MANIFEST_NAME) {
            return Ok(Found::Store);
        }
        empty &= is_left_by_creation(vfs, root, &entry.name, entry.kind)?;
    }
    if !empty {
        return Err(Error::NotAStore {
            what: format!(
                "{} holds other files and no {MANIFEST_NAME}; nothing in it was touched",
                root.display()
            )
            .into(),
        });
    }
    Ok(Found::Empty)
}

/// What an interrupted creation may leave: empty directories, the lock files, a manifest not yet renamed.
fn is_left_by_creation(vfs: &Arc<dyn Vfs>, root: &Path, name: &OsStr, kind: EntryKind) -> Result<bool> {
    let Some(name) = name.to_str() else {
        return Ok(false);
    };
    Ok(match (name, kind) {
        (LOCK_NAME | READERS_NAME | NEW_MANIFEST_NAME, EntryKind::File) => true,
        (LOG_NAME | BLOCKS_NAME | INDEX_NAME, EntryKind::Directory) => vfs.list(&root.join(name))?.is_empty(),
        _ => false,
    })
}

/// The store's own directories are no links to somewhere else. Salvage does without those that are missing.
fn check_directories(vfs: &Arc<dyn Vfs>, root: &Path, salvage: bool) -> Result<()> {
    for name in [LOG_NAME, BLOCKS_NAME, INDEX_NAME] {
        let is_harmless = match vfs.entry_kind(&root.join(name))? {
            Some(EntryKind::Directory) => true,
            None | Some(EntryKind::File) => salvage,
            Some(EntryKind::Other) => false,
        };
        if !is_harmless {
            return Err(Error::corrupt(
                name,
                0,
                "this is not the directory that belongs here",
            ));
        }
    }
    Ok(())
}

fn take_lock(vfs: &Arc<dyn Vfs>, root: &Path) -> Result<Arc<dyn File>> {
    let path = root.join(LOCK_NAME);
    let file = match vfs.open(&path, OpenMode::CreateNew) {
        Err(Error::Io(refusal)) if refusal.os_code == libc::EEXIST => vfs.open(&path, OpenMode::Write)?,
        created => created?,
    };
    if !file.try_lock_exclusive()? {
        return Err(Error::Locked {
            what: format!(
                "another process or handle has {} open for writing",
                root.display()
            )
            .into(),
        });
    }
    Ok(file)
}

/// Directories first, the manifest last: until it is there, nothing is a store.
fn create(vfs: &Arc<dyn Vfs>, root: &Path, options: &Options, uuid: Option<[u8; 16]>) -> Result<()> {
    for name in [LOG_NAME, BLOCKS_NAME, INDEX_NAME] {
        let path = root.join(name);
        if vfs.entry_kind(&path)?.is_none() {
            vfs.create_directory(&path)?;
        }
    }
    drop(Readers::new(Arc::clone(vfs), root, true)?);
    // A manifest beside which a directory is missing would be a damaged store.
    if !is_made(Defect::DirectoriesNotSynced) {
        vfs.sync_directory(root)?;
    }
    let uuid = uuid.map_or_else(|| new_uuid(vfs), Ok)?;
    let manifest = empty_manifest(uuid, options.chunk_bytes);
    ManifestFile::new(Arc::clone(vfs), root.to_path_buf(), manifest.clone()).replace(manifest)
}

pub(super) fn new_uuid(vfs: &Arc<dyn Vfs>) -> Result<[u8; 16]> {
    let mut uuid = [0; 16];
    vfs.random(&mut uuid)?;
    Ok(uuid)
}

/// The manifest of a store without data.
pub(crate) fn empty_manifest(uuid: [u8; 16], chunk_bytes: u64) -> Manifest {
    Manifest {
        uuid,
        epoch: 0,
        generation: 0,
        checkpoint_seq: 0,
        durable_seq: 0,
        log: LogPosition::default(),
        first_segment: 1,
        first_log_seq: 1,
        chunk_bytes,
        next_chunk: 1,
        next_file: 1,
        next_stream_id: 1,
        small_chunk: 0,
        small_offset: 0,
        counts: Counts::default(),
        chunks: Vec::new(),
        runs: Vec::new(),
    }
}

/// Reads the manifest and replays the log. A reader takes its lock on the manifest's generation in between, and
/// starts over if the manifest changed before it had it. It also does where what it found makes no sense: a writer that
/// has begun meanwhile puts frames of its epoch into the log, which are damage by a manifest that is older.
fn read_and_recover(
    vfs: &Arc<dyn Vfs>,
    root: &Path,
    options: &Options,
    readers: &Readers,
    start_us: u64,
) -> Result<(ManifestFile, Recovered)> {
    loop {
        let manifest = ManifestFile::read(vfs, root)?.ok_or_else(|| Error::NotAStore {
            what: format!("{} has no {MANIFEST_NAME}", root.display()).into(),
        })?;
        let generation = manifest.current().generation;
        let is_replaced = || -> Result<bool> {
            let again = ManifestFile::read(vfs, root)?;
            Ok(again.is_none_or(|again| again.current().generation != generation))
        };
        if options.read_only {
            readers.hold(generation)?;
            if is_replaced()? {
                readers.renew(root)?;
                continue;
            }
        }
        let sources = Sources {
            vfs,
            root,
            manifest: manifest.current(),
            options,
            readers,
        };
        let recovered = recover(&sources, start_us);
        let makes_sense = recovered
            .as_ref()
            .is_ok_and(|recovered| recovered.recovery.verdict != Verdict::Damaged);
        if options.read_only && !makes_sense && is_replaced()? {
            readers.renew(root)?;
            continue;
        }
        return Ok((manifest, recovered?));
    }
}
