//! A store beside its model: every pair, memory, tag, stream, record and loose block.

use std::{collections::HashMap, time::Duration};

use sarsen::{BlockAddress, CommandKind, Error, Snapshot, Store, Tags};

use super::commits::{stream_name, Model, Value};

/// Why a store is not what it should be.
#[derive(Debug)]
pub(crate) enum Difference {
    /// It answered, and the answer is wrong.
    Wrong(String),
    /// It answered, and the answer lacks something, or has too much.
    Missing(String),
    /// It did not answer.
    Failed(Error),
}

impl From<Error> for Difference {
    fn from(error: Error) -> Difference {
        Difference::Failed(error)
    }
}

type Compared = Result<(), Difference>;

fn wrong(what: impl Into<String>) -> Compared {
    Err(Difference::Wrong(what.into()))
}

fn missing(what: impl Into<String>) -> Compared {
    Err(Difference::Missing(what.into()))
}

fn same(what: &dyn Fn() -> String, expected: Option<Value>, found: &[u8]) -> Compared {
    match expected {
        Some(value) if value.is(found) => Ok(()),
        Some(value) => wrong(format!("{} is {} bytes, not {value:?}", what(), found.len())),
        None => wrong(format!("{} should not be there", what())),
    }
}

/// Everything; the first difference ends it.
pub(crate) fn compare(
    store: &Store,
    at: Option<&Snapshot>,
    model: &Model,
    known: &HashMap<u64, BlockAddress>,
) -> Compared {
    pairs(store, at, model)?;
    memories(store, at, model)?;
    streams(store, at, model)?;
    if at.is_none() {
        for (seq, value) in &model.loose {
            if let Some(address) = known.get(seq) {
                let view = store.block_view(address, 0, value.len as u64)?;
                same(
                    &|| format!("the loose block of {seq}"),
                    Some(*value),
                    view.bytes(),
                )?;
            }
        }
    }
    Ok(())
}

/// The parts one by one, so that damage to one doesn't hide another: the worst of it.
pub(crate) fn compare_all(store: &Store, model: &Model, known: &HashMap<u64, BlockAddress>) -> Compared {
    let mut outcomes = vec![
        pairs(store, None, model),
        memories(store, None, model),
        streams(store, None, model),
    ];
    for (key, value) in &model.pairs {
        outcomes.push(match store.kv_get(None, key) {
            Ok(view) => same(
                &|| format!("{:?}", String::from_utf8_lossy(key)),
                Some(*value),
                view.bytes(),
            ),
            Err(error) => Err(error.into()),
        });
    }
    for (id, (value, _)) in &model.memories {
        outcomes.push(match store.memory_get(None, *id) {
            Ok(view) => same(&|| format!("memory {id}"), Some(*value), view.bytes()),
            Err(error) => Err(error.into()),
        });
    }
    for (number, stream) in &model.streams {
        for (index, value) in &stream.records {
            outcomes.push(match store.stream_get(None, &stream_name(*number), *index) {
                Ok(view) => same(
                    &|| format!("record {index} of {number}"),
                    Some(*value),
                    view.bytes(),
                ),
                Err(error) => Err(error.into()),
            });
        }
    }
    outcomes.push(compare(store, None, model, known));
    let rank = |outcome: &Compared| match outcome {
        Err(Difference::Wrong(_)) => 3,
        Err(Difference::Missing(_)) => 2,
        Err(Difference::Failed(_)) => 1,
        Ok(()) => 0,
    };
    outcomes.into_iter().max_by_key(rank).unwrap_or(Ok(()))
}

fn pairs(store: &Store, at: Option<&Snapshot>, model: &Model) -> Compared {
    let mut found = store.kv_scan(at, b"", b"", false)?;
    let mut count = 0;
    while found.next()? {
        count += 1;
        let what = || format!("{:?}", String::from_utf8_lossy(found.key()));
        same(&what, model.pairs.get(found.key()).copied(), found.value())?;
    }
    if count != model.pairs.len() {
        return missing(format!("{count} pairs instead of {}", model.pairs.len()));
    }
    Ok(())
}

fn memories(store: &Store, at: Option<&Snapshot>, model: &Model) -> Compared {
    let none = Tags::new();
    let mut found = store.memory_find(at, &none, &none, &none, 0)?;
    let mut count = 0;
    while found.next()? {
        count += 1;
        let id = found.id();
        let Some((value, tags)) = model.memories.get(&id) else {
            return wrong(format!("memory {id} should not be there"));
        };
        same(&|| format!("memory {id}"), Some(*value), found.data()?)?;
        let (_, told) = store.memory_info(at, id)?;
        if !told.iter().eq(tags.iter().map(String::as_str)) {
            return wrong(format!("memory {id} has other tags"));
        }
        for tag in tags {
            let one = Tags::of(&[tag])?;
            let mut by_tag = store.memory_find(at, &one, &none, &none, id)?;
            if !by_tag.next()? || by_tag.id() != id {
                return missing(format!("memory {id} is not found by its tag {tag}"));
            }
        }
    }
    if count != model.memories.len() {
        return missing(format!("{count} memories instead of {}", model.memories.len()));
    }
    Ok(())
}

fn streams(store: &Store, at: Option<&Snapshot>, model: &Model) -> Compared {
    let mut names = store.stream_list(at, b"")?;
    let mut count = 0;
    while names.next()? {
        count += 1;
        let expected = model
            .streams
            .iter()
            .find(|(number, _)| stream_name(**number) == names.name());
        let Some((number, stream)) = expected else {
            return wrong(format!(
                "{:?} should not be there",
                String::from_utf8_lossy(names.name())
            ));
        };
        let bounds = store.stream_bounds(at, names.name())?;
        if bounds != (stream.first, stream.next) {
            return wrong(format!(
                "stream {number} is {bounds:?}, not {:?}",
                (stream.first, stream.next)
            ));
        }
        let mut records = store.stream_read(at, names.name(), 0)?;
        let mut found = 0;
        while records.next()? {
            found += 1;
            let index = records.index();
            let value = stream.records.get(&index).copied();
            same(
                &|| format!("record {index} of stream {number}"),
                value,
                records.record(),
            )?;
        }
        if found != stream.records.len() {
            return missing(format!(
                "stream {number} has {found} records instead of {}",
                stream.records.len()
            ));
        }
    }
    if count != model.streams.len() {
        return missing(format!("{count} streams instead of {}", model.streams.len()));
    }
    Ok(())
}

/// Each commit that is still in the log, with its epoch and the block that it appended and gave to nobody.
pub(crate) fn read_log(store: &Store, from: u64) -> sarsen::Result<Vec<(u64, u64, Option<BlockAddress>)>> {
    let mut commits = Vec::new();
    let mut reader = store.log_read(from, 0)?;
    let mut loose = None;
    while from + commits.len() as u64 <= store.last_seq() {
        let command = reader.next(Duration::ZERO)?;
        loose = command
            .block
            .filter(|_| command.kind == CommandKind::AppendBlock)
            .or(loose);
        if command.last {
            commits.push((command.seq, command.epoch, loose.take()));
        }
    }
    Ok(commits)
}
