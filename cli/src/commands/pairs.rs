//! Key-value pairs: get, set, delete, scan.

use std::{
    ffi::{OsStr, OsString},
    path::Path,
};

use sarsen::{Batch, Error};
use serde_json::{json, Map};

use super::{print_value, Outcome};
use crate::{
    arguments::Range,
    failure::{Ending, Failure},
    opening::{close, for_reading, Writing},
    output::Output,
};

pub fn get(path: &Path, key: &OsStr, output: &mut Output) -> Outcome {
    let key = output.arrivals().key(key)?;
    let store = for_reading(path)?;
    let value = match store.kv_get(None, &key) {
        Err(Error::NotFound) => return Err(Failure::NotFound(format!("no key {}", output.shown(&key)))),
        found => found?,
    };
    let mut object = Map::new();
    output.put(&mut object, "key", &key);
    print_value(output, object, "value", &value)?;
    Ok(Ending::Done)
}

pub fn set(store: &Writing, pairs: &[OsString], output: &mut Output) -> Outcome {
    let mut arrivals = output.arrivals();
    let mut batch = Batch::new();
    for pair in pairs.chunks(2) {
        let [key, value] = pair else {
            return Err(Failure::Usage(
                "each key needs a value behind it; an empty one is written ''".to_owned(),
            ));
        };
        batch.set_kv(&arrivals.key(key)?, &arrivals.value(value)?)?;
    }
    let store = store.open()?;
    let seq = store.commit(&mut batch, None)?;
    close(&store)?;
    output.told(json!({ "seq": seq }), None)?;
    Ok(Ending::Done)
}

pub fn delete(store: &Writing, keys: &[OsString], output: &mut Output) -> Outcome {
    let mut arrivals = output.arrivals();
    let keys = keys
        .iter()
        .map(|key| arrivals.key(key))
        .collect::<Result<Vec<Vec<u8>>, Failure>>()?;
    let store = store.open()?;
    let mut batch = Batch::new();
    let mut missing = Vec::new();
    for key in &keys {
        match store.kv_get(None, key) {
            Err(Error::NotFound) => missing.push(output.shown(key)),
            // A damaged value can be deleted, too.
            Ok(_) | Err(Error::Corrupt { .. }) => batch.delete_kv(key)?,
            Err(error) => return Err(error.into()),
        }
    }
    let deleted = batch.count();
    let seq = store.commit(&mut batch, None)?;
    close(&store)?;
    output.told(json!({ "seq": seq, "deleted": deleted }), None)?;
    if missing.is_empty() {
        return Ok(Ending::Done);
    }
    Err(Failure::NotFound(format!("no key {}", missing.join(", no key "))))
}

pub fn scan(path: &Path, range: &Range, output: &mut Output) -> Outcome {
    let mut arrivals = output.arrivals();
    let mut key = |key: &Option<OsString>| match key {
        Some(key) => arrivals.key(key),
        None => Ok(Vec::new()),
    };
    let (prefix, start, end) = (key(&range.prefix)?, key(&range.start)?, key(&range.end)?);
    let store = for_reading(path)?;
    let mut pairs = match range.prefix {
        Some(_) => store.kv_prefix(None, &prefix, range.reverse)?,
        None => store.kv_scan(None, &start, &end, range.reverse)?,
    };
    let mut left = range.limit.unwrap_or(u64::MAX);
    while left > 0 && pairs.next()? {
        left -= 1;
        let (key, value) = pairs.pair();
        if output.is_json() {
            let mut object = Map::new();
            output.put(&mut object, "key", key);
            if !range.keys {
                output.put(&mut object, "value", value);
            }
            output.object(object)?;
        } else if range.keys {
            let line = output.shown(key);
            output.line(&line)?;
        } else {
            let line = format!("{}\t{}", output.shown(key), output.shown(value));
            output.line(&line)?;
        }
    }
    Ok(Ending::Done)
}
