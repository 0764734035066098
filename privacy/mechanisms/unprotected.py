"""No differential privacy."""

from collections.abc import Set
from typing import ClassVar

from medfed.registry import plugin
from medfed.types import Weights
from privacy.noise import Normal
from privacy.release import Release


@plugin
class Unprotected:
    """Updates as they are: nothing is clipped, no noise is added, nothing is promised."""

    trusted: ClassVar[str] = "everyone"
    protects: ClassVar[bool] = False

    def protect(self, change: Weights, trained: Set[str], normal: Normal) -> Weights:
        """The change itself."""
        return change

    def release(self, round_number: int, largest_share: float) -> Release | None:
        """Nothing that is protected."""
        return None
