#!/bin/sh
# Fetches what a binding's tests depend on: from the package manager's cache or from the network.
#
#   scripts/fetch.sh WHAT COMMAND...    status 77, and a line that WHAT is skipped, where neither has them; what was
#                                       fetched and is not what the lock file says is a failure
set -u
what=$1
shift
log=$(mktemp)
trap 'rm -f "$log"' EXIT
"$@" >"$log" 2>&1 && exit 0
status=$?
cat "$log" >&2
if grep -qiE 'EINTEGRITY|checksum mismatch|SECURITY ERROR|do not match the hashes|lock file|package-lock' "$log"; then
    exit "$status"
fi
echo "skipped: $what, since what its tests depend on can't be fetched here: $*"
exit 77
