/* Import of the ancestral layout, written here byte by byte: state.wal, each record a u64 length and a
 * bincode-1 value (u32 variant, then fields; strings and vectors after a u64 length), and raw chunk files. */
#include "check.h"

#include <sys/stat.h>

typedef struct ancestor {
    const char *path;
    uint8_t wal[1 << 16];
    size_t wal_len, record_at; /* where the open record's length stands */
    uint64_t records;
    uint64_t chunk_len[3];
} ancestor;

static void put_number(ancestor *a, uint64_t value, size_t bytes)
{
    CHECK(sizeof a->wal - a->wal_len >= bytes);
    for (size_t i = 0; i < bytes; i++) a->wal[a->wal_len++] = (uint8_t)(value >> (8 * i));
}

static void put_bytes(ancestor *a, const void *data, size_t len)
{
    put_number(a, len, 8);
    CHECK(sizeof a->wal - a->wal_len >= len);
    if (len > 0) memcpy(a->wal + a->wal_len, data, len);
    a->wal_len += len;
}

static void record_begin(ancestor *a, uint32_t variant)
{
    a->record_at = a->wal_len;
    put_number(a, 0, 8);
    put_number(a, variant, 4);
}

static void record_end(ancestor *a)
{
    uint64_t len = a->wal_len - a->record_at - 8;
    for (size_t i = 0; i < 8; i++) a->wal[a->record_at + i] = (uint8_t)(len >> (8 * i));
    a->records++;
}

static void put_memory(ancestor *a, uint64_t id, uint32_t chunk, uint64_t offset, uint64_t len, const char *const *tags,
                       size_t tag_count)
{
    record_begin(a, 0);
    put_number(a, id, 8);
    put_number(a, chunk, 4);
    put_number(a, offset, 8);
    put_number(a, len, 8);
    put_number(a, tag_count, 8);
    for (size_t i = 0; i < tag_count; i++) put_bytes(a, tags[i], strlen(tags[i]));
    record_end(a);
}

static void put_set(ancestor *a, const char *key, const void *value, size_t len)
{
    record_begin(a, 1);
    put_bytes(a, key, strlen(key));
    put_bytes(a, value, len);
    record_end(a);
}

static void put_delete(ancestor *a, const char *key)
{
    record_begin(a, 2);
    put_bytes(a, key, strlen(key));
    record_end(a);
}

static void put_stream(ancestor *a, const char *key, uint32_t chunk, uint64_t offset, uint64_t len)
{
    record_begin(a, 3);
    put_bytes(a, key, strlen(key));
    put_number(a, chunk, 4);
    put_number(a, offset, 8);
    put_number(a, len, 8);
    record_end(a);
}

static ancestor *begin(const char *name)
{
    ancestor *a = calloc(1, sizeof *a);
    CHECK(a != NULL);
    a->path = check_path(name);
    CHECK_SYS(mkdir(a->path, 0755) == 0);
    CHECK_SYS(mkdir(check_join(a->path, "blocks"), 0755) == 0);
    return a;
}

/* Appends filled bytes to a chunk file and tells where. */
static uint64_t put_chunk(ancestor *a, uint32_t chunk, size_t len, uint64_t tag)
{
    char name[32];
    FILE *file;
    uint8_t *data = check_filled_new(len, tag);
    uint64_t offset = a->chunk_len[chunk];
    snprintf(name, sizeof name, "blocks/chunk_%04u.bin", chunk);
    file = fopen(check_join(a->path, name), "ab");
    CHECK_SYS(file != NULL);
    CHECK_SYS(len == 0 || fwrite(data, 1, len, file) == len);
    CHECK_SYS(fclose(file) == 0);
    a->chunk_len[chunk] += len;
    free(data);
    return offset;
}

static void end(ancestor *a)
{
    check_write_file(check_join(a->path, "state.wal"), a->wal, a->wal_len);
}

static const char *const tags[] = {"red", "gr\xc3\xbcn"};

/* Every kind of record, values of many sizes, over three chunks; things replaced and deleted on the way. */
static ancestor *rich(const char *name)
{
    ancestor *a = begin(name);
    uint64_t at;
    for (uint64_t i = 0; i < check_sizes_count; i++) {
        uint32_t chunk = (uint32_t)(i % 3);
        at = put_chunk(a, chunk, check_sizes[i], i);
        put_memory(a, i, chunk, at, check_sizes[i], tags, i % 3);
        at = put_chunk(a, chunk, check_sizes[i], 100 + i);
        put_stream(a, i % 2 == 0 ? "even" : "odd", chunk, at, check_sizes[i]);
    }
    at = put_chunk(a, 1, 500, 200);
    put_memory(a, 3, 1, at, 500, tags, 2); /* replaces memory 3 */
    put_stream(a, "shared", 1, at, 500);   /* names the same bytes */
    put_set(a, "key", "old", 3);
    put_set(a, "key", "new", 3);
    put_set(a, "", "", 0);
    put_set(a, "gone", "value", 5);
    put_delete(a, "gone");
    put_delete(a, "never");
    return a;
}

