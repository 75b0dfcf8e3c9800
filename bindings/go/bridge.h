/* The calls that Go makes most often, and scans that fill a buffer in one crossing.
 *
 * Why not the header's own functions: for each argument of type void * or T ** cgo looks through the memory behind it
 * for Go pointers, at every call. Arguments whose type says that there are none are passed as they are. So bytes are
 * uint8_t * here, and handles that come back are uintptr_t. Each function is a shell around the one it is named after.
 */
#ifndef SARSEN_GO_BRIDGE_H
#define SARSEN_GO_BRIDGE_H

#include <sarsen.h>

typedef struct {
    const uint8_t *data;
    size_t len;
    void *pin;
    uintptr_t error;
    sarsen_status status;
} bridge_view;

typedef struct {
    uint64_t number;
    uint64_t other;
    uintptr_t error;
    sarsen_status status;
} bridge_answer;

typedef struct {
    uintptr_t handle;
    uintptr_t error;
    sarsen_status status;
} bridge_handle;

/* What a fill put into a buffer. `needed` is set where the next entry alone is longer than the buffer. */
typedef struct {
    size_t len;
    size_t count;
    size_t needed;
    uintptr_t error;
    sarsen_status status;
} bridge_filled;

/* Iterators that the header offers entry by entry; the entry that did not fit waits in them. */
typedef struct {
    uintptr_t iter;
    bool keys_only;
    bool pending;
    uint64_t first;
    uint64_t second;
    sarsen_bytes bytes;
} bridge_iter;

typedef struct {
    sarsen_log_reader *reader;
    bool pending;
    sarsen_command command;
    const sarsen_tags *tags;
} bridge_log;

/* ---- key-value ------------------------------------------------------------------------------------- */

bridge_answer bridge_kv_set(const sarsen_store *store, const uint8_t *key, size_t key_len, const uint8_t *value,
                            size_t value_len);
bridge_answer bridge_kv_delete(const sarsen_store *store, const uint8_t *key, size_t key_len);
bridge_view bridge_kv_get(const sarsen_store *store, const sarsen_snapshot *snapshot, const uint8_t *key,
                          size_t key_len);
bridge_answer bridge_kv_read(const sarsen_store *store, const sarsen_snapshot *snapshot, const uint8_t *key,
                             size_t key_len, uint8_t *buffer, size_t cap);
/* Keys lie one after another in `keys`, number i is lens[i] long. */
bridge_answer bridge_kv_get_many(const sarsen_store *store, const sarsen_snapshot *snapshot, const uint8_t *keys,
                                 const size_t *lens, size_t count, sarsen_view *values, sarsen_status *statuses);
/* Releases `count` views in one call. */
void bridge_release_many(sarsen_view *views, size_t count);
bridge_handle bridge_kv_scan(const sarsen_store *store, const sarsen_snapshot *snapshot, const uint8_t *start,
                             size_t start_len, const uint8_t *end, size_t end_len, bool reverse);
bridge_handle bridge_kv_prefix(const sarsen_store *store, const sarsen_snapshot *snapshot, const uint8_t *prefix,
                               size_t prefix_len, bool reverse);
bridge_filled bridge_kv_fill(uintptr_t iter, uint8_t *buffer, size_t cap);
/* Keys alone, values untouched: u32 length and key, one after another. */
bridge_filled bridge_kv_fill_keys(bridge_iter *keys, uint8_t *buffer, size_t cap);

/* ---- streams ----------------------------------------------------------------------------------------- */

bridge_answer bridge_stream_append(const sarsen_store *store, const uint8_t *name, size_t name_len,
                                   const uint8_t *data, size_t len);
bridge_answer bridge_stream_bounds(const sarsen_store *store, const sarsen_snapshot *snapshot, const uint8_t *name,
                                   size_t name_len);
bridge_view bridge_stream_get(const sarsen_store *store, const sarsen_snapshot *snapshot, const uint8_t *name,
                              size_t name_len, uint64_t index);
bridge_answer bridge_stream_trim(const sarsen_store *store, const uint8_t *name, size_t name_len, uint64_t before);
bridge_handle bridge_stream_read(const sarsen_store *store, const sarsen_snapshot *snapshot, const uint8_t *name,
                                 size_t name_len, uint64_t from);
bridge_filled bridge_stream_fill(uintptr_t iter, uint8_t *buffer, size_t cap);
bridge_handle bridge_stream_list(const sarsen_store *store, const sarsen_snapshot *snapshot, const uint8_t *prefix,
                                 size_t prefix_len);
/* u64 first, u64 next, u32 length and name, one after another. */
bridge_filled bridge_stream_fill_names(bridge_iter *names, uint8_t *buffer, size_t cap);

/* ---- memories and blocks -------------------------------------------------------------------------------- */

bridge_answer bridge_memory_append(const sarsen_store *store, uint64_t id, const sarsen_tags *tags,
                                   const uint8_t *data, size_t len);
bridge_view bridge_memory_get(const sarsen_store *store, const sarsen_snapshot *snapshot, uint64_t id);
/* u64 id, u32 length and bytes (none with keys_only), one after another. */
bridge_filled bridge_memory_fill(bridge_iter *found, uint8_t *buffer, size_t cap);
bridge_answer bridge_block_append(const sarsen_store *store, const uint8_t *data, size_t len, sarsen_block *block);
bridge_answer bridge_block_read(const sarsen_store *store, const sarsen_block *block, uint64_t from, uint8_t *buffer,
                                size_t len);
bridge_view bridge_block_view(const sarsen_store *store, const sarsen_block *block, uint64_t from, size_t len);

/* ---- tags and batches -------------------------------------------------------------------------------------- */

sarsen_status bridge_tags_add(sarsen_tags *tags, const uint8_t *tag, size_t tag_len);
bridge_answer bridge_batch_load(sarsen_batch *batch, const uint8_t *encoded, size_t len);
bridge_answer bridge_batch_commit(sarsen_batch *batch, const sarsen_store *store, uint32_t survive);
/* For data too long to be copied twice. */
bridge_answer bridge_batch_set_kv(sarsen_batch *batch, const uint8_t *key, size_t key_len, const uint8_t *value,
                                  size_t value_len);
bridge_answer bridge_batch_append_stream(sarsen_batch *batch, const uint8_t *name, size_t name_len,
                                         const uint8_t *data, size_t len);
bridge_answer bridge_batch_append_memory(sarsen_batch *batch, uint64_t id, const sarsen_tags *tags,
                                         const uint8_t *data, size_t len);
bridge_answer bridge_batch_append_block(sarsen_batch *batch, const uint8_t *data, size_t len);

/* ---- the log --------------------------------------------------------------------------------------------------- */

/* Commands, one after another: u64 seq, epoch, id, u32 kind, u32 last, the block (u32 chunk, u32 crc32c, u64 offset,
 * u64 len), u32 key length, u32 value length, u32 tag count, key, value, tags (u32 length and bytes each). Waits for
 * the first one only. */
bridge_filled bridge_log_fill(bridge_log *log, uint64_t timeout_us, uint8_t *buffer, size_t cap);

/* Calls the exported Go function with the number of the waiter, which is no pointer. */
bridge_answer bridge_notify_durable(const sarsen_store *store, uint64_t seq, uintptr_t waiter);

#endif
