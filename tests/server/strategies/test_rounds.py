"""Whole rounds of real federations. Oracles: strategies that are federated averaging for some value of their fields,
means by hand, laws (a variance is above zero).
"""

from pathlib import Path

import pytest
import torch

from medfed.models.initial import initial_model
from medfed.results import Status
from server.strategies import STRATEGIES
from simulations.run import simulate
from tests.server.strategies.rounds import equal, tiny, train


@pytest.mark.parametrize("name", STRATEGIES)
def test_two_rounds_of_a_real_federation(name, tmp_path: Path):
    """The whole way: messages, checks, aggregation, state at the sites, evaluation, page."""
    changes = {"federation.strategy": name, "baselines.local": False, "baselines.pooled": False}
    run = simulate(tiny(**changes, **{"evaluation.every": 2}), out=tmp_path)
    assert run.status is Status.COMPLETED
    assert all(len(result.sites) == 3 and not result.failed for result in run.rounds())
    examples = (run.folder / "figures" / "examples.json").read_text()
    assert ("site-01" in examples) is (name in ("ditto", "fedbn", "fedper"))  # others share the model and the images


AVERAGING = {"name": "fedavg"}
UNIFORM = {"name": "fedavg", "weighting": "uniform"}


@pytest.mark.parametrize(
    ("fields", "like", "num_rounds"),
    [
        ({"name": "fedprox", "mu": 0.0}, AVERAGING, 2),
        ({"name": "fedavgm", "momentum": 0.0}, AVERAGING, 2),
        ({"name": "ditto"}, AVERAGING, 2),
        ({"name": "scaffold"}, UNIFORM, 1),  # control variates are zero
    ],
)
def test_is_federated_averaging_bit_for_bit(fields, like, num_rounds):
    found, expected = (train(tiny(**{"federation.strategy": each}), num_rounds)[0] for each in (fields, like))
    assert equal(found, expected)


def test_scaffold_parts_from_averaging_in_round_two():
    found, expected = (train(tiny(**{"federation.strategy": each}), 2)[0] for each in ({"name": "scaffold"}, UNIFORM))
    assert not equal(found, expected)


def test_fednova_is_averaging_where_all_sites_take_as_many_steps():
    """Up to rounding: each change is divided by three steps, and their mean multiplied by three."""
    found, expected = (train(tiny(**{"federation.strategy": each}), 2)[0] for each in ("fednova", "fedavg"))
    for key, value in expected.items():
        torch.testing.assert_close(found[key], value, rtol=1e-4, atol=1e-6)


def test_the_server_s_control_variate_is_the_mean_of_the_sites():
    _, state, kept = train(tiny(**{"federation.strategy": "scaffold"}), 2)
    assert state
    for key, value in state.items():
        mean = sum(site[f"strategy/{key}"] for site in kept.values()) / len(kept)
        torch.testing.assert_close(value, mean, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize(
    "name", ["cyclic", "fedadam", "fedavg", "fedyogi", "fedadagrad", "fedavgm", "fednova", "fedprox"]
)
def test_a_variance_stays_above_zero(name):
    scenario = tiny(**{"federation.strategy": name, "model.norm": "batch", "federation.batch_norm": "average"})
    found, _, _ = train(scenario, 3)
    variances = [value for key, value in found.items() if key.endswith("running_var")]
    assert variances
    assert all((value > 0.0).all() for value in variances)


def test_cyclic_training_passes_the_model_on():
    """With one step per stage each, the site that comes second starts where the first one ended."""
    scenario = tiny(**{"federation.strategy": "cyclic"})
    together = train(tiny(**{"federation.strategy": UNIFORM}), 1)[0]
    one_by_one = train(scenario, 1)[0]
    start = {key: value for key, value in initial_model(scenario).state_dict().items() if key in together}
    way = {k: sum(float((w[key] - value).square().sum()) for key, value in start.items()) ** 0.5
           for k, w in (("together", together), ("one by one", one_by_one))}  # fmt: skip
    assert way["one by one"] > 1.5 * way["together"]
