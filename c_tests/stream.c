/* Streams: numbering, trim and drop, bounds, reading in place, by iterator and in bulk, names. */
#include "check.h"

static void append_text(const sarsen_store *store, const char *name, const char *text, uint64_t expected)
{
    uint64_t index = 99;
    CHECK_OK(sarsen_stream_append(store, name, strlen(name), text, strlen(text), &index, ERR));
    CHECK_NUMBER(index, expected);
}

static void no_such_record(const sarsen_store *store, const char *name, uint64_t index)
{
    sarsen_view view;
    memset(&view, 0xa5, sizeof view);
    CHECK_IS(SARSEN_NOT_FOUND, sarsen_stream_get(store, NULL, name, strlen(name), index, &view, ERR));
    CHECK(view.data == NULL);
}

static void no_such_stream(const sarsen_store *store, const char *name)
{
    uint64_t first = 0, next = 0;
    CHECK_IS(SARSEN_NOT_FOUND, sarsen_stream_bounds(store, NULL, name, strlen(name), &first, &next, ERR));
    no_such_record(store, name, 0);
}

/* The stream reads as first, first + 1, ..., next - 1 from `from` on; each record is its number in decimal. */
static void reads_as(const sarsen_store *store, const char *name, uint64_t from, uint64_t first, uint64_t next)
{
    sarsen_stream_iter *iter = NULL;
    sarsen_bytes record;
    uint64_t index;
    char text[32];
    CHECK_OK(sarsen_stream_read(store, NULL, name, strlen(name), from, &iter, ERR));
    for (uint64_t i = from > first ? from : first; i < next; i++) {
        snprintf(text, sizeof text, "%llu", (unsigned long long)i);
        CHECK_OK(sarsen_stream_iter_next(iter, &index, &record, ERR));
        CHECK_NUMBER(index, i);
        CHECK_BYTES(record.data, record.len, text, strlen(text));
    }
    CHECK_IS(SARSEN_END, sarsen_stream_iter_next(iter, &index, &record, ERR));
    CHECK_IS(SARSEN_END, sarsen_stream_iter_next(iter, &index, &record, ERR));
    sarsen_stream_iter_free(iter);
}

static void append_numbers(const sarsen_store *store, const char *name, uint64_t from, uint64_t to)
{
    char text[32];
    for (uint64_t i = from; i < to; i++) {
        snprintf(text, sizeof text, "%llu", (unsigned long long)i);
        append_text(store, name, text, i);
    }
}

static void records_are_numbered_from_0_without_gaps(void)
{
    const char *path = check_path("store");
    sarsen_store *store = check_open(path, (check_how){0});
    no_such_stream(store, "s");
    for (uint64_t round = 0; round < 5; round++) {
        append_numbers(store, "s", round * 20, round * 20 + 20);
        append_numbers(store, "t", round, round + 1); /* streams count on their own */
        if (round % 2 == 0) CHECK_OK(sarsen_store_checkpoint(store, ERR));
        else store = check_reopen(store, path, (check_how){0});
        CHECK_STREAM(store, NULL, "s", 0, round * 20 + 20);
        CHECK_STREAM(store, NULL, "t", 0, round + 1);
    }
    for (uint64_t from = 0; from < 110; from += 9) reads_as(store, "s", from, 0, 100);
    reads_as(store, "s", UINT64_MAX, 0, 100);
    no_such_record(store, "s", 100);
    no_such_record(store, "s", UINT64_MAX);
    check_close(store);
}

