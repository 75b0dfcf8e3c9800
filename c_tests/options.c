/* Options: what each setter accepts, and that a store opened with it behaves so. */
#include "check.h"

static void setters_refuse_null_and_unknown_enums(void)
{
    sarsen_options *options = sarsen_options_new();
    const uint32_t bad_levels[] = {0, 3, 255, UINT32_MAX};
    CHECK(options != NULL);

    CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_options_set_create(NULL, true));
    CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_options_set_read_only(NULL, true));
    CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_options_set_durability(NULL, SARSEN_SURVIVE_POWER));
    CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_options_set_chunk_bytes(NULL, 1 << 20));
    CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_options_set_memory_bytes(NULL, 1 << 20));
    CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_options_set_log_retention_bytes(NULL, 0));
    CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_options_set_background(NULL, true));
    CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_options_set_salvage(NULL, true));
    CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_options_set_check(NULL, SARSEN_CHECK_EVERY_READ));
    CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_options_set_log_write(NULL, SARSEN_LOG_AUTO));
    CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_options_set_mapped_bytes(NULL, 0));

    for (size_t i = 0; i < COUNT_OF(bad_levels); i++) {
        CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_options_set_durability(options, bad_levels[i]));
        CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_options_set_check(options, bad_levels[i]));
        if (bad_levels[i] != 0) CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_options_set_log_write(options, bad_levels[i]));
    }
    CHECK_OK(sarsen_options_set_durability(options, SARSEN_SURVIVE_PROCESS));
    CHECK_OK(sarsen_options_set_durability(options, SARSEN_SURVIVE_POWER));
    CHECK_OK(sarsen_options_set_check(options, SARSEN_CHECK_FIRST_TOUCH));
    CHECK_OK(sarsen_options_set_check(options, SARSEN_CHECK_EVERY_READ));
    CHECK_OK(sarsen_options_set_log_write(options, SARSEN_LOG_AUTO));
    CHECK_OK(sarsen_options_set_log_write(options, SARSEN_LOG_MAPPED));
    CHECK_OK(sarsen_options_set_log_write(options, SARSEN_LOG_WRITTEN));
    sarsen_options_free(options);
    sarsen_options_free(NULL);
}

static void a_refused_setting_leaves_the_old_one(void)
{
    const char *path = check_path("store");
    sarsen_options *options = check_options((check_how){.power = true});
    sarsen_store *store = NULL;
    CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_options_set_durability(options, 7));
    CHECK_OK(sarsen_store_open(path, options, &store, ERR));
    check_set(store, "key", "value");
    CHECK_NUMBER(sarsen_store_durable_seq(store), 1);
    sarsen_options_free(options);
    check_close(store);
}

static void extreme_sizes_are_refused_or_work(void)
{
    const uint64_t sizes[] = {0, 1, 4096, 1 << 20, (uint64_t)1 << 40, UINT64_MAX};
    const uint32_t allowed = STATUS_BIT(SARSEN_OK) | STATUS_BIT(SARSEN_INVALID_ARGUMENT);
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        char name[32];
        sarsen_options *options = check_options((check_how){0});
        sarsen_store *store = NULL;
        snprintf(name, sizeof name, "store-%zu", i);
        CHECK_IN(allowed, sarsen_options_set_chunk_bytes(options, sizes[i]));
        CHECK_IN(allowed, sarsen_options_set_memory_bytes(options, sizes[i]));
        CHECK_OK(sarsen_options_set_log_retention_bytes(options, sizes[i]));
        CHECK_IN(allowed, sarsen_options_set_mapped_bytes(options, sizes[i]));
        CHECK_IN(allowed, sarsen_store_open(check_path(name), options, &store, ERR));
        CHECK((check_last.status == SARSEN_OK) == (store != NULL));
        sarsen_options_free(options);
        if (store == NULL) continue;
        check_set(store, "key", "value");
        CHECK_OK(sarsen_store_checkpoint(store, ERR));
        CHECK_KV(store, NULL, "key", "value");
        check_close(store);
    }
}

