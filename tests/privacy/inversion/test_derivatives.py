"""The derivative of an objective by candidates. Oracles: torch.func beside plain autograd; differences in float64."""

from typing import Any

import pytest
import torch

from medfed.training.optimizers import SGD, AdamW
from privacy.inversion.objective import Objective, weights_of
from privacy.inversion.observation import Observation
from privacy.inversion.terms import Terms
from tests.privacy.inversion.cases import convolutional, gradient, pictures

TERMS = Terms(total_variation=0.04, batch_norm=0.01, passes=1.0)


def observed(fields: dict[str, Any], train: bool) -> Observation:
    seen = gradient(convolutional(norm=train), pictures(3), torch.tensor([0, 1, 3]), train=train)
    return seen.replace(**fields)


@pytest.mark.parametrize("train", [True, False], ids=["batch statistics", "no normalization"])
@pytest.mark.parametrize("known", [True, False], ids=["labels known", "labels searched"])
@pytest.mark.parametrize(
    "fields",
    [{}, {"local_steps": 3, "batch_size": 2, "optimizer": SGD(lr=0.1, momentum=0.9)}, {"optimizer": AdamW(lr=0.01)}],
    ids=["one step", "three steps with momentum", "adamw"],
)
def test_plain_autograd_agrees_with_torch_func(fields: dict[str, Any], known: bool, train: bool) -> None:
    seen = observed(fields, train)
    slots = sum(map(len, Objective(seen, None, torch.float64).schedule.passes))
    images, logits = pictures(slots, seed=7).double(), torch.randn(slots, 4, dtype=torch.float64)
    targets = torch.arange(slots) % 4 if known else None
    objective = Objective(seen, targets, torch.float64)
    weights = weights_of(TERMS, torch.float64)
    by_func, of_func = objective.function(TERMS)(images, logits, weights)
    by_autograd, of_autograd = objective.plain_function(TERMS)(images, logits, weights)
    torch.testing.assert_close((*by_autograd, *of_autograd), (*by_func, *of_func), rtol=1e-9, atol=1e-12)


def test_plain_autograd_agrees_with_differences() -> None:
    objective = Objective(observed({}, False), torch.tensor([0, 1, 3]), torch.float64)
    images, logits = pictures(3, seed=7).double(), torch.zeros(3, 4, dtype=torch.float64)
    terms = Terms(distance="squared")
    weights, step = weights_of(terms, torch.float64), 1e-5
    along = torch.randn(images.shape, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    ahead, behind = (objective.values(images + s * along, logits, weights, terms)[0] for s in (step, -step))
    (by_images, _), _ = objective.plain_function(terms)(images, logits, weights)
    assert float((by_images * along).sum()) == pytest.approx(float(ahead - behind) / (2 * step), rel=1e-6)
