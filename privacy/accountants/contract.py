"""What an accountant is: from queries that were noised and released to one epsilon.

It sees Gaussian queries of sampled units and nothing else; what those queries were, :mod:`privacy.release` says.
"""

from typing import NamedTuple, Protocol, runtime_checkable

from medfed.errors import ScenarioError
from privacy.gaussian import check_delta


class Steps(NamedTuple):
    """``number`` queries of one kind, each chosen in view of all before.

    Attributes:
        noise_multiplier: standard deviation of the noise / how far one unit moves the query, above 0.
        sampling_rate: probability with which a unit is in the query, by a coin of its own (Poisson), unknown to those
            who see the result; above 0, at most 1.
        number: at least 1.
    """

    noise_multiplier: float
    sampling_rate: float
    number: int


class Composition(NamedTuple):
    """All that was released about the same units, kinds in ascending order, so that it is equal where they are.

    ``replace``: neighbours are data sets in which one unit has other data, and the noise multiplier is of the distance
    between its two contributions; else one has a unit more, and it is of that unit's contribution.
    """

    steps: tuple[Steps, ...]
    replace: bool


@runtime_checkable
class Accountant(Protocol):
    """An upper bound on epsilon. It never guesses: what its method does not cover it refuses."""

    def __call__(self, composition: Composition, delta: float) -> float:
        """Epsilon at ``delta`` of all of ``composition`` together; 0 where it is empty.

        Args:
            composition: what was released.
            delta: above 0, below 1.

        Raises:
            ValueError: a number is out of range.
            ScenarioError: this accountant's method does not cover ``composition``.
        """
        ...


def checked(composition: Composition, delta: float) -> Composition:
    """``composition``, whose numbers are as they must be.

    Raises:
        ValueError: a number is out of range.
    """
    check_delta(delta)
    for steps in composition.steps:
        if not (steps.noise_multiplier > 0.0 and 0.0 < steps.sampling_rate <= 1.0 and steps.number >= 1):
            raise ValueError(f"expected noise, a sampling rate in (0, 1] and a number of at least 1, got {steps}")
    return composition


def require_add_remove(composition: Composition, method: str) -> None:
    """Refuse what is sampled and stated for the replace relation.

    Raises:
        ScenarioError: ``method`` does not cover it.
    """
    if composition.replace and any(steps.sampling_rate < 1.0 for steps in composition.steps):
        raise ScenarioError(f'{method} does not cover the replace relation of sampled units; use accountant = "pld"')
