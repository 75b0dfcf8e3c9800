/* sarsen_neighbours: one process writes, others read the same store, and any of them may be killed or stopped.
 *
 *   sarsen_neighbours [--rounds N] [--seed S] [--life L] [--dir DIRECTORY] [--control acked-early|unlocked|altered]
 *
 * A round ends with the writer's death, a life with its store's. What processes meet where can't be repeated; what they
 * do follows from the seed. With a control something is done wrong (see enum control), and the run succeeds if that is
 * noticed. */
#include "neighbours.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { WATCHDOG_MS = 180000, LIFE_COMMITS = 1200, SKIPPED = 77 };

struct child {
    pid_t pid;
    enum role role;
    bool stopped;
};

struct run {
    uint64_t seed, life, rounds, kills, reader_kills, stops, deaths_of_openers;
    const char *dir;
    struct neighbours neighbours;
    struct child writer, intruder, lookers[LOOKERS];
    int in, out; /* the pipe that everybody tells on */
    struct rng rng;
    uint64_t started;
    bool openers; /* this life's readers only open and close */
};

static void must(bool good, const char *what)
{
    if (!good) {
        fprintf(stderr, "sarsen_neighbours: %s: %s\n", what, strerror(errno));
        exit(2);
    }
}

/* ---- processes ---- */

static void start(struct run *run, struct child *child, enum role role, uint32_t slot)
{
    pid_t parent = getpid();
    fflush(NULL);
    child->role = role;
    child->stopped = false;
    run->started++;
    child->pid = fork();
    must(child->pid >= 0, "fork");
    if (child->pid > 0) {
        return;
    }
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    if (getppid() != parent) {
        _exit(4);
    }
    struct neighbours *self = &run->neighbours;
    self->seed = mix(mix(run->seed, run->life), run->started);
    self->out = run->out;
    self->slot = slot;
    close(run->in);
    switch (role) {
    case ROLE_WRITER: neighbour_writer(self);
    case ROLE_READER:
    case ROLE_OPENER:
    case ROLE_BACKER: neighbour_reader(self, role);
    case ROLE_INTRUDER: neighbour_intruder(self);
    case ROLE_LAST: neighbour_last(self);
    }
    _exit(4);
}

static const char *const role_names[] = {"the writer", "a reader", "an opener", "one that backs up", "an intruder", "the last one"};

