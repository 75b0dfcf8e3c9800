/* What strace_commit.sh traces: commits between two marks, by the main thread.
 *
 *   strace_commit process STORE   64 MiB of small commits that survive the process, with the background thread
 *   strace_commit power STORE     200 commits that survive power loss
 *
 * The marks are access() calls of names that strace shows. */
#include "check.h"

#include <unistd.h>

enum { VALUE = 100, BYTES = 64 << 20, POWER_COMMITS = 200 };

int main(int argc, char **argv)
{
    sarsen_options *options = sarsen_options_new();
    sarsen_store *store = NULL;
    sarsen_stats before, after;
    uint8_t value[VALUE];
    uint64_t commits = POWER_COMMITS;
    bool power;

    if (argc != 3) return 2;
    if (check_instrumented()) check_skip("a sanitizer makes system calls of its own");
    power = strcmp(argv[1], "power") == 0;
    CHECK_OK(sarsen_options_set_durability(options, power ? SARSEN_SURVIVE_POWER : SARSEN_SURVIVE_PROCESS));
    CHECK_OK(sarsen_store_open(argv[2], options, &store, ERR));
    sarsen_options_free(options);
    check_fill(value, sizeof value, 1);
    CHECK_OK(sarsen_kv_set(store, STR("first"), value, sizeof value, ERR)); /* pays for this opening's manifest */

    CHECK_OK(sarsen_store_stats(store, &before, sizeof before));
    CHECK(access("/sarsen-mark-begin", F_OK) != 0);
    if (power) {
        for (uint64_t i = 0; i < commits; i++) CHECK_OK(sarsen_kv_set(store, &i, sizeof i, value, sizeof value, ERR));
    } else {
        for (commits = 0; commits < BYTES / VALUE; commits++) {
            uint64_t key = commits % 10000;
            CHECK_OK(sarsen_kv_set(store, &key, sizeof key, value, sizeof value, ERR));
        }
    }
    CHECK(access("/sarsen-mark-end", F_OK) != 0);
    CHECK_OK(sarsen_store_stats(store, &after, sizeof after));
    CHECK(after.bytes_appended - before.bytes_appended >= commits * VALUE);
    printf("commits %llu appended %llu stalls_us %llu\n", (unsigned long long)commits, (unsigned long long)(after.bytes_appended - before.bytes_appended),
           (unsigned long long)(after.stalls_us - before.stalls_us));
    check_close(store);
    return 0;
}
