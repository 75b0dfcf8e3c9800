//! Whole stores: exported and imported, backed up and restored, taken over from the ancestral layout; and what becomes of
//! an import that is cut off, killed, or done twice.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "in a test a panic is the report"
)]

mod support;

use std::{ffi::OsStr, fs, io::Write, path::Path, process::Stdio};

use serde_json::{json, Value};
use support::{command, contents, fill, killed, open, run_with, signal, Scratch};

fn filled(path: &Path) {
    killed(path, fill);
}

/// Lines but for the first, which names the commit, and the addresses of blocks.
fn comparable(export: &[u8]) -> Vec<Value> {
    let text = std::str::from_utf8(export).unwrap();
    let mut lines: Vec<Value> = text
        .lines()
        .skip(1)
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    for line in &mut lines {
        line.as_object_mut().unwrap().remove("block");
    }
    let blocks = lines.iter().position(|line| line["type"] == "block").unwrap();
    lines[blocks..].sort_by_key(|line| line.to_string());
    lines
}

#[test]
fn an_export_imported_is_the_same_store_bytes_that_are_no_text_included() {
    let scratch = Scratch::new();
    let path = scratch.store();
    filled(&path);
    let before = contents(&path);
    assert_eq!(before.streams.len(), 4, "streams with and without records");
    for (number, shape) in [None, Some("--hex"), Some("--base64")].into_iter().enumerate() {
        let export = scratch.path(&format!("export{number}"));
        let mut line = vec![OsStr::new("export"), path.as_os_str(), export.as_os_str()];
        line.extend(shape.map(OsStr::new));
        let ran = support::run(&line);
        assert_eq!(ran.code, 0, "{}", ran.err);
        let copy = scratch.path(&format!("copy{number}"));
        done!("import", copy, export);
        assert_eq!(contents(&copy), before, "{shape:?}");
        done!("verify", copy);
    }
    let first = done!("export", path).out;
    let again = done!("export", scratch.path("copy0")).out;
    assert_eq!(comparable(&first), comparable(&again));
    // From stdin, too.
    let piped = scratch.path("piped");
    let words = [OsStr::new("import"), piped.as_os_str(), OsStr::new("-")];
    assert_eq!(run_with(&words, &first).code, 0);
    assert_eq!(contents(&piped), before);
}

#[test]
fn importing_again_changes_nothing_and_adds_what_is_new() {
    let scratch = Scratch::new();
    let path = scratch.store();
    filled(&path);
    let export = scratch.path("export");
    done!("export", path, export);
    let copy = scratch.path("copy");
    let first = &done!("import", copy, export, "--json").json()[0];
    assert_eq!(first["same"]["pairs"], json!(0));
    let again = &done!("import", copy, export, "--json").json()[0];
    assert_eq!(again["same"], first["added"], "all of it was there");
    assert_eq!(again["last_seq"], first["last_seq"], "no commit was made");

    // The source goes on: more of everything, and some of it different.
    done!("set", path, "late", "changed", "new", "pair");
    done!("stream", "append", path, "trimmed", "one more");
    done!("stream", "trim", path, "trimmed", "30");
    done!("memory", "append", path, "9", "changed", "--tag", "late");
    done!("block", "append", path, "loose");
    let export = scratch.path("second");
    done!("export", path, export);
    let added = &done!("import", copy, export, "--json").json()[0]["added"];
    assert_eq!(
        added,
        &json!({ "pairs": 2, "memories": 1, "streams": 0, "records": 1, "blocks": 1 })
    );
    assert_eq!(contents(&copy), contents(&path));
}

