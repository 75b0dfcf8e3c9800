//! Beside other processes: a store that one has open for writing, pipes whose reader has gone, followers that are
//! interrupted and killed.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

#[expect(dead_code, reason = "each test uses a part of it")]
mod support;

use std::{
    ffi::OsStr,
    io::{BufRead, BufReader, Read},
    path::Path,
    process::{Child, ChildStdout, Stdio},
};

use sarsen::{Options, Store};
use serde_json::{json, Value};
use support::{by_hand, command, open, run, signal, Scratch};

fn writer(path: &Path) -> Store {
    let store = open(path);
    store.kv_set(b"theme", b"dark").unwrap();
    store.stream_append(b"events", b"zero").unwrap();
    store
}

#[test]
fn whatever_reads_works_beside_a_process_that_writes() {
    let scratch = Scratch::new();
    let path = scratch.store();
    let store = writer(&path);
    assert_eq!(done!("get", path, "theme").text(), "dark");
    assert_eq!(done!("scan", path).text(), "theme\tdark\n");
    assert_eq!(done!("stream", "read", path, "events").text(), "0\tzero\n");
    done!("stats", path);
    done!("verify", path);
    done!("export", path);
    assert_eq!(
        done!("log", path).text(),
        "1\tset\ttheme\tdark\n2\tappend-stream\tevents\t0\tzero\n"
    );
    let backup = scratch.path("backup");
    done!("backup", path, backup);
    assert_eq!(done!("get", backup, "theme").text(), "dark");
    // And what the writer does meanwhile is seen by the next look.
    store.kv_set(b"theme", b"light").unwrap();
    assert_eq!(done!("get", path, "theme").text(), "light");
    let info = &done!("info", path, "--json").json()[0];
    let writers = info["writers"].as_array().unwrap();
    assert_eq!(writers.len(), 1, "{info}");
    let this = format!("process {} ", std::process::id());
    assert!(writers[0].as_str().unwrap().starts_with(&this), "{info}");
    assert_eq!(info["last_seq"], json!(3));
    store.close().unwrap();
    assert_eq!(done!("info", path, "--json").json()[0]["writers"], json!([]));
}

#[test]
fn whatever_writes_is_refused_with_the_process_that_has_the_store() {
    let scratch = Scratch::new();
    let path = scratch.store();
    let store = writer(&path);
    let export = scratch.path("export");
    done!("export", path, export);
    for words in [
        vec!["set", "a", "1"],
        vec!["delete", "theme"],
        vec!["stream", "append", "events", "x"],
        vec!["stream", "trim", "events", "1"],
        vec!["stream", "drop", "events"],
        vec!["memory", "append", "1", "x"],
        vec!["memory", "delete", "1"],
        vec!["block", "append", "x"],
        vec!["block", "free", "1:2:3:0"],
        vec!["compact"],
        vec!["import", export.to_str().unwrap()],
    ] {
        let place = if ["stream", "memory", "block"].contains(&words[0]) {
            2
        } else {
            1
        };
        let mut line: Vec<&OsStr> = words.iter().map(OsStr::new).collect();
        line.insert(place, path.as_os_str());
        let ran = run(&line);
        assert_eq!(ran.code, 4, "{words:?}: {}", ran.err);
        let holder = format!("process {} ", std::process::id());
        assert!(ran.err.contains(&holder), "{words:?}: {}", ran.err);
    }
    let told = sarsen!("set", path, "a", "1", "--json");
    let told: Value = serde_json::from_str(&told.err).unwrap();
    assert_eq!(
        (&told["error"]["code"], &told["error"]["kind"]),
        (&json!(4), &json!("busy"))
    );
    store.close().unwrap();
    done!("set", path, "a", "1");
}

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let scratch = Scratch::new();
    let path = scratch.store();
    let store = open(&path);
    let mut batch = sarsen::Batch::new();
    for number in 0..20_000u32 {
        batch.set_kv(&number.to_be_bytes(), &[b'v'; 100]).unwrap();
    }
    store.commit(&mut batch, None).unwrap();
    store.close().unwrap();
    for words in [vec!["scan"], vec!["scan", "--json"], vec!["export"]] {
        let mut child = command()
            .arg(words[0])
            .arg(&path)
            .args(&words[1..])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = [0; 10];
        let mut pipe = child.stdout.take().unwrap();
        pipe.read_exact(&mut first).unwrap();
        drop(pipe);
        let ended = child.wait_with_output().unwrap();
        assert_eq!(ended.status.code(), Some(0), "{words:?}");
        assert!(
            ended.stderr.is_empty(),
            "{}",
            String::from_utf8_lossy(&ended.stderr)
        );
    }
}

#[test]
fn output_that_can_not_be_written_is_a_failure() {
    let scratch = Scratch::new();
    let path = scratch.store();
    writer(&path).close().unwrap();
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let ran = command().arg("scan").arg(&path).stdout(full).output().unwrap();
    assert_eq!(ran.status.code(), Some(5));
    assert!(String::from_utf8_lossy(&ran.stderr).contains("cannot write the output"));
}

