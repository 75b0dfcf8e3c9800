/* What src/lib.rs offers to the benchmark: one ordered map of bytes to bytes, by redb or by fjall.
 *
 * A function that returns int returns 0 for success, 1 for 'not there' and -1 for failure; peer_failure tells what
 * the last failure on this thread was. Sessions belong to one thread each and go before their peer.
 */
#ifndef BENCH_PEERS_H
#define BENCH_PEERS_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

enum { PEER_REDB = 0, PEER_FJALL = 1 };

typedef struct peer peer;
typedef struct peer_session peer_session;

/* Laid out as bench::Change is. */
typedef struct {
    const uint8_t *key;
    size_t key_len;
    const uint8_t *value;
    size_t value_len;
    bool remove;
} peer_change;

typedef bool (*peer_each)(void *user, const uint8_t *key, size_t key_len, const uint8_t *value, size_t value_len);

int peer_open(uint32_t engine, const char *path, bool durable, uint64_t cache_bytes, uint64_t value_bytes, peer **out);
void peer_close(peer *peer);
/* One commit, durable where the peer was opened so. */
int peer_put(peer *peer, const peer_change *changes, size_t count);
int peer_sync(peer *peer);
int peer_settle(peer *peer);
/* `frozen`: one snapshot for all reads; else each read sees what is there now. */
int peer_session_new(peer *peer, bool frozen, peer_session **out);
void peer_session_free(peer_session *session);
/* The bytes are good until the next call on the session. */
int peer_get(peer_session *session, const uint8_t *key, size_t key_len, const uint8_t **out, size_t *out_len);
/* Pairs from `start` on, until `each` returns false. */
int peer_walk(peer_session *session, const uint8_t *start, size_t start_len, peer_each each, void *user);
const char *peer_failure(void);

#ifdef __cplusplus
}
#endif

#endif
