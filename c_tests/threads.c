/* Many threads and one store: commits at both levels, reads, snapshots and upkeep at once, and closing while
 * others are inside. */
#include "check.h"

#include <pthread.h>
#include <stdatomic.h>

enum { WRITERS = 6, READERS = 3 };

typedef struct shared {
    const sarsen_store *store;
    uint64_t commits; /* each writer's */
    atomic_bool stop;
    atomic_uint_fast64_t seqs; /* sum of the seqs that commits were given */
} shared;

typedef struct worker {
    shared *all;
    uint64_t number;
    pthread_t thread;
} worker;

static size_t size_of(uint64_t n)
{
    return n % 64 == 0 ? 80000 : (size_t)(n * 31 % 700);
}

/* Each commit writes its own number to two keys and a stream: all three or none must be seen. */
static void *write_commits(void *argument)
{
    worker *self = argument;
    sarsen_batch *batch = sarsen_batch_new();
    uint64_t pair[2] = {self->number, 0}, before = 0;
    for (uint64_t n = 1; n <= self->all->commits; n++) {
        uint64_t tag = self->number << 32 | n, seq = 0, index = 99;
        uint8_t *data = check_filled_new(size_of(n), tag);
        bool power = n % 25 == 0;
        for (pair[1] = 0; pair[1] < 2; pair[1]++) CHECK_OK(sarsen_batch_set_kv(batch, pair, sizeof pair, &n, sizeof n, ERR));
        CHECK_OK(sarsen_batch_append_stream(batch, &self->number, sizeof self->number, data, size_of(n), ERR));
        CHECK_OK(sarsen_batch_append_stream(batch, STR("shared"), &tag, sizeof tag, ERR));
        CHECK_OK(sarsen_batch_append_memory(batch, self->number * 16 + n % 16, NULL, data, size_of(n), ERR));
        CHECK_OK(sarsen_batch_commit(batch, self->all->store, power ? SARSEN_SURVIVE_POWER : SARSEN_SURVIVE_PROCESS, &seq,
                                     ERR));
        CHECK(seq > before);
        before = seq;
        atomic_fetch_add(&self->all->seqs, seq);
        if (power) CHECK(sarsen_store_durable_seq(self->all->store) >= seq);
        CHECK(sarsen_store_last_seq(self->all->store) >= seq); /* visible once committed */
        CHECK_OK(sarsen_batch_result(batch, 2, &index, NULL, ERR));
        CHECK_NUMBER(index, n - 1);
        free(data);
    }
    sarsen_batch_free(batch);
    return NULL;
}

static uint64_t number_at(const sarsen_store *store, const sarsen_snapshot *snapshot, uint64_t writer, uint64_t which)
{
    uint64_t pair[2] = {writer, which}, n = 0;
    sarsen_view view;
    CHECK_IN(STATUS_BIT(SARSEN_OK) | STATUS_BIT(SARSEN_NOT_FOUND),
             sarsen_kv_get(store, snapshot, pair, sizeof pair, &view, ERR));
    if (check_last.status != SARSEN_OK) return 0;
    CHECK_NUMBER(view.len, sizeof n);
    memcpy(&n, view.data, sizeof n);
    sarsen_view_release(&view);
    return n;
}

static void *read_snapshots(void *argument)
{
    worker *self = argument;
    const sarsen_store *store = self->all->store;
    uint64_t newest[WRITERS] = {0};
    while (!atomic_load(&self->all->stop)) {
        sarsen_snapshot *snapshot = NULL;
        uint64_t total = 0, first = 0, next = 0;
        CHECK_OK(sarsen_snapshot_new(store, &snapshot, ERR));
        for (uint64_t writer = 0; writer < WRITERS; writer++) {
            uint64_t n = number_at(store, snapshot, writer, 0);
            sarsen_view view;
            CHECK_NUMBER(number_at(store, snapshot, writer, 1), n);
            CHECK(n >= newest[writer]); /* snapshots only go forward */
            newest[writer] = n;
            total += n;
            if (n == 0) continue;
            CHECK_OK(sarsen_stream_bounds(store, snapshot, &writer, sizeof writer, &first, &next, ERR));
            CHECK_NUMBER(next, n);
            CHECK_OK(sarsen_stream_get(store, snapshot, &writer, sizeof writer, n - 1, &view, ERR));
            CHECK_FILLED(view.data, view.len, size_of(n), writer << 32 | n);
            sarsen_view_release(&view);
            CHECK_OK(sarsen_memory_get(store, snapshot, writer * 16 + n % 16, &view, ERR));
            CHECK_FILLED(view.data, view.len, size_of(n), writer << 32 | n);
            sarsen_view_release(&view);
        }
        CHECK_NUMBER(sarsen_snapshot_seq(snapshot), total); /* every commit is one writer's, and no seq is left out */
        if (total > 0) {
            CHECK_OK(sarsen_stream_bounds(store, snapshot, STR("shared"), &first, &next, ERR));
            CHECK_NUMBER(next, total);
        }
        sarsen_snapshot_free(snapshot);
    }
    return NULL;
}

