/* Misuse that must be answered rather than crash: places that are NULL, lengths that can't be, paths and directories
 * that are something else. Handles that are none: misuse_handles.c. */
#include "check.h"

#include <sys/stat.h>
#include <unistd.h>

#define INVALID(call) CHECK_IS(SARSEN_INVALID_ARGUMENT, call)

typedef struct outs {
    sarsen_view view;
    sarsen_block block;
    sarsen_bytes key;
    sarsen_kv_iter *pairs;
    sarsen_stream_iter *records;
    sarsen_stream_names *names;
    sarsen_memory_iter *memories;
    sarsen_log_reader *reader;
    sarsen_status answer;
    size_t len;
    uint8_t buffer[64];
    sarsen_stats stats;
    sarsen_recovery recovery;
    sarsen_command command;
} outs;

static void null_out_parameters_that_are_needed_are_refused(void)
{
    sarsen_store *store = check_open(check_path("store"), (check_how){0});
    sarsen_batch *batch = sarsen_batch_new();
    outs o;
    memset(&o, 0, sizeof o);
    check_set(store, "key", "value");
    CHECK_OK(sarsen_stream_append(store, STR("s"), STR("r"), NULL, ERR)); /* its index is optional */
    CHECK_OK(sarsen_memory_append(store, 1, NULL, STR("m"), ERR));
    CHECK_OK(sarsen_block_append(store, STR("b"), &o.block, ERR));
    o.key = (sarsen_bytes){(const uint8_t *)"key", 3};

    INVALID(sarsen_store_open(check_path("other"), NULL, NULL, ERR));
    INVALID(sarsen_kv_get(store, NULL, STR("key"), NULL, ERR));
    INVALID(sarsen_kv_read(store, NULL, STR("key"), o.buffer, 1, NULL, ERR));
    INVALID(sarsen_kv_read(store, NULL, STR("key"), NULL, 1, &o.len, ERR));
    INVALID(sarsen_kv_get_many(store, NULL, NULL, 1, &o.view, &o.answer, ERR));
    INVALID(sarsen_kv_get_many(store, NULL, &o.key, 1, NULL, &o.answer, ERR));
    INVALID(sarsen_kv_get_many(store, NULL, &o.key, 1, &o.view, NULL, ERR));
    INVALID(sarsen_kv_scan(store, NULL, NONE, NONE, false, NULL, ERR));
    INVALID(sarsen_kv_prefix(store, NULL, NONE, false, NULL, ERR));
    INVALID(sarsen_stream_get(store, NULL, STR("s"), 0, NULL, ERR));
    INVALID(sarsen_stream_read(store, NULL, STR("s"), 0, NULL, ERR));
    INVALID(sarsen_stream_list(store, NULL, NONE, NULL, ERR));
    INVALID(sarsen_memory_get(store, NULL, 1, NULL, ERR));
    INVALID(sarsen_memory_find(store, NULL, NULL, NULL, NULL, 0, NULL, ERR));
    INVALID(sarsen_block_append(store, STR("b"), NULL, ERR));
    INVALID(sarsen_block_read(store, NULL, 0, o.buffer, 1, ERR));
    INVALID(sarsen_block_read(store, &o.block, 0, NULL, 1, ERR));
    INVALID(sarsen_block_view(store, NULL, 0, 1, &o.view, ERR));
    INVALID(sarsen_block_view(store, &o.block, 0, 1, NULL, ERR));
    INVALID(sarsen_block_free(store, NULL, ERR));
    INVALID(sarsen_snapshot_new(store, NULL, ERR));
    INVALID(sarsen_log_read(store, 1, 0, NULL, ERR));
    INVALID(sarsen_store_verify(store, NULL, ERR));
    INVALID(sarsen_store_notify_durable(store, 1, NULL, NULL, ERR));
    INVALID(sarsen_store_stats(store, NULL, sizeof o.stats));
    INVALID(sarsen_store_recovery(store, NULL, sizeof o.recovery));

    CHECK_OK(sarsen_log_read(store, 1, 0, &o.reader, ERR));
    INVALID(sarsen_log_next(o.reader, 0, NULL, sizeof o.command, NULL, ERR));
    CHECK_OK(sarsen_log_next(o.reader, 0, &o.command, sizeof o.command, NULL, ERR)); /* and it has not moved */
    CHECK_NUMBER(o.command.seq, 1);
    sarsen_log_reader_free(o.reader);

    /* Those that may be NULL. */
    CHECK_OK(sarsen_stream_bounds(store, NULL, STR("s"), NULL, NULL, ERR));
    CHECK_OK(sarsen_kv_scan(store, NULL, NONE, NONE, false, &o.pairs, ERR));
    CHECK_OK(sarsen_kv_iter_next(o.pairs, NULL, NULL, ERR));
    CHECK_IS(SARSEN_END, sarsen_kv_iter_next(o.pairs, NULL, NULL, ERR));
    sarsen_kv_iter_free(o.pairs);
    CHECK_OK(sarsen_stream_read(store, NULL, STR("s"), 0, &o.records, ERR));
    CHECK_OK(sarsen_stream_iter_next(o.records, NULL, NULL, ERR));
    sarsen_stream_iter_free(o.records);
    CHECK_OK(sarsen_stream_list(store, NULL, NONE, &o.names, ERR));
    CHECK_OK(sarsen_stream_names_next(o.names, NULL, NULL, NULL, ERR));
    sarsen_stream_names_free(o.names);
    CHECK_OK(sarsen_memory_find(store, NULL, NULL, NULL, NULL, 0, &o.memories, ERR));
    CHECK_OK(sarsen_memory_iter_next(o.memories, NULL, NULL, ERR));
    sarsen_memory_iter_free(o.memories);
    CHECK_OK(sarsen_store_maintain(store, 0, NULL, ERR));
    CHECK_OK(sarsen_store_refresh(store, NULL, ERR));
    CHECK_NUMBER(sarsen_store_last_seq(store), 4); /* nothing of the above was written */
    sarsen_batch_free(batch);
    check_close(store);
}

