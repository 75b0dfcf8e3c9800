/* Misuse that must be answered rather than crash: NULL anywhere, handles of another kind, children of a closed
 * store, lengths that can't be, paths and directories that are something else. */
#include "check.h"

#include <sys/stat.h>
#include <unistd.h>

static void never_called(void *user, uint64_t seq, sarsen_status status)
{
    (void)user, (void)seq, (void)status;
    CHECK(!"called back");
}

#define INVALID(call) CHECK_IS(SARSEN_INVALID_ARGUMENT, call)

typedef struct outs {
    sarsen_view view;
    sarsen_block block;
    sarsen_bytes key, value;
    sarsen_snapshot *snapshot;
    sarsen_kv_iter *pairs;
    sarsen_stream_iter *records;
    sarsen_stream_names *names;
    sarsen_memory_iter *memories;
    sarsen_log_reader *reader;
    sarsen_report *report;
    sarsen_store *store;
    sarsen_tags *tags;
    sarsen_status answer;
    uint64_t number, other;
    size_t len, count;
    bool flag;
    uint8_t buffer[64];
    sarsen_stats stats;
    sarsen_recovery recovery;
    sarsen_command command;
} outs;

/* Every function that takes a store, given `store`, must say that this is none, and set its pointers to NULL. */
static void no_store(const sarsen_store *store)
{
    outs o;
    sarsen_batch *batch = sarsen_batch_new();
    sarsen_block block = {0, 0, 0, 0};
    memset(&o, 0xa5, sizeof o);
    o.key = (sarsen_bytes){(const uint8_t *)"key", 3};
    CHECK_OK(sarsen_batch_set_kv(batch, STR("key"), STR("value"), ERR));

    INVALID(sarsen_kv_set(store, STR("key"), STR("value"), ERR));
    INVALID(sarsen_kv_delete(store, STR("key"), ERR));
    INVALID(sarsen_kv_get(store, NULL, STR("key"), &o.view, ERR));
    CHECK(o.view.data == NULL && o.view.pin == NULL);
    INVALID(sarsen_kv_read(store, NULL, STR("key"), o.buffer, sizeof o.buffer, &o.len, ERR));
    CHECK_NUMBER(o.len, 0);
    INVALID(sarsen_kv_get_many(store, NULL, &o.key, 1, &o.view, &o.answer, ERR));
    INVALID(sarsen_kv_scan(store, NULL, NONE, NONE, false, &o.pairs, ERR));
    CHECK(o.pairs == NULL);
    o.pairs = (sarsen_kv_iter *)(void *)&o;
    INVALID(sarsen_kv_prefix(store, NULL, NONE, false, &o.pairs, ERR));
    CHECK(o.pairs == NULL);
    INVALID(sarsen_stream_append(store, STR("s"), STR("r"), &o.number, ERR));
    INVALID(sarsen_stream_trim(store, STR("s"), 1, ERR));
    INVALID(sarsen_stream_bounds(store, NULL, STR("s"), &o.number, &o.other, ERR));
    INVALID(sarsen_stream_get(store, NULL, STR("s"), 0, &o.view, ERR));
    INVALID(sarsen_stream_read(store, NULL, STR("s"), 0, &o.records, ERR));
    CHECK(o.records == NULL);
    INVALID(sarsen_stream_list(store, NULL, NONE, &o.names, ERR));
    CHECK(o.names == NULL);
    INVALID(sarsen_memory_append(store, 1, NULL, STR("m"), ERR));
    INVALID(sarsen_memory_delete(store, 1, ERR));
    INVALID(sarsen_memory_get(store, NULL, 1, &o.view, ERR));
    INVALID(sarsen_memory_info(store, NULL, 1, &o.block, &o.tags, ERR));
    CHECK(o.tags == NULL);
    INVALID(sarsen_memory_find(store, NULL, NULL, NULL, NULL, 0, &o.memories, ERR));
    CHECK(o.memories == NULL);
    INVALID(sarsen_block_append(store, STR("b"), &o.block, ERR));
    INVALID(sarsen_block_free(store, &block, ERR));
    INVALID(sarsen_block_read(store, &block, 0, o.buffer, 0, ERR));
    INVALID(sarsen_block_view(store, &block, 0, 0, &o.view, ERR));
    INVALID(sarsen_batch_commit(batch, store, 0, &o.number, ERR));
    CHECK_NUMBER(sarsen_batch_count(batch), 1);
    INVALID(sarsen_log_read(store, 1, 0, &o.reader, ERR));
    CHECK(o.reader == NULL);
    INVALID(sarsen_snapshot_new(store, &o.snapshot, ERR));
    CHECK(o.snapshot == NULL);
    INVALID(sarsen_store_sync(store, ERR));
    INVALID(sarsen_store_wait_durable(store, 0, 0, ERR));
    INVALID(sarsen_store_notify_durable(store, 0, never_called, NULL, ERR));
    INVALID(sarsen_store_checkpoint(store, ERR));
    INVALID(sarsen_store_compact(store, ERR));
    INVALID(sarsen_store_maintain(store, 0, &o.flag, ERR));
    INVALID(sarsen_store_backup(store, NULL, check_path("backup"), ERR));
    CHECK(!check_exists(check_path("backup")));
    INVALID(sarsen_store_refresh(store, &o.number, ERR));
    INVALID(sarsen_store_import(store, check_path("none"), &o.number, ERR));
    INVALID(sarsen_store_recovery(store, &o.recovery, sizeof o.recovery));
    INVALID(sarsen_store_stats(store, &o.stats, sizeof o.stats));
    INVALID(sarsen_store_verify(store, &o.report, ERR));
    CHECK(o.report == NULL);
    CHECK_NUMBER(sarsen_store_last_seq(store), 0);
    CHECK_NUMBER(sarsen_store_durable_seq(store), 0);
    CHECK_NUMBER(sarsen_log_first_seq(store), 0);
    sarsen_batch_free(batch);
}

