/* Memories, tags, loose blocks, the log and the library's own verification: see compare.h. */
#include "compare.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* ---- memories ---- */

static int compare_ids(const void *left, const void *right)
{
    uint64_t a = (*(const struct entry *const *)left)->name;
    uint64_t b = (*(const struct entry *const *)right)->name;
    return (a > b) - (a < b);
}

static const struct entry **sort_memories(const struct table *table)
{
    const struct entry **sorted = calloc(table->count + 1, sizeof *sorted);
    size_t count = 0;
    for (size_t i = 0; i < table->cap; i++) {
        if (table->slots[i].used) {
            sorted[count++] = &table->slots[i];
        }
    }
    qsort(sorted, count, sizeof *sorted, compare_ids);
    return sorted;
}

static bool check_memory_bytes(struct comparison *comparison, const char *how, const struct entry *entry,
                               const uint8_t *data, size_t len)
{
    size_t at;
    if (content_matches(&entry->content, data, len, &at)) {
        return true;
    }
    shared_fail(comparison->shared,
                "%s: memory %llu differs at byte %zu: %zu bytes found, %u expected, those of thread %u commit %llu",
                how, (unsigned long long)entry->name, at, len, entry->content.len, entry->content.thread,
                (unsigned long long)entry->content.n);
    return false;
}

static uint32_t tags_mask(const sarsen_tags *tags, bool *out_known)
{
    uint32_t mask = 0;
    char text[MAX_TAG];
    *out_known = true;
    for (size_t i = 0; i < sarsen_tags_count(tags); i++) {
        sarsen_bytes tag = sarsen_tags_get(tags, i);
        uint32_t found = 0;
        while (found < TAG_COUNT && (tag_render(found, text) != tag.len || memcmp(text, tag.data, tag.len) != 0)) {
            found++;
        }
        if (found == TAG_COUNT || mask >> found & 1) {
            *out_known = false;
            return mask;
        }
        mask |= 1u << found;
    }
    return mask;
}

/* The whole block in place, and a range of it copied. */
static bool read_block(struct comparison *comparison, const sarsen_block *block, const struct content *content,
                       const char *what, sarsen_status *out_status)
{
    sarsen_view view;
    sarsen_error *error = NULL;
    size_t at;
    *out_status = sarsen_block_view(comparison->store, block, 0, content->len, &view, &error);
    if (*out_status == SARSEN_NOT_FOUND && comparison->is_past) {
        return true;
    }
    if (*out_status != SARSEN_OK) {
        return unexpected(comparison->shared, what, *out_status, error);
    }
    bool good = block->len == content->len && content_matches(content, view.data, view.len, &at);
    sarsen_view_release(&view);
    if (!good) {
        shared_fail(comparison->shared, "%s: the block of thread %u commit %llu (chunk %u, offset %llu) differs", what,
                    content->thread, (unsigned long long)content->n, block->chunk, (unsigned long long)block->offset);
        return false;
    }
    size_t from = (size_t)rng_below(&comparison->rng, content->len / 8 + 1) * 8;
    size_t len = (size_t)rng_below(&comparison->rng, content->len - from + 1);
    uint8_t *copy = malloc(len + 1);
    *out_status = sarsen_block_read(comparison->store, block, from, copy, len, &error);
    if (*out_status != SARSEN_OK) {
        good = unexpected(comparison->shared, what, *out_status, error);
    } else if (!content_matches_range(content, from, copy, len, &at)) {
        shared_fail(comparison->shared, "%s: block_read of %zu bytes from %zu differs at %zu", what, len, from, at);
        good = false;
    }
    free(copy);
    return good;
}

static bool compare_memory(struct comparison *comparison, const struct entry *entry)
{
    struct shared *shared = comparison->shared;
    sarsen_view view;
    sarsen_block block;
    sarsen_tags *tags = NULL;
    sarsen_error *error = NULL;
    char what[64];
    snprintf(what, sizeof what, "memory %llu", (unsigned long long)entry->name);
    sarsen_status status = sarsen_memory_get(comparison->store, comparison->snapshot, entry->name, &view, &error);
    if (status != SARSEN_OK) {
        return unexpected(shared, what, status, error);
    }
    bool good = check_memory_bytes(comparison, "memory_get", entry, view.data, view.len);
    sarsen_view_release(&view);
    if (!good) {
        return false;
    }
    status = sarsen_memory_info(comparison->store, comparison->snapshot, entry->name, &block, &tags, &error);
    if (status != SARSEN_OK) {
        return unexpected(shared, what, status, error);
    }
    bool known;
    uint32_t mask = tags_mask(tags, &known);
    sarsen_tags_free(tags);
    if (!known || mask != entry->tags) {
        shared_fail(shared, "%s: tags %03x%s, expected %03x", what, mask, known ? "" : " and foreign ones",
                    entry->tags);
        return false;
    }
    return read_block(comparison, &block, &entry->content, what, &status);
}

