/* A failed sync: the commit's outcome is unknown, the store refuses writes until reopened, reads go on. A
 * seccomp filter lets this process's syncs fail; it cannot be taken off, so each case runs in a child. */
#include "check.h"

#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

/* From now on these system calls fail with EIO, in every thread. Leaves with CHECK_SKIPPED where that is not allowed. */
static void fail_syncs(void)
{
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_fsync, 4, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_fdatasync, 3, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_msync, 2, 0),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_sync_file_range, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EIO),
    };
    struct sock_fprog program = {COUNT_OF(filter), filter};
    if (prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0 ||
        syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) != 0 ||
        fsync(STDOUT_FILENO) == 0 || errno != EIO)
        _exit(CHECK_SKIPPED);
}

static void run(void (*body)(void *), const char *path)
{
    int status;
    if (check_valgrind()) check_skip("valgrind knows no seccomp");
    status = check_child(body, (void *)(uintptr_t)path);
    if (WIFEXITED(status) && WEXITSTATUS(status) == CHECK_SKIPPED) check_skip("no seccomp filters here");
    CHECK_NUMBER(status, 0);
}

typedef struct calls {
    size_t count;
    sarsen_status status;
} calls;

static void note(void *user, uint64_t seq, sarsen_status status)
{
    calls *seen = user;
    (void)seq;
    seen->count++;
    seen->status = status;
}

static void body_without_thread(void *path)
{
    sarsen_store *store = check_open(path, (check_how){0});
    sarsen_batch *batch = sarsen_batch_new();
    sarsen_snapshot *snapshot = NULL;
    sarsen_block block;
    sarsen_view view;
    calls seen = {0, SARSEN_OK};
    bool more = false;
    uint64_t seq = 0;

    check_set(store, "safe", "value");
    CHECK_OK(sarsen_block_append(store, STR("block"), &block, ERR));
    CHECK_OK(sarsen_store_sync(store, ERR));
    check_set(store, "asked", "value");
    CHECK_OK(sarsen_store_notify_durable(store, 3, note, &seen, ERR));
    fail_syncs();

    CHECK_OK(sarsen_batch_set_kv(batch, STR("unknown"), STR("value"), ERR));
    CHECK_IS(SARSEN_IO, sarsen_batch_commit(batch, store, SARSEN_SURVIVE_POWER, &seq, ERR));
    CHECK_NUMBER(check_last.os_code, EIO);
    CHECK_NUMBER(sarsen_batch_count(batch), 1); /* untouched if not OK */
    CHECK_NUMBER(seen.count, 1);                /* what waited is told, once */
    CHECK(seen.status == SARSEN_POISONED || seen.status == SARSEN_IO);

    for (int round = 0; round < 3; round++) { /* no retry says yes */
        CHECK_IS(SARSEN_POISONED, sarsen_batch_commit(batch, store, SARSEN_SURVIVE_POWER, &seq, ERR));
        CHECK_IS(SARSEN_POISONED, sarsen_batch_commit(batch, store, SARSEN_SURVIVE_PROCESS, &seq, ERR));
        CHECK_IS(SARSEN_POISONED, sarsen_kv_set(store, STR("key"), STR("value"), ERR));
        CHECK_IS(SARSEN_POISONED, sarsen_kv_delete(store, STR("safe"), ERR));
        CHECK_IS(SARSEN_POISONED, sarsen_stream_append(store, STR("s"), STR("r"), NULL, ERR));
        CHECK_IS(SARSEN_POISONED, sarsen_memory_append(store, 1, NULL, STR("m"), ERR));
        CHECK_IS(SARSEN_POISONED, sarsen_block_append(store, STR("b"), &block, ERR));
        CHECK_IS(SARSEN_POISONED, sarsen_store_sync(store, ERR));
        CHECK_IS(SARSEN_POISONED, sarsen_store_wait_durable(store, 3, 0, ERR));
        CHECK_IS(SARSEN_POISONED, sarsen_store_checkpoint(store, ERR));
        CHECK_IS(SARSEN_POISONED, sarsen_store_compact(store, ERR));
        CHECK_IN(STATUS_BIT(SARSEN_OK) | STATUS_BIT(SARSEN_POISONED), sarsen_store_maintain(store, 1000, &more, ERR));
        CHECK_NUMBER(sarsen_store_durable_seq(store), 2);
        CHECK_OK(sarsen_store_wait_durable(store, 2, 0, ERR)); /* that much is */
        CHECK_KV(store, NULL, "safe", "value");
        CHECK_KV(store, NULL, "asked", "value");
        CHECK_OK(sarsen_snapshot_new(store, &snapshot, ERR));
        CHECK_KV(store, snapshot, "safe", "value");
        sarsen_snapshot_free(snapshot);
    }
    CHECK_OK(sarsen_kv_get(store, NULL, STR("safe"), &view, ERR));
    CHECK_REFUSED(sarsen_store_close(store, ERR)); /* consumed all the same */
    CHECK_BYTES(view.data, view.len, "value", 5);
    sarsen_view_release(&view);
    CHECK_NUMBER(seen.count, 1);
    sarsen_batch_free(batch);
}

