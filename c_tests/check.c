/* The shared part of the test programs; check.h says what is here. Checks and the error slot work from
 * any thread; files, cases and children are for the main thread. */
#include "check.h"

#include <dirent.h>
#include <fcntl.h>
#include <ftw.h>
#include <stdarg.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

static const char *program_name = "test";
static const char *case_name = "";
static char *temporary_directory;
static uint64_t seed = 1;

_Thread_local sarsen_error *check_slot;
_Thread_local check_seen check_last;
static _Thread_local uint64_t random_state;

const size_t check_sizes[] = {0,     1,     100,   1024,  4096,    32768,   33792,
                              65535, 65536, 65537, 131072, 1048576, 5242880};
const size_t check_sizes_count = COUNT_OF(check_sizes);

/* ---- checks ------------------------------------------------------------------------------- */

_Noreturn void check_fail(const char *file, int line, const char *format, ...)
{
    va_list arguments;
    fflush(stdout);
    fprintf(stderr, "%s:%d: %s: ", file, line, case_name);
    va_start(arguments, format);
    vfprintf(stderr, format, arguments);
    va_end(arguments);
    fprintf(stderr, "\n  again with: CHECK_SEED=%llu %s %s\n", (unsigned long long)seed, program_name, case_name);
    if (temporary_directory != NULL) fprintf(stderr, "  files left in: %s\n", temporary_directory);
    fflush(stderr);
    _exit(1);
}

/* An address that no error has and that is never dereferenced. */
static sarsen_error *untouched(void)
{
    static char place;
    return (sarsen_error *)(void *)&place;
}

void check_arm(void)
{
    check_slot = untouched();
}

static bool sets_no_error(sarsen_status status)
{
    return status == SARSEN_OK || status == SARSEN_NOT_FOUND || status == SARSEN_END || status == SARSEN_TIMEOUT;
}

sarsen_status check_status(const char *file, int line, const char *call, sarsen_status status, uint32_t allowed)
{
    bool gave_slot = strstr(call, "ERR") != NULL || strstr(call, "check_slot") != NULL; /* expanded or not */
    sarsen_error *error = check_slot == untouched() ? NULL : check_slot;

    memset(&check_last, 0, sizeof check_last);
    check_last.status = status;
    if (error != NULL) {
        const char *where = sarsen_error_file(error);
        const char *message = sarsen_error_message(error);
        check_last.os_code = sarsen_error_os_code(error);
        check_last.offset = sarsen_error_offset(error);
        check_last.first_seq = sarsen_error_first_seq(error);
        check_last.last_seq = sarsen_error_last_seq(error);
        snprintf(check_last.file, sizeof check_last.file, "%s", where == NULL ? "" : where);
        snprintf(check_last.message, sizeof check_last.message, "%s", message == NULL ? "" : message);
    }
    if (status >= 32 || (allowed & STATUS_BIT(status)) == 0)
        check_fail(file, line, "%s\n  answered %u %s%s%s (allowed: 0x%x)", call, status, sarsen_status_name(status),
                   error != NULL ? ": " : "", check_last.message, allowed);
    if (gave_slot && check_slot == untouched())
        check_fail(file, line, "%s\n  answered %u but left *error as it was", call, status);
    if (gave_slot && sets_no_error(status) && error != NULL)
        check_fail(file, line, "%s\n  answered %u %s but set an error", call, status, sarsen_status_name(status));
    if (gave_slot && !sets_no_error(status)) {
        if (error == NULL) check_fail(file, line, "%s\n  answered %u without an error object", call, status);
        if (sarsen_error_status(error) != status)
            check_fail(file, line, "%s\n  answered %u but its error says %u", call, status, sarsen_error_status(error));
        if (check_last.message[0] == '\0') check_fail(file, line, "%s\n  gave an error without a message", call);
    }
    sarsen_error_free(error);
    check_slot = untouched();
    return status;
}

void check_number(const char *file, int line, const char *actual_text, uint64_t actual, const char *expected_text,
                  uint64_t expected)
{
    if (actual != expected)
        check_fail(file, line, "%s is %llu, expected %s = %llu", actual_text, (unsigned long long)actual, expected_text,
                   (unsigned long long)expected);
}

