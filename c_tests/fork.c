/* A handle carried over fork(): in the child every call answers FORKED, close and free only release memory,
 * and the parent's store notices nothing. */
#include "check.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

typedef struct handles {
    sarsen_store *store;
    sarsen_snapshot *snapshot;
    sarsen_kv_iter *pairs;
    sarsen_stream_iter *records;
    sarsen_stream_names *names;
    sarsen_memory_iter *memories;
    sarsen_log_reader *reader;
    sarsen_batch *batch;
    sarsen_view view;
    sarsen_bytes key, value;
    sarsen_block block;
    const char *path;
} handles;

static void nobody_calls(void *user, uint64_t seq, sarsen_status status)
{
    (void)seq, (void)status;
    *(bool *)user = true;
}

/* Under valgrind a child leaves through exec, which looks for no leaks: the library leaves the memory of a store that
 * was carried over as it is, since another thread of the parent may have held its locks. */
static void leave(void)
{
    if (check_valgrind()) execlp("true", "true", (char *)NULL);
}

static void use_in_child(void *argument)
{
    handles *h = argument;
    sarsen_snapshot *snapshot = h->snapshot;
    sarsen_kv_iter *pairs = h->pairs;
    sarsen_stream_iter *records = h->records;
    sarsen_stream_names *names = h->names;
    sarsen_memory_iter *memories = h->memories;
    sarsen_log_reader *reader = h->reader;
    sarsen_report *report = NULL;
    sarsen_view view;
    sarsen_block block;
    sarsen_bytes key, value;
    sarsen_status answer;
    sarsen_command command;
    sarsen_tags *tags = NULL;
    sarsen_stats stats;
    sarsen_recovery recovery;
    uint8_t buffer[100];
    uint64_t number = 0, other = 0;
    size_t len = 0, count = 0;
    bool flag = false, called = false;

    CHECK_IS(SARSEN_FORKED, sarsen_kv_set(h->store, STR("key"), STR("child"), ERR));
    CHECK_IS(SARSEN_FORKED, sarsen_kv_delete(h->store, STR("key"), ERR));
    memset(&view, 0xa5, sizeof view);
    CHECK_IS(SARSEN_FORKED, sarsen_kv_get(h->store, NULL, STR("key"), &view, ERR));
    CHECK(view.data == NULL && view.pin == NULL);
    CHECK_IS(SARSEN_FORKED, sarsen_kv_get(h->store, h->snapshot, STR("key"), &view, ERR));
    CHECK_IS(SARSEN_FORKED, sarsen_kv_read(h->store, NULL, STR("key"), buffer, sizeof buffer, &len, ERR));
    key = (sarsen_bytes){(const uint8_t *)"key", 3};
    CHECK_IS(SARSEN_FORKED, sarsen_kv_get_many(h->store, NULL, &key, 1, &view, &answer, ERR));
    CHECK_IS(SARSEN_FORKED, sarsen_kv_scan(h->store, NULL, NONE, NONE, false, &pairs, ERR));
    CHECK(pairs == NULL);
    CHECK_IS(SARSEN_FORKED, sarsen_kv_prefix(h->store, NULL, NONE, false, &pairs, ERR));
    CHECK_IS(SARSEN_FORKED, sarsen_kv_iter_next(h->pairs, &key, &value, ERR));
    CHECK_IS(SARSEN_FORKED, sarsen_kv_iter_fill(h->pairs, buffer, sizeof buffer, &len, &count, ERR));
    CHECK_IS(SARSEN_FORKED, sarsen_stream_append(h->store, STR("s"), STR("child"), &number, ERR));
    CHECK_IS(SARSEN_FORKED, sarsen_stream_trim(h->store, STR("s"), 1, ERR));
    CHECK_IS(SARSEN_FORKED, sarsen_stream_bounds(h->store, NULL, STR("s"), &number, &other, ERR));
    CHECK_IS(SARSEN_FORKED, sarsen_stream_get(h->store, NULL, STR("s"), 0, &view, ERR));
    CHECK_IS(SARSEN_FORKED, sarsen_stream_read(h->store, NULL, STR("s"), 0, &records, ERR));
    CHECK(records == NULL);
    CHECK_IS(SARSEN_FORKED, sarsen_stream_iter_next(h->records, &number, &value, ERR));
    CHECK_IS(SARSEN_FORKED, sarsen_stream_iter_fill(h->records, buffer, sizeof buffer, &len, &count, ERR));
    CHECK_IS(SARSEN_FORKED, sarsen_stream_list(h->store, NULL, NONE, &names, ERR));
    CHECK(names == NULL);
    CHECK_IS(SARSEN_FORKED, sarsen_stream_names_next(h->names, &key, &number, &other, ERR));
    CHECK_IS(SARSEN_FORKED, sarsen_memory_append(h->store, 1, NULL, STR("child"), ERR));
    CHECK_IS(SARSEN_FORKED, sarsen_memory_delete(h->store, 1, ERR));
    CHECK_IS(SARSEN_FORKED, sarsen_memory_get(h->store, NULL, 1, &view, ERR));
    CHECK_IS(SARSEN_FORKED, sarsen_memory_info(h->store, NULL, 1, &block, &tags, ERR));
    CHECK_IS(SARSEN_FORKED, sarsen_memory_find(h->store, NULL, NULL, NULL, NULL, 0, &memories, ERR));
    CHECK(memories == NULL);
    CHECK_IS(SARSEN_FORKED, sarsen_memory_iter_next(h->memories, &number, &value, ERR));
    CHECK_IS(SARSEN_FORKED, sarsen_block_append(h->store, STR("child"), &block, ERR));
    CHECK_IS(SARSEN_FORKED, sarsen_block_free(h->store, &h->block, ERR));
    CHECK_IS(SARSEN_FORKED, sarsen_block_read(h->store, &h->block, 0, buffer, 1, ERR));
    CHECK_IS(SARSEN_FORKED, sarsen_block_view(h->store, &h->block, 0, 1, &view, ERR));
    CHECK_IS(SARSEN_FORKED, sarsen_batch_commit(h->batch, h->store, 0, &number, ERR));
    CHECK_NUMBER(sarsen_batch_count(h->batch), 1);
    CHECK_IS(SARSEN_FORKED, sarsen_log_read(h->store, 1, 0, &reader, ERR));
    CHECK(reader == NULL);
    CHECK_IS(SARSEN_FORKED, sarsen_log_next(h->reader, 60000000, &command, sizeof command, NULL, ERR));
    CHECK_IS(SARSEN_FORKED, sarsen_snapshot_new(h->store, &snapshot, ERR));
    CHECK(snapshot == NULL);
    CHECK_IS(SARSEN_FORKED, sarsen_store_sync(h->store, ERR));
    CHECK_IS(SARSEN_FORKED, sarsen_store_wait_durable(h->store, 1, 0, ERR));
    CHECK_IS(SARSEN_FORKED, sarsen_store_notify_durable(h->store, 1, nobody_calls, &called, ERR));
    CHECK_IS(SARSEN_FORKED, sarsen_store_checkpoint(h->store, ERR));
    CHECK_IS(SARSEN_FORKED, sarsen_store_compact(h->store, ERR));
    CHECK_IS(SARSEN_FORKED, sarsen_store_maintain(h->store, 1000, &flag, ERR));
    CHECK_IS(SARSEN_FORKED, sarsen_store_backup(h->store, NULL, check_join(h->path, "child"), ERR));
    CHECK_IS(SARSEN_FORKED, sarsen_store_refresh(h->store, NULL, ERR));
    CHECK_IS(SARSEN_FORKED, sarsen_store_import(h->store, h->path, NULL, ERR));
    CHECK_IS(SARSEN_FORKED, sarsen_store_verify(h->store, &report, ERR));
    CHECK_IS(SARSEN_FORKED, sarsen_store_stats(h->store, &stats, sizeof stats));
    CHECK_IS(SARSEN_FORKED, sarsen_store_recovery(h->store, &recovery, sizeof recovery));
    CHECK(!called);
    CHECK_BYTES(h->view.data, h->view.len, "parent", 6); /* mapped memory is the child's as well */

    sarsen_kv_iter_free(h->pairs);
    sarsen_stream_iter_free(h->records);
    sarsen_stream_names_free(h->names);
    sarsen_memory_iter_free(h->memories);
    sarsen_log_reader_free(h->reader);
    sarsen_snapshot_free(h->snapshot);
    sarsen_batch_free(h->batch);
    CHECK_IN(STATUS_BIT(SARSEN_OK) | STATUS_BIT(SARSEN_FORKED), sarsen_store_close(h->store, ERR));
    CHECK_BYTES(h->view.data, h->view.len, "parent", 6);
    sarsen_view_release(&h->view);
    leave();
}

