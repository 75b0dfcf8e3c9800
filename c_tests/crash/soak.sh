#!/bin/sh
# Kills many writers: by default 2000, split over one and four threads and both levels, then the control.
# usage: soak.sh BUILD [KILLS]; BUILD is the CMake build directory, or the path of sarsen_crash itself
set -u
. "$(dirname "$0")/../long_run.sh"

build=${1:-build/cmake}
kills=${2:-2000}
binary=$build/c_tests/crash/sarsen_crash
if [ -f "$build" ]; then
    binary=$build
fi
must_be_number "$kills" kills
must_be_built "$binary"

stores=$(mktemp -d "${TMPDIR:-/tmp}/sarsen_soak.XXXXXX") || exit 2
failed=0
each=$(((kills + 3) / 4))
for threads in 1 4; do
    for level in process power; do
        "$binary" --rounds "$each" --threads "$threads" --level "$level" --dir "$stores" || failed=1
    done
done
"$binary" --control ack-early --rounds 200 --threads 2 --dir "$stores" || failed=1

if [ "$failed" -eq 0 ]; then
    rm -rf "$stores"
else
    echo "soak.sh: something failed; what was kept lies in $stores" >&2
fi
exit "$failed"
