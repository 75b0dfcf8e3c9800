//! Streams: append, read, list, trim, drop, tail.

use std::{
    ffi::{OsStr, OsString},
    path::Path,
    time::Duration,
};

use sarsen::{Batch, Data, Error, Store, StreamIter};
use serde_json::{json, Map};

use super::{
    follow::{Interrupted, TURN},
    Outcome,
};
use crate::{
    failure::{Ending, Failure},
    opening::{close, for_reading, Writing},
    output::{object, Output},
};

fn missing(name: &[u8], output: &Output) -> Failure {
    Failure::NotFound(format!("no stream {}", output.shown(name)))
}

/// The bounds of a stream, which has to be there.
fn bounds(store: &Store, name: &[u8], output: &Output) -> Result<(u64, u64), Failure> {
    match store.stream_bounds(None, name) {
        Err(Error::NotFound) => Err(missing(name, output)),
        bounds => Ok(bounds?),
    }
}

pub fn append(store: &Writing, name: &OsStr, records: &[OsString], output: &mut Output) -> Outcome {
    let mut arrivals = output.arrivals();
    let name = arrivals.key(name)?;
    let mut batch = Batch::new();
    for record in records {
        batch.append_stream(&name, Data::Bytes(&arrivals.value(record)?))?;
    }
    let count = batch.count();
    let store = store.open()?;
    let seq = store.commit(&mut batch, None)?;
    close(&store)?;
    for command in 0..count {
        let (index, _) = batch.result(command)?;
        let index = index.unwrap_or_default();
        output.told(json!({ "seq": seq, "index": index }), Some(&index.to_string()))?;
    }
    Ok(Ending::Done)
}

pub fn read(
    path: &Path,
    name: &OsStr,
    from: u64,
    limit: Option<u64>,
    raw: bool,
    output: &mut Output,
) -> Outcome {
    let name = output.arrivals().key(name)?;
    let store = for_reading(path)?;
    bounds(&store, &name, output)?;
    let mut records = store.stream_read(None, &name, from)?;
    let mut left = limit.unwrap_or(u64::MAX);
    while left > 0 && records.next()? {
        left -= 1;
        if raw {
            output.raw(records.record())?;
        } else {
            print(&records, output)?;
        }
    }
    Ok(Ending::Done)
}

fn print(records: &StreamIter, output: &mut Output) -> Result<(), Failure> {
    if output.is_json() {
        let mut object = object([("index", json!(records.index()))]);
        output.put(&mut object, "data", records.record());
        return output.object(object);
    }
    let line = format!("{}\t{}", records.index(), output.shown(records.record()));
    output.line(&line)
}

pub fn list(path: &Path, prefix: Option<&OsStr>, output: &mut Output) -> Outcome {
    let prefix = match prefix {
        Some(prefix) => output.arrivals().key(prefix)?,
        None => Vec::new(),
    };
    let store = for_reading(path)?;
    let mut names = store.stream_list(None, &prefix)?;
    while names.next()? {
        if output.is_json() {
            let mut object = Map::new();
            output.put(&mut object, "name", names.name());
            object.insert("first".to_owned(), json!(names.first()));
            object.insert("next".to_owned(), json!(names.next_index()));
            output.object(object)?;
        } else {
            let line = format!(
                "{}\t{}\t{}",
                output.shown(names.name()),
                names.first(),
                names.next_index()
            );
            output.line(&line)?;
        }
    }
    Ok(Ending::Done)
}

/// `u64::MAX` drops the stream.
pub fn trim(store: &Writing, name: &OsStr, before: u64, output: &mut Output) -> Outcome {
    let name = output.arrivals().key(name)?;
    let store = store.open()?;
    let (first, next) = bounds(&store, &name, output)?;
    let mut batch = Batch::new();
    batch.trim_stream(&name, before)?;
    let seq = store.commit(&mut batch, None)?;
    close(&store)?;
    let dropped = before.min(next).saturating_sub(first);
    output.told(json!({ "seq": seq, "dropped": dropped }), None)?;
    Ok(Ending::Done)
}

pub fn tail(path: &Path, name: &OsStr, count: u64, follow: bool, output: &mut Output) -> Outcome {
    let name = output.arrivals().key(name)?;
    let interrupted = Interrupted::watch()?;
    let store = for_reading(path)?;
    let (first, next) = bounds(&store, &name, output)?;
    let mut from = next.saturating_sub(count).max(first);
    loop {
        from = print_from(&store, &name, from, output)?;
        output.flush()?;
        if !follow {
            return Ok(Ending::Done);
        }
        let seen = store.last_seq();
        while store.refresh()? == seen {
            if interrupted.yet() {
                return Ok(Ending::Done);
            }
            wait_for_commit(&store, seen)?;
        }
        if interrupted.yet() {
            return Ok(Ending::Done);
        }
    }
}

/// Prints what there is from `from` on, and says where that ended. A stream that was dropped and made anew begins anew.
fn print_from(store: &Store, name: &[u8], from: u64, output: &mut Output) -> Result<u64, Failure> {
    let from = match store.stream_bounds(None, name) {
        Err(Error::NotFound) => return Ok(0),
        Ok((_, next)) if next < from => 0,
        Ok((first, _)) if first > from => {
            output.remark(&format!("records {from} to {} were dropped unread", first - 1));
            first
        }
        Ok(_) => from,
        Err(error) => return Err(error.into()),
    };
    let mut records = store.stream_read(None, name, from)?;
    let mut next = from;
    while records.next()? {
        print(&records, output)?;
        next = records.index() + 1;
    }
    Ok(next)
}

/// Returns when there may be a commit above `seen`, or after a turn.
fn wait_for_commit(store: &Store, seen: u64) -> Result<(), Failure> {
    let came = store
        .log_read(seen + 1, 0)
        .and_then(|mut reader| reader.next(TURN).map(|_| ()));
    match came {
        Ok(()) | Err(Error::Timeout) => Ok(()),
        // The log was let go already, or goes on differently: a refresh will tell.
        Err(Error::NotFound | Error::Conflict { .. }) => {
            std::thread::sleep(Duration::from_millis(1));
            Ok(())
        }
        Err(error) => Err(error.into()),
    }
}
