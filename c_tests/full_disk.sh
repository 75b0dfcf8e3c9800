#!/bin/sh
# Cycles at the edge of full disks (full_disk.c): 10000 by default, over tmpfs and, as root, ext4, XFS and btrfs.
# usage: full_disk.sh BUILD [CYCLES]; BUILD is the CMake build directory
set -u
. "$(dirname "$0")/long_run.sh"

build=${1:-build/cmake}
cycles=${2:-10000}
binary=$build/c_tests/test_full_disk
must_be_number "$cycles" cycles
must_be_built "$binary"

failed=0
skipped=0
for kind in tmpfs ext4 xfs btrfs; do
    FULL_DISK_CYCLES=$cycles "$binary" "a_full_${kind}_refuses_and_goes_on"
    case $? in
    0) ;;
    77) skipped=$((skipped + 1)) ;;
    *) failed=1 ;;
    esac
done
[ "$skipped" -eq 0 ] || echo "full_disk.sh: $skipped of 4 file systems skipped; all need root and loop devices"
exit "$failed"
