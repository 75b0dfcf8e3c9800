#!/bin/sh
# Compiles and runs the code of docs/cpp.md: each "cpp program" block as it stands, and the "cpp" blocks in order, each
# in a function with an open `store` and a `directory` of its own.
#
#   scripts/check_cpp_docs.sh LIBRARY-DIRECTORY
set -eu
cd "$(dirname "$0")/.."
built=$1
page=docs/cpp.md
place=$(mktemp -d "${TMPDIR:-/tmp}/sarsen-docs-XXXXXX")
trap 'rm -rf "$place"' EXIT

awk -v place="$place" '
    /^```cpp program$/ { file = place "/program" ++programs ".cpp"; next }
    /^```cpp$/ {
        file = place "/pieces.cpp"
        printf "static void piece%d(sarsen::store &store, const std::string &directory) {\n", ++pieces >>file
        printf "static_cast<void>(store), static_cast<void>(directory);\n#line %d \"docs/cpp.md\"\n", NR + 1 >>file
        piece = 1
        next
    }
    /^```$/ && file { if (piece) print "}" >>file; file = ""; piece = 0; next }
    file { print >>file }
    END {
        file = place "/pieces.cpp"
        print "int main(int, char **argv) {" >>file
        for (i = 1; i <= pieces; i++) {
            printf "{ std::string directory = std::string(argv[1]) + \"/%d\"; std::filesystem::create_directories(directory);\n", i >>file
            printf "sarsen::store store = sarsen::store::open(directory + \"/store\"); piece%d(store, directory); }\n", i >>file
        }
        printf "std::printf(\"%%d pieces of docs/cpp.md hold\\n\", %d); }\n", pieces >>file
    }' "$page"
{
    printf '#include <cassert>\n#include <chrono>\n#include <cstdio>\n#include <filesystem>\n#include <string>\n#include <vector>\n'
    printf '#include <sarsen.hpp>\n'
    cat "$place/pieces.cpp"
} >"$place/pieces_whole.cpp"
rm "$place/pieces.cpp"
if [ "$(grep -c '^```cpp' "$page")" -ne "$(($(grep -c '^static void piece' "$place/pieces_whole.cpp") + $(ls "$place" | grep -c program)))" ]; then
    echo "check_cpp_docs.sh: a block of $page was not taken" >&2
    exit 1
fi

# run SOURCE: it must compile without a warning, and end well.
run() {
    # The asserts are the checks: NDEBUG must not be set.
    ${CXX:-g++} -std=c++17 -UNDEBUG -Wall -Wextra -Wpedantic -Werror -Iinclude "$1" "$built/libsarsen.a" \
        -lpthread -ldl -lm -o "$place/program" &&
        mkdir -p "$place/run" && "$place/program" "$place/run" && rm -rf "$place/run"
}
for source in "$place"/*.cpp; do
    run "$source" || { echo "check_cpp_docs.sh: $source fails" >&2; exit 1; }
done

# The control: a claim that doesn't hold.
printf '#include <cassert>\nint main() { assert(1 + 1 == 3); }\n' >"$place/control.cpp"
if run "$place/control.cpp" >/dev/null 2>&1; then
    echo "check_cpp_docs.sh: the control ran through" >&2
    exit 1
fi
