/* The disk's server: see log_disk.h. One thread, so the order of the log is the order in which requests were answered. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "log_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/fuse.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ENTRIES = 1 << 20, MOST_WRITE = 1 << 20, REQUEST = MOST_WRITE + 65536, ROOT = FUSE_ROOT_ID, DISK = 2 };
static const uint64_t DATA_BYTES = UINT64_C(2) << 30;

static void *address_space(uint64_t bytes)
{
    void *at = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    return at == MAP_FAILED ? NULL : at;
}

bool log_disk_new(struct log_disk *disk)
{
    memset(disk, 0, sizeof *disk);
    disk->state = address_space(sizeof *disk->state);
    disk->entries = address_space(ENTRIES * sizeof *disk->entries);
    disk->data = address_space(DATA_BYTES);
    return disk->state != NULL && disk->entries != NULL && disk->data != NULL;
}

void log_disk_free(struct log_disk *disk)
{
    if (disk->state != NULL) munmap(disk->state, sizeof *disk->state);
    if (disk->entries != NULL) munmap(disk->entries, ENTRIES * sizeof *disk->entries);
    if (disk->data != NULL) munmap(disk->data, DATA_BYTES);
    memset(disk, 0, sizeof *disk);
}

uint64_t log_disk_clock(const struct log_disk *disk)
{
    return __atomic_load_n(&disk->state->count, __ATOMIC_SEQ_CST);
}

uint64_t log_disk_flushed(const struct log_disk *disk, uint64_t position)
{
    while (position > 0 && !disk->entries[position - 1].flush) position--;
    return position;
}

/* ---- the server ---- */

struct server {
    const struct log_disk *disk;
    int fuse, image;
    uint64_t size;
};

static bool append(const struct server *server, uint64_t offset, const void *data, uint32_t len, bool flush)
{
    struct log_state *state = server->disk->state;
    uint64_t at = state->count;
    if (at == ENTRIES || state->data_bytes + len > DATA_BYTES) {
        state->full = 1;
        return false;
    }
    if (len > 0) memcpy(server->disk->data + state->data_bytes, data, len);
    server->disk->entries[at] =
        (struct log_entry){.offset = offset, .data = state->data_bytes, .len = len, .flush = flush ? 1 : 0};
    state->data_bytes += len;
    __atomic_store_n(&state->count, at + 1, __ATOMIC_SEQ_CST);
    return true;
}

static void reply(const struct server *server, const struct fuse_in_header *in, int error, const void *data, size_t len)
{
    struct fuse_out_header out = {.len = (uint32_t)(sizeof out + (error == 0 ? len : 0)), .error = -error, .unique = in->unique};
    struct iovec parts[2] = {{&out, sizeof out}, {(void *)(uintptr_t)data, len}};
    if (writev(server->fuse, parts, error == 0 && len > 0 ? 2 : 1) < 0 && errno != ENOENT) _exit(3);
}

static struct fuse_attr attributes(const struct server *server, uint64_t node)
{
    bool file = node == DISK;
    return (struct fuse_attr){
        .ino = node,
        .size = file ? server->size : 0,
        .blocks = file ? server->size / 512 : 0,
        .mode = file ? S_IFREG | 0600 : S_IFDIR | 0700,
        .nlink = file ? 1 : 2,
        .blksize = 4096,
    };
}

static void answer_init(const struct server *server, const struct fuse_in_header *in, const struct fuse_init_in *wish)
{
    struct fuse_init_out out = {
        .major = FUSE_KERNEL_VERSION,
        .minor = FUSE_KERNEL_MINOR_VERSION,
        .max_readahead = wish->max_readahead,
        .flags = wish->flags & (FUSE_ASYNC_READ | FUSE_BIG_WRITES | FUSE_MAX_PAGES),
        .max_background = 64,
        .congestion_threshold = 48,
        .max_write = MOST_WRITE,
        .time_gran = 1,
        .max_pages = MOST_WRITE / 4096,
    };
    reply(server, in, 0, &out, sizeof out);
}

static void answer_read(const struct server *server, const struct fuse_in_header *in, const struct fuse_read_in *wish)
{
    static uint8_t bytes[MOST_WRITE];
    size_t len = wish->size < sizeof bytes ? wish->size : sizeof bytes;
    ssize_t got = pread(server->image, bytes, len, (off_t)wish->offset);
    reply(server, in, got < 0 ? errno : 0, bytes, got < 0 ? 0 : (size_t)got);
}

