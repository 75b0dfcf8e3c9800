//! Whole stores: backup, restore, and taking over the ancestral layout.

use std::{
    fs,
    path::Path,
    sync::mpsc::{channel, RecvTimeoutError},
    thread,
    time::Duration,
};

use sarsen::Store;
use serde_json::json;

use super::{upkeep, Outcome};
use crate::{
    failure::{Ending, Failure},
    opening::{for_reading, new_store},
    output::{counted, sized, Output},
    progress::Progress,
};

/// How often a bar looks at how far a copy has come.
const LOOK: Duration = Duration::from_millis(200);

pub fn backup(path: &Path, target: &Path, output: &mut Output) -> Outcome {
    let store = for_reading(path)?;
    let seq = store.last_seq();
    copy(&store, target, "writing the backup", output)?;
    let bytes = disk_bytes(target);
    output.told(
        json!({ "backup": target.to_string_lossy(), "last_seq": seq, "disk_bytes": bytes }),
        Some(&format!(
            "{} holds {} up to commit {seq}",
            target.display(),
            sized(bytes)
        )),
    )?;
    Ok(Ending::Done)
}

pub fn restore(backup: &Path, target: &Path, output: &mut Output) -> Outcome {
    let store = for_reading(backup)?;
    let progress = Progress::endless(output, "checking every byte of the backup");
    let findings = upkeep::findings(&store, None)?;
    drop(progress);
    if !findings.is_empty() {
        upkeep::print_findings(&findings, output)?;
        return Err(Failure::Malformed(format!(
            "{} is damaged: nothing was restored; salvage makes a store of what is left of it",
            backup.display()
        )));
    }
    let seq = store.last_seq();
    copy(&store, target, "restoring", output)?;
    output.told(
        json!({ "store": target.to_string_lossy(), "last_seq": seq, "disk_bytes": disk_bytes(target) }),
        Some(&format!("{} stands at commit {seq}", target.display())),
    )?;
    Ok(Ending::Done)
}

/// Copies the store as it stands, and shows how far it has come where somebody watches.
fn copy(store: &Store, target: &Path, doing: &str, output: &Output) -> Result<(), Failure> {
    if !output.shows_progress() {
        return Ok(store.backup(None, target)?);
    }
    let stats = store.stats()?;
    let total = stats.block_bytes_live + stats.block_bytes_dead + stats.index_bytes;
    let progress = Progress::of_bytes(output, doing, total.max(1));
    let (ended, ends) = channel::<()>();
    thread::scope(|scope| {
        scope.spawn(|| {
            let ends = ends;
            while ends.recv_timeout(LOOK) == Err(RecvTimeoutError::Timeout) {
                progress.stand_at(disk_bytes(target).min(total));
            }
        });
        let outcome = store.backup(None, target);
        drop(ended);
        outcome
    })?;
    Ok(())
}

/// Of all files below a directory, as far as they can be looked at.
fn disk_bytes(directory: &Path) -> u64 {
    let Ok(entries) = fs::read_dir(directory) else {
        return 0;
    };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(metadata) if metadata.is_dir() => disk_bytes(&entry.path()),
            Ok(metadata) => metadata.len(),
            Err(_) => 0,
        })
        .sum()
}

pub fn import_ancestral(path: &Path, directory: &Path, output: &mut Output) -> Outcome {
    if !directory.is_dir() {
        return Err(Failure::Usage(format!(
            "no directory is at {}",
            directory.display()
        )));
    }
    let store = new_store(path)?;
    let progress = Progress::endless(output, "importing");
    let commands = store.import(directory)?;
    store.close()?;
    drop(progress);
    output.told(
        json!({ "records": commands }),
        Some(&format!("{} imported", counted(commands, "record", "records"))),
    )?;
    Ok(Ending::Done)
}
