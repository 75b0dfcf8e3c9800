//! What a reader of the command line's sources may rely on, and what the library's user may: none of its dependencies gets
//! into the library.

#![expect(clippy::unwrap_used, reason = "in a test a panic is the report")]

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

const MOST_LINES: usize = 500;

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

#[test]
fn files_stay_short_say_what_they_are_for_and_leave_nothing_undone() {
    let mut found = Vec::new();
    for directory in ["src", "tests"] {
        sources(&Path::new(env!("CARGO_MANIFEST_DIR")).join(directory), &mut found);
    }
    assert!(found.len() > 20, "only {} files", found.len());
    for path in found {
        let text = fs::read_to_string(&path).unwrap();
        let lines = text.lines().count();
        assert!(lines <= MOST_LINES, "{} has {lines} lines", path.display());
        assert!(
            text.starts_with("//!"),
            "{} does not say what it is for",
            path.display()
        );
        for mark in ["todo", "unimplemented", "dbg"] {
            assert!(
                !text.contains(&format!("{mark}!(")),
                "{} has {mark}!",
                path.display()
            );
        }
    }
}

/// Names of the crates that a package is built from.
fn built_from(package: &str) -> Vec<String> {
    let cargo = std::env::var("CARGO").unwrap();
    let tree = Command::new(cargo)
        .args([
            "tree",
            "--locked",
            "--offline",
            "--prefix",
            "none",
            "--format",
            "{p}",
            "-p",
            package,
        ])
        .args(["-e", "normal,build"])
        .current_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join(".."))
        .output()
        .unwrap();
    assert!(tree.status.success(), "{}", String::from_utf8_lossy(&tree.stderr));
    let text = String::from_utf8(tree.stdout).unwrap();
    text.lines()
        .filter_map(|line| line.split(' ').next())
        .map(str::to_owned)
        .collect()
}

#[test]
fn the_library_is_built_without_the_command_lines_dependencies() {
    let (library, cli) = (built_from("sarsen"), built_from("sarsen-cli"));
    for own in ["clap", "clap_complete", "clap_mangen", "indicatif", "signal-hook"] {
        assert!(cli.iter().any(|name| name == own), "{own} is looked for in vain");
        assert!(
            !library.iter().any(|name| name == own),
            "the library is built from {own}"
        );
    }
}
