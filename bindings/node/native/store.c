/* Opening and closing, durability, upkeep, figures, verify, snapshots, and what the library says about itself. */
#include "addon.h"

/* ---- open, close ---- */

/* An option and how it is set: as a number, by the number of a choice, or as a flag. */
typedef struct {
    const char *name;
    sarsen_status (*number)(sarsen_options *, uint64_t);
    sarsen_status (*choice)(sarsen_options *, uint32_t);
    sarsen_status (*flag)(sarsen_options *, bool);
} Option;

static const Option open_options[] = {
    {"create", .flag = sarsen_options_set_create},
    {"readOnly", .flag = sarsen_options_set_read_only},
    {"survive", .choice = sarsen_options_set_durability},
    {"chunkBytes", .number = sarsen_options_set_chunk_bytes},
    {"memoryBytes", .number = sarsen_options_set_memory_bytes},
    {"logRetentionBytes", .number = sarsen_options_set_log_retention_bytes},
    {"background", .flag = sarsen_options_set_background},
    {"salvage", .flag = sarsen_options_set_salvage},
    {"check", .choice = sarsen_options_set_check},
    {"logWrite", .choice = sarsen_options_set_log_write},
    {"mappedBytes", .number = sarsen_options_set_mapped_bytes}};

static bool take_option(Call *call, napi_value options, const Option *option) {
    const int place = MOST_ARGUMENTS - 1;
    napi_value *value = &call->arguments[place];
    if (napi_get_named_property(call->env, options, option->name, value) != napi_ok) return false;
    if (is_absent(call->env, *value)) return true;
    if (option->flag) {
        bool flag;
        if (napi_get_value_bool(call->env, *value, &flag) != napi_ok) {
            return refuse(call, "an option is to be a boolean");
        }
        return option->flag(call->options, flag) == SARSEN_OK || refuse(call, "an option was refused");
    }
    uint64_t number;
    if (!take_number(call, place, &number)) return false;
    if (option->choice) {
        return (number <= UINT32_MAX && option->choice(call->options, (uint32_t)number) == SARSEN_OK) ||
               refuse(call, "an option has no such choice");
    }
    return option->number(call->options, number) == SARSEN_OK ||
           refuse(call, "an option is out of its range: see its bounds in the types of OpenOptions");
}

static bool take_path(Call *call, int argument) {
    napi_valuetype type;
    if (napi_typeof(call->env, call->arguments[argument], &type) != napi_ok || type != napi_string) {
        return refuse(call, "a path is to be a string");
    }
    if (!take_bytes(call, argument, 0)) return false;
    if (memchr(call->in[0].data, 0, call->in[0].len)) return refuse(call, "a path has no NUL in it");
    return true; /* napi ends strings with NUL */
}

static bool open_prepare(Call *call) {
    if (!take_path(call, 0)) return false;
    call->options = sarsen_options_new();
    napi_value options = call->arguments[1];
    if (is_absent(call->env, options)) return true;
    for (size_t place = 0; place < sizeof open_options / sizeof *open_options; place++) {
        if (!take_option(call, options, &open_options[place])) return false;
    }
    return true;
}

static void open_run(Call *call) {
    sarsen_store *store = NULL;
    call->status = sarsen_store_open((const char *)call->in[0].data, call->options, &store, &call->error);
    keep_made(call, KIND_STORE, store);
}

static bool close_prepare(Call *call) {
    if (!take_object(call, 0, KIND_STORE, &call->object)) return false;
    call->object->released = true;
    /* Calls that were begun end first. A close that can't wait for them has those refused that did not run yet. */
    if (call->async && call->object->users > 1) call->object->close = call;
    return true;
}

static void close_run(Call *call) {
    store_idle(call->object);
    call->status = sarsen_store_close(call->object->pointer, &call->error);
    call->object->pointer = NULL;
}

/* ---- durability ---- */

static void last_seq_run(Call *call) { call->result[0] = sarsen_store_last_seq(call->store->pointer); }
static void durable_seq_run(Call *call) { call->result[0] = sarsen_store_durable_seq(call->store->pointer); }
static void sync_run(Call *call) { call->status = sarsen_store_sync(call->store->pointer, &call->error); }

static void wait_durable_run(Call *call) {
    call->status =
        sarsen_store_wait_durable(call->store->pointer, call->number[0], call->number[1], &call->error);
}

/* false: the time was over. */
static napi_value wait_durable_finish(Call *call) {
    if (call->status != SARSEN_OK && call->status != SARSEN_TIMEOUT) return call_failed(call);
    return give_flag(call, call->status == SARSEN_OK);
}

/* What became of a commit, on its way from any thread to JavaScript's. */
typedef struct {
    napi_threadsafe_function function;
    uint64_t seq;
    sarsen_status status;
} Notice;

