"""Where noise comes from. Oracles: Kolmogorov-Smirnov against the normal distribution, equal streams, freshness."""

import numpy as np
import pytest
import torch
from scipy.stats import kstest

from privacy.noise import add_noise, seeded_normal, system_normal


@pytest.mark.parametrize("normal", [system_normal, seeded_normal(1, 2, "privacy")])
def test_it_is_normal(normal):
    draws = normal(200_001)
    assert draws.shape == (200_001,)
    assert draws.dtype == np.float64
    assert kstest(draws, "norm").pvalue > 1e-6
    assert abs(np.corrcoef(draws[:100_000], draws[100_000:200_000])[0, 1]) < 0.02  # the two halves of Box and Muller


def test_a_seed_can_be_replayed_and_the_system_cannot():
    assert np.array_equal(seeded_normal(1, "a")(5), seeded_normal(1, "a")(5))
    assert not np.array_equal(seeded_normal(1, "a")(5), seeded_normal(1, "b")(5))
    assert not np.array_equal(system_normal(5), system_normal(5))
    assert system_normal(0).shape == (0,)


def test_tensors_keep_their_form_and_share_no_draw():
    values = {"a": torch.zeros(2, 3, dtype=torch.float64), "b": torch.zeros(6), "c": torch.zeros(())}
    noised = add_noise(values, 2.0, seeded_normal(1, "a"))
    assert {name: (v.shape, v.dtype) for name, v in noised.items()} == {
        name: (v.shape, v.dtype) for name, v in values.items()
    }
    expected = 2.0 * seeded_normal(1, "a")(6).reshape(2, 3)
    assert np.array_equal(noised["a"].numpy(), expected)
    assert not torch.allclose(noised["a"].flatten().float(), noised["b"])
