/* Key-value: (store, snapshot or absent, ...). A scan is filled by sarsen itself; keys alone are filled here. */
#include "addon.h"

static void get_view(Call *call) {
    call->status = sarsen_kv_get(call->store->pointer, snapshot_of(call), call->in[0].data, call->in[0].len,
                                 &call->view, &call->error);
}

static void get_run(Call *call) {
    get_view(call);
    keep_view(call);
}

static bool read_prepare(Call *call) { return prepare_read_bytes(call) && take_buffer(call, 3); }

static void read_run(Call *call) {
    call->status = sarsen_kv_read(call->store->pointer, snapshot_of(call), call->in[0].data, call->in[0].len,
                                  call->buffer, call->buffer_len, &call->out_len, &call->error);
}

/* The whole length of the value; undefined: no such key. */
static napi_value read_finish(Call *call) {
    if (call->status == SARSEN_NOT_FOUND) return NULL;
    return call->status == SARSEN_OK ? give_number(call, call->out_len) : call_failed(call);
}

static bool many_prepare(Call *call) {
    return prepare_read_bytes(call) && take_number(call, 3, &call->number[0]);
}

/* Keys come as u32 length and bytes each; values go as u64 length (all ones: no such key) and bytes each. */
static void many_run(Call *call) {
    size_t count = (size_t)call->number[0];
    sarsen_bytes *keys = calloc(count + 1, sizeof *keys);
    sarsen_view *values = calloc(count + 1, sizeof *values);
    sarsen_status *statuses = calloc(count + 1, sizeof *statuses);
    const uint8_t *at = call->in[0].data, *end = at + call->in[0].len;
    fail_run(call, SARSEN_INVALID_ARGUMENT, "keys are packed as u32 length and bytes");
    if (!keys || !values || !statuses) goto done;
    for (size_t place = 0; place < count; place++) {
        uint32_t len;
        if ((size_t)(end - at) < sizeof len) goto done;
        memcpy(&len, at, sizeof len);
        at += sizeof len;
        if ((size_t)(end - at) < len) goto done;
        keys[place] = (sarsen_bytes){at, len};
        at += len;
    }
    call->refusal = NULL;
    call->status = sarsen_kv_get_many(call->store->pointer, snapshot_of(call), keys, count, values, statuses,
                                      &call->error);
    if (call->status != SARSEN_OK) goto done;
    size_t out_len = 0;
    for (size_t place = 0; place < count; place++) out_len += sizeof(uint64_t) + values[place].len;
    uint8_t *to = make_out(call, out_len) ? call->out : NULL;
    for (size_t place = 0; place < count; place++) {
        uint64_t len = statuses[place] == SARSEN_OK ? values[place].len : UINT64_MAX;
        if (to) to = put(put(to, &len, sizeof len), values[place].data, values[place].len);
        sarsen_view_release(&values[place]);
    }
done:
    free(keys);
    free(values);
    free(statuses);
}

static void set_run(Call *call) {
    call->status = sarsen_kv_set(call->store->pointer, call->in[0].data, call->in[0].len, call->in[1].data,
                                 call->in[1].len, &call->error);
}

static void delete_run(Call *call) {
    call->status = sarsen_kv_delete(call->store->pointer, call->in[0].data, call->in[0].len, &call->error);
}

static bool scan_prepare(Call *call) {
    return prepare_read_bytes(call) && take_bytes(call, 3, 1) && take_flag(call, 4, &call->flag);
}

static void scan_run(Call *call) {
    sarsen_kv_iter *iter = NULL;
    call->status = sarsen_kv_scan(call->store->pointer, snapshot_of(call), call->in[0].data, call->in[0].len,
                                  call->in[1].data, call->in[1].len, call->flag, &iter, &call->error);
    keep_made(call, KIND_KV_ITER, iter);
}

static bool prefix_prepare(Call *call) { return prepare_read_bytes(call) && take_flag(call, 3, &call->flag); }

static void prefix_run(Call *call) {
    sarsen_kv_iter *iter = NULL;
    call->status = sarsen_kv_prefix(call->store->pointer, snapshot_of(call), call->in[0].data, call->in[0].len,
                                    call->flag, &iter, &call->error);
    keep_made(call, KIND_KV_ITER, iter);
}

static bool fill_prepare(Call *call) { return prepare_fill(call, KIND_KV_ITER); }

static void fill_run(Call *call) {
    call->status = sarsen_kv_iter_fill(call->object->pointer, call->buffer, call->buffer_len, &call->out_len,
                                       &call->count, &call->error);
}

static sarsen_status pull_key(Call *call, uint64_t timeout_us, Item *item, sarsen_error **error) {
    (void)timeout_us;
    sarsen_status status = sarsen_kv_iter_next(call->object->pointer, &item->parts[0], NULL, error);
    uint32_t lens[2] = {(uint32_t)item->parts[0].len, 0};
    put(item->head, lens, sizeof lens);
    item->head_len = sizeof lens;
    return status;
}

static void fill_keys_run(Call *call) { fill(call, pull_key); }

const Operation kv_operations[] = {
    {"kvGet", prepare_read_bytes, get_run, give_view},
    {"kvView", prepare_read_bytes, get_view, give_view_object},
    {"kvRead", read_prepare, read_run, read_finish},
    {"kvGetMany", many_prepare, many_run, give_out},
    {"kvSet", prepare_store_two_bytes, set_run, give_nothing},
    {"kvDelete", prepare_store_bytes, delete_run, give_nothing},
    {"kvScan", scan_prepare, scan_run, give_made},
    {"kvPrefix", prefix_prepare, prefix_run, give_made},
    {"kvIterFill", fill_prepare, fill_run, give_filled},
    {"kvIterFillKeys", fill_prepare, fill_keys_run, give_filled},
    {NULL, NULL, NULL, NULL}};
