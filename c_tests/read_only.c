/* Read-only stores, beside a writer in this process and in another one: a fixed seq until refreshed, nothing
 * written, the log followed across processes, files kept as long as they are read.
 *
 * The other process is this program again in the role `writer`: it takes commands on its standard input, one a
 * line, and answers each with its last_seq. Commit n sets "counter" to n, a key of its own, a memory and a
 * stream record. */
#include "check.h"

#include <fcntl.h>
#include <pthread.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdatomic.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

static size_t size_of(uint64_t n)
{
    return n % 40 == 0 ? 90000 : (size_t)(n % 300);
}

static void write_commit(const sarsen_store *store, sarsen_batch *batch, uint64_t n)
{
    uint8_t *data = check_filled_new(size_of(n), n);
    uint64_t slot = n % 50;
    CHECK_OK(sarsen_batch_set_kv(batch, STR("counter"), &n, sizeof n, ERR));
    CHECK_OK(sarsen_batch_set_kv(batch, &slot, sizeof slot, data, size_of(n), ERR));
    CHECK_OK(sarsen_batch_append_memory(batch, slot, NULL, data, size_of(n), ERR));
    CHECK_OK(sarsen_batch_append_stream(batch, STR("s"), &n, sizeof n, ERR));
    if (n > 200) CHECK_OK(sarsen_batch_trim_stream(batch, STR("s"), n - 200, ERR));
    CHECK_OK(sarsen_batch_commit(batch, store, 0, NULL, ERR));
    free(data);
}

/* What a store at seq n holds, whatever it was opened as. */
static void holds(const sarsen_store *store, const sarsen_snapshot *snapshot, uint64_t n)
{
    sarsen_view view;
    uint64_t first = n > 200 ? n - 200 : 0;
    if (n == 0) {
        CHECK_KV(store, snapshot, "counter", NULL);
        return;
    }
    CHECK_OK(sarsen_kv_get(store, snapshot, STR("counter"), &view, ERR));
    CHECK_BYTES(view.data, view.len, &n, sizeof n);
    sarsen_view_release(&view);
    CHECK_STREAM(store, snapshot, "s", first, n);
    CHECK_OK(sarsen_stream_get(store, snapshot, STR("s"), n - 1, &view, ERR));
    CHECK_BYTES(view.data, view.len, &n, sizeof n);
    sarsen_view_release(&view);
    for (uint64_t i = n > 50 ? n - 49 : 1; i <= n; i++) {
        uint64_t slot = i % 50;
        CHECK_OK(sarsen_kv_get(store, snapshot, &slot, sizeof slot, &view, ERR));
        CHECK_FILLED(view.data, view.len, size_of(i), i);
        sarsen_view_release(&view);
        CHECK_OK(sarsen_memory_get(store, snapshot, slot, &view, ERR));
        CHECK_FILLED(view.data, view.len, size_of(i), i);
        sarsen_view_release(&view);
    }
}

/* ---- the other process ----------------------------------------------------------------------------- */

static int writer(const char *path)
{
    sarsen_store *store = check_open(path, (check_how){.memory_bytes = 4 << 20, .log_retention_bytes = 4 << 20});
    sarsen_batch *batch = sarsen_batch_new();
    char line[64];
    while (fgets(line, sizeof line, stdin) != NULL) {
        uint64_t count = strtoull(line + 1, NULL, 10);
        switch (line[0]) {
        case 'w':
            while (count-- > 0) write_commit(store, batch, sarsen_store_last_seq(store) + 1);
            break;
        case 'c': CHECK_OK(sarsen_store_compact(store, ERR)); break;
        case 'k': kill(getpid(), SIGKILL); break;
        default: CHECK_SYS(line[0] == 'n'); /* only tells its seq */
        }
        printf("%llu\n", (unsigned long long)sarsen_store_last_seq(store));
        fflush(stdout);
    }
    sarsen_batch_free(batch);
    check_close(store);
    return 0;
}

