/* The writer: opens, commits, checkpoints, merges, reclaims, closes and opens again, until it is killed. And those who
 * come beside it: one that tries to open for writing too, and the last one, which looks at what is left. */
#include "neighbours.h"

#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <unistd.h>

static int open_door(struct neighbours *self)
{
    int door = open(self->door_path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (door < 0) {
        neighbour_fail(self, "cannot open %s", self->door_path);
    }
    return door;
}

static void enter_phase(struct neighbours *self, enum phase phase)
{
    atomic_store(&self->board->phase, phase);
    neighbour_tell(self, ROLE_WRITER);
}

/* ---- commits ---- */

struct writer {
    struct neighbours *self;
    struct model model; /* its thread_state goes on with each commit; the rest stays as it was */
    struct model whole; /* moved on to be compared */
    struct rng rng;
    const sarsen_store *store;
    sarsen_batch *batch;
    struct commit commit;
    struct room room;
};

static void commit_next(struct writer *writer)
{
    struct neighbours *self = writer->self;
    struct thread_state *state = &writer->model.threads[0];
    uint32_t survive = rng_one_in(&writer->rng, 6) ? SARSEN_SURVIVE_POWER : SARSEN_SURVIVE_PROCESS;
    sarsen_error *error = NULL;
    uint64_t seq = 0;
    plan_commit(&writer->model.workload, state, 0, &writer->commit);
    uint64_t n = writer->commit.n;
    if (self->control == CONTROL_ACKED_EARLY) {
        atomic_store(&self->board->acked, n + 1);
        neighbour_tell(self, ROLE_WRITER);
    }
    neighbour_require_ok(
        self, "adding to a batch",
        batch_add(writer->batch, &writer->model.workload, &writer->commit, &writer->room, &error), &error);
    neighbour_require_ok(self, "commit", sarsen_batch_commit(writer->batch, writer->store, survive, &seq, &error), &error);
    if (seq != n + 1) {
        neighbour_fail(self, "commit %llu became seq %llu", (unsigned long long)n, (unsigned long long)seq);
    }
    if (writer->commit.loose_op >= 0) {
        sarsen_block block;
        neighbour_require_ok(self, "batch_result",
                   sarsen_batch_result(writer->batch, (size_t)writer->commit.loose_op, NULL, &block, &error), &error);
        struct loose *loose = &state->loose[writer->commit.ops[writer->commit.loose_op].slot];
        loose->block = block;
        loose->known = true;
        self->board->told[n].block = block;
        atomic_store(&self->board->told[n].state, TOLD_BLOCK);
    }
    atomic_store(&self->board->acked, seq);
    atomic_fetch_add(&self->board->commits, 1);
    neighbour_tell(self, ROLE_WRITER);
}

/* ---- sessions ---- */

static sarsen_store *open_store(struct writer *writer, int door, bool restarted)
{
    struct neighbours *self = writer->self;
    sarsen_options *options = options_make(&self->options);
    sarsen_error *error = NULL;
    sarsen_store *store = NULL;
    sarsen_recovery recovery;
    if (flock(door, LOCK_EX) != 0) {
        neighbour_fail(self, "cannot lock the door");
    }
    enter_phase(self, PHASE_OPEN);
    neighbour_require_ok(self, "open", sarsen_store_open(self->path, options, &store, &error), &error);
    sarsen_options_free(options);
    uint64_t seq = sarsen_store_last_seq(store);
    neighbour_require_ok(self, "recovery", sarsen_store_recovery(store, &recovery, sizeof recovery), NULL);
    if (seq < atomic_load(&self->board->acked) || recovery.verdict > SARSEN_RECOVERY_TORN_TAIL) {
        neighbour_fail(self, "LOSS: opened at seq %llu with verdict %u, %llu were acknowledged", (unsigned long long)seq,
                       recovery.verdict, (unsigned long long)atomic_load(&self->board->acked));
    }
    if (restarted) {
        uint32_t restarts = atomic_load(&self->board->restarts);
        self->board->restarted_at[restarts] = seq;
        atomic_store(&self->board->restarts, restarts + 1);
        model_to(self, &writer->model, seq);
        model_forget_unknown(&writer->model);
    }
    atomic_store(&self->board->acked, seq);
    writer->store = store;
    if (rng_one_in(&writer->rng, 3)) {
        model_to(self, &writer->whole, seq);
        compare_state(self, &writer->whole, store, NULL, &writer->rng);
    }
    atomic_store(&self->board->is_open, 1);
    flock(door, LOCK_UN);
    enter_phase(self, PHASE_RUN);
    return store;
}

static void close_store(struct writer *writer, int door, sarsen_store *store)
{
    sarsen_error *error = NULL;
    flock(door, LOCK_EX);
    enter_phase(writer->self, PHASE_CLOSE);
    atomic_store(&writer->self->board->is_open, 0);
    neighbour_require_ok(writer->self, "close", sarsen_store_close(store, &error), &error);
    flock(door, LOCK_UN);
}

static void do_upkeep(struct writer *writer)
{
    struct neighbours *self = writer->self;
    sarsen_error *error = NULL;
    bool more = true;
    switch (rng_below(&writer->rng, 5)) {
    case 0:
    case 1:
        enter_phase(self, PHASE_CHECKPOINT);
        neighbour_require_ok(self, "checkpoint", sarsen_store_checkpoint(writer->store, &error), &error);
        break;
    case 2:
    case 3:
        enter_phase(self, PHASE_COMPACT);
        neighbour_require_ok(self, "compact", sarsen_store_compact(writer->store, &error), &error);
        break;
    default:
        enter_phase(self, PHASE_MAINTAIN);
        while (more) {
            neighbour_require_ok(self, "maintain", sarsen_store_maintain(writer->store, 200, &more, &error), &error);
        }
    }
    enter_phase(self, PHASE_RUN);
}

void neighbour_writer(struct neighbours *self)
{
    static struct writer writer;
    int door = open_door(self);
    writer.self = self;
    writer.rng.state = self->seed;
    writer.batch = sarsen_batch_new();
    model_init(&writer.model, &self->workload);
    model_init(&writer.whole, &self->workload);
    for (bool restarted = true;; restarted = false) {
        sarsen_store *store = open_store(&writer, door, restarted);
        for (uint64_t rounds = 2 + rng_below(&writer.rng, 6); rounds > 0; rounds--) {
            for (uint64_t commits = rng_below(&writer.rng, 25); commits > 0; commits--) {
                if (writer.model.threads[0].next_n < MOST_COMMITS) {
                    commit_next(&writer);
                }
            }
            do_upkeep(&writer);
        }
        close_store(&writer, door, store);
    }
}

/* ---- a second writer ---- */

void neighbour_intruder(struct neighbours *self)
{
    struct rng rng = {.state = self->seed};
    int door = open_door(self);
    for (int attempt = 0; attempt < 8; attempt++) {
        sarsen_options *options = sarsen_options_new();
        sarsen_store *store = NULL;
        flock(door, LOCK_SH); /* the writer neither opens nor closes meanwhile; it may be killed */
        uint32_t life = atomic_load(&self->board->life);
        bool was_open = atomic_load(&self->board->is_open) != 0;
        sarsen_options_set_create(options, rng_one_in(&rng, 2));
        sarsen_options_set_background(options, rng_one_in(&rng, 2));
        sarsen_status status = was_open ? sarsen_store_open(self->path, options, &store, NULL) : SARSEN_LOCKED;
        bool same = life % 2 == 0 && life == atomic_load(&self->board->life);
        if (same && status != SARSEN_LOCKED) {
            neighbour_fail(self, "a second writer got %s", sarsen_status_name(status));
        }
        if (status != SARSEN_LOCKED && status != SARSEN_OK) {
            neighbour_fail(self, "opening where a writer was killed: %s", sarsen_status_name(status));
        }
        if (was_open && same) {
            atomic_fetch_add(&self->board->refused, 1);
        }
        sarsen_options_free(options);
        if (store != NULL && sarsen_store_close(store, NULL) != SARSEN_OK) {
            neighbour_fail(self, "a store opened where a writer was killed does not close");
        }
        flock(door, LOCK_UN);
        neighbour_tell(self, ROLE_INTRUDER);
    }
    _exit(0);
}

/* ---- when all are gone ---- */

static size_t count_files(const char *path, const char *folder)
{
    char text[PATH_MAX];
    snprintf(text, sizeof text, "%.*s/%s", PATH_MAX - 16, path, folder);
    DIR *entries = opendir(text);
    size_t count = 0;
    for (struct dirent *entry; entries != NULL && (entry = readdir(entries)) != NULL;) {
        count += entry->d_name[0] != '.';
    }
    if (entries != NULL) {
        closedir(entries);
    }
    return count;
}

void neighbour_last(struct neighbours *self)
{
    static struct writer writer;
    sarsen_error *error = NULL;
    size_t files[2];
    bool more = true;
    writer.self = self;
    writer.rng.state = self->seed;
    self->options.background = false;
    model_init(&writer.model, &self->workload);
    model_init(&writer.whole, &self->workload);
    int door = open_door(self);
    for (int round = 0; round < 2; round++) {
        sarsen_store *store = open_store(&writer, door, round == 0);
        struct comparison comparison = {.model = &writer.model, .store = store, .shared = self->shared};
        if (!compare_verify(&comparison)) {
            _exit(3);
        }
        /* The first write of an opening clears away what no manifest names: after this one there is none. */
        if (round == 0) {
            neighbour_require_ok(self, "compact", sarsen_store_compact(store, &error), &error);
        } else {
            neighbour_require_ok(self, "sync", sarsen_store_sync(store, &error), &error);
        }
        while (more) {
            neighbour_require_ok(self, "maintain", sarsen_store_maintain(store, 100000, &more, &error), &error);
        }
        more = true;
        files[round] = count_files(self->path, "blocks") + count_files(self->path, "index");
        model_to(self, &writer.whole, sarsen_store_last_seq(store));
        compare_state(self, &writer.whole, store, NULL, &writer.rng);
        close_store(&writer, door, store);
    }
    if (files[0] != files[1]) {
        neighbour_fail(self, "with nobody left to read them, %zu files were kept where %zu are needed", files[0], files[1]);
    }
    _exit(0);
}
