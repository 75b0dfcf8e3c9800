/* Backups from a process that reads: while the writer commits, checkpoints, reclaims, is killed and comes back, each
 * holds exactly what it was taken of, compared in lockstep and with the model. */
#include "neighbours.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* What a backup is taken of, and the backup. */
struct pair {
    struct neighbours *self;
    const sarsen_store *store, *backup;
    const sarsen_snapshot *snapshot; /* of the store; nullable */
};

static void backup_name(const struct neighbours *self, const char *suffix, char out[PATH_MAX])
{
    snprintf(out, PATH_MAX, "%.*s-backup%s", PATH_MAX - 32, self->path, suffix);
}

/* Under another name first: what is half removed would look like a damaged backup to the next process. */
static void remove_backup(struct neighbours *self)
{
    char path[PATH_MAX], gone[PATH_MAX];
    backup_name(self, "", path);
    backup_name(self, "-gone", gone);
    if (!remove_tree(gone) || (access(path, F_OK) == 0 && rename(path, gone) != 0) || !remove_tree(gone)) {
        neighbour_fail(self, "cannot remove %s", path);
    }
}

static sarsen_status open_backup(struct neighbours *self, bool read_only, sarsen_store **store, sarsen_error **error)
{
    char path[PATH_MAX];
    sarsen_options *options = options_make(&self->options);
    backup_name(self, "", path);
    sarsen_options_set_create(options, false);
    sarsen_options_set_read_only(options, read_only);
    sarsen_status status = sarsen_store_open(path, options, store, error);
    sarsen_options_free(options);
    return status;
}

/* ---- in lockstep ---- */

_Noreturn static void differs(const struct pair *pair, const char *what)
{
    neighbour_fail(pair->self, "a backup differs from what it was taken of in %s", what);
}

static bool same_bytes(sarsen_bytes left, sarsen_bytes right)
{
    return left.len == right.len && (left.len == 0 || memcmp(left.data, right.data, left.len) == 0);
}

/* Both answers are OK, or both END: true to go on. */
static bool both(const struct pair *pair, const char *what, const sarsen_status answers[2])
{
    for (int side = 0; side < 2; side++) {
        if (answers[side] != SARSEN_OK && answers[side] != SARSEN_END) {
            neighbour_fail(pair->self, "%s of %s: %s", what, side == 0 ? "what is backed up" : "a backup",
                           sarsen_status_name(answers[side]));
        }
    }
    if (answers[0] != answers[1]) {
        differs(pair, what);
    }
    return answers[0] == SARSEN_OK;
}

static const sarsen_store *store_of(const struct pair *pair, int side)
{
    return side == 0 ? pair->store : pair->backup;
}

static const sarsen_snapshot *snapshot_of(const struct pair *pair, int side)
{
    return side == 0 ? pair->snapshot : NULL;
}

static void same_kv(const struct pair *pair)
{
    sarsen_kv_iter *iters[2];
    sarsen_bytes keys[2], values[2];
    sarsen_status answers[2];
    for (int side = 0; side < 2; side++) {
        answers[side] = sarsen_kv_scan(store_of(pair, side), snapshot_of(pair, side), NULL, 0, NULL, 0, false,
                                       &iters[side], NULL);
    }
    for (bool more = both(pair, "its scan", answers); more;) {
        for (int side = 0; side < 2; side++) {
            answers[side] = sarsen_kv_iter_next(iters[side], &keys[side], &values[side], NULL);
        }
        more = both(pair, "the number of its keys", answers);
        if (more && (!same_bytes(keys[0], keys[1]) || !same_bytes(values[0], values[1]))) {
            differs(pair, "a key or its value");
        }
    }
    sarsen_kv_iter_free(iters[0]);
    sarsen_kv_iter_free(iters[1]);
}