static void notice_arrived(napi_env env, napi_value function, void *context, void *data) {
    (void)context;
    Notice *notice = data;
    if (env) {
        napi_value arguments[2], receiver;
        napi_create_double(env, (double)notice->seq, &arguments[0]);
        napi_create_uint32(env, notice->status, &arguments[1]);
        napi_get_undefined(env, &receiver);
        napi_call_function(env, receiver, function, 2, arguments, NULL);
    }
    free(notice);
}

static void became_durable(void *user, uint64_t seq, sarsen_status status) {
    Notice *notice = user;
    napi_threadsafe_function function = notice->function;
    notice->seq = seq;
    notice->status = status;
    /* Once the environment ends nobody is there to be told, and the call itself lets go of the function. */
    if (napi_call_threadsafe_function(function, notice, napi_tsfn_nonblocking) == napi_ok) {
        napi_release_threadsafe_function(function, napi_tsfn_release);
    } else {
        free(notice);
    }
}

static bool notify_prepare(Call *call) {
    napi_value name;
    if (call->async) return refuse(call, "notifyDurable is its own way of waiting");
    if (!prepare_store_number(call)) return false;
    Notice *made = calloc(1, sizeof *made);
    napi_create_string_utf8(call->env, "sarsen notice", NAPI_AUTO_LENGTH, &name);
    if (!made || napi_create_threadsafe_function(call->env, call->arguments[2], NULL, name, 0, 1, NULL, NULL, NULL,
                                                 notice_arrived, &made->function) != napi_ok) {
        free(made);
        return refuse(call, "a function is expected");
    }
    call->made = made;
    return true;
}

static void notify_run(Call *call) {
    Notice *made = call->made;
    napi_threadsafe_function function = made->function;
    call->status =
        sarsen_store_notify_durable(call->store->pointer, call->number[0], became_durable, made, &call->error);
    if (call->status == SARSEN_OK) return;
    napi_release_threadsafe_function(function, napi_tsfn_abort);
    free(made);
}

/* ---- upkeep ---- */

static void checkpoint_run(Call *call) { call->status = sarsen_store_checkpoint(call->store->pointer, &call->error); }
static void compact_run(Call *call) { call->status = sarsen_store_compact(call->store->pointer, &call->error); }

static void maintain_run(Call *call) {
    call->status = sarsen_store_maintain(call->store->pointer, call->number[0], &call->flag, &call->error);
}

static napi_value maintain_finish(Call *call) {
    return call->status == SARSEN_OK ? give_flag(call, call->flag) : call_failed(call);
}

static void refresh_run(Call *call) {
    call->status = sarsen_store_refresh(call->store->pointer, &call->result[0], &call->error);
}

static bool backup_prepare(Call *call) { return take_path(call, 2) && take_store(call, 0) && take_snapshot(call, 1); }

static void backup_run(Call *call) {
    call->status = sarsen_store_backup(call->store->pointer, snapshot_of(call), (const char *)call->in[0].data,
                                       &call->error);
}

static bool import_prepare(Call *call) { return take_path(call, 1) && take_store(call, 0); }

static void import_run(Call *call) {
    call->status = sarsen_store_import(call->store->pointer, (const char *)call->in[0].data, &call->result[0],
                                       &call->error);
}

/* ---- figures ---- */

static void recovery_run(Call *call) {
    call->status = sarsen_store_recovery(call->store->pointer, &call->figures.recovery, sizeof call->figures.recovery);
}

static napi_value recovery_finish(Call *call) {
    static const char *const names[] = {"verdict",         "lastSeq",       "provenSeq",   "replayedCommits",
                                        "replayedBytes", "droppedBytes", "elapsedUs"};
    if (call->status != SARSEN_OK) return call_failed(call);
    const sarsen_recovery *found = &call->figures.recovery;
    const uint64_t values[] = {found->verdict,        found->last_seq,      found->proven_seq, found->replayed_commits,
                               found->replayed_bytes, found->dropped_bytes, found->elapsed_us};
    return give_figures(call, names, values, sizeof values / sizeof *values);
}

static void stats_run(Call *call) {
    call->status = sarsen_store_stats(call->store->pointer, &call->figures.stats, sizeof call->figures.stats);
}

