//! Damaged stores: what verify says of them, and what salvage gets out of them.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "in a test a panic is the report"
)]

#[expect(dead_code, reason = "each test uses a part of it")]
mod support;

use std::{
    fs,
    path::{Path, PathBuf},
};

use sarsen::{Batch, Data, Tags};
use serde_json::{json, Value};
use support::{contents, fill, killed, open, Scratch};

/// The files of a part of the store.
fn files(store: &Path, directory: &str) -> Vec<PathBuf> {
    let mut files: Vec<PathBuf> = fs::read_dir(store.join(directory))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .collect();
    files.sort();
    files
}

/// Turns a bit in the one place where these bytes are.
fn damage(store: &Path, directory: &str, bytes: &[u8]) {
    let mut hits = 0;
    for file in files(store, directory) {
        let mut held = fs::read(&file).unwrap();
        while let Some(place) = held.windows(bytes.len()).position(|window| window == bytes) {
            held[place] ^= 1;
            hits += 1;
            fs::write(&file, &held).unwrap();
        }
    }
    assert_eq!(hits, 1, "{}", String::from_utf8_lossy(bytes));
}

/// A closed store with something in it that can be found and damaged.
fn store_with_values(path: &Path) {
    let store = open(path);
    fill(&store);
    let mut batch = Batch::new();
    // Longer than what lies in the index: these are blocks.
    let bytes = |name: &str| name.to_owned() + &" and so on".repeat(200);
    for key in ["", "m1", "m2", "z"] {
        batch
            .set_kv(key.as_bytes(), bytes(&format!("value of <{key}>")).as_bytes())
            .unwrap();
    }
    for record in 0..5 {
        let data = bytes(&format!("record <{record}>"));
        batch
            .append_stream(b"damaged", Data::Bytes(data.as_bytes()))
            .unwrap();
    }
    batch
        .append_memory(
            70,
            &Tags::of(&["t"]).unwrap(),
            Data::Bytes(bytes("memory <70>").as_bytes()),
        )
        .unwrap();
    batch.append_block(bytes("loose <1>").as_bytes()).unwrap();
    store.commit(&mut batch, None).unwrap();
    store.close().unwrap();
}

#[test]
fn a_sound_store_is_called_so_and_salvaged_whole() {
    let scratch = Scratch::new();
    let path = scratch.store();
    store_with_values(&path);
    let told = done!("verify", path, "--json").json();
    assert_eq!((told.len(), &told[0]["sound"]), (1, &json!(true)));
    let copy = scratch.path("copy");
    let told = done!("salvage", path, copy, "--json").json();
    assert_eq!(told[0]["missing"], json!(0));
    assert_eq!(contents(&copy), contents(&path));
    let ran = sarsen!("salvage", path, copy);
    assert_eq!(ran.code, 2, "nothing is written over: {}", ran.err);
}

#[test]
fn damaged_values_are_named_and_the_rest_is_salvaged() {
    let scratch = Scratch::new();
    let path = scratch.store();
    store_with_values(&path);
    let mut left = contents(&path);
    for bytes in [
        "value of <>",
        "value of <m1>",
        "value of <m2>",
        "record <3>",
        "memory <70>",
        "loose <1>",
    ] {
        damage(&path, "blocks", bytes.as_bytes());
    }
    let ran = sarsen!("verify", path);
    assert_eq!(ran.code, 3, "{}", ran.err);
    let lines: Vec<&str> = ran.text().lines().collect();
    let (verdict, findings) = lines.split_last().unwrap();
    assert!(findings.len() >= 6, "{}", ran.text());
    assert!(
        findings
            .iter()
            .all(|line| line.starts_with("blocks/chunk_") && line.contains("fail their check")),
        "{}",
        ran.text()
    );
    let count = findings.len();
    assert!(
        verdict.starts_with(&format!("damaged: {count} findings; ")),
        "{verdict}"
    );
    let ran = sarsen!("get", path, "m1");
    assert_eq!((ran.code, ran.out.len()), (3, 0), "{}", ran.err);
    let says = "sarsen: durable data is damaged: blocks/chunk_";
    assert!(ran.err.starts_with(says), "{}", ran.err);
    let ran = sarsen!("get", path, "m1", "--json");
    let told: Value = serde_json::from_str(&ran.err).unwrap();
    let file = told["error"]["file"].as_str().unwrap();
    assert!(path.join(file).is_file(), "{told}");
    assert!(told["error"]["offset"].as_u64().unwrap() > 0, "{told}");

    let copy = scratch.path("copy");
    let ran = sarsen!("salvage", path, copy, "--json");
    assert_eq!(ran.code, 3, "{}", ran.err);
    let told = ran.json();
    let missing: Vec<&Value> = told.iter().filter_map(|line| line.get("missing")).collect();
    assert_eq!(
        missing,
        [
            &json!({ "key": "" }),
            &json!({ "key": "m1" }),
            &json!({ "key": "m2" }),
            &json!({ "id": 70 }),
            &json!({ "index": 3, "stream": "damaged" }),
            &json!({ "block": null }),
            &json!(6),
        ]
    );
    let findings = told.iter().filter(|line| line.get("finding").is_some()).count();
    assert_eq!(findings, count, "salvage finds what verify finds");

    left.pairs
        .retain(|(key, _)| ![&b""[..], b"m1", b"m2"].contains(&key.as_slice()));
    left.memories.retain(|(id, ..)| *id != 70);
    left.blocks.retain(|block| !block.starts_with(b"loose <1>"));
    for (name, _, _, records) in &mut left.streams {
        if name == b"damaged" {
            records[3] = Vec::new();
        }
    }
    assert_eq!(contents(&copy), left);
    done!("verify", copy);
    // Without a target, the same is only told.
    let only_told = sarsen!("salvage", path, "--json");
    assert_eq!((only_told.code, only_told.json().len()), (3, told.len()));
    // What is damaged is no backup.
    let ran = sarsen!("restore", path, scratch.path("restored"));
    assert_eq!(ran.code, 3, "{}", ran.err);
    assert!(!scratch.path("restored").exists());
}

