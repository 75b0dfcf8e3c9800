/* sarsen_batch_load: the byte layout of docs/FORMAT.md, every kind of command, and that anything else is
 * refused whole. The encoder here is written from that layout alone.
 *
 * A command: u8 kind, u8 flags (bit 0: block given by address), u16 tag_count, u32 key_len, u64 id,
 * u64 data_len, key, tags (u16 length and bytes each), data. Little-endian, no padding. */
#include "check.h"

enum { BY_ADDRESS = 1, HEADER = 24 };

typedef struct encoded {
    uint8_t bytes[1 << 20];
    size_t len;
} encoded;

static void put(encoded *out, const void *data, size_t len)
{
    CHECK(sizeof out->bytes - out->len >= len);
    if (len > 0) memcpy(out->bytes + out->len, data, len);
    out->len += len;
}

static void put_number(encoded *out, uint64_t value, size_t bytes)
{
    for (size_t i = 0; i < bytes; i++) {
        uint8_t byte = (uint8_t)(value >> (8 * i));
        put(out, &byte, 1);
    }
}

static void put_header(encoded *out, uint32_t kind, uint32_t flags, size_t tag_count, size_t key_len, uint64_t id,
                       uint64_t data_len)
{
    put_number(out, kind, 1);
    put_number(out, flags, 1);
    put_number(out, tag_count, 2);
    put_number(out, key_len, 4);
    put_number(out, id, 8);
    put_number(out, data_len, 8);
}

static void put_tag(encoded *out, const char *tag, size_t len)
{
    put_number(out, len, 2);
    put(out, tag, len);
}

static void put_numbered_tags(encoded *out, uint32_t count)
{
    for (uint32_t i = 0; i < count; i++) {
        char tag[8];
        snprintf(tag, sizeof tag, "%04u", i);
        put_tag(out, tag, 4);
    }
}

static void put_command(encoded *out, uint32_t kind, const char *key, uint64_t id, const char *const *tags,
                        size_t tag_count, const void *data, size_t data_len)
{
    put_header(out, kind, 0, tag_count, key == NULL ? 0 : strlen(key), id, data_len);
    if (key != NULL) put(out, key, strlen(key));
    for (size_t i = 0; i < tag_count; i++) put_tag(out, tags[i], strlen(tags[i]));
    put(out, data, data_len);
}

static void put_address(encoded *out, const sarsen_block *block)
{
    put_number(out, block->chunk, 4);
    put_number(out, block->crc32c, 4);
    put_number(out, block->offset, 8);
    put_number(out, block->len, 8);
}

