/* Handles that are none: NULL, another kind, memory of the host's, a child of a closed store or of another one, for
 * every parameter of the header that is a handle. misuse_positions.h lists them, each with a call that is right but for
 * the handle; a check fails for a parameter of the header that the list doesn't have.
 *
 * Memory of the host's is told apart where at least eight bytes can be read there: a handle starts with its kind. */
#include "check.h"
#include "misuse_positions.h"

#include <unistd.h>

enum kind {
    STORE,
    OPTIONS,
    BATCH,
    TAGS,
    SNAPSHOT,
    KV_ITER,
    STREAM_ITER,
    STREAM_NAMES,
    MEMORY_ITER,
    LOG_READER,
    REPORT,
    ERROR,
    KINDS
};
static const char *const kind_names[KINDS] = {
    [STORE] = "sarsen_store",
    [OPTIONS] = "sarsen_options",
    [BATCH] = "sarsen_batch",
    [TAGS] = "sarsen_tags",
    [SNAPSHOT] = "sarsen_snapshot",
    [KV_ITER] = "sarsen_kv_iter",
    [STREAM_ITER] = "sarsen_stream_iter",
    [STREAM_NAMES] = "sarsen_stream_names",
    [MEMORY_ITER] = "sarsen_memory_iter",
    [LOG_READER] = "sarsen_log_reader",
    [REPORT] = "sarsen_report",
    [ERROR] = "sarsen_error",
};

/* What NULL means at a position. */
enum null {
    REFUSED, /* as much a mistake as another handle */
    ABSENT,  /* an argument that is left out: no mistake */
    NO_OP    /* nothing to free */
};

/* Places that calls fill in. */
typedef struct outs {
    sarsen_view view;
    void *handle;
    sarsen_bytes key, value;
    sarsen_block block;
    sarsen_status answer;
    uint64_t number, other;
    size_t len, count;
    bool flag;
    const char *text, *more_text;
    const sarsen_tags *told;
    uint8_t buffer[64];
    sarsen_stats stats;
    sarsen_recovery recovery;
    sarsen_command command;
} outs;
enum { UNTOUCHED = 0xa5 };

/* A store, one live handle of each kind, and right arguments. */
typedef struct world {
    void *handles[KINDS];
    sarsen_store *store;
    sarsen_batch *batch;
    sarsen_block block;
    sarsen_bytes keys[1];
    uint64_t called_back;
    outs o;
} world;

typedef struct position {
    const char *function, *parameter;
    enum kind kind;
    enum null null;
    sarsen_status right; /* the answer to a right handle */
    const char *text;
    sarsen_status (*call)(world *w, void *h);
} position;

static void count_call(void *user, uint64_t seq, sarsen_status status)
{
    (void)seq, (void)status;
    ++*(uint64_t *)user;
}

#define FUNCTION(function, parameter, kind, null, right, expression)     \
    static sarsen_status function##_##parameter(world *w, void *h) \
    {                                                              \
        (void)w;                                                   \
        return (sarsen_status)(expression);                        \
    }
