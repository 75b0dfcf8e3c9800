/* Key-value: set, get, read, get_many, delete, at every size and limit, and against a model. */
#include "check.h"

enum { KEY_MAX = 65535 };

static void set_get_overwrite_delete(void)
{
    const char *path = check_path("store");
    sarsen_store *store = check_open(path, (check_how){0});
    CHECK_KV(store, NULL, "key", NULL);
    check_set(store, "key", "one");
    CHECK_KV(store, NULL, "key", "one");
    check_set(store, "key", "two, which is longer");
    CHECK_KV(store, NULL, "key", "two, which is longer");
    CHECK_KV(store, NULL, "ke", NULL);
    CHECK_KV(store, NULL, "key ", NULL);
    CHECK_OK(sarsen_kv_delete(store, STR("key"), ERR));
    CHECK_KV(store, NULL, "key", NULL);
    CHECK_OK(sarsen_kv_delete(store, STR("key"), ERR)); /* deleting what is not there */
    store = check_reopen(store, path, (check_how){0});
    CHECK_KV(store, NULL, "key", NULL);
    check_set(store, "key", "three");
    CHECK_OK(sarsen_store_checkpoint(store, ERR));
    CHECK_KV(store, NULL, "key", "three");
    CHECK_OK(sarsen_kv_delete(store, STR("key"), ERR));
    CHECK_KV(store, NULL, "key", NULL);
    CHECK_OK(sarsen_store_compact(store, ERR));
    CHECK_KV(store, NULL, "key", NULL);
    check_close(store);
}

static void the_empty_key_and_the_empty_value_are_ordinary(void)
{
    const char *path = check_path("store");
    sarsen_store *store = check_open(path, (check_how){0});
    sarsen_view view;
    size_t len = 99;
    for (int round = 0; round < 3; round++) {
        if (round == 0) {
            CHECK_OK(sarsen_kv_set(store, NONE, STR("of the empty key"), ERR));
            CHECK_OK(sarsen_kv_set(store, STR("empty"), NONE, ERR));
            CHECK_OK(sarsen_kv_set(store, STR("empty too"), "", 0, ERR));
        }
        CHECK_OK(sarsen_kv_get(store, NULL, NONE, &view, ERR));
        CHECK_BYTES(view.data, view.len, "of the empty key", 16);
        sarsen_view_release(&view);
        CHECK_OK(sarsen_kv_get(store, NULL, "", 0, &view, ERR));
        CHECK_BYTES(view.data, view.len, "of the empty key", 16);
        sarsen_view_release(&view);
        CHECK_OK(sarsen_kv_get(store, NULL, STR("empty"), &view, ERR));
        CHECK_NUMBER(view.len, 0);
        sarsen_view_release(&view);
        CHECK_OK(sarsen_kv_read(store, NULL, STR("empty too"), NULL, 0, &len, ERR));
        CHECK_NUMBER(len, 0);
        if (round == 0) CHECK_OK(sarsen_store_checkpoint(store, ERR));
        if (round == 1) store = check_reopen(store, path, (check_how){0});
    }
    CHECK_OK(sarsen_kv_delete(store, NONE, ERR));
    CHECK_IS(SARSEN_NOT_FOUND, sarsen_kv_get(store, NULL, NONE, &view, ERR));
    CHECK_IS(SARSEN_NOT_FOUND, sarsen_kv_read(store, NULL, NONE, NULL, 0, &len, ERR));
    CHECK_KV(store, NULL, "empty", "");
    check_close(store);
}

