"""Errors: one class a status of C, all of them Error; and how an error object of C becomes one."""

from __future__ import annotations

import enum
from typing import Dict, Optional, Type, Union

from ._library import library


class Status(enum.IntEnum):
    """What a function of C returns."""

    OK = 0
    NOT_FOUND = 1
    END = 2
    TIMEOUT = 3
    INVALID_ARGUMENT = 10
    IO = 11
    NO_SPACE = 12
    CORRUPT = 13
    LOCKED = 14
    NOT_A_STORE = 15
    VERSION = 16
    READ_ONLY = 17
    TOO_LARGE = 18
    POISONED = 19
    FORKED = 20
    CONFLICT = 21
    INTERNAL = 22


# Expected answers, which set no error object.
MOST_EXPECTED = int(Status.TIMEOUT)
OK = int(Status.OK)
NOT_FOUND = int(Status.NOT_FOUND)
END = int(Status.END)
TIMEOUT = int(Status.TIMEOUT)
TOO_LARGE = int(Status.TOO_LARGE)


class Error(Exception):
    """Whatever went wrong. The message says what to do next."""

    status: Union[Status, int] = Status.INTERNAL
    #: errno where the system refused something, else 0.
    os_code: int = 0
    #: The file concerned, as a path within the store, and the byte offset in it.
    file: Optional[str] = None
    offset: Optional[int] = None
    #: The commits concerned, where any are known.
    commits: Optional[range] = None

    @property
    def name(self) -> str:
        """C's name of the status, such as SARSEN_CORRUPT."""
        return status_name(self.status)

    # KeyError would show the message as a literal, OSError as a number.
    def __str__(self) -> str:
        return str(self.args[0]) if self.args else self.name


class NotFound(Error, KeyError):
    """No such key, id, record or block; or the log was released past a reader."""

    status = Status.NOT_FOUND


class InvalidArgument(Error, ValueError):
    """The call makes no sense as it is; nothing was done."""

    status = Status.INVALID_ARGUMENT


class Closed(InvalidArgument):
    """A call on something that was closed."""


class IoError(Error, OSError):
    """The operating system refused; errno says why."""

    status = Status.IO


class NoSpace(Error, OSError):
    """Disk full: nothing was written, reads go on, retry later."""

    status = Status.NO_SPACE


class Corrupt(Error):
    """Damage to data that had been made durable."""

    status = Status.CORRUPT


class Locked(Error):
    """Another process or object has the store open for writing."""

    status = Status.LOCKED


class NotAStore(Error):
    """The path exists, but holds no store; or nothing is there and creating was not asked for."""

    status = Status.NOT_A_STORE


class UnsupportedVersion(Error):
    """Written by a newer format."""

    status = Status.VERSION


class ReadOnly(Error):
    """A write to a store that was opened read-only."""

    status = Status.READ_ONLY


class TooLarge(Error, ValueError):
    """Beyond the documented sizes; nothing was done."""

    status = Status.TOO_LARGE


class Poisoned(Error):
    """An earlier write failed half-way; close the store and open it again."""

    status = Status.POISONED


class Forked(Error, RuntimeError):
    """Used in a child process after fork()."""

    status = Status.FORKED


class Conflict(Error):
    """A condition did not hold; nothing was written."""

    status = Status.CONFLICT


class Internal(Error, RuntimeError):
    """A defect in sarsen. The store refuses further writes until it is reopened."""

    status = Status.INTERNAL


CLASSES: Dict[int, Type[Error]] = {
    int(kind.status): kind
    for kind in (
        NotFound,
        InvalidArgument,
        IoError,
        NoSpace,
        Corrupt,
        Locked,
        NotAStore,
        UnsupportedVersion,
        ReadOnly,
        TooLarge,
        Poisoned,
        Forked,
        Conflict,
        Internal,
    )
}


def status_name(status: int) -> str:
    """C's name for a status, such as SARSEN_NOT_FOUND."""
    name: bytes = library.sarsen_status_name(status)
    return name.decode()


def failure(status: int, pointer: Optional[int] = None) -> Error:
    """The exception for a status, from C's error object where there is one; that is freed."""
    kind = CLASSES.get(status, Error)
    if not pointer:
        error = kind(status_name(status))
    else:
        try:
            error = kind(library.sarsen_error_message(pointer).decode("utf-8", "replace"))
            error.os_code = library.sarsen_error_os_code(pointer)
            file = library.sarsen_error_file(pointer)
            if file is not None:
                error.file = file.decode("utf-8", "surrogateescape")
                error.offset = library.sarsen_error_offset(pointer)
            first = library.sarsen_error_first_seq(pointer)
            if first:
                error.commits = range(first, max(first, library.sarsen_error_last_seq(pointer)) + 1)
        finally:
            library.sarsen_error_free(pointer)
    if kind is Error:
        error.status = status
    if isinstance(error, OSError) and error.os_code:
        error.errno = error.os_code
    return error
