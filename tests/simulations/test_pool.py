"""The grid with worker processes. Oracles: the in-process grid's replies and bits, process ids, counted events."""

import itertools
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flwr.app import Message, MessageType, RecordDict

from medfed import events
from medfed.results import Status
from server.exchange import Fault, LocalGrid, exchange
from simulations.engine.grid import InProcessGrid, PoolGrid, local_grid
from simulations.run import simulate
from tests.simulations.pool_app import request
from tests.simulations.test_sharing import mappings

APP = "tests.simulations.pool_app:app"
SITES = ("a", "b", "c", "d", "z")
SHORT = {"training.rounds": 1, "training.local_steps": 1, "baselines.local": False, "baselines.pooled": False}


@pytest.fixture
def grid() -> Iterator[PoolGrid]:
    """Five sites, two workers."""
    with PoolGrid(APP, {site: {"site": site} for site in SITES}, 2) as made:
        yield made


def ask(grid: PoolGrid | InProcessGrid, content: RecordDict, sites: tuple[str, ...] = SITES) -> dict[str, Message]:
    nodes = dict(zip(SITES, grid.get_node_ids(), strict=True))
    messages = [Message(content, nodes[site], MessageType.QUERY, group_id="1") for site in sites]
    names = {node: site for site, node in nodes.items()}
    return {names[reply.metadata.src_node_id]: reply for reply in grid.send_and_receive(messages)}


def arrays(reply: Message) -> dict[str, Any]:
    return {
        name: {key: (a.dtype, a.shape, a.stype, bytes(a.data)) for key, a in record.items()}
        for name, record in reply.content.array_records.items()
    }


def pid(reply: Message) -> int:
    return int(reply.content["answer"]["pid"])


def test_replies_are_those_of_the_in_process_grid(grid: PoolGrid, tmp_path: Path) -> None:
    content = request(tmp_path)
    started: list[str] = []
    with events.listening(lambda event: started.append(event.site)):
        replies = ask(grid, content)
    assert sorted(started) == sorted(replies) == list(SITES)
    assert 1 <= len({pid(reply) for reply in replies.values()}) <= 2
    expected = ask(local_grid(APP, {site: {"site": site} for site in SITES}, 1), content)
    assert {site: arrays(reply) for site, reply in replies.items()} == {s: arrays(r) for s, r in expected.items()}
    kept = [field for field in vars(replies["a"].metadata) if field not in ("_created_at", "_message_id", "_ttl")]
    for field in kept:
        assert vars(replies["a"].metadata)[field] == vars(expected["a"].metadata)[field]


def test_both_kinds_of_grid_are_local(grid: PoolGrid) -> None:
    assert isinstance(grid, LocalGrid)
    assert isinstance(local_grid(APP, {}, 1), LocalGrid)


def test_memory_does_not_grow_from_round_to_round_and_none_stays_behind(tmp_path: Path) -> None:
    before = mappings()
    with PoolGrid(APP, {site: {"site": site} for site in SITES}, 2) as grid:
        seen = []
        for _ in range(6):
            replies = ask(grid, request(tmp_path))
            seen.append(mappings() - before)
            for reply in replies.values():
                reply.content.clear()
    assert len(SITES) <= seen[0] <= max(seen) <= 2 * len(SITES)  # each of the two may have answered all of a round
    del grid
    assert mappings() == before


def test_an_exception_is_an_error_reply_with_the_traceback(grid: PoolGrid, tmp_path: Path) -> None:
    replies = ask(grid, request(tmp_path, b="raise"))
    assert {site for site, reply in replies.items() if reply.has_error()} == {"b"}
    assert replies["b"].error.reason.startswith("boom\n")
    assert 'raise RuntimeError("boom' in replies["b"].error.reason


def test_an_app_that_cannot_be_imported_is_an_error_reply() -> None:
    with PoolGrid("tests.simulations.no_such_module:app", {site: {"site": site} for site in SITES}, 2) as grid:
        reply = ask(grid, request(Path()), ("a",))["a"]
    assert reply.error.reason.startswith("No module named 'tests.simulations.no_such_module'")


def test_a_message_whose_worker_died_is_tried_once_more(grid: PoolGrid, tmp_path: Path) -> None:
    started: list[str] = []
    with events.listening(lambda event: started.append(event.site)):
        replies = ask(grid, request(tmp_path, b="die once"))
    assert not any(reply.has_error() for reply in replies.values())
    assert pid(replies["b"]) == int((tmp_path / "b.pid").read_text())
    assert sorted(started) == list(SITES)  # told once