static void trimming_drops_the_front_and_numbering_goes_on(void)
{
    const char *path = check_path("store");
    sarsen_store *store = check_open(path, (check_how){0});
    sarsen_view view;
    append_numbers(store, "s", 0, 10);
    CHECK_OK(sarsen_stream_trim(store, STR("s"), 0, ERR));
    CHECK_STREAM(store, NULL, "s", 0, 10);
    CHECK_OK(sarsen_stream_trim(store, STR("s"), 4, ERR));
    for (int round = 0; round < 4; round++) {
        CHECK_STREAM(store, NULL, "s", 4, 10);
        no_such_record(store, "s", 0);
        no_such_record(store, "s", 3);
        CHECK_OK(sarsen_stream_get(store, NULL, STR("s"), 4, &view, ERR));
        CHECK_BYTES(view.data, view.len, "4", 1);
        sarsen_view_release(&view);
        reads_as(store, "s", 0, 4, 10);
        reads_as(store, "s", 7, 4, 10);
        CHECK_OK(sarsen_stream_trim(store, STR("s"), 2, ERR)); /* below the first record: changes nothing */
        if (round == 0) CHECK_OK(sarsen_store_checkpoint(store, ERR));
        if (round == 1) CHECK_OK(sarsen_store_compact(store, ERR));
        if (round == 2) store = check_reopen(store, path, (check_how){0});
    }
    append_numbers(store, "s", 10, 12);
    CHECK_STREAM(store, NULL, "s", 4, 12);
    CHECK_OK(sarsen_stream_trim(store, STR("s"), 12, ERR)); /* nothing left */
    for (int round = 0; round < 3; round++) {
        CHECK_STREAM(store, NULL, "s", 12, 12);
        reads_as(store, "s", 0, 12, 12);
        no_such_record(store, "s", 11);
        no_such_record(store, "s", 12);
        if (round == 0) CHECK_OK(sarsen_store_compact(store, ERR));
        if (round == 1) store = check_reopen(store, path, (check_how){0});
    }
    append_numbers(store, "s", 12, 13);
    CHECK_STREAM(store, NULL, "s", 12, 13);
    CHECK_OK(sarsen_stream_trim(store, STR("s"), 1000, ERR)); /* past the end drops what there is */
    CHECK_STREAM(store, NULL, "s", 13, 13);
    append_numbers(store, "s", 13, 14);
    check_close(store);
}

static void trimming_a_stream_that_is_not_there_is_ok(void)
{
    sarsen_store *store = check_open(check_path("store"), (check_how){0});
    CHECK_OK(sarsen_stream_trim(store, STR("none"), 5, ERR));
    CHECK_OK(sarsen_stream_trim(store, STR("none"), UINT64_MAX, ERR));
    no_such_stream(store, "none");
    append_numbers(store, "none", 0, 1);
    check_close(store);
}

static void dropping_forgets_the_stream_and_it_starts_at_0_again(void)
{
    const char *path = check_path("store");
    sarsen_store *store = check_open(path, (check_how){0});
    append_numbers(store, "s", 0, 10);
    CHECK_OK(sarsen_store_checkpoint(store, ERR));
    append_numbers(store, "s", 10, 20);
    for (int round = 0; round < 3; round++) {
        CHECK_OK(sarsen_stream_trim(store, STR("s"), UINT64_MAX, ERR));
        no_such_stream(store, "s");
        if (round == 0) CHECK_OK(sarsen_store_checkpoint(store, ERR));
        if (round == 1) CHECK_OK(sarsen_store_compact(store, ERR));
        if (round == 2) store = check_reopen(store, path, (check_how){0});
        no_such_stream(store, "s");
        append_numbers(store, "s", 0, 3); /* none of the old ones shine through */
        CHECK_STREAM(store, NULL, "s", 0, 3);
        reads_as(store, "s", 0, 0, 3);
        no_such_record(store, "s", 3);
        no_such_record(store, "s", 12);
    }
    CHECK_OK(sarsen_store_compact(store, ERR));
    reads_as(store, "s", 0, 0, 3);
    check_close(store);
}