static void a_failed_sync_poisons_until_reopened(void)
{
    const char *path = check_path("store");
    sarsen_store *store;
    run(body_without_thread, path);
    store = check_open(path, (check_how){.no_create = true});
    CHECK_KV(store, NULL, "safe", "value");
    CHECK(sarsen_store_last_seq(store) >= 2 && sarsen_store_last_seq(store) <= 4);
    check_set(store, "safe", "and on");
    CHECK_OK(sarsen_store_sync(store, ERR));
    check_sound(store);
    store = check_reopen(store, path, (check_how){0});
    CHECK_KV(store, NULL, "safe", "and on");
    check_close(store);
}

static void body_with_large_blocks(void *path)
{
    sarsen_store *store = check_open(path, (check_how){.background = true});
    uint8_t *large = check_filled_new(1 << 20, 1);
    CHECK_OK(sarsen_memory_append(store, 1, NULL, large, 1 << 20, ERR));
    CHECK_OK(sarsen_store_sync(store, ERR));
    CHECK_OK(sarsen_memory_append(store, 2, NULL, large, 1 << 20, ERR));
    fail_syncs();
    /* The background thread may have found it first. */
    CHECK_IN(STATUS_BIT(SARSEN_IO) | STATUS_BIT(SARSEN_POISONED), sarsen_store_sync(store, ERR));
    CHECK_IS(SARSEN_POISONED, sarsen_memory_append(store, 3, NULL, large, 1 << 20, ERR));
    CHECK_IS(SARSEN_POISONED, sarsen_kv_set(store, STR("key"), STR("value"), ERR));
    for (uint64_t id = 1; id <= 2; id++) {
        sarsen_view view;
        CHECK_OK(sarsen_memory_get(store, NULL, id, &view, ERR));
        CHECK_FILLED(view.data, view.len, 1 << 20, 1);
        sarsen_view_release(&view);
    }
    CHECK_REFUSED(sarsen_store_close(store, ERR));
    free(large);
}

static void large_blocks_and_a_thread_change_nothing_about_it(void)
{
    const char *path = check_path("store");
    sarsen_store *store;
    sarsen_view view;
    run(body_with_large_blocks, path);
    store = check_open(path, (check_how){.no_create = true});
    CHECK_OK(sarsen_memory_get(store, NULL, 1, &view, ERR));
    CHECK_FILLED(view.data, view.len, 1 << 20, 1);
    sarsen_view_release(&view);
    CHECK_IS(SARSEN_NOT_FOUND, sarsen_memory_get(store, NULL, 3, &view, ERR));
    CHECK_OK(sarsen_store_sync(store, ERR));
    check_sound(store);
    check_close(store);
}

static void body_failed_checkpoint(void *path)
{
    sarsen_store *store = check_open(path, (check_how){0});
    for (uint64_t i = 0; i < 100; i++) CHECK_OK(sarsen_kv_set(store, &i, sizeof i, STR("value"), ERR));
    fail_syncs();
    CHECK_REFUSED(sarsen_store_checkpoint(store, ERR));
    for (uint64_t i = 0; i < 100; i++) {
        sarsen_view view;
        CHECK_OK(sarsen_kv_get(store, NULL, &i, sizeof i, &view, ERR));
        sarsen_view_release(&view);
    }
    CHECK_REFUSED(sarsen_store_close(store, ERR));
}

static void a_failed_checkpoint_loses_nothing(void)
{
    const char *path = check_path("store");
    sarsen_store *store;
    run(body_failed_checkpoint, path);
    store = check_open(path, (check_how){.no_create = true});
    CHECK_NUMBER(sarsen_store_last_seq(store), 100); /* the process did not lose its page cache */
    for (uint64_t i = 0; i < 100; i++) {
        sarsen_view view;
        CHECK_OK(sarsen_kv_get(store, NULL, &i, sizeof i, &view, ERR));
        sarsen_view_release(&view);
    }
    CHECK_OK(sarsen_store_checkpoint(store, ERR));
    check_sound(store);
    check_close(store);
}

static const check_case cases[] = {
    CASE(a_failed_sync_poisons_until_reopened),
    CASE(large_blocks_and_a_thread_change_nothing_about_it),
    CASE(a_failed_checkpoint_loses_nothing),
};
CHECK_MAIN(cases)
