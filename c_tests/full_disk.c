/* Life at the edge of a full disk, on small real file systems: writes of every kind until one is refused, reads, then
 * space is freed (by deleting in the store, or a file beside it) until that same write succeeds. That is one cycle.
 *
 * A session is a process that runs cycles on one store; it is killed at a moment near an edge or closes the store, and
 * the next one finds everything that was acknowledged. What the store should hold lies in memory that outlives the
 * sessions. FULL_DISK_CYCLES is the number of cycles over all cases (default: a short run). */
#include "check.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "powercut/loop_disk.h"

enum { DISK_BYTES = 48 << 20, BTRFS_BYTES = 128 << 20 /* room for 47 MiB of data */, BALLAST_BYTES = 4 << 20, SLOTS = 4000, MOST_CHANGES = 6, CASES = 22 };

/* An item's slot decides on its kind. */
enum kind { KV_INLINE, KV_LONG, MEMORY, LOOSE_SMALL, LOOSE_LARGE, SLOT_KINDS, RECORD = SLOT_KINDS, MIXED, KINDS };

static const char *const kind_names[KINDS] = {"kv inline", "kv long", "memory", "loose small", "loose large", "record", "batch"};

typedef struct item {
    bool live;
    uint32_t size;
    uint64_t tag; /* of its bytes */
    sarsen_block block;
} item;

typedef enum verb { PUT, DELETE, APPEND, TRIM } verb;

typedef struct change {
    verb verb;
    uint32_t slot, size;
    uint64_t tag, before;
} change;

typedef struct commit {
    uint32_t count;
    bool power;
    enum kind kind;
    change changes[MOST_CHANGES];
} commit;

/* What outlives a session. */
typedef struct book {
    uint64_t random, tag;
    uint64_t seq; /* acknowledged */
    bool in_doubt; /* `doubt` was begun and not answered */
    commit doubt;
    item items[SLOTS];
    uint64_t first, next; /* of the stream "records" */
    uint64_t cycles, sessions, kills, commits, refused[KINDS], refused_deletes, most_tries;
} book;

typedef struct session {
    book *book;
    sarsen_store *store;
    sarsen_batch *batch;
    check_how how;
    const char *disk, *path;
    int out; /* one byte at each edge */
    uint64_t until; /* cycles */
} session;

/* ---- drawing ---- */

static uint64_t draw(book *in, uint64_t limit)
{
    uint64_t z = in->random += 0x9e3779b97f4a7c15u;
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return (z ^ (z >> 31)) % limit;
}

static uint32_t draw_size(book *in, enum kind kind)
{
    static const uint32_t least[] = {0, 1025, 1, 1, 33 << 10, 0}, most[] = {1024, 60 << 10, 20 << 10, 32 << 10, 300 << 10, 9 << 10};
    return least[kind] + (uint32_t)draw(in, most[kind] - least[kind] + 1);
}

static uint32_t record_size(uint64_t index)
{
    return (uint32_t)(index * 2654435761u % 9000);
}

/* A free slot of the kind, or one that will be overwritten; loose blocks are never overwritten. */
static bool draw_slot(book *in, enum kind kind, uint32_t *slot)
{
    for (int tries = 0; tries < 64; tries++) {
        *slot = (uint32_t)draw(in, SLOTS / SLOT_KINDS) * SLOT_KINDS + kind;
        if (!in->items[*slot].live || (kind <= MEMORY && tries > 32)) return true;
    }
    return false;
}

static void plan_one(book *in, commit *wanted, enum kind kind)
{
    change *next = &wanted->changes[wanted->count];
    *next = (change){.verb = kind == RECORD ? APPEND : PUT, .tag = ++in->tag};
    if (kind == RECORD) {
        uint64_t index = in->next;
        for (uint32_t i = 0; i < wanted->count; i++) index += wanted->changes[i].verb == APPEND;
        next->size = record_size(index);
        wanted->count++;
        return;
    }
    if (!draw_slot(in, kind, &next->slot)) return;
    for (uint32_t i = 0; i < wanted->count; i++)
        if (wanted->changes[i].verb == PUT && wanted->changes[i].slot == next->slot) return;
    next->size = draw_size(in, kind);
    wanted->count++;
}

