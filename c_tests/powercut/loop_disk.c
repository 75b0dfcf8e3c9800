/* Image files with file systems: see loop_disk.h. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include "loop_disk.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/loop.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/wait.h>
#include <unistd.h>

const char *const disk_names[DISK_KINDS] = {"ext4", "xfs", "btrfs", "tmpfs"};
char disk_error[256];

static bool failed(const char *what, const char *on)
{
    int reason = errno;
    snprintf(disk_error, sizeof disk_error, "%s %.150s: %s", what, on, strerror(reason));
    errno = reason;
    return false;
}

/* ---- namespaces ---- */

static void write_text(const char *file, const char *text)
{
    int out = open(file, O_WRONLY | O_CLOEXEC);
    if (out < 0) return;
    if (write(out, text, strlen(text)) < 0) errno = 0; /* mounting will tell */
    close(out);
}

bool disk_private_mounts(void)
{
    if (unshare(CLONE_NEWNS) != 0) {
        char ids[64];
        uid_t user = getuid();
        gid_t group = getgid();
        if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) return failed("a mount namespace", "");
        write_text("/proc/self/setgroups", "deny");
        snprintf(ids, sizeof ids, "0 %u 1", (unsigned)user);
        write_text("/proc/self/uid_map", ids);
        snprintf(ids, sizeof ids, "0 %u 1", (unsigned)group);
        write_text("/proc/self/gid_map", ids);
    }
    return mount("none", "/", "none", MS_REC | MS_PRIVATE, "") == 0 || failed("making mounts private", "");
}

/* ---- programs ---- */

static int run_quietly(const char *const *arguments)
{
    int status = -1;
    pid_t pid = fork();
    if (pid == 0) {
        int nothing = open("/dev/null", O_RDWR);
        dup2(nothing, STDOUT_FILENO);
        dup2(nothing, STDERR_FILENO);
        execvp(arguments[0], (char *const *)(uintptr_t)arguments);
        _exit(127);
    }
    if (pid < 0 || waitpid(pid, &status, 0) != pid || !WIFEXITED(status)) return -1;
    return WEXITSTATUS(status);
}

static bool knows_file_system(const char *name)
{
    char line[128];
    bool known = false;
    FILE *file = fopen("/proc/filesystems", "r");
    while (file != NULL && !known && fgets(line, sizeof line, file) != NULL) {
        char *word = strrchr(line, '\t');
        line[strcspn(line, "\n")] = '\0';
        known = word != NULL && strcmp(word + 1, name) == 0;
    }
    if (file != NULL) fclose(file);
    return known;
}

const char *disk_missing(enum disk_kind kind)
{
    static const char *const programs[][3] = {{"mkfs.ext4", "-V", NULL}, {"mkfs.xfs", "-V", NULL}, {"mkfs.btrfs", "-V", NULL}};
    if (kind == DISK_TMPFS) return NULL;
    if (geteuid() != 0) return "needs root, to mount image files";
    if (access("/dev/loop-control", R_OK | W_OK) != 0) return "needs loop devices (/dev/loop-control)";
    if (run_quietly(programs[kind]) == 127 || !knows_file_system(disk_names[kind]))
        return "needs ext4, XFS and btrfs in the kernel and their mkfs: apt-get install e2fsprogs xfsprogs btrfs-progs";
    return NULL;
}

/* ---- images ---- */

bool disk_make(enum disk_kind kind, const char *image, uint64_t bytes)
{
    /* A size that hosts don't have but tests do. */
    bool small = bytes < UINT64_C(300) << 20;
    const char *ext4[] = {"mkfs.ext4", "-q", "-F", "-E", "nodiscard,lazy_itable_init=0,lazy_journal_init=0", image, NULL};
    const char *xfs[] = {"mkfs.xfs", "-q", "-f", "-K", "-m", "reflink=1", image, small ? "--unsupported" : NULL, NULL};
    const char *btrfs[] = {"mkfs.btrfs", "-q", "-f", "-K", image, NULL};
    const char *const *const programs[] = {ext4, xfs, btrfs};
    int file = open(image, O_RDWR | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
    if (file < 0 || ftruncate(file, (off_t)bytes) != 0) {
        if (file >= 0) close(file);
        return failed("creating", image);
    }
    close(file);
    errno = EINVAL;
    return run_quietly(programs[kind]) == 0 || failed(programs[kind][0], image);
}

bool disk_attach(const char *image, int *out_fd, char *device, size_t cap)
{
    struct loop_config config = {.block_size = 512};
    int control = open("/dev/loop-control", O_RDWR | O_CLOEXEC);
    int backing = open(image, O_RDWR | O_CLOEXEC);
    bool attached = false;
    config.fd = (uint32_t)backing;
    config.info.lo_flags = LO_FLAGS_AUTOCLEAR;
    *out_fd = -1;
    while (control >= 0 && backing >= 0 && !attached) {
        int number = ioctl(control, LOOP_CTL_GET_FREE);
        if (number < 0) break;
        snprintf(device, cap, "/dev/loop%d", number);
        *out_fd = open(device, O_RDWR | O_CLOEXEC);
        if (*out_fd < 0) break;
        attached = ioctl(*out_fd, LOOP_CONFIGURE, &config) == 0;
        if (attached) break;
        int reason = errno;
        close(*out_fd);
        *out_fd = -1;
        errno = reason;
        if (reason != EBUSY) break; /* busy: somebody else got this one */
    }
    int reason = errno;
    if (control >= 0) close(control);
    if (backing >= 0) close(backing);
    errno = reason;
    return attached || failed("attaching to a loop device", image);
}

bool disk_mount(enum disk_kind kind, const char *image, uint64_t bytes, const char *directory)
{
    char device[64], options[64];
    int loop;
    bool good;
    if (kind == DISK_TMPFS) {
        snprintf(options, sizeof options, "size=%llu,mode=0700", (unsigned long long)bytes);
        return mount("sarsen-test", directory, "tmpfs", 0, options) == 0 || failed("mounting tmpfs on", directory);
    }
    if (!disk_attach(image, &loop, device, sizeof device)) return false;
    /* Copies of an image carry the same uuid. */
    good = mount(device, directory, disk_names[kind], 0, kind == DISK_XFS ? "nouuid" : "") == 0;
    if (!good) failed("mounting", image);
    int reason = errno;
    close(loop); /* the mount holds it from here on */
    errno = reason;
    return good;
}

bool disk_unmount(const char *directory)
{
    return umount2(directory, 0) == 0 || failed("unmounting", directory);
}
