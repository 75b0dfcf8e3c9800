/* Is it on disk: durable_seq, sync, waiting for a seq, and being called back exactly once. */
#include "check.h"

#include <pthread.h>
#include <signal.h>
#include <unistd.h>

typedef struct calls {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    size_t count;
    uint64_t seq;
    sarsen_status status;
    pthread_t thread;
} calls;

static void calls_begin(calls *seen)
{
    memset(seen, 0, sizeof *seen);
    CHECK(pthread_mutex_init(&seen->lock, NULL) == 0);
    CHECK(pthread_cond_init(&seen->changed, NULL) == 0);
}

static void note(void *user, uint64_t seq, sarsen_status status)
{
    calls *seen = user;
    pthread_mutex_lock(&seen->lock);
    seen->count++;
    seen->seq = seq;
    seen->status = status;
    seen->thread = pthread_self();
    pthread_cond_broadcast(&seen->changed);
    pthread_mutex_unlock(&seen->lock);
}

static void a_sync_makes_everything_so_far_durable(void)
{
    sarsen_store *store = check_open(check_path("store"), (check_how){0});
    uint8_t *large = check_filled_new(300000, 1);
    CHECK_OK(sarsen_store_sync(store, ERR)); /* of nothing */
    CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_store_wait_durable(store, 1, 0, ERR)); /* no commit has it yet */
    CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_store_notify_durable(store, 1, note, NULL, ERR));
    for (uint64_t i = 1; i <= 30; i++) {
        if (i % 3 == 0) CHECK_OK(sarsen_memory_append(store, i, NULL, large, 300000, ERR));
        else CHECK_OK(sarsen_kv_set(store, &i, sizeof i, STR("value"), ERR));
        CHECK(sarsen_store_durable_seq(store) < i);
        if (i % 5 != 0) continue;
        CHECK_OK(sarsen_store_sync(store, ERR));
        CHECK_NUMBER(sarsen_store_durable_seq(store), i);
        CHECK_OK(sarsen_store_sync(store, ERR)); /* again, with nothing new */
    }
    free(large);
    check_close(store);
}

static void waiting_syncs_when_nobody_else_does(void)
{
    for (int background = 0; background < 2; background++) {
        sarsen_store *store =
            check_open(check_path(background ? "thread" : "none"), (check_how){.background = background != 0});
        for (uint64_t i = 1; i <= 20; i++) {
            CHECK_OK(sarsen_kv_set(store, &i, sizeof i, STR("value"), ERR));
            CHECK_OK(sarsen_store_wait_durable(store, 0, 0, ERR));
            if (background) CHECK_OK(sarsen_store_wait_durable(store, i, UINT64_MAX, ERR));
            else CHECK_OK(sarsen_store_wait_durable(store, i, 0, ERR)); /* the time-out is only for waiting for others */
            CHECK(sarsen_store_durable_seq(store) >= i);
        }
        check_close(store);
    }
}

static void a_power_safe_commit_covers_all_before_it(void)
{
    sarsen_store *store = check_open(check_path("store"), (check_how){0});
    sarsen_batch *batch = sarsen_batch_new();
    uint8_t *large = check_filled_new(2 << 20, 1);
    CHECK_OK(sarsen_memory_append(store, 1, NULL, large, 2 << 20, ERR));
    check_set(store, "key", "value");
    CHECK_OK(sarsen_batch_set_kv(batch, STR("key"), STR("safe"), ERR));
    CHECK_OK(sarsen_batch_commit(batch, store, SARSEN_SURVIVE_POWER, NULL, ERR));
    CHECK_NUMBER(sarsen_store_durable_seq(store), 3);
    sarsen_batch_free(batch);
    free(large);
    check_close(store);
}

static void a_callback_comes_at_once_for_what_is_durable(void)
{
    sarsen_store *store = check_open(check_path("store"), (check_how){0});
    calls seen;
    calls_begin(&seen);
    check_set(store, "key", "value");
    CHECK_OK(sarsen_store_sync(store, ERR));
    CHECK_OK(sarsen_store_notify_durable(store, 1, note, &seen, ERR));
    CHECK_NUMBER(seen.count, 1);
    CHECK_NUMBER(seen.seq, 1);
    CHECK_NUMBER(seen.status, SARSEN_OK);
    CHECK(pthread_equal(seen.thread, pthread_self()));
    CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_store_notify_durable(store, 1, NULL, &seen, ERR));
    check_close(store);
    CHECK_NUMBER(seen.count, 1);
}

