"""``engine.vectorise`` in whole runs. Oracles: the run without it, within float tolerance; its own bits; faults."""

from collections import Counter
from pathlib import Path
from typing import Any

import pytest
import torch

import client.batch
import client.site
from medfed import events
from medfed.errors import DataError, ScenarioError
from medfed.params import load_weights
from medfed.registry import plugin
from medfed.results import RunResult, Status
from medfed.training.optimizers import SGD
from simulations.engine.ray_engine import RayEngine
from simulations.run import resume, simulate
from tests.simulations.test_resume import Cut, cut_at

BATCHED = {
    "data.partition.num_sites": 5,
    "baselines.local": False,
    "baselines.pooled": False,
    "engine.vectorise": 2,
}


@plugin
class NotElementwise:
    """Does not say that it works value by value."""

    lr: float = 0.1

    def __call__(self, parameters, lr_scale: float) -> torch.optim.Optimizer:
        return SGD(lr=self.lr)(parameters, lr_scale)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> RunResult:
    """Two batches of two and a site alone, in one process."""
    from medfed.config import parse_scenario
    from tests.simulations.conftest import FEW

    return simulate(parse_scenario(FEW).replace(**BATCHED), out=tmp_path_factory.mktemp("runs"))


def bits(run: RunResult) -> bytes:
    return (run.folder / "model.safetensors").read_bytes()


def test_it_gives_the_model_of_one_by_one_within_float_tolerance(whole: RunResult, tiny, tmp_path: Path) -> None:
    alone = simulate(tiny(**BATCHED | {"engine.vectorise": 0}), out=tmp_path)
    one, other = (load_weights(run.folder / "model.safetensors") for run in (alone, whole))
    assert bits(alone) != bits(whole)  # else nothing was stacked
    for name, value in one.items():
        torch.testing.assert_close(other[name], value, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("workers", [2, 4])
def test_workers_change_no_bit(workers: int, whole: RunResult, tiny, tmp_path: Path) -> None:
    assert bits(simulate(tiny(**BATCHED, **{"engine.workers": workers}), out=tmp_path)) == bits(whole)


@pytest.mark.parametrize("site", ["site-01", "site-02", "site-04"])
def test_a_cut_run_goes_on_to_the_same_bits(site: str, whole: RunResult, tiny, tmp_path: Path) -> None:
    with pytest.raises(Cut):
        simulate(tiny(**BATCHED, **{"engine.spool": True}), out=tmp_path, listener=cut_at(2, site))
    assert bits(resume(tmp_path / "tiny")) == bits(whole)


def test_a_fault_at_one_site_of_a_batch_is_told_of_that_site_alone(
    tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    found, asked = client.site._sites, Counter[str]()

    def unreadable(*about: Any) -> Any:
        def data_of(site: str) -> Any:
            asked[site] += 1
            if site == "site-02" and asked[site] > 1:  # the first time, it introduces itself
                raise DataError("scan.png: cannot be read")
            return found(*about)(site)

        return data_of

    monkeypatch.setattr(client.site, "_sites", unreadable)
    failed: list[tuple[str, str]] = []

    def listen(event: events.Event) -> None:
        if isinstance(event, events.SiteFailed):
            failed.append((event.site, event.cause))

    run = simulate(tiny(**BATCHED | {"training.rounds": 1}), out=tmp_path, listener=listen)
    assert run.status is Status.DEGRADED
    assert {site for site, _ in failed} == {"site-02"}
    assert "[data]" in failed[0][1]
    assert sorted(run.rounds()[0].sites) == ["site-01", "site-03", "site-04", "site-05"]


def test_stacked_training_that_fails_is_done_one_by_one(
    whole: RunResult, tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fails(*given: object) -> None:
        raise MemoryError

    monkeypatch.setattr(client.batch, "train_batched", fails)
    fallen = simulate(tiny(**BATCHED, name="fallen"), out=tmp_path)
    assert fallen.status is Status.COMPLETED
    (said,) = [warning for warning in fallen.summary.warnings if warning.startswith("engine.vectorise: ")]
    assert said.startswith("engine.vectorise: in round 1, 2 sites of a batch were trained one by one")
    assert bits(fallen) == bits(simulate(tiny(**BATCHED | {"engine.vectorise": 0}, name="alone"), out=tmp_path))


def test_what_was_trained_one_by_one_is_told_of_the_rounds_before_a_cut_too(
    whole: RunResult, tiny, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Round 1 falls apart, and round 2 is cut when its first batch, which was stacked, had delivered to the spool."""
    assert not any("one by one" in warning for warning in whole.summary.warnings)
    stacked = client.batch.train_batched

    def fails_in_round_1(model: Any, jobs: Any, scenario: Any, round_number: int) -> Any:
        if round_number == 1:
            raise MemoryError
        return stacked(model, jobs, scenario, round_number)

    monkeypatch.setattr(client.batch, "train_batched", fails_in_round_1)
    with pytest.raises(Cut):
        simulate(tiny(**BATCHED, **{"engine.spool": True}), out=tmp_path, listener=cut_at(2, "site-02"))
    warnings = resume(tmp_path / "tiny").summary.warnings
    assert [warning[:35] for warning in warnings if "one by one" in warning] == ["engine.vectorise: in round 1 sites "]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"training.trainer": {"name": "tests.simulations.faulty:Faulty", "sites": ()}}, 'the trainer "tests'),
        ({"training.adversarial": "fast"}, "adversarial training takes one site at a time"),
        ({"federation.strategy": {"name": "fedprox", "mu": 0.1}}, 'the strategy "fedprox" does more'),
        ({"federation.strategy": "scaffold"}, 'the strategy "scaffold" does more'),
        ({"training.optimizer": "tests.simulations.test_vectorise:NotElementwise"}, "elementwise = True"),
        ({"training.precision": "bfloat16"}, 'training.precision "bfloat16"'),
        ({"model.dropout": 0.1}, "dropout"),
        ({"model.norm": "batch", "federation.batch_norm": "average"}, "BatchNorm"),
        ({"model": "tests.simulations.odd_models:MeanOfBatch"}, "depends on the other images"),
        ({"model": "tests.simulations.odd_models:Branches"}, "torch.func.vmap cannot run the model"),
        ({"model": "tests.simulations.odd_models:Tied"}, "one tensor under two names"),
    ],
)
def test_what_stacking_would_change_is_refused(change: dict[str, Any], said: str, tiny, tmp_path: Path) -> None:
    with pytest.raises(ScenarioError) as refused:
        simulate(tiny(**BATCHED | change), out=tmp_path)
    assert str(refused.value).startswith('key "engine.vectorise": ')
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not list(tmp_path.iterdir())


def test_ray_is_refused(tiny, tmp_path: Path) -> None:
    with pytest.raises(ScenarioError, match="leave out --engine ray"):
        simulate(tiny(**BATCHED), out=tmp_path, engine=RayEngine())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("value", [0, 1])
def test_one_by_one_refuses_nothing(value: int, tiny) -> None:
    from simulations.inputs import check_inputs

    check_inputs(tiny(**{"engine.vectorise": value, "model.dropout": 0.1}))
