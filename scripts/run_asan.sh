#!/bin/sh
# Builds the library and the C contract tests with AddressSanitizer, proves that it is in both, and runs the tests.
#
#   scripts/run_asan.sh BUILD-DIRECTORY JOBS
set -eu
build=$1
jobs=$2
triple=$(rustc -vV | sed -n 's/^host: //p')
rust_build="$build/rust"
library="$rust_build/$triple/release/libsarsen.a"

# The sanitizer is behind an unstable flag; RUSTC_BOOTSTRAP lets the stable compiler take it, for this build only.
# With --target, build scripts and macros stay uninstrumented.
RUSTC_BOOTSTRAP=1 RUSTFLAGS="-Zsanitizer=address" CARGO_PROFILE_RELEASE_STRIP=none CARGO_PROFILE_RELEASE_LTO=off \
    cargo build --release --locked --lib --target "$triple" --target-dir "$rust_build"

symbols="$build/symbols.txt"
nm "$library" 2>/dev/null | grep -E ' U __asan_(report_)?(load|store)' | sort -u >"$symbols" || true
if [ ! -s "$symbols" ]; then
    echo "run_asan.sh: $library checks no load or store: it was built without the sanitizer" >&2
    exit 1
fi
echo "the library calls $(wc -l <"$symbols") of the sanitizer's checks"

# The control: a program that passes a length one too long must be stopped inside the library.
libraries="-lpthread -ldl -lm"
gcc -std=c11 -g -fsanitize=address -Iinclude scripts/asan_control.c "$library" $libraries -o "$build/asan_control"
nm "$build/asan_control" | grep -q __asan_init
if "$build/asan_control" >"$build/asan_control.log" 2>&1; then
    echo "run_asan.sh: the control read beyond its buffer and was not stopped" >&2
    exit 1
fi
grep -q 'AddressSanitizer: heap-buffer-overflow' "$build/asan_control.log"
echo "the control was stopped: $(grep -m 1 -o 'AddressSanitizer: heap-buffer-overflow' "$build/asan_control.log")"

# With the sanitizer in, gcc takes members of std::optional for uninitialized that the plain build knows are not read;
# its manual says to expect that. The plain build has the warning.
cmake -S . -B "$build/cmake" -DCMAKE_BUILD_TYPE=RelWithDebInfo -DSARSEN_LIBRARY="$(pwd)/$library" \
    -DCMAKE_C_FLAGS="-fsanitize=address -fno-omit-frame-pointer" \
    -DCMAKE_CXX_FLAGS="-fsanitize=address -fno-omit-frame-pointer -Wno-maybe-uninitialized"
cmake --build "$build/cmake" --parallel "$jobs"
ctest --test-dir "$build/cmake" -L contract -j "$jobs" --output-on-failure