void check_bytes(const char *file, int line, const char *text, const void *data, size_t len, const void *expected,
                 size_t expected_len)
{
    size_t at = 0;
    if (len != expected_len) check_fail(file, line, "%s has %zu bytes, expected %zu", text, len, expected_len);
    if (len == 0) return;
    if (data == NULL) check_fail(file, line, "%s is NULL with length %zu", text, len);
    if (memcmp(data, expected, len) == 0) return;
    while (((const uint8_t *)data)[at] == ((const uint8_t *)expected)[at]) at++;
    check_fail(file, line, "%s differs at byte %zu of %zu: 0x%02x, expected 0x%02x", text, at, len,
               ((const uint8_t *)data)[at], ((const uint8_t *)expected)[at]);
}

void check_filled(const char *file, int line, const char *text, const void *data, size_t len, size_t expected_len,
                  uint64_t tag)
{
    uint8_t *expected = check_filled_new(expected_len, tag);
    check_bytes(file, line, text, data, len, expected, expected_len);
    free(expected);
}

/* ---- cases ---------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t value)
{
    value += 0x9e3779b97f4a7c15u;
    value = (value ^ (value >> 30)) * 0xbf58476d1ce4e5b9u;
    value = (value ^ (value >> 27)) * 0x94d049bb133111ebu;
    return value ^ (value >> 31);
}

static void remove_temporary_directory(void)
{
    if (temporary_directory == NULL) return;
    check_remove_tree(temporary_directory);
    free(temporary_directory);
    temporary_directory = NULL;
}

int check_main(int argc, char **argv, const check_case *cases, size_t count)
{
    const char *given = getenv("CHECK_SEED");
    size_t ran = 0;

    program_name = argv[0];
    if (given != NULL) seed = strtoull(given, NULL, 10);
    for (size_t i = 0; i < count; i++) {
        bool wanted = argc < 2;
        for (int j = 1; j < argc; j++) wanted = wanted || strcmp(argv[j], cases[i].name) == 0;
        if (!wanted) continue;
        case_name = cases[i].name;
        random_state = mix(seed + i);
        cases[i].run();
        printf("ok %s\n", cases[i].name);
        fflush(stdout);
        remove_temporary_directory();
        ran++;
    }
    if (ran == 0) {
        fprintf(stderr, "no such case\n");
        return 2;
    }
    return 0;
}

const char *check_program(void)
{
    static char *path; /* not /proc/self/exe, which names the emulator where there is one */
    if (path == NULL) path = realpath(program_name, NULL);
    CHECK_SYS(path != NULL);
    return path;
}

bool check_valgrind(void)
{
    const char *preloaded = getenv("LD_PRELOAD");
    return preloaded != NULL && strstr(preloaded, "vgpreload") != NULL;
}

bool check_instrumented(void)
{
#ifdef __SANITIZE_ADDRESS__
    return true;
#else
    return check_valgrind();
#endif
}

_Noreturn void check_skip(const char *format, ...)
{
    va_list arguments;
    fputs("skipped: ", stdout);
    va_start(arguments, format);
    vprintf(format, arguments);
    va_end(arguments);
    fputs("\n", stdout);
    fflush(stdout);
    remove_temporary_directory();
    _exit(CHECK_SKIPPED);
}

int check_child(void (*body)(void *argument), void *argument)
{
    int status = 0;
    pid_t child;

    check_path("."); /* the directory belongs to the parent */
    fflush(NULL);
    child = fork();
    CHECK_SYS(child >= 0);
    if (child == 0) {
        body(argument);
        fflush(NULL);
        _exit(0);
    }
    while (waitpid(child, &status, 0) < 0) CHECK_SYS(errno == EINTR);
    return status;
}

/* ---- bytes ------------------------------------------------------------------------------------ */

void check_fill(void *buffer, size_t len, uint64_t tag)
{
    uint8_t *bytes = buffer;
    uint64_t state = mix(tag + 1);
    for (size_t at = 0; at < len; at += 8) {
        uint64_t word = mix(state + at);
        memcpy(bytes + at, &word, len - at < 8 ? len - at : 8);
    }
}

