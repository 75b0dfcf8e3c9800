//! What a reader of the tree may rely on: imports go down only, files stay short, unsafe stays where it belongs.

#![expect(clippy::expect_used, reason = "a test that can't go on says why")]

use std::{
    fs,
    path::{Path, PathBuf},
};

const MOST_LINES: usize = 800;

/// Layers and what each may import from the crate.
const ALLOWED: &[(&str, &[&str])] = &[
    ("ffi", &["store", "error", "vfs", "format"]),
    ("store", &["engine", "blocks", "index", "format", "vfs", "error"]),
    ("engine", &["log", "blocks", "index", "vfs", "format", "error"]),
    ("log", &["vfs", "format", "error"]),
    ("blocks", &["vfs", "format", "error"]),
    ("index", &["vfs", "format", "error"]),
    ("vfs", &["error"]),
    ("format", &["error"]),
];

fn sources(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(directory).expect("src can be listed") {
        let path = entry.expect("src can be listed").path();
        if path.is_dir() {
            sources(&path, found);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            found.push(path);
        }
    }
}

fn each(mut check: impl FnMut(&str, &str)) {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut found = Vec::new();
    sources(&root, &mut found);
    assert!(found.len() > 50, "only {} source files", found.len());
    for path in found {
        let text = fs::read_to_string(&path).expect("a source file can be read");
        let name = path.strip_prefix(&root).expect("below src").display().to_string();
        check(&name, &text);
    }
}

/// Names of modules in `crate::name` and in `use crate::{name::..., name, ...}`.
fn imports(text: &str) -> Vec<String> {
    let mut names = Vec::new();
    for (place, _) in text.match_indices("crate::") {
        if text[..place].ends_with("pub(in ") || text[..place].ends_with('$') {
            continue;
        }
        let rest = &text[place + "crate::".len()..];
        if let Some(group) = rest.strip_prefix('{') {
            let mut depth = 0;
            let mut start = true;
            let mut name = String::new();
            for letter in group.chars() {
                match letter {
                    '{' => depth += 1,
                    '}' if depth == 0 => break,
                    '}' => depth -= 1,
                    ',' if depth == 0 => start = true,
                    _ if start && (letter.is_alphanumeric() || letter == '_') => name.push(letter),
                    _ => {
                        if !name.is_empty() {
                            names.push(std::mem::take(&mut name));
                            start = false;
                        }
                    }
                }
            }
        } else {
            names.push(
                rest.chars()
                    .take_while(|letter| letter.is_alphanumeric() || *letter == '_')
                    .collect(),
            );
        }
    }
    names
}

#[test]
fn imports_go_down_only() {
    each(|name, text| {
        let layer = name.split('/').next().expect("a first part");
        let Some((_, allowed)) = ALLOWED.iter().find(|(known, _)| *known == layer) else {
            return;
        };
        for import in imports(text) {
            let is_layer = ALLOWED.iter().any(|(known, _)| *known == import);
            assert!(
                import == layer || !is_layer || allowed.contains(&import.as_str()),
                "src/{name} imports crate::{import}, which lies above it or beside it"
            );
        }
    });
}

#[test]
fn files_stay_short_and_say_what_they_are_for() {
    each(|name, text| {
        let lines = text.lines().count();
        assert!(
            lines <= MOST_LINES,
            "src/{name} has {lines} lines, more than {MOST_LINES}"
        );
        assert!(text.starts_with("//!"), "src/{name} does not say what it is for");
    });
}

#[test]
fn unsafe_stays_in_two_places() {
    each(|name, text| {
        let allowed = name == "vfs/map.rs" || name.starts_with("ffi/");
        let unsafe_code =
            text.contains("unsafe {") || text.contains("unsafe fn") || text.contains("unsafe impl");
        assert!(allowed || !unsafe_code, "src/{name} has unsafe code");
    });
}

#[test]
fn nothing_is_left_undone() {
    each(|name, text| {
        for mark in ["todo", "unimplemented", "dbg"] {
            assert!(!text.contains(&format!("{mark}!(")), "src/{name} has {mark}!");
        }
    });
}

/// The crates that a manifest's library is built from, but for those that only its tests need.
fn dependencies(manifest: &str) -> Vec<&str> {
    let mut names = Vec::new();
    let mut counts = false;
    for line in manifest.lines() {
        if let Some(section) = line.strip_prefix('[') {
            counts = section.ends_with("dependencies]") && !section.ends_with("dev-dependencies]");
        } else if let Some((name, _)) = line.split_once(" = ").filter(|_| counts) {
            names.push(name);
        }
    }
    names.sort_unstable();
    names
}

/// `--locked` refuses to build it otherwise, and nothing that runs each time builds it.
#[test]
fn the_lock_file_of_the_fuzz_targets_knows_what_the_library_is_built_from() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let Ok(lock) = fs::read_to_string(root.join("fuzz/Cargo.lock")) else {
        assert!(!root.join("fuzz").exists(), "fuzz/Cargo.lock can be read");
        return;
    };
    let manifest = fs::read_to_string(root.join("Cargo.toml")).expect("the manifest can be read");
    let locked: Vec<&str> = lock
        .lines()
        .skip_while(|line| *line != "name = \"sarsen\"")
        .skip_while(|line| *line != "dependencies = [")
        .skip(1)
        .take_while(|line| *line != "]")
        .map(|line| line.trim_matches([' ', '"', ',']))
        .collect();
    assert_eq!(
        locked,
        dependencies(&manifest),
        "run: cargo update -w --manifest-path fuzz/Cargo.toml"
    );
}
