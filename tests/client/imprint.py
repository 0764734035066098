"""A server that robs: a model that can hold an imprint layer, its weights, and how images are read off an update.

After Fowl et al., "Robbing the Fed: Directly Obtaining Private Data in Federated Learning with Modified Models", ICLR
2022, section 3: every row of the layer measures the brightness of an image, unit i is on where it exceeds threshold i,
and what two neighbouring units learned differs by the images between their thresholds alone.
"""

from typing import Annotated, ClassVar

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor, nn

from medfed.registry import plugin
from medfed.types import Task, Weights


@plugin
class Imprinted:
    """Two linear layers on the pixels, an ordinary network until its weights are chosen."""

    kinds: ClassVar[tuple[str, ...]] = ("classification",)

    units: Annotated[int, Field(ge=2)] = 200

    def __call__(self, task: Task) -> nn.Module:
        """Build the module."""
        inputs = task.channels * task.image_size**2
        return nn.Sequential(
            nn.Flatten(), nn.Linear(inputs, self.units), nn.ReLU(), nn.Linear(self.units, task.num_outputs)
        )


def trap(like: Weights, images: Float[Tensor, "image channel height width"]) -> Weights:
    """Weights that sort by brightness, with thresholds at the quantiles of images of the server's own."""
    units, inputs = like["1.weight"].shape
    brightness = images.flatten(1).mean(1)
    thresholds = torch.quantile(brightness, torch.linspace(0.0, 1.0, units))
    return {
        "1.weight": torch.full((units, inputs), 1.0 / inputs),
        "1.bias": -thresholds,
        "3.weight": torch.linspace(-1.0, 1.0, len(like["3.weight"]))[:, None].repeat(1, units),
        "3.bias": torch.zeros_like(like["3.bias"]),
    }


def read_off(change: Weights, shape: tuple[int, ...]) -> Float[Tensor, "image channel height width"]:
    """The images, or mixtures of a few, between neighbouring thresholds: what differs of weights over what differs of
    biases; those of empty bins are left out."""
    weights = torch.diff(change["1.weight"].double(), dim=0, append=torch.zeros(1, change["1.weight"].shape[1]))
    biases = torch.diff(change["1.bias"].double(), append=torch.zeros(1))
    full = biases.abs() > 1e-4 * biases.abs().max()
    return (weights[full] / biases[full, None]).float().reshape(-1, *shape)