static void without_a_thread_sync_wait_commit_maintain_and_close_call_back(void)
{
    sarsen_store *store = check_open(check_path("store"), (check_how){0});
    sarsen_batch *batch = sarsen_batch_new();
    calls seen[5];
    bool more = true;
    for (uint64_t i = 0; i < 5; i++) {
        calls_begin(&seen[i]);
        check_set(store, "key", "value");
        CHECK_OK(sarsen_store_notify_durable(store, sarsen_store_last_seq(store), note, &seen[i], ERR));
        CHECK_NUMBER(seen[i].count, 0); /* nobody has synced */
        switch (i) {
        case 0: CHECK_OK(sarsen_store_sync(store, ERR)); break;
        case 1: CHECK_OK(sarsen_store_wait_durable(store, sarsen_store_last_seq(store), 0, ERR)); break;
        case 2:
            CHECK_OK(sarsen_batch_set_kv(batch, STR("key"), STR("safe"), ERR));
            CHECK_OK(sarsen_batch_commit(batch, store, SARSEN_SURVIVE_POWER, NULL, ERR));
            break;
        case 3:
            for (int step = 0; more || seen[i].count == 0; step++) { /* the next maintain does it */
                CHECK(step < 1000);
                CHECK_OK(sarsen_store_maintain(store, 1000000, &more, ERR));
            }
            break;
        default: check_close(store);
        }
        CHECK_NUMBER(seen[i].count, 1);
        CHECK_NUMBER(seen[i].status, SARSEN_OK);
        CHECK(pthread_equal(seen[i].thread, pthread_self()));
    }
    sarsen_batch_free(batch);
    for (int i = 0; i < 5; i++) CHECK_NUMBER(seen[i].count, 1);
}

static void with_a_thread_asking_is_enough(void)
{
    enum { ASKED = 200 };
    sarsen_store *store = check_open(check_path("store"), (check_how){.background = true});
    static calls seen[ASKED];
    for (uint64_t i = 0; i < ASKED; i++) {
        calls_begin(&seen[i]);
        CHECK_OK(sarsen_kv_set(store, &i, sizeof i, STR("value"), ERR));
        CHECK_OK(sarsen_store_notify_durable(store, i + 1, note, &seen[i], ERR));
    }
    for (uint64_t i = 0; i < ASKED; i++) {
        pthread_mutex_lock(&seen[i].lock);
        while (seen[i].count == 0) pthread_cond_wait(&seen[i].changed, &seen[i].lock); /* CTest ends a hang */
        pthread_mutex_unlock(&seen[i].lock);
        CHECK_NUMBER(seen[i].seq, i + 1);
        CHECK_NUMBER(seen[i].status, SARSEN_OK);
        CHECK(sarsen_store_durable_seq(store) >= i + 1);
    }
    check_close(store);
    for (uint64_t i = 0; i < ASKED; i++) CHECK_NUMBER(seen[i].count, 1);
}

typedef struct chained {
    const sarsen_store *store;
    size_t left, calls;
} chained;

/* No lock is held during a callback: it may read, commit, sync and ask again. */
static void chain(void *user, uint64_t seq, sarsen_status status)
{
    chained *state = user;
    CHECK_NUMBER(status, SARSEN_OK);
    CHECK(sarsen_store_durable_seq(state->store) >= seq);
    state->calls++;
    CHECK(sarsen_kv_set(state->store, STR("from the callback"), &state->calls, sizeof state->calls, NULL) == SARSEN_OK);
    if (state->left-- == 0) return;
    CHECK(sarsen_store_notify_durable(state->store, sarsen_store_last_seq(state->store), chain, state, NULL) == SARSEN_OK);
    CHECK(sarsen_store_sync(state->store, NULL) == SARSEN_OK);
}

static void a_callback_may_call_back_in(void)
{
    sarsen_store *store = check_open(check_path("store"), (check_how){0});
    chained state = {store, 10, 0};
    check_set(store, "key", "value");
    CHECK_OK(sarsen_store_notify_durable(store, 1, chain, &state, ERR));
    CHECK_OK(sarsen_store_sync(store, ERR));
    CHECK_NUMBER(state.calls, 11);
    check_close(store);
    CHECK_NUMBER(state.calls, 11);
}

static void commit_and_die(void *path)
{
    sarsen_store *store = check_open(path, (check_how){0});
    sarsen_batch *batch = sarsen_batch_new();
    for (uint64_t i = 1; i <= 40; i++) {
        uint8_t *data = check_filled_new(i % 8 == 0 ? 100000 : 50, i);
        CHECK_OK(sarsen_batch_set_kv(batch, &i, sizeof i, data, i % 8 == 0 ? 100000 : 50, ERR));
        CHECK_OK(sarsen_batch_commit(batch, store, i == 20 ? SARSEN_SURVIVE_POWER : SARSEN_SURVIVE_PROCESS, NULL, ERR));
        free(data);
    }
    kill(getpid(), SIGKILL);
}

