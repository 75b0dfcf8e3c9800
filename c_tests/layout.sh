#!/bin/sh
# What a program that was built against the header takes for granted: the size of each public struct, the offset and the
# size of each of its fields, and the value of each constant, on 64-bit Linux.
#
#   layout.sh check HEADER LIST    fails where they differ from the committed list; with its control
#   layout.sh write HEADER LIST    writes that list (`make layout`)
#
# All of it is taken from the header's text, so that nothing can be forgotten.
set -eu
action=$1
header=$2
list=$3
compiler=${CC:-gcc}
place=$(mktemp -d "${TMPDIR:-/tmp}/sarsen-layout-XXXXXX")
trap 'rm -rf "$place"' EXIT

# layout_of HEADER: a program that includes it says its layout.
layout_of() {
    {
        printf '#include "%s"\n#include <stdio.h>\nint main(void) {\n' "$(realpath "$1")"
        sed 's|//.*||' "$1" | awk '
            /^#define SARSEN_[A-Z0-9_]+ [0-9]/ { printf "printf(\"%%s %%llu\\n\", \"%s\", (unsigned long long)%s);\n", $2, $2 }
            /^typedef struct \{/ { inside = 1; count = 0; next }
            inside && /^\}/ {
                name = $2
                sub(/;.*/, "", name)
                printf "printf(\"%%s: %%zu\\n\", \"%s\", sizeof(%s));\n", name, name
                for (i = 0; i < count; i++)
                    printf "printf(\"%%s.%%s: %%zu, %%zu\\n\", \"%s\", \"%s\", offsetof(%s, %s), sizeof(((%s *)0)->%s));\n", \
                        name, field[i], name, field[i], name, field[i]
                inside = 0
                next
            }
            inside && /;/ {
                split($0, part, ";")
                words = split(part[1], word, /[ *]+/)
                field[count++] = word[words]
            }'
        printf 'return 0;\n}\n'
    } >"$place/layout.c"
    "$compiler" -std=c11 -w "$place/layout.c" -o "$place/layout"
    "$place/layout"
}

layout_of "$header" >"$place/found"
structs=$(grep -c '^typedef struct {' "$header")
if [ "$(grep -cE '^[a-z_]+: [0-9]+$' "$place/found")" -ne "$structs" ]; then
    echo "layout.sh: $header has $structs structs, but their layout was not found" >&2
    exit 1
fi

case $action in
write)
    cp "$place/found" "$list"
    ;;
check)
    if [ "$(getconf LONG_BIT)" -ne 64 ]; then
        echo "layout.sh: the list is that of 64 bits"
        exit 77
    fi
    # The control: a field that grew and a constant that changed.
    sed -e 's/^    uint32_t reserved;/    uint64_t reserved;/' -e 's/^#define SARSEN_END 2$/#define SARSEN_END 3/' \
        "$header" >"$place/control.h"
    layout_of "$place/control.h" >"$place/control"
    if [ "$(diff "$place/found" "$place/control" | grep -cE '^> (sarsen_recovery: |SARSEN_END 3$)')" -ne 2 ]; then
        echo "layout.sh: the control was not noticed" >&2
        exit 1
    fi
    if ! diff -u --label "$list" --label "$header" "$list" "$place/found"; then
        echo "layout.sh: programs built against the old header break; see CONTRIBUTING.md, 'When the C API changes'" >&2
        exit 1
    fi
    echo "$structs structs and $(grep -c '^SARSEN_' "$place/found") constants are where they were"
    ;;
*)
    echo "layout.sh: unknown: $action" >&2
    exit 2
    ;;
esac
