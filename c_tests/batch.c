/* Batches: order within a commit, one seq each, all or nothing, results, what is left of a refused batch. */
#include "check.h"

static void commands_apply_in_order_and_later_ones_see_earlier_ones(void)
{
    sarsen_store *store = check_open(check_path("store"), (check_how){0});
    sarsen_batch *batch = sarsen_batch_new();
    sarsen_view view;
    uint64_t seq = 0, index = 99;

    CHECK(batch != NULL);
    CHECK_OK(sarsen_batch_set_kv(batch, STR("k"), STR("1"), ERR));
    CHECK_OK(sarsen_batch_set_kv(batch, STR("k"), STR("2"), ERR));
    CHECK_OK(sarsen_batch_set_kv(batch, STR("gone"), STR("1"), ERR));
    CHECK_OK(sarsen_batch_delete_kv(batch, STR("gone"), ERR));
    CHECK_OK(sarsen_batch_delete_kv(batch, STR("back"), ERR));
    CHECK_OK(sarsen_batch_set_kv(batch, STR("back"), STR("3"), ERR));
    CHECK_OK(sarsen_batch_append_stream(batch, STR("s"), STR("0"), ERR)); /* command 6 */
    CHECK_OK(sarsen_batch_append_stream(batch, STR("s"), STR("1"), ERR));
    CHECK_OK(sarsen_batch_trim_stream(batch, STR("s"), 1, ERR));
    CHECK_OK(sarsen_batch_append_stream(batch, STR("s"), STR("2"), ERR));
    CHECK_OK(sarsen_batch_append_stream(batch, STR("t"), STR("old"), ERR)); /* command 10 */
    CHECK_OK(sarsen_batch_trim_stream(batch, STR("t"), UINT64_MAX, ERR));
    CHECK_OK(sarsen_batch_append_stream(batch, STR("t"), STR("new"), ERR));
    CHECK_OK(sarsen_batch_append_memory(batch, 1, NULL, STR("first"), ERR));
    CHECK_OK(sarsen_batch_append_memory(batch, 1, NULL, STR("second"), ERR));
    CHECK_OK(sarsen_batch_append_memory(batch, 2, NULL, STR("gone"), ERR));
    CHECK_OK(sarsen_batch_delete_memory(batch, 2, ERR));
    CHECK_NUMBER(sarsen_batch_count(batch), 17);
    CHECK_OK(sarsen_batch_commit(batch, store, 0, &seq, ERR));
    CHECK_NUMBER(seq, 1); /* one seq, however many commands */
    CHECK_NUMBER(sarsen_store_last_seq(store), 1);
    CHECK_NUMBER(sarsen_batch_count(batch), 0);

    CHECK_OK(sarsen_batch_result(batch, 6, &index, NULL, ERR));
    CHECK_NUMBER(index, 0);
    CHECK_OK(sarsen_batch_result(batch, 9, &index, NULL, ERR));
    CHECK_NUMBER(index, 2);
    CHECK_OK(sarsen_batch_result(batch, 12, &index, NULL, ERR));
    CHECK_NUMBER(index, 0);

    for (int round = 0; round < 2; round++) {
        CHECK_KV(store, NULL, "k", "2");
        CHECK_KV(store, NULL, "gone", NULL);
        CHECK_KV(store, NULL, "back", "3");
        CHECK_STREAM(store, NULL, "s", 1, 3);
        CHECK_STREAM(store, NULL, "t", 0, 1);
        CHECK_OK(sarsen_stream_get(store, NULL, STR("t"), 0, &view, ERR));
        CHECK_BYTES(view.data, view.len, "new", 3);
        sarsen_view_release(&view);
        CHECK_OK(sarsen_memory_get(store, NULL, 1, &view, ERR));
        CHECK_BYTES(view.data, view.len, "second", 6);
        sarsen_view_release(&view);
        CHECK_IS(SARSEN_NOT_FOUND, sarsen_memory_get(store, NULL, 2, &view, ERR));
        CHECK_OK(sarsen_store_checkpoint(store, ERR));
    }
    sarsen_batch_free(batch);
    check_close(store);
}

