//! What is left of a damaged store: told, and copied into a new one.
//!
//! Each entry is read for itself, so that damage costs what it hits. Where the index itself is damaged nobody can tell
//! what is behind that place; keys are then read from the other end as well.

use std::path::Path;

use sarsen::{Error, Store, Tags, Verdict};
use serde_json::{json, Map, Value};

use super::{export::Totals, info::verdict_name, loader::Loader, upkeep, Outcome};
use crate::{
    bytes::escape,
    failure::{Ending, Failure},
    opening::{for_salvage, new_store},
    output::{counted, object, Output},
    progress::Progress,
};

pub fn salvage(path: &Path, target: Option<&Path>, output: &mut Output) -> Outcome {
    if target.is_some_and(Path::exists) {
        return Err(Failure::Usage(
            "something is at the target already; what is salvaged goes to a new store".to_owned(),
        ));
    }
    let progress = Progress::endless(output, "reading what is left");
    let store = for_salvage(path)?;
    let findings = upkeep::findings(&store, None)?;
    let copy = match target {
        Some(target) => Some(new_store(target)?),
        None => None,
    };
    let mut salvage = Salvage {
        store: &store,
        loader: copy.as_ref().map(Loader::new),
        found: Totals::default(),
        missing: Vec::new(),
        lost: 0,
    };
    salvage.pairs()?;
    salvage.memories()?;
    salvage.streams()?;
    salvage.blocks()?;
    if let Some(loader) = &mut salvage.loader {
        loader.finish()?;
    }
    let Salvage {
        found, missing, lost, ..
    } = salvage;
    if let Some(copy) = &copy {
        copy.close()?;
    }
    drop(progress);

    upkeep::print_findings(&findings, output)?;
    for missing in &missing {
        missing.print(output)?;
    }
    let recovery = store.recovery();
    let sound = findings.is_empty() && missing.is_empty() && recovery.verdict != Verdict::Damaged;
    let count = u64::try_from(missing.len())
        .unwrap_or(u64::MAX)
        .saturating_add(lost);
    let stands = format!(
        "as of commit {}{}",
        recovery.last_seq,
        if recovery.proven_seq > recovery.last_seq {
            format!(
                "; commits up to {} had been made and are lost",
                recovery.proven_seq
            )
        } else {
            String::new()
        }
    );
    let mut told = object([
        ("verdict", json!(verdict_name(recovery.verdict))),
        ("last_seq", json!(recovery.last_seq)),
        ("proven_seq", json!(recovery.proven_seq)),
        ("found", Value::Object(found.json())),
        ("missing", json!(count)),
    ]);
    if let Some(target) = target {
        told.insert("target".to_owned(), json!(target.to_string_lossy()));
    }
    let words = format!(
        "{}: {}; {} missing, {stands}",
        match target {
            Some(target) => target.display().to_string(),
            None => "readable".to_owned(),
        },
        found.words(),
        counted(count, "entry", "entries"),
    );
    output.told(Value::Object(told), Some(&words))?;
    Ok(if sound { Ending::Done } else { Ending::Damaged })
}

/// Something that should be there and can't be read.
struct Missing {
    what: Map<String, Value>,
    words: String,
    why: Error,
}

impl Missing {
    fn print(&self, output: &mut Output) -> Result<(), Failure> {
        if output.is_json() {
            let mut line = object([("missing", Value::Object(self.what.clone()))]);
            line.insert("why".to_owned(), json!(self.why.to_string()));
            return output.object(line);
        }
        output.line(&format!("missing: {}: {}", self.words, self.why))
    }
}

/// A salvaged store answers so wherever something is damaged.
fn only_damage(error: Error) -> Result<Error, Failure> {
    match error {
        Error::Corrupt { .. } | Error::NotFound => Ok(error),
        error => Err(error.into()),
    }
}

/// Where the index is damaged: the last key in front of that, if any, and what is wrong.
struct Stop {
    last: Option<Vec<u8>>,
    why: Error,
}

/// Records in a row that are missing.
struct Gap {
    first: u64,
    last: u64,
    why: Error,
}

struct Salvage<'a> {
    store: &'a Store,
    loader: Option<Loader<'a>>,
    found: Totals,
    missing: Vec<Missing>,
    /// Entries that are missing beyond one for each of those.
    lost: u64,
}