static void null_is_no_store(void)
{
    no_store(NULL);
}

static void null_is_no_other_handle_either(void)
{
    outs o;
    sarsen_block block = {0, 0, 0, 0};
    memset(&o, 0xa5, sizeof o);
    INVALID(sarsen_kv_iter_next(NULL, &o.key, &o.value, ERR));
    CHECK(o.key.data == NULL && o.value.data == NULL);
    INVALID(sarsen_kv_iter_fill(NULL, o.buffer, sizeof o.buffer, &o.len, &o.count, ERR));
    CHECK(o.len == 0 && o.count == 0);
    INVALID(sarsen_stream_iter_next(NULL, &o.number, &o.value, ERR));
    INVALID(sarsen_stream_iter_fill(NULL, o.buffer, sizeof o.buffer, &o.len, &o.count, ERR));
    INVALID(sarsen_stream_names_next(NULL, &o.key, &o.number, &o.other, ERR));
    INVALID(sarsen_memory_iter_next(NULL, &o.number, &o.value, ERR));
    INVALID(sarsen_log_next(NULL, 60000000, &o.command, sizeof o.command, NULL, ERR));
    INVALID(sarsen_report_next(NULL, NULL, NULL, NULL));
    INVALID(sarsen_tags_add(NULL, STR("tag")));
    INVALID(sarsen_batch_set_kv(NULL, STR("k"), STR("v"), ERR));
    INVALID(sarsen_batch_delete_kv(NULL, STR("k"), ERR));
    INVALID(sarsen_batch_append_stream(NULL, STR("s"), STR("r"), ERR));
    INVALID(sarsen_batch_trim_stream(NULL, STR("s"), 1, ERR));
    INVALID(sarsen_batch_append_memory(NULL, 1, NULL, STR("m"), ERR));
    INVALID(sarsen_batch_delete_memory(NULL, 1, ERR));
    INVALID(sarsen_batch_append_block(NULL, STR("b"), ERR));
    INVALID(sarsen_batch_free_block(NULL, &block, ERR));
    INVALID(sarsen_batch_append_stream_block(NULL, STR("s"), &block, ERR));
    INVALID(sarsen_batch_append_memory_block(NULL, 1, NULL, &block, ERR));
    INVALID(sarsen_batch_load(NULL, NULL, 0, ERR));
    INVALID(sarsen_batch_result(NULL, 0, &o.number, &o.block, ERR));
    sarsen_batch_clear(NULL);
    sarsen_options_free(NULL);
    sarsen_snapshot_free(NULL);
    sarsen_report_free(NULL);
    sarsen_view_release(NULL);
}

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

