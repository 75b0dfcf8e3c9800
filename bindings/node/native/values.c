/* Arguments of JavaScript as values of C, and answers the other way. Each take_ function throws and returns false where
 * the argument is not what it should be. */
#include "addon.h"

#include <math.h>

static bool take_any(Call *call, int argument, Object **out) {
    void *data = NULL;
    napi_valuetype type;
    if (napi_typeof(call->env, call->arguments[argument], &type) != napi_ok || type != napi_external ||
        napi_get_value_external(call->env, call->arguments[argument], &data) != napi_ok) {
        return refuse(call, "this is no object of sarsen, or it was freed");
    }
    *out = data;
    return true;
}

bool take_object(Call *call, int argument, Kind kind, Object **out) {
    Object *object = NULL;
    if (!take_any(call, argument, &object)) return false;
    if (object->kind != kind) return refuse(call, "this is another kind of object of sarsen");
    if (!object->pointer || object->released) {
        return refuse(call, kind == KIND_STORE ? "the store is closed" : "this was given back already");
    }
    object_enter(object);
    *out = object;
    return true;
}

bool take_store(Call *call, int argument) { return take_object(call, argument, KIND_STORE, &call->store); }

/* An object that one call at a time may use. */
bool take_own(Call *call, int argument, Kind kind) {
    Object *object = NULL;
    if (!take_any(call, argument, &object)) return false;
    if (object->kind == kind && object->users > 0) {
        return refuse(call, "another call on this object has not ended: await it first");
    }
    return take_object(call, argument, kind, &call->object);
}

bool is_absent(napi_env env, napi_value value) {
    napi_valuetype type;
    return napi_typeof(env, value, &type) != napi_ok || type == napi_undefined || type == napi_null;
}

bool take_snapshot(Call *call, int argument) {
    if (is_absent(call->env, call->arguments[argument])) return true;
    return take_object(call, argument, KIND_SNAPSHOT, &call->snapshot);
}

bool prepare_nothing(Call *call) {
    (void)call;
    return true;
}

bool prepare_store(Call *call) { return take_store(call, 0); }

bool prepare_store_number(Call *call) { return prepare_store(call) && take_number(call, 1, &call->number[0]); }

bool prepare_store_two_numbers(Call *call) {
    return prepare_store_number(call) && take_number(call, 2, &call->number[1]);
}

bool prepare_store_bytes(Call *call) { return prepare_store(call) && take_bytes(call, 1, 0); }

bool prepare_store_two_bytes(Call *call) { return prepare_store_bytes(call) && take_bytes(call, 2, 1); }

bool prepare_read_bytes(Call *call) {
    return prepare_store(call) && take_snapshot(call, 1) && take_bytes(call, 2, 0);
}

static bool take_text(Call *call, int argument, Bytes *out) {
    /* A string of n UTF-16 units has at most 3 n bytes of UTF-8; one that may not fit is measured first. */
    napi_env env = call->env;
    napi_value value = call->arguments[argument];
    size_t space = INLINE_BYTES - call->inline_used;
    char *place = (char *)call->inline_bytes + call->inline_used;
    size_t len = 0;
    if (space > 8) {
        if (napi_get_value_string_utf8(env, value, place, space, &len) != napi_ok) return refuse(call, "no string");
        if (len < space - 4) {
            call->inline_used += len;
            *out = (Bytes){(uint8_t *)place, len, NULL};
            return true;
        }
    }
    napi_get_value_string_utf8(env, value, NULL, 0, &len);
    char *owned = malloc(len + 1);
    if (!owned) return refuse(call, "out of memory");
    napi_get_value_string_utf8(env, value, owned, len + 1, &len);
    *out = (Bytes){(uint8_t *)owned, len, owned};
    return true;
}