static void a_snapshot_keeps_the_bounds_of_its_time(void)
{
    sarsen_store *store = check_open(check_path("store"), (check_how){0});
    sarsen_snapshot *full = NULL, *trimmed = NULL;
    sarsen_stream_iter *iter = NULL;
    sarsen_bytes record;
    sarsen_view view;
    uint64_t index, first = 0, next = 0;

    append_numbers(store, "s", 0, 10);
    CHECK_OK(sarsen_snapshot_new(store, &full, ERR));
    CHECK_OK(sarsen_stream_trim(store, STR("s"), 8, ERR));
    CHECK_OK(sarsen_snapshot_new(store, &trimmed, ERR));
    CHECK_OK(sarsen_stream_trim(store, STR("s"), UINT64_MAX, ERR));
    append_numbers(store, "s", 0, 1);
    for (int round = 0; round < 3; round++) {
        CHECK_STREAM(store, full, "s", 0, 10);
        CHECK_STREAM(store, trimmed, "s", 8, 10);
        CHECK_STREAM(store, NULL, "s", 0, 1);
        CHECK_OK(sarsen_stream_get(store, full, STR("s"), 3, &view, ERR));
        CHECK_BYTES(view.data, view.len, "3", 1);
        sarsen_view_release(&view);
        CHECK_IS(SARSEN_NOT_FOUND, sarsen_stream_get(store, trimmed, STR("s"), 3, &view, ERR));
        CHECK_IS(SARSEN_NOT_FOUND, sarsen_stream_bounds(store, full, STR("later"), &first, &next, ERR));
        CHECK_OK(sarsen_stream_read(store, trimmed, STR("s"), 0, &iter, ERR));
        CHECK_OK(sarsen_stream_iter_next(iter, &index, &record, ERR));
        CHECK_NUMBER(index, 8);
        CHECK_OK(sarsen_stream_iter_next(iter, &index, &record, ERR));
        CHECK_BYTES(record.data, record.len, "9", 1);
        CHECK_IS(SARSEN_END, sarsen_stream_iter_next(iter, &index, &record, ERR));
        sarsen_stream_iter_free(iter);
        if (round == 0) CHECK_OK(sarsen_store_checkpoint(store, ERR));
        if (round == 1) CHECK_OK(sarsen_store_compact(store, ERR));
    }
    sarsen_snapshot_free(full);
    sarsen_snapshot_free(trimmed);
    check_close(store);
}

static void reading_a_stream_that_is_not_there_gives_nothing(void)
{
    sarsen_store *store = check_open(check_path("store"), (check_how){0});
    sarsen_stream_iter *iter = (sarsen_stream_iter *)(void *)store;
    CHECK_IS(SARSEN_NOT_FOUND, sarsen_stream_read(store, NULL, STR("none"), 0, &iter, ERR));
    CHECK(iter == NULL);
    CHECK_IS(SARSEN_NOT_FOUND, sarsen_stream_read(store, NULL, STR("none"), UINT64_MAX, &iter, ERR));
    CHECK(iter == NULL);
    check_close(store);
}

static void records_of_every_size_come_back(void)
{
    const char *path = check_path("store");
    sarsen_store *store = check_open(path, (check_how){0});
    for (int round = 0; round < 4; round++) {
        sarsen_stream_iter *iter = NULL;
        sarsen_bytes record;
        sarsen_view view;
        uint64_t index;
        for (size_t i = 0; i < check_sizes_count; i++) {
            if (round == 0) {
                uint8_t *data = check_filled_new(check_sizes[i], i);
                CHECK_OK(sarsen_stream_append(store, STR("s"), data, check_sizes[i], &index, ERR));
                CHECK_NUMBER(index, i);
                free(data);
            }
            CHECK_OK(sarsen_stream_get(store, NULL, STR("s"), i, &view, ERR));
            CHECK_FILLED(view.data, view.len, check_sizes[i], i);
            sarsen_view_release(&view);
        }
        CHECK_OK(sarsen_stream_read(store, NULL, STR("s"), 0, &iter, ERR));
        for (size_t i = 0; i < check_sizes_count; i++) {
            CHECK_OK(sarsen_stream_iter_next(iter, &index, &record, ERR));
            CHECK_FILLED(record.data, record.len, check_sizes[i], i);
        }
        CHECK_IS(SARSEN_END, sarsen_stream_iter_next(iter, &index, &record, ERR));
        sarsen_stream_iter_free(iter);
        if (round == 0) CHECK_OK(sarsen_store_checkpoint(store, ERR));
        if (round == 1) CHECK_OK(sarsen_store_compact(store, ERR));
        if (round == 2) store = check_reopen(store, path, (check_how){0});
    }
    check_close(store);
}

