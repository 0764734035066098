"""Private runs as a whole: bits, statement, page, a malicious site. Oracles: the bytes of another run, by hand."""

import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest
import torch
from flwr.app import Context, RecordDict

from client.private import protected
from client.strategies.contract import Outcome
from medfed import events
from medfed.config import parse_scenario
from medfed.errors import StopRequested
from medfed.messages import Request
from medfed.models.initial import initial_weights, trained_entries
from medfed.params import load_weights, norm
from medfed.results import RunResult
from medfed.training.local import LocalResult
from privacy.gaussian import gaussian_epsilon
from simulations.run import resume, simulate
from tests.simulations.conftest import FEW

MECHANISMS = {
    "central": {"name": "central", "clip": 0.5, "noise_multiplier": 0.1},
    "central_adaptive": {"name": "central_adaptive", "clip": 0.5, "noise_multiplier": 0.1},
    "local": {"name": "local", "clip": 0.5, "noise_multiplier": 0.01},
}
QUICK = {"baselines.local": False, "baselines.pooled": False, "evaluation.every": 3, "training.rounds": 3}


def tiny(mechanism: str, **changes: Any) -> Any:
    return parse_scenario(FEW).replace(**(QUICK | {"privacy.mechanism": MECHANISMS[mechanism]} | changes))


class Cut(BaseException):
    """What a power cut is to a program."""


def cut_in_round_2(event: events.Event) -> None:
    if isinstance(event, events.SiteDone) and event.round == 2:
        raise Cut


@pytest.mark.parametrize("mechanism", ["central_adaptive", "local"])
def test_workers_and_a_cut_change_no_bit_nor_epsilon(mechanism: str, tmp_path: Path) -> None:
    def kept(folder: Path) -> tuple[bytes, list[float], Any]:
        run = RunResult.load(folder / "tiny")
        epsilons = [line.epsilon for line in run.rounds()]
        return (folder / "tiny" / "model.safetensors").read_bytes(), epsilons, run.summary.privacy

    simulate(tiny(mechanism), out=tmp_path / "whole")
    simulate(tiny(mechanism, **{"engine.workers": 2}), out=tmp_path / "two")
    with pytest.raises(Cut):
        simulate(tiny(mechanism, **{"engine.spool": True}), out=tmp_path / "cut", listener=cut_in_round_2)
    resume(tmp_path / "cut" / "tiny")
    whole = kept(tmp_path / "whole")
    assert kept(tmp_path / "two") == whole
    assert kept(tmp_path / "cut") == whole
    multiplier = MECHANISMS[mechanism]["noise_multiplier"]
    expected = [gaussian_epsilon(number**0.5 / multiplier, 1e-5) for number in (1, 2, 3)]
    assert whole[1] == pytest.approx(expected, rel=1e-9)
    assert whole[2].guarantees[0].epsilon == whole[1][-1]
    if mechanism == "central_adaptive":
        (state,) = (tmp_path / "whole" / "tiny" / "checkpoints" / "3").glob("state.safetensors")
        assert float(load_weights(state)["aggregator/bound"]) != 0.5


@pytest.mark.parametrize("mechanism", ["central", "local"])
def test_a_stopped_run_counts_the_round_that_was_open(mechanism: str, tmp_path: Path) -> None:
    def stop_in_round_2(event: events.Event) -> None:
        if isinstance(event, events.SiteDone) and event.round == 2:
            raise StopRequested("enough")

    with suppress(StopRequested):
        simulate(tiny(mechanism), out=tmp_path, listener=stop_in_round_2)
    (found, _) = RunResult.load(tmp_path / "tiny").summary.privacy.guarantees
    assert found.releases == 2
    multiplier = MECHANISMS[mechanism]["noise_multiplier"]
    assert found.epsilon == pytest.approx(gaussian_epsilon(2**0.5 / multiplier, 1e-5), rel=1e-9)


