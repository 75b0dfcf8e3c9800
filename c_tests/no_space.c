/* A full disk: an ordinary answer that nothing was written with, that reads go on under and that a retry gets
 * past. On a small tmpfs in a mount namespace of a child process; skipped where that is not allowed. */
#include "check.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <unistd.h>

enum { DISK = 24 << 20, BALLAST = 6 << 20, LARGE = 250000 };

static void map_root(const char *file, const char *text)
{
    int out = open(file, O_WRONLY | O_CLOEXEC);
    if (out < 0) return;
    if (write(out, text, strlen(text)) < 0) errno = 0; /* mounting will tell */
    close(out);
}

/* Gives this process a small disk of its own at `directory`. */
static void small_disk(const char *directory)
{
    char options[64], ids[64];
    uid_t user = getuid();
    gid_t group = getgid();
    snprintf(options, sizeof options, "size=%d,mode=0700", DISK);
    CHECK_SYS(mkdir(directory, 0700) == 0);
    if (unshare(CLONE_NEWNS) != 0) {
        if (unshare(CLONE_NEWUSER | CLONE_NEWNS) != 0) _exit(CHECK_SKIPPED);
        map_root("/proc/self/setgroups", "deny");
        snprintf(ids, sizeof ids, "0 %u 1", (unsigned)user);
        map_root("/proc/self/uid_map", ids);
        snprintf(ids, sizeof ids, "0 %u 1", (unsigned)group);
        map_root("/proc/self/gid_map", ids);
    }
    if (mount("none", "/", "none", MS_REC | MS_PRIVATE, "") != 0 ||
        mount("sarsen-test", directory, "tmpfs", 0, options) != 0)
        _exit(CHECK_SKIPPED);
}

static void run_with(void (*body)(void *), void *argument)
{
    int status = check_child(body, argument);
    if (WIFEXITED(status) && WEXITSTATUS(status) == CHECK_SKIPPED)
        check_skip("no tmpfs can be mounted here (neither as root nor in a user namespace)");
    CHECK_NUMBER(status, 0);
}

static void run(void (*body)(void *), const char *path)
{
    run_with(body, (void *)(uintptr_t)path);
}

/* Upkeep that may find the disk full itself. */
static void upkeep(const sarsen_store *store)
{
    bool more = true;
    for (int step = 0; more && step < 10000; step++) {
        CHECK_IN(STATUS_BIT(SARSEN_OK) | STATUS_BIT(SARSEN_NO_SPACE), sarsen_store_maintain(store, 10000, &more, ERR));
        if (check_last.status == SARSEN_NO_SPACE) return;
    }
}

static void fill_ballast(const char *directory)
{
    uint8_t *data = calloc(1, BALLAST);
    check_write_file(check_join(directory, "ballast"), data, BALLAST);
    free(data);
}

static void drop_ballast(const char *directory)
{
    CHECK_SYS(unlink(check_join(directory, "ballast")) == 0);
}

static size_t size_of(uint64_t n)
{
    return n % 7 == 0 ? 150000 : 9000;
}

static sarsen_status write_one(const sarsen_store *store, sarsen_batch *batch, uint64_t n)
{
    uint8_t *data = check_filled_new(size_of(n), n);
    CHECK_OK(sarsen_batch_set_kv(batch, STR("counter"), &n, sizeof n, ERR));
    CHECK_OK(sarsen_batch_append_memory(batch, n, NULL, data, size_of(n), ERR));
    CHECK_OK(sarsen_batch_append_stream(batch, STR("s"), &n, sizeof n, ERR));
    free(data);
    CHECK_IN(STATUS_BIT(SARSEN_OK) | STATUS_BIT(SARSEN_NO_SPACE),
             sarsen_batch_commit(batch, store, n % 3 == 0 ? SARSEN_SURVIVE_POWER : SARSEN_SURVIVE_PROCESS, NULL, ERR));
    if (check_last.status == SARSEN_NO_SPACE) {
        CHECK_NUMBER(sarsen_batch_count(batch), 3);
        sarsen_batch_clear(batch);
        return SARSEN_NO_SPACE;
    }
    return SARSEN_OK;
}

static void holds(const sarsen_store *store, uint64_t last, uint64_t gone_below)
{
    sarsen_view view;
    CHECK_OK(sarsen_kv_get(store, NULL, STR("counter"), &view, ERR));
    CHECK_BYTES(view.data, view.len, &last, sizeof last);
    sarsen_view_release(&view);
    CHECK_STREAM(store, NULL, "s", 0, last);
    for (uint64_t n = 1; n <= last; n++) {
        CHECK_IS(n < gone_below ? SARSEN_NOT_FOUND : SARSEN_OK, sarsen_memory_get(store, NULL, n, &view, ERR));
        if (n >= gone_below) CHECK_FILLED(view.data, view.len, size_of(n), n);
        sarsen_view_release(&view);
    }
}

