/* Damage: what verify reports, what reads and opening answer, the recovery verdicts, and salvage. Bytes that were
 * damaged are never handed out, and never cut off silently once they had been durable. */
#include "check.h"

#include <dirent.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

static void copy_tree(const char *from, const char *to)
{
    DIR *entries = opendir(from);
    struct dirent *entry;
    CHECK_SYS(entries != NULL);
    CHECK_SYS(mkdir(to, 0700) == 0);
    while ((entry = readdir(entries)) != NULL) {
        const char *source, *target;
        struct stat info;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        source = check_join(from, entry->d_name);
        target = check_join(to, entry->d_name);
        CHECK_SYS(lstat(source, &info) == 0);
        if (S_ISDIR(info.st_mode)) {
            copy_tree(source, target);
        } else {
            size_t len = 0;
            uint8_t *data = check_read_file(source, &len);
            check_write_file(target, data, len);
            CHECK_SYS(chmod(target, 0600) == 0);
            free(data);
        }
    }
    closedir(entries);
}

/* Every regular file below a directory, as paths. */
static size_t list_files(const char *directory, const char **out, size_t limit)
{
    DIR *entries = opendir(directory);
    struct dirent *entry;
    size_t count = 0;
    CHECK_SYS(entries != NULL);
    while ((entry = readdir(entries)) != NULL) {
        const char *path;
        struct stat info;
        if (strcmp(entry->d_name, ".") == 0 || strcmp(entry->d_name, "..") == 0) continue;
        path = check_join(directory, entry->d_name);
        CHECK_SYS(lstat(path, &info) == 0);
        if (S_ISDIR(info.st_mode)) {
            count += list_files(path, out + count, limit - count);
        } else {
            CHECK(count < limit);
            out[count++] = path;
        }
    }
    closedir(entries);
    return count;
}

static void flip_byte(const char *path, off_t at, uint8_t mask)
{
    uint8_t byte;
    int file = open(path, O_RDWR | O_CLOEXEC);
    CHECK_SYS(file >= 0);
    CHECK_SYS(pread(file, &byte, 1, at) == 1);
    byte ^= mask;
    CHECK_SYS(pwrite(file, &byte, 1, at) == 1);
    CHECK_SYS(close(file) == 0);
}

/* How many findings name a file that starts with `where`; every finding must name a file and say something. */
static size_t findings(const sarsen_store *store, const char *where)
{
    sarsen_report *report = NULL;
    const char *file = NULL, *what = NULL;
    uint64_t offset = 0;
    size_t count = 0;
    CHECK_OK(sarsen_store_verify(store, &report, ERR));
    for (;;) {
        sarsen_status status = sarsen_report_next(report, &file, &offset, &what);
        if (status == SARSEN_END) break;
        CHECK_NUMBER(status, SARSEN_OK);
        CHECK(file != NULL && file[0] != '\0' && file[0] != '/');
        CHECK(what != NULL && what[0] != '\0');
        if (strncmp(file, where, strlen(where)) == 0) count++;
    }
    CHECK_NUMBER(sarsen_report_next(report, &file, &offset, &what), SARSEN_END);
    sarsen_report_free(report);
    return count;
}

static void a_sound_store_has_no_findings(void)
{
    sarsen_store *store = check_open(check_path("store"), (check_how){0});
    sarsen_report *report = NULL;
    check_sound(store);
    for (uint64_t i = 0; i < 200; i++) {
        size_t size = check_sizes[i % (check_sizes_count - 1)];
        uint8_t *data = check_filled_new(size, i);
        CHECK_OK(sarsen_kv_set(store, &i, sizeof i, data, size, ERR));
        CHECK_OK(sarsen_memory_append(store, i % 20, NULL, data, size, ERR));
        free(data);
        if (i % 67 == 66) check_sound(store);
        if (i % 90 == 89) CHECK_OK(sarsen_store_checkpoint(store, ERR));
    }
    check_sound(store);
    CHECK_OK(sarsen_store_compact(store, ERR));
    check_sound(store);
    CHECK_OK(sarsen_store_verify(store, &report, ERR));
    check_close(store);
    CHECK_NUMBER(sarsen_report_next(report, NULL, NULL, NULL), SARSEN_END); /* a report stands on its own */
    sarsen_report_free(report);
    sarsen_report_free(NULL);
}