static napi_value stats_finish(Call *call) {
    static const char *const names[] = {
        "commits",     "syncs",           "bytesAppended",  "kvCount",       "memoryCount", "streamCount",
        "streamRecordCount", "blockCount", "blockBytesLive", "blockBytesDead", "logBytes",    "indexBytes",
        "diskBytes",   "heapBytes",       "mappedBytes",    "pinnedViews",   "oldestSnapshotSeq", "checkpoints",
        "compactions", "stallsUs"};
    _Static_assert(sizeof names / sizeof *names == sizeof(sarsen_stats) / sizeof(uint64_t), "each figure has a name");
    if (call->status != SARSEN_OK) return call_failed(call);
    uint64_t values[sizeof names / sizeof *names];
    memcpy(values, &call->figures.stats, sizeof values);
    return give_figures(call, names, values, sizeof names / sizeof *names);
}

/* ---- verify ---- */

static void verify_run(Call *call) {
    sarsen_report *report = NULL;
    call->status = sarsen_store_verify(call->store->pointer, &report, &call->error);
    keep_made(call, KIND_REPORT, report);
}

/* u64 offset, u32 length of the file's name, u32 length of the text, both texts. */
static sarsen_status pull_finding(Call *call, uint64_t timeout_us, Item *item, sarsen_error **error) {
    const char *file = NULL, *what = NULL;
    uint64_t offset = 0;
    (void)timeout_us, (void)error;
    sarsen_status status = sarsen_report_next(call->object->pointer, &file, &offset, &what);
    if (status != SARSEN_OK) return status;
    item->parts[0] = (sarsen_bytes){(const uint8_t *)file, file ? strlen(file) : 0};
    item->parts[1] = (sarsen_bytes){(const uint8_t *)what, what ? strlen(what) : 0};
    uint32_t lens[2] = {(uint32_t)item->parts[0].len, (uint32_t)item->parts[1].len};
    put(put(item->head, &offset, sizeof offset), lens, sizeof lens);
    item->head_len = sizeof offset + sizeof lens;
    return SARSEN_OK;
}

static bool report_prepare(Call *call) { return prepare_fill(call, KIND_REPORT); }
static void report_run(Call *call) { fill(call, pull_finding); }

/* ---- snapshots ---- */

static void snapshot_run(Call *call) {
    sarsen_snapshot *snapshot = NULL;
    call->status = sarsen_snapshot_new(call->store->pointer, &snapshot, &call->error);
    keep_made(call, KIND_SNAPSHOT, snapshot);
}

static bool prepare_snapshot(Call *call) { return take_object(call, 0, KIND_SNAPSHOT, &call->snapshot); }
static void snapshot_seq_run(Call *call) { call->result[0] = sarsen_snapshot_seq(call->snapshot->pointer); }

/* ---- the library ---- */

static void run_nothing(Call *call) { (void)call; }

static bool prepare_number(Call *call) { return take_number(call, 0, &call->number[0]); }
static void abi_version_run(Call *call) { call->result[0] = sarsen_abi_version(); }

static napi_value text(Call *call, const char *text) {
    napi_value value = NULL;
    napi_create_string_utf8(call->env, text, NAPI_AUTO_LENGTH, &value);
    return value;
}

static napi_value version_finish(Call *call) { return text(call, sarsen_version()); }

static napi_value status_name_finish(Call *call) {
    return text(call, sarsen_status_name((sarsen_status)call->number[0]));
}

const Operation store_operations[] = {
    {"storeOpen", open_prepare, open_run, give_made},
    {"storeClose", close_prepare, close_run, give_nothing},
    {"storeLastSeq", prepare_store, last_seq_run, give_first_result},
    {"storeDurableSeq", prepare_store, durable_seq_run, give_first_result},
    {"storeSync", prepare_store, sync_run, give_nothing},
    {"storeWaitDurable", prepare_store_two_numbers, wait_durable_run, wait_durable_finish},
    {"storeNotifyDurable", notify_prepare, notify_run, give_nothing},
    {"storeCheckpoint", prepare_store, checkpoint_run, give_nothing},
    {"storeCompact", prepare_store, compact_run, give_nothing},
    {"storeMaintain", prepare_store_number, maintain_run, maintain_finish},
    {"storeRefresh", prepare_store, refresh_run, give_first_result},
    {"storeBackup", backup_prepare, backup_run, give_nothing},
    {"storeImport", import_prepare, import_run, give_first_result},
    {"storeRecovery", prepare_store, recovery_run, recovery_finish},
    {"storeStats", prepare_store, stats_run, stats_finish},
    {"storeVerify", prepare_store, verify_run, give_made},
    {"reportFill", report_prepare, report_run, give_filled},
    {"snapshotNew", prepare_store, snapshot_run, give_made},
    {"snapshotSeq", prepare_snapshot, snapshot_seq_run, give_first_result},
    {"abiVersion", prepare_nothing, abi_version_run, give_first_result},
    {"version", prepare_nothing, run_nothing, version_finish},
    {"statusName", prepare_number, run_nothing, status_name_finish},
    {NULL, NULL, NULL, NULL}};