static void in_the_child_every_call_answers_forked(void)
{
    for (int background = 0; background < 2; background++) {
        const char *path = check_path(background ? "thread" : "none");
        handles h;
        memset(&h, 0, sizeof h);
        h.path = path;
        h.store = check_open(path, (check_how){.background = background != 0});
        for (int i = 0; i < 3; i++) { /* three of each, so that the parent's iterators have more to give */
            char key[8];
            snprintf(key, sizeof key, "%d", i);
            check_set(h.store, key, "parent");
            CHECK_OK(sarsen_stream_append(h.store, STR("s"), STR("parent"), NULL, ERR));
            CHECK_OK(sarsen_stream_append(h.store, key, 1, STR("parent"), NULL, ERR));
            CHECK_OK(sarsen_memory_append(h.store, (uint64_t)i, NULL, STR("parent"), ERR));
        }
        check_set(h.store, "key", "parent");
        CHECK_OK(sarsen_block_append(h.store, STR("parent"), &h.block, ERR));
        CHECK_OK(sarsen_snapshot_new(h.store, &h.snapshot, ERR));
        CHECK_OK(sarsen_kv_scan(h.store, NULL, NONE, NONE, false, &h.pairs, ERR));
        CHECK_OK(sarsen_stream_read(h.store, NULL, STR("s"), 0, &h.records, ERR));
        CHECK_OK(sarsen_stream_list(h.store, NULL, NONE, &h.names, ERR));
        CHECK_OK(sarsen_memory_find(h.store, NULL, NULL, NULL, NULL, 0, &h.memories, ERR));
        CHECK_OK(sarsen_log_read(h.store, 1, 0, &h.reader, ERR));
        CHECK_OK(sarsen_kv_get(h.store, NULL, STR("key"), &h.view, ERR));
        h.batch = sarsen_batch_new();
        CHECK_OK(sarsen_batch_set_kv(h.batch, STR("key"), STR("batch"), ERR));
        CHECK_CHILD(use_in_child, &h);
        CHECK_CHILD(use_in_child, &h);

        /* The parent's handles are all as before. */
        CHECK_KV(h.store, h.snapshot, "key", "parent");
        for (int i = 0; i < 3; i++) {
            uint64_t index = 0, first = 0, next = 0;
            CHECK_OK(sarsen_kv_iter_next(h.pairs, &h.key, &h.value, ERR));
            CHECK_BYTES(h.value.data, h.value.len, "parent", 6);
            CHECK_OK(sarsen_stream_iter_next(h.records, &index, &h.value, ERR));
            CHECK_BYTES(h.value.data, h.value.len, "parent", 6);
            CHECK_OK(sarsen_memory_iter_next(h.memories, &index, &h.value, ERR));
            CHECK_BYTES(h.value.data, h.value.len, "parent", 6);
            CHECK_OK(sarsen_stream_names_next(h.names, &h.key, &first, &next, ERR));
        }
        CHECK_OK(sarsen_batch_commit(h.batch, h.store, SARSEN_SURVIVE_POWER, NULL, ERR));
        CHECK_KV(h.store, NULL, "key", "batch");
        CHECK_OK(sarsen_store_compact(h.store, ERR));
        CHECK_BYTES(h.view.data, h.view.len, "parent", 6);
        sarsen_view_release(&h.view);
        sarsen_kv_iter_free(h.pairs);
        sarsen_stream_iter_free(h.records);
        sarsen_stream_names_free(h.names);
        sarsen_memory_iter_free(h.memories);
        sarsen_log_reader_free(h.reader);
        sarsen_snapshot_free(h.snapshot);
        sarsen_batch_free(h.batch);
        check_sound(h.store);
        h.store = check_reopen(h.store, path, (check_how){0});
        CHECK_KV(h.store, NULL, "key", "batch");
        CHECK_STREAM(h.store, NULL, "s", 0, 3);
        check_close(h.store);
    }
}

