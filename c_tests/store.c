/* Opening and closing: layout, modes, locking, sequence numbers, statistics, the recovery verdict, and what
 * the host must not notice: descriptors, threads. */
#include "check.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

static uint32_t mode_of(const char *path)
{
    struct stat info;
    CHECK_SYS(lstat(path, &info) == 0);
    return (uint32_t)info.st_mode & 07777u;
}

static void a_new_store_is_a_private_directory(void)
{
    const char *path = check_path("store");
    mode_t old = umask(0);
    check_close(check_open(path, (check_how){0}));
    umask(old);
    CHECK_NUMBER(mode_of(path), 0700);
    CHECK_NUMBER(mode_of(check_join(path, "MANIFEST")), 0600);
    CHECK_NUMBER(mode_of(check_join(path, "LOCK")), 0600);
}

static void paths_may_be_relative_and_hold_any_utf8(void)
{
    const char *names[] = {"plain", "with space", "gr\xc3\xbc\xc3\x9f", "\xe7\x9f\xb3", "%s%n", "-dash"};
    char before[4096];
    CHECK_SYS(getcwd(before, sizeof before) != NULL);
    CHECK_SYS(chdir(check_path(".")) == 0);
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        sarsen_store *store = check_open(names[i], (check_how){0});
        check_set(store, "name", names[i]);
        check_close(store);
    }
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        sarsen_store *store = check_open(check_path(names[i]), (check_how){.no_create = true});
        CHECK_KV(store, NULL, "name", names[i]);
        check_close(store);
    }
    CHECK_SYS(chdir(before) == 0);
}

static void what_was_committed_is_there_after_reopening(void)
{
    const char *path = check_path("store");
    sarsen_store *store = check_open(path, (check_how){0});
    for (int round = 0; round < 10; round++) {
        char key[32];
        snprintf(key, sizeof key, "key-%d", round);
        CHECK_NUMBER(sarsen_store_last_seq(store), round);
        check_set(store, key, "value");
        CHECK_NUMBER(sarsen_store_last_seq(store), round + 1);
        store = check_reopen(store, path, (check_how){0});
    }
    for (int round = 0; round < 10; round++) {
        char key[32];
        snprintf(key, sizeof key, "key-%d", round);
        CHECK_KV(store, NULL, key, "value");
    }
    CHECK_NUMBER(sarsen_store_durable_seq(store), 10); /* closing checkpoints */
    check_close(store);
}

static void an_empty_store_starts_at_seq_0(void)
{
    const char *path = check_path("store");
    sarsen_store *store = check_open(path, (check_how){0});
    for (int round = 0; round < 3; round++) {
        sarsen_recovery recovery;
        CHECK_NUMBER(sarsen_store_last_seq(store), 0);
        CHECK_NUMBER(sarsen_store_durable_seq(store), 0);
        CHECK_OK(sarsen_store_recovery(store, &recovery, sizeof recovery));
        CHECK_NUMBER(recovery.verdict, SARSEN_RECOVERY_CLEAN);
        CHECK_NUMBER(recovery.last_seq, 0);
        CHECK_NUMBER(recovery.proven_seq, 0);
        CHECK_NUMBER(recovery.dropped_bytes, 0);
        store = check_reopen(store, path, (check_how){0});
    }
    check_close(store);
}

static void a_second_writer_is_locked_out_until_the_first_closes(void)
{
    const char *path = check_path("store");
    sarsen_store *store = check_open(path, (check_how){0});
    sarsen_store *second = store;
    CHECK_IS(SARSEN_LOCKED, sarsen_store_open(path, NULL, &second, ERR));
    CHECK(second == NULL);
    check_set(store, "key", "value"); /* the failed open broke no lock */
    CHECK_IS(SARSEN_LOCKED, sarsen_store_open(path, NULL, &second, ERR));
    check_close(store);
    store = check_open(path, (check_how){0});
    CHECK_KV(store, NULL, "key", "value");
    check_close(store);
}

static void closing_null_is_harmless(void)
{
    CHECK_OK(sarsen_store_close(NULL, ERR));
    CHECK_NUMBER(sarsen_store_last_seq(NULL), 0);
    CHECK_NUMBER(sarsen_store_durable_seq(NULL), 0);
}

static void open_and_close_leave_no_descriptor_and_no_thread(void)
{
    const char *path = check_path("store");
    size_t descriptors, threads = check_threads();
    check_close(check_open(path, (check_how){0}));
    descriptors = check_open_descriptors();
    for (int round = 0; round < 40; round++) {
        sarsen_store *store = check_open(path, (check_how){.background = round % 2 == 0});
        sarsen_view view;
        check_set(store, "key", "value");
        CHECK_OK(sarsen_stream_append(store, STR("stream"), STR("record"), NULL, ERR));
        CHECK_OK(sarsen_store_checkpoint(store, ERR));
        CHECK_OK(sarsen_stream_get(store, NULL, STR("stream"), 0, &view, ERR));
        sarsen_view_release(&view);
        check_close(store);
        CHECK_NUMBER(check_open_descriptors(), descriptors);
        CHECK_NUMBER(check_threads(), threads);
    }
}

