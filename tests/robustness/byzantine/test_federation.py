"""Malicious sites in whole simulations.

Oracles: the bytes of the run in one process; the update of the same site when it is honest; a linear model whose
federation can be worked out (each site pulls the weights towards the same point).
"""

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from flwr.app import Context, RecordDict

from client.adversary import refuse_outside_simulation
from client.app import app as client_app
from medfed import events
from medfed.config import Scenario, parse_scenario
from medfed.errors import ScenarioError, SiteError
from medfed.params import load_weights
from medfed.results import RunResult, Status
from robustness.byzantine.alie import ALIE
from robustness.byzantine.contract import View
from server.app import main
from simulations.benchmarks.noniid.runs import failure, federate, prepared
from simulations.engine.grid import InProcessGrid
from simulations.run import resume, simulate

TEXT = """
name = "poisoned"
task = { kind = "classification", classes = ["normal", "pneumonia"] }
model = { name = "simulations.benchmarks.noniid.patch_cnn:PatchCNN", width = 2 }

[data]
path = "package:medfed/data/samples/pneumoniamnist/pneumoniamnist.npz"
image_size = 28
partition = { name = "iid", num_sites = 5 }

[training]
rounds = 2
local_steps = 2
batch_size = 16
loss = "cross_entropy"

[evaluation]
every = 2
resamples = 100

[baselines]
local = false
pooled = false

[record]
rounds = [1, 2]

[adversary]
sites = ["site-01", "site-03"]

[engine]
workers = 1
"""
SITES = tuple(f"site-{number:02d}" for number in range(1, 6))
MALICIOUS = ("site-01", "site-03")


def scenario(behaviour: Any = "sign_flip", **changes: Any) -> Scenario:
    return parse_scenario(TEXT).replace(**{"adversary.behaviour": behaviour} | changes)


def honest(**changes: Any) -> Scenario:
    return scenario(**{"adversary.sites": 0} | changes)


def updates(folder: Path, round_number: int = 1) -> dict[str, dict[str, torch.Tensor]]:
    recorded = folder / "recorded" / str(round_number)
    return {
        site: load_weights(recorded / f"{site}.safetensors")
        for site in SITES
        if (recorded / f"{site}.safetensors").exists()
    }


def played(one: Scenario, out: Path) -> Path:
    """The folder of its run, without page and baselines."""
    federate(prepared(one), out)
    assert failure(out / one.name) is None
    return out / one.name


class Cut(BaseException):
    """What a power cut is to a program."""


def cut_in_round_2(event: events.Event) -> None:
    if isinstance(event, events.SiteDone) and event.round == 2:
        raise Cut


@pytest.mark.parametrize(
    ("behaviour", "more"),
    [
        ("min_max", {"adversary.knowledge": "everyone", "federation.strategy": "scaffold"}),
        ("gaussian", {"federation.compression": {"name": "int8"}}),
    ],
)
def test_workers_and_a_cut_change_no_bit(behaviour: Any, more: dict[str, Any], tmp_path: Path) -> None:
    def model(name: str) -> bytes:
        return (tmp_path / name / "poisoned" / "model.safetensors").read_bytes()

    whole = simulate(scenario(behaviour, **more), out=tmp_path / "whole")
    assert any("malicious sites were played" in line and "site-01, site-03" in line for line in whole.summary.warnings)
    simulate(scenario(behaviour, **more, **{"engine.workers": 3}), out=tmp_path / "3 workers")
    with pytest.raises(Cut):
        simulate(scenario(behaviour, **more), out=tmp_path / "cut", listener=cut_in_round_2)
    resume(tmp_path / "cut" / "poisoned")
    assert model("3 workers") == model("whole")
    assert model("cut") == model("whole")


@pytest.mark.parametrize("knowledge", ["colluders", "everyone"])
def test_what_the_adversary_knows_is_what_honest_sites_send(knowledge: str, tmp_path: Path) -> None:
    """ALIE of the updates of the same federation without adversary; the honest sites' own are untouched."""
    truth = updates(played(honest(), tmp_path / "honest"))
    attacked = scenario("alie", **{"adversary.knowledge": knowledge})
    sent = updates(played(attacked, tmp_path / "attacked"))
    seen = MALICIOUS if knowledge == "colluders" else [site for site in SITES if site not in MALICIOUS]
    for name in truth["site-01"]:
        known = torch.stack([truth[site][name].reshape(-1) for site in seen])
        expected = ALIE()(View(known[0], known, 5, 2, 1), np.random.default_rng(0))
        for site in MALICIOUS:
            torch.testing.assert_close(sent[site][name].reshape(-1), expected, rtol=1e-5, atol=1e-8)
        for site in set(SITES) - set(MALICIOUS):
            assert torch.equal(sent[site][name], truth[site][name])


def test_a_site_that_flips_labels_trains_as_one_whose_labels_are_wrong(tmp_path: Path) -> None:
    truth = updates(played(honest(), tmp_path / "honest"))
    sent = updates(played(scenario("label_flip"), tmp_path / "flipped"))
    head = "head.2.bias"  # moves towards the classes that are there: 3 of 4 films are of pneumonia
    for site in MALICIOUS:
        assert truth[site][head][1] > truth[site][head][0]
        assert sent[site][head][1] < sent[site][head][0]


