"""The log: every command in commit order, also while somebody waits for it."""

from __future__ import annotations

import asyncio
import signal
import threading
from pathlib import Path
from typing import List

import pytest

import sarsen
from conftest import run_python
from sarsen import Survive


def test_every_command_comes_in_order_with_what_it_carries(store: sarsen.Store) -> None:
    block = store.blocks.append(b"tile")
    with store.batch() as batch:
        batch.set_kv(b"k", b"v").append_stream(b"s", b"record").append_memory(7, b"memory", ["b", "a"])
        batch.append_stream_block(b"s", block).trim_stream(b"s", 1).drop_stream(b"t")
        batch.delete_kv(b"k").delete_memory(7).free_block(block)
    commands = list(store.log.read())
    assert [command.seq for command in commands] == [1] + [2] * 9
    assert [command.last for command in commands] == [True] + [False] * 8 + [True]
    assert [command.kind.name for command in commands] == (
        "APPEND_BLOCK SET_KV APPEND_STREAM APPEND_MEMORY APPEND_STREAM TRIM_STREAM TRIM_STREAM DELETE_KV DELETE_MEMORY "
        "FREE_BLOCK"
    ).split()
    assert (commands[0].block, commands[0].value) == (block, b"tile")
    assert (commands[1].key, commands[1].value, commands[1].block, commands[1].tags) == (b"k", b"v", None, ())
    assert (commands[2].key, commands[2].id, commands[2].value) == (b"s", 0, b"record")
    assert (commands[3].id, commands[3].value, commands[3].tags) == (7, b"memory", ("a", "b"))
    assert (commands[4].id, commands[4].block) == (1, block)
    assert (commands[5].id, commands[6].id) == (1, sarsen.DROPPED)
    assert commands[9].block == block and {command.epoch for command in commands} == {commands[0].epoch}


def test_a_reader_goes_on_where_it_was_told_to(store: sarsen.Store) -> None:
    for number in range(10):
        store.kv[b"%d" % number] = b"x"
    assert store.log.first_seq == 1
    epoch = next(iter(store.log.read())).epoch
    assert [command.key for command in store.log.read(8, epoch)] == [b"7", b"8", b"9"]
    with pytest.raises(sarsen.Conflict):
        list(store.log.read(8, epoch + 1))
    with pytest.raises(sarsen.InvalidArgument):
        store.log.read(99)
    with store.log.read(11) as reader:
        assert reader.read() == [] and reader.read(timeout=0.01) == []
        store.kv[b"new"] = b"x"
        assert [command.key for command in reader.read(timeout=60)] == [b"new"]
    assert reader.read() == []


def test_a_loop_that_is_left_early_loses_nothing(store: sarsen.Store) -> None:
    for number in range(10):
        store.kv[b"%d" % number] = b"x"
    reader = store.log.read()
    assert next(iter(reader)).key == b"0"
    for command in reader.follow():
        if command.key == b"3":
            break

    async def one() -> bytes:
        async for command in reader.follow_async():
            return command.key
        return b""

    assert asyncio.run(one()) == b"4"
    assert [command.key for command in reader.read()] == [b"5", b"6", b"7", b"8", b"9"]
    assert reader.read() == []


def test_a_task_that_is_cancelled_while_it_waits_loses_nothing(store: sarsen.Store) -> None:
    store.kv[b"0"] = b"x"
    reader = store.log.read(2)

    async def follow() -> None:
        async for command in reader.follow_async():
            raise AssertionError(command)

    async def cancelled() -> None:
        task = asyncio.ensure_future(follow())
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        task.cancel()
        store.kv[b"1"] = b"x"
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert [command.key for command in reader.read(timeout=60)] == [b"1"]


def test_large_values_come_whole(store: sarsen.Store) -> None:
    values = [bytes([number]) * 400_000 for number in range(5)]
    for value in values:
        store.kv[b"k"] = value
    assert [command.value for command in store.log.read()] == values


