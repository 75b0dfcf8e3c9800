"""What a crossing from Python to C costs, and sarsen beside other stores from the same language, in one run.

Gets, batched puts and scans by C, by this package, by bare ctypes and bare cffi (ABI mode) with the same calls, by
sqlite3 and by lmdb; all at the level that survives the death of the process, then single puts at both levels. Who works
takes turns: the best of five rounds counts. Times are the processor's, of all threads, since a busy machine disturbs
them less; of single puts with a sync it is the clock's, and the median of 300. Every answer is checked.

    make python-bench        or: python bindings/python/bench/crossing.py [COUNT]

BENCH_DIR is where the stores go. The gets of sqlite3 and lmdb are all in one read transaction, their fastest way.
"""

from __future__ import annotations

import ctypes
import json
import os
import platform
import random
import shutil
import sqlite3
import statistics
import struct
import subprocess
import sys
import tempfile
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Callable, Dict, Iterable, List, Optional, Tuple

import cffi
import lmdb

import sarsen
from sarsen import Survive
from sarsen._library import library as c_library

COUNT = int(sys.argv[1]) if len(sys.argv) > 1 else 100_000
BATCH = 1000
SINGLES = 2000
SYNCED = 300
ROUNDS = 5
VALUE = b"v" * 100
TREE = Path(__file__).resolve().parents[3]
KEYS = [b"%08x%08x" % (number * 2654435761 & 0xFFFFFFFF, number) for number in range(COUNT)]
SHUFFLED = [KEYS[number * 7919 % COUNT] for number in range(COUNT)]
HEAD = struct.Struct("<BBHIQQ")

Work = Callable[[], None]


def encoded(keys: Iterable[bytes]) -> bytes:
    parts: List[bytes] = []
    for key in keys:
        parts += (HEAD.pack(sarsen.CommandKind.SET_KV, 0, 0, len(key), 0, len(VALUE)), key, VALUE)
    return b"".join(parts)


def batches() -> Iterable[List[bytes]]:
    for first in range(0, COUNT, BATCH):
        yield KEYS[first : first + BATCH]


def decode(data: bytes, count: int) -> int:
    """Takes a page of sarsen_kv_iter_fill apart, as the package does."""
    pairs, at = [], 0
    for _ in range(count):
        key_length, value_length = struct.unpack_from("<II", data, at)
        value_at = at + 8 + key_length
        key, at = data[at + 8 : value_at], value_at + value_length
        pairs.append((key, data[value_at:at]))
    return len(pairs)


def right(good: bool) -> None:
    if not good:
        raise AssertionError("a wrong answer")


class Way:
    """Somebody who does the work: a function for each column."""

    def __init__(self, name: str, **columns: Work) -> None:
        self.name = name
        self.columns = columns
        self.took: Dict[str, List[float]] = {}
        self.kept: object = None

    def figures(self) -> Dict[str, float]:
        """The best round of each column; of single puts with a sync the median, since each waits for the disk."""
        return {
            column: statistics.median(took) if column == "synced" else min(took) for column, took in self.took.items()
        }


def c(place: Path, library: Path) -> Dict[str, float]:
    program = place / "crossing"
    static = library.with_name("libsarsen.a")
    source = TREE / "bindings" / "crossing" / "crossing.c"
    command = [os.environ.get("CC", "gcc"), "-O2", "-std=c11", "-D_GNU_SOURCE", f"-I{TREE}/include", str(source)]
    subprocess.run([*command, str(static), "-lpthread", "-ldl", "-lm", "-o", str(program)], check=True)
    ran = subprocess.run(
        [str(program), str(place / "c"), str(COUNT), str(BATCH), "cpu"], check=True, stdout=subprocess.PIPE
    )
    figures: Dict[str, float] = json.loads(ran.stdout)
    return figures


def package(place: Path, stack: ExitStack) -> List[Way]:
    store = stack.enter_context(sarsen.open(place / "quick", survive=Survive.PROCESS))
    kv = store.kv

    def put() -> None:
        batch = store.batch()
        for keys in batches():
            for key in keys:
                batch.set_kv(key, VALUE)
            batch.commit()

    def get() -> None:
        for key in SHUFFLED:
            right(len(kv[key]) == 100)

    def get_many() -> None:
        for first in range(0, COUNT, 100):
            right(all(len(value) == 100 for value in kv.get_many(SHUFFLED[first : first + 100]) if value is not None))

    def read_into() -> None:
        buffer = bytearray(100)
        for key in SHUFFLED:
            right(kv.read_into(key, buffer) == 100)

    def view() -> None:
        for key in SHUFFLED:
            with kv.view(key) as found:
                right(found.bytes.nbytes == 100)

    def scan() -> None:
        right(sum(len(value) == 100 for _, value in kv.items()) == COUNT)

    safe = stack.enter_context(sarsen.open(place / "safe"))
    keys = iter(KEYS)

    def put_safe() -> None:
        safe.kv[next(keys)] = VALUE

    def set_one() -> None:
        for key in KEYS[:SINGLES]:
            kv[key] = VALUE

    return [
        Way(
            "sarsen: kv[key], Batch, items()",
            put=put,
            get=get,
            scan=scan,
            one=set_one,
            synced=put_safe,
        ),
        Way("sarsen: get_many, 100 keys a call", get=get_many),
        Way("sarsen: read_into, a buffer that is there", get=read_into),
        Way("sarsen: view and release", get=view),
    ]


