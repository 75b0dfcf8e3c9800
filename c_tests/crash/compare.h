/* Compares a store with the model, everything there is: what should be there is, byte for byte, and nothing else.
 * Each function writes what differs to the shared page and answers false. One thread. */
#ifndef SARSEN_CRASH_COMPARE_H
#define SARSEN_CRASH_COMPARE_H

#include "harness.h"

struct comparison {
    const struct model *model;
    const sarsen_store *store;
    const sarsen_snapshot *snapshot; /* nullable: now */
    struct shared *shared;
    struct rng rng;
    bool is_past; /* the store has gone on since the snapshot: what it freed may be gone, by address */
};

bool compare_kv(struct comparison *comparison);
bool compare_streams(struct comparison *comparison);
bool compare_memories(struct comparison *comparison);
bool compare_blocks(struct comparison *comparison);
bool compare_log(struct comparison *comparison);
bool compare_verify(struct comparison *comparison);

/* Reports a call that answered something other than expected; the error may be NULL and is freed. */
bool unexpected(struct shared *shared, const char *what, sarsen_status status, sarsen_error *error);

#endif
