/* A few questions by tag and by prefix, each answered a second time from the list of files. */
#include "demo.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

typedef struct found {
    size_t count;
    uint64_t bytes;
} found;

static found find(const sarsen_store *store, const sarsen_tags *all, const sarsen_tags *any, const sarsen_tags *none) {
    sarsen_memory_iter *memories;
    REQUIRE_OK(sarsen_memory_find(store, NULL, all, any, none, 0, &memories, &demo_error));
    found so_far = {0};
    uint64_t id, last = 0;
    sarsen_bytes data;
    sarsen_status status;
    while ((status = sarsen_memory_iter_next(memories, &id, &data, &demo_error)) == SARSEN_OK) {
        if (id <= last) fail("a query answered with memory %" PRIu64 " after %" PRIu64, id, last);
        last = id;
        so_far.count++;
        so_far.bytes += data.len;
    }
    if (status != SARSEN_END) REQUIRE_OK(status);
    sarsen_memory_iter_free(memories);
    return so_far;
}

static void report(const char *question, found answer, found expected) {
    if (answer.count != expected.count || answer.bytes != expected.bytes)
        fail("%s: answered %zu files, %" PRIu64 " bytes; there are %zu, %" PRIu64, question, answer.count, answer.bytes,
             expected.count, expected.bytes);
    printf("  %-48s %6zu files  %9.1f kB\n", question, answer.count, (double)answer.bytes / 1e3);
}

static const char *largest_crate(const sources *all) {
    size_t best = 0, best_count = 0;
    for (size_t crate = 0; crate < all->crate_count; crate++) {
        size_t count = 0;
        for (size_t n = 0; n < all->file_count; n++) count += all->files[n].crate == crate;
        if (count > best_count) best = crate, best_count = count;
    }
    return all->crates[best].name;
}

static void rust_files_of(const sarsen_store *store, const sources *all, const char *crate) {
    sarsen_tags *tags = sarsen_tags_new();
    add_tag(tags, "crate", crate);
    add_tag(tags, "ext", "rs");
    found expected = {0};
    for (size_t n = 0; n < all->file_count; n++) {
        const source_file *file = &all->files[n];
        if (strcmp(all->crates[file->crate].name, crate) != 0 || strcmp(file->ext, "rs") != 0) continue;
        expected.count++;
        expected.bytes += file->bytes;
    }
    char question[256];
    snprintf(question, sizeof question, "crate:%s and ext:rs", crate);
    report(question, find(store, tags, NULL, NULL), expected);
    sarsen_tags_free(tags);
}

static void prose_outside_of(const sarsen_store *store, const sources *all, const char *crate) {
    sarsen_tags *any = sarsen_tags_new(), *none = sarsen_tags_new();
    add_tag(any, "ext", "md");
    add_tag(any, "ext", "txt");
    add_tag(none, "crate", crate);
    found expected = {0};
    for (size_t n = 0; n < all->file_count; n++) {
        const source_file *file = &all->files[n];
        if (strcmp(all->crates[file->crate].name, crate) == 0) continue;
        if (strcmp(file->ext, "md") != 0 && strcmp(file->ext, "txt") != 0) continue;
        expected.count++;
        expected.bytes += file->bytes;
    }
    char question[256];
    snprintf(question, sizeof question, "ext:md or ext:txt, not crate:%s", crate);
    report(question, find(store, NULL, any, none), expected);
    sarsen_tags_free(none);
    sarsen_tags_free(any);
}

/* path/NAME-VERSION/README for each crate: a prefix each, and only the keys in it are touched. */
static void readmes(const sarsen_store *store, const sources *all) {
    found answer = {0}, expected = {0};
    for (size_t crate = 0; crate < all->crate_count; crate++) {
        char prefix[1024];
        int len = snprintf(prefix, sizeof prefix, "path/%s/README", all->crates[crate].stream);
        if (len < 0 || (size_t)len >= sizeof prefix) fail("the name %s is too long", all->crates[crate].stream);
        sarsen_kv_iter *keys;
        REQUIRE_OK(sarsen_kv_prefix(store, NULL, prefix, (size_t)len, false, &keys, &demo_error));
        sarsen_bytes key, value;
        sarsen_status status;
        while ((status = sarsen_kv_iter_next(keys, &key, &value, &demo_error)) == SARSEN_OK) {
            uint64_t id = 0;
            for (size_t n = 0; n < 8 && n < value.len; n++) id |= (uint64_t)value.data[n] << 8 * n;
            sarsen_block block;
            REQUIRE_OK(sarsen_memory_info(store, NULL, id, &block, NULL, &demo_error));
            answer.count++;
            answer.bytes += block.len;
        }
        if (status != SARSEN_END) REQUIRE_OK(status);
        sarsen_kv_iter_free(keys);
    }
    for (size_t n = 0; n < all->file_count; n++) {
        if (strncmp(all->files[n].path, "README", strlen("README")) != 0) continue;
        expected.count++;
        expected.bytes += all->files[n].bytes;
    }
    report("keys that begin with path/CRATE/README", answer, expected);
}

static void streams(const sarsen_store *store, const sources *all) {
    sarsen_stream_names *names;
    REQUIRE_OK(sarsen_stream_list(store, NULL, NULL, 0, &names, &demo_error));
    size_t count = 0;
    uint64_t records = 0, first, next;
    sarsen_bytes name;
    sarsen_status status;
    while ((status = sarsen_stream_names_next(names, &name, &first, &next, &demo_error)) == SARSEN_OK) {
        count++;
        records += next - first;
    }
    if (status != SARSEN_END) REQUIRE_OK(status);
    sarsen_stream_names_free(names);
    if (count != all->crate_count || records != all->file_count)
        fail("%zu streams with %" PRIu64 " records for %zu crates with %zu files", count, records, all->crate_count,
             all->file_count);
    printf("  %-48s %6zu streams, %" PRIu64 " records\n", "a stream for each crate and version", count, records);
}

void answer_queries(const sarsen_store *store, const sources *all) {
    const char *crate = largest_crate(all);
    rust_files_of(store, all, crate);
    prose_outside_of(store, all, crate);
    readmes(store, all);
    streams(store, all);
}
