/* Key-value, streams and the order stream against the model: see compare.h. */
#include "compare.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

bool unexpected(struct shared *shared, const char *what, sarsen_status status, sarsen_error *error)
{
    const char *file = error == NULL ? NULL : sarsen_error_file(error);
    shared_fail(shared, "%s: %s: %s [file %s, offset %llu, commits %llu to %llu, errno %d]", what,
                sarsen_status_name(status), error == NULL ? "no message" : sarsen_error_message(error),
                file == NULL ? "-" : file, error == NULL ? 0ull : (unsigned long long)sarsen_error_offset(error),
                error == NULL ? 0ull : (unsigned long long)sarsen_error_first_seq(error),
                error == NULL ? 0ull : (unsigned long long)sarsen_error_last_seq(error),
                error == NULL ? 0 : (int)sarsen_error_os_code(error));
    sarsen_error_free(error);
    return false;
}

/* ---- names in byte order ---- */

struct named {
    uint8_t *bytes;
    size_t len;
    const struct entry *entry;
    bool seen;
};

static int compare_named(const void *left, const void *right)
{
    const struct named *a = left;
    const struct named *b = right;
    size_t shorter = a->len < b->len ? a->len : b->len;
    int order = shorter == 0 ? 0 : memcmp(a->bytes, b->bytes, shorter);
    return order != 0 ? order : (a->len > b->len) - (a->len < b->len);
}

static struct named *sort_names(const struct table *table)
{
    struct named *names = calloc(table->count + 1, sizeof *names);
    size_t count = 0;
    uint8_t rendered[MAX_NAME];
    for (size_t i = 0; i < table->cap; i++) {
        if (table->slots[i].used) {
            struct named *named = &names[count++];
            named->entry = &table->slots[i];
            named->len = name_render(named->entry->name, rendered);
            named->bytes = malloc(named->len + 1);
            memcpy(named->bytes, rendered, named->len);
        }
    }
    qsort(names, count, sizeof *names, compare_named);
    return names;
}

static void free_names(struct named *names, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        free(names[i].bytes);
    }
    free(names);
}

/* A name for messages: printable, cut off. */
static const char *show(const uint8_t *bytes, size_t len, char out[80])
{
    size_t shown = len < 60 ? len : 60;
    for (size_t i = 0; i < shown; i++) {
        out[i] = (char)(bytes[i] >= 0x20 && bytes[i] < 0x7f ? bytes[i] : '.');
    }
    snprintf(out + shown, 80 - shown, shown < len ? "...(%zu)" : "", len);
    return out;
}

static bool check_content(struct comparison *comparison, const char *kind, const uint8_t *name, size_t name_len,
                          uint64_t index, const struct content *content, const uint8_t *data, size_t len)
{
    size_t at;
    char text[80];
    if (content_matches(content, data, len, &at)) {
        return true;
    }
    shared_fail(comparison->shared,
                "%s \"%s\" [%llu]: differs at byte %zu: %zu bytes found, %u expected, those of thread %u commit %llu",
                kind, show(name, name_len, text), (unsigned long long)index, at, len, content->len, content->thread,
                (unsigned long long)content->n);
    return false;
}

/* ---- key-value ---- */

static bool scan_kv(struct comparison *comparison, const struct named *names, size_t count, bool reverse)
{
    struct shared *shared = comparison->shared;
    sarsen_kv_iter *iter = NULL;
    sarsen_error *error = NULL;
    char text[80];
    sarsen_status status =
        sarsen_kv_scan(comparison->store, comparison->snapshot, NULL, 0, NULL, 0, reverse, &iter, &error);
    if (status != SARSEN_OK) {
        return unexpected(shared, "kv_scan", status, error);
    }
    bool good = true;
    size_t done = 0;
    for (; good; done++) {
        sarsen_bytes key, value;
        status = sarsen_kv_iter_next(iter, &key, &value, &error);
        if (status == SARSEN_END) {
            break;
        }
        if (status != SARSEN_OK) {
            good = unexpected(shared, "kv_iter_next", status, error);
            break;
        }
        const struct named *named = done < count ? &names[reverse ? count - 1 - done : done] : NULL;
        if (named == NULL || key.len != named->len || (key.len > 0 && memcmp(key.data, named->bytes, key.len) != 0)) {
            char wanted[80] = "the end";
            shared_fail(shared, "kv scan%s, position %zu of %zu: found key \"%s\", expected \"%s\"",
                        reverse ? " in reverse" : "", done, count, show(key.data, key.len, text),
                        named == NULL ? wanted : show(named->bytes, named->len, wanted));
            good = false;
            break;
        }
        good = check_content(comparison, "kv scan", named->bytes, named->len, done, &named->entry->content,
                             value.data, value.len);
    }
    sarsen_kv_iter_free(iter);
    if (good && done < count) {
        const struct named *named = &names[reverse ? count - 1 - done : done];
        shared_fail(shared, "kv scan ends after %zu of %zu keys: \"%s\" is missing", done, count,
                    show(named->bytes, named->len, text));
        good = false;
    }
    return good;
}

