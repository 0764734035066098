"""A behaviour that departs in nothing: the others differ from it in one method or two."""

from typing import ClassVar

import numpy as np

from medfed.types import ImageSet, Task
from robustness.byzantine.contract import Cast, Vector, View


class Base:
    """Honest in everything that a subclass does not say otherwise."""

    colludes: ClassVar[bool] = False

    def misfit(self, task: Task, cast: Cast) -> str:
        """It serves every task."""
        return ""

    def poison(self, images: ImageSet, task: Task, generator: np.random.Generator) -> ImageSet:
        """The site's own images."""
        return images

    def __call__(self, view: View, generator: np.random.Generator) -> Vector:
        """The site's own update."""
        return view.own

    def claim(self, num_examples: int) -> int:
        """The truth."""
        return num_examples
