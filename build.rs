//! Generates the C header into OUT_DIR and names the shared library. A test compares the header with the
//! committed `include/sarsen.h`, so the build never writes into the source tree.

#![expect(clippy::expect_used, reason = "a build that can't go on says why and stops")]

use std::{env, path::PathBuf};

fn main() {
    println!("cargo:rerun-if-changed=src/ffi");
    println!("cargo:rerun-if-changed=cbindgen.toml");
    println!("cargo:rustc-cdylib-link-arg=-Wl,-soname,libsarsen.so.0");

    let root = PathBuf::from(env::var("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR"));
    let out = PathBuf::from(env::var("OUT_DIR").expect("cargo sets OUT_DIR")).join("sarsen.h");
    let config = cbindgen::Config::from_file(root.join("cbindgen.toml")).expect("cbindgen.toml is readable");
    // The order of the header's sections.
    let sources = [
        "status", "error", "view", "options", "store", "report", "snapshot", "tags", "batch", "block", "kv",
        "stream", "memory", "log",
    ];
    let mut builder = cbindgen::Builder::new().with_config(config);
    for source in sources {
        builder = builder.with_src(root.join("src/ffi").join(source).with_extension("rs"));
    }
    builder
        .generate()
        .expect("the header can be generated")
        .write_to_file(&out);
    println!("cargo:rustc-env=SARSEN_GENERATED_HEADER={}", out.display());
}
