/* The parent: plans rounds, starts a writer, kills it at the moment it aims at, has what is left checked.
 *
 * A moment is a number of acknowledgements received or the announcement of a phase, and from there a random number of
 * microseconds on a timer. One thread; everything it waits for is a descriptor it polls.
 */
#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/timerfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include "parent.h"

enum { WATCHDOG_MS = 120000, MESSAGES_AT_ONCE = 512, LIFE_COMMITS = 2500 /* checking all of more would be slow */ };

static void must(bool good, const char *what)
{
    if (!good) {
        fprintf(stderr, "sarsen_crash: %s: %s\n", what, strerror(errno));
        exit(2);
    }
}

/* ---- planning ---- */

static enum phase pick_aim(struct rng *rng, int wanted)
{
    static const enum phase aims[] = {PHASE_RUN,     PHASE_RUN,     PHASE_RUN,    PHASE_OPEN,
                                      PHASE_OPEN,    PHASE_CHECKPOINT, PHASE_COMPACT, PHASE_MAINTAIN,
                                      PHASE_BACKUP,  PHASE_CLOSE};
    enum phase aim = aims[rng_below(rng, sizeof aims / sizeof aims[0])];
    return wanted >= 0 ? (enum phase)wanted : aim;
}

static void begin_life(struct run *run)
{
    static const uint64_t chunks[] = {64u << 10, 256u << 10, 1u << 20, 64u << 20};
    struct rng rng = {.state = mix(run->settings->seed, run->life)};
    struct workload workload = {.seed = rng_next(&rng), .threads = run->settings->threads};
    workload.weight = (uint32_t)rng_below(&rng, 8);
    workload.weight = workload.weight < 4 ? 0 : workload.weight < 7 ? 1 : 2;
    workload.window = rng_one_in(&rng, 2) ? 0 : 64;
    run->life_rounds = 6 + rng_below(&rng, 20);
    run->life_round = 0;
    run->chunk_bytes = chunks[rng_below(&rng, 4)];
    run->torn_before = false;
    model_init(&run->model, &workload);
    run->evidence = evidence_new(&workload);
    snprintf(run->life_path, sizeof run->life_path, "%s/life-%llu", run->settings->dir,
             (unsigned long long)run->life);
    must(remove_tree(run->life_path) && mkdir(run->life_path, 0700) == 0, run->life_path);
}

void end_life(struct run *run, bool keep)
{
    if (!keep) {
        must(remove_tree(run->life_path), run->life_path);
    }
    evidence_free(run->evidence);
    model_free(&run->model);
    run->life++;
    run->life_open = false;
}

static void plan_round(struct run *run, struct round *round)
{
    struct rng rng = {.state = mix(mix(run->settings->seed, run->life), 1000 + run->life_round)};
    memset(round, 0, sizeof *round);
    round->seed = rng_next(&rng);
    round->number = run->life_round;
    round->level = run->settings->level;
    round->ack_early = run->settings->ack_early;
    round->aim = pick_aim(&rng, run->settings->aim);
    round->lead = (uint32_t)rng_below(&rng, rng_one_in(&rng, 3) ? 100 : 25);
    round->options = options_pick(&rng, run->chunk_bytes);
    snprintf(round->store_path, sizeof round->store_path, "%.*s/store", PATH_MAX - 8, run->life_path);
    /* Small numbers more often than large ones, up to some 250. */
    run->kill_acks = 1 + rng_below(&rng, UINT64_C(1) << rng_below(&rng, 9));
    run->kill_spread = rng_one_in(&rng, 6) ? 0 : 1 + rng_below(&rng, 1800);
    run->check_mode = (enum check_mode)rng_below(&rng, CHECK_MODES);
}

/* ---- one writer's life ---- */

struct watch {
    struct run *run;
    const struct round *round;
    int in, timer;
    pid_t pid;
    bool armed, killed, failed, opened;
    enum phase phase;
    uint64_t phase_since_us;
    uint64_t acks;
};