def test_a_log_that_was_released_says_so(tmp_path: Path) -> None:
    with sarsen.open(tmp_path / "store", survive=Survive.PROCESS) as store:
        with store.log.read() as behind:
            for _ in range(2):
                for number in range(300):
                    store.kv[b"%d" % number] = bytes(20_000)
                store.checkpoint()
            assert store.log.first_seq > 1
            with pytest.raises(sarsen.NotFound, match="no longer reaches back"):
                store.log.read(1)
            with pytest.raises(KeyError):
                while behind.read():
                    pass


def test_a_follower_waits_for_commits_and_ends_when_it_is_closed(store: sarsen.Store) -> None:
    reader = store.log.read()
    seen: List[bytes] = []
    half = threading.Event()

    def follow() -> None:
        for command in reader.follow():
            seen.append(command.key)
            if len(seen) == 50:
                half.set()

    thread = threading.Thread(target=follow)
    thread.start()
    for number in range(50):
        store.kv[b"%d" % number] = b"x"
    assert half.wait(60)
    reader.close()
    thread.join(60)
    assert not thread.is_alive() and seen == [b"%d" % number for number in range(50)]


def test_closing_the_store_ends_a_follower_with_an_error(tmp_path: Path) -> None:
    store = sarsen.open(tmp_path / "store", survive=Survive.PROCESS)
    store.kv[b"a"] = b"1"
    began = threading.Event()
    ended: List[BaseException] = []

    def follow() -> None:
        try:
            for _ in store.log.follow():
                began.set()
        except sarsen.InvalidArgument as error:
            ended.append(error)

    thread = threading.Thread(target=follow)
    thread.start()
    assert began.wait(60)
    store.close()
    thread.join(60)
    assert not thread.is_alive() and len(ended) == 1


def test_asyncio_follows_beside_other_tasks(store: sarsen.Store) -> None:
    async def follow(count: int) -> List[bytes]:
        keys: List[bytes] = []
        with store.log.read(1) as reader:
            async for command in reader.follow_async():
                keys.append(command.key)
                if len(keys) == count:
                    break
        return keys

    async def both() -> List[bytes]:
        follower = asyncio.ensure_future(follow(20))
        for number in range(20):
            store.kv[b"%d" % number] = b"x"
            await asyncio.sleep(0)
        return await follower

    assert asyncio.run(both()) == [b"%d" % number for number in range(20)]


FOLLOWER = """
import sys, sarsen
with sarsen.open(sys.argv[1], read_only=True) as store:
    print("open", flush=True)
    total = 0
    for command in store.log.follow(1):
        if command.kind is sarsen.CommandKind.APPEND_STREAM:
            assert command.id == total and command.value == b"record %d" % total
            total += 1
            if total == int(sys.argv[2]):
                break
    assert store.refresh() >= total
    assert len(store.streams[b"s"]) >= total
    print(total, flush=True)
"""


def test_a_process_follows_the_log_of_another_one(tmp_path: Path) -> None:
    with sarsen.open(tmp_path / "store", survive=Survive.PROCESS, log_retention_bytes=1 << 26) as writer:
        writer.kv[b"a"] = b"1"
        with run_python(FOLLOWER, tmp_path / "store", 2000, cwd=tmp_path) as process:
            assert process.stdout is not None and process.stdout.readline() == "open\n"
            stream = writer.streams[b"s"]
            for number in range(2000):
                stream.append(b"record %d" % number)
            assert process.stdout.readline() == "2000\n"
        assert process.returncode == 0


def test_ctrl_c_gets_through_to_a_waiting_follower(tmp_path: Path) -> None:
    program = """
import sys, sarsen
with sarsen.open(sys.argv[1]) as store:
    store.kv[b"a"] = b"1"
    try:
        for _ in store.log.follow():
            print("waiting", flush=True)
    except KeyboardInterrupt:
        print("interrupted", flush=True)
"""
    with run_python(program, tmp_path / "store", cwd=tmp_path) as process:
        assert process.stdout is not None and process.stdout.readline() == "waiting\n"
        process.send_signal(signal.SIGINT)
        assert process.stdout.readline() == "interrupted\n"
    assert process.returncode == 0
