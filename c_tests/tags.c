/* Tag sets: what a tag may be, that a set is a set, and finding memories by all, any and none. */
#include "check.h"

static void a_set_holds_each_tag_once(void)
{
    sarsen_tags *tags = sarsen_tags_new();
    sarsen_bytes tag;
    CHECK(tags != NULL);
    CHECK_NUMBER(sarsen_tags_count(tags), 0);
    CHECK_OK(sarsen_tags_add(tags, STR("red")));
    CHECK_OK(sarsen_tags_add(tags, STR("gr\xc3\xbcn")));
    CHECK_OK(sarsen_tags_add(tags, STR("red")));
    CHECK_OK(sarsen_tags_add(tags, STR("with\0nul")));
    CHECK_OK(sarsen_tags_add(tags, "blue, cut off", 4)); /* the length counts, not a terminator */
    CHECK_NUMBER(sarsen_tags_count(tags), 4);
    CHECK(check_has_tag(tags, "red") && check_has_tag(tags, "gr\xc3\xbcn") && check_has_tag(tags, "blue"));
    CHECK(!check_has_tag(tags, "re") && !check_has_tag(tags, "with"));
    tag = sarsen_tags_get(tags, 0); /* in byte order */
    CHECK_BYTES(tag.data, tag.len, "blue", 4);
    tag = sarsen_tags_get(tags, 3);
    CHECK_BYTES(tag.data, tag.len, "with\0nul", 8);
    tag = sarsen_tags_get(tags, 4);
    CHECK(tag.data == NULL && tag.len == 0);
    tag = sarsen_tags_get(tags, SIZE_MAX);
    CHECK(tag.data == NULL && tag.len == 0);
    sarsen_tags_free(tags);
    sarsen_tags_free(NULL);
    CHECK_NUMBER(sarsen_tags_count(NULL), 0);
    CHECK(sarsen_tags_get(NULL, 0).data == NULL);
}

static void tags_are_utf8_of_1_to_1024_bytes(void)
{
    sarsen_tags *tags = sarsen_tags_new();
    char longest[1025];
    const char *const broken[] = {"\xff", "a\xc3", "\xc0\xaf", "\xed\xa0\x80", "\xf5\x80\x80\x80", "\x80"};
    memset(longest, 't', sizeof longest);
    CHECK_OK(sarsen_tags_add(tags, longest, 1024));
    CHECK_IS(SARSEN_TOO_LARGE, sarsen_tags_add(tags, longest, 1025));
    CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_tags_add(tags, NONE));
    CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_tags_add(tags, "", 0));
    for (size_t i = 0; i < COUNT_OF(broken); i++)
        CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_tags_add(tags, broken[i], strlen(broken[i])));
    CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_tags_add(NULL, STR("tag")));
    CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_tags_add(tags, NULL, 3));
    CHECK_NUMBER(sarsen_tags_count(tags), 1);
    sarsen_tags_free(tags);
}

static void a_memory_carries_up_to_1024_tags(void)
{
    const char *path = check_path("store");
    sarsen_store *store = check_open(path, (check_how){0});
    sarsen_tags *tags = sarsen_tags_new(), *got = NULL, *one;
    sarsen_memory_iter *iter = NULL;
    sarsen_block block;
    sarsen_bytes data;
    uint64_t id = 0;
    char tag[1024];

    for (int i = 0; i < 1024; i++) {
        memset(tag, 'x', sizeof tag);
        snprintf(tag, sizeof tag, "%d", i); /* 1,024 bytes each: 1 MiB of tags */
        tag[strlen(tag)] = '-';
        CHECK_OK(sarsen_tags_add(tags, tag, sizeof tag));
    }
    CHECK_NUMBER(sarsen_tags_count(tags), 1024);
    CHECK_OK(sarsen_memory_append(store, 7, tags, STR("data"), ERR));
    for (int round = 0; round < 3; round++) {
        CHECK_OK(sarsen_memory_info(store, NULL, 7, &block, &got, ERR));
        CHECK_NUMBER(sarsen_tags_count(got), 1024);
        sarsen_tags_free(got);
        one = sarsen_tags_new();
        CHECK_OK(sarsen_tags_add(one, tag, sizeof tag));
        CHECK_OK(sarsen_memory_find(store, NULL, one, NULL, NULL, 0, &iter, ERR));
        CHECK_OK(sarsen_memory_iter_next(iter, &id, &data, ERR));
        CHECK_NUMBER(id, 7);
        sarsen_memory_iter_free(iter);
        sarsen_tags_free(one);
        if (round == 0) CHECK_OK(sarsen_store_checkpoint(store, ERR));
        if (round == 1) store = check_reopen(store, path, (check_how){0});
    }
    CHECK_IS(SARSEN_TOO_LARGE, sarsen_tags_add(tags, STR("one too many")));
    CHECK_OK(sarsen_tags_add(tags, tag, sizeof tag)); /* there already */
    CHECK_NUMBER(sarsen_tags_count(tags), 1024);
    sarsen_tags_free(tags);
    check_close(store);
}

