#!/bin/sh
# Installs what scripts/require.sh misses, and nothing if nothing is missing. As root or with sudo.
set -eu
cd "$(dirname "$0")/.."

packages=$(scripts/require.sh --packages)
# Unquoted: one word a package.
[ -z "$packages" ] || scripts/install_packages.sh $packages

if command -v rustup >/dev/null 2>&1; then
    cargo fmt --version >/dev/null 2>&1 || rustup component add rustfmt
    cargo clippy --version >/dev/null 2>&1 || rustup component add clippy
fi
scripts/require.sh