/* Opens for writing and leaves with the status. */
static int open_once(const char *path)
{
    sarsen_store *store = NULL;
    sarsen_status status = sarsen_store_open(path, NULL, &store, NULL);
    if (status == SARSEN_OK) sarsen_store_close(store, NULL);
    return (int)status;
}

typedef struct process {
    pid_t id;
    FILE *in, *out; /* its standard input and output */
} process;

static process start(const char *role, const char *path)
{
    process p;
    int to[2], from[2];
    posix_spawn_file_actions_t actions;
    char *arguments[] = {(char *)(uintptr_t)check_program(), (char *)(uintptr_t)role, (char *)(uintptr_t)path, NULL};
    CHECK_SYS(pipe2(to, O_CLOEXEC) == 0 && pipe2(from, O_CLOEXEC) == 0);
    CHECK(posix_spawn_file_actions_init(&actions) == 0);
    CHECK(posix_spawn_file_actions_adddup2(&actions, to[0], 0) == 0);
    CHECK(posix_spawn_file_actions_adddup2(&actions, from[1], 1) == 0);
    CHECK(posix_spawn(&p.id, arguments[0], &actions, NULL, arguments, environ) == 0);
    posix_spawn_file_actions_destroy(&actions);
    close(to[0]);
    close(from[1]);
    p.in = fdopen(to[1], "w");
    p.out = fdopen(from[0], "r");
    CHECK(p.in != NULL && p.out != NULL);
    return p;
}

static void tell(process *p, const char *command)
{
    CHECK_SYS(fprintf(p->in, "%s\n", command) > 0 && fflush(p->in) == 0);
}

static uint64_t answer(process *p)
{
    unsigned long long seq = 0;
    CHECK(fscanf(p->out, "%llu", &seq) == 1);
    return seq;
}

static uint64_t ask(process *p, const char *command)
{
    tell(p, command);
    return answer(p);
}

static int finish(process *p)
{
    int status = 0;
    fclose(p->in);
    CHECK_SYS(waitpid(p->id, &status, 0) == p->id);
    fclose(p->out);
    return status;
}

static const check_how reading = {.read_only = true, .no_create = true};

/* ---- cases ------------------------------------------------------------------------------------------- */

static void one_process_writes(void)
{
    const char *path = check_path("store");
    sarsen_store *store = check_open(path, (check_how){0}), *second = NULL;
    process p = start("open", path);
    CHECK_NUMBER(WEXITSTATUS(finish(&p)), SARSEN_LOCKED);
    check_set(store, "key", "value");
    check_close(store);
    p = start("open", path);
    CHECK_NUMBER(WEXITSTATUS(finish(&p)), SARSEN_OK);
    p = start("writer", path);
    CHECK_NUMBER(ask(&p, "n"), 1);
    CHECK_IS(SARSEN_LOCKED, sarsen_store_open(path, NULL, &second, ERR));
    CHECK(second == NULL);
    tell(&p, "k"); /* a lock does not outlive its process */
    CHECK(WTERMSIG(finish(&p)) == SIGKILL);
    check_close(check_open(path, (check_how){0}));
}

