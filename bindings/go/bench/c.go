package main

// The same work as in main.go by C alone, in this process: what is left is the crossing.

/*
#cgo pkg-config: sarsen
#include <sarsen.h>
#include <stdio.h>
#include <stdlib.h>

static sarsen_store *c_open(const char *path)
{
    sarsen_store *store = NULL;
    if (sarsen_store_open(path, NULL, &store, NULL) != SARSEN_OK) abort();
    return store;
}

static void key_of(char *key, unsigned i) { snprintf(key, 17, "key %012u", i); }

// `count` commits of `size` pairs each.
static void c_put(const sarsen_store *store, unsigned count, unsigned size, uint32_t survive, const char *value)
{
    sarsen_batch *batch = sarsen_batch_new();
    for (unsigned i = 0; i < count; i++) {
        for (unsigned j = 0; j < size; j++) {
            char key[17];
            key_of(key, i * size + j);
            if (sarsen_batch_set_kv(batch, key, 16, value, 100, NULL) != SARSEN_OK) abort();
        }
        if (sarsen_batch_commit(batch, store, survive, NULL, NULL) != SARSEN_OK) abort();
    }
    sarsen_batch_free(batch);
}

static void c_get(const sarsen_store *store, const char *keys, unsigned count)
{
    for (unsigned i = 0; i < count; i++) {
        char buffer[512];
        size_t len = 0;
        if (sarsen_kv_read(store, NULL, keys + 16 * i, 16, buffer, sizeof buffer, &len, NULL) != SARSEN_OK) abort();
        if (len != 100) abort();
    }
}

static size_t c_scan(const sarsen_store *store)
{
    sarsen_kv_iter *iter = NULL;
    sarsen_bytes key, value;
    size_t count = 0;
    if (sarsen_kv_scan(store, NULL, NULL, 0, NULL, 0, false, &iter, NULL) != SARSEN_OK) abort();
    while (sarsen_kv_iter_next(iter, &key, &value, NULL) == SARSEN_OK) count++;
    sarsen_kv_iter_free(iter);
    return count;
}
*/
import "C"

import "unsafe"

type cStore struct{ handle *C.sarsen_store }

func openC(path string) cStore {
	name := C.CString(path)
	defer C.free(unsafe.Pointer(name))
	return cStore{C.c_open(name)}
}

func (s cStore) put(commits, size int, survive uint32, value []byte) {
	C.c_put(s.handle, C.uint(commits), C.uint(size), C.uint32_t(survive), (*C.char)(unsafe.Pointer(&value[0])))
}

func (s cStore) get(keys []byte) {
	C.c_get(s.handle, (*C.char)(unsafe.Pointer(&keys[0])), C.uint(len(keys)/16))
}

func (s cStore) scan() int { return int(C.c_scan(s.handle)) }

func (s cStore) close() { C.sarsen_store_close(s.handle, nil) }
