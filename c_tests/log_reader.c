/* The log reader: every command in commit order with all its fields, resuming, waiting, release, epochs. */
#include "check.h"

#include <pthread.h>
#include <time.h>

static const check_how keeping = {.log_retention_bytes = 256 << 20};

static sarsen_log_reader *reader_from(const sarsen_store *store, uint64_t seq, uint64_t epoch)
{
    sarsen_log_reader *reader = NULL;
    CHECK_OK(sarsen_log_read(store, seq, epoch, &reader, ERR));
    CHECK(reader != NULL);
    return reader;
}

static void next_is(sarsen_log_reader *reader, sarsen_command *command, const sarsen_tags **tags, uint64_t seq,
                    uint32_t kind, uint32_t last)
{
    memset(command, 0xa5, sizeof *command);
    CHECK_OK(sarsen_log_next(reader, 0, command, sizeof *command, tags, ERR));
    CHECK_NUMBER(command->seq, seq);
    CHECK_NUMBER(command->kind, kind);
    CHECK_NUMBER(command->last, last);
    CHECK(command->epoch > 0);
}

static void nothing_more(sarsen_log_reader *reader)
{
    sarsen_command command;
    const sarsen_tags *tags = NULL;
    CHECK_IS(SARSEN_TIMEOUT, sarsen_log_next(reader, 0, &command, sizeof command, &tags, ERR));
}

