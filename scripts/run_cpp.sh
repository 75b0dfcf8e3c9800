#!/bin/sh
# What a crossing from C++ to C costs: the same work by both, one after the other, five times. FOLDER has libsarsen.a,
# PLACE gets programs and stores.
#
#   scripts/run_cpp.sh bench FOLDER PLACE [COUNT]
set -eu
cd "$(dirname "$0")/.."
[ "${1:-}" = bench ] && [ $# -ge 3 ] || { sed -n '2,5s/^# \{0,1\}//p' "$0"; exit 2; }
library=$2/libsarsen.a
place=$3
count=${4:-100000}

rm -rf "$place"
mkdir -p "$place"
"${CC:-gcc}" -O2 -std=c11 -D_GNU_SOURCE -Iinclude bindings/crossing/crossing.c "$library" -lpthread -ldl -lm -o "$place/c"
"${CXX:-g++}" -O2 -std=c++17 -Iinclude bindings/crossing/crossing.cpp "$library" -lpthread -ldl -lm -o "$place/cpp"
for round in 1 2 3 4 5; do
    for language in c cpp; do
        "$place/$language" "$place/store" "$count" 1000 | tr -d '{}" ' | tr ',:' '\n ' | sed "s/^/$language /"
        rm -rf "$place/store" "$place/store-built"
    done
done >"$place/figures"

# Lines are: language, what, nanoseconds. A put that is built command by command has loaded ones in C to be compared with.
sort -k1,2 -k3n "$place/figures" | awk '
    { n = ++count[$1, $2]; if (n == 3) median[$1, $2] = $3 }
    END {
        printf "%-34s %8s %8s %8s\n", "ns, medians of five", "C", "C++", "times C"
        row("get", "get", "get"); row("scan, a pair", "scan", "scan")
        row("batched put, loaded", "put", "put"); row("batched put, built", "put", "built")
    }
    function row(text, c, cpp) {
        printf "%-34s %8d %8d %8.2f\n", text, median["c", c], median["cpp", cpp], median["cpp", cpp] / median["c", c]
    }'
