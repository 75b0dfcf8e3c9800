/* What the crash harness's processes share.
 *
 * Three kinds of process. The parent plans rounds, starts the others, kills the writers, keeps the model; it never
 * calls the library, so that what it forks is as good as new. A writer opens the store, commits, and tells the
 * parent through a pipe until it is killed. A checker opens what a writer left and compares it with the model.
 */
#ifndef SARSEN_CRASH_HARNESS_H
#define SARSEN_CRASH_HARNESS_H

#include <limits.h>

#include "model.h"

/* ---- what a run is asked for ---- */

enum level { LEVEL_PROCESS = 1, LEVEL_POWER, LEVEL_MIXED };

/* What a writer's first thread is doing. Other threads commit meanwhile, except while opening and closing. */
enum phase {
    PHASE_START, /* before the first open */
    PHASE_OPEN,
    PHASE_RUN,
    PHASE_CHECKPOINT,
    PHASE_COMPACT,
    PHASE_MAINTAIN,
    PHASE_BACKUP,
    PHASE_CLOSE,
    PHASE_COUNT
};

extern const char *const phase_names[PHASE_COUNT];
extern const char *const level_names[LEVEL_MIXED + 1];

struct settings {
    uint64_t seed;
    uint64_t rounds;
    uint64_t first_life;
    uint32_t threads;
    enum level level;
    int aim; /* a phase, or -1: any */
    bool ack_early;
    bool verbose;
    const char *program;
    const char *dir; /* stores are made below it */
};

/* ---- one round ---- */

struct store_options {
    uint64_t chunk_bytes;
    uint64_t memory_bytes;
    uint64_t retention_bytes;
    bool background;
    uint32_t check;
    uint32_t log_write;
};

struct round {
    uint64_t seed;
    uint64_t number; /* counted over the run: names backups */
    enum level level;
    bool ack_early;
    enum phase aim;
    uint32_t lead; /* commits of the first thread before it goes into the phase aimed at */
    struct store_options options;
    const uint64_t *clock; /* nullable: counts what goes to the disk, in memory that is shared */
    char store_path[PATH_MAX];
};

void backup_path(const struct round *round, uint64_t id, char out[PATH_MAX]);
sarsen_options *options_make(const struct store_options *options);
/* How a store is opened changes from round to round, so that what one way wrote is read by another. */
struct store_options options_pick(struct rng *rng, uint64_t chunk_bytes);

/* ---- writer to parent: one small write each, which a pipe takes whole ---- */

enum message_kind {
    MESSAGE_PHASE_BEGIN = 1, /* of a backup: its id, and the seq of its snapshot (0: it took the newest) */
    MESSAGE_PHASE_END,
    MESSAGE_SNAPSHOT,        /* a backup will hold whatever was acknowledged before this */
    MESSAGE_ACK,             /* a commit has its level */
    MESSAGE_ACK_EARLY,       /* control: said before committing */
    MESSAGE_RESULT,          /* control: what MESSAGE_ACK would have said */
    MESSAGE_FAILED           /* the text is in struct shared */
};

struct message {
    uint32_t kind;
    uint32_t phase_or_thread;
    uint64_t n;
    uint64_t seq;
    uint64_t index;
    uint64_t id;
    uint64_t durable; /* of an acknowledgement: the store's durable_seq just after it ... */
    uint64_t at;      /* ... and what the clock of the disk showed then */
    uint64_t power;   /* 1: it was for SARSEN_SURVIVE_POWER */
    sarsen_block block;
};
_Static_assert(sizeof(struct message) == 88, "message is laid out without padding");

/* A page that outlives the process that wrote it. */
struct shared {
    uint32_t failed; /* set by the first to fail, who then owns text */
    char step[128];  /* what a checker is at, should it crash */
    char text[1536];
};

/* ---- a commit in calls of the library ---- */

/* Room for the longest name and the longest content. */
struct room {
    uint8_t name[MAX_NAME];
    uint8_t bytes[MAX_CONTENT];
};

sarsen_tags *tags_of(uint32_t mask); /* NULL for none */
/* Adds the ops of a commit, until one is refused. */
sarsen_status batch_add(sarsen_batch *batch, const struct workload *workload, const struct commit *commit,
                        struct room *room, sarsen_error **error);

_Noreturn void writer_main(const struct model *model, const struct round *round, int out, struct shared *shared);

/* ---- checker ---- */

enum finding {
    FOUND_GOOD = 0,
    FOUND_ABSENT,     /* no store there, and that is allowed */
    FOUND_LOSS,       /* an acknowledged commit is missing */
    FOUND_DIFFERENCE, /* anything else that is wrong */
    FOUND_CRASH       /* the checker itself died */
};

enum check_mode {
    CHECK_READ_ONLY,   /* leaves the directory as it was: the next writer recovers it, too */
    CHECK_AND_ABANDON, /* opened for writing, left without closing */
    CHECK_AND_CLOSE,
    CHECK_MODES
};

struct check_request {
    char path[PATH_MAX];
    enum check_mode mode;
    bool may_be_absent;
    bool may_be_torn;
    bool create;
    uint64_t exact_seq;                 /* of a backup; 0: whatever the commits found add up to */
    uint64_t acked_end[MAX_THREADS];    /* commits below this must be there */
    uint64_t seed;
    struct store_options options;
};

struct check_result {
    enum finding finding;
    uint32_t verdict;
    uint64_t last_seq;
    uint64_t replayed_commits;
    uint64_t recovery_us;
    bool single_applied[MAX_THREADS]; /* the one-command commit at the thread's end is, or may be, in */
    bool single_certain[MAX_THREADS]; /* it is in */
    size_t new_count;
    struct order_entry *new_order; /* new_count commits behind those of the model; to be freed */
};

/* Runs in the checker's process; moves its copy of the model on. */
void check_store(struct model *model, const struct told_log *told, const struct check_request *request,
                 struct check_result *result, struct shared *shared);
/* Forks a checker and waits for it. */
void check_in_child(const struct model *model, const struct told_log *told, const struct check_request *request,
                    struct check_result *result, struct shared *shared);
/* Moves the model on by what was found. */
void model_follow(struct model *model, const struct told_log *told, const struct check_result *result);

/* ---- evidence: what is needed to check a kept directory again ---- */

struct evidence; /* a journal of everything that went into one directory's model */

struct evidence *evidence_new(const struct workload *workload);
void evidence_free(struct evidence *evidence);
void evidence_add_round(struct evidence *evidence, const struct told_log *told, const struct check_result *result);
/* Writes the journal, what the last round told, and the request that failed. */
bool evidence_write(const struct evidence *evidence, const char *path, const struct told_log *told,
                    const struct check_request *request);
/* Rebuilds the model from such a file and checks again. An exit code: 0 good, 1 not, 2 unreadable. */
int evidence_recheck(const char *path);

/* ---- the run ---- */

uint64_t now_us(void);
struct shared *shared_new(void);
void shared_fail(struct shared *shared, const char *format, ...) __attribute__((format(printf, 2, 3)));
bool remove_tree(const char *path); /* true if nothing is left */

/* Of the command line: a whole number and nothing else. */
bool parse_number(const char *text, uint64_t *out);
/* The directory that a run works in is there from here on: *dir, or, where that is NULL, a new one under TMPDIR. */
bool make_directory_of_run(const char **dir, const char *program);

#endif
