#!/bin/sh
# One system call of a writer fails, the Nth, for N in a range, and the store is checked afterwards.
# usage: faults.sh PROGRAM DIRECTORY; PROGRAM is powercut_fault (fault.c), DIRECTORY lies on the file system to use
set -u
program=$1
place=$2
if ! command -v strace >/dev/null 2>&1 || ! strace -o /dev/null -e inject=fsync:error=EIO:when=1 true 2>/dev/null; then
    echo "skipped: needs strace that may trace here: apt-get install strace"
    exit 0
fi

runs=0
failed=0
hit=0
# faults CALL ERROR: until N is beyond the calls that the writer makes.
faults() {
    n=1
    before=$hit
    while :; do
        rm -rf "$place/store" "$place/acknowledged" "$place/trace"
        strace -f -o "$place/trace" -e "trace=$1" -e "inject=$1:error=$2:when=$n" \
            "$program" write "$place/store" "$place/acknowledged" 2>"$place/said"
        code=$?
        if ! grep -q INJECTED "$place/trace" && [ "$code" -eq 0 ]; then
            break
        fi
        runs=$((runs + 1))
        hit=$((hit + 1))
        # A store that could not even be created is none; nothing was acknowledged then.
        if [ "$code" -ne 0 ] || ! "$program" check "$place/store" "$place/acknowledged" 2>>"$place/said"; then
            echo "FAILED: $1 number $n with $2 (exit code $code)"
            cat "$place/said"
            failed=1
        fi
        if [ "$n" -lt 40 ]; then n=$((n + 1)); else n=$((n + n / 12)); fi
    done
    echo "faults: $1 with $2: $((hit - before)) runs, the last with number $n, which was never reached"
}

for call in fdatasync fsync; do
    faults $call EIO
    faults $call ENOSPC
done
for error in EIO ENOSPC; do
    faults pwrite64 $error
    faults rename $error
    faults fallocate $error
done
# The control: a loss has to be found.
rm -rf "$place/store" "$place/acknowledged"
"$program" write "$place/store" "$place/acknowledged" && "$program" lie "$place/store" "$place/acknowledged" || failed=1
if "$program" check "$place/store" "$place/acknowledged" 2>/dev/null; then
    echo "FAILED: commits that were never made are not missed"
    failed=1
fi
if [ "$runs" -eq 0 ]; then
    echo "faults.sh: nothing failed, so nothing was tested" >&2
    exit 1
fi
echo "faults: $runs writers with one failed call each, $([ "$failed" -eq 0 ] && echo "nothing lost" || echo FAILURES)"
exit "$failed"
