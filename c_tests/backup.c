/* Backup: a store of its own with exactly a snapshot's state, to a path that does not exist. */
#include "check.h"

#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/inotify.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { ITEMS = 60 };

static size_t size_of(uint64_t item)
{
    return check_sizes[item % (check_sizes_count - 1)]; /* all but the largest */
}

static void write_items(const sarsen_store *store, uint64_t generation, sarsen_block *loose)
{
    sarsen_tags *tags = check_tags(generation % 2 == 0 ? "even" : "odd", NULL);
    for (uint64_t item = 0; item < ITEMS; item++) {
        uint8_t *data = check_filled_new(size_of(item), generation * 1000 + item);
        CHECK_OK(sarsen_kv_set(store, &item, sizeof item, data, size_of(item), ERR));
        CHECK_OK(sarsen_memory_append(store, item, tags, data, size_of(item), ERR));
        CHECK_OK(sarsen_stream_append(store, STR("s"), data, size_of(item), NULL, ERR));
        free(data);
        if (generation % 2 == 0 && item == ITEMS / 2) CHECK_OK(sarsen_store_checkpoint(store, ERR));
    }
    CHECK_OK(sarsen_stream_trim(store, STR("s"), generation * ITEMS, ERR));
    if (loose != NULL) CHECK_OK(sarsen_block_append(store, STR("loose"), loose, ERR));
    sarsen_tags_free(tags);
}

static void holds(const sarsen_store *store, uint64_t generation)
{
    sarsen_tags *tags = check_tags(generation % 2 == 0 ? "even" : "odd", NULL);
    sarsen_memory_iter *iter = NULL;
    sarsen_bytes data;
    sarsen_view view;
    uint64_t id = 0;
    CHECK_STREAM(store, NULL, "s", generation * ITEMS, (generation + 1) * ITEMS);
    CHECK_OK(sarsen_memory_find(store, NULL, tags, NULL, NULL, 0, &iter, ERR));
    for (uint64_t item = 0; item < ITEMS; item++) {
        uint64_t tag = generation * 1000 + item;
        CHECK_OK(sarsen_kv_get(store, NULL, &item, sizeof item, &view, ERR));
        CHECK_FILLED(view.data, view.len, size_of(item), tag);
        sarsen_view_release(&view);
        CHECK_OK(sarsen_stream_get(store, NULL, STR("s"), generation * ITEMS + item, &view, ERR));
        CHECK_FILLED(view.data, view.len, size_of(item), tag);
        sarsen_view_release(&view);
        CHECK_OK(sarsen_memory_iter_next(iter, &id, &data, ERR));
        CHECK_NUMBER(id, item);
        CHECK_FILLED(data.data, data.len, size_of(item), tag);
    }
    CHECK_IS(SARSEN_END, sarsen_memory_iter_next(iter, &id, &data, ERR));
    sarsen_memory_iter_free(iter);
    sarsen_tags_free(tags);
}

static void a_backup_holds_exactly_the_snapshots_state(void)
{
    const char *path = check_path("store"), *old_path = check_path("old"), *new_path = check_path("new");
    sarsen_store *store = check_open(path, (check_how){0}), *copy;
    sarsen_snapshot *snapshot = NULL;
    sarsen_block loose;
    char text[5];
    uint64_t seq;

    write_items(store, 0, &loose);
    CHECK_OK(sarsen_snapshot_new(store, &snapshot, ERR));
    seq = sarsen_snapshot_seq(snapshot);
    write_items(store, 1, NULL);
    check_set(store, "later", "value");
    CHECK_OK(sarsen_block_free(store, &loose, ERR));
    CHECK_OK(sarsen_store_backup(store, snapshot, old_path, ERR));
    CHECK_OK(sarsen_store_backup(store, NULL, new_path, ERR));
    sarsen_snapshot_free(snapshot);

    copy = check_open(old_path, (check_how){.no_create = true}); /* while the original is open */
    CHECK_NUMBER(sarsen_store_last_seq(copy), seq);
    CHECK_NUMBER(sarsen_store_durable_seq(copy), seq);
    holds(copy, 0);
    CHECK_KV(copy, NULL, "later", NULL);
    CHECK_OK(sarsen_block_read(copy, &loose, 0, text, 5, ERR)); /* addresses are the same */
    CHECK_BYTES(text, 5, "loose", 5);
    check_sound(copy);
    write_items(copy, 1, NULL); /* a store of its own: it may be written */
    holds(copy, 1);
    copy = check_reopen(copy, old_path, (check_how){0});
    holds(copy, 1);
    check_close(copy);

    copy = check_open(new_path, (check_how){.no_create = true});
    CHECK_NUMBER(sarsen_store_last_seq(copy), sarsen_store_last_seq(store));
    holds(copy, 1);
    CHECK_KV(copy, NULL, "later", "value");
    check_sound(copy);
    check_close(copy);
    holds(store, 1);
    check_close(store);
}