/* Log that only followers need: the store is whole without it, and verify looks at it all the same. */
static void damage_to_log_that_is_kept_is_found(void)
{
    const check_how keeping = {.log_retention_bytes = 64 << 20};
    const char *path = check_path("store"), *segment;
    sarsen_store *store = check_open(path, keeping);
    uint8_t value[100], *data;
    size_t len, at = 0;
    for (uint64_t i = 0; i < 60; i++) {
        check_fill(value, sizeof value, i);
        CHECK_OK(sarsen_kv_set(store, &i, sizeof i, value, sizeof value, ERR));
    }
    CHECK_OK(sarsen_store_checkpoint(store, ERR));
    check_sound(store);
    check_close(store);
    segment = check_join(path, "log/00000001.log");
    data = check_read_file(segment, &len);
    check_fill(value, sizeof value, 30);
    while (at + sizeof value <= len && memcmp(data + at, value, sizeof value) != 0) at++;
    CHECK(at + sizeof value <= len);
    free(data);
    flip_byte(segment, (off_t)at + 50, 1);
    store = check_open(path, keeping);
    CHECK_NUMBER(findings(store, "log/00000001.log"), 1);
    for (uint64_t i = 0; i < 60; i++) {
        sarsen_view view;
        CHECK_OK(sarsen_kv_get(store, NULL, &i, sizeof i, &view, ERR));
        CHECK_FILLED(view.data, view.len, 100, i);
        sarsen_view_release(&view);
    }
    check_close(store);
}

/* One stored value damaged on disk: its readers get CORRUPT with the place, all others what is theirs. */
static void damaged_bytes_are_never_handed_out(void)
{
    const size_t sizes[] = {40, 3000, 40000, 200000};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        char name[16];
        const char *path;
        size_t size = sizes[i];
        sarsen_store *store;
        sarsen_view view;
        sarsen_kv_iter *iter = NULL;
        sarsen_bytes key, value;
        uint8_t *bad = check_filled_new(size, 77), *good = check_filled_new(size, 78), *buffer = malloc(size);
        size_t len = 0;

        snprintf(name, sizeof name, "store-%zu", i);
        path = check_path(name);
        store = check_open(path, (check_how){0});
        CHECK_OK(sarsen_kv_set(store, STR("bad"), bad, size, ERR));
        CHECK_OK(sarsen_kv_set(store, STR("good"), good, size, ERR));
        CHECK_OK(sarsen_stream_append(store, STR("s"), bad, size, NULL, ERR));
        check_close(store);
        CHECK(check_find_bytes(path, "blocks", bad, 40, true) + check_find_bytes(path, "index", bad, 40, true) >= 1);

        store = check_open(path, (check_how){.check = i % 2 == 0 ? SARSEN_CHECK_FIRST_TOUCH : SARSEN_CHECK_EVERY_READ});
        CHECK(findings(store, "blocks/") + findings(store, "index/") >= 1);
        for (int round = 0; round < 2; round++) {
            memset(&view, 0xa5, sizeof view);
            CHECK_IS(SARSEN_CORRUPT, sarsen_kv_get(store, NULL, STR("bad"), &view, ERR));
            CHECK(view.data == NULL);
            CHECK(check_last.file[0] != '\0');
            CHECK(strncmp(check_last.file, "blocks/", 7) == 0 || strncmp(check_last.file, "index/", 6) == 0);
            memset(buffer, 0, size);
            CHECK_IS(SARSEN_CORRUPT, sarsen_kv_read(store, NULL, STR("bad"), buffer, size, &len, ERR));
            CHECK_NUMBER(len, 0);
            CHECK_IS(SARSEN_CORRUPT, sarsen_stream_get(store, NULL, STR("s"), 0, &view, ERR));
            CHECK_OK(sarsen_kv_scan(store, NULL, NONE, NONE, false, &iter, ERR));
            CHECK_IS(SARSEN_CORRUPT, sarsen_kv_iter_next(iter, &key, &value, ERR));
            sarsen_kv_iter_free(iter);
        }
        if (size >= 40000) { /* not in the same page as the damage */
            CHECK_OK(sarsen_kv_get(store, NULL, STR("good"), &view, ERR));
            CHECK_BYTES(view.data, view.len, good, size);
            sarsen_view_release(&view);
        }
        CHECK_OK(sarsen_kv_set(store, STR("new"), STR("value"), ERR)); /* the rest goes on */
        CHECK_KV(store, NULL, "new", "value");
        CHECK_IN(STATUS_BIT(SARSEN_OK) | STATUS_BIT(SARSEN_CORRUPT), sarsen_store_close(store, ERR));
        free(bad);
        free(good);
        free(buffer);
    }
}

