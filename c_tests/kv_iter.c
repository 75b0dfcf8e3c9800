/* Scans: order, bounds, prefixes, both directions, one snapshot throughout, and records in bulk. */
#include "check.h"

static const char *const sorted[] = {"",    "a",  "aa",  "ab", "ab\x01", "abc", "b",
                                     "ba",  "c",  "ca", "\xc3\xbc", "\xff", "\xff\x01", "\xff\xff"};
enum { SORTED = COUNT_OF(sorted) };

static void fill_sorted(const sarsen_store *store, bool spread)
{
    /* Written out of order and, if asked, over several runs and the memtable. */
    for (size_t i = 0; i < SORTED; i++) {
        size_t at = (i * 5 + 3) % SORTED;
        check_set(store, sorted[at], sorted[at]);
        if (spread && i % 4 == 3) CHECK_OK(sarsen_store_checkpoint(store, ERR));
    }
}

/* The iterator gives sorted[from..to), or that backwards, then END again and again. */
static void expect(const char *file, int line, sarsen_kv_iter *iter, size_t from, size_t to, bool reverse)
{
    sarsen_bytes key, value;
    for (size_t i = from; i < to; i++) {
        const char *text = sorted[reverse ? to - 1 - (i - from) : i];
        check_arm();
        check_status(file, line, "sarsen_kv_iter_next(iter, &key, &value, ERR)",
                     sarsen_kv_iter_next(iter, &key, &value, ERR), STATUS_BIT(SARSEN_OK));
        check_bytes(file, line, "key", key.data, key.len, text, strlen(text));
        check_bytes(file, line, "value", value.data, value.len, text, strlen(text));
    }
    for (int again = 0; again < 3; again++) {
        check_arm();
        check_status(file, line, "sarsen_kv_iter_next(iter, &key, &value, ERR) at the end",
                     sarsen_kv_iter_next(iter, &key, &value, ERR), STATUS_BIT(SARSEN_END));
    }
    sarsen_kv_iter_free(iter);
}
#define EXPECT(iter, from, to, reverse) expect(__FILE__, __LINE__, iter, from, to, reverse)

static sarsen_kv_iter *scan(const sarsen_store *store, const char *start, const char *end, bool reverse)
{
    sarsen_kv_iter *iter = NULL;
    CHECK_OK(sarsen_kv_scan(store, NULL, start, start == NULL ? 0 : strlen(start), end, end == NULL ? 0 : strlen(end),
                            reverse, &iter, ERR));
    CHECK(iter != NULL);
    return iter;
}

static sarsen_kv_iter *prefix(const sarsen_store *store, const char *start, bool reverse)
{
    sarsen_kv_iter *iter = NULL;
    CHECK_OK(sarsen_kv_prefix(store, NULL, start, strlen(start), reverse, &iter, ERR));
    CHECK(iter != NULL);
    return iter;
}

static void every_range_in_both_directions(void)
{
    for (int spread = 0; spread < 2; spread++) {
        sarsen_store *store = check_open(check_path(spread ? "spread" : "store"), (check_how){0});
        fill_sorted(store, spread != 0);
        for (int reverse = 0; reverse < 2; reverse++) {
            EXPECT(scan(store, NULL, NULL, reverse), 0, SORTED, reverse);
            EXPECT(scan(store, "", "", reverse), 0, SORTED, reverse);
            for (size_t from = 1; from < SORTED; from++) {
                EXPECT(scan(store, sorted[from], NULL, reverse), from, SORTED, reverse);
                EXPECT(scan(store, NULL, sorted[from], reverse), 0, from, reverse);
                for (size_t to = 1; to < SORTED; to++)
                    EXPECT(scan(store, sorted[from], sorted[to], reverse), from, to < from ? from : to, reverse);
            }
            EXPECT(scan(store, "aaa", "abb", reverse), 3, 5, reverse); /* bounds that are no keys */
            EXPECT(scan(store, "d", "e", reverse), 10, 10, reverse);
        }
        check_close(store);
    }
}

