/* The generator: see workload.h. Everything here is a pure function of its arguments. */
#include "workload.h"

#include <stdio.h>
#include <string.h>

/* ---- random numbers (splitmix64: G. Steele, D. Lea, C. Flood, OOPSLA 2014) ---- */

static uint64_t scramble(uint64_t z)
{
    z = (z ^ (z >> 30)) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ (z >> 27)) * UINT64_C(0x94d049bb133111eb);
    return z ^ (z >> 31);
}

static const uint64_t GOLDEN = UINT64_C(0x9e3779b97f4a7c15);

uint64_t mix(uint64_t a, uint64_t b)
{
    return scramble(scramble(a + GOLDEN) ^ (b * GOLDEN + 1));
}

uint64_t rng_next(struct rng *rng)
{
    rng->state += GOLDEN;
    return scramble(rng->state);
}

uint64_t rng_below(struct rng *rng, uint64_t bound)
{
    return rng_next(rng) % bound;
}

bool rng_one_in(struct rng *rng, uint64_t n)
{
    return rng_below(rng, n) == 0;
}

/* ---- contents ---- */

static uint64_t content_word(const struct content *content, size_t index)
{
    return scramble(content->seed + (index + 1) * GOLDEN);
}

void content_fill(const struct content *content, uint8_t *out)
{
    size_t whole = content->len / 8;
    for (size_t i = 0; i < whole; i++) {
        uint64_t word = content_word(content, i);
        memcpy(out + 8 * i, &word, 8);
    }
    uint64_t last = content_word(content, whole);
    memcpy(out + 8 * whole, &last, content->len % 8);
}

bool content_matches_range(const struct content *content, size_t from, const uint8_t *data, size_t len,
                           size_t *out_at)
{
    for (size_t done = 0; done < len; done += 8) {
        uint64_t word = content_word(content, (from + done) / 8);
        size_t piece = len - done < 8 ? len - done : 8;
        if (memcmp(data + done, &word, piece) != 0) {
            size_t at = done;
            const uint8_t *expected = (const uint8_t *)&word;
            while (data[at] == expected[at - done]) {
                at++;
            }
            *out_at = from + at;
            return false;
        }
    }
    return true;
}

bool content_matches(const struct content *content, const uint8_t *data, size_t len, size_t *out_at)
{
    size_t shorter = len < content->len ? len : content->len;
    if (!content_matches_range(content, 0, data, shorter, out_at)) {
        return false;
    }
    *out_at = shorter;
    return len == content->len;
}

/* Lengths lie close together below 1 KiB, and on both sides of the sizes at which a store changes its ways:
 * values kept in place or apart, blocks in the frame or in a chunk, one checksum or one a page. */
static uint32_t pick_len(struct rng *rng, uint32_t weight)
{
    static const uint32_t edges[] = {256, 512, 1024, 4096, 16384, 32768, 65536, 131072};
    uint64_t roll = rng_below(rng, 1000);
    if (weight == 0) {
        roll = roll * 760 / 1000 + (rng_one_in(rng, 200) ? 240 : 0);
    } else if (weight == 2) {
        roll = roll / 2 + 500;
    }
    if (roll < 50) {
        return 0;
    }
    if (roll < 500) {
        return (uint32_t)(1 + rng_below(rng, 64));
    }
    if (roll < 780) {
        return (uint32_t)(64 + rng_below(rng, 960));
    }
    if (roll < 910) {
        return (uint32_t)(1024 + rng_below(rng, 7 * 1024));
    }
    if (roll < 965) {
        return edges[rng_below(rng, sizeof edges / sizeof edges[0])] - 1 + (uint32_t)rng_below(rng, 3);
    }
    if (roll < 990) {
        return (uint32_t)(8192 + rng_below(rng, 56 * 1024));
    }
    return (uint32_t)(64 * 1024 + rng_below(rng, MAX_CONTENT - 64 * 1024 + 1));
}

/* ---- names ---- */

uint64_t name_make(enum name_kind kind, uint32_t owner, uint64_t id)
{
    return (uint64_t)kind << 56 | (uint64_t)owner << 48 | id;
}

