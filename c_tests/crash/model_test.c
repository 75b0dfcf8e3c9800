/* Tests of the harness itself, without a store: the generator gives the same commits again, contents that differ are
 * told apart, and the model is what its commits make it. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "model.h"

#define CHECK(condition)                                                                    \
    do {                                                                                    \
        if (!(condition)) {                                                                 \
            fprintf(stderr, "%s:%d: not so: %s\n", __FILE__, __LINE__, #condition);         \
            exit(1);                                                                        \
        }                                                                                   \
    } while (0)

static const struct workload workload = {.seed = 42, .threads = 4, .weight = 1, .window = 64};

static void any_changed_byte_of_a_content_is_found(void)
{
    static uint8_t bytes[300];
    for (uint32_t len = 0; len < 70; len++) {
        struct content content = {.seed = 5 + len, .len = len};
        size_t at = 0;
        memset(bytes, 0xee, sizeof bytes);
        content_fill(&content, bytes);
        CHECK(bytes[len] == 0xee);
        CHECK(content_matches(&content, bytes, len, &at));
        CHECK(!content_matches(&content, bytes, len + 1u, &at) && at == len);
        for (uint32_t i = 0; i < len; i++) {
            bytes[i] ^= 0x10;
            CHECK(!content_matches(&content, bytes, len, &at) && at == i);
            CHECK(!content_matches_range(&content, i / 8 * 8, bytes + i / 8 * 8, len - i / 8 * 8, &at) && at == i);
            bytes[i] ^= 0x10;
            CHECK(!content_matches(&content, bytes, i, &at) && at == i);
        }
        struct content other = {.seed = 500 + len, .len = len};
        CHECK(len < 4 || !content_matches(&other, bytes, len, &at));
    }
}

static bool same_commit(const struct commit *a, const struct commit *b)
{
    if (a->thread != b->thread || a->n != b->n || a->count != b->count || a->single != b->single ||
        a->loose_op != b->loose_op) {
        return false;
    }
    for (size_t i = 0; i < a->count; i++) {
        const struct op *x = &a->ops[i], *y = &b->ops[i];
        if (x->kind != y->kind || x->tags != y->tags || x->slot != y->slot || x->name != y->name || x->id != y->id ||
            x->before != y->before || x->content.seed != y->content.seed || x->content.len != y->content.len) {
            return false;
        }
    }
    return true;
}

static void the_same_thread_and_number_plan_the_same_commit(void)
{
    static struct thread_state left[MAX_THREADS], right[MAX_THREADS];
    struct commit a, b;
    uint64_t kinds[OP_BLOCK_FREE + 1] = {0};
    uint64_t large = 0, empty = 0, singles = 0;
    for (uint64_t n = 0; n < 4000; n++) {
        for (uint32_t thread = 0; thread < 4; thread++) {
            plan_commit(&workload, &left[thread], thread, &a);
            CHECK(a.n == n && a.count >= 1 && a.count <= MAX_OPS);
            CHECK(a.single == commit_is_single(&workload, thread, n) && (!a.single || a.count == 1));
            CHECK(a.single || a.ops[0].kind == OP_ORDER);
            singles += a.single ? 1 : 0;
            for (size_t i = 0; i < a.count; i++) {
                kinds[a.ops[i].kind]++;
                CHECK(a.ops[i].content.len <= MAX_CONTENT);
                large += a.ops[i].content.len > 65536 ? 1 : 0;
                empty += a.ops[i].kind == OP_STREAM_APPEND && a.ops[i].content.len == 0 ? 1 : 0;
            }
        }
    }
    for (uint32_t thread = 4; thread-- > 0;) { /* another interleaving: one thread after the other */
        memset(&left[thread], 0, sizeof left[thread]);
        for (uint64_t n = 0; n < 4000; n++) {
            plan_commit(&workload, &left[thread], thread, &a);
            plan_commit(&workload, &right[thread], thread, &b);
            CHECK(same_commit(&a, &b));
        }
    }
    for (int kind = OP_ORDER; kind <= OP_BLOCK_FREE; kind++) {
        CHECK(kinds[kind] > 20);
    }
    CHECK(large > 100 && empty > 20 && singles > 500);
}

static void one_command_commits_never_stand_side_by_side(void)
{
    for (uint32_t thread = 0; thread < MAX_THREADS; thread++) {
        for (uint64_t n = 0; n < 5000; n++) {
            CHECK(!commit_is_single(&workload, thread, n) || !commit_is_single(&workload, thread, n + 1));
        }
    }
}

