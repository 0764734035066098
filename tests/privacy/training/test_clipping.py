"""Clipped sums of units. Oracles: by hand, one autograd pass per unit, bounds over neighbours, the naive ways."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from medfed.params import norm
from medfed.types import Weights
from privacy.training.clipping import Clipped, chunked_clipper, clip_factors
from privacy.training.step import noisy_mean

LIKE = {"a": torch.zeros(3), "b": torch.zeros(2, 2)}


def given_rows(rows: Tensor) -> Weights:
    """Rows of seven values as gradients of the two parameters."""
    return {"a": rows[:, :3], "b": rows[:, 3:].reshape(-1, 2, 2)}


def identity(inputs: Tensor, targets: Tensor) -> tuple[Weights, Tensor]:
    """Images that are their own gradients."""
    return given_rows(inputs.reshape(len(inputs), 7)), targets.double()


def clipped(rows: Tensor, owners: list[int], clip: float, chunk: int = 4) -> Clipped:
    found = chunked_clipper(identity, LIKE, chunk)
    return found(rows.reshape(-1, 1, 7), torch.arange(len(rows)), torch.tensor(owners), clip)


def vector(weights: Weights) -> Tensor:
    return torch.cat([value.flatten() for value in weights.values()])


def by_hand(rows: Tensor, owners: list[int], clip: float) -> Tensor:
    total = torch.zeros(7)
    for owner in set(owners):
        unit = rows[[i for i, other in enumerate(owners) if other == owner]].sum(0)
        total += unit * min(1.0, clip / max(float(unit.norm()), 1e-30))
    return total


BATCHES = st.lists(st.integers(1, 5), min_size=1, max_size=6)
"""How many images each unit has."""


@settings(max_examples=60)
@given(BATCHES, st.integers(1, 9), st.floats(0.01, 10.0), st.integers(0, 2**32))
def test_any_chunk_gives_the_sum_of_clipped_units(sizes, chunk, clip, seed):
    owners = [unit for unit, size in enumerate(sizes) for _ in range(size)]
    rows = torch.randn(len(owners), 7, generator=torch.Generator().manual_seed(seed))
    found = clipped(rows, owners, clip, chunk)
    assert torch.allclose(vector(found.total), by_hand(rows, owners, clip), rtol=1e-4, atol=1e-5)
    assert found.loss == pytest.approx(sum(range(len(owners))))
    assert norm(found.total) <= len(sizes) * clip * (1 + 1e-5)


@settings(max_examples=40)
@given(BATCHES, st.integers(0, 5), st.integers(1, 6), st.integers(0, 2**32))
def test_no_unit_moves_the_sum_by_more_than_the_clip(sizes, removed, chunk, seed):
    owners = [unit for unit, size in enumerate(sizes) for _ in range(size)]
    rows = 10.0 * torch.randn(len(owners), 7, generator=torch.Generator().manual_seed(seed))
    kept = [i for i, owner in enumerate(owners) if owner != removed % len(sizes)]
    whole = vector(clipped(rows, owners, 1.0, chunk).total)
    rest = vector(clipped(rows[kept], [owners[i] for i in kept], 1.0, chunk).total) if kept else torch.zeros(7)
    assert float((whole - rest).norm()) <= 1.0 + 1e-5


def test_a_patients_gradients_are_summed_before_the_one_clip():
    """Naive: each of twenty alike images clipped to 1 moves the sum by 20."""
    rows = torch.zeros(20, 7)
    rows[:, 0] = 3.0
    of_patient = clipped(rows, [0] * 20, 1.0)
    per_image = clipped(rows, list(range(20)), 1.0)
    assert norm(of_patient.total) == pytest.approx(1.0)
    assert norm(per_image.total) == pytest.approx(20.0)
    opposed = rows * torch.tensor([1.0, -1.0]).repeat(10)[:, None]
    assert norm(clipped(opposed, [0] * 20, 1.0).total) == 0.0


def test_images_are_clipped_not_their_mean():
    """Naive: the mean gradient of the mini-batch, clipped. One long image then hides all others."""
    rows = torch.zeros(10, 7)
    rows[:9, 0], rows[9, 1] = 1.0, 1e6
    found = vector(clipped(rows, list(range(10)), 1.0).total)
    assert found[:2].tolist() == [9.0, 1.0]
    mean = rows.mean(0)
    naive = mean * min(1.0, 1.0 / float(mean.norm())) * 10
    assert float(naive[0]) < 1e-3, "with the tenth image"
    alone = rows[:9].mean(0)
    without = alone * min(1.0, 1.0 / float(alone.norm())) * 9
    assert float((naive - without).norm()) > 10.0, "one image moves the naive sum by far more than the clip"


def test_one_norm_over_all_parameters():
    rows = torch.zeros(1, 7)
    rows[0, 0], rows[0, 3] = 3.0, 4.0
    assert vector(clipped(rows, [0], 1.0).total)[[0, 3]].tolist() == pytest.approx([0.6, 0.8])


@pytest.mark.parametrize("broken", [float("nan"), float("inf"), -float("inf"), 1e30])
def test_one_broken_image_cannot_break_the_sum(broken):
    rows = torch.zeros(3, 7)
    rows[0, 0], rows[1, 1] = 0.5, broken
    found = vector(clipped(rows, [0, 1, 2], 1.0).total)
    assert found.isfinite().all()
    assert float(found[0]) == 0.5
    assert abs(float(found[1])) <= 1.0


def test_factors_by_hand():
    norms = torch.tensor([0.0, 0.5, 1.0, 4.0, float("inf"), float("nan")])
    assert clip_factors(norms, 1.0).tolist() == [1.0, 1.0, 1.0, 0.25, 0.0, 0.0]


def test_the_denominator_is_the_expected_number():
    """Naive: division by how many were drawn. One unit of two then moves the mean by 1, not by C / expected."""

    def silent(number):
        return torch.zeros(number).double().numpy()

    up, down = torch.zeros(1, 7), torch.zeros(1, 7)
    up[0, 0], down[0, 0] = 1.0, -1.0
    both = clipped(torch.cat([up, down]), [0, 1], 1.0).total
    one = clipped(up, [0], 1.0).total
    means = [vector(noisy_mean(total, 1.0, 1.0, 10.0, silent)) for total in (both, one)]
    assert float((means[0] - means[1]).norm()) == pytest.approx(1.0 / 10)
    naive = [vector(both) / 2, vector(one) / 1]
    assert float((naive[0] - naive[1]).norm()) == 1.0