/* Between large blocks there may be unused space, so a head that is gone looks like it; the index knows better. */
static void a_loose_block_whose_head_is_gone_is_damage_and_can_be_freed(void)
{
    const size_t sizes[] = {100, 200000};
    for (size_t i = 0; i < COUNT_OF(sizes); i++) {
        const char *path = check_path("store");
        char file[32];
        sarsen_store *store = check_open(path, (check_how){0});
        sarsen_batch *batch = sarsen_batch_new();
        sarsen_block block, other, forged;
        sarsen_view view;
        uint8_t *data = check_filled_new(sizes[i], i);
        CHECK_OK(sarsen_block_append(store, data, sizes[i], &block, ERR));
        CHECK_OK(sarsen_block_append(store, data, sizes[i], &other, ERR));
        CHECK_OK(sarsen_store_checkpoint(store, ERR));
        check_close(store);
        snprintf(file, sizeof file, "blocks/chunk_%04u.bin", (unsigned)block.chunk);
        for (int byte = 0; byte < 4; byte++) /* of the magic: it is zero then */
            flip_byte(check_join(path, file), (off_t)block.offset + byte, (uint8_t)(sizes[i] < 65536 ? "SBLK" : "LBLK")[byte]);
        store = check_open(path, (check_how){0});
        CHECK_IS(SARSEN_CORRUPT, sarsen_block_view(store, &block, 0, block.len, &view, ERR));
        CHECK_IS(SARSEN_CORRUPT, sarsen_block_read(store, &block, 0, data, sizes[i], ERR));
        CHECK_OK(sarsen_batch_append_stream_block(batch, STR("stream"), &block, ERR));
        CHECK_IS(SARSEN_CORRUPT, sarsen_batch_commit(batch, store, 0, NULL, ERR));
        CHECK(findings(store, file) > 0);
        forged = other; /* a whole block of another length is there: no damage */
        forged.len--;
        CHECK_IS(SARSEN_NOT_FOUND, sarsen_block_view(store, &forged, 0, forged.len, &view, ERR));
        CHECK_OK(sarsen_block_view(store, &other, 0, other.len, &view, ERR));
        CHECK_FILLED(view.data, view.len, sizes[i], i);
        sarsen_view_release(&view);
        CHECK_OK(sarsen_block_free(store, &block, ERR));
        CHECK_IS(SARSEN_NOT_FOUND, sarsen_block_view(store, &block, 0, block.len, &view, ERR));
        if (sizes[i] > 65536) CHECK_NUMBER(findings(store, ""), 0);
        check_close(store);
        check_remove_tree(path);
        sarsen_batch_free(batch);
        free(data);
    }
}

/* ---- the log ------------------------------------------------------------------------------------------ */

typedef struct killed {
    const char *path;
    uint32_t levels[6]; /* of commits 1..6; 0: no more */
} killed;

static void text_of(uint64_t n, char text[64])
{
    snprintf(text, 64, "the value of commit %llu, found again in the log", (unsigned long long)n);
}

static void commit_and_die(void *argument)
{
    killed *plan = argument;
    sarsen_store *store = check_open(plan->path, (check_how){0});
    sarsen_batch *batch = sarsen_batch_new();
    for (uint64_t n = 1; n <= 6 && plan->levels[n - 1] != 0; n++) {
        char text[64];
        text_of(n, text);
        CHECK_OK(sarsen_batch_set_kv(batch, &n, sizeof n, text, strlen(text), ERR));
        CHECK_OK(sarsen_batch_commit(batch, store, plan->levels[n - 1], NULL, ERR));
    }
    kill(getpid(), SIGKILL);
}

enum { PROCESS = SARSEN_SURVIVE_PROCESS, POWER = SARSEN_SURVIVE_POWER };

static void damage_commit(const char *path, uint64_t n)
{
    char text[64];
    text_of(n, text);
    CHECK_NUMBER(check_find_bytes(path, "log", text, strlen(text), true), 1);
}

