"""ResNet-18 (He et al., Deep Residual Learning for Image Recognition, CVPR 2016, table 1)."""

from collections import OrderedDict
from typing import Annotated, ClassVar

from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn
from torch.nn import functional

from medfed.errors import ScenarioError
from medfed.models.layers import Center, Norm, conv_norm_relu, initialize, normalization
from medfed.registry import plugin
from medfed.types import Task

SMALL_IMAGE = 64
"""Largest side in pixels that gets the small stem."""


class BasicBlock(nn.Module):
    """Two 3x3 convolutions around a shortcut; a 1x1 convolution on the shortcut where the shape changes (option B)."""

    def __init__(self, inputs: int, outputs: int, stride: int, norm: Norm) -> None:
        super().__init__()
        self.residual = nn.Sequential(
            nn.Conv2d(inputs, outputs, 3, stride=stride, padding=1, bias=False),
            normalization(norm, outputs),
            nn.ReLU(),
            nn.Conv2d(outputs, outputs, 3, padding=1, bias=False),
            normalization(norm, outputs),
        )
        self.shortcut: nn.Module = nn.Identity()
        if stride != 1 or inputs != outputs:
            projection = nn.Conv2d(inputs, outputs, 1, stride=stride, bias=False)
            self.shortcut = nn.Sequential(projection, normalization(norm, outputs))

    def forward(self, x: Float[Tensor, "batch inputs h w"]) -> Float[Tensor, "batch outputs h2 w2"]:
        """relu(shortcut(x) + residual(x))."""
        return functional.relu(self.residual(x) + self.shortcut(x))


def _stem(channels: int, width: int, norm: Norm, image_size: int) -> nn.Module:
    if image_size <= SMALL_IMAGE:
        return nn.Sequential(*conv_norm_relu(channels, width, norm))
    return nn.Sequential(
        nn.Conv2d(channels, width, 7, stride=2, padding=3, bias=False),
        normalization(norm, width),
        nn.ReLU(),
        nn.MaxPool2d(3, stride=2, padding=1),
    )


@plugin
class ResNet18:
    """Four stages of two residual blocks, global averaging, one linear layer; 11.2 M parameters at width 64.

    Up to 64 px the stem is one 3x3 convolution of stride 1 without pooling, as in MedMNIST's version for 28 px
    (Yang et al., Scientific Data 2023); above, it is the 7x7 stem of the paper.

    Attributes:
        width: channels of the first stage (64 in the paper); each further stage doubles them.
    """

    kinds: ClassVar[tuple[str, ...]] = ("classification",)

    width: Annotated[int, Field(ge=1)] = 64
    norm: Norm = "group"

    def __call__(self, task: Task) -> nn.Module:
        """Build the module."""
        if self.norm == "instance" and task.image_size <= 8:
            raise ScenarioError(
                f'model resnet18: norm "instance" needs images above 8 px, data.image_size is {task.image_size} '
                '(the last stage would see one pixel); use norm = "group"'
            )
        stages: OrderedDict[str, nn.Module] = OrderedDict(
            center=Center(), stem=_stem(task.channels, self.width, self.norm, task.image_size)
        )
        inputs = self.width
        for stage in range(4):
            outputs = self.width * 2**stage
            first = BasicBlock(inputs, outputs, 1 if stage == 0 else 2, self.norm)
            stages[f"stage{stage + 1}"] = nn.Sequential(first, BasicBlock(outputs, outputs, 1, self.norm))
            inputs = outputs
        body = nn.Sequential(stages)
        initialize(body)
        body.add_module(
            "head", nn.Sequential(nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(inputs, task.num_outputs))
        )
        return body