static void a_backup_of_a_backup_and_of_nothing(void)
{
    sarsen_store *store = check_open(check_path("0"), (check_how){0});
    for (int i = 1; i < 4; i++) {
        char name[8];
        snprintf(name, sizeof name, "%d", i);
        CHECK_OK(sarsen_store_backup(store, NULL, check_path(name), ERR));
        check_close(store);
        store = check_open(check_path(name), (check_how){.no_create = true});
        CHECK_NUMBER(sarsen_store_last_seq(store), (uint64_t)i - 1);
        check_set(store, "key", name);
        CHECK_KV(store, NULL, "key", name);
    }
    check_sound(store);
    check_close(store);
}

static void a_path_that_exists_is_left_as_it_is(void)
{
    const char *file = check_path("file"), *directory = check_path("directory"), *other = check_path("other");
    sarsen_store *store = check_open(check_path("store"), (check_how){0});
    uint64_t before;
    check_set(store, "key", "value");
    check_write_file(file, STR("a file"));
    check_close(check_open(other, (check_how){0}));
    check_close(check_open(check_path("directory"), (check_how){0}));
    check_remove_tree(check_join(directory, "MANIFEST"));
    before = check_tree_digest(check_path("."));
    CHECK_REFUSED(sarsen_store_backup(store, NULL, file, ERR));
    CHECK_REFUSED(sarsen_store_backup(store, NULL, directory, ERR));
    CHECK_REFUSED(sarsen_store_backup(store, NULL, other, ERR));
    CHECK_REFUSED(sarsen_store_backup(store, NULL, check_path("store"), ERR));
    CHECK_REFUSED(sarsen_store_backup(store, NULL, check_join(file, "below"), ERR));
    CHECK_REFUSED(sarsen_store_backup(store, NULL, check_path("no/such/parent"), ERR));
    CHECK_REFUSED(sarsen_store_backup(store, NULL, "not \xff utf-8", ERR));
    CHECK_REFUSED(sarsen_store_backup(store, NULL, NULL, ERR));
    CHECK_NUMBER(check_tree_digest(check_path(".")), before);
    CHECK_KV(store, NULL, "key", "value");
    check_close(store);
}

static void a_read_only_store_can_be_backed_up(void)
{
    const char *path = check_path("store");
    sarsen_store *store = check_open(path, (check_how){0}), *reader;
    write_items(store, 0, NULL);
    reader = check_open(path, (check_how){.read_only = true});
    write_items(store, 1, NULL);
    CHECK_OK(sarsen_store_backup(reader, NULL, check_path("copy"), ERR));
    check_close(reader);
    check_close(store);
    store = check_open(check_path("copy"), (check_how){0});
    holds(store, 0);
    check_sound(store);
    check_close(store);
}

static atomic_bool stop;

static void *keep_writing(void *argument)
{
    const sarsen_store *store = argument;
    sarsen_batch *batch = sarsen_batch_new();
    for (uint64_t i = 1; !atomic_load(&stop); i++) {
        uint8_t *data = check_filled_new(i % 50 == 0 ? 80000 : 500, i);
        CHECK_OK(sarsen_batch_set_kv(batch, STR("counter"), &i, sizeof i, ERR));
        CHECK_OK(sarsen_batch_append_stream(batch, STR("counted"), &i, sizeof i, ERR));
        CHECK_OK(sarsen_batch_append_memory(batch, i % 100, NULL, data, i % 50 == 0 ? 80000 : 500, ERR));
        CHECK_OK(sarsen_batch_commit(batch, store, 0, NULL, ERR));
        free(data);
    }
    sarsen_batch_free(batch);
    return NULL;
}

