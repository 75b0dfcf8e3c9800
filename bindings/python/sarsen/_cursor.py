"""Walks over many items, as of when they were made, that cross into C once for a page of items."""

from __future__ import annotations

import operator
from ctypes import addressof, byref, c_size_t, c_void_p, create_string_buffer, string_at
from typing import Any, Callable, Generic, Iterator, List, Optional, Tuple, TypeVar

from ._errors import END, MOST_EXPECTED, OK, TOO_LARGE, Error, failure
from ._handle import Closing, Handle
from ._library import library

Item = TypeVar("Item")

FIRST_BYTES = 2048
MOST_BYTES = 65536
MOST_ITEMS = 256


class Scratch:
    """Memory for a call's answer, used by one thread at a time and kept for the next call."""

    __slots__ = ("address", "buffer", "count", "count_at", "error", "error_at", "length", "length_at")

    def __init__(self) -> None:
        self.buffer = create_string_buffer(MOST_BYTES)
        self.address = addressof(self.buffer)
        self.length = c_size_t()
        self.length_at = addressof(self.length)
        self.count = c_size_t()
        self.count_at = addressof(self.count)
        self.error = c_void_p()
        self.error_at = addressof(self.error)


# pop and append are atomic: no two threads ever have the same one.
scratches: List[Scratch] = []


def scratch() -> Scratch:
    try:
        return scratches.pop()
    except IndexError:
        return Scratch()


class Cursor(Closing, Generic[Item]):
    """A walk over items. Use it in a `for` loop, with next(), or page by page with read().

    Damage is raised in the place of the item that it hit; going on goes on behind it. One that was given up early
    is closed when it is collected, or by close() or a `with` statement. Threads that share it take turns.
    """

    __slots__ = ("_handle", "_left", "_ready")

    def __init__(self, handle: Optional[Handle], limit: Optional[int]) -> None:
        self._handle = handle
        self._left: Optional[int] = None if limit is None else max(operator.index(limit), 0)
        self._ready: Iterator[Item] = iter(())

    def _page(self, pointer: int) -> List[Item]:
        """The next items, some of them; [] at the end."""
        raise NotImplementedError

    def _next_page(self) -> List[Item]:
        handle = self._handle
        if handle is None:
            return []
        with handle.turn():
            if self._handle is None:
                return []  # another thread came to the end, or closed it
            if self._left == 0:
                page = []
            else:
                with handle as pointer:
                    page = self._page(pointer)
            if self._left is not None:
                page = page[: self._left]
                self._left -= len(page)
            if not page:
                self.close()
        return page

    def read(self) -> List[Item]:
        """The next items, as many as a page holds; [] at the end."""
        return list(self._ready) or self._next_page()

    def all(self) -> List[Item]:
        """Everything that is left."""
        return list(self)

    def __iter__(self) -> Iterator[Item]:
        while True:
            # The list's iterator stays here: a loop that is left in the middle of a page loses nothing.
            yield from self._ready
            page = self._next_page()
            if not page:
                return
            self._ready = iter(page)

    def __next__(self) -> Item:
        for item in self._ready:
            return item
        self._ready = iter(self._next_page())
        return next(self._ready)

    def close(self) -> None:
        """Gives the iterator of C's back; nothing comes after what was read."""
        handle, self._handle = self._handle, None
        if handle is not None:
            handle.close()

    def __enter__(self) -> Cursor[Item]:
        return self


class Filled(Cursor[Item]):
    """A cursor over an iterator of C's that fills buffers."""

    __slots__ = ("_bytes", "_decode", "_fill")

    def __init__(
        self,
        handle: Optional[Handle],
        limit: Optional[int],
        fill: Any,
        decode: Callable[[bytes, int], List[Item]],
    ) -> None:
        super().__init__(handle, limit)
        self._bytes = FIRST_BYTES
        self._fill = fill
        self._decode = decode

    def _page(self, pointer: int) -> List[Item]:
        space = scratch()
        try:
            capacity = self._bytes
            while True:
                status = self._fill(pointer, space.address, capacity, space.length_at, space.count_at, space.error_at)
                needed = space.length.value
                if status != TOO_LARGE or needed <= capacity:
                    break
                library.sarsen_error_free(space.error.value)
                if needed > MOST_BYTES:
                    return self._large(pointer, needed)
                capacity = needed
            if status == OK:
                self._bytes = min(self._bytes * 4, MOST_BYTES)
                return self._decode(string_at(space.address, needed), space.count.value)
            if status == END:
                return []
            raise failure(status, space.error.value)
        finally:
            scratches.append(space)

    def _large(self, pointer: int, needed: int) -> List[Item]:
        """The next item, which takes a buffer of its own."""
        buffer = create_string_buffer(needed)
        length, count, error = c_size_t(), c_size_t(), c_void_p()
        status = self._fill(pointer, addressof(buffer), needed, byref(length), byref(count), byref(error))
        if status == OK:
            return self._decode(string_at(addressof(buffer), length.value), count.value)
        raise failure(status, error.value)


class Pulled(Cursor[Item]):
    """A cursor over an iterator of C's that gives one item after another."""

    __slots__ = ("_error",)

    def __init__(self, handle: Optional[Handle], limit: Optional[int]) -> None:
        super().__init__(handle, limit)
        self._error: Optional[Error] = None

    def _pull(self, pointer: int, error_at: int) -> Tuple[int, Any, int]:
        """A status, the item, and how many bytes it holds."""
        raise NotImplementedError

    def _page(self, pointer: int) -> List[Item]:
        kept, self._error = self._error, None
        if kept is not None:
            raise kept
        page: List[Item] = []
        total = 0
        error = c_void_p()
        error_at = addressof(error)
        pull = self._pull
        for _ in range(MOST_ITEMS if self._left is None else min(MOST_ITEMS, self._left)):
            status, item, size = pull(pointer, error_at)
            if status == OK:
                page.append(item)
                total += size
                if total >= MOST_BYTES:
                    break
            elif status <= MOST_EXPECTED:
                break
            else:
                # It comes in its place: behind the items in front of it.
                found = failure(status, error.value)
                if not page:
                    raise found
                self._error = found
                break
        return page
