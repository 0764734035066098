"""Comparing two estimates by their intervals, and means over sites.

Two models differ only where their 95 % intervals do not overlap. That is stricter than a test at the 5 % level:
it misses small differences rather than claim one that is not there.
"""

from collections.abc import Iterable, Mapping
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


def mean_estimate(summary: Summary, estimates: Iterable[Estimate | None], metric: str) -> Estimate | None:
    """Mean over sites, each counting once, defined ones only; the interval is :func:`mean_over_sites`'s."""
    found = [e for e in estimates if e is not None and e.value is not None]
    return mean_over_sites(found, bounded=metric not in UNBOUNDED, shared=one_test_set(summary)) if found else None


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


def one_test_set(summary: Summary) -> bool:
    """Whether all sites seem to be scored on the same test images, as after partitioning a data set with its own split.

    The summary does not say so; a model that scores the same to the last bit at every site does.
    """
    if len(summary.sites) < 2 or len({site.num_test for site in summary.sites.values()}) > 1:
        return False
    metric = summary.headline_metric
    models: list[Mapping[str, Metrics | None]] = [{name: site.federated for name, site in summary.sites.items()}]
    models += summary.cross_site.values()
    scores = [[pick(metrics, metric) for metrics in model.values()] for model in models]
    return scores[0][0] is not None and all(len({e.value if e else None for e in model}) == 1 for model in scores)
