"""Threads and processes: many at once, forked, killed while they write."""

from __future__ import annotations

import os
import random
import signal
import threading
from pathlib import Path
from typing import Callable, List

import pytest

import sarsen
from conftest import run_python
from sarsen import Survive, Verdict


def run_threads(count: int, work: Callable[[int], None]) -> None:
    failed: List[BaseException] = []

    def guarded(number: int) -> None:
        try:
            work(number)
        except BaseException as error:
            failed.append(error)

    threads = [threading.Thread(target=guarded, args=(number,)) for number in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failed, failed


def test_threads_write_and_read_one_store(store: sarsen.Store) -> None:
    def work(number: int) -> None:
        for turn in range(200):
            key = b"%d/%d" % (number, turn)
            store.kv[key] = key * 3
            assert store.kv[key] == key * 3
            assert store.kv.get_many([key, b"none"]) == [key * 3, None]
            store.streams[b"shared"].append(key)
            with store.kv.view(key) as view:
                assert view.bytes == key * 3
        assert store.kv.count(prefix=b"%d/" % number) == 200

    run_threads(4, work)
    assert len(store.kv) == len(store.streams[b"shared"]) == 800


def test_threads_that_share_a_cursor_get_each_item_once(store: sarsen.Store) -> None:
    store.kv.update({b"%05d" % number: b"x" * 50 for number in range(5000)})
    cursor = store.kv.scan()
    pages: List[List[bytes]] = [[], [], [], []]

    def work(number: int) -> None:
        while True:
            page = cursor.read()
            if not page:
                return
            pages[number] += [key for key, _ in page]

    run_threads(4, work)
    assert sorted(key for page in pages for key in page) == [b"%05d" % number for number in range(5000)]


def test_closing_waits_for_calls_under_way_and_refuses_later_ones(tmp_path: Path) -> None:
    for turn in range(10):
        store = sarsen.open(tmp_path / f"{turn}", survive=Survive.PROCESS)
        snapshot = store.snapshot()
        begun = threading.Barrier(4)

        def work(number: int) -> None:
            begun.wait()
            if number == 3:
                while store.last_seq < 20:
                    pass
                snapshot.close()
                store.close()
                return
            try:
                while True:
                    store.kv[b"%d" % number] = bytes(100)
                    store.kv.get(b"%d" % number)
                    list(store.kv.items())
                    if number == 1:
                        snapshot.kv.get(b"1")
            except sarsen.InvalidArgument:
                pass  # Closed, or what a cursor of a closed store answers

        run_threads(4, work)
        assert store.closed


SIGNALLED = """
import os, signal, sys, sarsen
store = sarsen.open(sys.argv[1], survive=sarsen.Survive.PROCESS)
def stop(*_):
    store.close()
    sys.exit(7)
signal.signal(signal.SIGTERM, stop)
print("ready", flush=True)
number = 0
while True:
    store.kv[b"%d" % number] = bytes(100)
    assert store.kv[b"%d" % number] == bytes(100)
    number += 1
"""


def test_a_signal_handler_may_close_the_store_in_the_middle_of_a_call(tmp_path: Path) -> None:
    for turn in range(3):
        with run_python(SIGNALLED, tmp_path / f"{turn}", cwd=tmp_path) as process:
            assert process.stdout is not None and process.stdout.readline() == "ready\n"
            process.send_signal(signal.SIGTERM)
        assert process.returncode == 7
        with sarsen.open(tmp_path / f"{turn}") as store:
            assert store.recovery.verdict is Verdict.CLEAN


def test_a_close_inside_of_a_call_of_the_same_thread_happens_when_that_ends(store: sarsen.Store) -> None:
    handle = store._handle
    with handle as pointer:
        store.close()
        assert store.closed and handle._deferred == pointer
        with pytest.raises(sarsen.Closed):
            store.last_seq
    assert handle._deferred is None and handle.calls == []
    store.close()


def test_a_close_that_is_interrupted_while_it_waits_can_be_repeated(store: sarsen.Store) -> None:
    handle = store._handle
    entered, interrupted = threading.Event(), threading.Event()

    def hold() -> None:
        with handle:
            entered.set()
            while handle.pointer is not None:
                pass
            signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            assert interrupted.wait(60)

    thread = threading.Thread(target=hold)
    thread.start()
    assert entered.wait(60)
    with pytest.raises(KeyboardInterrupt):
        store.close()
    assert not store.closed
    store.kv[b"a"] = b"1"
    interrupted.set()
    store.close()
    thread.join()
    assert store.closed


def test_a_forked_child_is_told_so_and_may_close(store: sarsen.Store) -> None:
    store.kv[b"a"] = b"1"
    snapshot, cursor, reader, batch = (
        store.snapshot(),
        store.kv.scan(),
        store.log.read(),
        store.batch().set_kv(b"a", b"2"),
    )
    view = store.kv.view(b"a")
    began, stop = threading.Event(), threading.Event()

    def busy() -> None:  # so that calls are under way while the process forks
        while not stop.is_set():
            store.kv.get(b"a")
            began.set()

    thread = threading.Thread(target=busy)
    thread.start()
    assert began.wait(60)
    child = os.fork()
    if child == 0:
        wrong = 1
        try:
            calls: List[Callable[[], object]] = [
                lambda: store.kv[b"a"],
                lambda: store.kv.__setitem__(b"a", b"2"),
                lambda: store.sync(),
                lambda: cursor.read(),
                lambda: reader.read(),
                lambda: batch.commit(),
                lambda: store.snapshot(),
                lambda: snapshot.kv[b"a"],
            ]
            for number, call in enumerate(calls):
                wrong = 10 + number
                with pytest.raises(sarsen.Forked):
                    call()
            wrong = 2
            assert bytes(view) == b"1"
            for thing in (cursor, reader, batch, snapshot, view, store):
                thing.close()
            wrong = 0
        finally:
            os._exit(wrong)
    _, status = os.waitpid(child, 0)
    stop.set()
    thread.join()
    assert os.WIFEXITED(status) and os.WEXITSTATUS(status) == 0, status
    assert store.kv[b"a"] == b"1"
    batch.commit()
    assert store.kv[b"a"] == b"2"
    for thing in (cursor, reader, snapshot, view):
        thing.close()


def test_a_forked_child_opens_stores_of_its_own(store: sarsen.Store, tmp_path: Path) -> None:
    store.kv[b"a"] = b"1"
    store.durable(1).result(60)
    child = os.fork()
    if child == 0:
        wrong = 1
        try:
            with sarsen.open(tmp_path / "other", survive=Survive.PROCESS) as other:
                other.kv[b"b"] = b"2"
                assert other.durable(1).result(60) == 1
            with sarsen.open(tmp_path / "store", read_only=True) as reader:
                assert reader.kv[b"a"] == b"1"
            wrong = 0
        finally:
            os._exit(wrong)
    assert os.waitpid(child, 0)[1] == 0
    with sarsen.open(tmp_path / "other") as other:
        assert other.kv[b"b"] == b"2"


WRITER = """
import sys, sarsen
survive = sarsen.Survive[sys.argv[2]]
store = sarsen.open(sys.argv[1], survive=survive, memory_bytes=1 << 20)
number = (store.streams[b"s"].bounds() or (0, 0))[1]
while True:
    with store.batch() as batch:
        batch.set_kv(b"%d" % number, b"value %d" % number * (number % 50))
        batch.append_stream(b"s", b"%d" % number).append_memory(number, b"m%d" % number, ["all"])
    print(number, flush=True)
    number += 1
"""


def lost_commits(path: Path, said: str) -> int:
    """How many commits that were acknowledged are not in the store. What is there is whole and without a hole."""
    acknowledged = max((int(line) + 1 for line in said.split("\n")[:-1]), default=0)
    with sarsen.open(path, survive=Survive.PROCESS) as store:
        assert store.recovery.verdict in (Verdict.CLEAN, Verdict.REPLAYED, Verdict.TORN_TAIL)
        count = len(store.streams[b"s"])
        assert list(store.streams[b"s"]) == [b"%d" % number for number in range(count)]
        assert dict(store.kv) == {b"%d" % number: b"value %d" % number * (number % 50) for number in range(count)}
        assert store.memories.find_ids(all=["all"]).all() == list(range(count)) and store.verify() == []
    return max(acknowledged - count, 0)


@pytest.mark.parametrize("survive", list(Survive))
def test_what_was_acknowledged_outlives_kill_9(tmp_path: Path, survive: Survive) -> None:
    chance = random.Random(int(survive))
    said = ""
    for _ in range(6):
        with run_python(WRITER, tmp_path / "store", survive.name, cwd=tmp_path) as writer:
            assert writer.stdout is not None
            said += "".join(writer.stdout.readline() for _ in range(chance.randrange(1, 60)))
            writer.send_signal(signal.SIGKILL)
            said += writer.stdout.read()
        said = said[: said.rfind("\n") + 1]  # the kill may have cut a line
        assert lost_commits(tmp_path / "store", said) == 0


def test_control_a_commit_that_is_acknowledged_too_early_is_reported_lost(tmp_path: Path) -> None:
    early = WRITER.replace(
        "    with store.batch() as batch:", "    print(number, flush=True)\n    with store.batch() as batch:"
    )
    # The third acknowledgement goes out, its commit does not.
    early = early.replace(
        "        batch.set_kv", "        if number == 2: import os; os.kill(os.getpid(), 9)\n        batch.set_kv"
    )
    with run_python(early, tmp_path / "store", "PROCESS", cwd=tmp_path) as writer:
        assert writer.stdout is not None
        said = writer.stdout.read()
    assert lost_commits(tmp_path / "store", said) == 1


READER = """
import sys, sarsen
print("ready", flush=True)
with sarsen.open(sys.argv[1], read_only=True) as store:
    seen = 0
    while seen < int(sys.argv[2]):
        last = store.refresh()
        with store.snapshot() as snapshot:
            stream = snapshot.streams[b"s"]
            count = len(stream)
            assert count >= seen, "what was seen is gone"
            assert len(snapshot.kv) == count and len(snapshot.memories) == count, "half a commit"
            if count:
                assert stream[-1] == b"%d" % (count - 1) == snapshot.memories[count - 1]
        seen = count
    print("done", seen, flush=True)
"""


def test_a_reading_process_beside_a_writer_sees_whole_commits_only(tmp_path: Path) -> None:
    with sarsen.open(tmp_path / "store", survive=Survive.PROCESS, memory_bytes=1 << 20) as store:
        with run_python(READER, tmp_path / "store", 3000, cwd=tmp_path) as reader:
            assert reader.stdout is not None and reader.stdout.readline() == "ready\n"
            for number in range(3000):
                with store.batch() as batch:
                    batch.set_kv(b"%d" % number, bytes(300)).append_stream(b"s", b"%d" % number)
                    batch.append_memory(number, b"%d" % number, ["all"])
                if number % 500 == 0:
                    store.checkpoint()
            assert reader.stdout.readline() == "done 3000\n"
        assert reader.returncode == 0