static void writers_go_on_and_each_backup_is_a_prefix(void)
{
    sarsen_store *store = check_open(check_path("store"), (check_how){.background = true, .memory_bytes = 4 << 20});
    pthread_t writer;
    atomic_store(&stop, false);
    CHECK(pthread_create(&writer, NULL, keep_writing, store) == 0);
    for (int i = 0; i < 6; i++) {
        char name[16];
        sarsen_store *copy;
        sarsen_view view;
        uint64_t seq, first = 0, next = 0, counter = 0;
        snprintf(name, sizeof name, "copy-%d", i);
        CHECK_OK(sarsen_store_backup(store, NULL, check_path(name), ERR));
        copy = check_open(check_path(name), (check_how){.no_create = true});
        seq = sarsen_store_last_seq(copy);
        if (seq > 0) {
            CHECK_OK(sarsen_kv_get(copy, NULL, STR("counter"), &view, ERR));
            CHECK_NUMBER(view.len, sizeof counter);
            memcpy(&counter, view.data, sizeof counter);
            CHECK_NUMBER(counter, seq); /* commit n writes n */
            sarsen_view_release(&view);
            CHECK_OK(sarsen_stream_bounds(copy, NULL, STR("counted"), &first, &next, ERR));
            CHECK_NUMBER(next, seq);
            for (uint64_t n = seq > 100 ? seq - 99 : 1; n <= seq; n++) {
                size_t size = n % 50 == 0 ? 80000 : 500;
                CHECK_OK(sarsen_memory_get(copy, NULL, n % 100, &view, ERR));
                CHECK_FILLED(view.data, view.len, size, n);
                sarsen_view_release(&view);
            }
        }
        check_sound(copy);
        check_close(copy);
    }
    atomic_store(&stop, true);
    CHECK(pthread_join(writer, NULL) == 0);
    check_close(store);
}

/* ---- under load ------------------------------------------------------------------------------------- */

/* Everything that a store or a snapshot of it shows, in one number: pairs, memories with their tags, streams. */
static uint64_t mixed(uint64_t digest, const void *data, size_t len)
{
    const uint8_t *bytes = data;
    digest = (digest ^ len) * 0x9e3779b97f4a7c15u;
    for (size_t i = 0; i < len; i++) digest = (digest ^ bytes[i]) * 0x100000001b3u;
    return digest;
}

typedef struct contents {
    uint64_t pairs, memories, records, digest;
} contents;

