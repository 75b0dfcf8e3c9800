/* Snapshots: one frozen state of all four kinds of data, whatever is written, merged or reclaimed since. */
#include "check.h"

enum { ROUNDS = 12, ITEMS = 20 };

static size_t size_of(uint64_t round, uint64_t item)
{
    const size_t sizes[] = {0, 1, 100, 5000, 33792, 70000};
    return sizes[(round * 7 + item) % COUNT_OF(sizes)];
}

static uint64_t tag_of(uint64_t round, uint64_t item)
{
    return round * 1000 + item;
}

/* One commit that writes every item anew. */
static void write_round(const sarsen_store *store, uint64_t round)
{
    sarsen_batch *batch = sarsen_batch_new();
    char tag[16];
    sarsen_tags *tags;
    snprintf(tag, sizeof tag, "round %u", (unsigned)round);
    tags = check_tags(tag, NULL);
    for (uint64_t item = 0; item < ITEMS; item++) {
        uint8_t *data = check_filled_new(size_of(round, item), tag_of(round, item));
        CHECK_OK(sarsen_batch_set_kv(batch, &item, sizeof item, data, size_of(round, item), ERR));
        CHECK_OK(sarsen_batch_append_memory(batch, item, tags, data, size_of(round, item), ERR));
        CHECK_OK(sarsen_batch_append_stream(batch, STR("s"), data, size_of(round, item), ERR));
        free(data);
    }
    CHECK_OK(sarsen_batch_delete_kv(batch, &round, sizeof round, ERR));
    CHECK_OK(sarsen_batch_delete_memory(batch, round, ERR));
    CHECK_OK(sarsen_batch_trim_stream(batch, STR("s"), round * ITEMS, ERR));
    CHECK_OK(sarsen_batch_commit(batch, store, 0, NULL, ERR));
    sarsen_tags_free(tags);
    sarsen_batch_free(batch);
}

static void holds_round(const sarsen_store *store, const sarsen_snapshot *snapshot, uint64_t round)
{
    char tag[16];
    sarsen_tags *tags;
    sarsen_memory_iter *memories = NULL;
    sarsen_kv_iter *pairs = NULL;
    sarsen_stream_iter *records = NULL;
    sarsen_stream_names *names = NULL;
    sarsen_bytes key, data;
    sarsen_view view;
    uint64_t id = 0, first = 0, next = 0;
    size_t len = 0;
    uint8_t byte;
    sarsen_bytes wanted;
    sarsen_status answer;

    snprintf(tag, sizeof tag, "round %u", (unsigned)round);
    tags = check_tags(tag, NULL);
    CHECK_OK(sarsen_memory_find(store, snapshot, tags, NULL, NULL, 0, &memories, ERR));
    CHECK_OK(sarsen_kv_scan(store, snapshot, NONE, NONE, false, &pairs, ERR));
    CHECK_OK(sarsen_stream_read(store, snapshot, STR("s"), 0, &records, ERR));
    CHECK_STREAM(store, snapshot, "s", round * ITEMS, (round + 1) * ITEMS);
    for (uint64_t item = 0; item < ITEMS; item++) {
        bool there = item != round;
        size_t size = size_of(round, item);
        CHECK_IS(there ? SARSEN_OK : SARSEN_NOT_FOUND,
                 sarsen_kv_get(store, snapshot, &item, sizeof item, &view, ERR));
        if (there) CHECK_FILLED(view.data, view.len, size, tag_of(round, item));
        sarsen_view_release(&view);
        wanted = (sarsen_bytes){(const uint8_t *)&item, sizeof item};
        CHECK_OK(sarsen_kv_get_many(store, snapshot, &wanted, 1, &view, &answer, ERR));
        CHECK_NUMBER(answer, there ? SARSEN_OK : SARSEN_NOT_FOUND);
        sarsen_view_release(&view);
        CHECK_IS(there ? SARSEN_OK : SARSEN_NOT_FOUND,
                 sarsen_kv_read(store, snapshot, &item, sizeof item, &byte, 1, &len, ERR));
        if (there) CHECK_NUMBER(len, size);
        CHECK_IS(there ? SARSEN_OK : SARSEN_NOT_FOUND, sarsen_memory_get(store, snapshot, item, &view, ERR));
        if (there) CHECK_FILLED(view.data, view.len, size, tag_of(round, item));
        sarsen_view_release(&view);
        CHECK_OK(sarsen_stream_get(store, snapshot, STR("s"), round * ITEMS + item, &view, ERR));
        CHECK_FILLED(view.data, view.len, size, tag_of(round, item));
        sarsen_view_release(&view);
        CHECK_OK(sarsen_stream_iter_next(records, &id, &data, ERR));
        CHECK_NUMBER(id, round * ITEMS + item);
        CHECK_FILLED(data.data, data.len, size, tag_of(round, item));
        if (!there) continue;
        CHECK_OK(sarsen_memory_iter_next(memories, &id, &data, ERR));
        CHECK_NUMBER(id, item);
        CHECK_FILLED(data.data, data.len, size, tag_of(round, item));
        CHECK_OK(sarsen_kv_iter_next(pairs, &key, &data, ERR));
        CHECK_BYTES(key.data, key.len, &item, sizeof item);
        CHECK_FILLED(data.data, data.len, size, tag_of(round, item));
    }
    CHECK_IS(SARSEN_END, sarsen_memory_iter_next(memories, &id, &data, ERR));
    CHECK_IS(SARSEN_END, sarsen_kv_iter_next(pairs, &key, &data, ERR));
    CHECK_IS(SARSEN_END, sarsen_stream_iter_next(records, &id, &data, ERR));
    CHECK_OK(sarsen_stream_list(store, snapshot, NONE, &names, ERR));
    CHECK_OK(sarsen_stream_names_next(names, &key, &first, &next, ERR));
    CHECK_NUMBER(first, round * ITEMS);
    CHECK_IS(SARSEN_END, sarsen_stream_names_next(names, &key, &first, &next, ERR));
    sarsen_stream_names_free(names);
    sarsen_memory_iter_free(memories);
    sarsen_kv_iter_free(pairs);
    sarsen_stream_iter_free(records);
    sarsen_tags_free(tags);
}

