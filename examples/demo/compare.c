/* Reading back: the store against the files on disk, the log against the store. */
#include "demo.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t load_u64(const uint8_t *in) {
    uint64_t value = 0;
    for (unsigned n = 0; n < 8; n++) value |= (uint64_t)in[n] << 8 * n;
    return value;
}

static uint64_t id_at_path(const sarsen_store *store, const sources *all, const source_file *file) {
    char key[4096];
    size_t key_len = source_key(all, file, key, sizeof key);
    sarsen_view value;
    sarsen_status status = sarsen_kv_get(store, NULL, key, key_len, &value, &demo_error);
    if (status == SARSEN_NOT_FOUND) fail("the key %s is missing", key);
    REQUIRE_OK(status);
    if (value.len != 8) fail("the key %s holds %zu bytes, not 8", key, value.len);
    uint64_t id = load_u64(value.data);
    sarsen_view_release(&value);
    return id;
}

static void view_of(const sarsen_store *store, uint64_t id, sarsen_view *out) {
    sarsen_status status = sarsen_memory_get(store, NULL, id, out, &demo_error);
    if (status == SARSEN_NOT_FOUND) fail("memory %" PRIu64 " is missing", id);
    REQUIRE_OK(status);
}

static void same_bytes(const sources *all, const source_file *file, uint64_t id, const uint8_t *data, size_t len,
                       const uint8_t *wanted, size_t wanted_len) {
    size_t n = 0;
    while (n < len && n < wanted_len && data[n] == wanted[n]) n++;
    if (n != len || n != wanted_len)
        fail("memory %" PRIu64 " (%s/%s) has %zu bytes, the file %zu; they differ at byte %zu", id,
             all->crates[file->crate].stream, file->path, len, wanted_len, n);
}

/* Calls `each` for the streams' records in order: crate by crate, path by path. Returns how many. */
typedef void (*record_fn)(const sarsen_store *store, const sources *all, size_t number, void *user);

static size_t for_each_record(const sarsen_store *store, const sources *all, size_t count, record_fn each, void *user) {
    size_t number = 0;
    for (size_t crate = 0; crate < all->crate_count; crate++) {
        const char *name = all->crates[crate].stream;
        sarsen_stream_iter *paths;
        sarsen_status status = sarsen_stream_read(store, NULL, name, strlen(name), 0, &paths, &demo_error);
        if (status == SARSEN_NOT_FOUND) continue; /* none of this crate was written yet: the caller counts */
        REQUIRE_OK(status);
        uint64_t index, expected = 0;
        sarsen_bytes path;
        while ((status = sarsen_stream_iter_next(paths, &index, &path, &demo_error)) == SARSEN_OK) {
            if (number >= count) fail("the stream %s has a record that was never written", name);
            const source_file *file = &all->files[number];
            if (index != expected++ || file->crate != crate || path.len != strlen(file->path) ||
                memcmp(path.data, file->path, path.len) != 0)
                fail("record %" PRIu64 " of stream %s is %.*s, not %s", index, name, (int)path.len,
                     (const char *)path.data, file->path);
            each(store, all, number, user);
            number++;
        }
        if (status != SARSEN_END) REQUIRE_OK(status);
        sarsen_stream_iter_free(paths);
    }
    return number;
}

static void compare_with_file(const sarsen_store *store, const sources *all, size_t number, void *user) {
    file_buffer *wanted = user;
    const source_file *file = &all->files[number];
    uint64_t id = id_at_path(store, all, file);
    if (id != number + 1) fail("%s points to memory %" PRIu64 ", not %zu", file->path, id, number + 1);
    sarsen_view view;
    view_of(store, id, &view);
    source_read(all, file, wanted);
    same_bytes(all, file, id, view.data, view.len, wanted->data, wanted->len);
    sarsen_view_release(&view);
}

static size_t count_keys(const sarsen_store *store) {
    sarsen_kv_iter *keys;
    REQUIRE_OK(sarsen_kv_scan(store, NULL, NULL, 0, NULL, 0, false, &keys, &demo_error));
    size_t count = 0;
    sarsen_bytes key, value;
    sarsen_status status;
    while ((status = sarsen_kv_iter_next(keys, &key, &value, &demo_error)) == SARSEN_OK) count++;
    if (status != SARSEN_END) REQUIRE_OK(status);
    sarsen_kv_iter_free(keys);
    return count;
}

static size_t count_memories(const sarsen_store *store) {
    sarsen_memory_iter *memories;
    REQUIRE_OK(sarsen_memory_find(store, NULL, NULL, NULL, NULL, 0, &memories, &demo_error));
    size_t count = 0;
    uint64_t id;
    sarsen_bytes data;
    sarsen_status status;
    while ((status = sarsen_memory_iter_next(memories, &id, &data, &demo_error)) == SARSEN_OK)
        if (id != ++count) fail("memory %zu is not in its place: found %" PRIu64, count, id);
    if (status != SARSEN_END) REQUIRE_OK(status);
    sarsen_memory_iter_free(memories);
    return count;
}

