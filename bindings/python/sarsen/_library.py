"""The shared library: where it is found, its structs, and the types of each of its functions.

It is looked for at SARSEN_LIBRARY, then beside this file (a wheel carries it there), then where the system keeps
libraries. Everything here mirrors include/sarsen.h; tests hold it against the header and against c_tests/layout.txt.

ctypes lets go of the interpreter's lock during each call, so other threads go on meanwhile.
"""

from __future__ import annotations

import ctypes
import os
from ctypes import CFUNCTYPE, c_bool, c_char_p, c_int32, c_size_t, c_uint32, c_uint64, c_void_p
from typing import Any, Dict, List, Tuple

ABI_VERSION = 0
FILE_NAME = "libsarsen.so.0"


class View(ctypes.Structure):
    """sarsen_view."""

    _fields_ = [("data", c_void_p), ("len", c_size_t), ("pin", c_void_p)]


class Recovery(ctypes.Structure):
    """sarsen_recovery."""

    _fields_ = [
        ("verdict", c_uint32),
        ("reserved", c_uint32),
        ("last_seq", c_uint64),
        ("proven_seq", c_uint64),
        ("replayed_commits", c_uint64),
        ("replayed_bytes", c_uint64),
        ("dropped_bytes", c_uint64),
        ("elapsed_us", c_uint64),
    ]


class Stats(ctypes.Structure):
    """sarsen_stats."""

    _fields_ = [
        ("commits", c_uint64),
        ("syncs", c_uint64),
        ("bytes_appended", c_uint64),
        ("kv_count", c_uint64),
        ("memory_count", c_uint64),
        ("stream_count", c_uint64),
        ("stream_record_count", c_uint64),
        ("block_count", c_uint64),
        ("block_bytes_live", c_uint64),
        ("block_bytes_dead", c_uint64),
        ("log_bytes", c_uint64),
        ("index_bytes", c_uint64),
        ("disk_bytes", c_uint64),
        ("heap_bytes", c_uint64),
        ("mapped_bytes", c_uint64),
        ("pinned_views", c_uint64),
        ("oldest_snapshot_seq", c_uint64),
        ("checkpoints", c_uint64),
        ("compactions", c_uint64),
        ("stalls_us", c_uint64),
    ]


class Bytes(ctypes.Structure):
    """sarsen_bytes."""

    _fields_ = [("data", c_void_p), ("len", c_size_t)]


class Block(ctypes.Structure):
    """sarsen_block."""

    _fields_ = [("chunk", c_uint32), ("crc32c", c_uint32), ("offset", c_uint64), ("len", c_uint64)]


class Command(ctypes.Structure):
    """sarsen_command."""

    _fields_ = [
        ("seq", c_uint64),
        ("epoch", c_uint64),
        ("kind", c_uint32),
        ("last", c_uint32),
        ("id", c_uint64),
        ("block", Block),
        ("key", Bytes),
        ("value", Bytes),
    ]


STRUCTS = {
    "sarsen_view": View,
    "sarsen_recovery": Recovery,
    "sarsen_stats": Stats,
    "sarsen_bytes": Bytes,
    "sarsen_block": Block,
    "sarsen_command": Command,
}

# void (*)(void *user, uint64_t seq, sarsen_status status)
DurableFunction = CFUNCTYPE(None, c_void_p, c_uint64, c_uint32)

# How the header's types travel. A pointer to bytes that go in is c_char_p, which takes `bytes` as they are; any other
# pointer is an address.
_AT = c_void_p
_IN = c_char_p
_STATUS = c_uint32
_PAIR = [_IN, c_size_t]

