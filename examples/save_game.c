/* A game that saves everything in one commit, and resumes from it.
 *
 *   levels    large blocks, written once, read in place a row at a time
 *   entities  memories with tags: level:2, kind:goblin, state:awake
 *   input     a stream: every move since the game began, enough to play it back
 *   settings  key-value, under settings/
 *
 * Runs two sessions on one store: the first finds nothing and starts a game, the second resumes it. What the
 * save says must be what playing the recorded moves back from the start leads to.
 *
 *   save_game [directory]
 */
#include "scratch.h"

#include <inttypes.h>

enum { LEVELS = 3, LEVEL_SIZE = 512, GOBLINS_A_LEVEL = 20, MOVES_A_SESSION = 500 };
enum { FIRST_LEVEL_ID = 1, FIRST_GOBLIN_ID = 100 };

#define TEXT(literal) (literal), sizeof(literal) - 1

/* Kept as they lie in memory: this save is read by the machine that wrote it. */
typedef struct player {
    uint32_t level, x, y, goblins_met;
} player;

typedef struct goblin {
    uint32_t x, y, asleep;
} goblin;

static sarsen_error *example_error;

/* ---- the game: rules without any storage ------------------------------------------------------- */

static uint8_t tile_at(uint32_t level, uint32_t x, uint32_t y) {
    return (uint8_t)(level * 101 + x * 31 + y * 17);
}

static char choose_move(uint64_t number) {
    return "eseenseesw"[(number * 2654435761u >> 7) % 10];
}

static void apply_move(player *who, char move) {
    uint32_t dx = move == 'e' ? 1 : move == 'w' ? LEVEL_SIZE - 1 : 0;
    uint32_t dy = move == 's' ? 1 : move == 'n' ? LEVEL_SIZE - 1 : 0;
    who->x = (who->x + dx) % LEVEL_SIZE;
    who->y = (who->y + dy) % LEVEL_SIZE;
}

/* ---- tags and entities ---------------------------------------------------------------------------- */

static void add_tag(sarsen_tags *tags, const char *name, const char *value) {
    char tag[64];
    int len = snprintf(tag, sizeof tag, "%s:%s", name, value);
    EXPECT(len > 0 && (size_t)len < sizeof tag);
    MUST(sarsen_tags_add(tags, tag, (size_t)len));
}

static sarsen_tags *goblin_tags(uint32_t level, const char *state) {
    sarsen_tags *tags = sarsen_tags_new();
    char number[16];
    snprintf(number, sizeof number, "%" PRIu32, level);
    add_tag(tags, "kind", "goblin");
    add_tag(tags, "level", number);
    if (state != NULL) add_tag(tags, "state", state);
    return tags;
}

static void put_goblin(sarsen_batch *batch, uint64_t id, uint32_t level, const goblin *one) {
    sarsen_tags *tags = goblin_tags(level, one->asleep ? "asleep" : "awake");
    MUST(sarsen_batch_append_memory(batch, id, tags, one, sizeof *one, &example_error));
    sarsen_tags_free(tags);
}

/* How many goblins of the level are in this state (NULL: any), by their tags alone. */
static unsigned count_goblins(const sarsen_store *store, uint32_t level, const char *state) {
    sarsen_tags *tags = goblin_tags(level, state);
    sarsen_memory_iter *found;
    MUST(sarsen_memory_find(store, NULL, tags, NULL, NULL, 0, &found, &example_error));
    unsigned count = 0;
    uint64_t id;
    sarsen_bytes data;
    sarsen_status status;
    while ((status = sarsen_memory_iter_next(found, &id, &data, &example_error)) == SARSEN_OK) {
        EXPECT(id >= FIRST_GOBLIN_ID && data.len == sizeof(goblin));
        count++;
    }
    if (status != SARSEN_END) MUST(status);
    sarsen_memory_iter_free(found);
    sarsen_tags_free(tags);
    return count;
}

