"""The audit's own sections: which model and which data these are, and how well the model does without an attack."""

import math
from collections.abc import Iterator
from typing import Annotated, ClassVar

from pydantic import Field

from medfed.audit.contract import AuditContext
from medfed.audit.costs import Cost, num_tests, pass_seconds
from medfed.audit.digests import rows_digest, weights_digest
from medfed.audit.results import Cell, Check, Finding, SectionResult, Table, census
from medfed.params import get_weights, num_values
from medfed.registry import name_of, plugin
from medfed.report.text import in_order, metric_title
from medfed.results import LOWER_IS_BETTER, Evaluation, SiteSummary
from medfed.training.evaluation import evaluate

THRESHOLDS = {"auroc": 0.8, "balanced_accuracy": 0.8, "accuracy": 0.8, "dice": 0.7, "iou": 0.54}
"""Conventions, no promise of use: an AUROC of 0.8 is where discrimination is called excellent (Hosmer, Lemeshow and
Sturdivant 2013, Applied Logistic Regression, section 5.2.4), a Dice of 0.7 where agreement is called good (Zijdenbos et
al. 1994, IEEE TMI 13:716), and IoU = Dice / (2 - Dice). State your own: ``performance.threshold``."""

_SAME = 1e-6
"""How far a figure computed anew may lie from the run's own: other kernels change the last bits, no decision."""


@plugin
class Identity:
    """Say which model and which data were audited, and that they are those of the run.

    Attributes:
        intended_use: what the model is for, in the words of who answers for it.
    """

    title: ClassVar[str] = "Model and data"

    intended_use: str = ""

    def __call__(self, context: AuditContext) -> SectionResult:
        """Digests, counts, versions."""
        weights = get_weights(context.model)
        finite = sum(int(value.isfinite().sum()) for value in weights.values())
        missing = [] if self.intended_use else ["intended use: nobody stated it (--set identity.intended_use=...)"]
        checks = []
        if not context.trained_here:
            missing.append("how it was trained: this audit was given the model alone")
        elif context.data_change is None:
            missing.append("whether the data are those of the run: the run's folder does not say what they were")
        else:
            observed = context.data_change or "no difference"
            what = "Images, labels, splits and patients are those that the run began with"
            checks.append(Check(what=what, holds=not context.data_change, observed=observed))
        return SectionResult(
            tried="The model and the data were compared with what the run recorded of them."
            if context.trained_here
            else "The model and the data were read, and digests taken of both.",
            meaning="Every other figure of this report is about this model on these data, and about no other.",
            remedy="Compare the digest of a model with the one given here before it is used on a patient.",
            findings=(
                Finding(
                    what="Numbers in the model that are finite",
                    estimate=census(finite, num_values(weights)),
                    threshold=1.0,
                    kind="census",
                ),
            ),
            checks=tuple(checks),
            tables=(self._model(context), _data(context), *_versions(context)),
            not_tested=tuple(missing),
        )

    def _model(self, context: AuditContext) -> Table:
        scenario, weights = context.scenario, get_weights(context.model)
        rows: list[tuple[Cell, ...]] = [
            ("Intended use", self.intended_use or "not stated"),
            ("Task", f"{scenario.task.kind}: {', '.join(scenario.task.classes)}"),
            ("Architecture", name_of("model", scenario.model)),
            ("Numbers in the model", num_values(weights)),
            ("Digest of the weights (SHA-256)", weights_digest(weights)),
        ]
        if context.trained_here:
            rows += [
                ("Strategy", name_of("strategy", scenario.federation.strategy)),
                ("Status of the run", str(context.run.summary.status)),
                ("Rounds", context.run.summary.rounds),
            ]
        else:
            rows.append(("Trained", "by someone else, in a way that this audit does not know"))
        return Table(title="The model", columns=("What", "Value"), rows=tuple(rows))


def _data(context: AuditContext) -> Table:
    rows: list[tuple[Cell, ...]] = []
    for name in context.sites:
        data = context.site(name)
        counts = (len(data.train), len(data.val), len(data.test))
        rows.append((name, *counts, rows_digest(context.dataset, data.test.rows)))
    columns = ("Site", "Train", "Validation", "Test", "Digest of the test images and labels (SHA-256)")
    return Table(title="The data, in images", columns=columns, rows=tuple(rows))


def _versions(context: AuditContext) -> Iterator[Table]:
    if not context.trained_here:
        return
    environment = context.run.environment
    versions = environment.get("versions")
    rows: list[tuple[Cell, ...]] = [("python", str(environment.get("python", "not recorded")))]
    if isinstance(versions, dict):
        rows += [(str(name), str(version)) for name, version in versions.items()]
    yield Table(title="What it was trained with", columns=("Package", "Version"), rows=tuple(rows))


