#!/bin/sh
# Installs what scripts/require.sh misses, and nothing if nothing is missing. As root or with sudo.
set -eu
cd "$(dirname "$0")/.."

packages=$(scripts/require.sh --packages)
if [ -n "$packages" ]; then
    as_root=""
    if [ "$(id -u)" -ne 0 ]; then
        if ! command -v sudo >/dev/null 2>&1; then
            echo "install_tools.sh: not root and no sudo; install as root: $packages" >&2
            exit 1
        fi
        as_root="sudo"
    fi
    $as_root apt-get update
    # Unquoted: one word a package.
    $as_root env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends $packages
fi

if command -v rustup >/dev/null 2>&1; then
    cargo fmt --version >/dev/null 2>&1 || rustup component add rustfmt
    cargo clippy --version >/dev/null 2>&1 || rustup component add clippy
fi
scripts/require.sh