enum { IDS = 64, LETTERS = 6 }; /* memory id carries letter l when bit l of (id * 2654435761 >> 7) is set */

static bool carries(uint64_t id, unsigned letter)
{
    return ((id * 2654435761u >> 7) >> letter & 1) != 0;
}

static sarsen_tags *letters(unsigned set)
{
    sarsen_tags *tags = sarsen_tags_new();
    for (unsigned l = 0; l < LETTERS; l++) {
        char tag[2] = {(char)('a' + (char)l), 0};
        if (set >> l & 1) CHECK_OK(sarsen_tags_add(tags, tag, 1));
    }
    return tags;
}

static bool matches(uint64_t id, unsigned all, unsigned any, unsigned none)
{
    bool one = any == 0;
    for (unsigned l = 0; l < LETTERS; l++) {
        if ((all >> l & 1) && !carries(id, l)) return false;
        if ((none >> l & 1) && carries(id, l)) return false;
        if ((any >> l & 1) && carries(id, l)) one = true;
    }
    return one;
}

static void find_by_all_any_none(void)
{
    const char *path = check_path("store");
    sarsen_store *store = check_open(path, (check_how){0});
    for (uint64_t i = 0; i < IDS; i++) {
        uint64_t id = i * 29 % IDS; /* written out of order */
        unsigned set = 0;
        sarsen_tags *tags;
        for (unsigned l = 0; l < LETTERS; l++) set |= (unsigned)carries(id, l) << l;
        tags = letters(set);
        CHECK_OK(sarsen_memory_append(store, id, tags, &id, sizeof id, ERR));
        sarsen_tags_free(tags);
        if (i % 20 == 19) CHECK_OK(sarsen_store_checkpoint(store, ERR));
    }
    for (int round = 0; round < 3; round++) {
        for (int query = 0; query < 400; query++) {
            unsigned all = (unsigned)(check_below(64) & check_below(64) & check_below(64));
            unsigned any = query % 3 == 0 ? 0 : (unsigned)check_below(64);
            unsigned none = (unsigned)(check_below(64) & check_below(64));
            uint64_t from = query % 4 == 0 ? check_below(IDS + 3) : 0;
            sarsen_tags *tags_all = all == 0 && query % 2 == 0 ? NULL : letters(all);
            sarsen_tags *tags_any = any == 0 && query % 2 == 0 ? NULL : letters(any);
            sarsen_tags *tags_none = none == 0 && query % 2 == 0 ? NULL : letters(none);
            sarsen_memory_iter *iter = NULL;
            sarsen_bytes data;
            uint64_t got = 99;
            CHECK_OK(sarsen_memory_find(store, NULL, tags_all, tags_any, tags_none, from, &iter, ERR));
            sarsen_tags_free(tags_all); /* the search keeps what it needs */
            sarsen_tags_free(tags_any);
            sarsen_tags_free(tags_none);
            for (uint64_t id = from; id < IDS; id++) {
                if (!matches(id, all, any, none)) continue;
                CHECK_OK(sarsen_memory_iter_next(iter, &got, &data, ERR));
                CHECK_NUMBER(got, id);
                CHECK_BYTES(data.data, data.len, &id, sizeof id);
            }
            CHECK_IS(SARSEN_END, sarsen_memory_iter_next(iter, &got, &data, ERR));
            CHECK_IS(SARSEN_END, sarsen_memory_iter_next(iter, &got, &data, ERR));
            sarsen_memory_iter_free(iter);
        }
        if (round == 0) CHECK_OK(sarsen_store_compact(store, ERR));
        if (round == 1) store = check_reopen(store, path, (check_how){0});
    }
    check_close(store);
}