static contents look_at_all(const sarsen_store *store, const sarsen_snapshot *snapshot)
{
    contents found = {0, 0, 0, 1};
    sarsen_kv_iter *pairs = NULL;
    sarsen_memory_iter *memories = NULL;
    sarsen_stream_names *names = NULL;
    sarsen_bytes key, value;
    uint64_t id = 0, first = 0, next = 0;
    CHECK_OK(sarsen_kv_scan(store, snapshot, NONE, NONE, false, &pairs, ERR));
    for (;; found.pairs++) {
        CHECK_IN(STATUS_BIT(SARSEN_OK) | STATUS_BIT(SARSEN_END), sarsen_kv_iter_next(pairs, &key, &value, ERR));
        if (check_last.status == SARSEN_END) break;
        found.digest = mixed(mixed(found.digest, key.data, key.len), value.data, value.len);
    }
    sarsen_kv_iter_free(pairs);
    CHECK_OK(sarsen_memory_find(store, snapshot, NULL, NULL, NULL, 0, &memories, ERR));
    for (;; found.memories++) {
        sarsen_tags *tags = NULL;
        sarsen_block block;
        CHECK_IN(STATUS_BIT(SARSEN_OK) | STATUS_BIT(SARSEN_END), sarsen_memory_iter_next(memories, &id, &value, ERR));
        if (check_last.status == SARSEN_END) break;
        found.digest = mixed(mixed(found.digest, &id, sizeof id), value.data, value.len);
        CHECK_OK(sarsen_memory_info(store, snapshot, id, &block, &tags, ERR));
        found.digest = mixed(found.digest, &block, sizeof block); /* addresses are the same in a backup */
        for (size_t i = 0; i < sarsen_tags_count(tags); i++)
            found.digest = mixed(found.digest, sarsen_tags_get(tags, i).data, sarsen_tags_get(tags, i).len);
        sarsen_tags_free(tags);
    }
    sarsen_memory_iter_free(memories);
    CHECK_OK(sarsen_stream_list(store, snapshot, NONE, &names, ERR));
    for (;;) {
        sarsen_stream_iter *records = NULL;
        uint64_t index = 0;
        CHECK_IN(STATUS_BIT(SARSEN_OK) | STATUS_BIT(SARSEN_END), sarsen_stream_names_next(names, &key, &first, &next, ERR));
        if (check_last.status == SARSEN_END) break;
        found.digest = mixed(mixed(mixed(found.digest, key.data, key.len), &first, sizeof first), &next, sizeof next);
        CHECK_OK(sarsen_stream_read(store, snapshot, key.data, key.len, first, &records, ERR));
        for (;; found.records++) {
            CHECK_IN(STATUS_BIT(SARSEN_OK) | STATUS_BIT(SARSEN_END), sarsen_stream_iter_next(records, &index, &value, ERR));
            if (check_last.status == SARSEN_END) break;
            found.digest = mixed(mixed(found.digest, &index, sizeof index), value.data, value.len);
        }
        sarsen_stream_iter_free(records);
    }
    sarsen_stream_names_free(names);
    return found;
}

static void same_contents(contents actual, contents expected)
{
    CHECK_NUMBER(actual.pairs, expected.pairs);
    CHECK_NUMBER(actual.memories, expected.memories);
    CHECK_NUMBER(actual.records, expected.records);
    CHECK_NUMBER(actual.digest, expected.digest);
}

enum { LOAD_WRITERS = 4, LOAD_COMMITS = 1500, SLOTS = 40 };

typedef struct load {
    const sarsen_store *store;
    uint64_t number;
    atomic_bool *over;
    pthread_t thread;
} load;

/* Pairs, memories and records of every size are set, replaced and deleted; each commit counts itself, too. */
static void *write_load(void *argument)
{
    load *self = argument;
    sarsen_batch *batch = sarsen_batch_new();
    for (uint64_t n = 0; n < LOAD_COMMITS && !atomic_load(self->over); n++) {
        uint64_t slot = self->number << 32 | n * 7 % SLOTS;
        size_t size = n % 29 == 0 ? 60000 : n % 5 == 0 ? 5000 : (size_t)(n % 300);
        uint8_t *data = check_filled_new(size, self->number << 32 | n);
        sarsen_tags *tags = check_tags(n % 2 == 0 ? "even" : "odd", n % 3 == 0 ? "third" : NULL, NULL);
        CHECK_OK(sarsen_batch_append_stream(batch, STR("order"), &slot, sizeof slot, ERR));
        if (n % 11 == 10) CHECK_OK(sarsen_batch_delete_kv(batch, &slot, sizeof slot, ERR));
        else CHECK_OK(sarsen_batch_set_kv(batch, &slot, sizeof slot, data, size, ERR));
        if (n % 13 == 12) CHECK_OK(sarsen_batch_delete_memory(batch, slot, ERR));
        else CHECK_OK(sarsen_batch_append_memory(batch, slot, tags, data, size, ERR));
        CHECK_OK(sarsen_batch_append_stream(batch, &self->number, sizeof self->number, data, size, ERR));
        if (n > SLOTS) CHECK_OK(sarsen_batch_trim_stream(batch, &self->number, sizeof self->number, n - SLOTS, ERR));
        CHECK_OK(sarsen_batch_commit(batch, self->store, n % 50 == 0 ? SARSEN_SURVIVE_POWER : SARSEN_SURVIVE_PROCESS, NULL, ERR));
        sarsen_tags_free(tags);
        free(data);
    }
    sarsen_batch_free(batch);
    return NULL;
}

