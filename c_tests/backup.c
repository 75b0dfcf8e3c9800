/* Backup: a store of its own with exactly a snapshot's state, to a path that does not exist. */
#include "check.h"

#include <pthread.h>
#include <stdatomic.h>

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

static const check_case cases[] = {
    CASE(a_backup_holds_exactly_the_snapshots_state),
    CASE(a_backup_of_a_backup_and_of_nothing),
    CASE(a_path_that_exists_is_left_as_it_is),
    CASE(a_read_only_store_can_be_backed_up),
    CASE(writers_go_on_and_each_backup_is_a_prefix),
};
CHECK_MAIN(cases)