static size_t found(const sarsen_store *store, const char *tag)
{
    sarsen_tags *all = check_tags(tag, NULL);
    sarsen_memory_iter *iter = NULL;
    sarsen_bytes data;
    uint64_t id;
    size_t count = 0;
    CHECK_OK(sarsen_memory_find(store, NULL, all, NULL, NULL, 0, &iter, ERR));
    for (;; count++) {
        CHECK_IN(STATUS_BIT(SARSEN_OK) | STATUS_BIT(SARSEN_END), sarsen_memory_iter_next(iter, &id, &data, ERR));
        if (check_last.status == SARSEN_END) break;
    }
    sarsen_memory_iter_free(iter);
    sarsen_tags_free(all);
    return count;
}

static void tags_match_whole_and_one_may_begin_another(void)
{
    sarsen_store *store = check_open(check_path("store"), (check_how){0});
    const char *const texts[] = {"a", "ab", "abc", "b"};
    for (uint64_t i = 0; i < COUNT_OF(texts); i++) {
        sarsen_tags *tags = check_tags(texts[i], NULL);
        CHECK_OK(sarsen_memory_append(store, i, tags, NONE, ERR));
        sarsen_tags_free(tags);
    }
    for (int round = 0; round < 2; round++) {
        for (size_t i = 0; i < COUNT_OF(texts); i++) CHECK_NUMBER(found(store, texts[i]), 1);
        CHECK_NUMBER(found(store, "abcd"), 0);
        CHECK_NUMBER(found(store, "bc"), 0);
        CHECK_OK(sarsen_store_checkpoint(store, ERR));
    }
    check_close(store);
}

static void replacing_and_deleting_a_memory_takes_its_old_tags_along(void)
{
    const char *path = check_path("store");
    sarsen_store *store = check_open(path, (check_how){0});
    sarsen_tags *old = check_tags("old", "both", NULL), *new = check_tags("new", "both", NULL);
    for (int spread = 0; spread < 2; spread++) {
        for (uint64_t id = 0; id < 10; id++) CHECK_OK(sarsen_memory_append(store, id, old, STR("old"), ERR));
        if (spread) CHECK_OK(sarsen_store_checkpoint(store, ERR));
        for (uint64_t id = 0; id < 5; id++) CHECK_OK(sarsen_memory_append(store, id, new, STR("new"), ERR));
        for (uint64_t id = 8; id < 10; id++) CHECK_OK(sarsen_memory_delete(store, id, ERR));
        for (int round = 0; round < 4; round++) {
            CHECK_NUMBER(found(store, "old"), 3);
            CHECK_NUMBER(found(store, "new"), 5);
            CHECK_NUMBER(found(store, "both"), 8);
            if (round == 0) CHECK_OK(sarsen_store_checkpoint(store, ERR));
            if (round == 1) CHECK_OK(sarsen_store_compact(store, ERR));
            if (round == 2) store = check_reopen(store, path, (check_how){0});
        }
    }
    /* Back to tags it had before: the oldest version's entries must not come back as others', nor be lost. */
    CHECK_OK(sarsen_memory_append(store, 0, old, STR("old again"), ERR));
    CHECK_NUMBER(found(store, "old"), 4);
    CHECK_NUMBER(found(store, "new"), 4);
    CHECK_OK(sarsen_store_compact(store, ERR));
    CHECK_NUMBER(found(store, "old"), 4);
    CHECK_NUMBER(found(store, "new"), 4);
    sarsen_tags_free(old);
    sarsen_tags_free(new);
    check_close(store);
}

static const check_case cases[] = {
    CASE(a_set_holds_each_tag_once),
    CASE(tags_are_utf8_of_1_to_1024_bytes),
    CASE(a_memory_carries_up_to_1024_tags),
    CASE(find_by_all_any_none),
    CASE(tags_match_whole_and_one_may_begin_another),
    CASE(replacing_and_deleting_a_memory_takes_its_old_tags_along),
};
CHECK_MAIN(cases)
