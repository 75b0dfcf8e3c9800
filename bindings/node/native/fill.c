/* Many items in one crossing: buffers filled from iterators that sarsen hands out item by item.
 *
 * An item that does not fit stays with the iterator for the next buffer; so does an error behind items. */
#include "addon.h"

void forget_item(Item *item) {
    free(item->owned);
    item->owned = NULL;
}

uint8_t *put(uint8_t *at, const void *bytes, size_t len) {
    if (len) memcpy(at, bytes, len);
    return at + len;
}

static size_t item_len(const Item *item) {
    return item->head_len + item->parts[0].len + item->owned_len + item->parts[1].len;
}

/* As many whole items as fit. Answers like sarsen_kv_iter_fill: TOO_LARGE with the size needed in out_len. */
void fill(Call *call, Pull pull) {
    Object *iter = call->object;
    size_t len = 0;
    for (;;) {
        if (!iter->has_item) {
            if (iter->kept_status != SARSEN_OK) {
                if (len > 0) break;
                call->status = iter->kept_status;
                call->error = iter->kept_error;
                iter->kept_status = SARSEN_OK;
                iter->kept_error = NULL;
                return;
            }
            memset(&iter->item, 0, sizeof iter->item);
            sarsen_error *error = NULL;
            sarsen_status status = pull(call, len ? 0 : call->number[0], &iter->item, &error);
            if (status != SARSEN_OK && len == 0) {
                call->status = status;
                call->error = error;
                return;
            }
            if (status == SARSEN_END || status == SARSEN_TIMEOUT) break;
            if (status != SARSEN_OK) {
                iter->kept_status = status;
                iter->kept_error = error;
                break;
            }
            iter->has_item = true;
        }
        Item *item = &iter->item;
        size_t need = item_len(item);
        if (need > call->buffer_len - len) {
            if (len > 0) break;
            call->status = SARSEN_TOO_LARGE;
            call->out_len = need;
            return;
        }
        uint8_t *at = put((uint8_t *)call->buffer + len, item->head, item->head_len);
        at = put(at, item->parts[0].data, item->parts[0].len);
        at = put(at, item->owned, item->owned_len);
        put(at, item->parts[1].data, item->parts[1].len);
        len += need;
        forget_item(item);
        iter->has_item = false;
    }
    call->status = SARSEN_OK;
    call->out_len = len;
}

/* (iterator, buffer) */
bool prepare_fill(Call *call, Kind kind) { return take_own(call, 0, kind) && take_buffer(call, 1); }

/* The length of what was filled in; 0 where there is nothing more, or a wait ran out; minus the length needed. */
napi_value give_filled(Call *call) {
    double answer = (double)call->out_len;
    if (call->status == SARSEN_END || call->status == SARSEN_TIMEOUT) {
        answer = 0;
    } else if (call->status == SARSEN_TOO_LARGE && call->out_len > call->buffer_len) {
        answer = -answer;
    } else if (call->status != SARSEN_OK) {
        return call_failed(call);
    }
    napi_value number = NULL;
    napi_create_double(call->env, answer, &number);
    return number;
}

/* Tags one after another, u16 length and bytes each, in memory of malloc's. */
bool encode_tags(const sarsen_tags *tags, uint8_t **out, size_t *out_len) {
    size_t count = sarsen_tags_count(tags), len = 0;
    for (size_t place = 0; place < count; place++) len += 2 + sarsen_tags_get(tags, place).len;
    *out_len = len;
    uint8_t *at = *out = malloc(len ? len : 1);
    if (!at) return false;
    for (size_t place = 0; place < count; place++) {
        sarsen_bytes tag = sarsen_tags_get(tags, place);
        *at++ = (uint8_t)tag.len;
        *at++ = (uint8_t)(tag.len >> 8);
        at = put(at, tag.data, tag.len);
    }
    return true;
}
