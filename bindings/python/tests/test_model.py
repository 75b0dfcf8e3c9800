"""Any sequence of operations leaves what it would leave in plain dicts and lists, also after opening again."""

from __future__ import annotations

import copy
import os
import tempfile
from typing import Any, Dict, List, Set, Tuple

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import sarsen
from sarsen import Options, Survive

KEYS = st.binary(max_size=3)
VALUES = st.one_of(st.binary(max_size=40), st.integers(0, 200_000).map(lambda size: b"z" * size))
IDS = st.integers(0, 4)
TAGS = st.sets(st.sampled_from(["a", "b", "c"]))
NAMES = st.sampled_from([b"", b"s", b"t"])

OPERATIONS = st.one_of(
    st.tuples(st.just("set_kv"), KEYS, VALUES),
    st.tuples(st.just("delete_kv"), KEYS),
    st.tuples(st.just("append_stream"), NAMES, VALUES),
    st.tuples(st.just("trim_stream"), NAMES, st.integers(0, 5)),
    st.tuples(st.just("drop_stream"), NAMES),
    st.tuples(st.just("append_memory"), IDS, VALUES, TAGS),
    st.tuples(st.just("delete_memory"), IDS),
)
STEPS = st.one_of(
    st.lists(OPERATIONS, min_size=1, max_size=6),
    st.sampled_from(["checkpoint", "compact", "reopen", "snapshot"]),
)


class Model:
    """The same in Python's own."""

    def __init__(self) -> None:
        self.kv: Dict[bytes, bytes] = {}
        self.streams: Dict[bytes, Tuple[int, List[bytes]]] = {}
        self.memories: Dict[int, Tuple[bytes, Set[str]]] = {}

    def apply(self, operation: Tuple[Any, ...]) -> None:
        name, *values = operation
        if name == "set_kv":
            self.kv[values[0]] = values[1]
        elif name == "delete_kv":
            self.kv.pop(values[0], None)
        elif name == "append_stream":
            first, records = self.streams.get(values[0], (0, []))
            self.streams[values[0]] = (first, [*records, values[1]])
        elif name == "trim_stream" and values[0] in self.streams:
            first, records = self.streams[values[0]]
            cut = max(min(values[1], first + len(records)), first)
            self.streams[values[0]] = (cut, records[cut - first :])
        elif name == "drop_stream":
            self.streams.pop(values[0], None)
        elif name == "append_memory":
            self.memories[values[0]] = (values[1], set(values[2]))
        elif name == "delete_memory":
            self.memories.pop(values[0], None)

    def check(self, place: Any) -> None:
        """`place` is a store or a snapshot."""
        keys = sorted(self.kv)
        assert list(place.kv.items()) == [(key, self.kv[key]) for key in keys]
        assert place.kv.scan_keys(reverse=True).all() == keys[::-1] and len(place.kv) == len(keys)
        assert place.kv.scan_keys(b"\x40", b"\xc0").all() == [key for key in keys if b"\x40" <= key < b"\xc0"]
        for prefix in {key[:1] for key in keys}:
            assert place.kv.scan_keys(prefix=prefix).all() == [key for key in keys if key.startswith(prefix)]
        assert place.kv.get_many([*keys, b"none"]) == [*(self.kv[key] for key in keys), None]
        assert list(place.streams) == sorted(self.streams)
        for name, (first, records) in self.streams.items():
            assert place.streams[name].bounds() == (first, first + len(records))
            assert place.streams[name].read().all() == list(enumerate(records, first))
        assert dict(place.memories) == {number: data for number, (data, _) in self.memories.items()}
        for every, some, none in ((["a"], [], []), ([], ["a", "b"], []), ([], [], ["c"]), (["b"], ["a", "c"], ["c"])):
            assert place.memories.find_ids(all=every, any=some, none=none).all() == sorted(
                number
                for number, (_, tags) in self.memories.items()
                if tags.issuperset(every) and (not some or tags & set(some)) and not tags & set(none)
            )


# SARSEN_MODEL_EXAMPLES asks for more of them.
@settings(
    max_examples=int(os.environ.get("SARSEN_MODEL_EXAMPLES", "25")),
    deadline=None,
    suppress_health_check=list(HealthCheck),
    database=None,
    print_blob=True,
)
@given(st.lists(STEPS, max_size=12))
def test_a_store_does_what_dicts_and_lists_do(steps: List[Any]) -> None:
    options = Options(survive=Survive.PROCESS, memory_bytes=1 << 18, chunk_bytes=1 << 16)
    with tempfile.TemporaryDirectory(prefix="sarsen-model-") as folder:
        model, frozen = Model(), Model()
        store = sarsen.Store(folder, options)
        snapshot = store.snapshot()
        try:
            for step in steps:
                if step == "reopen":
                    snapshot.close()
                    store.close()
                    store = sarsen.Store(folder, options)
                elif isinstance(step, str):
                    getattr(store, step)() if step != "snapshot" else snapshot.close()
                else:
                    with store.batch() as batch:
                        for operation in step:
                            getattr(batch, operation[0])(*operation[1:])
                            model.apply(operation)
                if step in ("reopen", "snapshot"):
                    snapshot, frozen = store.snapshot(), copy.deepcopy(model)
            model.check(store)
            frozen.check(snapshot)
            assert store.verify() == []
        finally:
            snapshot.close()
            store.close()
