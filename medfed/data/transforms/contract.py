"""What every transform promises."""

from typing import Annotated, Protocol, runtime_checkable

import torch
from jaxtyping import Float, Int
from pydantic import Field
from torch import Tensor

Images = Float[Tensor, "batch channel height width"]
Targets = Int[Tensor, "batch ..."]
Probability = Annotated[float, Field(ge=0.0, le=1.0)]


@runtime_checkable
class Transform(Protocol):
    """A seeded change of a whole batch at once, drawn anew for every image in it.

    Images are in [0, 1] and stay there; shapes and dtypes stay. Targets of three dimensions are masks: a geometric
    transform moves them with the images, by the nearest pixel, so that no new class value appears; all other targets
    pass untouched. Every random number comes from ``generator``, in an amount that depends on the batch's shape only,
    so that the same generator state gives the same result. The arguments are not written to.
    """

    def __call__(self, images: Images, targets: Targets, generator: torch.Generator) -> tuple[Images, Targets]:
        """Transform one batch.

        Args:
            images: intensities in [0, 1].
            targets: class indices (batch,) or class maps (batch, height, width).
            generator: where the randomness comes from; a CPU generator.
        """
        ...


def has_masks(targets: Targets) -> bool:
    """Whether the targets are class maps, which move with their images."""
    return targets.ndim == 3
