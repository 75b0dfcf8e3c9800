/* The demo: the source files of a few dozen crates go into a store, the writer is killed half-way, the job is
 * finished from where it stopped, and every byte is compared with the files on disk.
 *
 * A file is one commit of three commands:
 *   memory  id = its running number from 1, tags crate:NAME version:V ext:EXT, the bytes
 *   stream  NAME-VERSION: the paths of the crate's files, in byte order
 *   kv      path/NAME-VERSION/PATH -> id, u64 little-endian
 * One commit a file from an empty store on, so a file's id is also its commit's seq.
 */
#ifndef DEMO_H
#define DEMO_H

#include <sarsen.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum { FILES_A_SYNC = 64 };

/* ---- sources.c: the files on disk -------------------------------------------------------------- */

typedef struct source_crate {
    char *name, *version;
    char *stream; /* NAME-VERSION */
    char *directory;
} source_crate;

typedef struct source_file {
    size_t crate;    /* index into crates */
    char *path;      /* within the crate */
    const char *ext; /* points into path, or is "none" */
    uint64_t bytes;
} source_file;

typedef struct sources {
    source_crate *crates;
    size_t crate_count;
    source_file *files; /* id of files[n] is n + 1 */
    size_t file_count;
    uint64_t bytes;
} sources;

/* `list` holds a line a crate: name, tab, version, tab, directory. */
void sources_load(sources *all, const char *list);
void sources_free(sources *all);

/* A buffer that grows to the largest file read into it. */
typedef struct file_buffer {
    uint8_t *data;
    size_t len, cap;
} file_buffer;

void source_read(const sources *all, const source_file *file, file_buffer *into);
/* path/NAME-VERSION/PATH; returns its length. */
size_t source_key(const sources *all, const source_file *file, char *key, size_t cap);

/* ---- ingest.c: writing --------------------------------------------------------------------------- */

/* Sent through a pipe once a file's commit has been acknowledged. */
typedef struct acknowledgement {
    uint64_t id;
    uint64_t durable_seq;
} acknowledgement;

/* NAME:VALUE, as files are tagged and asked for. */
void add_tag(sarsen_tags *tags, const char *name, const char *value);
/* Writes files[from..], acknowledging each on `acknowledge` unless that is negative. */
void ingest(const sarsen_store *store, const sources *all, size_t from, int acknowledge);

/* ---- compare.c: reading back ------------------------------------------------------------------------ */

/* The first `count` files are there, under their ids and paths, byte for byte, and nothing else is. */
void compare_prefix(const sarsen_store *store, const sources *all, size_t count);
/* The log from its first commit on says the same as the store. Returns the number of commands. */
uint64_t compare_log(const sarsen_store *store, const sources *all);
/* Reads every file through a view in stream order and touches each byte once. Returns the bytes. */
uint64_t read_everything(const sarsen_store *store, const sources *all);

/* ---- queries.c ------------------------------------------------------------------------------------------ */

void answer_queries(const sarsen_store *store, const sources *all);

/* ---- demo.c ------------------------------------------------------------------------------------------------ */

extern sarsen_error *demo_error;

/* Ends the demo: what differs, where the store lies, what to do. */
_Noreturn void fail(const char *format, ...) __attribute__((format(printf, 1, 2)));
void require_ok(sarsen_status status, const char *call);
/* Ends the demo unless the call is answered with OK. */
#define REQUIRE_OK(call) require_ok((call), #call)

double seconds(void);

#endif
