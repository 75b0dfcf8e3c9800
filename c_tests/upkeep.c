/* Upkeep: checkpoint, compact, maintain, the one thread or none, bounded memory, space that comes back. */
#include "check.h"

#include <ftw.h>
#include <sys/stat.h>
#include <time.h>

static uint64_t disk_total;

static int add_size(const char *path, const struct stat *info, int type, struct FTW *place)
{
    (void)path, (void)place;
    if (type != FTW_NS) disk_total += (uint64_t)info->st_blocks * 512; /* FTW_NS: upkeep has just removed it */
    return 0;
}

static uint64_t disk_bytes(const char *path)
{
    disk_total = 0;
    CHECK_SYS(nftw(path, add_size, 16, FTW_PHYS) == 0);
    return disk_total;
}

static void one_thread_by_default_none_without_background(void)
{
    size_t threads = check_threads();
    sarsen_store *store = NULL;
    store = check_open(check_path("none"), (check_how){0});
    for (int i = 0; i < 100; i++) check_set(store, "key", "value");
    CHECK_OK(sarsen_store_checkpoint(store, ERR));
    check_maintain(store);
    CHECK_OK(sarsen_store_compact(store, ERR));
    CHECK_NUMBER(check_threads(), threads);
    check_close(store);
    CHECK_NUMBER(check_threads(), threads);
    CHECK_OK(sarsen_store_open(check_path("default"), NULL, &store, ERR));
    CHECK_NUMBER(check_threads(), threads + 1);
    check_set(store, "key", "value");
    CHECK_NUMBER(check_threads(), threads + 1);
    check_close(store);
    CHECK_NUMBER(check_threads(), threads);
}

static void a_checkpoint_leaves_nothing_to_replay(void)
{
    const char *path = check_path("store");
    sarsen_store *store = check_open(path, (check_how){0});
    sarsen_stats before, after;
    sarsen_recovery recovery;
    CHECK_OK(sarsen_store_checkpoint(store, ERR)); /* of nothing */
    for (uint64_t i = 0; i < 1000; i++) CHECK_OK(sarsen_kv_set(store, &i, sizeof i, STR("value"), ERR));
    CHECK_OK(sarsen_store_stats(store, &before, sizeof before));
    CHECK_OK(sarsen_store_checkpoint(store, ERR));
    CHECK_OK(sarsen_store_stats(store, &after, sizeof after));
    CHECK(after.checkpoints > before.checkpoints);
    CHECK_NUMBER(sarsen_store_durable_seq(store), 1000);
    CHECK_OK(sarsen_store_checkpoint(store, ERR)); /* again, with nothing new */
    store = check_reopen(store, path, (check_how){0});
    CHECK_OK(sarsen_store_recovery(store, &recovery, sizeof recovery));
    CHECK_NUMBER(recovery.verdict, SARSEN_RECOVERY_CLEAN);
    CHECK_NUMBER(recovery.replayed_commits, 0);
    for (uint64_t i = 0; i < 1000; i++) {
        sarsen_view view;
        CHECK_OK(sarsen_kv_get(store, NULL, &i, sizeof i, &view, ERR));
        sarsen_view_release(&view);
    }
    check_close(store);
}

static void an_idle_store_has_no_work_left(void)
{
    sarsen_store *store = check_open(check_path("store"), (check_how){0});
    bool more = true;
    check_maintain(store);
    CHECK_OK(sarsen_store_maintain(store, 0, &more, ERR));
    CHECK(!more);
    check_set(store, "key", "value");
    check_maintain(store);
    more = true;
    CHECK_OK(sarsen_store_maintain(store, 1000000, &more, ERR));
    CHECK(!more);
    check_close(store);
}

