"""Convolution weights in channels-last order while an attack lasts: what oneDNN's kernels for processors work on.

Measured with a network of six convolutions and batch norm on one AMX core, 32 x 1 x 28 x 28 pixels and more at a time:
an image-gradient takes .9 to .4 of the time in bfloat16, and about .9 in float32. GroupNorm and InstanceNorm have no
such kernel in bfloat16 (2.4 times slower), so a network that has one stays as it is. The choice looks at the network
alone, never at a clock.
"""

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

_FORMATS = {4: torch.channels_last, 5: torch.channels_last_3d}
"""By the number of axes of an image batch or of a convolution's weight."""

_WITHOUT_KERNEL = (nn.GroupNorm, nn.modules.instancenorm._InstanceNorm)


def suits_channels_last(model: nn.Module) -> bool:
    """Whether every normalization in the network is fast in that order."""
    return not any(isinstance(module, _WITHOUT_KERNEL) for module in model.modules())


def to_channels_last(tensor: Tensor) -> Tensor:
    """The same values in channels-last order, where the tensor has two or three axes of space."""
    form = _FORMATS.get(tensor.ndim)
    return tensor if form is None else tensor.contiguous(memory_format=form)


@contextmanager
def channels_last(model: nn.Module) -> Iterator[None]:
    """Inside: weights with space axes in channels-last order; afterwards the very tensors from before.

    Weights that share their memory with another keep theirs.

    What the model writes to such a weight is carried over, so that whoever compares the bytes sees it.
    """
    owners = Counter(weight.untyped_storage().data_ptr() for weight in model.parameters())
    kept = [
        (weight, weight.data)
        for weight in model.parameters()
        if weight.ndim in _FORMATS and owners[weight.untyped_storage().data_ptr()] == 1
    ]
    kept = kept if suits_channels_last(model) else []
    try:
        for weight, values in kept:
            weight.data = to_channels_last(values)
        yield
    finally:
        for weight, values in kept:
            written, weight.data = weight.data, values
            if not torch.equal(written, values):
                values.copy_(written)
