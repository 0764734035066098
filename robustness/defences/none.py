"""Training as it is: the loss of the images themselves."""

from jaxtyping import Float
from torch import Tensor

from medfed.registry import plugin
from medfed.training.adversarial import TrainingBatch


@plugin
class Plain:
    """No adversarial training."""

    def __call__(self, batch: TrainingBatch) -> Float[Tensor, ""]:
        """The training loss."""
        return batch.loss(batch.forward(batch.images))