/* A host that calls maintain from its loop: the work gets done, in many slices. */
static void maintain_does_the_work_in_slices(void)
{
    const char *path = check_path("store");
    sarsen_store *store = check_open(path, (check_how){.memory_bytes = 8 << 20, .chunk_bytes = 4 << 20});
    uint8_t *value = check_filled_new(20000, 1);
    sarsen_stats stats;
    bool more = false;
    for (uint64_t i = 0; i < 4000; i++) { /* 80 MB over 100 keys */
        uint64_t key = i % 100;
        memcpy(value, &i, sizeof i);
        CHECK_OK(sarsen_kv_set(store, &key, sizeof key, value, 20000, ERR));
        CHECK_OK(sarsen_store_maintain(store, 2000, &more, ERR));
    }
    check_maintain(store);
    CHECK_OK(sarsen_store_stats(store, &stats, sizeof stats));
    CHECK(stats.checkpoints >= 1);
    for (uint64_t key = 0; key < 100; key++) {
        sarsen_view view;
        uint64_t newest = 3900 + key;
        CHECK_OK(sarsen_kv_get(store, NULL, &key, sizeof key, &view, ERR));
        CHECK_NUMBER(view.len, 20000);
        CHECK_BYTES(view.data, 8, &newest, 8);
        sarsen_view_release(&view);
    }
    free(value);
    check_close(store);
    CHECK(disk_bytes(path) < 40 << 20);
}

static uint64_t anonymous_bytes(void)
{
    FILE *file = fopen("/proc/self/status", "r");
    char line[256];
    unsigned long long kib = 0;
    CHECK_SYS(file != NULL);
    while (fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "RssAnon: %llu kB", &kib) == 1) break;
    fclose(file);
    return kib * 1024;
}

/* memory_bytes + 16 MiB is the bound, whoever does the upkeep and also if nobody does. */
static void heap_stays_bounded_even_without_upkeep(void)
{
    enum { BUDGET = 8 << 20, BOUND = BUDGET + (16 << 20) };
    sarsen_store *store = check_open(check_path("store"), (check_how){.memory_bytes = BUDGET});
    uint64_t before = anonymous_bytes();
    uint8_t value[200];
    sarsen_stats stats;
    const uint64_t commits = check_instrumented() ? 100000 : 400000; /* 200 bytes each: many times the budget */
    for (uint64_t i = 0; i < commits; i++) {
        uint64_t key = i * 2654435761u % 1000003;
        check_fill(value, sizeof value, i);
        CHECK_OK(sarsen_kv_set(store, &key, sizeof key, value, sizeof value, ERR));
        if (i % 20000 != 0) continue;
        CHECK_OK(sarsen_store_stats(store, &stats, sizeof stats));
        CHECK(stats.heap_bytes > 0);
        CHECK(stats.heap_bytes <= BOUND);
        if (!check_instrumented()) CHECK(anonymous_bytes() <= before + BOUND);
    }
    CHECK(anonymous_bytes() >= before / 2); /* the figure is one */
    CHECK_OK(sarsen_store_stats(store, &stats, sizeof stats));
    CHECK(stats.checkpoints >= 2); /* commits did it themselves */
    check_close(store);
}

static void deleting_everything_gives_the_space_back(void)
{
    for (int how = 0; how < 2; how++) {
        const char *path = check_path(how == 0 ? "compacted" : "maintained");
        sarsen_store *store = check_open(path, (check_how){.chunk_bytes = 4 << 20});
        uint8_t *data = check_filled_new(100000, 1);
        sarsen_stats stats;
        uint64_t full;
        for (uint64_t i = 0; i < 400; i++) {
            CHECK_OK(sarsen_memory_append(store, i, NULL, data, 100000, ERR));
            CHECK_OK(sarsen_kv_set(store, &i, sizeof i, data, 10000, ERR));
            CHECK_OK(sarsen_stream_append(store, STR("s"), data, 10000, NULL, ERR));
        }
        CHECK_OK(sarsen_store_checkpoint(store, ERR));
        full = disk_bytes(path);
        CHECK(full > 40 << 20);
        CHECK_OK(sarsen_store_stats(store, &stats, sizeof stats));
        CHECK(stats.disk_bytes > 40 << 20);
        for (uint64_t i = 0; i < 400; i++) {
            CHECK_OK(sarsen_memory_delete(store, i, ERR));
            CHECK_OK(sarsen_kv_delete(store, &i, sizeof i, ERR));
        }
        CHECK_OK(sarsen_stream_trim(store, STR("s"), UINT64_MAX, ERR));
        if (how == 0) {
            CHECK_OK(sarsen_store_compact(store, ERR));
            CHECK_OK(sarsen_store_stats(store, &stats, sizeof stats));
            CHECK_NUMBER(stats.kv_count, 0);
            CHECK_NUMBER(stats.memory_count, 0);
            CHECK_NUMBER(stats.stream_count, 0);
            CHECK_NUMBER(stats.stream_record_count, 0);
            CHECK_NUMBER(stats.block_count, 0);
            CHECK_NUMBER(stats.block_bytes_live, 0);
        } else {
            CHECK_OK(sarsen_store_checkpoint(store, ERR));
            check_maintain(store);
        }
        CHECK(disk_bytes(path) < full / 2);
        check_close(store);
        check_close(check_open(path, (check_how){0})); /* and again: what a reader or view had held is gone, too */
        CHECK(disk_bytes(path) < 16 << 20);
        free(data);
    }
}

