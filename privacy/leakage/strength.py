"""Whether an attack succeeded where it must: by the likeness of its images, or by naming patients."""

from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median_low

from privacy.measures.identification import luck

MOST_LUCK = 0.01
"""Naming counts as success where guesses would name as many with at most this probability."""


@dataclass(frozen=True)
class Goal:
    """What an attack must reach; one of the two suffices.

    Attributes:
        decibels: PSNR that more than half the images must reach.
        named: share of patients that are named.
        naming_suffices: whether naming may stand for the PSNR. A blurred image can name a patient.
    """

    decibels: float
    named: float
    naming_suffices: bool = True


@dataclass(frozen=True)
class Strength:
    """What an attack came to.

    Attributes:
        decibels: median PSNR; of an even number the lower one. A mean would be high where one image of two is found
            to the last bit, and the other not at all.
        named: share of the patients in line-ups that were named.
        by_naming: naming is what counts: the PSNR was not reached, and what was named was more than luck.
        holds: it reached what counts.
    """

    decibels: float
    named: float
    by_naming: bool
    holds: bool


def strength(decibels: Sequence[float], ranks: Sequence[int], people: int, goal: Goal) -> Strength:
    """Compare with the goal.

    Args:
        decibels: PSNR of every image.
        ranks: of all line-ups, of different patients.
        people: how many the shortest line-up has.
        goal: what must be reached.
    """
    median = median_low(decibels)
    told = sum(rank == 1 for rank in ranks) / len(ranks) if ranks else 0.0
    reached = median >= goal.decibels
    by_naming = goal.naming_suffices and not reached and luck(list(ranks), people) <= MOST_LUCK
    return Strength(median, told, by_naming, reached or (by_naming and told >= goal.named))
