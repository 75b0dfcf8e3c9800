/* The checker: opens what a writer left, learns from the order stream which commits are in it, and compares all of
 * it with the model replayed in that order. Runs in a process of its own; see check_in_child.
 *
 * Threads commit at the same time, so a commit that was visible but not yet acknowledged may be there or not. What
 * must hold: each thread's commits are there up to some number without a hole, every acknowledged one among them, in
 * the order of their seq; and the state is exactly what they make in that order.
 */
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "compare.h"

enum { CHECKER_TIMEOUT_MS = 300000 };

static void step(struct shared *shared, const char *name)
{
    snprintf(shared->step, sizeof shared->step, "%s", name);
}

/* ---- which commits are there ---- */

static void learn(struct check_result *result, uint32_t thread, uint64_t n)
{
    if ((result->new_count & (result->new_count - 1)) == 0) { /* 0 or a power of two: full */
        size_t cap = result->new_count == 0 ? 1 : 2 * result->new_count;
        result->new_order = realloc(result->new_order, cap * sizeof *result->new_order);
        if (result->new_order == NULL) {
            abort();
        }
    }
    result->new_order[result->new_count++] = (struct order_entry){.thread = thread, .n = n};
}

struct order_walk {
    struct comparison *comparison;
    struct model *model;
    const struct told_log *told;
    struct check_result *result;
    uint64_t newest_told; /* seq of the last commit whose seq we were told */
};

static bool take_new_record(struct order_walk *walk, uint64_t index, const sarsen_bytes *record)
{
    struct shared *shared = walk->comparison->shared;
    uint32_t thread;
    uint64_t n;
    if (!order_parse(&walk->model->workload, record->data, record->len, &thread, &n) ||
        thread >= walk->model->workload.threads) {
        shared_fail(shared, "order stream, record %llu: bytes that no commit wrote (%zu bytes)",
                    (unsigned long long)index, record->len);
        return false;
    }
    uint64_t expected = walk->model->threads[thread].next_n;
    if (!model_apply_batch(walk->model, thread, n, walk->told)) {
        shared_fail(shared, "order stream, record %llu: thread %u commit %llu follows where %llu is due: not a prefix",
                    (unsigned long long)index, thread, (unsigned long long)n, (unsigned long long)expected);
        return false;
    }
    learn(walk->result, thread, n);
    const struct told *told = told_find(walk->told, thread, n);
    if (told == NULL || !told->has_result) {
        return true;
    }
    if (told->index != index || told->seq <= walk->newest_told || told->seq > walk->result->last_seq) {
        shared_fail(shared,
                    "thread %u commit %llu was acknowledged as seq %llu, order record %llu; it is now record %llu, "
                    "behind seq %llu, of %llu",
                    thread, (unsigned long long)n, (unsigned long long)told->seq, (unsigned long long)told->index,
                    (unsigned long long)index, (unsigned long long)walk->newest_told,
                    (unsigned long long)walk->result->last_seq);
        return false;
    }
    walk->newest_told = told->seq;
    return true;
}

static bool walk_records(struct order_walk *walk, sarsen_stream_iter *iter, uint64_t next)
{
    struct shared *shared = walk->comparison->shared;
    uint64_t old = walk->model->order_count;
    for (uint64_t index = 0;; index++) {
        uint64_t found;
        sarsen_bytes record;
        sarsen_error *error = NULL;
        sarsen_status status = sarsen_stream_iter_next(iter, &found, &record, &error);
        if (status != (index < next ? SARSEN_OK : SARSEN_END)) {
            return unexpected(shared, "order stream, stream_iter_next", status, error);
        }
        if (status == SARSEN_END) {
            return true;
        }
        if (found != index) {
            shared_fail(shared, "order stream: record %llu where %llu is due", (unsigned long long)found,
                        (unsigned long long)index);
            return false;
        }
        if (index >= old) {
            if (!take_new_record(walk, index, &record)) {
                return false;
            }
            continue;
        }
        const struct order_entry *entry = &walk->model->order[index];
        uint8_t expected[MAX_ORDER_RECORD];
        size_t len = order_record(&walk->model->workload, entry->thread, entry->n, expected);
        if (record.len != len || memcmp(record.data, expected, len) != 0) {
            shared_fail(shared, "order stream, record %llu: not that of thread %u commit %llu any more",
                        (unsigned long long)index, entry->thread, (unsigned long long)entry->n);
            return false;
        }
    }
}

