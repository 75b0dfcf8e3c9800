/* The journal of one store directory: which commits each round told of and which the check found. With it, a directory
 * kept after a failure can be checked again, by the same program, without the run that led there.
 *
 * A text file: a line for the workload; for each round a line, then its new commits and what was told; at the end
 * the request that failed.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "harness.h"

struct past_round {
    struct told_log told;
    struct check_result result;
};

struct evidence {
    struct workload workload;
    struct past_round *rounds;
    size_t count, cap;
};

static void *allocate(void *old, size_t size)
{
    void *bytes = realloc(old, size + 1);
    if (bytes == NULL) {
        fprintf(stderr, "sarsen_crash: out of memory\n");
        exit(2);
    }
    return bytes;
}

struct evidence *evidence_new(const struct workload *workload)
{
    struct evidence *evidence = allocate(NULL, sizeof *evidence);
    memset(evidence, 0, sizeof *evidence);
    evidence->workload = *workload;
    return evidence;
}

void evidence_free(struct evidence *evidence)
{
    for (size_t i = 0; i < evidence->count; i++) {
        told_free(&evidence->rounds[i].told);
        free(evidence->rounds[i].result.new_order);
    }
    free(evidence->rounds);
    free(evidence);
}

void evidence_add_round(struct evidence *evidence, const struct told_log *told, const struct check_result *result)
{
    if (evidence->count == evidence->cap) {
        evidence->cap = evidence->cap == 0 ? 16 : 2 * evidence->cap;
        evidence->rounds = allocate(evidence->rounds, evidence->cap * sizeof *evidence->rounds);
    }
    struct past_round *past = &evidence->rounds[evidence->count++];
    past->told = *told;
    past->result = *result;
    for (uint32_t thread = 0; thread < MAX_THREADS; thread++) {
        size_t bytes = told->count[thread] * sizeof(struct told);
        past->told.cap[thread] = told->count[thread];
        past->told.items[thread] = allocate(NULL, bytes);
        if (bytes > 0) {
            memcpy(past->told.items[thread], told->items[thread], bytes);
        }
    }
    size_t bytes = result->new_count * sizeof *result->new_order;
    past->result.new_order = allocate(NULL, bytes);
    if (bytes > 0) {
        memcpy(past->result.new_order, result->new_order, bytes);
    }
}

/* ---- writing ---- */

typedef unsigned long long ull;

static void write_told(FILE *file, const struct told_log *log)
{
    for (uint32_t thread = 0; thread < MAX_THREADS; thread++) {
        fprintf(file, "told %zu\n", log->count[thread]);
        for (size_t i = 0; i < log->count[thread]; i++) {
            const struct told *told = &log->items[thread][i];
            fprintf(file, "%d %d %llu %llu %u %u %llu %llu\n", told->acked, told->has_result, (ull)told->seq,
                    (ull)told->index, told->block.chunk, told->block.crc32c, (ull)told->block.offset,
                    (ull)told->block.len);
        }
    }
}

bool evidence_write(const struct evidence *evidence, const char *path, const struct told_log *told,
                    const struct check_request *request)
{
    FILE *file = fopen(path, "w");
    if (file == NULL) {
        return false;
    }
    const struct workload *workload = &evidence->workload;
    fprintf(file, "sarsen-crash-evidence 1\nworkload %llu %u %u %u rounds %zu\n", (ull)workload->seed,
            workload->threads, workload->weight, workload->window, evidence->count);
    for (size_t i = 0; i < evidence->count; i++) {
        const struct check_result *result = &evidence->rounds[i].result;
        unsigned singles = 0;
        for (uint32_t thread = 0; thread < MAX_THREADS; thread++) {
            singles |= (unsigned)result->single_applied[thread] << thread;
            singles |= (unsigned)result->single_certain[thread] << (MAX_THREADS + thread);
        }
        fprintf(file, "round %d %llu %u %zu\n", (int)result->finding, (ull)result->last_seq, singles,
                result->new_count);
        for (size_t j = 0; j < result->new_count; j++) {
            fprintf(file, "%u %llu\n", result->new_order[j].thread, (ull)result->new_order[j].n);
        }
        write_told(file, &evidence->rounds[i].told);
    }
    write_told(file, told);
    const struct store_options *options = &request->options;
    fprintf(file, "request %d %d %d %d %llu %llu\n", (int)request->mode, request->may_be_absent,
            request->may_be_torn, request->create, (ull)request->exact_seq, (ull)request->seed);
    for (uint32_t thread = 0; thread < MAX_THREADS; thread++) {
        fprintf(file, "%llu\n", (ull)request->acked_end[thread]);
    }
    fprintf(file, "options %llu %llu %llu %d %u %u\npath %s\n", (ull)options->chunk_bytes,
            (ull)options->memory_bytes, (ull)options->retention_bytes, options->background, options->check,
            options->log_write, request->path);
    return fclose(file) == 0;
}

