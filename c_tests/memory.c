/* Memories: append, replace, delete, info, finding in id order. Queries by tags are in tags.c. */
#include "check.h"

static void memory_is(const sarsen_store *store, const sarsen_snapshot *snapshot, uint64_t id, const char *text)
{
    sarsen_view view;
    memset(&view, 0xa5, sizeof view);
    CHECK_IS(text == NULL ? SARSEN_NOT_FOUND : SARSEN_OK, sarsen_memory_get(store, snapshot, id, &view, ERR));
    if (text == NULL) {
        CHECK(view.data == NULL);
        return;
    }
    CHECK_BYTES(view.data, view.len, text, strlen(text));
    sarsen_view_release(&view);
}

static void append_get_replace_delete(void)
{
    const char *path = check_path("store");
    sarsen_store *store = check_open(path, (check_how){0});
    const uint64_t ids[] = {0, 1, 255, 256, (uint64_t)1 << 40, UINT64_MAX - 1, UINT64_MAX};
    for (size_t i = 0; i < COUNT_OF(ids); i++) {
        memory_is(store, NULL, ids[i], NULL);
        CHECK_OK(sarsen_memory_append(store, ids[i], NULL, STR("one"), ERR));
        memory_is(store, NULL, ids[i], "one");
    }
    for (int round = 0; round < 4; round++) {
        for (size_t i = 0; i < COUNT_OF(ids); i++) memory_is(store, NULL, ids[i], "one");
        if (round == 0) CHECK_OK(sarsen_store_checkpoint(store, ERR));
        if (round == 1) CHECK_OK(sarsen_store_compact(store, ERR));
        if (round == 2) store = check_reopen(store, path, (check_how){0});
    }
    for (size_t i = 0; i < COUNT_OF(ids); i++) {
        CHECK_OK(sarsen_memory_append(store, ids[i], NULL, STR("two, longer"), ERR));
        memory_is(store, NULL, ids[i], "two, longer");
    }
    CHECK_OK(sarsen_memory_delete(store, 0, ERR));
    CHECK_OK(sarsen_memory_delete(store, UINT64_MAX, ERR));
    CHECK_OK(sarsen_memory_delete(store, 77, ERR)); /* deleting what is not there */
    for (int round = 0; round < 4; round++) {
        memory_is(store, NULL, 0, NULL);
        memory_is(store, NULL, UINT64_MAX, NULL);
        memory_is(store, NULL, 1, "two, longer");
        if (round == 0) CHECK_OK(sarsen_store_checkpoint(store, ERR));
        if (round == 1) CHECK_OK(sarsen_store_compact(store, ERR));
        if (round == 2) store = check_reopen(store, path, (check_how){0});
    }
    CHECK_OK(sarsen_memory_append(store, 0, NULL, STR("three"), ERR));
    memory_is(store, NULL, 0, "three");
    check_close(store);
}

static void info_gives_the_block_and_the_tags(void)
{
    const char *path = check_path("store");
    sarsen_store *store = check_open(path, (check_how){0});
    sarsen_tags *tags = check_tags("red", "round", NULL), *got = NULL;
    sarsen_block block, again;
    char text[5];

    CHECK_OK(sarsen_memory_append(store, 5, tags, STR("apple"), ERR));
    CHECK_OK(sarsen_memory_append(store, 6, NULL, STR("plain"), ERR));
    CHECK_OK(sarsen_memory_info(store, NULL, 5, &block, NULL, ERR));
    CHECK_NUMBER(sarsen_tags_count(tags), 2); /* the caller's set is still the caller's */
    sarsen_tags_free(tags);
    for (int round = 0; round < 4; round++) {
        CHECK_OK(sarsen_memory_info(store, NULL, 5, &again, &got, ERR));
        CHECK(memcmp(&block, &again, sizeof block) == 0); /* an address never changes */
        CHECK_NUMBER(again.len, 5);
        CHECK_NUMBER(sarsen_tags_count(got), 2);
        CHECK(check_has_tag(got, "red") && check_has_tag(got, "round"));
        sarsen_tags_free(got);
        CHECK_OK(sarsen_block_read(store, &again, 0, text, 5, ERR));
        CHECK_BYTES(text, 5, "apple", 5);
        CHECK_OK(sarsen_memory_info(store, NULL, 6, &again, &got, ERR));
        CHECK(got != NULL);
        CHECK_NUMBER(sarsen_tags_count(got), 0);
        sarsen_tags_free(got);
        if (round == 0) CHECK_OK(sarsen_store_checkpoint(store, ERR));
        if (round == 1) CHECK_OK(sarsen_store_compact(store, ERR));
        if (round == 2) store = check_reopen(store, path, (check_how){0});
    }
    CHECK_OK(sarsen_memory_info(store, NULL, 5, NULL, NULL, ERR)); /* is it there? */
    got = (sarsen_tags *)(void *)&block;
    CHECK_IS(SARSEN_NOT_FOUND, sarsen_memory_info(store, NULL, 7, &again, &got, ERR));
    CHECK(got == NULL);
    /* Tags got from one memory may be given to another, and outlive the store. */
    CHECK_OK(sarsen_memory_info(store, NULL, 5, &again, &got, ERR));
    CHECK_OK(sarsen_memory_append(store, 8, got, STR("cherry"), ERR));
    check_close(store);
    CHECK(check_has_tag(got, "red"));
    sarsen_tags_free(got);
}