static void is_rich(const sarsen_store *store)
{
    sarsen_view view;
    sarsen_block block;
    sarsen_tags *got = NULL;
    for (uint64_t i = 0; i < check_sizes_count; i++) {
        bool replaced = i == 3;
        CHECK_OK(sarsen_memory_get(store, NULL, i, &view, ERR));
        CHECK_FILLED(view.data, view.len, replaced ? 500 : check_sizes[i], replaced ? 200 : i);
        sarsen_view_release(&view);
        CHECK_OK(sarsen_memory_info(store, NULL, i, &block, &got, ERR));
        CHECK_NUMBER(sarsen_tags_count(got), replaced ? 2 : i % 3);
        CHECK(check_has_tag(got, "red") == (replaced || i % 3 > 0));
        sarsen_tags_free(got);
        if (i % 2 == 0) CHECK_OK(sarsen_stream_get(store, NULL, STR("even"), i / 2, &view, ERR));
        else CHECK_OK(sarsen_stream_get(store, NULL, STR("odd"), i / 2, &view, ERR));
        CHECK_FILLED(view.data, view.len, check_sizes[i], 100 + i);
        sarsen_view_release(&view);
    }
    CHECK_OK(sarsen_stream_get(store, NULL, STR("shared"), 0, &view, ERR));
    CHECK_FILLED(view.data, view.len, 500, 200);
    sarsen_view_release(&view);
    CHECK_KV(store, NULL, "key", "new");
    CHECK_KV(store, NULL, "", "");
    CHECK_KV(store, NULL, "gone", NULL);
}

static void everything_comes_over(void)
{
    ancestor *a = rich("ancestor");
    const char *path = check_path("store");
    sarsen_store *store = check_open(path, (check_how){0});
    uint64_t commands = 0, before;
    end(a);
    before = check_tree_digest(a->path);
    CHECK_OK(sarsen_store_import(store, a->path, &commands, ERR));
    CHECK_NUMBER(commands, a->records);
    CHECK_NUMBER(sarsen_store_last_seq(store), a->records); /* one seq a record */
    CHECK_NUMBER(check_tree_digest(a->path), before);
    is_rich(store);
    check_remove_tree(a->path); /* nothing refers back */
    is_rich(store);
    check_sound(store);
    store = check_reopen(store, path, (check_how){0});
    is_rich(store);
    CHECK_NUMBER(sarsen_store_last_seq(store), a->records);
    check_set(store, "key", "newer");
    CHECK_NUMBER(sarsen_store_last_seq(store), a->records + 1);
    CHECK_OK(sarsen_store_compact(store, ERR));
    check_sound(store);
    check_close(store);
    free(a);
}

static void a_torn_last_record_ends_the_log(void)
{
    ancestor *a = begin("ancestor");
    size_t whole;
    put_set(a, "one", "1", 1);
    put_set(a, "two", "2", 1);
    whole = a->wal_len;
    put_set(a, "three", "3", 1);
    for (size_t len = whole; len <= a->wal_len; len++) {
        char name[32];
        sarsen_store *store;
        uint64_t commands = 99, expected = len == a->wal_len ? 3 : 2;
        snprintf(name, sizeof name, "store-%zu", len);
        check_write_file(check_join(a->path, "state.wal"), a->wal, len);
        store = check_open(check_path(name), (check_how){0});
        CHECK_OK(sarsen_store_import(store, a->path, &commands, ERR));
        CHECK_NUMBER(commands, expected);
        CHECK_NUMBER(sarsen_store_last_seq(store), expected);
        CHECK_KV(store, NULL, "two", "2");
        CHECK_KV(store, NULL, "three", expected == 3 ? "3" : NULL);
        check_close(store);
    }
    free(a);
}

static void an_empty_log_imports_as_nothing(void)
{
    ancestor *a = begin("ancestor");
    sarsen_store *store = check_open(check_path("store"), (check_how){0});
    uint64_t commands = 99;
    end(a);
    CHECK_OK(sarsen_store_import(store, a->path, &commands, ERR));
    CHECK_NUMBER(commands, 0);
    CHECK_OK(sarsen_store_import(store, a->path, NULL, ERR)); /* it still has no commit */
    CHECK_NUMBER(sarsen_store_last_seq(store), 0);
    check_close(store);
    free(a);
}

