"""Key-value: a mapping from bytes to bytes, ordered by key."""

from __future__ import annotations

import ctypes
import itertools
import struct
from collections.abc import ItemsView, KeysView, Mapping, MutableMapping, ValuesView
from ctypes import byref, c_char, c_size_t, c_uint32, c_void_p, string_at
from threading import get_ident
from typing import Any, Iterable, Iterator, List, Optional, Tuple, TypeVar, Union, overload

from . import _library
from ._cursor import MOST_BYTES, Cursor, Filled, scratch, scratches
from ._errors import MOST_EXPECTED, NOT_FOUND, OK, NotFound, failure
from ._handle import Handle, Place
from ._identity import ByIdentity
from ._library import library
from ._values import BytesLike, bytes_in, copy
from ._view import Pin, View

Default = TypeVar("Default")
Pair = Tuple[bytes, bytes]

# Deleting everything is done in commits of this many keys.
KEYS_A_COMMIT = 10_000
_LENGTHS = struct.Struct("<II").unpack_from
_read = library.sarsen_kv_read
_set = library.sarsen_kv_set
_release = library.sarsen_view_release
_VIEW_BYTES = ctypes.sizeof(_library.View)


def _pairs(data: bytes, count: int) -> List[Pair]:
    key_length, value_length = _LENGTHS(data)
    stride = 8 + key_length + value_length
    if len(data) == stride * count and all(data[at::stride] == data[at : at + 1] * count for at in range(8)):
        # All lengths are those of the first pair: struct takes the page apart at once.
        return list(struct.iter_unpack(f"8x{key_length}s{value_length}s", data))
    items = []
    at = 0
    for _ in range(count):
        key_length, value_length = _LENGTHS(data, at)
        value_at = at + 8 + key_length
        key = data[at + 8 : value_at]
        at = value_at + value_length
        items.append((key, data[value_at:at]))
    return items


def _pairs_in_place(data: bytes, count: int) -> List[Tuple[bytes, memoryview]]:
    items = []
    page = memoryview(data)
    at = 0
    for _ in range(count):
        key_length, value_length = _LENGTHS(data, at)
        value_at = at + 8 + key_length
        key = data[at + 8 : value_at]
        at = value_at + value_length
        items.append((key, page[value_at:at]))
    return items


def _values(data: bytes, count: int) -> List[bytes]:
    return [value for _, value in _pairs(data, count)]


def _keys(data: bytes, count: int) -> List[bytes]:
    return [key for key, _ in _pairs(data, count)]


class _Keys(Filled[bytes]):
    """Large values are not copied for their keys."""

    __slots__ = ()

    def _large(self, pointer: int, needed: int) -> List[bytes]:
        key, error = _library.Bytes(), c_void_p()
        status = library.sarsen_kv_iter_next(pointer, byref(key), None, byref(error))
        if status == OK:
            return [copy(key)]
        raise failure(status, error.value)


class _Counts(Filled[int]):
    """How many pairs each page has."""

    __slots__ = ()

    def _large(self, pointer: int, needed: int) -> List[int]:
        error = c_void_p()
        status = library.sarsen_kv_iter_next(pointer, None, None, byref(error))
        if status == OK:
            return [1]
        raise failure(status, error.value)


class _Items(ItemsView[bytes, bytes]):
    _mapping: KeyValueReader

    def __iter__(self) -> Iterator[Pair]:
        return iter(self._mapping.scan())

    def __reversed__(self) -> Iterator[Pair]:
        return iter(self._mapping.scan(reverse=True))


class _AllValues(ValuesView[bytes]):
    _mapping: KeyValueReader

    def __iter__(self) -> Iterator[bytes]:
        return iter(self._mapping.scan_values())

    def __reversed__(self) -> Iterator[bytes]:
        return iter(self._mapping.scan_values(reverse=True))

    def __contains__(self, value: object) -> bool:
        return any(value == found for found in self)


class _AllKeys(KeysView[bytes]):
    _mapping: KeyValueReader

    def __reversed__(self) -> Iterator[bytes]:
        return reversed(self._mapping)