static void an_empty_batch_commits_and_takes_no_seq(void)
{
    sarsen_store *store = check_open(check_path("store"), (check_how){0});
    sarsen_batch *batch = sarsen_batch_new();
    uint64_t seq = 99;
    CHECK_OK(sarsen_batch_commit(batch, store, 0, &seq, ERR));
    CHECK_NUMBER(seq, 0); /* the newest one */
    CHECK_OK(sarsen_batch_commit(batch, store, SARSEN_SURVIVE_POWER, NULL, ERR));
    CHECK_NUMBER(sarsen_store_last_seq(store), 0);
    CHECK_OK(sarsen_batch_set_kv(batch, STR("k"), STR("v"), ERR));
    sarsen_batch_clear(batch);
    CHECK_NUMBER(sarsen_batch_count(batch), 0);
    CHECK_OK(sarsen_batch_commit(batch, store, 0, NULL, ERR));
    CHECK_NUMBER(sarsen_store_last_seq(store), 0);
    CHECK_KV(store, NULL, "k", NULL);
    sarsen_batch_free(batch);
    sarsen_batch_free(NULL);
    sarsen_batch_clear(NULL);
    CHECK_NUMBER(sarsen_batch_count(NULL), 0);
    check_close(store);
}

static void seqs_go_up_by_one(void)
{
    const char *path = check_path("store");
    sarsen_store *store = check_open(path, (check_how){0});
    sarsen_batch *batch = sarsen_batch_new();
    for (uint64_t i = 1; i <= 50; i++) {
        uint64_t seq = 0;
        for (uint64_t j = 0; j < i % 5 + 1; j++)
            CHECK_OK(sarsen_batch_set_kv(batch, &j, sizeof j, &i, sizeof i, ERR));
        CHECK_OK(sarsen_batch_commit(batch, store, i % 10 == 0 ? SARSEN_SURVIVE_POWER : SARSEN_SURVIVE_PROCESS, &seq,
                                     ERR));
        CHECK_NUMBER(seq, i);
        CHECK_NUMBER(sarsen_store_last_seq(store), i);
        CHECK(sarsen_store_durable_seq(store) >= i / 10 * 10);
        if (i % 17 == 0) store = check_reopen(store, path, (check_how){0});
    }
    sarsen_batch_free(batch);
    check_close(store);
}

/* The third of five commands names a block that is not live: nothing of the commit may happen. */
static void a_batch_that_fails_half_way_leaves_nothing_and_is_untouched(void)
{
    sarsen_store *store = check_open(check_path("store"), (check_how){0});
    sarsen_batch *batch = sarsen_batch_new();
    uint8_t *large = check_filled_new(200000, 1);
    sarsen_block block;
    sarsen_view view;
    uint64_t seq = 0, first, next;

    CHECK_OK(sarsen_block_append(store, STR("dead"), &block, ERR));
    CHECK_OK(sarsen_block_free(store, &block, ERR));
    CHECK_OK(sarsen_batch_set_kv(batch, STR("k"), STR("v"), ERR));
    CHECK_OK(sarsen_batch_append_block(batch, large, 200000, ERR));
    CHECK_OK(sarsen_batch_append_stream_block(batch, STR("s"), &block, ERR));
    CHECK_OK(sarsen_batch_append_memory(batch, 1, NULL, STR("m"), ERR));
    CHECK_OK(sarsen_batch_append_stream(batch, STR("s"), STR("r"), ERR));
    for (int round = 0; round < 3; round++) {
        seq = 77;
        CHECK_IS(SARSEN_NOT_FOUND, sarsen_batch_commit(batch, store, round == 2 ? SARSEN_SURVIVE_POWER : 0, &seq, ERR));
        CHECK_NUMBER(seq, 0); /* on failure numbers are 0 */
        CHECK_NUMBER(sarsen_batch_count(batch), 5);
        CHECK_NUMBER(sarsen_store_last_seq(store), 2);
        CHECK_KV(store, NULL, "k", NULL);
        CHECK_IS(SARSEN_NOT_FOUND, sarsen_stream_bounds(store, NULL, STR("s"), &first, &next, ERR));
        CHECK_IS(SARSEN_NOT_FOUND, sarsen_memory_get(store, NULL, 1, &view, ERR));
        if (round == 0) CHECK_OK(sarsen_store_checkpoint(store, ERR));
    }
    CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_batch_result(batch, 0, NULL, NULL, ERR)); /* never committed OK */
    sarsen_batch_free(batch);
    free(large);
    check_sound(store);
    check_close(store);
}

