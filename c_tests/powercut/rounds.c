/* A round: a writer works on a store on a disk of its own, images of that disk are taken, each is mounted, opened and
 * compared with the model; the next round goes on from one of them, as a machine would that comes up again.
 *
 * What has to be in an image: every commit at or below the newest durable_seq that the writer had reported before the
 * image's moment, and every commit that had been acknowledged as SARSEN_SURVIVE_POWER before it.
 */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "powercut.h"

enum { WATCHDOG_MS = 120000, MESSAGES_AT_ONCE = 256, LIFE_COMMITS = 1200, THREADS = 3 };
static const uint64_t MOST_LOGGED_BYTES = UINT64_C(192) << 20;

/* ---- lives ---- */

static void begin_life(struct powercut *run)
{
    static const uint64_t chunks[] = {64u << 10, 256u << 10, 1u << 20, 64u << 20};
    char path[PATH_MAX], fresh[PATH_MAX];
    struct workload workload = {.seed = rng_next(&run->rng)};
    workload.threads = 1 + (uint32_t)rng_below(&run->rng, THREADS);
    workload.weight = (uint32_t)rng_below(&run->rng, 2);
    workload.window = rng_one_in(&run->rng, 2) ? 0 : 64;
    run->chunk_bytes = chunks[rng_below(&run->rng, 4)];
    run->rounds_left = 2 + rng_below(&run->rng, 4);
    run->life++;
    model_init(&run->model, &workload);
    run->evidence = evidence_new(&workload);
    clone_file(host_path(run, "fresh.img", fresh), host_path(run, "live.img", path));
    run->life_open = true;
}

void end_life(struct powercut *run)
{
    if (!run->life_open) return;
    evidence_free(run->evidence);
    model_free(&run->model);
    run->life_open = false;
}

static void plan_round(struct powercut *run, struct round *round)
{
    static const enum phase aims[] = {PHASE_RUN,     PHASE_RUN,      PHASE_RUN,    PHASE_OPEN, PHASE_CHECKPOINT,
                                      PHASE_COMPACT, PHASE_MAINTAIN, PHASE_BACKUP, PHASE_CLOSE};
    memset(round, 0, sizeof *round);
    round->seed = rng_next(&run->rng);
    round->number = run->round_number++;
    round->level = rng_one_in(&run->rng, 3) ? LEVEL_POWER : LEVEL_MIXED;
    if (run->control == CONTROL_ACK_EARLY) round->level = LEVEL_POWER;
    if (run->control == CONTROL_CLAIM_POWER) round->level = LEVEL_PROCESS;
    round->ack_early = run->control == CONTROL_ACK_EARLY;
    round->aim = aims[rng_below(&run->rng, sizeof aims / sizeof aims[0])];
    round->lead = (uint32_t)rng_below(&run->rng, 60);
    round->options = options_pick(&run->rng, run->chunk_bytes);
    round->clock = run->method == METHOD_LOG ? &run->disk.state->count : NULL;
    snprintf(round->store_path, sizeof round->store_path, "%.*s/store", PATH_MAX - 8, run->live);
}

/* ---- listening to the writer ---- */

struct writer_process {
    struct powercut *run;
    int in;
    pid_t pid;
    bool failed, ended;
};

static void hear(struct powercut *run, const struct message *message)
{
    bool claims = run->control == CONTROL_CLAIM_POWER || message->kind == MESSAGE_ACK_EARLY;
    struct told *told = told_at(&run->told, message->phase_or_thread, message->n);
    if (message->kind != MESSAGE_ACK_EARLY) {
        told->has_result = true;
        told->seq = message->seq;
        told->index = message->index;
        told->block = message->block;
    }
    if (message->kind == MESSAGE_RESULT) return;
    told->acked = true;
    if (run->heard_count == run->heard_cap) {
        run->heard_cap = run->heard_cap == 0 ? 1024 : 2 * run->heard_cap;
        run->heard = realloc(run->heard, run->heard_cap * sizeof *run->heard);
        must(run->heard != NULL, "memory");
    }
    run->heard[run->heard_count++] = (struct heard){
        .at = message->at,
        .thread = message->phase_or_thread,
        .n = message->n,
        .seq = message->seq,
        .durable = message->durable,
        .power = claims || message->power != 0,
    };
    run->stats.acked++;
}

