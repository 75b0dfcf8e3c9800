/* See bridge.h. Nothing here keeps state aside from what the caller hands in. */
#include "bridge.h"

#include <string.h>

#include "_cgo_export.h"

/* ---- putting entries into a buffer -------------------------------------------------------------------- */

struct room {
    uint8_t *at;
    size_t left;
};

static void put(struct room *room, const void *bytes, size_t len)
{
    if (len > 0) memcpy(room->at, bytes, len);
    room->at += len;
    room->left -= len;
}

static void put_u32(struct room *room, uint32_t number)
{
    uint8_t bytes[4];
    for (int i = 0; i < 4; i++) bytes[i] = (uint8_t)(number >> (8 * i));
    put(room, bytes, sizeof bytes);
}

static void put_u64(struct room *room, uint64_t number)
{
    put_u32(room, (uint32_t)number);
    put_u32(room, (uint32_t)(number >> 32));
}

static bridge_filled filled(const struct room *room, size_t cap, size_t count, size_t needed, sarsen_status status,
                            sarsen_error *error)
{
    bridge_filled answer = {cap - room->left, count, needed, (uintptr_t)error, status};
    return answer;
}

static bridge_answer answer(sarsen_status status, uint64_t number, sarsen_error *error)
{
    bridge_answer told = {number, 0, (uintptr_t)error, status};
    return told;
}

static bridge_handle handle(sarsen_status status, void *pointer, sarsen_error *error)
{
    bridge_handle opened = {(uintptr_t)pointer, (uintptr_t)error, status};
    return opened;
}

static bridge_view viewed(sarsen_status status, const sarsen_view *view, sarsen_error *error)
{
    bridge_view answer = {view->data, view->len, view->pin, (uintptr_t)error, status};
    return answer;
}

/* ---- key-value ------------------------------------------------------------------------------------------ */

bridge_answer bridge_kv_set(const sarsen_store *store, const uint8_t *key, size_t key_len, const uint8_t *value,
                            size_t value_len)
{
    sarsen_error *error = NULL;
    sarsen_status status = sarsen_kv_set(store, key, key_len, value, value_len, &error);
    return answer(status, 0, error);
}

bridge_answer bridge_kv_delete(const sarsen_store *store, const uint8_t *key, size_t key_len)
{
    sarsen_error *error = NULL;
    sarsen_status status = sarsen_kv_delete(store, key, key_len, &error);
    return answer(status, 0, error);
}

bridge_view bridge_kv_get(const sarsen_store *store, const sarsen_snapshot *snapshot, const uint8_t *key,
                          size_t key_len)
{
    sarsen_error *error = NULL;
    sarsen_view view = {NULL, 0, NULL};
    sarsen_status status = sarsen_kv_get(store, snapshot, key, key_len, &view, &error);
    return viewed(status, &view, error);
}

bridge_answer bridge_kv_read(const sarsen_store *store, const sarsen_snapshot *snapshot, const uint8_t *key,
                             size_t key_len, uint8_t *buffer, size_t cap)
{
    sarsen_error *error = NULL;
    size_t len = 0;
    sarsen_status status = sarsen_kv_read(store, snapshot, key, key_len, buffer, cap, &len, &error);
    return answer(status, len, error);
}

enum { KEYS_AT_ONCE = 256 };

bridge_answer bridge_kv_get_many(const sarsen_store *store, const sarsen_snapshot *snapshot, const uint8_t *keys,
                                 const size_t *lens, size_t count, sarsen_view *values, sarsen_status *statuses)
{
    sarsen_bytes asked[KEYS_AT_ONCE];
    size_t done = 0;
    while (done < count) {
        size_t some = count - done < KEYS_AT_ONCE ? count - done : KEYS_AT_ONCE;
        for (size_t i = 0; i < some; i++) {
            asked[i].data = keys;
            asked[i].len = lens[done + i];
            keys += lens[done + i];
        }
        sarsen_error *error = NULL;
        sarsen_status status = sarsen_kv_get_many(store, snapshot, asked, some, values + done, statuses + done, &error);
        if (status != SARSEN_OK) {
            for (size_t i = 0; i < done; i++)
                if (statuses[i] == SARSEN_OK) sarsen_view_release(&values[i]);
            return answer(status, 0, error);
        }
        done += some;
    }
    return answer(SARSEN_OK, count, NULL);
}

void bridge_release_many(sarsen_view *views, size_t count)
{
    for (size_t i = 0; i < count; i++) sarsen_view_release(&views[i]);
}