/* The first commit that does not fit. */
static uint64_t write_until_full(const sarsen_store *store, sarsen_batch *batch)
{
    uint64_t n = 1;
    while (write_one(store, batch, n) == SARSEN_OK) {
        n++;
        CHECK(n < 10000);
    }
    return n;
}

/* Once there is room again, which upkeep may have to make. */
static void write_after_upkeep(const sarsen_store *store, sarsen_batch *batch, uint64_t n)
{
    for (int tries = 0; write_one(store, batch, n) != SARSEN_OK; tries++) {
        CHECK(tries < 20);
        upkeep(store);
    }
}

/* What is there now is there after closing and opening; then closes. */
static void holds_reopened(sarsen_store *store, const char *path, uint64_t last, uint64_t gone_below)
{
    holds(store, last, gone_below);
    check_sound(store);
    store = check_reopen(store, path, (check_how){0});
    holds(store, last, gone_below);
    check_sound(store);
    check_close(store);
}

static void body_refused_then_retried(void *argument)
{
    const char *disk = argument, *path = check_join(disk, "store");
    sarsen_store *store;
    sarsen_batch *batch = sarsen_batch_new();
    uint64_t n;
    small_disk(disk);
    fill_ballast(disk);
    store = check_open(path, (check_how){.chunk_bytes = 4 << 20, .memory_bytes = 2 << 20});
    n = write_until_full(store, batch);
    CHECK_NUMBER(sarsen_store_last_seq(store), n - 1);
    for (int again = 0; again < 3; again++) {
        if (write_one(store, batch, n) == SARSEN_OK) n++; /* a little may fit now and then */
        holds(store, n - 1, 0);
        CHECK_NUMBER(sarsen_store_last_seq(store), n - 1);
    }
    drop_ballast(disk);
    for (int more = 0; more < 100; more++, n++) { /* a retry gets past it */
        write_after_upkeep(store, batch, n);
        if (n % 40 == 0) CHECK_IN(STATUS_BIT(SARSEN_OK) | STATUS_BIT(SARSEN_NO_SPACE), sarsen_store_checkpoint(store, ERR));
    }
    holds_reopened(store, path, n - 1, 0);
    sarsen_batch_free(batch);
}

static void nothing_is_written_reads_go_on_and_a_retry_succeeds(void)
{
    run(body_refused_then_retried, check_path("disk"));
}

/* A disk that is full of live data: what is deleted, step by step, makes room for more. */
static void body_deleting_makes_room(void *argument)
{
    const char *disk = argument, *path = check_join(disk, "store");
    sarsen_store *store;
    sarsen_batch *batch = sarsen_batch_new();
    uint64_t n, gone;
    small_disk(disk);
    store = check_open(path, (check_how){.chunk_bytes = 1 << 20, .memory_bytes = 2 << 20});
    n = write_until_full(store, batch);
    gone = (n - 1) * 2 / 3;
    for (uint64_t id = 1; id < gone; id++) CHECK_OK(sarsen_memory_delete(store, id, ERR));
    for (uint64_t more = 0; more < 50; more++) write_after_upkeep(store, batch, n + more);
    holds_reopened(store, path, n + 49, gone);
    sarsen_batch_free(batch);
}

static void deleting_works_on_a_full_disk_and_makes_room(void)
{
    run(body_deleting_makes_room, check_path("disk"));
}

static void body_closed_full(void *argument)
{
    const char *disk = argument, *path = check_join(disk, "store");
    sarsen_store *store;
    sarsen_batch *batch = sarsen_batch_new();
    uint64_t n;
    small_disk(disk);
    fill_ballast(disk);
    store = check_open(path, (check_how){.memory_bytes = 2 << 20});
    n = write_until_full(store, batch);
    /* Whatever closing can do here, nothing committed is lost by it, and opening needs no space. */
    CHECK_IN(STATUS_BIT(SARSEN_OK) | STATUS_BIT(SARSEN_NO_SPACE), sarsen_store_close(store, ERR));
    store = check_open(path, (check_how){.no_create = true});
    holds(store, n - 1, 0);
    check_sound(store);
    drop_ballast(disk);
    CHECK_NUMBER(write_one(store, batch, n), SARSEN_OK);
    holds(store, n, 0);
    check_close(store);
    store = check_open(path, (check_how){.no_create = true});
    holds(store, n, 0);
    check_close(store);
    sarsen_batch_free(batch);
}

