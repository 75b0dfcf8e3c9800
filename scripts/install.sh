#!/bin/sh
# Installs the built library, or takes it away again.
#
#   scripts/install.sh install|uninstall LIBRARY-DIRECTORY PREFIX [LIBDIR]
#
# LIBRARY-DIRECTORY has libsarsen.so and libsarsen.a; LIBDIR is PREFIX/lib by default. DESTDIR (environment) is put in
# front of every path. What is installed knows no absolute path, so that it may be moved as a whole.
set -eu
cd "$(dirname "$0")/.."
action=$1
built=$2
prefix=${3%/}
libdir=${4:-$prefix/lib}
root=${DESTDIR:-}
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
soname=libsarsen.so.0

library="$root$libdir"
headers="$root$prefix/include"
documents="$root$prefix/share/doc/sarsen"

if [ "$action" = uninstall ]; then
    rm -f "$library/libsarsen.so" "$library/$soname" "$library"/libsarsen.so.[0-9]*.[0-9]*.[0-9]* "$library/libsarsen.a"
    rm -f "$library/pkgconfig/sarsen.pc" "$headers/sarsen.h" "$headers/sarsen.hpp"
    rm -rf "$headers/sarsen" "$library/cmake/sarsen" "$documents"
    exit 0
fi

# fill TEMPLATE: what is installed of it. The way from the file's directory to the prefix is the same wherever it lies.
fill() {
    sed -e "s|@VERSION@|$version|g" -e "s|@LIBDIR@|$(realpath -ms --relative-to="$prefix" "$libdir")|g" \
        -e "s|@PREFIX_FROM_PKGCONFIG@|$(realpath -ms --relative-to="$libdir/pkgconfig" "$prefix")|g" \
        -e "s|@PREFIX_FROM_CMAKE@|$(realpath -ms --relative-to="$libdir/cmake/sarsen" "$prefix")|g" "$1"
}

install -d "$library/pkgconfig" "$library/cmake/sarsen" "$headers/sarsen" "$documents"
install -m 644 "$built/libsarsen.so" "$library/libsarsen.so.$version"
ln -sf "libsarsen.so.$version" "$library/$soname"
ln -sf "$soname" "$library/libsarsen.so"
install -m 644 "$built/libsarsen.a" "$library/libsarsen.a"
install -m 644 include/sarsen.h include/sarsen.hpp "$headers"
install -m 644 include/sarsen/*.hpp "$headers/sarsen"
fill packaging/sarsen.pc.in >"$library/pkgconfig/sarsen.pc"
fill packaging/sarsenConfig.cmake.in >"$library/cmake/sarsen/sarsenConfig.cmake"
fill packaging/sarsenConfigVersion.cmake.in >"$library/cmake/sarsen/sarsenConfigVersion.cmake"
chmod 644 "$library/pkgconfig/sarsen.pc" "$library"/cmake/sarsen/*
install -m 644 LICENSE-MIT LICENSE-APACHE README.md CHANGELOG.md "$documents"
