/* A reader in a process of its own: opens beside the writer, refreshes, holds snapshots and views, follows the log or
 * backs up, and dies at any moment. Whatever it sees is the model at the seq that it stands at, and that is never below what was
 * acknowledged before it looked. */
#include "neighbours.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { SNAPSHOTS = 2, VIEWS = 24, FOLLOW_AT_ONCE = 40 };

struct held_view {
    sarsen_view view;
    struct content content;
};

struct reader {
    struct neighbours *self;
    struct rng rng;
    sarsen_store *store;
    uint64_t seq;
    struct model model; /* at seq */
    struct model other; /* wherever it is needed */
    struct {
        sarsen_snapshot *snapshot;
        uint64_t seq;
    } snapshots[SNAPSHOTS];
    struct held_view views[VIEWS];
    sarsen_log_reader *log;
    struct model followed; /* before the commit that comes next in the log */
    struct commit commit;
};

static void look_at_all(struct reader *reader)
{
    model_to(reader->self, &reader->model, reader->seq);
    compare_state(reader->self, &reader->model, reader->store, NULL, &reader->rng);
}

static void stands_at(struct reader *reader, const char *what, uint64_t seq, uint64_t least)
{
    if (seq < least || seq != sarsen_store_last_seq(reader->store)) {
        neighbour_fail(reader->self, "%s: seq %llu (%llu by last_seq), though %llu was there before", what,
                       (unsigned long long)seq, (unsigned long long)sarsen_store_last_seq(reader->store),
                       (unsigned long long)least);
    }
    reader->seq = seq;
}

static void open_store(struct reader *reader)
{
    struct neighbours *self = reader->self;
    struct store_options how = self->options;
    how.check = rng_one_in(&reader->rng, 2) ? SARSEN_CHECK_EVERY_READ : SARSEN_CHECK_FIRST_TOUCH;
    sarsen_options *options = options_make(&how);
    sarsen_error *error = NULL;
    sarsen_options_set_read_only(options, true);
    sarsen_options_set_mapped_bytes(options, rng_one_in(&reader->rng, 3) ? 256 << 10 : 0);
    if (self->control == CONTROL_UNLOCKED) {
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%.*s/READERS", PATH_MAX - 16, self->path);
        unlink(path);
    }
    uint64_t acked = atomic_load(&self->board->acked);
    atomic_fetch_add(&self->board->opens[atomic_load(&self->board->phase)], 1);
    neighbour_require_ok(reader->self, "opening to read", sarsen_store_open(self->path, options, &reader->store, &error), &error);
    sarsen_options_free(options);
    stands_at(reader, "opening to read", sarsen_store_last_seq(reader->store), acked);
    look_at_all(reader);
}

static void refresh(struct reader *reader)
{
    uint64_t seq = 0, acked = atomic_load(&reader->self->board->acked);
    sarsen_error *error = NULL;
    neighbour_require_ok(reader->self, "refresh", sarsen_store_refresh(reader->store, &seq, &error), &error);
    stands_at(reader, "refresh", seq, acked > reader->seq ? acked : reader->seq);
    atomic_fetch_add(&reader->self->board->refreshes, 1);
}

/* ---- snapshots and views ---- */

static void use_snapshot(struct reader *reader)
{
    uint64_t slot = rng_below(&reader->rng, SNAPSHOTS);
    sarsen_error *error = NULL;
    sarsen_snapshot **snapshot = &reader->snapshots[slot].snapshot;
    if (*snapshot == NULL) {
        neighbour_require_ok(reader->self, "snapshot_new", sarsen_snapshot_new(reader->store, snapshot, &error), &error);
        reader->snapshots[slot].seq = sarsen_snapshot_seq(*snapshot);
        if (reader->snapshots[slot].seq != reader->seq) {
            neighbour_fail(reader->self, "a snapshot at %llu of a store at %llu",
                           (unsigned long long)reader->snapshots[slot].seq, (unsigned long long)reader->seq);
        }
        return;
    }
    model_to(reader->self, &reader->other, reader->snapshots[slot].seq);
    compare_state(reader->self, &reader->other, reader->store, *snapshot, &reader->rng);
    atomic_fetch_add(&reader->self->board->snapshots, 1);
    if (rng_one_in(&reader->rng, 2)) {
        sarsen_snapshot_free(*snapshot);
        *snapshot = NULL;
    }
}