bridge_handle bridge_kv_scan(const sarsen_store *store, const sarsen_snapshot *snapshot, const uint8_t *start,
                             size_t start_len, const uint8_t *end, size_t end_len, bool reverse)
{
    sarsen_error *error = NULL;
    sarsen_kv_iter *iter = NULL;
    sarsen_status status = sarsen_kv_scan(store, snapshot, start, start_len, end, end_len, reverse, &iter, &error);
    return handle(status, iter, error);
}

bridge_handle bridge_kv_prefix(const sarsen_store *store, const sarsen_snapshot *snapshot, const uint8_t *prefix,
                               size_t prefix_len, bool reverse)
{
    sarsen_error *error = NULL;
    sarsen_kv_iter *iter = NULL;
    sarsen_status status = sarsen_kv_prefix(store, snapshot, prefix, prefix_len, reverse, &iter, &error);
    return handle(status, iter, error);
}

/* Where the next entry alone is too long, the header's function tells in the length how long it is. */
static bridge_filled with_needed(bridge_filled answer)
{
    if (answer.status == SARSEN_TOO_LARGE) {
        answer.needed = answer.len;
        answer.len = 0;
    }
    return answer;
}

bridge_filled bridge_kv_fill(uintptr_t iter, uint8_t *buffer, size_t cap)
{
    bridge_filled answer = {0, 0, 0, 0, SARSEN_OK};
    sarsen_error *error = NULL;
    answer.status = sarsen_kv_iter_fill((sarsen_kv_iter *)iter, buffer, cap, &answer.len, &answer.count, &error);
    answer.error = (uintptr_t)error;
    return with_needed(answer);
}

/* What the loops below share: an entry that does not fit waits, and is asked for by its size if it is alone. A failure
 * is told together with the entries before it, since the iterator may go on behind it. */
static bridge_filled too_large(bridge_iter *iter, const struct room *room, size_t cap, size_t count, size_t needed)
{
    iter->pending = true;
    if (count > 0) return filled(room, cap, count, 0, SARSEN_OK, NULL);
    return filled(room, cap, 0, needed, SARSEN_TOO_LARGE, NULL);
}

bridge_filled bridge_kv_fill_keys(bridge_iter *keys, uint8_t *buffer, size_t cap)
{
    struct room room = {buffer, cap};
    for (size_t count = 0;; count++) {
        sarsen_error *error = NULL;
        if (!keys->pending) {
            sarsen_status status = sarsen_kv_iter_next((sarsen_kv_iter *)keys->iter, &keys->bytes, NULL, &error);
            if (status == SARSEN_END && count > 0) return filled(&room, cap, count, 0, SARSEN_OK, NULL);
            if (status != SARSEN_OK) return filled(&room, cap, count, 0, status, error);
        }
        size_t needed = 4 + keys->bytes.len;
        if (needed > room.left) return too_large(keys, &room, cap, count, needed);
        put_u32(&room, (uint32_t)keys->bytes.len);
        put(&room, keys->bytes.data, keys->bytes.len);
        keys->pending = false;
    }
}

/* ---- streams -------------------------------------------------------------------------------------------- */

bridge_answer bridge_stream_append(const sarsen_store *store, const uint8_t *name, size_t name_len,
                                   const uint8_t *data, size_t len)
{
    sarsen_error *error = NULL;
    uint64_t index = 0;
    sarsen_status status = sarsen_stream_append(store, name, name_len, data, len, &index, &error);
    return answer(status, index, error);
}

bridge_answer bridge_stream_bounds(const sarsen_store *store, const sarsen_snapshot *snapshot, const uint8_t *name,
                                   size_t name_len)
{
    sarsen_error *error = NULL;
    bridge_answer bounds = {0, 0, 0, SARSEN_OK};
    bounds.status = sarsen_stream_bounds(store, snapshot, name, name_len, &bounds.number, &bounds.other, &error);
    bounds.error = (uintptr_t)error;
    return bounds;
}

bridge_view bridge_stream_get(const sarsen_store *store, const sarsen_snapshot *snapshot, const uint8_t *name,
                              size_t name_len, uint64_t index)
{
    sarsen_error *error = NULL;
    sarsen_view view = {NULL, 0, NULL};
    sarsen_status status = sarsen_stream_get(store, snapshot, name, name_len, index, &view, &error);
    return viewed(status, &view, error);
}

bridge_answer bridge_stream_trim(const sarsen_store *store, const uint8_t *name, size_t name_len, uint64_t before)
{
    sarsen_error *error = NULL;
    sarsen_status status = sarsen_stream_trim(store, name, name_len, before, &error);
    return answer(status, 0, error);
}

bridge_handle bridge_stream_read(const sarsen_store *store, const sarsen_snapshot *snapshot, const uint8_t *name,
                                 size_t name_len, uint64_t from)
{
    sarsen_error *error = NULL;
    sarsen_stream_iter *iter = NULL;
    sarsen_status status = sarsen_stream_read(store, snapshot, name, name_len, from, &iter, &error);
    return handle(status, iter, error);
}