static bool get_kv(struct comparison *comparison, const struct named *named)
{
    sarsen_view view;
    sarsen_error *error = NULL;
    char text[80], what[120];
    sarsen_status status =
        sarsen_kv_get(comparison->store, comparison->snapshot, named->bytes, named->len, &view, &error);
    if (status != SARSEN_OK) {
        snprintf(what, sizeof what, "kv_get \"%s\"", show(named->bytes, named->len, text));
        return unexpected(comparison->shared, what, status, error);
    }
    bool good =
        check_content(comparison, "kv_get", named->bytes, named->len, 0, &named->entry->content, view.data, view.len);
    sarsen_view_release(&view);
    return good;
}

static bool get_absent_kv(struct comparison *comparison)
{
    uint8_t key[MAX_NAME];
    for (uint64_t id = 0; id < 40; id++) {
        uint64_t name = id < 20 ? name_make(NAME_SHARED, 0, 2 * id) : name_make(NAME_PRIVATE, 0, 2 * id);
        if (table_find(&comparison->model->kv, name) != NULL) {
            continue;
        }
        sarsen_view view;
        sarsen_error *error = NULL;
        size_t len = name_render(name, key);
        sarsen_status status = sarsen_kv_get(comparison->store, comparison->snapshot, key, len, &view, &error);
        if (status != SARSEN_NOT_FOUND) {
            return unexpected(comparison->shared, "kv_get of a key that is not there", status, error);
        }
    }
    return true;
}

bool compare_kv(struct comparison *comparison)
{
    const struct table *table = &comparison->model->kv;
    struct named *names = sort_names(table);
    bool good = scan_kv(comparison, names, table->count, rng_one_in(&comparison->rng, 3));
    for (size_t i = 0; good && i < table->count; i++) {
        good = get_kv(comparison, &names[i]);
    }
    good = good && get_absent_kv(comparison);
    free_names(names, table->count);
    return good;
}

/* ---- streams ---- */

static bool get_record(struct comparison *comparison, const struct named *named, uint64_t index)
{
    const struct stream *stream = named->entry->stream;
    bool there = index >= stream->first && index < stream->next;
    sarsen_view view;
    sarsen_error *error = NULL;
    sarsen_status status =
        sarsen_stream_get(comparison->store, comparison->snapshot, named->bytes, named->len, index, &view, &error);
    if (status != (there ? SARSEN_OK : SARSEN_NOT_FOUND)) {
        char text[80], what[160];
        snprintf(what, sizeof what, "stream_get \"%s\" [%llu] of [%llu, %llu)",
                 show(named->bytes, named->len, text), (unsigned long long)index, (unsigned long long)stream->first,
                 (unsigned long long)stream->next);
        return unexpected(comparison->shared, what, status, error);
    }
    if (!there) {
        return true;
    }
    bool good = check_content(comparison, "stream_get", named->bytes, named->len, index,
                              &stream->records[index - stream->base], view.data, view.len);
    sarsen_view_release(&view);
    return good;
}

static bool read_records(struct comparison *comparison, const struct named *named)
{
    const struct stream *stream = named->entry->stream;
    struct shared *shared = comparison->shared;
    sarsen_stream_iter *iter = NULL;
    sarsen_error *error = NULL;
    char text[80];
    show(named->bytes, named->len, text);
    sarsen_status status = sarsen_stream_read(comparison->store, comparison->snapshot, named->bytes, named->len,
                                              stream->first, &iter, &error);
    if (status != SARSEN_OK) {
        return unexpected(shared, "stream_read", status, error);
    }
    bool good = true;
    for (uint64_t index = stream->first; good; index++) {
        uint64_t found;
        sarsen_bytes record;
        status = sarsen_stream_iter_next(iter, &found, &record, &error);
        if (status != (index < stream->next ? SARSEN_OK : SARSEN_END)) {
            char what[160];
            snprintf(what, sizeof what, "stream_iter_next of \"%s\" at %llu of [%llu, %llu)", text,
                     (unsigned long long)index, (unsigned long long)stream->first, (unsigned long long)stream->next);
            good = unexpected(shared, what, status, error);
        } else if (status == SARSEN_END) {
            break;
        } else if (found != index) {
            shared_fail(shared, "stream \"%s\": record %llu follows where %llu should", text,
                        (unsigned long long)found, (unsigned long long)index);
            good = false;
        } else {
            good = check_content(comparison, "stream", named->bytes, named->len, index,
                                 &stream->records[index - stream->base], record.data, record.len);
        }
    }
    sarsen_stream_iter_free(iter);
    return good;
}

