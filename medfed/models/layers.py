"""Layers that the architectures share."""

from collections.abc import Callable
from typing import Literal

from jaxtyping import Float
from torch import Tensor, nn

Norm = Literal["group", "batch", "instance"]

_MAX_GROUPS = 8


class Center(nn.Module):
    """(x - 0.5) / 0.25: brings intensities in [0, 1] to about zero mean and unit variance, the same at every site."""

    def forward(
        self, images: Float[Tensor, "batch channel height width"]
    ) -> Float[Tensor, "batch channel height width"]:
        """Shift and scale."""
        return (images - 0.5) * 4.0


def num_groups(channels: int) -> int:
    """The largest divisor of ``channels`` up to 8 that leaves two channels in a group (1 where there is none).

    A group of a single channel on a single pixel would always come out as zero.
    """
    most = min(_MAX_GROUPS, max(channels // 2, 1))
    return next(groups for groups in range(most, 0, -1) if channels % groups == 0)


def normalization(norm: Norm, channels: int) -> nn.Module:
    """A normalization layer with learned scale and shift; only ``batch`` carries running statistics."""
    layers: dict[Norm, Callable[[], nn.Module]] = {
        "group": lambda: nn.GroupNorm(num_groups(channels), channels),
        "batch": lambda: nn.BatchNorm2d(channels),
        "instance": lambda: nn.InstanceNorm2d(channels, affine=True),
    }
    return layers[norm]()


def conv_norm_relu(inputs: int, outputs: int, norm: Norm) -> list[nn.Module]:
    """3x3 convolution, normalization, rectifier; height and width stay."""
    convolution = nn.Conv2d(inputs, outputs, kernel_size=3, padding=1, bias=False)
    return [convolution, normalization(norm, outputs), nn.ReLU()]


def initialize(module: nn.Module) -> None:
    """Draw every convolution in ``module`` from N(0, 2 / fan_in) (He et al., ICCV 2015, eq. 10); biases are zero."""
    for layer in module.modules():
        if isinstance(layer, nn.Conv2d | nn.ConvTranspose2d):
            nn.init.kaiming_normal_(layer.weight, nonlinearity="relu")
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)
