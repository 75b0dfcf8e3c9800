/* sarsen_crash: kills processes that write to a store, and checks what they leave behind. See README.md beside this
 * file for what is promised and what is checked.
 */
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "parent.h"

enum { MAX_FAILURES = 5 };

typedef unsigned long long ull;

static void usage(FILE *to)
{
    fputs("usage: sarsen_crash [options]\n"
          "  --rounds N         kill N writers (default 200)\n"
          "  --seed N           of everything but the moment a kill lands (default: from the clock)\n"
          "  --threads N        writing threads, 1 to 8 (default 1)\n"
          "  --level LEVEL      process, power or mixed (default process)\n"
          "  --phase PHASE      aim at one phase: open, run, checkpoint, compact, maintain, backup, close\n"
          "  --dir DIR          make the stores below DIR (default: a new directory under TMPDIR)\n"
          "  --first-life N     begin with store directory number N\n"
          "  --control ack-early  acknowledge before committing: exit 0 only if the loss is found\n"
          "  --recheck FILE     check a kept directory again, by the evidence file in it\n"
          "  --verbose          a line a round\n"
          "exit code: 0 nothing found (control: loss found), 1 the opposite, 2 cannot run\n",
          to);
}

static bool parse_word(const char *text, const char *const *words, size_t first, size_t count, int *out)
{
    for (size_t i = first; i < count; i++) {
        if (strcmp(text, words[i]) == 0) {
            *out = (int)i;
            return true;
        }
    }
    return false;
}

