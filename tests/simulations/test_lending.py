"""Memory lent with replies. Oracles: inverse, a copy kept aside, and what /proc says of mappings and open files.

Arrays are freed by counting references, so that only the tests of mappings and files call the collector.
"""

import os

import torch
from flwr.app import Array, ConfigRecord, RecordDict
from hypothesis import given, settings
from hypothesis import strategies as st

from medfed import messages
from medfed.payload import packing_into
from medfed.types import Update, Weights
from simulations.benchmarks.processes import resident_bytes
from simulations.engine.lending import Borrower, Lender
from tests.simulations.test_sharing import descriptors, mappings, record

RECORDS = st.lists(st.lists(st.binary(max_size=200), max_size=3), max_size=3)


class Pair:
    """A worker and its main process in one."""

    def __init__(self) -> None:
        self.told: list[None] = []
        self.lender, self.borrower = Lender(), Borrower(lambda: self.told.append(None))

    def reply(self, tensors: Weights) -> RecordDict:
        """An update as a site packs it."""
        with packing_into(self.lender.allocate):
            return messages.update_reply(Update("a", tensors, 1, 1, {"loss": 0.0}, {"extra": tensors}), 0.0)

    def through(self, content: RecordDict) -> RecordDict:
        parts, files, dropped = self.lender.lend(content)
        received = self.borrower.receive(parts, [os.dup(file) for file in files], dropped)
        for file in files:
            os.close(file)
        return received

    def give_back(self) -> list[int]:
        returned = self.borrower.returned()
        self.lender.take_back(returned)
        return returned


def update(letter: bytes, size: int = 10_000) -> RecordDict:
    return RecordDict({"update": record({"w": letter * size})})


def data(content: RecordDict) -> Array:
    return content["update"]["w"]


@settings(max_examples=15)
@given(st.lists(RECORDS, max_size=4))
def test_what_is_received_is_what_was_lent(replies: list[list[list[bytes]]]) -> None:
    pair = Pair()
    for records in replies:
        content = RecordDict({"config": ConfigRecord({"a": 1})})
        for number, parts in enumerate(records):
            content[f"arrays {number}"] = record({str(i): data for i, data in enumerate(parts)})
        received = pair.through(content)
        assert list(received) == list(content)
        for number, parts in enumerate(records):
            found = list(received[f"arrays {number}"].values())
            assert [bytes(array.data) for array in found] == parts
            assert [(a.dtype, a.shape, a.stype) for a in found] == [("uint8", (len(part),), "raw") for part in parts]
        del received, content
        pair.give_back()


def test_memory_is_written_again_only_when_its_last_array_is_gone() -> None:
    pair, before = Pair(), mappings()
    first = pair.through(update(b"a"))
    array = data(first)
    del first
    assert pair.give_back() == []
    second = pair.through(update(b"b"))
    assert bytes(array.data) == b"a" * 10_000
    del array
    assert pair.give_back() == [0]
    third = pair.through(update(b"c", 9_000))
    assert mappings() - before == 4  # two memories, each mapped on both sides
    assert bytes(data(second).data) == b"b" * 10_000
    assert bytes(data(third).data) == b"c" * 9_000


def test_what_is_packed_where_it_is_sent_from_is_not_copied() -> None:
    pair, before, files = Pair(), mappings(), descriptors()
    tensors = {"w": torch.arange(1000.0), "b": torch.tensor([True, False])}
    for value in (1.0, 2.0):
        made = pair.reply({"w": tensors["w"] * value, "b": tensors["b"]})
        received = pair.through(made)
        made["update"]["update"].data[-1] = 7  # on the worker's side: the last byte of "b"
        found = messages.read_update("a", received).update
        assert found.tensors["b"].view(torch.uint8).tolist() == [1, 7]
        assert torch.equal(found.tensors["w"], tensors["w"] * value)
        assert torch.equal(found.extras["extra"]["w"], tensors["w"] * value)
        assert mappings() - before == 2  # one memory, written again
        assert 8_002 <= pair.borrower.unread_bytes < 8_300  # both "w" and "b", and what aligns them
        assert len(pair.told) == int(value) - 1
        del made, received, found
        assert pair.borrower.unread_bytes == 0
        assert pair.give_back() == [0]
    del pair
    assert (mappings(), descriptors()) == (before, files)


def test_what_was_packed_and_not_sent_is_used_again() -> None:
    pair, before, files = Pair(), mappings(), descriptors()
    tensors = {"w": torch.arange(1000.0)}
    for _ in range(3):
        pair.reply(tensors)  # the site then failed: no reply, or one without it
    assert bytes(data(pair.through(update(b"a"))).data) == b"a" * 10_000
    assert pair.give_back() == [3]
    received = pair.through(pair.reply(tensors))
    assert torch.equal(messages.read_update("a", received).update.tensors["w"], tensors["w"])
    del received
    assert mappings() - before == 4  # two memories, each mapped on both sides; the other two are gone
    del pair
    assert (mappings(), descriptors()) == (before, files)


def test_an_update_larger_than_what_is_free_gets_a_memory_of_its_own() -> None:
    pair = Pair()
    pair.through(update(b"a"))
    pair.give_back()
    larger = pair.through(update(b"b", 20_000))
    assert bytes(data(larger).data) == b"b" * 20_000
    del larger
    assert pair.give_back() == [1]


def test_what_was_needed_for_a_moment_is_let_go_on_both_sides() -> None:
    pair, before, files = Pair(), mappings(), descriptors()
    replies = [pair.through(update(b"a")) for _ in range(6)]
    assert mappings() - before == 12
    del replies
    assert sorted(pair.give_back()) == [0, 1, 2, 3, 4, 5]
    last = pair.through(update(b"b"))
    assert mappings() - before == 4  # one is read, one is kept for the next
    assert bytes(data(last).data) == b"b" * 10_000
    del last, pair
    assert (mappings(), descriptors()) == (before, files)


def test_memory_that_rests_is_not_in_this_process_and_loses_nothing() -> None:
    """Of two updates of 8 MB one is read no more; what is still read stays."""
    pair = Pair()
    read, kept = (pair.through(update(letter, 8_000_000)) for letter in (b"a", b"b"))
    held = resident_bytes()
    del read
    pair.borrower.rest(idle=False)
    assert abs(resident_bytes() - held) < 1_000_000, "as many as are in use at a time"
    pair.borrower.rest(idle=True)
    assert -9_000_000 < resident_bytes() - held < -7_000_000
    assert bytes(data(kept).data) == b"b" * 8_000_000
    assert pair.give_back() == [0]
    again = pair.through(update(b"c", 8_000_000))
    assert bytes(data(again).data) == b"c" * 8_000_000
    assert bytes(data(kept).data) == b"b" * 8_000_000


def test_more_memory_than_usual_rests_at_once() -> None:
    pair = Pair()
    first, second, third = (pair.through(update(letter, 8_000_000)) for letter in (b"a", b"b", b"c"))
    held = resident_bytes()
    del first
    pair.borrower.rest(idle=False)
    assert -9_000_000 < resident_bytes() - held < -7_000_000
    assert [bytes(data(each).data[:1]) for each in (second, third)] == [b"b", b"c"]