static void every_kind_of_command_is_told_in_order(void)
{
    const char *path = check_path("store");
    sarsen_store *store = check_open(path, keeping);
    sarsen_batch *batch = sarsen_batch_new();
    sarsen_tags *tags = check_tags("red", "round", NULL);
    const sarsen_tags *got = NULL;
    sarsen_block loose, results[9];
    sarsen_command command;
    uint8_t *large = check_filled_new(100000, 2);

    CHECK_OK(sarsen_block_append(store, STR("loose"), &loose, ERR));
    CHECK_OK(sarsen_batch_set_kv(batch, STR("key"), STR("value"), ERR));
    CHECK_OK(sarsen_batch_delete_kv(batch, STR("none"), ERR));
    CHECK_OK(sarsen_batch_append_stream(batch, STR("s"), STR("zero"), ERR));
    CHECK_OK(sarsen_batch_append_stream_block(batch, STR("s"), &loose, ERR));
    CHECK_OK(sarsen_batch_trim_stream(batch, STR("s"), 1, ERR));
    CHECK_OK(sarsen_batch_append_memory(batch, 42, tags, large, 100000, ERR));
    CHECK_OK(sarsen_batch_append_memory_block(batch, 43, tags, &loose, ERR));
    CHECK_OK(sarsen_batch_delete_memory(batch, 44, ERR));
    CHECK_OK(sarsen_batch_append_block(batch, STR("block"), ERR));
    CHECK_OK(sarsen_batch_commit(batch, store, 0, NULL, ERR));
    for (size_t i = 0; i < 9; i++) CHECK_OK(sarsen_batch_result(batch, i, NULL, &results[i], ERR));
    CHECK_OK(sarsen_block_free(store, &results[8], ERR));
    CHECK_OK(sarsen_stream_trim(store, STR("s"), UINT64_MAX, ERR));

    for (int round = 0; round < 3; round++) {
        sarsen_log_reader *reader = reader_from(store, 1, 0);
        CHECK_NUMBER(sarsen_log_first_seq(store), 1);

        next_is(reader, &command, &got, 1, SARSEN_COMMAND_APPEND_BLOCK, 1);
        CHECK(memcmp(&command.block, &loose, sizeof loose) == 0);
        CHECK_BYTES(command.value.data, command.value.len, "loose", 5);

        next_is(reader, &command, &got, 2, SARSEN_COMMAND_SET_KV, 0);
        CHECK_BYTES(command.key.data, command.key.len, "key", 3);
        CHECK_BYTES(command.value.data, command.value.len, "value", 5);
        CHECK(got == NULL || sarsen_tags_count(got) == 0);
        next_is(reader, &command, &got, 2, SARSEN_COMMAND_DELETE_KV, 0);
        CHECK_BYTES(command.key.data, command.key.len, "none", 4);
        next_is(reader, &command, &got, 2, SARSEN_COMMAND_APPEND_STREAM, 0);
        CHECK_BYTES(command.key.data, command.key.len, "s", 1);
        CHECK_BYTES(command.value.data, command.value.len, "zero", 4);
        CHECK_NUMBER(command.id, 0);
        CHECK(memcmp(&command.block, &results[2], sizeof command.block) == 0);
        next_is(reader, &command, &got, 2, SARSEN_COMMAND_APPEND_STREAM, 0);
        CHECK_NUMBER(command.id, 1);
        CHECK(memcmp(&command.block, &loose, sizeof loose) == 0);
        CHECK_BYTES(command.value.data, command.value.len, "loose", 5);
        next_is(reader, &command, &got, 2, SARSEN_COMMAND_TRIM_STREAM, 0);
        CHECK_BYTES(command.key.data, command.key.len, "s", 1);
        CHECK_NUMBER(command.id, 1);
        next_is(reader, &command, &got, 2, SARSEN_COMMAND_APPEND_MEMORY, 0);
        CHECK_NUMBER(command.id, 42);
        CHECK_BYTES(command.value.data, command.value.len, large, 100000);
        CHECK(memcmp(&command.block, &results[5], sizeof command.block) == 0);
        CHECK_NUMBER(sarsen_tags_count(got), 2);
        CHECK(check_has_tag(got, "red") && check_has_tag(got, "round"));
        next_is(reader, &command, &got, 2, SARSEN_COMMAND_APPEND_MEMORY, 0);
        CHECK_NUMBER(command.id, 43);
        CHECK(memcmp(&command.block, &loose, sizeof loose) == 0);
        CHECK_BYTES(command.value.data, command.value.len, "loose", 5);
        CHECK_NUMBER(sarsen_tags_count(got), 2);
        next_is(reader, &command, &got, 2, SARSEN_COMMAND_DELETE_MEMORY, 0);
        CHECK_NUMBER(command.id, 44);
        next_is(reader, &command, &got, 2, SARSEN_COMMAND_APPEND_BLOCK, 1);
        CHECK_BYTES(command.value.data, command.value.len, "block", 5);
        CHECK(memcmp(&command.block, &results[8], sizeof command.block) == 0);

        next_is(reader, &command, NULL, 3, SARSEN_COMMAND_FREE_BLOCK, 1); /* the tags are optional */
        CHECK(memcmp(&command.block, &results[8], sizeof command.block) == 0);
        next_is(reader, &command, NULL, 4, SARSEN_COMMAND_TRIM_STREAM, 1);
        CHECK_NUMBER(command.id, UINT64_MAX);
        nothing_more(reader);
        nothing_more(reader);
        sarsen_log_reader_free(reader);
        if (round == 0) CHECK_OK(sarsen_store_checkpoint(store, ERR));
        if (round == 1) store = check_reopen(store, path, keeping);
    }
    sarsen_tags_free(tags);
    sarsen_batch_free(batch);
    free(large);
    check_close(store);
}

