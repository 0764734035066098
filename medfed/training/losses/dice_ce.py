"""Dice loss plus cross-entropy, as in nnU-Net (Isensee et al., Nature Methods 2021)."""

from typing import ClassVar

from jaxtyping import Float, Int
from torch import Tensor

from medfed.registry import plugin
from medfed.training.losses.cross_entropy import CrossEntropy
from medfed.training.losses.dice import Smooth, dice_loss
from medfed.training.losses.fields import ClassWeights


@plugin
class DiceCrossEntropy:
    """The sum of :class:`Dice` and :class:`CrossEntropy`; on a sigmoid head the latter is binary cross-entropy.

    Attributes:
        class_weights: weights of the cross-entropy.
        smooth: smoothing of the Dice part.
    """

    heads: ClassVar[tuple[str, ...]] = ("softmax", "sigmoid")
    kinds: ClassVar[tuple[str, ...]] = ("segmentation",)

    class_weights: ClassWeights = "none"
    smooth: Smooth = 1e-5

    def __call__(
        self,
        logits: Float[Tensor, "batch output height width"],
        targets: Int[Tensor, "batch height width"],
        class_counts: Int[Tensor, " class"] | None,
    ) -> Float[Tensor, ""]:
        """The loss of one batch."""
        entropy = CrossEntropy(class_weights=self.class_weights)
        return dice_loss(logits, targets, self.smooth) + entropy(logits, targets, class_counts)
