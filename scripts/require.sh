#!/bin/sh
# Checks that the tools of `make test` are here, and says in one command how to get those that are not.
#
#   scripts/require.sh             checks; exit status 1 with the command if something is missing
#   scripts/require.sh --packages  prints the Debian packages that are missing, on one line
#
# `make`, `make demo` need cargo and gcc only. The rest is for the tests.
set -eu

packages=""
components=""

has() { command -v "$1" >/dev/null 2>&1; }
package() { packages="$packages $1"; }
component() { components="$components $1"; }

has gcc || package gcc
has g++ || package g++
has make || package make
has cmake || package cmake
has nm || package binutils
has pkg-config || package pkg-config
has strace || package strace
# Without the symbols of libc, valgrind is installed but refuses to start.
has valgrind && valgrind -q true >/dev/null 2>&1 || package "valgrind libc6-dbg"
if has gcc && ! printf '#include <stdlib.h>\nint main(void) { return 0; }\n' |
    gcc -fsyntax-only -x c - >/dev/null 2>&1; then
    package libc6-dev
fi
packages="${packages# }"

if [ "${1:-}" = "--packages" ]; then
    printf '%s\n' "$packages"
    exit 0
fi

status=0
if ! has cargo; then
    echo "missing: cargo. Install Rust (1.89 or newer) as https://www.rust-lang.org/tools/install says." >&2
    status=1
else
    cargo fmt --version >/dev/null 2>&1 || component rustfmt
    cargo clippy --version >/dev/null 2>&1 || component clippy
fi
if [ -n "$components" ]; then
    echo "missing:$components. To install: rustup component add$components" >&2
    status=1
fi
if [ -n "$packages" ]; then
    echo "missing: $packages. To install:" >&2
    echo "    apt-get update && apt-get install -y --no-install-recommends $packages" >&2
    status=1
fi
exit $status