static void a_reader_stays_at_its_seq_until_refreshed(void)
{
    const char *path = check_path("store");
    process p = start("writer", path);
    sarsen_store *reader, *late;
    sarsen_snapshot *snapshot = NULL;
    sarsen_kv_iter *iter = NULL;
    sarsen_bytes key, value;
    uint64_t seq = 0;

    CHECK_NUMBER(ask(&p, "n"), 0);
    reader = check_open(path, reading);
    holds(reader, NULL, 0);
    CHECK_NUMBER(ask(&p, "w120"), 120);
    CHECK_NUMBER(sarsen_store_last_seq(reader), 0);
    holds(reader, NULL, 0);
    CHECK_OK(sarsen_store_refresh(reader, &seq, ERR));
    CHECK_NUMBER(seq, 120);
    CHECK_NUMBER(sarsen_store_last_seq(reader), 120);
    holds(reader, NULL, 120);
    CHECK_OK(sarsen_snapshot_new(reader, &snapshot, ERR));
    CHECK_OK(sarsen_kv_scan(reader, NULL, STR("counter"), NONE, false, &iter, ERR));

    CHECK_NUMBER(ask(&p, "w2000"), 2120); /* with checkpoints on the way */
    CHECK_NUMBER(ask(&p, "c"), 2120);
    holds(reader, NULL, 120);
    late = check_open(path, reading);
    CHECK_NUMBER(sarsen_store_last_seq(late), 2120);
    holds(late, NULL, 2120);
    CHECK_OK(sarsen_store_refresh(reader, NULL, ERR));
    holds(reader, NULL, 2120);
    holds(reader, snapshot, 120); /* taken before: stays as it is */
    CHECK_OK(sarsen_kv_iter_next(iter, &key, &value, ERR));
    CHECK_NUMBER(check_u64(value.data), 120);
    sarsen_kv_iter_free(iter);
    sarsen_snapshot_free(snapshot);

    CHECK_NUMBER(ask(&p, "w1"), 2121);
    CHECK_NUMBER(finish(&p), 0); /* closed while they read */
    holds(reader, NULL, 2120);
    CHECK_OK(sarsen_store_refresh(reader, &seq, ERR));
    CHECK_NUMBER(seq, 2121);
    holds(reader, NULL, 2121);
    check_sound(reader);
    check_close(reader);
    holds(late, NULL, 2120);
    check_close(late);
}

static void views_of_a_reader_outlive_the_writers_reclaiming(void)
{
    const char *path = check_path("store");
    process p = start("writer", path);
    sarsen_store *reader;
    sarsen_view views[50];
    CHECK_NUMBER(ask(&p, "w100"), 100);
    reader = check_open(path, reading);
    for (uint64_t slot = 0; slot < 50; slot++)
        CHECK_OK(sarsen_memory_get(reader, NULL, slot, &views[slot], ERR));
    for (int round = 0; round < 4; round++) {
        ask(&p, "w600");
        ask(&p, "c");
        for (uint64_t slot = 0; slot < 50; slot++) {
            uint64_t n = slot == 0 ? 100 : 50 + slot;
            CHECK_FILLED(views[slot].data, views[slot].len, size_of(n), n);
        }
        if (round == 1) check_close(reader);
    }
    CHECK_NUMBER(finish(&p), 0);
    for (uint64_t slot = 0; slot < 50; slot++) {
        uint64_t n = slot == 0 ? 100 : 50 + slot;
        CHECK_FILLED(views[slot].data, views[slot].len, size_of(n), n);
        sarsen_view_release(&views[slot]);
    }
}

static void the_log_is_followed_across_processes(void)
{
    const char *path = check_path("store");
    process p = start("writer", path);
    sarsen_store *reader;
    sarsen_log_reader *log = NULL;
    sarsen_command command;
    uint64_t seen = 0;
    CHECK_NUMBER(ask(&p, "w10"), 10);
    reader = check_open(path, reading);
    CHECK_OK(sarsen_log_read(reader, 1, 0, &log, ERR));
    for (int round = 0; round < 5; round++) {
        uint64_t target = 10 + 200 * (uint64_t)round;
        while (seen < target) {
            CHECK_OK(sarsen_log_next(log, 60000000, &command, sizeof command, NULL, ERR));
            CHECK_NUMBER(command.seq, seen + 1);
            if (command.kind == SARSEN_COMMAND_SET_KV && command.key.len == 7)
                CHECK_NUMBER(check_u64(command.value.data), seen + 1);
            if (command.kind == SARSEN_COMMAND_APPEND_MEMORY)
                CHECK_FILLED(command.value.data, command.value.len, size_of(seen + 1), seen + 1);
            if (command.last) seen++;
        }
        CHECK_IS(SARSEN_TIMEOUT, sarsen_log_next(log, 1000, &command, sizeof command, NULL, ERR));
        CHECK_NUMBER(sarsen_store_last_seq(reader), 10); /* following is not refreshing */
        tell(&p, "w200");
        if (round < 4) {
            /* waits while the other process writes */
            CHECK_OK(sarsen_log_next(log, 60000000, &command, sizeof command, NULL, ERR));
            CHECK_NUMBER(command.seq, seen + 1);
            CHECK_NUMBER(command.last, 0);
        }
        CHECK_NUMBER(answer(&p), target + 200);
    }
    sarsen_log_reader_free(log);
    check_close(reader);
    CHECK_NUMBER(finish(&p), 0);
}

