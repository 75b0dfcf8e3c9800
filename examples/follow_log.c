/* One process writes, another follows its log: every command, in commit order, with no server between them.
 *
 * The program starts itself a second time. The second process opens the same directory read-only, waits at the
 * end of the log, prints what arrives and ends on the key "closing-bell", whose value says how many commits there
 * were. It fails if one was missed, came twice, out of order or with other contents. First both go in step, to see
 * how long a commit takes to arrive; then the writer runs ahead and the reader has to keep up.
 *
 *   follow_log [directory]
 */
#include "scratch.h"

#include <errno.h>
#include <inttypes.h>
#include <sys/wait.h>
#include <time.h>

enum { COMMITS_IN_STEP = 12, COMMITS = 2000, WAIT_US = 30 * 1000 * 1000 };

#define TEXT(literal) (literal), sizeof(literal) - 1

static sarsen_error *example_error;

static sarsen_options *new_options(bool read_only) {
    sarsen_options *options = sarsen_options_new();
    EXPECT(options != NULL);
    MUST(sarsen_options_set_read_only(options, read_only));
    /* A follower may fall this far behind before the writer lets go of the log under it. */
    if (!read_only) MUST(sarsen_options_set_log_retention_bytes(options, 64u << 20));
    return options;
}

/* What commit number `n` of the run is about: writer and follower both know, so the follower can tell. */
static size_t describe(uint64_t n, char *text, size_t cap) {
    int len = snprintf(text, cap, "stone %" PRIu64 " at %" PRIu64 " kg", n, 25000 + n * 7919 % 5000);
    EXPECT(len > 0 && (size_t)len < cap);
    return (size_t)len;
}

static uint32_t first_kind(uint64_t n) {
    if (n % 4 == 0) return SARSEN_COMMAND_SET_KV;
    return n % 4 == 2 ? SARSEN_COMMAND_APPEND_MEMORY : SARSEN_COMMAND_APPEND_STREAM;
}

/* ---- the follower ---------------------------------------------------------------------------------- */

static void print_command(const sarsen_command *command, const sarsen_tags *tags) {
    printf("  %" PRIu64 "  ", command->seq);
    switch (command->kind) {
    case SARSEN_COMMAND_SET_KV:
        printf("set     %.*s = ", (int)command->key.len, (const char *)command->key.data);
        break;
    case SARSEN_COMMAND_DELETE_KV:
        printf("delete  %.*s", (int)command->key.len, (const char *)command->key.data);
        break;
    case SARSEN_COMMAND_APPEND_STREAM:
        printf("append  %.*s[%" PRIu64 "] ", (int)command->key.len, (const char *)command->key.data, command->id);
        break;
    case SARSEN_COMMAND_APPEND_MEMORY:
        printf("memory  %" PRIu64 " ", command->id);
        for (size_t n = 0; n < sarsen_tags_count(tags); n++) {
            sarsen_bytes tag = sarsen_tags_get(tags, n);
            printf("#%.*s ", (int)tag.len, (const char *)tag.data);
        }
        break;
    default:
        printf("kind %" PRIu32 " ", command->kind);
    }
    printf("%.*s%s\n", (int)command->value.len, (const char *)command->value.data,
           command->last ? "" : "  (more in this commit)");
}

static bool is_closing_bell(const sarsen_command *command) {
    return command->kind == SARSEN_COMMAND_SET_KV && command->key.len == strlen("closing-bell") &&
           memcmp(command->key.data, "closing-bell", command->key.len) == 0;
}

static int follow(const char *path, uint64_t from, int seen) {
    sarsen_options *options = new_options(true);
    sarsen_store *store;
    MUST(sarsen_store_open(path, options, &store, &example_error));
    sarsen_options_free(options);
    sarsen_log_reader *reader;
    MUST(sarsen_log_read(store, from, 0, &reader, &example_error));

    uint64_t commits = 0, commands = 0;
    bool inside = false;
    for (;;) {
        sarsen_command command;
        const sarsen_tags *tags;
        sarsen_status status = sarsen_log_next(reader, WAIT_US, &command, sizeof command, &tags, &example_error);
        if (status == SARSEN_TIMEOUT) {
            fprintf(stderr, "nothing arrived in %d s: is the writer still alive?\n", WAIT_US / 1000000);
            return EXIT_FAILURE;
        }
        MUST(status);
        EXPECT(command.seq == from + commits); /* none missed, none twice */
        if (is_closing_bell(&command)) {
            char count[32];
            int len = snprintf(count, sizeof count, "%" PRIu64, commits);
            EXPECT(command.value.len == (size_t)len && memcmp(command.value.data, count, (size_t)len) == 0);
            break;
        }
        if (!inside) { /* the first command of each commit carries its description */
            char text[64];
            size_t len = describe(commits, text, sizeof text);
            EXPECT(command.kind == first_kind(commits));
            EXPECT(command.value.len == len && memcmp(command.value.data, text, len) == 0);
        }
        if (commits < COMMITS_IN_STEP) print_command(&command, tags);
        commands++;
        inside = !command.last;
        if (command.last) {
            commits++;
            fflush(stdout);
            if (commits <= COMMITS_IN_STEP)
                EXPECT(write(seen, &command.seq, sizeof command.seq) == (ssize_t)sizeof command.seq);
        }
    }
    printf("followed %" PRIu64 " commits, %" PRIu64 " commands, and missed none\n", commits, commands);
    sarsen_log_reader_free(reader);
    MUST(sarsen_store_close(store, &example_error));
    return EXIT_SUCCESS;
}

