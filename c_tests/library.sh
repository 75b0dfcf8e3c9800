#!/bin/sh
# Looks at the header and the library as files. Run in c_tests/.
#
#   library.sh declared HEADER        the header declares exactly the functions of exported_symbols.txt
#   library.sh called                 a test program calls each of them
#   library.sh exported LIBRARY       the shared library exports exactly them
#   library.sh soname LIBRARY
#   library.sh size LIBRARY           1.5 MB at most, stripped
#   library.sh empty_store PROGRAM    64 KiB of disk at most
set -eu
place=$(mktemp -d "${TMPDIR:-/tmp}/sarsen-library-XXXXXX")
trap 'rm -rf "$place"' EXIT
golden=exported_symbols.txt

# same WHAT LIST: LIST is the golden one.
same() {
    if ! diff -u --label "$golden" --label "$1" "$golden" "$2"; then
        echo "library.sh: $1 and $golden differ" >&2
        exit 1
    fi
    echo "$1: $(wc -l <"$2") functions, those of $golden"
}

case $1 in
declared)
    # A declaration starts a line; comments name functions, too.
    grep -E '^[a-z][A-Za-z0-9_ *]*[ *]sarsen_[a-z0-9_]+\(' "$2" | grep -oE 'sarsen_[a-z0-9_]+\(' | tr -d '(' |
        LC_ALL=C sort >"$place/list"
    same "$2" "$place/list"
    ;;
called)
    # Comments don't call.
    cat ./*.c | sed 's|//.*||' | awk '{
        line = $0
        while (match(line, /\/\*([^*]|\*[^\/])*\*\//)) line = substr(line, 1, RSTART - 1) substr(line, RSTART + RLENGTH)
        print line
    }' | grep -oE '\bsarsen_[a-z0-9_]+\(' | tr -d '(' | LC_ALL=C sort -u >"$place/all"
    LC_ALL=C comm -12 "$golden" "$place/all" >"$place/list"
    same "what the tests call" "$place/list"
    ;;
exported)
    nm -D --defined-only "$2" | awk '{ print $NF }' | LC_ALL=C sort >"$place/list"
    same "$2" "$place/list"
    ;;
soname)
    readelf -d "$2" >"$place/dynamic"
    if ! grep -q 'SONAME.*\[libsarsen\.so\.0\]' "$place/dynamic"; then
        grep SONAME "$place/dynamic" >&2 || echo "no soname" >&2
        exit 1
    fi
    grep SONAME "$place/dynamic"
    ;;
size)
    strip -o "$place/stripped" "$2"
    bytes=$(wc -c <"$place/stripped")
    echo "$bytes bytes stripped"
    [ "$bytes" -le 1500000 ]
    ;;
empty_store)
    "$2" "$place/store"
    find "$place/store" -printf '%8k KiB on disk %10s bytes  %P\n'
    kib=$(du -sk "$place/store" | cut -f 1)
    echo "$kib KiB"
    [ "$kib" -le 64 ]
    ;;
*)
    echo "library.sh: unknown: $1" >&2
    exit 2
    ;;
esac
