"""Streams, memories, blocks, and batches over all kinds of data."""

from __future__ import annotations

from pathlib import Path

import pytest

import sarsen
from sarsen import Survive


def test_records_are_numbered_and_the_numbering_outlives_trims(store: sarsen.Store) -> None:
    events = store.streams[b"events"]
    assert events.bounds() is None and len(events) == 0 and b"events" not in store.streams and list(events) == []
    assert [events.append(b"record %d" % number) for number in range(5)] == [0, 1, 2, 3, 4]
    assert events[0] == b"record 0" and events[-1] == b"record 4" and events[-5] == b"record 0"
    assert events.get(7) is None and events.get(-6, 1) == 1 and events.get(2) == b"record 2"
    events.trim(3)
    assert events.bounds() == (3, 5) and len(events) == 2 and list(events) == [b"record 3", b"record 4"]
    assert events[-2] == b"record 3" and events.get(-3) is None
    with pytest.raises(KeyError, match="no record 1 in the stream: b'events'"):
        events[1]
    with pytest.raises(sarsen.NotFound):
        events.view(-9)
    events.trim(5)
    assert events.bounds() == sarsen.Bounds(5, 5) and events.append(b"next") == 5
    events.drop()
    assert events.bounds() is None and events.append(b"anew") == 0


def test_reading_a_stream_gives_numbers_and_records(store: sarsen.Store) -> None:
    events = store.streams[b"events"]
    with pytest.raises(sarsen.NotFound):
        events.read()
    model = [bytes([number % 256]) * (number * 37 % 3000 if number % 50 else 150_000) for number in range(1, 300)]
    with store.batch() as batch:
        for record in model:
            batch.append_stream(b"events", record)
    assert events.read().all() == list(enumerate(model))
    assert [(index, bytes(record)) for index, record in events.read_in_place(290)] == list(enumerate(model))[290:]
    assert events.read(limit=2).all() == list(enumerate(model))[:2]
    assert next(events.read(7)) == (7, model[7])
    assert events.read(10_000).all() == []
    with events.view(49) as view:
        assert view.bytes == model[49]


def test_streams_are_listed_by_name(store: sarsen.Store) -> None:
    for name in (b"b/2", b"a", b"b/1", b""):
        store.streams[name].append(b"x")
    assert list(store.streams) == [b"", b"a", b"b/1", b"b/2"] and len(store.streams) == 4
    assert store.streams.list(b"b/").all() == [(b"b/1", 0, 1), (b"b/2", 0, 1)]
    names = store.streams.list(limit=1)
    assert next(names) == sarsen.StreamInfo(b"", 0, 1)
    with pytest.raises(StopIteration):
        next(names)
    with store.snapshot() as snapshot:
        store.streams[b"a"].drop()
        assert b"a" in snapshot.streams and b"a" not in store.streams
        assert list(snapshot.streams[b"a"]) == [b"x"] and not hasattr(snapshot.streams[b"a"], "append")


def test_memories_are_found_by_id_and_by_tags(store: sarsen.Store) -> None:
    memories = store.memories
    memories.append(1, b"calm sea", ["coast", "calm"])
    memories.append(2, b"storm", {"coast", "wild"})
    memories.append((1 << 64) - 1, b"forest", ("wild",))
    memories.append(4, b"")
    assert memories[1] == b"calm sea" and memories.get(3) is None and memories.get(4) == b"" and 2 in memories
    assert memories.find(all=["coast"]).all() == [(1, b"calm sea"), (2, b"storm")]
    assert memories.find_ids(any=["calm", "wild"]).all() == [1, 2, (1 << 64) - 1]
    assert memories.find_ids(all=["coast"], none=["wild"]).all() == [1]
    assert memories.find_ids(none=["coast"], start=4, limit=1).all() == [4]
    assert list(memories) == [1, 2, 4, (1 << 64) - 1] and len(memories) == 4 and bool(memories)
    assert dict(memories)[4] == b"" and 3 not in memories and not memories.__contains__("1")
    info = memories.info(2)
    assert info.tags == ("coast", "wild") and info.block is not None and store.blocks.read(info.block) == b"storm"
    memories.append(2, b"gone", ())
    assert memories.info(2).tags == () and memories.find_ids(all=["wild"]).all() == [(1 << 64) - 1]
    del store.memories[2]
    memories.delete(2)
    for ask in (memories.info, memories.view, memories.__getitem__, memories.__delitem__):
        with pytest.raises(KeyError, match="no such memory: 2"):
            ask(2)
    with store.snapshot() as snapshot:
        memories.append(1, b"rough sea")
        assert snapshot.memories[1] == b"calm sea" and snapshot.memories.info(1).tags == ("calm", "coast")
        with snapshot.memories.view(1) as view:
            assert bytes(view) == b"calm sea"


