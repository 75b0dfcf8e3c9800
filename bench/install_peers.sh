#!/bin/sh
# What the benchmark needs besides cargo, cmake and g++: the peers, as Debian packages them.
#
#   bench/install_peers.sh          installs what is missing; as root or with sudo
#   bench/install_peers.sh --check  names what is missing in one exact line; status 1 if anything is
#
# redb and fjall come from crates.io with bench/rust.
set -eu

missing=""
header() { # HEADER PACKAGE
    printf '#include <%s>\nint main() {}\n' "$1" | g++ -std=c++17 -fsyntax-only -x c++ - >/dev/null 2>&1 ||
        missing="$missing $2"
}
header lmdb.h liblmdb-dev
header rocksdb/db.h librocksdb-dev
header leveldb/db.h libleveldb-dev
header sqlite3.h libsqlite3-dev
command -v cmake >/dev/null 2>&1 || missing="$missing cmake"
command -v python3 >/dev/null 2>&1 || missing="$missing python3"
missing="${missing# }"

[ -n "$missing" ] || exit 0
if [ "${1:-}" = "--check" ]; then
    echo "the benchmark needs: $missing. To install:" >&2
    echo "    apt-get update && apt-get install -y --no-install-recommends $missing" >&2
    exit 1
fi
# Unquoted: one word a package.
exec "$(dirname "$0")/../scripts/install_packages.sh" $missing