static void lengths_that_cannot_be_are_refused(void)
{
    sarsen_store *store = check_open(check_path("store"), (check_how){0});
    sarsen_batch *batch = sarsen_batch_new();
    sarsen_tags *tags = sarsen_tags_new();
    const size_t lengths[] = {SIZE_MAX, SIZE_MAX - 1, SIZE_MAX / 2 + 1, SIZE_MAX / 2, (size_t)1 << 40};
    const uint32_t mask = STATUS_BIT(SARSEN_INVALID_ARGUMENT) | STATUS_BIT(SARSEN_TOO_LARGE);
    const uint8_t *bytes = check_untouchable(4096);
    outs o;
    memset(&o, 0, sizeof o);
    check_set(store, "key", "value");
    CHECK_OK(sarsen_block_append(store, STR("block"), &o.block, ERR));
    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        size_t len = lengths[i];
        CHECK_IN(mask, sarsen_kv_set(store, bytes, len, STR("v"), ERR));
        CHECK_IN(mask, sarsen_kv_set(store, STR("k"), bytes, len, ERR));
        CHECK_IN(mask, sarsen_kv_delete(store, bytes, len, ERR));
        CHECK_IN(mask | STATUS_BIT(SARSEN_NOT_FOUND), sarsen_kv_get(store, NULL, bytes, len, &o.view, ERR));
        CHECK_IN(mask, sarsen_stream_append(store, bytes, len, STR("r"), NULL, ERR));
        CHECK_IN(mask, sarsen_stream_append(store, STR("s"), bytes, len, NULL, ERR));
        CHECK_IN(mask, sarsen_stream_trim(store, bytes, len, 1, ERR));
        CHECK_IN(mask, sarsen_memory_append(store, 1, NULL, bytes, len, ERR));
        CHECK_IN(mask, sarsen_block_append(store, bytes, len, &o.block, ERR));
        CHECK_IN(mask, sarsen_batch_set_kv(batch, bytes, len, bytes, len, ERR));
        CHECK_IN(mask, sarsen_batch_append_stream(batch, STR("s"), bytes, len, ERR));
        CHECK_IN(mask, sarsen_batch_append_block(batch, bytes, len, ERR));
        if (len > (size_t)1 << 40) CHECK_IN(mask, sarsen_batch_load(batch, bytes, len, ERR));
        CHECK_IN(mask, sarsen_tags_add(tags, (const char *)bytes, len));
        if (len > (size_t)1 << 40)
            CHECK_IN(mask, sarsen_kv_get_many(store, NULL, (const sarsen_bytes *)(const void *)bytes, len, &o.view,
                                              &o.answer, ERR));
    }
    CHECK_OK(sarsen_kv_read(store, NULL, STR("key"), o.buffer, sizeof o.buffer, &o.len, ERR));
    CHECK_NUMBER(o.len, 5);
    CHECK_NUMBER(sarsen_batch_count(batch), 0);
    CHECK_NUMBER(sarsen_tags_count(tags), 0);
    CHECK_NUMBER(sarsen_store_last_seq(store), 2);
    sarsen_tags_free(tags);
    sarsen_batch_free(batch);
    check_close(store);
}

static void paths_that_are_none_are_refused(void)
{
    sarsen_store *store = (sarsen_store *)(void *)&store;
    CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_store_open(NULL, NULL, &store, ERR));
    CHECK(store == NULL);
    CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_store_open(check_path("not \xff utf-8"), NULL, &store, ERR));
    CHECK(!check_exists(check_path("not \xff utf-8")));
    CHECK_IN(STATUS_BIT(SARSEN_INVALID_ARGUMENT) | STATUS_BIT(SARSEN_IO) | STATUS_BIT(SARSEN_NOT_A_STORE),
             sarsen_store_open("", NULL, &store, ERR));
    CHECK(store == NULL);
}

