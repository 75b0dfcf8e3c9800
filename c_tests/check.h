/* What the test programs share: checks that print where and why, temporary directories, seeded
 * randomness, child processes. Include it first: it asks for the GNU interfaces.
 *
 * CHECK_IS arms a thread-local error slot with a value that is no error; a call that is given ERR
 * must replace it, with NULL for OK, NOT_FOUND, END and TIMEOUT and with a matching error for
 * every other status. So each such call also tests the header's error conventions. */
#ifndef SARSEN_CHECK_H
#define SARSEN_CHECK_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif

#include <errno.h>
#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

#include <sarsen.h>

enum { CHECK_SKIPPED = 77 }; /* CTest's SKIP_RETURN_CODE */

/* ---- checks ------------------------------------------------------------------------------- */

_Noreturn void check_fail(const char *file, int line, const char *format, ...)
    __attribute__((format(printf, 3, 4)));

#define CHECK(condition)                                                                   \
    do {                                                                                   \
        if (!(condition)) check_fail(__FILE__, __LINE__, "not true: %s", #condition);      \
    } while (0)

/* For results of a system call: says errno. */
#define CHECK_SYS(condition)                                                               \
    do {                                                                                   \
        if (!(condition))                                                                  \
            check_fail(__FILE__, __LINE__, "%s: %s", #condition, strerror(errno));         \
    } while (0)

#define CHECK_NUMBER(actual, expected)                                                     \
    check_number(__FILE__, __LINE__, #actual, (uint64_t)(actual), #expected, (uint64_t)(expected))
#define CHECK_BYTES(data, len, expected, expected_len)                                     \
    check_bytes(__FILE__, __LINE__, #data, data, len, expected, expected_len)
/* The bytes are what check_fill writes for `tag`. */
#define CHECK_FILLED(data, len, expected_len, tag)                                         \
    check_filled(__FILE__, __LINE__, #data, data, len, expected_len, tag)

extern _Thread_local sarsen_error *check_slot;
#define ERR (&check_slot)

#define STATUS_BIT(status) (1u << (status))

#define CHECK_IN(mask, call)                                                               \
    do {                                                                                   \
        check_arm();                                                                       \
        check_status(__FILE__, __LINE__, #call, (call), (mask));                           \
    } while (0)
#define CHECK_IS(expected, call) CHECK_IN(STATUS_BIT(expected), call)
#define CHECK_OK(call) CHECK_IS(SARSEN_OK, call)
/* Any answer but OK. */
#define CHECK_REFUSED(call) CHECK_IN(~STATUS_BIT(SARSEN_OK), call)

void check_arm(void);
sarsen_status check_status(const char *file, int line, const char *call, sarsen_status status,
                           uint32_t allowed);
/* What the last CHECK_IN, CHECK_IS or CHECK_REFUSED of this thread saw, and the error's figures. */
typedef struct check_seen {
    sarsen_status status;
    int32_t os_code;
    uint64_t offset, first_seq, last_seq;
    char file[256]; /* "" where the error named none */
    char message[1024];
} check_seen;
extern _Thread_local check_seen check_last;

void check_number(const char *file, int line, const char *actual_text, uint64_t actual,
                  const char *expected_text, uint64_t expected);
void check_bytes(const char *file, int line, const char *text, const void *data, size_t len,
                 const void *expected, size_t expected_len);
void check_filled(const char *file, int line, const char *text, const void *data, size_t len,
                  size_t expected_len, uint64_t tag);

/* ---- cases ---------------------------------------------------------------------------------- */

typedef struct check_case {
    const char *name;
    void (*run)(void);
} check_case;
#define CASE(function) {#function, function}

/* Runs the cases, or those named on the command line. */
int check_main(int argc, char **argv, const check_case *cases, size_t count);
#define CHECK_MAIN(cases)                                                                  \
    int main(int argc, char **argv)                                                        \
    {                                                                                      \
        return check_main(argc, argv, cases, sizeof(cases) / sizeof((cases)[0]));          \
    }
#define COUNT_OF(array) (sizeof(array) / sizeof((array)[0]))

/* The path of the running program, to be started again in another role. */
const char *check_program(void);

/* Whether this runs under valgrind or a sanitizer: slower by ten times and more, and heavy on memory. */
bool check_instrumented(void);
bool check_valgrind(void);

/* Ends the program as skipped. */
_Noreturn void check_skip(const char *format, ...) __attribute__((format(printf, 1, 2)));

/* Forks; the child runs `body` and leaves with 0, or 1 if a check failed in it. Returns its wait status. */
int check_child(void (*body)(void *argument), void *argument);
#define CHECK_CHILD(body, argument) CHECK_NUMBER(check_child(body, argument), 0)
#define CHECK_KILLED(body, argument) CHECK_NUMBER(check_child(body, argument), SIGKILL)

/* ---- bytes ------------------------------------------------------------------------------------ */

#define STR(literal) (literal), (sizeof(literal) - 1)
#define NONE NULL, (size_t)0

/* The sizes at which something changes: inline or not, small block or large, one page or several. */
extern const size_t check_sizes[];
extern const size_t check_sizes_count;

void check_fill(void *buffer, size_t len, uint64_t tag);
/* A buffer of `len` filled bytes; the caller frees it. Never NULL, also for 0. */
uint8_t *check_filled_new(size_t len, uint64_t tag);
uint64_t check_random(void);
uint64_t check_below(uint64_t limit);
/* Address space of `len` bytes that faults when touched: for lengths that must be refused unread. */
void *check_untouchable(size_t len);

/* Little-endian fields. */
uint32_t check_u32(const uint8_t *bytes);
uint64_t check_u64(const uint8_t *bytes);

/* ---- files --------------------------------------------------------------------------------------- */

/* `name` within this program's temporary directory; good until the program ends. */
const char *check_path(const char *name);
/* "<directory>/<name>", likewise. */
const char *check_join(const char *directory, const char *name);
void check_write_file(const char *path, const void *data, size_t len);
/* The whole file; the caller frees it. */
uint8_t *check_read_file(const char *path, size_t *out_len);
bool check_exists(const char *path);
void check_remove_tree(const char *path);
/* One number over names, types, sizes, modes, mtimes and contents below `path`, LOCK and READERS left out. */
uint64_t check_tree_digest(const char *path);
/* How many regular files below directory/sub hold `needle`; with `flip`, one bit in the middle of each
 * occurrence is turned over. */
size_t check_find_bytes(const char *directory, const char *sub, const void *needle, size_t len, bool flip);
/* Turns over one bit of the block that check_filled_new(len, tag) was written as, in the store at `path`. */
void check_damage_block(const char *path, size_t len, uint64_t tag);
size_t check_count_entries(const char *directory);
size_t check_threads(void);          /* of this process */
size_t check_open_descriptors(void); /* of this process */

/* ---- stores ----------------------------------------------------------------------------------------- */

/* All zero: created if absent, SURVIVE_PROCESS, no background thread. */
typedef struct check_how {
    bool read_only, no_create, background, power, salvage;
    uint32_t check, log_write;
    uint64_t chunk_bytes, memory_bytes, log_retention_bytes, mapped_bytes;
} check_how;

sarsen_options *check_options(check_how how);
sarsen_store *check_open(const char *path, check_how how);
void check_close(sarsen_store *store);
/* Closes it and opens it again. */
sarsen_store *check_reopen(sarsen_store *store, const char *path, check_how how);

void check_set(const sarsen_store *store, const char *key, const char *value);
/* value NULL: the key must be absent. */
void check_get(const char *file, int line, const sarsen_store *store, const sarsen_snapshot *snapshot,
               const char *key, const char *value);
#define CHECK_KV(store, snapshot, key, value) check_get(__FILE__, __LINE__, store, snapshot, key, value)
void check_stream_is(const char *file, int line, const sarsen_store *store, const sarsen_snapshot *snapshot,
                     const char *name, uint64_t first, uint64_t next);
#define CHECK_STREAM(store, snapshot, name, first, next)                                   \
    check_stream_is(__FILE__, __LINE__, store, snapshot, name, first, next)
/* A tag set of NULL-terminated strings. */
sarsen_tags *check_tags(const char *first, ...) __attribute__((sentinel));
bool check_has_tag(const sarsen_tags *tags, const char *tag);
/* Verify finds nothing. */
void check_sound(const sarsen_store *store);
/* Runs the host-driven upkeep until nothing is left. */
void check_maintain(const sarsen_store *store);

#endif