impl Salvage<'_> {
    fn miss(&mut self, what: Map<String, Value>, words: String, why: Error) {
        self.missing.push(Missing { what, words, why });
    }

    fn miss_rest(&mut self, of: &'static str, why: Error) {
        self.miss(
            object([("rest_of", json!(of))]),
            format!("nobody can tell which {of} are behind this place in the index"),
            why,
        );
    }

    fn pairs(&mut self) -> Result<(), Failure> {
        let Some(Stop { last, why }) = self.pairs_from(None)? else {
            return Ok(());
        };
        // From the other end, down to where the first walk stopped or to the next damage.
        self.pairs_from(Some(&last))?;
        self.miss_rest("keys", why);
        Ok(())
    }

    /// Keys in order, or from the last one down to `until`, which was seen already. `None`: all of them.
    fn pairs_from(&mut self, until: Option<&Option<Vec<u8>>>) -> Result<Option<Stop>, Failure> {
        let mut pairs = self.store.kv_scan(None, &[], &[], until.is_some())?;
        let mut last: Option<Vec<u8>> = None;
        let mut step = pairs.next();
        loop {
            match step {
                Ok(false) => return Ok(None),
                Ok(true) => {
                    let (key, value) = pairs.pair();
                    if until.is_some_and(|until| until.as_deref() >= Some(key)) {
                        return Ok(None);
                    }
                    if let Some(loader) = &mut self.loader {
                        loader.pair(key, value)?;
                    }
                    self.found.pairs += 1;
                    last = Some(key.to_vec());
                    step = pairs.next();
                }
                Err(error) => {
                    let error = only_damage(error)?;
                    // Behind a damaged value the walk stands at its key and goes on; in a damaged index it does not.
                    let key = pairs.key().to_vec();
                    step = pairs.next();
                    if step.as_ref() == Err(&error) && pairs.key() == key {
                        return Ok(Some(Stop { last, why: error }));
                    }
                    if until.is_some_and(|until| until.as_deref() >= Some(key.as_slice())) {
                        return Ok(None);
                    }
                    let mut what = Map::new();
                    crate::bytes::put(&mut what, "key", &key, crate::bytes::Shape::Text);
                    self.miss(what, format!("the value of key {}", escape(&key)), error);
                    last = Some(key);
                }
            }
        }
    }

    fn memories(&mut self) -> Result<(), Failure> {
        let every = Tags::new();
        let mut ids = self.store.memory_find(None, &every, &every, &every, 0)?;
        let mut failed: Option<Error> = None;
        loop {
            match ids.next() {
                Ok(false) => return Ok(()),
                Ok(true) => {
                    failed = None;
                    self.memory(ids.id())?;
                }
                Err(error) => {
                    let error = only_damage(error)?;
                    // The same again: the walk is stuck.
                    if failed.as_ref() == Some(&error) {
                        self.miss_rest("memories", error);
                        return Ok(());
                    }
                    self.miss(
                        object([("id", Value::Null)]),
                        "a memory".to_owned(),
                        error.clone(),
                    );
                    failed = Some(error);
                }
            }
        }
    }

    fn memory(&mut self, id: u64) -> Result<(), Failure> {
        let read = self
            .store
            .memory_info(None, id)
            .and_then(|(_, tags)| Ok((tags, self.store.memory_get(None, id)?)));
        match read {
            Ok((tags, data)) => {
                if let Some(loader) = &mut self.loader {
                    loader.memory(id, &tags, &data)?;
                }
                self.found.memories += 1;
            }
            Err(error) => {
                let error = only_damage(error)?;
                self.miss(object([("id", json!(id))]), format!("memory {id}"), error);
            }
        }
        Ok(())
    }

    fn streams(&mut self) -> Result<(), Failure> {
        let mut names = self.store.stream_list(None, &[])?;
        let mut failed: Option<Error> = None;
        loop {
            match names.next() {
                Ok(false) => return Ok(()),
                Ok(true) => {
                    failed = None;
                    self.stream(names.name(), names.first(), names.next_index())?;
                }
                Err(error) => {
                    let error = only_damage(error)?;
                    if failed.as_ref() == Some(&error) {
                        self.miss_rest("streams", error);
                        return Ok(());
                    }
                    self.miss(
                        object([("stream", Value::Null)]),
                        "a stream".to_owned(),
                        error.clone(),
                    );
                    failed = Some(error);
                }
            }
        }
    }

    fn stream(&mut self, name: &[u8], first: u64, next: u64) -> Result<(), Failure> {
        if let Some(loader) = &mut self.loader {
            loader.stream(name, first, next)?;
        }
        self.found.streams += 1;
        // Neighbours that are missing for the same reason are told together: where a part of the index is gone, that is
        // all there is to say of many.
        let mut gap: Option<Gap> = None;
        for index in first..next {
            match self.store.stream_get(None, name, index) {
                Ok(record) => {
                    if let Some(loader) = &mut self.loader {
                        loader.record(index, &record)?;
                    }
                    self.found.records += 1;
                    self.miss_records(name, gap.take());
                }
                Err(error) => {
                    let why = only_damage(error)?;
                    if let Some(loader) = &mut self.loader {
                        // Those behind it keep their numbers.
                        loader.record(index, b"")?;
                    }
                    match &mut gap {
                        Some(gap) if gap.why == why => gap.last = index,
                        _ => {
                            let other = gap.replace(Gap {
                                first: index,
                                last: index,
                                why,
                            });
                            self.miss_records(name, other);
                        }
                    }
                }
            }
        }
        self.miss_records(name, gap);
        Ok(())
    }

    fn miss_records(&mut self, name: &[u8], gap: Option<Gap>) {
        let Some(Gap { first, last, why }) = gap else {
            return;
        };
        let mut what = object([("index", json!(first))]);
        if last > first {
            what.insert("last_index".to_owned(), json!(last));
        }
        crate::bytes::put(&mut what, "stream", name, crate::bytes::Shape::Text);
        let which = if last > first {
            format!("records {first} to {last}")
        } else {
            format!("record {first}")
        };
        let words = format!("{which} of stream {}", escape(name));
        self.miss(what, words, why);
        self.lost += last - first;
    }

    fn blocks(&mut self) -> Result<(), Failure> {
        let mut blocks = self.store.block_list(None)?;
        let mut failed: Option<Error> = None;
        loop {
            let read = match blocks.next() {
                Ok(None) => return Ok(()),
                Ok(Some(_)) => blocks.data(),
                Err(error) => Err(error),
            };
            match read {
                Ok(data) => {
                    failed = None;
                    if let Some(loader) = &mut self.loader {
                        loader.block(data)?;
                    }
                    self.found.blocks += 1;
                }
                Err(error) => {
                    let error = only_damage(error)?;
                    if failed.as_ref() == Some(&error) {
                        self.miss_rest("loose blocks", error);
                        return Ok(());
                    }
                    self.miss(
                        object([("block", Value::Null)]),
                        "a loose block".to_owned(),
                        error.clone(),
                    );
                    failed = Some(error);
                }
            }
        }
    }
}
