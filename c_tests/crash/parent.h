/* The parent's state: one run over many store directories ("lives") of some rounds each. */
#ifndef SARSEN_CRASH_PARENT_H
#define SARSEN_CRASH_PARENT_H

#include "harness.h"

enum { MAX_BACKUPS = 64, VERDICT_ABSENT = 3, VERDICT_COUNT = 4 };

struct backup {
    uint64_t id;
    bool complete;
    uint64_t seq;                    /* of its snapshot; 0: not known */
    uint64_t acked_end[MAX_THREADS]; /* acknowledged before its snapshot */
};

struct stats {
    uint64_t rounds, kills, acked, replayed, recovered, losses, failures;
    uint64_t entered[PHASE_COUNT], killed_in[PHASE_COUNT];
    uint64_t verdicts[VERDICT_COUNT];
    uint64_t backups_complete, backups_partial;
};

struct run {
    const struct settings *settings;
    struct shared *shared;
    struct stats stats;
    /* this life */
    uint64_t life, life_round, life_rounds;
    bool life_open;
    bool torn_before; /* the last check found a torn tail, which stays until somebody appends */
    uint64_t chunk_bytes;
    char life_path[PATH_MAX];
    char evidence_path[PATH_MAX]; /* "" : none was written */
    struct model model;
    struct told_log told;
    struct evidence *evidence;
    /* this round */
    uint64_t kill_acks;
    uint64_t kill_spread; /* thousandths of the phase's usual length; 0: at once */
    enum check_mode check_mode;
    struct backup backups[MAX_BACKUPS];
    size_t backup_count;
    uint64_t snapshot_acked_end[MAX_THREADS]; /* for the next backup */
    /* learned over the run */
    double usual_us[PHASE_COUNT];
};

/* Good, or why not; the text is then in run->shared, and the life must be ended. */
enum finding run_one_round(struct run *run);
void end_life(struct run *run, bool keep);

#endif
