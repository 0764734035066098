"""Priors and the merging of passes. Oracle: by hand; laws (the truth has no mismatch, order within a pass is free)."""

import torch

from privacy.inversion.objective import Objective, weights_of
from privacy.inversion.passes import merged
from privacy.inversion.priors import pass_mismatch, total_variation
from privacy.inversion.schedule import Schedule
from privacy.inversion.terms import Terms
from tests.privacy.inversion.cases import convolutional, gradient, pictures

TWO_PASSES = Schedule(((0, 1), (2,), (3, 4), (5,)), ((0, 1, 2), (3, 4, 5)))


def test_total_variation_by_hand() -> None:
    image = torch.tensor([[[[0.0, 1.0], [0.5, 1.0]]]])  # rows differ by 0.5 and 0, columns by 1 and 0.5
    assert float(total_variation(image)) == 0.25 + 0.75
    assert float(total_variation(torch.full((2, 3, 4, 4, 4), 0.3))) == 0.0


def test_the_order_within_a_pass_is_free() -> None:
    once = pictures(3)
    assert float(pass_mismatch(torch.cat([once, once.flip(0)]), TWO_PASSES)) < 1e-12
    assert float(pass_mismatch(torch.cat([once, 1.0 - once]), TWO_PASSES)) > 1e-4


def test_passes_are_matched_before_they_are_averaged() -> None:
    once, noise = pictures(3), 0.01 * torch.randn(3, 1, 8, 8, generator=torch.Generator().manual_seed(0))
    slots = torch.cat([once + noise, (once - noise)[[2, 0, 1]]])
    images, labels, rows = merged(slots, torch.tensor([0, 1, 2, 2, 0, 1]), TWO_PASSES)
    assert rows.tolist() == [0, 1, 2, 2, 0, 1]
    torch.testing.assert_close(images, once)
    assert labels.tolist() == [0, 1, 2]


def test_the_true_images_agree_with_the_statistics_that_were_sent() -> None:
    truth, labels = pictures(3), torch.tensor([0, 1, 2])
    seen = gradient(convolutional(norm=True), truth, labels, train=True)
    terms = Terms(batch_norm=1.0)
    weights = weights_of(terms, torch.float64)
    objective = Objective(seen, labels, torch.float64)
    none = torch.zeros(3, 4, dtype=torch.float64)
    total, distance = objective.values(truth.double(), none, weights, terms)
    assert float(total - distance) < 1e-8
    total, distance = objective.values(truth.double() * 0.5, none, weights, terms)
    assert float(total - distance) > 0.01
