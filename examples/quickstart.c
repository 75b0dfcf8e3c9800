/* A note found by its tag and a setting, in one commit: all or nothing, and safe from power loss. */
#include <sarsen.h>
#include <stdio.h>
#include <stdlib.h>

static sarsen_error *error; /* what went wrong, and what to do about it */
static void check(sarsen_status status) {
    if (status == SARSEN_OK) return;
    fprintf(stderr, "%s: %s\n", sarsen_status_name(status), error ? sarsen_error_message(error) : "");
    exit(EXIT_FAILURE);
}

int main(int argc, char **argv) {
    sarsen_store *store;
    check(sarsen_store_open(argc > 1 ? argv[1] : "notes.sarsen", NULL, &store, &error));
    sarsen_tags *tags = sarsen_tags_new();
    check(sarsen_tags_add(tags, "topic:stones", 12));
    sarsen_batch *batch = sarsen_batch_new();
    check(sarsen_batch_append_memory(batch, 7, tags, "They still stand.", 17, &error));
    check(sarsen_batch_set_kv(batch, "theme", 5, "dark", 4, &error));
    check(sarsen_batch_commit(batch, store, SARSEN_SURVIVE_POWER, NULL, &error));
    sarsen_view note; /* a pointer into the store: nothing is copied */
    check(sarsen_memory_get(store, NULL, 7, &note, &error));
    unsigned long long seq = sarsen_store_last_seq(store);
    printf("commit %llu: %.*s\n", seq, (int)note.len, (const char *)note.data);
    sarsen_view_release(&note);
    sarsen_batch_free(batch);
    sarsen_tags_free(tags);
    check(sarsen_store_close(store, &error));
}
