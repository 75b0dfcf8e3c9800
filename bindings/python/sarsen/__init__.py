"""sarsen: an embedded store. Key-value, streams, memories with tags and blocks, behind one log and one atomic commit.

    import sarsen

    with sarsen.open("notes.sarsen") as store:
        store.kv[b"theme"] = b"dark"

The page docs/python.md of the source tree shows the rest. Objects of one thread at a time: batches. All others may be
used by many threads; calls into the library let other threads of Python go on.
"""

from ._batch import Batch, Result
from ._blocks import Blocks
from ._cursor import Cursor
from ._durable import Ticket
from ._errors import (
    Closed,
    Conflict,
    Corrupt,
    Error,
    Forked,
    Internal,
    InvalidArgument,
    IoError,
    Locked,
    NoSpace,
    NotAStore,
    NotFound,
    Poisoned,
    ReadOnly,
    Status,
    TooLarge,
    UnsupportedVersion,
    status_name,
)
from ._keyvalue import KeyValue, KeyValueReader
from ._library import library as _library_of_c
from ._log import Command, Log, LogReader
from ._memories import Memories, MemoriesReader, MemoryInfo
from ._store import Snapshot, Store, open
from ._streams import Bounds, Stream, StreamInfo, StreamReader, Streams, StreamsReader
from ._values import (
    DROPPED,
    Block,
    Check,
    CommandKind,
    Finding,
    LogWrite,
    Options,
    Recovery,
    Stats,
    Survive,
    Verdict,
)
from ._view import View

#: The library's version, such as "0.1.0", and the version of its ABI.
version: str = _library_of_c.sarsen_version().decode()
abi_version: int = _library_of_c.sarsen_abi_version()

__all__ = [
    "DROPPED",
    "Batch",
    "Block",
    "Blocks",
    "Bounds",
    "Check",
    "Closed",
    "Command",
    "CommandKind",
    "Conflict",
    "Corrupt",
    "Cursor",
    "Error",
    "Finding",
    "Forked",
    "Internal",
    "InvalidArgument",
    "IoError",
    "KeyValue",
    "KeyValueReader",
    "Locked",
    "Log",
    "LogReader",
    "LogWrite",
    "Memories",
    "MemoriesReader",
    "MemoryInfo",
    "NoSpace",
    "NotAStore",
    "NotFound",
    "Options",
    "Poisoned",
    "ReadOnly",
    "Recovery",
    "Result",
    "Snapshot",
    "Stats",
    "Status",
    "Store",
    "Stream",
    "StreamInfo",
    "StreamReader",
    "Streams",
    "StreamsReader",
    "Survive",
    "Ticket",
    "TooLarge",
    "UnsupportedVersion",
    "Verdict",
    "View",
    "abi_version",
    "open",
    "status_name",
    "version",
]