static enum finding walk_order(struct order_walk *walk)
{
    const struct comparison *comparison = walk->comparison;
    uint64_t first = 0, next = 0;
    sarsen_error *error = NULL;
    sarsen_status status =
        sarsen_stream_bounds(comparison->store, comparison->snapshot, "order", 5, &first, &next, &error);
    if (status != SARSEN_OK && status != SARSEN_NOT_FOUND) {
        unexpected(comparison->shared, "order stream, stream_bounds", status, error);
        return FOUND_DIFFERENCE;
    }
    if (next < walk->model->order_count) {
        shared_fail(comparison->shared, "LOSS: %llu commits in the order stream, %zu were there in an earlier round",
                    (unsigned long long)next, walk->model->order_count);
        return FOUND_LOSS;
    }
    if (first != 0) {
        shared_fail(comparison->shared, "order stream: begins at %llu", (unsigned long long)first);
        return FOUND_DIFFERENCE;
    }
    if (status == SARSEN_NOT_FOUND) {
        return FOUND_GOOD;
    }
    sarsen_stream_iter *iter = NULL;
    status = sarsen_stream_read(comparison->store, comparison->snapshot, "order", 5, 0, &iter, &error);
    if (status != SARSEN_OK) {
        unexpected(comparison->shared, "order stream, stream_read", status, error);
        return FOUND_DIFFERENCE;
    }
    bool good = walk_records(walk, iter, next);
    sarsen_stream_iter_free(iter);
    return good ? FOUND_GOOD : FOUND_DIFFERENCE;
}

/* ---- the one-command commit at a thread's end, which the order stream does not show ---- */

enum presence { ABSENT, PRESENT, UNDECIDED };

static enum presence probe_single(struct order_walk *walk, uint32_t thread)
{
    struct thread_state state = walk->model->threads[thread];
    const struct comparison *comparison = walk->comparison;
    struct commit commit;
    plan_commit(&walk->model->workload, &state, thread, &commit);
    const struct op *op = &commit.ops[0];
    uint8_t name[MAX_NAME];
    size_t name_len = name_render(op->name, name);
    size_t at;
    sarsen_view view = {NULL, 0, NULL};
    sarsen_status status = SARSEN_INTERNAL;
    if (op->kind == OP_BLOCK_APPEND) {
        return UNDECIDED;
    }
    if (op->kind == OP_KV_SET) {
        status = sarsen_kv_get(comparison->store, comparison->snapshot, name, name_len, &view, NULL);
    } else if (op->kind == OP_MEMORY_PUT) {
        status = sarsen_memory_get(comparison->store, comparison->snapshot, op->id, &view, NULL);
    } else if (op->kind == OP_STREAM_APPEND) {
        const struct entry *entry = table_find(&walk->model->streams, op->name);
        uint64_t index = entry == NULL ? 0 : entry->stream->next;
        status = sarsen_stream_get(comparison->store, comparison->snapshot, name, name_len, index, &view, NULL);
    }
    /* Any other answer shows, with its reason, when everything is compared. */
    bool same = status == SARSEN_OK && content_matches(&op->content, view.data, view.len, &at);
    sarsen_view_release(&view);
    return same ? PRESENT : ABSENT;
}

