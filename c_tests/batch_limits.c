/* A commit's commands stay below 1 GiB. Needs some memory, so it is a program of its own. */
#include "check.h"

static uint64_t available_kib(void)
{
    FILE *file = fopen("/proc/meminfo", "r");
    char line[256];
    unsigned long long kib = 0;
    if (file == NULL) return 0;
    while (fgets(line, sizeof line, file) != NULL)
        if (sscanf(line, "MemAvailable: %llu kB", &kib) == 1) break;
    fclose(file);
    return kib;
}

static void commands_of_1_gib_are_too_large(void)
{
    enum { KEY = 65535, VALUE = 1024, COMMANDS = (1 << 30) / KEY + 2 };
    const char *path;
    sarsen_store *store;
    sarsen_batch *batch;
    uint8_t *key;
    size_t added = 0;
    bool refused = false;

    if (available_kib() < 4u << 20) check_skip("needs 4 GiB of memory");
    path = check_path("store");
    store = check_open(path, (check_how){0});
    batch = sarsen_batch_new();
    key = check_filled_new(KEY, 1);
    for (uint32_t i = 0; i < COMMANDS && !refused; i++) {
        memcpy(key, &i, sizeof i);
        CHECK_IN(STATUS_BIT(SARSEN_OK) | STATUS_BIT(SARSEN_TOO_LARGE), sarsen_batch_set_kv(batch, key, KEY, key, VALUE, ERR));
        refused = check_last.status == SARSEN_TOO_LARGE;
        added += !refused;
        CHECK_NUMBER(sarsen_batch_count(batch), added);
    }
    CHECK(added * (KEY + VALUE) > (size_t)900 << 20); /* not refused long before */
    if (!refused) CHECK_IS(SARSEN_TOO_LARGE, sarsen_batch_commit(batch, store, 0, NULL, ERR));
    CHECK_NUMBER(sarsen_batch_count(batch), added);
    CHECK_NUMBER(sarsen_store_last_seq(store), 0);
    sarsen_batch_clear(batch);
    CHECK_OK(sarsen_batch_set_kv(batch, STR("small"), STR("value"), ERR));
    CHECK_OK(sarsen_batch_commit(batch, store, 0, NULL, ERR));
    CHECK_KV(store, NULL, "small", "value");
    sarsen_batch_free(batch);
    free(key);
    check_close(store);
}

static const check_case cases[] = {CASE(commands_of_1_gib_are_too_large)};
CHECK_MAIN(cases)