static void fill_gives_whole_records(void)
{
    enum { RECORDS = 500, CAP = 1000 };
    sarsen_store *store = check_open(check_path("store"), (check_how){0});
    sarsen_stream_iter *iter = NULL;
    uint8_t buffer[CAP];
    uint64_t at = 17;
    size_t len = 0, count = 0;

    for (uint64_t i = 0; i < RECORDS; i++) {
        uint8_t data[400];
        check_fill(data, sizeof data, i);
        CHECK_OK(sarsen_stream_append(store, STR("s"), data, (size_t)(i * 37 % 400), NULL, ERR));
        if (i == 300) CHECK_OK(sarsen_store_checkpoint(store, ERR));
    }
    CHECK_OK(sarsen_stream_read(store, NULL, STR("s"), at, &iter, ERR));
    for (;;) {
        size_t place = 0;
        CHECK_IN(STATUS_BIT(SARSEN_OK) | STATUS_BIT(SARSEN_END),
                 sarsen_stream_iter_fill(iter, buffer, CAP, &len, &count, ERR));
        if (check_last.status == SARSEN_END) break;
        CHECK(count >= 1 && len <= CAP);
        for (size_t i = 0; i < count; i++, at++) {
            CHECK(len - place >= 12);
            CHECK_NUMBER(check_u64(buffer + place), at);
            CHECK_NUMBER(check_u32(buffer + place + 8), at * 37 % 400);
            CHECK_FILLED(buffer + place + 12, check_u32(buffer + place + 8), at * 37 % 400, at);
            place += 12 + at * 37 % 400;
        }
        CHECK_NUMBER(place, len);
        CHECK(at == RECORDS || place + 12 + at * 37 % 400 > CAP); /* the next one would not have fitted */
    }
    CHECK_NUMBER(at, RECORDS);
    CHECK_NUMBER(count, 0);
    sarsen_stream_iter_free(iter);
    check_close(store);
}

static void fill_too_small_says_what_it_needs_and_does_not_move(void)
{
    sarsen_store *store = check_open(check_path("store"), (check_how){0});
    sarsen_stream_iter *iter = NULL;
    sarsen_bytes record;
    uint8_t buffer[12 + 5];
    uint64_t index = 0;
    size_t len = 0, count = 9;
    append_text(store, "s", "first", 0);
    append_text(store, "s", "a second one that is longer", 1);
    CHECK_OK(sarsen_stream_read(store, NULL, STR("s"), 0, &iter, ERR));
    CHECK_IS(SARSEN_TOO_LARGE, sarsen_stream_iter_fill(iter, NULL, 0, &len, &count, ERR));
    CHECK_NUMBER(len, 12 + 5);
    CHECK_OK(sarsen_stream_iter_fill(iter, buffer, sizeof buffer, &len, &count, ERR));
    CHECK_NUMBER(count, 1);
    CHECK_BYTES(buffer + 12, 5, "first", 5);
    CHECK_IS(SARSEN_TOO_LARGE, sarsen_stream_iter_fill(iter, buffer, sizeof buffer, &len, &count, ERR));
    CHECK_NUMBER(len, 12 + 27);
    CHECK_OK(sarsen_stream_iter_next(iter, &index, &record, ERR));
    CHECK_NUMBER(index, 1);
    CHECK_IS(SARSEN_END, sarsen_stream_iter_fill(iter, buffer, sizeof buffer, &len, &count, ERR));
    CHECK_NUMBER(count, 0);
    sarsen_stream_iter_free(iter);
    check_close(store);
}

static void names_go_up_to_the_limit_and_may_be_empty(void)
{
    const char *path = check_path("store");
    sarsen_store *store = check_open(path, (check_how){0});
    uint8_t *name = check_filled_new(65536, 8);
    uint64_t first = 0, next = 0, index = 99;
    sarsen_view view;

    CHECK_OK(sarsen_stream_append(store, NONE, STR("record"), &index, ERR));
    CHECK_NUMBER(index, 0);
    CHECK_OK(sarsen_stream_append(store, name, 65535, STR("record"), &index, ERR));
    CHECK_NUMBER(index, 0);
    CHECK_IS(SARSEN_TOO_LARGE, sarsen_stream_append(store, name, 65536, STR("record"), &index, ERR));
    CHECK_IS(SARSEN_TOO_LARGE, sarsen_stream_trim(store, name, 65536, 1, ERR));
    CHECK_OK(sarsen_stream_append(store, NONE, NONE, &index, ERR)); /* empty record of the empty stream */
    CHECK_NUMBER(index, 1);
    store = check_reopen(store, path, (check_how){0});
    CHECK_OK(sarsen_stream_bounds(store, NULL, NONE, &first, &next, ERR));
    CHECK_NUMBER(next, 2);
    CHECK_OK(sarsen_stream_get(store, NULL, NONE, 1, &view, ERR));
    CHECK_NUMBER(view.len, 0);
    sarsen_view_release(&view);
    CHECK_OK(sarsen_stream_get(store, NULL, name, 65535, 0, &view, ERR));
    CHECK_BYTES(view.data, view.len, "record", 6);
    sarsen_view_release(&view);
    free(name);
    check_close(store);
}

