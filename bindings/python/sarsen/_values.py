"""Values that go in and come out: bytes, numbers, times, tags, addresses of blocks, options, figures."""

from __future__ import annotations

import enum
import math
import operator
import os
import struct
from ctypes import string_at
from dataclasses import dataclass
from typing import Dict, Iterable, List, NamedTuple, Optional, Tuple, Union

from . import _library
from ._errors import OK, InvalidArgument, TooLarge, failure
from ._library import library

#: What goes in as bytes: `bytes` as they are, anything else that is a buffer is copied once.
BytesLike = Union[bytes, bytearray, memoryview]
PathLike = Union[str, "os.PathLike[str]"]

MOST_U64 = (1 << 64) - 1
#: What a trim of the log has as its index where the stream was dropped.
DROPPED = MOST_U64
MOST_TAG_BYTES = 1024
MOST_TAGS = 1024
_ADDRESS = struct.Struct("<IIQQ")


class Survive(enum.IntEnum):
    """What a commit survives: kill -9 of the program, or power loss."""

    PROCESS = 1
    POWER = 2


class Check(enum.IntEnum):
    """When large blocks and index pages are checked."""

    FIRST_TOUCH = 1
    EVERY_READ = 2


class LogWrite(enum.IntEnum):
    """How the log is written."""

    AUTO = 0
    MAPPED = 1
    WRITTEN = 2


class Verdict(enum.IntEnum):
    """What opening a store found."""

    CLEAN = 0
    REPLAYED = 1
    TORN_TAIL = 2
    DAMAGED = 3


class CommandKind(enum.IntEnum):
    """What a command of the log does."""

    APPEND_BLOCK = 1
    FREE_BLOCK = 2
    APPEND_MEMORY = 3
    DELETE_MEMORY = 4
    SET_KV = 5
    DELETE_KV = 6
    APPEND_STREAM = 7
    TRIM_STREAM = 8


@dataclass(frozen=True)
class Options:
    """How a store is opened. None: the library's default, or what the store has."""

    #: Create the store if nothing, or an empty directory, is at the path.
    create: bool = True
    #: Open for reading only, beside a writer in another process or without one.
    read_only: bool = False
    #: What a commit survives that doesn't say.
    survive: Survive = Survive.POWER
    #: Size of a chunk file, 64 KiB to 16 GiB, for a store that is created; 64 MiB.
    chunk_bytes: Optional[int] = None
    #: Budget for the heap, at least 256 KiB; 64 MiB.
    memory_bytes: Optional[int] = None
    #: Bytes of log to keep for readers of the log; 0.
    log_retention_bytes: Optional[int] = None
    #: Run one thread for upkeep; else call Store.maintain.
    background: bool = True
    #: Open a damaged store for what is left of it, for reading only.
    salvage: bool = False
    check: Check = Check.FIRST_TOUCH
    log_write: LogWrite = LogWrite.AUTO
    #: Cap on what is mapped of chunks; none.
    mapped_bytes: Optional[int] = None

    def make(self) -> int:
        """These options as an object of C, which the caller frees."""
        options: Optional[int] = library.sarsen_options_new()
        if options is None:
            raise MemoryError
        try:
            for name, setter in (
                ("create", library.sarsen_options_set_create),
                ("read_only", library.sarsen_options_set_read_only),
                ("survive", library.sarsen_options_set_durability),
                ("chunk_bytes", library.sarsen_options_set_chunk_bytes),
                ("memory_bytes", library.sarsen_options_set_memory_bytes),
                ("log_retention_bytes", library.sarsen_options_set_log_retention_bytes),
                ("background", library.sarsen_options_set_background),
                ("salvage", library.sarsen_options_set_salvage),
                ("check", library.sarsen_options_set_check),
                ("log_write", library.sarsen_options_set_log_write),
                ("mapped_bytes", library.sarsen_options_set_mapped_bytes),
            ):
                value = getattr(self, name)
                if value is None:
                    continue
                if not isinstance(value, bool):
                    value = (u32 if name in ("survive", "check", "log_write") else u64)(value, name)
                status = setter(options, value)
                if status != OK:
                    error = failure(status)
                    error.args = (f"{name} can't be {value}",)
                    raise error
        except BaseException:
            library.sarsen_options_free(options)
            raise
        return options


class Recovery(NamedTuple):
    """What opening the store found."""

    verdict: Verdict
    #: Newest commit in the recovered state.
    last_seq: int
    #: Newest commit known to have been durable before the stop.
    proven_seq: int
    replayed_commits: int
    replayed_bytes: int
    #: Bytes of the log's cut-off tail.
    dropped_bytes: int
    elapsed_us: int


class Stats(NamedTuple):
    """Figures about a store: bytes unless named otherwise; counters start at 0 when it is opened."""

    commits: int
    syncs: int
    bytes_appended: int
    #: Counts, live and dead bytes are estimates, exact after Store.compact.
    kv_count: int
    memory_count: int
    stream_count: int
    stream_record_count: int
    block_count: int
    block_bytes_live: int
    block_bytes_dead: int
    log_bytes: int
    index_bytes: int
    disk_bytes: int
    heap_bytes: int
    mapped_bytes: int
    pinned_views: int
    #: Oldest snapshot that is held; 0: none.
    oldest_snapshot_seq: int
    checkpoints: int
    compactions: int
    stalls_us: int


