//! Verify and compact.

use std::path::Path;

use sarsen::{Error, Finding, Store};
use serde_json::json;

use super::Outcome;
use crate::{
    failure::{Ending, Failure},
    opening::{for_reading, for_salvage, Writing},
    output::{counted, object, sized, Output},
    progress::Progress,
};

/// Opens a store to look at it whatever its condition; whether it was too damaged to be opened as usual.
pub fn open_damaged_too(path: &Path) -> Result<(Store, Option<Error>), Failure> {
    match for_reading(path) {
        Ok(store) => Ok((store, None)),
        // Salvage gets further, and then every finding can be told.
        Err(Failure::Store(error @ Error::Corrupt { .. })) => match for_salvage(path) {
            Ok(store) => Ok((store, Some(error))),
            Err(_) => Err(Failure::Store(error)),
        },
        Err(failure) => Err(failure),
    }
}

/// Every finding, that of opening included.
pub fn findings(store: &Store, opening: Option<Error>) -> Result<Vec<Finding>, Failure> {
    let mut findings = store.verify()?;
    if let Some(Error::Corrupt(damage)) = opening {
        let known = findings
            .iter()
            .any(|finding| finding.file == damage.file && finding.offset == damage.offset);
        if !known {
            findings.insert(
                0,
                Finding {
                    file: damage.file,
                    offset: damage.offset,
                    what: damage.what.into_owned(),
                },
            );
        }
    }
    Ok(findings)
}

pub fn print_findings(findings: &[Finding], output: &mut Output) -> Result<(), Failure> {
    for Finding { file, offset, what } in findings {
        if output.is_json() {
            output.object(object([
                ("finding", json!(what)),
                ("file", json!(file)),
                ("offset", json!(offset)),
            ]))?;
        } else {
            output.line(&format!("{file} at byte {offset}: {what}"))?;
        }
    }
    Ok(())
}

pub fn verify(path: &Path, output: &mut Output) -> Outcome {
    let progress = Progress::endless(output, "reading and checking every byte");
    let (store, opening) = open_damaged_too(path)?;
    let findings = findings(&store, opening)?;
    let bytes = store.stats().map(|stats| stats.disk_bytes).unwrap_or(0);
    drop(progress);
    print_findings(&findings, output)?;
    let count = u64::try_from(findings.len()).unwrap_or(u64::MAX);
    let last_seq = store.last_seq();
    let sound = findings.is_empty();
    let verdict = if sound {
        format!("sound: {} up to commit {last_seq}", sized(bytes))
    } else {
        format!(
            "damaged: {}; restore a backup, or see what salvage gets",
            counted(count, "finding", "findings")
        )
    };
    let told = json!({ "sound": sound, "findings": count, "last_seq": last_seq, "disk_bytes": bytes });
    output.told(told, Some(&verdict))?;
    Ok(if sound { Ending::Done } else { Ending::Damaged })
}

pub fn compact(store: &Writing, output: &mut Output) -> Outcome {
    let store = store.open()?;
    let progress = Progress::endless(output, "compacting");
    let before = store.stats()?.disk_bytes;
    store.compact()?;
    let after = store.stats()?.disk_bytes;
    drop(progress);
    store.close()?;
    output.told(
        json!({ "disk_bytes_before": before, "disk_bytes_after": after }),
        Some(&format!("{} before, {} now", sized(before), sized(after))),
    )?;
    Ok(Ending::Done)
}
