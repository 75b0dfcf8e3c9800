"""The store, and snapshots of it."""

from __future__ import annotations

from ctypes import byref, c_bool, c_char_p, c_uint64, c_void_p, sizeof
from typing import List, Optional

from . import _library
from ._batch import Batch
from ._blocks import Blocks
from ._durable import Callback, Ticket, notify
from ._errors import MOST_EXPECTED, OK, TIMEOUT, failure
from ._handle import Closing, Handle, Place, open_stores
from ._keyvalue import KeyValue, KeyValueReader
from ._library import library
from ._log import Log
from ._memories import Memories, MemoriesReader
from ._streams import Streams, StreamsReader
from ._values import (
    Check,
    Finding,
    LogWrite,
    Options,
    PathLike,
    Recovery,
    Stats,
    Survive,
    Verdict,
    microseconds,
    path_in,
    u64,
)

DEFAULTS = Options()


def _close(pointer: int) -> None:
    error = c_void_p()
    status = library.sarsen_store_close(pointer, byref(error))
    if status != OK:
        raise failure(status, error.value)


class Snapshot(Closing):
    """One frozen view over all four kinds of data. While it is held, what it sees takes space on disk."""

    __slots__ = ("__weakref__", "_handle", "kv", "memories", "streams")

    def __init__(self, store: Handle) -> None:
        out = c_void_p()
        store.call(library.sarsen_snapshot_new, byref(out))
        self._handle = Handle(out.value, library.sarsen_snapshot_free, "snapshot", loud=True)  # type: ignore[arg-type]
        place = Place(store, self._handle)
        self.kv = KeyValueReader(place)
        self.streams = StreamsReader(place)
        self.memories = MemoriesReader(place)

    @property
    def seq(self) -> int:
        """The newest commit it sees."""
        with self._handle as snapshot:
            seq: int = library.sarsen_snapshot_seq(snapshot)
            return seq

    @property
    def closed(self) -> bool:
        return self._handle.pointer is None

    def close(self) -> None:
        """Lets go of what it holds. Cursors made from it go on."""
        self._handle.close()

    def __enter__(self) -> Snapshot:
        return self

    def __repr__(self) -> str:
        return f"<sarsen.Snapshot{', closed' if self.closed else ''}>"