static void close_in_child(void *argument)
{
    handles *h = argument;
    CHECK_IN(STATUS_BIT(SARSEN_OK) | STATUS_BIT(SARSEN_FORKED), sarsen_store_close(h->store, ERR));
    sarsen_kv_iter_free(h->pairs); /* after its store, too */
    leave();
}

static void leave_child(void *argument)
{
    (void)argument; /* ends without closing anything */
    leave();
}

static void a_child_neither_unlocks_nor_writes(void)
{
    const char *path = check_path("store");
    handles h;
    sarsen_store *second = NULL;
    uint64_t before;
    memset(&h, 0, sizeof h);
    h.store = check_open(path, (check_how){0});
    check_set(h.store, "key", "value");
    CHECK_OK(sarsen_kv_scan(h.store, NULL, NONE, NONE, false, &h.pairs, ERR));
    before = check_tree_digest(path);
    CHECK_CHILD(close_in_child, &h);
    CHECK_CHILD(leave_child, &h);
    CHECK_NUMBER(check_tree_digest(path), before);
    CHECK_IS(SARSEN_LOCKED, sarsen_store_open(path, NULL, &second, ERR));
    check_set(h.store, "key", "more");
    CHECK_KV(h.store, NULL, "key", "more");
    sarsen_kv_iter_free(h.pairs);
    check_close(h.store);
}

