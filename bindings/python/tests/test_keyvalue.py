"""Key-value as a mapping."""

from __future__ import annotations

from collections.abc import Mapping, MutableMapping
from pathlib import Path
from typing import Dict

import pytest

import sarsen


@pytest.fixture
def numbers(store: sarsen.Store) -> sarsen.Store:
    store.kv.update({b"%03d" % number: b"value %d" % number for number in range(500)})
    return store


def test_it_is_a_mutable_mapping_and_a_snapshots_is_a_mapping(store: sarsen.Store) -> None:
    assert isinstance(store.kv, MutableMapping)
    with store.snapshot() as snapshot:
        assert isinstance(snapshot.kv, Mapping) and not isinstance(snapshot.kv, MutableMapping)


def test_what_was_set_is_there_and_what_was_deleted_is_not(store: sarsen.Store) -> None:
    store.kv[b"key"] = b"value"
    store.kv[b""] = b""
    assert store.kv[b"key"] == b"value" and store.kv[b""] == b""
    assert b"key" in store.kv and b"" in store.kv and b"other" not in store.kv
    assert not store.kv.__contains__(7)
    del store.kv[b"key"]
    store.kv.delete(b"key")
    assert store.kv.get(b"key") is None and store.kv.get(b"key", 7) == 7
    assert list(store.kv) == [b""]


def test_a_missing_key_is_a_key_error(store: sarsen.Store) -> None:
    with pytest.raises(KeyError, match="no such key: b'none'") as caught:
        store.kv[b"none"]
    assert isinstance(caught.value, sarsen.NotFound)
    with pytest.raises(sarsen.NotFound):
        del store.kv[b"none"]
    with pytest.raises(sarsen.NotFound):
        store.kv.view(b"none")
    with pytest.raises(KeyError):
        store.kv.pop(b"none")
    assert store.kv.pop(b"none", b"default") == b"default"


def test_any_buffer_goes_in_and_text_does_not(store: sarsen.Store) -> None:
    store.kv[bytearray(b"key")] = memoryview(b"a value")[2:]
    assert store.kv[memoryview(b"key")] == b"value"
    assert bytearray(b"key") in store.kv
    for wrong in ("key", 5, None, [1]):
        with pytest.raises(TypeError):
            store.kv[wrong]  # type: ignore[index]
        with pytest.raises(TypeError):
            store.kv[b"key"] = wrong  # type: ignore[assignment]
    assert store.kv[b"key"] == b"value"