/* The delay is a share (up to 1.8) of how long the phase usually takes; while running, of 2 ms. */
static void arm(struct watch *watch)
{
    const struct run *run = watch->run;
    double usual_us = watch->round->aim == PHASE_RUN ? 2000 : run->usual_us[watch->round->aim];
    uint64_t delay_ns = (uint64_t)(usual_us * (double)run->kill_spread) + 1;
    struct itimerspec when = {.it_value = {.tv_sec = (time_t)(delay_ns / 1000000000),
                                           .tv_nsec = (long)(delay_ns % 1000000000)}};
    watch->armed = true;
    if (run->kill_spread == 0) {
        kill(watch->pid, SIGKILL);
        watch->killed = true;
        return;
    }
    must(timerfd_settime(watch->timer, 0, &when, NULL) == 0, "timerfd_settime");
}

static void on_phase_begin(struct watch *watch, const struct message *message)
{
    struct run *run = watch->run;
    watch->phase = (enum phase)message->phase_or_thread;
    watch->phase_since_us = now_us();
    run->stats.entered[watch->phase]++;
    if (watch->phase == PHASE_BACKUP && run->backup_count < MAX_BACKUPS) {
        struct backup *backup = &run->backups[run->backup_count++];
        *backup = (struct backup){.id = message->id, .seq = message->seq};
        memcpy(backup->acked_end, run->snapshot_acked_end, sizeof backup->acked_end);
    }
    /* Opening is aimed at the first time only: it is the one that recovers. */
    bool first_open = watch->phase != PHASE_OPEN || message->id == 0;
    if (!watch->armed && watch->phase == watch->round->aim && first_open) {
        arm(watch);
    }
}

static void on_phase_end(struct watch *watch, const struct message *message)
{
    struct run *run = watch->run;
    double took_us = (double)(now_us() - watch->phase_since_us);
    run->usual_us[watch->phase] += (took_us - run->usual_us[watch->phase]) / 8;
    if (watch->phase == PHASE_BACKUP && run->backup_count > 0 &&
        run->backups[run->backup_count - 1].id == message->id) {
        run->backups[run->backup_count - 1].complete = true;
    }
    watch->opened = watch->opened || watch->phase == PHASE_OPEN;
    run->model.created = run->model.created || watch->opened;
    watch->phase = PHASE_RUN;
}

static void on_told(struct watch *watch, const struct message *message)
{
    struct run *run = watch->run;
    struct told *told = told_at(&run->told, message->phase_or_thread, message->n);
    if (message->kind != MESSAGE_RESULT) {
        told->acked = true;
        watch->acks++;
    }
    if (message->kind != MESSAGE_ACK_EARLY) {
        /* A one-shot function told no seq; its block, if it appended one, is as good. */
        told->has_result = true;
        told->seq = message->seq;
        told->index = message->index;
        told->block = message->block;
    }
    if (!watch->armed && watch->round->aim == PHASE_RUN && watch->acks >= run->kill_acks) {
        arm(watch);
    }
}

static void on_message(struct watch *watch, const struct message *message)
{
    switch (message->kind) {
    case MESSAGE_PHASE_BEGIN:
        on_phase_begin(watch, message);
        break;
    case MESSAGE_PHASE_END:
        on_phase_end(watch, message);
        break;
    case MESSAGE_SNAPSHOT:
        for (uint32_t thread = 0; thread < MAX_THREADS; thread++) {
            watch->run->snapshot_acked_end[thread] = told_acked_end(&watch->run->told, thread);
        }
        break;
    case MESSAGE_FAILED:
        watch->failed = true;
        break;
    default:
        on_told(watch, message);
        break;
    }
}

/* Takes what the pipe holds; false at its end, when the last thread of the writer is gone. */
static bool drain(struct watch *watch)
{
    struct message messages[MESSAGES_AT_ONCE];
    ssize_t got = read(watch->in, messages, sizeof messages);
    if (got < 0) {
        must(errno == EAGAIN || errno == EINTR, "reading from the writer");
        return true;
    }
    must(got % (ssize_t)sizeof messages[0] == 0, "a message came in pieces");
    for (size_t i = 0; i < (size_t)got / sizeof messages[0]; i++) {
        on_message(watch, &messages[i]);
    }
    return got > 0;
}

