/* The model: see model.h. Contents are kept as what makes them again, so a model is small whatever it stands for. */
#include "model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static void *grow(void *old, size_t count, size_t size)
{
    void *bigger = realloc(old, count * size);
    if (bigger == NULL) {
        fprintf(stderr, "sarsen_crash: out of memory\n");
        exit(2);
    }
    return bigger;
}

/* ---- table ---- */

static size_t home(const struct table *table, uint64_t name)
{
    return (size_t)mix(name, 7) & (table->cap - 1);
}

static struct entry *probe(const struct table *table, uint64_t name)
{
    size_t at = home(table, name);
    while (table->slots[at].used && table->slots[at].name != name) {
        at = (at + 1) & (table->cap - 1);
    }
    return &table->slots[at];
}

struct entry *table_find(const struct table *table, uint64_t name)
{
    if (table->cap == 0) {
        return NULL;
    }
    struct entry *entry = probe(table, name);
    return entry->used ? entry : NULL;
}

static void rehash(struct table *table)
{
    struct table bigger = {.cap = table->cap == 0 ? 64 : 2 * table->cap, .count = table->count};
    bigger.slots = grow(NULL, bigger.cap, sizeof *bigger.slots);
    memset(bigger.slots, 0, bigger.cap * sizeof *bigger.slots);
    for (size_t i = 0; i < table->cap; i++) {
        if (table->slots[i].used) {
            *probe(&bigger, table->slots[i].name) = table->slots[i];
        }
    }
    free(table->slots);
    *table = bigger;
}

struct entry *table_put(struct table *table, uint64_t name)
{
    if (2 * (table->count + 1) > table->cap) {
        rehash(table);
    }
    struct entry *entry = probe(table, name);
    if (!entry->used) {
        memset(entry, 0, sizeof *entry);
        entry->used = true;
        entry->name = name;
        table->count++;
    }
    return entry;
}

void table_remove(struct table *table, uint64_t name)
{
    struct entry *entry = table_find(table, name);
    if (entry == NULL) {
        return;
    }
    size_t mask = table->cap - 1;
    size_t hole = (size_t)(entry - table->slots);
    for (size_t at = (hole + 1) & mask; table->slots[at].used; at = (at + 1) & mask) {
        /* An entry moves back into the hole unless its home lies behind the hole, in probing order. */
        if (((at - home(table, table->slots[at].name)) & mask) >= ((at - hole) & mask)) {
            table->slots[hole] = table->slots[at];
            hole = at;
        }
    }
    table->slots[hole].used = false;
    table->count--;
}

/* ---- streams ---- */

static void stream_append(struct model *model, uint64_t name, const struct content *content)
{
    struct entry *entry = table_put(&model->streams, name);
    if (entry->stream == NULL) {
        entry->stream = grow(NULL, 1, sizeof *entry->stream);
        memset(entry->stream, 0, sizeof *entry->stream);
    }
    struct stream *stream = entry->stream;
    if (stream->next - stream->base == stream->cap) {
        size_t live = (size_t)(stream->next - stream->first);
        if (2 * live <= stream->cap && stream->cap > 0) {
            memmove(stream->records, stream->records + (stream->first - stream->base),
                    live * sizeof *stream->records);
            stream->base = stream->first;
        } else {
            stream->cap = stream->cap == 0 ? 16 : 2 * stream->cap;
            stream->records = grow(stream->records, stream->cap, sizeof *stream->records);
        }
    }
    stream->records[stream->next - stream->base] = *content;
    stream->next++;
}

static void stream_free(struct stream *stream)
{
    free(stream->records);
    free(stream);
}

static void stream_trim(struct model *model, uint64_t name, uint64_t before)
{
    struct entry *entry = table_find(&model->streams, name);
    if (entry == NULL) {
        return;
    }
    struct stream *stream = entry->stream;
    if (before == UINT64_MAX) {
        stream_free(stream);
        table_remove(&model->streams, name);
    } else if (before > stream->first) {
        stream->first = before < stream->next ? before : stream->next;
    }
}

/* ---- what was told ---- */

void told_begin(struct told_log *log, const struct model *model)
{
    for (uint32_t thread = 0; thread < MAX_THREADS; thread++) {
        log->base[thread] = model->threads[thread].next_n;
        log->count[thread] = 0;
    }
}

