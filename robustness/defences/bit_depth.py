"""Fewer grey levels (feature squeezing: Xu, Evans and Qi, NDSS 2018)."""

from typing import Annotated

from pydantic import Field

from medfed.registry import plugin
from robustness.defences.filter_contract import Images


@plugin
class BitDepth:
    """Round every pixel to the nearest of 2**bits levels between 0 and 1.

    A rounding has no slope; its gradient here is that of the identity (straight-through, Bengio et al. 2013), so that
    an attack gets through it as one that knows of the rounding would.

    Attributes:
        bits: of the image that the model sees.
    """

    bits: Annotated[int, Field(ge=1, le=16)] = 4

    def __call__(self, images: Images) -> Images:
        """Filter one batch."""
        levels = 2**self.bits - 1
        rounded = (images * levels).round() / levels
        straight: Images = rounded.detach() + (images - images.detach())
        return straight