static void keys_go_up_to_their_limit(void)
{
    const char *path = check_path("store");
    sarsen_store *store = check_open(path, (check_how){0});
    uint8_t *key = check_filled_new(KEY_MAX + 1, 9);
    const size_t lengths[] = {1, 127, 128, 255, 256, 4095, 4096, 65534, 65535};
    sarsen_view view;

    for (size_t i = 0; i < COUNT_OF(lengths); i++)
        CHECK_OK(sarsen_kv_set(store, key, lengths[i], &lengths[i], sizeof lengths[i], ERR));
    CHECK_IS(SARSEN_TOO_LARGE, sarsen_kv_set(store, key, KEY_MAX + 1, STR("value"), ERR));
    CHECK_IS(SARSEN_TOO_LARGE, sarsen_kv_delete(store, key, KEY_MAX + 1, ERR));
    CHECK_IN(STATUS_BIT(SARSEN_TOO_LARGE) | STATUS_BIT(SARSEN_NOT_FOUND),
             sarsen_kv_get(store, NULL, key, KEY_MAX + 1, &view, ERR));
    CHECK(view.data == NULL);
    CHECK_NUMBER(sarsen_store_last_seq(store), COUNT_OF(lengths)); /* refused writes took no seq */
    for (int round = 0; round < 3; round++) {
        for (size_t i = 0; i < COUNT_OF(lengths); i++) {
            CHECK_OK(sarsen_kv_get(store, NULL, key, lengths[i], &view, ERR));
            CHECK_BYTES(view.data, view.len, &lengths[i], sizeof lengths[i]);
            sarsen_view_release(&view);
        }
        if (round == 0) CHECK_OK(sarsen_store_checkpoint(store, ERR));
        if (round == 1) store = check_reopen(store, path, (check_how){0});
    }
    free(key);
    check_close(store);
}

static void values_of_every_size_come_back(void)
{
    const char *path = check_path("store");
    sarsen_store *store = check_open(path, (check_how){0});
    for (int round = 0; round < 4; round++) {
        for (size_t i = 0; i < check_sizes_count; i++) {
            sarsen_view view;
            uint8_t *buffer = malloc(check_sizes[i] + 1);
            size_t len = 0;
            if (round == 0) {
                check_fill(buffer, check_sizes[i], i);
                CHECK_OK(sarsen_kv_set(store, &i, sizeof i, buffer, check_sizes[i], ERR));
                memset(buffer, 0, check_sizes[i]); /* the library took a copy */
            }
            CHECK_OK(sarsen_kv_get(store, NULL, &i, sizeof i, &view, ERR));
            CHECK_FILLED(view.data, view.len, check_sizes[i], i);
            sarsen_view_release(&view);
            CHECK_OK(sarsen_kv_read(store, NULL, &i, sizeof i, buffer, check_sizes[i], &len, ERR));
            CHECK_FILLED(buffer, len, check_sizes[i], i);
            free(buffer);
        }
        if (round == 0) CHECK_OK(sarsen_store_checkpoint(store, ERR));
        if (round == 1) CHECK_OK(sarsen_store_compact(store, ERR));
        if (round == 2) store = check_reopen(store, path, (check_how){0});
    }
    check_sound(store);
    check_close(store);
}

static void values_of_4_gib_are_refused_unread(void)
{
    sarsen_store *store = check_open(check_path("store"), (check_how){0});
    void *huge = check_untouchable((size_t)1 << 32);
    CHECK_IS(SARSEN_TOO_LARGE, sarsen_kv_set(store, STR("key"), huge, (size_t)1 << 32, ERR));
    CHECK_IS(SARSEN_TOO_LARGE, sarsen_kv_set(store, huge, (size_t)1 << 32, STR("value"), ERR));
    CHECK_IN(STATUS_BIT(SARSEN_TOO_LARGE) | STATUS_BIT(SARSEN_INVALID_ARGUMENT),
             sarsen_kv_set(store, STR("key"), huge, SIZE_MAX, ERR));
    CHECK_KV(store, NULL, "key", NULL);
    CHECK_NUMBER(sarsen_store_last_seq(store), 0);
    check_close(store);
}

