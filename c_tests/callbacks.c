/* Callbacks that call back in, and closing while others are inside: a callback may call anything but close, on any
 * thread that made its commit durable, and whoever comes while the store is being closed is refused and not harmed. */
#include "check.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

/* For a call in which a callback runs: CHECK_OK's place for errors is a thread's, and the callback's checks need it. */
#define CALLS_BACK(call) CHECK((call) == SARSEN_OK)

/* ---- a callback may call anything ------------------------------------------------------------------ */

typedef struct caller {
    const sarsen_store *store;
    atomic_uint calls;
    unsigned left;  /* callbacks that each one has called after it */
    const char *path;
    sarsen_status status;
    pthread_t thread;
} caller;

/* CHECK's slots are a thread's own, so these work on the background thread as well. */
static void call_all_kinds(caller *self)
{
    const sarsen_store *store = self->store;
    sarsen_batch *batch = sarsen_batch_new();
    sarsen_snapshot *snapshot = NULL;
    sarsen_kv_iter *pairs = NULL;
    sarsen_log_reader *reader = NULL;
    sarsen_report *report = NULL;
    sarsen_command command;
    sarsen_bytes key, value;
    sarsen_block block;
    sarsen_view view;
    sarsen_stats stats;
    uint64_t seq = 0;
    char name[32];
    bool more = false;
    uint8_t *large = check_filled_new(200000, self->left);

    CHECK_OK(sarsen_batch_set_kv(batch, STR("key"), STR("of a callback"), ERR));
    CHECK_OK(sarsen_batch_append_memory(batch, self->left, NULL, large, 200000, ERR));
    CHECK_OK(sarsen_batch_commit(batch, store, SARSEN_SURVIVE_POWER, &seq, ERR));
    CHECK(sarsen_store_durable_seq(store) >= seq);
    CHECK_OK(sarsen_kv_set(store, STR("other"), STR("value"), ERR));
    CHECK_OK(sarsen_kv_get(store, NULL, STR("key"), &view, ERR));
    CHECK_BYTES(view.data, view.len, "of a callback", 13);
    sarsen_view_release(&view);
    CHECK_OK(sarsen_block_append(store, STR("block"), &block, ERR));
    CHECK_OK(sarsen_block_free(store, &block, ERR));
    CHECK_OK(sarsen_snapshot_new(store, &snapshot, ERR));
    CHECK_OK(sarsen_kv_scan(store, snapshot, NONE, NONE, false, &pairs, ERR));
    CHECK_OK(sarsen_kv_iter_next(pairs, &key, &value, ERR));
    CHECK_OK(sarsen_log_read(store, sarsen_store_last_seq(store), 0, &reader, ERR));
    CHECK_IN(STATUS_BIT(SARSEN_OK) | STATUS_BIT(SARSEN_NOT_FOUND),
             sarsen_log_next(reader, 0, &command, sizeof command, NULL, ERR));
    CHECK_OK(sarsen_store_sync(store, ERR));
    CHECK_OK(sarsen_store_checkpoint(store, ERR));
    CHECK_OK(sarsen_store_maintain(store, 1000, &more, ERR));
    CHECK_OK(sarsen_store_compact(store, ERR));
    CHECK_OK(sarsen_store_refresh(store, NULL, ERR));
    CHECK_OK(sarsen_store_verify(store, &report, ERR));
    CHECK_IS(SARSEN_END, sarsen_report_next(report, NULL, NULL, NULL));
    CHECK_OK(sarsen_store_stats(store, &stats, sizeof stats));
    snprintf(name, sizeof name, "../%s-%u", strrchr(self->path, '/') + 1, self->left);
    CHECK_OK(sarsen_store_backup(store, snapshot, check_join(self->path, name), ERR));
    sarsen_report_free(report);
    sarsen_log_reader_free(reader);
    sarsen_kv_iter_free(pairs);
    sarsen_snapshot_free(snapshot);
    sarsen_batch_free(batch);
    free(large);
}

static void call_everything(void *user, uint64_t seq, sarsen_status status)
{
    caller *self = user;
    CHECK_NUMBER(status, SARSEN_OK);
    CHECK(sarsen_store_durable_seq(self->store) >= seq);
    self->thread = pthread_self();
    if (self->left > 0) {
        self->left--;
        call_all_kinds(self);
        CALLS_BACK(sarsen_store_notify_durable(self->store, sarsen_store_last_seq(self->store), call_everything, self, NULL));
    }
    atomic_fetch_add(&self->calls, 1);
}

static void wait_for_calls(const caller *self, unsigned calls)
{
    while (atomic_load(&self->calls) < calls) sched_yield(); /* CTest ends a hang */
}