class KeyValueReader(ByIdentity, Mapping[bytes, bytes]):
    """Pairs as a snapshot sees them. Iterating goes in byte order of the keys; len() walks over all of them."""

    __slots__ = ("_place", "_snapshot", "_store")

    def __init__(self, place: Place) -> None:
        self._place = place
        self._store: Handle = place.store
        self._snapshot: Optional[Handle] = place.snapshot

    # ---- one key

    def _find(self, key: BytesLike) -> Optional[bytes]:
        """The value of a key, copied. Written out, since this is what programs do most."""
        if type(key) is not bytes:
            key = bytes_in(key, "a key")
        if self._snapshot is not None:
            return self._find_large(key)
        store = self._store
        calls = store.calls
        thread = get_ident()
        calls.append(thread)
        try:
            pointer = store.pointer
            if pointer is None:
                raise store.closed()
            space = scratch()
            try:
                status = _read(pointer, None, key, len(key), space.address, MOST_BYTES, space.length_at, space.error_at)
                if status == OK:
                    length = space.length.value
                    if length <= MOST_BYTES:
                        return string_at(space.address, length)
                elif status > MOST_EXPECTED:
                    raise failure(status, space.error.value)
                else:
                    return None
            finally:
                scratches.append(space)
        finally:
            calls.remove(thread)
            if store.closing:
                store.left()
        return self._find_large(key)

    def _find_large(self, key: bytes) -> Optional[bytes]:
        pin = Pin()
        if self._place.call(library.sarsen_kv_get, key, len(key), byref(pin)) == NOT_FOUND:
            return None
        return string_at(pin.data, pin.len)

    def __getitem__(self, key: BytesLike) -> bytes:
        value = self._find(key)
        if value is None:
            raise NotFound(f"no such key: {bytes(key)!r}")
        return value

    @overload
    def get(self, key: BytesLike, default: None = None, /) -> Optional[bytes]: ...

    @overload
    def get(self, key: BytesLike, default: Union[bytes, Default], /) -> Union[bytes, Default]: ...

    def get(self, key: BytesLike, default: Any = None, /) -> Any:
        value = self._find(key)
        return default if value is None else value

    def __contains__(self, key: object) -> bool:
        if not isinstance(key, (bytes, bytearray, memoryview)):
            return False
        encoded = bytes_in(key, "a key")
        length = c_size_t()
        return self._place.call(_read, encoded, len(encoded), None, 0, byref(length)) == OK

    def read_into(self, key: BytesLike, buffer: Union[bytearray, memoryview]) -> Optional[int]:
        """Copies as much of the value as fits into a writable buffer; the value's whole length, None: no such key."""
        encoded = bytes_in(key, "a key")
        length = c_size_t()
        space = memoryview(buffer).cast("B")
        target = c_char.from_buffer(space) if len(space) else None
        status = self._place.call(
            _read, encoded, len(encoded), None if target is None else byref(target), len(space), byref(length)
        )
        return None if status == NOT_FOUND else length.value

    def view(self, key: BytesLike) -> View:
        """The value in place, without a copy."""
        encoded = bytes_in(key, "a key")
        pin = Pin()
        if self._place.call(library.sarsen_kv_get, encoded, len(encoded), byref(pin)) == NOT_FOUND:
            raise NotFound(f"no such key: {encoded!r}")
        return View(pin)

    def get_many(self, keys: Iterable[BytesLike]) -> List[Optional[bytes]]:
        """The values of many keys, all as of one moment, for less than one by one; None: no such key."""
        wanted = [bytes_in(key, "a key") for key in keys]
        count = len(wanted)
        if count == 0:
            return []
        lengths = [len(key) for key in wanted]
        joined = ctypes.c_char_p(b"".join(wanted))
        begin = ctypes.cast(joined, c_void_p).value or 0
        places = itertools.accumulate(lengths, initial=begin)
        named = struct.pack(f"{2 * count}N", *itertools.chain.from_iterable(zip(places, lengths)))
        found = (_library.View * count)()
        statuses = (c_uint32 * count)()
        self._place.call(library.sarsen_kv_get_many, named, count, found, statuses)
        view_at = ctypes.addressof(found)
        values: List[Optional[bytes]] = []
        try:
            for status, (data, length, _) in zip(statuses, struct.iter_unpack("3N", found)):
                values.append(string_at(data, length) if status == OK else None)
        finally:
            for at in range(view_at, view_at + ctypes.sizeof(found), _VIEW_BYTES):
                _release(at)
        return values

    # ---- many keys

    def _scan(
        self,
        cursor: Any,
        decode: Any,
        start: Optional[BytesLike],
        end: Optional[BytesLike],
        prefix: Optional[BytesLike],
        reverse: bool,
        limit: Optional[int],
    ) -> Any:
        out = c_void_p()
        if prefix is not None:
            if start is not None or end is not None:
                raise TypeError("a scan has a prefix or bounds")
            begin = bytes_in(prefix, "a prefix")
            self._place.call(library.sarsen_kv_prefix, begin, len(begin), bool(reverse), byref(out))
        else:
            first = b"" if start is None else bytes_in(start, "start")
            last = b"" if end is None else bytes_in(end, "end")
            # The store is asked in any case: a closed one says so. For C no bytes mean no bound.
            self._place.call(library.sarsen_kv_scan, first, len(first), last, len(last), bool(reverse), byref(out))
            if end is not None and not last:
                limit = 0
        handle = Handle(out.value, library.sarsen_kv_iter_free, "cursor")  # type: ignore[arg-type]
        return cursor(handle, limit, library.sarsen_kv_iter_fill, decode)

    def scan(
        self,
        start: Optional[BytesLike] = None,
        end: Optional[BytesLike] = None,
        *,
        prefix: Optional[BytesLike] = None,
        reverse: bool = False,
        limit: Optional[int] = None,
    ) -> Cursor[Pair]:
        """Pairs from key `start` on, to below `end`; or those whose keys start with `prefix`."""
        found: Cursor[Pair] = self._scan(Filled, _pairs, start, end, prefix, reverse, limit)
        return found

    def scan_in_place(
        self,
        start: Optional[BytesLike] = None,
        end: Optional[BytesLike] = None,
        *,
        prefix: Optional[BytesLike] = None,
        reverse: bool = False,
        limit: Optional[int] = None,
    ) -> Cursor[Tuple[bytes, memoryview]]:
        """The same, with values that point into the page they came in, which lives as long as one of them."""
        found: Cursor[Tuple[bytes, memoryview]] = self._scan(
            Filled, _pairs_in_place, start, end, prefix, reverse, limit
        )
        return found

    def scan_keys(
        self,
        start: Optional[BytesLike] = None,
        end: Optional[BytesLike] = None,
        *,
        prefix: Optional[BytesLike] = None,
        reverse: bool = False,
        limit: Optional[int] = None,
    ) -> Cursor[bytes]:
        """The keys alone."""
        found: Cursor[bytes] = self._scan(_Keys, _keys, start, end, prefix, reverse, limit)
        return found

    def scan_values(
        self,
        start: Optional[BytesLike] = None,
        end: Optional[BytesLike] = None,
        *,
        prefix: Optional[BytesLike] = None,
        reverse: bool = False,
        limit: Optional[int] = None,
    ) -> Cursor[bytes]:
        """The values alone."""
        found: Cursor[bytes] = self._scan(Filled, _values, start, end, prefix, reverse, limit)
        return found

    def count(
        self,
        start: Optional[BytesLike] = None,
        end: Optional[BytesLike] = None,
        *,
        prefix: Optional[BytesLike] = None,
    ) -> int:
        """How many keys there are; walks over them."""
        pages: Cursor[int] = self._scan(_Counts, lambda _, count: [count], start, end, prefix, False, None)
        return sum(pages)

    def __iter__(self) -> Iterator[bytes]:
        return iter(self.scan_keys())

    def __reversed__(self) -> Iterator[bytes]:
        return iter(self.scan_keys(reverse=True))

    def __len__(self) -> int:
        return self.count()

    def __bool__(self) -> bool:
        with self.scan_keys(limit=1) as first:
            return bool(first.read())

    def keys(self) -> KeysView[bytes]:
        return _AllKeys(self)

    def values(self) -> ValuesView[bytes]:
        return _AllValues(self)

    def items(self) -> ItemsView[bytes, bytes]:
        return _Items(self)