static void a_store_on_a_full_disk_closes_and_opens(void)
{
    run(body_closed_full, check_path("disk"));
}

static void body_no_room_to_create(void *argument)
{
    const char *disk = argument;
    sarsen_store *store = NULL;
    struct statvfs space;
    uint8_t *data;
    size_t len;
    FILE *file;
    small_disk(disk);
    CHECK_SYS(statvfs(disk, &space) == 0);
    len = (size_t)(space.f_bavail * space.f_frsize);
    data = calloc(1, len);
    file = fopen(check_join(disk, "ballast"), "wb");
    CHECK_SYS(file != NULL && fwrite(data, 1, len, file) == len && fclose(file) == 0);
    free(data);
    CHECK_IS(SARSEN_NO_SPACE, sarsen_store_open(check_join(disk, "store"), NULL, &store, ERR));
    CHECK(store == NULL);
    drop_ballast(disk);
    store = check_open(check_join(disk, "store"), (check_how){0}); /* the failed one is not in the way */
    check_set(store, "key", "value");
    check_close(store);
}

static void creating_on_a_full_disk_is_refused_and_can_be_retried(void)
{
    run(body_no_room_to_create, check_path("disk"));
}

/* Large blocks, of which a commit has written some by the time that it is refused. */
static sarsen_status write_large(const sarsen_store *store, sarsen_batch *batch, uint64_t first, uint64_t count)
{
    uint8_t *data = check_filled_new(LARGE, first);
    sarsen_batch_clear(batch);
    for (uint64_t n = 0; n < count; n++) CHECK_OK(sarsen_batch_append_memory(batch, first + n, NULL, data, LARGE, ERR));
    free(data);
    CHECK_IN(STATUS_BIT(SARSEN_OK) | STATUS_BIT(SARSEN_NO_SPACE),
             sarsen_batch_commit(batch, store, SARSEN_SURVIVE_PROCESS, NULL, ERR));
    return check_last.status;
}

static uint64_t free_bytes(const char *disk)
{
    struct statvfs space;
    CHECK_SYS(statvfs(disk, &space) == 0);
    return space.f_bavail * space.f_frsize;
}

typedef struct refusals {
    const char *disk;
    bool background;
} refusals;

/* What was written for nothing comes back while nobody deletes anything, and the same handle goes on. */
static void body_refused_large(void *argument)
{
    const refusals *wanted = argument;
    const char *path = check_join(wanted->disk, "store");
    sarsen_batch *batch = sarsen_batch_new();
    sarsen_view view;
    small_disk(wanted->disk);
    check_how how = {.chunk_bytes = 4 << 20, .memory_bytes = 2 << 20, .background = wanted->background};
    sarsen_store *store = check_open(path, how);
    CHECK_NUMBER(write_large(store, batch, 0, 10), SARSEN_OK);
    for (int round = 0; round < 5; round++) {
        CHECK_NUMBER(write_large(store, batch, 10, 100), SARSEN_NO_SPACE);
        CHECK_NUMBER(sarsen_store_last_seq(store), 1);
        if (wanted->background)
            while (free_bytes(wanted->disk) < 30 * LARGE) sched_yield(); /* CTest ends a hang */
        else
            upkeep(store);
        CHECK(free_bytes(wanted->disk) >= 30 * LARGE);
    }
    CHECK_NUMBER(write_large(store, batch, 10, 20), SARSEN_OK);
    check_sound(store);
    store = check_reopen(store, path, (check_how){0});
    for (uint64_t n = 0; n < 30; n++) {
        CHECK_OK(sarsen_memory_get(store, NULL, n, &view, ERR));
        CHECK_FILLED(view.data, view.len, LARGE, n < 10 ? 0 : 10);
        sarsen_view_release(&view);
    }
    check_sound(store);
    check_close(store);
    sarsen_batch_free(batch);
}

static void large_blocks_of_refused_commits_make_room_again(void)
{
    refusals by_hand = {check_path("disk"), false}, by_thread = {check_path("disk-2"), true};
    run_with(body_refused_large, &by_hand);
    run_with(body_refused_large, &by_thread);
}

static const check_case cases[] = {
    CASE(nothing_is_written_reads_go_on_and_a_retry_succeeds),
    CASE(deleting_works_on_a_full_disk_and_makes_room),
    CASE(a_store_on_a_full_disk_closes_and_opens),
    CASE(large_blocks_of_refused_commits_make_room_again),
    CASE(creating_on_a_full_disk_is_refused_and_can_be_retried),
};
CHECK_MAIN(cases)