static void values_of_every_size_are_in_the_log(void)
{
    const char *path = check_path("store");
    sarsen_store *store = check_open(path, keeping);
    for (size_t i = 0; i < check_sizes_count; i++) {
        uint8_t *data = check_filled_new(check_sizes[i], i);
        CHECK_OK(sarsen_kv_set(store, &i, sizeof i, data, check_sizes[i], ERR));
        CHECK_OK(sarsen_stream_append(store, STR("s"), data, check_sizes[i], NULL, ERR));
        CHECK_OK(sarsen_kv_delete(store, &i, sizeof i, ERR)); /* dead by now, but still in the log */
        CHECK_OK(sarsen_stream_trim(store, STR("s"), i + 1, ERR));
        free(data);
    }
    for (int round = 0; round < 3; round++) {
        sarsen_log_reader *reader = reader_from(store, 1, 0);
        sarsen_command command;
        for (size_t i = 0; i < check_sizes_count; i++) {
            next_is(reader, &command, NULL, 4 * i + 1, SARSEN_COMMAND_SET_KV, 1);
            CHECK_FILLED(command.value.data, command.value.len, check_sizes[i], i);
            next_is(reader, &command, NULL, 4 * i + 2, SARSEN_COMMAND_APPEND_STREAM, 1);
            CHECK_FILLED(command.value.data, command.value.len, check_sizes[i], i);
            CHECK_NUMBER(command.block.len, check_sizes[i] > 1024 ? check_sizes[i] : 0); /* shorter: no block */
            next_is(reader, &command, NULL, 4 * i + 3, SARSEN_COMMAND_DELETE_KV, 1);
            next_is(reader, &command, NULL, 4 * i + 4, SARSEN_COMMAND_TRIM_STREAM, 1);
        }
        nothing_more(reader);
        sarsen_log_reader_free(reader);
        if (round == 0) CHECK_OK(sarsen_store_compact(store, ERR));
        if (round == 1) store = check_reopen(store, path, keeping);
    }
    check_close(store);
}

static void a_reader_starts_anywhere_and_follows(void)
{
    sarsen_store *store = check_open(check_path("store"), keeping);
    sarsen_log_reader *reader, *ahead;
    sarsen_command command;
    ahead = reader_from(store, 1, 0); /* on an empty store: what comes first */
    nothing_more(ahead);
    CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_log_read(store, 0, 0, &reader, ERR));
    CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_log_read(store, 2, 0, &reader, ERR)); /* beyond the next one to come */
    CHECK(reader == NULL);
    for (uint64_t i = 1; i <= 100; i++) CHECK_OK(sarsen_kv_set(store, &i, sizeof i, NONE, ERR));
    for (uint64_t from = 1; from <= 101; from += 10) {
        reader = reader_from(store, from, 0);
        for (uint64_t i = from; i <= 100; i++) {
            next_is(reader, &command, NULL, i, SARSEN_COMMAND_SET_KV, 1);
            CHECK_BYTES(command.key.data, command.key.len, &i, sizeof i);
        }
        nothing_more(reader);
        sarsen_log_reader_free(reader);
    }
    for (uint64_t i = 1; i <= 100; i++) next_is(ahead, &command, NULL, i, SARSEN_COMMAND_SET_KV, 1);
    nothing_more(ahead);
    check_set(store, "one", "more");
    next_is(ahead, &command, NULL, 101, SARSEN_COMMAND_SET_KV, 1);
    CHECK_BYTES(command.value.data, command.value.len, "more", 4);
    sarsen_log_reader_free(ahead);
    check_close(store);
}

static void a_wait_runs_out_no_sooner_than_asked(void)
{
    sarsen_store *store = check_open(check_path("store"), keeping);
    sarsen_log_reader *reader = reader_from(store, 1, 0);
    sarsen_command command;
    struct timespec begin, end;
    clock_gettime(CLOCK_MONOTONIC, &begin);
    CHECK_IS(SARSEN_TIMEOUT, sarsen_log_next(reader, 30000, &command, sizeof command, NULL, ERR));
    clock_gettime(CLOCK_MONOTONIC, &end);
    CHECK((end.tv_sec - begin.tv_sec) * 1000000 + (end.tv_nsec - begin.tv_nsec) / 1000 >= 30000);
    sarsen_log_reader_free(reader);
    check_close(store);
}

enum { FOLLOWED = 2000 };

