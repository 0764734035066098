"""Steps that many attacks share: up the gradient, as far as each norm allows."""

from typing import Annotated

import torch
from jaxtyping import Float, Shaped
from pydantic import Field
from torch import Tensor

from robustness.attacks.projection import Bounds

Images = Float[Tensor, "batch channel *space"]

Steps = Annotated[int, Field(ge=1)]
"""Number of iterations."""

Share = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
"""A step as a share of eps."""


def wide(values: Shaped[Tensor, " batch"], images: Images) -> Tensor:
    """One value per image, shaped to broadcast over ``images``."""
    return values.reshape(-1, *[1] * (images.ndim - 1))


def ascent(gradient: Images, bounds: Bounds) -> Images:
    """The step of length 1 unit of eps that raises a linear loss most, in the model's input units.

    linf: the sign; l2: the gradient in units of eps, normalised (Madry et al., ICLR 2018).
    """
    if bounds.norm == "linf":
        return gradient.sign() / bounds.per_unit
    by_unit = gradient / bounds.per_unit
    length = by_unit.flatten(1).norm(dim=1).clamp(min=torch.finfo(gradient.dtype).tiny)
    return by_unit / wide(length, gradient) / bounds.per_unit


def soft_ascent(gradient: Images, bounds: Bounds) -> Images:
    """For linf the gradient over its mean size, cut at 1: the sign where it is large, less where it is small.

    For l2 the same as :func:`ascent`.
    """
    if bounds.norm != "linf":
        return ascent(gradient, bounds)
    by_unit = gradient / bounds.per_unit
    size = by_unit.abs().flatten(1).mean(dim=1).clamp(min=torch.finfo(gradient.dtype).tiny)
    return (by_unit / wide(size, gradient)).clamp(-1.0, 1.0) / bounds.per_unit