static bool parse(int argc, char **argv, struct settings *settings, const char **out_recheck)
{
    static const struct option options[] = {
        {"rounds", required_argument, NULL, 'r'},  {"seed", required_argument, NULL, 's'},
        {"threads", required_argument, NULL, 't'}, {"level", required_argument, NULL, 'l'},
        {"phase", required_argument, NULL, 'p'},   {"dir", required_argument, NULL, 'd'},
        {"first-life", required_argument, NULL, 'f'}, {"control", required_argument, NULL, 'c'},
        {"recheck", required_argument, NULL, 'e'}, {"verbose", no_argument, NULL, 'v'},
        {"help", no_argument, NULL, 'h'},          {NULL, 0, NULL, 0}};
    uint64_t number = 1;
    int word = LEVEL_PROCESS;
    bool good = true;
    int letter;
    while (good && (letter = getopt_long(argc, argv, "", options, NULL)) != -1) {
        switch (letter) {
        case 'r':
            good = parse_number(optarg, &settings->rounds) && settings->rounds > 0;
            break;
        case 's':
            good = parse_number(optarg, &settings->seed);
            break;
        case 'f':
            good = parse_number(optarg, &settings->first_life);
            break;
        case 't':
            good = parse_number(optarg, &number) && number >= 1 && number <= MAX_THREADS;
            settings->threads = (uint32_t)number;
            break;
        case 'l':
            good = parse_word(optarg, level_names, LEVEL_PROCESS, LEVEL_MIXED + 1, &word);
            settings->level = (enum level)word;
            break;
        case 'p':
            good = parse_word(optarg, phase_names, PHASE_OPEN, PHASE_COUNT, &settings->aim);
            break;
        case 'd':
            settings->dir = optarg;
            break;
        case 'c':
            good = strcmp(optarg, "ack-early") == 0;
            settings->ack_early = true;
            break;
        case 'e':
            *out_recheck = optarg;
            break;
        case 'v':
            settings->verbose = true;
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

/* ---- reports ---- */

static void print_failure(const struct run *run)
{
    const struct settings *settings = run->settings;
    printf("FAILED in life %llu, round %llu: %s\n", (ull)run->life, (ull)run->life_round - 1, run->shared->text);
    printf("  the directory is kept: %s\n", run->life_path);
    if (run->evidence_path[0] != '\0') {
        printf("  check it again:  %s --recheck %s\n", settings->program, run->evidence_path);
    }
    printf("  the same again:  %s --seed %llu --first-life %llu --rounds %llu --threads %u --level %s",
           settings->program, (ull)settings->seed, (ull)run->life, (ull)run->life_rounds, settings->threads,
           level_names[settings->level]);
    printf("%s%s%s\n", settings->aim < 0 ? "" : " --phase ", settings->aim < 0 ? "" : phase_names[settings->aim],
           settings->ack_early ? " --control ack-early" : "");
}

static void print_summary(const struct run *run, uint64_t elapsed_us)
{
    const struct stats *stats = &run->stats;
    double minutes = (double)elapsed_us / 60e6;
    printf("seed %llu, %u thread%s, level %s: %llu kills in %llu rounds, %.0f kills a minute\n",
           (ull)run->settings->seed, run->settings->threads, run->settings->threads == 1 ? "" : "s",
           level_names[run->settings->level], (ull)stats->kills, (ull)stats->rounds, (double)stats->kills / minutes);
    printf("  commits: %llu acknowledged, %llu found, %llu replayed from the log; rounds with loss: %llu\n",
           (ull)stats->acked, (ull)stats->recovered, (ull)stats->replayed, (ull)stats->losses);
    printf("  killed in:");
    for (int phase = PHASE_OPEN; phase < PHASE_COUNT; phase++) {
        printf(" %s %llu of %llu%s", phase_names[phase], (ull)stats->killed_in[phase],
               (ull)(phase == PHASE_RUN ? stats->rounds : stats->entered[phase]),
               phase + 1 < PHASE_COUNT ? "," : "\n");
    }
    printf("  verdicts: clean %llu, replayed %llu, torn tail %llu, no store yet %llu\n",
           (ull)stats->verdicts[SARSEN_RECOVERY_CLEAN], (ull)stats->verdicts[SARSEN_RECOVERY_REPLAYED],
           (ull)stats->verdicts[SARSEN_RECOVERY_TORN_TAIL], (ull)stats->verdicts[VERDICT_ABSENT]);
    printf("  backups: %llu good, %llu unfinished and not a store\n", (ull)stats->backups_complete,
           (ull)stats->backups_partial);
    if (stats->failures == 0 && stats->kills > 0) {
        printf("  no failure in %llu kills: fewer than %.4f a kill at 95 %%\n", (ull)stats->kills,
               3.0 / (double)stats->kills);
    } else {
        printf("  FAILURES: %llu\n", (ull)stats->failures);
    }
}

/* ---- the run ---- */

static int run_rounds(const struct settings *settings)
{
    static struct run run;
    run.settings = settings;
    run.shared = shared_new();
    run.life = settings->first_life;
    for (int phase = 0; phase < PHASE_COUNT; phase++) {
        run.usual_us[phase] = 1000;
    }
    uint64_t began_us = now_us();
    while (run.stats.rounds < settings->rounds) {
        run.evidence_path[0] = '\0';
        enum finding finding = run_one_round(&run);
        if (finding == FOUND_GOOD) {
            continue;
        }
        run.stats.losses += finding == FOUND_LOSS ? 1 : 0;
        if (settings->ack_early && finding == FOUND_LOSS) {
            printf("control: loss found after %llu kills, as it must be: %s\n", (ull)run.stats.kills,
                   run.shared->text);
            end_life(&run, false);
            return 0;
        }
        run.stats.failures++;
        print_failure(&run);
        fflush(stdout);
        end_life(&run, true);
        if (run.stats.failures == MAX_FAILURES) {
            printf("giving up after %d failures\n", MAX_FAILURES);
            break;
        }
    }
    if (run.life_open) {
        end_life(&run, false);
    }
    print_summary(&run, now_us() - began_us);
    told_free(&run.told);
    if (settings->ack_early) {
        printf("control: acknowledged before committing, yet no loss was found\n");
        return 1;
    }
    return run.stats.failures == 0 ? 0 : 1;
}

int main(int argc, char **argv)
{
    struct settings settings = {.seed = now_us(), .rounds = 200, .threads = 1, .level = LEVEL_PROCESS, .aim = -1};
    const char *recheck = NULL;
    settings.program = argv[0];
    if (!parse(argc, argv, &settings, &recheck)) {
        usage(stderr);
        return 2;
    }
    if (recheck != NULL) {
        return evidence_recheck(recheck);
    }
    prctl(PR_SET_TIMERSLACK, 1);
    bool own_dir = settings.dir == NULL;
    if (!make_directory_of_run(&settings.dir, "sarsen_crash")) {
        perror("sarsen_crash: the directory for the stores");
        return 2;
    }
    int code = run_rounds(&settings);
    if (own_dir) {
        rmdir(settings.dir); /* stays if a failed round's directory is kept in it */
    }
    return code;
}
