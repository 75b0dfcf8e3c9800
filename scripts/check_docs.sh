#!/bin/sh
# Compiles and runs the code of a page in docs/, its asserts being the checks.
#
#   scripts/check_docs.sh LIBRARY-DIRECTORY PAGE
#
# Blocks of C++: each "cpp program" as it stands, and the "cpp" blocks in order, each in a function with an open `store`
# and a `directory` of its own. Of C: the "c" blocks as they stand, in one file, and the "c run" blocks, each in such a
# function.
set -eu
cd "$(dirname "$0")/.."
built=$1
page=$2
place=$(mktemp -d "${TMPDIR:-/tmp}/sarsen-docs-XXXXXX")
trap 'rm -rf "$place"' EXIT

awk -v place="$place" -v page="$page" '
    function line() { printf "#line %d \"%s\"\n", NR + 1, page >>file }
    function begin_piece(head) {
        printf head, ++pieces >>file
        print "(void)store, (void)directory;" >>file
        line()
        piece = 1
    }
    /^```/ && !/^```$/ && !/^```(sh|cmake|c|c run|cpp|cpp program)$/ { printf "unknown: %s\n", $0 >"/dev/stderr"; exit 1 }
    /^```cpp program$/ { file = place "/program" ++programs ".cpp"; line(); next }
    /^```cpp$/ {
        file = place "/pieces.cpp"
        begin_piece("static void piece%d(sarsen::store &store, const std::string &directory) {\n")
        next
    }
    /^```c$/ { file = place "/pieces.c"; line(); next }
    /^```c run$/ {
        file = place "/pieces.c"
        begin_piece("static void piece%d(const sarsen_store *store, const char *directory) {\n")
        next
    }
    /^```$/ && file { if (piece) print "}" >>file; file = ""; piece = 0; next }
    file { print >>file }
    END { print pieces + 0 >place "/count" }' "$page"
pieces=$(cat "$place/count")

if [ -e "$place/pieces.cpp" ]; then
    {
        printf '#include <cassert>\n#include <chrono>\n#include <cstdio>\n#include <filesystem>\n#include <string>\n'
        printf '#include <vector>\n#include <sarsen.hpp>\n'
        cat "$place/pieces.cpp"
        echo 'int main(int, char **argv) {'
        for number in $(seq "$pieces"); do
            echo "{ std::string directory = std::string(argv[1]) + \"/$number\"; std::filesystem::create_directories(directory);"
            echo "sarsen::store store = sarsen::store::open(directory + \"/store\"); piece$number(store, directory); }"
        done
        echo '}'
    } >"$place/whole.cpp"
    rm "$place/pieces.cpp"
fi
if [ -e "$place/pieces.c" ]; then
    {
        printf '#include <assert.h>\n#include <sarsen.h>\n#include <stdbool.h>\n#include <stdio.h>\n#include <stdlib.h>\n'
        printf '#include <string.h>\n#include <sys/stat.h>\n'
        cat "$place/pieces.c"
        echo 'int main(int argc, char **argv) {'
        echo 'assert(argc == 2);'
        for number in $(seq "$pieces"); do
            echo '{ char directory[4096], path[4200]; sarsen_store *store;'
            echo "snprintf(directory, sizeof directory, \"%s/$number\", argv[1]);"
            echo 'if (mkdir(directory, 0700) != 0) return 1;'
            echo 'snprintf(path, sizeof path, "%s/store", directory);'
            echo 'if (sarsen_store_open(path, NULL, &store, NULL) != SARSEN_OK) return 1;'
            echo "piece$number(store, directory);"
            echo 'if (sarsen_store_close(store, NULL) != SARSEN_OK) return 1; }'
        done
        echo '}'
    } >"$place/whole.c"
    rm "$place/pieces.c"
fi

# run SOURCE: it must compile without a warning, and end well. NDEBUG must not be set.
run() {
    case $1 in
    *.cpp) compiler="${CXX:-g++} -std=c++17" ;;
    *) compiler="${CC:-gcc} -std=gnu11" ;;
    esac
    $compiler -UNDEBUG -Wall -Wextra -Wpedantic -Werror -Iinclude "$1" "$built/libsarsen.a" \
        -lpthread -ldl -lm -o "$place/program" &&
        mkdir -p "$place/run" && "$place/program" "$place/run" && rm -rf "$place/run"
}
programs=0
for source in "$place"/*.c "$place"/*.cpp; do
    [ -e "$source" ] || continue
    run "$source" || { echo "check_docs.sh: $page: $source fails" >&2; exit 1; }
    programs=$((programs + 1))
done
if [ "$programs" -eq 0 ]; then
    echo "check_docs.sh: $page has no code" >&2
    exit 1
fi
echo "$page: $pieces pieces hold, in $programs programs"

# The control: a claim that doesn't hold.
printf '#include <assert.h>\nint main(void) { assert(1 + 1 == 3); }\n' >"$place/control.c"
if run "$place/control.c" >/dev/null 2>&1; then
    echo "check_docs.sh: the control ran through" >&2
    exit 1
fi