bridge_filled bridge_stream_fill(uintptr_t iter, uint8_t *buffer, size_t cap)
{
    bridge_filled answer = {0, 0, 0, 0, SARSEN_OK};
    sarsen_error *error = NULL;
    answer.status =
        sarsen_stream_iter_fill((sarsen_stream_iter *)iter, buffer, cap, &answer.len, &answer.count, &error);
    answer.error = (uintptr_t)error;
    return with_needed(answer);
}

bridge_handle bridge_stream_list(const sarsen_store *store, const sarsen_snapshot *snapshot, const uint8_t *prefix,
                                 size_t prefix_len)
{
    sarsen_error *error = NULL;
    sarsen_stream_names *names = NULL;
    sarsen_status status = sarsen_stream_list(store, snapshot, prefix, prefix_len, &names, &error);
    return handle(status, names, error);
}

bridge_filled bridge_stream_fill_names(bridge_iter *names, uint8_t *buffer, size_t cap)
{
    struct room room = {buffer, cap};
    for (size_t count = 0;; count++) {
        sarsen_error *error = NULL;
        if (!names->pending) {
            sarsen_status status = sarsen_stream_names_next((sarsen_stream_names *)names->iter, &names->bytes,
                                                            &names->first, &names->second, &error);
            if (status == SARSEN_END && count > 0) return filled(&room, cap, count, 0, SARSEN_OK, NULL);
            if (status != SARSEN_OK) return filled(&room, cap, count, 0, status, error);
        }
        size_t needed = 20 + names->bytes.len;
        if (needed > room.left) return too_large(names, &room, cap, count, needed);
        put_u64(&room, names->first);
        put_u64(&room, names->second);
        put_u32(&room, (uint32_t)names->bytes.len);
        put(&room, names->bytes.data, names->bytes.len);
        names->pending = false;
    }
}

/* ---- memories and blocks ---------------------------------------------------------------------------------- */

bridge_answer bridge_memory_append(const sarsen_store *store, uint64_t id, const sarsen_tags *tags,
                                   const uint8_t *data, size_t len)
{
    sarsen_error *error = NULL;
    sarsen_status status = sarsen_memory_append(store, id, tags, data, len, &error);
    return answer(status, 0, error);
}

bridge_view bridge_memory_get(const sarsen_store *store, const sarsen_snapshot *snapshot, uint64_t id)
{
    sarsen_error *error = NULL;
    sarsen_view view = {NULL, 0, NULL};
    sarsen_status status = sarsen_memory_get(store, snapshot, id, &view, &error);
    return viewed(status, &view, error);
}

bridge_filled bridge_memory_fill(bridge_iter *found, uint8_t *buffer, size_t cap)
{
    struct room room = {buffer, cap};
    for (size_t count = 0;; count++) {
        sarsen_error *error = NULL;
        if (!found->pending) {
            found->bytes.data = NULL;
            found->bytes.len = 0;
            sarsen_status status = sarsen_memory_iter_next((sarsen_memory_iter *)found->iter, &found->first,
                                                           found->keys_only ? NULL : &found->bytes, &error);
            if (status == SARSEN_END && count > 0) return filled(&room, cap, count, 0, SARSEN_OK, NULL);
            if (status != SARSEN_OK) return filled(&room, cap, count, 0, status, error);
        }
        size_t needed = 12 + found->bytes.len;
        if (needed > room.left) return too_large(found, &room, cap, count, needed);
        put_u64(&room, found->first);
        put_u32(&room, (uint32_t)found->bytes.len);
        put(&room, found->bytes.data, found->bytes.len);
        found->pending = false;
    }
}

bridge_answer bridge_block_append(const sarsen_store *store, const uint8_t *data, size_t len, sarsen_block *block)
{
    sarsen_error *error = NULL;
    sarsen_status status = sarsen_block_append(store, data, len, block, &error);
    return answer(status, 0, error);
}

bridge_answer bridge_block_read(const sarsen_store *store, const sarsen_block *block, uint64_t from, uint8_t *buffer,
                                size_t len)
{
    sarsen_error *error = NULL;
    sarsen_status status = sarsen_block_read(store, block, from, buffer, len, &error);
    return answer(status, 0, error);
}

bridge_view bridge_block_view(const sarsen_store *store, const sarsen_block *block, uint64_t from, size_t len)
{
    sarsen_error *error = NULL;
    sarsen_view view = {NULL, 0, NULL};
    sarsen_status status = sarsen_block_view(store, block, from, len, &view, &error);
    return viewed(status, &view, error);
}

/* ---- tags and batches ------------------------------------------------------------------------------------- */

