"""Several passes over the same images. Oracle: the site's steps in plain torch, in an order that no pass repeats."""

from typing import ClassVar, Literal

import pytest
import torch
from torch import Tensor

from medfed.registry import plugin
from medfed.training.optimizers import SGD
from privacy.inversion.contract import Search
from privacy.inversion.engine import run_inversion
from privacy.inversion.observation import Observation
from privacy.inversion.passes import merged
from privacy.inversion.schedule import schedule_of
from privacy.inversion.terms import Terms
from tests.privacy.inversion.cases import dense, gradient, pictures

ORDERS = ((0, 1, 2), (2, 0, 1))
"""Of each pass; its batches are the first two images, then the third."""


def truth() -> Tensor:
    """Three images, none of them near black or white."""
    return 0.2 + 0.6 * pictures(3)


def site() -> Observation:
    """Four steps of SGD on the three images."""
    images, labels, model = truth(), torch.tensor([0, 1, 3]), dense()
    seen = gradient(model, images, labels)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    for order in ORDERS:
        for batch in (list(order[:2]), list(order[2:])):
            optimizer.zero_grad()
            torch.nn.functional.cross_entropy(model(images[batch]), labels[batch]).backward()
            optimizer.step()
    change = {name: value.detach() - seen.weights[name] for name, value in model.state_dict().items()}
    fields = {"batch_size": 2, "local_steps": 4, "optimizer": SGD(lr=0.5), "labels": labels}
    return seen.replace(change=change, **fields)


@plugin
class Planted:
    """The true images in the order of each pass, the first pass too bright by as much as the second is too dark."""

    precision: ClassVar[Literal["float32", "float64"]] = "float32"

    def __call__(self, search: Search, generator: torch.Generator) -> None:
        images, labels = search.start(1, generator)
        candidates = torch.cat([truth()[list(order)] + off for order, off in zip(ORDERS, (0.1, -0.1), strict=True)])
        search.evaluate(candidates[None].to(images), labels, Terms())


def test_the_loss_is_that_of_the_merged_images_in_the_order_of_every_pass() -> None:
    """The mean of the passes is the truth, whose steps give the very change; the candidates themselves do not."""
    found = run_inversion(site(), attack=Planted())
    torch.testing.assert_close(found.images, truth(), rtol=0, atol=1e-6)
    assert found.loss == pytest.approx(0.0, abs=1e-5)
    assert found.trajectory[0][1] > 1e-3


def test_a_pass_cut_short_is_matched_and_does_not_enter_the_mean() -> None:
    seen = site().replace(local_steps=3)
    candidates = torch.cat([pictures(3), pictures(3)[[2, 0]] + 0.01])
    images, labels, rows = merged(candidates, torch.tensor([0, 1, 3, 0, 1]), schedule_of(seen))
    assert torch.equal(images, pictures(3))
    assert labels.tolist() == [0, 1, 3]
    assert rows.tolist() == [0, 1, 2, 2, 0]