FUNCTIONS: Dict[str, Tuple[Any, List[Any]]] = {
    "sarsen_abi_version": (c_uint32, []),
    "sarsen_version": (c_char_p, []),
    "sarsen_status_name": (c_char_p, [_STATUS]),
    "sarsen_error_status": (_STATUS, [_AT]),
    "sarsen_error_message": (c_char_p, [_AT]),
    "sarsen_error_os_code": (c_int32, [_AT]),
    "sarsen_error_file": (c_char_p, [_AT]),
    "sarsen_error_offset": (c_uint64, [_AT]),
    "sarsen_error_first_seq": (c_uint64, [_AT]),
    "sarsen_error_last_seq": (c_uint64, [_AT]),
    "sarsen_error_free": (None, [_AT]),
    "sarsen_view_release": (None, [_AT]),
    "sarsen_options_new": (_AT, []),
    "sarsen_options_free": (None, [_AT]),
    "sarsen_options_set_create": (_STATUS, [_AT, c_bool]),
    "sarsen_options_set_read_only": (_STATUS, [_AT, c_bool]),
    "sarsen_options_set_durability": (_STATUS, [_AT, c_uint32]),
    "sarsen_options_set_chunk_bytes": (_STATUS, [_AT, c_uint64]),
    "sarsen_options_set_memory_bytes": (_STATUS, [_AT, c_uint64]),
    "sarsen_options_set_log_retention_bytes": (_STATUS, [_AT, c_uint64]),
    "sarsen_options_set_background": (_STATUS, [_AT, c_bool]),
    "sarsen_options_set_salvage": (_STATUS, [_AT, c_bool]),
    "sarsen_options_set_check": (_STATUS, [_AT, c_uint32]),
    "sarsen_options_set_log_write": (_STATUS, [_AT, c_uint32]),
    "sarsen_options_set_mapped_bytes": (_STATUS, [_AT, c_uint64]),
    "sarsen_store_open": (_STATUS, [_IN, _AT, _AT, _AT]),
    "sarsen_store_close": (_STATUS, [_AT, _AT]),
    "sarsen_store_last_seq": (c_uint64, [_AT]),
    "sarsen_store_durable_seq": (c_uint64, [_AT]),
    "sarsen_store_sync": (_STATUS, [_AT, _AT]),
    "sarsen_store_wait_durable": (_STATUS, [_AT, c_uint64, c_uint64, _AT]),
    "sarsen_store_notify_durable": (_STATUS, [_AT, c_uint64, DurableFunction, _AT, _AT]),
    "sarsen_store_checkpoint": (_STATUS, [_AT, _AT]),
    "sarsen_store_compact": (_STATUS, [_AT, _AT]),
    "sarsen_store_maintain": (_STATUS, [_AT, c_uint64, _AT, _AT]),
    "sarsen_store_backup": (_STATUS, [_AT, _AT, _IN, _AT]),
    "sarsen_store_refresh": (_STATUS, [_AT, _AT, _AT]),
    "sarsen_store_import": (_STATUS, [_AT, _IN, _AT, _AT]),
    "sarsen_store_recovery": (_STATUS, [_AT, _AT, c_size_t]),
    "sarsen_store_stats": (_STATUS, [_AT, _AT, c_size_t]),
    "sarsen_store_verify": (_STATUS, [_AT, _AT, _AT]),
    "sarsen_report_next": (_STATUS, [_AT, _AT, _AT, _AT]),
    "sarsen_report_free": (None, [_AT]),
    "sarsen_snapshot_new": (_STATUS, [_AT, _AT, _AT]),
    "sarsen_snapshot_seq": (c_uint64, [_AT]),
    "sarsen_snapshot_free": (None, [_AT]),
    "sarsen_tags_new": (_AT, []),
    "sarsen_tags_add": (_STATUS, [_AT, *_PAIR]),
    "sarsen_tags_count": (c_size_t, [_AT]),
    "sarsen_tags_get": (Bytes, [_AT, c_size_t]),
    "sarsen_tags_free": (None, [_AT]),
    "sarsen_batch_new": (_AT, []),
    "sarsen_batch_clear": (None, [_AT]),
    "sarsen_batch_free": (None, [_AT]),
    "sarsen_batch_count": (c_size_t, [_AT]),
    "sarsen_batch_set_kv": (_STATUS, [_AT, *_PAIR, *_PAIR, _AT]),
    "sarsen_batch_delete_kv": (_STATUS, [_AT, *_PAIR, _AT]),
    "sarsen_batch_append_stream": (_STATUS, [_AT, *_PAIR, *_PAIR, _AT]),
    "sarsen_batch_trim_stream": (_STATUS, [_AT, *_PAIR, c_uint64, _AT]),
    "sarsen_batch_append_memory": (_STATUS, [_AT, c_uint64, _AT, *_PAIR, _AT]),
    "sarsen_batch_delete_memory": (_STATUS, [_AT, c_uint64, _AT]),
    "sarsen_batch_append_block": (_STATUS, [_AT, *_PAIR, _AT]),
    "sarsen_batch_free_block": (_STATUS, [_AT, _AT, _AT]),
    "sarsen_batch_append_stream_block": (_STATUS, [_AT, *_PAIR, _AT, _AT]),
    "sarsen_batch_append_memory_block": (_STATUS, [_AT, c_uint64, _AT, _AT, _AT]),
    "sarsen_batch_load": (_STATUS, [_AT, *_PAIR, _AT]),
    "sarsen_batch_commit": (_STATUS, [_AT, _AT, c_uint32, _AT, _AT]),
    "sarsen_batch_result": (_STATUS, [_AT, c_size_t, _AT, _AT, _AT]),
    "sarsen_block_append": (_STATUS, [_AT, *_PAIR, _AT, _AT]),
    "sarsen_block_free": (_STATUS, [_AT, _AT, _AT]),
    "sarsen_block_read": (_STATUS, [_AT, _AT, c_uint64, _AT, c_size_t, _AT]),
    "sarsen_block_view": (_STATUS, [_AT, _AT, c_uint64, c_size_t, _AT, _AT]),
    "sarsen_kv_set": (_STATUS, [_AT, *_PAIR, *_PAIR, _AT]),
    "sarsen_kv_delete": (_STATUS, [_AT, *_PAIR, _AT]),
    "sarsen_kv_get": (_STATUS, [_AT, _AT, *_PAIR, _AT, _AT]),
    "sarsen_kv_read": (_STATUS, [_AT, _AT, *_PAIR, _AT, c_size_t, _AT, _AT]),
    "sarsen_kv_get_many": (_STATUS, [_AT, _AT, _IN, c_size_t, _AT, _AT, _AT]),
    "sarsen_kv_scan": (_STATUS, [_AT, _AT, *_PAIR, *_PAIR, c_bool, _AT, _AT]),
    "sarsen_kv_prefix": (_STATUS, [_AT, _AT, *_PAIR, c_bool, _AT, _AT]),
    "sarsen_kv_iter_next": (_STATUS, [_AT, _AT, _AT, _AT]),
    "sarsen_kv_iter_fill": (_STATUS, [_AT, _AT, c_size_t, _AT, _AT, _AT]),
    "sarsen_kv_iter_free": (None, [_AT]),
    "sarsen_stream_append": (_STATUS, [_AT, *_PAIR, *_PAIR, _AT, _AT]),
    "sarsen_stream_bounds": (_STATUS, [_AT, _AT, *_PAIR, _AT, _AT, _AT]),
    "sarsen_stream_get": (_STATUS, [_AT, _AT, *_PAIR, c_uint64, _AT, _AT]),
    "sarsen_stream_trim": (_STATUS, [_AT, *_PAIR, c_uint64, _AT]),
    "sarsen_stream_read": (_STATUS, [_AT, _AT, *_PAIR, c_uint64, _AT, _AT]),
    "sarsen_stream_iter_next": (_STATUS, [_AT, _AT, _AT, _AT]),
    "sarsen_stream_iter_fill": (_STATUS, [_AT, _AT, c_size_t, _AT, _AT, _AT]),
    "sarsen_stream_iter_free": (None, [_AT]),
    "sarsen_stream_list": (_STATUS, [_AT, _AT, *_PAIR, _AT, _AT]),
    "sarsen_stream_names_next": (_STATUS, [_AT, _AT, _AT, _AT, _AT]),
    "sarsen_stream_names_free": (None, [_AT]),
    "sarsen_memory_append": (_STATUS, [_AT, c_uint64, _AT, *_PAIR, _AT]),
    "sarsen_memory_delete": (_STATUS, [_AT, c_uint64, _AT]),
    "sarsen_memory_get": (_STATUS, [_AT, _AT, c_uint64, _AT, _AT]),
    "sarsen_memory_info": (_STATUS, [_AT, _AT, c_uint64, _AT, _AT, _AT]),
    "sarsen_memory_find": (_STATUS, [_AT, _AT, _AT, _AT, _AT, c_uint64, _AT, _AT]),
    "sarsen_memory_iter_next": (_STATUS, [_AT, _AT, _AT, _AT]),
    "sarsen_memory_iter_free": (None, [_AT]),
    "sarsen_log_first_seq": (c_uint64, [_AT]),
    "sarsen_log_read": (_STATUS, [_AT, c_uint64, c_uint64, _AT, _AT]),
    "sarsen_log_next": (_STATUS, [_AT, c_uint64, _AT, c_size_t, _AT, _AT]),
    "sarsen_log_reader_free": (None, [_AT]),
}


def _candidates() -> List[str]:
    chosen = os.environ.get("SARSEN_LIBRARY")
    if chosen:
        return [chosen]
    carried = os.path.join(os.path.dirname(os.path.abspath(__file__)), FILE_NAME)
    return [carried] if os.path.exists(carried) else [FILE_NAME]


def _load() -> ctypes.CDLL:
    (path,) = _candidates()
    try:
        found = ctypes.CDLL(path)
        for name, (answer, arguments) in FUNCTIONS.items():
            function = getattr(found, name)
            function.restype = answer
            function.argtypes = arguments
    except (OSError, AttributeError) as error:
        raise ImportError(
            f"sarsen: no library at {path} that this package works with ({error}). "
            "Set SARSEN_LIBRARY to the path of libsarsen.so, or install the wheel that carries it."
        ) from error
    abi = found.sarsen_abi_version()
    if abi != ABI_VERSION:
        raise ImportError(f"sarsen: {path} has version {abi} of the ABI, this package needs {ABI_VERSION}")
    return found


library = _load()