/* A commit of every kind of command, twice: by calls, and loaded. Both stores must be alike. */
static void loaded_commands_do_what_the_calls_do(void)
{
    static encoded out;
    const char *const tags[] = {"red", "gr\xc3\xbcn"};
    sarsen_store *stores[2];
    sarsen_batch *batch = sarsen_batch_new();
    sarsen_tags *set = check_tags(tags[0], tags[1], NULL);
    uint8_t *large = check_filled_new(100000, 3);

    for (int loaded = 0; loaded < 2; loaded++) {
        sarsen_store *store = stores[loaded] = check_open(check_path(loaded ? "loaded" : "called"), (check_how){0});
        sarsen_block freed, named, block;
        sarsen_tags *got = NULL;
        sarsen_view view;
        uint64_t index = 99, seq = 0;

        CHECK_OK(sarsen_block_append(store, STR("freed"), &freed, ERR));
        CHECK_OK(sarsen_block_append(store, STR("named"), &named, ERR));
        check_set(store, "gone", "value");
        CHECK_OK(sarsen_memory_append(store, 4, NULL, STR("gone"), ERR));
        for (int i = 0; i < 3; i++) CHECK_OK(sarsen_stream_append(store, STR("trimmed"), STR("r"), NULL, ERR));

        CHECK_OK(sarsen_batch_set_kv(batch, STR("first"), STR("by call"), ERR)); /* loading appends to what is there */
        if (loaded) {
            out.len = 0;
            put_command(&out, SARSEN_COMMAND_APPEND_BLOCK, NULL, 0, NULL, 0, "block", 5);
            put_header(&out, SARSEN_COMMAND_FREE_BLOCK, 0, 0, 0, 0, 24);
            put_address(&out, &freed);
            put_command(&out, SARSEN_COMMAND_APPEND_MEMORY, NULL, 5, tags, 2, large, 100000);
            put_header(&out, SARSEN_COMMAND_APPEND_MEMORY, BY_ADDRESS, 1, 0, 6, 24);
            put_tag(&out, "red", 3);
            put_address(&out, &named);
            put_command(&out, SARSEN_COMMAND_DELETE_MEMORY, NULL, 4, NULL, 0, NULL, 0);
            put_command(&out, SARSEN_COMMAND_SET_KV, "key", 0, NULL, 0, "value", 5);
            put_command(&out, SARSEN_COMMAND_SET_KV, "", 0, NULL, 0, NULL, 0);
            put_command(&out, SARSEN_COMMAND_DELETE_KV, "gone", 0, NULL, 0, NULL, 0);
            put_command(&out, SARSEN_COMMAND_APPEND_STREAM, "s", 0, NULL, 0, "record", 6);
            put_header(&out, SARSEN_COMMAND_APPEND_STREAM, BY_ADDRESS, 0, 1, 0, 24);
            put(&out, "s", 1);
            put_address(&out, &named);
            put_command(&out, SARSEN_COMMAND_TRIM_STREAM, "trimmed", 2, NULL, 0, NULL, 0);
            CHECK_OK(sarsen_batch_load(batch, out.bytes, out.len, ERR));
            memset(out.bytes, 0, out.len); /* copied */
        } else {
            sarsen_tags *red = check_tags("red", NULL);
            CHECK_OK(sarsen_batch_append_block(batch, STR("block"), ERR));
            CHECK_OK(sarsen_batch_free_block(batch, &freed, ERR));
            CHECK_OK(sarsen_batch_append_memory(batch, 5, set, large, 100000, ERR));
            CHECK_OK(sarsen_batch_append_memory_block(batch, 6, red, &named, ERR));
            CHECK_OK(sarsen_batch_delete_memory(batch, 4, ERR));
            CHECK_OK(sarsen_batch_set_kv(batch, STR("key"), STR("value"), ERR));
            CHECK_OK(sarsen_batch_set_kv(batch, NONE, NONE, ERR));
            CHECK_OK(sarsen_batch_delete_kv(batch, STR("gone"), ERR));
            CHECK_OK(sarsen_batch_append_stream(batch, STR("s"), STR("record"), ERR));
            CHECK_OK(sarsen_batch_append_stream_block(batch, STR("s"), &named, ERR));
            CHECK_OK(sarsen_batch_trim_stream(batch, STR("trimmed"), 2, ERR));
            sarsen_tags_free(red);
        }
        CHECK_NUMBER(sarsen_batch_count(batch), 12);
        CHECK_OK(sarsen_batch_set_kv(batch, STR("last"), STR("by call"), ERR));
        CHECK_OK(sarsen_batch_commit(batch, store, 0, &seq, ERR));
        CHECK_NUMBER(seq, 8);

        CHECK_OK(sarsen_batch_result(batch, 1, NULL, &block, ERR));
        CHECK_OK(sarsen_block_view(store, &block, 0, 5, &view, ERR));
        CHECK_BYTES(view.data, view.len, "block", 5);
        sarsen_view_release(&view);
        CHECK_OK(sarsen_batch_result(batch, 10, &index, NULL, ERR));
        CHECK_NUMBER(index, 1);
        CHECK_KV(store, NULL, "first", "by call");
        CHECK_KV(store, NULL, "last", "by call");
        CHECK_KV(store, NULL, "key", "value");
        CHECK_KV(store, NULL, "", "");
        CHECK_KV(store, NULL, "gone", NULL);
        CHECK_STREAM(store, NULL, "s", 0, 2);
        CHECK_STREAM(store, NULL, "trimmed", 2, 3);
        CHECK_OK(sarsen_stream_get(store, NULL, STR("s"), 1, &view, ERR));
        CHECK_BYTES(view.data, view.len, "named", 5);
        sarsen_view_release(&view);
        CHECK_OK(sarsen_memory_get(store, NULL, 5, &view, ERR));
        CHECK_FILLED(view.data, view.len, 100000, 3);
        sarsen_view_release(&view);
        CHECK_OK(sarsen_memory_info(store, NULL, 5, &block, &got, ERR));
        CHECK_NUMBER(sarsen_tags_count(got), 2);
        CHECK(check_has_tag(got, tags[0]) && check_has_tag(got, tags[1]));
        sarsen_tags_free(got);
        CHECK_OK(sarsen_memory_info(store, NULL, 6, &block, &got, ERR));
        CHECK(memcmp(&block, &named, sizeof block) == 0);
        CHECK(sarsen_tags_count(got) == 1 && check_has_tag(got, "red"));
        sarsen_tags_free(got);
        CHECK_IS(SARSEN_NOT_FOUND, sarsen_memory_get(store, NULL, 4, &view, ERR));
        CHECK_OK(sarsen_batch_append_stream_block(batch, STR("s"), &freed, ERR));
        CHECK_IS(SARSEN_NOT_FOUND, sarsen_batch_commit(batch, store, 0, NULL, ERR)); /* freed it is */
        sarsen_batch_clear(batch);
    }
    for (int i = 0; i < 2; i++) check_close(stores[i]);
    sarsen_batch_free(batch);
    sarsen_tags_free(set);
    free(large);
}