static void absent_bytes_fail_the_whole_import(void)
{
    const char *const names[] = {"offset", "length", "chunk", "overflow", "stream"};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        ancestor *a = begin(names[i]);
        char name[32];
        const char *path;
        sarsen_store *store;
        sarsen_view view;
        uint64_t at = put_chunk(a, 0, 1000, 1), commands = 99;
        put_set(a, "before", "1", 1);
        put_memory(a, 1, 0, at, 1000, NULL, 0);
        switch (i) {
        case 0: put_memory(a, 2, 0, 1001, 1, NULL, 0); break;
        case 1: put_memory(a, 2, 0, 0, 1001, NULL, 0); break;
        case 2: put_memory(a, 2, 7, 0, 10, NULL, 0); break;
        case 3: put_memory(a, 2, 0, UINT64_MAX - 5, 100, NULL, 0); break;
        default: put_stream(a, "s", 0, 500, 501);
        }
        put_set(a, "after", "1", 1);
        end(a);
        snprintf(name, sizeof name, "store-%zu", i);
        path = check_path(name);
        store = check_open(path, (check_how){0});
        for (int round = 0; round < 2; round++) {
            CHECK_IS(SARSEN_CORRUPT, sarsen_store_import(store, a->path, &commands, ERR));
            CHECK_NUMBER(commands, 0);
            CHECK_NUMBER(sarsen_store_last_seq(store), 0);
            CHECK_KV(store, NULL, "before", NULL);
            CHECK_IS(SARSEN_NOT_FOUND, sarsen_memory_get(store, NULL, 1, &view, ERR));
            store = check_reopen(store, path, (check_how){0});
        }
        check_set(store, "key", "value"); /* as good as new */
        CHECK_NUMBER(sarsen_store_last_seq(store), 1);
        check_sound(store);
        check_close(store);
        free(a);
    }
}

static void only_into_a_store_without_commits_and_only_from_what_is_one(void)
{
    ancestor *a = begin("ancestor");
    sarsen_store *store = check_open(check_path("store"), (check_how){0}), *reader;
    put_set(a, "key", "imported", 8);
    end(a);
    CHECK_SYS(mkdir(check_path("empty"), 0755) == 0);
    check_write_file(check_path("file"), STR("a file"));
    CHECK_REFUSED(sarsen_store_import(store, check_path("empty"), NULL, ERR));
    CHECK_REFUSED(sarsen_store_import(store, check_path("none"), NULL, ERR));
    CHECK_REFUSED(sarsen_store_import(store, check_path("file"), NULL, ERR));
    CHECK_REFUSED(sarsen_store_import(store, check_path("store"), NULL, ERR)); /* a store is no ancestor */
    CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_store_import(store, NULL, NULL, ERR));
    CHECK_NUMBER(sarsen_store_last_seq(store), 0);
    CHECK_NUMBER(check_count_entries(check_path("empty")), 0);
    CHECK(!check_exists(check_path("none")));
    reader = check_open(check_path("store"), (check_how){.read_only = true});
    CHECK_IS(SARSEN_READ_ONLY, sarsen_store_import(reader, a->path, NULL, ERR));
    check_close(reader);
    check_set(store, "key", "own");
    CHECK_REFUSED(sarsen_store_import(store, a->path, NULL, ERR));
    CHECK_KV(store, NULL, "key", "own");
    CHECK_NUMBER(sarsen_store_last_seq(store), 1);
    check_close(store);
    free(a);
}

/* Random damage to a good log: imported or refused, never half of it, never a crash. */
static void damaged_logs_do_no_harm(void)
{
    ancestor *a = begin("ancestor");
    uint64_t at = put_chunk(a, 0, 3000, 1);
    uint8_t *good;
    put_set(a, "one", "1", 1);
    put_memory(a, 1, 0, at, 1000, tags, 2);
    put_stream(a, "s", 0, at + 1000, 2000);
    put_delete(a, "one");
    good = malloc(a->wal_len);
    memcpy(good, a->wal, a->wal_len);
    for (int round = 0; round < 150; round++) {
        const char *path = check_path("store");
        sarsen_store *store = check_open(path, (check_how){0});
        uint64_t commands = 0;
        memcpy(a->wal, good, a->wal_len);
        for (uint64_t hits = 1 + check_below(3); hits > 0; hits--)
            a->wal[check_below(a->wal_len)] ^= (uint8_t)(1u << check_below(8));
        end(a);
        CHECK_IN(~STATUS_BIT(SARSEN_INTERNAL) & ~STATUS_BIT(SARSEN_POISONED),
                 sarsen_store_import(store, a->path, &commands, ERR));
        CHECK_NUMBER(sarsen_store_last_seq(store), check_last.status == SARSEN_OK ? commands : 0);
        check_sound(store);
        check_close(store);
        check_remove_tree(path);
    }
    free(good);
    free(a);
}

static const check_case cases[] = {
    CASE(everything_comes_over),
    CASE(a_torn_last_record_ends_the_log),
    CASE(an_empty_log_imports_as_nothing),
    CASE(absent_bytes_fail_the_whole_import),
    CASE(only_into_a_store_without_commits_and_only_from_what_is_one),
    CASE(damaged_logs_do_no_harm),
};
CHECK_MAIN(cases)