static void records_of_4_gib_are_refused_unread(void)
{
    sarsen_store *store = check_open(check_path("store"), (check_how){0});
    void *huge = check_untouchable((size_t)1 << 32);
    uint64_t index = 0;
    CHECK_IS(SARSEN_TOO_LARGE, sarsen_stream_append(store, STR("s"), huge, (size_t)1 << 32, &index, ERR));
    no_such_stream(store, "s");
    check_close(store);
}

static void a_list_names_the_streams_in_order_with_their_bounds(void)
{
    const char *path = check_path("store");
    sarsen_store *store = check_open(path, (check_how){0});
    const char *const names[] = {"", "a", "ab", "b", "b/1", "b/2", "c"};
    sarsen_stream_names *list = NULL;
    sarsen_snapshot *before = NULL;
    sarsen_bytes name;
    uint64_t first, next;

    for (size_t i = 0; i < COUNT_OF(names); i++) {
        size_t at = (i * 3 + 2) % COUNT_OF(names);
        append_numbers(store, names[at], 0, at + 1);
        if (i == 3) CHECK_OK(sarsen_store_checkpoint(store, ERR));
    }
    append_numbers(store, "gone", 0, 1);
    CHECK_OK(sarsen_snapshot_new(store, &before, ERR));
    CHECK_OK(sarsen_stream_trim(store, STR("gone"), UINT64_MAX, ERR));
    CHECK_OK(sarsen_stream_trim(store, STR("b/1"), 2, ERR));
    CHECK_OK(sarsen_stream_trim(store, STR("ab"), 3, ERR)); /* empty, still a stream */
    CHECK_OK(sarsen_kv_set(store, STR("d"), STR("no stream"), ERR));
    for (int round = 0; round < 3; round++) {
        CHECK_OK(sarsen_stream_list(store, NULL, NONE, &list, ERR));
        for (size_t i = 0; i < COUNT_OF(names); i++) {
            CHECK_OK(sarsen_stream_names_next(list, &name, &first, &next, ERR));
            CHECK_BYTES(name.data, name.len, names[i], strlen(names[i]));
            CHECK_NUMBER(first, i == 4 ? 2 : i == 2 ? 3 : 0);
            CHECK_NUMBER(next, i + 1);
        }
        CHECK_IS(SARSEN_END, sarsen_stream_names_next(list, &name, &first, &next, ERR));
        CHECK_IS(SARSEN_END, sarsen_stream_names_next(list, &name, &first, &next, ERR));
        sarsen_stream_names_free(list);
        CHECK_OK(sarsen_stream_list(store, NULL, STR("b"), &list, ERR));
        for (size_t i = 3; i < 6; i++) {
            CHECK_OK(sarsen_stream_names_next(list, &name, &first, &next, ERR));
            CHECK_BYTES(name.data, name.len, names[i], strlen(names[i]));
        }
        CHECK_IS(SARSEN_END, sarsen_stream_names_next(list, &name, &first, &next, ERR));
        sarsen_stream_names_free(list);
        if (round == 0) {
            CHECK_OK(sarsen_stream_list(store, before, STR("gone"), &list, ERR));
            CHECK_OK(sarsen_stream_names_next(list, &name, &first, &next, ERR));
            CHECK_BYTES(name.data, name.len, "gone", 4);
            sarsen_stream_names_free(list);
            sarsen_snapshot_free(before);
            CHECK_OK(sarsen_store_compact(store, ERR));
        }
        if (round == 1) store = check_reopen(store, path, (check_how){0});
    }
    CHECK_OK(sarsen_stream_list(store, NULL, NONE, &list, ERR));
    check_close(store);
    CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_stream_names_next(list, &name, &first, &next, ERR));
    sarsen_stream_names_free(list);
    sarsen_stream_names_free(NULL);
}

