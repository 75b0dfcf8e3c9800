/* The addon: each function of sarsen.h as two functions of JavaScript, one that runs at once and one that runs on
 * another thread and answers with a promise.
 *
 * A function is an `operation` in three steps. `prepare` reads the arguments, on the thread of JavaScript; `run` calls
 * sarsen and nothing of JavaScript, on whatever thread; `finish` makes the answer, on the thread of JavaScript again.
 * Everything about an `object` but a store's lock is touched on the thread of JavaScript only, or by the one call that
 * uses it at a time. */
#ifndef SARSEN_NODE_ADDON_H
#define SARSEN_NODE_ADDON_H

#define NAPI_VERSION 8
#include <node_api.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "sarsen.h"

enum {
    MOST_ARGUMENTS = 8,
    INLINE_BYTES = 192,
    /* Up to here a synchronous get hands its bytes over in memory that both sides know. */
    SCRATCH_BYTES = 65536
};

typedef enum {
    KIND_STORE,
    KIND_SNAPSHOT,
    KIND_BATCH,
    KIND_KV_ITER,
    KIND_STREAM_ITER,
    KIND_STREAM_NAMES,
    KIND_MEMORY_ITER,
    KIND_LOG_READER,
    KIND_REPORT,
    KIND_VIEW
} Kind;

typedef struct Addon Addon;
typedef struct Call Call;
typedef struct Operation Operation;

/* What an iterator has read and not yet handed out, laid out by the function that read it. */
typedef struct {
    uint8_t head[80];
    size_t head_len;
    sarsen_bytes parts[2];
    uint8_t *owned; /* tags, freed with the item */
    size_t owned_len;
} Item;

/* A handle of sarsen in the hands of JavaScript. */
typedef struct Object {
    Kind kind;
    void *pointer; /* NULL: given back */
    Addon *addon;
    uint32_t references; /* the external of JavaScript, and each call under way */
    uint32_t users;      /* calls under way */
    bool released;       /* no further calls; given back when the last one is over */

    /* A store: calls on other threads, and who waits for them. */
    pthread_mutex_t lock;
    pthread_cond_t idle;
    uint32_t running;
    bool closing;
    Call *close; /* waits for the calls under way */

    /* Iterators that this addon fills itself. */
    bool has_item;
    Item item;
    sarsen_status kept_status; /* found behind items that were handed out first */
    sarsen_error *kept_error;

    sarsen_view view;
} Object;

struct Operation {
    const char *name;
    bool (*prepare)(Call *);
    void (*run)(Call *);
    napi_value (*finish)(Call *);
};

typedef struct {
    const uint8_t *data;
    size_t len;
    void *owned;
} Bytes;

/* One call of an operation. */
struct Call {
    const Operation *operation;
    Addon *addon;
    napi_env env;
    bool async;
    bool waits; /* may wait for long: gets a thread of its own, not one of the pool's few */
    napi_value arguments[MOST_ARGUMENTS];

    Object *store;
    Object *object; /* used by this call alone while it is under way */
    Object *snapshot;
    Bytes in[3];
    uint64_t number[3];
    uint32_t level;
    bool flag;
    sarsen_options *options;
    sarsen_tags *tags[3];
    sarsen_block block;
    void *buffer; /* to be filled; belongs to JavaScript */
    size_t buffer_len;
    napi_ref buffer_reference;

    sarsen_status status;
    sarsen_error *error;
    const char *refusal; /* instead of `error`: a fixed text */
    void *made;          /* a handle that `run` made */
    Kind made_kind;
    sarsen_view view;
    uint8_t *out;
    size_t out_len;
    size_t count;
    uint64_t result[2];
    union {
        sarsen_recovery recovery;
        sarsen_stats stats;
    } figures;

    napi_deferred deferred;
    napi_async_work work;
    pthread_t thread;
    atomic_bool cancelled;
    Call *next_waiting;
    size_t inline_used;

    uint8_t inline_bytes[INLINE_BYTES]; /* last: not cleared */
};

struct Addon {
    napi_env env;
    napi_ref error_class;
    napi_ref scratch_reference;
    uint8_t *scratch;
    napi_threadsafe_function completions;
    Call *waiting;
    uint32_t waiting_count;
};

/* ---- objects (object.c) ---- */
napi_value object_new(Call *call, Kind kind, void *pointer);
napi_value free_object(napi_env env, napi_callback_info info);
void object_enter(Object *object);
void object_leave(Object *object);
bool store_enter(Object *store);
void store_leave(Object *store);
void store_idle(Object *store);

/* ---- calls (call.c) ---- */
bool refuse(Call *call, const char *text);
void fail_run(Call *call, sarsen_status status, const char *text);
napi_value call_failed(Call *call);
napi_status export_operations(Addon *addon, napi_value exports, const Operation *operations);
void call_queue(Call *call);
napi_value cancel_wait(napi_env env, napi_callback_info info);
napi_status start_completions(Addon *addon);

/* ---- arguments and answers (values.c) ---- */
bool prepare_nothing(Call *call);
bool prepare_store(Call *call);             /* (store) */
bool prepare_store_number(Call *call);      /* (store, number) */
bool prepare_store_two_numbers(Call *call); /* (store, number, number) */
bool prepare_store_bytes(Call *call);       /* (store, bytes) */
bool prepare_store_two_bytes(Call *call);   /* (store, bytes, bytes) */
bool prepare_read_bytes(Call *call);        /* (store, snapshot or absent, bytes) */
bool take_object(Call *call, int argument, Kind kind, Object **out);
bool take_store(Call *call, int argument);
bool take_own(Call *call, int argument, Kind kind);
bool take_snapshot(Call *call, int argument);
bool take_bytes(Call *call, int argument, int place);
bool take_number(Call *call, int argument, uint64_t *out);
bool take_flag(Call *call, int argument, bool *out);
bool take_block(Call *call, int argument);
bool take_tags(Call *call, int argument, int place);
bool take_buffer(Call *call, int argument);
bool is_absent(napi_env env, napi_value value);
const sarsen_snapshot *snapshot_of(const Call *call);
void keep_made(Call *call, Kind kind, void *made);
bool make_out(Call *call, size_t len);
void keep_view(Call *call);
napi_value give_nothing(Call *call);
napi_value give_number(Call *call, uint64_t value);
napi_value give_bigint(Call *call, uint64_t value);
napi_value give_flag(Call *call, bool value);
napi_value give_made(Call *call);
napi_value give_out(Call *call);
napi_value give_view(Call *call);
napi_value give_view_object(Call *call);
napi_value give_first_result(Call *call);
napi_value give_block(Call *call);
napi_value give_figures(Call *call, const char *const *names, const uint64_t *values, size_t count);

/* ---- filling buffers (fill.c) ---- */
typedef sarsen_status (*Pull)(Call *call, uint64_t timeout_us, Item *item, sarsen_error **error);
void fill(Call *call, Pull pull);
napi_value give_filled(Call *call);
bool prepare_fill(Call *call, Kind kind);
void forget_item(Item *item);
uint8_t *put(uint8_t *at, const void *bytes, size_t len);
bool encode_tags(const sarsen_tags *tags, uint8_t **out, size_t *out_len);

extern const Operation store_operations[], kv_operations[], stream_operations[], memory_operations[],
    batch_operations[], block_operations[], log_operations[];

#endif
