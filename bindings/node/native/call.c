/* How a call runs: at once, on a thread of libuv's pool, or on a thread of its own where it waits for a new commit. */
#include "addon.h"

#include <stddef.h>

static void set_text(napi_env env, napi_value object, const char *name, const char *text) {
    napi_value value;
    if (text && napi_create_string_utf8(env, text, NAPI_AUTO_LENGTH, &value) == napi_ok) {
        napi_set_named_property(env, object, name, value);
    }
}

static void set_number(napi_env env, napi_value object, const char *name, double number) {
    napi_value value;
    if (napi_create_double(env, number, &value) == napi_ok) napi_set_named_property(env, object, name, value);
}

/* What went wrong as a SarsenError, which JavaScript defines. */
static napi_value error_value(Call *call) {
    napi_env env = call->env;
    napi_value class, arguments[2], made = NULL;
    const sarsen_error *error = call->error;
    const char *message = call->refusal;
    if (!message) message = error ? sarsen_error_message(error) : sarsen_status_name(call->status);
    if (!call->refusal && !error && call->status == SARSEN_NOT_FOUND) message = "there is no such thing in the store";
    napi_get_reference_value(env, call->addon->error_class, &class);
    napi_create_string_utf8(env, sarsen_status_name(call->status), NAPI_AUTO_LENGTH, &arguments[0]);
    napi_create_string_utf8(env, message, NAPI_AUTO_LENGTH, &arguments[1]);
    if (napi_new_instance(env, class, 2, arguments, &made) != napi_ok) return NULL;
    set_number(env, made, "status", call->status);
    if (!error) return made;
    if (sarsen_error_os_code(error)) set_number(env, made, "osCode", sarsen_error_os_code(error));
    if (sarsen_error_file(error)) {
        set_text(env, made, "file", sarsen_error_file(error));
        set_number(env, made, "offset", (double)sarsen_error_offset(error));
    }
    if (sarsen_error_first_seq(error)) {
        set_number(env, made, "firstSeq", (double)sarsen_error_first_seq(error));
        set_number(env, made, "lastSeq", (double)sarsen_error_last_seq(error));
    }
    return made;
}

napi_value call_failed(Call *call) {
    napi_value error = error_value(call);
    if (error) napi_throw(call->env, error);
    return NULL;
}

/* Called by `run`, on whatever thread, where the library has no error to tell. */
void fail_run(Call *call, sarsen_status status, const char *text) {
    call->status = status;
    call->refusal = text;
}

/* Throws what makes a call impossible; returns false, for `return refuse(..)`. */
bool refuse(Call *call, const char *text) {
    bool pending = false;
    napi_is_exception_pending(call->env, &pending);
    if (pending) return false;
    fail_run(call, SARSEN_INVALID_ARGUMENT, text);
    call_failed(call);
    return false;
}

/* Lets go of everything a call holds. */
static void call_end(Call *call) {
    Object *held[] = {call->object, call->snapshot, call->store};
    for (size_t place = 0; place < 3; place++) {
        free(call->in[place].owned);
        if (call->tags[place]) sarsen_tags_free(call->tags[place]);
        if (held[place]) object_leave(held[place]);
    }
    if (call->buffer_reference) napi_delete_reference(call->env, call->buffer_reference);
    if (call->options) sarsen_options_free(call->options);
    if (call->error) sarsen_error_free(call->error);
    if (call->view.data || call->view.pin) sarsen_view_release(&call->view);
    free(call->out);
}

static void run_elsewhere(Call *call) {
    if (!call->store) {
        call->operation->run(call);
    } else if (store_enter(call->store)) {
        call->operation->run(call);
        store_leave(call->store);
    } else {
        fail_run(call, SARSEN_INVALID_ARGUMENT, "the store was closed before this call had begun");
    }
}

static napi_value now(napi_env env, napi_callback_info info) {
    Call call;
    memset(&call, 0, offsetof(struct Call, inline_bytes));
    size_t count = MOST_ARGUMENTS;
    void *data;
    if (napi_get_cb_info(env, info, &count, call.arguments, NULL, &data) != napi_ok) return NULL;
    call.operation = data;
    call.env = env;
    napi_get_instance_data(env, (void **)&call.addon);
    napi_value answer = NULL;
    if (call.operation->prepare(&call)) {
        call.operation->run(&call);
        answer = call.operation->finish(&call);
    }
    call_end(&call);
    return answer;
}

/* Settles the promise of a call that has run. */
static void settle(Call *call) {
    napi_env env = call->env;
    napi_handle_scope scope;
    if (napi_open_handle_scope(env, &scope) == napi_ok) {
        napi_value answer = call->operation->finish(call);
        bool thrown = false;
        napi_is_exception_pending(env, &thrown);
        napi_value error;
        if (thrown) {
            napi_get_and_clear_last_exception(env, &error);
            napi_reject_deferred(env, call->deferred, error);
        } else {
            if (!answer) napi_get_undefined(env, &answer);
            napi_resolve_deferred(env, call->deferred, answer);
        }
        napi_close_handle_scope(env, scope);
    }
    if (call->work) napi_delete_async_work(env, call->work);
    call_end(call);
    free(call);
}

static void execute(napi_env env, void *data) {
    (void)env;
    run_elsewhere(data);
}

static void complete(napi_env env, napi_status status, void *data) {
    (void)env;
    Call *call = data;
    if (status == napi_cancelled) fail_run(call, SARSEN_INVALID_ARGUMENT, "the environment ends");
    settle(call);
}

