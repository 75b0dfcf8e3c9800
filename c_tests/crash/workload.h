/* What the crash harness writes: a generator that turns (seed, thread, commit number) into commands, and the
 * bytes that go with them.
 *
 * Contents depend on (seed, thread, commit number) alone. Which commands a commit holds depends on those and on
 * what the same thread committed before (how far its streams reach, which loose blocks it has), never on another
 * thread. So writer, parent and checker, each in a process of its own, plan the same commit from the same state.
 *
 * Not thread-safe in itself: a thread plans on its own thread_state.
 */
#ifndef SARSEN_CRASH_WORKLOAD_H
#define SARSEN_CRASH_WORKLOAD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "sarsen.h"

enum {
    MAX_THREADS = 8,
    MAX_OPS = 24,
    MAX_NAME = 6000, /* longest key or stream name that name_render makes */
    MAX_CONTENT = 200 * 1024,
    MAX_ORDER_RECORD = 48,
    TAG_COUNT = 12,
    MAX_TAG = 256,
    LOOSE_SLOTS = 4,
    DEAD_SLOTS = 6,
    PRIVATE_STREAMS = 3,
    SHARED_STREAMS = 3
};

/* ---- random numbers ---- */

struct rng {
    uint64_t state;
};

uint64_t mix(uint64_t a, uint64_t b);
uint64_t rng_next(struct rng *rng);
uint64_t rng_below(struct rng *rng, uint64_t bound); /* bound >= 1 */
bool rng_one_in(struct rng *rng, uint64_t n);

/* ---- bytes that can be made again ---- */

struct content {
    uint64_t seed;
    uint64_t n;      /* the commit it came with: for messages */
    uint32_t thread;
    uint32_t len;
};

void content_fill(const struct content *content, uint8_t *out);
/* True if data is the whole content; else *out_at is the first byte that differs (or the shorter length). */
bool content_matches(const struct content *content, const uint8_t *data, size_t len, size_t *out_at);
/* The same for the range that begins at byte `from`, a multiple of 8, and runs for len bytes. */
bool content_matches_range(const struct content *content, size_t from, const uint8_t *data, size_t len,
                           size_t *out_at);

/* ---- names: keys and stream names as numbers, written out when needed ---- */

enum name_kind {
    NAME_ORDER = 1,     /* the stream that records the order of commits */
    NAME_COMMIT,        /* commit/<thread>/<n> */
    NAME_PRIVATE,       /* written by one thread */
    NAME_SHARED,        /* written by all */
    NAME_SINGLE,        /* written by one-command commits only */
    NAME_EMPTY          /* the empty key */
};

uint64_t name_make(enum name_kind kind, uint32_t owner, uint64_t id);
size_t name_render(uint64_t name, uint8_t out[MAX_NAME]);
size_t tag_render(uint32_t tag, char out[MAX_TAG]);

/* ---- commits ---- */

enum op_kind {
    OP_ORDER = 1, /* append (thread, n) to the order stream: always the first command of a batch */
    OP_KV_SET,
    OP_KV_DELETE,
    OP_STREAM_APPEND,
    OP_STREAM_APPEND_BLOCK,
    OP_STREAM_TRIM, /* before == UINT64_MAX drops the stream */
    OP_MEMORY_PUT,
    OP_MEMORY_PUT_BLOCK,
    OP_MEMORY_DELETE,
    OP_BLOCK_APPEND,
    OP_BLOCK_FREE
};

struct op {
    enum op_kind kind;
    uint32_t tags; /* bit mask over TAG_COUNT */
    uint32_t slot; /* loose block */
    uint64_t name;
    uint64_t id; /* memory */
    uint64_t before;
    struct content content;
    sarsen_block block; /* the block that is named or freed, if its address is known here */
};

struct commit {
    uint32_t thread;
    bool single; /* one command through a one-shot function, without order record and commit key */
    int32_t loose_op; /* the op that appends a loose block, or -1 */
    size_t count;
    uint64_t n;
    struct op ops[MAX_OPS];
};

enum loose_state {
    LOOSE_NONE = 0,
    LOOSE_FREE_STANDING, /* appended, holds itself */
    LOOSE_NAMED,         /* held by the memory memory_hold_id(thread, slot), maybe by others too */
    LOOSE_LOST           /* its address died with the writer: nothing can be said of it */
};

struct loose {
    enum loose_state state;
    bool known; /* block is filled in */
    struct content content;
    sarsen_block block;
};

struct thread_state {
    uint64_t next_n;
    struct {
        uint64_t first, next;
    } streams[PRIVATE_STREAMS];
    uint64_t shared_appends[SHARED_STREAMS];
    struct loose loose[LOOSE_SLOTS];
    struct loose dead[DEAD_SLOTS]; /* a ring of blocks freed last */
    uint64_t dead_count;
};

struct workload {
    uint64_t seed;
    uint32_t threads;
    uint32_t weight; /* 0 small values, 1 mixed, 2 many large ones */
    uint32_t window; /* commit keys are deleted this many commits later; 0: never */
};

bool commit_is_single(const struct workload *workload, uint32_t thread, uint64_t n);
/* Plans commit state->next_n and moves the state past it. */
void plan_commit(const struct workload *workload, struct thread_state *state, uint32_t thread, struct commit *out);
size_t order_record(const struct workload *workload, uint32_t thread, uint64_t n,
                    uint8_t out[MAX_ORDER_RECORD]);
/* False if the record is not the one that (thread, n) writes; sets both from its first bytes. */
bool order_parse(const struct workload *workload, const uint8_t *data, size_t len, uint32_t *out_thread,
                 uint64_t *out_n);
uint64_t memory_hold_id(uint32_t thread, uint32_t slot);
uint64_t memory_single_id(uint32_t thread);

#endif
