//! Each command that reads or writes entries: what it prints as text and as JSON, and how it ends where something is not
//! there or makes no sense.

#[expect(dead_code, reason = "each test uses a part of it")]
mod support;

use serde_json::json;
use std::{ffi::OsStr, fs, os::unix::ffi::OsStrExt};
use support::{run_with, Scratch};

#[test]
fn pairs_are_set_read_scanned_and_deleted() {
    let scratch = Scratch::new();
    let store = scratch.store();
    assert_eq!(
        done!("set", store, "--create", "b", "2", "a", "1", "c/x", "3", "c/y", "").text(),
        ""
    );
    assert_eq!(done!("get", store, "a").out, b"1");
    assert_eq!(done!("get", store, "c/y").out, b"");
    assert_eq!(done!("scan", store).text(), "a\t1\nb\t2\nc/x\t3\nc/y\t\n");
    assert_eq!(
        done!("scan", store, "--prefix", "c/", "--keys").text(),
        "c/x\nc/y\n"
    );
    assert_eq!(
        done!("scan", store, "--start", "b", "--end", "c/y").text(),
        "b\t2\nc/x\t3\n"
    );
    assert_eq!(
        done!("scan", store, "--reverse", "-n", "2", "--keys").text(),
        "c/y\nc/x\n"
    );
    assert_eq!(
        done!("scan", store, "--json", "--limit", "1").json(),
        [json!({ "key": "a", "value": "1" })]
    );
    assert_eq!(
        done!("get", store, "a", "--json").json(),
        [json!({ "key": "a", "value": "1" })]
    );
    assert_eq!(
        done!("set", store, "a", "one", "--json").json(),
        [json!({ "seq": 2 })]
    );
    assert_eq!(
        done!("delete", store, "a", "b", "--json").json(),
        [json!({ "seq": 3, "deleted": 2 })]
    );
    // The rest goes, though one isn't there.
    let ran = sarsen!("delete", store, "a", "c/x");
    assert_eq!((ran.code, ran.err.as_str()), (1, "sarsen: no key a\n"));
    assert_eq!(done!("scan", store, "--keys").text(), "c/y\n");
}

#[test]
fn bytes_that_are_no_text_go_in_and_come_out_in_every_shape() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let bytes = [b'a', 0xff, b'\n', 0xc3, b'\\', 0x07];
    let file = scratch.path("value");
    fs::write(&file, bytes).unwrap();
    let at_file = [b"@", file.as_os_str().as_bytes()].concat();
    let at_file = OsStr::from_bytes(&at_file);
    // The raw byte itself can be an argument, too, and a value's backslashes are its own.
    done!(
        "set",
        store,
        "--create",
        OsStr::from_bytes(b"raw\xff"),
        OsStr::from_bytes(b"\xfe\\n")
    );
    done!("set", store, "from file", at_file);
    done!("set", store, at_file, "key from a file");
    done!("set", store, "at", "@@home");
    done!("set", store, "--hex", "00ff", "0A0b");
    done!("set", store, "--base64", "AP4=", "AAE=");
    let ran = run_with(
        &[
            OsStr::new("set"),
            store.as_os_str(),
            OsStr::new("in"),
            OsStr::new("-"),
        ],
        &bytes,
    );
    assert_eq!(ran.code, 0, "{}", ran.err);

    assert_eq!(done!("get", store, r"raw\xff").out, b"\xfe\\n");
    assert_eq!(done!("get", store, "from file").out, bytes);
    assert_eq!(done!("get", store, "in").out, bytes);
    assert_eq!(done!("get", store, r"a\xff\n\xc3\\\x07").out, b"key from a file");
    assert_eq!(done!("get", store, "at").out, b"@home");
    assert_eq!(done!("get", store, r"\x00\xff").out, b"\n\x0b");
    assert_eq!(done!("get", store, "--hex", "00FF").text(), "0a0b\n");
    assert_eq!(done!("get", store, "--base64", "AP4=").text(), "AAE=\n");
    assert_eq!(
        done!("scan", store, "--prefix", r"\x00").text(),
        "\\x00\\xfe\t\\x00\\x01\n\\x00\\xff\t\\n\\x0b\n"
    );
    assert_eq!(
        done!("get", store, "--json", r"\x00\xff").json(),
        [json!({ "key_base64": "AP8=", "value": "\n\u{b}" })]
    );
    assert_eq!(
        done!("get", store, "--json", "--hex", "00ff").json(),
        [json!({ "key_hex": "00ff", "value_hex": "0a0b" })]
    );
    // What is printed can be typed in again.
    for key in done!("scan", store, "--keys").text().lines() {
        done!("get", store, key);
    }
}

