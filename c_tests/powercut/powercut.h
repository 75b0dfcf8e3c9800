/* Power cuts of real file systems: what main, rounds and images share. README.md says how it works. */
#ifndef SARSEN_POWERCUT_H
#define SARSEN_POWERCUT_H

#include "../crash/harness.h"
#include "log_disk.h"
#include "loop_disk.h"

enum method { METHOD_REFLINK, METHOD_LOG, METHODS };
enum control { CONTROL_NONE, CONTROL_ACK_EARLY, CONTROL_IGNORE_FLUSH, CONTROL_CLAIM_POWER, CONTROLS };

extern const char *const method_names[METHODS];
extern const char *const control_names[CONTROLS];

enum { CUTS = 10, CUT_VERDICTS = 4 };
#define IMAGE_BYTES (UINT64_C(512) << 20)

struct cut_stats {
    uint64_t images, rounds, acked, required, lost, failures, dropped_bytes, absent;
    uint64_t verdicts[CUT_VERDICTS];
    uint64_t began_us;
};

/* What the writer said, in the order in which it was heard. */
struct heard {
    uint64_t at;
    uint32_t thread;
    uint64_t n, seq, durable;
    bool power;
};

struct cut {
    uint64_t position; /* of the disk's log */
    size_t heard;      /* acknowledgements before it */
};

struct powercut {
    /* what was asked for */
    enum disk_kind kind;
    enum method method;
    enum control control;
    uint64_t seed, images;
    const char *program, *dir;
    /* places, below dir */
    char host[PATH_MAX], live[PATH_MAX], fuse[PATH_MAX], mounted[PATH_MAX], kept[PATH_MAX];
    struct shared *shared;
    struct log_disk disk;
    struct rng rng;
    struct cut_stats stats;
    /* this life: one store on one disk, over some rounds */
    bool life_open;
    uint64_t life, round_number, rounds_left, chunk_bytes;
    struct model model;
    struct told_log told;
    struct evidence *evidence;
    /* this round */
    struct heard *heard;
    size_t heard_count, heard_cap;
    bool opened;
    struct cut cuts[CUTS];
    size_t cut_count;
};

void must(bool good, const char *what);
/* The file `name` on the reflinking host file system. */
const char *host_path(const struct powercut *run, const char *name, char out[PATH_MAX]);
/* Makes `to` a copy of `from`, without copying. */
void clone_file(const char *from, const char *to);
void copy_file(const char *from, const char *to);

/* One writer's life and the images taken of it; false once a failure was kept. */
bool run_round(struct powercut *run);
void end_life(struct powercut *run);

/* Brings the image from log position *at to what was flushed by `position`; *at follows. */
void image_advance(const struct powercut *run, const char *image, uint64_t *at, uint64_t position);
/* On top of that, part of what was written between `from` and `position`. */
void image_lose(struct powercut *run, const char *image, uint64_t from, uint64_t position);

#endif
