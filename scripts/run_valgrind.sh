#!/bin/sh
# Runs the C contract tests under valgrind: CMake puts the emulator in front of every test program. Any error or leak
# fails; so does a run in which valgrind had no say.
#
#   scripts/run_valgrind.sh BUILD-DIRECTORY JOBS
set -eu
build=$1
jobs=$2
valgrind="valgrind;--leak-check=full;--show-leak-kinds=definite,indirect;--errors-for-leak-kinds=definite,indirect"
valgrind="$valgrind;--error-exitcode=99;--child-silent-after-fork=yes"

cmake -S . -B "$build" -DCMAKE_BUILD_TYPE=RelWithDebInfo -DCMAKE_CROSSCOMPILING_EMULATOR="$valgrind"
cmake --build "$build" --parallel "$jobs"
log="$build/valgrind.log"
status=0
ctest --test-dir "$build" -L contract -j "$jobs" --verbose >"$log" 2>&1 || status=$?

summaries=$(grep -c 'ERROR SUMMARY:' "$log" || true)
clean=$(grep -c 'ERROR SUMMARY: 0 errors' "$log" || true)
if [ "$status" -ne 0 ]; then
    grep -v 'ERROR SUMMARY: 0 errors' "$log" | tail -n 200 >&2
    echo "run_valgrind.sh: what failed, in short:" >&2
    grep -E -B 1 'again with:|ERROR SUMMARY: [1-9]|\(Failed\)|\(Timeout\)' "$log" | tail -n 30 >&2 || true
    echo "run_valgrind.sh: failed; the whole log is in $log" >&2
    exit "$status"
fi
if [ "$summaries" -eq 0 ]; then
    echo "run_valgrind.sh: the tests passed, but valgrind was not in front of them; see $log" >&2
    exit 1
fi
grep 'tests passed' "$log"
echo "valgrind: $clean of $summaries runs without errors or leaks"
[ "$clean" -eq "$summaries" ]