struct rendered {
    uint8_t bytes[64];
    size_t len;
};

static int compare_rendered(const void *left, const void *right)
{
    return memcmp(left, right, sizeof(struct rendered));
}

static void no_two_names_are_written_alike(void)
{
    static struct rendered all[4096];
    static uint8_t out[MAX_NAME];
    size_t count = 0;
    for (uint64_t id = 0; id < 100; id++) {
        for (uint32_t owner = 0; owner < MAX_THREADS; owner++) {
            for (int kind = NAME_COMMIT; kind <= NAME_SHARED; kind++) {
                size_t len = name_render(name_make((enum name_kind)kind, owner, id), out);
                CHECK(len <= MAX_NAME);
                memcpy(all[count].bytes, out, len < 64 ? len : 64);
                all[count++].len = len;
            }
        }
    }
    qsort(all, count, sizeof all[0], compare_rendered);
    for (size_t i = 1; i < count; i++) {
        CHECK(compare_rendered(&all[i - 1], &all[i]) != 0);
    }
    CHECK(name_render(name_make(NAME_EMPTY, 0, 0), out) == 0);
}

static void an_order_record_names_its_commit_and_no_byte_of_it_can_change(void)
{
    for (uint64_t n = 0; n < 300; n++) {
        uint8_t record[MAX_ORDER_RECORD];
        uint32_t thread;
        uint64_t found;
        size_t len = order_record(&workload, 3, n, record);
        CHECK(order_parse(&workload, record, len, &thread, &found) && thread == 3 && found == n);
        CHECK(!order_parse(&workload, record, len - 1, &thread, &found));
        record[n % len] ^= 1;
        CHECK(!order_parse(&workload, record, len, &thread, &found));
    }
}

static void a_table_keeps_what_was_put_and_not_removed(void)
{
    enum { NAMES = 700 };
    static bool there[NAMES];
    struct table table = {NULL, 0, 0};
    struct rng rng = {.state = 9};
    size_t count = 0;
    for (int i = 0; i < 60000; i++) {
        uint64_t name = rng_below(&rng, NAMES);
        if (rng_one_in(&rng, 2)) {
            count += there[name] ? 0 : 1;
            there[name] = true;
            table_put(&table, name)->tags = (uint32_t)name + 1;
        } else {
            count -= there[name] ? 1 : 0;
            there[name] = false;
            table_remove(&table, name);
        }
        CHECK(table.count == count);
        if (i % 500 == 0) {
            for (uint64_t look = 0; look < NAMES; look++) {
                const struct entry *entry = table_find(&table, look);
                CHECK((entry != NULL) == there[look]);
                CHECK(entry == NULL || entry->tags == look + 1);
            }
        }
    }
    free(table.slots);
}

static bool same_table(const struct table *a, const struct table *b)
{
    bool same = a->count == b->count;
    for (size_t i = 0; same && i < a->cap; i++) {
        const struct entry *x = &a->slots[i];
        const struct entry *y = x->used ? table_find(b, x->name) : NULL;
        if (!x->used) {
            continue;
        }
        same = y != NULL && x->tags == y->tags && x->content.seed == y->content.seed &&
               x->content.len == y->content.len && (x->stream == NULL) == (y->stream == NULL);
        if (!same || x->stream == NULL) {
            continue;
        }
        same = x->stream->first == y->stream->first && x->stream->next == y->stream->next;
        for (uint64_t index = x->stream->first; same && index < x->stream->next; index++) {
            same = x->stream->records[index - x->stream->base].seed ==
                   y->stream->records[index - y->stream->base].seed;
        }
    }
    return same;
}