@pytest.mark.parametrize(("do", "cause"), [("die", "killed by SIGKILL; out of memory?"), ("exit", "exit code 7; see")])
def test_a_second_death_is_the_sites_own(grid: PoolGrid, tmp_path: Path, do: str, cause: str) -> None:
    replies = ask(grid, request(tmp_path, b=do))
    assert {site for site, reply in replies.items() if reply.has_error()} == {"b"}
    assert f"died 2 times, the last time {cause}" in replies["b"].error.reason
    again = ask(grid, request(tmp_path))
    assert not any(reply.has_error() for reply in again.values())


def test_who_hangs_is_late_and_the_others_go_on(
    grid: PoolGrid, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The clock stands still until all others were handed on; then only the site that hangs can be late."""
    ticks = itertools.chain()
    monkeypatch.setattr("server.exchange.time.monotonic", lambda: float(next(ticks, 0)))
    nodes = dict(zip(SITES, grid.get_node_ids(), strict=True))
    content = request(tmp_path, z="hang")
    replies = {}
    for site, reply in exchange(
        grid,
        nodes,
        MessageType.QUERY,
        lambda _: content,
        round_number=1,
        deadline_seconds=60.0,
        window=9,
        cost={"z": 9.0},
    ):
        replies[site] = reply
        if site == "d":
            ticks = itertools.count(1000, 10)
    assert isinstance(replies["z"], Fault)
    assert (replies["z"].failure.code, replies["z"].failure.cause) == ("deadline", "no reply within 60 s")
    assert [type(replies[site]) for site in SITES[:-1]] == [RecordDict] * 4
    hung = int((tmp_path / "z.pid").read_text())
    again = ask(grid, request(tmp_path))
    assert not any(reply.has_error() for reply in again.values())
    assert hung not in {pid(reply) for reply in again.values()}


def test_a_queued_message_can_be_cancelled(grid: PoolGrid, tmp_path: Path) -> None:
    nodes = dict(zip(SITES, grid.get_node_ids(), strict=True))
    content = request(tmp_path, a="hang", b="hang")
    messages = [Message(content, nodes[site], MessageType.QUERY, group_id="1") for site in ("a", "b", "c")]
    first, second, third = list(grid.push_messages(messages))
    while not (tmp_path / "b.pid").exists():
        grid.wait(0.01)
    assert [grid.queued(i) for i in (first, second, third)] == [False, False, True]
    grid.cancel(third)
    assert not grid.queued(third)
    grid.cancel(first)  # frees a worker: were the third still there, it would be begun
    assert pid(ask(grid, request(tmp_path), ("d",))["d"])
    assert not (tmp_path / "c.pid").exists()


def test_closing_ends_workers_that_are_busy(tmp_path: Path) -> None:
    with PoolGrid(APP, {site: {"site": site} for site in SITES}, 2) as grid:
        node = next(iter(grid.get_node_ids()))
        list(grid.push_messages([Message(request(tmp_path, a="hang"), node, MessageType.QUERY, group_id="1")]))
        while not (tmp_path / "a.pid").exists() or not (tmp_path / "a.pid").read_text():
            grid.wait(0.01)
    assert not Path(f"/proc/{(tmp_path / 'a.pid').read_text()}").exists()


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> bytes:
    """The model of the tiny run with one worker."""
    from medfed.config import parse_scenario
    from tests.simulations.conftest import FEW

    done = simulate(parse_scenario(FEW).replace(**SHORT), out=tmp_path_factory.mktemp("runs"))
    return (done.folder / "model.safetensors").read_bytes()


@pytest.mark.parametrize("workers", [2, 4])
def test_workers_change_no_bit(alone: bytes, tiny: Any, tmp_path: Path, workers: int) -> None:
    done = simulate(tiny(**SHORT, **{"engine.workers": workers}), out=tmp_path)
    assert (done.folder / "model.safetensors").read_bytes() == alone


def test_a_trainer_that_is_killed_once_changes_no_bit(alone: bytes, tiny: Any, tmp_path: Path) -> None:
    trainer = {"name": "tests.simulations.deadly:Deadly", "site": "site-02", "marker": str(tmp_path / "died")}
    done = simulate(tiny(**SHORT, **{"engine.workers": 2, "training.trainer": trainer}), out=tmp_path)
    assert (tmp_path / "died").exists()
    assert done.status is Status.COMPLETED
    assert (done.folder / "model.safetensors").read_bytes() == alone


def test_a_trainer_that_is_always_killed_costs_its_site_only(tiny: Any, tmp_path: Path) -> None:
    trainer = {"name": "tests.simulations.deadly:Deadly", "site": "site-02"}
    done = simulate(tiny(**SHORT, **{"engine.workers": 2, "training.trainer": trainer}), out=tmp_path)
    assert done.status is Status.DEGRADED
    (result,) = done.rounds()
    (failure,) = result.failed
    assert failure.site == "site-02"
    assert "killed by SIGKILL; out of memory? lower engine.workers" in failure.cause
    assert {name for name, site in result.sites.items() if site.num_steps} == {"site-01", "site-03"}
