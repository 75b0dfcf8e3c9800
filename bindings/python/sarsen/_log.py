"""The log: every command in commit order, and its tail as it grows.

Waits are cut into slices, so that Ctrl-C, close() from another thread and the end of an asyncio task get through. A
commit ends a slice at once.
"""

from __future__ import annotations

import collections
from ctypes import byref, c_void_p, sizeof
from typing import AsyncIterator, Deque, Iterator, List, NamedTuple, Optional, Tuple

from . import _library
from ._errors import NOT_FOUND, OK, TIMEOUT, Error, NotFound, failure
from ._handle import Closing, Handle
from ._library import library
from ._values import MOST_U64, Block, CommandKind, block_out, copy, microseconds, tags_out, u64

SLICE_US = 50_000
MOST_COMMANDS = 256
MOST_BYTES = 262_144

_next = library.sarsen_log_next
_SIZE = sizeof(_library.Command)


class Command(NamedTuple):
    """One command of the log."""

    #: The commit it belongs to. Keep (seq, epoch): after power loss a seq above durable_seq may be used again, under a
    #: higher epoch.
    seq: int
    epoch: int
    kind: CommandKind
    #: Whether it is the last command of its commit.
    last: bool
    #: Id of the memory, index of the stream's record, or the first index that a trim keeps (DROPPED: none).
    id: int
    #: Key or stream's name.
    key: bytes
    #: Value, or the bytes of the block.
    value: bytes
    block: Optional[Block]
    tags: Tuple[str, ...]


class LogReader(Closing):
    """A place in the log. As an iterable it ends where the log does by then; follow() goes on."""

    __slots__ = ("_closed", "_error", "_handle", "_raw", "_ready", "_tags")

    def __init__(self, pointer: int) -> None:
        self._handle = Handle(pointer, library.sarsen_log_reader_free, "log reader")
        self._closed = False
        self._raw = _library.Command()
        self._tags = c_void_p()
        self._error: Optional[Error] = None
        # Commands that were read and not yet given out: a loop that is left early loses none.
        self._ready: Deque[Command] = collections.deque()

    def _pull(self, pointer: int, timeout_us: int) -> Optional[Command]:
        """The next command; None if none came in time."""
        raw, tags, error = self._raw, self._tags, c_void_p()
        status = _next(pointer, timeout_us, byref(raw), _SIZE, byref(tags), byref(error))
        if status == OK:
            kind = CommandKind(raw.kind)
            marks = tags_out(tags.value) if kind is CommandKind.APPEND_MEMORY else ()
            return Command(
                raw.seq,
                raw.epoch,
                kind,
                raw.last == 1,
                raw.id,
                copy(raw.key),
                copy(raw.value),
                block_out(raw.block),
                marks,
            )
        if status == TIMEOUT:
            return None
        if status == NOT_FOUND:
            raise NotFound("the log was released past this reader: start again from a snapshot")
        raise failure(status, error.value)

    def _fill(self, timeout_us: int) -> bool:
        """Whether there are commands that were read and not yet given out, after waiting so long for the first."""
        if self._ready or self._closed:
            return bool(self._ready)
        with self._handle.turn():
            if self._ready or self._closed:
                return bool(self._ready)
            kept, self._error = self._error, None
            if kept is not None:
                raise kept
            size = 0
            with self._handle as pointer:
                while len(self._ready) < MOST_COMMANDS and size < MOST_BYTES:
                    try:
                        command = self._pull(pointer, 0 if self._ready else timeout_us)
                    except Error as error:
                        if not self._ready:
                            raise
                        self._error = error  # it comes behind what is in front of it
                        break
                    if command is None:
                        break
                    self._ready.append(command)
                    size += len(command.key) + len(command.value)
        return bool(self._ready)

    def _wait(self, timeout_us: int) -> bool:
        """The same, in slices."""
        while True:
            wait = min(timeout_us, SLICE_US)
            if self._fill(wait):
                return True
            timeout_us -= wait
            if timeout_us <= 0 or self._closed:
                return False

    def _given(self) -> Iterator[Command]:
        while True:
            try:
                command = self._ready.popleft()
            except IndexError:
                return
            yield command

    def read(self, timeout: Optional[float] = 0) -> List[Command]:
        """The commands that come next; waits up to `timeout` seconds (None: for ever) for the first of them.

        [] if none came, or once the reader was closed. NotFound: the log was released past this reader.
        """
        self._wait(microseconds(timeout, "timeout"))
        return list(self._given())

    def __iter__(self) -> Iterator[Command]:
        while self._wait(0):
            yield from self._given()

    def follow(self) -> Iterator[Command]:
        """Every command as it comes, until the reader is closed."""
        while not self._closed:
            self._wait(MOST_U64)
            yield from self._given()

    async def follow_async(self) -> AsyncIterator[Command]:
        """The same for asyncio; a thread of the loop's executor waits, for a slice at a time."""
        import asyncio  # programs without it need not wait for it

        loop = asyncio.get_running_loop()
        while not self._closed:
            if not self._fill(0):
                await loop.run_in_executor(None, self._fill, SLICE_US)
            for command in self._given():
                yield command

    def close(self) -> None:
        """A wait under way ends, and answers []."""
        self._closed = True
        self._ready.clear()
        self._handle.close()

    def __enter__(self) -> LogReader:
        return self


class Log:
    """The log of a store."""

    __slots__ = ("_store",)

    def __init__(self, store: Handle) -> None:
        self._store = store

    @property
    def first_seq(self) -> int:
        """Oldest commit that is still in the log; the next one to come where it is empty."""
        with self._store as store:
            seq: int = library.sarsen_log_first_seq(store)
            return seq

    def read(self, seq: Optional[int] = None, epoch: int = 0) -> LogReader:
        """A reader from commit `seq` on, or from the oldest one there is.

        `epoch` is that of the commit before it, where it is known: Conflict if the log holds another one there.
        NotFound: the log no longer reaches back that far.
        """
        start = u64(self.first_seq if seq is None else seq, "seq")
        out = c_void_p()
        if self._store.call(library.sarsen_log_read, start, u64(epoch, "epoch"), byref(out)) == NOT_FOUND:
            raise NotFound(f"the log no longer reaches back to commit {start}: start again from a snapshot")
        return LogReader(out.value)  # type: ignore[arg-type]

    def follow(self, seq: Optional[int] = None, epoch: int = 0) -> Iterator[Command]:
        """Every command from commit `seq` on, for as long as somebody asks."""
        with self.read(seq, epoch) as reader:
            yield from reader.follow()