size_t name_render(uint64_t name, uint8_t out[MAX_NAME])
{
    static const char *const heads[] = {"", "order", "commit", "private", "shared", "single", ""};
    uint32_t kind = (uint32_t)(name >> 56);
    uint32_t owner = (uint32_t)(name >> 48 & 0xff);
    uint64_t id = name & UINT64_C(0xffffffffffff);
    if (kind == NAME_EMPTY) {
        return 0;
    }
    if (kind == NAME_ORDER) {
        memcpy(out, "order", 5);
        return 5;
    }
    char text[64];
    size_t len = (size_t)snprintf(text, sizeof text, "%s/%u/%llu", heads[kind], owner, (unsigned long long)id);
    memcpy(out, text, len);
    if (kind != NAME_PRIVATE && kind != NAME_SHARED) {
        return len;
    }
    /* Some names end in bytes that sort first or last, some are long; the number before keeps them apart. */
    out[len] = '/';
    if (id % 7 == 1) {
        memset(out + len + 1, 0xff, 3);
        return len + 4;
    }
    if (id % 7 == 2) {
        memset(out + len + 1, 0, 2);
        return len + 3;
    }
    if (id % 16 == 3) {
        memset(out + len + 1, 'x', 900);
        return len + 901;
    }
    if (id % 32 == 7) {
        memset(out + len + 1, 'y', 5000);
        return len + 5001;
    }
    return len;
}

size_t tag_render(uint32_t tag, char out[MAX_TAG])
{
    if (tag == TAG_COUNT - 1) {
        memset(out, 't', 200);
        return 200;
    }
    return (size_t)snprintf(out, MAX_TAG, tag % 2 ? "tag/%u" : "\xc3\xa4hnlich-%u", tag);
}

/* ---- commits ---- */

/* An odd commit number at most: so between two commits that the order stream shows lies at most one that it does
 * not show, and what a crash leaves open is at most one commit a thread. */
bool commit_is_single(const struct workload *workload, uint32_t thread, uint64_t n)
{
    return n % 2 == 1 && mix(mix(workload->seed ^ 0x51, thread), n) % 6 == 0;
}

uint64_t memory_hold_id(uint32_t thread, uint32_t slot)
{
    return (uint64_t)(thread + 1) << 32 | 1u << 20 | slot;
}

uint64_t memory_single_id(uint32_t thread)
{
    return (uint64_t)(thread + 1) << 32 | 1u << 21;
}

static uint64_t pick_memory(struct rng *rng, uint32_t thread)
{
    if (rng_one_in(rng, 2)) {
        return (uint64_t)(thread + 1) << 32 | rng_below(rng, 24);
    }
    uint64_t id = rng_below(rng, 20);
    return id == 19 ? UINT64_MAX : id;
}

static uint32_t pick_tags(struct rng *rng)
{
    uint32_t tags = (uint32_t)(rng_next(rng) & rng_next(rng)) & ((1u << TAG_COUNT) - 1);
    return rng_one_in(rng, 8) ? 0 : tags;
}

static uint64_t pick_key(struct rng *rng, uint32_t thread)
{
    if (rng_one_in(rng, 40)) {
        return name_make(NAME_EMPTY, 0, 0);
    }
    if (rng_one_in(rng, 2)) {
        return name_make(NAME_PRIVATE, thread, rng_below(rng, 48));
    }
    return name_make(NAME_SHARED, 0, rng_below(rng, 40));
}

struct planner {
    const struct workload *workload;
    struct thread_state *state;
    struct commit *commit;
    struct rng rng;
};

static struct op *add_op(struct planner *planner, enum op_kind kind)
{
    struct op *op = &planner->commit->ops[planner->commit->count++];
    memset(op, 0, sizeof *op);
    op->kind = kind;
    return op;
}

static struct content make_content(struct planner *planner, uint32_t min_len)
{
    struct commit *commit = planner->commit;
    struct content content = {.thread = commit->thread, .n = commit->n};
    content.seed = mix(mix(mix(planner->workload->seed, commit->thread), commit->n), commit->count);
    content.len = pick_len(&planner->rng, planner->workload->weight);
    if (content.len < min_len) {
        content.len = min_len;
    }
    return content;
}

static void add_stream_append(struct planner *planner, const struct loose *loose)
{
    uint32_t thread = planner->commit->thread;
    struct op *op;
    uint64_t name;
    if (rng_one_in(&planner->rng, 2)) {
        uint64_t stream = rng_below(&planner->rng, PRIVATE_STREAMS);
        planner->state->streams[stream].next++;
        name = name_make(NAME_PRIVATE, thread, stream);
    } else {
        uint64_t stream = rng_below(&planner->rng, SHARED_STREAMS);
        planner->state->shared_appends[stream]++;
        name = name_make(NAME_SHARED, 0, stream);
    }
    if (loose == NULL) {
        struct content content = make_content(planner, 0);
        op = add_op(planner, OP_STREAM_APPEND);
        op->content = content;
    } else {
        op = add_op(planner, OP_STREAM_APPEND_BLOCK);
        op->content = loose->content;
        op->block = loose->block;
    }
    op->name = name;
}