static void a_failed_open_leaves_no_descriptor(void)
{
    const char *path = check_path("store");
    sarsen_store *store = check_open(path, (check_how){0}), *second = NULL;
    size_t descriptors = check_open_descriptors();
    for (int round = 0; round < 10; round++) {
        CHECK_IS(SARSEN_LOCKED, sarsen_store_open(path, NULL, &second, ERR));
        CHECK_NUMBER(check_open_descriptors(), descriptors);
    }
    check_close(store);
}

static void every_descriptor_is_closed_on_exec(void)
{
    sarsen_store *store = check_open(check_path("store"), (check_how){.background = true});
    DIR *entries;
    struct dirent *entry;
    size_t within = 0;

    check_set(store, "key", "value");
    CHECK_OK(sarsen_store_checkpoint(store, ERR));
    entries = opendir("/proc/self/fd");
    CHECK_SYS(entries != NULL);
    while ((entry = readdir(entries)) != NULL) {
        char target[4096];
        ssize_t len = readlinkat(dirfd(entries), entry->d_name, target, sizeof target - 1);
        if (len < 0) continue;
        target[len] = '\0';
        if (strstr(target, "sarsen-") == NULL) continue;
        within++;
        CHECK(fcntl(atoi(entry->d_name), F_GETFD) & FD_CLOEXEC);
    }
    closedir(entries);
    CHECK(within >= 1);
    check_close(store);
}

static void stats_count_exactly_after_compact(void)
{
    sarsen_store *store = check_open(check_path("store"), (check_how){0});
    sarsen_stats stats;
    sarsen_block block;
    sarsen_snapshot *snapshot = NULL;
    sarsen_view view;
    uint8_t *data = check_filled_new(100000, 1);

    for (int i = 0; i < 10; i++) {
        CHECK_OK(sarsen_kv_set(store, &i, sizeof i, STR("value"), ERR));
        CHECK_OK(sarsen_memory_append(store, (uint64_t)i, NULL, data, 1000, ERR));
        CHECK_OK(sarsen_stream_append(store, STR("one"), data, 100, NULL, ERR));
    }
    CHECK_OK(sarsen_stream_append(store, STR("two"), data, 100, NULL, ERR));
    CHECK_OK(sarsen_block_append(store, data, 100000, &block, ERR));
    CHECK_OK(sarsen_store_sync(store, ERR));
    for (int i = 0; i < 3; i++) {
        CHECK_OK(sarsen_kv_delete(store, &i, sizeof i, ERR));
        CHECK_OK(sarsen_memory_delete(store, (uint64_t)i, ERR));
    }
    CHECK_OK(sarsen_stream_trim(store, STR("one"), 4, ERR));
    CHECK_OK(sarsen_store_compact(store, ERR));
    CHECK_OK(sarsen_snapshot_new(store, &snapshot, ERR));
    CHECK_OK(sarsen_block_view(store, &block, 0, 100000, &view, ERR));

    memset(&stats, 0xff, sizeof stats);
    CHECK_OK(sarsen_store_stats(store, &stats, sizeof stats));
    CHECK_NUMBER(stats.kv_count, 7);
    CHECK_NUMBER(stats.memory_count, 7);
    CHECK_NUMBER(stats.stream_count, 2);
    CHECK_NUMBER(stats.stream_record_count, 7);
    CHECK_NUMBER(stats.block_count, 1); /* loose ones */
    CHECK(stats.block_bytes_live >= 100000);
    CHECK_NUMBER(stats.commits, sarsen_store_last_seq(store));
    CHECK(stats.bytes_appended >= 10 * 1000); /* to the log: large blocks go elsewhere */
    CHECK(stats.disk_bytes >= 100000);
    CHECK(stats.checkpoints >= 1);
    CHECK(stats.syncs >= 1);
    CHECK(stats.pinned_views >= 1);
    CHECK(stats.mapped_bytes >= 100000);
    CHECK_NUMBER(stats.oldest_snapshot_seq, sarsen_snapshot_seq(snapshot));
    sarsen_snapshot_free(snapshot);
    sarsen_view_release(&view);
    CHECK_OK(sarsen_store_stats(store, &stats, sizeof stats));
    CHECK_NUMBER(stats.pinned_views, 0);
    free(data);
    check_close(store);
}

