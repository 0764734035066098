"""What a step of local training asks of adversarial training: the loss to descend, from one batch.

Only the loss is replaced. Batches, augmentation, what a strategy adds to the gradients, and the optimizer's step stay
those of :mod:`medfed.training.local`, so that it goes with any strategy, and the baselines are trained the same way.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor, nn

from medfed.types import Task


@dataclass(frozen=True, eq=False)
class TrainingBatch:
    """One batch of local training, and what can be asked about it.

    Attributes:
        model: in the mode and with the weights of this step.
        images: as the model shall see them, in [0, 1]; (batch, channel, *space).
        forward: images -> float32 logits, in training's precision and the model's present mode.
        loss: logits -> the scenario's training loss of them against the batch's targets.
        task: says how logits are read.
        generator: the stream (site, round, "adversarial").
    """

    model: nn.Module
    images: Tensor
    forward: Callable[[Tensor], Tensor]
    loss: Callable[[Tensor], Tensor]
    task: Task
    generator: torch.Generator


@runtime_checkable
class AdversarialTraining(Protocol):
    """The loss of a step, made from images that were changed to make the model err.

    It leaves weights, gradients, train flags and the global random state as they are, except for what the forward
    passes of training itself change (BatchNorm statistics, dropout's draws), and changes images within eps grey levels
    (1/255 of the range) and the range [0, 1] only.
    """

    def __call__(self, batch: TrainingBatch) -> Float[Tensor, ""]:
        """A scalar to descend; differentiable in the weights.

        Raises:
            AttackError: the model's output has no gradient with respect to the image.
        """
        ...
