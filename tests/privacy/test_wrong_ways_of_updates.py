"""Wrong ways 1 to 5 of twelve to be private that are in use, each beside what is done here: whole updates.

Every test states one property. The wrong way, written out, breaks it; the code of this project keeps it. The wrong
ways are in use: 1 to 4 in Flower 1.41's central mechanisms. Oracles: closed forms, counts by hand, the property
itself.
"""

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch

from medfed.config import Scenario, parse_scenario
from medfed.errors import ScenarioError
from medfed.models.initial import initial_model
from medfed.params import get_weights, norm
from medfed.training.local import train_local
from medfed.types import ImageSet, Weights
from privacy.clipping import adapted_bound, clip
from privacy.mechanisms.central import Central
from privacy.mechanisms.local import Local
from privacy.noise import Normal, add_noise, seeded_normal
from server.private import PrivateSum
from server.scenario_checks import check_federation

Mean = Callable[[dict[str, Weights], Normal], Weights]

TEXT = """
    name = "private"
    model = { name = "small_cnn", width = 1 }
    task = { kind = "classification", classes = ["a", "b"] }
    data = { image_size = 8 }
    training = { rounds = 3, local_steps = 1, batch_size = 16, loss = "cross_entropy" }
    federation = { sites = ["s0", "s1", "s2"] }
    [privacy]
    mechanism = { name = "dp_sgd", clip = 1.0, noise_multiplier = 1.1 }
"""


def silent(number: int) -> np.ndarray:
    return np.zeros(number)


def scenario(**changes: Any) -> Scenario:
    return parse_scenario(TEXT).replace(**changes)


def private_mean(weights: dict[str, float], sent: dict[str, Weights], normal: Normal) -> Weights:
    """What the server of this project makes of updates, with clip 1 and noise multiplier 1."""
    one = PrivateSum(Central(clip=1.0, noise_multiplier=1.0), weights, len(weights), {}, normal)
    for site, change in sent.items():
        one.add(site, change, 1.0)
    return one.noisy_mean()[0]


def test_1_sign_of_the_adaptive_bound():
    """Ten rounds in which every update is clipped: the bound must rise, to exp(10 x 0.2 x 0.5)."""

    def wrong(bound: float, share_within: float, quantile: float, rate: float) -> float:
        """The share of those that were clipped, under the sign for those that were not."""
        return bound * math.exp(-rate * ((1.0 - share_within) - quantile))

    def after_ten_rounds(rule: Callable[[float, float, float, float], float]) -> float:
        bound = 1.0
        for _ in range(10):
            bound = rule(bound, 0.0, 0.5, 0.2)
        return bound

    assert after_ten_rounds(wrong) == pytest.approx(math.exp(-1.0))
    assert after_ten_rounds(adapted_bound) == pytest.approx(math.exp(1.0))


def test_2_noise_under_unequal_weights():
    """Noise on the mean must have z times its sensitivity, which is that of the heaviest site."""
    weights = {"large": 10_000.0} | {f"s{i}": 100.0 for i in range(9)}
    zeros = {site: {"a": torch.zeros(20_000)} for site in weights}
    sensitivity = max(weights.values()) / sum(weights.values())

    def wrong(sent: dict[str, Weights], normal: Normal) -> Weights:
        total = sum(weights[site] * clip(change, 1.0)["a"] for site, change in sent.items()) / sum(weights.values())
        return add_noise({"a": total}, 1.0 / len(sent), normal)

    def true_multiplier(mean: Mean) -> float:
        return float(mean(zeros, seeded_normal(1, "n"))["a"].std()) / sensitivity

    assert true_multiplier(wrong) == pytest.approx(0.109, abs=0.003)
    assert true_multiplier(lambda sent, normal: private_mean(weights, sent, normal)) == pytest.approx(1.0, rel=0.03)


def test_3_an_update_of_zero():
    """It is an update like others; nothing may come out as no number."""

    def wrong(change: Weights, bound: float) -> Weights:
        factor = min(1.0, bound / norm(change))
        return {name: value * factor for name, value in change.items()}

    zero = {"a": torch.zeros(3)}
    with pytest.raises(ZeroDivisionError):
        wrong(zero, 1.0)
    assert clip(zero, 1.0)["a"].tolist() == [0.0] * 3
    assert private_mean({"s": 1.0}, {"s": zero}, silent)["a"].tolist() == [0.0] * 3


def test_4_an_integer_buffer_is_noised():
    """A count of batches must stay a count."""
    change: Weights = {"weight": torch.ones(4), "num_batches_tracked": torch.tensor(7)}

    def wrong(given: Weights, normal: Normal) -> Weights:
        return add_noise({name: value.float() for name, value in given.items()}, 3.0, normal)

    def right(given: Weights, normal: Normal) -> Weights:
        return Local(clip=1.0, noise_multiplier=3.0).protect(given, {"weight"}, normal)

    def is_count(found: Weights) -> bool:
        value = found["num_batches_tracked"]
        return not value.is_floating_point() and int(value) == 0

    assert not is_count(wrong(change, seeded_normal(1, "n")))
    assert is_count(right(change, seeded_normal(1, "n")))


def test_5_batchnorm_statistics_leave_without_noise():
    """Nobody who sees what leaves a site may compute the mean of its batch."""
    plain = scenario(**{"model.norm": "batch", "federation.batch_norm": "average", "privacy.mechanism": "none"})
    draws = np.random.default_rng(1)
    pixels = draws.integers(0, 256, (16, 1, 8, 8), dtype=np.uint8)
    rows = np.arange(16, dtype=np.int64)
    images = ImageSet(pixels, draws.integers(0, 2, 16), rows, tuple(map(str, rows)), tuple(map(str, rows)))
    model = initial_model(plain)
    before = get_weights(model)
    with torch.no_grad():
        first = model.features[0](model.center(images.batch(rows)[0])).mean((0, 2, 3))
    train_local(model, images, plain, "s0", 1)
    after = get_weights(model)
    name = next(name for name in after if name.endswith("running_mean"))
    told = (after[name] - 0.9 * before[name]) / 0.1  # momentum 0.1
    assert torch.allclose(told, first, rtol=1e-4), "the wrong way: the batch's mean, from what plain training sends"
    for policy in ("average", "local"):
        private = scenario(**{"model.norm": "batch", "federation.batch_norm": policy})
        with pytest.raises(ScenarioError, match='expected norm = "group"'):
            check_federation(private, initial_model(private))
