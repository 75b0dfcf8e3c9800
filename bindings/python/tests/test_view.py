"""Bytes in place: no memoryview ever points to what was given back."""

from __future__ import annotations

import ctypes
import gc
import weakref
from pathlib import Path

import pytest

import sarsen


def pinned(store: sarsen.Store) -> int:
    return store.stats().pinned_views


@pytest.fixture
def large(store: sarsen.Store) -> sarsen.Store:
    store.kv[b"large"] = bytes(range(256)) * 1000
    return store


def test_a_view_is_read_only_and_shows_the_bytes(large: sarsen.Store) -> None:
    with large.kv.view(b"large") as view:
        memory = view.bytes
        assert memory.readonly and memory.format == "B" and memory.ndim == 1
        assert memory == bytes(range(256)) * 1000 and bytes(view) == memory and len(view) == 256_000
        with pytest.raises(TypeError):
            memory[0] = 1
        with pytest.raises(TypeError):
            ctypes.c_char.from_buffer(memory)
        assert pinned(large) == 1 and not view.released
    assert view.released and pinned(large) == 0 and "released" in repr(view)
    view.release()


def test_after_release_the_memoryview_refuses_and_so_does_the_view(large: sarsen.Store) -> None:
    view = large.kv.view(b"large")
    memory = view.bytes
    view.release()
    assert pinned(large) == 0
    with pytest.raises(ValueError):
        memory[0]
    with pytest.raises(sarsen.InvalidArgument):
        view.bytes


def test_slices_outlive_the_view_and_hold_the_bytes_until_they_are_gone(large: sarsen.Store) -> None:
    view = large.kv.view(b"large")
    part = view.bytes[256:512]
    del large.kv[b"large"]
    view.release()
    large.compact()
    assert part == bytes(range(256)) and pinned(large) == 1
    del part
    assert pinned(large) == 0


def test_an_array_over_the_memory_holds_it_through_release(large: sarsen.Store) -> None:
    view = large.kv.view(b"large")
    # As numpy does: an object that exports what it was given further on.
    array = memoryview(view.bytes)
    exported = view.bytes.cast("H")
    view.release()
    view = None  # type: ignore[assignment]
    gc.collect()
    assert exported[1] == 0x0302 and pinned(large) == 1
    del exported, array
    assert pinned(large) == 0


def test_an_exporting_memoryview_defers_the_release(large: sarsen.Store) -> None:
    view = large.kv.view(b"large")
    holder = ctypes.pythonapi.PyMemoryView_FromObject
    holder.restype, holder.argtypes = ctypes.py_object, [ctypes.py_object]
    bytearray_over = (ctypes.c_ubyte * 4).from_buffer_copy(view.bytes)
    import io

    reader = io.BytesIO(view.bytes)  # copies
    assert reader.read(2) == b"\x00\x01" and bytes(bytearray_over) == b"\x00\x01\x02\x03"
    other = holder(view.bytes)
    view.release()
    assert other[255] == 255 and pinned(large) == 1
    del other
    assert pinned(large) == 0


def test_memory_stays_good_after_the_store_was_closed(tmp_path: Path) -> None:
    store = sarsen.open(tmp_path / "store", chunk_bytes=1 << 20)
    content = {number: bytes([number]) * 300_000 for number in range(20)}
    store.kv.update({b"%02d" % number: value for number, value in content.items()})
    views = {number: store.kv.view(b"%02d" % number) for number in content}
    parts = {number: view.bytes[1000:2000] for number, view in views.items() if number % 2}
    for number in parts:
        views.pop(number).release()
    store.kv.clear()
    store.compact()
    store.close()
    del store
    gc.collect()
    for number, view in views.items():
        assert view.bytes == content[number]
    for number, part in parts.items():
        assert part == content[number][1000:2000]
    with sarsen.open(tmp_path / "store") as again:
        again.compact()
        assert all(part == content[number][1000:2000] for number, part in parts.items())


def test_a_forgotten_view_is_given_back_when_it_is_collected(large: sarsen.Store) -> None:
    large.kv.view(b"large")
    view = large.kv.view(b"large")
    assert pinned(large) == 1
    gone = weakref.ref(view)
    memory = view.bytes
    del view
    assert gone() is None and memory[5] == 5 and pinned(large) == 1
    del memory
    assert pinned(large) == 0


def test_a_view_in_a_cycle_is_given_back_by_the_collector(large: sarsen.Store) -> None:
    class Holder:
        pass

    one = Holder()
    one.view, one.itself = large.kv.view(b"large"), one  # type: ignore[attr-defined]
    del one
    gc.collect()
    assert pinned(large) == 0


def test_an_empty_value_has_an_empty_view(store: sarsen.Store) -> None:
    store.kv[b"empty"] = b""
    with store.kv.view(b"empty") as view:
        assert view.bytes.tobytes() == b"" and view.bytes.readonly and len(view) == 0


def test_views_of_many_lengths_end_where_the_bytes_do(store: sarsen.Store) -> None:
    store.kv.update({b"%d" % size: bytes(size) for size in range(0, 3000, 7)})
    for size in range(0, 3000, 7):
        with store.kv.view(b"%d" % size) as view:
            assert view.bytes.nbytes == size
            if size:
                assert memoryview(view.bytes.obj).nbytes == size
    assert pinned(store) == 0


def test_pages_of_a_scan_in_place_live_as_long_as_one_of_their_values(store: sarsen.Store) -> None:
    store.kv.update({b"%d" % number: b"value %d" % number for number in range(1000)})
    kept = [value for key, value in store.kv.scan_in_place() if key.endswith(b"99")]
    gc.collect()
    store.close()
    assert sorted(map(bytes, kept)) == sorted(b"value %d99" % number if number else b"value 99" for number in range(10))
