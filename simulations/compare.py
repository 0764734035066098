"""Was federating worth it? The baselines' figures beside the federated ones, and the share of the gap closed."""

from collections.abc import Mapping

from medfed.config import Scenario
from medfed.results import LOWER_IS_BETTER, Evaluation, MeanSummary, Metrics, Summary
from server.summary import mean_metrics
from simulations.baselines import Task

_SMALLEST_GAP = 1e-3  # below this the pooled model is not better than the best local one, and a share means nothing

Tests = Mapping[str, Evaluation]


def add_baselines(scenario: Scenario, summary: Summary, baselines: Mapping[Task, Tests]) -> Summary:
    """``summary`` with local and pooled figures, the cross-site matrix and the share of the gap closed."""
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
    own = {site: tests[site].metrics for site, tests in local.items()}
    mean = MeanSummary(
        federated=summary.mean.federated,
        local=mean_metrics(scenario, own) if own else None,
        pooled=mean_metrics(scenario, _metrics(pooled)) if pooled else None,
    )
    everywhere = {site: mean_metrics(scenario, _metrics(tests)) for site, tests in local.items()}
    best = best_local(everywhere)
    return summary.model_copy(
        update={
            "sites": sites,
            "mean": mean,
            "cross_site": {i: _metrics(tests) for i, tests in sorted(local.items())},
            "best_local_site": best,
            "gap_closed": gaps_closed(mean, everywhere, best),
        }
    )


def best_local(everywhere: Mapping[str, Metrics]) -> dict[str, str]:
    """Metric -> the site whose own model has the best mean over all sites; undefined metrics are left out."""
    found: dict[str, str] = {}
    for metric in next(iter(everywhere.values()), {}):
        values = {site: v for site, metrics in everywhere.items() if (v := metrics[metric].value) is not None}
        if values:
            choose = min if metric in LOWER_IS_BETTER else max
            found[metric] = choose(sorted(values), key=values.__getitem__)
    return found


def gaps_closed(
    mean: MeanSummary, everywhere: Mapping[str, Metrics], best: Mapping[str, str]
) -> dict[str, float | None]:
    """(federated - best local) / (pooled - best local) per metric; None where there is no gap to close."""
    if mean.federated is None or mean.pooled is None:
        return {}
    closed: dict[str, float | None] = {}
    for metric, site in best.items():
        federated, pooled = mean.federated[metric].value, mean.pooled[metric].value
        single = everywhere[site][metric].value
        if federated is None or pooled is None or single is None:
            closed[metric] = None
            continue
        gap = (single - pooled) if metric in LOWER_IS_BETTER else (pooled - single)
        closed[metric] = (federated - single) / (pooled - single) if gap > _SMALLEST_GAP else None
    return closed


def _metrics(tests: Tests) -> dict[str, Metrics]:
    return {site: evaluation.metrics for site, evaluation in tests.items()}