static void one_options_object_opens_many_stores_and_may_go_first(void)
{
    sarsen_options *options = check_options((check_how){0});
    sarsen_store *first = NULL, *second = NULL;
    CHECK_OK(sarsen_store_open(check_path("first"), options, &first, ERR));
    CHECK_OK(sarsen_store_open(check_path("second"), options, &second, ERR));
    CHECK_OK(sarsen_options_set_read_only(options, true)); /* says nothing to stores already open */
    sarsen_options_free(options);
    check_set(first, "key", "one");
    check_set(second, "key", "two");
    CHECK_KV(first, NULL, "key", "one");
    CHECK_KV(second, NULL, "key", "two");
    check_close(first);
    check_close(second);
}

static void without_options_commits_survive_power(void)
{
    const char *path = check_path("store");
    sarsen_store *store = NULL;
    CHECK_OK(sarsen_store_open(path, NULL, &store, ERR));
    check_set(store, "key", "value");
    CHECK_NUMBER(sarsen_store_last_seq(store), 1);
    CHECK_NUMBER(sarsen_store_durable_seq(store), 1);
    check_close(store);
}

static void the_default_level_is_the_option_and_a_batch_may_ask_otherwise(void)
{
    sarsen_store *store = check_open(check_path("store"), (check_how){0});
    sarsen_batch *batch = sarsen_batch_new();
    uint64_t seq = 0;

    check_set(store, "key", "one");
    CHECK(sarsen_store_durable_seq(store) < sarsen_store_last_seq(store));
    CHECK_OK(sarsen_batch_set_kv(batch, STR("key"), STR("two"), ERR));
    CHECK_OK(sarsen_batch_commit(batch, store, SARSEN_SURVIVE_POWER, &seq, ERR));
    CHECK_NUMBER(seq, 2);
    CHECK_NUMBER(sarsen_store_durable_seq(store), 2);
    CHECK_OK(sarsen_batch_set_kv(batch, STR("key"), STR("three"), ERR));
    CHECK_OK(sarsen_batch_commit(batch, store, 0, &seq, ERR));
    CHECK_NUMBER(seq, 3);
    CHECK_NUMBER(sarsen_store_durable_seq(store), 2);
    sarsen_batch_free(batch);
    check_close(store);
}

static void create_false_creates_nothing(void)
{
    const char *path = check_path("store");
    sarsen_options *options = check_options((check_how){.no_create = true});
    sarsen_store *store = NULL;
    CHECK_IS(SARSEN_NOT_A_STORE, sarsen_store_open(path, options, &store, ERR));
    CHECK(store == NULL);
    CHECK(!check_exists(path));
    check_close(check_open(path, (check_how){0}));
    CHECK_OK(sarsen_store_open(path, options, &store, ERR));
    check_close(store);
    sarsen_options_free(options);
}

/* Every way to write the log and to check reads gives the same store. */
static void every_log_write_and_check_round_trips(void)
{
    for (uint32_t how = SARSEN_LOG_AUTO; how <= SARSEN_LOG_WRITTEN; how++) {
        for (uint32_t check = SARSEN_CHECK_FIRST_TOUCH; check <= SARSEN_CHECK_EVERY_READ; check++) {
            char name[32];
            const char *path;
            check_how options = {.check = check, .log_write = how};
            sarsen_store *store;
            snprintf(name, sizeof name, "store-%u-%u", how, check);
            path = check_path(name);
            store = check_open(path, options);
            for (int round = 0; round < 3; round++) {
                for (size_t i = 0; i < check_sizes_count; i++) {
                    uint8_t *value = check_filled_new(check_sizes[i], i);
                    sarsen_view view;
                    if (round == 0) CHECK_OK(sarsen_kv_set(store, &i, sizeof i, value, check_sizes[i], ERR));
                    for (int again = 0; again < 2; again++) {
                        CHECK_OK(sarsen_kv_get(store, NULL, &i, sizeof i, &view, ERR));
                        CHECK_BYTES(view.data, view.len, value, check_sizes[i]);
                        sarsen_view_release(&view);
                    }
                    free(value);
                }
                if (round == 0) CHECK_OK(sarsen_store_checkpoint(store, ERR));
                if (round == 1) store = check_reopen(store, path, options);
            }
            check_close(store);
        }
    }
}

