"""An image as a sum of coarse and fine layers, so that a descent moves brightness and colour as fast as details."""

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

_MODES = {1: "linear", 2: "bilinear", 3: "trilinear"}
_SMALLEST = 2


class Pyramid:
    """Layers of the image's size, half of it, a quarter and so on down to 2 pixels on the shortest side.

    The image is their sum, each stretched linearly; at first all but the finest are zero (the Laplacian pyramid of
    Burt and Adelson, IEEE Transactions on Communications 1983, read backwards).

    Args:
        image: (1, channel, *space), the finest layer.

    Attributes:
        layers: leaves that want gradients, the finest first.
    """

    def __init__(self, image: Float[Tensor, "1 channel *space"]) -> None:
        self._space = tuple(image.shape[2:])
        self.layers = [image.clone().requires_grad_()]
        size = self._space
        while min(size) // 2 >= _SMALLEST:
            size = tuple(side // 2 for side in size)
            self.layers.append(torch.zeros(*image.shape[:2], *size, dtype=image.dtype, requires_grad=True))

    def image(self) -> Float[Tensor, "1 channel *space"]:
        """The sum."""
        mode = _MODES[len(self._space)]
        total = self.layers[0]
        for layer in self.layers[1:]:
            total = total + functional.interpolate(layer, size=self._space, mode=mode, align_corners=False)
        return total
