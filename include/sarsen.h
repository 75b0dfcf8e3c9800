/* sarsen: an embedded store for C and C++ programs.
 *
 * One library, one directory on disk, no server. Four kinds of data behind one log and one atomic commit:
 *
 *  - blocks: immutable bytes with an address that never changes, read in place;
 *  - memories: a uint64_t id, a block and a set of tags, found again by id or by tags;
 *  - key-value: ordered byte keys;
 *  - streams: per name, an append-only sequence of records numbered from 0.
 *
 * Every commit has a number, its seq: from 1, no gaps. After any crash the store holds exactly the commits 1..n for
 * some n, and n is at least the newest one that was acknowledged at a level that survives that crash.
 *
 * Conventions
 *
 *  Errors      A function that can fail returns sarsen_status and takes a nullable `sarsen_error **error` last. OK is
 *              0. NOT_FOUND, END and TIMEOUT are expected answers and set no error object; every other status does,
 *              where the caller gave a place for it. There is no thread-local state. *error is set to NULL on entry.
 *  Out         Out-parameters come before `error`. On failure pointers are set to NULL and numbers to 0.
 *  Bytes in    (pointer, length); NULL with length 0 is the empty string. Paths and tags are UTF-8.
 *  Threads     `const T *` may be used by many threads at once, `T *` by one thread at a time. A sarsen_store is
 *              always const: it is thread-safe. One process writes a store; others may open it read-only meanwhile.
 *  Ownership   What the library hands out has one function that gives it back; NULL is a no-op there.
 *  Enums       go in as uint32_t and are checked.
 *  Structs     that may grow are passed with their size: the library writes min(its size, yours) and zeroes the rest.
 *              sarsen_view, sarsen_block and sarsen_bytes never change.
 *  Sizes       Keys and stream names 0 to 65,535 bytes (empty is a key), tags 1 to 1,024 bytes and up to 1,024 a
 *              memory, values, records and blocks below 4 GiB, a commit's commands up to 1 GiB beside large blocks;
 *              else TOO_LARGE.
 *  Writes      NO_SPACE, TOO_LARGE, INVALID_ARGUMENT, NOT_FOUND, CONFLICT: certainly not written. IO and POISONED:
 *              unknown until the store is reopened. A commit is visible once appended, acknowledged once it has its
 *              level (SARSEN_SURVIVE_...).
 *  Handles     Using one after it was freed is undefined. Told apart are: NULL, a wrong kind of handle, a child object
 *              of a closed store (INVALID_ARGUMENT; still to be freed), a handle carried over fork() (FORKED).
 *  Panics      never cross into the host: one that was caught is SARSEN_INTERNAL, and the store refuses further writes
 *              until it is reopened; Rust's own message about it goes to stderr. Otherwise the library never exits,
 *              prints, installs a signal handler or reads the environment.
 *  Full disk   NO_SPACE refuses what adds something, and a retry gets past it once there is room. Deletes, trims and
 *              frees go on, by space that a store of 1 MiB or more keeps in reserve; upkeep then gives back theirs.
 *  Numbers     Times are microseconds, sizes bytes, integers in buffers little-endian.
 *
 * This file is generated from the doc comments of the library.
 */

#ifndef SARSEN_H
#define SARSEN_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

// Done.
#define SARSEN_OK 0

// No such key, id, record or block. Sets no error object.
#define SARSEN_NOT_FOUND 1

// An iterator has nothing more. Sets no error object.
#define SARSEN_END 2

// A wait ran out. Sets no error object.
#define SARSEN_TIMEOUT 3

// The call makes no sense as it is; nothing was done.
#define SARSEN_INVALID_ARGUMENT 10

// The operating system refused; sarsen_error_os_code() has errno.
#define SARSEN_IO 11

// Disk full: nothing was written, reads go on, retry later.
#define SARSEN_NO_SPACE 12

// Damage to data that had been made durable.
#define SARSEN_CORRUPT 13

// Another process or handle has the store open for writing.
#define SARSEN_LOCKED 14

// The path exists, but holds no store; or nothing is there and creating was not asked for.
#define SARSEN_NOT_A_STORE 15

// Written by a newer format.
#define SARSEN_VERSION 16

// A write to a store that was opened read-only.
#define SARSEN_READ_ONLY 17

// Beyond the documented sizes; nothing was done.
#define SARSEN_TOO_LARGE 18

// An earlier write failed half-way; close the store and open it again.
#define SARSEN_POISONED 19

// Used in a child process after fork().
#define SARSEN_FORKED 20

// A condition did not hold; nothing was written.
#define SARSEN_CONFLICT 21

// A defect in sarsen. The store refuses further writes until it is reopened.
#define SARSEN_INTERNAL 22

// What a commit survives: kill -9 of the host. The bytes were handed to the kernel, without a sync.
#define SARSEN_SURVIVE_PROCESS 1

// What a commit survives: power loss. The bytes are on stable storage when the call returns.
#define SARSEN_SURVIVE_POWER 2

// Large blocks and index pages are checked when first touched since their file was mapped.
#define SARSEN_CHECK_FIRST_TOUCH 1

// They are checked at every read.
#define SARSEN_CHECK_EVERY_READ 2

// The log is written through a map where the file system keeps that safe (ext4, XFS, tmpfs), else with pwrite.
#define SARSEN_LOG_AUTO 0

// The log is always written through a map, commits that survive power loss included. On another file system a full disk
// may then end the process with SIGBUS.
#define SARSEN_LOG_MAPPED 1

