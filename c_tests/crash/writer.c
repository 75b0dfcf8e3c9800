/* The writer: opens the store, commits from one or several threads, and goes through upkeep, backup, close and
 * reopen at seeded points, until it is killed. It ends by itself only to report a failure.
 *
 * The first thread does upkeep and backup between its own commits; the others go on committing meanwhile.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "harness.h"

struct writer {
    struct model *model; /* this process's own copy */
    const struct round *round;
    struct shared *shared;
    int out;
    const sarsen_store *store;
    atomic_bool stop;
    struct rng rng; /* the first thread's */
    bool power; /* the store's default level */
    uint64_t sessions;
    uint64_t backups;
};

struct thread {
    struct writer *writer;
    uint32_t number;
    sarsen_batch *batch;
    struct commit commit;
    struct room room;
    uint64_t last_seq;
    pthread_t handle;
};

/* ---- telling the parent ---- */

static void tell(struct writer *writer, const struct message *message)
{
    ssize_t written = write(writer->out, message, sizeof *message);
    if (written != (ssize_t)sizeof *message) {
        _exit(4); /* the parent is gone */
    }
}

_Noreturn static void fail(struct writer *writer, const char *text)
{
    shared_fail(writer->shared, "%s", text);
    tell(writer, &(struct message){.kind = MESSAGE_FAILED});
    _exit(3);
}

/* `error` is where the call may have left one: which argument is evaluated first, C leaves open. */
static void require_ok(struct writer *writer, sarsen_status status, const char *what, sarsen_error *const *told)
{
    const sarsen_error *error = told == NULL ? NULL : *told;
    if (status == SARSEN_OK) {
        return;
    }
    char text[1024];
    snprintf(text, sizeof text, "writer: %s: %s: %s (errno %d)", what, sarsen_status_name(status),
             error == NULL ? "" : sarsen_error_message(error), error == NULL ? 0 : sarsen_error_os_code(error));
    fail(writer, text);
}

static void phase_begin(struct writer *writer, enum phase phase, uint64_t id, uint64_t seq)
{
    tell(writer, &(struct message){.kind = MESSAGE_PHASE_BEGIN, .phase_or_thread = phase, .id = id, .seq = seq});
}

static void phase_end(struct writer *writer, enum phase phase, uint64_t id)
{
    tell(writer, &(struct message){.kind = MESSAGE_PHASE_END, .phase_or_thread = phase, .id = id});
}

/* ---- one commit ---- */

static void commit_single(struct thread *thread, struct message *told)
{
    const struct op *op = &thread->commit.ops[0];
    const sarsen_store *store = thread->writer->store;
    sarsen_error *error = NULL;
    sarsen_status status = SARSEN_INTERNAL;
    told->power = thread->writer->power ? 1 : 0;
    const uint8_t *name = thread->room.name, *bytes = thread->room.bytes;
    size_t name_len = name_render(op->name, thread->room.name);
    content_fill(&op->content, thread->room.bytes);
    if (op->kind == OP_KV_SET) {
        status = sarsen_kv_set(store, name, name_len, bytes, op->content.len, &error);
    } else if (op->kind == OP_STREAM_APPEND) {
        status = sarsen_stream_append(store, name, name_len, bytes, op->content.len, NULL, &error);
    } else if (op->kind == OP_MEMORY_PUT) {
        sarsen_tags *tags = tags_of(op->tags);
        status = sarsen_memory_append(store, op->id, tags, bytes, op->content.len, &error);
        sarsen_tags_free(tags);
    } else if (op->kind == OP_BLOCK_APPEND) {
        status = sarsen_block_append(store, bytes, op->content.len, &told->block, &error);
    }
    require_ok(thread->writer, status, "a one-command commit", &error);
}

