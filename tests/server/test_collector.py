"""From updates to one aggregate. Oracles: numpy's median of the stacked updates, by hand."""

import numpy as np
import pytest
import torch

from medfed.config import Scenario, parse_scenario
from medfed.errors import UpdateError
from medfed.messages import Delivery
from medfed.models.initial import initial_weights
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


def test_a_huge_count_of_steps_is_refused_and_leaves_no_trace(tmp_path) -> None:
    one = scenario()
    weights = initial_weights(one)
    collector = Collector(one, weights, Spool(tmp_path, durable=True))
    (update,) = updates(weights, [61], outlier=1.0)
    with pytest.raises(UpdateError, match="num-steps from 1 to 60, got 10 and 61"):
        collector.add(Delivery(update, 1.0, 1), num_train=10)
    assert len(collector) == 0
    assert not list(tmp_path.iterdir())
