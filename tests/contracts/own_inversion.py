"""An inversion attack as a user would write one in a package of their own; like any, it cares for no rule."""

from typing import ClassVar, Literal

import torch

from medfed.registry import plugin
from privacy.inversion.contract import Search
from privacy.inversion.terms import Terms


@plugin
class Careless:
    """Guess, far outside the range, with random numbers of the whole process, and never look whether to stop."""

    precision: ClassVar[Literal["float32", "float64"]] = "float32"

    iterations: int = 5

    def __call__(self, search: Search, generator: torch.Generator) -> None:
        """One guess after another."""
        images, labels = search.start(2, generator)
        torch.rand(3)
        for _ in range(self.iterations):
            guess = 10 * torch.randn(images.shape, generator=generator)
            search.evaluate(guess, labels, Terms())