static void commit_batch(struct thread *thread, struct message *told)
{
    struct writer *writer = thread->writer;
    struct rng rng = {.state = mix(writer->round->seed ^ thread->number, thread->commit.n)};
    bool power = writer->round->level == LEVEL_POWER ||
                 (writer->round->level == LEVEL_MIXED && rng_one_in(&rng, 2));
    /* Power safety comes from the commit itself, or from a wait or a sync after a commit that had less. */
    uint64_t how = power ? rng_below(&rng, 10) : 9;
    uint32_t survive = power && how >= 2 ? SARSEN_SURVIVE_POWER : SARSEN_SURVIVE_PROCESS;
    if (writer->round->level != LEVEL_MIXED && how >= 6) {
        survive = 0; /* the store's default, which is the round's level */
    }
    sarsen_error *error = NULL;
    require_ok(writer, batch_add(thread->batch, &writer->model->workload, &thread->commit, &thread->room, &error),
               "adding to a batch", &error);
    require_ok(writer, sarsen_batch_commit(thread->batch, writer->store, survive, &told->seq, &error), "commit",
               &error);
    if (how == 0) {
        require_ok(writer, sarsen_store_wait_durable(writer->store, told->seq, 60000000, &error), "wait_durable",
                   &error);
    } else if (how == 1) {
        require_ok(writer, sarsen_store_sync(writer->store, &error), "sync", &error);
    }
    if (told->seq <= thread->last_seq) {
        fail(writer, "writer: a commit's seq does not lie above that of the same thread's commit before");
    }
    thread->last_seq = told->seq;
    if (power && sarsen_store_durable_seq(writer->store) < told->seq) {
        fail(writer, "writer: durable_seq lies below a commit acknowledged as SURVIVE_POWER");
    }
    told->power = power ? 1 : 0;
    require_ok(writer, sarsen_batch_result(thread->batch, 0, &told->index, NULL, &error), "batch_result", &error);
    if (thread->commit.loose_op >= 0) {
        require_ok(writer,
                   sarsen_batch_result(thread->batch, (size_t)thread->commit.loose_op, NULL, &told->block, &error),
                   "batch_result of a block", &error);
    }
}

static uint64_t clock_now(const struct writer *writer)
{
    return writer->round->clock == NULL ? 0 : __atomic_load_n(writer->round->clock, __ATOMIC_SEQ_CST);
}

static void commit_next(struct thread *thread)
{
    struct writer *writer = thread->writer;
    struct thread_state *state = &writer->model->threads[thread->number];
    plan_commit(&writer->model->workload, state, thread->number, &thread->commit);
    struct message told = {.phase_or_thread = thread->number, .n = thread->commit.n};
    if (writer->round->ack_early) {
        told.kind = MESSAGE_ACK_EARLY;
        told.at = clock_now(writer);
        tell(writer, &told);
    }
    if (thread->commit.single) {
        commit_single(thread, &told);
    } else {
        commit_batch(thread, &told);
    }
    if (thread->commit.loose_op >= 0) {
        struct loose *loose = &state->loose[thread->commit.ops[thread->commit.loose_op].slot];
        loose->block = told.block;
        loose->known = true;
    }
    told.durable = sarsen_store_durable_seq(writer->store);
    told.at = clock_now(writer);
    told.kind = writer->round->ack_early ? MESSAGE_RESULT : MESSAGE_ACK;
    tell(writer, &told);
}

/* ---- upkeep and backup ---- */

/* Of the state now, or of a snapshot that a few more commits have left behind. */
static void back_up(struct thread *thread)
{
    struct writer *writer = thread->writer;
    char path[PATH_MAX];
    uint64_t id = writer->backups++;
    sarsen_snapshot *snapshot = NULL;
    sarsen_error *error = NULL;
    uint64_t seq = 0;
    backup_path(writer->round, id, path);
    tell(writer, &(struct message){.kind = MESSAGE_SNAPSHOT});
    if (!rng_one_in(&writer->rng, 3)) {
        require_ok(writer, sarsen_snapshot_new(writer->store, &snapshot, &error), "snapshot_new", &error);
        seq = sarsen_snapshot_seq(snapshot);
        for (uint64_t commits = rng_below(&writer->rng, 6); commits > 0; commits--) {
            commit_next(thread);
        }
    }
    phase_begin(writer, PHASE_BACKUP, id, seq);
    require_ok(writer, sarsen_store_backup(writer->store, snapshot, path, &error), "backup", &error);
    sarsen_snapshot_free(snapshot);
    phase_end(writer, PHASE_BACKUP, id);
}

