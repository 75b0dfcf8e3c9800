/* Blocks by address: ranges, limits, forged addresses, and the life of a loose block. */
#include "check.h"

static void blocks_of_every_size_read_whole_and_in_ranges(void)
{
    const char *path = check_path("store");
    sarsen_store *store = check_open(path, (check_how){0});
    sarsen_block blocks[16];
    CHECK(check_sizes_count <= COUNT_OF(blocks));
    for (size_t i = 0; i < check_sizes_count; i++) {
        uint8_t *data = check_filled_new(check_sizes[i], i);
        CHECK_OK(sarsen_block_append(store, data, check_sizes[i], &blocks[i], ERR));
        CHECK_NUMBER(blocks[i].len, check_sizes[i]);
        free(data);
    }
    for (int round = 0; round < 4; round++) {
        for (size_t i = 0; i < check_sizes_count; i++) {
            size_t size = check_sizes[i];
            uint8_t *data = check_filled_new(size, i), *buffer = malloc(size + 1);
            sarsen_view view;
            CHECK_OK(sarsen_block_read(store, &blocks[i], 0, buffer, size, ERR));
            CHECK_BYTES(buffer, size, data, size);
            CHECK_OK(sarsen_block_view(store, &blocks[i], 0, size, &view, ERR));
            CHECK_BYTES(view.data, view.len, data, size);
            sarsen_view_release(&view);
            for (int range = 0; range < 40; range++) {
                /* near 64 KiB pages, and anywhere */
                size_t from = range % 2 == 0 ? check_below(size + 1) : check_below(size / 65536 + 1) * 65536;
                size_t len;
                if (range % 4 == 1 && from > 0) from--;
                len = check_below(size - from + 1);
                if (range % 3 == 0 && len > 10) len = 10;
                buffer[len] = 0xa5;
                CHECK_OK(sarsen_block_read(store, &blocks[i], from, buffer, len, ERR));
                CHECK_BYTES(buffer, len, data + from, len);
                CHECK_NUMBER(buffer[len], 0xa5);
                CHECK_OK(sarsen_block_view(store, &blocks[i], from, len, &view, ERR));
                CHECK_BYTES(view.data, view.len, data + from, len);
                sarsen_view_release(&view);
            }
            free(data);
            free(buffer);
        }
        if (round == 0) CHECK_OK(sarsen_store_checkpoint(store, ERR));
        if (round == 1) CHECK_OK(sarsen_store_compact(store, ERR));
        if (round == 2) store = check_reopen(store, path, (check_how){0});
    }
    check_close(store);
}

static void ranges_beyond_the_block_are_refused(void)
{
    sarsen_store *store = check_open(check_path("store"), (check_how){0});
    const size_t sizes[] = {0, 10, 100000};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        size_t size = sizes[i];
        uint8_t *data = check_filled_new(size, i), *buffer = malloc(size + 8);
        sarsen_block block;
        sarsen_view view;
        CHECK_OK(sarsen_block_append(store, data, size, &block, ERR));
        CHECK_OK(sarsen_block_read(store, &block, size, buffer, 0, ERR)); /* the empty range at the end */
        CHECK_OK(sarsen_block_read(store, &block, size, NULL, 0, ERR));
        CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_block_read(store, &block, 0, buffer, size + 1, ERR));
        CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_block_read(store, &block, size, buffer, 1, ERR));
        CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_block_read(store, &block, size + 1, buffer, 0, ERR));
        CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_block_read(store, &block, UINT64_MAX, buffer, 1, ERR));
        CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_block_read(store, &block, UINT64_MAX, buffer, SIZE_MAX, ERR));
        memset(&view, 0xa5, sizeof view);
        CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_block_view(store, &block, 1, size, &view, ERR));
        CHECK(view.data == NULL && view.pin == NULL);
        CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_block_view(store, &block, 0, SIZE_MAX, &view, ERR));
        if (size > 0) CHECK_IS(SARSEN_INVALID_ARGUMENT, sarsen_block_read(store, &block, 0, NULL, 1, ERR));
        free(data);
        free(buffer);
    }
    check_close(store);
}

