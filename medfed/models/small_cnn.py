"""A small convolutional network for small images."""

from collections import OrderedDict
from typing import Annotated, ClassVar

from pydantic import Field
from torch import nn

from medfed.models.layers import Center, Norm, conv_norm_relu, initialize
from medfed.registry import plugin
from medfed.types import Task


@plugin
class SmallCNN:
    """Three stages of two 3x3 convolutions in the manner of VGG (Simonyan and Zisserman 2015), then global averaging.

    Attributes:
        width: channels of the first stage; the next two have twice and four times as many.
        dropout: probability that a feature is dropped before the last layer.
    """

    kinds: ClassVar[tuple[str, ...]] = ("classification",)

    width: Annotated[int, Field(ge=1)] = 32
    norm: Norm = "group"
    dropout: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0

    def __call__(self, task: Task) -> nn.Module:
        """Build the module."""
        first, second, third = self.width, 2 * self.width, 4 * self.width
        features = nn.Sequential(
            *conv_norm_relu(task.channels, first, self.norm),
            *conv_norm_relu(first, first, self.norm),
            nn.MaxPool2d(2),
            *conv_norm_relu(first, second, self.norm),
            *conv_norm_relu(second, second, self.norm),
            nn.MaxPool2d(2),
            *conv_norm_relu(second, third, self.norm),
            *conv_norm_relu(third, third, self.norm),
        )
        initialize(features)
        head = nn.Sequential(
            nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Dropout(self.dropout), nn.Linear(third, task.num_outputs)
        )
        return nn.Sequential(OrderedDict(center=Center(), features=features, head=head))