/* One live handle of each kind. */
typedef struct zoo {
    void *handles[10];
    sarsen_store *store;
} zoo;
enum { STORE, OPTIONS, BATCH, TAGS, SNAPSHOT, PAIRS, RECORDS, NAMES, MEMORIES, READER, KINDS };

static zoo zoo_open(const char *path)
{
    zoo z;
    sarsen_snapshot *snapshot = NULL;
    sarsen_kv_iter *pairs = NULL;
    sarsen_stream_iter *records = NULL;
    sarsen_stream_names *names = NULL;
    sarsen_memory_iter *memories = NULL;
    sarsen_log_reader *reader = NULL;
    z.store = check_open(path, (check_how){0});
    check_set(z.store, "key", "value");
    CHECK_OK(sarsen_stream_append(z.store, STR("s"), STR("record"), NULL, ERR));
    CHECK_OK(sarsen_memory_append(z.store, 1, NULL, STR("memory"), ERR));
    CHECK_OK(sarsen_snapshot_new(z.store, &snapshot, ERR));
    CHECK_OK(sarsen_kv_scan(z.store, NULL, NONE, NONE, false, &pairs, ERR));
    CHECK_OK(sarsen_stream_read(z.store, NULL, STR("s"), 0, &records, ERR));
    CHECK_OK(sarsen_stream_list(z.store, NULL, NONE, &names, ERR));
    CHECK_OK(sarsen_memory_find(z.store, NULL, NULL, NULL, NULL, 0, &memories, ERR));
    CHECK_OK(sarsen_log_read(z.store, 1, 0, &reader, ERR));
    z.handles[STORE] = z.store;
    z.handles[OPTIONS] = sarsen_options_new();
    z.handles[BATCH] = sarsen_batch_new();
    z.handles[TAGS] = sarsen_tags_new();
    z.handles[SNAPSHOT] = snapshot;
    z.handles[PAIRS] = pairs;
    z.handles[RECORDS] = records;
    z.handles[NAMES] = names;
    z.handles[MEMORIES] = memories;
    z.handles[READER] = reader;
    return z;
}

static void zoo_free(zoo *z)
{
    sarsen_options_free(z->handles[OPTIONS]);
    sarsen_batch_free(z->handles[BATCH]);
    sarsen_tags_free(z->handles[TAGS]);
    sarsen_snapshot_free(z->handles[SNAPSHOT]);
    sarsen_kv_iter_free(z->handles[PAIRS]);
    sarsen_stream_iter_free(z->handles[RECORDS]);
    sarsen_stream_names_free(z->handles[NAMES]);
    sarsen_memory_iter_free(z->handles[MEMORIES]);
    sarsen_log_reader_free(z->handles[READER]);
}

