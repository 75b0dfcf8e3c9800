/* The demo's course: write, be killed, reopen, check, finish, ask, follow, compare, reopen, verify.
 *
 *   demo SOURCES [DIRECTORY]
 *
 * SOURCES is what scripts/demo_sources.sh prints. The store goes to DIRECTORY/store, which must not exist yet;
 * without a DIRECTORY, to a fresh one that is removed again. Exit status 0 only if every byte came back.
 */
#define _GNU_SOURCE /* F_SETPIPE_SZ */
#include "../scratch.h"

#include "demo.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/wait.h>
#include <time.h>

sarsen_error *demo_error;
static scratch place;

void fail(const char *format, ...) {
    va_list values;
    va_start(values, format);
    fflush(stdout);
    fprintf(stderr, "\ndemo: ");
    vfprintf(stderr, format, values);
    fprintf(stderr, "\ndemo: failed. The store is left in %s.\n"
                    "      To try again: make demo. If it happens again it is a bug in sarsen: please report it\n"
                    "      with this output, and keep the directory.\n",
            place.store);
    va_end(values);
    exit(EXIT_FAILURE);
}

void require_ok(sarsen_status status, const char *call) {
    if (status == SARSEN_OK) return;
    const char *message = demo_error != NULL ? sarsen_error_message(demo_error) : "no more is known";
    fail("%s: %s, from %s", sarsen_status_name(status), message, call);
}

