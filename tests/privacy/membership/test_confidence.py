"""How sure a model is of the truth. Oracles: the definition in 50 digits, by hand, the other head."""

from decimal import Decimal, getcontext

import pytest
import torch

from privacy.membership.confidence import confidence


def _logit(logits: list[float], truth: int) -> float:
    """log(p / (1 - p)) as it is defined."""
    getcontext().prec = 80
    powers = [Decimal(z).exp() for z in logits]
    p = powers[truth] / sum(powers)
    return float((p / (1 - p)).ln())


@pytest.mark.parametrize("logits", [[0.0, 0.0], [3.0, -1.0, 0.5], [60.0, -20.0], [-90.0, 70.0, 0.0]])
def test_is_the_logit_of_the_probability_also_where_that_rounds_to_one(logits):
    for truth in range(len(logits)):
        found = confidence(torch.tensor([logits]), torch.tensor([truth]))
        assert float(found) == pytest.approx(_logit(logits, truth), rel=1e-9, abs=1e-9)


def test_one_logit_is_the_second_class_of_two():
    logits, targets = torch.tensor([[1.7], [-0.4]]), torch.tensor([1, 0])
    assert confidence(logits, targets).tolist() == pytest.approx([1.7, 0.4])


def test_an_image_of_pixels_that_are_all_alike_has_the_confidence_of_one():
    logits = torch.tensor([[1.5], [-0.5]]).reshape(1, 2, 1, 1).expand(1, 2, 3, 4)
    assert float(confidence(logits, torch.zeros(1, 3, 4, dtype=torch.int64))) == pytest.approx(2.0)


def test_of_pixels_the_mean_loss_counts():
    """Probabilities of the truth 1/2 and 1/8 have the geometric mean 1/4, whose logit is -log 3."""
    margins = torch.tensor([0.0, -float(torch.log(torch.tensor(7.0)))])
    logits = margins.reshape(1, 1, 1, 2)
    expected = -float(torch.log(torch.tensor(3.0)))
    assert float(confidence(logits, torch.ones(1, 1, 2, dtype=torch.int64))) == pytest.approx(expected, rel=1e-6)