/* ---- the writer ---------------------------------------------------------------------------------------- */

static pid_t start_follower(const char *program, const char *path, uint64_t from, int *out_seen) {
    int ends[2];
    EXPECT(pipe(ends) == 0);
    char from_text[32], seen_text[32];
    snprintf(from_text, sizeof from_text, "%" PRIu64, from);
    snprintf(seen_text, sizeof seen_text, "%d", ends[1]);
    fflush(stdout);
    pid_t child = fork();
    EXPECT(child >= 0);
    if (child == 0) { /* nothing of the store may be used on this side of fork(), so on to exec() */
        close(ends[0]);
        execl("/proc/self/exe", program, "--follow", path, from_text, seen_text, (char *)NULL);
        perror("exec");
        _exit(EXIT_FAILURE);
    }
    close(ends[1]);
    *out_seen = ends[0];
    return child;
}

static uint64_t write_commit(const sarsen_store *store, sarsen_batch *batch, uint64_t n) {
    char text[64];
    size_t len = describe(n, text, sizeof text);
    switch (n % 4) {
    case 0:
        MUST(sarsen_batch_set_kv(batch, TEXT("heaviest"), text, len, &example_error));
        break;
    case 2: {
        sarsen_tags *tags = sarsen_tags_new();
        MUST(sarsen_tags_add(tags, TEXT("from:wiltshire")));
        MUST(sarsen_batch_append_memory(batch, n, tags, text, len, &example_error));
        sarsen_tags_free(tags);
        break;
    }
    default:
        MUST(sarsen_batch_append_stream(batch, TEXT("deliveries"), text, len, &example_error));
        if (n % 4 == 3) MUST(sarsen_batch_delete_kv(batch, TEXT("heaviest"), &example_error));
    }
    uint64_t seq;
    MUST(sarsen_batch_commit(batch, store, SARSEN_SURVIVE_PROCESS, &seq, &example_error));
    return seq;
}

static uint64_t now_ns(void) {
    struct timespec now;
    EXPECT(clock_gettime(CLOCK_MONOTONIC, &now) == 0);
    return (uint64_t)now.tv_sec * 1000000000u + (uint64_t)now.tv_nsec;
}

static int by_size(const void *left, const void *right) {
    uint64_t a = *(const uint64_t *)left, b = *(const uint64_t *)right;
    return (a > b) - (a < b);
}

static int write_and_be_followed(const char *program, const char *path) {
    sarsen_options *options = new_options(false);
    sarsen_store *store;
    MUST(sarsen_store_open(path, options, &store, &example_error));
    sarsen_options_free(options);

    int seen;
    uint64_t from = sarsen_store_last_seq(store) + 1;
    pid_t follower = start_follower(program, path, from, &seen);
    sarsen_batch *batch = sarsen_batch_new();
    static uint64_t took_ns[COMMITS_IN_STEP];
    for (uint64_t n = 0; n < COMMITS; n++) {
        uint64_t start = now_ns();
        uint64_t seq = write_commit(store, batch, n);
        EXPECT(seq == from + n);
        if (n < COMMITS_IN_STEP) {
            uint64_t seen_seq;
            if (read(seen, &seen_seq, sizeof seen_seq) != (ssize_t)sizeof seen_seq) {
                fprintf(stderr, "the follower gave up at commit %" PRIu64 "; its own message says why\n", seq);
                return EXIT_FAILURE;
            }
            EXPECT(seen_seq == seq);
            took_ns[n] = now_ns() - start;
        }
    }
    char count[32];
    int len = snprintf(count, sizeof count, "%d", COMMITS);
    MUST(sarsen_batch_set_kv(batch, TEXT("closing-bell"), count, (size_t)len, &example_error));
    MUST(sarsen_batch_commit(batch, store, 0, NULL, &example_error));

    int ended;
    while (waitpid(follower, &ended, 0) < 0) EXPECT(errno == EINTR);
    close(seen);
    sarsen_batch_free(batch);
    MUST(sarsen_store_close(store, &example_error));
    qsort(took_ns, COMMITS_IN_STEP, sizeof *took_ns, by_size);
    printf("from commit to print in the other process: %.0f us in the middle of %d\n",
           (double)took_ns[COMMITS_IN_STEP / 2] / 1000, COMMITS_IN_STEP);
    return WIFEXITED(ended) ? WEXITSTATUS(ended) : EXIT_FAILURE;
}

int main(int argc, char **argv) {
    if (argc == 5 && strcmp(argv[1], "--follow") == 0)
        return follow(argv[2], strtoull(argv[3], NULL, 10), (int)strtol(argv[4], NULL, 10));
    scratch place = scratch_open(argc > 1 ? argv[1] : NULL);
    int result = write_and_be_followed(argv[0], place.store);
    scratch_close(&place);
    return result;
}
