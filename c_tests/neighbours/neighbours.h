/* One writer, and readers in processes of their own, all on one store at once.
 *
 * The parent starts them, stops and kills them, and never calls the library. What they share is the board, a map that
 * outlives each of them: how far the writer has come, and where the blocks lie that its commits appended. The writer
 * commits from one thread, so that commit number n is seq n + 1, and a store at seq s holds exactly what the model of
 * the crash harness holds after s commits.
 */
#ifndef SARSEN_NEIGHBOURS_H
#define SARSEN_NEIGHBOURS_H

#include <stdatomic.h>

#include "../crash/compare.h"

/* The last of the lookers is the one that backs up. */
enum { READERS = 4, LOOKERS = READERS + 1, MOST_COMMITS = 4000, MOST_RESTARTS = 256, TOLD_NOTHING = 0, TOLD_BLOCK = 1 };

/* What a process does. Readers keep to one store; openers do nothing but open, look and close; a backer reads, too, and
 * backs up what it sees. */
enum role { ROLE_WRITER, ROLE_READER, ROLE_OPENER, ROLE_BACKER, ROLE_INTRUDER, ROLE_LAST };

/* What is done wrong on purpose, to see that it is noticed. */
enum control {
    CONTROL_NONE,
    CONTROL_ACKED_EARLY, /* the writer says that a commit is there before it makes it */
    CONTROL_UNLOCKED,    /* readers take no lock, so the writer takes away what they read */
    CONTROL_ALTERED      /* one byte of each backup is altered before it is compared */
};

/* How far a follower has come: both in one word, so that a kill leaves no mixture. */
#define FOLLOWED(seq, epoch) ((uint64_t)(epoch) << 40 | (uint64_t)(seq))
#define FOLLOWED_SEQ(word) ((word) & ((UINT64_C(1) << 40) - 1))
#define FOLLOWED_EPOCH(word) ((word) >> 40)

struct board {
    _Atomic uint64_t acked;      /* commits that the writer was told of: whoever looks from then on sees them */
    _Atomic uint32_t life;       /* odd while a writer is being killed, another even number afterwards */
    _Atomic uint32_t is_open;    /* the writer has the store open, and its lock */
    _Atomic uint32_t phase;      /* enum phase */
    _Atomic uint32_t restarts;   /* of the writer's process */
    uint64_t restarted_at[MOST_RESTARTS]; /* the seq it found: addresses untold by then stay unknown */
    struct {
        _Atomic uint32_t state;
        sarsen_block block;
    } told[MOST_COMMITS];
    _Atomic uint64_t followed[READERS];
    /* What was done, for the summary. */
    _Atomic uint64_t commits, comparisons, opens[PHASE_COUNT], refreshes, snapshots, views, followed_commits, gaps, timeouts,
        refused, verified, backups[PHASE_COUNT], backups_of_snapshots, backups_unfinished;
};

struct neighbours {
    struct workload workload;
    struct store_options options;
    const char *path;      /* the store */
    const char *door_path; /* locked by the writer while it opens and closes, shared by who tries to open beside it */
    struct board *board;
    struct shared *shared;
    enum control control;
    uint64_t seed; /* of this process */
    int out;       /* to the parent */
    uint32_t slot; /* of a reader */
};

/* To the parent: a small write, which a pipe takes whole. */
struct note {
    uint32_t role, slot;
    uint32_t phase; /* the writer's, when it begins one */
    uint32_t reserved;
};

_Noreturn void neighbour_fail(struct neighbours *self, const char *format, ...) __attribute__((format(printf, 2, 3)));
/* `error` is where the call may have left one (NULL: none): which argument is evaluated first, C leaves open. */
void neighbour_require_ok(struct neighbours *self, const char *what, sarsen_status status, sarsen_error *const *error);
void neighbour_tell(struct neighbours *self, enum role role);

/* Moves the model to seq, back too: by starting over. What is not told yet is taken in again the next time. */
void model_to(struct neighbours *self, struct model *model, uint64_t seq);
/* What the commit that follows the model's is made of; the model stays where it is. */
void model_plan_next(struct neighbours *self, struct model *model, struct commit *commit);
/* Everything but the log and verification; blocks only where the store itself stands at the model's seq. */
void compare_state(struct neighbours *self, const struct model *model, const sarsen_store *store,
                   const sarsen_snapshot *snapshot, struct rng *rng);

_Noreturn void neighbour_writer(struct neighbours *self);
_Noreturn void neighbour_reader(struct neighbours *self, enum role role);
/* Backs up the snapshot (NULL: what the store sees), which is at `seq`, and compares the backup with it and with the
 * model. */
void neighbour_backup(struct neighbours *self, const sarsen_store *store, const sarsen_snapshot *snapshot, uint64_t seq,
                      struct model *model, struct rng *rng);
/* What a backup left whose process was killed: no store, or a whole one. */
void neighbour_check_left_backup(struct neighbours *self, struct model *model, struct rng *rng);
_Noreturn void neighbour_intruder(struct neighbours *self);
/* Alone: everything is there, and no file is left that nobody needs. */
_Noreturn void neighbour_last(struct neighbours *self);

/* From now on this process dies if it opens anything for writing, or changes a file or directory. False: not here. */
bool forbid_writing(void);

#endif