static void same_records(const struct pair *pair, sarsen_bytes name)
{
    sarsen_stream_iter *iters[2];
    sarsen_bytes records[2];
    uint64_t indexes[2];
    sarsen_status answers[2];
    for (int side = 0; side < 2; side++) {
        answers[side] = sarsen_stream_read(store_of(pair, side), snapshot_of(pair, side), name.data, name.len, 0,
                                           &iters[side], NULL);
    }
    for (bool more = both(pair, "a stream", answers); more;) {
        for (int side = 0; side < 2; side++) {
            answers[side] = sarsen_stream_iter_next(iters[side], &indexes[side], &records[side], NULL);
        }
        more = both(pair, "the number of a stream's records", answers);
        if (more && (indexes[0] != indexes[1] || !same_bytes(records[0], records[1]))) {
            differs(pair, "a record");
        }
    }
    sarsen_stream_iter_free(iters[0]);
    sarsen_stream_iter_free(iters[1]);
}

static void same_streams(const struct pair *pair)
{
    sarsen_stream_names *iters[2];
    sarsen_bytes names[2];
    uint64_t firsts[2], nexts[2];
    sarsen_status answers[2];
    for (int side = 0; side < 2; side++) {
        answers[side] = sarsen_stream_list(store_of(pair, side), snapshot_of(pair, side), NULL, 0, &iters[side], NULL);
    }
    for (bool more = both(pair, "its list of streams", answers); more;) {
        for (int side = 0; side < 2; side++) {
            answers[side] = sarsen_stream_names_next(iters[side], &names[side], &firsts[side], &nexts[side], NULL);
        }
        more = both(pair, "the number of its streams", answers);
        if (!more) {
            break;
        }
        if (!same_bytes(names[0], names[1]) || firsts[0] != firsts[1] || nexts[0] != nexts[1]) {
            differs(pair, "a stream's name or bounds");
        }
        same_records(pair, names[0]);
    }
    sarsen_stream_names_free(iters[0]);
    sarsen_stream_names_free(iters[1]);
}

static bool same_tags(const sarsen_tags *left, const sarsen_tags *right)
{
    bool same = sarsen_tags_count(left) == sarsen_tags_count(right);
    for (size_t i = 0; same && i < sarsen_tags_count(left); i++) {
        same = same_bytes(sarsen_tags_get(left, i), sarsen_tags_get(right, i));
    }
    return same;
}

static void same_memory(const struct pair *pair, uint64_t id)
{
    sarsen_block blocks[2];
    sarsen_tags *tags[2];
    sarsen_status answers[2];
    for (int side = 0; side < 2; side++) {
        answers[side] = sarsen_memory_info(store_of(pair, side), snapshot_of(pair, side), id, &blocks[side],
                                           &tags[side], NULL);
    }
    if (!both(pair, "a memory", answers) || !same_tags(tags[0], tags[1])) {
        differs(pair, "a memory's tags");
    }
    if (blocks[0].chunk != blocks[1].chunk || blocks[0].offset != blocks[1].offset || blocks[0].len != blocks[1].len ||
        blocks[0].crc32c != blocks[1].crc32c) {
        differs(pair, "a memory's address");
    }
    sarsen_tags_free(tags[0]);
    sarsen_tags_free(tags[1]);
}

static void same_memories(const struct pair *pair)
{
    sarsen_memory_iter *iters[2];
    sarsen_bytes data[2];
    uint64_t ids[2];
    sarsen_status answers[2];
    for (int side = 0; side < 2; side++) {
        answers[side] = sarsen_memory_find(store_of(pair, side), snapshot_of(pair, side), NULL, NULL, NULL, 0,
                                           &iters[side], NULL);
    }
    for (bool more = both(pair, "its memories", answers); more;) {
        for (int side = 0; side < 2; side++) {
            answers[side] = sarsen_memory_iter_next(iters[side], &ids[side], &data[side], NULL);
        }
        more = both(pair, "the number of its memories", answers);
        if (!more) {
            break;
        }
        if (ids[0] != ids[1] || !same_bytes(data[0], data[1])) {
            differs(pair, "a memory's id or bytes");
        }
        same_memory(pair, ids[0]);
    }
    sarsen_memory_iter_free(iters[0]);
    sarsen_memory_iter_free(iters[1]);
}