static commit plan_write(book *in, enum kind kind)
{
    commit wanted = {.kind = kind, .power = draw(in, 8) == 0};
    if (kind != MIXED) {
        plan_one(in, &wanted, kind);
        if (wanted.count > 0) return wanted;
    }
    wanted.kind = MIXED;
    for (int i = 0; i < MOST_CHANGES; i++) plan_one(in, &wanted, (enum kind)draw(in, RECORD + 1));
    if (wanted.count == 0) plan_one(in, &wanted, RECORD);
    return wanted;
}

/* ---- committing ---- */

static size_t key_of(uint32_t slot, char key[24])
{
    return (size_t)snprintf(key, 24, "key-%u", slot);
}

static void add(session *in, const change *wanted)
{
    uint8_t *data = wanted->verb == PUT || wanted->verb == APPEND ? check_filled_new(wanted->size, wanted->tag) : NULL;
    char key[24];
    size_t len = key_of(wanted->slot, key);
    enum kind kind = (enum kind)(wanted->slot % SLOT_KINDS);
    sarsen_tags *tags = check_tags("edge", kind == MEMORY ? key : "none", NULL);
    if (wanted->verb == APPEND)
        CHECK_OK(sarsen_batch_append_stream(in->batch, STR("records"), data, wanted->size, ERR));
    else if (wanted->verb == TRIM)
        CHECK_OK(sarsen_batch_trim_stream(in->batch, STR("records"), wanted->before, ERR));
    else if (kind <= KV_LONG && wanted->verb == PUT)
        CHECK_OK(sarsen_batch_set_kv(in->batch, key, len, data, wanted->size, ERR));
    else if (kind <= KV_LONG)
        CHECK_OK(sarsen_batch_delete_kv(in->batch, key, len, ERR));
    else if (kind == MEMORY && wanted->verb == PUT)
        CHECK_OK(sarsen_batch_append_memory(in->batch, wanted->slot, tags, data, wanted->size, ERR));
    else if (kind == MEMORY)
        CHECK_OK(sarsen_batch_delete_memory(in->batch, wanted->slot, ERR));
    else if (wanted->verb == PUT)
        CHECK_OK(sarsen_batch_append_block(in->batch, data, wanted->size, ERR));
    else
        CHECK_OK(sarsen_batch_free_block(in->batch, &in->book->items[wanted->slot].block, ERR));
    sarsen_tags_free(tags);
    free(data);
}

static void follow(book *in, const commit *done)
{
    for (uint32_t i = 0; i < done->count; i++) {
        const change *one = &done->changes[i];
        item *to = &in->items[one->slot];
        if (one->verb == APPEND) in->next++;
        if (one->verb == TRIM) in->first = one->before;
        if (one->verb == DELETE) to->live = false;
        if (one->verb == PUT) {
            to->live = true;
            to->size = one->size;
            to->tag = one->tag;
        }
    }
    in->seq++;
}

static sarsen_status run_commit(session *in, const commit *wanted)
{
    uint32_t survive = wanted->power ? SARSEN_SURVIVE_POWER : SARSEN_SURVIVE_PROCESS;
    uint64_t seq = 0;
    sarsen_batch_clear(in->batch);
    for (uint32_t i = 0; i < wanted->count; i++) add(in, &wanted->changes[i]);
    in->book->doubt = *wanted;
    __atomic_store_n(&in->book->in_doubt, true, __ATOMIC_SEQ_CST);
    CHECK_IN(STATUS_BIT(SARSEN_OK) | STATUS_BIT(SARSEN_NO_SPACE),
             sarsen_batch_commit(in->batch, in->store, survive, &seq, ERR));
    if (check_last.status == SARSEN_OK) {
        CHECK_NUMBER(seq, in->book->seq + 1);
        for (uint32_t i = 0; i < wanted->count; i++) {
            const change *one = &wanted->changes[i];
            if (one->verb == PUT && one->slot % SLOT_KINDS >= LOOSE_SMALL)
                CHECK_OK(sarsen_batch_result(in->batch, i, NULL, &in->book->items[one->slot].block, ERR));
        }
        follow(in->book, wanted);
        in->book->commits++;
    } else {
        CHECK_NUMBER(sarsen_batch_count(in->batch), wanted->count);
        CHECK_NUMBER(sarsen_store_last_seq(in->store), in->book->seq);
    }
    __atomic_store_n(&in->book->in_doubt, false, __ATOMIC_SEQ_CST);
    return check_last.status;
}

