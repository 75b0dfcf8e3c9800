/* Small things that the harness's processes share: see harness.h. */
#include "harness.h"

#include <errno.h>
#include <ftw.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
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