#[test]
fn what_can_not_be_meant_is_refused_with_a_word_on_what_to_write() {
    let scratch = Scratch::new();
    let store = scratch.store();
    done!("set", store, "--create", "a", "1");
    for (words, says) in [
        (vec!["get", "C:\\dir"], "a backslash itself is written \\\\"),
        (vec!["get", "--hex", "0"], "two digits a byte"),
        (vec!["get", "--base64", "A"], "base64"),
        (vec!["get", "@missing"], "written @@"),
        (vec!["set", "-", "-"], "only one argument can be -"),
        (vec!["set", "a", "1", "b"], "each key needs a value"),
        (vec!["block", "read", "1:2"], "CHUNK:OFFSET:LENGTH:CRC"),
        (vec!["memory", "append", "1", "data", "--tag", ""], "tag"),
        (vec!["get"], "required"),
        (vec!["log", "--from", "0"], "--from"),
        (
            vec!["scan", "--prefix", "a", "--start", "b"],
            "cannot be used with",
        ),
        (vec!["get", "a", "--hex", "--base64"], "cannot be used with"),
    ] {
        let place = if words[0] == "block" || words[0] == "memory" {
            2
        } else {
            1
        };
        let mut line: Vec<&OsStr> = words.iter().map(OsStr::new).collect();
        line.insert(place, store.as_os_str());
        let ran = support::run(&line);
        assert_eq!(ran.code, 2, "{words:?}: {}", ran.err);
        assert!(ran.err.contains(says), "{words:?}: {}", ran.err);
        assert!(ran.out.is_empty(), "{words:?}");
    }
    let long = "k".repeat(65_536);
    assert_eq!(sarsen!("set", store, long, "v").code, 2, "beyond the limits");
    assert_eq!(sarsen!("no-such-command").code, 2);
    assert_eq!(sarsen!().code, 2);
}

#[test]
fn what_is_not_there_is_told_from_what_can_not_be_opened() {
    let scratch = Scratch::new();
    let store = scratch.store();
    for words in [
        vec!["get", "a"],
        vec!["set", "a", "1"],
        vec!["info"],
        vec!["verify"],
        vec!["log"],
    ] {
        let mut line: Vec<&OsStr> = words.iter().map(OsStr::new).collect();
        line.insert(1, store.as_os_str());
        let ran = support::run(&line);
        assert_eq!(ran.code, 2, "{words:?}: {}", ran.err);
        assert!(ran.err.contains("nothing is at"), "{words:?}: {}", ran.err);
    }
    assert!(!store.exists(), "nobody asked for a store to be made");
    let file = scratch.path("file");
    fs::write(&file, "no store").unwrap();
    let ran = sarsen!("get", file, "a");
    assert_eq!(ran.code, 2, "{}", ran.err);
    assert!(ran.err.contains("not a sarsen store"), "{}", ran.err);

    done!("set", store, "--create", "a", "1");
    for words in [
        vec!["get", "b"],
        vec!["delete", "b"],
        vec!["stream", "read", "s"],
        vec!["stream", "tail", "s"],
        vec!["stream", "trim", "s", "3"],
        vec!["stream", "drop", "s"],
        vec!["memory", "get", "1"],
        vec!["memory", "info", "1"],
        vec!["memory", "delete", "1"],
        vec!["block", "read", "1:32:5:00000000"],
        vec!["block", "free", "1:32:5:00000000"],
        vec!["log", "--from", "1"],
    ] {
        let place = if ["stream", "memory", "block"].contains(&words[0]) {
            2
        } else {
            1
        };
        let mut line: Vec<&OsStr> = words.iter().map(OsStr::new).collect();
        line.insert(place, store.as_os_str());
        let ran = support::run(&line);
        assert_eq!((ran.code, ran.out.len()), (1, 0), "{words:?}: {}", ran.err);
        assert_eq!(ran.err.lines().count(), 1, "{words:?}: {}", ran.err);
        line.push(OsStr::new("--json"));
        let told: serde_json::Value = serde_json::from_str(&support::run(&line).err).unwrap();
        assert_eq!(
            (&told["error"]["code"], &told["error"]["kind"]),
            (&json!(1), &json!("not_found"))
        );
    }
}