def by_ctypes(path: Path) -> Way:
    """The calls that the package makes, without the package."""
    library = c_library
    options = library.sarsen_options_new()
    library.sarsen_options_set_durability(options, 1)
    out = ctypes.c_void_p()
    right(library.sarsen_store_open(str(path).encode(), options, ctypes.byref(out), None) == 0)
    store, batch = out.value, library.sarsen_batch_new()
    buffer = ctypes.create_string_buffer(65_536)
    at = ctypes.addressof(buffer)
    length, count, error = ctypes.c_size_t(), ctypes.c_size_t(), ctypes.c_void_p()
    length_at, count_at, error_at = map(ctypes.addressof, (length, count, error))

    def put() -> None:
        for keys in batches():
            commands = encoded(keys)
            right(library.sarsen_batch_load(batch, commands, len(commands), error_at) == 0)
            right(library.sarsen_batch_commit(batch, store, 0, None, error_at) == 0)

    def get() -> None:
        read = library.sarsen_kv_read
        for key in SHUFFLED:
            right(read(store, None, key, len(key), at, 65_536, length_at, error_at) == 0)
            right(len(ctypes.string_at(at, length.value)) == 100)

    def scan() -> None:
        right(library.sarsen_kv_scan(store, None, None, 0, None, 0, False, ctypes.byref(out), None) == 0)
        total = 0
        while library.sarsen_kv_iter_fill(out, at, 65_536, length_at, count_at, error_at) == 0:
            total += decode(ctypes.string_at(at, length.value), count.value)
        library.sarsen_kv_iter_free(out)
        right(total == COUNT)

    way = Way("libsarsen.so by bare ctypes", put=put, get=get, scan=scan)
    way.kept = (buffer, length, count, error)  # the calls have only their addresses
    return way


def by_cffi(path: Path, library: Path) -> Way:
    ffi = cffi.FFI()
    ffi.cdef("""
        void *sarsen_options_new(void);
        uint32_t sarsen_options_set_durability(void *, uint32_t);
        uint32_t sarsen_store_open(const char *, const void *, void **, void **);
        void *sarsen_batch_new(void);
        uint32_t sarsen_batch_load(void *, const void *, size_t, void **);
        uint32_t sarsen_batch_commit(void *, const void *, uint32_t, uint64_t *, void **);
        uint32_t sarsen_kv_read(const void *, const void *, const void *, size_t, void *, size_t, size_t *, void **);
        uint32_t sarsen_kv_scan(const void *, const void *, const void *, size_t, const void *, size_t, bool, void **,
                                void **);
        uint32_t sarsen_kv_iter_fill(void *, void *, size_t, size_t *, size_t *, void **);
        void sarsen_kv_iter_free(void *);
    """)
    native: Any = ffi.dlopen(str(library))
    options = native.sarsen_options_new()
    native.sarsen_options_set_durability(options, 1)
    out, error = ffi.new("void **"), ffi.new("void **")
    right(native.sarsen_store_open(str(path).encode(), options, out, error) == 0)
    store, batch, nothing = out[0], native.sarsen_batch_new(), ffi.NULL
    buffer, length, count = ffi.new("char[65536]"), ffi.new("size_t *"), ffi.new("size_t *")

    def put() -> None:
        for keys in batches():
            commands = encoded(keys)
            right(native.sarsen_batch_load(batch, commands, len(commands), error) == 0)
            right(native.sarsen_batch_commit(batch, store, 0, nothing, error) == 0)

    def get() -> None:
        read = native.sarsen_kv_read
        for key in SHUFFLED:
            right(read(store, nothing, key, len(key), buffer, 65_536, length, error) == 0)
            right(len(ffi.buffer(buffer, length[0])[:]) == 100)

    def scan() -> None:
        right(native.sarsen_kv_scan(store, nothing, nothing, 0, nothing, 0, False, out, error) == 0)
        total = 0
        while native.sarsen_kv_iter_fill(out[0], buffer, 65_536, length, count, error) == 0:
            total += decode(ffi.buffer(buffer, length[0])[:], count[0])
        native.sarsen_kv_iter_free(out[0])
        right(total == COUNT)

    return Way("libsarsen.so by bare cffi, ABI mode", put=put, get=get, scan=scan)


