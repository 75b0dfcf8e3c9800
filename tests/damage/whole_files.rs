//! Whole files: cut at every length, gone, or in the place of another one: an older copy, the same file of another store,
//! a neighbour.

use std::{
    collections::BTreeMap,
    panic::{catch_unwind, AssertUnwindSafe},
    sync::Arc,
};

use sarsen::{simulation::SimVfs, Error};

use crate::{
    examine::{examine, Outcome},
    layout::{layout, Kind, Manifest, Spans},
    spread::{spread, Sample},
    store::{Files, Shape},
};

/// What became of a store with one file changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Class {
    /// Opening says that it is damaged.
    Refused,
    /// Reading says so.
    Read,
    /// Only verify does.
    Verify,
    /// Commits that nothing proves are missing, and the verdict's figures say so.
    Prefix,
    /// All is as it was.
    Right,
}

#[derive(Debug, Default)]
pub struct Count {
    pub classes: BTreeMap<Class, u64>,
    pub wrong: Vec<String>,
}

impl Count {
    pub fn add(&mut self, judged: Result<Class, String>, what: impl FnOnce() -> String) {
        match judged {
            Ok(class) => *self.classes.entry(class).or_default() += 1,
            Err(wrong) => self.wrong.push(format!("{}: {wrong}", what())),
        }
    }

    pub fn merge(&mut self, other: Count) {
        for (class, count) in other.classes {
            *self.classes.entry(class).or_default() += count;
        }
        self.wrong.extend(other.wrong);
    }

    pub fn total(&self) -> u64 {
        self.classes.values().sum::<u64>() + self.wrong.len() as u64
    }
}

fn look(shape: &Shape, disk: &SimVfs) -> Result<Outcome, String> {
    catch_unwind(AssertUnwindSafe(|| examine(shape, disk, &shape.read_only())))
        .map_err(|_| "a panic".to_owned())
}

/// `provable`: the newest commit that must not be missing without a word.
pub fn judge(shape: &Shape, file: &str, outcome: &Outcome, provable: u64) -> Result<Class, String> {
    match &outcome.refused {
        Some(Error::Corrupt(damage)) if damage.file == file || file == "MANIFEST" => {
            return Ok(Class::Refused);
        }
        // A missing segment is known by what is missing from it, and that may be told at the end of the one before.
        Some(Error::Corrupt(damage)) if file.starts_with("log/") && damage.file.starts_with("log/") => {
            return Ok(Class::Refused);
        }
        Some(Error::NotAStore { .. }) if file == "MANIFEST" => return Ok(Class::Refused),
        Some(error) => return Err(format!("opening answers {error:?}")),
        None => {}
    }
    if let Some(wrong) = outcome.wrong.first() {
        return Err(wrong.clone());
    }
    if outcome.last_seq() > shape.last && (file != "MANIFEST" || outcome.findings.is_empty()) {
        return Err(format!(
            "commit {} is the newest, {} was",
            outcome.last_seq(),
            shape.last
        ));
    }
    if outcome.last_seq() < shape.last {
        if outcome.last_seq() < provable {
            return Err(format!(
                "commits from {} on are missing silently, {provable} is proven: {:?}",
                outcome.last_seq() + 1,
                outcome.recovery
            ));
        }
        return Ok(Class::Prefix);
    }
    if !outcome.noticed.is_empty() {
        // What is missing from the log is told of at the end of what is there.
        let log = file.starts_with("log/");
        let told = |told: &str| told == file || (log && told.starts_with("log/"));
        let told = outcome.findings.iter().any(|finding| told(&finding.file));
        if !told && file != "MANIFEST" {
            return Err(format!(
                "verify tells nothing of it: {:?} {:?}",
                outcome.noticed, outcome.findings
            ));
        }
        return Ok(Class::Read);
    }
    if !outcome.findings.is_empty() || outcome.absent_blocks > 0 {
        return Ok(Class::Verify);
    }
    Ok(Class::Right)
}

/// Every file, cut off at every length.
pub fn truncate(shape: &Shape, sample: Sample) -> Count {
    let files: Vec<(String, Vec<u8>)> = shape.files().into_iter().collect();
    let spans = layout(shape);
    let lengths: u64 = files.iter().map(|(_, bytes)| bytes.len() as u64).sum();
    let counts = spread(lengths, sample, &|numbers| {
        let disk = shape.disk.restart();
        let mut count = Count::default();
        for number in numbers {
            let mut at = number;
            let cut = files.iter().find(|(_, bytes)| {
                let inside = at < bytes.len() as u64;
                at -= if inside { 0 } else { bytes.len() as u64 };
                inside
            });
            let (file, bytes) = cut.expect("the number is below the sum");
            let path = Shape::path(file);
            disk.put(&path, Arc::new(bytes[..at as usize].to_vec()))
                .expect("a file is cut");
            let outcome = look(shape, &disk);
            disk.put(&path, Arc::new(bytes.to_vec()))
                .expect("a file is made whole");
            let provable = provable_when_cut(shape, file, &spans[file], at);
            let judged = outcome.and_then(|outcome| judge(shape, file, &outcome, provable));
            count.add(judged, || format!("{} {file} cut at {at}", shape.name));
        }
        count
    });
    let mut all = Count::default();
    counts.into_iter().for_each(|count| all.merge(count));
    all
}

