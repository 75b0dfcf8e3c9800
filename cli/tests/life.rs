//! The whole life of a store, by the command line alone; and what a new user sees first: help, man pages, completions.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

#[expect(dead_code, reason = "each test uses a part of it")]
mod support;

use std::{collections::BTreeSet, fs, path::Path};

use serde_json::{json, Value};
use support::{contents, Scratch};

#[test]
fn a_store_lives_from_its_first_commit_to_its_rescue() {
    let scratch = Scratch::new();
    let path = scratch.store();
    // Made, filled, looked at.
    done!("set", path, "--create", "--keep-log", "10000000", "theme", "dark");
    for round in 0..30 {
        done!("stream", "append", path, "events", format!("event {round}"), "-q");
        let text = format!("memory {round} ").repeat(200);
        done!(
            "memory",
            "append",
            path,
            round.to_string(),
            text,
            "--tag",
            format!("round:{}", round % 3)
        );
    }
    assert_eq!(
        done!("find", path, "--all", "round:1", "--ids")
            .text()
            .lines()
            .count(),
        10
    );
    let log = done!("log", path, "--json").json();
    let seqs: Vec<u64> = log.iter().map(|line| line["seq"].as_u64().unwrap()).collect();
    assert_eq!(seqs, (1..=61).collect::<Vec<u64>>(), "every commit, once");
    // Grown old: most of it goes, and its space comes back.
    for chunk in (0..27).collect::<Vec<_>>().chunks(9) {
        let ids: Vec<String> = chunk.iter().map(ToString::to_string).collect();
        let mut line = vec!["memory".as_ref(), "delete".as_ref(), path.as_os_str()];
        line.extend(ids.iter().map(std::ffi::OsStr::new));
        assert_eq!(support::run(&line).code, 0);
    }
    done!("stream", "trim", path, "events", "25");
    let told = &done!("compact", path, "--keep-log", "0", "--json").json()[0];
    let (before, after) = (&told["disk_bytes_before"], &told["disk_bytes_after"]);
    assert!(after.as_u64() < before.as_u64(), "{told}");
    let stats = &done!("stats", path, "--json").json()[0];
    assert_eq!(
        (&stats["memory_count"], &stats["stream_record_count"]),
        (&json!(3), &json!(5))
    );
    assert_eq!(stats["last_seq"], json!(65));
    // Copied in both ways, and moved away.
    let (backup, export) = (scratch.path("backup"), scratch.path("export"));
    done!("verify", path);
    done!("backup", path, backup);
    done!("export", path, export);
    let held = contents(&path);
    fs::remove_dir_all(&path).unwrap();
    done!("restore", backup, path);
    assert_eq!(contents(&path), held);
    let imported = scratch.path("imported");
    done!("import", imported, export);
    assert_eq!(contents(&imported), held);
    // Hurt, found out, rescued.
    let runs = fs::read_dir(path.join("index")).unwrap();
    for run in runs {
        fs::write(run.unwrap().path(), b"not a run any more").unwrap();
    }
    assert_eq!(sarsen!("verify", path).code, 3);
    let rescued = scratch.path("rescued");
    assert_eq!(sarsen!("salvage", path, rescued).code, 3);
    done!("import", rescued, export);
    assert_eq!(contents(&rescued), held, "and completed from the export");
    done!("verify", rescued);
}

#[test]
fn the_picture_shows_chunks_runs_and_log() {
    let scratch = Scratch::new();
    let path = scratch.store();
    support::killed(&path, support::fill);
    let ran = done!("info", path);
    let text = ran.text();
    for part in [
        "writer   nobody\n",
        "opening  replayed: 5 commits, ",
        "; nothing was lost\n",
        "commits  last 6, known to be durable 1, in chunks and runs 1, log from 2\n",
        "holds    about 305 pairs, 6 memories, 4 streams with ",
        " small  [#",
        " large  [#",
        "runs, the newest first: 1, ",
        "log: 1, ",
    ] {
        assert!(text.contains(part), "{part} is not in\n{text}");
    }
    let told: &Value = &done!("info", path, "--json").json()[0];
    assert_eq!(told["recovery"]["verdict"], json!("replayed"));
    assert_eq!(told["recovery"]["replayed_commits"], json!(5));
    assert_eq!(
        (&told["last_seq"], &told["checkpoint_seq"]),
        (&json!(6), &json!(1))
    );
    assert!(told["chunks"].as_array().unwrap().len() >= 2, "{told}");
    assert_eq!(told["runs"].as_array().unwrap().len(), 1);
    assert_eq!(told["stats"]["kv_count"], json!(305));
}

#[test]
fn a_measurement_tells_three_rates_and_leaves_nothing_behind() {
    let scratch = Scratch::new();
    let place = scratch.path("");
    let told = &done!("bench", place, "--seconds", "0.1", "--json").json()[0];
    for what in ["floor", "durable_commits", "point_reads"] {
        assert!(told[what]["per_second"].as_f64().unwrap() > 1.0, "{told}");
        assert!(
            told[what]["p99_us"].as_f64() >= told[what]["p50_us"].as_f64(),
            "{told}"
        );
    }
    assert_eq!(fs::read_dir(&place).unwrap().count(), 0);
    for seconds in ["0", "-1", "nan", "1e9"] {
        assert_eq!(
            sarsen!("bench", place, format!("--seconds={seconds}")).code,
            2,
            "{seconds}"
        );
    }
    assert_eq!(sarsen!("bench", scratch.path("nowhere")).code, 2);
}

