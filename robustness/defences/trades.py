"""TRADES: accuracy on the images, plus how far the prediction moves around them (Zhang et al., ICML 2019, eq. 5)."""

from typing import Annotated

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from medfed.registry import plugin
from medfed.training.adversarial import TrainingBatch
from robustness.attacks.heads import head_for
from robustness.attacks.projection import project
from robustness.attacks.steps import Share, Steps
from robustness.defences.perturbation import GreyLevels, Images, bounds_of, climb, crafting

Scores = Float[Tensor, "batch choice unit"]

_START = 0.001
"""Standard deviation of the starting point, in units of the range (Algorithm 1): the divergence has no slope at x."""


def divergence(clean: Scores, moved: Scores) -> Float[Tensor, ""]:
    """The mean over images and units of KL(p || q) = sum p log(p / q), p of ``clean`` and q of ``moved``.

    A unit is one decision: the image, a finding, a pixel (:mod:`robustness.attacks.heads`).
    """
    p, q = clean.log_softmax(dim=1), moved.log_softmax(dim=1)
    return functional.kl_div(q, p, reduction="none", log_target=True).sum(dim=1).mean()


@plugin
class TRADES:
    """Train on L(x) + beta KL(p(x) || p(x')), x' the point around x where the divergence is largest.

    A step takes ``steps`` gradients more than plain training, and one forward and backward pass more. Both passes of
    training count in BatchNorm's statistics.

    Attributes:
        eps_grey_levels: largest change of a pixel, in 1/255 of the range.
        beta: weight of the divergence, 1 / lambda of the paper, which takes 1 and 6; 0 is plain training.
        steps: gradients taken; the paper takes 10.
        step: length of a step as a share of eps.
    """

    eps_grey_levels: GreyLevels = 8.0
    beta: Annotated[float, Field(ge=0.0, allow_inf_nan=False)] = 6.0
    steps: Steps = 10
    step: Share = 0.25

    def __call__(self, batch: TrainingBatch) -> Float[Tensor, ""]:
        """The training loss of the images and the divergence of their predictions from those of changed ones."""
        head = head_for(batch.task)

        def scores(images: Images) -> Scores:
            return head.scores(batch.forward(images))

        bounds = bounds_of(self.eps_grey_levels, batch.images)
        noise = _START * torch.randn(batch.images.shape, generator=batch.generator).to(batch.images)
        start = project(batch.images + noise, batch.images, bounds)
        with crafting(batch.model):
            with torch.no_grad():
                clean = scores(batch.images)
            points = climb(batch.images, start, lambda x: divergence(clean, scores(x)), bounds, self.steps, self.step)
        logits = batch.forward(batch.images)
        return batch.loss(logits) + self.beta * divergence(head.scores(logits), scores(points))