static void later_commands_see_a_block_freed_by_earlier_ones(void)
{
    sarsen_store *store = check_open(check_path("store"), (check_how){0});
    sarsen_batch *batch = sarsen_batch_new();
    sarsen_block block;
    char text[4];
    CHECK_OK(sarsen_block_append(store, STR("live"), &block, ERR));
    CHECK_OK(sarsen_batch_free_block(batch, &block, ERR));
    CHECK_OK(sarsen_batch_append_stream_block(batch, STR("s"), &block, ERR));
    CHECK_IS(SARSEN_NOT_FOUND, sarsen_batch_commit(batch, store, 0, NULL, ERR));
    CHECK_OK(sarsen_block_read(store, &block, 0, text, 4, ERR)); /* nor was it freed */
    CHECK_BYTES(text, 4, "live", 4);
    sarsen_batch_clear(batch);
    CHECK_OK(sarsen_batch_append_stream_block(batch, STR("s"), &block, ERR));
    CHECK_OK(sarsen_batch_append_memory_block(batch, 3, NULL, &block, ERR));
    CHECK_OK(sarsen_batch_commit(batch, store, 0, NULL, ERR));
    CHECK_STREAM(store, NULL, "s", 0, 1);
    sarsen_batch_free(batch);
    check_close(store);
}

static void results_name_indexes_and_blocks_until_the_batch_changes(void)
{
    const char *path = check_path("store");
    sarsen_store *store = check_open(path, (check_how){0});
    sarsen_batch *batch = sarsen_batch_new();
    uint8_t *large = check_filled_new(100000, 4), *got = malloc(100000);
    sarsen_block blocks[5], none;
    uint64_t index = 99;

    CHECK_OK(sarsen_stream_append(store, STR("s"), STR("before"), NULL, ERR));
    CHECK_OK(sarsen_batch_append_block(batch, STR("small"), ERR));
    CHECK_OK(sarsen_batch_append_block(batch, large, 100000, ERR));
    CHECK_OK(sarsen_batch_append_memory(batch, 9, NULL, STR("memory"), ERR));
    CHECK_OK(sarsen_batch_append_stream(batch, STR("s"), STR("record"), ERR));
    CHECK_OK(sarsen_batch_set_kv(batch, STR("k"), STR("v"), ERR));
    CHECK_OK(sarsen_batch_append_stream(batch, STR("s"), large, 1025, ERR));
    CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_batch_result(batch, 0, &index, &blocks[0], ERR)); /* not committed yet */
    CHECK_OK(sarsen_batch_commit(batch, store, 0, NULL, ERR));
    for (size_t i = 0; i < 4; i++) CHECK_OK(sarsen_batch_result(batch, i, NULL, &blocks[i], ERR));
    CHECK_OK(sarsen_batch_result(batch, 3, &index, NULL, ERR));
    CHECK_NUMBER(index, 1);
    CHECK(blocks[3].chunk == 0 && blocks[3].len == 0); /* so short a record is no block */
    CHECK_OK(sarsen_batch_result(batch, 4, NULL, NULL, ERR));
    CHECK_OK(sarsen_batch_result(batch, 4, &index, &none, ERR)); /* a pair has neither */
    CHECK_NUMBER(index, UINT64_MAX);
    CHECK(none.chunk == 0 && none.crc32c == 0 && none.offset == 0 && none.len == 0);
    CHECK_OK(sarsen_batch_result(batch, 5, &index, &blocks[4], ERR));
    CHECK_NUMBER(index, 2);
    CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_batch_result(batch, 6, &index, NULL, ERR));
    CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_batch_result(batch, SIZE_MAX, &index, NULL, ERR));
    CHECK_OK(sarsen_batch_append_block(batch, STR("next"), ERR)); /* the batch is changed */
    CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_batch_result(batch, 0, NULL, &none, ERR));
    sarsen_batch_free(batch);

    for (int round = 0; round < 3; round++) {
        CHECK_NUMBER(blocks[0].len, 5);
        CHECK_OK(sarsen_block_read(store, &blocks[0], 0, got, 5, ERR));
        CHECK_BYTES(got, 5, "small", 5);
        CHECK_OK(sarsen_block_read(store, &blocks[1], 0, got, 100000, ERR));
        CHECK_BYTES(got, 100000, large, 100000);
        CHECK_OK(sarsen_block_read(store, &blocks[2], 0, got, 6, ERR));
        CHECK_BYTES(got, 6, "memory", 6);
        CHECK_OK(sarsen_block_read(store, &blocks[4], 0, got, 1025, ERR));
        CHECK_BYTES(got, 1025, large, 1025);
        if (round == 0) CHECK_OK(sarsen_store_compact(store, ERR));
        if (round == 1) store = check_reopen(store, path, (check_how){0});
    }
    free(large);
    free(got);
    check_close(store);
}