class KeyValue(KeyValueReader, MutableMapping[bytes, bytes]):
    """Pairs as they are now. Each change is a commit of its own with the level of the store: many belong into a batch.

    pop, popitem and setdefault look first and then write: another thread may come between.
    """

    __slots__ = ()

    def __setitem__(self, key: BytesLike, value: BytesLike) -> None:
        if type(key) is not bytes:
            key = bytes_in(key, "a key")
        if type(value) is not bytes:
            value = bytes_in(value, "a value")
        store = self._store
        calls = store.calls
        thread = get_ident()
        calls.append(thread)
        try:
            pointer = store.pointer
            if pointer is None:
                raise store.closed()
            space = scratch()
            try:
                status = _set(pointer, key, len(key), value, len(value), space.error_at)
                if status != OK:
                    raise failure(status, space.error.value)
            finally:
                scratches.append(space)
        finally:
            calls.remove(thread)
            if store.closing:
                store.left()

    def delete(self, key: BytesLike) -> None:
        """Deletes a key, whether it is there or not."""
        encoded = bytes_in(key, "a key")
        self._store.call(library.sarsen_kv_delete, encoded, len(encoded))

    def __delitem__(self, key: BytesLike) -> None:
        if key not in self:
            raise NotFound(f"no such key: {bytes(key)!r}")
        self.delete(key)

    def update(self, *others: Any, **named: Any) -> None:
        """Sets many pairs, all of them or none."""
        from ._batch import Batch

        if named:
            raise TypeError("keys are bytes: give pairs or a mapping")
        if len(others) > 1:
            raise TypeError("update takes one mapping, or pairs")
        with Batch(self._store) as batch:
            for other in others:
                pairs: Mapping[bytes, bytes] = other if isinstance(other, Mapping) else dict(other)
                for key, value in pairs.items():
                    batch.set_kv(key, value)

    def clear(self) -> None:
        """Deletes what is there now, in commits of 10,000 keys."""
        from ._batch import Batch

        keys = self.scan_keys()
        batch = Batch(self._store)
        for key in keys:
            batch.delete_kv(key)
            if len(batch) == KEYS_A_COMMIT:
                batch.commit()
        batch.commit()
