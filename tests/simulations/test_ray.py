"""The Ray engine: the same bits as in one process, though an actor is killed; exceptions come out; faults are named.

Oracle: the bytes of ``model.safetensors`` that one process writes. SCAFFOLD keeps a state at every site, so that a site
which lost it, or its data, gives other bits. Ray starts twice here, once per run.
"""

import json
import os
import subprocess
import sys
import threading
from collections.abc import Iterable
from pathlib import Path

import pytest
from flwr.app import Error, Message, RecordDict
from flwr.supercore.task_identity import TaskIdentity

from medfed.errors import StopRequested
from medfed.results import RunResult, Status
from server.exchange import LocalGrid
from simulations.engine import ray_grid
from simulations.engine.grid import InProcessGrid
from simulations.engine.ray_engine import EngineError, RayEngine
from simulations.engine.ray_grid import RayGrid
from simulations.run import resume, simulate

DEADLINE_SECONDS = 300
PLAIN = {"federation.strategy": "scaffold", "baselines.local": False, "baselines.pooled": False}

RUN = """
import json, sys
from medfed.config import parse_scenario
from medfed.errors import MedfedError, StopRequested
from medfed import events
from simulations.engine.ray_engine import RayEngine
from simulations.run import simulate

text, out, stop_after = sys.argv[1], sys.argv[2], int(sys.argv[3])
seen = []

def listen(event):
    seen.append(type(event).__name__)
    if isinstance(event, events.RoundDone) and event.round == stop_after:
        raise StopRequested("enough", 7)

try:
    run = simulate(parse_scenario(text), out=out, listener=listen, engine=RayEngine())
    print(json.dumps([run.status, seen]))
except StopRequested as reason:
    print(json.dumps([f"{reason} {reason.exit_code}", seen]))
"""


def on_ray(scenario, out: Path, empty: Path, stop_after: int = 0) -> list:
    """Simulate in a process of its own, since a Ray that hangs cannot be ended from within: status and events."""
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'medfed[ray]'")
    scenario = scenario.replace(**{"engine.workers": 2})
    empty.mkdir()
    (empty / "client.py").write_text("raise ImportError('the working directory was first on the path')")
    command = [sys.executable, "-P", "-c", RUN, scenario.to_toml(), str(out), str(stop_after)]
    root = Path(__file__).parents[2]
    environment = os.environ | {"PYTHONPATH": str(root)}
    done = subprocess.run(
        command, capture_output=True, text=True, timeout=DEADLINE_SECONDS, cwd=empty, env=environment, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return json.loads(done.stdout.splitlines()[-1])


@pytest.fixture
def reference(tiny, tmp_path: Path) -> RunResult:
    return simulate(tiny(**PLAIN), out=tmp_path / "reference")


def test_the_same_bits_though_an_actor_is_killed(reference: RunResult, tiny, tmp_path: Path) -> None:
    trainer = {"name": "tests.simulations.deadly:Deadly", "site": "site-02", "marker": str(tmp_path / "died")}
    status, seen = on_ray(tiny(**PLAIN, **{"training.trainer": trainer}), tmp_path / "ray", tmp_path / "empty")
    assert (tmp_path / "died").exists()
    run = RunResult.load(tmp_path / "ray" / "tiny")
    assert (status, run.status) == ("COMPLETED", Status.COMPLETED)
    assert seen.count("SiteDone") == 6  # 3 sites x 2 rounds
    assert (run.folder / "model.safetensors").read_bytes() == (reference.folder / "model.safetensors").read_bytes()
    assert run.summary.mean == reference.summary.mean
    assert (run.folder / "report.html").exists()


def test_a_listeners_stop_comes_out_and_the_run_goes_on_elsewhere(reference: RunResult, tiny, tmp_path: Path) -> None:
    said, seen = on_ray(tiny(**PLAIN), tmp_path / "ray", tmp_path / "empty", stop_after=1)
    assert said == "enough 7"
    assert seen[-1] == "RoundDone"
    assert RunResult.load(tmp_path / "ray" / "tiny").status is Status.STOPPED
    run = resume(tmp_path / "ray" / "tiny")  # here, in processes: the sites' states lie where they are looked for
    assert (run.folder / "model.safetensors").read_bytes() == (reference.folder / "model.safetensors").read_bytes()


def test_without_ray_the_remedy_is_named_before_anything_is_written(tiny, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "ray", None)
    with pytest.raises(EngineError, match=r"pip install 'medfed\[ray\]'"):
        simulate(tiny(**PLAIN), out=tmp_path, engine=RayEngine())
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("address", "said"),
    [("head", "expected HOST:PORT"), (":6379", "expected HOST:PORT"), ("127.0.0.1:1", "nobody answers at 127.0.0.1:1")],
)
def test_an_address_that_cannot_be_is_refused(address: str, said: str) -> None:
    pytest.importorskip("ray", reason="Ray is not installed: pip install 'medfed[ray]'")
    with pytest.raises(EngineError, match=said):
        RayEngine(address).check()