static void *follow(void *argument)
{
    sarsen_log_reader *reader = argument;
    for (uint64_t i = 1; i <= FOLLOWED; i++) {
        sarsen_command command;
        CHECK_OK(sarsen_log_next(reader, 60000000, &command, sizeof command, NULL, ERR));
        CHECK_NUMBER(command.seq, i);
        CHECK_BYTES(command.key.data, command.key.len, &i, sizeof i);
    }
    return NULL;
}

static void waiting_readers_are_woken_by_commits(void)
{
    sarsen_store *store = check_open(check_path("store"), (check_how){.background = true, .log_retention_bytes = 64 << 20});
    pthread_t threads[3];
    sarsen_log_reader *readers[3];
    for (int i = 0; i < 3; i++) {
        readers[i] = reader_from(store, 1, 0);
        CHECK(pthread_create(&threads[i], NULL, follow, readers[i]) == 0);
    }
    for (uint64_t i = 1; i <= FOLLOWED; i++) CHECK_OK(sarsen_kv_set(store, &i, sizeof i, STR("value"), ERR));
    for (int i = 0; i < 3; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
        sarsen_log_reader_free(readers[i]);
    }
    check_close(store);
}

/* Without retention a checkpoint gives the log back: whoever is behind is told so, and never sees a gap. */
static void a_reader_the_log_was_released_past_is_told(void)
{
    enum { COMMITS = 2000, VALUE = 4000 };
    sarsen_store *store = check_open(check_path("store"), (check_how){0});
    sarsen_log_reader *behind, *late = NULL;
    sarsen_command command;
    uint8_t *value = check_filled_new(VALUE, 1);
    uint64_t seq = 1;

    for (uint64_t i = 1; i <= COMMITS; i++) {
        CHECK_OK(sarsen_kv_set(store, STR("key"), value, VALUE, ERR));
        if (i == 5) CHECK_NUMBER(sarsen_log_first_seq(store), 1);
    }
    behind = reader_from(store, 1, 0);
    next_is(behind, &command, NULL, 1, SARSEN_COMMAND_SET_KV, 1);
    CHECK_OK(sarsen_store_checkpoint(store, ERR));
    CHECK_OK(sarsen_store_compact(store, ERR));
    for (uint64_t i = 1; i <= COMMITS; i++) CHECK_OK(sarsen_kv_set(store, STR("key"), value, VALUE, ERR));
    CHECK_OK(sarsen_store_checkpoint(store, ERR));
    CHECK(sarsen_log_first_seq(store) > 1);
    CHECK_IS(SARSEN_NOT_FOUND, sarsen_log_read(store, 1, 0, &late, ERR));
    CHECK(late == NULL);
    for (;;) {
        CHECK_IN(STATUS_BIT(SARSEN_OK) | STATUS_BIT(SARSEN_NOT_FOUND),
                 sarsen_log_next(behind, 0, &command, sizeof command, NULL, ERR));
        if (check_last.status == SARSEN_NOT_FOUND) break;
        CHECK_NUMBER(command.seq, ++seq);
        CHECK_BYTES(command.value.data, command.value.len, value, VALUE);
    }
    CHECK(seq < 2 * COMMITS);
    CHECK_IS(SARSEN_NOT_FOUND, sarsen_log_next(behind, 0, &command, sizeof command, NULL, ERR));
    sarsen_log_reader_free(behind);
    /* From what is left, or from now on, one can start again. */
    behind = reader_from(store, sarsen_store_last_seq(store) + 1, 0);
    check_set(store, "key", "again");
    next_is(behind, &command, NULL, 2 * COMMITS + 1, SARSEN_COMMAND_SET_KV, 1);
    sarsen_log_reader_free(behind);
    free(value);
    check_close(store);
}