/// A segment that is cut within its first frame may as well never have been written to. Of any other, and of all other
/// files, the cut is seen.
fn provable_when_cut(shape: &Shape, file: &str, spans: &Spans, at: u64) -> u64 {
    let first_frame = spans.first().filter(|span| {
        matches!(
            span.kind,
            Kind::DurableFrame(_) | Kind::TailFrame(_) | Kind::KeptFrame(_)
        )
    });
    match first_frame {
        Some(span) if file.starts_with("log/") && at < span.bytes.end => proven_without(shape, file),
        _ => shape.durable,
    }
}

/// What manifest and the rest of the log prove once a segment is gone.
pub fn proven_without(shape: &Shape, file: &str) -> u64 {
    let files = shape.files();
    let manifest = Manifest::read(&files["MANIFEST"]);
    let elsewhere = files
        .iter()
        .filter(|(name, _)| name.starts_with("log/") && *name != file)
        .map(|(name, bytes)| manifest.proven_by_segment(name, bytes));
    elsewhere.fold(manifest.durable_seq, u64::max)
}

/// Every file, gone.
pub fn remove(shape: &Shape) -> Count {
    let mut count = Count::default();
    for file in shape.files().keys() {
        let disk = shape.disk.restart();
        disk.lose(&Shape::path(file)).expect("a file is removed");
        let provable = match file.starts_with("log/") {
            true => proven_without(shape, file),
            false => shape.durable,
        };
        let judged = look(shape, &disk).and_then(|outcome| judge(shape, file, &outcome, provable));
        count.add(judged, || format!("{} {file} removed", shape.name));
    }
    count
}

/// Every file, as it was at each earlier moment of the store's life.
pub fn roll_back(shape: &Shape) -> Count {
    let mut count = Count::default();
    let now = shape.files();
    for (number, moment) in shape.moments.iter().enumerate() {
        for (file, old) in &moment.files {
            let Some(bytes) = now.get(file).filter(|bytes| *bytes != old) else {
                continue;
            };
            let provable = match file.starts_with("log/") {
                true => proven_without(shape, file),
                false => shape.durable,
            };
            let judged = with(shape, file, old, bytes, provable);
            count.add(judged, || {
                format!(
                    "{} {file} as of moment {number}, commit {}",
                    shape.name, moment.seq
                )
            });
        }
    }
    count
}

/// Every file that the other store has, too, as it is there.
pub fn take_from(shape: &Shape, other: &Files) -> Count {
    let mut count = Count::default();
    for (file, bytes) in &shape.files() {
        let Some(theirs) = other.get(file).filter(|theirs| *theirs != bytes) else {
            continue;
        };
        let provable = match file.starts_with("log/") {
            true => proven_without(shape, file),
            false => shape.durable,
        };
        let judged = with(shape, file, theirs, bytes, provable);
        count.add(judged, || format!("{} {file} of another store", shape.name));
    }
    count
}

/// Each file with what a neighbour holds, and both the other way round.
pub fn swap_neighbours(shape: &Shape) -> Count {
    let mut count = Count::default();
    let files = shape.files();
    let directory = |file: &str| file.split_once('/').map(|(directory, _)| directory.to_owned());
    for (file, bytes) in &files {
        for (neighbour, theirs) in &files {
            if file == neighbour || directory(file).is_none() || directory(file) != directory(neighbour) {
                continue;
            }
            let provable = match file.starts_with("log/") {
                true => proven_without(shape, file),
                false => shape.durable,
            };
            let judged = with(shape, file, theirs, bytes, provable);
            count.add(judged, || format!("{} {file} holds {neighbour}", shape.name));
            if file < neighbour {
                let disk = shape.disk.restart();
                disk.put(&Shape::path(file), Arc::new(theirs.to_vec()))
                    .expect("a file is replaced");
                disk.put(&Shape::path(neighbour), Arc::new(bytes.to_vec()))
                    .expect("a file is replaced");
                // Both at once, so whatever the two prove is gone.
                let provable = provable.min(proven_without(shape, neighbour));
                let judged = look(shape, &disk).and_then(|outcome| judge(shape, file, &outcome, provable));
                count.add(judged, || {
                    format!("{} {file} and {neighbour} swapped", shape.name)
                });
            }
        }
    }
    count
}

fn with(shape: &Shape, file: &str, other: &[u8], own: &[u8], provable: u64) -> Result<Class, String> {
    assert_ne!(other, own);
    let disk = shape.disk.restart();
    disk.put(&Shape::path(file), Arc::new(other.to_vec()))
        .expect("a file is replaced");
    look(shape, &disk).and_then(|outcome| judge(shape, file, &outcome, provable))
}