/* Everything in the zoo still does what it should. */
static void zoo_works(zoo *z)
{
    outs o;
    memset(&o, 0, sizeof o);
    CHECK_KV(z->store, z->handles[SNAPSHOT], "key", "value");
    CHECK_OK(sarsen_kv_iter_next(z->handles[PAIRS], &o.key, &o.value, ERR));
    CHECK_BYTES(o.value.data, o.value.len, "value", 5);
    CHECK_OK(sarsen_stream_iter_next(z->handles[RECORDS], &o.number, &o.value, ERR));
    CHECK_BYTES(o.value.data, o.value.len, "record", 6);
    CHECK_OK(sarsen_stream_names_next(z->handles[NAMES], &o.key, &o.number, &o.other, ERR));
    CHECK_BYTES(o.key.data, o.key.len, "s", 1);
    CHECK_OK(sarsen_memory_iter_next(z->handles[MEMORIES], &o.number, &o.value, ERR));
    CHECK_BYTES(o.value.data, o.value.len, "memory", 6);
    CHECK_OK(sarsen_log_next(z->handles[READER], 0, &o.command, sizeof o.command, NULL, ERR));
    CHECK_NUMBER(o.command.seq, 1);
    CHECK_OK(sarsen_tags_add(z->handles[TAGS], STR("tag")));
    CHECK_NUMBER(sarsen_tags_count(z->handles[TAGS]), 1);
    CHECK_OK(sarsen_options_set_background(z->handles[OPTIONS], false));
    CHECK_OK(sarsen_batch_set_kv(z->handles[BATCH], STR("key"), STR("written"), ERR));
    CHECK_OK(sarsen_batch_commit(z->handles[BATCH], z->store, 0, NULL, ERR));
    CHECK_KV(z->store, NULL, "key", "written");
}

static void handles_of_another_kind_are_told_apart(void)
{
    zoo z = zoo_open(check_path("store"));
    outs o;
    memset(&o, 0, sizeof o);
    o.key = (sarsen_bytes){(const uint8_t *)"key", 3};
    for (int kind = 0; kind < KINDS; kind++) {
        void *wrong = z.handles[kind];
        if (kind != STORE) no_store(wrong);
        if (kind != PAIRS) {
            INVALID(sarsen_kv_iter_next(wrong, &o.key, &o.value, ERR));
            INVALID(sarsen_kv_iter_fill(wrong, o.buffer, sizeof o.buffer, &o.len, &o.count, ERR));
        }
        if (kind != RECORDS) {
            INVALID(sarsen_stream_iter_next(wrong, &o.number, &o.value, ERR));
            INVALID(sarsen_stream_iter_fill(wrong, o.buffer, sizeof o.buffer, &o.len, &o.count, ERR));
        }
        if (kind != NAMES) INVALID(sarsen_stream_names_next(wrong, &o.key, &o.number, &o.other, ERR));
        if (kind != MEMORIES) INVALID(sarsen_memory_iter_next(wrong, &o.number, &o.value, ERR));
        if (kind != READER) INVALID(sarsen_log_next(wrong, 60000000, &o.command, sizeof o.command, NULL, ERR));
        if (kind != TAGS) {
            INVALID(sarsen_tags_add(wrong, STR("tag")));
            CHECK_NUMBER(sarsen_tags_count(wrong), 0);
            CHECK(sarsen_tags_get(wrong, 0).data == NULL);
            INVALID(sarsen_memory_append(z.store, 9, wrong, STR("m"), ERR));
            INVALID(sarsen_batch_append_memory(z.handles[BATCH], 9, wrong, STR("m"), ERR));
            INVALID(sarsen_memory_find(z.store, NULL, wrong, NULL, NULL, 0, &o.memories, ERR));
            INVALID(sarsen_memory_find(z.store, NULL, NULL, wrong, NULL, 0, &o.memories, ERR));
            INVALID(sarsen_memory_find(z.store, NULL, NULL, NULL, wrong, 0, &o.memories, ERR));
        }
        if (kind != SNAPSHOT) {
            CHECK_NUMBER(sarsen_snapshot_seq(wrong), 0);
            INVALID(sarsen_kv_get(z.store, wrong, STR("key"), &o.view, ERR));
            INVALID(sarsen_memory_get(z.store, wrong, 1, &o.view, ERR));
            INVALID(sarsen_stream_get(z.store, wrong, STR("s"), 0, &o.view, ERR));
            INVALID(sarsen_kv_scan(z.store, wrong, NONE, NONE, false, &o.pairs, ERR));
            INVALID(sarsen_store_backup(z.store, wrong, check_path("backup"), ERR));
        }
        if (kind != BATCH) {
            CHECK_NUMBER(sarsen_batch_count(wrong), 0);
            INVALID(sarsen_batch_set_kv(wrong, STR("k"), STR("v"), ERR));
            INVALID(sarsen_batch_load(wrong, NULL, 0, ERR));
            INVALID(sarsen_batch_commit(wrong, z.store, 0, NULL, ERR));
            INVALID(sarsen_batch_result(wrong, 0, NULL, NULL, ERR));
            sarsen_batch_clear(wrong);
        }
        if (kind != OPTIONS) {
            INVALID(sarsen_options_set_create(wrong, true));
            INVALID(sarsen_store_open(check_path("other"), wrong, &o.store, ERR));
            CHECK(!check_exists(check_path("other")));
        }
        INVALID(sarsen_report_next(wrong, NULL, NULL, NULL));
    }
    CHECK_NUMBER(sarsen_store_last_seq(z.store), 3);
    zoo_works(&z);
    zoo_free(&z);
    check_close(z.store);
}

