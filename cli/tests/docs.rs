//! docs/cli.md: every command in it is run, in order and in one directory, and prints what the page says.

#![expect(
    clippy::indexing_slicing,
    clippy::unwrap_used,
    reason = "in a test a panic is the report"
)]

#[expect(dead_code, reason = "each test uses a part of it")]
mod support;

use std::{path::Path, process::Command};

use support::Scratch;

/// A command of the page and what stands below it.
struct Shown {
    line: usize,
    command: String,
    prints: Vec<String>,
}

fn shown(page: &str) -> Vec<Shown> {
    let mut all: Vec<Shown> = Vec::new();
    let mut inside = false;
    for (number, line) in page.lines().enumerate() {
        match (inside, line) {
            (false, "```console") => inside = true,
            (true, "```") => inside = false,
            (false, _) => {}
            (true, line) => match line.strip_prefix("$ ") {
                Some(command) => all.push(Shown {
                    line: number + 1,
                    command: command.to_owned(),
                    prints: Vec::new(),
                }),
                None => all.last_mut().unwrap().prints.push(line.to_owned()),
            },
        }
    }
    all
}

/// Whether `line` is what `pattern` says, `...` standing for anything.
fn fits(pattern: &str, line: &str) -> bool {
    let Some((front, rest)) = pattern.split_once("...") else {
        return pattern == line;
    };
    let Some(line) = line.strip_prefix(front) else {
        return false;
    };
    line.char_indices()
        .map(|(place, _)| place)
        .chain([line.len()])
        .any(|place| fits(rest, &line[place..]))
}

/// A line that is `...` alone stands for any number of lines.
fn all_fit(patterns: &[String], lines: &[&str]) -> bool {
    match (patterns.split_first(), lines.split_first()) {
        (None, None) => true,
        (Some((pattern, rest)), _) if pattern == "..." => {
            (0..=lines.len()).any(|skipped| all_fit(rest, &lines[skipped..]))
        }
        (Some((pattern, patterns)), Some((line, lines))) => fits(pattern, line) && all_fit(patterns, lines),
        _ => false,
    }
}

/// What a shell prints for a command of the page, stderr where it comes.
fn printed(directory: &Path, command: &str) -> String {
    let binary = Path::new(env!("CARGO_BIN_EXE_sarsen")).parent().unwrap();
    let path = format!("{}:{}", binary.display(), std::env::var("PATH").unwrap());
    let ran = Command::new("sh")
        .args(["-c", &format!("exec 2>&1\n{command}")])
        .current_dir(directory)
        .env("PATH", path)
        .output()
        .unwrap();
    String::from_utf8(ran.stdout).unwrap()
}

#[test]
fn every_command_of_the_page_prints_what_the_page_says() {
    let scratch = Scratch::new();
    let directory = scratch.path("page");
    std::fs::create_dir(&directory).unwrap();
    let page = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/cli.md")).unwrap();
    let commands = shown(&page);
    assert!(commands.len() > 30, "only {} commands", commands.len());
    for Shown {
        line,
        command,
        prints,
    } in &commands
    {
        let printed = printed(&directory, command);
        // A value without a line end stands on a line of its own in the page.
        let lines: Vec<&str> = printed.lines().collect();
        assert!(
            all_fit(prints, &lines),
            "docs/cli.md, line {line}: {command}\nprints\n{printed}\nand not\n{}",
            prints.join("\n")
        );
    }
    let told: Vec<&str> = page
        .lines()
        .filter(|line| line.starts_with("| "))
        .skip(1)
        .collect();
    for (code, meaning) in told.iter().enumerate() {
        assert!(meaning.starts_with(&format!("| {code} |")), "{meaning}");
    }
    assert_eq!(told.len(), 6);
}

#[test]
fn what_the_page_does_not_say_is_noticed() {
    let of = |lines: &[&str]| lines.iter().map(|line| (*line).to_owned()).collect::<Vec<_>>();
    assert!(all_fit(&of(&["a ... c", "...", "z"]), &["a b c", "x", "y", "z"]));
    assert!(all_fit(&of(&["a...c", "..."]), &["ac"]));
    for (patterns, lines) in [
        (of(&["a"]), vec!["b"]),
        (of(&["a"]), vec!["a", "b"]),
        (of(&["a", "b"]), vec!["a"]),
        (of(&["a...c"]), vec!["a b d"]),
        (of(&["...", "z"]), vec!["x", "y"]),
    ] {
        assert!(!all_fit(&patterns, &lines), "{patterns:?} {lines:?}");
    }
    let scratch = Scratch::new();
    assert_eq!(
        printed(&scratch.path(""), "sarsen get nowhere key; echo $?"),
        "sarsen: nothing is at nowhere\n2\n"
    );
}
