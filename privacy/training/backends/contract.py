"""What a back end is."""

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Protocol, runtime_checkable

from jaxtyping import Float
from torch import Tensor, nn

from medfed.types import Weights
from privacy.training.clipping import Clipper, Targets

SampleLoss = Callable[[Float[Tensor, "batch output *place"], Targets], Float[Tensor, ""]]
"""Logits and targets of a batch -> the loss; of a single image's where it is given one."""


@runtime_checkable
class Backend(Protocol):
    """Clipped sums of gradients of ``model``, whose weights are read anew at every call."""

    def __call__(self, model: nn.Module, loss: SampleLoss, chunk: int) -> AbstractContextManager[Clipper]:
        """The clipper; whatever was hung into the model is taken out again at the end.

        Args:
            model: in the mode in which it trains.
            loss: of logits and targets.
            chunk: how many images at a time.
        """
        ...


def trained(model: nn.Module) -> Weights:
    """The parameters that have gradients, by name, each tensor once."""
    return {name: value for name, value in model.named_parameters() if value.requires_grad}
