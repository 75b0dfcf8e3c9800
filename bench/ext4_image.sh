#!/bin/sh
# An ext4 with a journal in a file of its own, mounted through a loop device, for as long as a command runs.
#
#   bench/ext4_image.sh FOLDER MEBIBYTES COMMAND...   runs COMMAND with the mount's path in $EXT4_JOURNAL
#
# Where that can't be done (not root, no loop device, no mkfs.ext4) it says so and runs COMMAND with $EXT4_JOURNAL empty.
set -eu
folder=$1
size=$2
shift 2

without() { # without REASON COMMAND...
    echo "ext4_image.sh: $1; measuring without an ext4 with a journal" >&2
    shift
    EXT4_JOURNAL=""
    export EXT4_JOURNAL
    exec "$@"
}
[ "$(id -u)" -eq 0 ] || without "not root" "$@"
PATH="$PATH:/usr/sbin:/sbin"
command -v mkfs.ext4 >/dev/null 2>&1 || without "no mkfs.ext4 (package e2fsprogs)" "$@"

mkdir -p "$folder/mount"
mount=$(realpath "$folder/mount")
image=$folder/ext4.img
clean() {
    mountpoint -q "$mount" && umount "$mount"
    rm -f "$image"
    rmdir "$folder/mount" 2>/dev/null || true
}
trap clean EXIT
trap 'exit 130' INT TERM
# Allocated at once: the image must not be a second file system that allocates while the first is measured.
fallocate -l "${size}M" "$image"
mkfs.ext4 -q -F -O has_journal -E lazy_itable_init=0,lazy_journal_init=0 "$image"
if ! mount -o loop "$image" "$mount" 2>/dev/null; then
    clean
    trap - EXIT
    without "no loop device" "$@"
fi
EXT4_JOURNAL=$mount
export EXT4_JOURNAL
"$@"
