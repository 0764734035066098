"""Claims of too many images: a mean that is weighted by them takes what the site sends for the whole."""

from typing import Annotated

import numpy as np
from pydantic import Field

from medfed.registry import plugin
from medfed.section import plugin_field
from medfed.types import ImageSet, Task
from robustness.byzantine.contract import Cast, Vector, View
from robustness.byzantine.sign_flip import SignFlip


@plugin
class OversizedCount:
    """Claims ``factor`` times its images, when it joins and with every update; else it does as ``inner``.

    Attributes:
        factor: claimed over true number of images.
        inner: what the site does besides.
    """

    factor: Annotated[int, Field(ge=2)] = 1000
    inner: plugin_field("byzantine") = SignFlip(scale=1.0)  # type: ignore[valid-type]

    @property
    def colludes(self) -> bool:
        """As ``inner``."""
        return bool(self.inner.colludes)

    def misfit(self, task: Task, cast: Cast) -> str:
        """As ``inner``."""
        return str(self.inner.misfit(task, cast))

    def poison(self, images: ImageSet, task: Task, generator: np.random.Generator) -> ImageSet:
        """As ``inner``."""
        poisoned: ImageSet = self.inner.poison(images, task, generator)
        return poisoned

    def __call__(self, view: View, generator: np.random.Generator) -> Vector:
        """As ``inner``."""
        sent: Vector = self.inner(view, generator)
        return sent

    def claim(self, num_examples: int) -> int:
        """``factor`` times the truth."""
        return self.factor * num_examples