/* Decides on each thread's last commit, then holds what was found against what was acknowledged and the seq. */
static enum finding close_count(struct order_walk *walk, const struct check_request *request,
                                const uint64_t base[MAX_THREADS])
{
    struct shared *shared = walk->comparison->shared;
    struct model *model = walk->model;
    uint64_t certain = 0, undecided = 0, on_trust = 0;
    for (uint32_t thread = 0; thread < model->workload.threads; thread++) {
        uint64_t n = model->threads[thread].next_n;
        enum presence presence = ABSENT;
        if (commit_is_single(&model->workload, thread, n)) {
            presence = probe_single(walk, thread);
            if (presence == UNDECIDED && request->acked_end[thread] > n) {
                presence = PRESENT;
                on_trust++;
            }
        }
        if (presence != ABSENT) {
            walk->result->single_applied[thread] = true;
            walk->result->single_certain[thread] = presence == PRESENT;
            model_apply_next(model, thread, presence == PRESENT ? told_find(walk->told, thread, n) : NULL);
        }
        undecided += presence == UNDECIDED ? 1 : 0;
        certain += model->threads[thread].next_n - base[thread] - (presence == UNDECIDED ? 1 : 0);
        if (request->acked_end[thread] > model->threads[thread].next_n) {
            shared_fail(shared, "LOSS: thread %u: commits up to %llu were acknowledged, the store ends before %llu",
                        thread, (unsigned long long)(request->acked_end[thread] - 1),
                        (unsigned long long)model->threads[thread].next_n);
            return FOUND_LOSS;
        }
    }
    uint64_t last = walk->result->last_seq;
    if (on_trust > 0 && last < model->last_seq + certain) {
        shared_fail(shared, "LOSS: an acknowledged block_append is missing: last_seq is %llu, should be %llu",
                    (unsigned long long)last, (unsigned long long)(model->last_seq + certain));
        return FOUND_LOSS;
    }
    if (last < model->last_seq + certain || last > model->last_seq + certain + undecided) {
        shared_fail(shared, "last_seq is %llu; it was %llu, and %llu (or up to %llu more) commits have come since",
                    (unsigned long long)last, (unsigned long long)model->last_seq, (unsigned long long)certain,
                    (unsigned long long)undecided);
        return FOUND_DIFFERENCE;
    }
    if (request->exact_seq != 0 && last != request->exact_seq) {
        shared_fail(shared, "last_seq is %llu, that of the snapshot was %llu", (unsigned long long)last,
                    (unsigned long long)request->exact_seq);
        return FOUND_DIFFERENCE;
    }
    return FOUND_GOOD;
}

/* ---- the whole check ---- */

static bool check_recovery(const sarsen_store *store, const struct check_request *request,
                           struct check_result *result, struct shared *shared)
{
    sarsen_recovery recovery;
    sarsen_status status = sarsen_store_recovery(store, &recovery, sizeof recovery);
    if (status != SARSEN_OK) {
        return unexpected(shared, "recovery", status, NULL);
    }
    result->verdict = recovery.verdict;
    result->last_seq = sarsen_store_last_seq(store);
    result->replayed_commits = recovery.replayed_commits;
    result->recovery_us = recovery.elapsed_us;
    bool torn = recovery.verdict == SARSEN_RECOVERY_TORN_TAIL;
    if (recovery.verdict >= SARSEN_RECOVERY_DAMAGED || (torn && !request->may_be_torn)) {
        shared_fail(shared, "verdict %u, dropped %llu bytes: %s", recovery.verdict,
                    (unsigned long long)recovery.dropped_bytes,
                    torn ? "nobody was writing a frame" : "a kill damages nothing");
        return false;
    }
    if (recovery.last_seq != result->last_seq || recovery.proven_seq > recovery.last_seq ||
        recovery.replayed_commits > recovery.last_seq) {
        shared_fail(shared, "recovery says last_seq %llu, proven %llu, replayed %llu; the store says last_seq %llu",
                    (unsigned long long)recovery.last_seq, (unsigned long long)recovery.proven_seq,
                    (unsigned long long)recovery.replayed_commits, (unsigned long long)result->last_seq);
        return false;
    }
    return true;
}