uint8_t *check_filled_new(size_t len, uint64_t tag)
{
    uint8_t *bytes = malloc(len + 1);
    CHECK(bytes != NULL);
    check_fill(bytes, len, tag);
    return bytes;
}

uint64_t check_random(void)
{
    random_state += 0x9e3779b97f4a7c15u;
    return mix(random_state);
}

uint64_t check_below(uint64_t limit)
{
    return check_random() % limit;
}

void *check_untouchable(size_t len)
{
    void *place = mmap(NULL, len, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    CHECK_SYS(place != MAP_FAILED);
    return place;
}

uint32_t check_u32(const uint8_t *bytes)
{
    return (uint32_t)bytes[0] | (uint32_t)bytes[1] << 8 | (uint32_t)bytes[2] << 16 | (uint32_t)bytes[3] << 24;
}

uint64_t check_u64(const uint8_t *bytes)
{
    return (uint64_t)check_u32(bytes) | (uint64_t)check_u32(bytes + 4) << 32;
}

/* ---- files --------------------------------------------------------------------------------------- */

/* Paths live as long as the program, so that tests need not free them. */
typedef struct kept_path {
    struct kept_path *next;
    char text[];
} kept_path;
static kept_path *kept_paths;

const char *check_join(const char *directory, const char *name)
{
    size_t size = strlen(directory) + strlen(name) + 2;
    kept_path *path = malloc(sizeof *path + size);
    CHECK(path != NULL);
    snprintf(path->text, size, "%s/%s", directory, name);
    path->next = kept_paths;
    kept_paths = path;
    return path->text;
}

const char *check_path(const char *name)
{
    if (temporary_directory == NULL) {
        const char *base = getenv("TMPDIR");
        const char *program = strrchr(program_name, '/');
        char template[4096];
        program = program == NULL ? program_name : program + 1;
        if (base == NULL || base[0] == '\0') base = "/tmp";
        snprintf(template, sizeof template, "%s/sarsen-%s-XXXXXX", base, program);
        CHECK_SYS(mkdtemp(template) != NULL);
        temporary_directory = strdup(template);
        CHECK(temporary_directory != NULL);
    }
    return check_join(temporary_directory, name);
}

void check_write_file(const char *path, const void *data, size_t len)
{
    FILE *file = fopen(path, "wb");
    CHECK_SYS(file != NULL);
    CHECK_SYS(len == 0 || fwrite(data, 1, len, file) == len);
    CHECK_SYS(fclose(file) == 0);
}

uint8_t *check_read_file(const char *path, size_t *out_len)
{
    struct stat info;
    FILE *file = fopen(path, "rb");
    uint8_t *data;
    CHECK_SYS(file != NULL);
    CHECK_SYS(fstat(fileno(file), &info) == 0);
    data = malloc((size_t)info.st_size + 1);
    CHECK(data != NULL);
    *out_len = fread(data, 1, (size_t)info.st_size, file);
    CHECK_SYS(ferror(file) == 0);
    fclose(file);
    return data;
}

bool check_exists(const char *path)
{
    struct stat info;
    return lstat(path, &info) == 0;
}

static int remove_entry(const char *path, const struct stat *info, int type, struct FTW *place)
{
    (void)info, (void)type, (void)place;
    return remove(path);
}

void check_remove_tree(const char *path)
{
    if (!check_exists(path)) return;
    CHECK_SYS(nftw(path, remove_entry, 16, FTW_DEPTH | FTW_PHYS) == 0);
}

static uint64_t digest;

static uint64_t digest_of(const void *data, size_t len)
{
    uint64_t value = 0xcbf29ce484222325u;
    for (size_t i = 0; i < len; i++) value = (value ^ ((const uint8_t *)data)[i]) * 0x100000001b3u;
    return value;
}

static int digest_entry(const char *path, const struct stat *info, int type, struct FTW *place)
{
    const char *name = path + place->base;
    uint64_t entry;
    (void)type;
    if (strcmp(name, "LOCK") == 0 || strcmp(name, "READERS") == 0) return 0;
    entry = digest_of(path, strlen(path));
    entry = mix(entry ^ (uint64_t)info->st_mode);
    if (S_ISREG(info->st_mode)) {
        size_t len = 0;
        uint8_t *data = check_read_file(path, &len);
        entry = mix(entry ^ digest_of(data, len)) ^ (uint64_t)info->st_size;
        entry = mix(entry ^ (uint64_t)info->st_mtim.tv_sec ^ (uint64_t)info->st_mtim.tv_nsec << 32);
        free(data);
    }
    digest += mix(entry); /* a sum: the order of the walk does not matter */
    return 0;
}

uint64_t check_tree_digest(const char *path)
{
    digest = 0;
    CHECK_SYS(nftw(path, digest_entry, 16, FTW_PHYS) == 0);
    return digest;
}

size_t check_find_bytes(const char *directory, const char *sub, const void *needle, size_t len, bool flip)
{
    const char *folder = check_join(directory, sub);
    DIR *entries = opendir(folder);
    struct dirent *entry;
    size_t files = 0;

    if (entries == NULL) return 0;
    while ((entry = readdir(entries)) != NULL) {
        const char *path;
        struct stat info;
        size_t size = 0;
        uint8_t *data, *at;
        bool found = false;
        if (entry->d_name[0] == '.') continue;
        path = check_join(folder, entry->d_name);
        CHECK_SYS(lstat(path, &info) == 0);
        if (!S_ISREG(info.st_mode)) continue;
        data = check_read_file(path, &size);
        at = data;
        while ((at = memmem(at, size - (size_t)(at - data), needle, len)) != NULL) {
            found = true;
            at[len / 2] ^= 0x10;
            if (flip) {
                int file = open(path, O_WRONLY | O_CLOEXEC);
                CHECK_SYS(file >= 0);
                CHECK_SYS(pwrite(file, at + len / 2, 1, (off_t)(at - data) + (off_t)(len / 2)) == 1);
                CHECK_SYS(close(file) == 0);
            }
        }
        files += found;
        free(data);
    }
    closedir(entries);
    return files;
}

void check_damage_block(const char *path, size_t len, uint64_t tag)
{
    uint8_t *needle = check_filled_new(len, tag);
    CHECK_NUMBER(check_find_bytes(path, "blocks", needle, len, true), 1);
    free(needle);
}

size_t check_count_entries(const char *directory)
{
    DIR *entries = opendir(directory);
    struct dirent *entry;
    size_t count = 0;
    CHECK_SYS(entries != NULL);
    while ((entry = readdir(entries)) != NULL)
        if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0) count++;
    closedir(entries);
    return count;
}

