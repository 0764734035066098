"""U-Net (Ronneberger, Fischer and Brox, MICCAI 2015, figure 1) for images of any size."""

from typing import Annotated, ClassVar

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from medfed.models.layers import Center, Norm, conv_norm_relu, initialize
from medfed.registry import plugin
from medfed.types import Task


def _double_convolution(inputs: int, outputs: int, norm: Norm) -> nn.Module:
    return nn.Sequential(*conv_norm_relu(inputs, outputs, norm), *conv_norm_relu(outputs, outputs, norm))


def padded_size(size: int, depth: int) -> int:
    """The smallest multiple of 2**depth that holds ``size`` pixels and leaves 2 pixels at the bottom."""
    step: int = 2**depth
    return max(-(-size // step), 2) * step


class UNetModule(nn.Module):
    """Contracting path, expanding path by 2x2 up-convolutions, skip connections, 1x1 output layer."""

    def __init__(self, channels: int, outputs: int, width: int, depth: int, norm: Norm) -> None:
        super().__init__()
        widths = [width * 2**level for level in range(depth + 1)]
        self.depth = depth
        self.center = Center()
        self.down = nn.ModuleList(
            _double_convolution(inputs, level, norm) for inputs, level in zip([channels, *widths], widths, strict=False)
        )
        below = list(zip(reversed(widths[1:]), reversed(widths[:-1]), strict=True))
        self.up = nn.ModuleList(nn.ConvTranspose2d(deep, level, 2, stride=2) for deep, level in below)
        self.merge = nn.ModuleList(_double_convolution(deep, level, norm) for deep, level in below)
        initialize(self)
        self.head = nn.Conv2d(width, outputs, kernel_size=1)

    def forward(
        self, images: Float[Tensor, "batch channel height width"]
    ) -> Float[Tensor, "batch output height width"]:
        """Logits per pixel; the border is repeated up to a size that halves evenly, and cut off again."""
        height, width = images.shape[-2:]
        x: Tensor = self.center(_pad(images, padded_size(height, self.depth), padded_size(width, self.depth)))
        skips = []
        for block in self.down[:-1]:
            x = block(x)
            skips.append(x)
            x = functional.max_pool2d(x, 2)
        x = self.down[-1](x)
        for up, merge, skip in zip(self.up, self.merge, reversed(skips), strict=True):
            x = merge(torch.cat([skip, up(x)], dim=1))
        logits: Tensor = self.head(x)
        return logits[..., :height, :width]


def _pad(images: Tensor, height: int, width: int) -> Tensor:
    below, right = height - images.shape[-2], width - images.shape[-1]
    return functional.pad(images, (0, right, 0, below), mode="replicate") if below or right else images


@plugin
class UNet:
    """The paper's layout, with normalization, and with padded convolutions so that the output has the input's size.

    Attributes:
        width: channels at full resolution (64 in the paper); each halving of the image doubles them.
        depth: how often the image is halved (4 in the paper).
    """

    kinds: ClassVar[tuple[str, ...]] = ("segmentation",)

    width: Annotated[int, Field(ge=1)] = 16
    depth: Annotated[int, Field(ge=1, le=6)] = 3
    norm: Norm = "group"

    def __call__(self, task: Task) -> nn.Module:
        """Build the module."""
        return UNetModule(task.channels, task.num_outputs, self.width, self.depth, self.norm)