/* The lock goes with the parent's closing, though a child that lives on has the descriptor too. */
static void a_child_that_lives_on_holds_no_lock(void)
{
    const char *path = check_path("store");
    sarsen_store *store = check_open(path, (check_how){0});
    int ends[2];
    pid_t child;
    char byte;
    CHECK(pipe(ends) == 0);
    child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        close(ends[1]);
        _exit(read(ends[0], &byte, 1) == 0 ? 0 : 1);
    }
    close(ends[0]);
    check_close(store);
    store = check_open(path, (check_how){0});
    check_set(store, "key", "value");
    check_close(store);
    close(ends[1]);
    CHECK(waitpid(child, NULL, 0) == child);
}

static void open_in_child(void *path)
{
    sarsen_store *store = NULL;
    CHECK_IS(SARSEN_LOCKED, sarsen_store_open(path, NULL, &store, ERR));
    store = check_open(path, (check_how){.read_only = true}); /* a store of its own works */
    CHECK_KV(store, NULL, "key", "value");
    check_close(store);
    store = check_open(check_join(path, "../other"), (check_how){.background = true});
    check_set(store, "key", "of the child");
    check_close(store);
    leave();
}

static void a_child_may_open_stores_of_its_own(void)
{
    const char *path = check_path("store");
    sarsen_store *store = check_open(path, (check_how){.background = true});
    check_set(store, "key", "value");
    CHECK_CHILD(open_in_child, (void *)(uintptr_t)path);
    check_set(store, "key", "on it goes");
    check_close(store);
    store = check_open(check_path("other"), (check_how){.no_create = true});
    CHECK_KV(store, NULL, "key", "of the child");
    check_close(store);
}

/* ---- forked while others are inside ------------------------------------------------------------------- */

/* A lock that another thread held when the process was forked stays locked in the child for good: nothing there may
 * wait for one. Each thread here is in one kind of call nearly all the time. */
enum { COMMIT, SYNC, CHECKPOINT, COMPACT, ITERATE, CALL_BACK, FOLLOW, VIEWS, DOINGS };

typedef struct busy {
    const sarsen_store *store;
    int doing;
    atomic_bool *over;
    atomic_uint *rounds;
    pthread_t thread;
} busy;

static void count_call(void *user, uint64_t seq, sarsen_status status)
{
    (void)seq, (void)status;
    atomic_fetch_add((atomic_uint *)user, 1);
}