/* ---- comparing ---- */

static void check_item(const session *in, uint32_t slot)
{
    const item *want = &in->book->items[slot];
    enum kind kind = (enum kind)(slot % SLOT_KINDS);
    sarsen_view view = {NULL, 0, NULL};
    char key[24];
    size_t len = key_of(slot, key);
    sarsen_status wanted = want->live ? SARSEN_OK : SARSEN_NOT_FOUND;
    if (kind >= LOOSE_SMALL && !want->live) return; /* nobody has its address */
    if (kind <= KV_LONG)
        CHECK_IS(wanted, sarsen_kv_get(in->store, NULL, key, len, &view, ERR));
    else if (kind == MEMORY)
        CHECK_IS(wanted, sarsen_memory_get(in->store, NULL, slot, &view, ERR));
    else
        CHECK_OK(sarsen_block_view(in->store, &want->block, 0, want->size, &view, ERR));
    if (want->live) CHECK_FILLED(view.data, view.len, want->size, want->tag);
    sarsen_view_release(&view);
}

static void check_record(const session *in, uint64_t index)
{
    sarsen_view view;
    CHECK_OK(sarsen_stream_get(in->store, NULL, STR("records"), index, &view, ERR));
    CHECK_NUMBER(view.len, record_size(index));
    sarsen_view_release(&view);
}

static void check_some(const session *in)
{
    for (int i = 0; i < 8; i++) check_item(in, (uint32_t)draw(in->book, SLOTS));
    if (in->book->first < in->book->next)
        check_record(in, in->book->first + draw(in->book, in->book->next - in->book->first));
}

static void check_all(const session *in)
{
    CHECK_NUMBER(sarsen_store_last_seq(in->store), in->book->seq);
    for (uint32_t slot = 0; slot < SLOTS; slot++) check_item(in, slot);
    if (in->book->next > 0) CHECK_STREAM(in->store, NULL, "records", in->book->first, in->book->next);
    for (uint64_t i = in->book->first; i < in->book->next; i++) check_record(in, i);
    check_sound(in->store);
}

/* ---- the disk beside the store ---- */

static void drop_ballast(const session *in)
{
    CHECK_SYS(unlink(check_join(in->disk, "ballast")) == 0 || errno == ENOENT);
}