class Store(Closing):
    """An open store, for any number of threads. Close it, or use it in a `with` statement."""

    __slots__ = ("__weakref__", "_handle", "_path", "blocks", "kv", "log", "memories", "streams")

    def __init__(self, path: PathLike, options: Options = DEFAULTS) -> None:
        """Opens, or creates, the store in the directory `path`."""
        where = path_in(path)
        out, error = c_void_p(), c_void_p()
        chosen = options.make()
        try:
            status = library.sarsen_store_open(where, chosen, byref(out), byref(error))
        finally:
            library.sarsen_options_free(chosen)
        if status != OK:
            raise failure(status, error.value)
        self._path = path
        self._handle = Handle(out.value, _close, "store", loud=True)  # type: ignore[arg-type]
        open_stores.add(self._handle)
        place = Place(self._handle)
        #: Key-value.
        self.kv = KeyValue(place)
        self.streams = Streams(place)
        self.memories = Memories(place)
        self.blocks = Blocks(self._handle)
        self.log = Log(self._handle)

    @property
    def path(self) -> PathLike:
        return self._path

    @property
    def closed(self) -> bool:
        return self._handle.pointer is None

    def close(self) -> None:
        """Waits for calls under way, checkpoints, lets go. Every commit survives power loss then.

        Always closes, also where it raises. Views stay good.
        """
        self._handle.close()

    def __enter__(self) -> Store:
        return self

    def __repr__(self) -> str:
        return f"<sarsen.Store {str(self._path)!r}{', closed' if self.closed else ''}>"

    # ---- commits

    def batch(self, survive: Optional[Survive] = None) -> Batch:
        """An empty batch; `survive` is the level of its commits, or the store's."""
        return Batch(self._handle, survive)

    def snapshot(self) -> Snapshot:
        """Freezes what is visible now."""
        return Snapshot(self._handle)

    @property
    def last_seq(self) -> int:
        """Newest commit; 0: none."""
        with self._handle as store:
            seq: int = library.sarsen_store_last_seq(store)
            return seq

    # ---- durability

    @property
    def durable_seq(self) -> int:
        """Newest commit that survives power loss, with every one before it."""
        with self._handle as store:
            seq: int = library.sarsen_store_durable_seq(store)
            return seq

    def sync(self) -> None:
        """Makes every commit so far survive power loss: one sync, shared with whoever else asks meanwhile."""
        self._handle.call(library.sarsen_store_sync)

    def wait_durable(self, seq: int, timeout: Optional[float] = None) -> bool:
        """Whether commit `seq` survives power loss, syncing for it unless somebody is.

        `timeout`, in seconds, bounds only waiting for others.
        """
        wait = microseconds(timeout, "timeout")
        return self._handle.call(library.sarsen_store_wait_durable, u64(seq, "seq"), wait) != TIMEOUT

    def notify_durable(self, seq: int, callback: Callback) -> None:
        """Calls callback(seq, None) once, when commit `seq` survives power loss, or callback(seq, error) when it won't.

        It runs on a thread of its own. Without a background thread the next maintain() does the sync.
        """
        notify(self._handle, seq, callback)

    def durable(self, seq: int) -> Ticket:
        """A future of commit `seq`'s survival: result() in threads, `await` in asyncio."""
        ticket = Ticket(seq)
        notify(self._handle, seq, ticket.tell)
        return ticket

    # ---- upkeep

    def checkpoint(self) -> None:
        """Puts every commit so far into chunks and runs and releases the log before it."""
        self._handle.call(library.sarsen_store_checkpoint)

    def compact(self) -> None:
        """Gives back the space of everything dead; takes time in proportion to the store."""
        self._handle.call(library.sarsen_store_compact)

    def maintain(self, budget: float) -> bool:
        """Upkeep by the host, for about `budget` seconds. Whether work is left."""
        more = c_bool()
        self._handle.call(library.sarsen_store_maintain, microseconds(budget, "budget"), byref(more))
        return more.value

    def refresh(self) -> int:
        """Lets a read-only store see what was committed since; the newest commit it sees."""
        seq = c_uint64()
        self._handle.call(library.sarsen_store_refresh, byref(seq))
        return seq.value

    def backup(self, path: PathLike, snapshot: Optional[Snapshot] = None) -> None:
        """Writes a store of its own to `path`, where nothing is yet: what the snapshot sees, or the newest state."""
        where = path_in(path)
        if snapshot is None:
            self._handle.call(library.sarsen_store_backup, None, where)
        else:
            with snapshot._handle as at:
                self._handle.call(library.sarsen_store_backup, at, where)

    def import_from(self, path: PathLike) -> int:
        """Takes over a directory in the ancestral layout into an empty store; the number of its commands."""
        commands = c_uint64()
        self._handle.call(library.sarsen_store_import, path_in(path), byref(commands))
        return commands.value

    # ---- what it says about itself

    @property
    def recovery(self) -> Recovery:
        """What opening found."""
        raw = _library.Recovery()
        with self._handle as store:
            status = library.sarsen_store_recovery(store, byref(raw), sizeof(raw))
        if status != OK:
            raise failure(status)
        figures = (getattr(raw, name) for name in Recovery._fields[1:])
        return Recovery(Verdict(raw.verdict), *figures)

    def stats(self) -> Stats:
        """Figures, collected now; looks at every file of the store."""
        raw = _library.Stats()
        with self._handle as store:
            status = library.sarsen_store_stats(store, byref(raw), sizeof(raw))
        if status != OK:
            raise failure(status)
        return Stats(*(getattr(raw, name) for name in Stats._fields))

    def verify(self) -> List[Finding]:
        """Reads and checks every byte of the store: [] where all is well."""
        out = c_void_p()
        self._handle.call(library.sarsen_store_verify, byref(out))
        findings: List[Finding] = []
        file, offset, what = c_char_p(), c_uint64(), c_char_p()
        try:
            while True:
                status = library.sarsen_report_next(out, byref(file), byref(offset), byref(what))
                if status > MOST_EXPECTED:
                    raise failure(status)
                if status != OK:
                    return findings
                name, text = file.value or b"", what.value or b""
                findings.append(Finding(name.decode("utf-8", "replace"), offset.value, text.decode("utf-8", "replace")))
        finally:
            library.sarsen_report_free(out)


def open(
    path: PathLike,
    *,
    create: bool = True,
    read_only: bool = False,
    survive: Survive = Survive.POWER,
    chunk_bytes: Optional[int] = None,
    memory_bytes: Optional[int] = None,
    log_retention_bytes: Optional[int] = None,
    background: bool = True,
    salvage: bool = False,
    check: Check = Check.FIRST_TOUCH,
    log_write: LogWrite = LogWrite.AUTO,
    mapped_bytes: Optional[int] = None,
) -> Store:
    """Opens, or creates, the store in the directory `path`. The settings are those of Options."""
    options = Options(
        create=create,
        read_only=read_only,
        survive=survive,
        chunk_bytes=chunk_bytes,
        memory_bytes=memory_bytes,
        log_retention_bytes=log_retention_bytes,
        background=background,
        salvage=salvage,
        check=check,
        log_write=log_write,
        mapped_bytes=mapped_bytes,
    )
    return Store(path, options)