static void enter_phase(struct thread *thread, enum phase phase)
{
    struct writer *writer = thread->writer;
    sarsen_error *error = NULL;
    if (phase == PHASE_BACKUP) {
        back_up(thread);
        return;
    }
    phase_begin(writer, phase, 0, 0);
    if (phase == PHASE_CHECKPOINT) {
        require_ok(writer, sarsen_store_checkpoint(writer->store, &error), "checkpoint", &error);
    } else if (phase == PHASE_COMPACT) {
        require_ok(writer, sarsen_store_compact(writer->store, &error), "compact", &error);
    } else if (phase == PHASE_MAINTAIN) {
        bool more = true;
        for (int step = 0; more && step < 1000; step++) { /* other threads may make work as fast as it is done */
            require_ok(writer, sarsen_store_maintain(writer->store, 200, &more, &error), "maintain", &error);
        }
    }
    phase_end(writer, phase, 0);
}

static enum phase pick_phase(struct rng *rng)
{
    static const enum phase phases[] = {PHASE_CHECKPOINT, PHASE_MAINTAIN, PHASE_MAINTAIN, PHASE_COMPACT,
                                        PHASE_BACKUP};
    return phases[rng_below(rng, sizeof phases / sizeof phases[0])];
}

/* ---- threads and sessions ---- */

static void run_first_thread(struct thread *thread)
{
    struct writer *writer = thread->writer;
    enum phase aim = writer->round->aim;
    bool phase_wanted = aim >= PHASE_CHECKPOINT && aim <= PHASE_BACKUP;
    uint64_t early = rng_one_in(&writer->rng, 3) ? rng_below(&writer->rng, 10) : 10 + rng_below(&writer->rng, 80);
    uint64_t until_phase = phase_wanted ? writer->round->lead : early;
    uint64_t until_end = aim == PHASE_CLOSE ? writer->round->lead : 100 + rng_below(&writer->rng, 200);
    for (; until_end > 0; until_end--) {
        if (until_phase-- == 0) {
            enter_phase(thread, phase_wanted ? aim : pick_phase(&writer->rng));
            until_phase = 10 + rng_below(&writer->rng, 80);
        }
        commit_next(thread);
    }
    atomic_store(&writer->stop, true);
}

static void *thread_main(void *argument)
{
    struct thread *thread = argument;
    if (thread->number == 0) {
        run_first_thread(thread);
    } else {
        while (!atomic_load(&thread->writer->stop)) {
            commit_next(thread);
        }
    }
    return NULL;
}

static void run_session(struct writer *writer, struct thread *threads, const sarsen_options *options)
{
    sarsen_error *error = NULL;
    sarsen_store *store = NULL;
    phase_begin(writer, PHASE_OPEN, writer->sessions, 0);
    require_ok(writer, sarsen_store_open(writer->round->store_path, options, &store, &error), "open", &error);
    phase_end(writer, PHASE_OPEN, writer->sessions);
    writer->sessions++;
    writer->store = store;
    atomic_store(&writer->stop, false);
    uint32_t count = writer->model->workload.threads;
    for (uint32_t i = 1; i < count; i++) {
        if (pthread_create(&threads[i].handle, NULL, thread_main, &threads[i]) != 0) {
            fail(writer, "writer: cannot start a thread");
        }
    }
    thread_main(&threads[0]);
    for (uint32_t i = 1; i < count; i++) {
        pthread_join(threads[i].handle, NULL);
    }
    phase_begin(writer, PHASE_CLOSE, 0, 0);
    require_ok(writer, sarsen_store_close(store, &error), "close", &error);
    phase_end(writer, PHASE_CLOSE, 0);
}

_Noreturn void writer_main(const struct model *model, const struct round *round, int out, struct shared *shared)
{
    static struct thread threads[MAX_THREADS];
    static struct model own;
    own = *model;
    struct writer writer = {.model = &own, .round = round, .shared = shared, .out = out};
    writer.rng.state = mix(round->seed, 0x77);
    sarsen_options *options = options_make(&round->options);
    bool power = round->level == LEVEL_POWER || (round->level == LEVEL_MIXED && rng_one_in(&writer.rng, 2));
    sarsen_status status =
        sarsen_options_set_durability(options, power ? SARSEN_SURVIVE_POWER : SARSEN_SURVIVE_PROCESS);
    require_ok(&writer, status, "options_set_durability", NULL);
    writer.power = power;
    for (uint32_t i = 0; i < own.workload.threads; i++) {
        threads[i].writer = &writer;
        threads[i].number = i;
        threads[i].batch = sarsen_batch_new();
    }
    for (;;) {
        run_session(&writer, threads, options);
    }
}