/* A Buffer, typed array or string. What another thread will read is copied: JavaScript may change its own meanwhile. */
bool take_bytes(Call *call, int argument, int place) {
    napi_env env = call->env;
    napi_value value = call->arguments[argument];
    Bytes *out = &call->in[place];
    napi_valuetype type;
    if (napi_typeof(env, value, &type) != napi_ok) return refuse(call, "no argument");
    if (type == napi_string) return take_text(call, argument, out);
    void *data = NULL;
    size_t len = 0;
    if (type != napi_object || napi_get_buffer_info(env, value, &data, &len) != napi_ok) {
        return refuse(call, "bytes are to be a Buffer, a Uint8Array or a string");
    }
    *out = (Bytes){data, len, NULL};
    if (!call->async || len == 0) return true;
    size_t space = INLINE_BYTES - call->inline_used;
    uint8_t *copy = call->inline_bytes + call->inline_used;
    if (len <= space) {
        call->inline_used += len;
    } else {
        out->owned = copy = malloc(len);
        if (!copy) return refuse(call, "out of memory");
    }
    memcpy(copy, data, len);
    out->data = copy;
    return true;
}

bool take_number(Call *call, int argument, uint64_t *out) {
    napi_env env = call->env;
    napi_value value = call->arguments[argument];
    napi_valuetype type;
    napi_typeof(env, value, &type);
    if (type == napi_number) {
        double number;
        napi_get_value_double(env, value, &number);
        if (!(number >= 0) || number > 9007199254740991.0 || number != floor(number)) {
            return refuse(call, "a number is to be whole and from 0 to 2^53 - 1; beyond that, a bigint");
        }
        *out = (uint64_t)number;
        return true;
    }
    bool lossless = false;
    if (type != napi_bigint || napi_get_value_bigint_uint64(env, value, out, &lossless) != napi_ok || !lossless) {
        return refuse(call, "a number or a bigint from 0 to 2^64 - 1 is expected");
    }
    return true;
}

bool take_flag(Call *call, int argument, bool *out) {
    *out = false;
    if (is_absent(call->env, call->arguments[argument])) return true;
    if (napi_get_value_bool(call->env, call->arguments[argument], out) != napi_ok) return refuse(call, "no boolean");
    return true;
}

/* An address: 24 bytes, laid out as in docs/FORMAT.md and as sarsen_block on a little-endian machine. */
bool take_block(Call *call, int argument) {
    void *data;
    size_t len;
    if (napi_get_buffer_info(call->env, call->arguments[argument], &data, &len) != napi_ok ||
        len != sizeof call->block) {
        return refuse(call, "the address of a block is 24 bytes");
    }
    memcpy(&call->block, data, sizeof call->block);
    return true;
}

/* Tags as JavaScript packs them: u16 length and bytes each. */
bool take_tags(Call *call, int argument, int place) {
    if (is_absent(call->env, call->arguments[argument])) return true;
    void *data;
    size_t len;
    if (napi_get_buffer_info(call->env, call->arguments[argument], &data, &len) != napi_ok) {
        return refuse(call, "tags are to be strings");
    }
    call->tags[place] = sarsen_tags_new();
    const uint8_t *at = data, *end = at + len;
    while (at < end) {
        size_t tag_len = at[0] | (size_t)at[1] << 8;
        call->status = sarsen_tags_add(call->tags[place], (const char *)at + 2, tag_len);
        if (call->status != SARSEN_OK) {
            call->refusal = "a tag is UTF-8 of 1 to 1,024 bytes, and a set has up to 1,024";
            call_failed(call);
            return false;
        }
        at += 2 + tag_len;
    }
    return true;
}

/* A buffer to write to. It is one of this binding's own, which nobody else can see until the call is over. */
bool take_buffer(Call *call, int argument) {
    if (napi_get_buffer_info(call->env, call->arguments[argument], &call->buffer, &call->buffer_len) != napi_ok) {
        return refuse(call, "a Buffer is expected");
    }
    if (call->async) napi_create_reference(call->env, call->arguments[argument], 1, &call->buffer_reference);
    return true;
}

/* ---- for `run` ---- */

/* NULL: as of now. */
const sarsen_snapshot *snapshot_of(const Call *call) { return call->snapshot ? call->snapshot->pointer : NULL; }