static void nothing_loads_as_nothing(void)
{
    sarsen_batch *batch = sarsen_batch_new();
    CHECK_OK(sarsen_batch_load(batch, NULL, 0, ERR));
    CHECK_OK(sarsen_batch_load(batch, "", 0, ERR));
    CHECK_NUMBER(sarsen_batch_count(batch), 0);
    CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_batch_load(batch, NULL, 24, ERR));
    CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_batch_load(NULL, "", 0, ERR));
    sarsen_batch_free(batch);
}

static void refused(sarsen_batch *batch, const encoded *out, uint32_t mask)
{
    size_t before = sarsen_batch_count(batch);
    uint8_t *exact = malloc(out->len + 1); /* so that a sanitizer sees a read past the end */
    memcpy(exact, out->bytes, out->len);
    CHECK_IN(mask, sarsen_batch_load(batch, exact, out->len, ERR));
    CHECK_NUMBER(sarsen_batch_count(batch), before);
    free(exact);
}

static void a_load_cut_short_anywhere_is_refused_whole(void)
{
    static encoded whole, cut;
    const char *const tags[] = {"tag"};
    sarsen_batch *batch = sarsen_batch_new();
    size_t ends[4], next = 0;
    CHECK_OK(sarsen_batch_set_kv(batch, STR("k"), STR("v"), ERR));
    whole.len = 0;
    put_command(&whole, SARSEN_COMMAND_SET_KV, "key", 0, NULL, 0, "value", 5);
    ends[0] = whole.len;
    put_command(&whole, SARSEN_COMMAND_APPEND_MEMORY, NULL, 1, tags, 1, "data", 4);
    ends[1] = whole.len;
    put_command(&whole, SARSEN_COMMAND_APPEND_STREAM, "s", 0, NULL, 0, "record", 6);
    ends[2] = whole.len;
    for (size_t len = 1; len < whole.len; len++) {
        if (len == ends[next]) { /* whole commands: those load */
            next++;
            continue;
        }
        memcpy(cut.bytes, whole.bytes, len);
        cut.len = len;
        refused(batch, &cut, STATUS_BIT(SARSEN_INVALID_ARGUMENT));
    }
    CHECK_NUMBER(next, 2);
    CHECK_OK(sarsen_batch_load(batch, whole.bytes, whole.len, ERR));
    CHECK_NUMBER(sarsen_batch_count(batch), 4);
    sarsen_batch_free(batch);
}

/* A good command first, so that refusing must also take that one back. */
static void begin(encoded *out)
{
    out->len = 0;
    put_command(out, SARSEN_COMMAND_SET_KV, "key", 0, NULL, 0, "value", 5);
}