#[test]
fn a_stream_that_went_another_way_stops_the_import() {
    let scratch = Scratch::new();
    let path = scratch.store();
    done!("stream", "append", path, "--create", "s", "one", "two", "three");
    let export = scratch.path("export");
    done!("export", path, export);
    for records in [vec!["one", "TWO"], vec!["one", "two", "THREE", "four"]] {
        let copy = scratch.path(records[1]);
        let mut line = ["stream", "append"].map(OsStr::new).to_vec();
        line.extend([copy.as_os_str(), OsStr::new("--create"), OsStr::new("s")]);
        line.extend(records.iter().map(OsStr::new));
        support::run(&line);
        let before = contents(&copy);
        let ran = sarsen!("import", copy, export);
        assert_eq!(ran.code, 5, "{}", ran.err);
        assert!(ran.err.contains("stream s has another record"), "{}", ran.err);
        assert_eq!(contents(&copy), before);
    }
    // One that ends before the export's begins has a gap that nothing can fill.
    done!("stream", "trim", path, "s", "2");
    let trimmed = scratch.path("trimmed");
    done!("export", path, trimmed);
    let copy = scratch.path("short");
    done!("stream", "append", copy, "--create", "s", "one");
    let ran = sarsen!("import", copy, trimmed);
    assert_eq!(ran.code, 5, "{}", ran.err);
    assert!(
        ran.err.contains("goes on at 1, the export's begins at 2"),
        "{}",
        ran.err
    );
}

