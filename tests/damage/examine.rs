//! Opens what is there, asks for everything in every way, and compares each answer with the model: right, or an error
//! that says that data is damaged. Anything else is wrong.

use std::time::Duration;

use sarsen::{simulation::SimVfs, Error, Finding, Options, Recovery, Store, Tags, Verdict};

use crate::{
    allocation::{self, Use},
    model::{Model, Told},
    store::Shape,
};

/// What came of a look at a store.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Why it can't be opened.
    pub refused: Option<Error>,
    pub recovery: Option<Recovery>,
    /// Damage that reading told of.
    pub noticed: Vec<Error>,
    /// Blocks, asked for by their addresses, that are not to be found.
    pub absent_blocks: u64,
    /// What verify found.
    pub findings: Vec<Finding>,
    /// Right answers to questions for one thing each.
    pub right: u64,
    /// What is not as it must be.
    pub wrong: Vec<String>,
    pub allocated: Use,
}

impl Outcome {
    /// Whether the store is open, and everything in it is as if nothing had happened.
    pub fn is_sound(&self) -> bool {
        self.refused.is_none()
            && self.noticed.is_empty()
            && self.absent_blocks == 0
            && self.findings.is_empty()
            && self.wrong.is_empty()
    }

    pub fn verdict(&self) -> Option<Verdict> {
        self.recovery.map(|recovery| recovery.verdict)
    }

    pub fn last_seq(&self) -> u64 {
        self.recovery.map_or(0, |recovery| recovery.last_seq)
    }

    fn expect(&mut self, right: bool, what: impl FnOnce() -> String) {
        if !right {
            self.wrong.push(what());
        }
    }

    /// The answer, if there is one; damage is noted.
    fn answer<T>(&mut self, answer: sarsen::Result<T>, what: impl FnOnce() -> String) -> Option<T> {
        match answer {
            Ok(answer) => Some(answer),
            Err(error @ Error::Corrupt { .. }) => {
                self.noticed.push(error);
                None
            }
            Err(error) => {
                self.wrong.push(format!("{}: {error}", what()));
                None
            }
        }
    }

    fn absent<T>(&mut self, answer: sarsen::Result<T>, what: impl FnOnce() -> String) {
        match answer {
            Ok(_) => self.wrong.push(format!("{} is there", what())),
            Err(Error::NotFound) => {}
            Err(error @ Error::Corrupt { .. }) => self.noticed.push(error),
            Err(error) => self.wrong.push(format!("{}: {error}", what())),
        }
    }
}

/// Opens the store on `disk` and reads all of it.
pub fn examine(shape: &Shape, disk: &SimVfs, options: &Options) -> Outcome {
    let before = allocation::begin();
    let mut outcome = Outcome::default();
    match Store::open_on(disk, Shape::root(), options) {
        Ok(store) => {
            read_all(shape, &store, &mut outcome);
            outcome.expect(store.last_seq() == store.recovery().last_seq, || {
                "two newest commits".into()
            });
            match store.verify() {
                Ok(findings) => outcome.findings = findings,
                Err(error) => outcome.wrong.push(format!("verify: {error}")),
            }
        }
        Err(error) => outcome.refused = Some(error),
    }
    outcome.allocated = allocation::end(before);
    outcome
}

/// Compares every answer of an open store with what it had as of its newest commit.
pub fn read_all(shape: &Shape, store: &Store, outcome: &mut Outcome) {
    let recovery = store.recovery();
    outcome.recovery = Some(recovery);
    let last = store.last_seq();
    // What a foreign manifest claims to be there can only be damaged.
    let model = &shape.models[usize::try_from(last.min(shape.last)).expect("a few commits")];
    read_pairs(store, model, outcome);
    read_memories(store, model, outcome);
    read_streams(store, model, outcome);
    read_blocks(shape, store, model, outcome);
    read_log(shape, store, last.min(shape.last), outcome);
}

/// A walk must give what is there, in order, each thing at most once, and tell of as many pieces of damage as things are
/// missing before it may call itself over.
struct Walk<'a, T> {
    what: &'a str,
    expected: Vec<T>,
    at: usize,
    errors: usize,
}