static void a_batch_copies_what_it_is_given(void)
{
    sarsen_store *store = check_open(check_path("store"), (check_how){0});
    sarsen_batch *batch = sarsen_batch_new();
    sarsen_tags *tags = check_tags("kept", NULL), *got = NULL;
    uint8_t *large = check_filled_new(1 << 20, 1), small[100];
    char key[] = "key";
    sarsen_block loose, block;
    sarsen_view view;

    CHECK_OK(sarsen_block_append(store, STR("loose"), &loose, ERR));
    check_fill(small, sizeof small, 2);
    CHECK_OK(sarsen_batch_set_kv(batch, key, 3, small, sizeof small, ERR));
    CHECK_OK(sarsen_batch_append_stream(batch, key, 3, large, 1 << 20, ERR));
    CHECK_OK(sarsen_batch_append_memory(batch, 1, tags, small, sizeof small, ERR));
    CHECK_OK(sarsen_batch_append_memory_block(batch, 2, tags, &loose, ERR));
    memset(key, 'x', 3);
    memset(small, 0, sizeof small);
    memset(large, 0, 1 << 20);
    memset(&loose, 0, sizeof loose);
    CHECK_OK(sarsen_tags_add(tags, STR("added later")));
    sarsen_tags_free(tags);
    free(large);
    CHECK_OK(sarsen_batch_commit(batch, store, 0, NULL, ERR));
    sarsen_batch_free(batch);
    CHECK_OK(sarsen_kv_get(store, NULL, STR("key"), &view, ERR));
    CHECK_FILLED(view.data, view.len, sizeof small, 2);
    sarsen_view_release(&view);
    CHECK_OK(sarsen_stream_get(store, NULL, STR("key"), 0, &view, ERR));
    CHECK_FILLED(view.data, view.len, 1 << 20, 1);
    sarsen_view_release(&view);
    CHECK_OK(sarsen_memory_get(store, NULL, 2, &view, ERR));
    CHECK_BYTES(view.data, view.len, "loose", 5);
    sarsen_view_release(&view);
    CHECK_OK(sarsen_memory_info(store, NULL, 1, &block, &got, ERR));
    CHECK_NUMBER(sarsen_tags_count(got), 1);
    CHECK(check_has_tag(got, "kept"));
    sarsen_tags_free(got);
    check_close(store);
}

static void refused_commands_are_not_added(void)
{
    sarsen_batch *batch = sarsen_batch_new();
    void *huge = check_untouchable((size_t)1 << 32);
    const size_t four = (size_t)1 << 32;
    CHECK_OK(sarsen_batch_set_kv(batch, STR("k"), STR("v"), ERR));
    CHECK_IS(SARSEN_TOO_LARGE, sarsen_batch_set_kv(batch, huge, 65536, STR("v"), ERR));
    CHECK_IS(SARSEN_TOO_LARGE, sarsen_batch_set_kv(batch, STR("k"), huge, four, ERR));
    CHECK_IS(SARSEN_TOO_LARGE, sarsen_batch_delete_kv(batch, huge, 65536, ERR));
    CHECK_IS(SARSEN_TOO_LARGE, sarsen_batch_append_stream(batch, huge, 65536, STR("v"), ERR));
    CHECK_IS(SARSEN_TOO_LARGE, sarsen_batch_append_stream(batch, STR("s"), huge, four, ERR));
    CHECK_IS(SARSEN_TOO_LARGE, sarsen_batch_trim_stream(batch, huge, 65536, 1, ERR));
    CHECK_IS(SARSEN_TOO_LARGE, sarsen_batch_append_memory(batch, 1, NULL, huge, four, ERR));
    CHECK_IS(SARSEN_TOO_LARGE, sarsen_batch_append_block(batch, huge, four, ERR));
    CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_batch_free_block(batch, NULL, ERR));
    CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_batch_append_stream_block(batch, STR("s"), NULL, ERR));
    CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_batch_append_memory_block(batch, 1, NULL, NULL, ERR));
    CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_batch_set_kv(batch, NULL, 1, STR("v"), ERR));
    CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_batch_set_kv(batch, STR("k"), NULL, 1, ERR));
    CHECK_NUMBER(sarsen_batch_count(batch), 1);
    sarsen_batch_free(batch);
}