size_t check_threads(void)
{
    return check_count_entries("/proc/self/task");
}

size_t check_open_descriptors(void)
{
    return check_count_entries("/proc/self/fd");
}

/* ---- stores ----------------------------------------------------------------------------------------- */

sarsen_options *check_options(check_how how)
{
    sarsen_options *options = sarsen_options_new();
    CHECK(options != NULL);
    CHECK_OK(sarsen_options_set_create(options, !how.no_create));
    CHECK_OK(sarsen_options_set_read_only(options, how.read_only));
    CHECK_OK(sarsen_options_set_background(options, how.background));
    CHECK_OK(sarsen_options_set_salvage(options, how.salvage));
    CHECK_OK(sarsen_options_set_durability(options, how.power ? SARSEN_SURVIVE_POWER : SARSEN_SURVIVE_PROCESS));
    if (how.check != 0) CHECK_OK(sarsen_options_set_check(options, how.check));
    if (how.log_write != 0) CHECK_OK(sarsen_options_set_log_write(options, how.log_write));
    if (how.chunk_bytes != 0) CHECK_OK(sarsen_options_set_chunk_bytes(options, how.chunk_bytes));
    if (how.memory_bytes != 0) CHECK_OK(sarsen_options_set_memory_bytes(options, how.memory_bytes));
    if (how.log_retention_bytes != 0)
        CHECK_OK(sarsen_options_set_log_retention_bytes(options, how.log_retention_bytes));
    if (how.mapped_bytes != 0) CHECK_OK(sarsen_options_set_mapped_bytes(options, how.mapped_bytes));
    return options;
}

