//! Writes what a merged source holds as the parts of a run, in small steps: for checkpoints (the source is one
//! memtable), merges, backups.
//!
//! Of a key's versions, those stay that some snapshot or now still sees. All versions of a key go to one part. A version
//! is written as it is met; only a tombstone that may have nothing to hide waits until an older version follows.

use crate::vfs::sync::atomic::AtomicU64;
use std::{
    path::PathBuf,
    sync::{atomic::Ordering, Arc},
};

use super::{part_file_name, Entry, Merged, PartWriter, TOMBSTONE};
use crate::{
    error::{Error, Result},
    format::{bytes::to_u64, manifest::PartMeta},
    vfs::{is_made, Defect, File, OpenMode, Vfs},
};

/// What may be left out.
#[derive(Debug, Clone)]
pub(crate) struct BuildRules {
    /// Ascending; 'now' is implied.
    pub(crate) snapshots: Vec<u64>,
    /// No older run holds any of these keys, so a tombstone has nothing to hide.
    pub(crate) bottom: bool,
    /// A part is closed once it is this long.
    pub(crate) part_bytes: u64,
    /// And is written in pieces of this length.
    pub(crate) piece_bytes: usize,
}

/// Whoever knows what entries mean.
pub(crate) trait BuildObserver {
    /// Asked for each version that would be written; false: it is dead.
    fn keep(&mut self, entry: &Entry<'_>) -> Result<bool>;
    /// Told of each version that was superseded, or that `keep` refused.
    fn dropped(&mut self, entry: &Entry<'_>);
}

#[derive(Debug)]
pub(crate) enum BuildStep {
    Working,
    /// A part is written and synced; its directory is not.
    Part {
        meta: PartMeta,
        last_key: Vec<u8>,
    },
    Done,
}

#[derive(Debug)]
struct Output {
    number: u64,
    file: Arc<dyn File>,
    writer: PartWriter,
    /// Everything is in; what is left is to finish and to sync.
    closing: Option<Option<PartMeta>>,
}

/// One thread at a time.
#[derive(Debug)]
pub(crate) struct Builder {
    vfs: Arc<dyn Vfs>,
    directory: PathBuf,
    uuid: [u8; 16],
    next_file: Arc<AtomicU64>,
    source: Merged,
    rules: BuildRules,
    output: Option<Output>,
    /// The key being passed, its last seq met, and how many of the snapshots its versions have served.
    key: Vec<u8>,
    last_seq: Option<u64>,
    /// Its tombstones that hide nothing so far, newest first, where nothing older is left for them to hide.
    waiting: Vec<u64>,
}

/// Only entries that were written so, or forged, get here: their pages' CRCs hold.
fn out_of_order() -> Error {
    Error::corrupt("index", 0, "entries of a run are out of order")
}

impl Builder {
    /// Starts above `after`, where that is given. `uuid` is that of the store which the parts are for.
    pub(crate) fn new(
        vfs: Arc<dyn Vfs>,
        directory: PathBuf,
        uuid: [u8; 16],
        next_file: Arc<AtomicU64>,
        mut source: Merged,
        after: Option<Vec<u8>>,
        rules: BuildRules,
    ) -> Result<Builder> {
        match &after {
            None => source.seek_first()?,
            Some(after) => {
                source.seek(after, 0)?;
                while source.entry().is_some_and(|entry| entry.key <= after.as_slice()) {
                    source.next()?;
                }
            }
        }
        Ok(Builder {
            vfs,
            directory,
            uuid,
            next_file,
            source,
            rules,
            output: None,
            key: Vec::new(),
            last_seq: None,
            waiting: Vec::new(),
        })
    }

    /// What it holds in memory: the part being written, and a key.
    pub(crate) fn heap_bytes(&self) -> u64 {
        let part = self
            .output
            .as_ref()
            .map_or(0, |output| output.writer.heap_bytes());
        part + to_u64(self.waiting.capacity() * size_of::<u64>() + self.key.capacity())
    }

    /// Lets go of the parts of its source that were taken in.
    pub(crate) fn forget_passed(&mut self) {
        self.source.forget_passed();
    }

    /// Goes on for about `budget_bytes` of entries.
    pub(crate) fn step(
        &mut self,
        budget_bytes: usize,
        observer: &mut dyn BuildObserver,
    ) -> Result<BuildStep> {
        if let Some(output) = &mut self.output {
            if output.writer.sync_step()? {
                return Ok(BuildStep::Working);
            }
        }
        if let Some(step) = self.close_step()? {
            return Ok(step);
        }
        let budget = to_u64(budget_bytes);
        let mut passed = 0u64;
        loop {
            let Some(entry) = self.source.entry() else {
                self.end_key();
                return Ok(match &mut self.output {
                    Some(output) => {
                        output.closing = Some(None);
                        BuildStep::Working
                    }
                    None => BuildStep::Done,
                });
            };
            if self.last_seq.is_none() || entry.key != self.key.as_slice() {
                if passed >= budget {
                    return Ok(BuildStep::Working);
                }
                if self.last_seq.is_some() && entry.key < self.key.as_slice() {
                    return Err(out_of_order());
                }
                let full = |output: &&mut Output| output.writer.bytes() >= self.rules.part_bytes;
                if let Some(output) = self.output.as_mut().filter(full) {
                    output.closing = Some(None);
                    self.end_key();
                    return Ok(BuildStep::Working);
                }
                self.key.clear();
                self.key.extend_from_slice(entry.key);
                self.end_key();
            }
            passed = passed.saturating_add(to_u64(self.key.len())).saturating_add(64);
            passed = passed.saturating_add(self.take_version(observer)?);
            self.source.next()?;
        }
    }

    /// Keeps or drops the version that the source stands on; returns the bytes of its value.
    fn take_version(&mut self, observer: &mut dyn BuildObserver) -> Result<u64> {
        let Some(entry) = self.source.entry() else {
            return Ok(0);
        };
        let value_len = to_u64(entry.value.len());
        let newer = self.last_seq.replace(entry.seq);
        // A version is seen by those snapshots that are at or above it and below every newer one.
        let seen = match newer {
            None => true,
            Some(newer) if newer == entry.seq => false,
            Some(newer) if newer < entry.seq => return Err(out_of_order()),
            Some(newer) => self
                .rules
                .snapshots
                .iter()
                .any(|snapshot| entry.seq <= *snapshot && *snapshot < newer),
        };
        if !seen || (entry.kind != TOMBSTONE && !observer.keep(&entry)?) {
            observer.dropped(&entry);
            return Ok(value_len);
        }
        if entry.kind == TOMBSTONE && self.rules.bottom {
            self.waiting.push(entry.seq);
            return Ok(value_len);
        }
        let output = match &mut self.output {
            Some(output) => output,
            none => {
                let number = self.next_file.fetch_add(1, Ordering::Relaxed);
                let path = self.directory.join(part_file_name(number));
                let file = self.vfs.open(&path, OpenMode::CreateNew)?;
                let writer = PartWriter::new(Arc::clone(&file), &self.uuid, number, self.rules.piece_bytes);
                none.insert(Output {
                    number,
                    file,
                    writer,
                    closing: None,
                })
            }
        };
        for seq in self.waiting.drain(..) {
            output.writer.add(&Entry {
                key: entry.key,
                seq,
                kind: TOMBSTONE,
                value: &[],
            })?;
        }
        output.writer.add(&entry)?;
        Ok(value_len)
    }

    /// All versions of the key were met: tombstones that still wait have nothing to hide.
    fn end_key(&mut self) {
        self.last_seq = None;
        self.waiting.clear();
    }

    /// One step of finishing the part that is full; `None` while there is none.
    fn close_step(&mut self) -> Result<Option<BuildStep>> {
        let Some(output) = &mut self.output else {
            return Ok(None);
        };
        match output.closing.take() {
            None => Ok(None),
            Some(None) => {
                output.closing = Some(output.writer.finish_step()?);
                Ok(Some(BuildStep::Working))
            }
            Some(Some(meta)) => {
                let synced = match is_made(Defect::PartsNotSynced) {
                    true => Ok(()),
                    false => output.file.sync(),
                };
                if let Err(error) = synced {
                    output.closing = Some(Some(meta));
                    return Err(error);
                }
                self.output = None;
                Ok(Some(BuildStep::Part {
                    meta,
                    last_key: self.key.clone(),
                }))
            }
        }
    }

    /// Removes the part that is not finished.
    pub(crate) fn abandon(self) {
        if let Some(output) = self.output {
            // What stays is cleared by the next opening.
            let _ = self
                .vfs
                .unlink(&self.directory.join(part_file_name(output.number)));
        }
    }
}
