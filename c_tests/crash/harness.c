/* Small things that the harness's processes share: see harness.h. */
#include "harness.h"

#include <errno.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <time.h>

const char *const phase_names[PHASE_COUNT] = {"start",   "open",     "run",    "checkpoint",
                                              "compact", "maintain", "backup", "close"};
const char *const level_names[LEVEL_MIXED + 1] = {"", "process", "power", "mixed"};

uint64_t now_us(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

struct shared *shared_new(void)
{
    struct shared *shared =
        mmap(NULL, sizeof *shared, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    if (shared == MAP_FAILED) {
        perror("sarsen_crash: mmap");
        exit(2);
    }
    return shared;
}

void shared_fail(struct shared *shared, const char *format, ...)
{
    uint32_t nobody = 0;
    if (!__atomic_compare_exchange_n(&shared->failed, &nobody, 1, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST)) {
        return; /* the first reason counts */
    }
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(shared->text, sizeof shared->text, format, arguments);
    va_end(arguments);
}

static int remove_one(const char *path, const struct stat *info, int kind, struct FTW *where)
{
    (void)info;
    (void)kind;
    (void)where;
    return remove(path);
}

bool remove_tree(const char *path)
{
    return nftw(path, remove_one, 16, FTW_DEPTH | FTW_PHYS) == 0 || errno == ENOENT;
}

bool parse_number(const char *text, uint64_t *out)
{
    char *end;
    *out = strtoull(text, &end, 10);
    return *text != '\0' && *end == '\0';
}

bool make_directory_of_run(const char **dir, const char *program)
{
    static char own[PATH_MAX];
    struct stat info;
    if (*dir == NULL) {
        const char *base = getenv("TMPDIR");
        snprintf(own, sizeof own, "%.*s/%s.XXXXXX", PATH_MAX - 64, base == NULL ? "/tmp" : base, program);
        *dir = mkdtemp(own);
        return *dir != NULL;
    }
    return stat(*dir, &info) == 0 || mkdir(*dir, 0700) == 0;
}

void backup_path(const struct round *round, uint64_t id, char out[PATH_MAX])
{
    snprintf(out, PATH_MAX, "%.*s-backup-%llu-%llu", PATH_MAX - 64, round->store_path,
             (unsigned long long)round->number, (unsigned long long)id);
}

/* The smallest size at or above the one wished for that the library takes. */
static void set_at_least(sarsen_options *options, sarsen_status (*set)(sarsen_options *, uint64_t), uint64_t bytes)
{
    while (set(options, bytes) != SARSEN_OK) {
        bytes *= 2;
        if (bytes > UINT64_C(1) << 40) {
            fprintf(stderr, "sarsen_crash: an option takes no size\n");
            _Exit(2);
        }
    }
}

sarsen_options *options_make(const struct store_options *wanted)
{
    sarsen_options *options = sarsen_options_new();
    set_at_least(options, sarsen_options_set_chunk_bytes, wanted->chunk_bytes);
    set_at_least(options, sarsen_options_set_memory_bytes, wanted->memory_bytes);
    bool good = sarsen_options_set_log_retention_bytes(options, wanted->retention_bytes) == SARSEN_OK &&
                sarsen_options_set_background(options, wanted->background) == SARSEN_OK &&
                sarsen_options_set_check(options, wanted->check) == SARSEN_OK &&
                sarsen_options_set_log_write(options, wanted->log_write) == SARSEN_OK;
    if (!good) {
        fprintf(stderr, "sarsen_crash: an option was refused\n");
        _Exit(2);
    }
    return options;
}

static uint64_t pick(struct rng *rng, const uint64_t *choices, size_t count)
{
    return choices[rng_below(rng, count)];
}

struct store_options options_pick(struct rng *rng, uint64_t chunk_bytes)
{
    static const uint64_t memory[] = {64u << 10, 512u << 10, 4u << 20, 64u << 20};
    static const uint64_t retention[] = {0, 0, 256u << 10, 4u << 20};
    static const uint32_t log_write[] = {SARSEN_LOG_AUTO, SARSEN_LOG_MAPPED, SARSEN_LOG_WRITTEN};
    return (struct store_options){
        .chunk_bytes = chunk_bytes,
        .memory_bytes = pick(rng, memory, 4),
        .retention_bytes = pick(rng, retention, 4),
        .background = rng_one_in(rng, 2),
        .check = rng_one_in(rng, 3) ? SARSEN_CHECK_EVERY_READ : SARSEN_CHECK_FIRST_TOUCH,
        .log_write = log_write[rng_below(rng, 3)],
    };
}

/* ---- a commit in calls of the library ---- */

sarsen_tags *tags_of(uint32_t mask)
{
    if (mask == 0) {
        return NULL;
    }
    sarsen_tags *tags = sarsen_tags_new();
    for (uint32_t tag = 0; tag < TAG_COUNT; tag++) {
        char text[MAX_TAG];
        if ((mask >> tag & 1) != 0 && sarsen_tags_add(tags, text, tag_render(tag, text)) != SARSEN_OK) {
            fprintf(stderr, "sarsen_crash: a tag was refused\n");
            _Exit(2);
        }
    }
    return tags;
}

static const uint8_t *fill_bytes(const struct op *op, struct room *room)
{
    content_fill(&op->content, room->bytes);
    return room->bytes;
}

static sarsen_status add_op(sarsen_batch *batch, const struct workload *workload, const struct commit *commit,
                            const struct op *op, struct room *room, sarsen_error **error)
{
    const uint8_t *name = room->name;
    size_t name_len = name_render(op->name, room->name), len = op->content.len;
    sarsen_tags *tags = tags_of(op->tags);
    sarsen_status status = SARSEN_INTERNAL;
    switch (op->kind) {
    case OP_ORDER:
        len = order_record(workload, commit->thread, commit->n, room->bytes);
        status = sarsen_batch_append_stream(batch, name, name_len, room->bytes, len, error);
        break;
    case OP_KV_SET:
        status = sarsen_batch_set_kv(batch, name, name_len, fill_bytes(op, room), len, error);
        break;
    case OP_KV_DELETE:
        status = sarsen_batch_delete_kv(batch, name, name_len, error);
        break;
    case OP_STREAM_APPEND:
        status = sarsen_batch_append_stream(batch, name, name_len, fill_bytes(op, room), len, error);
        break;
    case OP_STREAM_APPEND_BLOCK:
        status = sarsen_batch_append_stream_block(batch, name, name_len, &op->block, error);
        break;
    case OP_STREAM_TRIM:
        status = sarsen_batch_trim_stream(batch, name, name_len, op->before, error);
        break;
    case OP_MEMORY_PUT:
        status = sarsen_batch_append_memory(batch, op->id, tags, fill_bytes(op, room), len, error);
        break;
    case OP_MEMORY_PUT_BLOCK:
        status = sarsen_batch_append_memory_block(batch, op->id, tags, &op->block, error);
        break;
    case OP_MEMORY_DELETE:
        status = sarsen_batch_delete_memory(batch, op->id, error);
        break;
    case OP_BLOCK_APPEND:
        status = sarsen_batch_append_block(batch, fill_bytes(op, room), len, error);
        break;
    case OP_BLOCK_FREE:
        status = sarsen_batch_free_block(batch, &op->block, error);
        break;
    }
    sarsen_tags_free(tags);
    return status;
}

sarsen_status batch_add(sarsen_batch *batch, const struct workload *workload, const struct commit *commit,
                        struct room *room, sarsen_error **error)
{
    sarsen_status status = SARSEN_OK;
    for (size_t i = 0; i < commit->count && status == SARSEN_OK; i++) {
        status = add_op(batch, workload, commit, &commit->ops[i], room, error);
    }
    return status;
}