/* Wakes the first sleeping goblin of the player's level: the memory is replaced, tags and all. */
static bool wake_a_goblin(const sarsen_store *store, sarsen_batch *batch, uint32_t level) {
    sarsen_tags *tags = goblin_tags(level, "asleep");
    sarsen_memory_iter *found;
    MUST(sarsen_memory_find(store, NULL, tags, NULL, NULL, 0, &found, &example_error));
    uint64_t id;
    sarsen_bytes data;
    sarsen_status status = sarsen_memory_iter_next(found, &id, &data, &example_error);
    if (status == SARSEN_OK) {
        goblin one;
        EXPECT(data.len == sizeof one);
        memcpy(&one, data.data, sizeof one);
        one.asleep = 0;
        put_goblin(batch, id, level, &one);
    } else if (status != SARSEN_END) {
        MUST(status);
    }
    sarsen_memory_iter_free(found);
    sarsen_tags_free(tags);
    return status == SARSEN_OK;
}

/* ---- a new game ------------------------------------------------------------------------------------- */

/* Levels are large, so they go to disk before the save that names them. Until then a block belongs to nobody;
 * once a memory names it, it lives and dies with that memory. */
static void add_level(const sarsen_store *store, sarsen_batch *batch, uint32_t level) {
    static uint8_t tiles[LEVEL_SIZE * LEVEL_SIZE];
    for (uint32_t y = 0; y < LEVEL_SIZE; y++)
        for (uint32_t x = 0; x < LEVEL_SIZE; x++) tiles[y * LEVEL_SIZE + x] = tile_at(level, x, y);
    sarsen_block block;
    MUST(sarsen_block_append(store, tiles, sizeof tiles, &block, &example_error));
    sarsen_tags *tags = sarsen_tags_new();
    add_tag(tags, "kind", "level");
    MUST(sarsen_batch_append_memory_block(batch, FIRST_LEVEL_ID + level, tags, &block, &example_error));
    sarsen_tags_free(tags);
}

static player new_game(const sarsen_store *store, sarsen_batch *batch) {
    for (uint32_t level = 0; level < LEVELS; level++) {
        add_level(store, batch, level);
        for (uint32_t n = 0; n < GOBLINS_A_LEVEL; n++) {
            goblin one = {.x = n * 7 % LEVEL_SIZE, .y = n * 13 % LEVEL_SIZE, .asleep = 1};
            put_goblin(batch, FIRST_GOBLIN_ID + level * GOBLINS_A_LEVEL + n, level, &one);
        }
    }
    MUST(sarsen_batch_set_kv(batch, TEXT("settings/difficulty"), TEXT("brave"), &example_error));
    MUST(sarsen_batch_set_kv(batch, TEXT("settings/music"), TEXT("0.6"), &example_error));
    return (player){.level = 1};
}

/* ---- resuming ----------------------------------------------------------------------------------------- */

static bool load_player(const sarsen_store *store, player *out) {
    size_t len = 0;
    sarsen_status status = sarsen_kv_read(store, NULL, TEXT("player"), out, sizeof *out, &len, &example_error);
    if (status == SARSEN_NOT_FOUND) return false; /* an answer, not an error */
    MUST(status);
    EXPECT(len == sizeof *out);
    return true;
}

/* Plays every recorded move from the beginning and ends where the save says the player is. */
static uint64_t play_back(const sarsen_store *store, const player *saved) {
    sarsen_stream_iter *moves;
    MUST(sarsen_stream_read(store, NULL, TEXT("input"), 0, &moves, &example_error));
    player replayed = {.level = saved->level, .goblins_met = saved->goblins_met};
    uint64_t index, count = 0;
    sarsen_bytes move;
    sarsen_status status;
    while ((status = sarsen_stream_iter_next(moves, &index, &move, &example_error)) == SARSEN_OK) {
        EXPECT(index == count && move.len == 1);
        apply_move(&replayed, (char)move.data[0]);
        count++;
    }
    if (status != SARSEN_END) MUST(status);
    sarsen_stream_iter_free(moves);
    EXPECT(memcmp(&replayed, saved, sizeof replayed) == 0);
    return count;
}

