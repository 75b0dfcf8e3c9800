/* Writing: one commit a file, synced every FILES_A_SYNC files. */
#include "demo.h"
#include "progress.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void add_tag(sarsen_tags *tags, const char *name, const char *value) {
    char tag[512];
    int len = snprintf(tag, sizeof tag, "%s:%s", name, value);
    if (len < 0 || (size_t)len >= sizeof tag) fail("the tag %s:%s is too long", name, value);
    REQUIRE_OK(sarsen_tags_add(tags, tag, (size_t)len));
}

static void store_u64(uint8_t out[8], uint64_t value) {
    for (unsigned n = 0; n < 8; n++) out[n] = (uint8_t)(value >> 8 * n);
}

static void commit_file(const sarsen_store *store, sarsen_batch *batch, const sources *all, size_t number,
                        const file_buffer *bytes) {
    const source_file *file = &all->files[number];
    const source_crate *crate = &all->crates[file->crate];
    uint64_t id = number + 1;

    sarsen_tags *tags = sarsen_tags_new();
    add_tag(tags, "crate", crate->name);
    add_tag(tags, "version", crate->version);
    add_tag(tags, "ext", file->ext);
    REQUIRE_OK(sarsen_batch_append_memory(batch, id, tags, bytes->data, bytes->len, &demo_error));
    sarsen_tags_free(tags);

    REQUIRE_OK(sarsen_batch_append_stream(batch, crate->stream, strlen(crate->stream), file->path,
                                          strlen(file->path), &demo_error));

    char key[4096];
    uint8_t value[8];
    size_t key_len = source_key(all, file, key, sizeof key);
    store_u64(value, id);
    REQUIRE_OK(sarsen_batch_set_kv(batch, key, key_len, value, sizeof value, &demo_error));

    uint64_t seq;
    REQUIRE_OK(sarsen_batch_commit(batch, store, SARSEN_SURVIVE_PROCESS, &seq, &demo_error));
    if (seq != id) fail("file %" PRIu64 " became commit %" PRIu64, id, seq);
}

static void send(int pipe, const acknowledgement *done) {
    ssize_t sent;
    do sent = write(pipe, done, sizeof *done);
    while (sent < 0 && errno == EINTR);
    if (sent != (ssize_t)sizeof *done) fail("the parent went away: %s", strerror(errno));
}

void ingest(const sarsen_store *store, const sources *all, size_t from, int acknowledge) {
    sarsen_batch *batch = sarsen_batch_new();
    file_buffer bytes = {0};
    progress bar;
    progress_start(&bar, "writing", all->file_count, from);
    for (size_t number = from; number < all->file_count; number++) {
        source_read(all, &all->files[number], &bytes);
        commit_file(store, batch, all, number, &bytes);
        if ((number + 1) % FILES_A_SYNC == 0 || number + 1 == all->file_count)
            REQUIRE_OK(sarsen_store_sync(store, &demo_error));
        if (acknowledge >= 0) {
            acknowledgement done = {.id = number + 1, .durable_seq = sarsen_store_durable_seq(store)};
            send(acknowledge, &done);
        }
        progress_add(&bar, bytes.len);
    }
    progress_end(&bar);
    free(bytes.data);
    sarsen_batch_free(batch);
}