/* ---- a backup ---- */

/* The control: one byte of one value is another. */
static void alter(struct neighbours *self)
{
    sarsen_store *backup = NULL;
    sarsen_kv_iter *iter = NULL;
    sarsen_bytes key, value;
    sarsen_error *error = NULL;
    neighbour_require_ok(self, "opening a backup", open_backup(self, false, &backup, &error), &error);
    neighbour_require_ok(self, "a scan", sarsen_kv_scan(backup, NULL, NULL, 0, NULL, 0, false, &iter, &error), &error);
    while (sarsen_kv_iter_next(iter, &key, &value, NULL) == SARSEN_OK) {
        if (value.len > 0) {
            uint8_t *bytes = malloc(value.len), *name = malloc(key.len + 1);
            memcpy(bytes, value.data, value.len);
            memcpy(name, key.data, key.len);
            bytes[value.len - 1] ^= 1;
            neighbour_require_ok(self, "kv_set", sarsen_kv_set(backup, name, key.len, bytes, value.len, &error),
                                 &error);
            free(bytes);
            free(name);
            break;
        }
    }
    sarsen_kv_iter_free(iter);
    neighbour_require_ok(self, "closing a backup", sarsen_store_close(backup, &error), &error);
}

static void compare_with_model(struct neighbours *self, const sarsen_store *backup, struct model *model,
                               struct rng *rng)
{
    struct comparison comparison = {.model = model, .store = backup, .shared = self->shared};
    model_to(self, model, sarsen_store_last_seq(backup));
    compare_state(self, model, backup, NULL, rng);
    if (!compare_verify(&comparison)) {
        _exit(3);
    }
}

void neighbour_backup(struct neighbours *self, const sarsen_store *store, const sarsen_snapshot *snapshot, uint64_t seq,
                      struct model *model, struct rng *rng)
{
    char path[PATH_MAX];
    sarsen_store *backup = NULL;
    sarsen_error *error = NULL;
    enum phase phase = (enum phase)atomic_load(&self->board->phase);
    remove_backup(self);
    backup_name(self, "", path);
    neighbour_require_ok(self, "a backup", sarsen_store_backup(store, snapshot, path, &error), &error);
    if (self->control == CONTROL_ALTERED) {
        alter(self);
    }
    neighbour_require_ok(self, "opening a backup", open_backup(self, rng_one_in(rng, 2), &backup, &error), &error);
    struct pair pair = {.self = self, .store = store, .snapshot = snapshot, .backup = backup};
    same_kv(&pair);
    same_streams(&pair);
    same_memories(&pair);
    if (sarsen_store_last_seq(backup) != seq) {
        neighbour_fail(self, "a backup of seq %llu stands at %llu", (unsigned long long)seq,
                       (unsigned long long)sarsen_store_last_seq(backup));
    }
    compare_with_model(self, backup, model, rng);
    neighbour_require_ok(self, "closing a backup", sarsen_store_close(backup, &error), &error);
    atomic_fetch_add(&self->board->backups[phase], 1);
    atomic_fetch_add(&self->board->backups_of_snapshots, snapshot != NULL);
}

void neighbour_check_left_backup(struct neighbours *self, struct model *model, struct rng *rng)
{
    char path[PATH_MAX];
    sarsen_store *backup = NULL;
    sarsen_error *error = NULL;
    backup_name(self, "", path);
    if (access(path, F_OK) != 0) {
        return;
    }
    sarsen_status status = open_backup(self, true, &backup, &error);
    if (status == SARSEN_NOT_A_STORE) {
        sarsen_error_free(error);
        atomic_fetch_add(&self->board->backups_unfinished, 1);
        return;
    }
    neighbour_require_ok(self, "opening a backup that was left", status, &error);
    compare_with_model(self, backup, model, rng);
    neighbour_require_ok(self, "closing a backup that was left", sarsen_store_close(backup, &error), &error);
}
