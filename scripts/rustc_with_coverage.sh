#!/bin/sh
# What run_fuzz.sh has cargo call in place of rustc: adds coverage for the fuzzer to what is built for the target, which
# says --target, and not to what runs while building. The CRC's own loops get none: they are most of what a decoder
# does, and noting each of their comparisons took half of the time.
name=""
for_target=""
last=""
for argument in "$@"; do
    [ "$last" = --crate-name ] && name=$argument
    [ "$argument" = --target ] && for_target=yes
    last=$argument
done
if [ -z "$for_target" ] || [ -z "$name" ] || [ "$name" = crc32c ]; then
    exec "$@"
fi
exec "$@" -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4 \
    -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table \
    -Cllvm-args=-sanitizer-coverage-trace-compares