/// A command that follows, line by line.
struct Following {
    child: Child,
    lines: BufReader<ChildStdout>,
}

impl Following {
    fn start(words: &[&OsStr]) -> Following {
        let mut child = command()
            .args(words)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = BufReader::new(child.stdout.take().unwrap());
        Following { child, lines }
    }

    /// The next line, however long that takes.
    fn line(&mut self) -> String {
        let mut line = String::new();
        self.lines.read_line(&mut line).unwrap();
        line
    }

    /// Interrupts it: what it printed since, its exit code, and its complaints.
    fn interrupt(mut self, name: &str) -> (String, Option<i32>, String) {
        signal(&self.child, name);
        let mut rest = String::new();
        self.lines.read_to_string(&mut rest).unwrap();
        let ended = self.child.wait_with_output().unwrap();
        (
            rest,
            ended.status.code(),
            String::from_utf8(ended.stderr).unwrap(),
        )
    }
}

#[test]
fn a_follower_prints_commits_as_they_come_and_ends_when_it_is_interrupted() {
    let scratch = Scratch::new();
    let path = scratch.store();
    let store = writer(&path);
    for name in ["INT", "TERM"] {
        let seq = store.last_seq();
        let mut log = Following::start(&[OsStr::new("log"), path.as_os_str(), OsStr::new("--follow")]);
        assert!(log.line().starts_with("1\t"));
        while !log.line().starts_with(&format!("{seq}\t")) {}
        let mut batch = sarsen::Batch::new();
        batch.set_kv(b"a", b"1").unwrap();
        batch.delete_kv(b"a").unwrap();
        store.commit(&mut batch, None).unwrap();
        assert_eq!(log.line(), format!("{}\tset\ta\t1\n", seq + 1));
        assert_eq!(log.line(), format!("{}\tdelete\ta\n", seq + 1));
        store.kv_set(b"large", &[b'l'; 100_000]).unwrap();
        let line = log.line();
        assert!(
            line.starts_with(&format!("{}\tset\tlarge\tlll", seq + 2)),
            "{line}"
        );
        assert!(line.ends_with(" … 100000 bytes\n"), "{line}");
        assert_eq!(
            log.interrupt(name),
            (String::new(), Some(0), String::new()),
            "SIG{name}"
        );
    }
}

#[test]
fn a_follower_of_what_is_new_leaves_out_what_was_there() {
    let scratch = Scratch::new();
    let path = scratch.store();
    let store = writer(&path);
    let words = ["--follow", "--new", "--json", "--full"].map(OsStr::new);
    let mut line = vec![OsStr::new("log"), path.as_os_str()];
    line.extend(words);
    let mut log = Following::start(&line);
    // Nothing says when it has looked first; what it prints has no gap from then on.
    let mut seqs = Vec::new();
    while seqs.is_empty() {
        store
            .memory_append(7, &sarsen::Tags::of(&["t"]).unwrap(), &[b'm'; 300])
            .unwrap();
        if store.last_seq() >= 3 {
            let told: Value = serde_json::from_str(&next_or_more(&mut log, &store)).unwrap();
            assert_eq!(told["command"], json!("append-memory"));
            assert_eq!((&told["id"], &told["tags"]), (&json!(7), &json!(["t"])));
            assert_eq!(told["data"].as_str().unwrap().len(), 300);
            seqs.push(told["seq"].as_u64().unwrap());
        }
    }
    assert!(seqs[0] > 2, "what was there is not told: {seqs:?}");
    store.kv_delete(b"theme").unwrap();
    let mut told: Value = serde_json::from_str(&log.line()).unwrap();
    while told["command"] == json!("append-memory") {
        told = serde_json::from_str(&log.line()).unwrap();
    }
    assert_eq!(
        (&told["command"], &told["key"]),
        (&json!("delete"), &json!("theme"))
    );
    assert_eq!(told["seq"], json!(store.last_seq()));
    let (rest, code, _) = log.interrupt("INT");
    assert_eq!((rest.as_str(), code), ("", Some(0)));
}

/// Commits until the follower, which looks first at some moment, has a line.
fn next_or_more(log: &mut Following, store: &Store) -> String {
    std::thread::scope(|scope| {
        let (ended, ends) = std::sync::mpsc::channel::<()>();
        scope.spawn(move || {
            let wait = std::time::Duration::from_millis(20);
            while ends.recv_timeout(wait) == Err(std::sync::mpsc::RecvTimeoutError::Timeout) {
                store
                    .memory_append(7, &sarsen::Tags::of(&["t"]).unwrap(), &[b'm'; 300])
                    .unwrap();
            }
        });
        let line = log.line();
        drop(ended);
        line
    })
}

#[test]
fn a_follower_goes_on_over_writers_that_come_and_go() {
    let scratch = Scratch::new();
    let path = scratch.store();
    writer(&path).close().unwrap();
    let words = ["log", "--follow", "--from", "3"].map(OsStr::new);
    let mut log = Following::start(&[words[0], path.as_os_str(), words[1], words[2], words[3]]);
    for round in 0..5 {
        done!("set", path, "round", round.to_string());
        assert_eq!(log.line(), format!("{}\tset\tround\t{round}\n", round + 3));
    }
    let (rest, code, complaints) = log.interrupt("INT");
    assert_eq!((rest.as_str(), code, complaints.as_str()), ("", Some(0), ""));
}