@pytest.mark.parametrize("behaviour", ["nan", "inf"])
def test_what_is_no_number_is_refused_and_the_site_named(behaviour: str, tmp_path: Path) -> None:
    run = RunResult.load(played(scenario(behaviour), tmp_path))
    assert run.status is Status.DEGRADED
    for line in run.rounds():
        assert [(failure.site, failure.code) for failure in line.failed] == [(site, "update") for site in MALICIOUS]
    assert all(value.isfinite().all() for value in load_weights(run.folder / "model.safetensors").values())


def test_an_oversized_claim_takes_the_weighted_mean_and_not_the_uniform_one(tmp_path: Path) -> None:
    """With the weight of 1000 sites each, two sites that send -x decide: the step is theirs, but for 3 in 2003."""
    claims = {"name": "oversized_count", "inner": {"name": "sign_flip", "scale": 1.0}}
    steps = {}
    for weighting in ("examples", "uniform"):
        strategy = {"federation.strategy": {"name": "fedavg", "weighting": weighting}}
        folder = played(scenario(claims, **strategy), tmp_path / weighting)
        first, second = (
            load_weights(folder / "recorded" / str(number) / "global.weights.safetensors") for number in (1, 2)
        )
        sent = updates(folder)
        theirs = sum(sent[site]["head.2.weight"] for site in MALICIOUS) / 2
        steps[weighting] = float((second["head.2.weight"] - first["head.2.weight"] - theirs).norm() / theirs.norm())
        assert all(line.sites["site-01"].num_examples > 1000 for line in RunResult.load(folder).rounds())
    assert steps["examples"] < 0.02
    assert steps["uniform"] > 0.5


def test_an_oversized_claim_above_the_cap_is_refused_as_the_site_joins_and_the_honest_go_on(tmp_path: Path) -> None:
    strategy = {"name": "fedavg", "max_examples": 1000}
    folder = played(scenario("oversized_count", **{"federation.strategy": strategy}), tmp_path)
    result = RunResult.load(folder)
    assert result.status is Status.DEGRADED
    for line in result.rounds():
        assert set(line.sites) == set(SITES) - set(MALICIOUS)
        assert {failure.site for failure in line.failed} == set(MALICIOUS)
        assert all("max_examples" in failure.cause for failure in line.failed)


def test_the_mean_is_broken_and_the_median_is_not(tmp_path: Path) -> None:
    """Sites that agree send about -5 x for 2 of 5: the mean goes to (3 - 10) / 5 x, backwards; the median stays."""
    model = {"name": "tests.robustness.byzantine.linear:Linear"}
    lengths = {}
    for rule in ("mean", "median"):
        chosen = scenario(**{"federation.aggregator": rule, "model": model, "training.rounds": 2})
        folder = played(chosen, tmp_path / rule)
        sent = updates(folder)
        agreed = sum(sent[site]["1.bias"] for site in SITES if site not in MALICIOUS) / 3
        first, second = (
            load_weights(folder / "recorded" / str(number) / "global.weights.safetensors") for number in (1, 2)
        )
        lengths[rule] = float((second["1.bias"] - first["1.bias"]) @ agreed / (agreed @ agreed))
    assert lengths["mean"] < -1.0
    assert lengths["median"] > 0.5


def test_so_many_sites_are_drawn_by_the_seed() -> None:
    drawn = [honest(**{"adversary.sites": 2, "federation.sites": SITES, "seed": seed}) for seed in range(6)]
    assert all(len(set(one.malicious_sites)) == 2 and set(one.malicious_sites) <= set(SITES) for one in drawn)
    assert len({one.malicious_sites for one in drawn}) > 1
    assert honest(**{"federation.sites": SITES}).malicious_sites == ()


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"adversary.sites": ["site-09"]}, 'key "adversary.sites": site-09 do not train; expected site-01, '),
        ({"adversary.sites": 5}, "expected at most 4 of the 5 sites that train, got 5"),
        (
            {"adversary.sites": 1, "adversary.behaviour": "min_max"},
            'key "adversary.behaviour": min_max hides in the spread of known updates',
        ),
        (
            {"adversary.behaviour": "ipm", "adversary.knowledge": "everyone", "federation.sites_per_round": 3},
            'key "adversary.knowledge": "everyone" would know updates of sites that are not asked in a round',
        ),
        (
            {"adversary.behaviour": {"name": "backdoor", "target": 2}},
            'key "adversary.behaviour": target: expected a cl',
        ),
        ({"engine.vectorise": 2}, "malicious sites .* are trained one at a time"),
    ],
)
def test_what_cannot_be_played_is_refused_before_anything_is_written(changes, said: str, tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match=said):
        simulate(scenario(**changes), out=tmp_path)
    assert not any(tmp_path.iterdir())


def test_a_deployment_refuses_at_the_server_and_at_the_site() -> None:
    text = scenario(**{"federation.sites": SITES}).to_toml()
    with pytest.raises(ScenarioError, match="only a simulation plays malicious sites"):
        main(InProcessGrid(client_app, {}), Context(1, 1, {}, RecordDict(), {"scenario": text}))
    hospital = Context(1, 2, {"site": "site-01", "data": "/data/labels.csv"}, RecordDict(), {})
    with pytest.raises(SiteError, match="a deployment does not play"):
        refuse_outside_simulation(hospital, scenario())
    refuse_outside_simulation(hospital, honest())


def test_a_scenario_without_adversary_does_not_speak_of_one() -> None:
    assert "adversary" not in honest().to_toml()
    again = parse_scenario(scenario("ipm").to_toml())
    assert again == scenario("ipm")
