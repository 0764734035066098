"""From gradients of single images to the sum of clipped gradients of units: what a step of DP-SGD releases.

    sum_u min(1, C / |G_u|) G_u,    G_u = sum of the gradients of u's images     (Abadi et al., CCS 2016, Algorithm 1)

A patient's gradients are summed first and clipped once; clipping each image would let a patient with n images move the
sum by n C. A mini-batch's mean gradient, clipped, bounds nobody's part in it.
"""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from medfed.types import Weights

Inputs = Float[Tensor, "batch channel *space"]
Targets = Int[Tensor, "batch ..."]
Owners = Int[Tensor, " batch"]
"""Which unit an image is of: numbers in ascending order, so that the images of a unit lie together."""

PerSample = Callable[[Inputs, Targets], tuple[Weights, Float[Tensor, " batch"]]]
"""Images -> gradients (batch, *shape) of every trained parameter, by name, and losses, each as if it were alone."""


@dataclass(frozen=True, eq=False)
class Clipped:
    """``total``: the sum of clipped gradients. ``loss``: the sum of the images' losses, not private."""

    total: Weights
    loss: float


Clipper = Callable[[Inputs, Targets, Owners, float], Clipped]
"""Images, targets, whose they are, and C -> the sum; one image or more."""


def clip_factors(norms: Float[Tensor, " unit"], clip: float) -> Float[Tensor, " unit"]:
    """``min(1, C / norm)``; 0 where the norm is not finite, so that one broken image cannot break the sum."""
    factors = clip / torch.clamp(norms, min=clip)
    return torch.where(torch.isfinite(norms), factors, torch.zeros_like(factors))


def chunked_clipper(per_sample: PerSample, like: Weights, chunk: int) -> Clipper:
    """Clip gradients that come ``chunk`` images at a time; of a patient cut by a chunk's end, the sum is carried on.

    Args:
        per_sample: gradients of single images.
        like: the trained parameters.
        chunk: images, at least 1.
    """

    def clipper(inputs: Inputs, targets: Targets, owners: Owners, clip: float) -> Clipped:
        total = {name: torch.zeros_like(value) for name, value in like.items()}
        loss, carried = 0.0, _Carried()
        for start in range(0, len(owners), chunk):
            part = slice(start, start + chunk)
            gradients, losses = per_sample(inputs[part], targets[part])
            loss += float(losses.sum())
            last = start + chunk >= len(owners)
            summed, complete = carried.units(gradients, owners[part], None if last else int(owners[start + chunk]))
            _add(total, summed, complete, clip)
        return Clipped(total, loss)

    return clipper


class _Carried:
    """The sum so far of a unit whose images go on in the next chunk."""

    def __init__(self) -> None:
        self._sum: Weights = {}

    def units(self, gradients: Weights, owners: Owners, following: int | None) -> tuple[Weights, int]:
        """Gradients (unit, *shape) of the units of a chunk, and how many of them are complete.

        Args:
            gradients: of the chunk's images.
            owners: of the chunk.
            following: owner of the next chunk's first image; None where there is none.
        """
        places = torch.unique_consecutive(owners, return_inverse=True)[1]
        number = int(places[-1]) + 1
        if number < len(owners) or self._sum:
            gradients = {name: _summed(value, places, number) for name, value in gradients.items()}
        for name, value in self._sum.items():
            gradients[name][0] += value
        goes_on = following is not None and following == int(owners[-1])
        self._sum = {name: value[-1].clone() for name, value in gradients.items()} if goes_on else {}
        return gradients, number - goes_on


def _summed(value: Tensor, places: Tensor, number: int) -> Tensor:
    return value.new_zeros(number, *value.shape[1:]).index_add_(0, places, value)


def _add(total: Weights, gradients: Weights, number: int, clip: float) -> None:
    """Add the first ``number`` units, each clipped over all its parameters as one vector."""
    if not number:
        return
    found = {name: value[:number] for name, value in gradients.items()}
    norms = torch.stack([torch.linalg.vector_norm(value.flatten(1), dim=1) for value in found.values()])
    factors = clip_factors(torch.linalg.vector_norm(norms, dim=0), clip)
    if not bool(factors.all()):  # 0 times infinity is no number
        found = {name: torch.nan_to_num(value, 0.0, 0.0, 0.0) for name, value in found.items()}
    for name, value in found.items():
        total[name] += torch.tensordot(factors, value, 1)