/* Takes half of what is free, up to its size: what the store was given back stays usable. */
static void grow_ballast(const session *in)
{
    struct statvfs space;
    static const uint8_t zeros[64 << 10];
    int file = open(check_join(in->disk, "ballast"), O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    if (file < 0 && errno == ENOSPC) return; /* the store has even that */
    CHECK_SYS(file >= 0 && statvfs(in->disk, &space) == 0);
    uint64_t bytes = space.f_bavail * space.f_frsize / 2;
    if (bytes > BALLAST_BYTES) bytes = BALLAST_BYTES;
    for (uint64_t done = 0; done + sizeof zeros <= bytes; done += sizeof zeros)
        if (pwrite(file, zeros, sizeof zeros, (off_t)done) != (ssize_t)sizeof zeros) break;
    CHECK_SYS(fsync(file) == 0 || errno == ENOSPC);
    close(file);
}

/* ---- cycles ---- */

static void upkeep(const session *in)
{
    bool more = true;
    for (int step = 0; more && step < 10000; step++) {
        CHECK_IN(STATUS_BIT(SARSEN_OK) | STATUS_BIT(SARSEN_NO_SPACE),
                 sarsen_store_maintain(in->store, 10000, &more, ERR));
        if (check_last.status == SARSEN_NO_SPACE) return;
    }
}

static void tell(const session *in, char what)
{
    CHECK_SYS(write(in->out, &what, 1) == 1);
}

/* Writes until something is refused: of all kinds first, then of the kind whose turn it is. */
static commit fill(session *in)
{
    enum kind turn = (enum kind)(in->book->cycles % KINDS);
    bool had_its_turn = false;
    for (int writes = 0; writes < 100000; writes++) {
        commit wanted = plan_write(in->book, (enum kind)draw(in->book, KINDS));
        if (run_commit(in, &wanted) == SARSEN_NO_SPACE) {
            if (had_its_turn) return wanted;
            for (int more = 0; more < 30; more++) {
                wanted = plan_write(in->book, turn);
                if (run_commit(in, &wanted) == SARSEN_NO_SPACE) return wanted;
            }
            had_its_turn = true; /* little ones may still fit where larger ones don't */
        }
        if (!in->how.background && writes % 16 == 15) upkeep(in);
    }
    check_fail(__FILE__, __LINE__, "100,000 writes and the disk is not full");
}

/* What the disk and the store look like, for a failure's message. */
static void show(const session *in)
{
    struct statvfs space;
    struct stat reserve = {.st_size = -1};
    sarsen_stats stats;
    CHECK_SYS(statvfs(in->disk, &space) == 0);
    if (stat(check_join(in->path, "RESERVE"), &reserve) != 0) errno = 0;
    CHECK_OK(sarsen_store_stats(in->store, &stats, sizeof stats));
    fprintf(stderr,
            "cycle %llu, session %llu: %llu bytes free, reserve %lld, log %llu, index %llu, blocks live %llu dead %llu, on disk %llu\n",
            (unsigned long long)in->book->cycles, (unsigned long long)in->book->sessions,
            (unsigned long long)(space.f_bavail * space.f_frsize), (long long)reserve.st_size,
            (unsigned long long)stats.log_bytes, (unsigned long long)stats.index_bytes,
            (unsigned long long)stats.block_bytes_live, (unsigned long long)stats.block_bytes_dead,
            (unsigned long long)stats.disk_bytes);
}

static uint64_t live_bytes(const book *in)
{
    uint64_t sum = 0;
    for (uint32_t slot = 0; slot < SLOTS; slot++) sum += in->items[slot].live ? in->items[slot].size : 0;
    for (uint64_t i = in->first; i < in->next; i++) sum += record_size(i);
    return sum;
}

/* Deletes about this much, a few things a commit; what was freed. Every deletion has to go through. */
static uint64_t delete_some(session *in, uint64_t bytes)
{
    uint64_t freed = 0;
    for (int empty = 0; freed < bytes && empty < 10000;) {
        commit wanted = {.power = draw(in->book, 8) == 0};
        while (wanted.count < 4 && empty < 10000) {
            change one = {.verb = DELETE, .slot = (uint32_t)draw(in->book, SLOTS)};
            bool twice = false;
            for (uint32_t i = 0; i < wanted.count; i++) twice = twice || wanted.changes[i].slot == one.slot;
            if (draw(in->book, 20) == 0 && in->book->first < in->book->next && wanted.count == 0) {
                uint64_t length = in->book->next - in->book->first;
                one = (change){.verb = TRIM, .before = in->book->first + 1 + draw(in->book, (length + 3) / 4)};
                for (uint64_t i = in->book->first; i < one.before; i++) freed += record_size(i);
                wanted.changes[wanted.count++] = one;
                break;
            }
            if (twice || !in->book->items[one.slot].live) {
                empty++;
                continue;
            }
            freed += in->book->items[one.slot].size;
            wanted.changes[wanted.count++] = one;
        }
        if (wanted.count == 0) break;
        for (int tries = 0; run_commit(in, &wanted) != SARSEN_OK; tries++) {
            in->book->refused_deletes++;
            if (tries == 20) {
                fprintf(stderr, "a deletion is refused for good: %s\n", check_last.message);
                show(in);
                check_fail(__FILE__, __LINE__, "a deletion is refused for good");
            }
            upkeep(in);
        }
    }
    return freed;
}

static void one_cycle(session *in)
{
    commit wanted = fill(in);
    uint64_t live = live_bytes(in->book), freed = 0, goal = 64 << 10;
    bool foreign = draw(in->book, 3) == 0;
    uint64_t tries = 0;
    in->book->refused[wanted.kind]++;
    tell(in, 'e');
    check_some(in);
    if (foreign) {
        drop_ballast(in);
        if (draw(in->book, 2) == 0 || !in->how.background) upkeep(in);
    }
    while (run_commit(in, &wanted) != SARSEN_OK) {
        tries++;
        if (freed > live / 2) {
            fprintf(stderr, "%s of %u commands is still refused: %s\n", kind_names[wanted.kind], wanted.count,
                    check_last.message);
            show(in);
            check_fail(__FILE__, __LINE__, "wedged: %llu of %llu live bytes deleted", (unsigned long long)freed,
                       (unsigned long long)live);
        }
        freed += delete_some(in, goal);
        goal *= 2;
        if (draw(in->book, 3) == 0)
            CHECK_IN(STATUS_BIT(SARSEN_OK) | STATUS_BIT(SARSEN_NO_SPACE), sarsen_store_compact(in->store, ERR));
        upkeep(in);
    }
    if (tries > in->book->most_tries) in->book->most_tries = tries;
    check_some(in);
    if (foreign) grow_ballast(in);
    in->book->cycles++;
    tell(in, 'c');
}

/* ---- sessions ---- */

static void settle_doubt(session *in)
{
    uint64_t last = sarsen_store_last_seq(in->store);
    if (in->book->in_doubt && last == in->book->seq + 1) {
        follow(in->book, &in->book->doubt);
        for (uint32_t i = 0; i < in->book->doubt.count; i++) { /* addresses that nobody was told */
            const change *one = &in->book->doubt.changes[i];
            if (one->verb == PUT && one->slot % SLOT_KINDS >= LOOSE_SMALL) in->book->items[one->slot].live = false;
        }
    }
    in->book->in_doubt = false;
}

static void body_session(void *argument)
{
    session *in = argument;
    in->store = check_open(in->path, in->how);
    in->batch = sarsen_batch_new();
    settle_doubt(in);
    check_all(in);
    tell(in, 'o');
    for (int n = 1; in->book->cycles < in->until; n++) {
        one_cycle(in);
        if (n % 40 == 0) check_all(in);
        if (n % 25 == 0) {
            CHECK_IN(STATUS_BIT(SARSEN_OK) | STATUS_BIT(SARSEN_NO_SPACE), sarsen_store_close(in->store, ERR));
            in->store = check_open(in->path, in->how);
            check_all(in);
        }
    }
    sarsen_batch_free(in->batch);
    CHECK_IN(STATUS_BIT(SARSEN_OK) | STATUS_BIT(SARSEN_NO_SPACE), sarsen_store_close(in->store, ERR));
}

/* Lets a session run for some edges and a moment more, then kills it; or waits for its end. True when it ended. */
static bool run_session(session *in, uint64_t edges)
{
    int ends[2], status = 0;
    char told;
    CHECK_SYS(pipe(ends) == 0);
    fflush(NULL);
    pid_t pid = fork();
    CHECK_SYS(pid >= 0);
    if (pid == 0) {
        close(ends[0]);
        in->out = ends[1];
        body_session(in);
        _exit(0);
    }
    close(ends[1]);
    uint64_t seen = 0;
    bool killed = false;
    while (read(ends[0], &told, 1) == 1) {
        if (killed || ++seen < edges) continue;
        struct pollfd more = {.fd = ends[0], .events = POLLIN};
        struct timespec moment = {0, (long)check_below(8000000)};
        ppoll(&more, 1, &moment, NULL); /* the moment, or the next edge if that comes first */
        kill(pid, SIGKILL);
        killed = true;
    }
    close(ends[0]);
    CHECK_SYS(waitpid(pid, &status, 0) == pid);
    if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return true;
    if (!killed || !WIFSIGNALED(status) || WTERMSIG(status) != SIGKILL)
        check_fail(__FILE__, __LINE__, "the session ended with %s %d", WIFSIGNALED(status) ? "signal" : "exit code",
                   WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    in->book->kills++;
    return false;
}

typedef struct setting {
    enum disk_kind kind;
    const char *disk;
    check_how how;
} setting;

static uint64_t wanted_cycles(void)
{
    const char *text = getenv("FULL_DISK_CYCLES");
    return text == NULL ? 20 : (strtoull(text, NULL, 10) + CASES - 1) / CASES;
}

static void body(void *argument)
{
    const setting *wanted = argument;
    session now = {.how = wanted->how, .disk = wanted->disk, .path = check_join(wanted->disk, "store")};
    const char *image = check_path("image");
    if (!disk_private_mounts()) _exit(CHECK_SKIPPED);
    CHECK_SYS(mkdir(now.disk, 0700) == 0 || errno == EEXIST);
    uint64_t bytes = wanted->kind == DISK_BTRFS ? BTRFS_BYTES : DISK_BYTES;
    if (wanted->kind != DISK_TMPFS && !disk_make(wanted->kind, image, bytes))
        check_fail(__FILE__, __LINE__, "%s", disk_error);
    if (!disk_mount(wanted->kind, image, bytes, now.disk)) {
        if (wanted->kind == DISK_TMPFS) _exit(CHECK_SKIPPED);
        check_fail(__FILE__, __LINE__, "%s", disk_error);
    }
    now.book = mmap(NULL, sizeof *now.book, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK_SYS(now.book != MAP_FAILED);
    now.book->random = check_random();
    now.until = wanted_cycles();
    grow_ballast(&now);
    do now.book->sessions++;
    while (!run_session(&now, 1 + check_below(60)));
    const book *in = now.book;
    printf("  %s, log %s, %s: %llu cycles, %llu commits, %llu kills, %llu sessions; refused", disk_names[wanted->kind],
           wanted->how.log_write == SARSEN_LOG_MAPPED    ? "mapped"
           : wanted->how.log_write == SARSEN_LOG_WRITTEN ? "written"
                                                         : "auto",
           wanted->how.background ? "thread" : "no thread", (unsigned long long)in->cycles,
           (unsigned long long)in->commits, (unsigned long long)in->kills, (unsigned long long)in->sessions);
    for (int kind = 0; kind < KINDS; kind++) printf(" %s %llu,", kind_names[kind], (unsigned long long)in->refused[kind]);
    printf(" deletions at first %llu; most tries %llu\n", (unsigned long long)in->refused_deletes,
           (unsigned long long)in->most_tries);
    fflush(stdout);
    CHECK(in->cycles >= now.until);
    disk_unmount(now.disk);
}

static void run(enum disk_kind kind, uint32_t log_write, bool background)
{
    static int number;
    char name[32];
    const char *missing = disk_missing(kind);
    snprintf(name, sizeof name, "disk-%d", number++);
    setting wanted = {kind, check_path(name), {.background = background, .log_write = log_write}};
    if (missing != NULL) check_skip("%s", missing);
    wanted.how.chunk_bytes = UINT64_C(256) << 10 << check_below(4);
    wanted.how.memory_bytes = UINT64_C(512) << 10 << check_below(3);
    int status = check_child(body, &wanted);
    if (WIFEXITED(status) && WEXITSTATUS(status) == CHECK_SKIPPED)
        check_skip("no tmpfs can be mounted here (neither as root nor in a user namespace)");
    CHECK_NUMBER(status, 0);
}

/* A mapped log on btrfs is what the header warns of. */
static void run_all(enum disk_kind kind)
{
    static const uint32_t ways[] = {SARSEN_LOG_AUTO, SARSEN_LOG_WRITTEN, SARSEN_LOG_MAPPED};
    for (size_t way = 0; way < COUNT_OF(ways); way++)
        for (int background = 0; background < 2; background++)
            if (kind != DISK_BTRFS || ways[way] != SARSEN_LOG_MAPPED) run(kind, ways[way], background != 0);
}

static void a_full_tmpfs_refuses_and_goes_on(void)
{
    run_all(DISK_TMPFS);
}

static void a_full_ext4_refuses_and_goes_on(void)
{
    run_all(DISK_EXT4);
}

static void a_full_xfs_refuses_and_goes_on(void)
{
    run_all(DISK_XFS);
}

static void a_full_btrfs_refuses_and_goes_on(void)
{
    run_all(DISK_BTRFS);
}

static const check_case cases[] = {
    CASE(a_full_tmpfs_refuses_and_goes_on),
    CASE(a_full_ext4_refuses_and_goes_on),
    CASE(a_full_xfs_refuses_and_goes_on),
    CASE(a_full_btrfs_refuses_and_goes_on),
};
CHECK_MAIN(cases)
