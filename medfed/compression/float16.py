"""Half precision: IEEE 754 binary16, rounded to nearest.

With ``|x| <= 65504`` the error is at most ``max(2^-11 |x|, 2^-25)`` (half a unit in the last of 11 bits; half the
smallest subnormal number, 2^-24).
"""

import numpy as np
import torch
from torch import Tensor

from medfed.compression.wire import (
    check_exact,
    check_form,
    check_names,
    exact_entries,
    lossy_names,
    require_finite,
)
from medfed.registry import plugin
from medfed.types import Weights

LARGEST = torch.finfo(torch.float16).max


@plugin
class Float16:
    """Floating-point entries travel as float16, half the bytes of float32.

    A tensor with a value beyond float16's range (65504) travels in its own dtype: nothing is clipped, nothing
    becomes infinite, and the bytes that are accounted show it.
    """

    def compress(self, tensors: Weights, residual: Weights, generator: np.random.Generator) -> tuple[Weights, Weights]:
        """Round; the generator is not used."""
        return exact_entries(tensors) | {name: _narrow(name, tensors[name]) for name in lossy_names(tensors)}, {}

    def decompress(self, wire: Weights, like: Weights) -> Weights:
        """Widen."""
        check_names(wire, like)
        found = check_exact(wire, like)
        for name in lossy_names(like):
            check_form(wire, name, like[name].shape, torch.float16, like[name].dtype)
            found[name] = wire[name].to(like[name].dtype)
        return {name: found[name] for name in like}


def _narrow(name: str, value: Tensor) -> Tensor:
    require_finite(name, value)
    fits = value.element_size() > torch.float16.itemsize and not bool((value.abs() > LARGEST).any())
    return value.to(torch.float16) if fits else value