def by_sqlite(path: Path) -> Way:
    """Write-ahead logs: without a sync a commit survives the process, with one power loss."""

    def opened(name: str, level: str) -> sqlite3.Connection:
        database = sqlite3.connect(str(path) + name, isolation_level=None)
        database.execute("PRAGMA journal_mode = WAL")
        database.execute(f"PRAGMA synchronous = {level}")
        database.execute("CREATE TABLE kv (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID")
        return database

    database, safe = opened("-quick", "OFF"), opened("-safe", "FULL")
    keys = iter(KEYS)
    insert = "INSERT OR REPLACE INTO kv VALUES (?, ?)"

    def put() -> None:
        for keys in batches():
            database.execute("BEGIN")
            database.executemany(insert, ((key, VALUE) for key in keys))
            database.execute("COMMIT")

    def get() -> None:
        database.execute("BEGIN")
        for key in SHUFFLED:
            right(len(database.execute("SELECT value FROM kv WHERE key = ?", (key,)).fetchone()[0]) == 100)
        database.execute("COMMIT")

    def scan() -> None:
        right(sum(len(row[1]) == 100 for row in database.execute("SELECT key, value FROM kv ORDER BY key")) == COUNT)

    def put_one() -> None:
        for key in KEYS[:SINGLES]:
            database.execute(insert, (key, VALUE))

    def put_safe() -> None:
        safe.execute(insert, (next(keys), VALUE))

    return Way("sqlite3", put=put, get=get, scan=scan, one=put_one, synced=put_safe)


def by_lmdb(path: Path) -> List[Way]:
    """An environment that doesn't sync, whose commits survive the process, and one that does."""
    quick = lmdb.open(str(path) + "-quick", map_size=1 << 30, sync=False)
    safe = lmdb.open(str(path) + "-safe", map_size=1 << 30)

    def put() -> None:
        for keys in batches():
            with quick.begin(write=True) as transaction:
                for key in keys:
                    transaction.put(key, VALUE)

    def get() -> None:
        with quick.begin() as transaction:
            for key in SHUFFLED:
                right(len(transaction.get(key)) == 100)

    def scan() -> None:
        with quick.begin() as transaction:
            right(sum(len(value) == 100 for _, value in transaction.cursor()) == COUNT)

    def put_one() -> None:
        for key in KEYS[:SINGLES]:
            with quick.begin(write=True) as transaction:
                transaction.put(key, VALUE)

    keys = iter(KEYS)

    def put_safe() -> None:
        with safe.begin(write=True) as transaction:
            transaction.put(next(keys), VALUE)

    return [Way("lmdb", put=put, get=get, scan=scan, one=put_one, synced=put_safe)]


COLUMNS: Tuple[Tuple[str, int, int], ...] = (
    ("put", COUNT, 3),
    ("get", COUNT, ROUNDS),
    ("scan", COUNT, ROUNDS),
    ("one", SINGLES, ROUNDS),
    ("synced", 1, SYNCED),
)


def measure(place: Path, library: Path, stack: ExitStack) -> None:
    floor = c(place, library)
    ways = [*package(place, stack), by_ctypes(place / "ctypes"), by_cffi(place / "cffi", library)]
    ways += [by_sqlite(place / "sqlite"), *by_lmdb(place / "lmdb")]
    chance = random.Random(1)
    for column, operations, rounds in COLUMNS:
        now = time.perf_counter_ns if column == "synced" else time.process_time_ns
        for _ in range(rounds):
            for way in chance.sample(ways, len(ways)):
                work = way.columns.get(column)
                if work is not None:
                    start = now()
                    work()
                    took = (now() - start) / operations
                    way.took.setdefault(column, []).append(took)
    print(f"{COUNT} keys of 16 bytes, values of 100, {BATCH} puts a batch; Python {platform.python_version()}")
    print("ns each, and in brackets how many times those of C, or of the first line of Python")

    def figure(value: Optional[float], base: Optional[float]) -> str:
        return "" if value is None or base is None else f"{value:.0f} ({value / base:.2f})"

    print(f"{'':42} {'get':>16} {'batched put':>16} {'scan':>16} {'one put':>16} {'one, power':>18}")
    first = ways[0].figures()
    for name, figures in [("C", floor)] + [(way.name, way.figures()) for way in ways]:
        row = [figure(figures.get(column), floor[column]) for column in ("get", "put", "scan")]
        row += [figure(figures.get(column), first[column]) for column in ("one", "synced")]
        print(f"{name:42} {row[0]:>16} {row[1]:>16} {row[2]:>16} {row[3]:>16} {row[4]:>18}".rstrip())


def main() -> None:
    place = Path(tempfile.mkdtemp(prefix="sarsen-crossing-", dir=os.environ.get("BENCH_DIR")))
    library = Path(c_library._name)
    try:
        with ExitStack() as stack:
            measure(place, library, stack)
    finally:
        shutil.rmtree(place, ignore_errors=True)


if __name__ == "__main__":
    main()
