#!/bin/sh
# Installs with cargo-c, as [package.metadata.capi] in Cargo.toml has it, and builds and runs a C++ program with that.
#
#   scripts/check_cargo_c.sh BUILD-DIRECTORY
set -eu
cd "$(dirname "$0")/.."
if ! cargo cinstall --version >/dev/null 2>&1; then
    echo "skipped: no cargo-c. To install: apt-get install -y libssl-dev libcurl4-openssl-dev pkg-config && cargo install cargo-c"
    exit 0
fi
mkdir -p "$1"
build=$(cd "$1" && pwd)
root="$build/root"
rm -rf "$root" "$build/store"
cargo cinstall --release --locked --target-dir "$build/target" --prefix=/usr --libdir=/usr/lib --destdir="$root"

# cargo-c has its own way to link: what it exports and how it is called must be the same as ever.
nm -D --defined-only "$root/usr/lib/libsarsen.so" | awk '{ print $NF }' | LC_ALL=C sort | diff c_tests/exported_symbols.txt -
readelf -d "$root/usr/lib/libsarsen.so" | grep -q 'SONAME.*\[libsarsen\.so\.0\]'
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
export PKG_CONFIG_LIBDIR="$root/usr/lib/pkgconfig" PKG_CONFIG_SYSROOT_DIR="$root"
[ "$(pkg-config --modversion sarsen)" = "$version" ]
# /usr is left out of the flags otherwise, as it is searched anyway.
export PKG_CONFIG_ALLOW_SYSTEM_CFLAGS=1 PKG_CONFIG_ALLOW_SYSTEM_LIBS=1
${CXX:-g++} -std=c++17 c_tests/install/consumer.cpp $(pkg-config --cflags --libs sarsen) -o "$build/consumer"
[ "$(LD_LIBRARY_PATH="$root/usr/lib" "$build/consumer" "$build/store")" = "$version" ]
echo "cargo-c: works"