static void with_a_thread_space_comes_back_by_itself(void)
{
    const char *path = check_path("store"), *blocks = check_join(path, "blocks");
    sarsen_store *store = check_open(path, (check_how){.background = true, .chunk_bytes = 4 << 20, .memory_bytes = 8 << 20});
    uint8_t *data = check_filled_new(50000, 1);
    time_t deadline;
    for (uint64_t i = 0; i < 1000; i++) CHECK_OK(sarsen_memory_append(store, i, NULL, data, 50000, ERR));
    CHECK_OK(sarsen_store_checkpoint(store, ERR));
    CHECK(disk_bytes(blocks) > 40 << 20);
    for (uint64_t i = 0; i < 1000; i++) CHECK_OK(sarsen_memory_delete(store, i, ERR));
    /* Ordinary small writes go on; nobody asks for upkeep. The log takes what such a writer's log takes. */
    deadline = time(NULL) + 100;
    for (uint64_t i = 0; disk_bytes(blocks) > 12 << 20; i++) {
        for (int j = 0; j < 200; j++) CHECK_OK(sarsen_kv_set(store, &i, 1, data, 1000, ERR));
        CHECK(time(NULL) < deadline);
    }
    free(data);
    check_close(store);
}

static void compact_keeps_exactly_what_is_live(void)
{
    const char *path = check_path("store");
    sarsen_store *store = check_open(path, (check_how){.chunk_bytes = 1 << 20});
    sarsen_stats stats;
    for (uint64_t i = 0; i < 600; i++) {
        size_t size = i % 20 == 0 ? 70000 : 3000;
        uint8_t *data = check_filled_new(size, i);
        CHECK_OK(sarsen_memory_append(store, i % 100, NULL, data, size, ERR));
        free(data);
    }
    for (int round = 0; round < 2; round++) {
        CHECK_OK(sarsen_store_compact(store, ERR));
        CHECK_OK(sarsen_store_stats(store, &stats, sizeof stats));
        CHECK_NUMBER(stats.memory_count, 100);
        CHECK_NUMBER(stats.block_count, 0); /* none is loose */
        CHECK_NUMBER(stats.block_bytes_dead, 0);
        CHECK(stats.block_bytes_live >= 95 * 3000 + 5 * 70000);
        CHECK(stats.compactions >= 1);
        for (uint64_t id = 0; id < 100; id++) {
            uint64_t newest = 500 + id;
            sarsen_view view;
            CHECK_OK(sarsen_memory_get(store, NULL, id, &view, ERR));
            CHECK_FILLED(view.data, view.len, newest % 20 == 0 ? 70000 : 3000, newest);
            sarsen_view_release(&view);
        }
        store = check_reopen(store, path, (check_how){.chunk_bytes = 1 << 20});
    }
    check_sound(store);
    check_close(store);
}

static const check_case cases[] = {
    CASE(one_thread_by_default_none_without_background),
    CASE(a_checkpoint_leaves_nothing_to_replay),
    CASE(an_idle_store_has_no_work_left),
    CASE(maintain_does_the_work_in_slices),
    CASE(heap_stays_bounded_even_without_upkeep),
    CASE(deleting_everything_gives_the_space_back),
    CASE(with_a_thread_space_comes_back_by_itself),
    CASE(compact_keeps_exactly_what_is_live),
};
CHECK_MAIN(cases)