static void read_copies_what_fits_and_says_the_whole_length(void)
{
    sarsen_store *store = check_open(check_path("store"), (check_how){0});
    const size_t sizes[] = {10, 5000, 200000};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        uint8_t *value = check_filled_new(sizes[i], i);
        const size_t caps[] = {0, 1, sizes[i] - 1, sizes[i], sizes[i] + 100};
        CHECK_OK(sarsen_kv_set(store, STR("key"), value, sizes[i], ERR));
        for (int round = 0; round < 2; round++) {
            for (size_t j = 0; j < COUNT_OF(caps); j++) {
                uint8_t *buffer = malloc(sizes[i] + 100);
                size_t copied = caps[j] < sizes[i] ? caps[j] : sizes[i], len = 0;
                memset(buffer, 0xa5, sizes[i] + 100);
                CHECK_OK(sarsen_kv_read(store, NULL, STR("key"), buffer, caps[j], &len, ERR));
                CHECK_NUMBER(len, sizes[i]);
                CHECK_BYTES(buffer, copied, value, copied);
                for (size_t at = copied; at < sizes[i] + 100; at++) CHECK(buffer[at] == 0xa5);
                free(buffer);
            }
            CHECK_OK(sarsen_store_checkpoint(store, ERR));
        }
        free(value);
    }
    check_close(store);
}

static void get_many_answers_each_key(void)
{
    enum { KEYS = 3000 };
    sarsen_store *store = check_open(check_path("store"), (check_how){0});
    static sarsen_bytes keys[KEYS];
    static sarsen_view views[KEYS];
    static sarsen_status answers[KEYS];
    static uint32_t names[KEYS];

    for (uint32_t i = 0; i < KEYS; i++) {
        uint8_t value[64];
        names[i] = i;
        keys[i] = (sarsen_bytes){(const uint8_t *)&names[i], sizeof names[i]};
        check_fill(value, sizeof value, i);
        if (i % 3 != 0) CHECK_OK(sarsen_kv_set(store, &i, sizeof i, value, i % 64, ERR));
        if (i == KEYS / 2) CHECK_OK(sarsen_store_checkpoint(store, ERR));
    }
    for (int round = 0; round < 2; round++) {
        sarsen_snapshot *snapshot = NULL;
        CHECK_OK(sarsen_snapshot_new(store, &snapshot, ERR));
        CHECK_OK(sarsen_kv_get_many(store, round == 0 ? NULL : snapshot, keys, KEYS, views, answers, ERR));
        for (uint32_t i = 0; i < KEYS; i++) {
            CHECK_NUMBER(answers[i], i % 3 == 0 ? SARSEN_NOT_FOUND : SARSEN_OK);
            if (i % 3 == 0) CHECK(views[i].data == NULL && views[i].pin == NULL);
            else CHECK_FILLED(views[i].data, views[i].len, i % 64, i);
            sarsen_view_release(&views[i]);
        }
        CHECK_OK(sarsen_store_compact(store, ERR));
        sarsen_snapshot_free(snapshot);
    }
    CHECK_OK(sarsen_kv_get_many(store, NULL, keys, 0, views, answers, ERR));
    CHECK_OK(sarsen_kv_get_many(store, NULL, NULL, 0, NULL, NULL, ERR));

    /* The same key may be asked for twice, and the empty key. */
    keys[0] = keys[1];
    keys[2] = (sarsen_bytes){NULL, 0};
    CHECK_OK(sarsen_kv_get_many(store, NULL, keys, 3, views, answers, ERR));
    CHECK_NUMBER(answers[0], SARSEN_OK);
    CHECK_NUMBER(answers[1], SARSEN_OK);
    CHECK_NUMBER(answers[2], SARSEN_NOT_FOUND);
    for (int i = 0; i < 3; i++) sarsen_view_release(&views[i]);
    check_close(store);
}