#[test]
fn streams_are_appended_read_listed_trimmed_and_dropped() {
    let scratch = Scratch::new();
    let store = scratch.store();
    assert_eq!(
        done!("stream", "append", store, "--create", "events", "one", "two").text(),
        "0\n1\n"
    );
    assert_eq!(
        done!("stream", "append", store, "events", "three", "--json").json(),
        [json!({ "seq": 2, "index": 2 })]
    );
    done!("stream", "append", store, r"bin\xff", r"\");
    assert_eq!(
        done!("stream", "read", store, "events").text(),
        "0\tone\n1\ttwo\n2\tthree\n"
    );
    assert_eq!(
        done!("stream", "read", store, "events", "--from", "1", "-n", "1").text(),
        "1\ttwo\n"
    );
    assert_eq!(
        done!("stream", "read", store, "events", "--raw").text(),
        "onetwothree"
    );
    assert_eq!(
        done!("stream", "tail", store, "events", "-n", "2").text(),
        "1\ttwo\n2\tthree\n"
    );
    assert_eq!(
        done!("stream", "list", store).text(),
        "bin\\xff\t0\t1\nevents\t0\t3\n"
    );
    assert_eq!(
        done!("stream", "list", store, "--prefix", "e", "--json").json(),
        [json!({ "name": "events", "first": 0, "next": 3 })]
    );
    assert_eq!(
        done!("stream", "trim", store, "events", "2", "--json").json(),
        [json!({ "seq": 4, "dropped": 2 })]
    );
    assert_eq!(
        done!("stream", "tail", store, "events", "--json").json(),
        [json!({ "index": 2, "data": "three" })]
    );
    done!("stream", "drop", store, "events");
    assert_eq!(sarsen!("stream", "read", store, "events").code, 1);
    assert_eq!(done!("stream", "append", store, "events", "anew").text(), "0\n");
}

#[test]
fn memories_are_found_by_number_and_by_tags() {
    let scratch = Scratch::new();
    let store = scratch.store();
    done!(
        "memory",
        "append",
        store,
        "--create",
        "7",
        "They still stand.",
        "--tag",
        "topic:stones",
        "-t",
        "old"
    );
    done!(
        "memory",
        "append",
        store,
        "8",
        "So do these.",
        "-t",
        "topic:stones"
    );
    done!("memory", "append", store, "9", "\u{1}", "-t", "new,er");
    assert_eq!(done!("memory", "get", store, "7").text(), "They still stand.");
    assert_eq!(
        done!("memory", "get", store, "9", "--json").json(),
        [json!({ "id": 9, "data": "\u{1}" })]
    );
    let info = done!("memory", "info", store, "7");
    assert!(info.text().contains("old,topic:stones"), "{}", info.text());
    let info = done!("memory", "info", store, "7", "--json").json();
    assert_eq!(
        (&info[0]["len"], &info[0]["tags"]),
        (&json!(17), &json!(["old", "topic:stones"]))
    );
    let block = info[0]["block"].as_str().unwrap().to_owned();
    assert_eq!(done!("block", "read", store, block).text(), "They still stand.");

    let ids = |words: &[&str]| {
        let mut line: Vec<&OsStr> = vec![OsStr::new("find"), store.as_os_str(), OsStr::new("--ids")];
        line.extend(words.iter().map(OsStr::new));
        support::run(&line).text().to_owned()
    };
    assert_eq!(ids(&[]), "7\n8\n9\n");
    assert_eq!(ids(&["--all", "topic:stones"]), "7\n8\n");
    assert_eq!(ids(&["--all", "topic:stones", "--all", "old"]), "7\n");
    assert_eq!(ids(&["--any", "old", "--any", "new,er"]), "7\n9\n");
    assert_eq!(ids(&["--none", "topic:stones"]), "9\n");
    assert_eq!(ids(&["--from", "8", "-n", "1"]), "8\n");
    assert_eq!(
        done!("find", store, "--all", "old").text(),
        "7\told,topic:stones\tThey still stand.\n"
    );
    assert_eq!(
        done!("find", store, "--none", "topic:stones", "--json").json(),
        [json!({ "id": 9, "tags": ["new,er"], "data": "\u{1}" })]
    );
    done!("memory", "delete", store, "7", "8");
    assert_eq!(ids(&[]), "9\n");
}

#[test]
fn loose_blocks_are_appended_read_listed_and_freed() {
    let scratch = Scratch::new();
    let store = scratch.store();
    let address = done!("block", "append", store, "--create", "0123456789")
        .text()
        .trim_end()
        .to_owned();
    assert_eq!(done!("block", "read", store, address).text(), "0123456789");
    assert_eq!(
        done!("block", "read", store, address, "--from", "3", "--len", "4").text(),
        "3456"
    );
    assert_eq!(done!("block", "read", store, address, "--from", "8").text(), "89");
    assert_eq!(
        sarsen!("block", "read", store, address, "--from", "8", "--len", "4").code,
        2
    );
    assert_eq!(done!("block", "list", store).text(), format!("{address}\n"));
    assert_eq!(
        done!("block", "list", store, "--json").json(),
        [json!({ "block": address, "len": 10 })]
    );
    done!("block", "free", store, address);
    assert_eq!(done!("block", "list", store).text(), "");
    assert_eq!(sarsen!("block", "free", store, address).code, 1);
}

#[test]
fn a_store_that_is_changed_again_and_again_does_not_fall_to_pieces() {
    let scratch = Scratch::new();
    let store = scratch.store();
    done!("set", store, "--create", "first", "0");
    for round in 0..24 {
        done!("set", store, "key", round.to_string());
    }
    let info = &done!("info", store, "--json").json()[0];
    let runs = info["runs"].as_array().unwrap().len();
    assert!(
        runs < 12,
        "each command leaves a run, and they are merged: {runs}"
    );
    assert_eq!(done!("get", store, "key").text(), "23");
}