/* Commits of four threads in a random order, one model told of every commit, one only of the batches. */
static void a_model_follows_the_order_of_batches_alone(void)
{
    static struct model whole, batches;
    static struct told_log log;
    struct rng rng = {.state = 77};
    model_init(&whole, &workload);
    model_init(&batches, &workload);
    told_begin(&log, &batches);
    for (int i = 0; i < 12000; i++) {
        uint32_t thread = (uint32_t)rng_below(&rng, 4);
        uint64_t n = whole.threads[thread].next_n;
        struct told *told = told_at(&log, thread, n);
        *told = (struct told){.acked = true, .has_result = true, .seq = (uint64_t)i + 1};
        told->block.offset = (uint64_t)i;
        model_apply_next(&whole, thread, told);
        if (!commit_is_single(&workload, thread, n)) {
            CHECK(!model_apply_batch(&batches, thread, n + 2, &log));
            CHECK(model_apply_batch(&batches, thread, n, &log));
            CHECK(!model_apply_batch(&batches, thread, n, &log));
        }
    }
    for (uint32_t thread = 0; thread < 4; thread++) {
        CHECK(told_acked_end(&log, thread) == whole.threads[thread].next_n);
        if (batches.threads[thread].next_n < whole.threads[thread].next_n) {
            model_apply_next(&batches, thread, told_find(&log, thread, batches.threads[thread].next_n));
        }
        CHECK(memcmp(&whole.threads[thread], &batches.threads[thread], sizeof whole.threads[thread]) == 0);
        for (uint64_t id = 0; id < PRIVATE_STREAMS; id++) {
            const struct entry *entry = table_find(&whole.streams, name_make(NAME_PRIVATE, thread, id));
            CHECK(entry != NULL || whole.threads[thread].streams[id].next == 0);
            CHECK(entry == NULL || (entry->stream->first == whole.threads[thread].streams[id].first &&
                                    entry->stream->next == whole.threads[thread].streams[id].next));
        }
    }
    CHECK(whole.order_count == batches.order_count && whole.order_count > 9000);
    CHECK(memcmp(&whole.order[0].n, &batches.order[0].n, 8) == 0);
    CHECK(same_table(&whole.kv, &batches.kv) && same_table(&batches.kv, &whole.kv));
    CHECK(same_table(&whole.memories, &batches.memories) && same_table(&whole.streams, &batches.streams));
    CHECK(whole.kv.count > 100 && whole.memories.count > 40);
    told_free(&log);
    model_free(&whole);
    model_free(&batches);
}

static void a_shared_stream_is_never_trimmed_past_its_end(void)
{
    static struct model model;
    struct rng rng = {.state = 3};
    model_init(&model, &workload);
    uint64_t trims = 0;
    for (int i = 0; i < 6000; i++) {
        uint32_t thread = (uint32_t)rng_below(&rng, 4);
        struct thread_state state = model.threads[thread];
        struct commit commit;
        plan_commit(&workload, &state, thread, &commit);
        model_apply_next(&model, thread, NULL);
        for (size_t j = 0; j < commit.count; j++) {
            const struct op *op = &commit.ops[j];
            const struct entry *entry = table_find(&model.streams, op->name);
            bool shared = op->kind == OP_STREAM_TRIM && op->name >> 56 == NAME_SHARED;
            trims += shared && op->before > 0 ? 1 : 0;
            CHECK(!shared || op->before == 0 || (entry != NULL && op->before <= entry->stream->next));
        }
    }
    CHECK(trims > 100);
    model_free(&model);
}

static void a_block_whose_address_nobody_has_is_given_up(void)
{
    static struct model model;
    struct told told = {.has_result = true};
    model_init(&model, &workload);
    uint64_t lost = 0;
    for (int i = 0; i < 4000; i++) {
        uint32_t thread = (uint32_t)(i % 4);
        model_apply_next(&model, thread, i % 3 == 0 ? NULL : &told);
        model_forget_unknown(&model);
        for (uint32_t slot = 0; slot < LOOSE_SLOTS; slot++) {
            const struct loose *loose = &model.threads[thread].loose[slot];
            CHECK(loose->known || loose->state == LOOSE_NONE || loose->state == LOOSE_LOST);
            lost += loose->state == LOOSE_LOST ? 1 : 0;
        }
    }
    CHECK(lost > 0);
    model_free(&model);
}

int main(void)
{
    any_changed_byte_of_a_content_is_found();
    the_same_thread_and_number_plan_the_same_commit();
    one_command_commits_never_stand_side_by_side();
    no_two_names_are_written_alike();
    an_order_record_names_its_commit_and_no_byte_of_it_can_change();
    a_table_keeps_what_was_put_and_not_removed();
    a_model_follows_the_order_of_batches_alone();
    a_shared_stream_is_never_trimmed_past_its_end();
    a_block_whose_address_nobody_has_is_given_up();
    puts("crash model: 9 tests passed");
    return 0;
}