static void opening_beside_a_busy_writer_always_finds_a_prefix(void)
{
    const char *path = check_path("store");
    process p = start("writer", path);
    sarsen_store *reader;
    uint64_t seq = 0, before = 0;
    const uint64_t commits = check_instrumented() ? 2000 : 20000;
    char command[32];
    CHECK_NUMBER(ask(&p, "w1"), 1);
    reader = check_open(path, reading);
    snprintf(command, sizeof command, "w%llu", (unsigned long long)commits);
    tell(&p, command);
    while (seq < commits + 1) {
        sarsen_store *other = check_open(path, reading);
        CHECK(sarsen_store_last_seq(other) >= seq);
        holds(other, NULL, sarsen_store_last_seq(other));
        before = sarsen_store_last_seq(other);
        CHECK_OK(sarsen_store_refresh(reader, &seq, ERR));
        CHECK(seq >= before);
        holds(reader, NULL, seq);
        check_close(other);
    }
    CHECK_NUMBER(answer(&p), commits + 1);
    check_close(reader);
    CHECK_NUMBER(finish(&p), 0);
}

static void a_reader_beside_a_killed_writer_sees_all_it_committed(void)
{
    const char *path = check_path("store");
    process p = start("writer", path);
    sarsen_store *reader;
    uint64_t seq = 0;
    CHECK_NUMBER(ask(&p, "w300"), 300);
    reader = check_open(path, reading);
    CHECK_NUMBER(ask(&p, "w77"), 377);
    tell(&p, "k");
    CHECK(WTERMSIG(finish(&p)) == SIGKILL);
    holds(reader, NULL, 300);
    CHECK_OK(sarsen_store_refresh(reader, &seq, ERR));
    CHECK_NUMBER(seq, 377);
    holds(reader, NULL, 377);
    p = start("writer", path); /* the next writer takes over */
    CHECK_NUMBER(ask(&p, "w23"), 400);
    CHECK_OK(sarsen_store_refresh(reader, &seq, ERR));
    CHECK_NUMBER(seq, 400);
    holds(reader, NULL, 400);
    check_close(reader);
    CHECK_NUMBER(finish(&p), 0);
}

static void append_and_die(void *path)
{
    sarsen_store *store = check_open(path, (check_how){0});
    CHECK_OK(sarsen_memory_append(store, 7, NULL, STR("a small block"), ERR));
    raise(SIGKILL);
}

/* A checkpoint that was cut off leaves files that no manifest names. As long as a reader is there the next writer
 * can't tell whether it needs them, and goes on beside them. */
static void what_a_killed_writer_left_is_no_harm_beside_a_reader(void)
{
    static const char *const left[] = {"blocks/chunk_0001.bin", "index/00000003.run"};
    for (size_t i = 0; i < sizeof left / sizeof left[0]; i++) {
        const char *path = check_path(i == 0 ? "chunk" : "part");
        sarsen_store *store = check_open(path, (check_how){0}), *reader;
        sarsen_view view;
        bool more = true;
        check_set(store, "a", "1");
        check_close(store);
        reader = check_open(path, (check_how){.read_only = true});
        CHECK_NUMBER(check_child(append_and_die, (void *)(uintptr_t)path), SIGKILL); /* as wait() tells it */
        check_write_file(check_join(path, left[i]), "left", 4);
        store = check_open(path, (check_how){0});
        check_set(store, "b", "2");
        CHECK_OK(sarsen_store_checkpoint(store, ERR));
        check_set(store, "c", "3");
        CHECK_OK(sarsen_store_checkpoint(store, ERR));
        check_close(reader);
        CHECK_OK(sarsen_store_checkpoint(store, ERR));
        while (more) CHECK_OK(sarsen_store_maintain(store, 1000, &more, ERR));
        store = check_reopen(store, path, (check_how){0});
        CHECK_OK(sarsen_memory_get(store, NULL, 7, &view, ERR));
        CHECK_BYTES(view.data, view.len, "a small block", 13);
        sarsen_view_release(&view);
        CHECK_KV(store, NULL, "c", "3");
        check_sound(store);
        check_close(store);
    }
}