static bool compare_stream(struct comparison *comparison, const struct named *named)
{
    const struct stream *stream = named->entry->stream;
    uint64_t first, next;
    sarsen_error *error = NULL;
    char text[80];
    sarsen_status status = sarsen_stream_bounds(comparison->store, comparison->snapshot, named->bytes, named->len,
                                                &first, &next, &error);
    if (status != SARSEN_OK) {
        return unexpected(comparison->shared, "stream_bounds", status, error);
    }
    if (first != stream->first || next != stream->next) {
        shared_fail(comparison->shared, "stream \"%s\": bounds [%llu, %llu), expected [%llu, %llu)",
                    show(named->bytes, named->len, text), (unsigned long long)first, (unsigned long long)next,
                    (unsigned long long)stream->first, (unsigned long long)stream->next);
        return false;
    }
    bool good = read_records(comparison, named) && get_record(comparison, named, stream->next);
    if (good && stream->first > 0) {
        good = get_record(comparison, named, stream->first - 1);
    }
    for (int i = 0; good && i < 8 && stream->next > stream->first; i++) {
        good = get_record(comparison, named, stream->first + rng_below(&comparison->rng, stream->next - stream->first));
    }
    return good;
}

/* Every stream listed is in the model (or is the order stream), with its bounds; none is listed twice. */
static bool list_streams(struct comparison *comparison, struct named *names, size_t count)
{
    struct shared *shared = comparison->shared;
    sarsen_stream_names *list = NULL;
    sarsen_error *error = NULL;
    char text[80];
    size_t expected = count + (comparison->model->order_count > 0 ? 1 : 0);
    sarsen_status status = sarsen_stream_list(comparison->store, comparison->snapshot, NULL, 0, &list, &error);
    if (status != SARSEN_OK) {
        return unexpected(shared, "stream_list", status, error);
    }
    bool good = true;
    size_t listed = 0;
    for (; good; listed++) {
        sarsen_bytes name;
        uint64_t first, next;
        status = sarsen_stream_names_next(list, &name, &first, &next, &error);
        if (status == SARSEN_END) {
            break;
        }
        if (status != SARSEN_OK) {
            good = unexpected(shared, "stream_names_next", status, error);
            break;
        }
        if (name.len == 5 && memcmp(name.data, "order", 5) == 0) {
            continue;
        }
        struct named *named = NULL;
        for (size_t i = 0; i < count && named == NULL; i++) {
            bool same = names[i].len == name.len && memcmp(names[i].bytes, name.data, name.len) == 0;
            named = same ? &names[i] : NULL;
        }
        if (named == NULL || named->seen || named->entry->stream->first != first ||
            named->entry->stream->next != next) {
            shared_fail(shared, "stream_list: \"%s\" [%llu, %llu) should not be there%s",
                        show(name.data, name.len, text), (unsigned long long)first, (unsigned long long)next,
                        named == NULL ? "" : named->seen ? " twice" : " with these bounds");
            good = false;
            break;
        }
        named->seen = true;
    }
    sarsen_stream_names_free(list);
    if (good && listed != expected) {
        shared_fail(shared, "stream_list: %zu streams, expected %zu", listed, expected);
        good = false;
    }
    return good;
}

bool compare_streams(struct comparison *comparison)
{
    const struct table *table = &comparison->model->streams;
    struct named *names = sort_names(table);
    bool good = list_streams(comparison, names, table->count);
    for (size_t i = 0; good && i < table->count; i++) {
        good = compare_stream(comparison, &names[i]);
    }
    /* A dropped private stream, or one not yet written to. */
    for (uint32_t thread = 0; good && thread < comparison->model->workload.threads; thread++) {
        for (uint64_t id = 0; good && id < PRIVATE_STREAMS; id++) {
            uint64_t name = name_make(NAME_PRIVATE, thread, id);
            uint8_t bytes[MAX_NAME];
            uint64_t first, next;
            sarsen_error *error = NULL;
            size_t len = name_render(name, bytes);
            if (table_find(table, name) != NULL) {
                continue;
            }
            sarsen_status status = sarsen_stream_bounds(comparison->store, comparison->snapshot, bytes, len, &first,
                                                        &next, &error);
            if (status != SARSEN_NOT_FOUND) {
                good = unexpected(comparison->shared, "stream_bounds of a stream that is not there", status, error);
            }
        }
    }
    free_names(names, table->count);
    return good;
}