def test_many_memories_come_page_by_page(store: sarsen.Store) -> None:
    with store.batch() as batch:
        for number in range(2000):
            batch.append_memory(number, b"%d" % number * 20, ["even" if number % 2 == 0 else "odd", "ünïcode"])
    assert store.memories.find_ids(all=["even", "ünïcode"]).all() == list(range(0, 2000, 2))
    assert store.memories.find(any=["odd"], start=1000).read()[0] == (1001, b"1001" * 20)
    assert len(store.memories.find(limit=700).all()) == 700


@pytest.mark.parametrize(
    "tags, error",
    [
        ("text", TypeError),
        ([b"bytes"], TypeError),
        ([""], ValueError),
        (["x" * 1025], sarsen.TooLarge),
        (["\ud800"], sarsen.InvalidArgument),
        ([f"{number}" for number in range(1025)], sarsen.TooLarge),
    ],
)
def test_tags_are_short_texts(store: sarsen.Store, tags: object, error: type) -> None:
    with pytest.raises(error):
        store.memories.append(1, b"x", tags)  # type: ignore[arg-type]
    with pytest.raises(error):
        store.batch().append_memory(1, b"x", tags)  # type: ignore[arg-type]
    assert 1 not in store.memories


def test_a_thousand_tags_and_repeated_ones_are_fine(store: sarsen.Store) -> None:
    tags = [f"{number:04}" for number in range(1024)]
    store.memories.append(1, b"x", tags + tags)
    assert store.memories.info(1).tags == tuple(tags)
    store.batch().append_memory(2, b"x", tags + tags).commit()
    assert store.memories.info(2).tags == tuple(tags)


@pytest.mark.parametrize("number", [-1, 1 << 64])
def test_numbers_beyond_64_bits_are_refused_not_cut(store: sarsen.Store, number: int) -> None:
    for call in (
        lambda: store.memories.append(number, b"x"),
        lambda: store.memories.get(number),
        lambda: store.batch().delete_memory(number),
        lambda: store.streams[b"s"].trim(number),
        lambda: store.wait_durable(number),
        lambda: store.log.read(number),
    ):
        with pytest.raises(sarsen.InvalidArgument):
            call()
    with pytest.raises(TypeError):
        store.memories.append(1.5, b"x")  # type: ignore[arg-type]
    assert store.last_seq == 0


def test_blocks_are_read_whole_and_in_part(store: sarsen.Store) -> None:
    content = bytes(range(256)) * 1000
    block = store.blocks.append(content)
    assert block.length == len(content) and store.blocks.read(block) == content
    assert (
        store.blocks.read(block, 1000, 16) == content[1000:1016] and store.blocks.read(block, 255_990) == content[-10:]
    )
    assert store.blocks.read(block, 5, 0) == b""
    buffer = bytearray(100)
    store.blocks.read_into(block, buffer, 128)
    assert buffer == content[128:228]
    with store.blocks.view(block, 70_000, 50) as view:
        assert view.bytes == content[70_000:70_050]
    for start, length in ((0, len(content) + 1), (len(content), 1), (len(content) + 1, None)):
        with pytest.raises(sarsen.InvalidArgument):
            store.blocks.read(block, start, length)
        with pytest.raises(sarsen.InvalidArgument):
            store.blocks.view(block, start, length)
    store.blocks.append(b"")


def test_an_address_is_24_bytes_that_can_be_kept(store: sarsen.Store) -> None:
    block = store.blocks.append(b"content")
    kept = block.to_bytes()
    assert len(kept) == 24 and sarsen.Block.from_bytes(kept) == block
    with pytest.raises(sarsen.InvalidArgument):
        sarsen.Block.from_bytes(b"short")
    with pytest.raises(sarsen.InvalidArgument):
        sarsen.Block(-1, 0, 0, 0).to_bytes()
    with pytest.raises(TypeError):
        store.blocks.read(kept)  # type: ignore[arg-type]
    with pytest.raises(sarsen.NotFound):
        store.blocks.read(sarsen.Block(77, 1, 4096, 8))
    with pytest.raises(sarsen.NotFound):
        store.blocks.view(sarsen.Block(77, 1, 4096, 8))


