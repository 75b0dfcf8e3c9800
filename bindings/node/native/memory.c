/* Memories: (store, snapshot or absent, id, ...). */
#include "addon.h"

static const sarsen_snapshot *snapshot_of(const Call *call) { return call->snapshot ? call->snapshot->pointer : NULL; }

static bool append_prepare(Call *call) {
    return take_store(call, 0) && take_number(call, 1, &call->number[0]) && take_tags(call, 2, 0) &&
           take_bytes(call, 3, 0);
}

static void append_run(Call *call) {
    call->status = sarsen_memory_append(call->store->pointer, call->number[0], call->tags[0], call->in[0].data,
                                        call->in[0].len, &call->error);
}

static bool delete_prepare(Call *call) { return take_store(call, 0) && take_number(call, 1, &call->number[0]); }

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

static napi_value view_finish(Call *call) {
    if (call->status == SARSEN_NOT_FOUND) return NULL;
    return call->status == SARSEN_OK ? object_new(call, KIND_VIEW, NULL) : call_failed(call);
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
    if (encode_tags(tags, &encoded, &len)) call->out = malloc(sizeof block + len);
    if (call->out) {
        put(put(call->out, &block, sizeof block), encoded, len);
        call->out_len = sizeof block + len;
    } else {
        call->status = SARSEN_INTERNAL;
        call->refusal = "out of memory";
    }
    free(encoded);
    sarsen_tags_free(tags);
}

static napi_value info_finish(Call *call) {
    if (call->status == SARSEN_NOT_FOUND) return NULL;
    return call->status == SARSEN_OK ? give_out(call) : call_failed(call);
}

static bool find_prepare(Call *call) {
    return take_store(call, 0) && take_snapshot(call, 1) && take_tags(call, 2, 0) && take_tags(call, 3, 1) &&
           take_tags(call, 4, 2) && take_number(call, 5, &call->number[0]);
}

static void find_run(Call *call) {
    sarsen_memory_iter *iter = NULL;
    call->status = sarsen_memory_find(call->store->pointer, snapshot_of(call), call->tags[0], call->tags[1],
                                      call->tags[2], call->number[0], &iter, &call->error);
    call->made = iter;
}

static napi_value find_finish(Call *call) {
    return call->status == SARSEN_OK ? object_new(call, KIND_MEMORY_ITER, call->made) : call_failed(call);
}

/* u64 id, u32 length, bytes. */
static void lay_out(Item *item, uint64_t id) {
    uint32_t len = (uint32_t)item->parts[0].len;
    put(put(item->head, &id, sizeof id), &len, sizeof len);
    item->head_len = sizeof id + sizeof len;
}

static sarsen_status pull_memory(Call *call, uint64_t timeout_us, Item *item, sarsen_error **error) {
    (void)timeout_us;
    uint64_t id = 0;
    sarsen_status status = sarsen_memory_iter_next(call->object->pointer, &id, &item->parts[0], error);
    lay_out(item, id);
    return status;
}

static sarsen_status pull_id(Call *call, uint64_t timeout_us, Item *item, sarsen_error **error) {
    (void)timeout_us;
    uint64_t id = 0;
    sarsen_status status = sarsen_memory_iter_next(call->object->pointer, &id, NULL, error);
    lay_out(item, id);
    return status;
}

static bool fill_prepare(Call *call) { return prepare_fill(call, KIND_MEMORY_ITER); }
static void fill_run(Call *call) { fill(call, pull_memory); }
static void fill_ids_run(Call *call) { fill(call, pull_id); }

const Operation memory_operations[] = {
    {"memoryAppend", append_prepare, append_run, give_nothing},
    {"memoryDelete", delete_prepare, delete_run, give_nothing},
    {"memoryGet", prepare_id, get_run, give_view},
    {"memoryView", prepare_id, get_view, view_finish},
    {"memoryInfo", prepare_id, info_run, info_finish},
    {"memoryFind", find_prepare, find_run, find_finish},
    {"memoryIterFill", fill_prepare, fill_run, give_filled},
    {"memoryIterFillIds", fill_prepare, fill_ids_run, give_filled},
    {NULL, NULL, NULL, NULL}};
