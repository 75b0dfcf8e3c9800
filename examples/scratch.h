/* What the examples share: a directory to work in, and giving up with a message.
 *
 * scratch_open takes the directory named on the command line, or makes a fresh one; scratch_close removes
 * it again if it was made here. Nothing in this file is about sarsen but MUST. Include it first: it asks
 * the system headers for POSIX.
 */
#ifndef EXAMPLES_SCRATCH_H
#define EXAMPLES_SCRATCH_H

#ifndef _XOPEN_SOURCE
#define _XOPEN_SOURCE 700
#endif

#include <ftw.h>
#include <sarsen.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct scratch {
    char directory[4096];
    char store[4128]; /* directory/store: where the example's store goes */
    bool made_here;
} scratch;

/* Ends the example where a result is not what it must be. */
#define EXPECT(condition)                                                                              \
    do {                                                                                               \
        if (!(condition)) {                                                                            \
            fprintf(stderr, "%s:%d: does not hold: %s\n", __FILE__, __LINE__, #condition);             \
            exit(EXIT_FAILURE);                                                                        \
        }                                                                                              \
    } while (0)

/* Ends the example where a call is not answered with OK. `example_error` is what the calls report into. */
#define MUST(call)                                                                                     \
    do {                                                                                               \
        sarsen_status must_status = (call);                                                            \
        if (must_status != SARSEN_OK) {                                                                \
            fprintf(stderr, "%s:%d: %s: %s\n", __FILE__, __LINE__, sarsen_status_name(must_status),    \
                    example_error != NULL ? sarsen_error_message(example_error) : #call);              \
            exit(EXIT_FAILURE);                                                                        \
        }                                                                                              \
    } while (0)

static inline scratch scratch_open(const char *given) {
    scratch place;
    memset(&place, 0, sizeof place);
    if (given != NULL) {
        snprintf(place.directory, sizeof place.directory, "%s", given);
        struct stat status;
        if (mkdir(place.directory, 0700) != 0 && stat(place.directory, &status) != 0) {
            perror(place.directory);
            exit(EXIT_FAILURE);
        }
    } else {
        const char *parent = getenv("TMPDIR");
        snprintf(place.directory, sizeof place.directory, "%s/sarsen-example-XXXXXX", parent ? parent : "/tmp");
        if (mkdtemp(place.directory) == NULL) {
            perror(place.directory);
            exit(EXIT_FAILURE);
        }
        place.made_here = true;
    }
    snprintf(place.store, sizeof place.store, "%s/store", place.directory);
    return place;
}

static inline int scratch_remove_entry(const char *path, const struct stat *status, int kind, struct FTW *where) {
    (void)status, (void)kind, (void)where;
    return remove(path);
}

static inline void scratch_close(const scratch *place) {
    if (place->made_here && nftw(place->directory, scratch_remove_entry, 16, FTW_DEPTH | FTW_PHYS) != 0) {
        perror(place->directory);
        exit(EXIT_FAILURE);
    }
}

#endif
