/* A note, its drawing, the history and a setting: four kinds of data, one commit, all or nothing. */
#include <inttypes.h>
#include <sarsen.h>
#include <stdio.h>
#include <stdlib.h>

#define TEXT(literal) (literal), sizeof(literal) - 1

static sarsen_error *error; /* set by the call that fails, with a message that says what to do */

static void check(sarsen_status status) {
    if (status == SARSEN_OK) return;
    fprintf(stderr, "%s: %s\n", sarsen_status_name(status), error ? sarsen_error_message(error) : "");
    exit(EXIT_FAILURE);
}

int main(int argc, char **argv) {
    sarsen_store *store;
    check(sarsen_store_open(argc > 1 ? argv[1] : "notes.sarsen", NULL, &store, &error));

    static const uint8_t drawing[64 * 64] = {0xff};
    sarsen_tags *tags = sarsen_tags_new();
    check(sarsen_tags_add(tags, TEXT("topic:stones")));

    sarsen_batch *batch = sarsen_batch_new();
    check(sarsen_batch_append_memory(batch, 7, tags, TEXT("They are still standing."), &error));
    check(sarsen_batch_append_block(batch, drawing, sizeof drawing, &error));
    check(sarsen_batch_append_stream(batch, TEXT("history"), TEXT("wrote note 7"), &error));
    check(sarsen_batch_set_kv(batch, TEXT("theme"), TEXT("dark"), &error));
    uint64_t seq; /* returns once all four are on stable storage */
    check(sarsen_batch_commit(batch, store, SARSEN_SURVIVE_POWER, &seq, &error));

    sarsen_block block; /* where the drawing went: command 1 of the batch */
    check(sarsen_batch_result(batch, 1, NULL, &block, &error));
    sarsen_view note, pixels; /* pointers into the store: nothing is copied */
    check(sarsen_memory_get(store, NULL, 7, &note, &error));
    check(sarsen_block_view(store, &block, 0, block.len, &pixels, &error));
    printf("commit %" PRIu64 ": %.*s\n", seq, (int)note.len, (const char *)note.data);
    printf("the drawing has %zu pixels, the first is %u\n", pixels.len, pixels.data[0]);

    sarsen_view_release(&note);
    sarsen_view_release(&pixels);
    sarsen_batch_free(batch);
    sarsen_tags_free(tags);
    check(sarsen_store_close(store, &error));
    return EXIT_SUCCESS;
}