static void holds_exactly(const sarsen_store *store, uint64_t last)
{
    CHECK_NUMBER(sarsen_store_last_seq(store), last);
    for (uint64_t n = 1; n <= 6; n++) {
        char text[64];
        sarsen_view view;
        text_of(n, text);
        CHECK_IS(n <= last ? SARSEN_OK : SARSEN_NOT_FOUND, sarsen_kv_get(store, NULL, &n, sizeof n, &view, ERR));
        if (n <= last) CHECK_BYTES(view.data, view.len, text, strlen(text));
        sarsen_view_release(&view);
    }
}

static void a_torn_tail_that_was_never_durable_is_cut_off_and_told(void)
{
    const uint64_t damaged[] = {6, 4, 3};
    for (size_t i = 0; i < COUNT_OF(damaged); i++) {
        char name[16];
        killed plan = {NULL, {PROCESS, POWER, PROCESS, PROCESS, PROCESS, PROCESS}};
        sarsen_store *store;
        sarsen_recovery recovery;
        uint64_t before;
        snprintf(name, sizeof name, "store-%zu", i);
        plan.path = check_path(name);
        CHECK_KILLED(commit_and_die, &plan);
        damage_commit(plan.path, damaged[i]);
        before = check_tree_digest(plan.path);
        for (int round = 0; round < 2; round++) {
            store = check_open(plan.path, (check_how){.no_create = true, .read_only = round == 0});
            CHECK_NUMBER(check_tree_digest(plan.path), before); /* recovery writes nothing */
            CHECK_OK(sarsen_store_recovery(store, &recovery, sizeof recovery));
            CHECK_NUMBER(recovery.verdict, SARSEN_RECOVERY_TORN_TAIL);
            CHECK_NUMBER(recovery.last_seq, damaged[i] - 1);
            CHECK_NUMBER(recovery.proven_seq, 2);
            CHECK(recovery.dropped_bytes > 0);
            holds_exactly(store, damaged[i] - 1); /* nothing behind the hole is applied */
            if (round == 0) check_close(store);
        }
        /* What was cut off does not come back when others take its place. */
        for (uint64_t n = damaged[i]; n <= 4; n++) {
            char text[64];
            text_of(n, text);
            CHECK_OK(sarsen_kv_set(store, &n, sizeof n, text, strlen(text), ERR));
        }
        store = check_reopen(store, plan.path, (check_how){0});
        holds_exactly(store, damaged[i] <= 4 ? 4 : damaged[i] - 1);
        check_sound(store);
        check_close(store);
    }
}

static void damage_to_durable_commits_is_an_error_until_salvaged(void)
{
    for (uint64_t damaged = 1; damaged <= 3; damaged++) {
        char name[16];
        killed plan = {NULL, {PROCESS, POWER, POWER, POWER, PROCESS, 0}};
        sarsen_options *options = check_options((check_how){.no_create = true});
        sarsen_store *store = NULL;
        sarsen_recovery recovery;
        uint64_t before;
        snprintf(name, sizeof name, "store-%u", (unsigned)damaged);
        plan.path = check_path(name);
        CHECK_KILLED(commit_and_die, &plan);
        damage_commit(plan.path, damaged);
        before = check_tree_digest(plan.path);
        for (int round = 0; round < 2; round++) {
            CHECK_IS(SARSEN_CORRUPT, sarsen_store_open(plan.path, options, &store, ERR));
            CHECK(store == NULL);
            CHECK(strncmp(check_last.file, "log/", 4) == 0);
            CHECK(damaged == 1 || check_last.offset > 0); /* the first frame starts the segment */
            CHECK_NUMBER(check_last.first_seq, damaged);
            CHECK(check_last.last_seq >= damaged && check_last.last_seq <= 5);
            CHECK_NUMBER(check_tree_digest(plan.path), before);
            CHECK_OK(sarsen_options_set_read_only(options, true));
        }
        sarsen_options_free(options);
        store = check_open(plan.path, (check_how){.no_create = true, .salvage = true});
        CHECK_OK(sarsen_store_recovery(store, &recovery, sizeof recovery));
        CHECK_NUMBER(recovery.verdict, SARSEN_RECOVERY_DAMAGED);
        CHECK_NUMBER(recovery.last_seq, damaged - 1);
        CHECK(recovery.proven_seq >= 4);
        holds_exactly(store, damaged - 1);
        CHECK_OK(sarsen_store_backup(store, NULL, check_join(plan.path, "../saved"), ERR));
        CHECK_IS(SARSEN_READ_ONLY, sarsen_kv_set(store, STR("key"), STR("value"), ERR));
        check_close(store);
        CHECK_NUMBER(check_tree_digest(plan.path), before);
        store = check_open(check_path("saved"), (check_how){.no_create = true}); /* and on from there */
        holds_exactly(store, damaged - 1);
        check_sound(store);
        check_close(store);
        check_remove_tree(check_path("saved"));
    }
}

