/* Views: bytes in place that stay what they were until released, beyond overwriting, merging, reclaiming and
 * closing; and the life of the view itself. */
#include "check.h"

enum { SOURCES = 5 };

/* A view of `size` bytes filled with `tag` from each place that gives views. */
static void take(const sarsen_store *store, size_t size, uint64_t tag, sarsen_view views[SOURCES])
{
    uint8_t *data = check_filled_new(size, tag);
    sarsen_block block;
    sarsen_bytes key;
    sarsen_status answer;
    CHECK_OK(sarsen_kv_set(store, &tag, sizeof tag, data, size, ERR));
    CHECK_OK(sarsen_memory_append(store, tag, NULL, data, size, ERR));
    CHECK_OK(sarsen_stream_append(store, &tag, sizeof tag, data, size, NULL, ERR));
    CHECK_OK(sarsen_block_append(store, data, size, &block, ERR));
    CHECK_OK(sarsen_kv_get(store, NULL, &tag, sizeof tag, &views[0], ERR));
    CHECK_OK(sarsen_memory_get(store, NULL, tag, &views[1], ERR));
    CHECK_OK(sarsen_stream_get(store, NULL, &tag, sizeof tag, 0, &views[2], ERR));
    CHECK_OK(sarsen_block_view(store, &block, 0, size, &views[3], ERR));
    key = (sarsen_bytes){(const uint8_t *)&tag, sizeof tag};
    CHECK_OK(sarsen_kv_get_many(store, NULL, &key, 1, &views[4], &answer, ERR));
    CHECK_NUMBER(answer, SARSEN_OK);
    CHECK_OK(sarsen_block_free(store, &block, ERR));
    free(data);
}

static void check_views(sarsen_view views[SOURCES], size_t size, uint64_t tag)
{
    for (int i = 0; i < SOURCES; i++) CHECK_FILLED(views[i].data, views[i].len, size, tag);
}

static void churn(const sarsen_store *store, uint64_t seed)
{
    for (uint64_t i = 0; i < 60; i++) {
        uint8_t *data = check_filled_new(40000, seed + i);
        uint64_t key = 900000 + i % 4;
        CHECK_OK(sarsen_kv_set(store, &key, sizeof key, data, 40000, ERR));
        CHECK_OK(sarsen_memory_append(store, key, NULL, data, 20000, ERR));
        free(data);
    }
    CHECK_OK(sarsen_store_compact(store, ERR));
}

static void views_stay_while_everything_under_them_goes(void)
{
    const char *path = check_path("store");
    check_how how = {.chunk_bytes = 1 << 20, .memory_bytes = 4 << 20};
    sarsen_store *store = check_open(path, how);
    static sarsen_view views[16][SOURCES];

    for (size_t i = 0; i < check_sizes_count; i++) {
        if (i % 3 == 1) CHECK_OK(sarsen_store_checkpoint(store, ERR));
        take(store, check_sizes[i], i, views[i]);
    }
    for (uint64_t i = 0; i < check_sizes_count; i++) {
        CHECK_OK(sarsen_kv_set(store, &i, sizeof i, STR("overwritten"), ERR));
        CHECK_OK(sarsen_memory_delete(store, i, ERR));
        CHECK_OK(sarsen_stream_trim(store, &i, sizeof i, UINT64_MAX, ERR));
    }
    for (int round = 0; round < 3; round++) {
        churn(store, (uint64_t)round * 100);
        for (size_t i = 0; i < check_sizes_count; i++) check_views(views[i], check_sizes[i], i);
    }
    check_close(store);
    for (size_t i = 0; i < check_sizes_count; i++) check_views(views[i], check_sizes[i], i);

    /* Another opening reclaims and recycles what it can; the old views are still out. */
    store = check_open(path, how);
    for (int round = 0; round < 3; round++) churn(store, 5000 + (uint64_t)round * 100);
    check_close(store);
    for (size_t i = 0; i < check_sizes_count; i++) check_views(views[i], check_sizes[i], i);

    check_remove_tree(path);
    for (size_t i = 0; i < check_sizes_count; i++) {
        check_views(views[i], check_sizes[i], i);
        for (int j = 0; j < SOURCES; j++) sarsen_view_release(&views[i][j]);
    }
}

