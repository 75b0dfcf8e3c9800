#!/bin/sh
# Builds the fuzz targets with AddressSanitizer, coverage, overflow checks and debug assertions, proves that they are in,
# and runs one target or all, each for some time or some executions; then prints a table.
#
#   scripts/run_fuzz.sh BUILD-DIRECTORY SECONDS RUNS [TARGET...]
#
# SECONDS and RUNS are budgets of each target; 0 is none. What a run learns goes to BUILD-DIRECTORY/corpus, inputs that
# break something to BUILD-DIRECTORY/findings: fixed, they belong into fuzz/findings.
set -eu
build=$1
seconds=$2
runs=$3
shift 3
triple=$(rustc -vV | sed -n 's/^host: //p')

if ! command -v "${CXX:-g++}" >/dev/null; then
    echo "make fuzz: skipped, a C++ compiler is missing: sudo apt-get install -y g++"
    exit 0
fi
all=$(sed -n 's/^name = "\(.*\)"$/\1/p' fuzz/Cargo.toml | grep -v '^sarsen-fuzz$')
[ $# -gt 0 ] || set -- $all

mkdir -p "$build"
bins=""
for target in "$@"; do bins="$bins --bin $target"; done
# The sanitizers are behind unstable flags; RUSTC_BOOTSTRAP lets the stable compiler take them, for this build only.
# With --target, build scripts and macros stay uninstrumented. With start-stop-gc the linker (GNU's from 2.37 on) leaves
# out the counters of functions that it leaves out: after each input the fuzzer looks through all that are there.
RUSTC_BOOTSTRAP=1 RUSTC_WRAPPER="$(pwd)/scripts/rustc_with_coverage.sh" \
    RUSTFLAGS="--cfg fuzzing -Zsanitizer=address -Ccodegen-units=1 -Clink-arg=-Wl,-z,start-stop-gc" \
    cargo build --release --locked --manifest-path fuzz/Cargo.toml --target "$triple" --target-dir "$build/rust" $bins

# Long inputs only slow down the decoders of what is a few bytes long.
most_bytes() {
    case $1 in
    mark | assigned | block_header | chunk_header | footer | moved | record | steps) echo 512 ;;
    *) echo 4096 ;;
    esac
}

# Memory that was freed is kept from use for as long as 16 MiB more are freed, in place of 256 MiB, which were page faults.
export ASAN_OPTIONS="quarantine_size_mb=16${ASAN_OPTIONS:+:$ASAN_OPTIONS}"

table="$build/table.txt"
printf '%-18s %12s %8s %10s %8s %8s %8s\n' target executions seconds per-second coverage corpus findings >"$table"
status=0
for target in "$@"; do
    program="$build/rust/$triple/release/$target"
    if ! nm "$program" | grep -q __asan_report_load8 || ! nm "$program" | grep -q __sanitizer_cov_8bit_counters_init; then
        echo "run_fuzz.sh: $program was built without the sanitizer or without coverage" >&2
        exit 1
    fi
    corpus="$build/corpus/$target"
    findings="$build/findings/$target"
    log="$build/$target.log"
    mkdir -p "$corpus" "$findings"
    found_before=$(find "$findings" -type f | wc -l)
    echo "fuzzing $target; what it says goes to $log"
    "$program" -max_total_time="$seconds" -runs="$([ "$runs" -gt 0 ] && echo "$runs" || echo -1)" -timeout=20 \
        -rss_limit_mb=2048 -malloc_limit_mb=256 -max_len="${FUZZ_MAX_LEN:-$(most_bytes "$target")}" -print_final_stats=1 \
        -artifact_prefix="$findings/" "$corpus" "fuzz/corpus/$target" >"$log" 2>&1 || status=1
    executions=$(sed -n 's/^stat::number_of_executed_units: *//p' "$log")
    took=$(sed -n 's/^Done [0-9]* runs in \([0-9]*\) second.*/\1/p' "$log")
    rate=$(sed -n 's/^stat::average_exec_per_sec: *//p' "$log")
    coverage=$(sed -n 's/.* cov: \([0-9]*\) .*/\1/p' "$log" | tail -n 1)
    found=$(find "$findings" -type f | wc -l)
    printf '%-18s %12s %8s %10s %8s %8s %8s\n' "$target" "${executions:-?}" "${took:-?}" "${rate:-?}" "${coverage:-?}" \
        "$(find "$corpus" -type f | wc -l)" "$((found - found_before))" >>"$table"
    if [ "$found" -gt "$found_before" ]; then
        grep -m 1 -h -E 'panicked at|ERROR: ' "$log" || true
        grep -m 1 -h -A 1 'panicked at' "$log" | tail -n 1 || true
    fi
done
cat "$table"
exit "$status"