struct told *told_at(struct told_log *log, uint32_t thread, uint64_t n)
{
    size_t at = (size_t)(n - log->base[thread]);
    if (at >= log->cap[thread]) {
        log->cap[thread] = 2 * at + 64;
        log->items[thread] = grow(log->items[thread], log->cap[thread], sizeof *log->items[thread]);
    }
    while (log->count[thread] <= at) {
        memset(&log->items[thread][log->count[thread]++], 0, sizeof(struct told));
    }
    return &log->items[thread][at];
}

const struct told *told_find(const struct told_log *log, uint32_t thread, uint64_t n)
{
    if (n < log->base[thread] || n - log->base[thread] >= log->count[thread]) {
        return NULL;
    }
    return &log->items[thread][n - log->base[thread]];
}

uint64_t told_acked_end(const struct told_log *log, uint32_t thread)
{
    size_t count = log->count[thread];
    while (count > 0 && !log->items[thread][count - 1].acked) {
        count--;
    }
    return log->base[thread] + count;
}

void told_free(struct told_log *log)
{
    for (uint32_t thread = 0; thread < MAX_THREADS; thread++) {
        free(log->items[thread]);
    }
    memset(log, 0, sizeof *log);
}

/* ---- the model ---- */

void model_init(struct model *model, const struct workload *workload)
{
    memset(model, 0, sizeof *model);
    model->workload = *workload;
}

void model_free(struct model *model)
{
    for (size_t i = 0; i < model->streams.cap; i++) {
        if (model->streams.slots[i].used) {
            stream_free(model->streams.slots[i].stream);
        }
    }
    free(model->kv.slots);
    free(model->memories.slots);
    free(model->streams.slots);
    free(model->order);
    memset(model, 0, sizeof *model);
}

static void record_order(struct model *model, uint32_t thread, uint64_t n)
{
    if (model->order_count == model->order_cap) {
        model->order_cap = model->order_cap == 0 ? 256 : 2 * model->order_cap;
        model->order = grow(model->order, model->order_cap, sizeof *model->order);
    }
    model->order[model->order_count++] = (struct order_entry){.thread = thread, .n = n};
}

static void apply_op(struct model *model, const struct commit *commit, const struct op *op)
{
    struct entry *entry;
    switch (op->kind) {
    case OP_ORDER:
        record_order(model, commit->thread, commit->n);
        break;
    case OP_KV_SET:
        table_put(&model->kv, op->name)->content = op->content;
        break;
    case OP_KV_DELETE:
        table_remove(&model->kv, op->name);
        break;
    case OP_STREAM_APPEND:
    case OP_STREAM_APPEND_BLOCK:
        stream_append(model, op->name, &op->content);
        break;
    case OP_STREAM_TRIM:
        stream_trim(model, op->name, op->before);
        break;
    case OP_MEMORY_PUT:
    case OP_MEMORY_PUT_BLOCK:
        entry = table_put(&model->memories, op->id);
        entry->content = op->content;
        entry->tags = op->tags;
        break;
    case OP_MEMORY_DELETE:
        table_remove(&model->memories, op->id);
        break;
    case OP_BLOCK_APPEND:
    case OP_BLOCK_FREE:
        break; /* plan_commit keeps these, in the thread's state */
    }
}

void model_apply_next(struct model *model, uint32_t thread, const struct told *told)
{
    struct commit commit;
    struct thread_state *state = &model->threads[thread];
    plan_commit(&model->workload, state, thread, &commit);
    for (size_t i = 0; i < commit.count; i++) {
        apply_op(model, &commit, &commit.ops[i]);
    }
    if (commit.loose_op >= 0 && told != NULL && told->has_result) {
        struct loose *loose = &state->loose[commit.ops[commit.loose_op].slot];
        loose->block = told->block;
        loose->known = true;
    }
}

bool model_apply_batch(struct model *model, uint32_t thread, uint64_t n, const struct told_log *log)
{
    uint64_t next = model->threads[thread].next_n;
    if (commit_is_single(&model->workload, thread, n)) {
        return false;
    }
    if (next + 1 == n && commit_is_single(&model->workload, thread, next)) {
        model_apply_next(model, thread, told_find(log, thread, next));
        next++;
    }
    if (next != n) {
        return false;
    }
    model_apply_next(model, thread, told_find(log, thread, n));
    return true;
}

void model_forget_unknown(struct model *model)
{
    for (uint32_t thread = 0; thread < MAX_THREADS; thread++) {
        for (uint32_t slot = 0; slot < LOOSE_SLOTS; slot++) {
            struct loose *loose = &model->threads[thread].loose[slot];
            if (loose->state == LOOSE_FREE_STANDING && !loose->known) {
                loose->state = LOOSE_LOST;
            }
        }
    }
}