static void *upkeep_load(void *argument)
{
    load *self = argument;
    bool more = false;
    for (int round = 0; !atomic_load(self->over); round++) {
        if (round % 3 == 0) CHECK_OK(sarsen_store_compact(self->store, ERR));
        else if (round % 3 == 1) CHECK_OK(sarsen_store_checkpoint(self->store, ERR));
        else CHECK_OK(sarsen_store_maintain(self->store, 2000, &more, ERR));
    }
    return NULL;
}

/* Each backup is compared whole with a snapshot of the same seq; a block that was loose then is loose there. */
static void backups_under_load_are_their_snapshots(void)
{
    sarsen_store *store = check_open(check_path("store"), (check_how){.background = true, .memory_bytes = 1 << 20,
                                                                       .chunk_bytes = 256 << 10});
    atomic_bool over = false;
    load writers[LOAD_WRITERS], upkeep = {.store = store, .over = &over};
    for (uint64_t i = 0; i < LOAD_WRITERS; i++) {
        writers[i] = (load){.store = store, .number = i, .over = &over};
        CHECK(pthread_create(&writers[i].thread, NULL, write_load, &writers[i]) == 0);
    }
    CHECK(pthread_create(&upkeep.thread, NULL, upkeep_load, &upkeep) == 0);
    for (int i = 0; i < (check_instrumented() ? 2 : 5); i++) {
        char name[2][16];
        sarsen_snapshot *snapshot = NULL;
        sarsen_store *copy;
        sarsen_block loose;
        contents expected;
        uint64_t seq, first = 0, next = 0;
        char text[5];
        snprintf(name[0], sizeof name[0], "then-%d", i);
        snprintf(name[1], sizeof name[1], "now-%d", i);
        CHECK_OK(sarsen_block_append(store, STR("loose"), &loose, ERR));
        CHECK_OK(sarsen_snapshot_new(store, &snapshot, ERR));
        seq = sarsen_snapshot_seq(snapshot);
        CHECK_OK(sarsen_block_free(store, &loose, ERR));
        CHECK_OK(sarsen_store_backup(store, NULL, check_path(name[1]), ERR));
        CHECK_OK(sarsen_store_backup(store, snapshot, check_path(name[0]), ERR));
        expected = look_at_all(store, snapshot);
        sarsen_snapshot_free(snapshot);
        copy = check_open(check_path(name[0]), (check_how){.no_create = true});
        CHECK_NUMBER(sarsen_store_last_seq(copy), seq);
        same_contents(look_at_all(copy, NULL), expected);
        CHECK_OK(sarsen_block_read(copy, &loose, 0, text, sizeof text, ERR));
        CHECK_BYTES(text, sizeof text, "loose", 5);
        check_sound(copy);
        check_close(copy);
        /* Of now: some seq after that, and whatever lies up to it; each batch appended one record to the order stream,
         * and the rest are the two commits on loose blocks of each round so far. */
        copy = check_open(check_path(name[1]), (check_how){.no_create = true});
        CHECK(sarsen_store_last_seq(copy) > seq);
        CHECK_IN(STATUS_BIT(SARSEN_OK) | STATUS_BIT(SARSEN_NOT_FOUND), /* nothing was committed yet */
                 sarsen_stream_bounds(copy, NULL, STR("order"), &first, &next, ERR));
        CHECK_NUMBER(next, sarsen_store_last_seq(copy) - 2 * ((uint64_t)i + 1));
        check_sound(copy);
        check_close(copy);
        check_remove_tree(check_path(name[0]));
        check_remove_tree(check_path(name[1]));
    }
    atomic_store(&over, true);
    for (int i = 0; i < LOAD_WRITERS; i++) CHECK(pthread_join(writers[i].thread, NULL) == 0);
    CHECK(pthread_join(upkeep.thread, NULL) == 0);
    check_sound(store);
    check_close(store);
}

/* ---- killed in the middle ----------------------------------------------------------------------------- */

static void back_up_and_die(void *path)
{
    sarsen_store *store = check_open(path, (check_how){.no_create = true});
    if (sarsen_store_backup(store, NULL, check_join(path, "../copy"), NULL) != SARSEN_OK) _exit(1);
    raise(SIGKILL);
}

