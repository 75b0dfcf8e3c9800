#!/bin/sh
# Makes the packages of the built library: a tarball, and for Debian libsarsen0 (the shared library) and libsarsen-dev
# (headers, static library, pkg-config, CMake).
#
#   scripts/package.sh LIBRARY-DIRECTORY OUTPUT-DIRECTORY
#
# SARSEN_COMPRESSION, 1 to 9, says how hard to press. The same input gives the same bytes: times are that of the last
# commit, or SOURCE_DATE_EPOCH.
set -eu
cd "$(dirname "$0")/.."
built=$1
mkdir -p "$2"
output=$(cd "$2" && pwd)
version=$(sed -n 's/^version = "\(.*\)"$/\1/p' Cargo.toml | head -n 1)
description=$(sed -n 's/^description = "\(.*\)"$/\1/p' Cargo.toml)
epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || echo 0)}
export SOURCE_DATE_EPOCH="$epoch"
machine=$(uname -m)
place=$(mktemp -d "${TMPDIR:-/tmp}/sarsen-package-XXXXXX")
trap 'rm -rf "$place"' EXIT
umask 022
compression=${SARSEN_COMPRESSION:-6}

# ---- the tarball

name=sarsen-$version-linux-$machine
scripts/install.sh install "$built" "$place/$name"
tar -C "$place" --sort=name --mtime="@$epoch" --owner=0 --group=0 --numeric-owner -cf "$place/$name.tar" "$name"
gzip "-$compression" -n <"$place/$name.tar" >"$output/$name.tar.gz"
echo "$output/$name.tar.gz"

# ---- Debian

if ! command -v dpkg-deb >/dev/null 2>&1; then
    echo "package.sh: no dpkg-deb here, so no .deb" >&2
    exit 0
fi
architecture=$(dpkg --print-architecture)
multiarch=$(gcc -print-multiarch)
revision=$version-1
DESTDIR="$place/all" scripts/install.sh install "$built" /usr "/usr/lib/$multiarch"
libraries="usr/lib/$multiarch"

# The newest symbols that the library asks of glibc say which one it needs.
glibc=$(objdump -T "$built/libsarsen.so" | grep -oE 'GLIBC_[0-9.]+' | sort -Vu | tail -n 1 | cut -d _ -f 2)

# finish PACKAGE SECTION DEPENDS LINE: control file, copyright and changelog, then the .deb.
finish() {
    root="$place/$1"
    install -d "$root/DEBIAN" "$root/usr/share/doc/$1"
    {
        echo "sarsen ($revision) unstable; urgency=medium"
        printf '\n  * See the changes of %s in CHANGELOG.md.\n\n' "$version"
        echo " -- the sarsen project <sarsen@localhost>  $(LC_ALL=C date -R -u -d "@$epoch")"
    } | gzip -9n >"$root/usr/share/doc/$1/changelog.Debian.gz"
    gzip -9n <CHANGELOG.md >"$root/usr/share/doc/$1/changelog.gz"
    {
        echo "sarsen is licensed under either of these two, at your option."
        printf '\nMIT\n\n' && cat LICENSE-MIT
        printf '\nApache-2.0: on Debian in /usr/share/common-licenses/Apache-2.0\n'
    } >"$root/usr/share/doc/$1/copyright"
    {
        echo "Package: $1"
        echo "Source: sarsen"
        echo "Version: $revision"
        echo "Architecture: $architecture"
        echo "Multi-Arch: same"
        echo "Maintainer: the sarsen project <sarsen@localhost>"
        echo "Section: $2"
        echo "Priority: optional"
        echo "Installed-Size: $(du -sk --apparent-size "$root/usr" | cut -f 1)"
        echo "Depends: $3"
        echo "Description: $4"
        echo " $description."
    } >"$root/DEBIAN/control"
    (cd "$root" && find usr -type f | LC_ALL=C sort | xargs md5sum) >"$root/DEBIAN/md5sums"
    chmod -R u=rwX,go=rX "$root"
    find "$root" -exec touch -hd "@$epoch" {} +
    dpkg-deb --root-owner-group -Zxz -z"$compression" --build "$root" "$output/$1_${revision}_$architecture.deb" >/dev/null
    echo "$output/$1_${revision}_$architecture.deb"
}

install -d "$place/libsarsen0/$libraries" "$place/libsarsen0/DEBIAN"
mv "$place/all/$libraries"/libsarsen.so.* "$place/libsarsen0/$libraries"
echo "libsarsen 0 libsarsen0 (>= $version)" >"$place/libsarsen0/DEBIAN/shlibs"
echo "activate-noawait ldconfig" >"$place/libsarsen0/DEBIAN/triggers"
finish libsarsen0 libs "libc6 (>= $glibc), libgcc-s1" "embedded store (shared library)"

install -d "$place/libsarsen-dev/usr"
rm -rf "$place/all/usr/share"
mv "$place/all/usr/include" "$place/all/usr/lib" "$place/libsarsen-dev/usr"
finish libsarsen-dev libdevel "libsarsen0 (= $revision), libc6-dev" "embedded store (headers and static library)"