#[test]
fn a_follower_lets_go_of_what_it_has_read_and_misses_nothing() {
    let scratch = Scratch::new();
    let path = scratch.store();
    let store = writer(&path);
    let mut log = Following::start(&[OsStr::new("log"), path.as_os_str(), OsStr::new("--follow")]);
    assert_eq!(log.line(), "1\tset\ttheme\tdark\n");
    assert!(log.line().starts_with("2\t"));
    let mut seq = 2;
    let mut most_held = 0;
    // It opens the store anew at some moment: then the files of before can go.
    for round in 0..10_000u32 {
        for _ in 0..200 {
            store.kv_set(b"again", &[round as u8; 1_000]).unwrap();
            seq += 1;
            assert!(log.line().starts_with(&format!("{seq}\tset\tagain\t")));
        }
        store.checkpoint().unwrap();
        while store.maintain(std::time::Duration::from_millis(50)).unwrap() {}
        let held = store.anatomy().unwrap().segments.len();
        if held < most_held {
            break;
        }
        most_held = held;
    }
    assert!(most_held > 2, "until then they are kept: {most_held}");
    let held = store.anatomy().unwrap().segments.len();
    assert!(held < most_held, "they were let go: {held} of {most_held}");
    let (rest, code, complaints) = log.interrupt("INT");
    assert_eq!((rest.as_str(), code, complaints.as_str()), ("", Some(0), ""));
}

#[test]
fn a_follower_that_was_killed_leaves_nothing_that_a_writer_waits_for() {
    let scratch = Scratch::new();
    let path = scratch.store();
    let store = writer(&path);
    let mut log = Following::start(&[OsStr::new("log"), path.as_os_str(), OsStr::new("--follow")]);
    assert_eq!(log.line(), "1\tset\ttheme\tdark\n");
    signal(&log.child, "STOP");
    let segments = |value: u8| {
        for _ in 0..1_000 {
            store.kv_set(b"again", &[value; 1_000]).unwrap();
        }
        store.compact().unwrap();
        while store.maintain(std::time::Duration::from_millis(50)).unwrap() {}
        store.anatomy().unwrap().segments.len()
    };
    let held = segments(1);
    assert!(held > 3, "a reader keeps the files that it may read: {held}");
    signal(&log.child, "KILL");
    log.child.wait().unwrap();
    let left = segments(2);
    assert!(left < 3, "the log was let go: {left}");
    assert_eq!(store.verify(), Ok(Vec::new()));
}

#[test]
fn a_tail_that_follows_prints_records_as_they_come() {
    let scratch = Scratch::new();
    let path = scratch.store();
    let store = writer(&path);
    store.stream_append(b"events", b"one").unwrap();
    let words = ["stream", "tail", "events", "-f", "-n", "1"].map(OsStr::new);
    let line = [
        words[0],
        words[1],
        path.as_os_str(),
        words[2],
        words[3],
        words[4],
        words[5],
    ];
    let mut tail = Following::start(&line);
    assert_eq!(tail.line(), "1\tone\n");
    for round in 2..5u32 {
        store.kv_set(b"elsewhere", b"").unwrap();
        store
            .stream_append(b"events", format!("{round}").as_bytes())
            .unwrap();
        assert_eq!(tail.line(), format!("{round}\t{round}\n"));
    }
    store.checkpoint().unwrap();
    store.stream_trim(b"events", u64::MAX).unwrap();
    store.stream_append(b"events", b"anew").unwrap();
    assert_eq!(tail.line(), "0\tanew\n");
    let (rest, code, complaints) = tail.interrupt("INT");
    assert_eq!((rest.as_str(), code, complaints.as_str()), ("", Some(0), ""));
}

#[test]
fn log_that_a_program_keeps_is_left_to_it() {
    let scratch = Scratch::new();
    let path = scratch.store();
    let keeps = Options {
        log_retention_bytes: 1 << 20,
        ..by_hand()
    };
    let store = Store::open(&path, &keeps).unwrap();
    store.kv_set(b"a", b"1").unwrap();
    store.close().unwrap();
    for round in 0..6 {
        done!("set", path, "b", round.to_string());
    }
    done!("compact", path);
    let seqs = |ran: &support::Ran| {
        let lines = ran.text().lines();
        lines
            .map(|line| line.split('\t').next().unwrap().to_owned())
            .collect::<Vec<_>>()
    };
    assert_eq!(seqs(&done!("log", path)), ["1", "2", "3", "4", "5", "6", "7"]);
    done!("set", path, "--keep-log", "0", "b", "last");
    let ran = done!("log", path);
    assert_eq!(ran.text(), "");
    assert!(
        ran.err.contains("the log is empty: the commits up to 8"),
        "{}",
        ran.err
    );
    let ran = sarsen!("log", path, "--from", "7");
    assert_eq!(ran.code, 1);
    assert!(ran.err.contains("begins at commit 9"), "{}", ran.err);
}
