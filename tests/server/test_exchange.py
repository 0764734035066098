"""The window of messages. Oracles: site order for any order of arrival (property), the count of open messages."""

import itertools
import random
from collections.abc import Iterable, Iterator

import pytest
from flwr.app import ConfigRecord, Error, Message, MetricRecord, RecordDict
from flwr.serverapp import Grid
from hypothesis import given, settings
from hypothesis import strategies as st

from server.exchange import Fault, MessageType, exchange
from simulations.engine.grid import _MachineGrid


class ScriptedGrid(_MachineGrid):
    """Answers in an order drawn from ``seed``; nodes in ``silent`` never, nodes in ``refused`` take no message."""

    def __init__(self, seed: int, silent: Iterable[int] = (), refused: Iterable[int] = ()) -> None:
        super().__init__({})
        self._queue: dict[str, Message] = {}
        self.draw = random.Random(seed)
        self.silent, self.refused = set(silent), set(refused)
        self.most_open = 0
        self.asked: list[int] = []

    def _queue_up(self, message: Message) -> None:
        self._queue[message.metadata.message_id] = message
        self.asked.append(message.metadata.dst_node_id)

    def push_messages(self, messages: Iterable[Message]) -> Iterable[str]:
        pushed = super().push_messages([m for m in messages if m.metadata.dst_node_id not in self.refused])
        self.most_open = max(self.most_open, len(self._queue))
        return pushed

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        ready = [i for i in message_ids if self._queue[i].metadata.dst_node_id not in self.silent]
        chosen = self.draw.sample(ready, self.draw.randint(min(1, len(ready)), len(ready)))
        return [self._reply(self._queue.pop(message_id)) for message_id in chosen]

    def _reply(self, message: Message) -> Message:
        node = message.metadata.dst_node_id
        if node % 5 == 0:
            return Message(Error(2, f"node {node} broke\nTraceback ..."), reply_to=message)
        return Message(RecordDict({"m": MetricRecord({"node": node})}), reply_to=message)


class OneWorkerGrid(ScriptedGrid):
    """A LocalGrid that works on the first of its messages only, and answers at every second pull."""

    def __init__(self, silent: Iterable[int] = ()) -> None:
        super().__init__(0, silent)
        self.pulls = 0
        self.waited: list[float] = []
        self.cancelled: list[int] = []

    def pull_messages(self, message_ids: Iterable[str]) -> Iterable[Message]:
        self.pulls += 1
        first = next(iter(self._queue), "")
        if not first or self.pulls % 2 or self._queue[first].metadata.dst_node_id in self.silent:
            return []
        return [self._reply(self._queue.pop(first))]

    def queued(self, message_id: str) -> bool:
        return message_id != next(iter(self._queue))

    def cancel(self, message_id: str) -> None:
        self.cancelled.append(self._queue.pop(message_id).metadata.dst_node_id)

    def wait(self, seconds: float) -> None:
        self.waited.append(seconds)


def ask(
    grid: Grid,
    nodes: dict[str, int],
    window: int,
    deadline: float = 60.0,
    cost: dict[str, float] | None = None,
) -> list[tuple[str, RecordDict | Fault]]:
    content = RecordDict({"c": ConfigRecord()})
    return list(
        exchange(
            grid,
            nodes,
            MessageType.QUERY,
            lambda _: content,
            round_number=1,
            deadline_seconds=deadline,
            window=window,
            cost=cost,
        )
    )


@pytest.fixture
def clock() -> Iterator[None]:
    """Ten seconds pass between any two looks at the clock."""
    now = itertools.count(0, 10)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("server.exchange.time.monotonic", lambda: float(next(now)))
        yield


@given(st.integers(0, 30), st.integers(1, 8), st.integers(0, 10**6))
def test_replies_come_by_site_name_whoever_answers_first(num_nodes: int, window: int, seed: int) -> None:
    nodes = {f"s{i:02d}": i + 1 for i in range(num_nodes)}
    grid = ScriptedGrid(seed)
    replies = ask(grid, nodes, window)
    assert [site for site, _ in replies] == sorted(nodes)
    assert grid.most_open <= window
    for site, reply in replies:
        if nodes[site] % 5 == 0:
            assert isinstance(reply, Fault)
            assert (reply.failure.code, reply.failure.cause) == ("flower-2", f"node {nodes[site]} broke")
            assert reply.detail == "Traceback ..."
        else:
            assert reply.metric_records["m"]["node"] == nodes[site]


def test_silence_and_refusal_are_faults_and_the_others_count() -> None:
    replies = dict(ask(ScriptedGrid(1, silent=[1], refused=[2]), {"a": 1, "b": 2, "c": 3}, 8, deadline=0.2))
    assert replies["a"].failure.code == "deadline"
    assert "0.2 s" in replies["a"].failure.cause
    assert replies["b"].failure.code == "push"
    assert replies["c"].metric_records["m"]["node"] == 3


def test_waiting_in_the_queue_of_a_busy_grid_is_not_lateness(clock: None) -> None:
    """One reply per pull, each later than the deadline after its push: all arrive, since the grid always delivers."""
    replies = ask(ScriptedGrid(1), {f"s{i}": i + 1 for i in range(4)}, 8, deadline=5.0)
    assert [type(reply) for _, reply in replies] == [RecordDict] * 4


def test_on_a_local_grid_the_clock_runs_while_a_site_works(clock: None) -> None:
    """Each site works for one look at the clock (10 s); the last waited for three others before it."""
    grid = OneWorkerGrid()
    replies = ask(grid, {f"s{i}": i + 1 for i in range(4)}, 8, deadline=25.0)
    assert [type(reply) for _, reply in replies] == [RecordDict] * 4
    assert grid.cancelled == []
    assert grid.waited  # and did not sleep


def test_on_a_local_grid_who_hangs_is_ended_and_the_next_one_begins(clock: None) -> None:
    grid = OneWorkerGrid(silent=[2])
    replies = dict(ask(grid, {f"s{i}": i + 1 for i in range(4)}, 8, deadline=25.0))
    assert replies["s1"].failure.code == "deadline"
    assert grid.cancelled == [2]
    assert [type(replies[site]) for site in ("s0", "s2", "s3")] == [RecordDict] * 3


@pytest.mark.parametrize(
    ("window", "asked"),
    [
        (4, ["c", "a", "b", "d"]),  # the most work first, equal work by name
        (3, ["c", "a", "b", "d"]),
        (2, ["a", "b", "c", "d"]),  # the window takes names in order, so that replies can be handed on
    ],
)
def test_who_has_the_most_work_is_asked_first_within_the_window(window: int, asked: list[str]) -> None:
    nodes = {"a": 1, "b": 2, "c": 3, "d": 4}
    grid = OneWorkerGrid()
    replies = ask(grid, nodes, window, cost={"a": 2.0, "b": 2.0, "c": 9.0})
    assert [name for node in grid.asked for name in nodes if nodes[name] == node] == asked
    assert [site for site, _ in replies] == sorted(nodes)


@settings(max_examples=30)
@given(st.integers(0, 12), st.integers(1, 5), st.lists(st.floats(0, 9), min_size=12, max_size=12))
def test_any_cost_ends_and_hands_on_by_name(num_nodes: int, window: int, costs: list[float]) -> None:
    nodes = {f"s{i:02d}": i + 1 for i in range(num_nodes)}
    grid = OneWorkerGrid()
    replies = ask(grid, nodes, window, cost=dict(zip(nodes, costs, strict=False)))
    assert [site for site, _ in replies] == sorted(nodes)
    assert grid.most_open <= window