static void opening_to_read_writes_nothing(void)
{
    const char *path = check_path("store");
    sarsen_store *store = check_open(path, (check_how){0}), *reader;
    sarsen_batch *batch = sarsen_batch_new();
    uint64_t before;
    process p;
    for (uint64_t n = 1; n <= 100; n++) write_commit(store, batch, n);
    check_close(store);
    before = check_tree_digest(path);
    reader = check_open(path, reading);
    holds(reader, NULL, 100);
    check_close(reader);
    CHECK_NUMBER(check_tree_digest(path), before);

    p = start("writer", path); /* and with a log to replay */
    CHECK_NUMBER(ask(&p, "w50"), 150);
    tell(&p, "k");
    finish(&p);
    before = check_tree_digest(path);
    for (int round = 0; round < 3; round++) {
        sarsen_recovery recovery;
        reader = check_open(path, reading);
        CHECK_OK(sarsen_store_recovery(reader, &recovery, sizeof recovery));
        CHECK_NUMBER(recovery.verdict, SARSEN_RECOVERY_REPLAYED);
        CHECK_NUMBER(recovery.last_seq, 150);
        holds(reader, NULL, 150);
        check_sound(reader);
        check_close(reader);
        CHECK_NUMBER(check_tree_digest(path), before);
    }
    sarsen_batch_free(batch);
}

static void writing_to_a_read_only_store_is_refused(void)
{
    const char *path = check_path("store");
    sarsen_store *store = check_open(path, (check_how){0}), *reader;
    sarsen_batch *batch = sarsen_batch_new();
    sarsen_block block;
    uint64_t index = 0;
    CHECK_OK(sarsen_block_append(store, STR("block"), &block, ERR));
    check_close(store);
    reader = check_open(path, reading);
    CHECK_IS(SARSEN_READ_ONLY, sarsen_kv_set(reader, STR("key"), STR("value"), ERR));
    CHECK_IS(SARSEN_READ_ONLY, sarsen_kv_delete(reader, STR("key"), ERR));
    CHECK_IS(SARSEN_READ_ONLY, sarsen_stream_append(reader, STR("s"), STR("r"), &index, ERR));
    CHECK_IS(SARSEN_READ_ONLY, sarsen_stream_trim(reader, STR("s"), 1, ERR));
    CHECK_IS(SARSEN_READ_ONLY, sarsen_memory_append(reader, 1, NULL, STR("m"), ERR));
    CHECK_IS(SARSEN_READ_ONLY, sarsen_memory_delete(reader, 1, ERR));
    CHECK_IS(SARSEN_READ_ONLY, sarsen_block_append(reader, STR("b"), &block, ERR));
    CHECK_IS(SARSEN_READ_ONLY, sarsen_block_free(reader, &block, ERR));
    CHECK_OK(sarsen_batch_set_kv(batch, STR("key"), STR("value"), ERR));
    CHECK_IS(SARSEN_READ_ONLY, sarsen_batch_commit(batch, reader, 0, NULL, ERR));
    CHECK_NUMBER(sarsen_batch_count(batch), 1);
    CHECK_IS(SARSEN_READ_ONLY, sarsen_store_checkpoint(reader, ERR));
    CHECK_IS(SARSEN_READ_ONLY, sarsen_store_compact(reader, ERR));
    CHECK_NUMBER(sarsen_store_last_seq(reader), 1);
    sarsen_batch_free(batch);
    check_close(reader);
}

static void what_is_not_there_is_not_created(void)
{
    const char *path = check_path("store");
    sarsen_options *options = check_options((check_how){.read_only = true});
    sarsen_store *store = NULL;
    CHECK_IS(SARSEN_NOT_A_STORE, sarsen_store_open(path, options, &store, ERR));
    CHECK(!check_exists(path));
    CHECK_SYS(mkdir(path, 0700) == 0);
    CHECK_IS(SARSEN_NOT_A_STORE, sarsen_store_open(path, options, &store, ERR));
    CHECK_NUMBER(check_count_entries(path), 0);
    sarsen_options_free(options);
}