static void a_callback_may_call_everything_but_close(void)
{
    enum { HOW = 6, CHAIN = 3 };
    for (int how = 0; how < HOW; how++) {
        const bool background = how == HOW - 1;
        const char *names[HOW] = {"sync", "wait_durable", "commit", "checkpoint", "maintain", "thread"};
        const char *path = check_path(names[how]);
        sarsen_store *store = check_open(path, (check_how){.background = background});
        caller self = {.store = store, .left = CHAIN, .path = path};
        sarsen_batch *batch = sarsen_batch_new();
        bool more = true;
        check_set(store, "key", "value");
        if (!background) CHECK(sarsen_store_durable_seq(store) < sarsen_store_last_seq(store));
        CALLS_BACK(sarsen_store_notify_durable(store, sarsen_store_last_seq(store), call_everything, &self, NULL));
        switch (how) {
        case 0: CALLS_BACK(sarsen_store_sync(store, NULL)); break;
        case 1: CALLS_BACK(sarsen_store_wait_durable(store, sarsen_store_last_seq(store), 0, NULL)); break;
        case 2:
            CHECK_OK(sarsen_batch_set_kv(batch, STR("key"), STR("safe"), ERR));
            CALLS_BACK(sarsen_batch_commit(batch, store, SARSEN_SURVIVE_POWER, NULL, NULL));
            break;
        case 3: CALLS_BACK(sarsen_store_checkpoint(store, NULL)); break;
        case 4:
            for (int step = 0; more && atomic_load(&self.calls) == 0; step++) {
                CHECK(step < 1000);
                CALLS_BACK(sarsen_store_maintain(store, 1000000, &more, NULL));
            }
            break;
        default: break; /* the background thread does it */
        }
        wait_for_calls(&self, CHAIN + 1);
        CHECK_NUMBER(self.left, 0);
        CHECK(pthread_equal(self.thread, pthread_self()) == !background);
        CHECK_KV(store, NULL, "key", "of a callback");
        check_sound(store);
        sarsen_batch_free(batch);
        check_close(store);
        CHECK_NUMBER(atomic_load(&self.calls), CHAIN + 1);
    }
}

/* ---- callbacks that close itself calls --------------------------------------------------------------- */

/* The handle is still good in them, and refused. */
static void call_and_be_refused(void *user, uint64_t seq, sarsen_status status)
{
    caller *self = user;
    sarsen_batch *batch = sarsen_batch_new();
    sarsen_snapshot *snapshot = NULL;
    sarsen_view view;
    (void)seq;
    self->status = status;
    CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_kv_set(self->store, STR("key"), STR("late"), ERR));
    CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_kv_get(self->store, NULL, STR("key"), &view, ERR));
    CHECK_OK(sarsen_batch_set_kv(batch, STR("key"), STR("late"), ERR));
    CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_batch_commit(batch, self->store, SARSEN_SURVIVE_POWER, NULL, ERR));
    CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_store_sync(self->store, ERR));
    CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_store_checkpoint(self->store, ERR));
    CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_snapshot_new(self->store, &snapshot, ERR));
    CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_store_notify_durable(self->store, 1, call_and_be_refused, self, ERR));
    CHECK_NUMBER(sarsen_store_last_seq(self->store), 0);
    CHECK_NUMBER(sarsen_batch_count(batch), 1);
    sarsen_batch_free(batch);
    atomic_fetch_add(&self->calls, 1);
}

static void a_callback_of_close_is_refused_and_not_harmed(void)
{
    sarsen_store *store = check_open(check_path("store"), (check_how){0});
    caller callers[3] = {{.store = store}, {.store = store}, {.store = store}};
    for (int i = 0; i < 3; i++) {
        check_set(store, "key", "value");
        CHECK_OK(sarsen_store_notify_durable(store, sarsen_store_last_seq(store), call_and_be_refused, &callers[i], ERR));
    }
    CALLS_BACK(sarsen_store_close(store, NULL));
    for (int i = 0; i < 3; i++) {
        CHECK_NUMBER(atomic_load(&callers[i].calls), 1);
        CHECK_NUMBER(callers[i].status, SARSEN_OK); /* closing made it durable */
    }
    store = check_open(check_path("store"), (check_how){0});
    CHECK_NUMBER(sarsen_store_last_seq(store), 3);
    CHECK_KV(store, NULL, "key", "value");
    check_close(store);
}

/* ---- commits that race close ------------------------------------------------------------------------- */

/* A handle must not be used once closing it is over, so each of these threads is inside a call for as long as it uses
 * the store: the one whose sync calls its callback. In there it goes on committing until it is refused. */
enum { RACERS = 6 };

typedef struct racer {
    const sarsen_store *store;
    uint64_t number;
    atomic_uint *inside;
    atomic_bool *all_inside;
    _Atomic uint64_t acked; /* commits, each of which appends its number to the racer's stream */
    bool over;
    pthread_t thread;
} racer;