static enum finding compare_all(struct order_walk *walk, const struct check_request *request)
{
    static const struct {
        const char *name;
        bool (*run)(struct comparison *);
    } steps[] = {{"key-value", compare_kv},   {"streams", compare_streams}, {"memories", compare_memories},
                 {"blocks", compare_blocks}, {"log", compare_log},         {"verify", compare_verify}};
    struct shared *shared = walk->comparison->shared;
    uint64_t base[MAX_THREADS];
    for (uint32_t thread = 0; thread < MAX_THREADS; thread++) {
        base[thread] = walk->model->threads[thread].next_n;
    }
    step(shared, "order stream");
    enum finding finding = walk_order(walk);
    if (finding == FOUND_GOOD) {
        step(shared, "count of commits");
        finding = close_count(walk, request, base);
    }
    for (size_t i = 0; finding == FOUND_GOOD && i < sizeof steps / sizeof steps[0]; i++) {
        step(shared, steps[i].name);
        finding = steps[i].run(walk->comparison) ? FOUND_GOOD : FOUND_DIFFERENCE;
    }
    return finding;
}

/* A store closed for good opens CLEAN; a read-only handle closes nothing. */
static enum finding close_and_look_again(sarsen_store *store, const sarsen_options *options,
                                         const struct check_request *request, const struct check_result *result,
                                         struct shared *shared)
{
    sarsen_error *error = NULL;
    sarsen_recovery recovery;
    step(shared, "close");
    sarsen_status status = sarsen_store_close(store, &error);
    if (status != SARSEN_OK) {
        unexpected(shared, "close", status, error);
        return FOUND_DIFFERENCE;
    }
    if (request->mode == CHECK_READ_ONLY) {
        return FOUND_GOOD;
    }
    step(shared, "open after close");
    status = sarsen_store_open(request->path, options, &store, &error);
    if (status != SARSEN_OK) {
        unexpected(shared, "open after close", status, error);
        return FOUND_DIFFERENCE;
    }
    status = sarsen_store_recovery(store, &recovery, sizeof recovery);
    uint64_t last = sarsen_store_last_seq(store);
    if (status != SARSEN_OK || recovery.verdict != SARSEN_RECOVERY_CLEAN || last != result->last_seq) {
        shared_fail(shared, "after close: verdict %u, last_seq %llu, expected CLEAN and %llu", recovery.verdict,
                    (unsigned long long)last, (unsigned long long)result->last_seq);
        return FOUND_DIFFERENCE;
    }
    status = sarsen_store_close(store, &error);
    if (status != SARSEN_OK) {
        unexpected(shared, "second close", status, error);
        return FOUND_DIFFERENCE;
    }
    return FOUND_GOOD;
}

void check_store(struct model *model, const struct told_log *told, const struct check_request *request,
                 struct check_result *result, struct shared *shared)
{
    sarsen_options *options = options_make(&request->options);
    sarsen_error *error = NULL;
    sarsen_store *store = NULL;
    memset(result, 0, sizeof *result);
    result->finding = FOUND_DIFFERENCE;
    step(shared, "open");
    sarsen_options_set_read_only(options, request->mode == CHECK_READ_ONLY);
    sarsen_options_set_create(options, request->create);
    sarsen_options_set_background(options, false); /* what is found wrong is left as it was found */
    sarsen_status status = sarsen_store_open(request->path, options, &store, &error);
    if (status == SARSEN_NOT_A_STORE && request->may_be_absent) {
        result->finding = FOUND_ABSENT;
        sarsen_error_free(error);
        sarsen_options_free(options);
        return;
    }
    if (status != SARSEN_OK) {
        unexpected(shared, "open", status, error);
        return;
    }
    struct comparison comparison = {.model = model, .store = store, .shared = shared};
    struct order_walk walk = {.comparison = &comparison, .model = model, .told = told, .result = result};
    comparison.rng.state = request->seed;
    if (!check_recovery(store, request, result, shared)) {
        return;
    }
    if (rng_one_in(&comparison.rng, 2)) {
        sarsen_snapshot *snapshot = NULL;
        status = sarsen_snapshot_new(store, &snapshot, &error);
        if (status != SARSEN_OK) {
            unexpected(shared, "snapshot_new", status, error);
            return;
        }
        comparison.snapshot = snapshot;
        result->finding = compare_all(&walk, request);
        sarsen_snapshot_free(snapshot);
    } else {
        result->finding = compare_all(&walk, request);
    }
    if (result->finding == FOUND_GOOD && request->mode != CHECK_AND_ABANDON) {
        result->finding = close_and_look_again(store, options, request, result, shared);
    }
    sarsen_options_free(options);
}

