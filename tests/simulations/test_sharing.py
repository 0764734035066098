"""Arrays in shared memory. Oracles: inverse (property), and what /proc says of mappings and open files."""

import gc
import os
from pathlib import Path

from flwr.app import Array, ArrayRecord, ConfigRecord, RecordDict
from hypothesis import given, settings
from hypothesis import strategies as st

from simulations.engine.sharing import receive, share


def record(parts: dict[str, bytes]) -> ArrayRecord:
    made = ArrayRecord()
    for name, data in parts.items():
        made[name] = Array("uint8", (len(data),), "raw", data)
    return made


def through(content: RecordDict) -> RecordDict:
    parts, shared = share(content)
    return receive(parts, [os.dup(part.file.fileno()) for part in shared])


def mappings() -> int:
    gc.collect()  # what an earlier test has left to the collector is none of ours
    return Path("/proc/self/maps").read_text().count("memfd:medfed")


def descriptors() -> int:
    gc.collect()
    return len(os.listdir("/proc/self/fd"))


RECORDS = st.lists(st.lists(st.binary(max_size=200), max_size=3), max_size=3)


@settings(max_examples=30)
@given(RECORDS)
def test_what_is_received_is_what_was_shared(records: list[list[bytes]]) -> None:
    content = RecordDict({"config": ConfigRecord({"a": 1})})
    for number, parts in enumerate(records):
        content[f"arrays {number}"] = record({str(i): data for i, data in enumerate(parts)})
    received = through(content)
    assert list(received) == list(content)
    assert dict(received["config"]) == {"a": 1}
    for number, parts in enumerate(records):
        found = list(received[f"arrays {number}"].values())
        assert [bytes(array.data) for array in found] == parts
        assert [(a.dtype, a.shape, a.stype) for a in found] == [("uint8", (len(data),), "raw") for data in parts]


def test_a_kept_record_is_written_once_and_its_memory_lives_as_long_as_it() -> None:
    before = descriptors()
    weights = record({"w": b"abc"})
    first = share(RecordDict({"weights": weights}))[1]
    second = share(RecordDict({"weights": weights, "config": ConfigRecord()}))[1]
    assert first[0] is second[0]
    del first, second, weights
    assert descriptors() == before


def test_who_writes_into_received_arrays_changes_nobody_elses() -> None:
    content = RecordDict({"weights": record({"w": b"abc"})})
    one, other = through(content), through(content)
    one["weights"]["w"].data[0] = ord("x")
    assert bytes(one["weights"]["w"].data) == b"xbc"
    assert bytes(other["weights"]["w"].data) == b"abc"
    assert bytes(through(content)["weights"]["w"].data) == b"abc"


def test_memory_is_freed_with_the_last_array_and_no_descriptor_stays_open() -> None:
    before, mapped = descriptors(), mappings()
    content = RecordDict({"update": record({"w": b"abc" * 10_000})})
    received = through(content)
    array = received["update"]["w"]
    del received, content
    assert (descriptors(), mappings()) == (before, mapped + 1)
    assert array.data[:3] == b"abc"
    del array
    assert mappings() == mapped