static void prefixes_in_both_directions(void)
{
    sarsen_store *store = check_open(check_path("store"), (check_how){0});
    fill_sorted(store, true);
    for (int reverse = 0; reverse < 2; reverse++) {
        EXPECT(prefix(store, "", reverse), 0, SORTED, reverse);
        EXPECT(prefix(store, "a", reverse), 1, 6, reverse);
        EXPECT(prefix(store, "ab", reverse), 3, 6, reverse);
        EXPECT(prefix(store, "abc", reverse), 5, 6, reverse);
        EXPECT(prefix(store, "abcd", reverse), 6, 6, reverse);
        EXPECT(prefix(store, "c", reverse), 8, 10, reverse);
        EXPECT(prefix(store, "\xff", reverse), 11, 14, reverse); /* no next prefix to stop at */
        EXPECT(prefix(store, "\xff\xff", reverse), 13, 14, reverse);
        EXPECT(prefix(store, "x", reverse), 11, 11, reverse);
    }
    check_close(store);
}

static void an_empty_store_scans_to_end(void)
{
    sarsen_store *store = check_open(check_path("store"), (check_how){0});
    uint8_t buffer[100];
    size_t len = 99, count = 99;
    sarsen_kv_iter *iter = scan(store, NULL, NULL, false);
    CHECK_IS(SARSEN_END, sarsen_kv_iter_fill(iter, buffer, sizeof buffer, &len, &count, ERR));
    CHECK_NUMBER(count, 0);
    EXPECT(iter, 0, 0, false);
    EXPECT(scan(store, NULL, NULL, true), 0, 0, true);
    /* What only other kinds of data hold is not in here. */
    CHECK_OK(sarsen_stream_append(store, STR("a"), STR("a"), NULL, ERR));
    CHECK_OK(sarsen_memory_append(store, 1, NULL, STR("a"), ERR));
    EXPECT(scan(store, NULL, NULL, false), 0, 0, false);
    check_close(store);
}

static void a_scan_sees_one_snapshot_throughout(void)
{
    sarsen_store *store = check_open(check_path("store"), (check_how){0});
    sarsen_kv_iter *forward, *backward, *by_prefix;
    sarsen_bytes key, value;

    fill_sorted(store, true);
    forward = scan(store, NULL, NULL, false);
    backward = scan(store, NULL, NULL, true);
    by_prefix = prefix(store, "a", false);
    CHECK_OK(sarsen_kv_iter_next(forward, &key, &value, ERR));
    CHECK_NUMBER(key.len, 0);
    for (size_t i = 0; i < SORTED; i++) {
        if (i % 2 == 0) CHECK_OK(sarsen_kv_delete(store, sorted[i], strlen(sorted[i]), ERR));
        else check_set(store, sorted[i], "changed");
    }
    check_set(store, "abb", "new");
    CHECK_OK(sarsen_store_checkpoint(store, ERR));
    CHECK_OK(sarsen_store_compact(store, ERR));
    EXPECT(forward, 1, SORTED, false);
    EXPECT(backward, 0, SORTED, true);
    EXPECT(by_prefix, 1, 6, false);
    check_close(store);
}

static void deleted_keys_are_skipped(void)
{
    sarsen_store *store = check_open(check_path("store"), (check_how){0});
    fill_sorted(store, true);
    check_set(store, "aab", "gone");
    check_set(store, "zz", "gone");
    CHECK_OK(sarsen_store_checkpoint(store, ERR));
    CHECK_OK(sarsen_kv_delete(store, STR("aab"), ERR));
    CHECK_OK(sarsen_kv_delete(store, STR("zz"), ERR));
    EXPECT(scan(store, NULL, NULL, false), 0, SORTED, false);
    CHECK_OK(sarsen_store_checkpoint(store, ERR));
    EXPECT(scan(store, NULL, NULL, true), 0, SORTED, true);
    CHECK_OK(sarsen_store_compact(store, ERR));
    EXPECT(scan(store, NULL, NULL, false), 0, SORTED, false);
    check_close(store);
}

/* Reads whole records off a filled buffer and compares them with sorted[*at...]. */
static void expect_records(const uint8_t *buffer, size_t len, size_t count, size_t *at)
{
    size_t place = 0;
    for (size_t i = 0; i < count; i++) {
        uint32_t key_len, value_len;
        CHECK(len - place >= 8);
        key_len = check_u32(buffer + place);
        value_len = check_u32(buffer + place + 4);
        place += 8;
        CHECK(len - place >= (size_t)key_len + value_len);
        CHECK_BYTES(buffer + place, key_len, sorted[*at], strlen(sorted[*at]));
        CHECK_BYTES(buffer + place + key_len, value_len, sorted[*at], strlen(sorted[*at]));
        place += (size_t)key_len + value_len;
        (*at)++;
    }
    CHECK_NUMBER(place, len);
}