/* No address but the right one ever answers OK with other bytes. */
static void forged_addresses_are_refused(void)
{
    sarsen_store *store = check_open(check_path("store"), (check_how){0});
    sarsen_block small, large, forged;
    uint8_t *data = check_filled_new(100000, 1), *buffer = malloc(200000);

    CHECK_OK(sarsen_block_append(store, data, 100, &small, ERR));
    CHECK_OK(sarsen_block_append(store, data, 100000, &large, ERR));
    for (int round = 0; round < 2; round++) {
        const sarsen_block *const real[] = {&small, &large};
        for (size_t i = 0; i < 2; i++) {
            size_t len = (size_t)real[i]->len;
            const uint32_t allowed =
                STATUS_BIT(SARSEN_NOT_FOUND) | STATUS_BIT(SARSEN_INVALID_ARGUMENT) | STATUS_BIT(SARSEN_CORRUPT);
            forged = *real[i];
            forged.chunk += 1000;
            CHECK_IS(SARSEN_NOT_FOUND, sarsen_block_read(store, &forged, 0, buffer, len, ERR));
            forged.chunk = UINT32_MAX;
            CHECK_IS(SARSEN_NOT_FOUND, sarsen_block_read(store, &forged, 0, buffer, len, ERR));
            forged = *real[i];
            forged.crc32c ^= 1;
            CHECK_IN(allowed, sarsen_block_read(store, &forged, 0, buffer, len, ERR));
            forged = *real[i];
            forged.len -= 1;
            CHECK_IN(allowed, sarsen_block_read(store, &forged, 0, buffer, len - 1, ERR));
            forged.len += 2;
            CHECK_IN(allowed, sarsen_block_read(store, &forged, 0, buffer, len, ERR));
            forged.len = UINT64_MAX;
            CHECK_IN(allowed, sarsen_block_read(store, &forged, 0, buffer, len, ERR));
            for (int step = 0; step < 60; step++) {
                const uint64_t steps[] = {1, 8, 16, 24, 32, 4096, 65536, (uint64_t)1 << 40, UINT64_MAX};
                forged = *real[i];
                forged.offset += step < (int)COUNT_OF(steps) ? steps[step] : check_random();
                if (forged.offset == real[i]->offset) continue;
                CHECK_IN(allowed, sarsen_block_read(store, &forged, 0, buffer, len, ERR));
            }
            memset(&forged, 0xff, sizeof forged);
            CHECK_IN(allowed, sarsen_block_read(store, &forged, 0, buffer, len, ERR));
            memset(&forged, 0, sizeof forged);
            forged.len = len;
            CHECK_IN(allowed, sarsen_block_read(store, &forged, 0, buffer, len, ERR));
            CHECK_OK(sarsen_block_read(store, real[i], 0, buffer, len, ERR)); /* the real one is no worse for it */
            CHECK_BYTES(buffer, len, data, len);
        }
        CHECK_OK(sarsen_store_checkpoint(store, ERR));
    }
    free(data);
    free(buffer);
    check_close(store);
}

/* NOT_FOUND, or until its space is reclaimed its own old bytes; never other bytes. */
static void dead_or_own_bytes(const sarsen_store *store, const sarsen_block *block, uint64_t tag)
{
    uint8_t *buffer = malloc((size_t)block->len + 1);
    CHECK_IN(STATUS_BIT(SARSEN_OK) | STATUS_BIT(SARSEN_NOT_FOUND),
             sarsen_block_read(store, block, 0, buffer, (size_t)block->len, ERR));
    if (check_last.status == SARSEN_OK) CHECK_FILLED(buffer, (size_t)block->len, (size_t)block->len, tag);
    free(buffer);
}

static void naming_fails(const sarsen_store *store, const sarsen_block *block)
{
    sarsen_batch *batch = sarsen_batch_new();
    uint64_t seq = sarsen_store_last_seq(store);
    CHECK_OK(sarsen_batch_append_stream_block(batch, STR("names"), block, ERR));
    CHECK_IS(SARSEN_NOT_FOUND, sarsen_batch_commit(batch, store, 0, NULL, ERR));
    sarsen_batch_clear(batch);
    CHECK_OK(sarsen_batch_append_memory_block(batch, 1234, NULL, block, ERR));
    CHECK_IS(SARSEN_NOT_FOUND, sarsen_batch_commit(batch, store, 0, NULL, ERR));
    CHECK_NUMBER(sarsen_store_last_seq(store), seq);
    sarsen_batch_free(batch);
}

static const size_t life_sizes[] = {0, 100, 30000, 70000, 1 << 20};

