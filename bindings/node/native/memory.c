/* Memories: (store, snapshot or absent, id, ...). */
#include "addon.h"

static bool append_prepare(Call *call) {
    return prepare_store_number(call) && take_tags(call, 2, 0) && take_bytes(call, 3, 0);
}

static void append_run(Call *call) {
    call->status = sarsen_memory_append(call->store->pointer, call->number[0], call->tags[0], call->in[0].data,
                                        call->in[0].len, &call->error);
}

static void delete_run(Call *call) {
    call->status = sarsen_memory_delete(call->store->pointer, call->number[0], &call->error);
}

static bool prepare_id(Call *call) {
    return take_store(call, 0) && take_snapshot(call, 1) && take_number(call, 2, &call->number[0]);
}

static void get_view(Call *call) {
    call->status =
        sarsen_memory_get(call->store->pointer, snapshot_of(call), call->number[0], &call->view, &call->error);
}

static void get_run(Call *call) {
    get_view(call);
    keep_view(call);
}

/* The address of the block and, behind it, the tags. */
static void info_run(Call *call) {
    sarsen_tags *tags = NULL;
    sarsen_block block;
    call->status = sarsen_memory_info(call->store->pointer, snapshot_of(call), call->number[0], &block, &tags,
                                      &call->error);
    if (call->status != SARSEN_OK) return;
    uint8_t *encoded = NULL;
    size_t len = 0;
    if (!encode_tags(tags, &encoded, &len)) {
        fail_run(call, SARSEN_INTERNAL, "out of memory");
    } else if (make_out(call, sizeof block + len)) {
        put(put(call->out, &block, sizeof block), encoded, len);
    }
    free(encoded);
    sarsen_tags_free(tags);
}

static napi_value info_finish(Call *call) { return call->status == SARSEN_NOT_FOUND ? NULL : give_out(call); }

static bool find_prepare(Call *call) {
    return take_store(call, 0) && take_snapshot(call, 1) && take_tags(call, 2, 0) && take_tags(call, 3, 1) &&
           take_tags(call, 4, 2) && take_number(call, 5, &call->number[0]);
}

static void find_run(Call *call) {
    sarsen_memory_iter *iter = NULL;
    call->status = sarsen_memory_find(call->store->pointer, snapshot_of(call), call->tags[0], call->tags[1],
                                      call->tags[2], call->number[0], &iter, &call->error);
    keep_made(call, KIND_MEMORY_ITER, iter);
}

/* u64 id, u32 length, bytes; `data` is NULL where ids are all that is asked for. */
static sarsen_status pull(Call *call, Item *item, sarsen_bytes *data, sarsen_error **error) {
    uint64_t id = 0;
    sarsen_status status = sarsen_memory_iter_next(call->object->pointer, &id, data, error);
    uint32_t len = (uint32_t)item->parts[0].len;
    put(put(item->head, &id, sizeof id), &len, sizeof len);
    item->head_len = sizeof id + sizeof len;
    return status;
}

static sarsen_status pull_memory(Call *call, uint64_t timeout_us, Item *item, sarsen_error **error) {
    (void)timeout_us;
    return pull(call, item, &item->parts[0], error);
}

static sarsen_status pull_id(Call *call, uint64_t timeout_us, Item *item, sarsen_error **error) {
    (void)timeout_us;
    return pull(call, item, NULL, error);
}

static bool fill_prepare(Call *call) { return prepare_fill(call, KIND_MEMORY_ITER); }
static void fill_run(Call *call) { fill(call, pull_memory); }
static void fill_ids_run(Call *call) { fill(call, pull_id); }

const Operation memory_operations[] = {
    {"memoryAppend", append_prepare, append_run, give_nothing},
    {"memoryDelete", prepare_store_number, delete_run, give_nothing},
    {"memoryGet", prepare_id, get_run, give_view},
    {"memoryView", prepare_id, get_view, give_view_object},
    {"memoryInfo", prepare_id, info_run, info_finish},
    {"memoryFind", find_prepare, find_run, give_made},
    {"memoryIterFill", fill_prepare, fill_run, give_filled},
    {"memoryIterFillIds", fill_prepare, fill_ids_run, give_filled},
    {NULL, NULL, NULL, NULL}};