static void fill_gives_as_many_whole_records_as_fit(void)
{
    sarsen_store *store = check_open(check_path("store"), (check_how){0});
    fill_sorted(store, true);
    for (size_t cap = 14; cap < 260; cap++) {
        sarsen_kv_iter *iter = scan(store, NULL, NULL, false);
        uint8_t buffer[260];
        size_t at = 0, len = 0, count = 0;
        for (;;) {
            size_t left = SORTED - at, fitting = 0, size = 0;
            sarsen_status status;
            while (fitting < left && size + 8 + 2 * strlen(sorted[at + fitting]) <= cap)
                size += 8 + 2 * strlen(sorted[at + fitting++]);
            memset(buffer, 0xa5, sizeof buffer);
            CHECK_IN(STATUS_BIT(SARSEN_OK) | STATUS_BIT(SARSEN_END),
                     sarsen_kv_iter_fill(iter, buffer, cap, &len, &count, ERR));
            status = check_last.status;
            CHECK_NUMBER(status, left == 0 ? SARSEN_END : SARSEN_OK);
            if (status == SARSEN_END) break;
            CHECK_NUMBER(count, fitting);
            CHECK_NUMBER(len, size);
            for (size_t i = cap; i < sizeof buffer; i++) CHECK(buffer[i] == 0xa5);
            expect_records(buffer, len, count, &at);
        }
        CHECK_NUMBER(count, 0);
        sarsen_kv_iter_free(iter);
    }
    check_close(store);
}

static void fill_too_small_says_what_it_needs_and_does_not_move(void)
{
    sarsen_store *store = check_open(check_path("store"), (check_how){0});
    uint8_t *value = check_filled_new(100000, 5), *buffer;
    sarsen_kv_iter *iter;
    sarsen_bytes key, got;
    size_t len = 0, count = 9;

    check_set(store, "a", "one");
    CHECK_OK(sarsen_kv_set(store, STR("b"), value, 100000, ERR));
    check_set(store, "c", "three");
    iter = scan(store, NULL, NULL, false);
    CHECK_IS(SARSEN_TOO_LARGE, sarsen_kv_iter_fill(iter, NULL, 0, &len, &count, ERR));
    CHECK_NUMBER(len, 8 + 1 + 3);
    buffer = malloc(len);
    CHECK_OK(sarsen_kv_iter_fill(iter, buffer, len, &len, &count, ERR));
    CHECK_NUMBER(count, 1);
    CHECK_BYTES(buffer + 8, 4, "aone", 4);
    CHECK_IS(SARSEN_TOO_LARGE, sarsen_kv_iter_fill(iter, buffer, len, &len, &count, ERR));
    CHECK_NUMBER(len, 8 + 1 + 100000);
    CHECK_IS(SARSEN_TOO_LARGE, sarsen_kv_iter_fill(iter, buffer, 8, &len, &count, ERR));
    CHECK_NUMBER(len, 8 + 1 + 100000);
    free(buffer);
    buffer = malloc(len);
    CHECK_OK(sarsen_kv_iter_fill(iter, buffer, len, &len, &count, ERR));
    CHECK_NUMBER(count, 1);
    CHECK_BYTES(buffer + 9, len - 9, value, 100000);
    /* next and fill take turns on one iterator */
    CHECK_OK(sarsen_kv_iter_next(iter, &key, &got, ERR));
    CHECK_BYTES(got.data, got.len, "three", 5);
    CHECK_IS(SARSEN_END, sarsen_kv_iter_fill(iter, buffer, len, &len, &count, ERR));
    CHECK_NUMBER(count, 0);
    sarsen_kv_iter_free(iter);
    free(buffer);
    free(value);
    check_close(store);
}