static void watch_writer(struct watch *watch)
{
    for (;;) {
        struct pollfd ready[2] = {{.fd = watch->in, .events = POLLIN}, {.fd = watch->timer, .events = POLLIN}};
        int answer = poll(ready, watch->killed ? 1 : 2, WATCHDOG_MS);
        if (answer < 0) {
            must(errno == EINTR, "poll");
            continue;
        }
        if (answer == 0) {
            shared_fail(watch->run->shared, "the writer has said nothing for %d s, in phase %s", WATCHDOG_MS / 1000,
                        phase_names[watch->phase]);
            watch->failed = true;
            kill(watch->pid, SIGKILL);
            watch->killed = true;
            continue;
        }
        if (!watch->killed && (ready[1].revents & POLLIN) != 0) {
            kill(watch->pid, SIGKILL);
            watch->killed = true;
        }
        if ((ready[0].revents & (POLLIN | POLLHUP)) != 0 && !drain(watch)) {
            return;
        }
    }
}

/* A phase that a kill ended took at least as long; or else only the short ones would count. */
static void learn_from_kill(const struct watch *watch)
{
    double lasted_us = (double)(now_us() - watch->phase_since_us);
    double *usual_us = &watch->run->usual_us[watch->phase];
    if (watch->phase != PHASE_START && watch->phase != PHASE_RUN && lasted_us > *usual_us) {
        *usual_us += (lasted_us - *usual_us) / 2;
    }
}

