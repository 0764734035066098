"""Two models on the same test images: differences whose intervals leave out what the images do to both.

The bootstrap draws patients once and scores both models on the same draw (Efron and Tibshirani 1993, section 8.2;
for AUROC it answers the question of DeLong et al. 1988 without normality). Its percentile interval is of the
difference; one that leaves out 0 is a difference beyond the chance of which patients were tested. It says nothing of
the chance in training: another seed can move a model by more.
"""

from functools import partial

from medfed.audit.contract import AuditContext
from medfed.audit.digests import rows_digest
from medfed.compare.results import MetricDifference
from medfed.metrics.intervals import Metric, bootstrap_all, mean_over_sites
from medfed.metrics.weights import Values, Weights
from medfed.report.comparison import beyond_chance
from medfed.results import Estimate
from medfed.rng import numpy_generator
from medfed.training.evaluation import image_metrics
from medfed.types import ImageSet


def why_unpaired(ours: AuditContext, theirs: AuditContext) -> str:
    """Why the two models cannot be compared image by image; empty where they can."""
    if ours.module is None or theirs.module is None:
        return "the strategy leaves parts of a model at the sites, so that there is no single model to test again"
    if ours.task.classes != theirs.task.classes:
        return "the classes differ"
    if not _common(ours, theirs):
        return "no site has the same test images in both, read at the same size"
    return ""


def paired_differences(ours: AuditContext, theirs: AuditContext) -> dict[str, MetricDifference]:
    """Metric -> ours minus theirs at every test set that both have, and the mean over these.

    Raises:
        ValueError: there is no such test set (:func:`why_unpaired`).
    """
    names = _common(ours, theirs)
    if not names:
        raise ValueError("the two runs share no test images")
    per_site: dict[str, dict[str, Estimate]] = {}
    for name in names:
        mine, other = ours.test_sets()[name], theirs.test_sets()[name]
        scores = image_metrics(ours.model, mine, ours.scenario)
        others = image_metrics(theirs.model, other, theirs.scenario)
        metrics = {key[1]: partial(_minus, score, others[key]) for key, score in scores.items() if key[0] is None}
        resamples = theirs.scenario.evaluation.resamples
        found = bootstrap_all(metrics, mine.patients, resamples, numpy_generator(theirs.scenario.seed, "compare", name))
        for metric, estimate in found.items():
            per_site.setdefault(metric, {})[name] = estimate
    means = {metric: _mean(sites) for metric, sites in per_site.items()}
    return {
        metric: MetricDifference(mean=mean, outcome=beyond_chance(mean, metric), sites=per_site[metric])
        for metric, mean in means.items()
    }


def _mean(sites: dict[str, Estimate]) -> Estimate:
    """Over sites; of one, itself, with the interval of its draws."""
    return next(iter(sites.values())) if len(sites) == 1 else mean_over_sites(list(sites.values()), bounded=False)


def _minus(ours: Metric, theirs: Metric, weights: Weights) -> Values:
    difference: Values = ours(weights) - theirs(weights)
    return difference


def _common(ours: AuditContext, theirs: AuditContext) -> list[str]:
    """Test sets with the same images and labels as the models see them, of the same patients."""
    sets, others = ours.test_sets(), theirs.test_sets()
    names = [name for name in sorted(sets.keys() & others.keys()) if len(sets[name])]
    return [name for name in names if _identity(ours, sets[name]) == _identity(theirs, others[name])]


def _identity(context: AuditContext, images: ImageSet) -> tuple[str, tuple[str, ...]]:
    return rows_digest(context.dataset, images.rows), images.patients