static void salvaging_a_sound_store_is_plain_opening(void)
{
    const char *path = check_path("store");
    sarsen_store *store = check_open(path, (check_how){0});
    sarsen_recovery recovery;
    check_set(store, "key", "value");
    check_close(store);
    store = check_open(path, (check_how){.salvage = true});
    CHECK_OK(sarsen_store_recovery(store, &recovery, sizeof recovery));
    CHECK_NUMBER(recovery.verdict, SARSEN_RECOVERY_CLEAN);
    CHECK_KV(store, NULL, "key", "value");
    check_close(store);
}

/* ---- the manifest ----------------------------------------------------------------------------------------- */

static void one_bad_copy_of_the_manifest_is_reported_and_mended(void)
{
    const char *path = check_path("store"), *manifest = check_join(path, "MANIFEST");
    for (int copy = 0; copy < 2; copy++) {
        sarsen_store *store = check_open(path, (check_how){0});
        struct stat info;
        check_set(store, "key", copy == 0 ? "first" : "second");
        check_close(store);
        CHECK_SYS(stat(manifest, &info) == 0);
        CHECK(info.st_size >= 8192);
        flip_byte(manifest, copy == 0 ? 16 : info.st_size / 2 / 4096 * 4096 + 16, 0x40);
        store = check_open(path, (check_how){0});
        CHECK_KV(store, NULL, "key", copy == 0 ? "first" : "second");
        CHECK(findings(store, "MANIFEST") >= 1);
        check_set(store, "another", "value"); /* the next manifest has both again */
        CHECK_OK(sarsen_store_checkpoint(store, ERR));
        check_sound(store);
        check_close(store);
    }
}

static void without_a_manifest_nothing_is_guessed(void)
{
    const char *path = check_path("store"), *manifest = check_join(path, "MANIFEST");
    sarsen_store *store = check_open(path, (check_how){0});
    struct stat info;
    uint64_t before;
    uint8_t *zeros;
    check_set(store, "key", "value");
    check_close(store);
    store = NULL;
    CHECK_SYS(stat(manifest, &info) == 0);
    flip_byte(manifest, 40, 1); /* one bit of each copy, behind its magic */
    flip_byte(manifest, info.st_size / 2 / 4096 * 4096 + 40, 1);
    for (int how = 0; how < 3; how++) {
        sarsen_options *options = check_options((check_how){.read_only = how == 1, .salvage = how == 2});
        before = check_tree_digest(path);
        CHECK_IS(SARSEN_CORRUPT, sarsen_store_open(path, options, &store, ERR));
        CHECK(strcmp(check_last.file, "MANIFEST") == 0);
        CHECK_NUMBER(check_tree_digest(path), before);
        sarsen_options_free(options);
    }
    zeros = calloc(1, (size_t)info.st_size); /* nothing in it says that it was one */
    check_write_file(manifest, zeros, (size_t)info.st_size);
    CHECK_IN(STATUS_BIT(SARSEN_CORRUPT) | STATUS_BIT(SARSEN_NOT_A_STORE), sarsen_store_open(path, NULL, &store, ERR));
    check_write_file(manifest, zeros, 0);
    CHECK_IN(STATUS_BIT(SARSEN_CORRUPT) | STATUS_BIT(SARSEN_NOT_A_STORE), sarsen_store_open(path, NULL, &store, ERR));
    CHECK_SYS(unlink(manifest) == 0);
    before = check_tree_digest(path);
    /* It was a store; a new one in its place would hide what is left of it. */
    CHECK_IN(STATUS_BIT(SARSEN_CORRUPT) | STATUS_BIT(SARSEN_NOT_A_STORE), sarsen_store_open(path, NULL, &store, ERR));
    CHECK(store == NULL);
    CHECK_NUMBER(check_tree_digest(path), before);
    free(zeros);
}

