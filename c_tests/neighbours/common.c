/* What the processes of neighbours.h share: telling the parent, the model at a seq, the comparison, the filter. */
#include "neighbours.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/audit.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <unistd.h>

void neighbour_fail(struct neighbours *self, const char *format, ...)
{
    char text[1024];
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(text, sizeof text, format, arguments);
    va_end(arguments);
    shared_fail(self->shared, "%s", text);
    _exit(3);
}

void neighbour_require_ok(struct neighbours *self, const char *what, sarsen_status status, sarsen_error *const *error)
{
    if (status != SARSEN_OK) {
        unexpected(self->shared, what, status, error == NULL ? NULL : *error);
        _exit(3);
    }
}

void neighbour_tell(struct neighbours *self, enum role role)
{
    struct note note = {.role = role, .slot = self->slot, .phase = atomic_load(&self->board->phase)};
    if (write(self->out, &note, sizeof note) != (ssize_t)sizeof note) {
        _exit(4); /* the parent is gone */
    }
}

/* ---- the model at a seq ---- */

static void forget_at(struct neighbours *self, struct model *model, uint64_t seq)
{
    uint32_t restarts = atomic_load(&self->board->restarts);
    for (uint32_t i = 0; i < restarts; i++) {
        if (self->board->restarted_at[i] == seq) {
            model_forget_unknown(model);
        }
    }
}

/* Whether some block's address may still be told. */
static bool has_unknown(const struct model *model)
{
    for (uint32_t slot = 0; slot < LOOSE_SLOTS; slot++) {
        const struct loose *loose = &model->threads[0].loose[slot];
        if (loose->state == LOOSE_FREE_STANDING && !loose->known) {
            return true;
        }
    }
    return false;
}

void model_to(struct neighbours *self, struct model *model, uint64_t seq)
{
    if (model->threads[0].next_n > seq || has_unknown(model)) {
        struct workload workload = self->workload;
        model_free(model);
        model_init(model, &workload);
    }
    if (seq > MOST_COMMITS) {
        neighbour_fail(self, "seq %llu is beyond all that was ever committed", (unsigned long long)seq);
    }
    for (uint64_t n = model->threads[0].next_n; n < seq; n++) {
        struct told told = {.has_result = true};
        forget_at(self, model, n);
        bool has_block = atomic_load(&self->board->told[n].state) == TOLD_BLOCK;
        told.block = self->board->told[n].block;
        model_apply_next(model, 0, has_block ? &told : NULL);
    }
    model->last_seq = seq;
}

void model_plan_next(struct neighbours *self, struct model *model, struct commit *commit)
{
    forget_at(self, model, model->threads[0].next_n);
    struct thread_state state = model->threads[0];
    plan_commit(&model->workload, &state, 0, commit);
}

/* ---- the comparison ---- */

static bool compare_order(struct comparison *comparison)
{
    const struct model *model = comparison->model;
    uint64_t first = 0, next = 0;
    sarsen_error *error = NULL;
    sarsen_status status =
        sarsen_stream_bounds(comparison->store, comparison->snapshot, "order", 5, &first, &next, &error);
    if (status != SARSEN_OK && !(status == SARSEN_NOT_FOUND && model->order_count == 0)) {
        return unexpected(comparison->shared, "bounds of the order stream", status, error);
    }
    if (first != 0 || next != model->order_count) {
        shared_fail(comparison->shared, "the order stream is [%llu, %llu), expected [0, %zu): not the state at seq %llu",
                    (unsigned long long)first, (unsigned long long)next, model->order_count,
                    (unsigned long long)model->last_seq);
        return false;
    }
    for (uint64_t back = 1; back <= 4 && back <= next; back++) {
        uint8_t expected[MAX_ORDER_RECORD];
        size_t len = order_record(&model->workload, 0, model->order[next - back].n, expected);
        sarsen_view view;
        status = sarsen_stream_get(comparison->store, comparison->snapshot, "order", 5, next - back, &view, &error);
        if (status != SARSEN_OK) {
            return unexpected(comparison->shared, "a record of the order stream", status, error);
        }
        bool good = view.len == len && memcmp(view.data, expected, len) == 0;
        sarsen_view_release(&view);
        if (!good) {
            shared_fail(comparison->shared, "record %llu of the order stream is that of another commit",
                        (unsigned long long)(next - back));
            return false;
        }
    }
    return true;
}

void compare_state(struct neighbours *self, const struct model *model, const sarsen_store *store,
                   const sarsen_snapshot *snapshot, struct rng *rng)
{
    struct comparison comparison = {
        .model = model, .store = store, .snapshot = snapshot, .shared = self->shared, .rng = *rng,
        .is_past = sarsen_store_last_seq(store) != model->last_seq};
    bool good = compare_order(&comparison) && compare_kv(&comparison) && compare_streams(&comparison) &&
                compare_memories(&comparison);
    if (good && !comparison.is_past) {
        good = compare_blocks(&comparison);
    }
    *rng = comparison.rng;
    if (!good) {
        _exit(3); /* the reason is on the shared page */
    }
    atomic_fetch_add(&self->board->comparisons, 1);
}

/* ---- the filter ---- */

#define ARGUMENT(number) ((uint32_t)(offsetof(struct seccomp_data, args) + 8u * (number)))
#define DIES_IF_CALLED(name) \
    BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_##name, 0, 1), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS)

bool forbid_writing(void)
{
#ifdef __x86_64__
    /* Low halves of the flags: the bits asked for lie there, on a little-endian machine at the argument's start. */
    struct sock_filter filter[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offsetof(struct seccomp_data, arch)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, AUDIT_ARCH_X86_64, 1, 0),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, (uint32_t)offsetof(struct seccomp_data, nr)),
        DIES_IF_CALLED(creat),
        DIES_IF_CALLED(pwrite64),
        DIES_IF_CALLED(pwritev),
        DIES_IF_CALLED(pwritev2),
        DIES_IF_CALLED(truncate),
        DIES_IF_CALLED(ftruncate),
        DIES_IF_CALLED(fallocate),
        DIES_IF_CALLED(unlink),
        DIES_IF_CALLED(unlinkat),
        DIES_IF_CALLED(rename),
        DIES_IF_CALLED(renameat),
        DIES_IF_CALLED(renameat2),
        DIES_IF_CALLED(mkdir),
        DIES_IF_CALLED(mkdirat),
        DIES_IF_CALLED(rmdir),
        DIES_IF_CALLED(link),
        DIES_IF_CALLED(linkat),
        DIES_IF_CALLED(symlink),
        DIES_IF_CALLED(symlinkat),
        DIES_IF_CALLED(fsync),
        DIES_IF_CALLED(fdatasync),
        /* open(path, flags) and openat(directory, path, flags) */
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_open, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ARGUMENT(1)),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, O_WRONLY | O_RDWR | O_CREAT | O_TRUNC, 0, 5),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_openat, 0, 3),
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, ARGUMENT(2)),
        BPF_JUMP(BPF_JMP | BPF_JSET | BPF_K, O_WRONLY | O_RDWR | O_CREAT | O_TRUNC, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_KILL_PROCESS),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof filter / sizeof filter[0], filter};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 &&
           syscall(__NR_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_TSYNC, &program) == 0;
#else
    return false;
#endif
}