/// The names of all commands, by what help lists.
fn listed(words: &[&str]) -> Vec<String> {
    let mut line: Vec<&std::ffi::OsStr> = words.iter().map(std::ffi::OsStr::new).collect();
    line.push("--help".as_ref());
    let ran = support::run(&line);
    assert_eq!((ran.code, ran.err.as_str()), (0, ""), "help is no failure");
    let text = ran.text().to_owned();
    let commands = text.lines().skip_while(|line| *line != "Commands:").skip(1);
    commands
        .take_while(|line| !line.is_empty())
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .filter_map(|line| line.split_whitespace().next())
        .filter(|name| *name != "help")
        .map(str::to_owned)
        .collect()
}

#[test]
fn every_command_is_explained_by_help_and_has_a_page() {
    let scratch = Scratch::new();
    let pages = scratch.path("man");
    done!("man", "--dir", pages);
    let commands = listed(&[]);
    for name in "info stats get set delete scan stream memory find block log verify salvage backup restore export import \
                 import-ancestral compact bench completions man"
        .split(' ')
    {
        assert!(commands.iter().any(|command| command == name), "{name} is not among {commands:?}");
    }
    let mut wanted = BTreeSet::from(["sarsen.1".to_owned()]);
    for command in &commands {
        wanted.insert(format!("sarsen-{command}.1"));
        for below in listed(&[command]) {
            wanted.insert(format!("sarsen-{command}-{below}.1"));
            listed(&[command, &below]);
            assert_explained(&[command, &below]);
        }
        assert_explained(&[command]);
    }
    let there: BTreeSet<String> = fs::read_dir(&pages)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    assert_eq!(there, wanted);
    let page = done!("man");
    assert!(
        page.text().contains(".TH sarsen 1") && page.text().contains("Exit codes"),
        "{}",
        page.text()
    );
    assert_eq!(
        done!("--version").text(),
        concat!("sarsen ", env!("CARGO_PKG_VERSION"), "\n")
    );
}

/// Every argument and option has words behind it, on its line or on the next one.
fn assert_explained(words: &[&str]) {
    let mut line: Vec<&std::ffi::OsStr> = words.iter().map(std::ffi::OsStr::new).collect();
    line.push("-h".as_ref());
    let ran = support::run(&line);
    let lines: Vec<&str> = ran.text().lines().collect();
    for (number, line) in lines.iter().enumerate() {
        let entry = line.trim_start();
        if !(entry.starts_with('<') || entry.starts_with('[') || entry.starts_with('-')) {
            continue;
        }
        let explained = entry.contains("  ")
            || lines
                .get(number + 1)
                .is_some_and(|next| next.starts_with("          ") && !next.trim().is_empty());
        assert!(explained, "{words:?} does not explain {entry}");
    }
}

#[test]
fn completions_are_made_for_each_shell_and_bash_takes_them() {
    let scratch = Scratch::new();
    for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
        let ran = done!("completions", shell);
        assert!(ran.text().contains("import-ancestral"), "{shell}");
        if shell == "bash" {
            let script = scratch.path("sarsen.bash");
            fs::write(&script, &ran.out).unwrap();
            assert!(bash_takes(&script), "bash does not take what is written for it");
            fs::write(&script, "_sarsen() {").unwrap();
            assert!(!bash_takes(&script), "bash takes anything");
        }
    }
    assert_eq!(sarsen!("completions", "sh").code, 2);
}

fn bash_takes(script: &Path) -> bool {
    let ran = std::process::Command::new("bash").arg("-n").arg(script).output();
    ran.unwrap().status.success()
}

fn files(directory: &Path, found: &mut Vec<String>, root: &Path) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files(&path, found, root);
        } else {
            let below = path.strip_prefix(root).unwrap();
            found.push(below.to_str().unwrap().to_owned());
        }
    }
}

#[test]
fn what_is_installed_is_the_program_its_pages_and_completions_and_all_of_it_can_go() {
    let scratch = Scratch::new();
    let root = scratch.path("root");
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scripts/install_cli.sh");
    let run = |action: &str| {
        let ran = std::process::Command::new(&script)
            .args([action, env!("CARGO_BIN_EXE_sarsen"), "/usr"])
            .env("DESTDIR", &root)
            .status();
        assert!(ran.unwrap().success(), "{action}");
        let mut found = Vec::new();
        files(&root, &mut found, &root);
        found
    };
    let installed = run("install");
    for file in [
        "usr/bin/sarsen",
        "usr/share/man/man1/sarsen.1",
        "usr/share/man/man1/sarsen-stream-append.1",
        "usr/share/bash-completion/completions/sarsen",
        "usr/share/zsh/site-functions/_sarsen",
        "usr/share/fish/vendor_completions.d/sarsen.fish",
    ] {
        assert!(
            installed.iter().any(|there| there == file),
            "{file} is not among {installed:?}"
        );
    }
    let ran = std::process::Command::new(root.join("usr/bin/sarsen"))
        .arg("--version")
        .output();
    assert!(ran.unwrap().status.success());
    assert_eq!(run("uninstall"), Vec::<String>::new());
}
