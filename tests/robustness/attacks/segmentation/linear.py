"""Models of one pixel each, for which the worst point inside a box is known in closed form."""

import torch
from torch import Tensor, nn

SLOPE = -3.0
"""Weight of the per-pixel sigmoid model: its logit is ``SLOPE * (x - 0.5)``."""


def sigmoid_model(dimensions: int = 2) -> nn.Module:
    """One logit per pixel or voxel of a one-channel image."""
    layer = (nn.Conv2d if dimensions == 2 else nn.Conv3d)(1, 1, kernel_size=1)
    nn.init.constant_(layer.weight, SLOPE)
    nn.init.constant_(layer.bias, -SLOPE * 0.5)
    return layer


def softmax_model() -> nn.Module:
    """The same model with two logits, (-z/2, z/2)."""
    layer = nn.Conv2d(1, 2, kernel_size=1)
    with torch.no_grad():
        layer.weight.copy_(torch.tensor([-SLOPE / 2, SLOPE / 2]).reshape(2, 1, 1, 1))
        layer.bias.copy_(torch.tensor([SLOPE / 4, -SLOPE / 4]))
    return layer


def images_and_masks(*space: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Images in [0.2, 0.8], and masks of shape (batch, *space) that the model gets right for four pixels of five."""
    generator = torch.Generator().manual_seed(seed)
    images = 0.2 + 0.6 * torch.rand((4, 1, *space), generator=generator)
    wrong = torch.rand((4, *space), generator=generator) < 0.2
    return images, ((images[:, 0] < 0.5) ^ wrong).long()


def worst_masks(images: Tensor, masks: Tensor, eps: float) -> Tensor:
    """What the model says where every pixel is moved by eps against its label."""
    return ((SLOPE * (images[:, 0] - 0.5) + abs(SLOPE) * eps * (1 - 2 * masks)) > 0).long()
