"""Streams: per name, an append-only sequence of records numbered from 0."""

from __future__ import annotations

import operator
import struct
from ctypes import byref, c_uint64, c_void_p, string_at
from typing import Any, Iterator, List, NamedTuple, Optional, Tuple, TypeVar, Union, overload

from . import _library
from ._cursor import Cursor, Filled, Pulled
from ._errors import NOT_FOUND, NotFound
from ._handle import Handle, Place
from ._library import library
from ._values import DROPPED, BytesLike, bytes_in, copy, u64
from ._view import Pin, View

Default = TypeVar("Default")
Record = Tuple[int, bytes]

_HEAD = struct.Struct("<QI").unpack_from


def _records(data: bytes, count: int) -> List[Record]:
    _, length = _HEAD(data)
    stride = 12 + length
    if len(data) == stride * count and all(data[at::stride] == data[at : at + 1] * count for at in range(8, 12)):
        # All records are as long as the first one: struct takes the page apart at once.
        return list(struct.iter_unpack(f"<Q4x{length}s", data))
    items = []
    at = 0
    for _ in range(count):
        index, length = _HEAD(data, at)
        end = at + 12 + length
        items.append((index, data[at + 12 : end]))
        at = end
    return items


def _records_in_place(data: bytes, count: int) -> List[Tuple[int, memoryview]]:
    page = memoryview(data)
    items = []
    at = 0
    for _ in range(count):
        index, length = _HEAD(data, at)
        end = at + 12 + length
        items.append((index, page[at + 12 : end]))
        at = end
    return items


class Bounds(NamedTuple):
    """The records of a stream are `first` to `next - 1`."""

    first: int
    next: int


class StreamInfo(NamedTuple):
    """A stream that is there: its records are `first` to `next - 1`."""

    name: bytes
    first: int
    next: int


class _Names(Pulled[StreamInfo]):
    __slots__ = ()

    def _pull(self, pointer: int, error_at: int) -> Tuple[int, Optional[StreamInfo], int]:
        name, first, following = _library.Bytes(), c_uint64(), c_uint64()
        status = library.sarsen_stream_names_next(pointer, byref(name), byref(first), byref(following), error_at)
        if status:
            return status, None, 0
        return status, StreamInfo(copy(name), first.value, following.value), name.len


