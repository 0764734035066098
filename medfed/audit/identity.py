"""The audit's own section on identity: which model and which data these are."""

from collections.abc import Iterator
from typing import ClassVar

from medfed.audit.contract import AuditContext
from medfed.audit.digests import rows_digest, weights_digest
from medfed.audit.results import Cell, Check, Finding, SectionResult, Table, census
from medfed.params import get_weights, num_values
from medfed.registry import name_of, plugin


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
