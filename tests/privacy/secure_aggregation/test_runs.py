"""Runs under secure aggregation. Oracles: the plain run within the stated error, bytes of another run, chi-square."""

from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from flwr.app import Context, Message, RecordDict
from flwr.clientapp import ClientApp
from scipy import stats

from client.app import app
from client.secure import require_plain
from medfed import events
from medfed.config import Scenario, parse_scenario
from medfed.errors import QuorumError, ScenarioError, SiteError
from medfed.params import load_weights, num_values
from medfed.results import RunResult, Status
from privacy.secure_aggregation import wire
from simulations.engine.worker import load
from simulations.inputs import check_inputs
from simulations.run import resume, simulate
from tests.simulations.conftest import FEW

PHASES = (wire.KEYS, wire.SHARES, wire.MASKED, wire.OPEN)
UNIFORM = {"training.rounds": 1, "federation.strategy": {"name": "fedavg", "weighting": "uniform"}}
ON = {"federation.secure_aggregation": {"name": "secagg_plus"}}


def tiny(**changes: Any) -> Scenario:
    quick = {"baselines.local": False, "baselines.pooled": False, "evaluation.every": 2, "training.local_steps": 1}
    return parse_scenario(FEW).replace(**({"data.partition.num_sites": 5} | quick | changes))


def model(folder: Path) -> dict[str, torch.Tensor]:
    return load_weights(folder / "tiny" / "model.safetensors")


class Watched(ClientApp):
    """Our ClientApp; ``site`` fails in ``phase`` of ``in_round``; the replies to one phase are kept."""

    def __init__(self, site: str = "", phase: str = "", keep: str = "") -> None:
        super().__init__()
        self.site, self.type = site, wire.MESSAGE_TYPES.get(phase, "")
        self.keep = wire.MESSAGE_TYPES.get(keep, "")
        self.types: list[str] = []
        self.kept: list[RecordDict] = []

    def __call__(self, message: Message, context: Context) -> Message:
        asked = message.metadata.message_type
        if context.node_config["site"] == self.site and asked == self.type:
            raise RuntimeError("gone")
        reply = app(message, context)
        self.types.append(asked)
        if asked == self.keep:
            self.kept.append(reply.content)
        return reply


@pytest.fixture
def sites(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Watched]:
    """``sites(site, phase)``: whoever answers in the place of ``client.app:app``."""

    def put(*args: str, **options: str) -> Watched:
        watched = Watched(*args, **options)
        monkeypatch.setattr(
            "simulations.engine.grid.load", lambda name: watched if name == "client.app:app" else load(name)
        )
        return watched

    return put


