"""Binary cross-entropy on a sigmoid head."""

from typing import ClassVar

import torch
from jaxtyping import Float, Int
from torch import Tensor
from torch.nn import functional

from medfed.registry import plugin
from medfed.training.losses.fields import PositiveWeight


@plugin
class BinaryCrossEntropy:
    """The mean over images or pixels of -(w y log p + (1 - y) log(1 - p)), p the probability of the second class.

    Attributes:
        pos_weight: w, a positive number, ``none`` (1), or ``balanced``: the site's negatives over its positives,
            either taken as one where there are none.
    """

    heads: ClassVar[tuple[str, ...]] = ("sigmoid",)
    kinds: ClassVar[tuple[str, ...]] = ("classification", "segmentation")

    pos_weight: PositiveWeight = "none"

    def __call__(
        self,
        logits: Float[Tensor, "batch output ..."],
        targets: Int[Tensor, "batch ..."],
        class_counts: Int[Tensor, " class"] | None,
    ) -> Float[Tensor, ""]:
        """The loss of one batch."""
        scores = logits[:, 0]
        weight = self._weight(class_counts)
        pos_weight = None if weight is None else scores.new_tensor(weight)
        return functional.binary_cross_entropy_with_logits(scores, targets.to(scores.dtype), pos_weight=pos_weight)

    def _weight(self, class_counts: Int[Tensor, " class"] | None) -> float | None:
        if self.pos_weight == "none" or (self.pos_weight == "balanced" and class_counts is None):
            return None
        if self.pos_weight == "balanced":
            assert class_counts is not None
            negatives, positives = torch.clamp(class_counts, min=1).tolist()
            return float(negatives / positives)
        return self.pos_weight