/* ---- in a process of its own ---- */

static bool write_all(int out, const void *data, size_t len)
{
    const char *bytes = data;
    while (len > 0) {
        ssize_t written = write(out, bytes, len);
        if (written < 0 && errno != EINTR) {
            return false;
        }
        bytes += written < 0 ? 0 : written;
        len -= written < 0 ? 0 : (size_t)written;
    }
    return true;
}

static bool read_all(int in, void *data, size_t len)
{
    char *bytes = data;
    while (len > 0) {
        struct pollfd ready = {.fd = in, .events = POLLIN};
        int answer = poll(&ready, 1, CHECKER_TIMEOUT_MS);
        if (answer < 0 && errno == EINTR) {
            continue;
        }
        ssize_t got = answer <= 0 ? 0 : read(in, bytes, len);
        if (got <= 0) {
            return false;
        }
        bytes += got;
        len -= (size_t)got;
    }
    return true;
}

void check_in_child(const struct model *model, const struct told_log *told, const struct check_request *request,
                    struct check_result *result, struct shared *shared)
{
    int ends[2];
    memset(shared, 0, sizeof *shared);
    memset(result, 0, sizeof *result);
    if (pipe(ends) != 0) {
        perror("sarsen_crash: pipe");
        exit(2);
    }
    fflush(NULL);
    pid_t pid = fork();
    if (pid < 0) {
        perror("sarsen_crash: fork");
        exit(2);
    }
    if (pid == 0) {
        struct model own = *model;
        struct check_result found;
        close(ends[0]);
        check_store(&own, told, request, &found, shared);
        bool sent = write_all(ends[1], &found, sizeof found) &&
                    write_all(ends[1], found.new_order, found.new_count * sizeof *found.new_order);
        _exit(sent ? 0 : 4);
    }
    close(ends[1]);
    bool whole = read_all(ends[0], result, sizeof *result);
    size_t bytes = result->new_count * sizeof *result->new_order;
    result->new_order = NULL;
    if (whole && bytes > 0) {
        result->new_order = malloc(bytes);
        whole = result->new_order != NULL && read_all(ends[0], result->new_order, bytes);
    }
    close(ends[0]);
    if (!whole) {
        kill(pid, SIGKILL); /* if it hangs; after a crash there is nobody to take it */
    }
    int status = 0;
    waitpid(pid, &status, 0);
    if (!whole) {
        result->finding = FOUND_CRASH;
        shared_fail(shared, "the checker %s %d at step \"%s\"",
                    WIFSIGNALED(status) ? "died or had to be killed by signal" : "left with exit code",
                    WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status), shared->step);
    }
}

void model_follow(struct model *model, const struct told_log *told, const struct check_result *result)
{
    if (result->finding == FOUND_GOOD) {
        for (size_t i = 0; i < result->new_count; i++) {
            model_apply_batch(model, result->new_order[i].thread, result->new_order[i].n, told);
        }
        for (uint32_t thread = 0; thread < MAX_THREADS; thread++) {
            if (result->single_applied[thread]) {
                /* Told or not: where it may be missing, nothing is to be built on the block it appended. */
                const struct told *of_it = told_find(told, thread, model->threads[thread].next_n);
                model_apply_next(model, thread, result->single_certain[thread] ? of_it : NULL);
            }
        }
        model->last_seq = result->last_seq;
        model->created = true;
    }
    model_forget_unknown(model);
}