/* Waits for a child that was killed, or left by itself; false if it was not we who ended it and it did not end well. */
static bool ended_well(struct run *run, struct child *child, bool killed)
{
    int status = 0;
    must(waitpid(child->pid, &status, 0) == child->pid, "waitpid");
    child->pid = 0;
    struct shared *shared = run->neighbours.shared;
    if (shared->failed == 0 && (killed ? WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL
                                       : WIFEXITED(status) && WEXITSTATUS(status) == 0)) {
        return true;
    }
    if (killed && shared->failed == 0 && WIFEXITED(status) && WEXITSTATUS(status) == 0) {
        return true; /* it had just left */
    }
    if (WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED) {
        fprintf(stderr, "skipped: no seccomp filters here\n");
        exit(SKIPPED);
    }
    shared_fail(shared, "%s %s %d", role_names[child->role], WIFSIGNALED(status) ? "died of signal" : "left with",
                WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    return false;
}

static bool end(struct run *run, struct child *child)
{
    if (child->pid == 0) {
        return true;
    }
    must(kill(child->pid, SIGKILL) == 0, "kill");
    return ended_well(run, child, true);
}

/* The next message, or a child's death. */
static bool wait_for_note(struct run *run, struct note *note)
{
    struct pollfd ready = {.fd = run->in, .events = POLLIN};
    const uint64_t since = now_us(); /* the last message came before that */
    for (;;) {
        int answer = poll(&ready, 1, 100);
        if (answer > 0 && read(run->in, note, sizeof *note) == (ssize_t)sizeof *note) {
            return true;
        }
        struct child *all[LOOKERS + 2] = {&run->writer, &run->intruder};
        for (int i = 0; i < LOOKERS; i++) {
            all[2 + i] = &run->lookers[i];
        }
        bool alive = false;
        for (int i = 0; i < LOOKERS + 2; i++) {
            siginfo_t info = {0};
            if (all[i]->pid != 0 && waitid(P_PID, (id_t)all[i]->pid, &info, WEXITED | WNOHANG | WNOWAIT) == 0 &&
                info.si_pid != 0) {
                if (!ended_well(run, all[i], false)) {
                    return false;
                }
            }
            alive = alive || all[i]->pid != 0;
        }
        if (!alive || now_us() - since > (uint64_t)WATCHDOG_MS * 1000) {
            shared_fail(run->neighbours.shared, "nobody has done anything for a while; the writer is in phase %s",
                        phase_names[atomic_load(&run->neighbours.board->phase)]);
            return false;
        }
    }
}

/* ---- a life ---- */

static void begin_life(struct run *run)
{
    static const uint64_t chunks[] = {64u << 10, 256u << 10, 1u << 20};
    static const uint64_t memory[] = {256u << 10, 512u << 10, 4u << 20};
    static const uint64_t retention[] = {0, 0, 128u << 10, 1u << 20};
    static const uint32_t log_write[] = {SARSEN_LOG_AUTO, SARSEN_LOG_MAPPED, SARSEN_LOG_WRITTEN};
    static char path[PATH_MAX], door[PATH_MAX];
    struct neighbours *self = &run->neighbours;
    run->rng.state = mix(run->seed, run->life);
    self->workload = (struct workload){.seed = rng_next(&run->rng), .threads = 1, .window = 64};
    self->workload.weight = rng_one_in(&run->rng, 3) ? 2 : rng_one_in(&run->rng, 2) ? 1 : 0;
    self->options = (struct store_options){.chunk_bytes = chunks[rng_below(&run->rng, 3)],
                                           .memory_bytes = memory[rng_below(&run->rng, 3)],
                                           .retention_bytes = retention[rng_below(&run->rng, 4)],
                                           .background = rng_one_in(&run->rng, 2),
                                           .check = SARSEN_CHECK_FIRST_TOUCH,
                                           .log_write = log_write[rng_below(&run->rng, 3)]};
    run->openers = rng_one_in(&run->rng, 3);
    snprintf(path, sizeof path, "%s/life-%llu/store", run->dir, (unsigned long long)run->life);
    snprintf(door, sizeof door, "%s/life-%llu/door", run->dir, (unsigned long long)run->life);
    self->path = path;
    self->door_path = door;
    *strrchr(path, '/') = '\0';
    must(remove_tree(path) && mkdir(path, 0700) == 0, path);
    path[strlen(path)] = '/';
    /* The sums go on; the rest is this life's. */
    struct board *board = self->board;
    atomic_store(&board->acked, 0);
    atomic_store(&board->is_open, 0);
    atomic_store(&board->restarts, 0);
    atomic_store(&board->phase, PHASE_START);
    memset(board->told, 0, sizeof board->told);
    for (int i = 0; i < READERS; i++) {
        atomic_store(&board->followed[i], 0);
    }
}

static bool kill_writer(struct run *run)
{
    struct board *board = run->neighbours.board;
    atomic_fetch_add(&board->life, 1);
    if (!end(run, &run->writer)) {
        return false;
    }
    atomic_store(&board->is_open, 0);
    atomic_fetch_add(&board->life, 1);
    run->kills++;
    return true;
}

/* Readers go on beside a writer that stands still: `notes` of theirs, then it goes on. */
static bool stop_writer(struct run *run, uint64_t notes)
{
    struct note note;
    must(kill(run->writer.pid, SIGSTOP) == 0, "SIGSTOP");
    run->stops++;
    bool good = true;
    while (good && notes > 0) {
        good = wait_for_note(run, &note);
        notes -= good && (note.role == ROLE_READER || note.role == ROLE_OPENER || note.role == ROLE_BACKER);
    }
    must(kill(run->writer.pid, SIGCONT) == 0, "SIGCONT");
    return good;
}

static void start_looker(struct run *run, uint32_t slot)
{
    enum role role = slot == READERS ? ROLE_BACKER : run->openers ? ROLE_OPENER : ROLE_READER;
    start(run, &run->lookers[slot], role, slot);
}

static bool something_happens(struct run *run)
{
    uint32_t slot = (uint32_t)rng_below(&run->rng, LOOKERS);
    switch (rng_below(&run->rng, 8)) {
    case 0:
    case 1: {
        bool good = kill_writer(run);
        if (good) {
            start(run, &run->writer, ROLE_WRITER, 0);
        }
        return good;
    }
    case 2:
        return stop_writer(run, 1 + rng_below(&run->rng, 30));
    case 3:
        if (run->intruder.pid == 0) {
            start(run, &run->intruder, ROLE_INTRUDER, 0);
        }
        return true;
    default:
        run->reader_kills++;
        if (!end(run, &run->lookers[slot])) {
            return false;
        }
        start_looker(run, slot);
        return true;
    }
}

static bool live(struct run *run, uint64_t rounds)
{
    struct board *board = run->neighbours.board;
    uint64_t until = run->kills + rounds;
    struct note note;
    bool good = true;
    start(run, &run->writer, ROLE_WRITER, 0);
    do { /* until there is a store to read */
        good = wait_for_note(run, &note);
    } while (good && atomic_load(&board->is_open) == 0);
    for (uint32_t i = 0; good && i < LOOKERS; i++) {
        start_looker(run, i);
    }
    while (good && run->kills < until && atomic_load(&board->acked) < LIFE_COMMITS) {
        for (uint64_t notes = rng_below(&run->rng, UINT64_C(1) << rng_below(&run->rng, 11)); good && notes > 0; notes--) {
            good = wait_for_note(run, &note);
        }
        good = good && something_happens(run);
    }
    atomic_fetch_add(&board->life, 1);
    bool ended = end(run, &run->writer) && end(run, &run->intruder);
    for (int i = 0; i < LOOKERS; i++) {
        ended = end(run, &run->lookers[i]) && ended;
    }
    atomic_store(&board->is_open, 0);
    atomic_fetch_add(&board->life, 1);
    if (good && ended) {
        struct child last = {0};
        start(run, &last, ROLE_LAST, 0);
        /* It tells its phases, too; there is room for that in a pipe that nobody else writes to. */
        good = ended_well(run, &last, false);
        struct pollfd ready = {.fd = run->in, .events = POLLIN};
        while (poll(&ready, 1, 0) > 0 && read(run->in, &note, sizeof note) > 0) {
        }
    }
    return good && ended && run->neighbours.shared->failed == 0;
}

/* ---- the run ---- */

static void print_phases(const char *what, const _Atomic uint64_t counts[PHASE_COUNT])
{
    printf("%s while the writer was in phase:", what);
    for (int phase = 0; phase < PHASE_COUNT; phase++) {
        if (phase != PHASE_BACKUP) {
            printf(" %s %llu", phase_names[phase], (unsigned long long)counts[phase]);
        }
    }
    printf("\n");
}

static void print_summary(const struct run *run, uint64_t lives)
{
    const struct board *board = run->neighbours.board;
    printf("%llu writers and %llu readers killed in %llu lives, writers stopped %llu times\n",
           (unsigned long long)run->kills, (unsigned long long)run->reader_kills, (unsigned long long)lives,
           (unsigned long long)run->stops);
    printf("%llu commits; %llu comparisons, %llu refreshes, %llu snapshots, %llu views, %llu verified\n",
           (unsigned long long)board->commits, (unsigned long long)board->comparisons,
           (unsigned long long)board->refreshes, (unsigned long long)board->snapshots, (unsigned long long)board->views,
           (unsigned long long)board->verified);
    printf("%llu commits followed, %llu times from a new start, %llu times none came; %llu second writers refused\n",
           (unsigned long long)board->followed_commits, (unsigned long long)board->gaps,
           (unsigned long long)board->timeouts, (unsigned long long)board->refused);
    printf("%llu backups of snapshots, %llu left unfinished by their process\n",
           (unsigned long long)board->backups_of_snapshots, (unsigned long long)board->backups_unfinished);
    print_phases("opened", board->opens);
    print_phases("backed up", board->backups);
}

/* The filter is what says that readers write nothing: without it that would be believed. */
static void prove_the_filter(struct run *run)
{
    char path[PATH_MAX];
    snprintf(path, sizeof path, "%.*s/must-not-be", PATH_MAX - 32, run->dir);
    for (int way = 0; way < 3; way++) {
        pid_t pid = fork();
        int status = 0;
        must(pid >= 0, "fork");
        if (pid == 0) {
            if (!forbid_writing()) {
                _exit(SKIPPED);
            }
            int file = way == 0 ? open(path, O_WRONLY | O_CREAT, 0600) : way == 1 ? mkdir(path, 0700) : unlink(path);
            _exit(file >= 0 ? 0 : 1);
        }
        must(waitpid(pid, &status, 0) == pid, "waitpid");
        if (WIFEXITED(status) && WEXITSTATUS(status) == SKIPPED) {
            fprintf(stderr, "skipped: no seccomp filters here\n");
            exit(SKIPPED);
        }
        if (!WIFSIGNALED(status) || WTERMSIG(status) != SIGSYS) {
            fprintf(stderr, "sarsen_neighbours: the filter lets a reader write (%d)\n", way);
            exit(2);
        }
    }
}

static int control_was_noticed(struct run *run)
{
    printf("noticed: %s\n", run->neighbours.shared->text);
    *strrchr((char *)(uintptr_t)run->neighbours.path, '/') = '\0';
    must(remove_tree(run->neighbours.path), "removing a store");
    return 0;
}

static uint64_t number_of(const char *text)
{
    uint64_t number;
    if (!parse_number(text, &number)) {
        fprintf(stderr, "sarsen_neighbours: '%s' is no number\n", text);
        exit(2);
    }
    return number;
}

int main(int argc, char **argv)
{
    static struct run run = {.seed = 1, .rounds = 20, .dir = "."};
    uint64_t lives = 0;
    int ends[2];
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--rounds") == 0) {
            run.rounds = number_of(argv[i + 1]);
        } else if (strcmp(argv[i], "--seed") == 0) {
            run.seed = number_of(argv[i + 1]);
        } else if (strcmp(argv[i], "--life") == 0) {
            run.life = number_of(argv[i + 1]);
        } else if (strcmp(argv[i], "--dir") == 0) {
            run.dir = argv[i + 1];
        } else if (strcmp(argv[i], "--control") == 0 && strcmp(argv[i + 1], "acked-early") == 0) {
            run.neighbours.control = CONTROL_ACKED_EARLY;
        } else if (strcmp(argv[i], "--control") == 0 && strcmp(argv[i + 1], "unlocked") == 0) {
            run.neighbours.control = CONTROL_UNLOCKED;
        } else if (strcmp(argv[i], "--control") == 0 && strcmp(argv[i + 1], "altered") == 0) {
            run.neighbours.control = CONTROL_ALTERED;
        } else {
            fprintf(stderr, "usage: sarsen_neighbours [--rounds N] [--seed S] [--life L] [--dir DIRECTORY] "
                            "[--control acked-early|unlocked|altered]\n");
            return 2;
        }
    }
    mkdir(run.dir, 0700);
    prove_the_filter(&run);
    must(pipe2(ends, O_CLOEXEC) == 0, "pipe");
    run.in = ends[0];
    run.out = ends[1];
    run.neighbours.shared = shared_new();
    run.neighbours.board =
        mmap(NULL, sizeof(struct board), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    must(run.neighbours.board != MAP_FAILED, "mmap");
    for (; run.kills < run.rounds; run.life++, lives++) {
        uint64_t rounds = 4 + mix(run.seed, run.life) % 12;
        begin_life(&run);
        if (!live(&run, rounds < run.rounds - run.kills ? rounds : run.rounds - run.kills)) {
            if (run.neighbours.control != CONTROL_NONE) {
                return control_was_noticed(&run);
            }
            print_summary(&run, lives);
            fprintf(stderr, "sarsen_neighbours: %s\n  the store is left in %s\n  the same again: --seed %llu --life %llu\n",
                    run.neighbours.shared->text, run.neighbours.path, (unsigned long long)run.seed,
                    (unsigned long long)run.life);
            return 1;
        }
        *strrchr((char *)(uintptr_t)run.neighbours.path, '/') = '\0';
        must(remove_tree(run.neighbours.path), "removing a store");
    }
    if (run.neighbours.control != CONTROL_NONE) {
        fprintf(stderr, "sarsen_neighbours: what was done wrong was not noticed\n");
        return 1;
    }
    print_summary(&run, lives);
    printf("0 failures\n");
    return 0;
}