static void readers_and_the_writer_share_one_process(void)
{
    const char *path = check_path("store");
    sarsen_store *store = check_open(path, (check_how){0}), *readers[3];
    sarsen_batch *batch = sarsen_batch_new();
    for (uint64_t n = 1; n <= 300; n++) {
        write_commit(store, batch, n);
        if (n % 100 == 50) readers[n / 100] = check_open(path, reading);
        if (n % 70 == 0) CHECK_OK(sarsen_store_compact(store, ERR));
    }
    for (uint64_t i = 0; i < 3; i++) holds(readers[i], NULL, i * 100 + 50);
    for (uint64_t i = 0; i < 3; i++) {
        uint64_t seq = 0;
        CHECK_OK(sarsen_store_refresh(readers[i], &seq, ERR));
        CHECK_NUMBER(seq, 300 + i); /* a commit follows each round */
        holds(readers[i], NULL, 300 + i);
        check_close(readers[i]);
        write_commit(store, batch, sarsen_store_last_seq(store) + 1); /* a reader's closing frees no lock */
        holds(store, NULL, 301 + i);
        for (uint64_t j = i + 1; j < 3; j++) CHECK_REFUSED(sarsen_kv_set(readers[j], STR("k"), NONE, ERR));
        if (i < 2) holds(readers[i + 1], NULL, (i + 1) * 100 + 50);
    }
    sarsen_batch_free(batch);
    check_close(store);
}

static void refreshing_a_writer_tells_its_seq(void)
{
    sarsen_store *store = check_open(check_path("store"), (check_how){0});
    uint64_t seq = 99;
    CHECK_OK(sarsen_store_refresh(store, &seq, ERR));
    CHECK_NUMBER(seq, 0);
    check_set(store, "key", "value");
    CHECK_OK(sarsen_store_refresh(store, &seq, ERR));
    CHECK_NUMBER(seq, 1);
    check_close(store);
}

/* What a reader's snapshot sees is in files that its lock keeps; the refreshed state may have dropped it. */
static void a_snapshot_of_a_reader_is_backed_up_as_it_stood_whatever_was_refreshed(void)
{
    const char *path = check_path("store");
    sarsen_store *store = check_open(path, (check_how){0}), *reader, *copy;
    sarsen_batch *batch = sarsen_batch_new();
    sarsen_snapshot *snapshot = NULL;
    uint64_t n = 1, seq = 0;
    for (; n <= 90; n++) {
        write_commit(store, batch, n);
        if (n == 50) CHECK_OK(sarsen_store_compact(store, ERR)); /* some of it lies in chunks, some in the log */
    }
    reader = check_open(path, reading);
    CHECK_OK(sarsen_snapshot_new(reader, &snapshot, ERR));
    for (; n <= 400; n++) write_commit(store, batch, n);
    CHECK_OK(sarsen_store_compact(store, ERR));
    for (; n <= 410; n++) write_commit(store, batch, n);
    CHECK_OK(sarsen_store_refresh(reader, &seq, ERR));
    CHECK_NUMBER(seq, 410);
    CHECK_OK(sarsen_store_backup(reader, snapshot, check_path("old"), ERR));
    CHECK_OK(sarsen_store_backup(reader, NULL, check_path("new"), ERR));
    sarsen_snapshot_free(snapshot);
    check_close(reader);
    check_close(store);
    copy = check_open(check_path("old"), (check_how){.no_create = true});
    CHECK_NUMBER(sarsen_store_last_seq(copy), 90);
    holds(copy, NULL, 90);
    check_sound(copy);
    check_close(copy);
    copy = check_open(check_path("new"), (check_how){.no_create = true});
    holds(copy, NULL, 410);
    check_sound(copy);
    for (n = 411; n <= 500; n++) write_commit(copy, batch, n);
    CHECK_OK(sarsen_store_compact(copy, ERR));
    holds(copy, NULL, 500);
    sarsen_batch_free(batch);
    check_close(copy);
}