def test_a_block_is_named_by_records_and_memories_and_then_held_by_them(store: sarsen.Store) -> None:
    block = store.blocks.append(b"a tile")
    with store.batch() as batch:
        batch.append_stream_block(b"tiles", block).append_memory_block(7, block, ["tile"])
    assert store.streams[b"tiles"][0] == b"a tile" and store.memories[7] == b"a tile"
    store.blocks.free(block)
    assert store.blocks.read(block) == b"a tile"
    loose = store.batch().append_block(b"loose")
    loose.commit()
    address = loose.result(0).block
    assert address is not None and store.blocks.read(address) == b"loose"
    store.batch().free_block(address).commit()
    failed = store.batch().append_stream_block(b"tiles", address)
    with pytest.raises(sarsen.NotFound):
        failed.commit()
    assert len(failed) == 1 and len(store.streams[b"tiles"]) == 1


def test_a_batch_is_one_commit_over_all_four_kinds(store: sarsen.Store) -> None:
    store.kv[b"old"] = b"x"
    store.memories.append(5, b"x")
    store.streams[b"s"].append(b"zero")
    with store.batch(Survive.POWER) as batch:
        batch.set_kv(b"key", bytearray(b"value")).delete_kv(b"old").append_stream(b"s", b"one").trim_stream(b"s", 1)
        batch.append_memory(7, b"memory", ["tag"]).delete_memory(5).append_block(b"block").drop_stream(b"none")
        assert len(batch) == 8
    assert batch.seq == store.last_seq == store.durable_seq == 4 and len(batch) == 0
    assert batch.result(2).index == 1 and batch.result(0) == sarsen.Result(None, None)
    block = batch.result(6).block
    assert block is not None and store.blocks.read(block) == b"block"
    assert dict(store.kv) == {b"key": b"value"} and dict(store.memories) == {7: b"memory"}
    assert store.streams[b"s"].read().all() == [(1, b"one")]
    with pytest.raises(sarsen.InvalidArgument):
        batch.result(8)
    batch.set_kv(b"a", b"b")
    with pytest.raises(sarsen.InvalidArgument):
        batch.result(0)
    batch.close()
    with pytest.raises(sarsen.Closed):
        batch.commit()


def test_a_batch_in_a_with_statement_that_raises_is_forgotten(store: sarsen.Store) -> None:
    with pytest.raises(RuntimeError), store.batch() as batch:
        batch.set_kv(b"key", b"value")
        raise RuntimeError
    assert len(batch) == 0 and store.last_seq == 0


def test_an_empty_batch_takes_no_seq(store: sarsen.Store) -> None:
    store.kv[b"a"] = b"b"
    assert store.batch().commit() == 1 == store.last_seq
    assert store.batch().set_kv(b"a", b"c").clear().commit(Survive.PROCESS) == 1


def test_a_command_that_is_refused_leaves_the_batch_as_it_was(store: sarsen.Store) -> None:
    batch = store.batch().set_kv(b"a", b"1")
    with pytest.raises(TypeError):
        batch.set_kv(b"b", "text")  # type: ignore[arg-type]
    with pytest.raises(sarsen.TooLarge):
        batch.append_stream(bytes(70_000), b"x")
    with pytest.raises(sarsen.InvalidArgument):
        batch.append_memory(-1, b"x")
    assert len(batch) == 1
    batch.commit()
    assert dict(store.kv) == {b"a": b"1"}


def test_encoded_commands_go_into_another_batch(tmp_path: Path, store: sarsen.Store) -> None:
    batch = store.batch().append_memory(7, b"x", ["a", "b"]).set_kv(b"k", b"v").append_stream(b"s", b"r")
    encoded = batch.encoded()
    copy = store.batch().load(encoded).load(memoryview(encoded))
    assert len(copy) == 6 and copy.encoded() == encoded * 2
    copy.commit()
    assert copy.result(5).index == 1 and store.memories.info(7).tags == ("a", "b")
    for cut in range(1, len(encoded)):
        torn = store.batch()
        try:
            torn.load(encoded[:cut])
        except sarsen.InvalidArgument:
            assert len(torn) == 0
        else:
            assert len(encoded) - cut in (26, 52)  # between two commands
    wrong = store.batch().load(b"\xff" + encoded[1:])
    with pytest.raises(sarsen.InvalidArgument):
        wrong.commit()
    assert len(wrong) == 3