static void check_view(struct reader *reader, const struct held_view *held)
{
    size_t at;
    if (!content_matches(&held->content, held->view.data, held->view.len, &at)) {
        neighbour_fail(reader->self, "a view of commit %llu changed at byte %zu of %zu",
                       (unsigned long long)held->content.n, at, held->view.len);
    }
    atomic_fetch_add(&reader->self->board->views, 1);
}

/* Looks at every view that is held, lets some of them go, and takes others in their place. */
static void use_views(struct reader *reader)
{
    model_to(reader->self, &reader->model, reader->seq);
    const struct table *memories = &reader->model.memories, *kv = &reader->model.kv;
    for (size_t i = 0; i < VIEWS; i++) {
        struct held_view *held = &reader->views[i];
        sarsen_error *error = NULL;
        if (held->view.pin != NULL) {
            check_view(reader, held);
            if (rng_one_in(&reader->rng, 2)) {
                continue;
            }
            sarsen_view_release(&held->view);
        }
        const struct table *table = rng_one_in(&reader->rng, 2) ? memories : kv;
        const struct entry *entry = table->cap == 0 ? NULL : &table->slots[rng_below(&reader->rng, table->cap)];
        if (entry == NULL || !entry->used) {
            continue;
        }
        held->content = entry->content;
        if (table == memories) {
            neighbour_require_ok(reader->self, "a view of a memory",
                       sarsen_memory_get(reader->store, NULL, entry->name, &held->view, &error), &error);
        } else {
            uint8_t key[MAX_NAME];
            size_t len = name_render(entry->name, key);
            neighbour_require_ok(reader->self, "a view of a key", sarsen_kv_get(reader->store, NULL, key, len, &held->view, &error), &error);
        }
        check_view(reader, held);
    }
}

static void let_go(struct reader *reader)
{
    for (size_t i = 0; i < SNAPSHOTS; i++) {
        sarsen_snapshot_free(reader->snapshots[i].snapshot);
        reader->snapshots[i].snapshot = NULL;
    }
    sarsen_log_reader_free(reader->log);
    reader->log = NULL;
}

/* ---- the log ---- */

static uint32_t kind_of(enum op_kind kind)
{
    switch (kind) {
    case OP_ORDER:
    case OP_STREAM_APPEND:
    case OP_STREAM_APPEND_BLOCK: return SARSEN_COMMAND_APPEND_STREAM;
    case OP_KV_SET: return SARSEN_COMMAND_SET_KV;
    case OP_KV_DELETE: return SARSEN_COMMAND_DELETE_KV;
    case OP_STREAM_TRIM: return SARSEN_COMMAND_TRIM_STREAM;
    case OP_MEMORY_PUT:
    case OP_MEMORY_PUT_BLOCK: return SARSEN_COMMAND_APPEND_MEMORY;
    case OP_MEMORY_DELETE: return SARSEN_COMMAND_DELETE_MEMORY;
    case OP_BLOCK_APPEND: return SARSEN_COMMAND_APPEND_BLOCK;
    case OP_BLOCK_FREE: return SARSEN_COMMAND_FREE_BLOCK;
    }
    return 0;
}