/* The row of tiles that the player stands in, read where it lies: only the pages it touches are looked at. */
static void look_around(const sarsen_store *store, const player *who) {
    sarsen_block level;
    MUST(sarsen_memory_info(store, NULL, FIRST_LEVEL_ID + who->level, &level, NULL, &example_error));
    EXPECT(level.len == (uint64_t)LEVEL_SIZE * LEVEL_SIZE);
    sarsen_view row;
    MUST(sarsen_block_view(store, &level, (uint64_t)who->y * LEVEL_SIZE, LEVEL_SIZE, &row, &example_error));
    for (uint32_t x = 0; x < LEVEL_SIZE; x++) EXPECT(row.data[x] == tile_at(who->level, x, who->y));
    printf("  stands at %" PRIu32 ",%" PRIu32 " on level %" PRIu32 ", on tile 0x%02x\n", who->x, who->y, who->level,
           row.data[who->x]);
    sarsen_view_release(&row);
}

static unsigned print_settings(const sarsen_store *store) {
    sarsen_kv_iter *settings;
    MUST(sarsen_kv_prefix(store, NULL, TEXT("settings/"), false, &settings, &example_error));
    unsigned count = 0;
    sarsen_bytes key, value;
    sarsen_status status;
    while ((status = sarsen_kv_iter_next(settings, &key, &value, &example_error)) == SARSEN_OK) {
        printf("  %.*s = %.*s\n", (int)key.len, (const char *)key.data, (int)value.len, (const char *)value.data);
        count++;
    }
    if (status != SARSEN_END) MUST(status);
    sarsen_kv_iter_free(settings);
    return count;
}

/* ---- one session ----------------------------------------------------------------------------------------- */

/* Opens, starts or resumes, plays, saves once, closes. Tells whether there was a game to resume. */
static bool session(const char *path) {
    sarsen_store *store;
    MUST(sarsen_store_open(path, NULL, &store, &example_error));
    sarsen_batch *batch = sarsen_batch_new();

    player who;
    uint64_t moves_before = 0;
    bool resumed = load_player(store, &who);
    if (resumed) {
        moves_before = play_back(store, &who);
        printf("resumed after %" PRIu64 " moves, all of them played back\n", moves_before);
        EXPECT(print_settings(store) == 2);
        look_around(store, &who);
        printf("  %u of %u goblins here are awake\n", count_goblins(store, who.level, "awake"),
               count_goblins(store, who.level, NULL));
        EXPECT(count_goblins(store, who.level, "awake") == who.goblins_met);
    } else {
        who = new_game(store, batch);
        printf("no save found: a new game\n");
    }

    for (uint64_t move = moves_before; move < moves_before + MOVES_A_SESSION; move++) {
        char step = choose_move(move);
        apply_move(&who, step);
        MUST(sarsen_batch_append_stream(batch, TEXT("input"), &step, 1, &example_error));
    }
    if (resumed && wake_a_goblin(store, batch, who.level)) who.goblins_met++;
    MUST(sarsen_batch_set_kv(batch, TEXT("player"), &who, sizeof who, &example_error));

    size_t commands = sarsen_batch_count(batch);
    uint64_t seq;
    MUST(sarsen_batch_commit(batch, store, SARSEN_SURVIVE_POWER, &seq, &example_error));
    printf("saved: %zu changes in commit %" PRIu64 ", safe from a power cut\n", commands, seq);
    EXPECT(sarsen_store_durable_seq(store) >= seq);

    sarsen_batch_free(batch);
    MUST(sarsen_store_close(store, &example_error));
    return resumed;
}

int main(int argc, char **argv) {
    scratch place = scratch_open(argc > 1 ? argv[1] : NULL);
    bool resumed_first = session(place.store);
    EXPECT(!place.made_here || !resumed_first);
    EXPECT(session(place.store));
    scratch_close(&place);
    return EXIT_SUCCESS;
}
