"""What every loss promises."""

from typing import ClassVar, Protocol, runtime_checkable

from jaxtyping import Float, Int
from torch import Tensor


@runtime_checkable
class Loss(Protocol):
    """A scalar to minimise, from logits and targets; differentiable in the logits.

    Attributes:
        heads: the heads whose logits it takes, of ``softmax`` and ``sigmoid``.
        kinds: the task kinds it serves.
    """

    heads: ClassVar[tuple[str, ...]]
    kinds: ClassVar[tuple[str, ...]]

    def __call__(
        self,
        logits: Float[Tensor, "batch output ..."],
        targets: Int[Tensor, "batch ..."],
        class_counts: Int[Tensor, " class"] | None,
    ) -> Float[Tensor, ""]:
        """The loss of one batch.

        Args:
            logits: (batch, outputs), or (batch, outputs, height, width) in segmentation.
            targets: int64 class indices, (batch,) or (batch, height, width).
            class_counts: images per class in the site's training data (:meth:`medfed.types.ImageSet.class_counts`),
                read by whatever calls itself "balanced"; None means unweighted, as in evaluation.

        Raises:
            ScenarioError: the fields do not suit the task, e.g. the number of class weights.
        """
        ...
