/* Small disks with a real file system on them, in image files: made with mkfs, attached to a loop device, mounted.
 *
 * Nothing outlives its process: mounts lie in a mount namespace of their own, which goes with the last process in it,
 * and a loop device lets go of its image when it is unmounted (LO_FLAGS_AUTOCLEAR). One thread.
 */
#ifndef SARSEN_LOOP_DISK_H
#define SARSEN_LOOP_DISK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum disk_kind { DISK_EXT4, DISK_XFS, DISK_BTRFS, DISK_TMPFS, DISK_KINDS };

extern const char *const disk_names[DISK_KINDS];

/* Puts this process, and what it forks from now on, into a mount namespace of its own: as root, or in a user namespace,
 * where only tmpfs can be mounted. False where neither is allowed. */
bool disk_private_mounts(void);
/* NULL if image files can be made and mounted here, else one line that says what is missing. */
const char *disk_missing(enum disk_kind kind);
/* These four return false with errno and, in disk_error, what was tried. */
bool disk_make(enum disk_kind kind, const char *image, uint64_t bytes);
/* Of a tmpfs there is no image: `bytes` is its size. */
bool disk_mount(enum disk_kind kind, const char *image, uint64_t bytes, const char *directory);
bool disk_unmount(const char *directory);
bool disk_attach(const char *image, int *out_fd, char *device, size_t cap);

extern char disk_error[256];

#endif