/* A caller built against an older or newer header has a smaller or larger struct. */
static void structs_are_filled_to_the_callers_size(void)
{
    sarsen_store *store = check_open(check_path("store"), (check_how){0});
    uint8_t place[sizeof(sarsen_stats) + 64];
    sarsen_stats stats;
    sarsen_recovery recovery;

    check_set(store, "key", "value");
    CHECK_OK(sarsen_store_stats(store, &stats, sizeof stats));
    memset(place, 0xa5, sizeof place);
    CHECK_OK(sarsen_store_stats(store, (sarsen_stats *)(void *)place, sizeof place));
    for (size_t i = sizeof stats; i < sizeof place; i++) CHECK_NUMBER(place[i], 0);
    memset(place, 0xa5, sizeof place);
    CHECK_OK(sarsen_store_stats(store, (sarsen_stats *)(void *)place, 16));
    CHECK(memcmp(place, &stats, 16) == 0);
    for (size_t i = 16; i < sizeof place; i++) CHECK_NUMBER(place[i], 0xa5);

    CHECK_OK(sarsen_store_recovery(store, &recovery, sizeof recovery));
    memset(place, 0xa5, sizeof place);
    CHECK_OK(sarsen_store_recovery(store, (sarsen_recovery *)(void *)place, sizeof recovery + 8));
    CHECK(memcmp(place, &recovery, sizeof recovery) == 0);
    for (size_t i = sizeof recovery; i < sizeof recovery + 8; i++) CHECK_NUMBER(place[i], 0);
    CHECK_NUMBER(place[sizeof recovery + 8], 0xa5);
    memset(place, 0xa5, sizeof place);
    CHECK_OK(sarsen_store_recovery(store, (sarsen_recovery *)(void *)place, 8));
    CHECK(memcmp(place, &recovery, 8) == 0);
    for (size_t i = 8; i < sizeof place; i++) CHECK_NUMBER(place[i], 0xa5);
    check_close(store);
}

static void commit_then_die(void *path)
{
    sarsen_store *store = check_open(path, (check_how){0});
    for (int i = 0; i < 25; i++) CHECK_OK(sarsen_kv_set(store, &i, sizeof i, STR("value"), ERR));
    kill(getpid(), SIGKILL);
}

static void a_killed_process_loses_nothing_and_the_verdict_says_replayed(void)
{
    const char *path = check_path("store");
    sarsen_store *store;
    sarsen_recovery recovery;
    sarsen_view view;

    CHECK_KILLED(commit_then_die, (void *)(uintptr_t)path);
    store = check_open(path, (check_how){.no_create = true});
    CHECK_OK(sarsen_store_recovery(store, &recovery, sizeof recovery));
    CHECK_NUMBER(recovery.verdict, SARSEN_RECOVERY_REPLAYED);
    CHECK_NUMBER(recovery.last_seq, 25);
    CHECK_NUMBER(recovery.replayed_commits, 25);
    CHECK(recovery.replayed_bytes > 0);
    CHECK(recovery.proven_seq <= 25);
    CHECK_NUMBER(recovery.dropped_bytes, 0);
    CHECK_NUMBER(recovery.reserved, 0);
    CHECK_NUMBER(sarsen_store_last_seq(store), 25);
    for (int i = 0; i < 25; i++) {
        CHECK_OK(sarsen_kv_get(store, NULL, &i, sizeof i, &view, ERR));
        sarsen_view_release(&view);
    }
    store = check_reopen(store, path, (check_how){0});
    CHECK_OK(sarsen_store_recovery(store, &recovery, sizeof recovery));
    CHECK_NUMBER(recovery.verdict, SARSEN_RECOVERY_CLEAN);
    CHECK_NUMBER(recovery.last_seq, 25);
    CHECK_NUMBER(recovery.proven_seq, 25);
    check_close(store);
}

static void the_lock_dies_with_its_process(void)
{
    const char *path = check_path("store");
    for (int round = 0; round < 3; round++) {
        check_child(commit_then_die, (void *)(uintptr_t)path);
        check_close(check_open(path, (check_how){.no_create = true}));
    }
}

static const check_case cases[] = {
    CASE(a_new_store_is_a_private_directory),
    CASE(paths_may_be_relative_and_hold_any_utf8),
    CASE(what_was_committed_is_there_after_reopening),
    CASE(an_empty_store_starts_at_seq_0),
    CASE(a_second_writer_is_locked_out_until_the_first_closes),
    CASE(closing_null_is_harmless),
    CASE(open_and_close_leave_no_descriptor_and_no_thread),
    CASE(a_failed_open_leaves_no_descriptor),
    CASE(every_descriptor_is_closed_on_exec),
    CASE(stats_count_exactly_after_compact),
    CASE(structs_are_filled_to_the_callers_size),
    CASE(a_killed_process_loses_nothing_and_the_verdict_says_replayed),
    CASE(the_lock_dies_with_its_process),
};
CHECK_MAIN(cases)