static void a_snapshot_stays_under_overwriting_checkpoint_and_compact(void)
{
    sarsen_store *store = check_open(check_path("store"), (check_how){.chunk_bytes = 1 << 20});
    sarsen_snapshot *snapshots[ROUNDS];
    for (uint64_t round = 0; round < ROUNDS; round++) {
        write_round(store, round);
        CHECK_OK(sarsen_snapshot_new(store, &snapshots[round], ERR));
        CHECK_NUMBER(sarsen_snapshot_seq(snapshots[round]), round + 1);
        if (round % 3 == 0) CHECK_OK(sarsen_store_checkpoint(store, ERR));
        if (round % 5 == 4) CHECK_OK(sarsen_store_compact(store, ERR));
        for (uint64_t old = round % 2; old <= round; old += 2) holds_round(store, snapshots[old], old);
    }
    holds_round(store, NULL, ROUNDS - 1);
    /* Freed in another order than taken; the rest must not notice. */
    for (uint64_t step = 0; step < ROUNDS; step++) {
        uint64_t gone = step * 5 % ROUNDS;
        sarsen_snapshot_free(snapshots[gone]);
        snapshots[gone] = NULL;
        CHECK_OK(sarsen_store_compact(store, ERR));
        for (uint64_t old = 0; old < ROUNDS; old++)
            if (snapshots[old] != NULL) holds_round(store, snapshots[old], old);
    }
    check_sound(store);
    check_close(store);
}