void compare_prefix(const sarsen_store *store, const sources *all, size_t count) {
    file_buffer wanted = {0};
    size_t records = for_each_record(store, all, count, compare_with_file, &wanted);
    free(wanted.data);
    if (records != count) fail("%zu stream records for %zu files", records, count);
    size_t keys = count_keys(store), memories = count_memories(store);
    if (keys != count || memories != count)
        fail("%zu keys and %zu memories for %zu files: a commit was not all or nothing", keys, memories, count);
}

static bool is_text(sarsen_bytes bytes, const char *text, size_t len) {
    return bytes.len == len && memcmp(bytes.data, text, len) == 0;
}

/* A command of the log says what was committed for file `number`. */
static void compare_command(const sarsen_store *store, const sources *all, size_t number,
                            const sarsen_command *command) {
    const source_file *file = &all->files[number];
    const char *stream = all->crates[file->crate].stream;
    char key[4096];
    size_t key_len = source_key(all, file, key, sizeof key);
    bool same = false;
    if (command->kind == SARSEN_COMMAND_APPEND_MEMORY) {
        sarsen_view view;
        view_of(store, number + 1, &view);
        same_bytes(all, file, command->id, command->value.data, command->value.len, view.data, view.len);
        same = command->id == number + 1;
        sarsen_view_release(&view);
    } else if (command->kind == SARSEN_COMMAND_APPEND_STREAM) {
        same = is_text(command->key, stream, strlen(stream)) && is_text(command->value, file->path, strlen(file->path));
    } else if (command->kind == SARSEN_COMMAND_SET_KV) {
        same = is_text(command->key, key, key_len) && command->value.len == 8 &&
               load_u64(command->value.data) == number + 1;
    }
    if (!same) fail("the log tells commit %" PRIu64 " otherwise than it was written (%s)", command->seq, key);
}

uint64_t compare_log(const sarsen_store *store, const sources *all) {
    sarsen_log_reader *reader;
    sarsen_status status = sarsen_log_read(store, 1, 0, &reader, &demo_error);
    if (status == SARSEN_NOT_FOUND)
        fail("the log begins at commit %" PRIu64 " although all of it was to be kept", sarsen_log_first_seq(store));
    REQUIRE_OK(status);
    static const uint32_t kinds[] = {SARSEN_COMMAND_APPEND_MEMORY, SARSEN_COMMAND_APPEND_STREAM, SARSEN_COMMAND_SET_KV};
    uint64_t commands = 0;
    sarsen_command command;
    while ((status = sarsen_log_next(reader, 0, &command, sizeof command, NULL, &demo_error)) == SARSEN_OK) {
        size_t number = (size_t)(commands / 3), place = (size_t)(commands % 3);
        if (number >= all->file_count || command.seq != number + 1 || command.kind != kinds[place] ||
            (command.last != 0) != (place == 2))
            fail("command %" PRIu64 " of the log is kind %" PRIu32 " of commit %" PRIu64, commands, command.kind,
                 command.seq);
        compare_command(store, all, number, &command);
        commands++;
    }
    if (status != SARSEN_TIMEOUT) REQUIRE_OK(status); /* nothing more: the end of the log */
    sarsen_log_reader_free(reader);
    if (commands != 3 * all->file_count)
        fail("the log has %" PRIu64 " commands for %zu files", commands, all->file_count);
    return commands;
}

/* What read_everything finds out; the sum keeps the reading from being optimised away. */
typedef struct reading {
    uint64_t bytes, sum;
} reading;

static void touch(const sarsen_store *store, const sources *all, size_t number, void *user) {
    (void)all;
    reading *so_far = user;
    sarsen_view view;
    view_of(store, number + 1, &view);
    size_t n = 0;
    for (; n + 8 <= view.len; n += 8) {
        uint64_t word;
        memcpy(&word, view.data + n, 8);
        so_far->sum += word;
    }
    for (; n < view.len; n++) so_far->sum += view.data[n];
    so_far->bytes += view.len;
    sarsen_view_release(&view);
}

uint64_t read_everything(const sarsen_store *store, const sources *all) {
    reading whole = {0};
    size_t records = for_each_record(store, all, all->file_count, touch, &whole);
    if (records != all->file_count || whole.bytes != all->bytes || whole.sum == 0)
        fail("read %" PRIu64 " bytes in %zu files, not %" PRIu64 " in %zu", whole.bytes, records, all->bytes,
             all->file_count);
    return whole.bytes;
}