static void malformed_commands_are_refused_whole(void)
{
    static encoded out;
    sarsen_batch *batch = sarsen_batch_new();
    const uint32_t invalid = STATUS_BIT(SARSEN_INVALID_ARGUMENT), large = STATUS_BIT(SARSEN_TOO_LARGE);
    const uint8_t kinds[] = {0, 9, 10, 127, 128, 255};
    const uint8_t flagless[] = {1, 2, 4, 5, 6, 8};
    const char *const broken[] = {"ok", "\xff\xfe"};
    char longest[1026];
    const char *const long_tag[] = {longest};
    sarsen_block address = {0, 0, 0, 0};

    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        begin(&out);
        put_command(&out, kinds[i], NULL, 0, NULL, 0, NULL, 0);
        refused(batch, &out, invalid);
    }
    for (uint32_t flags = 2; flags < 256; flags += 2) { /* unknown flags */
        begin(&out);
        put_header(&out, SARSEN_COMMAND_APPEND_MEMORY, flags, 0, 0, 1, 4);
        put(&out, "data", 4);
        refused(batch, &out, invalid);
    }
    for (size_t i = 0; i < COUNT_OF(flagless); i++) { /* an address where the kind takes none */
        begin(&out);
        put_header(&out, flagless[i], BY_ADDRESS, 0, 0, 0, 24);
        put_address(&out, &address);
        refused(batch, &out, invalid);
    }
    for (size_t len = 0; len < 50; len++) { /* an address of the wrong size */
        if (len == 24) continue;
        for (int kind = 0; kind < 3; kind++) {
            begin(&out);
            put_header(&out, kind == 0 ? SARSEN_COMMAND_FREE_BLOCK
                                       : kind == 1 ? SARSEN_COMMAND_APPEND_MEMORY : SARSEN_COMMAND_APPEND_STREAM,
                       kind == 0 ? 0 : BY_ADDRESS, 0, 0, 0, len);
            for (size_t i = 0; i < len; i++) put_number(&out, 0, 1);
            refused(batch, &out, invalid);
        }
    }
    for (uint32_t kind = 1; kind <= 8; kind++) { /* tags on what carries none */
        if (kind == SARSEN_COMMAND_APPEND_MEMORY) continue;
        begin(&out);
        put_header(&out, kind, 0, 1, 0, 0, kind == SARSEN_COMMAND_FREE_BLOCK ? 24 : 0);
        put_tag(&out, "t", 1);
        if (kind == SARSEN_COMMAND_FREE_BLOCK) put_address(&out, &address);
        refused(batch, &out, invalid);
    }
    begin(&out);
    put_command(&out, SARSEN_COMMAND_APPEND_MEMORY, NULL, 1, broken, 2, "data", 4);
    refused(batch, &out, invalid);
    begin(&out);
    put_header(&out, SARSEN_COMMAND_APPEND_MEMORY, 0, 1, 0, 1, 0);
    put_number(&out, 0, 2); /* a tag of no bytes */
    refused(batch, &out, invalid);
    memset(longest, 't', sizeof longest);
    longest[1025] = '\0';
    begin(&out);
    put_command(&out, SARSEN_COMMAND_APPEND_MEMORY, NULL, 1, long_tag, 1, "data", 4);
    refused(batch, &out, large);
    begin(&out);
    put_header(&out, SARSEN_COMMAND_APPEND_MEMORY, 0, 1025, 0, 1, 0);
    put_numbered_tags(&out, 1025);
    refused(batch, &out, large);
    begin(&out);
    put_header(&out, SARSEN_COMMAND_SET_KV, 0, 0, 65536, 0, 0);
    for (int i = 0; i < 65536; i++) put(&out, "k", 1);
    refused(batch, &out, large);
    CHECK_NUMBER(sarsen_batch_count(batch), 0);
    sarsen_batch_free(batch);
}

static void lengths_beyond_the_buffer_are_refused(void)
{
    static encoded out;
    sarsen_batch *batch = sarsen_batch_new();
    const uint64_t lengths[] = {1, 100, 65536, UINT32_MAX, (uint64_t)UINT32_MAX + 1, INT64_MAX, UINT64_MAX - 24, UINT64_MAX};
    const uint32_t mask = STATUS_BIT(SARSEN_INVALID_ARGUMENT) | STATUS_BIT(SARSEN_TOO_LARGE);
    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        begin(&out);
        put_header(&out, SARSEN_COMMAND_SET_KV, 0, 0, 0, 0, lengths[i]);
        refused(batch, &out, mask);
        begin(&out);
        put_header(&out, SARSEN_COMMAND_SET_KV, 0, 0, (size_t)(uint32_t)lengths[i], 0, 0);
        if ((uint32_t)lengths[i] != 0) refused(batch, &out, mask);
        begin(&out);
        put_header(&out, SARSEN_COMMAND_APPEND_MEMORY, 0, (size_t)(uint16_t)lengths[i] | 1, 0, 0, 0);
        refused(batch, &out, mask);
    }
    CHECK_NUMBER(sarsen_batch_count(batch), 0);
    sarsen_batch_free(batch);
}

static void tag_limits_hold_exactly(void)
{
    static encoded out;
    sarsen_store *store = check_open(check_path("store"), (check_how){0});
    sarsen_batch *batch = sarsen_batch_new();
    sarsen_tags *got = NULL;
    sarsen_block block;
    out.len = 0;
    put_header(&out, SARSEN_COMMAND_APPEND_MEMORY, 0, 500, 0, 1, 4);
    for (uint32_t i = 0; i < 500; i++) {
        char tag[1025];
        memset(tag, 't', sizeof tag);
        snprintf(tag, sizeof tag, "%04u", i);
        tag[4] = 't';
        put_tag(&out, tag, 1024);
    }
    put(&out, "data", 4);
    put_header(&out, SARSEN_COMMAND_APPEND_MEMORY, 0, 1024, 0, 2, 4);
    put_numbered_tags(&out, 1024);
    put(&out, "data", 4);
    CHECK_OK(sarsen_batch_load(batch, out.bytes, out.len, ERR));
    CHECK_OK(sarsen_batch_commit(batch, store, 0, NULL, ERR));
    CHECK_OK(sarsen_memory_info(store, NULL, 1, &block, &got, ERR));
    CHECK_NUMBER(sarsen_tags_count(got), 500);
    sarsen_tags_free(got);
    CHECK_OK(sarsen_memory_info(store, NULL, 2, &block, &got, ERR));
    CHECK_NUMBER(sarsen_tags_count(got), 1024);
    sarsen_tags_free(got);
    sarsen_batch_free(batch);
    check_close(store);
}