static void retention_keeps_the_log_reachable(void)
{
    const char *path = check_path("store");
    check_how how = {.log_retention_bytes = 4 << 20};
    sarsen_store *store = check_open(path, how);
    uint8_t *value = check_filled_new(4000, 1);
    sarsen_log_reader *reader;
    sarsen_command command;
    uint64_t first;
    for (uint64_t i = 1; i <= 5000; i++) { /* 20 MB */
        CHECK_OK(sarsen_kv_set(store, STR("key"), value, 4000, ERR));
        if (i % 500 == 0) CHECK_OK(sarsen_store_checkpoint(store, ERR));
    }
    store = check_reopen(store, path, how);
    first = sarsen_log_first_seq(store);
    CHECK(first > 1 && first <= 5000 - 900); /* at least about the last 4 MiB */
    reader = reader_from(store, first, 0);
    for (uint64_t i = first; i <= 5000; i++) next_is(reader, &command, NULL, i, SARSEN_COMMAND_SET_KV, 1);
    nothing_more(reader);
    sarsen_log_reader_free(reader);
    free(value);
    check_close(store);
}

static void the_epoch_says_whether_the_past_is_the_same(void)
{
    const char *path = check_path("store");
    sarsen_store *store = check_open(path, keeping);
    sarsen_log_reader *reader, *other = NULL;
    sarsen_command command;
    uint64_t epochs[31] = {0};
    for (uint64_t i = 1; i <= 30; i++) {
        CHECK_OK(sarsen_kv_set(store, &i, sizeof i, NONE, ERR));
        if (i % 10 == 0) store = check_reopen(store, path, keeping);
    }
    reader = reader_from(store, 1, 0);
    for (uint64_t i = 1; i <= 30; i++) {
        next_is(reader, &command, NULL, i, SARSEN_COMMAND_SET_KV, 1);
        epochs[i] = command.epoch;
        CHECK(epochs[i] >= epochs[i - 1]); /* never goes down along the log */
        if (i % 10 != 1) CHECK_NUMBER(epochs[i], epochs[i - 1]);
        else CHECK(epochs[i] > epochs[i - 1]); /* one each opening that wrote */
    }
    sarsen_log_reader_free(reader);
    for (uint64_t i = 1; i <= 31; i++) {
        reader = reader_from(store, i, epochs[i - 1]);
        sarsen_log_reader_free(reader);
        if (i == 1) continue;
        CHECK_IS(SARSEN_CONFLICT, sarsen_log_read(store, i, epochs[i - 1] + 1, &other, ERR));
        CHECK(other == NULL);
        CHECK_IS(SARSEN_CONFLICT, sarsen_log_read(store, i, UINT64_MAX, &other, ERR));
    }
    check_close(store);
}

static void commands_are_filled_to_the_callers_size(void)
{
    sarsen_store *store = check_open(check_path("store"), keeping);
    uint8_t place[sizeof(sarsen_command) + 64];
    sarsen_command command;
    sarsen_log_reader *reader;
    check_set(store, "key", "value");
    reader = reader_from(store, 1, 0);
    next_is(reader, &command, NULL, 1, SARSEN_COMMAND_SET_KV, 1);
    sarsen_log_reader_free(reader);
    reader = reader_from(store, 1, 0);
    memset(place, 0xa5, sizeof place);
    CHECK_OK(sarsen_log_next(reader, 0, (sarsen_command *)(void *)place, 24, NULL, ERR));
    CHECK(memcmp(place, &command, 24) == 0);
    for (size_t i = 24; i < sizeof place; i++) CHECK_NUMBER(place[i], 0xa5);
    sarsen_log_reader_free(reader);
    reader = reader_from(store, 1, 0);
    memset(place, 0xa5, sizeof place);
    CHECK_OK(sarsen_log_next(reader, 0, (sarsen_command *)(void *)place, sizeof place, NULL, ERR));
    for (size_t i = sizeof command; i < sizeof place; i++) CHECK_NUMBER(place[i], 0);
    CHECK(memcmp(place, &command, 24) == 0);
    sarsen_log_reader_free(reader);
    check_close(store);
}

