"""Nothing that the C API has is missing here.

Each function of the header has its types in the package as the header says, a counterpart that is there, and a test
that uses that; structs and constants are where C has them.
"""

from __future__ import annotations

import ctypes
import re
from pathlib import Path
from typing import Dict, List, Tuple

import sarsen
from conftest import BINDING, TREE
from sarsen import _library

HEADER = (TREE / "include" / "sarsen.h").read_text()
LAYOUT = (TREE / "c_tests" / "layout.txt").read_text().splitlines()
GOLDEN = (TREE / "c_tests" / "exported_symbols.txt").read_text().split()

# C's name without sarsen_, and what a program in Python writes: attributes of classes, or of the module.
COUNTERPARTS: Dict[str, str] = {
    "abi_version": "abi_version",
    "version": "version",
    "status_name": "status_name Error.name",
    "error_status": "Error.status",
    "error_message": "Error.__str__",
    "error_os_code": "Error.os_code",
    "error_file": "Error.file",
    "error_offset": "Error.offset",
    "error_first_seq": "Error.commits",
    "error_last_seq": "Error.commits",
    "error_free": "Error",
    "view_release": "View.release View.__exit__",
    "options_new": "Options",
    "options_free": "Options",
    "options_set_create": "Options.create",
    "options_set_read_only": "Options.read_only",
    "options_set_durability": "Options.survive",
    "options_set_chunk_bytes": "Options.chunk_bytes",
    "options_set_memory_bytes": "Options.memory_bytes",
    "options_set_log_retention_bytes": "Options.log_retention_bytes",
    "options_set_background": "Options.background",
    "options_set_salvage": "Options.salvage",
    "options_set_check": "Options.check",
    "options_set_log_write": "Options.log_write",
    "options_set_mapped_bytes": "Options.mapped_bytes",
    "store_open": "open Store",
    "store_close": "Store.close Store.__exit__",
    "store_last_seq": "Store.last_seq",
    "store_durable_seq": "Store.durable_seq",
    "store_sync": "Store.sync",
    "store_wait_durable": "Store.wait_durable",
    "store_notify_durable": "Store.notify_durable Store.durable",
    "store_checkpoint": "Store.checkpoint",
    "store_compact": "Store.compact",
    "store_maintain": "Store.maintain",
    "store_backup": "Store.backup",
    "store_refresh": "Store.refresh",
    "store_import": "Store.import_from",
    "store_recovery": "Store.recovery",
    "store_stats": "Store.stats",
    "store_verify": "Store.verify",
    "report_next": "Store.verify",
    "report_free": "Store.verify",
    "snapshot_new": "Store.snapshot",
    "snapshot_seq": "Snapshot.seq",
    "snapshot_free": "Snapshot.close Snapshot.__exit__",
    # A set of tags is any iterable of strings.
    "tags_new": "Memories.append",
    "tags_add": "Memories.append",
    "tags_count": "Memories.info",
    "tags_get": "Memories.info",
    "tags_free": "Memories.append",
    "batch_new": "Store.batch",
    "batch_clear": "Batch.clear",
    "batch_free": "Batch.close",
    "batch_count": "Batch.__len__",
    "batch_set_kv": "Batch.set_kv",
    "batch_delete_kv": "Batch.delete_kv",
    "batch_append_stream": "Batch.append_stream",
    "batch_trim_stream": "Batch.trim_stream Batch.drop_stream",
    "batch_append_memory": "Batch.append_memory",
    "batch_delete_memory": "Batch.delete_memory",
    "batch_append_block": "Batch.append_block",
    "batch_free_block": "Batch.free_block",
    "batch_append_stream_block": "Batch.append_stream_block",
    "batch_append_memory_block": "Batch.append_memory_block",
    "batch_load": "Batch.load Batch.encoded",
    "batch_commit": "Batch.commit Batch.__exit__",
    "batch_result": "Batch.result",
    "block_append": "Blocks.append",
    "block_free": "Blocks.free",
    "block_read": "Blocks.read Blocks.read_into",
    "block_view": "Blocks.view",
    "kv_set": "KeyValue.__setitem__",
    "kv_delete": "KeyValue.delete KeyValue.__delitem__",
    "kv_get": "KeyValue.view",
    "kv_read": "KeyValue.__getitem__ KeyValue.get KeyValue.read_into",
    "kv_get_many": "KeyValue.get_many",
    "kv_scan": "KeyValue.scan KeyValue.scan_keys KeyValue.scan_values KeyValue.scan_in_place KeyValue.count",
    "kv_prefix": "KeyValue.scan",
    "kv_iter_next": "KeyValue.scan_keys",
    "kv_iter_fill": "Cursor.read Cursor.__next__ Cursor.all",
    "kv_iter_free": "Cursor.close",
    "stream_append": "Stream.append",
    "stream_bounds": "Stream.bounds",
    "stream_get": "Stream.__getitem__ Stream.get Stream.view",
    "stream_trim": "Stream.trim Stream.drop",
    "stream_read": "Stream.read Stream.read_in_place",
    "stream_iter_next": "Cursor.__next__",
    "stream_iter_fill": "Cursor.read",
    "stream_iter_free": "Cursor.close",
    "stream_list": "Streams.list",
    "stream_names_next": "Cursor.__next__",
    "stream_names_free": "Cursor.close",
    "memory_append": "Memories.append",
    "memory_delete": "Memories.delete Memories.__delitem__",
    "memory_get": "Memories.__getitem__ Memories.get Memories.view",
    "memory_info": "Memories.info",
    "memory_find": "Memories.find Memories.find_ids",
    "memory_iter_next": "Cursor.__next__",
    "memory_iter_free": "Cursor.close",
    "log_first_seq": "Log.first_seq",
    "log_read": "Log.read Log.follow",
    "log_next": "LogReader.read LogReader.follow LogReader.follow_async",
    "log_reader_free": "LogReader.close",
}