static void after_a_kill_all_is_there_and_what_was_synced_is_proven(void)
{
    const char *path = check_path("store");
    sarsen_store *store;
    sarsen_recovery recovery;
    CHECK_KILLED(commit_and_die, (void *)(uintptr_t)path);
    store = check_open(path, (check_how){.no_create = true});
    CHECK_OK(sarsen_store_recovery(store, &recovery, sizeof recovery));
    CHECK_NUMBER(recovery.verdict, SARSEN_RECOVERY_REPLAYED);
    CHECK_NUMBER(recovery.last_seq, 40);
    CHECK(recovery.proven_seq >= 20 && recovery.proven_seq <= 40);
    CHECK(sarsen_store_durable_seq(store) <= recovery.proven_seq); /* replayed is not yet synced */
    for (uint64_t i = 1; i <= 40; i++) {
        sarsen_view view;
        CHECK_OK(sarsen_kv_get(store, NULL, &i, sizeof i, &view, ERR));
        CHECK_FILLED(view.data, view.len, i % 8 == 0 ? 100000 : 50, i);
        sarsen_view_release(&view);
    }
    CHECK_OK(sarsen_store_wait_durable(store, 40, 0, ERR));
    CHECK_NUMBER(sarsen_store_durable_seq(store), 40);
    check_close(store);
}

static void body_large_block_lost(void *path)
{
    sarsen_store *store = check_open(path, (check_how){.log_retention_bytes = 1 << 20});
    uint8_t *large = check_filled_new(100000, 2);
    check_set(store, "first", "value");
    CHECK_OK(sarsen_memory_append(store, 2, NULL, large, 100000, ERR));
    check_set(store, "third", "value");
    _exit(0); /* without closing: as a power cut may leave it once the block is damaged */
}

/* After a power cut a frame may be whole while the large block that it names is not. */
static void what_recovery_cut_off_is_read_by_nobody(void)
{
    const char *path = check_path("store");
    const check_how keeps = {.log_retention_bytes = 1 << 20};
    uint8_t *large = check_filled_new(100000, 2);
    sarsen_log_reader *reader = NULL;
    sarsen_command command;
    CHECK_CHILD(body_large_block_lost, (void *)(uintptr_t)path);
    CHECK_NUMBER(check_find_bytes(path, "blocks", large + 50000, 1000, true), 1);
    free(large);

    sarsen_store *store = check_open(path, (check_how){.read_only = true});
    CHECK_NUMBER(sarsen_store_last_seq(store), 1);
    CHECK_OK(sarsen_log_read(store, 1, 0, &reader, ERR));
    CHECK_OK(sarsen_log_next(reader, 0, &command, sizeof command, NULL, ERR));
    CHECK_NUMBER(command.seq, 1);
    CHECK_IS(SARSEN_TIMEOUT, sarsen_log_next(reader, 0, &command, sizeof command, NULL, ERR));
    sarsen_store *writer = check_open(path, keeps); /* beside the reader, which sees what comes instead */
    check_set(writer, "second", "value");
    CHECK_OK(sarsen_log_next(reader, 0, &command, sizeof command, NULL, ERR));
    CHECK_NUMBER(command.seq, 2);
    CHECK_BYTES(command.key.data, command.key.len, "second", 6);
    sarsen_log_reader_free(reader);
    check_close(store);
    check_close(writer);
}

/* What lies behind the end of a log that is kept is no torn tail again and again. */
static void a_torn_tail_is_reported_once(void)
{
    const char *path = check_path("store");
    const check_how keeps = {.log_retention_bytes = 1 << 20};
    uint8_t *large = check_filled_new(100000, 2);
    sarsen_recovery recovery;
    CHECK_CHILD(body_large_block_lost, (void *)(uintptr_t)path);
    CHECK_NUMBER(check_find_bytes(path, "blocks", large + 50000, 1000, true), 1);
    free(large);
    sarsen_store *store = check_open(path, keeps);
    CHECK_OK(sarsen_store_recovery(store, &recovery, sizeof recovery));
    CHECK_NUMBER(recovery.verdict, SARSEN_RECOVERY_TORN_TAIL);
    CHECK_NUMBER(recovery.last_seq, 1);
    store = check_reopen(store, path, keeps);
    CHECK_OK(sarsen_store_recovery(store, &recovery, sizeof recovery));
    CHECK_NUMBER(recovery.verdict, SARSEN_RECOVERY_CLEAN);
    CHECK_NUMBER(recovery.last_seq, 1);
    check_set(store, "second", "value");
    store = check_reopen(store, path, keeps);
    CHECK_NUMBER(sarsen_store_last_seq(store), 2);
    CHECK_NUMBER(sarsen_log_first_seq(store), 1);
    check_sound(store);
    check_close(store);
}

static const check_case cases[] = {
    CASE(a_sync_makes_everything_so_far_durable),
    CASE(waiting_syncs_when_nobody_else_does),
    CASE(a_power_safe_commit_covers_all_before_it),
    CASE(a_callback_comes_at_once_for_what_is_durable),
    CASE(without_a_thread_sync_wait_commit_maintain_and_close_call_back),
    CASE(with_a_thread_asking_is_enough),
    CASE(a_callback_may_call_back_in),
    CASE(after_a_kill_all_is_there_and_what_was_synced_is_proven),
    CASE(what_recovery_cut_off_is_read_by_nobody),
    CASE(a_torn_tail_is_reported_once),
};
CHECK_MAIN(cases)
