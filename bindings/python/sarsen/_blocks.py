"""Blocks: immutable bytes with an address that never changes."""

from __future__ import annotations

from ctypes import byref, c_char, create_string_buffer
from typing import Optional, Union

from . import _library
from ._errors import NOT_FOUND, Internal, InvalidArgument, NotFound
from ._handle import Handle
from ._library import library
from ._values import Block, BytesLike, block_in, block_out, bytes_in, u64
from ._view import Pin, View


class Blocks:
    """Loose blocks, and the bytes of any block whose address is known."""

    __slots__ = ("_store",)

    def __init__(self, store: Handle) -> None:
        self._store = store

    def append(self, data: BytesLike) -> Block:
        """Commits one loose block. It holds itself until it is freed or first named by a memory or a record."""
        content = bytes_in(data, "a block")
        raw = _library.Block()
        self._store.call(library.sarsen_block_append, content, len(content), byref(raw))
        block = block_out(raw)
        if block is None:
            raise Internal("a block was given no address")
        return block

    def free(self, block: Block) -> None:
        """Commits the end of a loose block's hold on itself."""
        self._store.call(library.sarsen_block_free, byref(block_in(block)))

    @staticmethod
    def _length(block: Block, start: int, length: Optional[int]) -> int:
        if length is not None:
            return u64(length, "length")
        if start > block.length:
            raise InvalidArgument(f"start is within the block: from 0 to {block.length}")
        return block.length - start

    def read(self, block: Block, start: int = 0, length: Optional[int] = None) -> bytes:
        """A block's bytes, or `length` of them from byte `start` on."""
        raw = block_in(block)
        wanted = self._length(block, u64(start, "start"), length)
        if wanted > block.length:
            raise InvalidArgument(f"the block has {block.length} bytes")
        buffer = create_string_buffer(wanted) if wanted else None
        status = self._store.call(library.sarsen_block_read, byref(raw), start, buffer, wanted)
        if status == NOT_FOUND:
            raise NotFound("no such block")
        return b"" if buffer is None else buffer.raw

    def read_into(self, block: Block, buffer: Union[bytearray, memoryview], start: int = 0) -> None:
        """Fills a writable buffer with a block's bytes from byte `start` on."""
        space = memoryview(buffer).cast("B")
        target = byref(c_char.from_buffer(space)) if len(space) else None
        raw = block_in(block)
        status = self._store.call(library.sarsen_block_read, byref(raw), u64(start, "start"), target, len(space))
        if status == NOT_FOUND:
            raise NotFound("no such block")

    def view(self, block: Block, start: int = 0, length: Optional[int] = None) -> View:
        """The same range in place, without a copy."""
        raw = block_in(block)
        wanted = self._length(block, u64(start, "start"), length)
        pin = Pin()
        if self._store.call(library.sarsen_block_view, byref(raw), start, wanted, byref(pin)) == NOT_FOUND:
            raise NotFound("no such block")
        return View(pin)