# C functions that the package declares and doesn't call, since something else does their work.
NOT_CALLED: Dict[str, str] = {
    "batch_count": "counted in Python",
    "batch_set_kv": "encoded in Python for batch_load",
    "batch_delete_kv": "encoded",
    "batch_append_stream": "encoded",
    "batch_trim_stream": "encoded",
    "batch_append_memory": "encoded",
    "batch_delete_memory": "encoded",
    "batch_append_block": "encoded",
    "batch_free_block": "encoded",
    "batch_append_stream_block": "encoded",
    "batch_append_memory_block": "encoded",
    "error_status": "it is what the function returned",
    "stream_iter_next": "read by stream_iter_fill",
}


def functions_of(header: str) -> Dict[str, Tuple[str, List[str]]]:
    """Each function of the header: what it returns, and the types of its parameters."""
    text = re.sub(r"/\*.*?\*/|//[^\n]*|^#[^\n]*", "", header, flags=re.DOTALL | re.MULTILINE)
    text = re.sub(r"typedef[^;{]*(\{[^}]*\})?[^;]*;", "", text)
    found = {}
    for answer, name, parameters in re.findall(r"([\w ]+?[\s*]+)(sarsen_\w+)\(([^)]*)\);", text):
        kinds = []
        for parameter in parameters.split(","):
            parameter = " ".join(parameter.split())
            if parameter != "void":
                kinds.append(
                    re.sub(r"\w+$", "", parameter).strip() if "*" in parameter else parameter.rsplit(" ", 1)[0]
                )
        found[name] = (" ".join(answer.replace("extern", "").split()), kinds)
    return found


PLAIN = {
    "sarsen_status": ctypes.c_uint32,
    "uint32_t": ctypes.c_uint32,
    "int32_t": ctypes.c_int32,
    "uint64_t": ctypes.c_uint64,
    "size_t": ctypes.c_size_t,
    "bool": ctypes.c_bool,
    "sarsen_bytes": _library.Bytes,
    "sarsen_durable_fn": _library.DurableFunction,
    "void": None,
}


def differences(header: str) -> List[str]:
    """Where the package's types of functions are not those of the header."""
    found = functions_of(header)
    wrong = [f"{name} is not in the package" for name in found if name not in _library.FUNCTIONS]
    wrong += [f"{name} is not in the header" for name in _library.FUNCTIONS if name not in found]
    for name in found.keys() & _library.FUNCTIONS.keys():
        answer, kinds = found[name]
        our_answer, our_kinds = _library.FUNCTIONS[name]
        pointer = ctypes.c_char_p if answer == "const char *" else ctypes.c_void_p
        if our_answer is not (pointer if "*" in answer else PLAIN[answer]):
            wrong.append(f"{name} returns {answer}")
        if len(kinds) != len(our_kinds):
            wrong.append(f"{name} has {len(kinds)} parameters")
            continue
        for kind, ours in zip(kinds, our_kinds):
            if kind in ("const void *", "const char *", "const sarsen_bytes *"):
                fits = ours is ctypes.c_char_p
            elif "*" in kind:
                fits = ours is ctypes.c_void_p
            else:
                fits = ours is PLAIN[kind]
            if not fits:
                wrong.append(f"{name}: {kind} is not {ours.__name__}")
    return wrong


def test_each_function_of_the_header_has_its_types_here() -> None:
    assert differences(HEADER) == []
    assert sorted(functions_of(HEADER)) == sorted(GOLDEN)


