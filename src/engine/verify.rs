//! Reading and checking everything: manifest copies, log, runs, chunks, and that what the index names is there.

use super::{lock, Engine};
use crate::{
    error::{Error, Result},
    format::{bytes::to_usize, record},
    index::part_file_name,
    log::{self, ReplayEnd, ReplayStart},
};

/// One thing that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file's path within the store.
    pub file: String,
    /// Byte offset in the file.
    pub offset: u64,
    pub what: String,
}

impl Engine {
    /// Every finding; none means that every byte that counts was read and passed its checks. Upkeep waits
    /// meanwhile; commits and reads go on.
    pub(crate) fn verify(&self) -> Result<Vec<Finding>> {
        self.check_not_closing()?;
        // Files stay what they are while they are read.
        let _upkeep = lock(&self.upkeep);
        let mut findings = Vec::new();
        self.verify_manifest(&mut findings)?;
        self.verify_log(&mut findings)?;
        let view = self.view();
        self.verify_kept_log(&view, &mut findings)?;
        for part in view.state.runs.iter().flat_map(|run| run.parts()) {
            self.check_not_closing()?;
            let file = format!("index/{}", part_file_name(part.meta().file));
            part.verify(&mut |offset, what| {
                findings.push(Finding {
                    file: file.clone(),
                    offset,
                    what,
                })
            });
        }
        for chunk in view.state.chunks.iter() {
            self.check_not_closing()?;
            let name = chunk
                .path()
                .file_name()
                .map(|name| name.to_string_lossy().into_owned())
                .unwrap_or_default();
            let file = format!("blocks/{name}");
            chunk.verify(&mut |offset, what| {
                findings.push(Finding {
                    file: file.clone(),
                    offset,
                    what,
                })
            });
        }
        self.verify_references(&view, &mut findings);
        Ok(findings)
    }

    /// Damage is a finding; so is whatever can't be read, where a store is looked at to see what is left of it.
    fn note(&self, error: Error, place: &str, findings: &mut Vec<Finding>) -> Result<()> {
        if !self.options.salvage && !matches!(error, Error::Corrupt { .. }) {
            return Err(error);
        }
        findings.push(finding_of(&error, place));
        Ok(())
    }

    fn verify_manifest(&self, findings: &mut Vec<Finding>) -> Result<()> {
        let bad_copy = match super::manifest_file::ManifestFile::read(&self.vfs, &self.root) {
            Ok(Some(manifest)) => {
                if manifest.current().uuid != self.uuid {
                    findings.push(finding("MANIFEST", 0, "the manifest is that of another store"));
                }
                manifest.bad_copy()
            }
            Ok(None) => {
                findings.push(finding("MANIFEST", 0, "the file is gone"));
                None
            }
            Err(error) => {
                self.note(error, "MANIFEST", findings)?;
                None
            }
        };
        let bad_copy = bad_copy.or(lock(&self.manifest).bad_copy());
        if let Some(offset) = bad_copy {
            let what = "one of the two copies is damaged; the next manifest replaces both";
            findings.push(finding("MANIFEST", offset, what));
        }
        Ok(())
    }

    /// The log as followers get it, with the blocks that it names. Behind damage it goes on in the next segment.
    fn verify_kept_log(&self, view: &super::View, findings: &mut Vec<Finding>) -> Result<()> {
        let first_segment = lock(&self.manifest).current().first_segment;
        let starts = match log::segment_starts(&self.vfs, &self.log_directory(), self.uuid, first_segment) {
            Ok(starts) => starts,
            Err(error) => return self.note(error, "log", findings),
        };
        let mut from = Some(self.first_log_seq()?);
        while let Some(seq) = from.filter(|seq| *seq <= view.seq) {
            let mut next = seq;
            match self.verify_frames(view, &mut next, findings) {
                Ok(()) => return Ok(()),
                // The log was released past it meanwhile.
                Err(Error::NotFound) => {}
                Err(error) => self.note(error, "log", findings)?,
            }
            from = starts.iter().copied().find(|start| *start > next);
        }
        Ok(())
    }