#[test]
fn keys_on_both_sides_of_a_damaged_page_of_the_index_are_salvaged() {
    let scratch = Scratch::new();
    let path = scratch.store();
    let store = open(&path);
    let mut batch = Batch::new();
    for number in 0..5_000u32 {
        batch
            .set_kv(
                format!("key {number:05}").as_bytes(),
                format!("value {number:05}").as_bytes(),
            )
            .unwrap();
    }
    store.commit(&mut batch, None).unwrap();
    store.close().unwrap();
    damage(&path, "index", b"value 02500");

    let ran = sarsen!("scan", path, "--keys");
    assert_eq!(ran.code, 3, "{}", ran.err);
    assert!(
        ran.text().lines().count() > 2_000,
        "what comes before the damage is printed"
    );
    let copy = scratch.path("copy");
    let ran = sarsen!("salvage", path, copy);
    assert_eq!(ran.code, 3, "{}", ran.err);
    assert!(
        ran.text().contains("nobody can tell which keys"),
        "{}",
        ran.text()
    );
    let held = contents(&copy).pairs;
    assert!(
        held.len() > 4_500 && held.len() < 5_000,
        "a page is lost: {}",
        held.len()
    );
    assert_eq!(
        (held[0].0.as_slice(), held[held.len() - 1].0.as_slice()),
        (&b"key 00000"[..], &b"key 04999"[..])
    );
    assert!(held.iter().all(|(key, value)| key[4..] == value[6..]));
}

#[test]
fn records_whose_index_is_gone_keep_their_places_and_are_told_in_a_row() {
    let scratch = Scratch::new();
    let path = scratch.store();
    let store = open(&path);
    let mut batch = Batch::new();
    for number in 0..1_000u32 {
        let record = format!("record {number}");
        batch
            .append_stream(b"stream", Data::Bytes(record.as_bytes()))
            .unwrap();
    }
    store.commit(&mut batch, None).unwrap();
    store.checkpoint().unwrap();
    store.stream_append(b"stream", b"the last").unwrap();
    store.stream_append(b"other", b"unhurt").unwrap();
    store.close().unwrap();
    let runs = files(&path, "index");
    assert_eq!(runs.len(), 2, "{runs:?}");
    let first = &runs[0];
    let mut bytes = fs::read(first).unwrap();
    // Pages of the index in the middle of the run: neither its footer nor what names the stream.
    let middle = bytes.len() / 4;
    bytes[middle..middle + 10].fill(0xaa);
    fs::write(first, bytes).unwrap();

    let copy = scratch.path("copy");
    let ran = sarsen!("salvage", path, copy, "--json");
    assert_eq!(ran.code, 3, "{}", ran.err);
    let told = ran.json();
    let missing: Vec<&Value> = told.iter().filter_map(|line| line.get("missing")).collect();
    assert_eq!(missing.len(), 2, "one row, and the sum: {missing:?}");
    let (first, last) = (
        missing[0]["index"].as_u64().unwrap(),
        missing[0]["last_index"].as_u64().unwrap(),
    );
    assert_eq!(missing[1], &json!(last - first + 1));
    let held = contents(&copy).streams;
    assert_eq!((held[0].0.as_slice(), held[0].3.len()), (&b"other"[..], 1));
    assert_eq!((held[1].1, held[1].2), (0, 1_001));
    for (number, record) in held[1].3.iter().enumerate() {
        let is_missing = (first..=last).contains(&(number as u64));
        assert_eq!(record.is_empty(), is_missing, "record {number}");
    }
    assert_eq!(held[1].3[1_000], b"the last");
}

#[test]
fn a_store_that_does_not_open_is_verified_and_salvaged_up_to_the_damage() {
    let scratch = Scratch::new();
    let path = scratch.store();
    killed(&path, |store| {
        for number in 0..10 {
            let (key, value) = (format!("key {number}"), format!("in the log {number}"));
            store.kv_set(key.as_bytes(), value.as_bytes()).unwrap();
        }
        store.sync().unwrap();
    });
    damage(&path, "log", b"in the log 6");
    for words in ["scan", "compact", "info"] {
        let ran = sarsen!(words, path);
        assert_eq!(ran.code, 3, "{words}: {}", ran.err);
    }
    let ran = sarsen!("verify", path);
    assert_eq!(ran.code, 3, "{}", ran.err);
    assert!(ran.text().starts_with("log/"), "{}", ran.text());
    let copy = scratch.path("copy");
    let ran = sarsen!("salvage", path, copy);
    assert_eq!(ran.code, 3, "{}", ran.err);
    assert!(
        ran.text()
            .contains("as of commit 6; commits up to 10 had been made and are lost"),
        "{}",
        ran.text()
    );
    assert_eq!(contents(&copy).pairs.len(), 6);

    fs::write(path.join("MANIFEST"), b"SARSENMF").unwrap();
    for words in ["verify", "salvage"] {
        let ran = sarsen!(words, path);
        assert_eq!(ran.code, 3, "{words}: {}", ran.err);
        assert!(ran.err.contains("MANIFEST"), "{words}: {}", ran.err);
    }
}
