"""Being told when a commit survives power loss.

The library calls back on whichever thread made the commit durable, its own thread for upkeep among them. That call
only notes what happened: callbacks run one after another on one thread of this module, where they may do as they like,
closing the store included.
"""

from __future__ import annotations

import concurrent.futures
import itertools
import os
import queue
import sys
import threading
from typing import Any, Callable, Dict, Generator, Optional, Tuple

from ._errors import Error, failure
from ._handle import Handle
from ._library import DurableFunction, library
from ._values import u64

Callback = Callable[[int, Optional[Error]], object]

_numbers = itertools.count(1)
# What is waited for. It holds the store's handle, so that the store is not collected, and so not closed, inside of a
# call of the library's.
_waiting: Dict[int, Tuple[Callback, Handle]] = {}
_happened: queue.SimpleQueue[Tuple[int, int, int]] = queue.SimpleQueue()
_starting = threading.Lock()
_thread: Optional[threading.Thread] = None


def _note(number: Optional[int], seq: int, status: int) -> None:
    if number is not None:
        _happened.put((number, seq, status))


_noting = DurableFunction(_note)


def _tell() -> None:
    while True:
        number, seq, status = _happened.get()
        waiting = _waiting.pop(number, None)
        if waiting is None:
            continue
        try:
            waiting[0](seq, failure(status) if status else None)
        except BaseException:  # it has nobody to go to
            threading.excepthook(threading.ExceptHookArgs((*sys.exc_info(), threading.current_thread())))
        del waiting


def _start() -> None:
    global _thread
    with _starting:
        if _thread is None:
            _thread = threading.Thread(target=_tell, name="sarsen callbacks", daemon=True)
            _thread.start()


def _forked() -> None:
    global _starting, _thread, _happened
    _starting = threading.Lock()
    _thread = None
    _happened = queue.SimpleQueue()
    _waiting.clear()


os.register_at_fork(after_in_child=_forked)


def notify(store: Handle, seq: int, callback: Callback) -> None:
    _start()
    number = next(_numbers)
    _waiting[number] = (callback, store)
    try:
        store.call(library.sarsen_store_notify_durable, u64(seq, "seq"), _noting, number)
    except BaseException:
        _waiting.pop(number, None)
        raise


class Ticket(concurrent.futures.Future[int]):
    """A future that has its commit's seq as result once that survives power loss, or the error why it won't.

    For threads result(timeout), for asyncio `await`.
    """

    def __init__(self, seq: int) -> None:
        super().__init__()
        self.seq = seq
        self.set_running_or_notify_cancel()

    def tell(self, seq: int, error: Optional[Error]) -> None:
        if error is None:
            self.set_result(seq)
        else:
            self.set_exception(error)

    def __await__(self) -> Generator[Any, None, int]:
        import asyncio  # programs without it need not wait for it

        return asyncio.wrap_future(self).__await__()
