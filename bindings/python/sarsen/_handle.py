"""Objects of C and who may free them.

A Handle counts the calls that are under way, so that closing on one thread never frees what another one uses: close()
refuses new calls, then waits for the old ones. Where a program forgets to close, the handle is freed when it is
collected; of what holds more than memory, with a ResourceWarning. Stores still open when the interpreter ends are
closed by it.

After fork() the child has none of the threads that were in calls: it waits for nobody, and the library answers FORKED.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import warnings
import weakref
from ctypes import byref, c_void_p
from threading import get_ident
from types import TracebackType
from typing import Any, Callable, ContextManager, List, Optional, Type

from ._errors import MOST_EXPECTED, Closed, failure

# A signal that comes just before a wait doesn't end it: whoever waits looks up now and then, and Ctrl-C gets through.
LOOK_UP_S = 0.1

_process = os.getpid()


def _forked() -> None:
    global _process
    _process = os.getpid()


os.register_at_fork(after_in_child=_forked)


def _forgotten(free: Callable[[int], None], pointer: int, what: str, loud: bool) -> None:
    free(pointer)
    if loud:
        warnings.warn(f"unclosed {what} of sarsen", ResourceWarning, stacklevel=2)


class _NoTurn:
    """In a forked child a lock may be held by a thread that is not there."""

    def __enter__(self) -> bool:
        return True

    def __exit__(self, *_: object) -> None:
        pass


class Handle:
    """A pointer of C's, for any number of threads."""

    __slots__ = (
        "__weakref__",
        "_changed",
        "_deferred",
        "_finalizer",
        "_free",
        "_process",
        "_turn",
        "calls",
        "closing",
        "pointer",
        "what",
    )

    def __init__(self, pointer: int, free: Callable[[int], None], what: str, loud: bool = False) -> None:
        self.pointer: Optional[int] = pointer
        self.calls: List[int] = []  # the threads that are in calls: append and remove are atomic
        self.closing = False
        self._deferred: Optional[int] = None
        self.what = what
        self._free = free
        self._changed = threading.Condition()
        self._turn = threading.Lock()
        self._process = _process
        finalizer: Any = weakref.finalize(self, _forgotten, free, pointer, what, loud)
        finalizer.atexit = False
        self._finalizer = finalizer

    def __enter__(self) -> int:
        self.calls.append(get_ident())
        pointer = self.pointer
        if pointer is None:
            self.leave()
            raise self.closed()
        return pointer

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.leave()

    def leave(self) -> None:
        """Ends a call. One that ends later than `closing` was set is waited for."""
        self.calls.remove(get_ident())
        if self.closing:
            self.left()

    def left(self) -> None:
        """A call ended while somebody closes."""
        with self._changed:
            self._changed.notify_all()
            if self._deferred is None or self.calls:
                return
            pointer, self._deferred = self._deferred, None
        self._free(pointer)

    def closed(self) -> Closed:
        return Closed(f"the {self.what} is closed")

    def call(self, function: Callable[..., Any], *arguments: Any) -> int:
        """function(pointer, ..., &error); the status, where it is an expected answer."""
        error = c_void_p()
        with self as pointer:
            status: int = function(pointer, *arguments, byref(error))
        if status > MOST_EXPECTED:
            raise failure(status, error.value)
        return status

    @property
    def foreign(self) -> bool:
        """Whether this was carried over fork()."""
        return self._process != _process

    def turn(self) -> ContextManager[bool]:
        """For objects of one thread at a time: others wait for their turn."""
        return _NoTurn() if self.foreign else self._turn

    def close(self) -> None:
        """Refuses further calls, waits for those under way, frees. Closing twice is fine.

        A signal handler that closes may have interrupted a call of its own thread: then the end of that call frees.
        Where waiting is interrupted, the object stays open.
        """
        pointer = None
        if self.foreign:
            pointer, self.pointer = self.pointer, None
        else:
            self.closing = True
            try:
                with self._changed:
                    pointer, self.pointer = self.pointer, None
                    if pointer is not None and get_ident() in self.calls:
                        self._finalizer.detach()
                        self._deferred = pointer
                        return
                    while self.calls and pointer is not None:
                        self._changed.wait(LOOK_UP_S)
            except BaseException:
                if pointer is not None:
                    self.pointer = pointer
                raise
        if pointer is not None:
            self._finalizer.detach()
            self._free(pointer)


class Place:
    """Where reads look: a store as it is now, or as a snapshot sees it."""

    __slots__ = ("snapshot", "store")

    def __init__(self, store: Handle, snapshot: Optional[Handle] = None) -> None:
        self.store = store
        self.snapshot = snapshot

    def call(self, function: Callable[..., Any], *arguments: Any) -> int:
        """function(store, snapshot, ..., &error); the status, where it is an expected answer."""
        snapshot = self.snapshot
        if snapshot is None:
            return self.store.call(function, None, *arguments)
        with snapshot as at:
            return self.store.call(function, at, *arguments)


# Stores that are open: what is left of them at the end is closed in order, while threads still run.
open_stores: weakref.WeakSet[Handle] = weakref.WeakSet()


def _close_all() -> None:
    left = [handle for handle in list(open_stores) if handle.pointer is not None and not handle.foreign]
    for handle in left:
        try:
            handle.close()
        except Exception:  # it has nobody to go to, and the others are to be closed, too
            sys.excepthook(*sys.exc_info())
    if left:
        warnings.warn(f"{len(left)} stores of sarsen were not closed", ResourceWarning, stacklevel=1)


atexit.register(_close_all)


class Closing:
    """What a `with` statement closes."""

    __slots__ = ()

    def close(self) -> None:
        raise NotImplementedError

    def __exit__(
        self, kind: Optional[Type[BaseException]], error: Optional[BaseException], trace: Optional[TracebackType]
    ) -> None:
        self.close()
