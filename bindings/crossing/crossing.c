/* The same work in C: what the figures of C++, Node and Python are divided by.
 *
 *   crossing DIRECTORY COUNT BATCH [cpu]
 *
 * With `cpu` the time is that of the processor, all threads, which a busy machine disturbs less.
 * Prints nanoseconds of a get, of one put of a batch and of one pair of a scan, as JSON. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "sarsen.h"

enum { KEY = 16, VALUE = 100, COMMAND = 24 + KEY + VALUE };

static clockid_t the_clock = CLOCK_MONOTONIC;

static double now_ns(void) {
    struct timespec at;
    clock_gettime(the_clock, &at);
    return (double)at.tv_sec * 1e9 + (double)at.tv_nsec;
}

static void check(sarsen_status status) {
    if (status == SARSEN_OK) return;
    fprintf(stderr, "%s\n", sarsen_status_name(status));
    exit(EXIT_FAILURE);
}

/* Key number `number`: in an order that is none. */
static void name(char *key, uint32_t number) {
    char text[32];
    snprintf(text, sizeof text, "%08" PRIx32 "%08" PRIx32, number * 2654435761u, number);
    memcpy(key, text, KEY);
}

int main(int argc, char **argv) {
    if (argc != 4 && argc != 5) return EXIT_FAILURE;
    if (argc == 5) the_clock = CLOCK_PROCESS_CPUTIME_ID;
    uint32_t count = (uint32_t)strtoul(argv[2], NULL, 10), size = (uint32_t)strtoul(argv[3], NULL, 10);
    sarsen_options *options = sarsen_options_new();
    sarsen_options_set_durability(options, SARSEN_SURVIVE_PROCESS);
    sarsen_store *store;
    check(sarsen_store_open(argv[1], options, &store, NULL));
    sarsen_options_free(options);

    char (*keys)[KEY] = malloc((size_t)count * KEY);
    uint8_t *encoded = calloc(size, COMMAND);
    char value[VALUE];
    if (!keys || !encoded) return EXIT_FAILURE;
    memset(value, 'v', sizeof value);
    for (uint32_t number = 0; number < count; number++) name(keys[number], number);

    sarsen_batch *batch = sarsen_batch_new();
    double start = now_ns();
    for (uint32_t first = 0; first < count; first += size) {
        uint8_t *at = encoded;
        for (uint32_t number = first; number < first + size; number++, at += COMMAND) {
            at[0] = SARSEN_COMMAND_SET_KV;
            at[4] = KEY;
            at[16] = VALUE;
            memcpy(at + 24, keys[number], KEY);
            memcpy(at + 24 + KEY, value, VALUE);
        }
        check(sarsen_batch_load(batch, encoded, (size_t)size * COMMAND, NULL));
        check(sarsen_batch_commit(batch, store, 0, NULL, NULL));
    }
    double put = (now_ns() - start) / count;

    double get = 0;
    for (int round = 0; round < 5; round++) {
        start = now_ns();
        for (uint32_t number = 0; number < count; number++) {
            sarsen_view view;
            check(sarsen_kv_get(store, NULL, keys[(uint64_t)number * 7919 % count], KEY, &view, NULL));
            if (view.len != VALUE) return EXIT_FAILURE;
            sarsen_view_release(&view);
        }
        double took = (now_ns() - start) / count;
        if (round == 0 || took < get) get = took;
    }

    double scan = 0;
    for (int round = 0; round < 5; round++) {
        start = now_ns();
        sarsen_kv_iter *iter;
        check(sarsen_kv_scan(store, NULL, NULL, 0, NULL, 0, false, &iter, NULL));
        uint32_t seen = 0;
        sarsen_bytes found, pair;
        while (sarsen_kv_iter_next(iter, &found, &pair, NULL) == SARSEN_OK) seen += pair.len == VALUE;
        sarsen_kv_iter_free(iter);
        if (seen != count) return EXIT_FAILURE;
        double took = (now_ns() - start) / count;
        if (round == 0 || took < scan) scan = took;
    }
    printf("{\"get\": %.0f, \"put\": %.0f, \"scan\": %.0f}\n", get, put, scan);
    sarsen_batch_free(batch);
    free(keys);
    free(encoded);
    check(sarsen_store_close(store, NULL));
}