/* Only a thread's own streams are dropped. A shared one is trimmed no further than this thread alone has written,
 * which is never beyond its end. */
static void add_stream_trim(struct planner *planner)
{
    struct op *op = add_op(planner, OP_STREAM_TRIM);
    if (rng_one_in(&planner->rng, 2)) {
        uint64_t stream = rng_below(&planner->rng, SHARED_STREAMS);
        uint64_t own = planner->state->shared_appends[stream];
        op->name = name_make(NAME_SHARED, 0, stream);
        op->before = own - (own < 3 ? own : rng_below(&planner->rng, 4));
        return;
    }
    uint64_t stream = rng_below(&planner->rng, PRIVATE_STREAMS);
    uint64_t first = planner->state->streams[stream].first;
    uint64_t next = planner->state->streams[stream].next;
    op->name = name_make(NAME_PRIVATE, planner->commit->thread, stream);
    if (rng_one_in(&planner->rng, 5)) {
        op->before = UINT64_MAX;
        planner->state->streams[stream].first = 0;
        planner->state->streams[stream].next = 0;
    } else {
        op->before = first + rng_below(&planner->rng, next - first + 1);
        planner->state->streams[stream].first = op->before;
    }
}

static void add_memory_put(struct planner *planner, uint64_t id, const struct loose *loose)
{
    struct content content = loose == NULL ? make_content(planner, 0) : loose->content;
    struct op *op = add_op(planner, loose == NULL ? OP_MEMORY_PUT : OP_MEMORY_PUT_BLOCK);
    op->id = id;
    op->tags = pick_tags(&planner->rng);
    op->content = content;
    if (loose != NULL) {
        op->block = loose->block;
    }
}

static void add_block_append(struct planner *planner, uint32_t slot)
{
    struct loose *loose = &planner->state->loose[slot];
    memset(loose, 0, sizeof *loose);
    loose->state = LOOSE_FREE_STANDING;
    loose->content = make_content(planner, 0);
    planner->commit->loose_op = (int32_t)planner->commit->count;
    struct op *op = add_op(planner, OP_BLOCK_APPEND);
    op->content = loose->content;
    op->slot = slot;
}

/* One step in a loose block's life: appended; freed or named, in up to three places; named again; let go by the
 * memory that held it for us, while others may go on holding it. */
static void add_loose_step(struct planner *planner)
{
    uint32_t thread = planner->commit->thread;
    uint32_t slot = (uint32_t)rng_below(&planner->rng, LOOSE_SLOTS);
    struct loose *loose = &planner->state->loose[slot];
    switch (loose->state) {
    case LOOSE_NONE:
    case LOOSE_LOST:
        add_block_append(planner, slot);
        return;
    case LOOSE_FREE_STANDING:
        if (rng_one_in(&planner->rng, 4)) {
            struct op *op = add_op(planner, OP_BLOCK_FREE);
            op->slot = slot;
            op->block = loose->block;
            planner->state->dead[planner->state->dead_count++ % DEAD_SLOTS] = *loose;
            memset(loose, 0, sizeof *loose);
            return;
        }
        if (rng_one_in(&planner->rng, 2)) {
            add_stream_append(planner, loose);
        }
        add_memory_put(planner, memory_hold_id(thread, slot), loose);
        if (rng_one_in(&planner->rng, 2)) {
            add_memory_put(planner, pick_memory(&planner->rng, thread), loose);
        }
        loose->state = LOOSE_NAMED;
        return;
    case LOOSE_NAMED:
        if (rng_one_in(&planner->rng, 3)) {
            add_stream_append(planner, loose);
        } else if (rng_one_in(&planner->rng, 3)) {
            add_memory_put(planner, pick_memory(&planner->rng, thread), loose);
        } else if (rng_one_in(&planner->rng, 2)) {
            add_memory_put(planner, memory_hold_id(thread, slot), NULL);
            memset(loose, 0, sizeof *loose);
        } else {
            add_op(planner, OP_MEMORY_DELETE)->id = memory_hold_id(thread, slot);
            memset(loose, 0, sizeof *loose);
        }
        return;
    }
}

