"""Bytes inside the store, read in place.

A chain of owners keeps them there: a memoryview holds a window (an array of ctypes over the bytes), the window holds
the pin (sarsen_view), and the pin gives the bytes back when nothing holds it any more. So no memoryview ever points to
what was given back: not after release(), not after the store was closed.
"""

from __future__ import annotations

import builtins
import ctypes
from ctypes import c_ubyte
from functools import lru_cache
from typing import Any, Optional

from . import _library
from ._errors import InvalidArgument
from ._handle import Closing
from ._library import library


class Pin(_library.View):
    """C's view, released when it is collected."""

    def __del__(self, release: Any = library.sarsen_view_release, at: Any = ctypes.byref) -> None:
        release(at(self))


@lru_cache(maxsize=1024)
def _window_type(length: int) -> Any:
    # A class of its own for each length: its objects end where the bytes do, and have room for the owner.
    return type("Window", (c_ubyte * length,), {})


def _memory(pin: Pin) -> memoryview:
    if not pin.len:
        return memoryview(b"")
    window = _window_type(pin.len).from_address(pin.data)
    window.pin = pin
    return memoryview(window).cast("B").toreadonly()


class View(Closing):
    """Bytes in place, for reading only. Release it, or use it in a `with` statement.

    `bytes` is a memoryview. After release() it raises ValueError; slices and arrays made from it stay good, and hold
    the bytes in the store until they are gone, too.
    """

    __slots__ = ("__weakref__", "_length", "_memory")

    def __init__(self, pin: Pin) -> None:
        self._length: int = pin.len
        self._memory: Optional[memoryview] = _memory(pin)

    @property
    def bytes(self) -> memoryview:
        if self._memory is None:
            raise InvalidArgument("the view was released")
        return self._memory

    @property
    def released(self) -> bool:
        return self._memory is None

    def release(self) -> None:
        """Gives the bytes back, as soon as nothing was made from `bytes` that is still there. Twice is fine."""
        memory, self._memory = self._memory, None
        if memory is not None:
            try:
                memory.release()
            except BufferError:
                pass  # an array over it goes on holding the bytes

    close = release

    def __len__(self) -> int:
        return self._length

    def __bytes__(self) -> builtins.bytes:
        return self.bytes.tobytes()

    def __enter__(self) -> View:
        return self

    def __repr__(self) -> str:
        return f"<sarsen.View of {self._length} bytes{', released' if self.released else ''}>"