@pytest.mark.parametrize("size", [0, 1, 65_535, 65_536, 65_537, 1 << 20, 5_000_000])
def test_values_of_all_sizes_come_back(store: sarsen.Store, size: int) -> None:
    value = bytes(range(256)) * (size // 256) + bytes(size % 256)
    store.kv[b"key"] = value
    assert store.kv[b"key"] == value
    assert store.kv.get(b"key") == value
    assert store.kv.get_many([b"key"]) == [value]
    assert list(store.kv.items()) == [(b"key", value)]
    assert list(store.kv) == [b"key"] and len(store.kv) == 1
    with store.kv.view(b"key") as view:
        assert view.bytes == value and len(view) == size


def test_the_rest_of_the_mapping_works_as_a_dicts_does(store: sarsen.Store) -> None:
    kv = store.kv
    assert not kv and len(kv) == 0
    kv.update({b"b": b"2"})
    kv.update([(b"a", b"1"), (b"c", b"3")])
    assert kv and len(kv) == 3
    assert kv.setdefault(b"a", b"9") == b"1" and kv.setdefault(b"d", b"4") == b"4"
    assert kv.pop(b"d") == b"4"
    assert dict(kv) == {b"a": b"1", b"b": b"2", b"c": b"3"}
    assert list(kv.keys()) == [b"a", b"b", b"c"] and list(reversed(kv)) == [b"c", b"b", b"a"]
    assert next(reversed(kv.items())) == (b"c", b"3")  # type: ignore[call-overload]
    assert list(kv.values()) == [b"1", b"2", b"3"] and b"2" in kv.values() and b"7" not in kv.values()
    assert (b"a", b"1") in kv.items() and (b"a", b"2") not in kv.items()
    assert kv.keys() & {b"a", b"z"} == {b"a"}
    assert kv.popitem() == (b"a", b"1")
    kv.clear()
    assert list(kv.items()) == []
    with pytest.raises(KeyError):
        kv.popitem()


def test_update_is_one_commit_or_none(store: sarsen.Store) -> None:
    before = store.last_seq
    store.kv.update({b"%d" % number: b"x" for number in range(100)})
    assert store.last_seq == before + 1
    with pytest.raises(TypeError):
        store.kv.update({b"fine": b"x", b"wrong": 5})
    with pytest.raises(TypeError):
        store.kv.update(named=b"x")
    assert b"fine" not in store.kv and store.last_seq == before + 1


def test_scans_take_ranges_prefixes_directions_and_limits(numbers: sarsen.Store) -> None:
    kv = numbers.kv
    assert [key for key, _ in kv.scan(b"010", b"013")] == [b"010", b"011", b"012"]
    assert kv.scan_keys(b"497").all() == [b"497", b"498", b"499"]
    assert kv.scan_keys(end=b"002").all() == [b"000", b"001"]
    assert kv.scan_keys(end=b"").all() == [] and kv.count(end=b"") == 0
    assert kv.scan_keys(b"3", b"1").all() == []
    assert kv.scan_keys(prefix=b"49", reverse=True, limit=3).all() == [b"499", b"498", b"497"]
    assert kv.scan_keys(b"010", b"013", reverse=True).all() == [b"012", b"011", b"010"]
    assert kv.scan_values(prefix=b"007").all() == [b"value 7"]
    assert [(key, value.tobytes()) for key, value in kv.scan_in_place(limit=2)] == [
        (b"000", b"value 0"),
        (b"001", b"value 1"),
    ]
    assert kv.count() == 500 and kv.count(prefix=b"1") == 100 and len(kv) == 500
    assert kv.scan(limit=0).all() == [] and len(kv.scan(limit=123).all()) == 123
    with pytest.raises(TypeError):
        kv.scan(b"a", prefix=b"b")


def test_a_cursor_sees_one_snapshot_and_loses_nothing_between_ways_to_read(numbers: sarsen.Store) -> None:
    cursor = numbers.kv.scan_keys()
    numbers.kv.clear()
    assert next(cursor) == b"000"
    for key in cursor:
        if key == b"005":
            break
    assert next(cursor) == b"006"
    page = cursor.read()
    assert page[0] == b"007"
    rest = cursor.all()
    assert page + rest == [b"%03d" % number for number in range(7, 500)]
    assert cursor.read() == [] and cursor.all() == []
    with pytest.raises(StopIteration):
        next(cursor)


def test_a_closed_cursor_ends_and_a_store_closed_beneath_one_says_so(tmp_path: Path) -> None:
    with sarsen.open(tmp_path / "store") as store:
        store.kv.update({b"%05d" % number: bytes(100) for number in range(5000)})
        with store.kv.scan() as cursor:
            assert cursor.read() != []
        assert cursor.read() == []
        left = store.kv.scan()
        assert left.read() != []
    with pytest.raises(sarsen.InvalidArgument):
        left.all()
    left.close()


def test_large_values_between_small_ones_come_in_order(store: sarsen.Store) -> None:
    model: Dict[bytes, bytes] = {
        b"%02d" % number: bytes([number]) * (1 if number % 3 else 200_000) for number in range(30)
    }
    store.kv.update(model)
    assert dict(store.kv.scan()) == model
    assert store.kv.scan_keys(reverse=True).all() == sorted(model, reverse=True)
    assert store.kv.count() == 30
    assert {key: bytes(value) for key, value in store.kv.scan_in_place()} == model


def test_get_many_sees_one_moment_and_keeps_the_order(numbers: sarsen.Store) -> None:
    assert numbers.kv.get_many([b"499", b"none", b"000", b"000"]) == [b"value 499", None, b"value 0", b"value 0"]
    assert numbers.kv.get_many([]) == []
    assert len(numbers.kv.get_many(iter(numbers.kv))) == 500
    assert numbers.stats().pinned_views == 0


def test_read_into_fills_a_buffer_that_is_there(store: sarsen.Store) -> None:
    store.kv[b"key"] = b"0123456789"
    buffer = bytearray(4)
    assert store.kv.read_into(b"key", buffer) == 10 and buffer == b"0123"
    wide = bytearray(12)
    assert store.kv.read_into(b"key", memoryview(wide)[1:]) == 10 and wide == b"\x000123456789\x00"
    assert store.kv.read_into(b"key", bytearray()) == 10
    assert store.kv.read_into(b"none", buffer) is None
    with pytest.raises(TypeError):
        store.kv.read_into(b"key", b"read-only")  # type: ignore[arg-type]


def test_a_snapshot_sees_what_was_there(numbers: sarsen.Store) -> None:
    with numbers.snapshot() as snapshot:
        numbers.kv.clear()
        numbers.kv[b"new"] = b"x"
        assert snapshot.seq < numbers.last_seq
        assert len(snapshot.kv) == 500 and snapshot.kv[b"007"] == b"value 7" and b"new" not in snapshot.kv
        assert snapshot.kv.get_many([b"007", b"new"]) == [b"value 7", None]
        assert snapshot.kv.get(b"new", 1) == 1
        assert snapshot.kv.scan_keys(prefix=b"00", limit=1).all() == [b"000"]
        with snapshot.kv.view(b"008") as view:
            assert bytes(view) == b"value 8"
        cursor = snapshot.kv.scan_keys()
    assert len(cursor.all()) == 500
    with pytest.raises(sarsen.Closed):
        snapshot.kv[b"007"]
    with pytest.raises(sarsen.Closed):
        snapshot.seq
    assert snapshot.closed


def test_too_long_a_key_is_refused(store: sarsen.Store) -> None:
    store.kv[bytes(65_535)] = b"x"
    assert store.kv[bytes(65_535)] == b"x"
    with pytest.raises(sarsen.TooLarge):
        store.kv[bytes(65_536)] = b"x"
    with pytest.raises(ValueError):
        store.batch().set_kv(bytes(65_536), b"x")


def test_equality_is_identity(store: sarsen.Store) -> None:
    assert store.kv == store.kv and store.kv != {} and len({store.kv, store.kv}) == 1