static void plan_single(struct planner *planner)
{
    uint32_t thread = planner->commit->thread;
    uint64_t roll = rng_below(&planner->rng, 4);
    uint32_t slot = (uint32_t)rng_below(&planner->rng, LOOSE_SLOTS);
    enum loose_state state = planner->state->loose[slot].state;
    if (roll == 3 && (state == LOOSE_NONE || state == LOOSE_LOST)) {
        add_block_append(planner, slot);
        return;
    }
    /* Never shorter than 16 bytes, so that one commit's bytes are not another's by chance. */
    struct content content = make_content(planner, 16);
    struct op *op = add_op(planner, roll == 1 ? OP_STREAM_APPEND : roll == 2 ? OP_MEMORY_PUT : OP_KV_SET);
    op->content = content;
    op->name = name_make(NAME_SINGLE, thread, 0);
    op->id = memory_single_id(thread);
    op->tags = op->kind == OP_MEMORY_PUT ? pick_tags(&planner->rng) : 0;
}

static void plan_batch_op(struct planner *planner, bool *loose_done)
{
    uint64_t roll = rng_below(&planner->rng, 100);
    struct content content = make_content(planner, 0);
    if (roll < 28) {
        struct op *op = add_op(planner, OP_KV_SET);
        op->name = pick_key(&planner->rng, planner->commit->thread);
        op->content = content;
    } else if (roll < 38) {
        add_op(planner, OP_KV_DELETE)->name = pick_key(&planner->rng, planner->commit->thread);
    } else if (roll < 56) {
        add_stream_append(planner, NULL);
    } else if (roll < 64) {
        add_stream_trim(planner);
    } else if (roll < 78) {
        add_memory_put(planner, pick_memory(&planner->rng, planner->commit->thread), NULL);
    } else if (roll < 84) {
        add_op(planner, OP_MEMORY_DELETE)->id = pick_memory(&planner->rng, planner->commit->thread);
    } else if (!*loose_done) {
        *loose_done = true; /* once a commit: what it appends has no address before the commit is over */
        add_loose_step(planner);
    }
}

void plan_commit(const struct workload *workload, struct thread_state *state, uint32_t thread, struct commit *out)
{
    uint64_t n = state->next_n++;
    struct planner planner = {.workload = workload, .state = state, .commit = out};
    planner.rng.state = mix(mix(workload->seed ^ 0x9d, thread), n);
    out->thread = thread;
    out->n = n;
    out->count = 0;
    out->loose_op = -1;
    out->single = commit_is_single(workload, thread, n);
    if (out->single) {
        plan_single(&planner);
        return;
    }
    add_op(&planner, OP_ORDER)->name = name_make(NAME_ORDER, 0, 0);
    bool loose_done = false;
    uint64_t steps = rng_one_in(&planner.rng, 24) ? 0 : 1 + rng_below(&planner.rng, 9);
    for (uint64_t i = 0; i < steps; i++) {
        plan_batch_op(&planner, &loose_done);
    }
    if (workload->window != 0 && n >= workload->window) {
        add_op(&planner, OP_KV_DELETE)->name = name_make(NAME_COMMIT, thread, n - workload->window);
    }
    struct content content = make_content(&planner, 0);
    content.len %= 128;
    struct op *key = add_op(&planner, OP_KV_SET); /* the last command, as the order record is the first */
    key->name = name_make(NAME_COMMIT, thread, n);
    key->content = content;
}

/* ---- the order stream ---- */

size_t order_record(const struct workload *workload, uint32_t thread, uint64_t n, uint8_t out[MAX_ORDER_RECORD])
{
    struct content filler = {.seed = mix(mix(workload->seed ^ 0x0f, thread), n)};
    filler.len = (uint32_t)(filler.seed >> 32) % (MAX_ORDER_RECORD - 12);
    memcpy(out, &thread, 4);
    memcpy(out + 4, &n, 8);
    content_fill(&filler, out + 12);
    return 12 + filler.len;
}

bool order_parse(const struct workload *workload, const uint8_t *data, size_t len, uint32_t *out_thread,
                 uint64_t *out_n)
{
    uint8_t expected[MAX_ORDER_RECORD];
    *out_thread = 0;
    *out_n = 0;
    if (len < 12) {
        return false;
    }
    memcpy(out_thread, data, 4);
    memcpy(out_n, data + 4, 8);
    return len == order_record(workload, *out_thread, *out_n, expected) && memcmp(data, expected, len) == 0;
}
