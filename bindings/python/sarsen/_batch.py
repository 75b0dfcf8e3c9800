"""The commands of one atomic commit, encoded in the layout of sarsen_batch_load (docs/FORMAT.md, 'Batches'). Nothing
crosses into C until the commit, which is one call to load them and one to commit.

A batch belongs to one thread at a time.
"""

from __future__ import annotations

import operator
import struct
from ctypes import byref, c_uint64, c_void_p
from dataclasses import dataclass
from types import TracebackType
from typing import Iterable, List, Optional, Type

from . import _library
from ._errors import MOST_EXPECTED, InvalidArgument, TooLarge, failure
from ._handle import Closing, Handle
from ._library import library
from ._values import (
    DROPPED,
    Block,
    BytesLike,
    CommandKind,
    Survive,
    block_in,
    block_out,
    bytes_in,
    tags_in,
    u32,
    u64,
)

MOST_KEY_BYTES = 65_535
MOST_DATA_BYTES = (1 << 32) - 1
IS_ADDRESS = 1
# kind, flags, tag count, key length, id, data length
_HEAD = struct.Struct("<BBHIQQ")
_head = _HEAD.pack
_TAG = struct.Struct("<H")

_SET_KV = int(CommandKind.SET_KV)
_APPEND_STREAM = int(CommandKind.APPEND_STREAM)


@dataclass(frozen=True)
class Result:
    """What a command was given: the index of a stream's record, the address of its block."""

    index: Optional[int]
    block: Optional[Block]