// The log is always written with pwrite.
#define SARSEN_LOG_WRITTEN 2

// Closed in order, nothing to replay.
#define SARSEN_RECOVERY_CLEAN 0

// The log was replayed, nothing was lost.
#define SARSEN_RECOVERY_REPLAYED 1

// An unfinished, never durable tail was cut off.
#define SARSEN_RECOVERY_TORN_TAIL 2

// Durable data was damaged; only a store opened with salvage gets this far.
#define SARSEN_RECOVERY_DAMAGED 3

#define SARSEN_COMMAND_APPEND_BLOCK 1

#define SARSEN_COMMAND_FREE_BLOCK 2

#define SARSEN_COMMAND_APPEND_MEMORY 3

#define SARSEN_COMMAND_DELETE_MEMORY 4

#define SARSEN_COMMAND_SET_KV 5

#define SARSEN_COMMAND_DELETE_KV 6

#define SARSEN_COMMAND_APPEND_STREAM 7

#define SARSEN_COMMAND_TRIM_STREAM 8

// The commands of one atomic commit, in order. Belongs to the caller; no store knows of it until it is committed. One
// thread at a time.
typedef struct sarsen_batch sarsen_batch;

// What went wrong: status, message, and where there are any, errno, file, offset and the commits concerned. Belongs
// to the caller, who frees it with sarsen_error_free. Any thread.
typedef struct sarsen_error sarsen_error;

// A scan over keys. Belongs to the caller. One thread at a time.
typedef struct sarsen_kv_iter sarsen_kv_iter;

// A place in the log. Belongs to the caller. One thread at a time.
typedef struct sarsen_log_reader sarsen_log_reader;

// A query for memories. Belongs to the caller. One thread at a time.
typedef struct sarsen_memory_iter sarsen_memory_iter;

// How a store is opened. Belongs to the caller; opening copies it. One thread at a time.
typedef struct sarsen_options sarsen_options;

// Findings of sarsen_store_verify, one a call. Belongs to the caller. One thread at a time.
typedef struct sarsen_report sarsen_report;

// One frozen view over all four kinds of data. Reads take one, or NULL for 'now'. Any number of threads. While it is
// held, what it sees takes space on disk.
typedef struct sarsen_snapshot sarsen_snapshot;

// An open store. Thread-safe: always used through `const`.
typedef struct sarsen_store sarsen_store;

// A walk along one stream. Belongs to the caller. One thread at a time.
typedef struct sarsen_stream_iter sarsen_stream_iter;

// A walk over the streams there are. Belongs to the caller. One thread at a time.
typedef struct sarsen_stream_names sarsen_stream_names;

// A set of tags: UTF-8 strings of 1 to 1,024 bytes, up to 1,024 of them. Belongs to the caller. One thread at a time
// while it is changed.
typedef struct sarsen_tags sarsen_tags;

// What a function that can fail returns. 0 is success.
typedef uint32_t sarsen_status;

// Bytes inside the store, kept in place until released; also after the store is closed. The bytes may be read by
// many threads at once. Alignment of `data` is not promised.
typedef struct {
    const uint8_t *data;
    size_t len;
    // Private.
    void *pin;
} sarsen_view;

// Called once with what became of commit `seq`: OK, the status of a poisoned store, or INVALID_ARGUMENT where the
// store was closed before. Holding no lock, on the thread whose call made the commit durable: the background thread,
// or any thread in commit, sync, wait_durable, maintain or close. It may call anything but close.
typedef void (*sarsen_durable_fn)(void *user, uint64_t seq, sarsen_status status);

// What opening the store found.
typedef struct {
    // One of SARSEN_RECOVERY_...
    uint32_t verdict;
    uint32_t reserved;
    // Newest commit in the recovered state.
    uint64_t last_seq;
    // Newest commit known to have been durable before the stop.
    uint64_t proven_seq;
    uint64_t replayed_commits;
    uint64_t replayed_bytes;
    // Bytes of the log's cut-off tail.
    uint64_t dropped_bytes;
    uint64_t elapsed_us;
} sarsen_recovery;

// Figures about a store. Bytes unless named otherwise; counters start at 0 when the store is opened.
typedef struct {
    uint64_t commits;
    // Group syncs of the log, and checkpoints.
    uint64_t syncs;
    // To the log and, large blocks, to chunks.
    uint64_t bytes_appended;
    // Counts, live and dead bytes are estimates, exact after sarsen_store_compact.
    uint64_t kv_count;
    uint64_t memory_count;
    uint64_t stream_count;
    uint64_t stream_record_count;
    // Loose blocks that nothing names.
    uint64_t block_count;
    uint64_t block_bytes_live;
    uint64_t block_bytes_dead;
    uint64_t log_bytes;
    uint64_t index_bytes;
    // What the file system accounts to the store.
    uint64_t disk_bytes;
    uint64_t heap_bytes;
    uint64_t mapped_bytes;
    // Views not yet released.
    uint64_t pinned_views;
    // Oldest snapshot that is held; 0: none.
    uint64_t oldest_snapshot_seq;
    uint64_t checkpoints;
    uint64_t compactions;
    // Microseconds that commits spent on work upkeep had not done.
    uint64_t stalls_us;
} sarsen_stats;

// Bytes that something else owns; each function says for how long they are good.
typedef struct {
    const uint8_t *data;
    size_t len;
} sarsen_bytes;