    /// Frames from `next`, which follows, to the newest one of the view.
    fn verify_frames(&self, view: &super::View, next: &mut u64, findings: &mut Vec<Finding>) -> Result<()> {
        let mut tail = self.tail_from(*next, 0)?;
        while *next <= view.seq {
            self.check_not_closing()?;
            let frame = tail
                .poll(view.seq)
                .and_then(|frame| frame.ok_or(Error::NotFound))
                .map_err(|error| self.damaged_or_released(*next, error))?;
            for block in super::follow::large_blocks(&frame)? {
                let error = match view.block_range(&block, 0, block.len.min(1)) {
                    Err(Error::NotFound) => self.damaged_or_released_block(*next, &block),
                    Err(error) => error,
                    Ok(_) => continue,
                };
                if error != Error::NotFound {
                    findings.push(finding_of(&error, "blocks"));
                }
            }
            *next = frame.header().seq.saturating_add(1);
        }
        Ok(())
    }

    /// Frames from the checkpoint on, read from the files once more. New ones may be appended meanwhile: they are
    /// no concern of this.
    fn verify_log(&self, findings: &mut Vec<Finding>) -> Result<()> {
        let (published, manifest) = {
            // A reader's refresh changes both while it holds this lock.
            let manifest = lock(&self.manifest);
            (self.last_seq(), manifest.current().clone())
        };
        let start = ReplayStart {
            position: manifest.log,
            checkpoint_seq: manifest.checkpoint_seq,
            epoch: manifest.epoch,
            durable_seq: manifest.durable_seq,
            // What ended the log is to be told, where it was opened in spite of that.
            limit: if self.options.salvage { u64::MAX } else { published },
            salvage: self.options.salvage,
            beside_writer: !self.options.salvage,
        };
        let directory = self.root.join("log");
        let end = log::replay(
            &self.vfs,
            &directory,
            manifest.uuid,
            manifest.first_segment,
            start,
            &mut |_, _, _| Ok(()),
        );
        match end {
            Ok(ReplayEnd {
                damage: Some(error), ..
            }) => findings.push(finding_of(&error, "log")),
            Ok(end) if end.last_seq < published => findings.push(finding(
                &format!("log/{}", log::segment_file_name(end.position.segment)),
                end.position.offset,
                &format!(
                    "the log ends at commit {}, commit {published} was appended",
                    end.last_seq
                ),
            )),
            Ok(_) => {}
            Err(error) => self.note(error, "log", findings)?,
        }
        Ok(())
    }

    /// Whatever a live entry names has to be there, whole.
    fn verify_references(&self, view: &super::View, findings: &mut Vec<Finding>) {
        let mut entries = view.scan(Vec::new(), None, false);
        loop {
            match entries.next() {
                Ok(true) => {}
                Ok(false) => return,
                Err(error) => {
                    findings.push(finding_of(&error, "index"));
                    return;
                }
            }
            let Some(entry) = entries.entry() else { return };
            match record::RecordKey::decode(entry.key) {
                // Below the stream's bounds: dead, only not merged away yet.
                Some(record::RecordKey::StreamRecord { stream_id, index })
                    if !view.stream_reaches(stream_id, index).unwrap_or(true) =>
                {
                    continue;
                }
                // A loose block holds itself. Of others the record that holds it has the address.
                Some(record::RecordKey::Block {
                    chunk,
                    offset,
                    owner: [],
                }) => {
                    let found = view.state.block_at(chunk, offset);
                    if let Some(error) = match found {
                        Ok(Some(_)) => None,
                        Ok(None) => Some(view.state.block_is_gone(chunk, offset)),
                        Err(error) => Some(error),
                    } {
                        findings.push(finding_of(&error, &view.state.chunk_file(chunk)));
                    }
                    continue;
                }
                _ => {}
            }
            let Some(block) = record::block_of(entry.kind, entry.value) else {
                continue;
            };
            // Chunk files were read whole above; here it is about blocks that are missing or still in the log.
            if let Err(error) = view.block_range(&block, 0, block.len.min(1)) {
                let key: Vec<u8> = entry.key.iter().take(64).copied().collect();
                let mut found = finding_of(&error, &view.state.chunk_file(block.chunk));
                found.offset = block.offset;
                found.what = format!(
                    "the entry {:?} names a block of {} bytes in chunk {}: {}",
                    String::from_utf8_lossy(&key),
                    to_usize(block.len).unwrap_or(usize::MAX),
                    block.chunk,
                    found.what
                );
                findings.push(found);
            }
        }
    }
}

fn finding(file: &str, offset: u64, what: &str) -> Finding {
    Finding {
        file: file.to_owned(),
        offset,
        what: what.to_owned(),
    }
}

fn finding_of(error: &Error, place: &str) -> Finding {
    match error {
        Error::Corrupt(damage) => finding(&damage.file, damage.offset, &damage.what),
        error => finding(place, 0, &error.to_string()),
    }
}
