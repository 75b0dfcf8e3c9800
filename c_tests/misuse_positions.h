/* Every parameter of the header that is a handle: X(function, parameter, its kind, what NULL means there, the answer to
 * a right handle, a call with the handle h in a world w). For misuse_handles.c, which says what a world is. */
#ifndef SARSEN_MISUSE_POSITIONS_H
#define SARSEN_MISUSE_POSITIONS_H

/* A function without a status answers as if it had one: its value for no handle is a refusal. */
#define VALUE(call) ((call) == 0 ? SARSEN_INVALID_ARGUMENT : SARSEN_OK)
#define TEXT(call) ((call) == NULL ? SARSEN_INVALID_ARGUMENT : SARSEN_OK)
#define DONE(call) ((call), SARSEN_OK)
/* The place for a handle, as the function wants it. */
#define HANDLE(type) ((type **)(void *)&w->o.handle)
#define OK SARSEN_OK
#define SAME SARSEN_INVALID_ARGUMENT /* what it takes to answer otherwise is tested elsewhere */

#define POSITIONS(X) \
    X(sarsen_error_status, error, ERROR, REFUSED, OK, \
      sarsen_error_status(h) == SARSEN_CORRUPT ? SARSEN_OK : sarsen_error_status(h)) \
    X(sarsen_error_message, error, ERROR, REFUSED, OK, \
      strcmp(sarsen_error_message(h), sarsen_error_message(NULL)) == 0 ? SARSEN_INVALID_ARGUMENT : SARSEN_OK) \
    X(sarsen_error_os_code, error, ERROR, REFUSED, SAME, VALUE(sarsen_error_os_code(h))) \
    X(sarsen_error_file, error, ERROR, REFUSED, OK, TEXT(sarsen_error_file(h))) \
    X(sarsen_error_offset, error, ERROR, REFUSED, OK, VALUE(sarsen_error_offset(h))) \
    X(sarsen_error_first_seq, error, ERROR, REFUSED, OK, VALUE(sarsen_error_first_seq(h))) \
    X(sarsen_error_last_seq, error, ERROR, REFUSED, OK, VALUE(sarsen_error_last_seq(h))) \
    X(sarsen_error_free, error, ERROR, NO_OP, OK, DONE(sarsen_error_free(h))) \
    X(sarsen_options_free, options, OPTIONS, NO_OP, OK, DONE(sarsen_options_free(h))) \
    X(sarsen_options_set_create, options, OPTIONS, REFUSED, OK, sarsen_options_set_create(h, true)) \
    X(sarsen_options_set_read_only, options, OPTIONS, REFUSED, OK, sarsen_options_set_read_only(h, false)) \
    X(sarsen_options_set_durability, options, OPTIONS, REFUSED, OK, \
      sarsen_options_set_durability(h, SARSEN_SURVIVE_PROCESS)) \
    X(sarsen_options_set_chunk_bytes, options, OPTIONS, REFUSED, OK, sarsen_options_set_chunk_bytes(h, 1 << 20)) \
    X(sarsen_options_set_memory_bytes, options, OPTIONS, REFUSED, OK, sarsen_options_set_memory_bytes(h, 1 << 20)) \
    X(sarsen_options_set_log_retention_bytes, options, OPTIONS, REFUSED, OK, \
      sarsen_options_set_log_retention_bytes(h, 1)) \
    X(sarsen_options_set_background, options, OPTIONS, REFUSED, OK, sarsen_options_set_background(h, false)) \
    X(sarsen_options_set_salvage, options, OPTIONS, REFUSED, OK, sarsen_options_set_salvage(h, false)) \
    X(sarsen_options_set_check, options, OPTIONS, REFUSED, OK, \
      sarsen_options_set_check(h, SARSEN_CHECK_EVERY_READ)) \
    X(sarsen_options_set_log_write, options, OPTIONS, REFUSED, OK, \
      sarsen_options_set_log_write(h, SARSEN_LOG_WRITTEN)) \
    X(sarsen_options_set_mapped_bytes, options, OPTIONS, REFUSED, OK, sarsen_options_set_mapped_bytes(h, 0)) \
    X(sarsen_store_open, options, OPTIONS, ABSENT, OK, \
      sarsen_store_open(check_path("opened"), h, HANDLE(sarsen_store), ERR)) \
    X(sarsen_store_close, store, STORE, NO_OP, OK, sarsen_store_close(h, ERR)) \
    X(sarsen_store_last_seq, store, STORE, REFUSED, OK, VALUE(sarsen_store_last_seq(h))) \
    X(sarsen_store_durable_seq, store, STORE, REFUSED, OK, \
      VALUE((sarsen_store_sync(h, NULL), sarsen_store_durable_seq(h)))) \
    X(sarsen_store_sync, store, STORE, REFUSED, OK, sarsen_store_sync(h, ERR)) \
    X(sarsen_store_wait_durable, store, STORE, REFUSED, OK, sarsen_store_wait_durable(h, 1, 0, ERR)) \
    X(sarsen_store_notify_durable, store, STORE, REFUSED, OK, \
      sarsen_store_notify_durable(h, 1, count_call, &w->called_back, ERR)) \
    X(sarsen_store_checkpoint, store, STORE, REFUSED, OK, sarsen_store_checkpoint(h, ERR)) \
    X(sarsen_store_compact, store, STORE, REFUSED, OK, sarsen_store_compact(h, ERR)) \
    X(sarsen_store_maintain, store, STORE, REFUSED, OK, sarsen_store_maintain(h, 0, &w->o.flag, ERR)) \
    X(sarsen_store_backup, store, STORE, REFUSED, OK, sarsen_store_backup(h, NULL, check_path("backup"), ERR)) \
    X(sarsen_store_backup, snapshot, SNAPSHOT, ABSENT, OK, \
      sarsen_store_backup(w->store, h, check_path("backup"), ERR)) \
    X(sarsen_store_refresh, store, STORE, REFUSED, OK, sarsen_store_refresh(h, &w->o.number, ERR)) \
    /* A store with commits takes no import. */ \
    X(sarsen_store_import, store, STORE, REFUSED, SAME, \
      sarsen_store_import(h, check_path("none"), &w->o.number, ERR)) \
    X(sarsen_store_recovery, store, STORE, REFUSED, OK, \
      sarsen_store_recovery(h, &w->o.recovery, sizeof w->o.recovery)) \
    X(sarsen_store_stats, store, STORE, REFUSED, OK, sarsen_store_stats(h, &w->o.stats, sizeof w->o.stats)) \
    X(sarsen_store_verify, store, STORE, REFUSED, OK, sarsen_store_verify(h, HANDLE(sarsen_report), ERR)) \
    X(sarsen_report_next, report, REPORT, REFUSED, SARSEN_END, \
      sarsen_report_next(h, &w->o.text, &w->o.number, &w->o.more_text)) \
    X(sarsen_report_free, report, REPORT, NO_OP, OK, DONE(sarsen_report_free(h))) \
    X(sarsen_snapshot_new, store, STORE, REFUSED, OK, sarsen_snapshot_new(h, HANDLE(sarsen_snapshot), ERR)) \
    X(sarsen_snapshot_seq, snapshot, SNAPSHOT, REFUSED, OK, VALUE(sarsen_snapshot_seq(h))) \
    X(sarsen_snapshot_free, snapshot, SNAPSHOT, NO_OP, OK, DONE(sarsen_snapshot_free(h))) \
    X(sarsen_tags_add, tags, TAGS, REFUSED, OK, sarsen_tags_add(h, STR("added"))) \
    X(sarsen_tags_count, tags, TAGS, REFUSED, OK, VALUE(sarsen_tags_count(h))) \
    X(sarsen_tags_get, tags, TAGS, REFUSED, OK, TEXT(sarsen_tags_get(h, 0).data)) \
    X(sarsen_tags_free, tags, TAGS, NO_OP, OK, DONE(sarsen_tags_free(h))) \
    X(sarsen_batch_clear, batch, BATCH, NO_OP, OK, DONE(sarsen_batch_clear(h))) \
    X(sarsen_batch_free, batch, BATCH, NO_OP, OK, DONE(sarsen_batch_free(h))) \
    X(sarsen_batch_count, batch, BATCH, REFUSED, OK, VALUE(sarsen_batch_count(h))) \
    X(sarsen_batch_set_kv, batch, BATCH, REFUSED, OK, sarsen_batch_set_kv(h, STR("k"), STR("v"), ERR)) \
    X(sarsen_batch_delete_kv, batch, BATCH, REFUSED, OK, sarsen_batch_delete_kv(h, STR("k"), ERR)) \
    X(sarsen_batch_append_stream, batch, BATCH, REFUSED, OK, \
      sarsen_batch_append_stream(h, STR("s"), STR("r"), ERR)) \
    X(sarsen_batch_trim_stream, batch, BATCH, REFUSED, OK, sarsen_batch_trim_stream(h, STR("s"), 1, ERR)) \
    X(sarsen_batch_append_memory, batch, BATCH, REFUSED, OK, \
      sarsen_batch_append_memory(h, 9, NULL, STR("m"), ERR)) \
    X(sarsen_batch_append_memory, tags, TAGS, ABSENT, OK, \
      sarsen_batch_append_memory(w->batch, 9, h, STR("m"), ERR)) \
    X(sarsen_batch_delete_memory, batch, BATCH, REFUSED, OK, sarsen_batch_delete_memory(h, 9, ERR)) \
    X(sarsen_batch_append_block, batch, BATCH, REFUSED, OK, sarsen_batch_append_block(h, STR("b"), ERR)) \
    X(sarsen_batch_free_block, batch, BATCH, REFUSED, OK, sarsen_batch_free_block(h, &w->block, ERR)) \
    X(sarsen_batch_append_stream_block, batch, BATCH, REFUSED, OK, \
      sarsen_batch_append_stream_block(h, STR("s"), &w->block, ERR)) \
    X(sarsen_batch_append_memory_block, batch, BATCH, REFUSED, OK, \
      sarsen_batch_append_memory_block(h, 9, NULL, &w->block, ERR)) \
    X(sarsen_batch_append_memory_block, tags, TAGS, ABSENT, OK, \
      sarsen_batch_append_memory_block(w->batch, 9, h, &w->block, ERR)) \
    X(sarsen_batch_load, batch, BATCH, REFUSED, OK, sarsen_batch_load(h, NULL, 0, ERR)) \
    X(sarsen_batch_commit, batch, BATCH, REFUSED, OK, \
      sarsen_batch_commit(h, w->store, 0, &w->o.number, ERR)) \
    X(sarsen_batch_commit, store, STORE, REFUSED, OK, \
      sarsen_batch_commit(w->batch, h, 0, &w->o.number, ERR)) \
    /* The batch was not committed. */ \
    X(sarsen_batch_result, batch, BATCH, REFUSED, SAME, \
      sarsen_batch_result(h, 0, &w->o.number, &w->o.block, ERR)) \
    X(sarsen_block_append, store, STORE, REFUSED, OK, sarsen_block_append(h, STR("b"), &w->o.block, ERR)) \
    X(sarsen_block_free, store, STORE, REFUSED, OK, sarsen_block_free(h, &w->block, ERR)) \
    X(sarsen_block_read, store, STORE, REFUSED, OK, sarsen_block_read(h, &w->block, 0, w->o.buffer, 5, ERR)) \
    X(sarsen_block_view, store, STORE, REFUSED, OK, sarsen_block_view(h, &w->block, 0, 5, &w->o.view, ERR)) \
    X(sarsen_kv_set, store, STORE, REFUSED, OK, sarsen_kv_set(h, STR("key"), STR("other"), ERR)) \
    X(sarsen_kv_delete, store, STORE, REFUSED, OK, sarsen_kv_delete(h, STR("key"), ERR)) \
    X(sarsen_kv_get, store, STORE, REFUSED, OK, sarsen_kv_get(h, NULL, STR("key"), &w->o.view, ERR)) \
    X(sarsen_kv_get, snapshot, SNAPSHOT, ABSENT, OK, sarsen_kv_get(w->store, h, STR("key"), &w->o.view, ERR)) \
    X(sarsen_kv_read, store, STORE, REFUSED, OK, \
      sarsen_kv_read(h, NULL, STR("key"), w->o.buffer, sizeof w->o.buffer, &w->o.len, ERR)) \
    X(sarsen_kv_read, snapshot, SNAPSHOT, ABSENT, OK, \
      sarsen_kv_read(w->store, h, STR("key"), w->o.buffer, sizeof w->o.buffer, &w->o.len, ERR)) \
    X(sarsen_kv_get_many, store, STORE, REFUSED, OK, \
      sarsen_kv_get_many(h, NULL, w->keys, 1, &w->o.view, &w->o.answer, ERR)) \
    X(sarsen_kv_get_many, snapshot, SNAPSHOT, ABSENT, OK, \
      sarsen_kv_get_many(w->store, h, w->keys, 1, &w->o.view, &w->o.answer, ERR)) \
    X(sarsen_kv_scan, store, STORE, REFUSED, OK, \
      sarsen_kv_scan(h, NULL, NONE, NONE, false, HANDLE(sarsen_kv_iter), ERR)) \
    X(sarsen_kv_scan, snapshot, SNAPSHOT, ABSENT, OK, \
      sarsen_kv_scan(w->store, h, NONE, NONE, false, HANDLE(sarsen_kv_iter), ERR)) \
    X(sarsen_kv_prefix, store, STORE, REFUSED, OK, \
      sarsen_kv_prefix(h, NULL, NONE, false, HANDLE(sarsen_kv_iter), ERR)) \
    X(sarsen_kv_prefix, snapshot, SNAPSHOT, ABSENT, OK, \
      sarsen_kv_prefix(w->store, h, NONE, false, HANDLE(sarsen_kv_iter), ERR)) \
    X(sarsen_kv_iter_next, iter, KV_ITER, REFUSED, OK, \
      sarsen_kv_iter_next(h, &w->o.key, &w->o.value, ERR)) \
    X(sarsen_kv_iter_fill, iter, KV_ITER, REFUSED, OK, \
      sarsen_kv_iter_fill(h, w->o.buffer, sizeof w->o.buffer, &w->o.len, &w->o.count, ERR)) \
    X(sarsen_kv_iter_free, iter, KV_ITER, NO_OP, OK, DONE(sarsen_kv_iter_free(h))) \
    X(sarsen_stream_append, store, STORE, REFUSED, OK, \
      sarsen_stream_append(h, STR("s"), STR("r"), &w->o.number, ERR)) \
    X(sarsen_stream_bounds, store, STORE, REFUSED, OK, \
      sarsen_stream_bounds(h, NULL, STR("s"), &w->o.number, &w->o.other, ERR)) \
    X(sarsen_stream_bounds, snapshot, SNAPSHOT, ABSENT, OK, \
      sarsen_stream_bounds(w->store, h, STR("s"), &w->o.number, &w->o.other, ERR)) \
    X(sarsen_stream_get, store, STORE, REFUSED, OK, \
      sarsen_stream_get(h, NULL, STR("s"), 0, &w->o.view, ERR)) \
    X(sarsen_stream_get, snapshot, SNAPSHOT, ABSENT, OK, \
      sarsen_stream_get(w->store, h, STR("s"), 0, &w->o.view, ERR)) \
    X(sarsen_stream_trim, store, STORE, REFUSED, OK, sarsen_stream_trim(h, STR("s"), 1, ERR)) \
    X(sarsen_stream_read, store, STORE, REFUSED, OK, \
      sarsen_stream_read(h, NULL, STR("s"), 0, HANDLE(sarsen_stream_iter), ERR)) \
    X(sarsen_stream_read, snapshot, SNAPSHOT, ABSENT, OK, \
      sarsen_stream_read(w->store, h, STR("s"), 0, HANDLE(sarsen_stream_iter), ERR)) \
    X(sarsen_stream_iter_next, iter, STREAM_ITER, REFUSED, OK, \
      sarsen_stream_iter_next(h, &w->o.number, &w->o.value, ERR)) \
    X(sarsen_stream_iter_fill, iter, STREAM_ITER, REFUSED, OK, \
      sarsen_stream_iter_fill(h, w->o.buffer, sizeof w->o.buffer, &w->o.len, &w->o.count, ERR)) \
    X(sarsen_stream_iter_free, iter, STREAM_ITER, NO_OP, OK, DONE(sarsen_stream_iter_free(h))) \
    X(sarsen_stream_list, store, STORE, REFUSED, OK, \
      sarsen_stream_list(h, NULL, NONE, HANDLE(sarsen_stream_names), ERR)) \
    X(sarsen_stream_list, snapshot, SNAPSHOT, ABSENT, OK, \
      sarsen_stream_list(w->store, h, NONE, HANDLE(sarsen_stream_names), ERR)) \
    X(sarsen_stream_names_next, names, STREAM_NAMES, REFUSED, OK, \
      sarsen_stream_names_next(h, &w->o.key, &w->o.number, &w->o.other, ERR)) \
    X(sarsen_stream_names_free, names, STREAM_NAMES, NO_OP, OK, DONE(sarsen_stream_names_free(h))) \
    X(sarsen_memory_append, store, STORE, REFUSED, OK, sarsen_memory_append(h, 9, NULL, STR("m"), ERR)) \
    X(sarsen_memory_append, tags, TAGS, ABSENT, OK, sarsen_memory_append(w->store, 9, h, STR("m"), ERR)) \
    X(sarsen_memory_delete, store, STORE, REFUSED, OK, sarsen_memory_delete(h, 1, ERR)) \
    X(sarsen_memory_get, store, STORE, REFUSED, OK, sarsen_memory_get(h, NULL, 1, &w->o.view, ERR)) \
    X(sarsen_memory_get, snapshot, SNAPSHOT, ABSENT, OK, \
      sarsen_memory_get(w->store, h, 1, &w->o.view, ERR)) \
    X(sarsen_memory_info, store, STORE, REFUSED, OK, \
      sarsen_memory_info(h, NULL, 1, &w->o.block, HANDLE(sarsen_tags), ERR)) \
    X(sarsen_memory_info, snapshot, SNAPSHOT, ABSENT, OK, \
      sarsen_memory_info(w->store, h, 1, &w->o.block, HANDLE(sarsen_tags), ERR)) \
    X(sarsen_memory_find, store, STORE, REFUSED, OK, \
      sarsen_memory_find(h, NULL, NULL, NULL, NULL, 0, HANDLE(sarsen_memory_iter), ERR)) \
    X(sarsen_memory_find, snapshot, SNAPSHOT, ABSENT, OK, \
      sarsen_memory_find(w->store, h, NULL, NULL, NULL, 0, HANDLE(sarsen_memory_iter), ERR)) \
    X(sarsen_memory_find, all, TAGS, ABSENT, OK, \
      sarsen_memory_find(w->store, NULL, h, NULL, NULL, 0, HANDLE(sarsen_memory_iter), ERR)) \
    X(sarsen_memory_find, any, TAGS, ABSENT, OK, \
      sarsen_memory_find(w->store, NULL, NULL, h, NULL, 0, HANDLE(sarsen_memory_iter), ERR)) \
    X(sarsen_memory_find, none, TAGS, ABSENT, OK, \
      sarsen_memory_find(w->store, NULL, NULL, NULL, h, 0, HANDLE(sarsen_memory_iter), ERR)) \
    X(sarsen_memory_iter_next, iter, MEMORY_ITER, REFUSED, OK, \
      sarsen_memory_iter_next(h, &w->o.number, &w->o.value, ERR)) \
    X(sarsen_memory_iter_free, iter, MEMORY_ITER, NO_OP, OK, DONE(sarsen_memory_iter_free(h))) \
    X(sarsen_log_first_seq, store, STORE, REFUSED, OK, VALUE(sarsen_log_first_seq(h))) \
    X(sarsen_log_read, store, STORE, REFUSED, OK, sarsen_log_read(h, 1, 0, HANDLE(sarsen_log_reader), ERR)) \
    X(sarsen_log_next, reader, LOG_READER, REFUSED, OK, \
      sarsen_log_next(h, 60000000, &w->o.command, sizeof w->o.command, &w->o.told, ERR)) \
    X(sarsen_log_reader_free, reader, LOG_READER, NO_OP, OK, DONE(sarsen_log_reader_free(h)))

#endif