static void *be_busy(void *argument)
{
    busy *self = argument;
    const sarsen_store *store = self->store;
    uint8_t data[3000];
    check_fill(data, sizeof data, 1);
    for (uint64_t n = 0; !atomic_load(self->over); n++) {
        sarsen_kv_iter *pairs = NULL;
        sarsen_log_reader *reader = NULL;
        sarsen_command command;
        sarsen_bytes key, value;
        sarsen_view view;
        atomic_uint calls = 0;
        uint64_t slot = n % 500;
        switch (self->doing) {
        case COMMIT: CHECK_OK(sarsen_kv_set(store, &slot, sizeof slot, data, n % sizeof data, ERR)); break;
        case SYNC: CHECK_OK(sarsen_store_sync(store, ERR)); break;
        case CHECKPOINT: CHECK_OK(sarsen_store_checkpoint(store, ERR)); break;
        case COMPACT: CHECK_OK(sarsen_store_compact(store, ERR)); break;
        case ITERATE:
            CHECK_OK(sarsen_kv_scan(store, NULL, NONE, NONE, false, &pairs, ERR));
            for (int i = 0; i < 100; i++)
                CHECK_IN(STATUS_BIT(SARSEN_OK) | STATUS_BIT(SARSEN_END), sarsen_kv_iter_next(pairs, &key, &value, ERR));
            sarsen_kv_iter_free(pairs);
            break;
        case CALL_BACK:
            CHECK(sarsen_store_notify_durable(store, sarsen_store_last_seq(store), count_call, &calls, NULL) == SARSEN_OK);
            while (atomic_load(&calls) == 0) CHECK(sarsen_store_sync(store, NULL) == SARSEN_OK);
            break;
        case FOLLOW:
            CHECK_OK(sarsen_log_read(store, sarsen_store_last_seq(store) + 1, 0, &reader, ERR));
            CHECK_IN(STATUS_BIT(SARSEN_OK) | STATUS_BIT(SARSEN_TIMEOUT) | STATUS_BIT(SARSEN_NOT_FOUND),
                     sarsen_log_next(reader, 1000, &command, sizeof command, NULL, ERR));
            sarsen_log_reader_free(reader);
            break;
        default:
            CHECK_OK(sarsen_kv_get(store, NULL, STR("key"), &view, ERR));
            CHECK_BYTES(view.data, view.len, "parent", 6);
            sarsen_view_release(&view);
        }
        atomic_fetch_add(self->rounds, 1);
    }
    return NULL;
}

static void let_go_in_child(void *argument)
{
    handles *h = argument;
    sarsen_store *own;
    sarsen_bytes key, value;
    sarsen_command command;
    sarsen_view view;
    char name[32];
    alarm(120); /* a child that waits for ever is one that died of this */
    CHECK_IS(SARSEN_FORKED, sarsen_kv_set(h->store, STR("key"), STR("child"), ERR));
    CHECK_IS(SARSEN_FORKED, sarsen_kv_get(h->store, NULL, STR("key"), &view, ERR));
    CHECK_IS(SARSEN_FORKED, sarsen_batch_commit(h->batch, h->store, SARSEN_SURVIVE_POWER, NULL, ERR));
    CHECK_IS(SARSEN_FORKED, sarsen_store_sync(h->store, ERR));
    CHECK_IS(SARSEN_FORKED, sarsen_store_checkpoint(h->store, ERR));
    CHECK_IS(SARSEN_FORKED, sarsen_kv_iter_next(h->pairs, &key, &value, ERR));
    CHECK_IS(SARSEN_FORKED, sarsen_log_next(h->reader, 60000000, &command, sizeof command, NULL, ERR));
    CHECK_BYTES(h->view.data, h->view.len, "parent", 6);
    sarsen_kv_iter_free(h->pairs);
    sarsen_log_reader_free(h->reader);
    sarsen_snapshot_free(h->snapshot);
    sarsen_batch_free(h->batch);
    CHECK_IN(STATUS_BIT(SARSEN_OK) | STATUS_BIT(SARSEN_FORKED), sarsen_store_close(h->store, ERR));
    sarsen_view_release(&h->view);
    snprintf(name, sizeof name, "../of-%d", (int)getpid());
    own = check_open(check_join(h->path, name), (check_how){.background = true});
    check_set(own, "key", "of the child");
    CHECK_OK(sarsen_store_checkpoint(own, ERR));
    CHECK_KV(own, NULL, "key", "of the child");
    check_close(own);
    leave();
}

static void fork_beside(const sarsen_store *store, handles *h, int children)
{
    for (int i = 0; i < children; i++) {
        h->store = (sarsen_store *)(uintptr_t)store;
        CHECK_OK(sarsen_snapshot_new(store, &h->snapshot, ERR));
        CHECK_OK(sarsen_kv_scan(store, NULL, NONE, NONE, false, &h->pairs, ERR));
        CHECK_OK(sarsen_log_read(store, sarsen_store_last_seq(store) + 1, 0, &h->reader, ERR));
        CHECK_OK(sarsen_kv_get(store, NULL, STR("key"), &h->view, ERR));
        h->batch = sarsen_batch_new();
        CHECK_OK(sarsen_batch_set_kv(h->batch, STR("other"), STR("batch"), ERR));
        CHECK_CHILD(let_go_in_child, h);
        CHECK_BYTES(h->view.data, h->view.len, "parent", 6);
        sarsen_view_release(&h->view);
        sarsen_kv_iter_free(h->pairs);
        sarsen_log_reader_free(h->reader);
        sarsen_snapshot_free(h->snapshot);
        sarsen_batch_free(h->batch);
    }
}

