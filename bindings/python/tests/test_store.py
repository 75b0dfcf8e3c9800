"""Stores: opening, closing, durability, upkeep, reading beside a writer, backup, verify, salvage, import."""

from __future__ import annotations

import asyncio
import errno
import gc
import os
import pickle
import struct
import threading
import warnings
from pathlib import Path
from typing import Callable, List, Optional, Tuple, Union

import pytest

import sarsen
from conftest import run_python
from sarsen import Survive, Verdict


def test_what_was_committed_is_there_after_closing_and_opening_again(tmp_path: Path) -> None:
    with sarsen.open(tmp_path / "store") as store:
        store.kv[b"key"] = b"value"
        assert store.recovery == (Verdict.CLEAN, 0, 0, 0, 0, 0, store.recovery.elapsed_us)
    assert store.closed and repr(store).endswith("closed>")
    with sarsen.Store(str(tmp_path / "store"), sarsen.Options(create=False)) as store:
        assert store.kv[b"key"] == b"value" and store.recovery.verdict is Verdict.CLEAN
        assert store.recovery.last_seq == store.last_seq == 1


def test_a_closed_store_refuses_and_closing_once_more_is_nothing(store: sarsen.Store) -> None:
    cursor, batch, snapshot, reader = store.kv.scan(), store.batch(), store.snapshot(), store.log.read()
    store.kv[b"key"] = b"value"
    store.close()
    store.close()
    calls: List[Callable[[], object]] = [
        lambda: store.kv[b"key"],
        lambda: store.kv.__setitem__(b"key", b"x"),
        lambda: store.kv.scan(),
        lambda: store.last_seq,
        lambda: store.stats(),
        lambda: store.recovery,
        lambda: store.snapshot(),
        lambda: store.notify_durable(1, print),
        lambda: batch.set_kv(b"a", b"b").commit(),
        lambda: snapshot.kv[b"key"],
    ]
    for call in calls:
        with pytest.raises(sarsen.Closed, match="the store is closed"):
            call()
    calls = [cursor.read, reader.read, store.log.read]
    for call in calls:
        with pytest.raises(ValueError):
            call()
    for thing in (cursor, batch, snapshot, reader):
        thing.close()


def test_options_reach_the_library_and_wrong_ones_are_told(tmp_path: Path) -> None:
    path = tmp_path / "store"
    sarsen.open(
        path,
        create=True,
        read_only=False,
        survive=Survive.PROCESS,
        chunk_bytes=65_536,
        memory_bytes=1 << 20,
        log_retention_bytes=1 << 20,
        background=False,
        salvage=False,
        check=sarsen.Check.EVERY_READ,
        log_write=sarsen.LogWrite.WRITTEN,
        mapped_bytes=1 << 24,
    ).close()
    for wrong, said in (
        (sarsen.Options(chunk_bytes=1), "chunk_bytes can't be 1"),
        (sarsen.Options(memory_bytes=1), "memory_bytes can't be 1"),
        (sarsen.Options(survive=9), "survive can't be 9"),  # type: ignore[arg-type]
        (sarsen.Options(check=9), "check can't be 9"),  # type: ignore[arg-type]
        (sarsen.Options(log_write=9), "log_write can't be 9"),  # type: ignore[arg-type]
        (sarsen.Options(memory_bytes=-1), "from 0 to"),
    ):
        with pytest.raises(sarsen.InvalidArgument, match=said):
            sarsen.Store(path, wrong)
    with sarsen.open(path, read_only=True) as reader, pytest.raises(sarsen.ReadOnly):
        reader.kv[b"a"] = b"b"
    with pytest.raises(sarsen.InvalidArgument, match="NUL"):
        sarsen.open(f"{path}\0tail")


def test_errors_say_what_is_wrong_where(tmp_path: Path) -> None:
    with pytest.raises(sarsen.NotAStore) as none:
        sarsen.open(tmp_path / "none", create=False)
    assert none.value.status is sarsen.Status.NOT_A_STORE and none.value.name == "SARSEN_NOT_A_STORE"
    assert str(none.value) and none.value.file is None and none.value.offset is None and none.value.commits is None
    with sarsen.open(tmp_path / "store"), pytest.raises(sarsen.Locked):
        sarsen.open(tmp_path / "store")
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises((sarsen.NotAStore, OSError)):
        sarsen.open(tmp_path / "file")
    with pytest.raises(OSError) as refused:
        sarsen.open(tmp_path / "file" / "below")
    assert isinstance(refused.value, sarsen.IoError)
    assert refused.value.os_code == refused.value.errno == errno.ENOTDIR