static void *do_upkeep(void *argument)
{
    worker *self = argument;
    bool more = false;
    for (uint64_t round = 0; !atomic_load(&self->all->stop); round++) {
        switch (round % 5) {
        case 0: CHECK_OK(sarsen_store_checkpoint(self->all->store, ERR)); break;
        case 1: CHECK_OK(sarsen_store_sync(self->all->store, ERR)); break;
        case 2: CHECK_OK(sarsen_store_compact(self->all->store, ERR)); break;
        default: CHECK_OK(sarsen_store_maintain(self->all->store, 500, &more, ERR));
        }
    }
    return NULL;
}

static void start(worker *workers, size_t count, shared *all, void *(*body)(void *))
{
    for (size_t i = 0; i < count; i++) {
        workers[i].all = all;
        workers[i].number = i;
        CHECK(pthread_create(&workers[i].thread, NULL, body, &workers[i]) == 0);
    }
}

static void join(worker *workers, size_t count)
{
    for (size_t i = 0; i < count; i++) CHECK(pthread_join(workers[i].thread, NULL) == 0);
}

static void writers_readers_and_upkeep(bool background, const char *path)
{
    check_how how = {.background = background, .memory_bytes = 4 << 20, .chunk_bytes = 4 << 20};
    sarsen_store *store = check_open(path, how);
    static worker writers[WRITERS], readers[READERS], upkeep[1];
    shared all = {.store = store, .commits = check_instrumented() ? 150 : 1500};
    const uint64_t total = WRITERS * all.commits;
    sarsen_view view;

    start(readers, READERS, &all, read_snapshots);
    start(upkeep, 1, &all, do_upkeep);
    start(writers, WRITERS, &all, write_commits);
    join(writers, WRITERS);
    atomic_store(&all.stop, true);
    join(readers, READERS);
    join(upkeep, 1);
    CHECK_NUMBER(sarsen_store_last_seq(store), total);
    CHECK_NUMBER(atomic_load(&all.seqs), total * (total + 1) / 2); /* each seq once */
    for (int round = 0; round < 2; round++) {
        uint64_t seen[WRITERS] = {0};
        for (uint64_t writer = 0; writer < WRITERS; writer++) {
            CHECK_NUMBER(number_at(store, NULL, writer, 0), all.commits);
            for (uint64_t n = 1; n <= all.commits; n++) {
                CHECK_OK(sarsen_stream_get(store, NULL, &writer, sizeof writer, n - 1, &view, ERR));
                CHECK_FILLED(view.data, view.len, size_of(n), writer << 32 | n);
                sarsen_view_release(&view);
            }
        }
        for (uint64_t index = 0; index < total; index++) { /* in one order, which is each writer's own */
            uint64_t tag = 0;
            CHECK_OK(sarsen_stream_get(store, NULL, STR("shared"), index, &view, ERR));
            memcpy(&tag, view.data, sizeof tag);
            sarsen_view_release(&view);
            CHECK_NUMBER(tag & UINT32_MAX, ++seen[tag >> 32]);
        }
        check_sound(store);
        if (round == 0) store = check_reopen(store, path, how);
    }
    check_close(store);
}

static void commits_are_atomic_and_ordered_with_a_thread(void)
{
    writers_readers_and_upkeep(true, check_path("store"));
}

static void commits_are_atomic_and_ordered_without_a_thread(void)
{
    writers_readers_and_upkeep(false, check_path("store"));
}

/* ---- closing ------------------------------------------------------------------------------------------ */

typedef struct child_user {
    sarsen_store *store;
    sarsen_kv_iter *pairs;
    sarsen_log_reader *reader;
    atomic_uint *started;
    pthread_t thread;
} child_user;

static void *iterate_until_closed(void *argument)
{
    child_user *self = argument;
    sarsen_bytes key, value;
    uint32_t last = 0;
    bool first = true;
    for (;;) {
        CHECK_IN(STATUS_BIT(SARSEN_OK) | STATUS_BIT(SARSEN_END) | STATUS_BIT(SARSEN_INVALID_ARGUMENT),
                 sarsen_kv_iter_next(self->pairs, &key, &value, ERR));
        if (first) atomic_fetch_add(self->started, 1);
        first = false;
        if (check_last.status == SARSEN_INVALID_ARGUMENT) break;
        if (check_last.status == SARSEN_END) continue; /* until it is closed */
        CHECK_NUMBER(key.len, 4);
        CHECK(last == 0 || memcmp(&last, key.data, 4) != 0);
        memcpy(&last, key.data, 4);
        CHECK_FILLED(value.data, value.len, 500, last); /* good until the next call, closed or not */
    }
    return NULL;
}

static void *wait_until_closed(void *argument)
{
    child_user *self = argument;
    sarsen_command command;
    atomic_fetch_add(self->started, 1);
    for (;;) {
        CHECK_IN(STATUS_BIT(SARSEN_OK) | STATUS_BIT(SARSEN_NOT_FOUND) | STATUS_BIT(SARSEN_INVALID_ARGUMENT),
                 sarsen_log_next(self->reader, 3600000000u, &command, sizeof command, NULL, ERR));
        if (check_last.status != SARSEN_OK) break;
    }
    return NULL;
}

