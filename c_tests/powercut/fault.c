/* A writer for faults.sh, which lets one of its system calls fail, and the check of what it leaves.
 *
 *   powercut_fault write STORE ACKNOWLEDGED   commits until done or until a failure can't be got past
 *   powercut_fault check STORE ACKNOWLEDGED   all that was acknowledged is there, each commit whole
 *   powercut_fault lie STORE ACKNOWLEDGED     control: claims two commits more than there were
 *
 * Commit n sets a key, a memory and a stream record, and every fourth writes a large block. NO_SPACE is tried again: what
 * failed once succeeds. After IO or POISONED writing ends, since only a new opening knows what is there; reads go on.
 */
#include "../check.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

enum { COMMITS = 60, LARGE = 100 << 10 };

static size_t size_of(uint64_t n)
{
    return n % 4 == 0 ? LARGE : 40 + n * 37 % 5000;
}

static sarsen_status commit(const sarsen_store *store, sarsen_batch *batch, uint64_t n)
{
    uint8_t *data = check_filled_new(size_of(n), n);
    CHECK_OK(sarsen_batch_set_kv(batch, &n, sizeof n, &n, sizeof n, ERR));
    CHECK_OK(sarsen_batch_append_memory(batch, n, NULL, data, size_of(n), ERR));
    CHECK_OK(sarsen_batch_append_stream(batch, STR("s"), &n, sizeof n, ERR));
    free(data);
    CHECK_IN(STATUS_BIT(SARSEN_OK) | STATUS_BIT(SARSEN_NO_SPACE) | STATUS_BIT(SARSEN_IO) | STATUS_BIT(SARSEN_POISONED),
             sarsen_batch_commit(batch, store, n % 3 == 0 ? SARSEN_SURVIVE_PROCESS : SARSEN_SURVIVE_POWER, NULL, ERR));
    if (check_last.status != SARSEN_OK) sarsen_batch_clear(batch);
    return check_last.status;
}

static void check_commit(const sarsen_store *store, uint64_t n)
{
    sarsen_view view;
    CHECK_OK(sarsen_kv_get(store, NULL, &n, sizeof n, &view, ERR));
    CHECK_BYTES(view.data, view.len, &n, sizeof n);
    sarsen_view_release(&view);
    CHECK_OK(sarsen_memory_get(store, NULL, n, &view, ERR));
    CHECK_FILLED(view.data, view.len, size_of(n), n);
    sarsen_view_release(&view);
    CHECK_OK(sarsen_stream_get(store, NULL, STR("s"), n - 1, &view, ERR));
    CHECK_BYTES(view.data, view.len, &n, sizeof n);
    sarsen_view_release(&view);
}

/* The number of the newest acknowledged commit, in a file that needs no system call to be written to. */
static volatile uint64_t *acknowledged_at(const char *path)
{
    int file = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    CHECK_SYS(file >= 0 && ftruncate(file, 8) == 0);
    void *map = mmap(NULL, 8, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
    CHECK_SYS(map != MAP_FAILED);
    close(file);
    return map;
}

static bool refuses(sarsen_status status)
{
    return status == SARSEN_IO || status == SARSEN_POISONED;
}

static void write_all(const char *path, volatile uint64_t *acknowledged)
{
    const uint32_t expected =
        STATUS_BIT(SARSEN_OK) | STATUS_BIT(SARSEN_NO_SPACE) | STATUS_BIT(SARSEN_IO) | STATUS_BIT(SARSEN_POISONED);
    sarsen_batch *batch = sarsen_batch_new();
    sarsen_store *store = NULL;
    sarsen_options *options = check_options((check_how){.chunk_bytes = 256 << 10, .memory_bytes = 256 << 10});
    CHECK_IN(expected, sarsen_store_open(path, options, &store, ERR));
    sarsen_options_free(options);
    if (store == NULL) return;
    for (uint64_t n = 1; n <= COMMITS; n++) {
        sarsen_status status = SARSEN_NO_SPACE;
        for (int tries = 0; tries < 3 && status == SARSEN_NO_SPACE; tries++) status = commit(store, batch, n);
        if (status != SARSEN_OK) {
            CHECK(refuses(status)); /* a disk that was full once is got past */
            break;
        }
        *acknowledged = n;
        if (n % 20 == 0) CHECK_IN(expected, sarsen_store_compact(store, ERR));
        else if (n % 10 == 0) CHECK_IN(expected, sarsen_store_checkpoint(store, ERR));
    }
    for (uint64_t n = 1; n <= *acknowledged; n++) check_commit(store, n);
    sarsen_batch_free(batch);
    CHECK_IN(expected, sarsen_store_close(store, ERR));
}

int main(int argc, char **argv)
{
    CHECK(argc == 4);
    volatile uint64_t *acknowledged = acknowledged_at(argv[3]);
    if (strcmp(argv[1], "write") == 0) {
        write_all(argv[2], acknowledged);
        return 0;
    }
    if (strcmp(argv[1], "lie") == 0) {
        *acknowledged += 2;
        return 0;
    }
    sarsen_store *store = check_open(argv[2], (check_how){0});
    uint64_t last = sarsen_store_last_seq(store);
    CHECK(last >= *acknowledged && last <= *acknowledged + 1);
    for (uint64_t n = 1; n <= last; n++) check_commit(store, n);
    check_sound(store);
    sarsen_batch *batch = sarsen_batch_new();
    CHECK_NUMBER(commit(store, batch, last + 1), SARSEN_OK);
    CHECK_OK(sarsen_store_sync(store, ERR));
    sarsen_batch_free(batch);
    check_close(store);
    return 0;
}