static void commit_until_refused(void *user, uint64_t begin, sarsen_status status)
{
    racer *self = user;
    sarsen_batch *batch = sarsen_batch_new();
    uint8_t *data = check_filled_new(70000, self->number);
    uint64_t last = begin;
    CHECK_NUMBER(status, SARSEN_OK);
    atomic_fetch_add(self->inside, 1);
    for (uint64_t n = 1;; n++) {
        uint64_t seq = 0;
        bool power = n % 4 == 0 && atomic_load(self->all_inside); /* a sync would call the callbacks of others */
        CHECK_OK(sarsen_batch_append_stream(batch, &self->number, sizeof self->number, &n, sizeof n, ERR));
        CHECK_OK(sarsen_batch_append_memory(batch, self->number, NULL, data, n % 16 == 0 ? 70000 : 100, ERR));
        CHECK_IN(STATUS_BIT(SARSEN_OK) | STATUS_BIT(SARSEN_INVALID_ARGUMENT),
                 sarsen_batch_commit(batch, self->store, power ? SARSEN_SURVIVE_POWER : SARSEN_SURVIVE_PROCESS, &seq, ERR));
        if (check_last.status == SARSEN_INVALID_ARGUMENT) break;
        CHECK(seq > last);
        last = seq;
        atomic_store(&self->acked, n);
    }
    CHECK_NUMBER(sarsen_batch_count(batch), 2); /* certainly not written */
    switch (self->number % 3) { /* the handle is still there, whatever is called */
    case 0: CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_store_checkpoint(self->store, ERR)); break;
    case 1: CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_store_compact(self->store, ERR)); break;
    default: CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_store_sync(self->store, ERR));
    }
    free(data);
    sarsen_batch_free(batch);
    self->over = true;
}

static void *begin_and_race(void *argument)
{
    racer *self = argument;
    CHECK_OK(sarsen_stream_append(self->store, STR("begin"), NONE, NULL, ERR));
    CALLS_BACK(sarsen_store_notify_durable(self->store, sarsen_store_last_seq(self->store), commit_until_refused, self, NULL));
    if (!self->over) CALLS_BACK(sarsen_store_sync(self->store, NULL));
    CHECK(self->over);
    return NULL;
}

/* Starts the racers, closes while they commit, each for at least so often, and looks at what they left. */
static void race_close(const char *path, unsigned racer_count, bool background, uint64_t commits, uint64_t expected[RACERS])
{
    sarsen_store *store = check_open(path, (check_how){.background = background, .memory_bytes = 1 << 20});
    racer racers[RACERS];
    atomic_uint inside = 0;
    atomic_bool all_inside = false;
    for (unsigned i = 0; i < racer_count; i++) {
        racers[i] = (racer){.store = store, .number = i, .inside = &inside, .all_inside = &all_inside};
        if (background) { /* this one is called by the store's own thread, in no call */
            CHECK_OK(sarsen_stream_append(store, STR("begin"), NONE, NULL, ERR));
            CHECK_OK(sarsen_store_notify_durable(store, sarsen_store_last_seq(store), commit_until_refused, &racers[i], ERR));
        } else {
            CHECK(pthread_create(&racers[i].thread, NULL, begin_and_race, &racers[i]) == 0);
        }
        while (atomic_load(&inside) <= i) sched_yield(); /* CTest ends a hang */
    }
    atomic_store(&all_inside, true);
    for (unsigned i = 0; i < racer_count; i++)
        while (atomic_load(&racers[i].acked) < commits) sched_yield();
    CALLS_BACK(sarsen_store_close(store, NULL));
    for (unsigned i = 0; i < racer_count; i++) {
        if (!background) CHECK(pthread_join(racers[i].thread, NULL) == 0);
        CHECK(racers[i].over);
        expected[i] += racers[i].acked;
    }
    store = check_open(path, (check_how){.no_create = true});
    for (uint64_t i = 0; i < racer_count; i++) {
        uint64_t first = 99, next = 99;
        sarsen_status status = sarsen_stream_bounds(store, NULL, &i, sizeof i, &first, &next, NULL);
        CHECK(status == (expected[i] > 0 ? SARSEN_OK : SARSEN_NOT_FOUND));
        CHECK_NUMBER(next, expected[i]); /* all that was acknowledged, nothing that was refused */
    }
    check_sound(store);
    check_close(store);
}

/* In half of the rounds closing comes at once, maybe before anybody's first commit. */
static void race_close_often(unsigned racer_count, bool background)
{
    uint64_t expected[RACERS] = {0};
    for (uint64_t round = 0; round < (check_instrumented() ? 4 : 10); round++)
        race_close(check_path("store"), racer_count, background, round % 2 * round, expected);
    for (unsigned i = 0; i < racer_count; i++) CHECK(expected[i] > 0);
}

static void commits_race_close(void)
{
    race_close_often(RACERS, false);
}

static void commits_of_a_callback_on_the_stores_own_thread_race_close(void)
{
    race_close_often(1, true);
}

static const check_case cases[] = {
    CASE(a_callback_may_call_everything_but_close),
    CASE(a_callback_of_close_is_refused_and_not_harmed),
    CASE(commits_race_close),
    CASE(commits_of_a_callback_on_the_stores_own_thread_race_close),
};
CHECK_MAIN(cases)