sarsen_status bridge_tags_add(sarsen_tags *tags, const uint8_t *tag, size_t tag_len)
{
    return sarsen_tags_add(tags, (const char *)tag, tag_len);
}

bridge_answer bridge_batch_load(sarsen_batch *batch, const uint8_t *encoded, size_t len)
{
    sarsen_error *error = NULL;
    sarsen_status status = sarsen_batch_load(batch, encoded, len, &error);
    return answer(status, 0, error);
}

bridge_answer bridge_batch_commit(sarsen_batch *batch, const sarsen_store *store, uint32_t survive)
{
    sarsen_error *error = NULL;
    uint64_t seq = 0;
    sarsen_status status = sarsen_batch_commit(batch, store, survive, &seq, &error);
    return answer(status, seq, error);
}

bridge_answer bridge_batch_set_kv(sarsen_batch *batch, const uint8_t *key, size_t key_len, const uint8_t *value,
                                  size_t value_len)
{
    sarsen_error *error = NULL;
    sarsen_status status = sarsen_batch_set_kv(batch, key, key_len, value, value_len, &error);
    return answer(status, 0, error);
}

bridge_answer bridge_batch_append_stream(sarsen_batch *batch, const uint8_t *name, size_t name_len,
                                         const uint8_t *data, size_t len)
{
    sarsen_error *error = NULL;
    sarsen_status status = sarsen_batch_append_stream(batch, name, name_len, data, len, &error);
    return answer(status, 0, error);
}

bridge_answer bridge_batch_append_memory(sarsen_batch *batch, uint64_t id, const sarsen_tags *tags,
                                         const uint8_t *data, size_t len)
{
    sarsen_error *error = NULL;
    sarsen_status status = sarsen_batch_append_memory(batch, id, tags, data, len, &error);
    return answer(status, 0, error);
}

bridge_answer bridge_batch_append_block(sarsen_batch *batch, const uint8_t *data, size_t len)
{
    sarsen_error *error = NULL;
    sarsen_status status = sarsen_batch_append_block(batch, data, len, &error);
    return answer(status, 0, error);
}

/* ---- the log ------------------------------------------------------------------------------------------------ */

bridge_filled bridge_log_fill(bridge_log *log, uint64_t timeout_us, uint8_t *buffer, size_t cap)
{
    struct room room = {buffer, cap};
    for (size_t count = 0;; count++) {
        const sarsen_command *command = &log->command;
        if (!log->pending) {
            sarsen_error *error = NULL;
            sarsen_status status = sarsen_log_next(log->reader, count == 0 ? timeout_us : 0, &log->command,
                                                   sizeof log->command, &log->tags, &error);
            if (status == SARSEN_TIMEOUT && count > 0) return filled(&room, cap, count, 0, SARSEN_OK, NULL);
            if (status != SARSEN_OK) return filled(&room, cap, count, 0, status, error);
        }
        size_t tag_count = sarsen_tags_count(log->tags);
        size_t needed = 68 + command->key.len + command->value.len;
        for (size_t i = 0; i < tag_count; i++) needed += 4 + sarsen_tags_get(log->tags, i).len;
        log->pending = needed > room.left;
        if (log->pending && count > 0) return filled(&room, cap, count, 0, SARSEN_OK, NULL);
        if (log->pending) return filled(&room, cap, 0, needed, SARSEN_TOO_LARGE, NULL);
        put_u64(&room, command->seq);
        put_u64(&room, command->epoch);
        put_u64(&room, command->id);
        put_u32(&room, command->kind);
        put_u32(&room, command->last);
        put_u32(&room, command->block.chunk);
        put_u32(&room, command->block.crc32c);
        put_u64(&room, command->block.offset);
        put_u64(&room, command->block.len);
        put_u32(&room, (uint32_t)command->key.len);
        put_u32(&room, (uint32_t)command->value.len);
        put_u32(&room, (uint32_t)tag_count);
        put(&room, command->key.data, command->key.len);
        put(&room, command->value.data, command->value.len);
        for (size_t i = 0; i < tag_count; i++) {
            sarsen_bytes tag = sarsen_tags_get(log->tags, i);
            put_u32(&room, (uint32_t)tag.len);
            put(&room, tag.data, tag.len);
        }
    }
}

static void durable(void *user, uint64_t seq, sarsen_status status)
{
    sarsenDurable((uintptr_t)user, seq, status);
}

bridge_answer bridge_notify_durable(const sarsen_store *store, uint64_t seq, uintptr_t waiter)
{
    sarsen_error *error = NULL;
    sarsen_status status = sarsen_store_notify_durable(store, seq, durable, (void *)waiter, &error);
    return answer(status, 0, error);
}