#ifdef __SANITIZE_ADDRESS__
__attribute__((unused))
#endif
static void children_forked_while_threads_are_inside_do_not_wait_for_them(void)
{
    for (int background = 0; background < 2; background++) {
        const char *path = check_path(background ? "thread" : "none");
        sarsen_store *store = check_open(path, (check_how){.background = background != 0, .memory_bytes = 1 << 20,
                                                            .log_retention_bytes = 4 << 20});
        atomic_bool over = false;
        atomic_uint rounds = 0;
        busy all[DOINGS];
        handles h;
        memset(&h, 0, sizeof h);
        h.path = path;
        check_set(store, "key", "parent");
        for (int doing = 0; doing < DOINGS; doing++) {
            all[doing] = (busy){.store = store, .doing = doing, .over = &over, .rounds = &rounds};
            CHECK(pthread_create(&all[doing].thread, NULL, be_busy, &all[doing]) == 0);
        }
        while (atomic_load(&rounds) < DOINGS) sched_yield();
        fork_beside(store, &h, check_instrumented() ? 4 : 25);
        atomic_store(&over, true);
        for (int doing = 0; doing < DOINGS; doing++) CHECK(pthread_join(all[doing].thread, NULL) == 0);
        check_sound(store);
        store = check_reopen(store, path, (check_how){0});
        CHECK_KV(store, NULL, "key", "parent");
        check_close(store);
    }
}

static void fork_in_callback(void *user, uint64_t seq, sarsen_status status)
{
    handles *h = user;
    (void)seq;
    CHECK_NUMBER(status, SARSEN_OK);
    fork_beside(h->store, h, 2);
    h->block.len++; /* counts the calls */
}

static void a_child_forked_in_a_callback_is_forked_too(void)
{
    const char *path = check_path("store");
    sarsen_store *store = check_open(path, (check_how){0});
    handles h;
    memset(&h, 0, sizeof h);
    h.path = path;
    h.store = store;
    check_set(store, "key", "parent");
    CHECK(sarsen_store_notify_durable(store, 1, fork_in_callback, &h, NULL) == SARSEN_OK);
    CHECK(sarsen_store_sync(store, NULL) == SARSEN_OK);
    CHECK_NUMBER(h.block.len, 1);
    check_set(store, "key", "more");
    check_close(store);
}

/* The reader's lock stays as long as the child lives, which costs space and nothing else; the child gives it up with its
 * end. */
static void a_child_of_a_reader_is_forked_and_the_writer_goes_on(void)
{
    const char *path = check_path("store");
    sarsen_store *store = check_open(path, (check_how){0}), *reader;
    handles h;
    memset(&h, 0, sizeof h);
    h.path = path;
    check_set(store, "key", "parent");
    reader = check_open(path, (check_how){.read_only = true});
    fork_beside(reader, &h, 3);
    for (int i = 0; i < 20; i++) {
        check_set(store, "other", "value");
        CHECK_OK(sarsen_store_compact(store, ERR));
    }
    fork_beside(reader, &h, 3);
    CHECK_OK(sarsen_store_refresh(reader, NULL, ERR));
    CHECK_KV(reader, NULL, "other", "value");
    fork_beside(reader, &h, 3);
    check_close(reader);
    check_sound(store);
    check_close(store);
}

static const check_case cases[] = {
    CASE(in_the_child_every_call_answers_forked),
    CASE(a_child_neither_unlocks_nor_writes),
    CASE(a_child_that_lives_on_holds_no_lock),
    CASE(a_child_may_open_stores_of_its_own),
#ifndef __SANITIZE_ADDRESS__ /* its allocator's own locks stay held in a child forked while other threads allocate */
    CASE(children_forked_while_threads_are_inside_do_not_wait_for_them),
#endif
    CASE(a_child_forked_in_a_callback_is_forked_too),
    CASE(a_child_of_a_reader_is_forked_and_the_writer_goes_on),
};
CHECK_MAIN(cases)
