"""Memories: an id, bytes and a set of tags, found again by id or by tags."""

from __future__ import annotations

from collections.abc import Mapping
from ctypes import byref, c_uint64, c_void_p, string_at
from typing import Any, Iterable, Iterator, NamedTuple, Optional, Tuple, TypeVar, Union, overload

from . import _library
from ._cursor import Cursor, Pulled
from ._errors import NOT_FOUND, NotFound
from ._handle import Handle, Place
from ._identity import ByIdentity
from ._library import library
from ._values import Block, BytesLike, TagSet, block_out, bytes_in, copy, tags_out, u64
from ._view import Pin, View

Default = TypeVar("Default")
Memory = Tuple[int, bytes]


class MemoryInfo(NamedTuple):
    """Where the bytes of a memory lie, and its tags in byte order."""

    block: Optional[Block]
    tags: Tuple[str, ...]


class _Found(Pulled[Memory]):
    __slots__ = ()

    def _pull(self, pointer: int, error_at: int) -> Tuple[int, Optional[Memory], int]:
        number, data = c_uint64(), _library.Bytes()
        status = library.sarsen_memory_iter_next(pointer, byref(number), byref(data), error_at)
        return status, None if status else (number.value, copy(data)), data.len


class _FoundIds(Pulled[int]):
    __slots__ = ()

    def _pull(self, pointer: int, error_at: int) -> Tuple[int, Optional[int], int]:
        number = c_uint64()
        status = library.sarsen_memory_iter_next(pointer, byref(number), None, error_at)
        return status, None if status else number.value, 0


class MemoriesReader(ByIdentity, Mapping[int, bytes]):
    """The bytes of memories by their ids, as a snapshot sees them; len() walks over all ids."""

    __slots__ = ("_place",)

    def __init__(self, place: Place) -> None:
        self._place = place

    def _pin(self, number: int) -> Optional[Pin]:
        pin = Pin()
        status = self._place.call(library.sarsen_memory_get, u64(number, "an id"), byref(pin))
        return None if status == NOT_FOUND else pin

    def __getitem__(self, number: int) -> bytes:
        pin = self._pin(number)
        if pin is None:
            raise NotFound(f"no such memory: {number}")
        return string_at(pin.data, pin.len)

    @overload
    def get(self, number: int, default: None = None, /) -> Optional[bytes]: ...

    @overload
    def get(self, number: int, default: Union[bytes, Default], /) -> Union[bytes, Default]: ...

    def get(self, number: int, default: Any = None, /) -> Any:
        pin = self._pin(number)
        return default if pin is None else string_at(pin.data, pin.len)

    def view(self, number: int) -> View:
        """The bytes of a memory in place, without a copy."""
        pin = self._pin(number)
        if pin is None:
            raise NotFound(f"no such memory: {number}")
        return View(pin)

    def info(self, number: int) -> MemoryInfo:
        """Where the bytes of a memory lie, and its tags. They are not touched."""
        block, tags = _library.Block(), c_void_p()
        status = self._place.call(library.sarsen_memory_info, u64(number, "an id"), byref(block), byref(tags))
        if status == NOT_FOUND:
            raise NotFound(f"no such memory: {number}")
        try:
            return MemoryInfo(block_out(block), tags_out(tags.value))
        finally:
            library.sarsen_tags_free(tags)

    def __contains__(self, number: object) -> bool:
        if not isinstance(number, int):
            return False
        return self._place.call(library.sarsen_memory_info, u64(number, "an id"), None, None) != NOT_FOUND

    def _find(
        self, cursor: Any, all: Iterable[str], any: Iterable[str], none: Iterable[str], start: int, limit: Optional[int]
    ) -> Any:
        out = c_void_p()
        number = u64(start, "start")
        with TagSet(all) as every, TagSet(any) as some, TagSet(none) as no:
            self._place.call(library.sarsen_memory_find, every, some, no, number, byref(out))
        return cursor(Handle(out.value, library.sarsen_memory_iter_free, "cursor"), limit)  # type: ignore[arg-type]

    def find(
        self,
        *,
        all: Iterable[str] = (),
        any: Iterable[str] = (),
        none: Iterable[str] = (),
        start: int = 0,
        limit: Optional[int] = None,
    ) -> Cursor[Memory]:
        """(id, bytes) by id, from id `start` on: those with all tags of `all`, one of `any` and none of `none`."""
        found: Cursor[Memory] = self._find(_Found, all, any, none, start, limit)
        return found

    def find_ids(
        self,
        *,
        all: Iterable[str] = (),
        any: Iterable[str] = (),
        none: Iterable[str] = (),
        start: int = 0,
        limit: Optional[int] = None,
    ) -> Cursor[int]:
        """The ids alone, without touching the bytes."""
        found: Cursor[int] = self._find(_FoundIds, all, any, none, start, limit)
        return found

    def __iter__(self) -> Iterator[int]:
        return iter(self.find_ids())

    def __len__(self) -> int:
        return sum(1 for _ in self.find_ids())

    def __bool__(self) -> bool:
        with self.find_ids(limit=1) as first:
            return bool(first.read())


class Memories(MemoriesReader):
    """Memories as they are now. Each change is a commit of its own with the level of the store."""

    __slots__ = ()

    def append(self, number: int, data: BytesLike, tags: Iterable[str] = ()) -> None:
        """Commits memory `number`; one that is there is replaced, bytes and tags."""
        content = bytes_in(data, "a memory")
        with TagSet(tags) as marks:
            self._place.store.call(library.sarsen_memory_append, u64(number, "an id"), marks, content, len(content))

    def delete(self, number: int) -> None:
        """Deletes a memory, whether it is there or not."""
        self._place.store.call(library.sarsen_memory_delete, u64(number, "an id"))

    def __delitem__(self, number: int) -> None:
        if number not in self:
            raise NotFound(f"no such memory: {number}")
        self.delete(number)
