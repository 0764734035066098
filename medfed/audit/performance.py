"""The audit's own section on performance: how well the model does without an attack."""

import math
from collections.abc import Iterator, Mapping, Sequence
from typing import Annotated, ClassVar

from pydantic import Field

from medfed.audit.contract import AuditContext, NotTestedError
from medfed.audit.intervals import simultaneous
from medfed.audit.results import Cell, Check, Finding, SectionResult, Table
from medfed.audit.scored import ENOUGH, Scored
from medfed.audit.training_images import AllScored, OldAndNew, training_sets
from medfed.registry import plugin
from medfed.report.text import in_order, listing, metric_title, short
from medfed.results import LOWER_IS_BETTER, SiteSummary
from medfed.training.evaluation import evaluate
from medfed.types import ImageSet

THRESHOLDS = {"auroc": 0.8, "balanced_accuracy": 0.8, "accuracy": 0.8, "dice": 0.7, "iou": 0.54}
"""Conventions, no promise of use: an AUROC of 0.8 is where discrimination is called excellent (Hosmer, Lemeshow and
Sturdivant 2013, Applied Logistic Regression, section 5.2.4), a Dice of 0.7 where agreement is called good (Zijdenbos et
al. 1994, IEEE TMI 13:716), and IoU = Dice / (2 - Dice). State your own: ``performance.threshold``."""

_SAME = 1e-6
"""How far a figure computed anew may lie from the run's own: other kernels change the last bits, no decision."""


@plugin
class Performance:
    """Score the federated model anew on every site's test images, and on images of its training.

    Attributes:
        threshold: what the headline metric must reach at every site; none: 0.8, for Dice 0.7, for IoU 0.54.
        max_gap: how much better it may be on images of the training than on test images, mean over sites.
        training_images: most images of a site's training that are scored.
    """

    title: ClassVar[str] = "Performance without an attack"

    threshold: Annotated[float, Field(gt=0.0, le=1.0, allow_inf_nan=False)] | None = None
    max_gap: Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)] = 0.1
    training_images: Annotated[int, Field(ge=1)] = 500

    def __call__(self, context: AuditContext) -> SectionResult:
        """One finding per site, or one where all sites share their test images; and two on the training."""
        metric = context.scenario.headline
        threshold = THRESHOLDS[metric] if self.threshold is None else self.threshold
        sets = {name: images for name, images in context.test_sets().items() if len(images)}
        if not sets:
            raise NotTestedError("the run has no test images")
        tested = _scored(context, sets, ("bootstrap",))
        trained = _scored(context, training_sets(context, self.training_images), ("bootstrap", "training"))
        both = OldAndNew.of(context, trained, tested)
        return SectionResult(
            tried=f"The model was scored on the test images of {len(context.sites)} sites ({_counted(tested)})"
            + (f", and on {_counted(trained)} that it was trained on." if trained else "."),
            meaning=_meaning(context, both.contradicted(threshold)),
            remedy=f"Before use, agree on the {metric_title(metric)} that the task needs, and set "
            "performance.threshold to it.",
            findings=(*_by_site(tested, metric, threshold), *both.findings(threshold, self.max_gap)),
            checks=_same_as_the_run(context, tested),
            tables=tuple(_tables(context, tested, trained)),
            not_tested=(*_not_compared(context), *_not_scored(context, tested, trained), *both.not_tested()),
        )


def _scored(context: AuditContext, sets: Mapping[str, ImageSet], stream: tuple[str, ...]) -> dict[str, Scored]:
    found = {}
    for position, (name, images) in enumerate(sets.items()):
        context.progress(f"scoring {name}", position / len(sets))
        found[name] = Scored.of(evaluate(context.model, images, context.scenario, stream), images, context.task)
    return found


def _by_site(tested: AllScored, metric: str, threshold: float) -> Iterator[Finding]:
    """The section is as bad as its worst site, so that the intervals of all sites must hold at once."""
    confidence = _confidence(tested)
    for name, scored in tested.items():
        estimate = scored.decided_on(metric, confidence)
        yield Finding(what=f"{metric_title(metric)}, {name}", estimate=estimate, threshold=threshold, kind="mean")