static bool is_the_command(struct reader *reader, const struct op *op, const sarsen_command *command)
{
    uint8_t name[MAX_NAME], order[MAX_ORDER_RECORD];
    bool named = op->kind <= OP_STREAM_TRIM, memory = kind_of(op->kind) == SARSEN_COMMAND_APPEND_MEMORY;
    bool has_bytes = op->kind == OP_KV_SET || op->kind == OP_STREAM_APPEND || op->kind == OP_STREAM_APPEND_BLOCK || memory ||
                     op->kind == OP_BLOCK_APPEND;
    size_t len = named ? name_render(op->name, name) : 0, at;
    if (command->kind != kind_of(op->kind) || command->key.len != len ||
        (len > 0 && memcmp(command->key.data, name, len) != 0)) {
        return false;
    }
    if ((memory || op->kind == OP_MEMORY_DELETE) && command->id != op->id) {
        return false;
    }
    if (op->kind == OP_ORDER) {
        len = order_record(&reader->self->workload, 0, reader->commit.n, order);
        return command->id == reader->followed.order_count && command->value.len == len &&
               memcmp(command->value.data, order, len) == 0;
    }
    return !has_bytes || content_matches(&op->content, command->value.data, command->value.len, &at);
}

/* The log was released past the follower: it starts again from what it sees. */
static void start_again(struct reader *reader, uint64_t wanted)
{
    sarsen_log_reader_free(reader->log);
    reader->log = NULL;
    refresh(reader);
    if (reader->seq < wanted) {
        neighbour_fail(reader->self, "the log has nothing at %llu, and neither has the store, which is at %llu",
                       (unsigned long long)wanted, (unsigned long long)reader->seq);
    }
    atomic_store(&reader->self->board->followed[reader->self->slot], FOLLOWED(reader->seq, 0));
    atomic_fetch_add(&reader->self->board->gaps, 1);
}

/* The next commit, whole; false if none came or the log was released past it. */
static bool follow_one(struct reader *reader, uint64_t timeout_us)
{
    struct neighbours *self = reader->self;
    uint64_t word = atomic_load(&self->board->followed[self->slot]);
    uint64_t seq = FOLLOWED_SEQ(word) + 1, epoch = FOLLOWED_EPOCH(word);
    sarsen_error *error = NULL;
    reader->commit.count = 1;
    for (size_t i = 0; i < reader->commit.count; i++) {
        sarsen_command command;
        sarsen_status status = sarsen_log_next(reader->log, timeout_us, &command, sizeof command, NULL, &error);
        if (status == SARSEN_TIMEOUT && i == 0) {
            atomic_fetch_add(&self->board->timeouts, 1);
            return false;
        }
        if (status == SARSEN_NOT_FOUND) {
            start_again(reader, seq);
            return false;
        }
        neighbour_require_ok(reader->self, "log_next", status, &error);
        if (i == 0) { /* the commit is there, so what it was planned from is told */
            model_to(self, &reader->followed, seq - 1);
            model_plan_next(self, &reader->followed, &reader->commit);
        }
        bool last = i + 1 == reader->commit.count;
        if (command.seq != seq || command.epoch < epoch || (i > 0 && command.epoch != epoch) ||
            (command.last != 0) != last || !is_the_command(reader, &reader->commit.ops[i], &command)) {
            neighbour_fail(self,
                           "the log gives (epoch %llu, seq %llu) command %u last %u, %zu bytes, after (%llu, %llu) and %zu "
                           "of %zu commands of commit %llu, where operation %d is due",
                           (unsigned long long)command.epoch, (unsigned long long)command.seq, command.kind, command.last,
                           command.value.len, (unsigned long long)epoch, (unsigned long long)seq - 1, i,
                           reader->commit.count, (unsigned long long)reader->commit.n, (int)reader->commit.ops[i].kind);
        }
        epoch = command.epoch;
    }
    atomic_store(&self->board->followed[self->slot], FOLLOWED(seq, epoch));
    atomic_fetch_add(&self->board->followed_commits, 1);
    return true;
}

