"""An attack as a user would write one in a package of their own; it cares for no rule, as no attack has to."""

from typing import ClassVar

import torch

from medfed.registry import plugin
from robustness.attacks.contract import Search
from robustness.attacks.threat import Norm


@plugin
class Careless:
    """Pure noise, ten times as wide as the range.

    Attributes:
        steps: points tried.
    """

    norms: ClassVar[tuple[Norm, ...]] = ("linf", "l2")
    needs_gradient: ClassVar[bool] = False
    minimises: ClassVar[bool] = False
    whole_set: ClassVar[bool] = False

    steps: int = 3

    def __call__(self, search: Search, generator: torch.Generator) -> None:
        """One draw after another."""
        for _ in range(self.steps):
            search.evaluate(10 * torch.randn(search.images.shape, generator=generator))
            search.keep()
            if not search.num_active:
                return