struct query {
    uint32_t all, any, none;
};

static bool query_matches(const struct query *query, uint32_t tags)
{
    return (tags & query->all) == query->all && (query->any == 0 || (tags & query->any) != 0) &&
           (tags & query->none) == 0;
}

static bool find_memories(struct comparison *comparison, const struct entry **sorted, size_t count,
                          const struct query *query, uint64_t from_id)
{
    struct shared *shared = comparison->shared;
    sarsen_tags *all = tags_of(query->all), *any = tags_of(query->any), *none = tags_of(query->none);
    sarsen_memory_iter *iter = NULL;
    sarsen_error *error = NULL;
    sarsen_status status =
        sarsen_memory_find(comparison->store, comparison->snapshot, all, any, none, from_id, &iter, &error);
    bool good = status == SARSEN_OK || unexpected(shared, "memory_find", status, error);
    for (size_t i = 0; good;) {
        uint64_t id;
        sarsen_bytes data;
        while (i < count && (sorted[i]->name < from_id || !query_matches(query, sorted[i]->tags))) {
            i++;
        }
        status = sarsen_memory_iter_next(iter, &id, &data, &error);
        if (status != SARSEN_OK && status != SARSEN_END) {
            good = unexpected(shared, "memory_iter_next", status, error);
        } else if (status == SARSEN_END && i == count) {
            break;
        } else if (status == SARSEN_END || i == count || id != sorted[i]->name) {
            shared_fail(shared,
                        "memory_find(all %03x, any %03x, none %03x, from %llu): found %s %llu, expected %s %llu",
                        query->all, query->any, query->none, (unsigned long long)from_id,
                        status == SARSEN_END ? "the end" : "id", (unsigned long long)(status == SARSEN_END ? 0 : id),
                        i == count ? "the end" : "id", (unsigned long long)(i == count ? 0 : sorted[i]->name));
            good = false;
        } else {
            good = check_memory_bytes(comparison, "memory_find", sorted[i], data.data, data.len);
            i++;
        }
    }
    sarsen_memory_iter_free(iter);
    sarsen_tags_free(all);
    sarsen_tags_free(any);
    sarsen_tags_free(none);
    return good;
}

static bool get_absent_memories(struct comparison *comparison)
{
    for (uint64_t id = 0; id < 20; id++) {
        sarsen_view view;
        sarsen_error *error = NULL;
        if (table_find(&comparison->model->memories, id) != NULL) {
            continue;
        }
        sarsen_status status = sarsen_memory_get(comparison->store, comparison->snapshot, id, &view, &error);
        if (status != SARSEN_NOT_FOUND) {
            return unexpected(comparison->shared, "memory_get of a memory that is not there", status, error);
        }
    }
    return true;
}

bool compare_memories(struct comparison *comparison)
{
    const struct table *table = &comparison->model->memories;
    const struct entry **sorted = sort_memories(table);
    struct query query = {0, 0, 0};
    bool good = find_memories(comparison, sorted, table->count, &query, 0);
    for (uint32_t tag = 0; good && tag < TAG_COUNT; tag++) {
        query = (struct query){.all = 1u << tag};
        good = find_memories(comparison, sorted, table->count, &query, 0);
    }
    for (int i = 0; good && i < 4; i++) {
        uint64_t random = rng_next(&comparison->rng);
        query.all = 1u << (random % TAG_COUNT);
        query.any = 1u << (random / 16 % TAG_COUNT) | 1u << (random / 256 % TAG_COUNT);
        query.none = 1u << (random / 4096 % TAG_COUNT);
        good = find_memories(comparison, sorted, table->count, &query, rng_one_in(&comparison->rng, 2) ? 0 : 12);
    }
    for (size_t i = 0; good && i < table->count; i++) {
        good = compare_memory(comparison, sorted[i]);
    }
    good = good && get_absent_memories(comparison);
    free(sorted);
    return good;
}

/* ---- loose blocks ---- */