/* ---- reading ---- */

static bool read_told(FILE *file, const struct model *model, struct told_log *log)
{
    told_begin(log, model);
    for (uint32_t thread = 0; thread < MAX_THREADS; thread++) {
        size_t count;
        if (fscanf(file, " told %zu", &count) != 1) {
            return false;
        }
        for (size_t i = 0; i < count; i++) {
            int acked, has_result;
            ull seq, index, offset, len;
            struct told *told = told_at(log, thread, log->base[thread] + i);
            if (fscanf(file, "%d %d %llu %llu %u %u %llu %llu", &acked, &has_result, &seq, &index,
                       &told->block.chunk, &told->block.crc32c, &offset, &len) != 8) {
                return false;
            }
            told->acked = acked != 0;
            told->has_result = has_result != 0;
            told->seq = seq;
            told->index = index;
            told->block.offset = offset;
            told->block.len = len;
        }
    }
    return true;
}

static bool read_round(FILE *file, struct model *model, struct told_log *told)
{
    struct check_result result;
    int finding;
    ull last_seq;
    unsigned singles;
    memset(&result, 0, sizeof result);
    if (fscanf(file, " round %d %llu %u %zu", &finding, &last_seq, &singles, &result.new_count) != 4) {
        return false;
    }
    result.finding = (enum finding)finding;
    result.last_seq = last_seq;
    for (uint32_t thread = 0; thread < MAX_THREADS; thread++) {
        result.single_applied[thread] = (singles >> thread & 1) != 0;
        result.single_certain[thread] = (singles >> (MAX_THREADS + thread) & 1) != 0;
    }
    result.new_order = allocate(NULL, result.new_count * sizeof *result.new_order);
    bool good = true;
    for (size_t i = 0; good && i < result.new_count; i++) {
        ull n;
        good = fscanf(file, "%u %llu", &result.new_order[i].thread, &n) == 2 &&
               result.new_order[i].thread < MAX_THREADS;
        result.new_order[i].n = good ? n : 0;
    }
    good = good && read_told(file, model, told);
    if (good) {
        model_follow(model, told, &result);
    }
    free(result.new_order);
    return good;
}

static bool read_request(FILE *file, struct check_request *request)
{
    int mode, absent, torn, create, background;
    ull exact, seed, acked, chunk, memory, retention;
    memset(request, 0, sizeof *request);
    if (fscanf(file, " request %d %d %d %d %llu %llu", &mode, &absent, &torn, &create, &exact, &seed) != 6) {
        return false;
    }
    request->mode = (enum check_mode)mode;
    request->may_be_absent = absent != 0;
    request->may_be_torn = torn != 0;
    request->create = create != 0;
    request->exact_seq = exact;
    request->seed = seed;
    for (uint32_t thread = 0; thread < MAX_THREADS; thread++) {
        if (fscanf(file, "%llu", &acked) != 1) {
            return false;
        }
        request->acked_end[thread] = acked;
    }
    struct store_options *options = &request->options;
    if (fscanf(file, " options %llu %llu %llu %d %u %u", &chunk, &memory, &retention, &background, &options->check,
               &options->log_write) != 6) {
        return false;
    }
    options->chunk_bytes = chunk;
    options->memory_bytes = memory;
    options->retention_bytes = retention;
    options->background = background != 0;
    return fscanf(file, " path %4095[^\n]", request->path) == 1;
}

static bool read_all(FILE *file, struct model *model, struct told_log *told, struct check_request *request)
{
    struct workload workload;
    ull seed;
    size_t rounds;
    if (fscanf(file, "sarsen-crash-evidence 1 workload %llu %u %u %u rounds %zu", &seed, &workload.threads,
               &workload.weight, &workload.window, &rounds) != 5 ||
        workload.threads > MAX_THREADS) {
        return false;
    }
    workload.seed = seed;
    model_init(model, &workload);
    bool good = true;
    for (size_t i = 0; good && i < rounds; i++) {
        good = read_round(file, model, told);
    }
    return good && read_told(file, model, told) && read_request(file, request);
}

int evidence_recheck(const char *path)
{
    struct model model;
    struct told_log told;
    struct check_request request;
    struct check_result result;
    memset(&told, 0, sizeof told);
    FILE *file = fopen(path, "r");
    bool good = file != NULL && read_all(file, &model, &told, &request);
    if (file != NULL) {
        fclose(file);
    }
    if (!good) {
        fprintf(stderr, "sarsen_crash: %s: cannot be read as evidence\n", path);
        return 2;
    }
    struct shared *shared = shared_new();
    check_in_child(&model, &told, &request, &result, shared);
    bool fine = result.finding == FOUND_GOOD || result.finding == FOUND_ABSENT;
    printf("%s: %s\n", request.path, fine ? "good" : shared->text);
    free(result.new_order);
    told_free(&told);
    model_free(&model);
    return fine ? 0 : 1;
}