static void values_of_every_size_pass_through_a_scan(void)
{
    const char *path = check_path("store");
    sarsen_store *store = check_open(path, (check_how){0});
    for (uint8_t i = 0; i < check_sizes_count; i++) {
        uint8_t *value = check_filled_new(check_sizes[i], i);
        CHECK_OK(sarsen_kv_set(store, &i, 1, value, check_sizes[i], ERR));
        free(value);
    }
    for (int round = 0; round < 3; round++) {
        for (int reverse = 0; reverse < 2; reverse++) {
            sarsen_kv_iter *iter = scan(store, NULL, NULL, reverse);
            sarsen_bytes key, value;
            for (size_t i = 0; i < check_sizes_count; i++) {
                size_t at = reverse ? check_sizes_count - 1 - i : i;
                CHECK_OK(sarsen_kv_iter_next(iter, &key, &value, ERR));
                CHECK(key.len == 1 && key.data[0] == at);
                CHECK_FILLED(value.data, value.len, check_sizes[at], at);
            }
            CHECK_IS(SARSEN_END, sarsen_kv_iter_next(iter, &key, &value, ERR));
            sarsen_kv_iter_free(iter);
        }
        if (round == 0) CHECK_OK(sarsen_store_checkpoint(store, ERR));
        if (round == 1) store = check_reopen(store, path, (check_how){0});
    }
    check_close(store);
}

/* 40,000 keys over several runs, a third of them overwritten or deleted since: scanned whole, by range and by fill. */
static void many_keys_over_many_runs(void)
{
    enum { KEYS = 40000, CAP = 10000 };
    sarsen_store *store = check_open(check_path("store"), (check_how){.memory_bytes = 4 << 20});
    sarsen_batch *batch = sarsen_batch_new();
    static uint32_t versions[KEYS]; /* 0: absent */
    uint8_t *buffer = malloc(CAP);
    sarsen_kv_iter *iter;
    size_t len, count, seen;
    uint32_t at;

    memset(versions, 0, sizeof versions);
    for (uint32_t pass = 1; pass <= 3; pass++) {
        for (uint32_t i = 0; i < KEYS; i++) {
            uint32_t number = (uint32_t)((uint64_t)i * 7919 % KEYS);
            char key[16], value[32];
            if (pass > 1 && check_below(3) != 0) continue;
            snprintf(key, sizeof key, "key%08u", number);
            snprintf(value, sizeof value, "%08u.%u", number, pass);
            if (pass == 3 && check_below(2) == 0) {
                CHECK_OK(sarsen_batch_delete_kv(batch, key, strlen(key), ERR));
                versions[number] = 0;
            } else {
                CHECK_OK(sarsen_batch_set_kv(batch, key, strlen(key), value, strlen(value), ERR));
                versions[number] = pass;
            }
            if (sarsen_batch_count(batch) == 1000) CHECK_OK(sarsen_batch_commit(batch, store, 0, NULL, ERR));
        }
        CHECK_OK(sarsen_batch_commit(batch, store, 0, NULL, ERR));
        if (pass < 3) CHECK_OK(sarsen_store_checkpoint(store, ERR));
    }
    for (int round = 0; round < 2; round++) {
        iter = scan(store, NULL, NULL, false);
        at = 0;
        seen = 0;
        for (;;) {
            size_t place = 0;
            CHECK_IN(STATUS_BIT(SARSEN_OK) | STATUS_BIT(SARSEN_END),
                     sarsen_kv_iter_fill(iter, buffer, CAP, &len, &count, ERR));
            if (check_last.status == SARSEN_END) break;
            for (size_t i = 0; i < count; i++, at++, seen++) {
                char key[16], value[32];
                while (at < KEYS && versions[at] == 0) at++;
                CHECK(at < KEYS);
                snprintf(key, sizeof key, "key%08u", at);
                snprintf(value, sizeof value, "%08u.%u", at, versions[at]);
                CHECK_NUMBER(check_u32(buffer + place), strlen(key));
                CHECK_NUMBER(check_u32(buffer + place + 4), strlen(value));
                CHECK_BYTES(buffer + place + 8, strlen(key), key, strlen(key));
                CHECK_BYTES(buffer + place + 8 + strlen(key), strlen(value), value, strlen(value));
                place += 8 + strlen(key) + strlen(value);
            }
        }
        while (at < KEYS && versions[at] == 0) at++;
        CHECK_NUMBER(at, KEYS);
        sarsen_kv_iter_free(iter);

        for (int i = 0; i < 200; i++) {
            uint32_t from = (uint32_t)check_below(KEYS), to = from + (uint32_t)check_below(300);
            bool reverse = check_below(2) == 0;
            char start[16], end[16];
            sarsen_bytes key, value;
            snprintf(start, sizeof start, "key%08u", from);
            snprintf(end, sizeof end, "key%08u", to);
            iter = scan(store, start, end, reverse);
            for (uint32_t step = from; step < to; step++) {
                uint32_t number = reverse ? to - 1 - (step - from) : step;
                if (number >= KEYS || versions[number] == 0) continue;
                snprintf(start, sizeof start, "key%08u", number);
                CHECK_OK(sarsen_kv_iter_next(iter, &key, &value, ERR));
                CHECK_BYTES(key.data, key.len, start, strlen(start));
            }
            CHECK_IS(SARSEN_END, sarsen_kv_iter_next(iter, &key, &value, ERR));
            sarsen_kv_iter_free(iter);
        }
        if (round == 0) CHECK_OK(sarsen_store_compact(store, ERR));
    }
    sarsen_batch_free(batch);
    free(buffer);
    check_close(store);
}

