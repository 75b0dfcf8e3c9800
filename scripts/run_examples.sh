#!/bin/sh
# Runs each example: once in a directory of its own making, and twice in one given, since a store outlives its program.
#
#   scripts/run_examples.sh DIRECTORY-OF-THE-PROGRAMS
set -eu
programs=$(cd "$1" && pwd)
place=$(mktemp -d)
trap 'rm -rf "$place"' EXIT
cd "$place"

run() {
    echo "-- $*"
    "$@"
}

run "$programs/quickstart" # makes notes.sarsen where it is started
run "$programs/quickstart"
for example in save_game follow_log quickstart_cpp; do
    run "$programs/$example"
    run "$programs/$example" "$place/$example"
    run "$programs/$example" "$place/$example"
done
echo "all examples ran and found what they had written"