static void chunk_bytes_bounds_a_chunk(void)
{
    const char *path = check_path("store");
    sarsen_store *store = check_open(path, (check_how){.chunk_bytes = 1 << 20});
    size_t before, after;
    sarsen_block blocks[12];
    uint8_t *data = check_filled_new(400 << 10, 3);

    CHECK_OK(sarsen_block_append(store, data, 400 << 10, &blocks[0], ERR));
    before = check_count_entries(check_join(path, "blocks"));
    for (size_t i = 1; i < COUNT_OF(blocks); i++)
        CHECK_OK(sarsen_block_append(store, data, 400 << 10, &blocks[i], ERR));
    CHECK_OK(sarsen_store_checkpoint(store, ERR));
    after = check_count_entries(check_join(path, "blocks"));
    CHECK(after >= before + 3);
    CHECK(blocks[11].chunk != blocks[0].chunk);
    for (size_t i = 0; i < COUNT_OF(blocks); i++) CHECK(blocks[i].offset + blocks[i].len <= 2 << 20);
    free(data);

    /* A block larger than a chunk has one to itself. */
    data = check_filled_new(3 << 20, 4);
    CHECK_OK(sarsen_block_append(store, data, 3 << 20, &blocks[0], ERR));
    for (size_t i = 1; i < COUNT_OF(blocks); i++) CHECK(blocks[i].chunk != blocks[0].chunk);
    free(data);
    data = malloc(3 << 20);
    CHECK_OK(sarsen_block_read(store, &blocks[0], 0, data, 3 << 20, ERR));
    CHECK_FILLED(data, 3 << 20, 3 << 20, 4);
    free(data);
    check_close(store);
}

static void memory_and_mapped_bytes_hold_while_more_is_read(void)
{
    enum { VALUES = 96, VALUE_BYTES = 512 << 10, CAP = 24 << 20 };
    const char *path = check_path("store");
    check_how how = {.memory_bytes = 8 << 20, .mapped_bytes = CAP, .chunk_bytes = 4 << 20};
    sarsen_store *store = check_open(path, how);
    uint8_t *value = malloc(VALUE_BYTES);
    sarsen_stats stats;

    for (uint32_t i = 0; i < VALUES; i++) {
        check_fill(value, VALUE_BYTES, i);
        CHECK_OK(sarsen_kv_set(store, &i, sizeof i, value, VALUE_BYTES, ERR));
    }
    store = check_reopen(store, path, how);
    for (int round = 0; round < 2; round++) {
        for (uint32_t i = 0; i < VALUES; i++) {
            size_t len = 0;
            CHECK_OK(sarsen_kv_read(store, NULL, &i, sizeof i, value, VALUE_BYTES, &len, ERR));
            CHECK_FILLED(value, len, VALUE_BYTES, i);
            CHECK_OK(sarsen_store_stats(store, &stats, sizeof stats));
            CHECK(stats.mapped_bytes <= CAP);
            CHECK(stats.heap_bytes <= (8 << 20) + (16 << 20));
        }
    }
    free(value);
    check_close(store);
}

static const check_case cases[] = {
    CASE(setters_refuse_null_and_unknown_enums),
    CASE(a_refused_setting_leaves_the_old_one),
    CASE(extreme_sizes_are_refused_or_work),
    CASE(one_options_object_opens_many_stores_and_may_go_first),
    CASE(without_options_commits_survive_power),
    CASE(the_default_level_is_the_option_and_a_batch_may_ask_otherwise),
    CASE(create_false_creates_nothing),
    CASE(every_log_write_and_check_round_trips),
    CASE(chunk_bytes_bounds_a_chunk),
    CASE(memory_and_mapped_bytes_hold_while_more_is_read),
};
CHECK_MAIN(cases)