static void follow(struct reader *reader)
{
    struct neighbours *self = reader->self;
    if (reader->log == NULL) {
        uint64_t word = atomic_load(&self->board->followed[self->slot]);
        sarsen_error *error = NULL;
        sarsen_status status = sarsen_log_read(reader->store, FOLLOWED_SEQ(word) + 1, FOLLOWED_EPOCH(word), &reader->log, &error);
        if (status == SARSEN_NOT_FOUND) {
            start_again(reader, FOLLOWED_SEQ(word) + 1);
            return;
        }
        neighbour_require_ok(reader->self, "log_read", status, &error);
    }
    for (int i = 0; i < FOLLOW_AT_ONCE && follow_one(reader, rng_one_in(&reader->rng, 4) ? 2000 : 0);) {
        i++;
    }
}

/* ---- the process ---- */

/* Backs up, from what was seen last or from a snapshot, while the writer does what it does. */
static void run_backups(struct reader *reader)
{
    struct neighbours *self = reader->self;
    neighbour_check_left_backup(self, &reader->other, &reader->rng);
    open_store(reader);
    for (uint64_t steps = 1 + rng_below(&reader->rng, 12); steps > 0; steps--) {
        uint64_t slot = rng_below(&reader->rng, SNAPSHOTS);
        const sarsen_snapshot *snapshot = reader->snapshots[slot].snapshot;
        neighbour_tell(self, ROLE_BACKER);
        switch (rng_below(&reader->rng, 4)) {
        case 0: refresh(reader); break;
        case 1: use_snapshot(reader); break;
        default:
            neighbour_backup(self, reader->store, snapshot, snapshot == NULL ? reader->seq : reader->snapshots[slot].seq,
                             &reader->other, &reader->rng);
        }
    }
    let_go(reader);
    sarsen_error *error = NULL;
    neighbour_require_ok(self, "closing one that backs up", sarsen_store_close(reader->store, &error), &error);
}

static void run_session(struct reader *reader)
{
    struct neighbours *self = reader->self;
    open_store(reader);
    neighbour_tell(self, ROLE_READER);
    for (uint64_t steps = 2 + rng_below(&reader->rng, 40); steps > 0; steps--) {
        switch (rng_below(&reader->rng, 10)) {
        case 0:
        case 1:
        case 2:
            refresh(reader);
            look_at_all(reader);
            break;
        case 3:
            use_snapshot(reader);
            break;
        case 4:
        case 5:
            use_views(reader);
            break;
        case 6: {
            struct comparison comparison = {.model = &reader->model, .store = reader->store, .shared = self->shared};
            if (!compare_verify(&comparison)) {
                _exit(3);
            }
            atomic_fetch_add(&self->board->verified, 1);
            break;
        }
        default:
            follow(reader);
        }
        neighbour_tell(self, ROLE_READER);
    }
    let_go(reader);
    sarsen_error *error = NULL;
    neighbour_require_ok(reader->self, "closing a reader", sarsen_store_close(reader->store, &error), &error);
    for (size_t i = 0; i < VIEWS; i++) { /* they outlive their store */
        if (reader->views[i].view.pin != NULL) {
            check_view(reader, &reader->views[i]);
            sarsen_view_release(&reader->views[i].view);
        }
    }
}

void neighbour_reader(struct neighbours *self, enum role role)
{
    static struct reader reader;
    reader.self = self;
    reader.rng.state = self->seed;
    model_init(&reader.model, &self->workload);
    model_init(&reader.other, &self->workload);
    model_init(&reader.followed, &self->workload);
    if (self->control != CONTROL_UNLOCKED && role != ROLE_BACKER && !forbid_writing()) {
        _exit(77);
    }
    for (;;) {
        if (role == ROLE_BACKER) {
            run_backups(&reader);
            continue;
        }
        if (role == ROLE_READER) {
            run_session(&reader);
            continue;
        }
        sarsen_error *error = NULL;
        open_store(&reader);
        neighbour_require_ok(reader.self, "closing an opener", sarsen_store_close(reader.store, &error), &error);
        neighbour_tell(self, role);
    }
}
