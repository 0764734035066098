"""Batches of train messages on the grids of one machine. Oracles: counted by hand, what each site was told to do."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest
from flwr.app import Message, MessageType, RecordDict

from medfed import events
from server.exchange import Fault, Reply, exchange
from simulations.engine.grid import InProcessGrid, PoolGrid, local_grid
from tests.simulations.batch_app import request

APP, TOGETHER = "tests.simulations.batch_app:app", "tests.simulations.batch_app:together"
SITES = ("a", "b", "c", "d", "e")


@pytest.fixture(params=[1, 2])
def grid(request: pytest.FixtureRequest) -> Iterator[InProcessGrid | PoolGrid]:
    with local_grid(APP, {site: {"site": site} for site in SITES}, request.param, TOGETHER) as made:
        yield made


def ask(
    grid: InProcessGrid | PoolGrid, content: RecordDict, window: int = 5, cost: Mapping[str, float] | None = None
) -> dict[str, Reply]:
    nodes = dict(zip(SITES, grid.get_node_ids(), strict=True))
    asked = exchange(
        grid,
        nodes,
        MessageType.TRAIN,
        lambda _: content,
        round_number=1,
        deadline_seconds=60.0,
        window=window,
        together=2,
        cost=cost,
    )
    return dict(asked)


def batch(reply: Reply) -> int:
    assert isinstance(reply, RecordDict)
    return int(reply["answer"]["batch"])


@pytest.mark.parametrize("window", [1, 2, 3, 5])
def test_batches_are_the_same_for_every_window(grid: InProcessGrid | PoolGrid, tmp_path: Path, window: int) -> None:
    started: list[str] = []
    with events.listening(lambda event: started.append(event.site)):
        replies = ask(grid, request(tmp_path), window, {"c": 3.0})
    assert {site: batch(reply) for site, reply in replies.items()} == {"a": 2, "b": 2, "c": 2, "d": 2, "e": 0}
    assert list(replies) == list(SITES)
    assert sorted(started) == list(SITES)


def test_a_batch_whose_worker_dies_once_is_trained_again_as_a_whole(tmp_path: Path) -> None:
    with PoolGrid(APP, {site: {"site": site} for site in SITES}, 2, TOGETHER) as grid:
        replies = ask(grid, request(tmp_path, "b", times=1))
    assert [batch(reply) for reply in replies.values()] == [2, 2, 2, 2, 0]
    assert len(list(tmp_path.iterdir())) == 1


def test_a_batch_that_dies_twice_costs_only_the_site_that_it_dies_of(tmp_path: Path) -> None:
    with PoolGrid(APP, {site: {"site": site} for site in SITES}, 2, TOGETHER) as grid:
        replies = ask(grid, request(tmp_path, "b", times=9))
    fault = replies.pop("b")
    assert isinstance(fault, Fault)
    assert "its worker process died 2 times" in fault.failure.cause
    assert [batch(reply) for reply in replies.values()] == [0, 2, 2, 0]
    assert len(list(tmp_path.iterdir())) == 4  # twice as a batch, twice alone


def test_other_messages_and_grids_without_a_batch_function_know_no_batches(tmp_path: Path) -> None:
    with local_grid(APP, {site: {"site": site} for site in SITES}, 1) as grid:
        assert [batch(reply) for reply in ask(grid, request(tmp_path)).values()] == [0] * 5
    with local_grid(APP, {site: {"site": site} for site in SITES}, 1, TOGETHER) as grid:
        nodes = list(grid.get_node_ids())
        kept = [Message(request(tmp_path), node, MessageType.EVALUATE, group_id="1") for node in nodes]
        ids = list(grid.push_messages(kept))
        (reply,) = grid.pull_messages(ids)
        assert reply.has_error()  # the app does not evaluate; the others still wait
        assert [grid.queued(message_id) for message_id in ids] == [False, True, True, True, True]


def test_a_cancelled_batch_is_forgotten(tmp_path: Path) -> None:
    with local_grid(APP, {site: {"site": site} for site in SITES}, 1, TOGETHER) as grid:
        nodes = list(grid.get_node_ids())[:2]
        ids = list(grid.push_messages([Message(request(tmp_path), n, MessageType.TRAIN, group_id="1") for n in nodes]))
        assert len(list(grid.pull_messages(ids))) == 1
        grid.cancel(ids[1])
        assert list(grid.pull_messages(ids)) == []