static void replacing_takes_block_and_tags_and_snapshots_keep_theirs(void)
{
    sarsen_store *store = check_open(check_path("store"), (check_how){0});
    sarsen_tags *old = check_tags("old", NULL), *new = check_tags("new", NULL), *got = NULL;
    sarsen_snapshot *before = NULL;
    sarsen_memory_iter *iter = NULL;
    sarsen_block block;
    sarsen_bytes data;
    uint64_t id = 0;

    CHECK_OK(sarsen_memory_append(store, 1, old, STR("first"), ERR));
    CHECK_OK(sarsen_memory_append(store, 2, old, STR("second"), ERR));
    CHECK_OK(sarsen_snapshot_new(store, &before, ERR));
    CHECK_OK(sarsen_memory_append(store, 1, new, STR("replaced"), ERR));
    CHECK_OK(sarsen_memory_delete(store, 2, ERR));
    for (int round = 0; round < 3; round++) {
        memory_is(store, NULL, 1, "replaced");
        memory_is(store, NULL, 2, NULL);
        memory_is(store, before, 1, "first");
        memory_is(store, before, 2, "second");
        CHECK_OK(sarsen_memory_info(store, NULL, 1, &block, &got, ERR));
        CHECK(check_has_tag(got, "new") && !check_has_tag(got, "old"));
        sarsen_tags_free(got);
        CHECK_OK(sarsen_memory_info(store, before, 1, &block, &got, ERR));
        CHECK(check_has_tag(got, "old") && !check_has_tag(got, "new"));
        sarsen_tags_free(got);
        CHECK_OK(sarsen_memory_find(store, before, old, NULL, NULL, 0, &iter, ERR));
        CHECK_OK(sarsen_memory_iter_next(iter, &id, &data, ERR));
        CHECK_NUMBER(id, 1);
        CHECK_BYTES(data.data, data.len, "first", 5);
        CHECK_OK(sarsen_memory_iter_next(iter, &id, &data, ERR));
        CHECK_NUMBER(id, 2);
        CHECK_IS(SARSEN_END, sarsen_memory_iter_next(iter, &id, &data, ERR));
        sarsen_memory_iter_free(iter);
        CHECK_OK(sarsen_memory_find(store, NULL, old, NULL, NULL, 0, &iter, ERR));
        CHECK_IS(SARSEN_END, sarsen_memory_iter_next(iter, &id, &data, ERR));
        sarsen_memory_iter_free(iter);
        if (round == 0) CHECK_OK(sarsen_store_checkpoint(store, ERR));
        if (round == 1) CHECK_OK(sarsen_store_compact(store, ERR));
    }
    sarsen_snapshot_free(before);
    sarsen_tags_free(old);
    sarsen_tags_free(new);
    check_close(store);
}

static void memories_of_every_size_come_back(void)
{
    const char *path = check_path("store");
    sarsen_store *store = check_open(path, (check_how){0});
    sarsen_tags *tags = check_tags("sized", NULL);
    for (uint64_t i = 0; i < check_sizes_count; i++) {
        uint8_t *data = check_filled_new(check_sizes[i], i);
        CHECK_OK(sarsen_memory_append(store, i, tags, data, check_sizes[i], ERR));
        free(data);
    }
    for (int round = 0; round < 4; round++) {
        sarsen_memory_iter *iter = NULL;
        sarsen_bytes data;
        sarsen_view view;
        uint64_t id = 0;
        CHECK_OK(sarsen_memory_find(store, NULL, tags, NULL, NULL, 0, &iter, ERR));
        for (uint64_t i = 0; i < check_sizes_count; i++) {
            CHECK_OK(sarsen_memory_get(store, NULL, i, &view, ERR));
            CHECK_FILLED(view.data, view.len, check_sizes[i], i);
            sarsen_view_release(&view);
            CHECK_OK(sarsen_memory_iter_next(iter, &id, &data, ERR));
            CHECK_NUMBER(id, i);
            CHECK_FILLED(data.data, data.len, check_sizes[i], i);
        }
        sarsen_memory_iter_free(iter);
        if (round == 0) CHECK_OK(sarsen_store_checkpoint(store, ERR));
        if (round == 1) CHECK_OK(sarsen_store_compact(store, ERR));
        if (round == 2) store = check_reopen(store, path, (check_how){0});
    }
    CHECK_IS(SARSEN_TOO_LARGE,
             sarsen_memory_append(store, 99, tags, check_untouchable((size_t)1 << 32), (size_t)1 << 32, ERR));
    memory_is(store, NULL, 99, NULL);
    sarsen_tags_free(tags);
    check_close(store);
}

