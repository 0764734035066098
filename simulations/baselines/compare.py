"""Was federating worth it? The baselines' figures beside the federated ones, and the share of the gap closed."""

import statistics
from collections.abc import Mapping, Sequence

from medfed.config import Scenario
from medfed.results import LOWER_IS_BETTER, Evaluation, MeanSummary, Metrics, SiteSummary, Summary
from server.summary import mean_metrics
from simulations.baselines.tasks import Task

_SMALLEST_GAP = 1e-3  # below this the pooled model is not better than the best local one, and a share means nothing

Tests = Mapping[str, Evaluation]


def add_baselines(scenario: Scenario, summary: Summary, baselines: Mapping[Task, Tests]) -> Summary:
    """``summary`` with local and pooled figures, the cross-site matrix and the share of the gap closed.

    Only sites whose federated test arrived count, for all three models; ``local`` has no figure for a site that was
    left out, or whose own model could not be trained.
    """
    local = {task.site: tests for task, tests in baselines.items() if task.kind == "local"}
    pooled = next((tests for task, tests in baselines.items() if task.kind == "pooled"), None)
    sites = {
        name: site.model_copy(
            update={
                "local": local[name][name].metrics if name in local else None,
                "pooled": pooled[name].metrics if pooled else None,
            }
        )
        for name, site in summary.sites.items()
    }
    tested = {name: site for name, site in sites.items() if site.federated is not None}
    own = {name: site.local for name, site in tested.items() if site.local is not None}
    together = {name: site.pooled for name, site in tested.items() if site.pooled is not None}
    mean = MeanSummary(
        federated=summary.mean.federated,
        local=mean_metrics(scenario, own) if own else None,
        pooled=mean_metrics(scenario, together) if together else None,
    )
    cross = {i: _metrics(tests) for i, tests in sorted(local.items())}
    best, closed = shares(tested, cross)
    return summary.model_copy(
        update={"sites": sites, "mean": mean, "cross_site": cross, "best_local_site": best, "gap_closed": closed}
    )


def shares(
    tested: Mapping[str, SiteSummary], cross: Mapping[str, Mapping[str, Metrics]]
) -> tuple[dict[str, str], dict[str, float | None]]:
    """Per metric, the site whose own model is best over all sites, and the share of the gap to pooled that is closed.

    A share is (federated - best) / (pooled - best), each a mean over the sites at which all models have a value; it is
    None where pooled is hardly better than the best single model, or a model is missing.
    """
    best: dict[str, str] = {}
    closed: dict[str, float | None] = {}
    names = next((site.federated for site in tested.values() if site.federated), {})
    for metric in names if cross else ():
        rows = [{"federated": s.federated, "pooled": s.pooled} for s in tested.values()]
        columns = [
            {f"single {i}": tests.get(name) for i, tests in cross.items()} | row
            for name, row in zip(tested, rows, strict=True)
        ]
        means = _common_means(columns, metric)
        singles = {i: v for i in cross if (v := means.get(f"single {i}")) is not None}
        if not singles:
            continue
        choose = min if metric in LOWER_IS_BETTER else max
        best[metric] = choose(sorted(singles), key=singles.__getitem__)
        closed[metric] = _share(metric, means.get("federated"), means.get("pooled"), singles[best[metric]])
    return best, closed


def _common_means(columns: Sequence[Mapping[str, Metrics | None]], metric: str) -> dict[str, float]:
    """Model -> mean over the sites at which every model that has been tested at all has a value."""
    values = [{model: _value(metrics, metric) for model, metrics in column.items()} for column in columns]
    models = [m for m in (values[0] if values else ()) if any(column[m] is not None for column in values)]
    common = [column for column in values if all(column[m] is not None for m in models)]
    return {m: statistics.fmean(v for column in common if (v := column[m]) is not None) for m in models if common}


def _value(metrics: Metrics | None, metric: str) -> float | None:
    return metrics[metric].value if metrics and metric in metrics else None


def _share(metric: str, federated: float | None, pooled: float | None, single: float) -> float | None:
    if federated is None or pooled is None:
        return None
    gap = (single - pooled) if metric in LOWER_IS_BETTER else (pooled - single)
    return (federated - single) / (pooled - single) if gap > _SMALLEST_GAP else None


def _metrics(tests: Tests) -> dict[str, Metrics]:
    return {site: evaluation.metrics for site, evaluation in tests.items()}