static void keys_and_values_are_bytes(void)
{
    sarsen_store *store = check_open(check_path("store"), (check_how){0});
    const char keys[][4] = {{0, 0, 0, 0}, {0, 0, 0, 1}, {0, 1, 0, 0}, {'\xff', '\xff', '\xff', '\xff'}, {'\xff', 0, 0, 0}};
    sarsen_view view;
    for (size_t i = 0; i < COUNT_OF(keys); i++)
        for (size_t len = 1; len <= 4; len++) CHECK_OK(sarsen_kv_set(store, keys[i], len, keys[i], len, ERR));
    CHECK_OK(sarsen_store_checkpoint(store, ERR));
    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        for (size_t len = 1; len <= 4; len++) {
            CHECK_OK(sarsen_kv_get(store, NULL, keys[i], len, &view, ERR));
            CHECK_BYTES(view.data, view.len, keys[i], len);
            sarsen_view_release(&view);
        }
    }
    check_close(store);
}

/* Seeded operations beside an array of what each key should hold. */
static void random_operations_agree_with_a_model(void)
{
    enum { KEYS = 300, ROUNDS = 6000 };
    const char *path = check_path("store");
    check_how how = {.memory_bytes = 4 << 20, .chunk_bytes = 1 << 20};
    sarsen_store *store = check_open(path, how);
    struct { bool there; uint64_t tag; size_t len; } model[KEYS];
    uint64_t seq = 0;

    memset(model, 0, sizeof model);
    for (uint64_t round = 0; round < ROUNDS; round++) {
        uint64_t dice = check_below(1000);
        uint64_t key = check_below(KEYS);
        if (dice < 500) {
            size_t len = check_below(20) == 0 ? check_below(100000) : check_below(300);
            uint8_t *value = check_filled_new(len, round);
            CHECK_OK(sarsen_kv_set(store, &key, sizeof key, value, len, ERR));
            free(value);
            model[key].there = true;
            model[key].tag = round;
            model[key].len = len;
            seq++;
        } else if (dice < 600) {
            CHECK_OK(sarsen_kv_delete(store, &key, sizeof key, ERR));
            model[key].there = false;
            seq = sarsen_store_last_seq(store);
        } else if (dice < 990) {
            sarsen_view view;
            CHECK_IS(model[key].there ? SARSEN_OK : SARSEN_NOT_FOUND,
                     sarsen_kv_get(store, NULL, &key, sizeof key, &view, ERR));
            if (model[key].there) CHECK_FILLED(view.data, view.len, model[key].len, model[key].tag);
            sarsen_view_release(&view);
        } else if (dice < 994) {
            CHECK_OK(sarsen_store_checkpoint(store, ERR));
        } else if (dice < 996) {
            CHECK_OK(sarsen_store_compact(store, ERR));
        } else if (dice < 998) {
            check_maintain(store);
        } else {
            store = check_reopen(store, path, how);
        }
        CHECK_NUMBER(sarsen_store_last_seq(store), seq);
    }
    for (uint64_t key = 0; key < KEYS; key++) {
        sarsen_view view;
        CHECK_IS(model[key].there ? SARSEN_OK : SARSEN_NOT_FOUND,
                 sarsen_kv_get(store, NULL, &key, sizeof key, &view, ERR));
        if (model[key].there) CHECK_FILLED(view.data, view.len, model[key].len, model[key].tag);
        sarsen_view_release(&view);
    }
    check_sound(store);
    check_close(store);
}

static const check_case cases[] = {
    CASE(set_get_overwrite_delete),
    CASE(the_empty_key_and_the_empty_value_are_ordinary),
    CASE(keys_go_up_to_their_limit),
    CASE(values_of_every_size_come_back),
    CASE(values_of_4_gib_are_refused_unread),
    CASE(read_copies_what_fits_and_says_the_whole_length),
    CASE(get_many_answers_each_key),
    CASE(keys_and_values_are_bytes),
    CASE(random_operations_agree_with_a_model),
};
CHECK_MAIN(cases)
