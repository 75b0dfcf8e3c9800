/* Handles of sarsen as externals of JavaScript.
 *
 * One that JavaScript gives back while a call uses it is given back when that call is over. One that JavaScript loses
 * is given back by the collector, or when the environment ends. */
#include "addon.h"

static void give_back(Object *object) {
    void *pointer = object->pointer;
    object->pointer = NULL;
    forget_item(&object->item);
    object->has_item = false;
    sarsen_error_free(object->kept_error);
    object->kept_error = NULL;
    switch (object->kind) {
    case KIND_STORE: sarsen_store_close(pointer, NULL); break;
    case KIND_SNAPSHOT: sarsen_snapshot_free(pointer); break;
    case KIND_BATCH: sarsen_batch_free(pointer); break;
    case KIND_KV_ITER: sarsen_kv_iter_free(pointer); break;
    case KIND_STREAM_ITER: sarsen_stream_iter_free(pointer); break;
    case KIND_STREAM_NAMES: sarsen_stream_names_free(pointer); break;
    case KIND_MEMORY_ITER: sarsen_memory_iter_free(pointer); break;
    case KIND_LOG_READER: sarsen_log_reader_free(pointer); break;
    case KIND_REPORT: sarsen_report_free(pointer); break;
    case KIND_VIEW: sarsen_view_release(&object->view); break;
    }
}

static void drop_reference(Object *object) {
    if (--object->references > 0) return;
    if (object->pointer) give_back(object);
    if (object->kind == KIND_STORE) {
        pthread_mutex_destroy(&object->lock);
        pthread_cond_destroy(&object->idle);
    }
    free(object);
}

static void collected(napi_env env, void *data, void *hint) {
    (void)env, (void)hint;
    drop_reference(data);
}

napi_value object_new(Call *call, Kind kind, void *pointer) {
    Object *made = calloc(1, sizeof *made);
    if (!made) abort(); /* as V8 does where a few bytes are not to be had */
    made->kind = kind;
    made->pointer = pointer;
    made->addon = call->addon;
    made->references = 1;
    if (kind == KIND_VIEW) {
        made->view = call->view;
        made->pointer = made;
        memset(&call->view, 0, sizeof call->view);
    }
    if (kind == KIND_STORE) {
        pthread_mutex_init(&made->lock, NULL);
        pthread_cond_init(&made->idle, NULL);
    }
    napi_value external = NULL;
    if (napi_create_external(call->env, made, collected, NULL, &external) != napi_ok) drop_reference(made);
    return external;
}

void object_enter(Object *object) {
    object->references++;
    object->users++;
}

void object_leave(Object *object) {
    object->users--;
    if (object->users == 0 && object->released && object->pointer) give_back(object);
    if (object->users == 1 && object->close) { /* the one left is the close itself */
        Call *waiting = object->close;
        object->close = NULL;
        call_queue(waiting);
    }
    drop_reference(object);
}

/* Whether a call on another thread may use the store; then store_leave is called when it did. */
bool store_enter(Object *store) {
    pthread_mutex_lock(&store->lock);
    bool open = !store->closing;
    if (open) store->running++;
    pthread_mutex_unlock(&store->lock);
    return open;
}

void store_leave(Object *store) {
    pthread_mutex_lock(&store->lock);
    if (--store->running == 0) pthread_cond_broadcast(&store->idle);
    pthread_mutex_unlock(&store->lock);
}

/* Refuses further calls on other threads and waits for those that run. */
void store_idle(Object *store) {
    pthread_mutex_lock(&store->lock);
    store->closing = true;
    while (store->running > 0) pthread_cond_wait(&store->idle, &store->lock);
    pthread_mutex_unlock(&store->lock);
}

/* free(object): gives back anything but a store, now or when the call that uses it is over. */
napi_value free_object(napi_env env, napi_callback_info info) {
    size_t count = 1;
    napi_value argument;
    void *data = NULL;
    napi_get_cb_info(env, info, &count, &argument, NULL, NULL);
    if (count < 1 || napi_get_value_external(env, argument, &data) != napi_ok) return NULL;
    Object *object = data;
    object->released = true;
    if (object->pointer && object->users == 0) give_back(object);
    return NULL;
}