// Where a block lies: good until the block dies; upkeep never moves an address. After that it answers NOT_FOUND or,
// until the space is reclaimed, its own old bytes; never other bytes. A plain value: copy it, store it.
typedef struct {
    uint32_t chunk;
    // CRC-32C of the block's bytes.
    uint32_t crc32c;
    uint64_t offset;
    // Bytes.
    uint64_t len;
} sarsen_block;

// One command of the log.
typedef struct {
    // The commit it belongs to.
    uint64_t seq;
    // Keep (epoch, seq): above durable_seq a seq may be used again after power loss, under a higher epoch.
    uint64_t epoch;
    // One of SARSEN_COMMAND_...
    uint32_t kind;
    // 1: the last command of its commit.
    uint32_t last;
    // Memory id, stream index, or the first index that a trim keeps (UINT64_MAX: the stream was dropped).
    uint64_t id;
    // Where the kind has one, else zero; pairs and stream records of up to 1,024 bytes have none.
    sarsen_block block;
    // Key or stream name.
    sarsen_bytes key;
    // Value or block bytes.
    sarsen_bytes value;
} sarsen_command;

#ifdef __cplusplus
extern "C" {
#endif // __cplusplus

// ---- library ------------------------------------------------------------------------------------------
//
// Version of the ABI: raised when a program built against an older header has to be rebuilt. Never fails; any
// thread.
uint32_t sarsen_abi_version(void);

// Version of the library, such as "0.1.0": a constant string that is never freed. Any thread.
const char *sarsen_version(void);

// The status's name, such as "SARSEN_NOT_FOUND"; "unknown status" for a number that is none. A constant string
// that is never freed. Any thread.
const char *sarsen_status_name(sarsen_status status);

// ---- errors -------------------------------------------------------------------------------------------
//
// The status that the failed function returned; SARSEN_INVALID_ARGUMENT for NULL.
sarsen_status sarsen_error_status(const sarsen_error *error);

// What happened and what to do next: one line of UTF-8 without a line end, good until the error is freed. A
// fixed text for NULL.
const char *sarsen_error_message(const sarsen_error *error);

// errno where the system refused something; 0: not from the system.
int32_t sarsen_error_os_code(const sarsen_error *error);

// The file concerned, as a path within the store, good until the error is freed; NULL: none.
const char *sarsen_error_file(const sarsen_error *error);

// Byte offset in that file; 0 where there is none.
uint64_t sarsen_error_offset(const sarsen_error *error);

// First of the commits concerned; 0: none is known.
uint64_t sarsen_error_first_seq(const sarsen_error *error);

// Last of the commits concerned; 0: none is known.
uint64_t sarsen_error_last_seq(const sarsen_error *error);

// Frees an error. NULL is a no-op.
void sarsen_error_free(sarsen_error *error);

// ---- views --------------------------------------------------------------------------------------------
//
// Gives a view back and sets it to NULL. A view that was copied is released once, through one of the copies. NULL
// and a released view are no-ops. Any thread; the store may be closed.
void sarsen_view_release(sarsen_view *view);

// ---- options ------------------------------------------------------------------------------------------
//
// New options with every default: free them with sarsen_options_free. NULL only where memory ran out.
sarsen_options *sarsen_options_new(void);

// Frees options. NULL is a no-op.
void sarsen_options_free(sarsen_options *options);

// Create the store if nothing, or an empty directory, is at the path. Default: true.
sarsen_status sarsen_options_set_create(sarsen_options *options, bool create);

// Open for reading only: beside a writer in another process, or without one. Writes nothing inside the store. The
// store stays at the commit of its opening until sarsen_store_refresh. Default: false.
sarsen_status sarsen_options_set_read_only(sarsen_options *options,
                                           bool read_only);

// What a commit survives that doesn't say: SARSEN_SURVIVE_PROCESS or SARSEN_SURVIVE_POWER. Default: POWER.
sarsen_status sarsen_options_set_durability(sarsen_options *options, uint32_t survive);

// Size of a chunk file in bytes, 64 KiB to 16 GiB, for a store that is created; one that exists keeps its own.
// Default: 64 MiB.
sarsen_status sarsen_options_set_chunk_bytes(sarsen_options *options,
                                             uint64_t bytes);

// Budget for the heap in bytes, at least 256 KiB. The store stays within it plus 16 MiB, the host's own batches
// and what its views pin aside. Default: 64 MiB.
sarsen_status sarsen_options_set_memory_bytes(sarsen_options *options,
                                              uint64_t bytes);

// Bytes of log to keep for log readers beyond what recovery needs, with the large blocks they name. Default: 0.
sarsen_status sarsen_options_set_log_retention_bytes(sarsen_options *options,
                                                     uint64_t bytes);

// Run one thread for upkeep. Without it the host calls sarsen_store_maintain; if it never does, commits do the
// work when memory would overflow. Default: true.
sarsen_status sarsen_options_set_background(sarsen_options *options,
                                            bool background);

// Open a damaged store for what is left of it: read-only, with every commit before damage in the log, and of the rest
// all that passes its checks; what doesn't, or is missing, answers CORRUPT. Nothing is written. All of the store is read
// first, so opening takes as long as sarsen_store_verify, whose report lists the damage; where there is any, the verdict
// is DAMAGED. CORRUPT, as without: no good copy is in MANIFEST, so nothing says what the store is made of; or a link or
// the like stands in the place of a directory. Default: false.
sarsen_status sarsen_options_set_salvage(sarsen_options *options,
                                         bool salvage);

// When large blocks and index pages are checked: SARSEN_CHECK_FIRST_TOUCH or SARSEN_CHECK_EVERY_READ. Small blocks
// are checked at every read in any case. Default: FIRST_TOUCH.
sarsen_status sarsen_options_set_check(sarsen_options *options,
                                       uint32_t check);

// How frames get into the log: SARSEN_LOG_AUTO, SARSEN_LOG_MAPPED or SARSEN_LOG_WRITTEN. Default: AUTO.
sarsen_status sarsen_options_set_log_write(sarsen_options *options, uint32_t how);

// Cap in bytes on what is mapped of chunks, beyond what views hold; one chunk may exceed it. Runs are mapped as long as
// they are in use. 0: none. Default: 0.
sarsen_status sarsen_options_set_mapped_bytes(sarsen_options *options,
                                              uint64_t bytes);

// ---- store --------------------------------------------------------------------------------------------
//
// Opens, or creates, the store in the directory `path` (UTF-8). `options` may be NULL: every default.
//
// Recovery happens here and writes nothing: its outcome is told by sarsen_store_recovery. On success *out_store is
// closed with sarsen_store_close. LOCKED: open for writing elsewhere. NOT_A_STORE: something else is at the path,
// which is left as it is, or nothing and `create` is off. CORRUPT: durable data is damaged; the error names the
// place. VERSION: written by a newer sarsen. Takes time in proportion to the log's tail, not to the store.
sarsen_status sarsen_store_open(const char *path,
                                const sarsen_options *options,
                                sarsen_store **out_store,
                                sarsen_error **error);

// Closes a store: refuses further calls, waits for those under way, checkpoints, lets go of the files. After OK every
// commit survives power loss. Where more than a fifth of an index that takes at most twice `memory_bytes` is dead, it is
// merged first, which writes the index once more.
//
// Always consumes the handle, also when it reports an error (then the data is in the log as it was, or the store was
// poisoned before). Snapshots, iterators and log readers answer INVALID_ARGUMENT from then on and are still to be freed;
// views stay good. In a forked child it only releases memory. NULL is a no-op. Not to be called from a callback.
sarsen_status sarsen_store_close(sarsen_store *store,
                                 sarsen_error **error);

// Newest commit; 0: none, or no store. A snapshot taken now sees it.
uint64_t sarsen_store_last_seq(const sarsen_store *store);

// Newest commit that survives power loss, with every one before it. One atomic load.
uint64_t sarsen_store_durable_seq(const sarsen_store *store);

// Makes every commit so far survive power loss: one sync, shared with whoever else asks meanwhile. A failed sync
// poisons the store, since nobody can say what the disk has.
sarsen_status sarsen_store_sync(const sarsen_store *store,
                                sarsen_error **error);

// Returns once commit `seq` survives power loss, syncing for it unless somebody is. `timeout_us` (microseconds)
// bounds only waiting for others: TIMEOUT. INVALID_ARGUMENT for a seq that no commit has yet.
sarsen_status sarsen_store_wait_durable(const sarsen_store *store,
                                        uint64_t seq,
                                        uint64_t timeout_us,
                                        sarsen_error **error);

// Has `callback` called exactly once, when commit `seq` survives power loss: at once if it does already. Asks the
// background thread for a sync; without one, the next sarsen_store_maintain does it. `user` is passed on as it is.
// Not called if this function fails.
sarsen_status sarsen_store_notify_durable(const sarsen_store *store,
                                          uint64_t seq,
                                          sarsen_durable_fn callback,
                                          void *user,
                                          sarsen_error **error);

// Puts every commit so far into chunks and runs and releases the log before it (what is retained aside).
sarsen_status sarsen_store_checkpoint(const sarsen_store *store, sarsen_error **error);

// Checkpoints, merges the whole index and gives back the space of everything dead. Takes time in proportion to the
// store; other threads go on.
sarsen_status sarsen_store_compact(const sarsen_store *store,
                                   sarsen_error **error);

// Upkeep by the host, for stores opened with background = false: works for about `budget_us` microseconds in steps
// of some 256 KiB, at least one. A step may sync a file; the first call of an opening also makes the opening itself
// durable, unless a commit has. *out_more (may be NULL) says whether work is left.
sarsen_status sarsen_store_maintain(const sarsen_store *store,
                                    uint64_t budget_us,
                                    bool *out_more,
                                    sarsen_error **error);

// Writes a store of its own to `path` (UTF-8), where nothing may be yet: exactly what the snapshot sees, or the newest
// commit if it is NULL, under a uuid of its own. Writers go on meanwhile. Its MANIFEST comes last: what a crash
// leaves unfinished does not open.
sarsen_status sarsen_store_backup(const sarsen_store *store,
                                  const sarsen_snapshot *snapshot,
                                  const char *path,
                                  sarsen_error **error);

// Lets a read-only store see what was committed since. *out_seq (may be NULL) is the newest commit it sees now. On a
// store open for writing it only tells that. Snapshots and iterators taken before stay as they are.
sarsen_status sarsen_store_refresh(const sarsen_store *store,
                                   uint64_t *out_seq,
                                   sarsen_error **error);

// Takes over a directory in the ancestral layout (state.wal and blocks/chunk_NNNN.bin), whole or not at all, into a
// store that has no commit yet. Each record takes one seq; *out_commands (may be NULL) is their number. CORRUPT, and
// nothing imported, where a record names bytes that are not there.
sarsen_status sarsen_store_import(const sarsen_store *store,
                                  const char *path,
                                  uint64_t *out_commands,
                                  sarsen_error **error);

// What opening found. `out_size` is sizeof(sarsen_recovery) as the host knows it.
sarsen_status sarsen_store_recovery(const sarsen_store *store, sarsen_recovery *out, size_t out_size);

// Figures about the store, collected now. `out_size` is sizeof(sarsen_stats) as the host knows it. Looks at every
// file of the store.
sarsen_status sarsen_store_stats(const sarsen_store *store,
                                 sarsen_stats *out,
                                 size_t out_size);

// ---- verify -------------------------------------------------------------------------------------------
//
// Reads and checks every byte of the store. OK means that it could be read, not that nothing is wrong: the report
// says that, and is freed with sarsen_report_free. Upkeep waits meanwhile; commits and reads go on.
sarsen_status sarsen_store_verify(const sarsen_store *store,
                                  sarsen_report **out,
                                  sarsen_error **error);

// The next finding: OK, or END when there is none left. *out_file is a path within the store, *out_offset a byte
// offset in it, *out_what one line of text; each may be NULL. Strings are good until the next call.
sarsen_status sarsen_report_next(sarsen_report *report,
                                 const char **out_file,
                                 uint64_t *out_offset,
                                 const char **out_what);

// Frees a report. NULL is a no-op.
void sarsen_report_free(sarsen_report *report);

// ---- snapshots ----------------------------------------------------------------------------------------
//
// Freezes what is visible now; free it with sarsen_snapshot_free, also after the store was closed.
sarsen_status sarsen_snapshot_new(const sarsen_store *store, sarsen_snapshot **out, sarsen_error **error);

// The newest commit it sees; 0 for NULL.
uint64_t sarsen_snapshot_seq(const sarsen_snapshot *snapshot);

// Frees a snapshot. NULL is a no-op.
void sarsen_snapshot_free(sarsen_snapshot *snapshot);

// ---- tags: a set of UTF-8 strings -----------------------------------------------------------------------
//
// An empty set: free it with sarsen_tags_free. NULL only where memory ran out.
sarsen_tags *sarsen_tags_new(void);

// Puts a tag into the set; one that is there already stays there once. `tag` need not end with NUL. INVALID_ARGUMENT
// for an empty tag and for what is not UTF-8, TOO_LARGE beyond 1,024 bytes or 1,024 tags.
sarsen_status sarsen_tags_add(sarsen_tags *tags,
                              const char *tag,
                              size_t tag_len);

// How many tags are in the set; 0 for NULL.
size_t sarsen_tags_count(const sarsen_tags *tags);

// Tag number `index` in byte order, good until the set is changed or freed; NULL, 0 beyond the last one.
sarsen_bytes sarsen_tags_get(const sarsen_tags *tags, size_t index);

// Frees a set. NULL is a no-op.
void sarsen_tags_free(sarsen_tags *tags);

// ---- batches: the commands of one atomic commit ---------------------------------------------------------
//
// Commands are applied in the order given; later ones see earlier ones. Deleting what is not there, and trimming
// below the first record or a stream that is not there, is OK and changes nothing. A commit takes one seq however
// many commands it has. A command that fails to be added leaves the batch as it was.
//
// An empty batch: free it with sarsen_batch_free. NULL only where memory ran out.
sarsen_batch *sarsen_batch_new(void);

// Takes every command out; memory is kept for the next ones.
void sarsen_batch_clear(sarsen_batch *batch);

// Frees a batch. NULL is a no-op.
void sarsen_batch_free(sarsen_batch *batch);

// How many commands are in the batch; 0 after a commit, and for NULL.
size_t sarsen_batch_count(const sarsen_batch *batch);

// Sets `key` (0 to 65,535 bytes) to `value` (< 4 GiB); both are copied.
sarsen_status sarsen_batch_set_kv(sarsen_batch *batch,
                                  const void *key,
                                  size_t key_len,
                                  const void *value,
                                  size_t value_len,
                                  sarsen_error **error);

// Deletes `key`.
sarsen_status sarsen_batch_delete_kv(sarsen_batch *batch,
                                     const void *key,
                                     size_t key_len,
                                     sarsen_error **error);

// Appends a record (< 4 GiB, copied) to the stream `name` (0 to 65,535 bytes), which comes into being with its first
// record. Its index is told by sarsen_batch_result.
sarsen_status sarsen_batch_append_stream(sarsen_batch *batch,
                                         const void *name,
                                         size_t name_len,
                                         const void *data,
                                         size_t len,
                                         sarsen_error **error);

// Drops the records of a stream below index `before`; UINT64_MAX drops the stream itself.
sarsen_status sarsen_batch_trim_stream(sarsen_batch *batch,
                                       const void *name,
                                       size_t name_len,
                                       uint64_t before,
                                       sarsen_error **error);

// Writes memory `id`: its bytes (< 4 GiB) and its tags (NULL: none), both copied. An id that is there is replaced,
// bytes and tags.
sarsen_status sarsen_batch_append_memory(sarsen_batch *batch,
                                         uint64_t id,
                                         const sarsen_tags *tags,
                                         const void *data,
                                         size_t len,
                                         sarsen_error **error);

// Deletes memory `id`.
sarsen_status sarsen_batch_delete_memory(sarsen_batch *batch, uint64_t id, sarsen_error **error);

// Appends a loose block (< 4 GiB, copied). Its address is told by sarsen_batch_result.
sarsen_status sarsen_batch_append_block(sarsen_batch *batch,
                                        const void *data,
                                        size_t len,
                                        sarsen_error **error);

// Ends a loose block's hold on itself.
sarsen_status sarsen_batch_free_block(sarsen_batch *batch, const sarsen_block *block, sarsen_error **error);

// Appends to a stream a record whose bytes are those of a loose block, one from sarsen_block_append: it is named, not
// copied, and several records may name it. Naming one that is not live fails the commit with NOT_FOUND.
sarsen_status sarsen_batch_append_stream_block(sarsen_batch *batch,
                                               const void *name,
                                               size_t name_len,
                                               const sarsen_block *block,
                                               sarsen_error **error);

// Writes memory `id` with the bytes of a loose block, as sarsen_batch_append_stream_block does for a record.
sarsen_status sarsen_batch_append_memory_block(sarsen_batch *batch,
                                               uint64_t id,
                                               const sarsen_tags *tags,
                                               const sarsen_block *block,
                                               sarsen_error **error);

// Adds many commands in one call, for callers in other languages that build a batch in memory of their own. Checked
// whole before any of it is taken. The layout is in docs/FORMAT.md under 'Batches'; little-endian, no padding: kind
// u8 (SARSEN_COMMAND_...), flags u8 (bit 0: the data is a block's address), tag count u16, key length u32, id u64,
// data length u64, key, tags (u16 length and bytes each), data.
sarsen_status sarsen_batch_load(sarsen_batch *batch,
                                const void *encoded,
                                size_t len,
                                sarsen_error **error);

// Commits the batch: all of it or nothing. Returns once the commit has its level: `survive` is
// SARSEN_SURVIVE_PROCESS, SARSEN_SURVIVE_POWER or 0 for the store's default. *out_seq (may be NULL) is its seq.
//
// If OK, the batch is empty afterwards; if not, untouched. Committing an empty batch is OK and takes no seq: *out_seq
// is the newest one. NO_SPACE, TOO_LARGE, INVALID_ARGUMENT, NOT_FOUND, CONFLICT: certainly not written. IO and
// POISONED: unknown until the store is reopened.
sarsen_status sarsen_batch_commit(sarsen_batch *batch,
                                  const sarsen_store *store,
                                  uint32_t survive,
                                  uint64_t *out_seq,
                                  sarsen_error **error);

// What command number `command`, from 0, of the batch last committed OK was given: the index of a stream record
// (UINT64_MAX for other commands) and the address of its block (all zero where it has none, as pairs and stream records
// of up to 1,024 bytes). Either may be NULL. INVALID_ARGUMENT once the batch was changed.
sarsen_status sarsen_batch_result(const sarsen_batch *batch,
                                  size_t command,
                                  uint64_t *out_index,
                                  sarsen_block *out_block,
                                  sarsen_error **error);

// ---- blocks -------------------------------------------------------------------------------------------
//
// Commits one loose block of `len` < 4 GiB bytes and tells its address. It holds itself until it is freed or first
// named by a memory or a stream record; after that the records that name it hold it.
sarsen_status sarsen_block_append(const sarsen_store *store,
                                  const void *data,
                                  size_t len,
                                  sarsen_block *out_block,
                                  sarsen_error **error);

// Commits the end of a loose block's hold on itself. One that is not there, or that records hold: OK, and nothing
// changes.
sarsen_status sarsen_block_free(const sarsen_store *store,
                                const sarsen_block *block,
                                sarsen_error **error);

// Copies `len` bytes of a block, from byte `from` on, to `buffer`. Every byte was checked against its CRC; only the
// 64 KiB pages that the range touches are. NOT_FOUND: no such block; INVALID_ARGUMENT: the range leaves it; CORRUPT:
// its bytes fail their check, or the index says that it is there and it isn't.
sarsen_status sarsen_block_read(const sarsen_store *store,
                                const sarsen_block *block,
                                uint64_t from,
                                void *buffer,
                                size_t len,
                                sarsen_error **error);

// The same range in place: a view to be released with sarsen_view_release.
sarsen_status sarsen_block_view(const sarsen_store *store,
                                const sarsen_block *block,
                                uint64_t from,
                                size_t len,
                                sarsen_view *out_view,
                                sarsen_error **error);

// ---- key-value ----------------------------------------------------------------------------------------
//
// Commits one pair: `key` of 0 to 65,535 bytes, `value` of < 4 GiB.
sarsen_status sarsen_kv_set(const sarsen_store *store,
                            const void *key,
                            size_t key_len,
                            const void *value,
                            size_t value_len,
                            sarsen_error **error);

// Commits the deletion of a key.
sarsen_status sarsen_kv_delete(const sarsen_store *store,
                               const void *key,
                               size_t key_len,
                               sarsen_error **error);

// The value of a key, in place: a view to be released with sarsen_view_release. NOT_FOUND: no such key. `snapshot`
// may be NULL: now. Takes no lock and no memory.
sarsen_status sarsen_kv_get(const sarsen_store *store,
                            const sarsen_snapshot *snapshot,
                            const void *key,
                            size_t key_len,
                            sarsen_view *out_value,
                            sarsen_error **error);

// The value of a key, copied: up to `cap` bytes of it; *out_len is its whole length (0 on failure).
sarsen_status sarsen_kv_read(const sarsen_store *store,
                             const sarsen_snapshot *snapshot,
                             const void *key,
                             size_t key_len,
                             void *buffer,
                             size_t cap,
                             size_t *out_len,
                             sarsen_error **error);

// Many keys at once, for less than one by one, all from one snapshot: `count` keys, as many places in out_values and
// out_statuses. Each status is OK, with a view to be released, or NOT_FOUND. If the function fails, no view was
// handed out.
sarsen_status sarsen_kv_get_many(const sarsen_store *store,
                                 const sarsen_snapshot *snapshot,
                                 const sarsen_bytes *keys,
                                 size_t count,
                                 sarsen_view *out_values,
                                 sarsen_status *out_statuses,
                                 sarsen_error **error);

// Keys in [start, end) in byte order, or from the end backwards; a bound of length 0: unbounded. The iterator sees one
// snapshot throughout (NULL: now), and is freed with sarsen_kv_iter_free.
sarsen_status sarsen_kv_scan(const sarsen_store *store,
                             const sarsen_snapshot *snapshot,
                             const void *start,
                             size_t start_len,
                             const void *end,
                             size_t end_len,
                             bool reverse,
                             sarsen_kv_iter **out,
                             sarsen_error **error);

// Keys that start with `prefix`; else as sarsen_kv_scan.
sarsen_status sarsen_kv_prefix(const sarsen_store *store,
                               const sarsen_snapshot *snapshot,
                               const void *prefix,
                               size_t prefix_len,
                               bool reverse,
                               sarsen_kv_iter **out,
                               sarsen_error **error);

// The next pair: OK, or END when there is none left. The bytes are good until the next call on the iterator. Either
// out-parameter may be NULL; without out_value, a value that doesn't lie beside its key is neither read nor checked.
//
// CORRUPT in the place of a pair whose value is damaged: the next call goes on behind it. Where the index is damaged,
// nobody can tell which keys follow, and each further call says so again: a scan from a key behind that place, or
// from the other end, may get at the rest. Other iterators do the same.
sarsen_status sarsen_kv_iter_next(sarsen_kv_iter *iter,
                                  sarsen_bytes *out_key,
                                  sarsen_bytes *out_value,
                                  sarsen_error **error);

// As many whole pairs as fit into `cap` bytes: u32 key_len, u32 value_len (little-endian), key, value, one after
// another. OK with *out_count >= 1 and *out_len bytes; END with 0 when there is none left; TOO_LARGE if the next pair
// alone does not fit: *out_len is the size it needs, and the iterator has not moved.
sarsen_status sarsen_kv_iter_fill(sarsen_kv_iter *iter,
                                  void *buffer,
                                  size_t cap,
                                  size_t *out_len,
                                  size_t *out_count,
                                  sarsen_error **error);

// Frees an iterator, also one of a closed store. NULL is a no-op.
void sarsen_kv_iter_free(sarsen_kv_iter *iter);

// ---- streams ------------------------------------------------------------------------------------------
//
// A stream comes into being with its first record. Trimming drops records from the front; numbering goes on, also when
// nothing is left (first == next). Trimming before UINT64_MAX drops the stream: bounds answers NOT_FOUND, and a later
// append starts at 0 again.
//
// Commits one record of < 4 GiB. *out_index (may be NULL) is its number.
sarsen_status sarsen_stream_append(const sarsen_store *store,
                                   const void *name,
                                   size_t name_len,
                                   const void *data,
                                   size_t len,
                                   uint64_t *out_index,
                                   sarsen_error **error);

// The stream's records are *out_first to *out_next - 1; either may be NULL. NOT_FOUND: no such stream. `snapshot` may
// be NULL: now.
sarsen_status sarsen_stream_bounds(const sarsen_store *store,
                                   const sarsen_snapshot *snapshot,
                                   const void *name,
                                   size_t name_len,
                                   uint64_t *out_first,
                                   uint64_t *out_next,
                                   sarsen_error **error);

// Record number `index`, in place: a view to be released with sarsen_view_release. NOT_FOUND: no such stream or
// record.
sarsen_status sarsen_stream_get(const sarsen_store *store,
                                const sarsen_snapshot *snapshot,
                                const void *name,
                                size_t name_len,
                                uint64_t index,
                                sarsen_view *out_record,
                                sarsen_error **error);

// Commits the dropping of the records below index `before`; UINT64_MAX drops the stream.
sarsen_status sarsen_stream_trim(const sarsen_store *store,
                                 const void *name,
                                 size_t name_len,
                                 uint64_t before,
                                 sarsen_error **error);

// Records from index `from` on, or from the first one there is. NOT_FOUND: no such stream. The iterator sees one
// snapshot throughout (NULL: now), and is freed with sarsen_stream_iter_free.
sarsen_status sarsen_stream_read(const sarsen_store *store,
                                 const sarsen_snapshot *snapshot,
                                 const void *name,
                                 size_t name_len,
                                 uint64_t from,
                                 sarsen_stream_iter **out,
                                 sarsen_error **error);

// The next record: OK, or END when there is none left. The bytes are good until the next call on the iterator. Either
// out-parameter may be NULL.
sarsen_status sarsen_stream_iter_next(sarsen_stream_iter *iter,
                                      uint64_t *out_index,
                                      sarsen_bytes *out_record,
                                      sarsen_error **error);

// As many whole records as fit into `cap` bytes: u64 index, u32 length (little-endian), bytes, one after another. The
// answers are those of sarsen_kv_iter_fill.
sarsen_status sarsen_stream_iter_fill(sarsen_stream_iter *iter,
                                      void *buffer,
                                      size_t cap,
                                      size_t *out_len,
                                      size_t *out_count,
                                      sarsen_error **error);

// Frees an iterator, also one of a closed store. NULL is a no-op.
void sarsen_stream_iter_free(sarsen_stream_iter *iter);

// The streams whose names start with `prefix`, in byte order of their names; freed with sarsen_stream_names_free.
sarsen_status sarsen_stream_list(const sarsen_store *store,
                                 const sarsen_snapshot *snapshot,
                                 const void *prefix,
                                 size_t prefix_len,
                                 sarsen_stream_names **out,
                                 sarsen_error **error);

// The next stream with its bounds: OK, or END when there is none left. The name is good until the next call. Each
// out-parameter may be NULL.
sarsen_status sarsen_stream_names_next(sarsen_stream_names *names,
                                       sarsen_bytes *out_name,
                                       uint64_t *out_first,
                                       uint64_t *out_next,
                                       sarsen_error **error);

// Frees a walk over streams, also one of a closed store. NULL is a no-op.
void sarsen_stream_names_free(sarsen_stream_names *names);

// ---- memories -----------------------------------------------------------------------------------------
//
// Commits memory `id`: its bytes (< 4 GiB) and its tags (NULL: none). An id that is there is replaced, bytes and tags.
sarsen_status sarsen_memory_append(const sarsen_store *store,
                                   uint64_t id,
                                   const sarsen_tags *tags,
                                   const void *data,
                                   size_t len,
                                   sarsen_error **error);

// Commits the deletion of memory `id`.
sarsen_status sarsen_memory_delete(const sarsen_store *store, uint64_t id, sarsen_error **error);

// The bytes of memory `id`, in place: a view to be released with sarsen_view_release. NOT_FOUND: no such id.
// `snapshot` may be NULL: now.
sarsen_status sarsen_memory_get(const sarsen_store *store,
                                const sarsen_snapshot *snapshot,
                                uint64_t id,
                                sarsen_view *out_data,
                                sarsen_error **error);

// Where the bytes of memory `id` lie, and its tags, a set to be freed with sarsen_tags_free. Either may be NULL.
sarsen_status sarsen_memory_info(const sarsen_store *store,
                                 const sarsen_snapshot *snapshot,
                                 uint64_t id,
                                 sarsen_block *out_block,
                                 sarsen_tags **out_tags,
                                 sarsen_error **error);

// Ids in ascending order, from `from_id` on, that carry all tags of `all`, at least one of `any` (NULL or empty: no
// condition) and none of `none`. The iterator sees one snapshot throughout (NULL: now), and is freed with
// sarsen_memory_iter_free. Takes time in proportion to the rarest tag of `all`, not to the store.
sarsen_status sarsen_memory_find(const sarsen_store *store,
                                 const sarsen_snapshot *snapshot,
                                 const sarsen_tags *all,
                                 const sarsen_tags *any,
                                 const sarsen_tags *none,
                                 uint64_t from_id,
                                 sarsen_memory_iter **out,
                                 sarsen_error **error);

// The next memory: OK, or END when there is none left. The bytes are good until the next call on the iterator. With
// out_data NULL they are not touched; out_id may be NULL, too.
sarsen_status sarsen_memory_iter_next(sarsen_memory_iter *iter,
                                      uint64_t *out_id,
                                      sarsen_bytes *out_data,
                                      sarsen_error **error);

// Frees an iterator, also one of a closed store. NULL is a no-op.
void sarsen_memory_iter_free(sarsen_memory_iter *iter);

// ---- the log: every command, in commit order ----------------------------------------------------------
//
// Oldest commit that is still in the log; the next one to come where it is empty. 0 for NULL.
uint64_t sarsen_log_first_seq(const sarsen_store *store);

// A reader of commits from `seq` on (from 1; at most the next one to come), freed with sarsen_log_reader_free.
// NOT_FOUND if the log no longer reaches back that far. CONFLICT if it holds another commit than that of `epoch` (0:
// any) just before it, at seq - 1. Works on a read-only store that another process is writing, too.
sarsen_status sarsen_log_read(const sarsen_store *store,
                              uint64_t seq,
                              uint64_t epoch,
                              sarsen_log_reader **out,
                              sarsen_error **error);

// The next command. Waits up to `timeout_us` microseconds for a new commit (0: does not wait): TIMEOUT when none came.
// NOT_FOUND once the log was released past the reader: start again from a snapshot. CONFLICT as for sarsen_log_read,
// where only now the log shows it.
//
// `out_size` is sizeof(sarsen_command) as the host knows it. The command's bytes and *out_tags (may be NULL; an empty
// set for other commands than memories) are good until the next call on the reader.
sarsen_status sarsen_log_next(sarsen_log_reader *reader,
                              uint64_t timeout_us,
                              sarsen_command *out,
                              size_t out_size,
                              const sarsen_tags **out_tags,
                              sarsen_error **error);

// Frees a reader, also one of a closed store. NULL is a no-op.
void sarsen_log_reader_free(sarsen_log_reader *reader);

#ifdef __cplusplus
}  // extern "C"
#endif  // __cplusplus

#endif  /* SARSEN_H */