double seconds(void) {
    struct timespec now;
    if (clock_gettime(CLOCK_MONOTONIC, &now) != 0) fail("no clock: %s", strerror(errno));
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static sarsen_store *open_store(bool read_only) {
    sarsen_options *options = sarsen_options_new();
    if (options == NULL) fail("out of memory");
    REQUIRE_OK(sarsen_options_set_read_only(options, read_only));
    /* The whole log is kept, so that it can be followed from its first commit. */
    if (!read_only) REQUIRE_OK(sarsen_options_set_log_retention_bytes(options, UINT64_C(1) << 40));
    sarsen_store *store;
    REQUIRE_OK(sarsen_store_open(place.store, options, &store, &demo_error));
    sarsen_options_free(options);
    return store;
}

/* ---- the writer and its end --------------------------------------------------------------------- */

/* The writer, in a process of its own: opens the store and writes until it is killed. */
static _Noreturn void write_until_killed(const sources *all, int acknowledge) {
    sarsen_store *store = open_store(false);
    uint64_t last_seq = sarsen_store_last_seq(store);
    if (last_seq != 0) fail("a new store has %" PRIu64 " commits already", last_seq);
    ingest(store, all, 0, acknowledge);
    _exit(EXIT_SUCCESS);
}

static bool next_acknowledgement(int pipe, acknowledgement *out) {
    ssize_t got;
    do got = read(pipe, out, sizeof *out);
    while (got < 0 && errno == EINTR);
    if (got != 0 && got != (ssize_t)sizeof *out) fail("half an acknowledgement: %s", strerror(errno));
    return got != 0;
}

/* Starts the writer, kills it with SIGKILL once half of the files are acknowledged, returns the last that was. The
 * pipe is as small as they come: the writer can't run far ahead of who aims at it. */
static acknowledgement write_half_and_kill(const sources *all) {
    int ends[2];
    if (pipe(ends) != 0) fail("no pipe: %s", strerror(errno));
    if (fcntl(ends[1], F_SETPIPE_SZ, 4096) < 0) fail("no small pipe: %s", strerror(errno));
    fflush(stdout);
    pid_t writer = fork();
    if (writer < 0) fail("no second process: %s", strerror(errno));
    if (writer == 0) {
        close(ends[0]);
        write_until_killed(all, ends[1]);
    }
    close(ends[1]);

    acknowledgement last = {0}, next;
    bool killed = false;
    while (next_acknowledgement(ends[0], &next)) {
        if (next.id != last.id + 1) fail("file %" PRIu64 " was acknowledged after %" PRIu64, next.id, last.id);
        last = next;
        if (!killed && last.id >= all->file_count / 2) {
            if (kill(writer, SIGKILL) != 0) fail("the writer can't be killed: %s", strerror(errno));
            killed = true;
        }
    }
    close(ends[0]);
    int ended;
    while (waitpid(writer, &ended, 0) < 0)
        if (errno != EINTR) fail("the writer is lost: %s", strerror(errno));
    if (isatty(STDOUT_FILENO)) printf("\n"); /* the bar it was drawing */
    if (!killed) fail("the writer ended by itself after %" PRIu64 " files; its own message is above", last.id);
    if (!WIFSIGNALED(ended) || WTERMSIG(ended) != SIGKILL) fail("the writer was done before it could be killed");
    printf("  killed with SIGKILL after file %" PRIu64 " of %zu was acknowledged\n", last.id, all->file_count);
    return last;
}

/* ---- recovery --------------------------------------------------------------------------------------- */

static const char *verdict_name(uint32_t verdict) {
    switch (verdict) {
    case SARSEN_RECOVERY_CLEAN:
        return "clean";
    case SARSEN_RECOVERY_REPLAYED:
        return "replayed, nothing lost";
    case SARSEN_RECOVERY_TORN_TAIL:
        return "replayed, an unfinished commit at the end cut off";
    default:
        return "damaged";
    }
}

/* Reopens and checks what was found against what had been acknowledged. Returns how many files are there. */
static size_t check_recovery(const sarsen_store *store, const sources *all, acknowledgement last,
                             sarsen_recovery *found) {
    REQUIRE_OK(sarsen_store_recovery(store, found, sizeof *found));
    printf("  verdict: %s\n", verdict_name(found->verdict));
    printf("  newest commit %" PRIu64 ", known to be on stable storage %" PRIu64 "\n", found->last_seq,
           found->proven_seq);
    printf("  %" PRIu64 " commits (%.1f MB) replayed, %" PRIu64 " bytes cut off, in %.1f ms\n", found->replayed_commits,
           (double)found->replayed_bytes / 1e6, found->dropped_bytes, (double)found->elapsed_us / 1e3);

    if (found->verdict >= SARSEN_RECOVERY_DAMAGED) fail("a killed process must not damage a store");
    if (found->last_seq != sarsen_store_last_seq(store)) fail("the verdict and the store name different commits");
    if (found->last_seq < last.id)
        fail("file %" PRIu64 " was acknowledged, the store ends at %" PRIu64, last.id, found->last_seq);
    if (found->last_seq > last.id + 1) fail("commit %" PRIu64 " was never asked for", found->last_seq);
    if (found->proven_seq < last.durable_seq || found->proven_seq > found->last_seq)
        fail("commit %" PRIu64 " had been synced, only %" PRIu64 " is known to be", last.durable_seq,
             found->proven_seq);
    size_t count = (size_t)found->last_seq;
    compare_prefix(store, all, count);
    printf("  all %" PRIu64 " acknowledged files are there, byte for byte%s\n", last.id,
           count > last.id ? ", and the one that was under way" : "");
    return count;
}

/* ---- verification -------------------------------------------------------------------------------------- */

static void verify(const sarsen_store *store) {
    sarsen_report *report;
    REQUIRE_OK(sarsen_store_verify(store, &report, &demo_error));
    const char *file, *what;
    uint64_t offset;
    size_t findings = 0;
    sarsen_status status;
    while ((status = sarsen_report_next(report, &file, &offset, &what)) == SARSEN_OK) {
        fprintf(stderr, "  %s at %" PRIu64 ": %s\n", file != NULL ? file : "store", offset, what);
        findings++;
    }
    if (status != SARSEN_END) REQUIRE_OK(status);
    sarsen_report_free(report);
    if (findings != 0) fail("verify found %zu faults in a store that was never damaged", findings);
}

static uint64_t disk_bytes;

static int add_disk_bytes(const char *path, const struct stat *status, int kind, struct FTW *where) {
    (void)path, (void)kind, (void)where;
    disk_bytes += (uint64_t)status->st_blocks * 512;
    return 0;
}

/* What the store takes on disk, asked of the file system. */
static uint64_t measure_disk(void) {
    disk_bytes = 0;
    if (nftw(place.store, add_disk_bytes, 16, FTW_PHYS) != 0) fail("%s: %s", place.store, strerror(errno));
    return disk_bytes;
}

/* ---- the course -------------------------------------------------------------------------------------------- */

int main(int argc, char **argv) {
    if (argc < 2) {
        fprintf(stderr, "usage: demo SOURCES [DIRECTORY]\n");
        return 2;
    }
    double started = seconds();
    place = scratch_open(argc > 2 ? argv[2] : NULL);
    if (access(place.store, F_OK) == 0) {
        fprintf(stderr, "demo: %s is there already; name another directory or remove it\n", place.store);
        return 2;
    }
    sources all;
    sources_load(&all, argv[1]);
    printf("sarsen %s: %zu files of %zu crates, %.1f MB, into one store\n", sarsen_version(), all.file_count,
           all.crate_count, (double)all.bytes / 1e6);

    printf("\n1. a process writes, one commit a file at SURVIVE_PROCESS, synced every %d files\n", FILES_A_SYNC);
    acknowledgement last = write_half_and_kill(&all);

    printf("\n2. another process opens what is left\n");
    double open_started = seconds();
    sarsen_store *store = open_store(false);
    double open_took = seconds() - open_started;
    sarsen_recovery found;
    size_t present = check_recovery(store, &all, last, &found);

    printf("\n3. and finishes the job from file %zu on\n", present + 1);
    sarsen_stats before, after;
    REQUIRE_OK(sarsen_store_stats(store, &before, sizeof before));
    ingest(store, &all, present, -1);
    REQUIRE_OK(sarsen_store_stats(store, &after, sizeof after));
    uint64_t commits = after.commits - before.commits, syncs = after.syncs - before.syncs;
    if (commits != all.file_count - present)
        fail("the store counts %" PRIu64 " commits for %zu files", commits, all.file_count - present);
    if (syncs == 0) fail("the store counts no sync although it was asked for some");

    printf("\n4. questions, each checked against the list of files\n");
    answer_queries(store, &all);

    printf("\n5. the log, followed from its first commit\n");
    uint64_t commands = compare_log(store, &all);
    printf("  %" PRIu64 " commands in %zu commits, each as it was written\n", commands, all.file_count);

    printf("\n6. every byte, against the files on disk\n");
    double compare_started = seconds();
    compare_prefix(store, &all, all.file_count);
    printf("  %zu files, %" PRIu64 " bytes: identical (%.2f s)\n", all.file_count, all.bytes,
           seconds() - compare_started);
    REQUIRE_OK(sarsen_store_close(store, &demo_error));

    printf("\n7. reopened read-only: read through views, then verified\n");
    store = open_store(true);
    double read_started = seconds();
    uint64_t read_bytes = read_everything(store, &all);
    double read_took = seconds() - read_started;
    double again_started = seconds();
    read_everything(store, &all);
    double again_took = seconds() - again_started;
    verify(store);
    printf("  every checksum holds\n");
    REQUIRE_OK(sarsen_store_close(store, &demo_error));

    uint64_t on_disk = measure_disk();
    printf("\n");
    printf("  files             %zu\n", all.file_count);
    printf("  bytes             %.1f MB\n", (double)all.bytes / 1e6);
    printf("  commits           %zu, one a file, %" PRIu64 " commands\n", all.file_count, commands);
    printf("  commits per sync  %.1f (after the kill: %" PRIu64 " commits, %" PRIu64 " syncs; asked for: %d)\n",
           (double)commits / (double)syncs, commits, syncs, FILES_A_SYNC);
    printf("  time to recover   %.1f ms after the kill, %.1f ms until open returned\n", (double)found.elapsed_us / 1e3,
           open_took * 1e3);
    printf("  disk              %.1f MB, %.2f times the bytes, with the whole log kept\n", (double)on_disk / 1e6,
           (double)on_disk / (double)all.bytes);
    printf("  read back         %.0f MB/s at first, with every checksum; %.0f MB/s the second time\n",
           (double)read_bytes / read_took / 1e6, (double)read_bytes / again_took / 1e6);
    printf("\ndemo: all %zu files came back byte for byte, in %.1f s\n", all.file_count, seconds() - started);
    if (!place.made_here) printf("      the store is in %s\n", place.store);
    sources_free(&all);
    scratch_close(&place);
    return EXIT_SUCCESS;
}
