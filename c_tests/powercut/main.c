/* sarsen_powercut: power cuts of real file systems. See README.md beside this file for what is promised and checked. */
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "powercut.h"

enum { SKIPPED = 77, MAX_FAILURES = 5 };
#define HOST_BYTES (UINT64_C(16) << 30)

const char *const method_names[METHODS] = {"reflink", "log"};
const char *const control_names[CONTROLS] = {"none", "ack-early", "ignore-flush", "claim-power"};

typedef unsigned long long ull;

struct wishes {
    int kind, method; /* -1: all */
    enum control control;
    uint64_t seed, images;
    const char *program, *dir, *recheck;
};

void must(bool good, const char *what)
{
    if (!good) {
        fprintf(stderr, "sarsen_powercut: %s: %s\n", what, strerror(errno));
        exit(2);
    }
}

const char *host_path(const struct powercut *run, const char *name, char out[PATH_MAX])
{
    snprintf(out, PATH_MAX, "%.*s/%s", PATH_MAX - 64, run->host, name);
    return out;
}

static void usage(FILE *to)
{
    fputs("usage: sarsen_powercut [options]; needs root\n"
          "  --fs ext4|xfs|btrfs|all     (default all)\n"
          "  --method reflink|log|all    copies of an image in use, or what a disk logged (default all)\n"
          "  --images N                  of each (default 200)\n"
          "  --seed N                    of all but the moments (default: from the clock)\n"
          "  --dir DIR                   images lie below DIR (default: a new directory under TMPDIR)\n"
          "  --control ack-early         acknowledge before committing: exit 0 only if the loss is found\n"
          "  --control ignore-flush      a disk whose flush does nothing (method log): the same\n"
          "  --control claim-power       commits for SURVIVE_PROCESS taken for power-safe: the same\n"
          "  --recheck KEPT              check a kept image again\n"
          "exit code: 0 nothing found (control: loss found), 1 the opposite, 2 cannot run, 77 skipped\n",
          to);
}

static bool parse_word(const char *text, const char *const *words, int count, int *out)
{
    *out = -1;
    if (strcmp(text, "all") == 0) return true;
    for (int i = 0; i < count; i++)
        if (strcmp(text, words[i]) == 0) *out = i;
    return *out >= 0;
}

