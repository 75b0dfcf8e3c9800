/* The files on disk: listed once, in the order in which they are stored and compared. */
#define _XOPEN_SOURCE 700
#include "demo.h"

#include <dirent.h>
#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

static void *grown(void *items, size_t count, size_t size) {
    if ((count & (count - 1)) != 0) return items; /* room doubles at each power of two */
    void *moved = realloc(items, (count == 0 ? 1 : count * 2) * size);
    if (moved == NULL) fail("out of memory while listing files");
    return moved;
}

static char *copy_of(const char *text) {
    char *copy = strdup(text);
    if (copy == NULL) fail("out of memory while listing files");
    return copy;
}

static char *joined(const char *left, const char *between, const char *right) {
    size_t cap = strlen(left) + strlen(between) + strlen(right) + 1;
    char *text = malloc(cap);
    if (text == NULL) fail("out of memory while listing files");
    snprintf(text, cap, "%s%s%s", left, between, right);
    return text;
}

/* What follows the last dot of the file name, if it is short and plain; tags are for asking, not for keeping. */
static const char *extension_of(const char *path) {
    const char *name = strrchr(path, '/');
    const char *dot = strrchr(name == NULL ? path : name + 1, '.');
    if (dot == NULL || dot[1] == '\0') return "none";
    size_t len = strspn(dot + 1, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_-");
    return dot[1 + len] == '\0' && len <= 64 ? dot + 1 : "none";
}

static void add_files(sources *all, const char *inside) {
    const char *root = all->crates[all->crate_count - 1].directory;
    char *directory = *inside == '\0' ? copy_of(root) : joined(root, "/", inside);
    DIR *listing = opendir(directory);
    if (listing == NULL) fail("%s: %s", directory, strerror(errno));
    struct dirent *entry;
    while ((entry = readdir(listing)) != NULL) {
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        char *path = *inside == '\0' ? copy_of(entry->d_name) : joined(inside, "/", entry->d_name);
        char *full = joined(root, "/", path);
        struct stat status;
        if (lstat(full, &status) != 0) fail("%s: %s", full, strerror(errno));
        free(full);
        if (S_ISDIR(status.st_mode)) add_files(all, path);
        if (!S_ISREG(status.st_mode)) {
            free(path);
            continue;
        }
        all->files = grown(all->files, all->file_count, sizeof *all->files);
        all->files[all->file_count++] = (source_file){.crate = all->crate_count - 1,
                                                      .path = path,
                                                      .ext = extension_of(path),
                                                      .bytes = (uint64_t)status.st_size};
        all->bytes += (uint64_t)status.st_size;
    }
    closedir(listing);
    free(directory);
}

static int by_path(const void *left, const void *right) {
    return strcmp(((const source_file *)left)->path, ((const source_file *)right)->path);
}

void sources_load(sources *all, const char *list) {
    memset(all, 0, sizeof *all);
    FILE *lines = fopen(list, "r");
    if (lines == NULL) fail("%s: %s; scripts/demo_sources.sh writes it", list, strerror(errno));
    char *line = NULL;
    size_t cap = 0;
    while (getline(&line, &cap, lines) > 0) {
        char *rest = NULL;
        const char *name = strtok_r(line, "\t\n", &rest), *version = strtok_r(NULL, "\t\n", &rest);
        const char *directory = strtok_r(NULL, "\t\n", &rest);
        if (directory == NULL) fail("%s: a line is not name, version and directory with tabs between", list);
        all->crates = grown(all->crates, all->crate_count, sizeof *all->crates);
        all->crates[all->crate_count++] = (source_crate){.name = copy_of(name),
                                                         .version = copy_of(version),
                                                         .stream = joined(name, "-", version),
                                                         .directory = copy_of(directory)};
        size_t first = all->file_count;
        add_files(all, "");
        if (all->file_count > first) qsort(all->files + first, all->file_count - first, sizeof *all->files, by_path);
    }
    free(line);
    fclose(lines);
    if (all->file_count < 4 * FILES_A_SYNC) fail("only %zu files to take in: run `cargo fetch` first", all->file_count);
}

void sources_free(sources *all) {
    for (size_t n = 0; n < all->file_count; n++) free(all->files[n].path);
    for (size_t n = 0; n < all->crate_count; n++) {
        free(all->crates[n].name);
        free(all->crates[n].version);
        free(all->crates[n].stream);
        free(all->crates[n].directory);
    }
    free(all->files);
    free(all->crates);
}

void source_read(const sources *all, const source_file *file, file_buffer *into) {
    size_t need = (size_t)file->bytes + 1; /* one more: a file that has grown is noticed */
    if (into->cap < need) {
        into->data = realloc(into->data, need);
        if (into->data == NULL) fail("out of memory while reading a file of %" PRIu64 " bytes", file->bytes);
        into->cap = need;
    }
    char *full = joined(all->crates[file->crate].directory, "/", file->path);
    FILE *stream = fopen(full, "rb");
    if (stream == NULL) fail("%s: %s", full, strerror(errno));
    into->len = fread(into->data, 1, need, stream);
    if (ferror(stream)) fail("%s: can't be read", full);
    fclose(stream);
    if (into->len != file->bytes) fail("%s changed while the demo ran; run it again", full);
    free(full);
}

size_t source_key(const sources *all, const source_file *file, char *key, size_t cap) {
    int len = snprintf(key, cap, "path/%s/%s", all->crates[file->crate].stream, file->path);
    if (len < 0 || (size_t)len >= cap) fail("the path %s is too long", file->path);
    return (size_t)len;
}