def test_each_status_has_a_class_that_python_programs_expect() -> None:
    from sarsen import _errors

    expected = {0, 1, 2, 3}
    assert set(_errors.CLASSES) == {int(status) for status in sarsen.Status} - expected | {1}
    for status, kind in _errors.CLASSES.items():
        error = _errors.failure(status)
        assert type(error) is kind and error.status == status and str(error) == error.name
        again = pickle.loads(pickle.dumps(error))
        assert type(again) is kind and str(again) == str(error)
    unknown = _errors.failure(99)
    assert type(unknown) is sarsen.Error and unknown.status == 99
    for kind, builtin in (
        (sarsen.NotFound, KeyError),
        (sarsen.InvalidArgument, ValueError),
        (sarsen.TooLarge, ValueError),
        (sarsen.IoError, OSError),
        (sarsen.NoSpace, OSError),
        (sarsen.Forked, RuntimeError),
        (sarsen.Internal, RuntimeError),
    ):
        assert issubclass(kind, builtin) and issubclass(kind, sarsen.Error)


# ---- durability


def test_levels_and_waits(store: sarsen.Store) -> None:
    quick = store.batch().set_kv(b"a", b"1").commit()
    assert store.last_seq == quick
    assert store.wait_durable(quick, timeout=30) and store.durable_seq >= quick
    store.kv[b"b"] = b"2"
    store.sync()
    assert store.durable_seq == store.last_seq == 2
    assert store.batch(Survive.POWER).set_kv(b"c", b"3").commit() == store.durable_seq
    assert store.batch().set_kv(b"c", b"4").commit(Survive.POWER) == store.durable_seq
    with pytest.raises(sarsen.InvalidArgument):
        store.wait_durable(99)
    with pytest.raises(sarsen.InvalidArgument):
        store.wait_durable(1, timeout=-1)


def test_callbacks_and_tickets_tell_when_a_commit_is_durable(store: sarsen.Store) -> None:
    told: List[Tuple[int, Optional[sarsen.Error], str]] = []
    done = threading.Event()

    def callback(seq: int, error: Optional[sarsen.Error]) -> None:
        told.append((seq, error, threading.current_thread().name))
        done.set()

    store.kv[b"a"] = b"1"
    store.notify_durable(1, callback)
    assert done.wait(60) and told == [(1, None, "sarsen callbacks")] and store.durable_seq == 1
    store.kv[b"a"] = b"2"
    ticket = store.durable(2)
    assert ticket.seq == 2 and ticket.result(60) == 2
    with pytest.raises(sarsen.InvalidArgument):
        store.durable(99)


def test_a_ticket_can_be_awaited(store: sarsen.Store) -> None:
    async def commit_and_wait(number: int) -> int:
        seq = store.batch().set_kv(b"%d" % number, b"x").commit()
        return await store.durable(seq)

    async def many() -> List[int]:
        return await asyncio.gather(*(commit_and_wait(number) for number in range(50)))

    assert asyncio.run(many()) == list(range(1, 51)) and store.durable_seq == 50


