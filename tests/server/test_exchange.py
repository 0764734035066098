"""The window of messages. Oracles: site order for any order of arrival (property), the count of open messages."""

import random
from collections.abc import Iterable

import pytest
from flwr.app import ConfigRecord, Error, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import Grid
from hypothesis import given
from hypothesis import strategies as st

from server.exchange import Fault, MessageType, exchange
from simulations.grid import InProcessGrid


class ScriptedGrid(InProcessGrid):
    """Answers in an order drawn from ``seed``; nodes in ``silent`` never, nodes in ``refused`` take no message."""

    def __init__(self, seed: int, silent: Iterable[int] = (), refused: Iterable[int] = ()) -> None:
        super().__init__(ClientApp(), {})
        self.draw = random.Random(seed)
        self.silent, self.refused = set(silent), set(refused)
        self.most_open = 0

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


def ask(grid: Grid, nodes: dict[str, int], window: int, deadline: float = 60.0) -> list[tuple[str, RecordDict | Fault]]:
    content = RecordDict({"c": ConfigRecord()})
    return list(
        exchange(
            grid, nodes, MessageType.QUERY, lambda: content, round_number=1, deadline_seconds=deadline, window=window
        )
    )


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


def test_waiting_in_the_queue_of_a_busy_grid_is_not_lateness() -> None:
    """One reply per pull, each later than the deadline after its push: all arrive, since the grid always delivers."""
    grid = ScriptedGrid(1)
    now = iter(range(0, 10**6, 10))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("server.exchange.time.monotonic", lambda: float(next(now)))
        replies = ask(grid, {f"s{i}": i + 1 for i in range(4)}, 8, deadline=5.0)
    assert [type(reply) for _, reply in replies] == [RecordDict] * 4