static void a_snapshot_of_an_empty_store_stays_empty(void)
{
    sarsen_store *store = check_open(check_path("store"), (check_how){0});
    sarsen_snapshot *empty = NULL;
    sarsen_kv_iter *iter = NULL;
    sarsen_bytes key, value;
    CHECK_OK(sarsen_snapshot_new(store, &empty, ERR));
    CHECK_NUMBER(sarsen_snapshot_seq(empty), 0);
    check_set(store, "key", "value");
    CHECK_KV(store, empty, "key", NULL);
    CHECK_OK(sarsen_store_compact(store, ERR));
    CHECK_KV(store, empty, "key", NULL);
    CHECK_OK(sarsen_kv_scan(store, empty, NONE, NONE, true, &iter, ERR));
    CHECK_IS(SARSEN_END, sarsen_kv_iter_next(iter, &key, &value, ERR));
    sarsen_kv_iter_free(iter);
    sarsen_snapshot_free(empty);
    check_close(store);
}

static void an_iterator_outlives_its_snapshot(void)
{
    sarsen_store *store = check_open(check_path("store"), (check_how){0});
    sarsen_snapshot *snapshot = NULL;
    sarsen_kv_iter *iter = NULL;
    sarsen_bytes key, value;
    check_set(store, "a", "old");
    check_set(store, "b", "old");
    CHECK_OK(sarsen_snapshot_new(store, &snapshot, ERR));
    check_set(store, "a", "new");
    check_set(store, "b", "new");
    CHECK_OK(sarsen_kv_scan(store, snapshot, NONE, NONE, false, &iter, ERR));
    sarsen_snapshot_free(snapshot);
    CHECK_OK(sarsen_kv_iter_next(iter, &key, &value, ERR));
    CHECK_BYTES(value.data, value.len, "old", 3);
    CHECK_OK(sarsen_store_compact(store, ERR));
    CHECK_OK(sarsen_kv_iter_next(iter, &key, &value, ERR));
    CHECK_BYTES(value.data, value.len, "old", 3);
    sarsen_kv_iter_free(iter);
    check_close(store);
}

static void a_snapshot_reads_only_its_own_store(void)
{
    sarsen_store *one = check_open(check_path("one"), (check_how){0});
    sarsen_store *two = check_open(check_path("two"), (check_how){0});
    sarsen_snapshot *snapshot = NULL;
    sarsen_view view;
    sarsen_kv_iter *iter = NULL;
    check_set(one, "key", "one");
    check_set(two, "key", "two");
    CHECK_OK(sarsen_snapshot_new(one, &snapshot, ERR));
    CHECK_KV(one, snapshot, "key", "one");
    memset(&view, 0xa5, sizeof view);
    CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_kv_get(two, snapshot, STR("key"), &view, ERR));
    CHECK(view.data == NULL);
    CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_kv_scan(two, snapshot, NONE, NONE, false, &iter, ERR));
    CHECK(iter == NULL);
    check_close(one);
    CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_kv_get(two, snapshot, STR("key"), &view, ERR));
    sarsen_snapshot_free(snapshot); /* after its store */
    sarsen_snapshot_free(NULL);
    CHECK_NUMBER(sarsen_snapshot_seq(NULL), 0);
    check_close(two);
}

static void stats_name_the_oldest_snapshot(void)
{
    sarsen_store *store = check_open(check_path("store"), (check_how){0});
    sarsen_snapshot *old = NULL, *young = NULL;
    sarsen_stats stats;
    check_set(store, "a", "1");
    CHECK_OK(sarsen_snapshot_new(store, &old, ERR));
    check_set(store, "a", "2");
    CHECK_OK(sarsen_snapshot_new(store, &young, ERR));
    check_set(store, "a", "3");
    CHECK_OK(sarsen_store_stats(store, &stats, sizeof stats));
    CHECK_NUMBER(stats.oldest_snapshot_seq, 1);
    sarsen_snapshot_free(old);
    CHECK_OK(sarsen_store_stats(store, &stats, sizeof stats));
    CHECK_NUMBER(stats.oldest_snapshot_seq, 2);
    sarsen_snapshot_free(young);
    check_close(store);
}

static const check_case cases[] = {
    CASE(a_snapshot_stays_under_overwriting_checkpoint_and_compact),
    CASE(a_snapshot_of_an_empty_store_stays_empty),
    CASE(an_iterator_outlives_its_snapshot),
    CASE(a_snapshot_reads_only_its_own_store),
    CASE(stats_name_the_oldest_snapshot),
};
CHECK_MAIN(cases)
