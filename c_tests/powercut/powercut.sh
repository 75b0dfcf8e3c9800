#!/bin/sh
# Power cuts of real file systems, then the controls, then single failing system calls.
# usage: powercut.sh BUILD [IMAGES]; BUILD is the CMake build directory; IMAGES for each file system and method
set -u
here=$(dirname "$0")
. "$here/../long_run.sh"

build=${1:-build/cmake}
images=${2:-200}
binary=$build/c_tests/powercut/sarsen_powercut
must_be_number "$images" images
must_be_built "$binary"

place=$(mktemp -d "${TMPDIR:-/tmp}/sarsen_powercut.XXXXXX") || exit 2
# What was mounted and attached goes with the process; a failed image is what stays.
clean() {
    rm -rf "$place/host.img" "$place/host" "$place/live" "$place/fuse" "$place/cut" "$place/faults"
    rmdir "$place" 2>/dev/null || echo "powercut.sh: what was kept lies in $place" >&2
}
trap clean EXIT
trap 'exit 130' INT TERM HUP

failed=0
"$binary" --images "$images" --dir "$place" || failed=$?
[ "$failed" -ne 77 ] || exit 0 # it said what is missing
for control in ack-early ignore-flush claim-power; do
    "$binary" --control "$control" --images 200 --dir "$place" || failed=1
done
mkdir -p "$place/faults" && "$here/faults.sh" "$build/c_tests/powercut/powercut_fault" "$place/faults" || failed=1
exit "$failed"