/* Closing does not wait out a reader's hour, and what its children are given stays theirs. */
static void close_races_with_iterators_and_waiting_readers(void)
{
    enum { USERS = 4 };
    const char *path = check_path("store");
    const int rounds = check_instrumented() ? 4 : 25;
    for (int round = 0; round < rounds; round++) {
        sarsen_store *store = check_open(path, (check_how){.background = round % 2 == 0});
        child_user iterators[USERS], readers[USERS];
        atomic_uint started = 0;
        uint8_t value[500];
        for (uint32_t key = 1; key <= 2000; key++) {
            check_fill(value, sizeof value, key);
            CHECK_OK(sarsen_kv_set(store, &key, sizeof key, value, sizeof value, ERR));
        }
        if (round % 3 == 0) CHECK_OK(sarsen_store_checkpoint(store, ERR));
        for (int i = 0; i < USERS; i++) {
            iterators[i] = (child_user){.store = store, .started = &started};
            readers[i] = (child_user){.store = store, .started = &started};
            CHECK_OK(sarsen_kv_scan(store, NULL, NONE, NONE, i % 2 == 0, &iterators[i].pairs, ERR));
            CHECK_OK(sarsen_log_read(store, sarsen_store_last_seq(store) + 1, 0, &readers[i].reader, ERR));
            CHECK(pthread_create(&iterators[i].thread, NULL, iterate_until_closed, &iterators[i]) == 0);
            CHECK(pthread_create(&readers[i].thread, NULL, wait_until_closed, &readers[i]) == 0);
        }
        while (atomic_load(&started) < 2 * USERS) CHECK_OK(sarsen_stream_append(store, STR("s"), NONE, NULL, ERR));
        check_close(store);
        for (int i = 0; i < USERS; i++) {
            CHECK(pthread_join(iterators[i].thread, NULL) == 0);
            CHECK(pthread_join(readers[i].thread, NULL) == 0);
            sarsen_kv_iter_free(iterators[i].pairs);
            sarsen_log_reader_free(readers[i].reader);
        }
    }
}

static void *release_views(void *argument)
{
    sarsen_view *views = argument;
    for (uint64_t i = 0; i < 500; i++) {
        CHECK_FILLED(views[i].data, views[i].len, (size_t)(i * 20), i);
        sarsen_view_release(&views[i]);
    }
    return NULL;
}

static void views_are_released_by_other_threads_while_the_store_closes(void)
{
    const char *path = check_path("store");
    for (int round = 0; round < 6; round++) {
        sarsen_store *store = check_open(path, (check_how){.background = true, .memory_bytes = 2 << 20});
        static sarsen_view views[2][500];
        pthread_t threads[2];
        for (uint64_t i = 0; i < 500; i++) {
            uint8_t *data = check_filled_new((size_t)(i * 20), i);
            CHECK_OK(sarsen_memory_append(store, i, NULL, data, (size_t)(i * 20), ERR));
            free(data);
            for (int j = 0; j < 2; j++) CHECK_OK(sarsen_memory_get(store, NULL, i, &views[j][i], ERR));
        }
        for (int j = 0; j < 2; j++) CHECK(pthread_create(&threads[j], NULL, release_views, views[j]) == 0);
        check_close(store);
        for (int j = 0; j < 2; j++) CHECK(pthread_join(threads[j], NULL) == 0);
    }
}

/* One thread of many gets the lock; the others are told so, and none waits. */
static atomic_uint opened;

static void *open_and_close(void *path)
{
    for (int round = 0; round < 60; round++) {
        sarsen_store *store = NULL;
        CHECK_IN(STATUS_BIT(SARSEN_OK) | STATUS_BIT(SARSEN_LOCKED), sarsen_store_open(path, NULL, &store, ERR));
        CHECK((check_last.status == SARSEN_OK) == (store != NULL));
        if (store == NULL) continue;
        CHECK_NUMBER(atomic_fetch_add(&opened, 1), 0);
        check_set(store, "key", "value");
        atomic_fetch_sub(&opened, 1);
        check_close(store);
    }
    return NULL;
}

static void only_one_thread_at_a_time_opens_it_for_writing(void)
{
    const char *path = check_path("store");
    pthread_t threads[4];
    for (int i = 0; i < 4; i++) CHECK(pthread_create(&threads[i], NULL, open_and_close, (void *)(uintptr_t)path) == 0);
    for (int i = 0; i < 4; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    check_close(check_open(path, (check_how){0}));
}

static const check_case cases[] = {
    CASE(commits_are_atomic_and_ordered_with_a_thread),
    CASE(commits_are_atomic_and_ordered_without_a_thread),
    CASE(close_races_with_iterators_and_waiting_readers),
    CASE(views_are_released_by_other_threads_while_the_store_closes),
    CASE(only_one_thread_at_a_time_opens_it_for_writing),
};
CHECK_MAIN(cases)