/* Freed: no such block any more, or still its own bytes; anything else is wrong. */
static bool read_dead(struct comparison *comparison, const struct loose *dead)
{
    sarsen_view view;
    sarsen_error *error = NULL;
    size_t at;
    sarsen_status status =
        sarsen_block_view(comparison->store, &dead->block, 0, dead->content.len, &view, &error);
    if (status == SARSEN_NOT_FOUND) {
        return true;
    }
    if (status != SARSEN_OK) {
        return unexpected(comparison->shared, "a freed block", status, error);
    }
    bool good = content_matches(&dead->content, view.data, view.len, &at);
    sarsen_view_release(&view);
    if (!good) {
        shared_fail(comparison->shared, "a freed block (thread %u commit %llu) answers with other bytes",
                    dead->content.thread, (unsigned long long)dead->content.n);
    }
    return good;
}

bool compare_blocks(struct comparison *comparison)
{
    sarsen_status status;
    for (uint32_t thread = 0; thread < comparison->model->workload.threads; thread++) {
        const struct thread_state *state = &comparison->model->threads[thread];
        for (uint32_t slot = 0; slot < LOOSE_SLOTS; slot++) {
            const struct loose *loose = &state->loose[slot];
            bool live = loose->state == LOOSE_FREE_STANDING || loose->state == LOOSE_NAMED;
            const char *what = loose->state == LOOSE_NAMED ? "a named block" : "a loose block";
            if (live && loose->known && !read_block(comparison, &loose->block, &loose->content, what, &status)) {
                return false;
            }
        }
        for (uint64_t i = 0; i < DEAD_SLOTS && i < state->dead_count; i++) {
            if (state->dead[i].known && !read_dead(comparison, &state->dead[i])) {
                return false;
            }
        }
    }
    return true;
}

/* ---- the log ---- */

static bool is_order_append(const sarsen_command *command)
{
    return command->kind == SARSEN_COMMAND_APPEND_STREAM && command->key.len == 5 &&
           memcmp(command->key.data, "order", 5) == 0;
}

/* What the log still holds: every commit up to the newest, in order, and in the order stream's order. */
bool compare_log(struct comparison *comparison)
{
    const struct model *model = comparison->model;
    struct shared *shared = comparison->shared;
    uint64_t newest = sarsen_store_last_seq(comparison->store);
    uint64_t seq = sarsen_log_first_seq(comparison->store);
    if (seq == 0 || seq > newest) {
        return true;
    }
    sarsen_log_reader *reader = NULL;
    sarsen_error *error = NULL;
    sarsen_status status = sarsen_log_read(comparison->store, seq, 0, &reader, &error);
    if (status != SARSEN_OK) {
        return unexpected(shared, "log_read from log_first_seq", status, error);
    }
    bool good = true;
    bool whole = true;
    while (good) {
        sarsen_command command;
        uint32_t thread;
        uint64_t n;
        status = sarsen_log_next(reader, 0, &command, sizeof command, NULL, &error);
        if (status == SARSEN_TIMEOUT) {
            break;
        }
        if (status != SARSEN_OK) {
            good = unexpected(shared, "log_next", status, error);
            break;
        }
        good = command.seq == seq;
        if (good && is_order_append(&command)) {
            good = order_parse(&model->workload, command.value.data, command.value.len, &thread, &n) &&
                   command.id < model->order_count && model->order[command.id].thread == thread &&
                   model->order[command.id].n == n;
        }
        if (!good) {
            shared_fail(shared, "the log has command %u of seq %llu (id %llu) where seq %llu is due", command.kind,
                        (unsigned long long)command.seq, (unsigned long long)command.id, (unsigned long long)seq);
        }
        whole = command.last != 0;
        seq += whole ? 1 : 0;
    }
    sarsen_log_reader_free(reader);
    if (good && (!whole || seq != newest + 1)) {
        shared_fail(shared, "the log ends before seq %llu, the newest commit is %llu", (unsigned long long)seq,
                    (unsigned long long)newest);
        good = false;
    }
    return good;
}

/* ---- the library's own verification ---- */

bool compare_verify(struct comparison *comparison)
{
    sarsen_report *report = NULL;
    sarsen_error *error = NULL;
    sarsen_status status = sarsen_store_verify(comparison->store, &report, &error);
    if (status != SARSEN_OK) {
        return unexpected(comparison->shared, "verify", status, error);
    }
    const char *file, *what;
    uint64_t offset;
    status = sarsen_report_next(report, &file, &offset, &what);
    bool good = status == SARSEN_END;
    if (!good) {
        shared_fail(comparison->shared, "verify: %s at %llu: %s", file == NULL ? "-" : file,
                    (unsigned long long)offset, what == NULL ? "-" : what);
    }
    sarsen_report_free(report);
    return good;
}
