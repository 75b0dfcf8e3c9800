#!/bin/sh
# Prints the crates that Cargo.lock names and cargo has unpacked: name, version and directory, with tabs between.
# The demo takes their files in. Run `cargo fetch --locked` first: it unpacks those for other platforms, too.
set -eu
cd "$(dirname "$0")/.."
registries="${CARGO_HOME:-$HOME/.cargo}/registry/src"

crates() {
    awk -F '"' '
        /^\[\[package\]\]/ { name = ""; version = "" }
        /^name = /         { name = $2 }
        /^version = /      { version = $2 }
        /^source = "registry/ { print name "\t" version }
    ' Cargo.lock
}

found=$(crates | while IFS="$(printf '\t')" read -r name version; do
    for registry in "$registries"/*/; do
        directory="$registry$name-$version"
        if [ -d "$directory" ]; then
            printf '%s\t%s\t%s\n' "$name" "$version" "$directory"
            break
        fi
    done
done)

if [ -z "$found" ]; then
    echo "demo_sources.sh: no unpacked crates in $registries; run: cargo fetch --locked" >&2
    exit 1
fi
printf '%s\n' "$found"