/* CRC-32C, bit by bit. */
static uint32_t crc32c(uint32_t crc, const uint8_t *data, size_t len)
{
    crc = ~crc;
    for (size_t i = 0; i < len; i++) {
        crc ^= data[i];
        for (int bit = 0; bit < 8; bit++) crc = crc >> 1 ^ (0x82f63b78u & (0u - (crc & 1)));
    }
    return ~crc;
}

/* A manifest that is whole, but of a format to come: magic (8 bytes), u32 version, u32 CRC of version, length and
 * body, u64 length, body; twice. */
static void a_newer_format_is_told_from_damage(void)
{
    const char *path = check_path("store"), *manifest = check_join(path, "MANIFEST");
    sarsen_store *store = check_open(path, (check_how){0});
    size_t len = 0;
    uint64_t before;
    uint8_t *data, *good;
    check_set(store, "key", "value");
    check_close(store);
    data = check_read_file(manifest, &len);
    good = check_read_file(manifest, &len);
    for (size_t at = 0; at < len; at += len / 2) {
        uint8_t *copy = data + at;
        size_t body = (size_t)check_u64(copy + 16);
        uint32_t crc;
        CHECK(24 + body <= len / 2);
        crc = crc32c(crc32c(0, copy + 8, 4), copy + 16, 8 + body);
        CHECK_NUMBER(check_u32(copy + 12), crc); /* the layout is as described */
        copy[10]++;                              /* version + 65,536 */
        crc = crc32c(crc32c(0, copy + 8, 4), copy + 16, 8 + body);
        for (int i = 0; i < 4; i++) copy[12 + i] = (uint8_t)(crc >> (8 * i));
    }
    check_write_file(manifest, data, len);
    for (int how = 0; how < 3; how++) {
        sarsen_options *options = check_options((check_how){.read_only = how == 1, .salvage = how == 2});
        before = check_tree_digest(path);
        CHECK_IS(SARSEN_VERSION, sarsen_store_open(path, options, &store, ERR));
        CHECK(store == NULL);
        CHECK_NUMBER(check_tree_digest(path), before);
        sarsen_options_free(options);
    }
    check_write_file(manifest, good, len); /* the older library spoiled nothing */
    store = check_open(path, (check_how){.no_create = true});
    CHECK_KV(store, NULL, "key", "value");
    check_sound(store);
    check_close(store);
    free(data);
    free(good);
}

/* ---- anything, anywhere -------------------------------------------------------------------------------------- */

enum { COMMITS = 120 };

static size_t size_of(uint64_t n)
{
    return n % 30 == 0 ? 90000 : (size_t)(n * 13 % 900);
}

static void build(const char *path, bool die)
{
    sarsen_store *store = check_open(path, (check_how){0});
    sarsen_batch *batch = sarsen_batch_new();
    for (uint64_t n = 1; n <= COMMITS; n++) {
        uint8_t *data = check_filled_new(size_of(n), n);
        CHECK_OK(sarsen_batch_set_kv(batch, &n, sizeof n, data, size_of(n), ERR));
        CHECK_OK(sarsen_batch_append_stream(batch, STR("s"), data, size_of(n), ERR));
        CHECK_OK(sarsen_batch_commit(batch, store, n == 90 ? SARSEN_SURVIVE_POWER : SARSEN_SURVIVE_PROCESS, NULL, ERR));
        free(data);
        if (n == 60) CHECK_OK(sarsen_store_checkpoint(store, ERR));
    }
    if (die) kill(getpid(), SIGKILL);
    sarsen_batch_free(batch);
    check_close(store);
}

static void build_and_die(void *path)
{
    build(path, true);
}