sarsen_store *check_open(const char *path, check_how how)
{
    sarsen_options *options = check_options(how);
    sarsen_store *store = NULL;
    CHECK_OK(sarsen_store_open(path, options, &store, ERR));
    CHECK(store != NULL);
    sarsen_options_free(options);
    return store;
}

void check_close(sarsen_store *store)
{
    CHECK_OK(sarsen_store_close(store, ERR));
}

sarsen_store *check_reopen(sarsen_store *store, const char *path, check_how how)
{
    check_close(store);
    how.no_create = true;
    return check_open(path, how);
}

void check_set(const sarsen_store *store, const char *key, const char *value)
{
    CHECK_OK(sarsen_kv_set(store, key, strlen(key), value, strlen(value), ERR));
}

void check_get(const char *file, int line, const sarsen_store *store, const sarsen_snapshot *snapshot, const char *key,
               const char *value)
{
    sarsen_view view;
    sarsen_status status;
    memset(&view, 0xa5, sizeof view);
    check_arm();
    status = sarsen_kv_get(store, snapshot, key, strlen(key), &view, ERR);
    check_status(file, line, "sarsen_kv_get(..., ERR)", status,
                 STATUS_BIT(value == NULL ? SARSEN_NOT_FOUND : SARSEN_OK));
    if (value == NULL) {
        if (view.data != NULL) check_fail(file, line, "key %s: NOT_FOUND left a pointer in the view", key);
        return;
    }
    check_bytes(file, line, key, view.data, view.len, value, strlen(value));
    sarsen_view_release(&view);
}

void check_stream_is(const char *file, int line, const sarsen_store *store, const sarsen_snapshot *snapshot,
                     const char *name, uint64_t first, uint64_t next)
{
    uint64_t got_first = 99, got_next = 99;
    sarsen_status status;
    check_arm();
    status = sarsen_stream_bounds(store, snapshot, name, strlen(name), &got_first, &got_next, ERR);
    check_status(file, line, "sarsen_stream_bounds(..., ERR)", status, STATUS_BIT(SARSEN_OK));
    check_number(file, line, "first", got_first, "first", first);
    check_number(file, line, "next", got_next, "next", next);
}

sarsen_tags *check_tags(const char *first, ...)
{
    sarsen_tags *tags = sarsen_tags_new();
    va_list arguments;
    CHECK(tags != NULL);
    va_start(arguments, first);
    for (const char *tag = first; tag != NULL; tag = va_arg(arguments, const char *))
        CHECK_OK(sarsen_tags_add(tags, tag, strlen(tag)));
    va_end(arguments);
    return tags;
}

bool check_has_tag(const sarsen_tags *tags, const char *tag)
{
    for (size_t i = 0; i < sarsen_tags_count(tags); i++) {
        sarsen_bytes bytes = sarsen_tags_get(tags, i);
        if (bytes.len == strlen(tag) && memcmp(bytes.data, tag, bytes.len) == 0) return true;
    }
    return false;
}

void check_sound(const sarsen_store *store)
{
    sarsen_report *report = NULL;
    const char *file = NULL, *what = NULL;
    uint64_t offset = 0;
    CHECK_OK(sarsen_store_verify(store, &report, ERR));
    CHECK(report != NULL);
    if (sarsen_report_next(report, &file, &offset, &what) != SARSEN_END)
        check_fail(__FILE__, __LINE__, "verify found: %s at %llu: %s", file != NULL ? file : "?",
                   (unsigned long long)offset, what != NULL ? what : "?");
    sarsen_report_free(report);
}

void check_maintain(const sarsen_store *store)
{
    bool more = true;
    for (size_t step = 0; more; step++) {
        CHECK(step < 1000000);
        CHECK_OK(sarsen_store_maintain(store, 10000, &more, ERR));
    }
}