def test_control_a_function_more_and_a_changed_type_are_noticed() -> None:
    more = HEADER.replace(
        "sarsen_status sarsen_kv_delete(",
        "uint64_t sarsen_kv_count(const sarsen_store *s);\nsarsen_status sarsen_kv_delete(",
    )
    assert differences(more) == ["sarsen_kv_count is not in the package"]
    other = re.sub(r"sarsen_store_last_seq\(", "sarsen_store_last_seq(uint32_t which, ", HEADER)
    assert differences(other) == ["sarsen_store_last_seq has 2 parameters"]
    assert differences(HEADER.replace("uint64_t timeout_us", "uint32_t timeout_us")) != []


def missing_counterparts(functions: List[str]) -> List[str]:
    names = [name[len("sarsen_") :] for name in functions]
    return [name for name in names if name not in COUNTERPARTS] + [name for name in COUNTERPARTS if name not in names]


def test_each_function_has_a_counterpart() -> None:
    assert missing_counterparts(GOLDEN) == []


def test_control_a_function_without_a_counterpart_is_noticed() -> None:
    assert missing_counterparts([*GOLDEN, "sarsen_kv_count"]) == ["kv_count"]
    assert missing_counterparts(GOLDEN[1:]) == [GOLDEN[0][len("sarsen_") :]]


def test_each_counterpart_is_there_and_a_test_uses_it() -> None:
    tests = "\n".join(path.read_text() for path in sorted((BINDING / "tests").glob("test_*.py")))
    table = Path(__file__).read_text().split("COUNTERPARTS: ")[1].split("\n}\n")[0]
    tests = tests.replace(table, "")
    signs = {
        "__getitem__": r"\w\[",
        "__setitem__": r"\] = b",
        "__delitem__": r"\bdel store\.",
        "__len__": r"\blen\(",
        "__next__": r"\bnext\(",
        "__exit__": r"\bwith ",
        "__str__": r"\bstr\(",
    }
    for counterpart in sorted({word for words in COUNTERPARTS.values() for word in words.split()}):
        owner, _, member = counterpart.partition(".")
        assert hasattr(sarsen, owner), counterpart
        if not member:
            assert re.search(rf"\bsarsen\.{owner}\b", tests), f"no test uses {counterpart}"
            continue
        kind = getattr(sarsen, owner)
        assert hasattr(kind, member) or member in kind.__annotations__, counterpart
        sign = signs.get(member, rf"\b{member}=" if owner == "Options" else rf"\.{member}\b")
        assert re.search(sign, tests), f"no test uses {counterpart}"


def test_the_package_calls_each_function_apart_from_those_accounted_for() -> None:
    code = (
        "\n".join(path.read_text() for path in (BINDING / "sarsen").glob("*.py") if path.name != "_library.py")
        + (BINDING / "sarsen" / "_library.py").read_text().split("}\n", 1)[1].split("def _load", 1)[1]
    )
    code = re.sub(r'""".*?"""|#[^\n]*', "", code, flags=re.DOTALL)
    unused = [name[len("sarsen_") :] for name in GOLDEN if not re.search(rf"\.{name}\b", code)]
    assert sorted(unused) == sorted(NOT_CALLED)


def test_structs_are_laid_out_as_in_c() -> None:
    lines = []
    for name, struct in _library.STRUCTS.items():
        lines.append(f"{name}: {ctypes.sizeof(struct)}")
        for field in struct._fields_:
            place = getattr(struct, field[0])
            lines.append(f"{name}.{field[0]}: {place.offset}, {place.size}")
    assert sorted(lines) == sorted(line for line in LAYOUT if line.startswith("sarsen_"))


def test_constants_are_those_of_c() -> None:
    groups = {
        "SURVIVE_": sarsen.Survive,
        "CHECK_": sarsen.Check,
        "LOG_": sarsen.LogWrite,
        "RECOVERY_": sarsen.Verdict,
        "COMMAND_": sarsen.CommandKind,
        "": sarsen.Status,
    }
    lines = [f"SARSEN_{prefix}{member.name} {member.value}" for prefix, kind in groups.items() for member in kind]
    assert sorted(lines) == sorted(line for line in LAYOUT if line.startswith("SARSEN_"))


def test_the_library_says_what_it_is() -> None:
    assert re.fullmatch(r"\d+\.\d+\.\d+", sarsen.version)
    assert sarsen.abi_version == _library.ABI_VERSION
    assert sarsen.status_name(1) == "SARSEN_NOT_FOUND"
    assert sarsen.status_name(999) == "unknown status"
    assert re.search(rf'^version = "{sarsen.version}"$', (TREE / "Cargo.toml").read_text(), re.MULTILINE)


def test_figures_have_the_names_of_c() -> None:
    assert list(sarsen.Stats._fields) == [field[0] for field in _library.Stats._fields_]
    assert ["verdict", "reserved", *sarsen.Recovery._fields[1:]] == [field[0] for field in _library.Recovery._fields_]
