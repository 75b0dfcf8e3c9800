#!/bin/sh
# The first C program in README.md is examples/quickstart.c, which is compiled and run. They must be the same.
set -eu
cd "$(dirname "$0")/.."

if [ ! -f README.md ]; then
    echo "check_readme.sh: there is no README.md" >&2
    exit 1
fi
shown=$(mktemp)
trap 'rm -f "$shown"' EXIT
awk '
    inside && /^```/    { exit }
    inside              { print }
    !inside && /^```c[ \t]*$/ { inside = 1 }
' README.md >"$shown"

if [ ! -s "$shown" ]; then
    echo "check_readme.sh: README.md has no \`\`\`c block; it is to show examples/quickstart.c" >&2
    exit 1
fi
if ! diff -u --label "README.md, first C block" --label examples/quickstart.c "$shown" examples/quickstart.c; then
    echo "check_readme.sh: copy examples/quickstart.c into README.md" >&2
    exit 1
fi
lines=$(wc -l <examples/quickstart.c)
if [ "$lines" -gt 30 ]; then
    echo "check_readme.sh: a quick start of $lines lines is none; 30 are enough" >&2
    exit 1
fi
echo "README.md shows examples/quickstart.c as it is"
