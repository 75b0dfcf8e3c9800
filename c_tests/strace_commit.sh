#!/bin/sh
# Counts the system calls of commits.
#
#   strace_commit.sh PROGRAM process   the committing thread makes at most one for 256 KiB appended
#   strace_commit.sh PROGRAM power     about one sync a commit, in the whole process
set -eu
program=$1
level=$2
if ! command -v strace >/dev/null 2>&1 || ! strace -o /dev/null true 2>/dev/null; then
    echo "skipped: no strace, or it may not trace here"
    exit 77
fi
place=$(mktemp -d "${TMPDIR:-/tmp}/sarsen-strace-XXXXXX")
trap 'rm -rf "$place"' EXIT

# Every system call. Without -f only the main thread is traced, the one that commits, and the background thread
# runs as fast as it does untraced. LeakSanitizer can't run under a tracer.
follow=""
[ "$level" = process ] || follow=-f
status=0
ASAN_OPTIONS=detect_leaks=0 strace $follow -o "$place/trace" "$program" "$level" "$place/store" >"$place/told" || status=$?
cat "$place/told"
[ "$status" -eq 0 ] || exit "$status"
read -r _ commits _ appended _ <"$place/told"

# What happened between the marks. A call that was interrupted in the trace is counted where it began.
awk '/sarsen-mark-end/ { inside = 0 } inside && !/ resumed>/ { print } /sarsen-mark-begin/ { inside = 1 }' \
    "$place/trace" >"$place/between"
if ! grep -q sarsen-mark-begin "$place/trace" || ! grep -q sarsen-mark-end "$place/trace"; then
    echo "strace_commit.sh: no marks in the trace" >&2
    exit 1
fi

# by_name FILE: how often each call, in one line.
by_name() {
    sed 's/^[0-9]* *//; s/(.*//' "$1" | sort | uniq -c | sort -rn | awk '{ printf "%s%s %s", sep, $2, $1; sep = ", " }'
}

case $level in
process)
    calls=$(wc -l <"$place/between")
    limit=$((appended / 262144))
    echo "committing thread: $calls system calls for $appended bytes in $commits commits (at most $limit): $(by_name "$place/between")"
    [ "$calls" -le "$limit" ]
    ;;
power)
    grep -E '(^| )(fsync|fdatasync|sync_file_range|msync|sync|syncfs)\(|RWF_D?SYNC' "$place/between" >"$place/syncs" || true
    syncs=$(wc -l <"$place/syncs")
    limit=$((commits + commits / 10))
    echo "$syncs syncs for $commits commits ($commits to $limit): $(by_name "$place/syncs")"
    echo "all: $(by_name "$place/between")"
    # Fewer than one a commit would mean that one was acknowledged without.
    [ "$syncs" -ge "$commits" ] && [ "$syncs" -le "$limit" ]
    ;;
esac