#[test]
fn what_is_no_export_or_was_cut_off_is_told_with_its_line() {
    let scratch = Scratch::new();
    let path = scratch.store();
    filled(&path);
    let export = String::from_utf8(done!("export", path).out).unwrap();
    let lines: Vec<&str> = export.lines().collect();
    let header = lines[0];
    let joined = |lines: &[&str]| lines.join("\n");
    let cases = [
        (String::new(), "line 1: this is no export"),
        ("{}".to_owned(), "line 1: this is no export"),
        ("no json".to_owned(), "line 1"),
        (
            header.replace("\"version\":1", "\"version\":2"),
            "another version",
        ),
        (joined(&lines[..10]), "was cut off"),
        (
            joined(&[&lines[..10], &lines[lines.len() - 1..]].concat()),
            "more, or less",
        ),
        (export.clone() + "{\"type\":\"pair\"}", "follows the end"),
        (joined(&[header, "[]"]), "line 2: no JSON object"),
        (
            joined(&[header, r#"{"type":"nonsense"}"#]),
            "line 2: a line of a type",
        ),
        (
            joined(&[header, r#"{"type":"pair","key":"a"}"#]),
            "line 2: neither value nor",
        ),
        (
            joined(&[header, r#"{"type":"pair","key":"a","value_base64":"="}"#]),
            "line 2: value",
        ),
        (
            joined(&[header, r#"{"type":"memory","id":-1,"tags":[],"data":""}"#]),
            "line 2: id",
        ),
        (
            joined(&[header, r#"{"type":"memory","id":1,"tags":[""],"data":""}"#]),
            "line 2",
        ),
        (
            joined(&[header, r#"{"type":"memory","id":1,"tags":[1],"data":""}"#]),
            "line 2: tags",
        ),
        (
            joined(&[header, r#"{"type":"record","index":0,"data":""}"#]),
            "line 2: a record without",
        ),
        (
            joined(&[header, r#"{"type":"stream","name":"s","first":0,"next":0}"#]),
            "line 2: stream s",
        ),
    ];
    for (number, (text, says)) in cases.iter().enumerate() {
        let copy = scratch.path(&format!("copy{number}"));
        let words = [OsStr::new("import"), copy.as_os_str(), OsStr::new("-")];
        let ran = run_with(&words, text.as_bytes());
        assert_eq!(ran.code, 3, "{says}: {}", ran.err);
        assert!(ran.err.contains(says), "{says}: {}", ran.err);
        if says.contains("line 1") || says.contains("version") {
            assert!(!copy.exists(), "nothing is made of what is no export: {says}");
        }
    }
    assert_eq!(
        sarsen!("import", scratch.path("copy"), scratch.path("missing")).code,
        2
    );
    let there = scratch.path("there");
    fs::write(&there, "of somebody else").unwrap();
    assert_eq!(sarsen!("export", path, there).code, 2);
    assert_eq!(fs::read(&there).unwrap(), b"of somebody else");
}

#[test]
fn an_import_that_was_killed_is_finished_by_doing_it_again() {
    let scratch = Scratch::new();
    let path = scratch.store();
    filled(&path);
    let store = open(&path);
    let mut batch = sarsen::Batch::new();
    for number in 0..20_000u32 {
        batch.set_kv(format!("many/{number}").as_bytes(), b"v").unwrap();
    }
    store.commit(&mut batch, None).unwrap();
    store.close().unwrap();
    let export = done!("export", path).out;
    let copy = scratch.path("copy");
    for part in [3, 2] {
        let mut child = command()
            .args([OsStr::new("import"), copy.as_os_str(), OsStr::new("-")])
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        // It reads from a pipe that holds little, so by the end of this it has taken most of it in.
        let mut pipe = child.stdin.take().unwrap();
        pipe.write_all(&export[..export.len() / part]).unwrap();
        signal(&child, "KILL");
        child.wait().unwrap();
    }
    let held = contents(&copy).pairs.len();
    assert!(held > 4_000, "commits were made before it was killed: {held}");
    assert_ne!(contents(&copy), contents(&path));
    let words = [OsStr::new("import"), copy.as_os_str(), OsStr::new("-")];
    let ran = run_with(&words, &export);
    assert_eq!(ran.code, 0, "{}", ran.err);
    assert_eq!(contents(&copy), contents(&path));
}

#[test]
fn a_backup_is_restored_with_all_that_is_in_it() {
    let scratch = Scratch::new();
    let path = scratch.store();
    filled(&path);
    let (backup, restored) = (scratch.path("backup"), scratch.path("restored"));
    let told = &done!("backup", path, backup, "--json").json()[0];
    assert_eq!(told["last_seq"], json!(6));
    done!("restore", backup, restored);
    assert_eq!(contents(&restored), contents(&path));
    let uuid = |path: &Path| done!("info", path, "--json").json()[0]["uuid"].clone();
    assert_ne!(uuid(&restored), uuid(&backup), "a store of its own");
    // Nothing is written over.
    for (words, says) in [
        (["backup", "restored"], "exists already"),
        (["restore", "a.sarsen"], "exists already"),
    ] {
        let ran = sarsen!(words[0], backup, scratch.path(words[1]));
        assert_eq!(ran.code, 2, "{}", ran.err);
        assert!(ran.err.contains(says), "{}", ran.err);
    }
}

/// A record of the ancestral log: its length, then the command.
fn ancestral(variant: u32, fields: &[u8]) -> Vec<u8> {
    let mut record = (fields.len() as u64 + 4).to_le_bytes().to_vec();
    record.extend_from_slice(&variant.to_le_bytes());
    record.extend_from_slice(fields);
    record
}

fn byte_string(text: &str) -> Vec<u8> {
    [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat()
}

#[test]
fn a_directory_in_the_ancestral_layout_is_taken_over() {
    let scratch = Scratch::new();
    let old = scratch.path("old");
    fs::create_dir_all(old.join("blocks")).unwrap();
    let pair = [byte_string("theme"), byte_string("dark")].concat();
    let torn = [9, 0, 0];
    fs::write(
        old.join("state.wal"),
        [ancestral(1, &pair).as_slice(), &torn].concat(),
    )
    .unwrap();
    let path = scratch.store();
    let ran = done!("import-ancestral", path, old, "--json");
    assert_eq!(ran.json(), [json!({ "records": 1 })]);
    assert_eq!(done!("get", path, "theme").text(), "dark");
    assert_eq!(
        sarsen!("import-ancestral", path, old).code,
        2,
        "only into a store without commits"
    );
    assert_eq!(sarsen!("import-ancestral", path, scratch.path("nowhere")).code, 2);
}
