/* The log: readers filled with commands. A wait runs on a thread of its own, in slices between which it may be
 * cancelled. */
#include "addon.h"

#define SLICE_US 20000

static void first_seq_run(Call *call) { call->result[0] = sarsen_log_first_seq(call->store->pointer); }

static void read_run(Call *call) {
    sarsen_log_reader *reader = NULL;
    call->status = sarsen_log_read(call->store->pointer, call->number[0], call->number[1], &reader, &call->error);
    keep_made(call, KIND_LOG_READER, reader);
}

static sarsen_status next(Call *call, uint64_t timeout_us, sarsen_command *command, const sarsen_tags **tags,
                          sarsen_error **error) {
    for (;;) {
        uint64_t slice = call->async && timeout_us > SLICE_US ? SLICE_US : timeout_us;
        sarsen_status status = sarsen_log_next(call->object->pointer, slice, command, sizeof *command, tags, error);
        timeout_us -= slice;
        if (status != SARSEN_TIMEOUT || timeout_us == 0 || atomic_load(&call->cancelled)) return status;
    }
}

/* u64 seq, epoch, id; u32 kind, last; address (24 bytes); u32 length of the key, of the tags; u64 of the value; then
 * key, tags, value. */
static sarsen_status pull_command(Call *call, uint64_t timeout_us, Item *item, sarsen_error **error) {
    sarsen_command command;
    const sarsen_tags *tags = NULL;
    sarsen_status status = next(call, timeout_us, &command, &tags, error);
    if (status != SARSEN_OK) return status;
    if (!encode_tags(tags, &item->owned, &item->owned_len)) return SARSEN_INTERNAL;
    item->parts[0] = command.key;
    item->parts[1] = command.value;
    uint64_t numbers[] = {command.seq, command.epoch, command.id};
    uint32_t kinds[] = {command.kind, command.last};
    uint32_t lens[] = {(uint32_t)command.key.len, (uint32_t)item->owned_len};
    uint64_t value_len = command.value.len;
    uint8_t *at = put(put(item->head, numbers, sizeof numbers), kinds, sizeof kinds);
    at = put(put(at, &command.block, sizeof command.block), lens, sizeof lens);
    at = put(at, &value_len, sizeof value_len);
    item->head_len = (size_t)(at - item->head);
    return SARSEN_OK;
}

/* (reader, buffer, timeout_us) */
static bool fill_prepare(Call *call) {
    if (!prepare_fill(call, KIND_LOG_READER) || !take_number(call, 2, &call->number[0])) return false;
    call->waits = call->async && call->number[0] > 0;
    return true;
}

static void fill_run(Call *call) { fill(call, pull_command); }

const Operation log_operations[] = {
    {"logFirstSeq", prepare_store, first_seq_run, give_first_result},
    {"logRead", prepare_store_two_numbers, read_run, give_made},
    {"logFill", fill_prepare, fill_run, give_filled},
    {NULL, NULL, NULL, NULL}};