impl<'a, T: PartialEq> Walk<'a, T> {
    fn new(what: &'a str, expected: Vec<T>) -> Walk<'a, T> {
        Walk {
            what,
            expected,
            at: 0,
            errors: 0,
        }
    }

    /// Whether to go on.
    fn step(
        &mut self,
        next: sarsen::Result<bool>,
        found: impl FnOnce(&mut Outcome) -> Option<T>,
        outcome: &mut Outcome,
    ) -> bool {
        match next {
            Ok(true) => {
                let Some(found) = found(outcome) else {
                    self.errors += 1;
                    return self.errors <= self.expected.len() + 1;
                };
                let rest = &self.expected[self.at..];
                match rest.iter().position(|expected| *expected == found) {
                    // What is passed over has to have been told of.
                    Some(passed) if passed <= self.errors => {
                        self.errors -= passed;
                        self.at += passed + 1;
                        true
                    }
                    Some(passed) => {
                        outcome
                            .wrong
                            .push(format!("{} passes over {passed} silently", self.what));
                        false
                    }
                    None => {
                        outcome
                            .wrong
                            .push(format!("{} gives something wrong at {}", self.what, self.at));
                        false
                    }
                }
            }
            Ok(false) => {
                let missing = self.expected.len() - self.at;
                outcome.expect(missing <= self.errors, || {
                    format!("{} ends with {missing} missing", self.what)
                });
                false
            }
            Err(error) => {
                self.errors += 1;
                let what = self.what;
                outcome.answer::<()>(Err(error), || what.to_owned());
                // One that stops for good says so each time.
                self.errors <= self.expected.len() + 1
            }
        }
    }
}

fn read_pairs(store: &Store, model: &Model, outcome: &mut Outcome) {
    for reverse in [false, true] {
        let mut expected: Vec<_> = model.pairs.clone().into_iter().collect();
        if reverse {
            expected.reverse();
        }
        let mut walk = Walk::new(if reverse { "a scan back" } else { "a scan" }, expected);
        let Some(mut pairs) = outcome.answer(store.kv_scan(None, b"", b"", reverse), || "a scan".into())
        else {
            continue;
        };
        loop {
            let next = pairs.next();
            let found = |_: &mut Outcome| Some((pairs.key().to_vec(), pairs.value().to_vec()));
            if !walk.step(next, found, outcome) {
                break;
            }
        }
    }
    for key in &model.keys {
        let answer = store.kv_get(None, key);
        let name = || format!("the value of {}", key.escape_ascii());
        match model.pairs.get(key) {
            Some(value) => {
                if let Some(found) = outcome.answer(answer, name) {
                    outcome.right += 1;
                    outcome.expect(*found == **value, || format!("{} is wrong", name()));
                }
            }
            None => outcome.absent(answer, name),
        }
    }
    outcome.absent(store.kv_get(None, b"never there"), || "a key".into());
}

fn read_memories(store: &Store, model: &Model, outcome: &mut Outcome) {
    for id in &model.ids {
        let name = || format!("memory {id}");
        let answer = store.memory_get(None, *id);
        match model.memories.get(id) {
            Some((tags, bytes)) => {
                if let Some(found) = outcome.answer(answer, name) {
                    outcome.right += 1;
                    outcome.expect(*found == **bytes, || format!("{} is wrong", name()));
                }
                if let Some((block, found)) = outcome.answer(store.memory_info(None, *id), name) {
                    outcome.expect(found.iter().eq(tags.iter().copied()), || {
                        format!("tags of {}", name())
                    });
                    outcome.expect(block.len == bytes.len() as u64, || {
                        format!("length of {}", name())
                    });
                }
            }
            None => {
                outcome.absent(answer, name);
                outcome.absent(store.memory_info(None, *id), name);
            }
        }
    }
    let none = Tags::new();
    for tag in [None].into_iter().chain(model.tags.iter().map(Some)) {
        let all = tag.map_or_else(Tags::new, |tag| Tags::of(&[*tag]).expect("a tag"));
        let has = |tags: &[&str]| tag.is_none_or(|tag| tags.contains(tag));
        let expected = model.memories.iter().filter(|(_, (tags, _))| has(tags));
        let mut walk = Walk::new(
            "a query",
            expected.map(|(id, (_, bytes))| (*id, bytes.clone())).collect(),
        );
        let found = store.memory_find(None, &all, &none, &none, 0);
        let Some(mut memories) = outcome.answer(found, || "a query".into()) else {
            continue;
        };
        loop {
            let next = memories.next();
            let found = |outcome: &mut Outcome| {
                let id = memories.id();
                let data = memories.data().map(<[u8]>::to_vec);
                let bytes = outcome.answer(data, || format!("memory {id}"))?;
                Some((id, bytes))
            };
            if !walk.step(next, found, outcome) {
                break;
            }
        }
    }
}

fn read_streams(store: &Store, model: &Model, outcome: &mut Outcome) {
    if let Some(mut names) = outcome.answer(store.stream_list(None, b""), || "streams".into()) {
        let expected = model.streams.iter();
        let mut walk = Walk::new(
            "a walk over streams",
            expected
                .map(|(name, stream)| (name.as_bytes().to_vec(), stream.first, stream.next()))
                .collect(),
        );
        loop {
            let next = names.next();
            let found = |_: &mut Outcome| Some((names.name().to_vec(), names.first(), names.next_index()));
            if !walk.step(next, found, outcome) {
                break;
            }
        }
    }
    for name in &model.names {
        let told = || format!("stream {name}");
        let Some(stream) = model.streams.get(name) else {
            outcome.absent(store.stream_bounds(None, name.as_bytes()), told);
            outcome.absent(store.stream_get(None, name.as_bytes(), 0), told);
            continue;
        };
        if let Some(bounds) = outcome.answer(store.stream_bounds(None, name.as_bytes()), told) {
            outcome.expect(bounds == (stream.first, stream.next()), || {
                format!("bounds of {}", told())
            });
        }
        for (index, record) in (stream.first..).zip(&stream.records) {
            let answer = store.stream_get(None, name.as_bytes(), index);
            if let Some(found) = outcome.answer(answer, told) {
                outcome.right += 1;
                outcome.expect(*found == **record, || format!("record {index} of {}", told()));
            }
        }
        outcome.absent(store.stream_get(None, name.as_bytes(), stream.next()), told);
        let Some(mut records) = outcome.answer(store.stream_read(None, name.as_bytes(), 0), told) else {
            continue;
        };
        let expected = (stream.first..).zip(stream.records.clone()).collect();
        let mut walk = Walk::new("a walk along a stream", expected);
        loop {
            let next = records.next();
            let found = |_: &mut Outcome| Some((records.index(), records.record().to_vec()));
            if !walk.step(next, found, outcome) {
                break;
            }
        }
    }
}

/// By address: what isn't a sound block is no block.
fn read_blocks(shape: &Shape, store: &Store, model: &Model, outcome: &mut Outcome) {
    for (address, (bytes, live)) in shape.blocks.iter().zip(&model.blocks) {
        let whole = store.block_view(address, 0, address.len);
        let part = store.block_view(address, 100, 50);
        for (answer, expected) in [(whole, &bytes[..]), (part, &bytes[100..150])] {
            match answer {
                Ok(found) => {
                    outcome.right += 1;
                    outcome.expect(*found == *expected, || "a block is wrong".into());
                }
                Err(Error::NotFound) if !live => {}
                Err(Error::NotFound) => outcome.absent_blocks += 1,
                Err(error) => {
                    outcome.answer::<()>(Err(error), || "a block".into());
                }
            }
        }
    }
}

/// Every commit that is still in the log.
fn read_log(shape: &Shape, store: &Store, last: u64, outcome: &mut Outcome) {
    let first = store.log_first_seq();
    let Some(mut reader) = outcome.answer(store.log_read(first, 0), || "a log reader".into()) else {
        return;
    };
    for seq in first..=last {
        let commands = &shape.told[seq as usize];
        for (number, expected) in commands.iter().enumerate() {
            let answer = reader.next(Duration::ZERO);
            let name = || format!("command {number} of commit {seq} in the log");
            let Some(found) = outcome.answer(answer, name) else {
                return;
            };
            let told = Told {
                kind: found.kind,
                id: found.id,
                key: found.key.to_vec(),
                value: found.value.to_vec(),
                tags: expected.tags.clone(),
            };
            let right = found.seq == seq && told == *expected && found.tags == expected.tags;
            outcome.expect(right, || format!("{} is {found:?}", name()));
            if !right {
                return;
            }
        }
    }
    match reader.next(Duration::ZERO) {
        Err(Error::Timeout) => {}
        Err(error @ Error::Corrupt { .. }) => outcome.noticed.push(error),
        other => outcome
            .wrong
            .push(format!("behind the end of the log: {other:?}")),
    }
}