static void an_iterator_sees_no_later_appends_and_refuses_after_close(void)
{
    sarsen_store *store = check_open(check_path("store"), (check_how){0});
    sarsen_stream_iter *iter = NULL;
    sarsen_bytes record;
    uint64_t index;
    size_t len = 0, count = 0;
    append_numbers(store, "s", 0, 2);
    CHECK_OK(sarsen_stream_read(store, NULL, STR("s"), 0, &iter, ERR));
    append_numbers(store, "s", 2, 4);
    CHECK_OK(sarsen_stream_iter_next(iter, &index, &record, ERR));
    CHECK_OK(sarsen_stream_iter_next(iter, &index, &record, ERR));
    CHECK_IS(SARSEN_END, sarsen_stream_iter_next(iter, &index, &record, ERR));
    sarsen_stream_iter_free(iter);
    CHECK_OK(sarsen_stream_read(store, NULL, STR("s"), 1, &iter, ERR));
    CHECK_OK(sarsen_stream_iter_next(iter, &index, &record, ERR));
    check_close(store);
    CHECK_BYTES(record.data, record.len, "1", 1);
    CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_stream_iter_next(iter, &index, &record, ERR));
    CHECK(record.data == NULL);
    CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_stream_iter_fill(iter, NULL, 0, &len, &count, ERR));
    sarsen_stream_iter_free(iter);
    sarsen_stream_iter_free(NULL);
}

/* Seeded appends, trims and drops on a few streams beside a model; a record is filled from its stream, its
 * generation (one a drop) and its index. */
static void random_operations_agree_with_a_model(void)
{
    enum { STREAMS = 6, ROUNDS = 5000 };
    const char *path = check_path("store");
    check_how how = {.memory_bytes = 4 << 20, .chunk_bytes = 1 << 20};
    sarsen_store *store = check_open(path, how);
    struct { bool there; uint64_t first, next, generation; } model[STREAMS];

    memset(model, 0, sizeof model);
    for (int round = 0; round < ROUNDS; round++) {
        uint32_t s = (uint32_t)check_below(STREAMS);
        uint64_t dice = check_below(1000);
#define TAG_OF(index) ((uint64_t)s * 1000003u + model[s].generation * 100000007u + (index))
#define LEN_OF(index) ((size_t)(TAG_OF(index) % 97 == 0 ? TAG_OF(index) % 90000 : TAG_OF(index) % 200))
        if (dice < 500) {
            uint64_t index = 0;
            uint8_t *data = check_filled_new(LEN_OF(model[s].next), TAG_OF(model[s].next));
            CHECK_OK(sarsen_stream_append(store, &s, sizeof s, data, LEN_OF(model[s].next), &index, ERR));
            CHECK_NUMBER(index, model[s].next);
            free(data);
            model[s].next++;
            model[s].there = true;
        } else if (dice < 560) {
            uint64_t before = model[s].first + check_below(model[s].next - model[s].first + 3);
            CHECK_OK(sarsen_stream_trim(store, &s, sizeof s, before, ERR));
            if (model[s].there) model[s].first = before < model[s].next ? before : model[s].next;
        } else if (dice < 570) {
            CHECK_OK(sarsen_stream_trim(store, &s, sizeof s, UINT64_MAX, ERR));
            model[s].there = false;
            model[s].generation++;
            model[s].first = model[s].next = 0;
        } else if (dice < 980) {
            uint64_t index = check_below(model[s].next + 2);
            bool there = model[s].there && index >= model[s].first && index < model[s].next;
            sarsen_view view;
            CHECK_IS(there ? SARSEN_OK : SARSEN_NOT_FOUND,
                     sarsen_stream_get(store, NULL, &s, sizeof s, index, &view, ERR));
            if (there) CHECK_FILLED(view.data, view.len, LEN_OF(index), TAG_OF(index));
            sarsen_view_release(&view);
        } else if (dice < 988) {
            CHECK_OK(sarsen_store_checkpoint(store, ERR));
        } else if (dice < 994) {
            CHECK_OK(sarsen_store_compact(store, ERR));
        } else {
            store = check_reopen(store, path, how);
        }
        if (round % 500 != 499) continue;
        for (s = 0; s < STREAMS; s++) {
            uint64_t first = 0, next = 0, index = 0;
            sarsen_stream_iter *iter = NULL;
            sarsen_bytes record;
            CHECK_IS(model[s].there ? SARSEN_OK : SARSEN_NOT_FOUND,
                     sarsen_stream_bounds(store, NULL, &s, sizeof s, &first, &next, ERR));
            if (!model[s].there) continue;
            CHECK_NUMBER(first, model[s].first);
            CHECK_NUMBER(next, model[s].next);
            CHECK_OK(sarsen_stream_read(store, NULL, &s, sizeof s, 0, &iter, ERR));
            for (uint64_t i = first; i < next; i++) {
                CHECK_OK(sarsen_stream_iter_next(iter, &index, &record, ERR));
                CHECK_NUMBER(index, i);
                CHECK_FILLED(record.data, record.len, LEN_OF(i), TAG_OF(i));
            }
            CHECK_IS(SARSEN_END, sarsen_stream_iter_next(iter, &index, &record, ERR));
            sarsen_stream_iter_free(iter);
        }
    }
    check_sound(store);
    check_close(store);
}

