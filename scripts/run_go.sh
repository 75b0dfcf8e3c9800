#!/bin/sh
# The Go binding, against the library in a build folder.
#
#   scripts/run_go.sh test FOLDER     gofmt, vet, the tests, with the race detector, too; with the static library once
#   scripts/run_go.sh bench FOLDER    what a crossing costs, and raftstore beside raft-boltdb
set -eu
cd "$(dirname "$0")/.."

what=$1
folder=$(cd "$2" && pwd)
for tool in go pkg-config gcc; do
    if ! command -v $tool >/dev/null 2>&1; then
        echo "skipped: the Go binding, since $tool is missing. To install: apt-get install golang-go pkg-config gcc"
        exit 77
    fi
done
for module in . raftstore bench; do
    scripts/fetch.sh "the Go binding" go -C "bindings/go/$module" mod download || exit
done
export PKG_CONFIG_PATH="$PWD/bindings/go/pkgconfig" PKG_CONFIG_SARSEN_TARGET="$folder" CGO_ENABLED=1

if [ "$what" = bench ]; then
    (cd bindings/go/bench && go run .)
    cd bindings/go/raftstore && exec go test -run '^$' -bench . -benchtime 2s
fi

badly_formatted=$(gofmt -l bindings/go)
if [ -n "$badly_formatted" ]; then
    echo "not as gofmt writes it: $badly_formatted" >&2
    exit 1
fi
gcc -std=gnu11 -Wall -Wextra -Wpedantic -Wshadow -Werror -Iinclude -fsyntax-only bindings/go/bridge.h
for module in . raftstore bench; do
    echo "---- $module"
    # -count=1: the library is not among the things that go looks at to see whether a result is still good.
    (cd "bindings/go/$module" && go vet ./... && go test -count=1 ./... && go test -count=1 -race ./...)
done
echo "---- with the static library"
program=$(mktemp -d)
trap 'rm -rf "$program"' EXIT
(cd bindings/go && go test -c -tags sarsen_static -o "$program/test" . && "$program/test" -test.run TheLibrary)
if ldd "$program/test" | grep -q libsarsen; then
    echo "the program with the tag sarsen_static still wants libsarsen.so" >&2
    exit 1
fi
