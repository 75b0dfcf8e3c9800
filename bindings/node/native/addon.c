/* What JavaScript finds when it loads the addon. One state for each environment: threads of workers share nothing. */
#include "addon.h"

/* viewBuffer(view): an ArrayBuffer over the bytes of a view, which lives as long as either. */
static void buffer_collected(napi_env env, void *data, void *hint) {
    (void)env, (void)data;
    object_leave(hint);
}

static napi_value view_buffer(napi_env env, napi_callback_info info) {
    size_t count = 1;
    napi_value argument, buffer = NULL;
    void *data = NULL;
    napi_get_cb_info(env, info, &count, &argument, NULL, NULL);
    if (napi_get_value_external(env, argument, &data) != napi_ok) return NULL;
    Object *object = data;
    if (object->kind != KIND_VIEW || !object->pointer) return NULL;
    void *bytes = NULL;
    if (object->view.len == 0) {
        napi_create_arraybuffer(env, 0, &bytes, &buffer);
        return buffer;
    }
    object_enter(object);
    if (napi_create_external_arraybuffer(env, (void *)object->view.data, object->view.len, buffer_collected, object,
                                         &buffer) != napi_ok) {
        object_leave(object);
    }
    return buffer;
}

/* viewRelease(view, arrayBuffer): nobody reaches the bytes from here on. */
static napi_value view_release(napi_env env, napi_callback_info info) {
    size_t count = 2;
    napi_value arguments[2];
    void *data = NULL;
    napi_get_cb_info(env, info, &count, arguments, NULL, NULL);
    if (count < 2 || napi_get_value_external(env, arguments[0], &data) != napi_ok) return NULL;
    Object *object = data;
    if (object->kind != KIND_VIEW || !object->pointer) return NULL;
    if (object->view.len > 0 && napi_detach_arraybuffer(env, arguments[1]) != napi_ok) return NULL;
    object->pointer = NULL;
    sarsen_view_release(&object->view);
    return NULL;
}

/* start(SarsenError, scratch) */
static napi_value start(napi_env env, napi_callback_info info) {
    size_t count = 2, len = 0;
    napi_value arguments[2];
    Addon *addon;
    void *scratch;
    napi_get_cb_info(env, info, &count, arguments, NULL, NULL);
    napi_get_instance_data(env, (void **)&addon);
    if (count < 2 || napi_get_buffer_info(env, arguments[1], &scratch, &len) != napi_ok || len != SCRATCH_BYTES) {
        napi_throw_type_error(env, NULL, "start takes the class of errors and 65,536 bytes");
        return NULL;
    }
    addon->scratch = scratch;
    napi_create_reference(env, arguments[0], 1, &addon->error_class);
    napi_create_reference(env, arguments[1], 1, &addon->scratch_reference);
    return NULL;
}

static void ended(napi_env env, void *data, void *hint) {
    (void)env, (void)hint;
    free(data);
}

static const napi_property_descriptor functions[] = {
    {"start", NULL, start, NULL, NULL, NULL, napi_default, NULL},
    {"free", NULL, free_object, NULL, NULL, NULL, napi_default, NULL},
    {"cancelWait", NULL, cancel_wait, NULL, NULL, NULL, napi_default, NULL},
    {"viewBuffer", NULL, view_buffer, NULL, NULL, NULL, napi_default, NULL},
    {"viewRelease", NULL, view_release, NULL, NULL, NULL, napi_default, NULL}};

NAPI_MODULE_INIT(/* napi_env env, napi_value exports */) {
    static const Operation *const all[] = {store_operations,  kv_operations,    stream_operations, memory_operations,
                                           batch_operations, block_operations, log_operations};
    Addon *made = calloc(1, sizeof *made);
    if (!made || napi_set_instance_data(env, made, ended, NULL) != napi_ok) {
        free(made);
        return NULL;
    }
    made->env = env;
    napi_status status = start_completions(made);
    if (status == napi_ok) {
        status = napi_define_properties(env, exports, sizeof functions / sizeof *functions, functions);
    }
    for (size_t place = 0; place < sizeof all / sizeof *all && status == napi_ok; place++) {
        status = export_operations(made, exports, all[place]);
    }
    if (status != napi_ok) napi_throw_error(env, NULL, "the addon of sarsen could not be set up");
    return exports;
}