class StreamReader:
    """One stream as a snapshot sees it. It need not be there."""

    __slots__ = ("_place", "name")

    def __init__(self, place: Place, name: BytesLike) -> None:
        self._place = place
        #: The stream's name.
        self.name = bytes_in(name, "a stream's name")

    def _missing(self, what: str = "no such stream") -> NotFound:
        return NotFound(f"{what}: {self.name!r}")

    def bounds(self) -> Optional[Bounds]:
        """Which records are there; None: no such stream."""
        first, following = c_uint64(), c_uint64()
        status = self._place.call(
            library.sarsen_stream_bounds, self.name, len(self.name), byref(first), byref(following)
        )
        return None if status == NOT_FOUND else Bounds(first.value, following.value)

    def __len__(self) -> int:
        bounds = self.bounds()
        return 0 if bounds is None else bounds.next - bounds.first

    def _pin(self, index: int) -> Optional[Pin]:
        pin = Pin()
        number = operator.index(index)
        if number < 0:  # from the end, as in a list
            bounds = self.bounds()
            if bounds is None or number < bounds.first - bounds.next:
                return None
            number += bounds.next
        if number > DROPPED:
            return None
        status = self._place.call(library.sarsen_stream_get, self.name, len(self.name), number, byref(pin))
        return None if status == NOT_FOUND else pin

    def __getitem__(self, index: int) -> bytes:
        """Record number `index`; -1 is the newest one."""
        pin = self._pin(index)
        if pin is None:
            raise self._missing(f"no record {index} in the stream")
        return string_at(pin.data, pin.len)

    @overload
    def get(self, index: int, default: None = None, /) -> Optional[bytes]: ...

    @overload
    def get(self, index: int, default: Union[bytes, Default], /) -> Union[bytes, Default]: ...

    def get(self, index: int, default: Any = None, /) -> Any:
        pin = self._pin(index)
        return default if pin is None else string_at(pin.data, pin.len)

    def view(self, index: int) -> View:
        """A record in place, without a copy."""
        pin = self._pin(index)
        if pin is None:
            raise self._missing(f"no record {index} in the stream")
        return View(pin)

    def _read(self, start: int, limit: Optional[int], decode: Any) -> Any:
        out = c_void_p()
        number = u64(start, "start")
        name = self.name
        if self._place.call(library.sarsen_stream_read, name, len(name), number, byref(out)) == NOT_FOUND:
            raise self._missing()
        handle = Handle(out.value, library.sarsen_stream_iter_free, "cursor")  # type: ignore[arg-type]
        return Filled(handle, limit, library.sarsen_stream_iter_fill, decode)

    def read(self, start: int = 0, *, limit: Optional[int] = None) -> Cursor[Record]:
        """(index, record) from `start` on, or from the first one there is. NotFound: no such stream."""
        found: Cursor[Record] = self._read(start, limit, _records)
        return found

    def read_in_place(self, start: int = 0, *, limit: Optional[int] = None) -> Cursor[Tuple[int, memoryview]]:
        """The same, with records that point into the page they came in, which lives as long as one of them."""
        found: Cursor[Tuple[int, memoryview]] = self._read(start, limit, _records_in_place)
        return found

    def __iter__(self) -> Iterator[bytes]:
        """The records, oldest first; none where there is no such stream."""
        try:
            cursor = self.read()
        except NotFound:
            return
        for _, record in cursor:
            yield record

    def __repr__(self) -> str:
        return f"<sarsen.{type(self).__name__} {self.name!r}>"


class Stream(StreamReader):
    """One stream as it is now. It comes into being with its first record."""

    __slots__ = ()

    def append(self, data: BytesLike) -> int:
        """Commits one record; its index."""
        record = bytes_in(data, "a record")
        index = c_uint64()
        name = self.name
        self._place.store.call(library.sarsen_stream_append, name, len(name), record, len(record), byref(index))
        return index.value

    def trim(self, before: int) -> None:
        """Commits the dropping of the records below index `before`."""
        number = u64(before, "before")
        self._place.store.call(library.sarsen_stream_trim, self.name, len(self.name), number)

    def drop(self) -> None:
        """Commits the end of the stream: a later append starts at 0 again."""
        self.trim(DROPPED)


class StreamsReader:
    """The streams that a snapshot sees: streams[name] is one of them, whether it is there or not."""

    __slots__ = ("_place",)

    def __init__(self, place: Place) -> None:
        self._place = place

    def __getitem__(self, name: BytesLike) -> StreamReader:
        return StreamReader(self._place, name)

    def __contains__(self, name: BytesLike) -> bool:
        return StreamReader(self._place, name).bounds() is not None

    def list(self, prefix: BytesLike = b"", *, limit: Optional[int] = None) -> Cursor[StreamInfo]:
        """The streams whose names start with `prefix`, in byte order of their names."""
        start = bytes_in(prefix, "a prefix")
        out = c_void_p()
        self._place.call(library.sarsen_stream_list, start, len(start), byref(out))
        handle = Handle(out.value, library.sarsen_stream_names_free, "cursor")  # type: ignore[arg-type]
        return _Names(handle, limit)

    def __iter__(self) -> Iterator[bytes]:
        for info in self.list():
            yield info.name

    def __len__(self) -> int:
        return sum(1 for _ in self.list())


class Streams(StreamsReader):
    """The streams as they are now."""

    __slots__ = ()

    def __getitem__(self, name: BytesLike) -> Stream:
        return Stream(self._place, name)