/* Opens what is there: refused, or every answer is right, absent beyond last_seq, or CORRUPT. */
static void right_or_refused(const char *path, bool salvage)
{
    sarsen_options *options = check_options((check_how){.no_create = true, .salvage = salvage});
    sarsen_store *store = NULL;
    sarsen_report *report = NULL;
    sarsen_view view;
    uint64_t last;
    CHECK_IN(STATUS_BIT(SARSEN_OK) | STATUS_BIT(SARSEN_CORRUPT) | STATUS_BIT(SARSEN_NOT_A_STORE) |
                 STATUS_BIT(SARSEN_VERSION) | STATUS_BIT(SARSEN_IO),
             sarsen_store_open(path, options, &store, ERR));
    sarsen_options_free(options);
    if (store == NULL) return;
    last = sarsen_store_last_seq(store);
    CHECK(last <= COMMITS);
    if (!salvage) CHECK(last >= 90); /* what was durable is not cut off silently */
    for (uint64_t n = 1; n <= COMMITS; n++) {
        CHECK_IN(STATUS_BIT(n <= last ? SARSEN_OK : SARSEN_NOT_FOUND) | STATUS_BIT(SARSEN_CORRUPT),
                 sarsen_kv_get(store, NULL, &n, sizeof n, &view, ERR));
        if (check_last.status == SARSEN_OK) CHECK_FILLED(view.data, view.len, size_of(n), n);
        sarsen_view_release(&view);
        CHECK_IN(STATUS_BIT(n <= last ? SARSEN_OK : SARSEN_NOT_FOUND) | STATUS_BIT(SARSEN_CORRUPT),
                 sarsen_stream_get(store, NULL, STR("s"), n - 1, &view, ERR));
        if (check_last.status == SARSEN_OK) CHECK_FILLED(view.data, view.len, size_of(n), n);
        sarsen_view_release(&view);
    }
    CHECK_IN(STATUS_BIT(SARSEN_OK) | STATUS_BIT(SARSEN_CORRUPT) | STATUS_BIT(SARSEN_IO),
             sarsen_store_verify(store, &report, ERR));
    sarsen_report_free(report);
    CHECK_IN(~STATUS_BIT(SARSEN_INTERNAL), sarsen_store_close(store, ERR));
}

static void random_damage_is_refused_or_harmless(void)
{
    const char *images[2] = {check_path("closed"), check_path("killed")};
    const int rounds = check_instrumented() ? 30 : 300;
    build(images[0], false);
    CHECK_KILLED(build_and_die, (void *)(uintptr_t)images[1]);
    for (int round = 0; round < rounds; round++) {
        const char *path = check_path("damaged"), *files[64];
        size_t count;
        copy_tree(images[round % 2], path);
        count = list_files(path, files, COUNT_OF(files));
        CHECK(count >= 3);
        for (uint64_t hits = 1 + check_below(3); hits > 0; hits--) {
            const char *victim = files[check_below(count)];
            struct stat info;
            CHECK_SYS(stat(victim, &info) == 0);
            if (info.st_size == 0) continue;
            switch (check_below(8)) {
            case 0: CHECK_SYS(truncate(victim, (off_t)check_below((uint64_t)info.st_size)) == 0); break;
            case 1: /* a zeroed page */
            {
                uint8_t zeros[4096] = {0};
                off_t at = (off_t)(check_below((uint64_t)info.st_size) / 4096 * 4096);
                int file = open(victim, O_WRONLY | O_CLOEXEC);
                size_t len = info.st_size - at < 4096 ? (size_t)(info.st_size - at) : 4096;
                CHECK_SYS(file >= 0 && pwrite(file, zeros, len, at) == (ssize_t)len && close(file) == 0);
                break;
            }
            default: flip_byte(victim, (off_t)check_below((uint64_t)info.st_size), (uint8_t)(1u << check_below(8)));
            }
        }
        right_or_refused(path, check_below(3) == 0);
        check_remove_tree(path);
    }
}

static void missing_files_are_refused_or_noticed(void)
{
    const char *image = check_path("closed"), *files[64];
    size_t count;
    build(image, false);
    count = list_files(image, files, COUNT_OF(files));
    for (size_t i = 0; i < count; i++) {
        const char *path = check_path("missing");
        copy_tree(image, path);
        CHECK_SYS(unlink(check_join(path, files[i] + strlen(image) + 1)) == 0);
        right_or_refused(path, false);
        check_remove_tree(path);
    }
}

static const check_case cases[] = {
    CASE(a_sound_store_has_no_findings),
    CASE(damage_to_log_that_is_kept_is_found),
    CASE(damaged_bytes_are_never_handed_out),
    CASE(a_loose_block_whose_head_is_gone_is_damage_and_can_be_freed),
    CASE(a_torn_tail_that_was_never_durable_is_cut_off_and_told),
    CASE(damage_to_durable_commits_is_an_error_until_salvaged),
    CASE(salvaging_a_sound_store_is_plain_opening),
    CASE(one_bad_copy_of_the_manifest_is_reported_and_mended),
    CASE(without_a_manifest_nothing_is_guessed),
    CASE(a_newer_format_is_told_from_damage),
    CASE(random_damage_is_refused_or_harmless),
    CASE(missing_files_are_refused_or_noticed),
};
CHECK_MAIN(cases)
