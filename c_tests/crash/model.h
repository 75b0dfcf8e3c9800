/* What the store should hold: the commits known to be in it, replayed in their order.
 *
 * The parent owns one model a store directory and moves it on after every checked round. Writers and checkers are
 * forked from the parent and so start with a copy. Not thread-safe.
 */
#ifndef SARSEN_CRASH_MODEL_H
#define SARSEN_CRASH_MODEL_H

#include "workload.h"

struct stream {
    uint64_t first, next;
    uint64_t base; /* the index of records[0] */
    struct content *records;
    size_t cap;
};

/* What a name or an id stands for. */
struct entry {
    uint64_t name;
    bool used;
    uint32_t tags;          /* memories */
    struct content content; /* key-value, memories */
    struct stream *stream;  /* streams */
};

/* An open-addressing hash map from u64; removal shifts back, so there are no tombstones. */
struct table {
    struct entry *slots;
    size_t cap; /* a power of two, or 0 */
    size_t count;
};

struct entry *table_find(const struct table *table, uint64_t name); /* NULL: absent */
struct entry *table_put(struct table *table, uint64_t name);        /* found or added, zeroed if added */
void table_remove(struct table *table, uint64_t name);

struct order_entry {
    uint32_t thread;
    uint64_t n;
};

struct model {
    struct workload workload;
    struct thread_state threads[MAX_THREADS];
    struct table kv, memories, streams;
    struct order_entry *order; /* the order stream, whole */
    size_t order_count, order_cap;
    uint64_t last_seq; /* of the store when it was last checked */
    bool created;      /* an open has succeeded: from here on the directory is a store */
};

/* What one writer told of its commits. */
struct told {
    bool acked;      /* the writer was told that the commit has its level */
    bool has_result; /* the rest is filled in */
    uint64_t seq;    /* 0: a one-shot function, which does not say */
    uint64_t index;  /* in the order stream */
    sarsen_block block; /* the loose block that it appended */
};

struct told_log {
    uint64_t base[MAX_THREADS]; /* the first commit number of this round */
    struct told *items[MAX_THREADS];
    size_t count[MAX_THREADS], cap[MAX_THREADS];
};

void told_begin(struct told_log *log, const struct model *model);
struct told *told_at(struct told_log *log, uint32_t thread, uint64_t n); /* made if it is new; n >= base */
const struct told *told_find(const struct told_log *log, uint32_t thread, uint64_t n); /* NULL: nothing told */
/* Commits of the thread below this number were acknowledged. */
uint64_t told_acked_end(const struct told_log *log, uint32_t thread);
void told_free(struct told_log *log);

void model_init(struct model *model, const struct workload *workload);
void model_free(struct model *model);
/* Applies the thread's next commit; told (nullable) has the address of the block it appended. */
void model_apply_next(struct model *model, uint32_t thread, const struct told *told);
/* Applies batch n of the thread and the one-command commit that may lie before it. False, with nothing changed,
 * if another batch is missing in between or n was applied before. */
bool model_apply_batch(struct model *model, uint32_t thread, uint64_t n, const struct told_log *log);
/* The round is over: free-standing blocks whose address nobody has are lost to us. */
void model_forget_unknown(struct model *model);

#endif
