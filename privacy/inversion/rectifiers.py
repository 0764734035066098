"""Which rectifiers were open, where what is known of their outputs is too small to tell from rounding.

A rectifier that is open by a hair passes the whole gradient on, so that a handful of wrong ones spoils what is computed
behind them (five of 16,384: 3 %). But they do not escape notice: with the right ones the convolution's weight
gradient is a product K U exactly (:mod:`.products`). Shut or open is one number per candidate, and to first order
the misfit is linear in these numbers, with the input fitted anew (variable projection, Golub and Pereyra 1973, in the
approximation of Kaufman 1975).
"""

import math
from typing import NamedTuple

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from privacy.inversion.patches import Convolution
from privacy.inversion.products import patches, spread_out

_MOST = 200
_NEAR = math.log(20.0)
"""Candidates are outputs up to this factor from the noise."""
_FINEST, _RIDGE = 1e-12, 1e-9


class Rectifiers(NamedTuple):
    """What is known of them.

    Attributes:
        open: shaped like the outputs.
        candidates: places in the flattened outputs that may be wrong.
    """

    open: Bool[Tensor, "1 channel *space"]
    candidates: Int[Tensor, " candidate"]


def from_outputs(outputs: Float[Tensor, "1 channel *space"]) -> Rectifiers:
    """Open above the noise, which is as large as the outputs below zero."""
    noise = torch.maximum(-outputs.min(), _FINEST * outputs.max())
    away = (outputs.flatten().clamp_min(_FINEST * noise) / noise).log().abs()
    nearest = away.argsort()[:_MOST]
    return Rectifiers(outputs > noise, nearest[away[nearest] < _NEAR])


def revised(
    rectifiers: Rectifiers,
    layer: Convolution,
    gradient: Float[Tensor, "output input *kernel"],
    by_output: Float[Tensor, "output position"],
    inputs: Float[Tensor, "1 input *space"],
    if_open: Float[Tensor, "output position"],
) -> Rectifiers:
    """Open those that make the misfit of ``gradient`` = K U small.

    Args:
        rectifiers: as they are taken to be.
        layer: the convolution before them.
        gradient: by its weights.
        by_output: K as it follows from ``rectifiers``.
        inputs: the fit to it.
        if_open: what an open rectifier adds to K.
    """
    where, positions = rectifiers.candidates, by_output.shape[1]
    if not len(where):
        return rectifiers
    channel, position = where // positions, where % positions
    seen = patches(layer, inputs)[position].reshape(len(where), inputs.shape[1], -1).transpose(1, 2)
    effect = if_open.flatten()[where, None, None] * seen
    basis = torch.linalg.qr(spread_out(layer, by_output, tuple(inputs.shape[2:])).flatten(0, 1)).Q
    basis = basis.reshape(len(by_output), -1, basis.shape[1])[channel]
    fitted = torch.einsum("jop,joc->jpc", basis, effect).flatten(1)
    gram = (channel[:, None] == channel) * torch.einsum("joc,koc->jk", effect, effect) - fitted @ fitted.T
    gram = gram + _RIDGE * gram.diagonal().mean() * torch.eye(len(where), dtype=gram.dtype)
    misfit = gradient.flatten(2).transpose(1, 2) - _product(layer, by_output, inputs)
    told = (effect * misfit[channel]).sum((1, 2))
    opened = rectifiers.open.flatten().clone()
    opened[where] = opened[where] + torch.linalg.solve(gram, told) > 0.5
    return rectifiers._replace(open=opened.reshape(rectifiers.open.shape))


def _product(layer: Convolution, by_output: Tensor, inputs: Tensor) -> Tensor:
    """K U as (output, place of the kernel, input)."""
    product = by_output @ patches(layer, inputs)
    return product.reshape(len(by_output), inputs.shape[1], -1).transpose(1, 2)