/* CORRUPT stands in the place of one record, whichever way the records are read. */
static void fill_hands_out_every_record_around_a_damaged_one(void)
{
    enum { RECORDS = 40, DAMAGED = 17, LEN = 3000, CAP = 1 << 20 };
    const char *path = check_path("store");
    sarsen_store *store = check_open(path, (check_how){0});
    uint8_t *buffer = malloc(CAP);
    for (uint64_t i = 0; i < RECORDS; i++) {
        uint8_t *record = check_filled_new(LEN, i);
        CHECK_OK(sarsen_stream_append(store, STR("s"), record, LEN, NULL, ERR));
        free(record);
    }
    check_close(store);
    check_damage_block(path, LEN, DAMAGED);

    store = check_open(path, (check_how){0});
    sarsen_stream_iter *iter = NULL;
    size_t len = 0, count = 0;
    CHECK_OK(sarsen_stream_read(store, NULL, STR("s"), 0, &iter, ERR));
    CHECK_OK(sarsen_stream_iter_fill(iter, buffer, CAP, &len, &count, ERR));
    CHECK_NUMBER(count, DAMAGED);
    CHECK_IS(SARSEN_CORRUPT, sarsen_stream_iter_fill(iter, buffer, CAP, &len, &count, ERR));
    CHECK_NUMBER(count, 0);
    CHECK_OK(sarsen_stream_iter_fill(iter, buffer, CAP, &len, &count, ERR));
    CHECK_NUMBER(count, RECORDS - DAMAGED - 1);
    for (size_t i = 0; i < count; i++) {
        const uint8_t *record = buffer + i * (12 + LEN);
        CHECK_NUMBER(check_u64(record), DAMAGED + 1 + i);
        CHECK_FILLED(record + 12, LEN, LEN, DAMAGED + 1 + i);
    }
    CHECK_IS(SARSEN_END, sarsen_stream_iter_fill(iter, buffer, CAP, &len, &count, ERR));
    sarsen_stream_iter_free(iter);
    free(buffer);
    check_close(store);
}

static const check_case cases[] = {
    CASE(records_are_numbered_from_0_without_gaps),
    CASE(trimming_drops_the_front_and_numbering_goes_on),
    CASE(trimming_a_stream_that_is_not_there_is_ok),
    CASE(dropping_forgets_the_stream_and_it_starts_at_0_again),
    CASE(a_snapshot_keeps_the_bounds_of_its_time),
    CASE(reading_a_stream_that_is_not_there_gives_nothing),
    CASE(records_of_every_size_come_back),
    CASE(fill_gives_whole_records),
    CASE(fill_too_small_says_what_it_needs_and_does_not_move),
    CASE(fill_hands_out_every_record_around_a_damaged_one),
    CASE(names_go_up_to_the_limit_and_may_be_empty),
    CASE(records_of_4_gib_are_refused_unread),
    CASE(a_list_names_the_streams_in_order_with_their_bounds),
    CASE(an_iterator_sees_no_later_appends_and_refuses_after_close),
    CASE(random_operations_agree_with_a_model),
};
CHECK_MAIN(cases)
