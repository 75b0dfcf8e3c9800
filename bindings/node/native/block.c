/* Loose blocks, read by their address, and views: bytes in place. */
#include "addon.h"

static void append_run(Call *call) {
    call->status = sarsen_block_append(call->store->pointer, call->in[0].data, call->in[0].len, &call->block,
                                       &call->error);
}

static bool prepare_address(Call *call) { return take_store(call, 0) && take_block(call, 1); }

static void free_run(Call *call) {
    call->status = sarsen_block_free(call->store->pointer, &call->block, &call->error);
}

/* (store, address, from, length) */
static bool prepare_range(Call *call) {
    return prepare_address(call) && take_number(call, 2, &call->number[0]) && take_number(call, 3, &call->number[1]);
}

static void read_run(Call *call) {
    if (call->number[1] > call->block.len) { /* before memory is taken for it */
        fail_run(call, SARSEN_INVALID_ARGUMENT, "the range leaves the block");
        return;
    }
    if (!make_out(call, (size_t)call->number[1])) return;
    call->status = sarsen_block_read(call->store->pointer, &call->block, call->number[0], call->out, call->out_len,
                                     &call->error);
}

static void view_run(Call *call) {
    call->status = sarsen_block_view(call->store->pointer, &call->block, call->number[0], (size_t)call->number[1],
                                     &call->view, &call->error);
}

static napi_value view_finish(Call *call) {
    return call->status == SARSEN_OK ? object_new(call, KIND_VIEW, NULL) : call_failed(call);
}

const Operation block_operations[] = {
    {"blockAppend", prepare_store_bytes, append_run, give_block},
    {"blockFree", prepare_address, free_run, give_nothing},
    {"blockRead", prepare_range, read_run, give_out},
    {"blockView", prepare_range, view_run, view_finish},
    {NULL, NULL, NULL, NULL}};
