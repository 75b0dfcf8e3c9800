//! The committed header is what the doc comments in `src/ffi` say.

use std::{env, fs, path::Path};

#[test]
fn the_committed_header_is_the_generated_one() {
    let committed = Path::new(env!("CARGO_MANIFEST_DIR")).join("include/sarsen.h");
    let generated =
        fs::read_to_string(env!("SARSEN_GENERATED_HEADER")).expect("the build generates a header");
    if env::var_os("SARSEN_WRITE_HEADER").is_some() {
        fs::write(&committed, &generated).expect("the header can be written");
    }
    let committed = fs::read_to_string(&committed).expect("include/sarsen.h is there");
    assert!(
        committed == generated,
        "include/sarsen.h is not what src/ffi says; regenerate it with `make header`"
    );
}

#[test]
fn every_exported_function_is_declared() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let header = fs::read_to_string(root.join("include/sarsen.h")).expect("include/sarsen.h is there");
    let symbols = fs::read_to_string(root.join("c_tests/exported_symbols.txt")).expect("the list is there");
    let mut count = 0;
    for symbol in symbols.lines().filter(|line| line.starts_with("sarsen_")) {
        assert!(header.contains(&format!("{symbol}(")), "{symbol} is not declared");
        count += 1;
    }
    assert!(count > 90, "only {count} functions in the list");
}
