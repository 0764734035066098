"""Checks before folding. Oracle: planted faults, one at a time; the clean update passes."""

import dataclasses

import pytest
import torch

from medfed.errors import UpdateError
from medfed.types import Update
from server.checks import check_update

WEIGHTS = {"w": torch.zeros(2, 2), "n": torch.zeros(1, dtype=torch.int64)}
CLEAN = Update("a", {"w": torch.ones(2, 2), "n": torch.ones(1, dtype=torch.int64)}, 5, 2, {})


def test_a_clean_update_passes() -> None:
    check_update(CLEAN, WEIGHTS)


def test_large_finite_values_pass_although_their_sum_overflows() -> None:
    check_update(dataclasses.replace(CLEAN, tensors=CLEAN.tensors | {"w": torch.full((2, 2), 3e38)}), WEIGHTS)


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"tensors": {"w": torch.ones(2, 2)}}, "missing \\['n'\\]"),
        ({"tensors": CLEAN.tensors | {"x": torch.ones(1)}}, "unknown \\['x'\\]"),
        ({"tensors": CLEAN.tensors | {"w": torch.ones(4)}}, "expected \\(2, 2\\) float32, got \\(4,\\) float32"),
        ({"tensors": CLEAN.tensors | {"w": torch.ones(2, 2, dtype=torch.float64)}}, "got \\(2, 2\\) float64"),
        ({"tensors": CLEAN.tensors | {"w": torch.tensor([[1.0, float("nan")], [0, 0]])}}, "NaN or Inf"),
        ({"tensors": CLEAN.tensors | {"w": torch.tensor([[float("inf"), -float("inf")], [0, 0]])}}, "NaN or Inf"),
        ({"num_examples": -19}, "num-examples -19"),
        ({"num_examples": 0}, "num-examples 0"),
        ({"num_steps": 0}, "num-steps 0"),
    ],
)
def test_faults_are_named(change: dict, said: str) -> None:
    with pytest.raises(UpdateError, match=said) as fault:
        check_update(dataclasses.replace(CLEAN, **change), WEIGHTS)
    assert "site a" in str(fault.value)