/* A stream of its own, with a record as a large block or a small one. */
static void append_one(const sarsen_store *store, int i)
{
    char name[16];
    size_t len = i % 2 == 0 ? 60000 : 6000;
    uint8_t *data = check_filled_new(len, (uint64_t)i);
    snprintf(name, sizeof name, "stream-%d", i);
    CHECK_OK(sarsen_stream_append(store, name, strlen(name), data, len, NULL, ERR));
    free(data);
}

/* Numbers of streams and chunks go on behind those that a refresh brought. */
static void a_backup_of_a_refreshed_reader_can_be_written_on(void)
{
    const char *path = check_path("store");
    sarsen_store *store = check_open(path, (check_how){.chunk_bytes = 64 << 10}), *reader, *copy;
    check_set(store, "key", "value");
    reader = check_open(path, reading);
    for (int i = 0; i < 20; i++) append_one(store, i);
    CHECK_OK(sarsen_store_refresh(reader, NULL, ERR));
    CHECK_OK(sarsen_store_backup(reader, NULL, check_path("copy"), ERR));
    check_close(reader);
    check_close(store);
    copy = check_open(check_path("copy"), (check_how){.no_create = true});
    for (int i = 20; i < 60; i++) {
        append_one(copy, i);
        if (i == 40) CHECK_OK(sarsen_store_compact(copy, ERR));
    }
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < 60; i++) {
            sarsen_view view;
            char name[16];
            snprintf(name, sizeof name, "stream-%d", i);
            CHECK_STREAM(copy, NULL, name, 0, 1);
            CHECK_OK(sarsen_stream_get(copy, NULL, name, strlen(name), 0, &view, ERR));
            CHECK_FILLED(view.data, view.len, i % 2 == 0 ? 60000 : 6000, (uint64_t)i);
            sarsen_view_release(&view);
        }
        check_sound(copy);
        copy = check_reopen(copy, check_path("copy"), (check_how){0});
    }
    check_close(copy);
}

typedef struct refreshed {
    const sarsen_store *reader;
    atomic_bool stop;
    atomic_uint started;
} refreshed;

static void *read_while_refreshed(void *argument)
{
    refreshed *self = argument;
    uint64_t before = 0;
    do {
        sarsen_snapshot *snapshot = NULL;
        sarsen_view view;
        uint64_t n = 0, seq;
        CHECK_OK(sarsen_kv_get(self->reader, NULL, STR("counter"), &view, ERR)); /* of now: never gone */
        memcpy(&n, view.data, sizeof n);
        CHECK(n >= before);
        before = n;
        sarsen_view_release(&view);
        CHECK_OK(sarsen_snapshot_new(self->reader, &snapshot, ERR));
        seq = sarsen_snapshot_seq(snapshot);
        CHECK(seq >= before);
        before = seq;
        holds(self->reader, snapshot, seq);
        sarsen_snapshot_free(snapshot);
        atomic_fetch_add(&self->started, 1);
    } while (!atomic_load(&self->stop));
    return NULL;
}

/* What a reader looks at and the seq that it looks with change at once. */
static void threads_of_a_reader_go_on_while_it_is_refreshed(void)
{
    enum { THREADS = 3 };
    const char *path = check_path("store");
    sarsen_store *store = check_open(path, (check_how){0});
    sarsen_batch *batch = sarsen_batch_new();
    refreshed all = {0};
    pthread_t threads[THREADS];
    uint64_t n = 1, seq = 0;
    for (; n <= 60; n++) write_commit(store, batch, n);
    all.reader = check_open(path, reading);
    for (int i = 0; i < THREADS; i++) CHECK(pthread_create(&threads[i], NULL, read_while_refreshed, &all) == 0);
    while (atomic_load(&all.started) < THREADS) sched_yield();
    for (int round = 0; round < (check_instrumented() ? 20 : 150); round++) {
        for (int i = 0; i < 4; i++) write_commit(store, batch, n++);
        if (round % 3 == 0) CHECK_OK(sarsen_store_compact(store, ERR)); /* drops what is not the newest */
        CHECK_OK(sarsen_store_refresh(all.reader, &seq, ERR));
        CHECK_NUMBER(seq, n - 1);
    }
    atomic_store(&all.stop, true);
    for (int i = 0; i < THREADS; i++) CHECK(pthread_join(threads[i], NULL) == 0);
    sarsen_batch_free(batch);
    check_close((sarsen_store *)(uintptr_t)all.reader);
    check_close(store);
}