def _confidence(found: AllScored) -> float:
    return simultaneous(sum(scored.enough for scored in found.values()))


def _counted(found: AllScored) -> str:
    return f"{sum(scored.evaluation.num_images for scored in found.values())} images"


def _same_as_the_run(context: AuditContext, found: AllScored) -> tuple[Check, ...]:
    """The run's own figures, computed where the images lie, against those of the audit."""
    metric, gaps = context.scenario.headline, []
    for name, site in context.run.summary.sites.items():
        then = site.federated and site.federated.get(metric)
        if then and then.value is not None:
            now = found[name if name in found else next(iter(found))].evaluation.metrics[metric]
            gaps.append(math.inf if now.value is None else abs(then.value - now.value))
    if not gaps:
        return ()
    what = f"The {metric_title(metric)} of every site is what the run reported"
    observed = f"largest difference {max(gaps):.1g} over {len(gaps)} sites"
    return (Check(what=what, holds=max(gaps) <= _SAME, observed=observed),)


def _tables(context: AuditContext, tested: AllScored, trained: AllScored) -> Iterator[Table]:
    metric = context.scenario.headline
    if context.trained_here:
        yield Table(
            title=f"{metric_title(metric)} as the run reports it (intervals there), beside local and pooled models",
            columns=("Site", "Federated", "Local only", "Pooled"),
            rows=tuple((name, *_three(site, metric)) for name, site in context.run.summary.sites.items()),
        )
    order = in_order(next(iter(tested.values())).evaluation.metrics)
    columns = ("Site", *(metric_title(m) + (" (lower is better)" if m in LOWER_IS_BETTER else "") for m in order))
    for what, found in (("test images", tested), ("images of its training", trained)):
        confidence = _confidence(found)
        rows = tuple((name, *(scored.shown(m, confidence) for m in order)) for name, scored in found.items())
        if rows:
            together = "; an interval holds at all sites at once" if len(rows) > 1 else ""
            yield Table(title=f"The federated model on {what}{together}", columns=columns, rows=rows)


def _three(site: SiteSummary, metric: str) -> tuple[Cell, ...]:
    parts = (part.get(metric) if part else None for part in (site.federated, site.local, site.pooled))
    return tuple(found.value if found else None for found in parts)


def _meaning(context: AuditContext, contradicted: Sequence[str]) -> str:
    if not context.trained_here:
        return "Whether it was trained on some of these images this audit cannot know; if so, the figures flatter it."
    if contradicted:
        sites = listing([short(name, 60) for name in contradicted])
        return (
            f"The model contradicts the labels that it was trained on at {sites}, and at no other site: they may be "
            "wrong there, or the images are so unlike the others that it never came to read them."
        )
    return (
        "These are images of the same hospitals and the same time as those it was trained on; elsewhere, and "
        "later, it may do worse."
    )


def _not_scored(context: AuditContext, tested: AllScored, trained: AllScored) -> Iterator[str]:
    metric = context.scenario.headline
    without = [name for name in context.sites if name not in tested and context.scenario.data.partition.keeps_sites]
    if without:
        yield f"{listing([short(name) for name in without])}: no test images"
    few = [name for name, found in tested.items() if not found.enough]
    if few:
        yield f"a verdict at {listing([short(name) for name in few])}: fewer than {ENOUGH} test patients of a class"
    undefined = [name for name, found in trained.items() if found.evaluation.metrics[metric].value is None]
    if undefined:
        what = f"the {metric_title(metric)} on images of the training of {listing([short(name) for name in undefined])}"
        yield f"{what}: it is not defined there, as where all images are of one class"


def _not_compared(context: AuditContext) -> Iterator[str]:
    mean = context.run.summary.mean
    missing = {"local": mean.local, "pooled": mean.pooled}
    yield from (f"the comparison with {name} models: the run has none" for name, part in missing.items() if not part)