@pytest.mark.parametrize("weighting", ["examples", "uniform"])
def test_one_round_is_the_plain_one_within_the_stated_error(weighting: str, tmp_path: Path) -> None:
    """(2^31 - 1) / W levels on either side of 0, W the sites' images, or 5; float32 adds its own rounding."""
    changes = {"training.rounds": 1, "federation.strategy": {"name": "fedavg", "weighting": weighting}}
    simulate(tiny(**changes), out=tmp_path / "plain")
    run = simulate(tiny(**changes, **ON), out=tmp_path / "masked")
    total = 5 if weighting == "uniform" else sum(site.num_train for site in run.summary.sites.values())
    error = 1.0 / (2 * min((2**31 - 1) // total, 2**31))
    plain, masked = model(tmp_path / "plain"), model(tmp_path / "masked")
    for name, value in plain.items():
        assert float((value - masked[name]).abs().max()) <= error + 3e-7, name
    assert run.status is Status.COMPLETED
    (line,) = run.rounds()
    assert line.cut_values == 0
    assert {(site.num_examples, site.loss) for site in line.sites.values()} == {(0, None)}


def test_workers_and_a_cut_change_no_bit(tmp_path: Path) -> None:
    """The sum is exact, so that masks, which are drawn anew by the operating system, leave no trace."""

    def cut_in_round_2(event: events.Event) -> None:
        if isinstance(event, events.SiteDone) and event.round == 2:
            raise KeyboardInterrupt

    simulate(tiny(**ON), out=tmp_path / "whole")
    simulate(tiny(**ON, **{"engine.workers": 2}), out=tmp_path / "two")
    with pytest.raises(KeyboardInterrupt):
        simulate(tiny(**ON), out=tmp_path / "cut", listener=cut_in_round_2)
    resume(tmp_path / "cut" / "tiny")
    whole = (tmp_path / "whole/tiny/model.safetensors").read_bytes()
    assert (tmp_path / "two/tiny/model.safetensors").read_bytes() == whole
    assert (tmp_path / "cut/tiny/model.safetensors").read_bytes() == whole
    assert not list((tmp_path / "whole/tiny").rglob("secure/*.json"))  # no key outlives its session


@pytest.fixture(scope="module")
def plain(tmp_path_factory: pytest.TempPathFactory) -> Callable[..., dict[str, torch.Tensor]]:
    """``plain("site-02")``: the model of one plain round without these sites."""

    @cache
    def trained(*without: str) -> dict[str, torch.Tensor]:
        folder = tmp_path_factory.mktemp("plain")
        simulate(tiny(**UNIFORM, **{"federation.leave_out": without}), out=folder)
        return model(folder)

    return trained


@pytest.mark.parametrize("phase", PHASES)
def test_a_site_that_drops_out_in_a_phase_is_told_and_the_rest_goes_on(
    phase: str, sites: Callable[..., Watched], plain: Callable[..., dict[str, torch.Tensor]], tmp_path: Path
) -> None:
    """The model is that of a plain run without the site; of one that failed in the last phase, with it."""
    late = phase == wire.OPEN
    gone = "site-02"
    expected = plain() if late else plain(gone)
    sites(gone, phase)
    run = simulate(tiny(**UNIFORM, **ON), out=tmp_path)
    masked = model(tmp_path)
    assert max(float((expected[name] - masked[name]).abs().max()) for name in expected) < 1e-6
    assert run.status is Status.DEGRADED
    (line,) = run.rounds()
    assert [failure.site for failure in line.failed] == [gone]
    assert any(site.seconds for name, site in line.sites.items() if name == gone) == late


def test_below_the_threshold_the_round_is_refused_with_both_numbers(tmp_path: Path) -> None:
    fault = {"name": "tests.simulations.faulty:Faulty", "sites": ("site-02", "site-03")}
    with pytest.raises(QuorumError, match="round 1: secure aggregation: 3 sites delivered, expected 4 at least"):
        simulate(tiny(**ON, **{"training.trainer": fault}), out=tmp_path)
    assert RunResult.load(tmp_path / "tiny").status is Status.STOPPED


def test_what_the_server_receives_is_uniform(sites: Callable[..., Watched], tmp_path: Path) -> None:
    """Chi-square over the bytes of each site's masked vector; and no message asked for an update as it is."""
    watched = sites(keep=wire.MASKED)
    run = simulate(tiny(**ON, **{"training.rounds": 1}), out=tmp_path)
    length = num_values(model(tmp_path)) + 2
    assert len(watched.kept) == 5
    for content in watched.kept:
        vector, _, _ = wire.take_vector(content, np.zeros(length, np.uint32))
        assert stats.chisquare(np.bincount(vector.view(np.uint8), minlength=256)).pvalue > 1e-5
        assert set(content) == {"vector", "seconds"}
    assert "train" not in watched.types
    assert run.status is Status.COMPLETED


def test_values_out_of_range_are_cut_counted_and_told(tmp_path: Path) -> None:
    options = {"name": "secagg_plus", "clip": 1e-4}
    run = simulate(tiny(**{"federation.secure_aggregation": options, "training.rounds": 1}), out=tmp_path)
    (line,) = run.rounds()
    assert line.cut_values
    assert f"clip = 0.0001: in 1 rounds values of updates were larger and were cut, {line.cut_values}" in "".join(
        run.summary.warnings
    )


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"federation.aggregator": "median"}, 'key "federation.aggregator": median needs single updates'),
        ({"federation.aggregator": {"name": "norm_clipped_mean", "max_norm": 1.0}}, "needs single updates"),
        ({"federation.strategy": "scaffold"}, "scaffold uses more of the updates than their mean"),
        ({"federation.strategy": "fednova"}, "fednova uses more of the updates than their mean"),
        ({"federation.compression": "int8"}, "int8 cannot be undone of a masked update"),
        ({"record.rounds": (1,)}, 'key "record.rounds": the server has no single updates'),
        ({"adversary.sites": 1}, "what malicious sites do is measured on single updates"),
        ({"engine.spool": True}, 'key "engine.spool"'),
        ({"engine.vectorise": 2}, 'key "engine.vectorise"'),
        ({"privacy.mechanism": {"name": "central", "clip": 1.0, "noise_multiplier": 1.0}}, "central clips single"),
        ({"model.norm": "batch", "federation.batch_norm": "average"}, "running statistics"),
        ({"federation.sites_per_round": 2}, "2 sites, of which 0 may drop out"),
        ({"federation.strategy": "cyclic"}, "1 sites, of which 0|more of the updates"),
    ],
)
def test_what_needs_single_updates_is_refused_before_anything_is_written(changes: dict[str, Any], said: str) -> None:
    with pytest.raises(ScenarioError, match=said):
        check_inputs(tiny(**ON, **changes))


def test_noise_of_the_sites_goes_with_it(tmp_path: Path) -> None:
    """The same noise, as it is drawn from the seed: the plain run within the error."""
    private = {"privacy.mechanism": {"name": "local", "clip": 0.5, "noise_multiplier": 0.01}, "training.rounds": 1}
    simulate(tiny(**private), out=tmp_path / "plain")
    simulate(tiny(**private, **ON), out=tmp_path / "masked")
    plain, masked = model(tmp_path / "plain"), model(tmp_path / "masked")
    assert max(float((plain[name] - masked[name]).abs().max()) for name in plain) < 2e-6


def test_a_site_sends_nothing_as_it_is_where_it_must_not() -> None:
    with pytest.raises(SiteError, match="the server asked for an update as it is"):
        require_plain(Context(1, 1, {}, RecordDict(), {}), tiny(**ON))
    with pytest.raises(SiteError, match="secure-aggregation=true: this site sends no update as it is"):
        require_plain(Context(1, 1, {"secure-aggregation": True}, RecordDict(), {}), tiny())
    require_plain(Context(1, 1, {}, RecordDict(), {}), tiny())


def test_the_scenario_survives_toml() -> None:
    scenario = tiny(**{"federation.secure_aggregation": {"name": "secagg_plus", "bits": 64}})
    assert parse_scenario(scenario.to_toml()) == scenario
    assert "secure_aggregation" not in tiny().to_toml()
