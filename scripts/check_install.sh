#!/bin/sh
# Each way to have sarsen in a program outside of this tree: installed, found by pkg-config and CMake, shared and static;
# as a part of a CMake project; from the tarball; from the Debian packages. Each program is built, looked at and run.
#
#   scripts/check_install.sh LIBRARY-DIRECTORY
set -eu
tree=$(cd "$(dirname "$0")/.." && pwd)
built=$(cd "$1" && pwd)
consumer="$tree/c_tests/install"
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' "$tree/Cargo.toml" | head -n 1)
place=$(mktemp -d "${TMPDIR:-/tmp}/sarsen-install-XXXXXX")
trap 'rm -rf "$place"' EXIT
unset LD_LIBRARY_PATH
cd "$place"
cp "$consumer"/* .

fail() {
    echo "check_install.sh: $*" >&2
    exit 1
}

# needs PROGRAM yes|no: whether it asks the loader for the shared library.
needs() {
    if readelf -d "$1" | grep -q 'NEEDED.*\[libsarsen\.so\.0\]'; then found=yes; else found=no; fi
    [ "$found" = "$2" ] || fail "$1 is linked with the shared library: $found, expected: $2"
}

# works WAY PROGRAM LIBRARY-DIRECTORY: runs it; the directory is where the loader is to look.
works() {
    rm -rf store
    said=$(LD_LIBRARY_PATH="$3" "$2" store) || fail "$1: $2 failed with $?"
    [ "$said" = "$version" ] || fail "$1: $2 said '$said', not $version"
    echo "$1: works"
}

# pc PREFIX-OF-PKGCONFIG OPTION ...: what pkg-config says, from that directory alone.
pc() {
    directory=$1
    shift
    PKG_CONFIG_LIBDIR="$directory" pkg-config "$@" sarsen
}

# Unquoted flags: one word each.
shared_by_pkg_config() {
    g++ -std=c++17 consumer.cpp $(pc "$2/pkgconfig" --cflags --libs) -o by_pkg_config
    needs by_pkg_config yes
    works "$1, pkg-config, shared, C++" ./by_pkg_config "$2"
}

# ---- installed, and moved elsewhere as a whole

DESTDIR="$place/stage" "$tree/scripts/install.sh" install "$built" /opt/sarsen
[ -f stage/opt/sarsen/include/sarsen.hpp ] || fail "DESTDIR is not honoured"
if grep -rlI "$place" stage; then fail "an absolute path was installed"; fi
mv stage/opt/sarsen moved
library="$place/moved/lib"

shared_by_pkg_config installed "$library"
[ "$(pc "$library/pkgconfig" --modversion)" = "$version" ] || fail "pkg-config says another version"
gcc -static consumer.c $(pc "$library/pkgconfig" --cflags --libs --static) -o static_by_pkg_config 2>static.log ||
    { cat static.log >&2; fail "pkg-config --static does not link"; }
needs static_by_pkg_config no
works "installed, pkg-config, static" ./static_by_pkg_config /nowhere

# All that rustc names is in the file, but for what the compiler brings by itself.
printf '' | rustc --crate-type staticlib --print native-static-libs -o "$place/empty.a" - 2>&1 |
    sed -n 's/.*native-static-libs: //p' | tr ' ' '\n' | grep -vxE -- '-lgcc_s|-lc|' | sort -u >named
sed -n 's/^Libs.private: //p' moved/lib/pkgconfig/sarsen.pc | tr ' ' '\n' | sort -u >given
[ -s named ] || fail "rustc names no libraries"
[ -z "$(comm -23 named given)" ] || fail "Libs.private lacks $(comm -23 named given)"

# by_cmake WAY BUILD OPTION ...: both targets, from a project of its own.
by_cmake() {
    way=$1
    build=$2
    shift 2
    cmake -S . -B "$build" "$@" >"$build.log" 2>&1 || { cat "$build.log" >&2; fail "$way: cmake refuses"; }
    cmake --build "$build" >>"$build.log" 2>&1 || { cat "$build.log" >&2; fail "$way: does not build"; }
    needs "$build/shared" yes
    needs "$build/static" no
    works "$way, shared, C++" "$build/shared" ""
    works "$way, static" "$build/static" ""
}
by_cmake "installed, CMake" found -DCMAKE_PREFIX_PATH="$place/moved" -DSARSEN_WANTED="${version%.*}"
if cmake -S . -B other -DCMAKE_PREFIX_PATH="$place/moved" -DSARSEN_WANTED=99.0 >other.log 2>&1; then
    fail "the control: CMake found a version that is not there"
fi

# The control: without what was installed the program must not start, or it was another library all the time.
mv moved/lib/libsarsen.so.0 away
if LD_LIBRARY_PATH="$library" ./by_pkg_config store >control.log 2>&1; then
    fail "the control: the program runs without the installed library"
fi
mv away moved/lib/libsarsen.so.0

"$tree/scripts/install.sh" uninstall "$built" "$place/moved"
[ -z "$(find moved -type f -o -type l)" ] || fail "uninstalling left $(find moved -type f -o -type l)"

# ---- a part of a project

by_cmake "FetchContent" fetched -DSARSEN_SOURCE="$tree" -DSARSEN_LIB_DIR="$built"

# ---- packages

SARSEN_COMPRESSION=1 "$tree/scripts/package.sh" "$built" "$place/packages" >packages.log
tar -xzf packages/sarsen-*.tar.gz
shared_by_pkg_config tarball "$(echo "$place"/sarsen-*-linux-*/lib)"
if command -v dpkg-deb >/dev/null 2>&1; then
    for package in packages/*.deb; do dpkg-deb -x "$package" unpacked; done
    shared_by_pkg_config Debian "$place/unpacked/usr/lib/$(gcc -print-multiarch)"
fi
