#!/bin/sh
# The Node binding, against a static library, with what the lock file names.
#
#   scripts/run_node.sh LIBRARY build
#   scripts/run_node.sh LIBRARY test     builds it and runs the tests
set -eu
cd "$(dirname "$0")/../bindings/node"

library=$1
what=$2
for tool in node npm; do
    if ! command -v $tool >/dev/null 2>&1; then
        echo "skipped: the Node binding, since $tool is missing (node 20 or newer): apt-get install -y nodejs npm"
        exit 77
    fi
done
# Anew only when the lock file has changed.
installed=node_modules/.package-lock.json
if [ ! -e "$installed" ] || [ package-lock.json -nt "$installed" ]; then
    ../../scripts/fetch.sh "the Node binding" npm ci --ignore-scripts --no-audit --no-fund || exit
    touch "$installed"
fi
SARSEN_LIBRARY="$library" CC="${CC:-gcc}" node build.js
[ "$what" = build ] || exec npm test --silent