def test_summary_and_page_say_what_is_promised(tmp_path: Path) -> None:
    run = simulate(tiny("central", **{"training.rounds": 1}), out=tmp_path)
    statement = run.summary.privacy
    assert statement.replayable
    assert statement.mechanism == "central"
    assert "hopeless" in statement.outlook
    page = (run.folder / "report.html").read_text()
    for words in (
        '<section id="privacy">',
        "Not private",
        "hopeless",
        "one added or removed",
        "one replaced",
        "at most one site replaced",
    ):
        assert words in page
    stored = json.loads((run.folder / "summary.json").read_text())
    assert stored["privacy"]["guarantees"][0]["relation"] == "add_remove"
    plain = parse_scenario(FEW).replace(**QUICK | {"training.rounds": 1})
    without = simulate(plain, out=tmp_path / "plain")
    assert without.summary.privacy is None
    assert 'id="privacy"' not in (without.folder / "report.html").read_text()
    assert [line.epsilon for line in without.rounds()] == [None]


def test_noise_is_in_the_model(tmp_path: Path) -> None:
    """The same run with and without noise, everything else alike."""
    changes = {"training.rounds": 1, "federation.strategy.weighting": "uniform"}
    mechanism = {"name": "central", "clip": 1e6, "noise_multiplier": 1e-7}
    plain = parse_scenario(FEW).replace(**QUICK | changes)
    simulate(plain, out=tmp_path / "plain")
    simulate(plain.replace(**{"privacy.mechanism": mechanism}), out=tmp_path / "noised")
    one, other = (load_weights(tmp_path / name / "tiny" / "model.safetensors") for name in ("plain", "noised"))
    trained = trained_entries(plain)
    draws = torch.cat([(other[name] - one[name]).flatten() for name in sorted(trained)])
    assert float(draws.std()) == pytest.approx(0.1 / 3, rel=0.1)  # z C / K


def outcome(weights: dict[str, torch.Tensor]) -> Outcome:
    return Outcome(LocalResult(1, 1, 0.5), {name: torch.full_like(v, 1) for name, v in weights.items()})


def at(site: str, simulated: bool) -> Context:
    return Context(1, 1, {"site": site, "simulated": simulated}, RecordDict(), {})


@pytest.fixture
def request_of() -> Callable[..., Request]:
    def make(mechanism: str, number: int = 1) -> Request:
        scenario = tiny(mechanism).replace(**{"federation.sites": ("a", "b")})
        return Request(scenario, "run", number, initial_weights(scenario))

    return make


def test_a_site_draws_from_the_seed_in_a_simulation_and_from_its_system_elsewhere(request_of) -> None:
    request = request_of("local")
    given = outcome(request.weights)

    def noised(site: str, simulated: bool, asked: Request = request) -> torch.Tensor:
        change = protected(given, asked, at(site, simulated)).change
        return torch.cat([value.flatten() for value in change.values()])

    assert torch.equal(noised("a", True), noised("a", True))
    assert not torch.equal(noised("a", True), noised("b", True))
    assert not torch.equal(noised("a", True), noised("a", True, request_of("local", 2)))
    assert not torch.equal(noised("a", False), noised("a", False))
    change = protected(given, request, at("a", False)).change
    assert norm(change) == pytest.approx((0.5**2 + (0.005**2) * noised("a", False).numel()) ** 0.5, rel=0.1)


def test_sites_leave_updates_alone_where_the_server_adds_the_noise(request_of) -> None:
    request = request_of("central")
    given = outcome(request.weights)
    assert protected(given, request, at("a", True)) is given


def test_a_malicious_site_adds_no_noise(tmp_path: Path) -> None:
    """It sends its own update, ten times; honest ones are clipped to 0.5 and noised."""
    behaviour = {"name": "scaled", "scale": 100.0}
    changes = {"training.rounds": 1, "record.rounds": (1,), "adversary.sites": 1, "adversary.behaviour": behaviour}
    scenario = tiny("local", **changes)
    run = simulate(scenario, out=tmp_path)
    (bad,) = parse_scenario((run.folder / "scenario.toml").read_text()).malicious_sites
    lengths = {
        path.stem: norm({n: v for n, v in load_weights(path).items() if n in trained_entries(scenario)})
        for path in (run.folder / "recorded" / "1").glob("*.safetensors")
        if not path.name.startswith("global")
    }
    assert len(lengths) == 3
    for site, length in lengths.items():
        assert (length > 5.0) == (site == bad), lengths
