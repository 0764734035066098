"""The inner maximum of adversarial training: images that raise a loss, within eps grey levels and the range [0, 1].

They are made with the model in evaluation mode, as in the code of TRADES (Zhang et al., ICML 2019), and as Pang et al.
("Bag of Tricks for Adversarial Training", ICLR 2021) advise after comparing both: BatchNorm's statistics then come from
images that are trained on only, and dropout draws nothing. Madry et al. and Wong et al. attack in training mode.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Annotated

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from robustness.attacks.contract import AttackError
from robustness.attacks.projection import Bounds, project
from robustness.attacks.steps import ascent
from robustness.attacks.threat import ThreatModel

Images = Float[Tensor, "batch channel *space"]

GreyLevels = Annotated[float, Field(ge=0.0, le=255.0, allow_inf_nan=False)]
"""Largest change of a pixel, in 1/255 of the range; 0 changes nothing."""


def bounds_of(eps_grey_levels: float, images: Images) -> Bounds:
    """The ball of the maximum norm around ``images``, and their range [0, 1]."""
    return Bounds.of(ThreatModel.grey_levels(eps_grey_levels), images)


@contextmanager
def crafting(model: nn.Module) -> Iterator[None]:
    """Evaluation mode; afterwards every module is in its own mode again, and so is the global random state."""
    training = [module for module in model.modules() if module.training]
    model.eval()
    try:
        with torch.random.fork_rng(devices=[]):
            yield
    finally:
        for module in training:
            module.training = True


def climb(
    images: Images,
    start: Images,
    rising: Callable[[Images], Float[Tensor, ""]],
    bounds: Bounds,
    steps: int,
    step: float,
) -> Images:
    """Projected gradient ascent: x <- P(x + step eps sign(grad)), ``steps`` times (Madry et al., ICLR 2018).

    Args:
        images: the centre of the ball.
        start: inside it.
        rising: what is made larger; the sum or the mean over images.
        bounds: eps and range.
        steps: gradients taken.
        step: length of a step as a share of eps.

    Raises:
        AttackError: there is no gradient with respect to the image.
    """
    points = start
    for _ in range(steps):
        points = points.detach().requires_grad_(True)
        (gradient,) = torch.autograd.grad(rising(points), points, allow_unused=True)
        if gradient is None:
            raise AttackError(
                "training.adversarial: the model's output has no gradient with respect to the image (a rounding, a "
                'detach or numpy in its forward?): expected a differentiable model, or training.adversarial = "none"'
            )
        points = project(points.detach() + step * bounds.eps * ascent(gradient, bounds), images, bounds)
    return points.detach()