static void after_close_the_last_bytes_stay_and_next_refuses(void)
{
    for (int checkpointed = 0; checkpointed < 2; checkpointed++) {
        sarsen_store *store = check_open(check_path(checkpointed ? "run" : "log"), (check_how){0});
        sarsen_kv_iter *iter;
        sarsen_bytes key, value;
        uint8_t buffer[100];
        size_t len = 0, count = 0;
        fill_sorted(store, false);
        if (checkpointed) CHECK_OK(sarsen_store_checkpoint(store, ERR));
        iter = scan(store, "abc", NULL, false);
        CHECK_OK(sarsen_kv_iter_next(iter, &key, &value, ERR));
        check_close(store);
        CHECK_BYTES(key.data, key.len, "abc", 3);
        CHECK_BYTES(value.data, value.len, "abc", 3);
        CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_kv_iter_next(iter, &key, &value, ERR));
        CHECK(key.data == NULL && value.data == NULL);
        CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_kv_iter_fill(iter, buffer, sizeof buffer, &len, &count, ERR));
        sarsen_kv_iter_free(iter);
    }
    sarsen_kv_iter_free(NULL);
}

/* CORRUPT stands in the place of one pair, whichever way the pairs are read. */
static void fill_hands_out_every_pair_around_a_damaged_one(void)
{
    enum { PAIRS = 40, DAMAGED = 17, LEN = 3000, CAP = 1 << 20 };
    const char *path = check_path("store");
    sarsen_store *store = check_open(path, (check_how){0});
    uint8_t *buffer = malloc(CAP);
    for (uint8_t i = 0; i < PAIRS; i++) {
        uint8_t *value = check_filled_new(LEN, i);
        CHECK_OK(sarsen_kv_set(store, &i, 1, value, LEN, ERR));
        free(value);
    }
    check_close(store);
    check_damage_block(path, LEN, DAMAGED);

    store = check_open(path, (check_how){0});
    sarsen_kv_iter *iter = scan(store, NULL, NULL, false);
    size_t len = 0, count = 0;
    CHECK_OK(sarsen_kv_iter_fill(iter, buffer, CAP, &len, &count, ERR));
    CHECK_NUMBER(count, DAMAGED);
    CHECK_IS(SARSEN_CORRUPT, sarsen_kv_iter_fill(iter, buffer, CAP, &len, &count, ERR));
    CHECK_NUMBER(count, 0);
    CHECK_OK(sarsen_kv_iter_fill(iter, buffer, CAP, &len, &count, ERR));
    CHECK_NUMBER(count, PAIRS - DAMAGED - 1);
    for (size_t i = 0; i < count; i++) {
        const uint8_t *pair = buffer + i * (8 + 1 + LEN);
        CHECK_NUMBER(pair[8], DAMAGED + 1 + i);
        CHECK_FILLED(pair + 9, LEN, LEN, DAMAGED + 1 + i);
    }
    CHECK_IS(SARSEN_END, sarsen_kv_iter_fill(iter, buffer, CAP, &len, &count, ERR));
    sarsen_kv_iter_free(iter);
    free(buffer);
    check_close(store);
}

static const check_case cases[] = {
    CASE(every_range_in_both_directions),
    CASE(prefixes_in_both_directions),
    CASE(an_empty_store_scans_to_end),
    CASE(a_scan_sees_one_snapshot_throughout),
    CASE(deleted_keys_are_skipped),
    CASE(fill_gives_as_many_whole_records_as_fit),
    CASE(fill_too_small_says_what_it_needs_and_does_not_move),
    CASE(fill_hands_out_every_pair_around_a_damaged_one),
    CASE(values_of_every_size_pass_through_a_scan),
    CASE(many_keys_over_many_runs),
    CASE(after_close_the_last_bytes_stay_and_next_refuses),
};
CHECK_MAIN(cases)