static void without_tags_find_gives_all_from_an_id_on(void)
{
    sarsen_store *store = check_open(check_path("store"), (check_how){0});
    const uint64_t ids[] = {UINT64_MAX, 3, 1000, 70000, 4, 0, 255, 256};
    const uint64_t ordered[] = {0, 3, 4, 255, 256, 1000, 70000, UINT64_MAX};
    sarsen_memory_iter *iter = NULL;
    sarsen_bytes data;
    uint64_t id = 0;
    for (size_t i = 0; i < COUNT_OF(ids); i++) {
        CHECK_OK(sarsen_memory_append(store, ids[i], NULL, &ids[i], sizeof ids[i], ERR));
        if (i == 4) CHECK_OK(sarsen_store_checkpoint(store, ERR));
    }
    for (size_t from = 0; from < COUNT_OF(ordered); from++) {
        CHECK_OK(sarsen_memory_find(store, NULL, NULL, NULL, NULL, ordered[from], &iter, ERR));
        for (size_t i = from; i < COUNT_OF(ordered); i++) {
            CHECK_OK(sarsen_memory_iter_next(iter, &id, &data, ERR));
            CHECK_NUMBER(id, ordered[i]);
            CHECK_BYTES(data.data, data.len, &ordered[i], 8);
        }
        CHECK_IS(SARSEN_END, sarsen_memory_iter_next(iter, &id, &data, ERR));
        sarsen_memory_iter_free(iter);
    }
    check_close(store);
}

static void an_iterator_sees_one_snapshot_and_refuses_after_close(void)
{
    sarsen_store *store = check_open(check_path("store"), (check_how){0});
    sarsen_memory_iter *iter = NULL;
    sarsen_bytes data;
    uint64_t id = 0;
    for (uint64_t i = 0; i < 5; i++) CHECK_OK(sarsen_memory_append(store, i, NULL, STR("old"), ERR));
    CHECK_OK(sarsen_memory_find(store, NULL, NULL, NULL, NULL, 0, &iter, ERR));
    CHECK_OK(sarsen_memory_delete(store, 1, ERR));
    CHECK_OK(sarsen_memory_append(store, 2, NULL, STR("new"), ERR));
    CHECK_OK(sarsen_memory_append(store, 9, NULL, STR("new"), ERR));
    CHECK_OK(sarsen_store_compact(store, ERR));
    for (uint64_t i = 0; i < 4; i++) {
        CHECK_OK(sarsen_memory_iter_next(iter, &id, &data, ERR));
        CHECK_NUMBER(id, i);
        CHECK_BYTES(data.data, data.len, "old", 3);
    }
    check_close(store);
    CHECK_BYTES(data.data, data.len, "old", 3);
    CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_memory_iter_next(iter, &id, &data, ERR));
    CHECK(data.data == NULL);
    sarsen_memory_iter_free(iter);
    sarsen_memory_iter_free(NULL);
}

static void the_other_kinds_do_not_mix_in(void)
{
    sarsen_store *store = check_open(check_path("store"), (check_how){0});
    sarsen_block block;
    uint64_t key = 5;
    CHECK_OK(sarsen_kv_set(store, &key, sizeof key, STR("value"), ERR));
    CHECK_OK(sarsen_stream_append(store, &key, sizeof key, STR("record"), NULL, ERR));
    memory_is(store, NULL, key, NULL);
    CHECK_IS(SARSEN_NOT_FOUND, sarsen_memory_info(store, NULL, key, &block, NULL, ERR));
    CHECK_OK(sarsen_memory_append(store, key, NULL, STR("memory"), ERR));
    CHECK_OK(sarsen_kv_delete(store, &key, sizeof key, ERR));
    CHECK_OK(sarsen_stream_trim(store, &key, sizeof key, UINT64_MAX, ERR));
    memory_is(store, NULL, key, "memory");
    check_close(store);
}

static const check_case cases[] = {
    CASE(append_get_replace_delete),
    CASE(info_gives_the_block_and_the_tags),
    CASE(replacing_takes_block_and_tags_and_snapshots_keep_theirs),
    CASE(memories_of_every_size_come_back),
    CASE(without_tags_find_gives_all_from_an_id_on),
    CASE(an_iterator_sees_one_snapshot_and_refuses_after_close),
    CASE(the_other_kinds_do_not_mix_in),
};
CHECK_MAIN(cases)
