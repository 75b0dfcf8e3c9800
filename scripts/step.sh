#!/bin/sh
# Runs a command as a named step: says when it starts, how it ended and how long it took, and keeps that in a list.
# Status 77 is that of a step that said why it can't run here: it counts as skipped.
#
#   scripts/step.sh LIST NAME COMMAND [ARGUMENT ...]
set -eu
list=$1
name=$2
shift 2
mkdir -p "$(dirname "$list")"

printf '\n==== %s: %s\n' "$name" "$*"
start=$(date +%s)
status=0
"$@" || status=$?
took=$(($(date +%s) - start))
case $status in
0) verdict="ok" ;;
77) verdict="skipped" status=0 ;;
*) verdict="FAILED ($status)" ;;
esac
printf '%-24s %-12s %5d s\n' "$name" "$verdict" "$took" >>"$list"
printf '==== %s: %s in %d s\n' "$name" "$verdict" "$took"
exit "$status"
