"""Builders of realistic figures: estimates, a summary, rounds."""

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from medfed.results import Estimate, Failure, MeanSummary, Metrics, RoundResult, SiteRound, SiteSummary, Status, Summary

NUCLEI_SITES = ("fluo_256", "fluo_360", "fluo_520x696", "histo_purple_bg", "histo_white_bg")
KINDS = ("federated", "local", "pooled")
METRICS = {"dice": ("dice", "iou", "ece", "loss"), "auroc": ("auroc", "balanced_accuracy", "ece", "loss")}


def estimate(value: float | None, half: float = 0.03, n: int = 20) -> Estimate:
    """An estimate with an interval of ``value`` +- ``half``."""
    if value is None:
        return Estimate(value=None, low=None, high=None, n=n)
    return Estimate(value=value, low=value - half, high=value + half, n=n, se=half / 1.96)


def mean(estimates: Sequence[Estimate | None]) -> Estimate:
    """Mean over sites, with the root sum of squares of the standard errors."""
    known = [e for e in estimates if e is not None and e.value is not None]
    if not known:
        return estimate(None)
    se = math.hypot(*(e.se or 0.0 for e in known)) / len(known)
    return estimate(math.fsum(e.value or 0.0 for e in known) / len(known), 1.96 * se, sum(e.n for e in known))


def build_summary(
    sites: Sequence[str] = NUCLEI_SITES,
    task: str = "segmentation",
    status: str = "COMPLETED",
    classes: Sequence[str] = ("background", "nucleus"),
    **changes: Any,
) -> Summary:
    """A summary with federated .86, local .89 at home and .5 elsewhere, pooled .91 (a trial on the nuclei groups)."""
    headline = "dice" if task == "segmentation" else "auroc"
    lines, cross = _scores(sites, headline, classes)
    means = {k: {m: mean([getattr(s, k)[m] for s in lines.values()]) for m in METRICS[headline]} for k in KINDS}
    fields: dict[str, Any] = {
        "name": "nuclei-unet",
        "status": Status(status),
        "task": task,
        "headline_metric": headline,
        "rounds": 12,
        "seconds": 318.4,
        "bytes_up": 64_800_000,
        "bytes_down": 71_000_000,
        "sites": lines,
        "cross_site": cross,
        "mean": MeanSummary(**means) if sites else MeanSummary(),
        "gap_closed": {headline: 0.874},
        "best_local_site": {headline: next(iter(sites), "")} if sites else {},
        "warnings": ["site fluo_520x696: 14 test images, intervals are wide"],
    }
    return Summary(**(fields | changes))


def _scores(
    sites: Sequence[str], headline: str, classes: Sequence[str]
) -> tuple[dict[str, SiteSummary], dict[str, dict[str, Metrics]]]:
    """The line of every site, and the local models tested at every site."""
    rng = np.random.default_rng(1)
    jitter = {site: float(rng.uniform(-0.05, 0.05)) for site in sites}

    def metrics(level: float, site: str) -> Metrics:
        value = min(level + jitter[site], 0.995)
        levels = dict(zip(METRICS[headline], (value, value - 0.1, 0.04, 0.3 - 0.2 * value), strict=True))
        return {name: estimate(v, 0.03 if name == headline else 0.01) for name, v in levels.items()}

    cross = {i: {j: metrics(0.89 if i == j else float(rng.uniform(0.2, 0.75)), j) for j in sites} for i in sites}
    lines = {
        site: SiteSummary(
            num_train=int(rng.integers(20, 90)),
            num_val=int(rng.integers(6, 20)),
            num_test=20,
            class_counts={c: int(rng.integers(5, 60)) for c in classes},
            federated=metrics(0.86, site),
            local=cross[site][site],
            pooled=metrics(0.91, site),
            per_class={c: metrics(0.86 + 0.03 * k, site) for k, c in enumerate(classes[1:])},
        )
        for site in sites
    }
    return lines, cross


def build_rounds(sites: Sequence[str] = NUCLEI_SITES, rounds: int = 12, metric: str = "dice") -> list[RoundResult]:
    """Losses that fall and scores that rise, each site at its own pace."""
    rng = np.random.default_rng(2)
    pace = {site: float(rng.uniform(0.12, 0.4)) for site in sites}
    return [
        RoundResult(
            round=r,
            seconds=9.0,
            bytes_up=5_400_000,
            bytes_down=5_900_000,
            sites={
                site: SiteRound(
                    num_examples=50,
                    num_steps=14,
                    loss=0.15 + 0.8 * math.exp(-pace[site] * r) + float(rng.normal(0, 0.01)),
                    seconds=1.6,
                    val={metric: 0.9 - 0.6 * math.exp(-pace[site] * r) + float(rng.normal(0, 0.01))},
                )
                for site in sites
            },
        )
        for r in range(1, rounds + 1)
    ]


def fail(
    rounds: list[RoundResult], site: str, at: Sequence[int], cause: str = "ran out of memory"
) -> list[RoundResult]:
    """The rounds with ``site`` missing in some."""
    failure = Failure(site=site, code="SITE_ERROR", cause=cause, remedy="lower training.batch_size at this site")
    return [
        r.model_copy(update={"sites": {k: v for k, v in r.sites.items() if k != site}, "failed": [*r.failed, failure]})
        if r.round in at
        else r
        for r in rounds
    ]