static void a_refused_commit_leaves_the_batch_for_another_try(void)
{
    const char *path = check_path("store");
    sarsen_store *store = check_open(path, (check_how){0}), *reader;
    sarsen_batch *batch = sarsen_batch_new();
    uint64_t seq = 0;
    check_set(store, "k", "old");
    reader = check_open(path, (check_how){.read_only = true});
    CHECK_OK(sarsen_batch_set_kv(batch, STR("k"), STR("new"), ERR));
    CHECK_IS(SARSEN_READ_ONLY, sarsen_batch_commit(batch, reader, 0, &seq, ERR));
    CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_batch_commit(batch, NULL, 0, &seq, ERR));
    CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_batch_commit(batch, store, 3, &seq, ERR));
    CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_batch_commit(batch, store, UINT32_MAX, &seq, ERR));
    CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_batch_commit(NULL, store, 0, &seq, ERR));
    CHECK_NUMBER(sarsen_batch_count(batch), 1);
    CHECK_KV(store, NULL, "k", "old");
    CHECK_OK(sarsen_batch_commit(batch, store, 0, &seq, ERR));
    CHECK_NUMBER(seq, 2);
    CHECK_KV(store, NULL, "k", "new");
    sarsen_batch_free(batch);
    check_close(reader);
    check_close(store);
}

static void one_batch_serves_many_commits_and_stores(void)
{
    sarsen_store *one = check_open(check_path("one"), (check_how){0});
    sarsen_store *two = check_open(check_path("two"), (check_how){0});
    sarsen_batch *batch = sarsen_batch_new();
    for (int i = 0; i < 100; i++) {
        CHECK_OK(sarsen_batch_set_kv(batch, STR("k"), &i, sizeof i, ERR));
        CHECK_OK(sarsen_batch_commit(batch, i % 2 == 0 ? one : two, 0, NULL, ERR));
    }
    CHECK_NUMBER(sarsen_store_last_seq(one), 50);
    CHECK_NUMBER(sarsen_store_last_seq(two), 50);
    check_close(one);
    sarsen_batch_free(batch); /* belongs to no store */
    check_close(two);
}

static void a_large_commit_is_one_commit(void)
{
    enum { COMMANDS = 20000 };
    const char *path = check_path("store");
    sarsen_store *store = check_open(path, (check_how){.memory_bytes = 4 << 20});
    sarsen_batch *batch = sarsen_batch_new();
    sarsen_snapshot *before = NULL;
    uint8_t *large = check_filled_new(3 << 20, 8);
    uint64_t seq = 0, index = 0;
    sarsen_view view;

    CHECK_OK(sarsen_snapshot_new(store, &before, ERR));
    for (uint32_t i = 0; i < COMMANDS; i++) {
        uint8_t data[1000];
        check_fill(data, sizeof data, i);
        if (i % 2 == 0) CHECK_OK(sarsen_batch_set_kv(batch, &i, sizeof i, data, sizeof data, ERR));
        else CHECK_OK(sarsen_batch_append_stream(batch, STR("s"), data, sizeof data, ERR));
    }
    CHECK_OK(sarsen_batch_append_memory(batch, 1, NULL, large, 3 << 20, ERR));
    CHECK_OK(sarsen_batch_commit(batch, store, SARSEN_SURVIVE_POWER, &seq, ERR));
    CHECK_NUMBER(seq, 1);
    CHECK_OK(sarsen_batch_result(batch, COMMANDS - 1, &index, NULL, ERR));
    CHECK_NUMBER(index, COMMANDS / 2 - 1);
    CHECK_IS(SARSEN_NOT_FOUND, sarsen_memory_get(store, before, 1, &view, ERR));
    sarsen_snapshot_free(before);
    for (int round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < COMMANDS; i++) {
            if (i % 2 == 0) CHECK_OK(sarsen_kv_get(store, NULL, &i, sizeof i, &view, ERR));
            else CHECK_OK(sarsen_stream_get(store, NULL, STR("s"), i / 2, &view, ERR));
            CHECK_FILLED(view.data, view.len, 1000, i);
            sarsen_view_release(&view);
        }
        CHECK_OK(sarsen_memory_get(store, NULL, 1, &view, ERR));
        CHECK_FILLED(view.data, view.len, 3 << 20, 8);
        sarsen_view_release(&view);
        store = check_reopen(store, path, (check_how){0});
    }
    sarsen_batch_free(batch);
    free(large);
    check_close(store);
}

static const check_case cases[] = {
    CASE(commands_apply_in_order_and_later_ones_see_earlier_ones),
    CASE(an_empty_batch_commits_and_takes_no_seq),
    CASE(seqs_go_up_by_one),
    CASE(a_batch_that_fails_half_way_leaves_nothing_and_is_untouched),
    CASE(later_commands_see_a_block_freed_by_earlier_ones),
    CASE(results_name_indexes_and_blocks_until_the_batch_changes),
    CASE(a_batch_copies_what_it_is_given),
    CASE(refused_commands_are_not_added),
    CASE(a_refused_commit_leaves_the_batch_for_another_try),
    CASE(one_batch_serves_many_commits_and_stores),
    CASE(a_large_commit_is_one_commit),
};
CHECK_MAIN(cases)