static bool parse(int argc, char **argv, struct wishes *wishes)
{
    static const struct option options[] = {
        {"fs", required_argument, NULL, 'f'},      {"method", required_argument, NULL, 'm'},
        {"images", required_argument, NULL, 'i'},  {"seed", required_argument, NULL, 's'},
        {"dir", required_argument, NULL, 'd'},     {"control", required_argument, NULL, 'c'},
        {"recheck", required_argument, NULL, 'r'}, {"help", no_argument, NULL, 'h'},
        {NULL, 0, NULL, 0}};
    int letter, word = 0;
    bool good = true;
    while (good && (letter = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (letter) {
        case 'f':
            good = parse_word(optarg, disk_names, DISK_TMPFS, &wishes->kind);
            break;
        case 'm':
            good = parse_word(optarg, method_names, METHODS, &wishes->method);
            break;
        case 'i':
            good = parse_number(optarg, &wishes->images) && wishes->images > 0;
            break;
        case 's':
            good = parse_number(optarg, &wishes->seed);
            break;
        case 'd':
            wishes->dir = optarg;
            break;
        case 'c':
            good = parse_word(optarg, control_names, CONTROLS, &word) && word > 0;
            wishes->control = (enum control)word;
            break;
        case 'r':
            wishes->recheck = optarg;
            break;
        case 'h':
            usage(stdout);
            exit(0);
        default:
            good = false;
        }
    }
    return good && optind == argc;
}

/* ---- one file system, one method ---- */

static void make_directory(char out[PATH_MAX], const char *dir, const char *name)
{
    snprintf(out, PATH_MAX, "%.*s/%s", PATH_MAX - 64, dir, name);
    must(mkdir(out, 0700) == 0 || errno == EEXIST, out);
}

static void print_summary(const struct powercut *run)
{
    const struct cut_stats *stats = &run->stats;
    double seconds = (double)(now_us() - stats->began_us) / 1e6;
    printf("%-5s %-7s %llu images in %.0f s (%.0f a minute), %llu rounds, %llu acknowledged; commits that had to be there: "
           "%llu, images with loss: %llu, other failures: %llu\n"
           "              verdicts: clean %llu, replayed %llu, torn tail %llu, no store yet %llu; unflushed bytes lost: %llu\n",
           disk_names[run->kind], method_names[run->method], (ull)stats->images, seconds,
           (double)stats->images * 60 / (seconds > 0 ? seconds : 1), (ull)stats->rounds, (ull)stats->acked,
           (ull)stats->required, (ull)stats->lost, (ull)(stats->failures - (run->control == CONTROL_NONE ? stats->lost : 0)),
           (ull)stats->verdicts[SARSEN_RECOVERY_CLEAN] - (ull)stats->absent,
           (ull)stats->verdicts[SARSEN_RECOVERY_REPLAYED], (ull)stats->verdicts[SARSEN_RECOVERY_TORN_TAIL],
           (ull)stats->absent, (ull)stats->dropped_bytes);
    fflush(stdout);
}

static int run_one(const struct wishes *wishes, enum disk_kind kind, enum method method)
{
    static struct powercut run;
    char path[PATH_MAX], host_image[PATH_MAX];
    memset(&run, 0, sizeof run);
    run.kind = kind;
    run.method = method;
    run.control = wishes->control;
    run.seed = mix(wishes->seed, (uint64_t)kind * METHODS + (uint64_t)method);
    run.images = wishes->images;
    run.program = wishes->program;
    run.dir = wishes->dir;
    run.rng.state = run.seed;
    run.shared = shared_new();
    must(method == METHOD_REFLINK || log_disk_new(&run.disk), "memory for the disk's log");
    make_directory(run.host, run.dir, "host");
    make_directory(run.live, run.dir, "live");
    make_directory(run.fuse, run.dir, "fuse");
    make_directory(run.mounted, run.dir, "cut");
    snprintf(host_image, sizeof host_image, "%.*s/host.img", PATH_MAX - 64, run.dir);
    must(disk_make(DISK_XFS, host_image, HOST_BYTES) && disk_mount(DISK_XFS, host_image, 0, run.host), disk_error);
    must(disk_make(kind, host_path(&run, "fresh.img", path), IMAGE_BYTES), disk_error);
    run.stats.began_us = now_us();
    while (run.stats.images < run.images && run.stats.failures < MAX_FAILURES) {
        run_round(&run);
        if (run.control != CONTROL_NONE && run.stats.lost > 0) break;
    }
    end_life(&run);
    print_summary(&run);
    must(disk_unmount(run.host) && unlink(host_image) == 0, "host.img");
    free(run.heard);
    told_free(&run.told);
    log_disk_free(&run.disk);
    if (run.control == CONTROL_NONE) return run.stats.failures == 0 ? 0 : 1;
    printf("control %s: %s\n", control_names[run.control],
           run.stats.lost > 0 ? "loss found, as it must be" : "NO LOSS WAS FOUND");
    if (run.stats.lost > 0) printf("  %s\n", run.shared->text);
    return run.stats.lost > 0 ? 0 : 1;
}

/* ---- a kept image ---- */

static int recheck(const char *kept)
{
    char image[PATH_MAX], copy[PATH_MAX], mounted[PATH_MAX], evidence[PATH_MAX];
    int code = 2;
    snprintf(image, sizeof image, "%.*s/image", PATH_MAX - 64, kept);
    snprintf(copy, sizeof copy, "%.*s/copy", PATH_MAX - 64, kept);
    snprintf(evidence, sizeof evidence, "%.*s/evidence", PATH_MAX - 64, kept);
    make_directory(mounted, kept, "mnt");
    copy_file(image, copy); /* mounting changes it */
    for (int kind = 0; kind < DISK_TMPFS; kind++) {
        if (!disk_mount((enum disk_kind)kind, copy, 0, mounted)) continue;
        code = evidence_recheck(evidence);
        disk_unmount(mounted);
        break;
    }
    if (code == 2) fprintf(stderr, "sarsen_powercut: %s\n", disk_error);
    unlink(copy);
    return code;
}

/* NULL if it can run here. */
static const char *missing(const struct wishes *wishes)
{
    const char *what = disk_missing(DISK_XFS); /* the host's, always */
    for (int kind = 0; what == NULL && kind < DISK_TMPFS; kind++)
        if (wishes->kind < 0 || wishes->kind == kind) what = disk_missing((enum disk_kind)kind);
    if (what == NULL && wishes->method != METHOD_REFLINK && access("/dev/fuse", R_OK | W_OK) != 0)
        what = "needs FUSE (/dev/fuse)";
    return what;
}

int main(int argc, char **argv)
{
    struct wishes wishes = {.kind = -1, .method = -1, .seed = now_us(), .images = 200, .program = argv[0]};
    int code = 0;
    if (!parse(argc, argv, &wishes)) {
        usage(stderr);
        return 2;
    }
    const char *lacks = missing(&wishes);
    if (lacks != NULL) {
        printf("skipped: %s\n", lacks);
        return SKIPPED;
    }
    if (!disk_private_mounts()) {
        printf("skipped: %s\n", disk_error);
        return SKIPPED;
    }
    if (wishes.recheck != NULL) return recheck(wishes.recheck);
    if (wishes.control == CONTROL_IGNORE_FLUSH) wishes.method = METHOD_LOG;
    must(make_directory_of_run(&wishes.dir, "sarsen_powercut"), "the directory for images");
    printf("seed %llu\n", (ull)wishes.seed);
    for (int kind = 0; kind < DISK_TMPFS; kind++)
        for (int method = 0; method < METHODS; method++)
            if ((wishes.kind < 0 || wishes.kind == kind) && (wishes.method < 0 || wishes.method == method) &&
                run_one(&wishes, (enum disk_kind)kind, (enum method)method) != 0)
                code = 1;
    static const char *const places[] = {"host", "live", "fuse", "cut"};
    for (size_t i = 0; i < sizeof places / sizeof places[0]; i++) {
        char path[PATH_MAX];
        snprintf(path, sizeof path, "%.*s/%s", PATH_MAX - 64, wishes.dir, places[i]);
        rmdir(path);
    }
    rmdir(wishes.dir); /* stays if a failed image is kept in it */
    return code;
}
