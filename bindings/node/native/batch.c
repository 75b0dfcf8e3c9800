/* Batches: JavaScript writes the commands into one Buffer, in the layout of sarsen_batch_load; one call loads and
 * commits it. The batch of sarsen lives on, for what its commands were given. */
#include "addon.h"

static void new_run(Call *call) {
    keep_made(call, KIND_BATCH, sarsen_batch_new());
    if (!call->made) fail_run(call, SARSEN_INTERNAL, "out of memory");
}

/* (batch, store, buffer, length, level) */
static bool commit_prepare(Call *call) {
    uint64_t level;
    if (!take_own(call, 0, KIND_BATCH) || !take_store(call, 1) || !take_buffer(call, 2) ||
        !take_number(call, 3, &call->number[0]) || !take_number(call, 4, &level)) {
        return false;
    }
    if (call->number[0] > call->buffer_len || level > UINT32_MAX) return refuse(call, "no such length or level");
    call->level = (uint32_t)level;
    return true;
}

static void commit_run(Call *call) {
    sarsen_batch *batch = call->object->pointer;
    sarsen_batch_clear(batch);
    call->status = sarsen_batch_load(batch, call->buffer, (size_t)call->number[0], &call->error);
    if (call->status != SARSEN_OK) return;
    call->status = sarsen_batch_commit(batch, call->store->pointer, call->level, &call->result[0], &call->error);
}

/* (batch, command): u64 index and the address of the block. */
static bool result_prepare(Call *call) {
    return take_own(call, 0, KIND_BATCH) && take_number(call, 1, &call->number[0]);
}

static void result_run(Call *call) {
    call->status = sarsen_batch_result(call->object->pointer, (size_t)call->number[0], &call->result[0], &call->block,
                                       &call->error);
}

static napi_value result_finish(Call *call) {
    if (call->status != SARSEN_OK) return call_failed(call);
    uint8_t encoded[sizeof(uint64_t) + sizeof call->block];
    put(put(encoded, &call->result[0], sizeof(uint64_t)), &call->block, sizeof call->block);
    napi_value buffer = NULL;
    napi_create_buffer_copy(call->env, sizeof encoded, encoded, NULL, &buffer);
    return buffer;
}

const Operation batch_operations[] = {
    {"batchNew", prepare_nothing, new_run, give_made},
    {"batchCommit", commit_prepare, commit_run, give_first_result},
    {"batchResult", result_prepare, result_run, result_finish},
    {NULL, NULL, NULL, NULL}};
