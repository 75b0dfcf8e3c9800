#!/bin/sh
# Runs the benchmark and reports: run.sh BUILD OPTIONS..., from the repository's root.
#
# The stores go to BUILD/data, on whatever file system that is ('as found'), and the rows that depend on the file
# system also to an ext4 with a journal, if $EXT4_JOURNAL names one (ext4_image.sh sets it).
set -eu
build=$1
shift

set -- --dir "$build/data" ${EXT4_JOURNAL:+--dir "ext4 with a journal=$EXT4_JOURNAL"} \
    --results "$build/results.json" "$@"
status=0
"$build/cmake/sarsen_bench" "$@" || status=$?
[ "$status" -ne 2 ] || exit 2
python3 -B bench/report.py "$build/results.json"
exit "$status"
