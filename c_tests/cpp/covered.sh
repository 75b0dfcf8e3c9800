#!/bin/sh
# Every function of the C API has a counterpart in sarsen.hpp, and the tests call each of them.
#
#   covered.sh SYMBOLS INCLUDE-DIRECTORY OBJECT ...
#
# A function of a header is in an object only where it is used, so what the objects of the tests need of the library is
# what the tests got at through the header; the tests themselves name no function of the C API. The control: with a
# function more in the list, both checks must fail.
set -eu
symbols=$1
include=$2
shift 2
place=$(mktemp -d "${TMPDIR:-/tmp}/sarsen-covered-XXXXXX")
trap 'rm -rf "$place"' EXIT

LC_ALL=C sort "$symbols" >"$place/symbols"
sed 's|//.*||' "$include/sarsen.hpp" "$include"/sarsen/*.hpp | grep -oE '\bsarsen_[a-z0-9_]+\b' | LC_ALL=C sort -u >"$place/named"
nm -u "$@" | awk '/ U sarsen_/ { print $NF }' | LC_ALL=C sort -u >"$place/called"

# missing LIST FOUND: what of LIST is not in FOUND.
missing() { LC_ALL=C comm -23 "$1" "$2"; }

status=0
for found in named called; do
    (cat "$place/symbols" && echo sarsen_no_counterpart) | LC_ALL=C sort >"$place/control"
    if [ "$(missing "$place/control" "$place/$found" | grep -c '^sarsen_no_counterpart$')" -ne 1 ]; then
        echo "covered.sh: the control was not noticed among what is $found" >&2
        status=1
    fi
    if [ -n "$(missing "$place/symbols" "$place/$found")" ]; then
        echo "covered.sh: not $found:" >&2
        missing "$place/symbols" "$place/$found" >&2
        status=1
    fi
done
if grep -nE '\bsarsen_[a-z0-9_]+\(' "$(dirname "$0")"/*.cpp "$(dirname "$0")"/*.hpp >&2; then
    echo "covered.sh: the tests are to reach the C API through sarsen.hpp only" >&2
    status=1
fi
[ "$status" -eq 0 ] && echo "$(wc -l <"$place/symbols") functions of the C API, each with a counterpart that the tests call"
exit "$status"
