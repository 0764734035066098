"""What a filter before the model is, and the windows that filters share.

A filter changes what an attacker must get past, not what the model does wrong, and whoever knows the filter attacks
through it (Athalye, Carlini and Wagner, ICML 2018). Every filter here therefore has a gradient, its own or a
straight-through one, so that an attack on the filtered model is an attack on the defence as well. A figure from an
attack that did not know of the filter says nothing.
"""

from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

Images = Float[Tensor, "batch channel *space"]


@runtime_checkable
class InputFilter(Protocol):
    """Images in [0, 1] -> images in [0, 1] of the same shape; each image and each channel by itself, nothing drawn.

    It has a gradient with respect to the images that leads an attack through it: the derivative, or where that is zero
    almost everywhere, the identity (BPDA, Athalye et al., section 4.1).
    """

    def __call__(self, images: Images) -> Images:
        """Filter one batch of images (height width) or volumes (depth height width)."""
        ...


def padded(images: Images, radius: int) -> Float[Tensor, "batch channel *padded"]:
    """The border repeated ``radius`` times on every side."""
    return functional.pad(images, [radius] * (2 * (images.ndim - 2)), mode="replicate")