static void a_loose_block_holds_itself_until_freed(void)
{
    const char *path = check_path("store");
    sarsen_store *store = check_open(path, (check_how){.chunk_bytes = 1 << 20});
    for (size_t i = 0; i < COUNT_OF(life_sizes); i++) {
        uint8_t *data = check_filled_new(life_sizes[i], i), *buffer = malloc(life_sizes[i] + 1);
        sarsen_block block;
        CHECK_OK(sarsen_block_append(store, data, life_sizes[i], &block, ERR));
        for (int round = 0; round < 4; round++) {
            CHECK_OK(sarsen_block_read(store, &block, 0, buffer, life_sizes[i], ERR));
            CHECK_BYTES(buffer, life_sizes[i], data, life_sizes[i]);
            if (round == 0) CHECK_OK(sarsen_store_checkpoint(store, ERR));
            if (round == 1) CHECK_OK(sarsen_store_compact(store, ERR));
            if (round == 2) store = check_reopen(store, path, (check_how){.chunk_bytes = 1 << 20});
        }
        CHECK_OK(sarsen_block_free(store, &block, ERR));
        for (int round = 0; round < 4; round++) {
            dead_or_own_bytes(store, &block, i);
            naming_fails(store, &block);
            /* Freeing what is dead changes nothing. */
            CHECK_OK(sarsen_block_free(store, &block, ERR));
            if (round == 0) CHECK_OK(sarsen_store_checkpoint(store, ERR));
            if (round == 1) CHECK_OK(sarsen_store_compact(store, ERR));
            if (round == 2) store = check_reopen(store, path, (check_how){.chunk_bytes = 1 << 20});
        }
        free(data);
        free(buffer);
    }
    check_sound(store);
    check_close(store);
}

static void named_by_several_a_block_lives_until_the_last_is_gone(void)
{
    const char *path = check_path("store");
    sarsen_store *store = check_open(path, (check_how){.chunk_bytes = 1 << 20});
    sarsen_batch *batch = sarsen_batch_new();
    for (size_t i = 0; i < COUNT_OF(life_sizes); i++) {
        size_t size = life_sizes[i];
        uint8_t *data = check_filled_new(size, i);
        sarsen_block block, named;
        sarsen_view view;
        uint64_t index = 99;

        CHECK_OK(sarsen_block_append(store, data, size, &block, ERR));
        CHECK_OK(sarsen_batch_append_stream_block(batch, STR("s"), &block, ERR));
        CHECK_OK(sarsen_batch_append_memory_block(batch, 7, NULL, &block, ERR));
        CHECK_OK(sarsen_batch_commit(batch, store, 0, NULL, ERR));
        CHECK_OK(sarsen_batch_result(batch, 0, &index, NULL, ERR));
        CHECK_NUMBER(index, i);
        /* In a later commit, too. */
        CHECK_OK(sarsen_batch_append_stream_block(batch, STR("t"), &block, ERR));
        CHECK_OK(sarsen_batch_commit(batch, store, 0, NULL, ERR));
        if (i % 2 == 0) CHECK_OK(sarsen_store_checkpoint(store, ERR));

        CHECK_OK(sarsen_stream_get(store, NULL, STR("s"), i, &view, ERR));
        CHECK_BYTES(view.data, view.len, data, size);
        sarsen_view_release(&view);
        CHECK_OK(sarsen_memory_info(store, NULL, 7, &named, NULL, ERR));
        CHECK(memcmp(&named, &block, sizeof block) == 0);

        /* It no longer holds itself: freeing it takes nothing from those that name it. */
        CHECK_OK(sarsen_block_free(store, &block, ERR));
        CHECK_OK(sarsen_memory_delete(store, 7, ERR));
        CHECK_OK(sarsen_stream_trim(store, STR("s"), i + 1, ERR));
        for (int round = 0; round < 4; round++) {
            CHECK_OK(sarsen_stream_get(store, NULL, STR("t"), 0, &view, ERR));
            CHECK_BYTES(view.data, view.len, data, size);
            sarsen_view_release(&view);
            CHECK_OK(sarsen_block_view(store, &block, 0, size, &view, ERR));
            CHECK_BYTES(view.data, view.len, data, size);
            sarsen_view_release(&view);
            if (round == 0) CHECK_OK(sarsen_store_checkpoint(store, ERR));
            if (round == 1) CHECK_OK(sarsen_store_compact(store, ERR));
            if (round == 2) store = check_reopen(store, path, (check_how){.chunk_bytes = 1 << 20});
        }
        CHECK_OK(sarsen_stream_trim(store, STR("t"), UINT64_MAX, ERR));
        for (int round = 0; round < 3; round++) {
            dead_or_own_bytes(store, &block, i);
            naming_fails(store, &block);
            if (round == 0) CHECK_OK(sarsen_store_compact(store, ERR));
            if (round == 1) store = check_reopen(store, path, (check_how){.chunk_bytes = 1 << 20});
        }
        free(data);
    }
    sarsen_batch_free(batch);
    check_sound(store);
    check_close(store);
}

