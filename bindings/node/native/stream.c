/* Streams: (store, snapshot or absent, name, ...). */
#include "addon.h"

static void append_run(Call *call) {
    call->status = sarsen_stream_append(call->store->pointer, call->in[0].data, call->in[0].len, call->in[1].data,
                                        call->in[1].len, &call->result[0], &call->error);
}

static void bounds_run(Call *call) {
    call->status = sarsen_stream_bounds(call->store->pointer, snapshot_of(call), call->in[0].data, call->in[0].len,
                                        &call->result[0], &call->result[1], &call->error);
}

static napi_value bounds_finish(Call *call) {
    static const char *const names[] = {"first", "next"};
    if (call->status == SARSEN_NOT_FOUND) return NULL;
    return call->status == SARSEN_OK ? give_figures(call, names, call->result, 2) : call_failed(call);
}

static bool prepare_name_number(Call *call) {
    return prepare_read_bytes(call) && take_number(call, 3, &call->number[0]);
}

static void get_view(Call *call) {
    call->status = sarsen_stream_get(call->store->pointer, snapshot_of(call), call->in[0].data, call->in[0].len,
                                     call->number[0], &call->view, &call->error);
}

static void get_run(Call *call) {
    get_view(call);
    keep_view(call);
}

static bool trim_prepare(Call *call) { return prepare_store_bytes(call) && take_number(call, 2, &call->number[0]); }

static void trim_run(Call *call) {
    call->status =
        sarsen_stream_trim(call->store->pointer, call->in[0].data, call->in[0].len, call->number[0], &call->error);
}

static void read_run(Call *call) {
    sarsen_stream_iter *iter = NULL;
    call->status = sarsen_stream_read(call->store->pointer, snapshot_of(call), call->in[0].data, call->in[0].len,
                                      call->number[0], &iter, &call->error);
    keep_made(call, KIND_STREAM_ITER, iter);
}

static bool fill_prepare(Call *call) { return prepare_fill(call, KIND_STREAM_ITER); }

static void fill_run(Call *call) {
    call->status = sarsen_stream_iter_fill(call->object->pointer, call->buffer, call->buffer_len, &call->out_len,
                                           &call->count, &call->error);
}

static void list_run(Call *call) {
    sarsen_stream_names *names = NULL;
    call->status = sarsen_stream_list(call->store->pointer, snapshot_of(call), call->in[0].data, call->in[0].len,
                                      &names, &call->error);
    keep_made(call, KIND_STREAM_NAMES, names);
}

/* u64 first, u64 next, u32 length, name. */
static sarsen_status pull_name(Call *call, uint64_t timeout_us, Item *item, sarsen_error **error) {
    (void)timeout_us;
    uint64_t bounds[2];
    sarsen_status status =
        sarsen_stream_names_next(call->object->pointer, &item->parts[0], &bounds[0], &bounds[1], error);
    uint32_t len = (uint32_t)item->parts[0].len;
    put(put(item->head, bounds, sizeof bounds), &len, sizeof len);
    item->head_len = sizeof bounds + sizeof len;
    return status;
}

static bool names_prepare(Call *call) { return prepare_fill(call, KIND_STREAM_NAMES); }
static void names_run(Call *call) { fill(call, pull_name); }

const Operation stream_operations[] = {
    {"streamAppend", prepare_store_two_bytes, append_run, give_first_result},
    {"streamBounds", prepare_read_bytes, bounds_run, bounds_finish},
    {"streamGet", prepare_name_number, get_run, give_view},
    {"streamView", prepare_name_number, get_view, give_view_object},
    {"streamTrim", trim_prepare, trim_run, give_nothing},
    {"streamRead", prepare_name_number, read_run, give_made},
    {"streamIterFill", fill_prepare, fill_run, give_filled},
    {"streamList", prepare_read_bytes, list_run, give_made},
    {"streamNamesFill", names_prepare, names_run, give_filled},
    {NULL, NULL, NULL, NULL}};
