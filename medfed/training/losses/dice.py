"""The Dice loss with squared denominator (Milletari, Navab and Ahmadi, V-Net, 3DV 2016, eq. in section 3)."""

from typing import Annotated, ClassVar

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

from medfed.registry import plugin
from medfed.training.heads import probabilities

Smooth = Annotated[float, Field(gt=0.0, le=1.0)]


def dice_loss(
    logits: Float[Tensor, "batch output height width"], targets: Int[Tensor, "batch height width"], smooth: float
) -> Float[Tensor, ""]:
    """1 - D, D = (2 sum p g + s) / (sum p^2 + sum g^2 + s), the mean over images and foreground classes.

    The sums run over the pixels of one image and one class; s keeps D defined where a class is absent: there D is 1
    if nothing is predicted, and falls towards 0 as soon as sum p^2 exceeds s.
    """
    p = probabilities(logits)[:, 1:]
    foreground = torch.arange(1, p.shape[1] + 1, device=targets.device)[:, None, None]
    truth = (targets[:, None] == foreground).to(p.dtype)  # not one_hot, which torch.func.vmap cannot run
    pixels = (-2, -1)
    overlap = 2.0 * torch.sum(p * truth, dim=pixels) + smooth
    total = torch.sum(p * p, dim=pixels) + torch.sum(truth, dim=pixels) + smooth  # g^2 = g
    return torch.mean(1.0 - overlap / total)


@plugin
class Dice:
    """1 - soft Dice of the foreground classes, image by image.

    An image without a class asks for a prediction without it: loss 0 for none, near 1 for any visible one.

    Attributes:
        smooth: s, added above and below the line; small, so that it only decides the empty case.
    """

    heads: ClassVar[tuple[str, ...]] = ("softmax", "sigmoid")
    kinds: ClassVar[tuple[str, ...]] = ("segmentation",)

    smooth: Smooth = 1e-5

    def __call__(
        self,
        logits: Float[Tensor, "batch output height width"],
        targets: Int[Tensor, "batch height width"],
        class_counts: Int[Tensor, " class"] | None,
    ) -> Float[Tensor, ""]:
        """The loss of one batch; the counts are not used."""
        return dice_loss(logits, targets, self.smooth)