/* ---- calls that wait ---- */

static void *wait_on_own_thread(void *data) {
    Call *call = data;
    napi_threadsafe_function completions = call->addon->completions;
    run_elsewhere(call);
    napi_call_threadsafe_function(completions, call, napi_tsfn_nonblocking);
    return NULL;
}

static void wait_is_over(napi_env env, napi_value function, void *context, void *data) {
    (void)function;
    Addon *addon = context;
    Call *call = data;
    if (!env) return; /* the environment is gone, and with it everything the call could answer */
    pthread_join(call->thread, NULL);
    for (struct Call **place = &addon->waiting; *place; place = &(*place)->next_waiting) {
        if (*place != call) continue;
        *place = call->next_waiting;
        break;
    }
    if (--addon->waiting_count == 0) napi_unref_threadsafe_function(env, addon->completions);
    settle(call);
}

/* The environment ends: no thread may outlive it. */
static void stop_waiting(void *data) {
    Addon *addon = data;
    for (Call *call = addon->waiting; call; call = call->next_waiting) atomic_store(&call->cancelled, true);
    for (Call *call = addon->waiting; call; call = call->next_waiting) pthread_join(call->thread, NULL);
    addon->waiting = NULL;
}

napi_status start_completions(Addon *addon) {
    napi_value name;
    napi_status status = napi_create_string_utf8(addon->env, "sarsen", NAPI_AUTO_LENGTH, &name);
    if (status != napi_ok) return status;
    status = napi_create_threadsafe_function(addon->env, NULL, NULL, name, 0, 1, NULL, NULL, addon, wait_is_over,
                                             &addon->completions);
    if (status != napi_ok) return status;
    napi_unref_threadsafe_function(addon->env, addon->completions);
    /* Hooks run in reverse order: this one before the function above is torn down. */
    return napi_add_env_cleanup_hook(addon->env, stop_waiting, addon);
}

/* cancelWait(reader): a wait under way on it ends soon, as if its time were over. */
napi_value cancel_wait(napi_env env, napi_callback_info info) {
    size_t count = 1;
    napi_value argument;
    void *object = NULL;
    Addon *addon;
    napi_get_cb_info(env, info, &count, &argument, NULL, NULL);
    napi_get_instance_data(env, (void **)&addon);
    if (count < 1 || napi_get_value_external(env, argument, &object) != napi_ok) return NULL;
    for (Call *call = addon->waiting; call; call = call->next_waiting) {
        if (call->object == object) atomic_store(&call->cancelled, true);
    }
    return NULL;
}

/* ---- calls elsewhere ---- */

/* Has a prepared call run on another thread. */
void call_queue(Call *call) {
    Addon *addon = call->addon;
    if (call->waits) {
        call->next_waiting = addon->waiting;
        addon->waiting = call;
        if (addon->waiting_count++ == 0) napi_ref_threadsafe_function(call->env, addon->completions);
        if (pthread_create(&call->thread, NULL, wait_on_own_thread, call) == 0) return;
        addon->waiting = call->next_waiting;
        if (--addon->waiting_count == 0) napi_unref_threadsafe_function(call->env, addon->completions);
    } else {
        napi_value name;
        napi_create_string_utf8(call->env, call->operation->name, NAPI_AUTO_LENGTH, &name);
        if (napi_create_async_work(call->env, NULL, name, execute, complete, call, &call->work) == napi_ok &&
            napi_queue_async_work(call->env, call->work) == napi_ok) {
            return;
        }
    }
    fail_run(call, SARSEN_INTERNAL, "no thread could be had");
    settle(call);
}

static napi_value elsewhere(napi_env env, napi_callback_info info) {
    Call *call = malloc(sizeof *call);
    if (!call) abort();
    memset(call, 0, offsetof(struct Call, inline_bytes));
    call->async = true;
    size_t count = MOST_ARGUMENTS;
    void *data;
    napi_value promise = NULL;
    napi_get_cb_info(env, info, &count, call->arguments, NULL, &data);
    napi_create_promise(env, &call->deferred, &promise);
    call->operation = data;
    call->env = env;
    napi_get_instance_data(env, (void **)&call->addon);
    if (!call->operation->prepare(call)) {
        napi_value error;
        napi_get_and_clear_last_exception(env, &error);
        napi_reject_deferred(env, call->deferred, error);
        call_end(call);
        free(call);
    } else if (!(call->object && call->object->close == call)) { /* else it waits for the other calls to end */
        call_queue(call);
    }
    return promise;
}

/* Exports each operation as NAME and NAMEAsync. */
napi_status export_operations(Addon *addon, napi_value exports, const Operation *operations) {
    for (const Operation *operation = operations; operation->name; operation++) {
        char name[64];
        size_t len = strlen(operation->name);
        if (len + sizeof "Async" > sizeof name) return napi_invalid_arg;
        memcpy(name, operation->name, len + 1);
        napi_value function;
        napi_status status = napi_create_function(addon->env, name, len, now, (void *)operation, &function);
        if (status == napi_ok) status = napi_set_named_property(addon->env, exports, name, function);
        memcpy(name + len, "Async", sizeof "Async");
        if (status == napi_ok) {
            status = napi_create_function(addon->env, name, NAPI_AUTO_LENGTH, elsewhere, (void *)operation, &function);
        }
        if (status == napi_ok) status = napi_set_named_property(addon->env, exports, name, function);
        if (status != napi_ok) return status;
    }
    return napi_ok;
}