static size_t data_files(const char *path)
{
    return check_count_entries(check_join(path, "blocks")) + check_count_entries(check_join(path, "index"));
}

/* The kernel lets go of a killed reader's lock, and the writer's next upkeep of what the lock kept. */
static void a_killed_readers_lock_goes_and_gives_files_back(void)
{
    const char *path = check_path("store");
    sarsen_store *store = check_open(path, (check_how){0});
    sarsen_batch *batch = sarsen_batch_new();
    uint64_t n = 1;
    size_t with_reader, without;
    int ends[2];
    pid_t child;
    char byte;
    for (; n <= 60; n++) write_commit(store, batch, n);
    CHECK_OK(sarsen_store_compact(store, ERR));
    CHECK_SYS(pipe(ends) == 0);
    child = fork();
    CHECK_SYS(child >= 0);
    if (child == 0) {
        sarsen_store *reader = NULL;
        sarsen_options *options = check_options(reading);
        if (sarsen_store_open(path, options, &reader, NULL) != SARSEN_OK) _exit(1);
        if (write(ends[1], "x", 1) != 1) _exit(1);
        for (;;) pause();
    }
    CHECK_SYS(read(ends[0], &byte, 1) == 1);
    for (int round = 0; round < 6; round++) {
        for (int i = 0; i < 60; i++) write_commit(store, batch, n++);
        CHECK_OK(sarsen_store_compact(store, ERR));
    }
    check_maintain(store);
    with_reader = data_files(path);
    CHECK_SYS(kill(child, SIGKILL) == 0 && waitpid(child, NULL, 0) == child);
    check_maintain(store);
    without = data_files(path);
    CHECK(without < with_reader);
    holds(store, NULL, n - 1);
    store = check_reopen(store, path, (check_how){0});
    write_commit(store, batch, n); /* clears away what no manifest names: nothing was left */
    CHECK_NUMBER(data_files(path), without);
    sarsen_batch_free(batch);
    close(ends[0]);
    close(ends[1]);
    check_close(store);
}

static const check_case cases[] = {
    CASE(one_process_writes),
    CASE(a_reader_stays_at_its_seq_until_refreshed),
    CASE(views_of_a_reader_outlive_the_writers_reclaiming),
    CASE(the_log_is_followed_across_processes),
    CASE(opening_beside_a_busy_writer_always_finds_a_prefix),
    CASE(a_reader_beside_a_killed_writer_sees_all_it_committed),
    CASE(what_a_killed_writer_left_is_no_harm_beside_a_reader),
    CASE(opening_to_read_writes_nothing),
    CASE(writing_to_a_read_only_store_is_refused),
    CASE(what_is_not_there_is_not_created),
    CASE(readers_and_the_writer_share_one_process),
    CASE(refreshing_a_writer_tells_its_seq),
    CASE(a_snapshot_of_a_reader_is_backed_up_as_it_stood_whatever_was_refreshed),
    CASE(a_backup_of_a_refreshed_reader_can_be_written_on),
    CASE(threads_of_a_reader_go_on_while_it_is_refreshed),
    CASE(a_killed_readers_lock_goes_and_gives_files_back),
};

int main(int argc, char **argv)
{
    if (argc == 3 && strcmp(argv[1], "writer") == 0) return writer(argv[2]);
    if (argc == 3 && strcmp(argv[1], "open") == 0) return open_once(argv[2]);
    signal(SIGPIPE, SIG_IGN);
    return check_main(argc, argv, cases, COUNT_OF(cases));
}
