#!/bin/sh
# Builds the benchmark: build.sh BUILD LIBSARSEN_SO. Says what is missing, and builds nothing, if anything is.
set -eu
build=$1
library=$(realpath "$2")
cd "$(dirname "$0")/.."

bench/install_peers.sh --check
mkdir -p "$build"
build=$(realpath "$build")
# A folder of its own for cargo: these crates are no part of sarsen.
cargo build --quiet --release --locked --manifest-path bench/rust/Cargo.toml --target-dir "$build/rust"
cmake -S bench -B "$build/cmake" -DSARSEN_LIBRARY="$library" \
    -DPEERS_LIBRARY="$build/rust/release/libbench_peers.so" >"$build/cmake.log"
cmake --build "$build/cmake" --parallel "${JOBS:-2}"
