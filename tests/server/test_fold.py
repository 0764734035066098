"""The running mean. Oracles: numpy.average, Flower's own FedAvg aggregation, permutation law."""

import numpy as np
import pytest
import torch
from flwr.app import ArrayRecord, MetricRecord, RecordDict
from flwr.serverapp.strategy.strategy_utils import aggregate_arrayrecords
from hypothesis import given
from hypothesis import strategies as st

from medfed.types import Update
from server.fold import MeanFold, MetricsFold
from server.strategies.contract import Aggregate
from server.strategies.fedavg import FedAvg


@given(st.lists(st.tuples(st.floats(-100, 100), st.floats(0.1, 1000)), min_size=1, max_size=20))
def test_equals_numpy_average(pairs: list[tuple[float, float]]) -> None:
    fold = MeanFold()
    for value, weight in pairs:
        fold.add({"x": torch.full((2,), value, dtype=torch.float64)}, weight)
    values, weights = zip(*pairs, strict=True)
    assert fold.result()["x"][0].item() == pytest.approx(np.average(values, weights=weights), rel=1e-9, abs=1e-9)


def test_fedavg_equals_flowers_own() -> None:
    generator = torch.Generator().manual_seed(0)
    start = {"w": torch.randn(5, 3, generator=generator)}
    locals_ = [{"w": torch.randn(5, 3, generator=generator)} for _ in range(4)]
    counts = [10, 1, 7, 30]
    strategy, fold = FedAvg(), MeanFold()
    for local, count in zip(locals_, counts, strict=True):
        update = Update("s", {"w": local["w"] - start["w"]}, count, 1, {})
        fold.add(update.tensors, strategy.weight(update))
    ours, _ = strategy(start, Aggregate(fold.result(), {}, {}, 4, 4, frozenset({"w"})), {})
    replies = [
        RecordDict({"arrays": ArrayRecord({"w": _array(local["w"])}), "metrics": MetricRecord({"num-examples": count})})
        for local, count in zip(locals_, counts, strict=True)
    ]
    flowers = aggregate_arrayrecords(replies, "num-examples")["w"].numpy()
    np.testing.assert_allclose(ours["w"].numpy(), flowers, rtol=1e-5, atol=1e-6)


def _array(value: torch.Tensor):
    from flwr.app import Array

    return Array(value.numpy())


def test_integer_buffers_stay_integers_and_are_rounded() -> None:
    fold = MeanFold()
    fold.add({"n": torch.tensor([10])}, 1.0)
    fold.add({"n": torch.tensor([13])}, 1.0)
    weights, _ = FedAvg()({"n": torch.tensor([100])}, Aggregate(fold.result(), {}, {}, 2, 2, frozenset()), {})
    assert weights["n"].dtype == torch.int64
    assert weights["n"].item() in (111, 112)  # 111.5, by hand


def test_weights_follow_the_policy() -> None:
    update = Update("s", {}, 10**12, 1, {})
    assert FedAvg(weighting="uniform").weight(update) == 1.0
    assert FedAvg(max_examples=500).weight(update) == 500.0


@pytest.mark.parametrize("weights", [[], [0.0, 0.0]])
def test_a_mean_of_nothing_is_refused(weights: list[float]) -> None:
    fold = MeanFold()
    for weight in weights:
        fold.add({"x": torch.ones(1)}, weight)
    with pytest.raises(ValueError, match="undefined"):
        fold.result()


def test_a_factor_scales_the_update_and_not_the_denominator() -> None:
    fold = MeanFold()
    fold.add({"x": torch.tensor([4.0])}, weight=1.0, factor=0.5)
    fold.add({"x": torch.tensor([2.0])}, weight=3.0)
    assert fold.result()["x"].item() == (0.5 * 4 + 3 * 2) / 4  # by hand


def test_metrics_are_averaged_over_the_sites_that_have_them() -> None:
    fold = MetricsFold()
    fold.add({"loss": 1.0, "tau": 4.0}, 1.0)
    fold.add({"loss": 2.0}, 3.0)
    assert fold.result() == {"loss": 1.75, "tau": 4.0}  # by hand
