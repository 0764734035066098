"""Unbiased stochastic quantization to eight bits, one scale per tensor.

QSGD (Alistarh et al., NeurIPS 2017) with 127 levels a side, the largest magnitude of the tensor in place of its
2-norm, and no entropy code: ``scale = max |x| / 127``, ``q = floor(x / scale + u)`` with ``u`` uniform in [0, 1), and
``x' = scale q``. Then ``E[x'] = x`` and ``|x' - x| < scale``, so the variance is at most ``scale^2 / 4``.
"""

import math

import numpy as np
import torch
from jaxtyping import Float
from jaxtyping import Int8 as Codes
from torch import Tensor

from medfed.compression.wire import (
    MARK,
    check_exact,
    check_form,
    check_names,
    exact_entries,
    lossy_names,
    require_finite,
    require_plain_names,
)
from medfed.errors import UpdateError
from medfed.registry import plugin
from medfed.types import Weights

LEVELS = 127
SCALES = f"{MARK}scales"


@plugin
class Int8:
    """Floating-point entries travel as int8 with stochastic rounding, a quarter of the bytes of float32.

    Beside them travels one float64 scale per tensor, in the order of sorted names. A tensor of zeros is exact.
    """

    def compress(self, tensors: Weights, residual: Weights, generator: np.random.Generator) -> tuple[Weights, Weights]:
        """Quantize; what is drawn depends on the names and shapes alone."""
        require_plain_names(tensors)
        names = lossy_names(tensors)
        scales = torch.zeros(len(names), dtype=torch.float64)
        wire = exact_entries(tensors)
        for position, name in enumerate(names):
            require_finite(name, tensors[name])
            scale = tensor_scale(tensors[name])
            scales[position] = scale
            wire[name] = quantize(tensors[name], scale, generator)
        return wire | {SCALES: scales}, {}

    def decompress(self, wire: Weights, like: Weights) -> Weights:
        """Multiply by the scales."""
        names = lossy_names(like)
        check_names(wire, [*like, SCALES])
        check_form(wire, SCALES, (len(names),), torch.float64)
        found = check_exact(wire, like)
        for name, scale in zip(names, wire[SCALES].tolist(), strict=True):
            check_form(wire, name, like[name].shape, torch.int8)
            found[name] = _widen(name, wire[name], scale, like[name].dtype)
        return {name: found[name] for name in like}


def tensor_scale(value: Float[Tensor, "..."]) -> float:
    """The step between two levels; 0 for a tensor of zeros, or an empty one."""
    return _step(float(value.abs().max())) if value.numel() else 0.0


def _step(largest: float) -> float:
    """``largest / 127``, rounded up so that no value lies beyond the last level."""
    return math.nextafter(largest / LEVELS, math.inf) if largest > 0.0 else 0.0


def quantize(value: Float[Tensor, "..."], scale: float, generator: np.random.Generator) -> Codes[Tensor, "..."]:
    """``floor(x / scale + u)``, from -127 to 127.

    ``u`` has 24 bits: a level is chosen with the right probability to 2^-24, and ``127 + u`` stays below 128.
    """
    noise = torch.from_numpy(generator.random(value.numel(), dtype=np.float32)).reshape(value.shape)
    if scale == 0.0:
        return torch.zeros_like(value, dtype=torch.int8)
    return (value.to(torch.float64) / scale).add_(noise).floor_().to(torch.int8)


def _widen(name: str, codes: Codes[Tensor, "..."], scale: float, dtype: torch.dtype) -> Float[Tensor, "..."]:
    largest = torch.finfo(dtype).max
    if not 0.0 <= scale <= _step(largest):  # NaN fails too
        raise UpdateError(f'tensor "{name}": expected a scale from 0 to {_step(largest):.3g}, got {scale}')
    return codes.to(dtype).mul_(scale).clamp_(-largest, largest)  # 127 steps may round to just beyond the largest