/* Random damage to a good load: it loads or is refused whole, and what loads, commits or is refused. */
static void damaged_loads_do_no_harm(void)
{
    static encoded good, bad;
    sarsen_store *store = check_open(check_path("store"), (check_how){0});
    sarsen_batch *batch = sarsen_batch_new();
    const char *const tags[] = {"a", "bc"};
    sarsen_block block;
    size_t loaded = 0, refusals = 0;

    CHECK_OK(sarsen_block_append(store, STR("named"), &block, ERR));
    good.len = 0;
    put_command(&good, SARSEN_COMMAND_APPEND_MEMORY, NULL, 5, tags, 2, "some data", 9);
    put_command(&good, SARSEN_COMMAND_SET_KV, "key", 0, NULL, 0, "value", 5);
    put_command(&good, SARSEN_COMMAND_DELETE_KV, "key", 0, NULL, 0, NULL, 0);
    put_command(&good, SARSEN_COMMAND_APPEND_STREAM, "stream", 0, NULL, 0, "record", 6);
    put_command(&good, SARSEN_COMMAND_TRIM_STREAM, "stream", 1, NULL, 0, NULL, 0);
    put_header(&good, SARSEN_COMMAND_APPEND_STREAM, BY_ADDRESS, 0, 1, 0, 24);
    put(&good, "s", 1);
    put_address(&good, &block);
    put_command(&good, SARSEN_COMMAND_APPEND_BLOCK, NULL, 0, NULL, 0, "block", 5);
    put_command(&good, SARSEN_COMMAND_DELETE_MEMORY, NULL, 5, NULL, 0, NULL, 0);
    for (int round = 0; round < 20000; round++) {
        uint8_t *exact;
        size_t before = sarsen_batch_count(batch);
        memcpy(bad.bytes, good.bytes, good.len);
        bad.len = check_below(4) == 0 ? check_below(good.len + 1) : good.len;
        for (uint64_t hits = check_below(4); hits > 0 && bad.len > 0; hits--) {
            size_t at = check_below(bad.len);
            if (check_below(2) == 0) bad.bytes[at] = (uint8_t)check_random();
            else bad.bytes[at] ^= (uint8_t)(1u << check_below(8));
        }
        exact = malloc(bad.len + 1);
        memcpy(exact, bad.bytes, bad.len);
        CHECK_IN(STATUS_BIT(SARSEN_OK) | STATUS_BIT(SARSEN_INVALID_ARGUMENT) | STATUS_BIT(SARSEN_TOO_LARGE),
                 sarsen_batch_load(batch, exact, bad.len, ERR));
        free(exact);
        if (check_last.status == SARSEN_OK) {
            loaded++;
            CHECK_IN(STATUS_BIT(SARSEN_OK) | STATUS_BIT(SARSEN_NOT_FOUND) | STATUS_BIT(SARSEN_INVALID_ARGUMENT) |
                         STATUS_BIT(SARSEN_TOO_LARGE),
                     sarsen_batch_commit(batch, store, 0, NULL, ERR));
            sarsen_batch_clear(batch);
        } else {
            refusals++;
            CHECK_NUMBER(sarsen_batch_count(batch), before);
        }
    }
    CHECK(loaded > 1000 && refusals > 1000);
    check_sound(store);
    sarsen_batch_free(batch);
    check_close(store);
}

static const check_case cases[] = {
    CASE(loaded_commands_do_what_the_calls_do),
    CASE(nothing_loads_as_nothing),
    CASE(a_load_cut_short_anywhere_is_refused_whole),
    CASE(malformed_commands_are_refused_whole),
    CASE(lengths_beyond_the_buffer_are_refused),
    CASE(tag_limits_hold_exactly),
    CASE(damaged_loads_do_no_harm),
};
_Static_assert(HEADER == 1 + 1 + 2 + 4 + 8 + 8, "the header's fields");
CHECK_MAIN(cases)