enum { STAGES = 14 };

/* The parent kills the child once so many entries are in the copy: at every stage that can be seen from outside. In the
 * last one the child finishes its backup, however many entries that takes. */
static void a_backup_that_was_killed_is_no_store_or_a_whole_one(void)
{
    const char *path = check_path("store"), *copy_path = check_path("copy");
    sarsen_store *store = check_open(path, (check_how){.chunk_bytes = 256 << 10}), *copy = NULL;
    unsigned absent = 0, whole = 0;
    contents expected;
    write_items(store, 0, NULL);
    write_items(store, 1, NULL);
    CHECK_OK(sarsen_store_compact(store, ERR));
    expected = look_at_all(store, NULL);
    check_close(store);
    for (size_t stage = 0; stage < STAGES; stage++) {
        pid_t child;
        sarsen_status status;
        sarsen_options *options = check_options((check_how){.no_create = true});
        int notes = inotify_init1(IN_CLOEXEC), wait_status = 0;
        size_t seen = 0;
        CHECK_SYS(notes >= 0);
        CHECK_SYS(mkdir(copy_path, 0700) == 0 && rmdir(copy_path) == 0); /* nothing is there */
        CHECK_SYS(inotify_add_watch(notes, check_path("."), IN_CREATE) >= 0);
        fflush(NULL);
        child = fork();
        CHECK_SYS(child >= 0);
        if (child == 0) {
            back_up_and_die((void *)(uintptr_t)path);
            _exit(1);
        }
        /* An event each: the copy, then what comes into it. */
        while (seen < stage || stage + 1 == STAGES) {
            char events[4096];
            ssize_t got;
            siginfo_t info = {0};
            struct pollfd ready = {.fd = notes, .events = POLLIN};
            if (poll(&ready, 1, 20) == 0) {
                CHECK_SYS(waitid(P_PID, (id_t)child, &info, WEXITED | WNOHANG | WNOWAIT) == 0);
                if (info.si_pid != 0) break;
                continue;
            }
            got = read(notes, events, sizeof events);
            CHECK_SYS(got > 0);
            for (char *at = events; at < events + got; seen++) {
                const struct inotify_event *event = (const struct inotify_event *)(const void *)at;
                if ((event->mask & IN_ISDIR) != 0 && strcmp(event->name, "copy") == 0) {
                    inotify_add_watch(notes, copy_path, IN_CREATE | IN_MOVED_TO);
                } else if ((event->mask & IN_ISDIR) != 0) {
                    inotify_add_watch(notes, check_join(copy_path, event->name), IN_CREATE);
                }
                at += sizeof *event + event->len;
            }
        }
        kill(child, SIGKILL);
        CHECK_SYS(waitpid(child, &wait_status, 0) == child);
        CHECK(WIFSIGNALED(wait_status) && WTERMSIG(wait_status) == SIGKILL);
        CHECK_SYS(close(notes) == 0);
        status = sarsen_store_open(copy_path, options, &copy, NULL);
        CHECK(status == SARSEN_OK || status == SARSEN_NOT_A_STORE);
        absent += status == SARSEN_NOT_A_STORE;
        whole += status == SARSEN_OK;
        if (status == SARSEN_OK) {
            same_contents(look_at_all(copy, NULL), expected);
            check_sound(copy);
            check_close(copy);
        }
        sarsen_options_free(options);
        check_remove_tree(copy_path);
        store = check_open(path, (check_how){.no_create = true}); /* and the original is as it was */
        same_contents(look_at_all(store, NULL), expected);
        check_close(store);
    }
    CHECK(absent > 0 && whole > 0);
}

static const check_case cases[] = {
    CASE(a_backup_holds_exactly_the_snapshots_state),
    CASE(a_backup_of_a_backup_and_of_nothing),
    CASE(a_path_that_exists_is_left_as_it_is),
    CASE(a_read_only_store_can_be_backed_up),
    CASE(writers_go_on_and_each_backup_is_a_prefix),
    CASE(backups_under_load_are_their_snapshots),
    CASE(a_backup_that_was_killed_is_no_store_or_a_whole_one),
};
CHECK_MAIN(cases)
