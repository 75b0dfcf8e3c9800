#!/bin/sh
# The Python binding, against the library in a build folder.
#
#   scripts/run_python.sh test FOLDER     format, lint, types, the tests
#   scripts/run_python.sh wheel FOLDER    a wheel that carries the library, in build/python/wheels, installed elsewhere and run
#   scripts/run_python.sh bench FOLDER    what a crossing costs, and sarsen beside sqlite3 and lmdb
#
# PYTHON names another interpreter than python3. What is needed is installed in a virtual environment in build/python.
set -eu
cd "$(dirname "$0")/.."

what=$1
folder=$(cd "$2" && pwd)
python=${PYTHON:-python3}
if ! command -v "$python" >/dev/null 2>&1 || ! "$python" -c 'import ensurepip, venv' 2>/dev/null; then
    echo "skipped: the Python binding, since $python or its venv is missing. To install: apt-get install python3 python3-venv"
    exit 77
fi
if ! "$python" -c 'import sys; sys.exit(sys.version_info < (3, 9))'; then
    echo "skipped: the Python binding, since it needs Python 3.9 or newer, and this is $("$python" -V)"
    exit 77
fi
export SARSEN_LIBRARY="$folder/libsarsen.so" PIP_DISABLE_PIP_VERSION_CHECK=1
binding="$PWD/bindings/python"
home="$PWD/build/python/$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')"
export PYTHONPYCACHEPREFIX="$home/cache"

# environment NAME REQUIREMENTS: a virtual environment with exactly that, made anew only when that changes.
environment() {
    environment="$home/$1"
    if ! cmp -s "$2" "$environment/requirements.txt"; then
        rm -rf "$environment"
        "$python" -m venv "$environment"
        scripts/fetch.sh "the Python binding" \
            "$environment/bin/pip" install --quiet --require-hashes --only-binary :all: -r "$2" || exit
        cp "$2" "$environment/requirements.txt"
    fi
}

# wheel OUTPUT: a copy of the package with the library in it becomes a wheel; its name.
wheel() {
    stage=$(mktemp -d "${TMPDIR:-/tmp}/sarsen-wheel-XXXXXX")
    mkdir -p "$stage/source/sarsen" "$1"
    cp "$binding/pyproject.toml" "$binding/setup.py" "$binding/README.md" LICENSE-APACHE LICENSE-MIT "$stage/source"
    cp "$binding"/sarsen/*.py "$binding/sarsen/py.typed" "$stage/source/sarsen"
    cp "$folder/libsarsen.so" "$stage/source/sarsen/libsarsen.so.0"
    # The newest symbols that the library asks of glibc say on which systems it runs.
    glibc=$(objdump -T "$folder/libsarsen.so" 2>/dev/null | grep -oE 'GLIBC_[0-9]+\.[0-9]+' | sort -Vu | tail -n 1 || true)
    if [ -n "$glibc" ]; then
        SARSEN_WHEEL_PLATFORM="manylinux_$(echo "${glibc#GLIBC_}" | tr . _)_$(uname -m)"
        export SARSEN_WHEEL_PLATFORM
    fi
    SOURCE_DATE_EPOCH=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 315532800)}
    export SOURCE_DATE_EPOCH
    rm -f "$1"/sarsen-*.whl
    status=0
    "$environment/bin/pip" wheel --quiet --no-index --no-deps --no-build-isolation --wheel-dir "$1" "$stage/source" || status=$?
    rm -rf "$stage"
    [ $status -eq 0 ] || exit $status
    ls "$1"/sarsen-*.whl
}

case $what in
test)
    environment test "$binding/requirements.txt"
    cd "$binding"
    "$environment/bin/ruff" format --no-cache --check .
    "$environment/bin/ruff" check --no-cache --quiet .
    "$environment/bin/mypy" --cache-dir "$home/mypy" sarsen tests
    exec timeout 600 "$environment/bin/python" -m pytest -q # some seconds, if nothing hangs
    ;;
wheel)
    environment test "$binding/requirements.txt"
    wheel=$(wheel "$PWD/build/python/wheels")
    unset SARSEN_LIBRARY PYTHONPATH
    scripts/check_wheel.sh "$wheel" "$environment/bin/python"
    echo "$wheel"
    ;;
bench)
    environment bench "$binding/bench/requirements.txt"
    PYTHONPATH="$binding" exec "$environment/bin/python" "$binding/bench/crossing.py"
    ;;
*)
    echo "run_python.sh: unknown: $what" >&2
    exit 2
    ;;
esac
