"""Cross-entropy with class weights and label smoothing."""

from typing import Annotated, ClassVar

from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor
from torch.nn import functional

from medfed.errors import ScenarioError
from medfed.registry import plugin
from medfed.training.heads import class_logits
from medfed.training.losses.fields import ClassWeights


def balanced_weights(class_counts: Int[Tensor, " class"]) -> Float[Tensor, " class"]:
    """Weights n / (C n_c), under which every class counts the same (King and Zeng 2001; scikit-learn's "balanced").

    A class that the site does not have is weighted as if it had one image, so that no weight is infinite.
    """
    counts = class_counts.float()
    return counts.sum() / (len(counts) * counts.clamp(min=1.0))


def weight_tensor(
    weights: ClassWeights, class_counts: Int[Tensor, " class"] | None, logits: Float[Tensor, "batch class ..."]
) -> Float[Tensor, " class"] | None:
    """The weights as a tensor that suits ``logits``; None for unweighted."""
    if weights == "none" or (weights == "balanced" and class_counts is None):
        return None
    if weights == "balanced":
        assert class_counts is not None
        return balanced_weights(class_counts).to(logits)
    if len(weights) != logits.shape[1]:
        raise ScenarioError(
            f"training.loss.class_weights: expected {logits.shape[1]} values, one per class of task.classes, "
            f"got {len(weights)}"
        )
    return logits.new_tensor(weights)


@plugin
class CrossEntropy:
    """The weighted mean of -log p(true class) over images or pixels: sum w_y (-log p_y) / sum w_y.

    In segmentation "balanced" counts images that show a class, not pixels.

    Attributes:
        label_smoothing: mass moved from the true class to all classes alike (Szegedy et al., CVPR 2016).
    """

    heads: ClassVar[tuple[str, ...]] = ("softmax", "sigmoid")
    kinds: ClassVar[tuple[str, ...]] = ("classification", "segmentation")

    class_weights: ClassWeights = "none"
    label_smoothing: Annotated[float, Field(ge=0.0, lt=1.0)] = 0.0

    def __call__(
        self,
        logits: Float[Tensor, "batch output ..."],
        targets: Int[Tensor, "batch ..."],
        class_counts: Int[Tensor, " class"] | None,
    ) -> Float[Tensor, ""]:
        """The loss of one batch."""
        logits = class_logits(logits)
        weight = weight_tensor(self.class_weights, class_counts, logits)
        return functional.cross_entropy(logits, targets, weight, label_smoothing=self.label_smoothing)