/* The handle that was made, NULL where the call failed, for give_made. */
void keep_made(Call *call, Kind kind, void *made) {
    call->made_kind = kind;
    call->made = made;
}

/* Memory for `len` bytes that give_out hands over; false: there is none, and the call has failed. */
bool make_out(Call *call, size_t len) {
    call->out = malloc(len ? len : 1);
    if (!call->out) {
        fail_run(call, SARSEN_INTERNAL, "out of memory");
        return false;
    }
    call->out_len = len;
    return true;
}

/* With a view in hand: on another thread the bytes are fetched there, from disk where need be. */
void keep_view(Call *call) {
    if (!call->async || call->status != SARSEN_OK) return;
    if (make_out(call, call->view.len)) put(call->out, call->view.data, call->view.len);
    sarsen_view_release(&call->view);
}

/* ---- answers ---- */

napi_value give_nothing(Call *call) { return call->status == SARSEN_OK ? NULL : call_failed(call); }

napi_value give_number(Call *call, uint64_t value) {
    napi_value number = NULL;
    napi_create_double(call->env, (double)value, &number);
    return number;
}

napi_value give_bigint(Call *call, uint64_t value) {
    napi_value number = NULL;
    napi_create_bigint_uint64(call->env, value, &number);
    return number;
}

napi_value give_flag(Call *call, bool value) {
    napi_value flag = NULL;
    napi_get_boolean(call->env, value, &flag);
    return flag;
}

napi_value give_made(Call *call) {
    return call->status == SARSEN_OK ? object_new(call, call->made_kind, call->made) : call_failed(call);
}

napi_value give_first_result(Call *call) {
    return call->status == SARSEN_OK ? give_number(call, call->result[0]) : call_failed(call);
}

napi_value give_block(Call *call) {
    if (call->status != SARSEN_OK) return call_failed(call);
    napi_value buffer = NULL;
    napi_create_buffer_copy(call->env, sizeof call->block, &call->block, NULL, &buffer);
    return buffer;
}

static void free_bytes(napi_env env, void *data, void *hint) {
    (void)env, (void)hint;
    free(data);
}

/* Bytes in memory of malloc's, which long ones keep. */
napi_value give_out(Call *call) {
    if (call->status != SARSEN_OK) return call_failed(call);
    napi_value buffer = NULL;
    if (call->out_len <= SCRATCH_BYTES ||
        napi_create_external_buffer(call->env, call->out_len, call->out, free_bytes, NULL, &buffer) != napi_ok) {
        napi_create_buffer_copy(call->env, call->out_len, call->out, NULL, &buffer);
    } else {
        call->out = NULL;
    }
    return buffer;
}

/* The bytes of a view: undefined for NOT_FOUND; from a synchronous call, a number for as many bytes of the scratch
 * memory, from where JavaScript copies a few bytes for less than a Buffer costs here. */
napi_value give_view(Call *call) {
    if (call->status == SARSEN_NOT_FOUND) return NULL;
    if (call->status != SARSEN_OK) return call_failed(call);
    if (call->async) return give_out(call);
    napi_value answer = NULL;
    if (call->view.len <= SCRATCH_BYTES) {
        memcpy(call->addon->scratch, call->view.data, call->view.len);
        napi_create_uint32(call->env, (uint32_t)call->view.len, &answer);
    } else if (napi_create_buffer_copy(call->env, call->view.len, call->view.data, NULL, &answer) != napi_ok) {
        refuse(call, "no Buffer can be as long as these bytes");
    }
    return answer;
}

/* The view itself; undefined for NOT_FOUND. */
napi_value give_view_object(Call *call) {
    if (call->status == SARSEN_NOT_FOUND) return NULL;
    return call->status == SARSEN_OK ? object_new(call, KIND_VIEW, NULL) : call_failed(call);
}

napi_value give_figures(Call *call, const char *const *names, const uint64_t *values, size_t count) {
    napi_value figures;
    napi_create_object(call->env, &figures);
    for (size_t place = 0; place < count; place++) {
        napi_set_named_property(call->env, figures, names[place], give_number(call, values[place]));
    }
    return figures;
}