static void drain(struct writer_process *writer)
{
    struct message messages[MESSAGES_AT_ONCE];
    for (;;) {
        ssize_t got = read(writer->in, messages, sizeof messages);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) {
            must(errno == EAGAIN, "reading from the writer");
            return;
        }
        must(got % (ssize_t)sizeof messages[0] == 0, "a message came in pieces");
        if (got == 0) {
            writer->ended = true;
            return;
        }
        for (size_t i = 0; i < (size_t)got / sizeof messages[0]; i++) {
            const struct message *message = &messages[i];
            if (message->kind == MESSAGE_FAILED) writer->failed = true;
            if (message->kind == MESSAGE_PHASE_END && message->phase_or_thread == PHASE_OPEN)
                writer->run->opened = true;
            if (message->kind >= MESSAGE_ACK && message->kind <= MESSAGE_RESULT) hear(writer->run, message);
        }
    }
}

/* Until so many acknowledgements were heard, or so much time went by; false when the writer said nothing any more. */
static bool listen_until(struct writer_process *writer, size_t heard, uint64_t us)
{
    uint64_t end = now_us() + us;
    for (;;) {
        drain(writer);
        uint64_t now = now_us();
        if (writer->ended || writer->failed) return false;
        if (writer->run->opened && (writer->run->heard_count >= heard || now >= end)) return true;
        if (now >= end + UINT64_C(1000) * WATCHDOG_MS) return false;
        struct pollfd ready = {.fd = writer->in, .events = POLLIN};
        struct timespec wait = {0, now >= end ? 1000000 : (long)(end - now < 100000 ? (end - now) * 1000 : 100000000)};
        ppoll(&ready, 1, &wait, NULL);
    }
}

static void start_writer(struct writer_process *writer, const struct round *round)
{
    struct powercut *run = writer->run;
    int ends[2];
    must(pipe(ends) == 0 && fcntl(ends[0], F_SETPIPE_SZ, 1 << 20) > 0 && fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0, "pipe");
    memset(run->shared, 0, sizeof *run->shared);
    told_begin(&run->told, &run->model);
    run->heard_count = 0;
    run->cut_count = 0;
    run->opened = false;
    fflush(NULL);
    writer->in = ends[0];
    writer->pid = fork();
    must(writer->pid >= 0, "fork");
    if (writer->pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(ends[0]);
        writer_main(&run->model, round, ends[1], run->shared);
    }
    close(ends[1]);
}