class Batch(Closing):
    """Commands that are committed together: all of them or none.

    In a `with` statement it is committed where the block ends, or forgotten where that raises.
    """

    __slots__ = ("_committed", "_committing", "_count", "_handle", "_loaded", "_parts", "_store", "_survive", "seq")

    def __init__(self, store: Handle, survive: Optional[Survive] = None) -> None:
        pointer: Optional[int] = library.sarsen_batch_new()
        if pointer is None:
            raise MemoryError
        self._store = store
        self._handle = Handle(pointer, library.sarsen_batch_free, "batch")
        self._survive = survive
        self._parts: List[bytes] = []
        self._count = 0
        self._committed = -1  # commands of the last commit, while their results can be asked for
        self._committing = False
        self._loaded = False  # whether C's batch has the commands of a commit that did not end
        #: The commit's seq, once there was one.
        self.seq: Optional[int] = None

    def __len__(self) -> int:
        """How many commands are in it; 0 after a commit."""
        return self._count

    def __bool__(self) -> bool:
        return True

    def _add(self, kind: int, flags: int, key: bytes, number: int, tags: Iterable[str], data: bytes) -> Batch:
        if self._committing:
            raise InvalidArgument("the batch is being committed by another thread")
        if len(key) > MOST_KEY_BYTES:
            raise TooLarge("keys and names have at most 65,535 bytes")
        if len(data) > MOST_DATA_BYTES:
            raise TooLarge("values, records and blocks are shorter than 4 GiB")
        if tags:
            encoded = tags_in(tags)
            self._parts.append(_head(kind, flags, len(encoded), len(key), number, len(data)) + key)
            for tag in encoded:
                self._parts.append(_TAG.pack(len(tag)) + tag)
            self._parts.append(data)
        else:
            self._parts += (_head(kind, flags, 0, len(key), number, len(data)), key, data)
        self._count += 1
        self._committed = -1
        return self

    def set_kv(self, key: BytesLike, value: BytesLike) -> Batch:
        return self._add(_SET_KV, 0, bytes_in(key, "a key"), 0, (), bytes_in(value, "a value"))

    def delete_kv(self, key: BytesLike) -> Batch:
        return self._add(CommandKind.DELETE_KV, 0, bytes_in(key, "a key"), 0, (), b"")

    def append_stream(self, name: BytesLike, data: BytesLike) -> Batch:
        return self._add(_APPEND_STREAM, 0, bytes_in(name, "a name"), 0, (), bytes_in(data, "a record"))

    def append_stream_block(self, name: BytesLike, block: Block) -> Batch:
        """A record whose bytes are those of a loose block: named, not copied."""
        address = bytes(block_in(block))
        return self._add(_APPEND_STREAM, IS_ADDRESS, bytes_in(name, "a name"), 0, (), address)

    def trim_stream(self, name: BytesLike, before: int) -> Batch:
        """Drops the records below index `before`."""
        return self._add(CommandKind.TRIM_STREAM, 0, bytes_in(name, "a name"), u64(before, "before"), (), b"")

    def drop_stream(self, name: BytesLike) -> Batch:
        return self.trim_stream(name, DROPPED)

    def append_memory(self, number: int, data: BytesLike, tags: Iterable[str] = ()) -> Batch:
        """Memory `number`; one that is there is replaced, bytes and tags."""
        return self._add(CommandKind.APPEND_MEMORY, 0, b"", u64(number, "an id"), tags, bytes_in(data, "a memory"))

    def append_memory_block(self, number: int, block: Block, tags: Iterable[str] = ()) -> Batch:
        """Memory `number` with the bytes of a loose block."""
        address = bytes(block_in(block))
        return self._add(CommandKind.APPEND_MEMORY, IS_ADDRESS, b"", u64(number, "an id"), tags, address)

    def delete_memory(self, number: int) -> Batch:
        return self._add(CommandKind.DELETE_MEMORY, 0, b"", u64(number, "an id"), (), b"")

    def append_block(self, data: BytesLike) -> Batch:
        """A loose block; result() has its address."""
        return self._add(CommandKind.APPEND_BLOCK, 0, b"", 0, (), bytes_in(data, "a block"))

    def free_block(self, block: Block) -> Batch:
        """Ends a loose block's hold on itself."""
        return self._add(CommandKind.FREE_BLOCK, 0, b"", 0, (), bytes(block_in(block)))

    def load(self, encoded: BytesLike) -> Batch:
        """Adds commands that are encoded already. What is inside them is checked when they are committed."""
        if self._committing:
            raise InvalidArgument("the batch is being committed by another thread")
        commands = bytes_in(encoded, "encoded commands")
        count = at = 0
        try:
            while at < len(commands):
                _, _, tags, key_length, _, data_length = _HEAD.unpack_from(commands, at)
                at += _HEAD.size + key_length
                for _ in range(tags):
                    at += 2 + _TAG.unpack_from(commands, at)[0]
                at += data_length
                count += 1
        except struct.error:
            at = len(commands) + 1
        if at > len(commands):
            raise InvalidArgument("the encoded commands end inside one")
        self._parts.append(commands)
        self._count += count
        self._committed = -1
        return self

    def encoded(self) -> bytes:
        """The commands as they are encoded, for load() of another batch."""
        return b"".join(self._parts)

    def clear(self) -> Batch:
        """Takes every command out."""
        if self._committing:
            raise InvalidArgument("the batch is being committed by another thread")
        self._parts = []
        self._count = 0
        self._committed = -1
        return self

    def commit(self, survive: Optional[Survive] = None) -> int:
        """All of it or nothing; the commit's seq. The batch is empty then; if it failed, it is as it was."""
        chosen = self._survive if survive is None else survive
        level = 0 if chosen is None else u32(chosen, "survive")
        error, seq = c_void_p(), c_uint64()
        with self._handle.turn():
            self._committing = True
            try:
                commands = b"".join(self._parts)
                with self._handle as batch, self._store as store:
                    if self._loaded:  # an interrupt came between
                        library.sarsen_batch_clear(batch)
                    self._loaded = True
                    status = library.sarsen_batch_load(batch, commands, len(commands), byref(error))
                    if status <= MOST_EXPECTED:
                        status = library.sarsen_batch_commit(batch, store, level, byref(seq), byref(error))
                        if status:
                            library.sarsen_batch_clear(batch)
                    self._loaded = False
                if status:
                    self._committed = -1
                    raise failure(status, error.value)
                self._committed = self._count
                self._parts = []
                self._count = 0
                self.seq = seq.value
            finally:
                self._committing = False
        return seq.value

    def result(self, command: int) -> Result:
        """What command number `command` of the last commit was given."""
        number = operator.index(command)
        if self._committed < 0:
            raise InvalidArgument("results are there after a commit, until the batch is changed")
        if not 0 <= number < self._committed:
            raise InvalidArgument(f"the commit had {self._committed} commands")
        index, block = c_uint64(), _library.Block()
        self._handle.call(library.sarsen_batch_result, number, byref(index), byref(block))
        return Result(None if index.value == DROPPED else index.value, block_out(block))

    def close(self) -> None:
        """Forgets every command. Only results need it: memory comes back by itself."""
        self._parts = []
        self._count = 0
        self._committed = -1
        self._handle.close()

    def __enter__(self) -> Batch:
        return self

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        if kind is None:
            self.commit()
        else:
            self.clear()

    def __repr__(self) -> str:
        return f"<sarsen.Batch of {self._count} commands>"