static void what_is_no_store_is_left_as_it_is(void)
{
    const char *file = check_path("file"), *directory = check_path("directory"), *empty = check_path("empty");
    sarsen_store *store = NULL;
    uint64_t before;
    check_write_file(file, STR("a file"));
    CHECK_SYS(mkdir(directory, 0755) == 0 && mkdir(empty, 0755) == 0);
    check_write_file(check_join(directory, "thesis.txt"), STR("years of work"));
    before = check_tree_digest(check_path("."));
    for (int how = 0; how < 4; how++) {
        sarsen_options *options =
            check_options((check_how){.read_only = how == 1, .no_create = how == 2, .salvage = how == 3});
        CHECK_IS(SARSEN_NOT_A_STORE, sarsen_store_open(file, options, &store, ERR));
        CHECK_IS(SARSEN_NOT_A_STORE, sarsen_store_open(directory, options, &store, ERR));
        CHECK(store == NULL);
        if (how == 1 || how == 2) CHECK_IS(SARSEN_NOT_A_STORE, sarsen_store_open(empty, options, &store, ERR));
        sarsen_options_free(options);
        CHECK_NUMBER(check_tree_digest(check_path(".")), before);
        CHECK_NUMBER(check_count_entries(directory), 1); /* not even a lock file */
        CHECK_NUMBER(check_count_entries(empty), 0);
    }
    store = check_open(empty, (check_how){0}); /* an empty directory is a place for a store */
    check_set(store, "key", "value");
    check_close(store);
}

static void symlinks_inside_a_store_are_not_followed(void)
{
    const char *const names[] = {"MANIFEST", "LOCK"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        const char *path = check_path(names[i]), *inside = check_join(path, names[i]), *outside = check_path("outside");
        sarsen_store *store = check_open(path, (check_how){0});
        uint64_t before;
        check_set(store, "key", "value");
        check_close(store);
        CHECK_SYS(rename(inside, outside) == 0 && symlink(outside, inside) == 0);
        before = check_tree_digest(outside);
        CHECK_REFUSED(sarsen_store_open(path, NULL, &store, ERR));
        CHECK(store == NULL);
        CHECK_NUMBER(check_tree_digest(outside), before);
        CHECK_SYS(unlink(inside) == 0 && rename(outside, inside) == 0);
        store = check_open(path, (check_how){0});
        CHECK_KV(store, NULL, "key", "value");
        check_close(store);
    }
    for (int folder = 0; folder < 3; folder++) {
        const char *const folders[] = {"blocks", "index", "log"};
        const char *path = check_path(folders[folder]), *inside = check_join(path, folders[folder]);
        const char *outside = check_path("outside-directory");
        sarsen_store *store = check_open(path, (check_how){0});
        sarsen_view view;
        uint8_t *data = check_filled_new(100000, 1);
        uint64_t before;
        CHECK_OK(sarsen_stream_append(store, STR("s"), data, 100000, NULL, ERR));
        check_close(store);
        CHECK_SYS(rename(inside, outside) == 0 && symlink(outside, inside) == 0);
        before = check_tree_digest(outside);
        CHECK_IN(~STATUS_BIT(SARSEN_INTERNAL), sarsen_store_open(path, NULL, &store, ERR));
        if (store != NULL) { /* then at the latest when the file is needed */
            if (folder < 2) CHECK_REFUSED(sarsen_stream_get(store, NULL, STR("s"), 0, &view, ERR));
            else CHECK_REFUSED(sarsen_kv_set(store, STR("key"), STR("value"), ERR));
            CHECK_IN(~STATUS_BIT(SARSEN_INTERNAL), sarsen_store_close(store, ERR));
        }
        CHECK_NUMBER(check_tree_digest(outside), before);
        check_remove_tree(outside);
        free(data);
    }
}

static void freed_views_and_zeroed_views_are_harmless(void)
{
    sarsen_view view;
    memset(&view, 0, sizeof view);
    sarsen_view_release(&view);
    CHECK(view.data == NULL && view.pin == NULL);
}

static const check_case cases[] = {
    CASE(null_out_parameters_that_are_needed_are_refused),
    CASE(lengths_that_cannot_be_are_refused),
    CASE(paths_that_are_none_are_refused),
    CASE(what_is_no_store_is_left_as_it_is),
    CASE(symlinks_inside_a_store_are_not_followed),
    CASE(freed_views_and_zeroed_views_are_harmless),
};
CHECK_MAIN(cases)
