"""How near a reconstruction is to the truth, pixel by pixel: matching over the batch, and PSNR."""

import torch
from jaxtyping import Float, Int
from scipy.optimize import linear_sum_assignment
from torch import Tensor

Images = Float[Tensor, "examples channel *space"]

_FLOOR = 1e-12
"""Least mean squared error: PSNR is at most 120 dB."""


def squared_errors(found: Images, truth: Images) -> Float[Tensor, "examples others"]:
    """Mean squared error of every found image (rows) to every true one (columns)."""
    rows = [((image[None].double() - truth.double()) ** 2).flatten(1).mean(1) for image in found]
    return torch.stack(rows)


def assignment(found: Images, truth: Images) -> Int[Tensor, " others"]:
    """For each true image the row of ``found`` that is matched to it, one to one, by least total squared error."""
    rows, columns = linear_sum_assignment(squared_errors(found, truth).numpy())
    order = torch.empty(len(truth), dtype=torch.int64)
    order[torch.from_numpy(columns)] = torch.from_numpy(rows)
    return order


def psnr(found: Images, truth: Images) -> Float[Tensor, " examples"]:
    """Peak signal-to-noise ratio -10 log10(MSE) in dB per image, for intensities in [0, 1], found clipped to it."""
    errors = ((found.double().clamp(0.0, 1.0) - truth.double()) ** 2).flatten(1).mean(1)
    return -10.0 * torch.log10(errors.clamp_min(_FLOOR))