/* Replaying the log into an empty store gives the same pairs, memories and streams. */
static void replaying_the_log_rebuilds_the_store(void)
{
    enum { ROUNDS = 1500, IDS = 40 };
    sarsen_store *store = check_open(check_path("store"), keeping);
    sarsen_store *copy = check_open(check_path("copy"), (check_how){0});
    sarsen_batch *batch = sarsen_batch_new();
    sarsen_log_reader *reader;
    sarsen_command command;
    const sarsen_tags *tags = NULL;
    uint64_t commits;

    for (uint64_t round = 0; round < ROUNDS; round++) {
        uint64_t id = check_below(IDS), dice = check_below(10);
        size_t len = check_below(30) == 0 ? 50000 : (size_t)check_below(200);
        uint8_t *data = check_filled_new(len, round);
        sarsen_tags *set = check_tags(id % 2 ? "odd" : "even", round % 3 ? "thin" : "thick", NULL);
        if (dice < 3) CHECK_OK(sarsen_kv_set(store, &id, sizeof id, data, len, ERR));
        else if (dice < 4) CHECK_OK(sarsen_kv_delete(store, &id, sizeof id, ERR));
        else if (dice < 6) CHECK_OK(sarsen_memory_append(store, id, set, data, len, ERR));
        else if (dice < 7) CHECK_OK(sarsen_memory_delete(store, id, ERR));
        else if (dice < 9) CHECK_OK(sarsen_stream_append(store, &id, 1, data, len, NULL, ERR));
        else CHECK_OK(sarsen_stream_trim(store, &id, 1, check_below(20) == 0 ? UINT64_MAX : check_below(10), ERR));
        sarsen_tags_free(set);
        free(data);
    }
    commits = sarsen_store_last_seq(store);
    reader = reader_from(store, 1, 0);
    for (uint64_t done = 0; done < commits;) {
        CHECK_OK(sarsen_log_next(reader, 0, &command, sizeof command, &tags, ERR));
        switch (command.kind) {
        case SARSEN_COMMAND_SET_KV:
            CHECK_OK(sarsen_batch_set_kv(batch, command.key.data, command.key.len, command.value.data, command.value.len,
                                         ERR));
            break;
        case SARSEN_COMMAND_DELETE_KV:
            CHECK_OK(sarsen_batch_delete_kv(batch, command.key.data, command.key.len, ERR));
            break;
        case SARSEN_COMMAND_APPEND_MEMORY:
            CHECK_OK(sarsen_batch_append_memory(batch, command.id, tags, command.value.data, command.value.len, ERR));
            break;
        case SARSEN_COMMAND_DELETE_MEMORY:
            CHECK_OK(sarsen_batch_delete_memory(batch, command.id, ERR));
            break;
        case SARSEN_COMMAND_APPEND_STREAM:
            CHECK_OK(sarsen_batch_append_stream(batch, command.key.data, command.key.len, command.value.data,
                                                command.value.len, ERR));
            break;
        case SARSEN_COMMAND_TRIM_STREAM:
            CHECK_OK(sarsen_batch_trim_stream(batch, command.key.data, command.key.len, command.id, ERR));
            break;
        default:
            CHECK(command.kind == 0); /* no other kind was written */
        }
        if (!command.last) continue;
        done++;
        CHECK_NUMBER(command.seq, done);
        CHECK_OK(sarsen_batch_commit(batch, copy, 0, NULL, ERR));
    }
    sarsen_log_reader_free(reader);
    sarsen_batch_free(batch);

    for (uint64_t id = 0; id < IDS; id++) {
        sarsen_view one, two;
        sarsen_tags *one_tags = NULL, *two_tags = NULL;
        sarsen_block block;
        sarsen_status status;
        uint64_t first = 0, next = 0, copy_first = 0, copy_next = 0;
        CHECK_IN(STATUS_BIT(SARSEN_OK) | STATUS_BIT(SARSEN_NOT_FOUND),
                 sarsen_kv_get(store, NULL, &id, sizeof id, &one, ERR));
        status = check_last.status;
        CHECK_IS(status, sarsen_kv_get(copy, NULL, &id, sizeof id, &two, ERR));
        if (status == SARSEN_OK) CHECK_BYTES(two.data, two.len, one.data, one.len);
        sarsen_view_release(&one);
        sarsen_view_release(&two);
        CHECK_IN(STATUS_BIT(SARSEN_OK) | STATUS_BIT(SARSEN_NOT_FOUND), sarsen_memory_get(store, NULL, id, &one, ERR));
        status = check_last.status;
        CHECK_IS(status, sarsen_memory_get(copy, NULL, id, &two, ERR));
        if (status == SARSEN_OK) {
            CHECK_BYTES(two.data, two.len, one.data, one.len);
            CHECK_OK(sarsen_memory_info(store, NULL, id, &block, &one_tags, ERR));
            CHECK_OK(sarsen_memory_info(copy, NULL, id, &block, &two_tags, ERR));
            CHECK_NUMBER(sarsen_tags_count(two_tags), sarsen_tags_count(one_tags));
            CHECK(check_has_tag(one_tags, "thin") == check_has_tag(two_tags, "thin"));
            sarsen_tags_free(one_tags);
            sarsen_tags_free(two_tags);
        }
        sarsen_view_release(&one);
        sarsen_view_release(&two);
        CHECK_IN(STATUS_BIT(SARSEN_OK) | STATUS_BIT(SARSEN_NOT_FOUND),
                 sarsen_stream_bounds(store, NULL, &id, 1, &first, &next, ERR));
        status = check_last.status;
        CHECK_IS(status, sarsen_stream_bounds(copy, NULL, &id, 1, &copy_first, &copy_next, ERR));
        CHECK_NUMBER(copy_first, first);
        CHECK_NUMBER(copy_next, next);
        for (uint64_t i = first; i < next; i++) {
            CHECK_OK(sarsen_stream_get(store, NULL, &id, 1, i, &one, ERR));
            CHECK_OK(sarsen_stream_get(copy, NULL, &id, 1, i, &two, ERR));
            CHECK_BYTES(two.data, two.len, one.data, one.len);
            sarsen_view_release(&one);
            sarsen_view_release(&two);
        }
    }
    check_close(store);
    check_close(copy);
}