/* True if the writer was killed as planned; *out_phase is where. */
static bool run_writer(struct run *run, const struct round *round, enum phase *out_phase)
{
    int ends[2];
    must(pipe(ends) == 0, "pipe");
    must(fcntl(ends[0], F_SETPIPE_SZ, 1 << 20) > 0, "F_SETPIPE_SZ");
    must(fcntl(ends[0], F_SETFL, O_NONBLOCK) == 0, "O_NONBLOCK");
    struct watch watch = {.run = run, .round = round, .in = ends[0], .phase = PHASE_START};
    watch.timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    must(watch.timer >= 0, "timerfd_create");
    memset(run->shared, 0, sizeof *run->shared);
    told_begin(&run->told, &run->model);
    run->backup_count = 0;
    fflush(NULL);
    watch.pid = fork();
    must(watch.pid >= 0, "fork");
    if (watch.pid == 0) {
        prctl(PR_SET_PDEATHSIG, SIGKILL);
        close(ends[0]);
        close(watch.timer);
        writer_main(&run->model, round, ends[1], run->shared);
    }
    close(ends[1]);
    watch_writer(&watch);
    close(ends[0]);
    close(watch.timer);
    int status = 0;
    waitpid(watch.pid, &status, 0);
    run->stats.acked += watch.acks;
    learn_from_kill(&watch);
    *out_phase = watch.phase;
    if (watch.failed) {
        return false;
    }
    if (!watch.killed || !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL) {
        shared_fail(run->shared, "the writer ended by itself in phase %s: %s %d", phase_names[watch.phase],
                    WIFSIGNALED(status) ? "signal" : "exit code",
                    WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        return false;
    }
    run->stats.kills++;
    run->stats.killed_in[watch.phase]++;
    return true;
}

/* ---- checking what is left ---- */

static bool is_prefix(const struct check_result *part, const struct check_result *whole)
{
    bool good = part->new_count <= whole->new_count && part->last_seq <= whole->last_seq;
    for (size_t i = 0; good && i < part->new_count; i++) {
        good = part->new_order[i].thread == whole->new_order[i].thread && part->new_order[i].n == whole->new_order[i].n;
    }
    return good;
}

static enum finding check_backup(struct run *run, const struct round *round, const struct backup *backup,
                                 const struct check_result *main_result, struct check_request *request)
{
    struct stat info;
    struct check_result result;
    *request = (struct check_request){
        .mode = backup->id % 2 == 0 ? CHECK_AND_CLOSE : CHECK_READ_ONLY,
        .may_be_absent = !backup->complete,
        .exact_seq = backup->seq,
        .seed = round->seed + backup->id,
        .options = round->options,
    };
    memcpy(request->acked_end, backup->acked_end, sizeof request->acked_end);
    backup_path(round, backup->id, request->path);
    if (!backup->complete && stat(request->path, &info) != 0) {
        return FOUND_GOOD;
    }
    check_in_child(&run->model, &run->told, request, &result, run->shared);
    run->stats.backups_complete += result.finding == FOUND_GOOD ? 1 : 0;
    run->stats.backups_partial += result.finding == FOUND_ABSENT ? 1 : 0;
    if (result.finding == FOUND_GOOD && !is_prefix(&result, main_result)) {
        shared_fail(run->shared, "the backup holds commits in another order than the store");
        result.finding = FOUND_DIFFERENCE;
    }
    free(result.new_order);
    if (result.finding == FOUND_GOOD || result.finding == FOUND_ABSENT) {
        must(remove_tree(request->path), request->path);
        return FOUND_GOOD;
    }
    return result.finding;
}

/* While the store is opened or closed nobody commits; in the other phases only threads beside the first do. */
static bool could_tear(const struct run *run, enum phase phase)
{
    bool others = run->settings->threads > 1 && phase != PHASE_OPEN && phase != PHASE_CLOSE;
    return run->torn_before || others || phase == PHASE_RUN;
}

static enum finding check_round(struct run *run, const struct round *round, enum phase phase,
                                struct check_request *request)
{
    struct check_result result;
    *request = (struct check_request){
        .mode = run->check_mode,
        .may_be_absent = !run->model.created,
        .may_be_torn = could_tear(run, phase),
        .seed = round->seed,
        .options = round->options,
    };
    memcpy(request->path, round->store_path, sizeof request->path);
    request->create = !run->model.created && request->mode != CHECK_READ_ONLY;
    for (uint32_t thread = 0; thread < MAX_THREADS; thread++) {
        request->acked_end[thread] = told_acked_end(&run->told, thread);
    }
    check_in_child(&run->model, &run->told, request, &result, run->shared);
    enum finding finding = result.finding;
    if (finding == FOUND_GOOD || finding == FOUND_ABSENT) {
        run->stats.verdicts[finding == FOUND_ABSENT ? VERDICT_ABSENT : result.verdict]++;
        run->stats.replayed += result.replayed_commits;
        run->stats.recovered += result.last_seq - run->model.last_seq;
        run->torn_before = result.verdict == SARSEN_RECOVERY_TORN_TAIL;
        finding = FOUND_GOOD;
        for (size_t i = 0; finding == FOUND_GOOD && i < run->backup_count; i++) {
            finding = check_backup(run, round, &run->backups[i], &result, request);
        }
    }
    if (finding == FOUND_GOOD) {
        evidence_add_round(run->evidence, &run->told, &result);
        model_follow(&run->model, &run->told, &result);
    }
    free(result.new_order);
    return finding;
}

enum finding run_one_round(struct run *run)
{
    struct round round;
    struct check_request request;
    enum phase phase;
    if (!run->life_open) {
        begin_life(run);
        run->life_open = true;
    }
    plan_round(run, &round);
    enum finding finding = FOUND_DIFFERENCE;
    if (run_writer(run, &round, &phase)) {
        finding = check_round(run, &round, phase, &request);
        if (finding != FOUND_GOOD) {
            snprintf(run->evidence_path, sizeof run->evidence_path, "%.*s/evidence", PATH_MAX - 10, run->life_path);
            evidence_write(run->evidence, run->evidence_path, &run->told, &request);
        }
    }
    if (run->settings->verbose) {
        printf("life %llu round %llu: aim %s, killed in %s, mode %d, %llu commits so far\n",
               (unsigned long long)run->life, (unsigned long long)run->life_round, phase_names[round.aim],
               phase_names[phase], (int)run->check_mode, (unsigned long long)run->model.last_seq);
    }
    run->life_round++;
    run->stats.rounds++;
    bool full = run->life_round >= run->life_rounds || run->model.order_count > LIFE_COMMITS;
    if (finding == FOUND_GOOD && full) {
        end_life(run, false);
    }
    return finding;
}
