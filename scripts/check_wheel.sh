#!/bin/sh
# A program outside of the tree, on what a wheel of the Python binding installs in a fresh virtual environment.
#
#   scripts/check_wheel.sh WHEEL PYTHON
set -eu
wheel=$(realpath "$1")
python=$2
place=$(mktemp -d "${TMPDIR:-/tmp}/sarsen-wheel-check-XXXXXX")
trap 'rm -rf "$place"' EXIT
cd "$place"
unset SARSEN_LIBRARY PYTHONPATH LD_LIBRARY_PATH

fail() {
    echo "check_wheel.sh: $*" >&2
    exit 1
}

case $wheel in
*/sarsen-*-py3-none-*linux*_"$(uname -m)".whl) ;;
*) fail "$wheel is not named for this platform" ;;
esac
"$python" -m venv fresh
fresh/bin/pip install --quiet --no-index --no-deps "$wheel"
cat >program.py <<'END'
import sys

import sarsen

with sarsen.open("store") as store:
    with store.batch() as batch:
        batch.set_kv(b"theme", b"dark").append_memory(7, b"They still stand.", ["topic:stones"])
with sarsen.open("store", create=False) as store:
    assert store.kv[b"theme"] == b"dark" and store.memories.find_ids(all=["topic:stones"]).all() == [7]
with open("/proc/self/maps") as maps:
    libraries = {line.split()[-1] for line in maps if "libsarsen" in line}
assert libraries == {sarsen.__file__.replace("__init__.py", "libsarsen.so.0")}, libraries
assert sarsen.__file__.startswith(sys.prefix), sarsen.__file__
print(sarsen.version)
END
said=$(fresh/bin/python -I program.py) || fail "the program failed"
case $wheel in
*/sarsen-"$said"-*) ;;
*) fail "the library says that it is $said" ;;
esac
"$python" -m mypy --strict --cache-dir mypy --python-executable fresh/bin/python program.py >types 2>&1 ||
    { cat types >&2; fail "the wheel's types"; }

# The control: without the library in it there is nothing to be found, and the error says what to do.
rm "$(echo fresh/lib/python3*/site-packages/sarsen/libsarsen.so.0)"
if said=$(fresh/bin/python -I program.py 2>&1); then fail "the program ran without the library of the wheel"; fi
case $said in
*"Set SARSEN_LIBRARY"*) ;;
*"AssertionError: {"*) ;; # the system has a sarsen of its own, and the program noticed
*) fail "without its library: $said" ;;
esac
echo "installed from $(basename "$wheel"): works"
