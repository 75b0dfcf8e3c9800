/* A disk that writes down what happens to it: a FUSE file system of our own with one file, `disk.img`, for a loop
 * device. Each write and each flush goes into a log in the order in which the disk got them, so that afterwards the
 * disk can be put together as it may have been at any moment.
 *
 * The log lies in memory that parent, server and writer share; the number of its entries is the disk's clock. Only the
 * server appends. The protocol is spoken directly (linux/fuse.h): no library is needed.
 */
#ifndef SARSEN_LOG_DISK_H
#define SARSEN_LOG_DISK_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

struct log_entry {
    uint64_t offset;
    uint64_t data;  /* place in log_disk.data */
    uint32_t len;
    uint32_t flush; /* 1: everything before it is on the medium */
};

struct log_state {
    uint64_t count; /* atomic: entries */
    uint64_t data_bytes;
    uint32_t full;  /* the log can take no more: the disk answers EIO from then on */
};

struct log_disk {
    struct log_state *state;
    struct log_entry *entries;
    uint8_t *data;
    pid_t server;
    char directory[512];
};

/* Takes address space for the log; memory comes as it is used. */
bool log_disk_new(struct log_disk *disk);
void log_disk_free(struct log_disk *disk);
/* Serves the image, which it writes to, as directory/disk.img. The log starts empty. */
bool log_disk_start(struct log_disk *disk, const char *image, const char *directory);
void log_disk_stop(struct log_disk *disk);
uint64_t log_disk_clock(const struct log_disk *disk);
/* The newest flush before `position`: entries below the answer are on the medium for certain. */
uint64_t log_disk_flushed(const struct log_disk *disk, uint64_t position);

#endif
