//! Memories: by number, and found by their tags.

use std::{ffi::OsStr, path::Path};

use sarsen::{Batch, Data, Error, Tags};
use serde_json::{json, Map, Value};

use super::{blocks::address_text, print_value, tags_of, Outcome};
use crate::{
    arguments::Find,
    failure::{Ending, Failure},
    opening::{close, for_reading, Writing},
    output::{grouped, object, Output},
};

fn missing(id: u64) -> Failure {
    Failure::NotFound(format!("no memory {id}"))
}

pub fn json_tags(tags: &Tags) -> Value {
    tags.iter().collect()
}

/// `topic:stones,kind:note`, each as text on a line can be.
pub fn shown_tags(tags: &Tags) -> String {
    let shown: Vec<String> = tags
        .iter()
        .map(|tag| crate::bytes::escape(tag.as_bytes()))
        .collect();
    shown.join(",")
}

pub fn get(path: &Path, id: u64, output: &mut Output) -> Outcome {
    let store = for_reading(path)?;
    let data = match store.memory_get(None, id) {
        Err(Error::NotFound) => return Err(missing(id)),
        found => found?,
    };
    print_value(output, object([("id", json!(id))]), "data", &data)?;
    Ok(Ending::Done)
}

pub fn append(store: &Writing, id: u64, data: &OsStr, tags: &[String], output: &mut Output) -> Outcome {
    let data = output.arrivals().value(data)?;
    let mut batch = Batch::new();
    batch.append_memory(id, &tags_of(tags)?, Data::Bytes(&data))?;
    let store = store.open()?;
    let seq = store.commit(&mut batch, None)?;
    close(&store)?;
    output.told(json!({ "seq": seq, "id": id }), None)?;
    Ok(Ending::Done)
}

pub fn delete(store: &Writing, ids: &[u64], output: &mut Output) -> Outcome {
    let store = store.open()?;
    let mut batch = Batch::new();
    let mut absent = Vec::new();
    for id in ids {
        match store.memory_info(None, *id) {
            Ok(_) => batch.delete_memory(*id)?,
            Err(Error::NotFound) => absent.push(id.to_string()),
            Err(error) => return Err(error.into()),
        }
    }
    let deleted = batch.count();
    let seq = store.commit(&mut batch, None)?;
    close(&store)?;
    output.told(json!({ "seq": seq, "deleted": deleted }), None)?;
    if absent.is_empty() {
        return Ok(Ending::Done);
    }
    Err(Failure::NotFound(format!(
        "no memory {}",
        absent.join(", no memory ")
    )))
}

pub fn info(path: &Path, id: u64, output: &mut Output) -> Outcome {
    let store = for_reading(path)?;
    let (block, tags) = match store.memory_info(None, id) {
        Err(Error::NotFound) => return Err(missing(id)),
        found => found?,
    };
    if output.is_json() {
        output.object(object([
            ("id", json!(id)),
            ("tags", json_tags(&tags)),
            ("len", json!(block.len)),
            ("block", json!(address_text(&block))),
        ]))?;
        return Ok(Ending::Done);
    }
    output.line(&format!("memory  {id}"))?;
    output.line(&format!("tags    {}", shown_tags(&tags)))?;
    output.line(&format!("bytes   {}", grouped(block.len)))?;
    output.line(&format!("block   {}", address_text(&block)))?;
    Ok(Ending::Done)
}

pub fn find(find: &Find, output: &mut Output) -> Outcome {
    let (all, any, none) = (tags_of(&find.all)?, tags_of(&find.any)?, tags_of(&find.none)?);
    let store = for_reading(&find.store.path)?;
    let snapshot = store.snapshot()?;
    let mut found = store.memory_find(Some(&snapshot), &all, &any, &none, find.from)?;
    let mut left = find.limit.unwrap_or(u64::MAX);
    while left > 0 && found.next()? {
        left -= 1;
        let id = found.id();
        if find.ids {
            output.told(json!({ "id": id }), Some(&id.to_string()))?;
            continue;
        }
        let (_, tags) = store.memory_info(Some(&snapshot), id)?;
        let data = found.data()?;
        if output.is_json() {
            let mut object: Map<String, Value> = object([("id", json!(id)), ("tags", json_tags(&tags))]);
            output.put(&mut object, "data", data);
            output.object(object)?;
        } else {
            let line = format!("{id}\t{}\t{}", shown_tags(&tags), output.shown(data));
            output.line(&line)?;
        }
    }
    Ok(Ending::Done)
}