static void answer_write(const struct server *server, const struct fuse_in_header *in, const struct fuse_write_in *wish)
{
    const void *data = wish + 1;
    struct fuse_write_out out = {.size = wish->size};
    if (wish->offset + wish->size > server->size) {
        reply(server, in, EFBIG, NULL, 0);
        return;
    }
    if (pwrite(server->image, data, wish->size, (off_t)wish->offset) != (ssize_t)wish->size ||
        !append(server, wish->offset, data, wish->size, false)) {
        reply(server, in, EIO, NULL, 0);
        return;
    }
    reply(server, in, 0, &out, sizeof out);
}

static void answer(const struct server *server, const struct fuse_in_header *in)
{
    const void *body = in + 1;
    switch (in->opcode) {
    case FUSE_INIT:
        answer_init(server, in, body);
        break;
    case FUSE_LOOKUP: {
        struct fuse_entry_out out = {.nodeid = DISK, .entry_valid = 3600, .attr_valid = 3600, .attr = attributes(server, DISK)};
        reply(server, in, strcmp(body, "disk.img") == 0 ? 0 : ENOENT, &out, sizeof out);
        break;
    }
    case FUSE_GETATTR:
    case FUSE_SETATTR: {
        struct fuse_attr_out out = {.attr_valid = 3600, .attr = attributes(server, in->nodeid)};
        reply(server, in, 0, &out, sizeof out);
        break;
    }
    case FUSE_OPEN: {
        struct fuse_open_out out = {.open_flags = FOPEN_DIRECT_IO}; /* nothing stays behind in a page cache */
        reply(server, in, 0, &out, sizeof out);
        break;
    }
    case FUSE_OPENDIR: {
        struct fuse_open_out out = {.open_flags = 0};
        reply(server, in, 0, &out, sizeof out);
        break;
    }
    case FUSE_READ:
        answer_read(server, in, body);
        break;
    case FUSE_WRITE:
        answer_write(server, in, body);
        break;
    case FUSE_FSYNC:
        reply(server, in, append(server, 0, NULL, 0, true) ? 0 : EIO, NULL, 0);
        break;
    case FUSE_STATFS: {
        struct fuse_statfs_out out = {.st = {.bsize = 4096, .frsize = 4096, .namelen = 255}};
        reply(server, in, 0, &out, sizeof out);
        break;
    }
    case FUSE_FLUSH:
    case FUSE_RELEASE:
    case FUSE_RELEASEDIR:
    case FUSE_ACCESS:
        reply(server, in, 0, NULL, 0);
        break;
    case FUSE_FORGET:
    case FUSE_BATCH_FORGET:
    case FUSE_INTERRUPT:
        break; /* want no answer */
    default:
        reply(server, in, ENOSYS, NULL, 0);
    }
}

_Noreturn static void serve(const struct server *server)
{
    static _Alignas(8) uint8_t request[REQUEST];
    for (;;) {
        ssize_t got = read(server->fuse, request, sizeof request);
        if (got < (ssize_t)sizeof(struct fuse_in_header)) {
            if (got < 0 && (errno == EINTR || errno == ENOENT || errno == EAGAIN)) continue;
            _exit(got < 0 && errno == ENODEV ? 0 : 3); /* unmounted */
        }
        answer(server, (const struct fuse_in_header *)(const void *)request);
    }
}

/* ---- starting and stopping ---- */

bool log_disk_start(struct log_disk *disk, const char *image, const char *directory)
{
    struct stat info;
    char options[96];
    struct server server = {.disk = disk};
    madvise(disk->data, DATA_BYTES, MADV_REMOVE);
    memset(disk->state, 0, sizeof *disk->state);
    snprintf(disk->directory, sizeof disk->directory, "%s", directory);
    server.image = open(image, O_RDWR | O_CLOEXEC);
    server.fuse = open("/dev/fuse", O_RDWR | O_CLOEXEC);
    if (server.image < 0 || server.fuse < 0 || fstat(server.image, &info) != 0) return false;
    server.size = (uint64_t)info.st_size;
    snprintf(options, sizeof options, "fd=%d,rootmode=40000,user_id=0,group_id=0", server.fuse);
    if (mount("sarsen-disk", directory, "fuse.sarsen", MS_NOSUID | MS_NODEV, options) != 0) return false;
    fflush(NULL);
    disk->server = fork();
    if (disk->server == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        serve(&server);
    }
    close(server.image);
    close(server.fuse);
    return disk->server > 0;
}

void log_disk_stop(struct log_disk *disk)
{
    if (disk->server <= 0) return;
    if (umount2(disk->directory, 0) != 0) {
        umount2(disk->directory, MNT_DETACH);
        kill(disk->server, SIGKILL);
    }
    waitpid(disk->server, NULL, 0);
    disk->server = 0;
}