class Finding(NamedTuple):
    """Something that Store.verify found: a file within the store, a byte offset in it, and what is wrong."""

    file: str
    offset: int
    what: str


class Block(NamedTuple):
    """Where a block lies. A plain value: copy it, store it."""

    chunk: int
    crc32c: int
    offset: int
    length: int

    def to_bytes(self) -> bytes:
        """The 24 bytes that stand for the address in a store of your own."""
        try:
            return _ADDRESS.pack(*self)
        except struct.error as error:
            raise InvalidArgument(f"this is no address of a block: {error}") from None

    @classmethod
    def from_bytes(cls, address: BytesLike) -> Block:
        if len(address) != _ADDRESS.size:
            raise InvalidArgument(f"the address of a block is {_ADDRESS.size} bytes")
        return cls(*_ADDRESS.unpack(address))


def block_in(block: Block) -> _library.Block:
    """The address as C's struct."""
    if not isinstance(block, Block):
        raise TypeError(f"the address of a block is a Block, not {type(block).__name__}")
    return _library.Block.from_buffer_copy(block.to_bytes())


def block_out(raw: _library.Block) -> Optional[Block]:
    """C's struct as an address; None where it is all zero, since nothing was stored."""
    block = Block(raw.chunk, raw.crc32c, raw.offset, raw.len)
    return block if any(block) else None


def bytes_in(value: BytesLike, what: str) -> bytes:
    if type(value) is bytes:
        return value
    try:
        return bytes(memoryview(value))
    except TypeError:
        raise TypeError(f"{what} is bytes or a buffer of them, not {type(value).__name__}") from None


def _unsigned(value: int, most: int, what: str) -> int:
    number = operator.index(value)
    if not 0 <= number <= most:
        raise InvalidArgument(f"{what} is from 0 to {most}, not {number}")
    return number


def u64(value: int, what: str) -> int:
    return _unsigned(value, MOST_U64, what)


def u32(value: int, what: str) -> int:
    return _unsigned(value, (1 << 32) - 1, what)


def microseconds(seconds: Optional[float], what: str) -> int:
    """A time in seconds as whole microseconds; None: for ever."""
    if seconds is None:
        return MOST_U64
    if math.isnan(seconds) or seconds < 0:
        raise InvalidArgument(f"{what} is a number of seconds from 0 on, or None")
    return MOST_U64 if seconds >= 1e12 else math.ceil(seconds * 1e6)


def path_in(path: PathLike) -> bytes:
    encoded = os.fspath(path).encode("utf-8", "surrogateescape")
    if b"\0" in encoded:
        raise InvalidArgument("a path has no NUL in it")
    return encoded


def tags_in(tags: Iterable[str]) -> List[bytes]:
    """Tags as UTF-8, each once."""
    if isinstance(tags, (str, bytes)):
        raise TypeError("tags are a list, a set or the like of strings, not a string")
    found: Dict[bytes, None] = {}
    for tag in tags:
        if not isinstance(tag, str):
            raise TypeError(f"a tag is a string, not {type(tag).__name__}")
        try:
            encoded = tag.encode()
        except UnicodeEncodeError as error:
            raise InvalidArgument(f"a tag is UTF-8: {error}") from None
        if not encoded:
            raise InvalidArgument("a tag has at least one byte")
        if len(encoded) > MOST_TAG_BYTES:
            raise TooLarge("a tag has at most 1,024 bytes")
        found[encoded] = None
    if len(found) > MOST_TAGS:
        raise TooLarge("a memory has at most 1,024 tags")
    return list(found)


class TagSet:
    """A set of tags of C's, for the length of a `with`; None for no tags."""

    __slots__ = ("_pointer", "_tags")

    def __init__(self, tags: Iterable[str]) -> None:
        self._tags = tags_in(tags)
        self._pointer: Optional[int] = None

    def __enter__(self) -> Optional[int]:
        if self._tags:
            self._pointer = library.sarsen_tags_new()
            if self._pointer is None:
                raise MemoryError
            for tag in self._tags:
                status = library.sarsen_tags_add(self._pointer, tag, len(tag))
                if status != OK:
                    self.__exit__()
                    raise failure(status)
        return self._pointer

    def __exit__(self, *_: object) -> None:
        library.sarsen_tags_free(self._pointer)
        self._pointer = None


def tags_out(pointer: Optional[int]) -> Tuple[str, ...]:
    """The tags of a set of C's, in byte order."""
    return tuple(
        copy(library.sarsen_tags_get(pointer, index)).decode() for index in range(library.sarsen_tags_count(pointer))
    )


def copy(raw: _library.Bytes) -> bytes:
    return string_at(raw.data, raw.len) if raw.len else b""