class Inner(InProcessGrid):
    """Flower's grid as far as RayGrid uses it: what was pushed, and replies made by hand."""

    def __init__(self) -> None:
        self.pushed: dict[str, Message] = {}
        self.replies: list[Message] = []

    def push_messages(self, messages: Iterable[Message]) -> list[str]:
        ids = []
        for message in messages:
            ids.append(f"inner-{len(self.pushed)}")
            message.metadata.__dict__["_message_id"] = ids[-1]
            self.pushed[ids[-1]] = message
        return ids

    def pull_messages(self, message_ids: Iterable[str]) -> list[Message]:
        wanted = set(message_ids)
        found = [reply for reply in self.replies if reply.metadata.reply_to_message_id in wanted]
        self.replies = [reply for reply in self.replies if reply not in found]
        return found

    def get_node_ids(self) -> list[int]:
        return [2]

    def answer(self, inner_id: str, content: RecordDict | Error) -> None:
        self.replies.append(Message(content, reply_to=self.pushed[inner_id]))


@pytest.fixture
def inner() -> Inner:
    TaskIdentity.task_id, TaskIdentity.run_id, TaskIdentity.node_id = 1, 1, 1
    return Inner()


def grid_of(inner: Inner, num_actors: int, num_messages: int) -> tuple[RayGrid, list[str]]:
    grid = RayGrid(inner, num_actors, threading.Event())
    assert isinstance(grid, LocalGrid)
    return grid, list(grid.push_messages([Message(RecordDict(), 2, "train") for _ in range(num_messages)]))


def test_two_messages_per_actor_are_in_flight_and_one_has_begun(inner: Inner) -> None:
    grid, ids = grid_of(inner, num_actors=1, num_messages=4)
    assert len(inner.pushed) == 2
    assert [grid.queued(own) for own in ids] == [False, True, True, True]
    inner.answer("inner-0", RecordDict())
    (reply,) = grid.pull_messages(ids)
    assert reply.metadata.reply_to_message_id == ids[0]
    assert len(inner.pushed) == 3
    assert [grid.queued(own) for own in ids[1:]] == [False, True, True]


def test_a_message_whose_actor_died_is_sent_again_and_then_named(inner: Inner, monkeypatch) -> None:
    monkeypatch.setattr(ray_grid, "_PAUSES_SECONDS", (0.0, 0.0))
    grid, ids = grid_of(inner, num_actors=1, num_messages=1)
    for attempt in range(2):
        inner.answer(f"inner-{attempt}", Error(0, "ActorUnavailableError"))
        assert list(grid.pull_messages(ids)) == []
    inner.answer("inner-2", Error(0, "ActorUnavailableError"))
    (reply,) = grid.pull_messages(ids)
    assert reply.error.reason == "its Ray actor died, 3 times in a row\nActorUnavailableError"
    assert reply.metadata.reply_to_message_id == ids[0]
    assert len(inner.pushed) == 3


def test_a_message_is_sent_again_only_after_a_pause_and_not_if_it_was_given_up(inner: Inner, monkeypatch) -> None:
    monkeypatch.setattr(ray_grid, "_PAUSES_SECONDS", (1e9,))
    grid, ids = grid_of(inner, num_actors=1, num_messages=1)
    inner.answer("inner-0", Error(0, "ActorUnavailableError"))
    assert list(grid.pull_messages(ids)) == []
    assert list(grid.pull_messages(ids)) == []
    assert len(inner.pushed) == 1
    grid.cancel(ids[0])
    list(grid.push_messages([Message(RecordDict(), 2, "train") for _ in range(2)]))
    assert len(inner.pushed) == 3  # its place is free


def test_a_fault_that_the_site_answers_itself_is_not_tried_again(inner: Inner) -> None:
    grid, ids = grid_of(inner, num_actors=1, num_messages=1)
    inner.answer("inner-0", Error(2, "boom"))
    (reply,) = grid.pull_messages(ids)
    assert reply.error.reason == "boom"
    assert len(inner.pushed) == 1


def test_what_was_given_up_is_dropped_when_it_comes_and_frees_its_place(inner: Inner) -> None:
    grid, ids = grid_of(inner, num_actors=1, num_messages=4)
    grid.cancel(ids[0])
    grid.cancel(ids[2])  # not sent yet
    inner.answer("inner-0", Error(0, "ended itself"))
    assert list(grid.pull_messages(ids[1:])) == []
    assert len(inner.pushed) == 3
    inner.answer("inner-2", RecordDict())
    (reply,) = grid.pull_messages([ids[1], ids[3]])
    assert reply.metadata.reply_to_message_id == ids[3]


def test_when_ray_has_ended_nobody_waits_for_replies(inner: Inner) -> None:
    ended = threading.Event()
    grid = RayGrid(inner, 1, ended)
    ended.set()
    with pytest.raises(StopRequested, match="Ray has ended"):
        grid.pull_messages([])
    with pytest.raises(StopRequested, match="Ray has ended"):
        grid.get_node_ids()
