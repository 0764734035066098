"""Rows of the page's tables, made from the summary: plain values that the template only lays out."""

from collections.abc import Sequence
from dataclasses import dataclass

from medfed.report.comparison import Difference, compare, mean_estimate, own_mean, pick
from medfed.report.forest import KINDS
from medfed.report.svg import NUM_SERIES
from medfed.report.text import in_order, labels
from medfed.results import Estimate, Failure, Metrics, RoundResult, Summary

OTHER_CLASSES = "other classes"


@dataclass(frozen=True)
class Segment:
    """One piece of a stacked bar: ``share`` of the whole bar in per cent, ``series`` is 1..8."""

    label: str
    count: int
    share: float
    series: int


@dataclass(frozen=True)
class Participant:
    """One row of the table of who took part."""

    name: str
    label: str
    left_out: bool
    counts: tuple[int, int, int]
    splits: list[Segment]
    classes: list[Segment]


@dataclass(frozen=True)
class ThreeWayRow:
    """One row of the three-way table: an estimate per model, n, and federated against local."""

    label: str
    left_out: bool
    estimates: list[Estimate | None]
    n: int | None
    difference: Difference | None


@dataclass(frozen=True)
class ThreeWay:
    """The three-way table of one metric."""

    metric: str
    rows: list[ThreeWayRow]
    mean: ThreeWayRow


@dataclass(frozen=True)
class PerClass:
    """The federated model per class, one metric: a row per site, the mean over sites last."""

    metric: str
    classes: list[str]
    rows: list[tuple[str, list[Estimate | None]]]


@dataclass(frozen=True)
class FailureGroup:
    """The same failure of one site in some rounds."""

    failure: Failure
    label: str
    rounds: list[int]


def participants(summary: Summary) -> list[Participant]:
    """Images per split and class of each site; the bars of splits share one scale."""
    label, classes = labels(summary.sites), class_names(summary)
    largest = max((s.num_train + s.num_val + s.num_test for s in summary.sites.values()), default=0)
    found = []
    for name, site in summary.sites.items():
        counts = (site.num_train, site.num_val, site.num_test)
        shown = dict(zip(("train", "validation", "test"), counts, strict=True))
        groups = _grouped(site.class_counts, classes)
        splits, labelled = _segments(shown, largest), _segments(groups, sum(groups.values()))
        found.append(Participant(name, label[name], name in summary.left_out, counts, splits, labelled))
    return found


def class_names(summary: Summary) -> list[str]:
    """All classes of all sites, in the order in which they first appear."""
    return list(dict.fromkeys(name for site in summary.sites.values() for name in site.class_counts))


def legend(classes: Sequence[str]) -> list[str]:
    """Classes that have a color of their own; what exceeds the palette is one group."""
    return list(classes) if len(classes) <= NUM_SERIES else [*classes[: NUM_SERIES - 1], OTHER_CLASSES]


def three_way(summary: Summary, metric: str) -> ThreeWay:
    """Federated, local-only and pooled model at each site, and their means over sites."""
    label = labels(summary.sites)
    rows = [
        _row(label[name], name in summary.left_out, [pick(getattr(site, kind), metric) for kind in KINDS], metric)
        for name, site in summary.sites.items()
    ]
    means = [pick(getattr(summary.mean, kind), metric) for kind in KINDS]
    return ThreeWay(
        metric, rows, ThreeWayRow("Mean over sites", False, means, None, own_mean(summary, metric).difference)
    )


def other_metrics(summary: Summary) -> list[str]:
    """Metrics besides the headline that any site has."""
    found = {m for site in summary.sites.values() for kind in KINDS for m in getattr(site, kind) or {}}
    return in_order(found - {summary.headline_metric})


def per_class(summary: Summary) -> list[PerClass]:
    """One table per metric, the headline first where it is known per class."""
    found = {m for site in summary.sites.values() for metrics in site.per_class.values() for m in metrics}
    ordered = sorted(in_order(found), key=lambda metric: metric != summary.headline_metric)
    return [_per_class(summary, metric) for metric in ordered]


def failure_groups(rounds: Sequence[RoundResult]) -> list[FailureGroup]:
    """Failures by site and cause, with the rounds in which they happened."""
    groups: dict[tuple[str, str, str], FailureGroup] = {}
    label = labels(dict.fromkeys(f.site for r in rounds for f in r.failed))
    for result in rounds:
        for failure in result.failed:
            key = (failure.site, failure.code, failure.cause)
            group = groups.setdefault(key, FailureGroup(failure, label[failure.site], []))
            group.rounds.append(result.round)
    return list(groups.values())


def _row(label: str, left_out: bool, estimates: list[Estimate | None], metric: str) -> ThreeWayRow:
    n = max((e.n for e in estimates if e is not None), default=None)
    return ThreeWayRow(label, left_out, estimates, n, compare(estimates[0], estimates[1], metric))


def _per_class(summary: Summary, metric: str) -> PerClass:
    classes = list(dict.fromkeys(name for site in summary.sites.values() for name in site.per_class))
    label = labels(summary.sites)
    rows: list[tuple[str, list[Estimate | None]]] = [
        (label[name], [_of_class(site.per_class, c, metric) for c in classes]) for name, site in summary.sites.items()
    ]
    if len(rows) > 1:
        columns = zip(*(row[1] for row in rows), strict=True)
        rows.append(("Mean over sites", [mean_estimate(summary, column, metric) for column in columns]))
    return PerClass(metric, classes, rows)


def _of_class(metrics: dict[str, Metrics], name: str, metric: str) -> Estimate | None:
    return pick(metrics.get(name), metric)


def _grouped(counts: dict[str, int], classes: list[str]) -> dict[str, int]:
    shown = legend(classes)
    groups = {name: counts.get(name, 0) for name in shown if name != OTHER_CLASSES or len(classes) <= NUM_SERIES}
    if len(classes) > NUM_SERIES:
        groups[OTHER_CLASSES] = sum(count for name, count in counts.items() if name not in groups)
    return groups


def _segments(counts: dict[str, int], whole: int) -> list[Segment]:
    return [
        Segment(name, count, round(100 * max(count, 0) / max(whole, 1), 2), series)
        for series, (name, count) in enumerate(counts.items(), start=1)
    ]
