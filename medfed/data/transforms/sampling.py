"""One random number per image, shaped to broadcast over (batch, channel, height, width)."""

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from medfed.data.transforms.contract import Images


def uniform(images: Images, low: float, high: float, generator: torch.Generator) -> Float[Tensor, "batch 1 1 1"]:
    """Uniform on [low, high), one per image, on the images' device."""
    draws = torch.rand(len(images), 1, 1, 1, generator=generator)
    return (low + (high - low) * draws).to(images.device)


def chance(images: Images, probability: float, generator: torch.Generator) -> Bool[Tensor, "batch 1 1 1"]:
    """True with ``probability``, one per image, on the images' device."""
    return uniform(images, 0.0, 1.0, generator) < probability
