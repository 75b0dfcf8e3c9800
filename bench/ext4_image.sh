#!/bin/sh
# An ext4 with a journal in a file of its own, mounted through a loop device, for as long as a command runs.
#
#   bench/ext4_image.sh FOLDER MEBIBYTES COMMAND...   runs COMMAND with the mount's path in $EXT4_JOURNAL
#
# Where that can't be done (not root, no loop device, no mkfs.ext4) it says so and runs COMMAND with $EXT4_JOURNAL
# empty.
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

command -v losetup >/dev/null 2>&1 || without "no losetup (package mount)" "$@"

mkdir -p "$folder/mount"
mount=$(realpath "$folder/mount")
image=$folder/ext4.img
device=""
clean() {
    if mountpoint -q "$mount"; then umount "$mount"; fi
    if [ -n "$device" ]; then losetup -d "$device"; fi
    rm -f "$image"
    rmdir "$mount" 2>/dev/null || true
}
trap clean EXIT
trap 'exit 130' INT TERM
# Written once: the image must not be a second file system that allocates while the first is measured.
dd if=/dev/zero of="$image" bs=1M count="$size" status=none
sync "$image"
mkfs.ext4 -q -F -O has_journal -E nodiscard,lazy_itable_init=0,lazy_journal_init=0 "$image"
# Past the page cache of the file system below, where that can be done.
device=$(losetup --find --show --direct-io=on "$image" 2>/dev/null) ||
    device=$(losetup --find --show "$image" 2>/dev/null) || device=""
if [ -z "$device" ] || ! mount "$device" "$mount"; then
    clean
    trap - EXIT
    without "no loop device to mount" "$@"
fi
EXT4_JOURNAL=$mount
export EXT4_JOURNAL
"$@"
