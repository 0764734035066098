"""Comparing two estimates by their intervals, and means over sites.

Two models differ only where their 95 % intervals do not overlap. That is stricter than a test at the 5 % level:
it misses small differences rather than claim one that is not there. Where the difference itself has an interval, as
of paired figures, that one decides.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

from medfed.metrics.intervals import mean_over_sites
from medfed.results import LOWER_IS_BETTER, UNBOUNDED, Estimate, Metrics, Summary


class Difference(StrEnum):
    """What two estimates say about each other, as shown to readers."""

    BETTER = "better"
    WORSE = "worse"
    UNCLEAR = "no clear difference"
    UNKNOWN = "not compared"


def pick(metrics: Metrics | None, metric: str) -> Estimate | None:
    """The estimate of ``metric``, or None where it is missing or undefined."""
    found = (metrics or {}).get(metric)
    return found if found is not None and found.value is not None else None


def compare(ours: Estimate | None, theirs: Estimate | None, metric: str) -> Difference:
    """Whether ``ours`` is better than ``theirs``; UNCLEAR where intervals overlap, touch or are unknown."""
    if ours is None or theirs is None or ours.value is None or theirs.value is None:
        return Difference.UNKNOWN
    if ours.low is None or ours.high is None or theirs.low is None or theirs.high is None:
        return Difference.UNCLEAR
    if ours.low > theirs.high:
        higher = True
    elif ours.high < theirs.low:
        higher = False
    else:
        return Difference.UNCLEAR
    return Difference.BETTER if higher != (metric in LOWER_IS_BETTER) else Difference.WORSE


def beyond_chance(difference: Estimate, metric: str) -> Difference:
    """What a difference with its own interval says: BETTER or WORSE where that leaves out 0."""
    if difference.low is None or difference.high is None:
        return Difference.UNKNOWN
    if difference.low <= 0.0 <= difference.high:
        return Difference.UNCLEAR
    return Difference.BETTER if (difference.low > 0.0) != (metric in LOWER_IS_BETTER) else Difference.WORSE


def mean_estimate(summary: Summary, estimates: Iterable[Estimate | None], metric: str) -> Estimate | None:
    """Mean over sites, each counting once, defined ones only; the interval is :func:`mean_over_sites`'s."""
    found = [e for e in estimates if e is not None and e.value is not None]
    return mean_over_sites(found, bounded=metric not in UNBOUNDED, shared=summary.shared_test) if found else None


@dataclass(frozen=True)
class OwnMean:
    """Means over the sites that have both models, each tested at home."""

    federated: Estimate | None
    local: Estimate | None
    difference: Difference


def own_mean(summary: Summary, metric: str) -> OwnMean:
    """The federated model against the sites' own models on their own test images, on average."""
    pairs = [(pick(site.federated, metric), pick(site.local, metric)) for site in summary.sites.values()]
    both = [pair for pair in pairs if None not in pair]
    federated, local = (mean_estimate(summary, (pair[k] for pair in both), metric) for k in (0, 1))
    return OwnMean(federated, local, compare(federated, local, metric))