static void a_reader_of_a_closed_store_refuses(void)
{
    sarsen_store *store = check_open(check_path("store"), keeping);
    sarsen_log_reader *reader;
    sarsen_command command;
    check_set(store, "key", "value");
    reader = reader_from(store, 1, 0);
    next_is(reader, &command, NULL, 1, SARSEN_COMMAND_SET_KV, 1);
    check_close(store);
    CHECK_BYTES(command.value.data, command.value.len, "value", 5); /* good until the next call */
    CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_log_next(reader, 0, &command, sizeof command, NULL, ERR));
    CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_log_next(reader, 60000000, &command, sizeof command, NULL, ERR));
    sarsen_log_reader_free(reader);
    sarsen_log_reader_free(NULL);
    CHECK_NUMBER(sarsen_log_first_seq(NULL), 0);
}

static const check_case cases[] = {
    CASE(every_kind_of_command_is_told_in_order),
    CASE(values_of_every_size_are_in_the_log),
    CASE(a_reader_starts_anywhere_and_follows),
    CASE(a_wait_runs_out_no_sooner_than_asked),
    CASE(waiting_readers_are_woken_by_commits),
    CASE(a_reader_the_log_was_released_past_is_told),
    CASE(retention_keeps_the_log_reachable),
    CASE(the_epoch_says_whether_the_past_is_the_same),
    CASE(commands_are_filled_to_the_callers_size),
    CASE(replaying_the_log_rebuilds_the_store),
    CASE(a_reader_of_a_closed_store_refuses),
};
CHECK_MAIN(cases)
