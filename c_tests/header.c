/* The header alone, in every language level it promises, and twice. Compiled, never run. */
#include <sarsen.h>
#include <sarsen.h>


/* Every type that callers name. */
typedef struct uses {
    sarsen_status status;
    sarsen_error *error;
    sarsen_options *options;
    sarsen_store *store;
    sarsen_snapshot *snapshot;
    sarsen_batch *batch;
    sarsen_tags *tags;
    sarsen_report *report;
    sarsen_kv_iter *pairs;
    sarsen_stream_iter *records;
    sarsen_stream_names *names;
    sarsen_memory_iter *memories;
    sarsen_log_reader *reader;
    sarsen_durable_fn callback;
    sarsen_bytes bytes;
    sarsen_view view;
    sarsen_block block;
    sarsen_recovery recovery;
    sarsen_stats stats;
    sarsen_command command;
} uses;

sarsen_status header_opens(const char *path, uses *all);
sarsen_status header_opens(const char *path, uses *all)
{
    all->status = sarsen_store_open(path, all->options, &all->store, &all->error);
    if (all->status == SARSEN_OK) all->status = sarsen_store_stats(all->store, &all->stats, sizeof all->stats);
    return all->status;
}
