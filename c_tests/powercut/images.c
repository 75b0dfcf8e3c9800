/* Images of the disk at a moment in its log: what was flushed, and of the rest some. A disk promises nothing about what
 * was written after the last flush but that each sector of 512 bytes holds one of the versions written to it. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include "powercut.h"

enum { SECTOR = 512 };

/* File systems rely on their superblocks being written whole, with the block of 4 KiB around them, and don't mount
 * otherwise: they are under a checksum, and btrfs and ext4 write them past any log. */
enum { SUPERBLOCK = 4096 };
static const uint64_t btrfs_superblocks[] = {UINT64_C(64) << 10, UINT64_C(64) << 20};

static int open_image(const char *path)
{
    int file = open(path, O_RDWR | O_CLOEXEC);
    must(file >= 0, path);
    return file;
}

void clone_file(const char *from, const char *to)
{
    int in = open(from, O_RDONLY | O_CLOEXEC);
    int out = open(to, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    must(in >= 0 && out >= 0 && ioctl(out, FICLONE, in) == 0, to);
    close(in);
    close(out);
}

/* To another file system; holes stay holes. */
void copy_file(const char *from, const char *to)
{
    static uint8_t bytes[1 << 20];
    struct stat info;
    int in = open(from, O_RDONLY | O_CLOEXEC);
    int out = open(to, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    must(in >= 0 && out >= 0 && fstat(in, &info) == 0 && ftruncate(out, info.st_size) == 0, to);
    off_t at = 0;
    while ((at = lseek(in, at, SEEK_DATA)) >= 0) {
        ssize_t got = pread(in, bytes, sizeof bytes, at);
        must(got > 0 && pwrite(out, bytes, (size_t)got, at) == got, to);
        at += got;
    }
    close(in);
    must(close(out) == 0, to);
}

static void write_entry(const struct powercut *run, int image, const struct log_entry *entry, uint64_t from, uint64_t len)
{
    const uint8_t *data = run->disk.data + entry->data + from;
    must(pwrite(image, data, (size_t)len, (off_t)(entry->offset + from)) == (ssize_t)len, "writing an image");
}

void image_advance(const struct powercut *run, const char *path, uint64_t *at, uint64_t position)
{
    int image = open_image(path);
    for (; *at < position; ++*at) {
        const struct log_entry *entry = &run->disk.entries[*at];
        if (!entry->flush) write_entry(run, image, entry, 0, entry->len);
    }
    close(image);
}

static bool is_superblock(const struct powercut *run, uint64_t offset)
{
    if (run->kind == DISK_EXT4) return offset < SUPERBLOCK;
    for (size_t i = 0; run->kind == DISK_BTRFS && i < sizeof btrfs_superblocks / sizeof btrfs_superblocks[0]; i++)
        if (offset >= btrfs_superblocks[i] && offset < btrfs_superblocks[i] + SUPERBLOCK) return true;
    return false;
}

/* How much is kept: nothing, all, whole writes, or sectors. */
void image_lose(struct powercut *run, const char *path, uint64_t from, uint64_t position)
{
    static const uint64_t percents[] = {5, 50, 95};
    uint64_t way = rng_below(&run->rng, 6);
    uint64_t percent = percents[rng_below(&run->rng, 3)];
    int image = open_image(path);
    for (; from < position; from++) {
        const struct log_entry *entry = &run->disk.entries[from];
        if (entry->flush) continue; /* only a disk that ignores them has any here */
        if (way == 0 || (way < 4 && way > 1 && rng_below(&run->rng, 100) >= percent)) {
            run->stats.dropped_bytes += entry->len;
            continue;
        }
        if (way < 4) {
            write_entry(run, image, entry, 0, entry->len);
            continue;
        }
        for (uint64_t done = 0; done < entry->len;) {
            uint64_t unit = is_superblock(run, entry->offset + done) ? SUPERBLOCK : SECTOR;
            if (unit > entry->len - done) unit = entry->len - done;
            if (rng_below(&run->rng, 100) < percent)
                write_entry(run, image, entry, done, unit);
            else
                run->stats.dropped_bytes += unit;
            done += unit;
        }
    }
    close(image);
}