static void release_nulls_the_view_and_again_is_harmless(void)
{
    sarsen_store *store = check_open(check_path("store"), (check_how){0});
    sarsen_view views[SOURCES];
    take(store, 5000, 1, views);
    for (int i = 0; i < SOURCES; i++) {
        sarsen_view_release(&views[i]);
        CHECK(views[i].data == NULL && views[i].len == 0 && views[i].pin == NULL);
        sarsen_view_release(&views[i]);
    }
    sarsen_view_release(NULL);
    check_close(store);
}

static void a_copied_view_is_released_once(void)
{
    sarsen_store *store = check_open(check_path("store"), (check_how){0});
    sarsen_view views[SOURCES], copies[SOURCES];
    sarsen_stats stats;
    take(store, 70000, 1, views);
    memcpy(copies, views, sizeof copies);
    memset(views, 0, sizeof views);
    check_views(copies, 70000, 1);
    for (int i = 0; i < SOURCES; i++) sarsen_view_release(&copies[i]);
    CHECK_OK(sarsen_store_stats(store, &stats, sizeof stats));
    CHECK_NUMBER(stats.pinned_views, 0);
    check_close(store);
}

static void descriptors_and_maps_go_with_the_last_view(void)
{
    const char *path = check_path("store");
    size_t descriptors;
    sarsen_view views[SOURCES];
    check_close(check_open(path, (check_how){0}));
    descriptors = check_open_descriptors();
    for (int round = 0; round < 5; round++) {
        sarsen_store *store = check_open(path, (check_how){0});
        take(store, 100000, (uint64_t)round, views);
        check_close(store);
        check_views(views, 100000, (uint64_t)round);
        for (int i = SOURCES - 1; i >= 0; i--) sarsen_view_release(&views[i]);
        CHECK_NUMBER(check_open_descriptors(), descriptors);
    }
}

static void views_outlive_snapshots_iterators_batches_and_stores(void)
{
    sarsen_store *store = check_open(check_path("store"), (check_how){0});
    sarsen_snapshot *snapshot = NULL;
    sarsen_view view;
    check_set(store, "key", "value");
    CHECK_OK(sarsen_snapshot_new(store, &snapshot, ERR));
    CHECK_OK(sarsen_kv_get(store, snapshot, STR("key"), &view, ERR));
    sarsen_snapshot_free(snapshot);
    check_set(store, "key", "other");
    CHECK_OK(sarsen_store_compact(store, ERR));
    CHECK_BYTES(view.data, view.len, "value", 5);
    check_close(store);
    CHECK_BYTES(view.data, view.len, "value", 5);
    sarsen_view_release(&view);
}

static void many_views_at_once(void)
{
    enum { VIEWS = 5000 };
    sarsen_store *store = check_open(check_path("store"), (check_how){.memory_bytes = 4 << 20});
    static sarsen_view views[VIEWS];
    for (uint64_t i = 0; i < VIEWS; i++) {
        uint8_t data[600];
        check_fill(data, sizeof data, i);
        CHECK_OK(sarsen_kv_set(store, STR("key"), data, (size_t)(i % 600), ERR));
        CHECK_OK(sarsen_kv_get(store, NULL, STR("key"), &views[i], ERR));
        if (i % 1000 == 999) CHECK_OK(sarsen_store_compact(store, ERR));
    }
    for (uint64_t i = 0; i < VIEWS; i++) CHECK_FILLED(views[i].data, views[i].len, (size_t)(i % 600), i);
    check_close(store);
    for (uint64_t i = 0; i < VIEWS; i++) {
        uint64_t at = i * 7 % VIEWS;
        CHECK_FILLED(views[at].data, views[at].len, (size_t)(at % 600), at);
        sarsen_view_release(&views[at]);
    }
}

static const check_case cases[] = {
    CASE(views_stay_while_everything_under_them_goes),
    CASE(release_nulls_the_view_and_again_is_harmless),
    CASE(a_copied_view_is_released_once),
    CASE(descriptors_and_maps_go_with_the_last_view),
    CASE(views_outlive_snapshots_iterators_batches_and_stores),
    CASE(many_views_at_once),
};
CHECK_MAIN(cases)