static void stop_writer(struct writer_process *writer)
{
    int status = 0;
    kill(writer->pid, SIGKILL);
    must(waitpid(writer->pid, &status, 0) == writer->pid, "waiting for the writer");
    drain(writer);
    close(writer->in);
    if (!writer->failed && (!WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)) {
        shared_fail(writer->run->shared, "the writer ended by itself: %s %d",
                    WIFSIGNALED(status) ? "signal" : "exit code",
                    WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        writer->failed = true;
    }
}

/* ---- taking images ---- */

static const char *cut_path(const struct powercut *run, size_t cut, char out[PATH_MAX])
{
    char name[32];
    snprintf(name, sizeof name, "cut-%zu.img", cut);
    return host_path(run, name, out);
}

/* Copies the image file while the writer goes on. What was acknowledged is read first. */
static void take_reflinks(struct powercut *run, struct writer_process *writer)
{
    char live[PATH_MAX], path[PATH_MAX];
    host_path(run, "live.img", live);
    while (run->cut_count < CUTS) {
        size_t heard = run->heard_count + 1 + rng_below(&run->rng, UINT64_C(1) << rng_below(&run->rng, 6));
        if (!listen_until(writer, heard, 200000)) return;
        if (!listen_until(writer, SIZE_MAX, rng_below(&run->rng, 4000))) return;
        run->cuts[run->cut_count].heard = run->heard_count;
        clone_file(live, cut_path(run, run->cut_count, path));
        run->cut_count++;
    }
}

static int compare_cuts(const void *left, const void *right)
{
    uint64_t a = ((const struct cut *)left)->position, b = ((const struct cut *)right)->position;
    return (a > b) - (a < b);
}

/* Moments between `from`, where the store is there, and the end: any, or just when a commit was acknowledged. */
static void choose_positions(struct powercut *run, uint64_t from, uint64_t end)
{
    for (run->cut_count = 0; run->cut_count < CUTS; run->cut_count++) {
        struct cut *cut = &run->cuts[run->cut_count];
        cut->heard = run->heard_count;
        cut->position = from + rng_below(&run->rng, end - from + 1);
        if (run->heard_count > 0 && rng_one_in(&run->rng, 2)) {
            uint64_t at = run->heard[rng_below(&run->rng, run->heard_count)].at;
            if (at >= from) cut->position = at;
        }
    }
    qsort(run->cuts, run->cut_count, sizeof run->cuts[0], compare_cuts);
}

static void build_images(struct powercut *run)
{
    char base[PATH_MAX], path[PATH_MAX];
    uint64_t at = 0;
    host_path(run, "base.img", base);
    for (size_t i = 0; i < run->cut_count; i++) {
        uint64_t position = run->cuts[i].position;
        uint64_t flushed = log_disk_flushed(&run->disk, position);
        if (run->control == CONTROL_IGNORE_FLUSH && flushed > at) flushed = at + rng_below(&run->rng, flushed - at);
        if (flushed > at) image_advance(run, base, &at, flushed);
        clone_file(base, cut_path(run, i, path));
        image_lose(run, path, at > flushed ? at : flushed, position);
    }
}

/* ---- checking them ---- */

static void require(const struct powercut *run, const struct cut *cut, uint64_t out[MAX_THREADS])
{
    uint64_t durable = 0;
    for (uint32_t thread = 0; thread < MAX_THREADS; thread++) out[thread] = run->told.base[thread];
    for (size_t i = 0; i < cut->heard; i++) {
        const struct heard *heard = &run->heard[i];
        if (run->method == METHOD_LOG && heard->at > cut->position) continue;
        if (heard->durable > durable) durable = heard->durable;
        if (heard->power && heard->n >= out[heard->thread]) out[heard->thread] = heard->n + 1;
    }
    for (size_t i = 0; i < run->heard_count; i++) { /* heard later, and yet at or below that seq */
        const struct heard *heard = &run->heard[i];
        if (heard->seq != 0 && heard->seq <= durable && heard->n >= out[heard->thread])
            out[heard->thread] = heard->n + 1;
    }
}

static void keep(struct powercut *run, const char *image, const struct check_request *request)
{
    char path[PATH_MAX];
    struct check_request moved = *request;
    snprintf(run->kept, sizeof run->kept, "%.*s/kept-%s-%s-%llu", PATH_MAX - 96, run->dir, disk_names[run->kind],
             method_names[run->method], (unsigned long long)run->stats.images);
    must(mkdir(run->kept, 0700) == 0 || errno == EEXIST, run->kept);
    snprintf(path, sizeof path, "%.*s/image", PATH_MAX - 16, run->kept);
    copy_file(image, path);
    snprintf(moved.path, sizeof moved.path, "%.*s/mnt/store", PATH_MAX - 16, run->kept);
    snprintf(path, sizeof path, "%.*s/evidence", PATH_MAX - 16, run->kept);
    evidence_write(run->evidence, path, &run->told, &moved);
    printf("FAILED: %s, %s, image %llu: %s\n  kept: %s\n  check it again:  %s --recheck %s\n", disk_names[run->kind],
           method_names[run->method], (unsigned long long)run->stats.images, run->shared->text, run->kept, run->program,
           run->kept);
    fflush(stdout);
}

/* Mounts a copy of the image, which recovers the file system, and checks the store on it. */
static enum finding check_image(struct powercut *run, const struct round *round, const struct cut *cut,
                                const char *image, struct check_result *result)
{
    char copy[PATH_MAX];
    struct check_request request = {
        .mode = (enum check_mode)rng_below(&run->rng, CHECK_MODES),
        .may_be_torn = true,
        .seed = rng_next(&run->rng),
        .options = round->options,
    };
    uint64_t required = 0;
    require(run, cut, request.acked_end);
    for (uint32_t thread = 0; thread < MAX_THREADS; thread++) required += request.acked_end[thread] - run->told.base[thread];
    request.may_be_absent = !run->model.created && required == 0;
    snprintf(request.path, sizeof request.path, "%.*s/store", PATH_MAX - 8, run->mounted);
    clone_file(image, host_path(run, "mounted.img", copy));
    memset(run->shared, 0, sizeof *run->shared);
    memset(result, 0, sizeof *result);
    result->finding = FOUND_DIFFERENCE;
    if (disk_mount(run->kind, copy, 0, run->mounted)) {
        check_in_child(&run->model, &run->told, &request, result, run->shared);
        must(disk_unmount(run->mounted), disk_error);
    } else {
        shared_fail(run->shared, "the file system does not recover: %s", disk_error);
    }
    run->stats.images++;
    if (result->finding == FOUND_GOOD || result->finding == FOUND_ABSENT) {
        run->stats.required += required;
        run->stats.absent += result->finding == FOUND_ABSENT ? 1 : 0;
        run->stats.verdicts[result->verdict % CUT_VERDICTS]++;
        return FOUND_GOOD;
    }
    if (result->finding == FOUND_LOSS) run->stats.lost++;
    if (run->control == CONTROL_NONE) {
        run->stats.failures++;
        keep(run, image, &request);
    }
    return result->finding;
}

/* True if the life can go on. */
static bool check_images(struct powercut *run, const struct round *round)
{
    char path[PATH_MAX], next[PATH_MAX], mounted[PATH_MAX], live[PATH_MAX];
    size_t chosen = run->cut_count == 0 ? 0 : rng_below(&run->rng, run->cut_count);
    struct check_result result, from_here = {.finding = FOUND_DIFFERENCE};
    host_path(run, "next.img", next);
    host_path(run, "mounted.img", mounted);
    for (size_t i = 0; i < run->cut_count && run->stats.images < run->images; i++) {
        enum finding finding = check_image(run, round, &run->cuts[i], cut_path(run, i, path), &result);
        if (i == chosen && finding == FOUND_GOOD) {
            clone_file(mounted, next);
            from_here = result;
        } else {
            free(result.new_order);
        }
        unlink(path);
    }
    if (from_here.finding != FOUND_GOOD) {
        free(from_here.new_order);
        return false;
    }
    evidence_add_round(run->evidence, &run->told, &from_here);
    model_follow(&run->model, &run->told, &from_here);
    free(from_here.new_order);
    must(rename(next, host_path(run, "live.img", live)) == 0, "next.img");
    return true;
}

/* ---- a round ---- */

static void remove_backups(const struct powercut *run)
{
    char path[PATH_MAX];
    DIR *directory = opendir(run->live);
    struct dirent *entry;
    must(directory != NULL, run->live);
    while ((entry = readdir(directory)) != NULL) {
        if (strncmp(entry->d_name, "store-backup", 12) != 0) continue;
        snprintf(path, sizeof path, "%.*s/%.200s", PATH_MAX - 256, run->live, entry->d_name);
        must(remove_tree(path), path);
    }
    closedir(directory);
}

bool run_round(struct powercut *run)
{
    char live[PATH_MAX], base[PATH_MAX], image[PATH_MAX];
    struct round round;
    struct writer_process writer = {.run = run};
    uint64_t from = 0;
    if (!run->life_open) begin_life(run);
    plan_round(run, &round);
    host_path(run, "live.img", live);
    if (run->method == METHOD_LOG) {
        clone_file(live, host_path(run, "base.img", base));
        must(log_disk_start(&run->disk, live, run->fuse), "the logging disk");
        snprintf(image, sizeof image, "%.*s/disk.img", PATH_MAX - 16, run->fuse);
    } else {
        snprintf(image, sizeof image, "%s", live);
    }
    must(disk_mount(run->kind, image, 0, run->live), disk_error);
    remove_backups(run);
    start_writer(&writer, &round);
    if (run->method == METHOD_REFLINK) {
        take_reflinks(run, &writer);
    } else if (listen_until(&writer, 0, 0)) {
        from = run->model.created ? 0 : log_disk_clock(&run->disk);
        size_t target = 20 + rng_below(&run->rng, UINT64_C(1) << (3 + rng_below(&run->rng, 7)));
        while (run->heard_count < target && run->disk.state->data_bytes < MOST_LOGGED_BYTES)
            if (!listen_until(&writer, target, 100000)) break;
    }
    stop_writer(&writer);
    uint64_t end = run->method == METHOD_LOG ? log_disk_clock(&run->disk) : 0;
    must(disk_unmount(run->live), disk_error);
    if (run->method == METHOD_LOG) {
        log_disk_stop(&run->disk);
        must(run->disk.state->full == 0, "the disk's log is full");
    }
    run->stats.rounds++;
    if (writer.failed || !run->opened) {
        printf("FAILED: %s, %s: %s\n", disk_names[run->kind], method_names[run->method],
               writer.failed ? run->shared->text : "the writer did not open the store in time");
        run->stats.failures++;
        end_life(run);
        return false;
    }
    if (run->method == METHOD_LOG) {
        choose_positions(run, from, end);
        build_images(run);
    }
    bool goes_on = check_images(run, &round);
    if (!goes_on || --run->rounds_left == 0 || run->model.order_count > LIFE_COMMITS) end_life(run);
    return run->stats.failures == 0;
}