static void freeing_through_the_wrong_function_frees_nothing(void)
{
    zoo z = zoo_open(check_path("store"));
    for (int kind = 0; kind < KINDS; kind++) {
        void *wrong = z.handles[kind];
        if (kind != STORE) INVALID(sarsen_store_close(wrong, ERR));
        if (kind != OPTIONS) sarsen_options_free(wrong);
        if (kind != BATCH) sarsen_batch_free(wrong);
        if (kind != TAGS) sarsen_tags_free(wrong);
        if (kind != SNAPSHOT) sarsen_snapshot_free(wrong);
        if (kind != PAIRS) sarsen_kv_iter_free(wrong);
        if (kind != RECORDS) sarsen_stream_iter_free(wrong);
        if (kind != NAMES) sarsen_stream_names_free(wrong);
        if (kind != MEMORIES) sarsen_memory_iter_free(wrong);
        if (kind != READER) sarsen_log_reader_free(wrong);
        sarsen_report_free(wrong);
    }
    zoo_works(&z);
    zoo_free(&z);
    check_close(z.store);
}

static void children_of_a_closed_store_refuse_and_are_freed(void)
{
    zoo z = zoo_open(check_path("store"));
    sarsen_store *other = check_open(check_path("other"), (check_how){0});
    outs o;
    memset(&o, 0, sizeof o);
    check_close(z.store);
    INVALID(sarsen_kv_iter_next(z.handles[PAIRS], &o.key, &o.value, ERR));
    INVALID(sarsen_kv_iter_fill(z.handles[PAIRS], o.buffer, sizeof o.buffer, &o.len, &o.count, ERR));
    INVALID(sarsen_stream_iter_next(z.handles[RECORDS], &o.number, &o.value, ERR));
    INVALID(sarsen_stream_names_next(z.handles[NAMES], &o.key, &o.number, &o.other, ERR));
    INVALID(sarsen_memory_iter_next(z.handles[MEMORIES], &o.number, &o.value, ERR));
    INVALID(sarsen_log_next(z.handles[READER], 60000000, &o.command, sizeof o.command, NULL, ERR));
    INVALID(sarsen_kv_get(other, z.handles[SNAPSHOT], STR("key"), &o.view, ERR));
    zoo_free(&z);
    check_close(other);
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
    CASE(null_is_no_store),
    CASE(null_is_no_other_handle_either),
    CASE(null_out_parameters_that_are_needed_are_refused),
    CASE(handles_of_another_kind_are_told_apart),
    CASE(freeing_through_the_wrong_function_frees_nothing),
    CASE(children_of_a_closed_store_refuse_and_are_freed),
    CASE(lengths_that_cannot_be_are_refused),
    CASE(paths_that_are_none_are_refused),
    CASE(what_is_no_store_is_left_as_it_is),
    CASE(symlinks_inside_a_store_are_not_followed),
    CASE(freed_views_and_zeroed_views_are_harmless),
};
CHECK_MAIN(cases)