@plugin
class Performance:
    """Score the federated model anew on every site's test images, beside local and pooled models.

    Attributes:
        threshold: what the headline metric must reach at every site; none: 0.8, for Dice 0.7, for IoU 0.54.
    """

    title: ClassVar[str] = "Performance without an attack"

    threshold: Annotated[float, Field(gt=0.0, le=1.0, allow_inf_nan=False)] | None = None

    def __call__(self, context: AuditContext) -> SectionResult:
        """One finding per site, or one where all sites share their test images."""
        metric = context.scenario.headline
        threshold = THRESHOLDS[metric] if self.threshold is None else self.threshold
        found: dict[str, Evaluation] = {}
        sets = context.test_sets()
        for position, (name, images) in enumerate(sets.items()):
            context.progress(f"scoring {name}", position / len(sets))
            found[name] = evaluate(context.model, images, context.scenario, ("bootstrap",))
        findings = tuple(
            Finding(
                what=f"{metric_title(metric)}, {name}",
                estimate=evaluation.metrics[metric],
                threshold=threshold,
                kind="mean",
            )
            for name, evaluation in found.items()
        )
        return SectionResult(
            tried=f"The model was scored on the test images of {len(context.sites)} sites ({_counted(found)}).",
            meaning=_meaning(context),
            remedy=f"Before use, agree on the {metric_title(metric)} that the task needs, and set "
            "performance.threshold to it.",
            findings=findings,
            checks=_same_as_the_run(context, found),
            tables=_tables(context, found),
            not_tested=_not_compared(context),
        )


def _counted(found: dict[str, Evaluation]) -> str:
    return f"{sum(evaluation.num_images for evaluation in found.values())} images"


def _same_as_the_run(context: AuditContext, found: dict[str, Evaluation]) -> tuple[Check, ...]:
    """The run's own figures, computed where the images lie, against those of the audit."""
    metric, gaps = context.scenario.headline, []
    for name, site in context.run.summary.sites.items():
        then = site.federated and site.federated.get(metric)
        now = found[name if name in found else next(iter(found))].metrics[metric]
        if then and then.value is not None:
            gaps.append(math.inf if now.value is None else abs(then.value - now.value))
    if not gaps:
        return ()
    what = f"The {metric_title(metric)} of every site is what the run reported"
    observed = f"largest difference {max(gaps):.1g} over {len(gaps)} sites"
    return (Check(what=what, holds=max(gaps) <= _SAME, observed=observed),)


def _tables(context: AuditContext, found: dict[str, Evaluation]) -> tuple[Table, ...]:
    metric = context.scenario.headline
    order = in_order(next(iter(found.values())).metrics)
    now = Table(
        title="The federated model on test images",
        columns=("Site", *(metric_title(m) + (" (lower is better)" if m in LOWER_IS_BETTER else "") for m in order)),
        rows=tuple((name, *(evaluation.metrics[m] for m in order)) for name, evaluation in found.items()),
    )
    beside = Table(
        title=f"{metric_title(metric)} in the run's report, beside the site's own model and a pooled one",
        columns=("Site", "Federated", "Local only", "Pooled"),
        rows=tuple((name, *_three(site, metric)) for name, site in context.run.summary.sites.items()),
    )
    return (beside, now) if context.trained_here else (now,)


def _three(site: SiteSummary, metric: str) -> tuple[Cell, ...]:
    return tuple(part.get(metric) if part else None for part in (site.federated, site.local, site.pooled))


def _meaning(context: AuditContext) -> str:
    if context.trained_here:
        return (
            "These are images of the same hospitals and the same time as those it was trained on; elsewhere, and "
            "later, it may do worse."
        )
    return "Whether it was trained on some of these images this audit cannot know; if so, the figures flatter it."


def _not_compared(context: AuditContext) -> tuple[str, ...]:
    mean = context.run.summary.mean
    missing = {"local": mean.local, "pooled": mean.pooled}
    return tuple(f"the comparison with {name} models: the run has none" for name, part in missing.items() if not part)


SECTIONS = {
    "identity": Identity,
    "performance": Performance,
}

_RESAMPLE = 2e-6
"""Seconds of an image in one resample of all metrics."""


def _identity_cost(section: Identity, context: AuditContext) -> float:
    """Every test image is read once."""
    return 1e-4 * num_tests(context)


def _performance_cost(section: Performance, context: AuditContext) -> float:
    return num_tests(context) * (pass_seconds(context) + _RESAMPLE * context.scenario.evaluation.resamples)


COSTS = {
    "identity": Cost(_identity_cost),
    "performance": Cost(_performance_cost),
}
