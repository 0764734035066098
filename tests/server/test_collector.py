"""From updates to one aggregate. Oracles: numpy's mean and median of the stacked updates, by hand."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from medfed.config import Scenario, parse_scenario
from medfed.errors import UpdateError
from medfed.exchanged import CONTROL
from medfed.messages import Delivery
from medfed.models.initial import initial_weights, trained_entries
from medfed.types import Update, Weights
from server.collector import Collector
from server.spool import Spool

SCENARIO = """
    name = "collector"
    model = { name = "small_cnn", width = 1, norm = "batch" }
    task = { kind = "classification", classes = ["a", "b"] }
    data = { image_size = 28 }
    training = { rounds = 1, local_steps = 60, batch_size = 1, loss = "cross_entropy" }
"""


def scenario(**federation: object) -> Scenario:
    return parse_scenario(SCENARIO).replace(
        **{f"federation.{key}": value for key, value in ({"batch_norm": "average"} | federation).items()}
    )


def updates(weights: Weights, num_steps: list[int], outlier: float) -> list[Update]:
    """Honest sites whose weights move by about 1 and whose counters by their steps; the last site's is far away."""
    found = []
    for number, steps in enumerate(num_steps):
        draws = torch.Generator().manual_seed(number)
        scale = outlier if number == len(num_steps) - 1 else 1.0
        tensors = {
            name: torch.full_like(value, steps)
            if not value.is_floating_point()
            else scale * (1.0 + 0.01 * torch.randn(value.shape, generator=draws))
            for name, value in weights.items()
        }
        found.append(Update(f"s{number}", tensors, 10, steps, {"loss": 0.5}))
    return found


@pytest.mark.parametrize(
    "aggregator",
    [{"name": "geometric_median", "num_byzantine": 1}, {"name": "krum", "num_byzantine": 1}, {"name": "median"}],
)
def test_counters_of_batch_norm_do_not_steer_a_robust_rule(aggregator, tmp_path) -> None:
    """Honest changes are about 1; without care the counters, 10 to 60, decide who is near to whom."""
    one = scenario(aggregator={k: v for k, v in aggregator.items() if k == "name" or aggregator["name"] == "krum"})
    weights = initial_weights(one)
    collector = Collector(one, weights, Spool(tmp_path, durable=False))
    steps = [10, 60, 20, 50, 30]
    for update in updates(weights, steps, outlier=-20.0):
        collector.add(Delivery(update, 1.0, 1), num_train=10)
    aggregate, _ = collector.aggregate(5, {}, np.random.default_rng(0))
    assert list(aggregate.tensors) == list(weights)
    for name, value in aggregate.tensors.items():
        if weights[name].is_floating_point():
            assert (value > 0.8).all(), name
        else:
            assert int(value) == np.median(steps)


@pytest.mark.parametrize(("aggregator", "oracle"), [("mean", np.mean), ("median", np.median)])
def test_no_extra_tensor_is_a_way_past_a_robust_rule(aggregator, oracle, tmp_path) -> None:
    one = scenario(aggregator=aggregator, strategy="scaffold")
    weights = initial_weights(one)
    trained = trained_entries(one)
    collector = Collector(one, weights, Spool(tmp_path, durable=False))
    sent = []
    for update in updates(weights, [10, 20, 30, 40, 50], outlier=-20.0):
        control = {name: value + 1.0 for name, value in update.tensors.items() if name in trained}
        sent.append(control)
        collector.add(Delivery(replace(update, extras={CONTROL: control}), 1.0, 1), num_train=60)
    aggregate, _ = collector.aggregate(5, {}, np.random.default_rng(0))
    for name, value in aggregate.extras[CONTROL].items():
        expected = oracle(np.stack([control[name].numpy() for control in sent]), axis=0)
        np.testing.assert_allclose(value.numpy(), expected, rtol=1e-5, err_msg=name)
    assert aggregate.extras[CONTROL].keys() == trained


def test_a_huge_count_of_steps_is_refused_and_leaves_no_trace(tmp_path) -> None:
    one = scenario()
    weights = initial_weights(one)
    collector = Collector(one, weights, Spool(tmp_path, durable=True))
    (update,) = updates(weights, [61], outlier=1.0)
    with pytest.raises(UpdateError, match="num-steps from 1 to 60, got 10 and 61"):
        collector.add(Delivery(update, 1.0, 1), num_train=10)
    assert len(collector) == 0
    assert not list(tmp_path.iterdir())