static void blocks_that_records_wrote_are_not_loose(void)
{
    sarsen_store *store = check_open(check_path("store"), (check_how){0});
    sarsen_block block;
    sarsen_view view;
    CHECK_OK(sarsen_memory_append(store, 1, NULL, STR("owned"), ERR));
    CHECK_OK(sarsen_memory_info(store, NULL, 1, &block, NULL, ERR));
    naming_fails(store, &block);
    CHECK_OK(sarsen_block_free(store, &block, ERR));
    CHECK_OK(sarsen_store_compact(store, ERR));
    CHECK_OK(sarsen_memory_get(store, NULL, 1, &view, ERR));
    CHECK_BYTES(view.data, view.len, "owned", 5);
    sarsen_view_release(&view);
    memset(&block, 0, sizeof block);
    naming_fails(store, &block);
    memset(&block, 0xff, sizeof block);
    naming_fails(store, &block);
    check_close(store);
}

/* Half of many blocks die and their space is reclaimed: the others keep their addresses. */
static void addresses_outlive_the_reclaiming_of_their_neighbours(void)
{
    enum { BLOCKS = 400 };
    const char *path = check_path("store");
    check_how how = {.chunk_bytes = 1 << 20};
    sarsen_store *store = check_open(path, how);
    static sarsen_block blocks[BLOCKS];
    for (uint64_t i = 0; i < BLOCKS; i++) {
        size_t size = i % 10 == 0 ? 70000 + i : 20000 + i;
        uint8_t *data = check_filled_new(size, i);
        CHECK_OK(sarsen_block_append(store, data, size, &blocks[i], ERR));
        free(data);
    }
    CHECK_OK(sarsen_store_checkpoint(store, ERR));
    for (uint64_t i = 0; i < BLOCKS; i++)
        if (i % 5 != 0) CHECK_OK(sarsen_block_free(store, &blocks[i], ERR));
    for (int round = 0; round < 3; round++) {
        for (uint64_t i = 0; i < BLOCKS; i++) {
            size_t size = i % 10 == 0 ? 70000 + i : 20000 + i;
            sarsen_view view;
            if (i % 5 != 0) {
                dead_or_own_bytes(store, &blocks[i], i);
                continue;
            }
            CHECK_OK(sarsen_block_view(store, &blocks[i], 0, size, &view, ERR));
            CHECK_FILLED(view.data, view.len, size, i);
            sarsen_view_release(&view);
        }
        for (uint64_t i = 0; i < 50; i++) { /* new blocks may not answer to old addresses */
            uint8_t *data = check_filled_new(20000, 10000 + i);
            sarsen_block block;
            CHECK_OK(sarsen_block_append(store, data, 20000, &block, ERR));
            for (uint64_t j = 0; j < BLOCKS; j++)
                CHECK(block.chunk != blocks[j].chunk || block.offset != blocks[j].offset);
            free(data);
        }
        if (round == 0) CHECK_OK(sarsen_store_compact(store, ERR));
        if (round == 1) store = check_reopen(store, path, how);
    }
    check_sound(store);
    check_close(store);
}

static const check_case cases[] = {
    CASE(blocks_of_every_size_read_whole_and_in_ranges),
    CASE(ranges_beyond_the_block_are_refused),
    CASE(forged_addresses_are_refused),
    CASE(a_loose_block_holds_itself_until_freed),
    CASE(named_by_several_a_block_lives_until_the_last_is_gone),
    CASE(blocks_that_records_wrote_are_not_loose),
    CASE(addresses_outlive_the_reclaiming_of_their_neighbours),
};
CHECK_MAIN(cases)