#define ROW(function, parameter, kind, null, right, expression) \
    {#function, #parameter, kind, null, right, #expression, function##_##parameter},

POSITIONS(FUNCTION)
static const position positions[] = {POSITIONS(ROW)};

/* ---- the world ------------------------------------------------------------------------------------------ */

static void free_handle(enum kind kind, void *handle)
{
    switch (kind) {
    case STORE: check_close(handle); break;
    case OPTIONS: sarsen_options_free(handle); break;
    case BATCH: sarsen_batch_free(handle); break;
    case TAGS: sarsen_tags_free(handle); break;
    case SNAPSHOT: sarsen_snapshot_free(handle); break;
    case KV_ITER: sarsen_kv_iter_free(handle); break;
    case STREAM_ITER: sarsen_stream_iter_free(handle); break;
    case STREAM_NAMES: sarsen_stream_names_free(handle); break;
    case MEMORY_ITER: sarsen_memory_iter_free(handle); break;
    case LOG_READER: sarsen_log_reader_free(handle); break;
    case REPORT: sarsen_report_free(handle); break;
    case ERROR: sarsen_error_free(handle); break;
    case KINDS: break;
    }
}

static const char *damaged_store(void)
{
    return check_path("damaged");
}

/* Leaves a store whose log was whole and durable, with a bit flipped. */
static void damage_and_die(void *unused)
{
    sarsen_store *store = check_open(damaged_store(), (check_how){.power = true});
    (void)unused;
    check_set(store, "first", "whole");
    check_set(store, "second", "with a bit flipped");
    CHECK_NUMBER(check_find_bytes(damaged_store(), "log", "with a bit flipped", 18, true), 1);
    _exit(0);
}

/* An error with a file, an offset and commits. */
static sarsen_error *damage(void)
{
    sarsen_store *store = NULL;
    sarsen_error *error = NULL;
    if (!check_exists(damaged_store())) CHECK_CHILD(damage_and_die, NULL);
    CHECK_NUMBER(sarsen_store_open(damaged_store(), NULL, &store, &error), SARSEN_CORRUPT);
    return error;
}

static world *world_open(const char *path)
{
    world *w = calloc(1, sizeof *w);
    CHECK(w != NULL);
    w->store = check_open(path, (check_how){.log_retention_bytes = 1 << 20});
    w->batch = sarsen_batch_new();
    w->keys[0] = (sarsen_bytes){(const uint8_t *)"key", 3};
    CHECK_OK(sarsen_batch_set_kv(w->batch, STR("key"), STR("of the batch"), ERR));
    check_set(w->store, "key", "value");
    CHECK_OK(sarsen_stream_append(w->store, STR("s"), STR("record"), NULL, ERR));
    CHECK_OK(sarsen_memory_append(w->store, 1, NULL, STR("memory"), ERR));
    CHECK_OK(sarsen_block_append(w->store, STR("block"), &w->block, ERR));
    w->handles[STORE] = w->store;
    w->handles[OPTIONS] = sarsen_options_new();
    w->handles[BATCH] = sarsen_batch_new();
    CHECK_OK(sarsen_batch_set_kv(w->handles[BATCH], STR("key"), STR("written"), ERR));
    w->handles[TAGS] = check_tags("tag", NULL);
    for (int kind = SNAPSHOT; kind <= REPORT; kind++) {
        sarsen_status (*const make[KINDS])(world *, void *) = {
            [SNAPSHOT] = sarsen_snapshot_new_store,   [KV_ITER] = sarsen_kv_scan_store,
            [STREAM_ITER] = sarsen_stream_read_store, [STREAM_NAMES] = sarsen_stream_list_store,
            [MEMORY_ITER] = sarsen_memory_find_store, [LOG_READER] = sarsen_log_read_store,
            [REPORT] = sarsen_store_verify_store};
        CHECK_NUMBER(make[kind](w, w->store), SARSEN_OK);
        w->handles[kind] = w->o.handle;
    }
    w->handles[ERROR] = damage();
    return w;
}

static void world_free(world *w)
{
    for (int kind = KINDS - 1; kind >= 0; kind--)
        if (w->handles[kind] != NULL) free_handle((enum kind)kind, w->handles[kind]);
    sarsen_batch_free(w->batch);
    free(w);
}

/* Every handle in it still does what it should, and nothing was written. */
static void world_works(world *w)
{
    CHECK_NUMBER(sarsen_store_last_seq(w->store), 4);
    CHECK_NUMBER(w->called_back, 0);
    CHECK_NUMBER(sarsen_batch_count(w->batch), 1);
    CHECK(!check_exists(check_path("backup")) && !check_exists(check_path("opened")));
    CHECK_KV(w->store, w->handles[SNAPSHOT], "key", "value");
    CHECK_OK(sarsen_kv_iter_next(w->handles[KV_ITER], &w->o.key, &w->o.value, ERR));
    CHECK_BYTES(w->o.value.data, w->o.value.len, "value", 5);
    CHECK_OK(sarsen_stream_iter_next(w->handles[STREAM_ITER], &w->o.number, &w->o.value, ERR));
    CHECK_BYTES(w->o.value.data, w->o.value.len, "record", 6);
    CHECK_OK(sarsen_stream_names_next(w->handles[STREAM_NAMES], &w->o.key, &w->o.number, &w->o.other, ERR));
    CHECK_BYTES(w->o.key.data, w->o.key.len, "s", 1);
    CHECK_OK(sarsen_memory_iter_next(w->handles[MEMORY_ITER], &w->o.number, &w->o.value, ERR));
    CHECK_BYTES(w->o.value.data, w->o.value.len, "memory", 6);
    CHECK_OK(sarsen_log_next(w->handles[LOG_READER], 0, &w->o.command, sizeof w->o.command, NULL, ERR));
    CHECK_NUMBER(w->o.command.seq, 1);
    CHECK_NUMBER(sarsen_report_next(w->handles[REPORT], NULL, NULL, NULL), SARSEN_END);
    CHECK_NUMBER(sarsen_error_status(w->handles[ERROR]), SARSEN_CORRUPT);
    CHECK_OK(sarsen_tags_add(w->handles[TAGS], STR("second")));
    CHECK_NUMBER(sarsen_tags_count(w->handles[TAGS]), 2);
    CHECK_OK(sarsen_options_set_background(w->handles[OPTIONS], false));
    CHECK_OK(sarsen_batch_commit(w->handles[BATCH], w->store, 0, NULL, ERR));
    CHECK_KV(w->store, NULL, "key", "written");
}

/* ---- calls ---------------------------------------------------------------------------------------------------- */

static bool tells_nothing(const position *p)
{
    return strncmp(p->text, "DONE(", 5) == 0;
}

/* Calls it with what is no handle of its kind: refused, and what it fills in is empty or as it was. */
static void refuses(world *w, const position *p, void *handle)
{
    const uint8_t *out = (const uint8_t *)&w->o;
    memset(&w->o, UNTOUCHED, sizeof w->o);
    check_arm();
    check_status(__FILE__, __LINE__, p->text, p->call(w, handle),
                 STATUS_BIT(tells_nothing(p) ? SARSEN_OK : SARSEN_INVALID_ARGUMENT));
    /* No index; a key that is not there. */
    if (w->o.number == UINT64_MAX) w->o.number = 0;
    if (w->o.answer == SARSEN_NOT_FOUND) w->o.answer = 0;
    for (size_t i = 0; i < sizeof w->o; i++)
        if (out[i] != UNTOUCHED && out[i] != 0)
            check_fail(__FILE__, __LINE__, "%s\n  was refused, and filled in something", p->text);
    if (strstr(p->text, "HANDLE(") != NULL && w->o.handle != NULL)
        check_fail(__FILE__, __LINE__, "%s\n  was refused, and its handle is not NULL", p->text);
    if (strstr(p->text, "&w->o.view") != NULL && (w->o.view.data != NULL || w->o.view.pin != NULL))
        check_fail(__FILE__, __LINE__, "%s\n  was refused, and its view is not NULL", p->text);
}

static void null_is_no_handle(void)
{
    world *w = world_open(check_path("store"));
    size_t absent = 0;
    for (size_t i = 0; i < COUNT_OF(positions); i++) {
        const position *p = &positions[i];
        if (p->null == REFUSED) refuses(w, p, NULL);
        if (p->null == NO_OP) CHECK_NUMBER(p->call(w, NULL), SARSEN_OK);
        absent += p->null == ABSENT;
    }
    CHECK(absent > 0 && absent < COUNT_OF(positions) / 4);
    world_works(w);
    world_free(w);
}

static void handles_of_another_kind_are_told_apart(void)
{
    world *w = world_open(check_path("store"));
    for (size_t i = 0; i < COUNT_OF(positions); i++)
        for (int kind = 0; kind < KINDS; kind++)
            if ((enum kind)kind != positions[i].kind) refuses(w, &positions[i], w->handles[kind]);
    world_works(w);
    world_free(w);
}

static void memory_of_the_host_is_told_apart(void)
{
    static _Alignas(64) uint8_t zeros[128], filled[128];
    world *w = world_open(check_path("store"));
    memset(filled, 0x5a, sizeof filled);
    for (size_t i = 0; i < COUNT_OF(positions); i++) {
        refuses(w, &positions[i], zeros);
        refuses(w, &positions[i], filled);
        for (size_t shift = 1; shift < 8; shift++) refuses(w, &positions[i], filled + shift);
    }
    for (size_t i = 0; i < sizeof zeros; i++) CHECK(zeros[i] == 0 && filled[i] == 0x5a);
    world_works(w);
    world_free(w);
}

static bool is_child(enum kind kind)
{
    return kind == SNAPSHOT || kind == KV_ITER || kind == STREAM_ITER || kind == STREAM_NAMES || kind == MEMORY_ITER ||
           kind == LOG_READER;
}

static void children_of_a_closed_store_refuse_and_are_freed(void)
{
    world *closed = world_open(check_path("closed")), *w = world_open(check_path("store"));
    size_t count = 0;
    check_close(closed->store);
    closed->handles[STORE] = NULL;
    for (size_t i = 0; i < COUNT_OF(positions); i++) {
        const position *p = &positions[i];
        if (!is_child(p->kind) || tells_nothing(p)) continue;
        if (p->call == sarsen_snapshot_seq_snapshot) continue; /* asks no store */
        refuses(w, p, closed->handles[p->kind]);
        count++;
    }
    CHECK(count >= 20);
    CHECK_NUMBER(sarsen_snapshot_seq(closed->handles[SNAPSHOT]), 4);
    /* What is no child goes on. */
    CHECK_NUMBER(sarsen_report_next(closed->handles[REPORT], NULL, NULL, NULL), SARSEN_END);
    CHECK_OK(sarsen_batch_commit(closed->handles[BATCH], w->store, 0, &w->o.number, ERR));
    CHECK_NUMBER(w->o.number, 5);
    world_free(closed);
    world_free(w);
}

static void a_snapshot_of_another_store_is_refused(void)
{
    world *other = world_open(check_path("other")), *w = world_open(check_path("store"));
    size_t count = 0;
    for (size_t i = 0; i < COUNT_OF(positions); i++) {
        if (positions[i].kind != SNAPSHOT || positions[i].null != ABSENT) continue;
        refuses(w, &positions[i], other->handles[SNAPSHOT]);
        count++;
    }
    CHECK(count >= 10);
    world_works(w);
    world_works(other);
    world_free(other);
    world_free(w);
}

/* The control: with a right handle in its place every call does its work, so nothing else was wrong with it. */
static void each_call_is_right_but_for_its_handle(void)
{
    for (size_t i = 0; i < COUNT_OF(positions); i++) {
        const position *p = &positions[i];
        world *w = world_open(check_path("store"));
        void *handle = w->handles[p->kind];
        const char *made = strstr(p->text, "HANDLE(");
        memset(&w->o, 0, sizeof w->o);
        check_arm();
        check_status(__FILE__, __LINE__, p->text, p->call(w, handle), STATUS_BIT(p->right));
        if (p->null == NO_OP && p->call != sarsen_batch_clear_batch) w->handles[p->kind] = NULL;
        for (int kind = 0; made != NULL && kind < KINDS; kind++)
            if (strncmp(made + 7, kind_names[kind], strlen(kind_names[kind])) == 0 &&
                made[7 + strlen(kind_names[kind])] == ')')
                free_handle((enum kind)kind, w->o.handle);
        sarsen_view_release(&w->o.view);
        world_free(w);
        check_remove_tree(check_path("store"));
        check_remove_tree(check_path("backup"));
        check_remove_tree(check_path("opened"));
    }
}

/* ---- the header ------------------------------------------------------------------------------------------------- */

/* The header without its comments, then `more`; the caller frees it. */
static char *header_with(const char *more)
{
    size_t len, end = 0;
    char *text = (char *)check_read_file(SARSEN_HEADER, &len), *plain = calloc(1, len + strlen(more) + 1);
    CHECK(plain != NULL);
    for (size_t i = 0; i < len; i++) {
        if (i + 1 < len && text[i] == '/' && text[i + 1] == '/')
            while (i < len && text[i] != '\n') i++;
        if (i + 1 < len && text[i] == '/' && text[i + 1] == '*') {
            for (i += 2; i + 1 < len && (text[i] != '*' || text[i + 1] != '/'); i++) {}
            i++;
            continue;
        }
        if (i < len) plain[end++] = text[i];
    }
    strcpy(plain + end, more);
    free(text);
    return plain;
}

static bool is_of_name(char c)
{
    return c == '_' || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
}

/* The last name before `end`, cut out. */
static void name_before(const char *start, const char *end, char out[64])
{
    const char *from;
    while (end > start && !is_of_name(end[-1])) end--;
    for (from = end; from > start && is_of_name(from[-1]); from--) {}
    CHECK(end - from < 64);
    memcpy(out, from, (size_t)(end - from));
    out[end - from] = '\0';
}

/* Whether the type is declared without a body: only the library knows what is in it. */
static bool is_opaque(const char *header, const char *type)
{
    char declaration[160];
    snprintf(declaration, sizeof declaration, "typedef struct %s %s;", type, type);
    return strstr(header, declaration) != NULL && strncmp(type, "sarsen_", 7) == 0;
}

/* How many parameters of the header that are handles `list` lacks, has wrong, or has beyond them. */
static size_t differences(const char *header, const position *list, size_t count)
{
    size_t found = 0, wrong = 0, functions = 0;
    for (const char *at = header, *end; (end = strchr(at, ';')) != NULL; at = end + 1) {
        const char *open = memchr(at, '(', (size_t)(end - at)), *comma;
        char function[64];
        if (open == NULL || memmem(at, (size_t)(end - at), "typedef", 7) != NULL) continue;
        name_before(at, open, function);
        if (strncmp(function, "sarsen_", 7) != 0) continue;
        functions++;
        for (const char *parameter = open + 1; parameter < end; parameter = comma + 1) {
            const char *star;
            char type[64], name[64];
            bool listed = false;
            for (comma = parameter; comma < end && *comma != ',' && *comma != ')'; comma++) {}
            star = memchr(parameter, '*', (size_t)(comma - parameter));
            if (star == NULL || star[1] == '*') continue;
            name_before(parameter, star, type);
            name_before(star, comma, name);
            if (!is_opaque(header, type)) continue;
            for (size_t i = 0; i < count && !listed; i++)
                listed = strcmp(list[i].function, function) == 0 && strcmp(list[i].parameter, name) == 0 &&
                         strcmp(kind_names[list[i].kind], type) == 0;
            found += listed;
            wrong += !listed;
            if (!listed) printf("not listed: %s *%s of %s\n", type, name, function);
        }
    }
    CHECK(functions > 90);
    return wrong + (count - found);
}

static void every_handle_of_the_header_is_listed(void)
{
    char *header = header_with("");
    CHECK_NUMBER(differences(header, positions, COUNT_OF(positions)), 0);
    free(header);
}

/* The control. */
static void a_handle_that_is_not_listed_is_noticed(void)
{
    char *header = header_with("sarsen_status sarsen_store_new_call(const sarsen_store *store, uint64_t number);\n");
    CHECK_NUMBER(differences(header, positions, COUNT_OF(positions)), 1);
    free(header);
    header = header_with("");
    CHECK_NUMBER(differences(header, positions, COUNT_OF(positions) - 1), 1);
    free(header);
}

static const check_case cases[] = {
    CASE(every_handle_of_the_header_is_listed),
    CASE(a_handle_that_is_not_listed_is_noticed),
    CASE(each_call_is_right_but_for_its_handle),
    CASE(null_is_no_handle),
    CASE(handles_of_another_kind_are_told_apart),
    CASE(memory_of_the_host_is_told_apart),
    CASE(children_of_a_closed_store_refuse_and_are_freed),
    CASE(a_snapshot_of_another_store_is_refused),
};
CHECK_MAIN(cases)