def test_a_callback_may_close_the_store_and_one_that_raises_harms_nobody(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: List[Optional[type]] = []
    monkeypatch.setattr(threading, "excepthook", lambda told: seen.append(told.exc_type))
    store = sarsen.open(tmp_path / "store", survive=Survive.PROCESS)
    store.kv[b"a"] = b"1"
    closed = threading.Event()
    store.notify_durable(1, lambda seq, error: 1 // 0)

    def close(seq: int, error: Optional[sarsen.Error]) -> None:
        store.close()
        closed.set()

    store.notify_durable(1, close)
    assert closed.wait(60) and store.closed and seen == [ZeroDivisionError]


def test_closing_tells_those_who_still_wait(tmp_path: Path) -> None:
    store = sarsen.open(tmp_path / "store", survive=Survive.PROCESS, background=False)
    store.kv[b"a"] = b"1"
    ticket = store.durable(1)
    assert not ticket.done()
    assert store.maintain(0.001) in (True, False)
    assert ticket.result(60) == 1
    store.kv[b"a"] = b"2"
    late = store.durable(2)
    store.close()
    error = late.exception(60)
    assert error is None or isinstance(error, sarsen.InvalidArgument)


# ---- upkeep, figures


def test_upkeep_by_the_host_ends(tmp_path: Path) -> None:
    with sarsen.open(tmp_path / "store", background=False, survive=Survive.PROCESS, memory_bytes=1 << 20) as store:
        store.kv.update({b"%06d" % number: bytes(200) for number in range(5000)})
        store.checkpoint()
        rounds = 0
        while store.maintain(0.01):
            rounds += 1
            assert rounds < 10_000
        store.kv.clear()
        store.compact()
        stats = store.stats()
        assert stats.kv_count == 0 and stats.checkpoints >= 2 and stats.compactions >= 1 and stats.commits == 2
        assert stats.disk_bytes > 0 and stats.heap_bytes > 0 and stats.pinned_views == 0


def test_statistics_count_what_is_there(store: sarsen.Store) -> None:
    with store.batch() as batch:
        batch.set_kv(b"a", b"b").append_stream(b"s", b"r").append_memory(1, b"m").append_block(b"loose")
    store.compact()
    with store.snapshot() as snapshot, store.kv.view(b"a"):
        stats = store.stats()
        assert (stats.kv_count, stats.stream_count, stats.stream_record_count) == (1, 1, 1)
        assert (stats.memory_count, stats.block_count) == (1, 1)
        assert stats.oldest_snapshot_seq == snapshot.seq == 1 and stats.pinned_views == 1


# ---- other processes' view, copies


def test_a_reader_sees_what_was_committed_once_it_refreshes(tmp_path: Path) -> None:
    with sarsen.open(tmp_path / "store", survive=Survive.PROCESS) as writer:
        writer.kv[b"a"] = b"1"
        with sarsen.open(tmp_path / "store", read_only=True) as reader:
            writer.kv[b"a"] = b"2"
            assert reader.kv[b"a"] == b"1"
            assert reader.refresh() == 2 and reader.kv[b"a"] == b"2"
            assert writer.refresh() == 2


def test_a_backup_is_a_store_of_what_the_snapshot_sees(store: sarsen.Store, tmp_path: Path) -> None:
    store.kv[b"a"] = b"1"
    with store.snapshot() as snapshot:
        store.kv[b"a"] = b"2"
        store.backup(tmp_path / "old", snapshot)
    store.backup(tmp_path / "new")
    with pytest.raises(sarsen.Error):
        store.backup(tmp_path / "new")
    with sarsen.open(tmp_path / "old", create=False) as old, sarsen.open(tmp_path / "new", create=False) as new:
        assert (old.kv[b"a"], new.kv[b"a"]) == (b"1", b"2")


def damaged(path: Path) -> Path:
    """A store with a good key and one whose large value has a flipped bit; the chunk that has it."""
    with sarsen.open(path) as store:
        store.kv[b"bad"] = b"B" * 300_000
        store.kv[b"good"] = b"fine"
    chunks = [file for file in sorted((path / "blocks").iterdir()) if b"B" * 4096 in file.read_bytes()]
    assert len(chunks) == 1
    content = bytearray(chunks[0].read_bytes())
    content[content.index(b"B" * 4096) + 100_000] ^= 1
    chunks[0].write_bytes(content)
    return chunks[0]


def test_damage_is_an_error_with_its_place_and_the_rest_stays_readable(tmp_path: Path) -> None:
    file = damaged(tmp_path / "store")
    with sarsen.open(tmp_path / "store") as store:
        with pytest.raises(sarsen.Corrupt) as caught:
            store.kv[b"bad"]
        assert caught.value.file == f"blocks/{file.name}" and caught.value.offset is not None
        assert file.name in str(caught.value)
        assert store.kv[b"good"] == b"fine"
        findings = store.verify()
        assert findings and {finding.file for finding in findings} == {f"blocks/{file.name}"}
        assert all(finding.what for finding in findings)
        cursor = store.kv.scan()
        with pytest.raises(sarsen.Corrupt):
            next(cursor)
        assert next(cursor) == (b"good", b"fine")
        assert cursor.read() == [] and cursor.all() == []
    with sarsen.open(tmp_path / "store", salvage=True) as rescued:
        assert rescued.kv[b"good"] == b"fine" and rescued.recovery.verdict is Verdict.DAMAGED
        with pytest.raises(sarsen.Corrupt):
            rescued.kv.get(b"bad")
        with pytest.raises(sarsen.ReadOnly):
            rescued.kv[b"a"] = b"b"


def test_a_damaged_log_refuses_to_open_and_names_the_commits(tmp_path: Path) -> None:
    program = """
import os, sys, sarsen
store = sarsen.open(sys.argv[1])
for number in range(5):
    store.kv[b"key %d" % number] = b"some value" * 20
os._exit(0)
"""
    with run_python(program, tmp_path / "store", cwd=tmp_path) as writer:
        pass
    assert writer.returncode == 0
    (log,) = [file for file in (tmp_path / "store" / "log").iterdir() if b"key 2" in file.read_bytes()]
    content = bytearray(log.read_bytes())
    content[content.index(b"key 2")] ^= 1
    log.write_bytes(content)
    with pytest.raises(sarsen.Corrupt) as caught:
        sarsen.open(tmp_path / "store")
    assert caught.value.commits is not None and 3 in caught.value.commits
    assert caught.value.file == f"log/{log.name}" and caught.value.offset
    with sarsen.open(tmp_path / "store", salvage=True) as rescued:
        assert sorted(rescued.kv) == [b"key 0", b"key 1"] and rescued.recovery.verdict is Verdict.DAMAGED


def test_a_sound_store_has_no_findings(store: sarsen.Store) -> None:
    store.kv[b"a"] = bytes(100_000)
    assert store.verify() == []


def ancestral(kind: int, *parts: Union[bytes, Tuple[int, str]]) -> bytes:
    """A record of the ancestral log: u64 length, then the command."""
    body = struct.pack("<I", kind)
    for part in parts:
        if isinstance(part, bytes):
            body += struct.pack("<Q", len(part)) + part
        else:
            number, form = part
            body += struct.pack(form, number)
    return struct.pack("<Q", len(body)) + body


def test_import_takes_an_ancestral_directory_over_whole_or_not_at_all(tmp_path: Path, store: sarsen.Store) -> None:
    old = tmp_path / "old"
    (old / "blocks").mkdir(parents=True)
    (old / "blocks" / "chunk_0000.bin").write_bytes(b"memoryrecord")
    (old / "state.wal").write_bytes(
        ancestral(1, b"key", b"value")
        + ancestral(0, (7, "<Q"), (0, "<I"), (0, "<Q"), (6, "<Q"), (1, "<Q"), b"tag")
        + ancestral(3, b"stream", (0, "<I"), (6, "<Q"), (6, "<Q"))
    )
    assert store.import_from(old) == 3
    assert store.kv[b"key"] == b"value" and store.memories.find(all=["tag"]).all() == [(7, b"memory")]
    assert store.streams[b"stream"][0] == b"record"
    with pytest.raises(sarsen.Error):
        store.import_from(old)
    (old / "blocks" / "chunk_0000.bin").write_bytes(b"mem")
    with sarsen.open(tmp_path / "other") as other:
        with pytest.raises(sarsen.Corrupt):
            other.import_from(old)
        assert other.last_seq == 0


# ---- what is forgotten


def test_a_forgotten_store_is_closed_when_it_is_collected_with_a_warning(tmp_path: Path) -> None:
    store: Optional[sarsen.Store] = sarsen.open(tmp_path / "store")
    assert store is not None
    kv = store.kv
    kv[b"a"] = b"1"
    store = None
    gc.collect()
    assert kv[b"a"] == b"1", "a part of the store keeps it open"
    with pytest.warns(ResourceWarning, match="unclosed store"):
        del kv
        gc.collect()
    with sarsen.open(tmp_path / "store") as again:
        assert again.kv[b"a"] == b"1"
        with pytest.warns(ResourceWarning, match="unclosed snapshot"):
            again.snapshot()
            gc.collect()
        assert again.stats().oldest_snapshot_seq == 0


def test_what_was_closed_or_holds_only_memory_warns_of_nothing(tmp_path: Path) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        with sarsen.open(tmp_path / "store") as store:
            store.kv[b"a"] = b"1"
            next(store.kv.scan())
            store.batch().set_kv(b"x", b"y")
            store.log.read()
            store.kv.view(b"a")
            with store.snapshot():
                pass
        del store
        gc.collect()


def test_a_store_left_open_at_the_end_of_the_program_is_closed_in_order(tmp_path: Path) -> None:
    program = """
import sys, threading, sarsen
store = sarsen.open(sys.argv[1], survive=sarsen.Survive.PROCESS)
store.kv[b"a"] = b"1"
def write():
    try:
        while True:
            store.kv[b"b"] = b"2"
    except sarsen.Closed:
        pass
thread = threading.Thread(target=write, daemon=True)
thread.start()
while store.last_seq < 100:
    pass
"""
    with run_python(program, tmp_path / "store", cwd=tmp_path) as process:
        pass
    assert process.returncode == 0
    with sarsen.open(tmp_path / "store") as store:
        assert store.kv[b"a"] == b"1" and store.recovery.verdict is Verdict.CLEAN


def test_the_library_is_found_by_its_variable_or_the_error_says_how(tmp_path: Path) -> None:
    import subprocess
    import sys

    environment = {**os.environ, "SARSEN_LIBRARY": str(tmp_path / "none.so"), "PYTHONPATH": os.pathsep.join(sys.path)}
    ran = subprocess.run([sys.executable, "-c", "import sarsen"], env=environment, capture_output=True, text=True)
    assert ran.returncode != 0 and "ImportError: sarsen: no library at" in ran.stderr and "SARSEN_LIBRARY" in ran.stderr
