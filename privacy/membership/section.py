"""The audit section on membership: at every site, how many of those who were trained on are recognised as such."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, ClassVar

import numpy as np
from pydantic import Field

from medfed.audit.contract import AuditContext, NotTestedError
from medfed.audit.results import Cell, Check, Finding, PositiveControl, SectionResult, Table, share
from medfed.audit.verdicts import CONFIDENCE
from medfed.registry import name_of, plugin
from medfed.results import Estimate
from medfed.section import plugin_field
from privacy.canaries.evidence import Evidence, canary_evidence
from privacy.membership.confidence import confidences
from privacy.membership.contract import Scores, Signals
from privacy.membership.control import control_tpr
from privacy.membership.lira_offline import LiraOffline
from privacy.membership.lira_online import LiraOnline
from privacy.membership.loss_threshold import LossThreshold
from privacy.membership.pool import Pool, attacked_images
from privacy.membership.promise import for_images, largest_tpr
from privacy.membership.properties import label_shares
from privacy.membership.rmia import Rmia
from privacy.membership.roc import beyond_luck, enough, threshold_at, tpr_estimate
from privacy.membership.shadows import shadow_models

Share = Annotated[float, Field(gt=0.0, le=1.0, allow_inf_nan=False)]
Rate = Annotated[float, Field(gt=0.0, lt=1.0, allow_inf_nan=False)]

_SMALL_FPR = 0.001
"""Stated beside the rate of the verdict, where there are images enough."""

_CONTROL_TPR = 0.5
_LUCK = 0.01
"""Probability, at most, that attacks which know nothing pass the control."""

Named = Mapping[str, Scores]
"""Attack -> scores of all attacked images."""


@plugin
class Membership:
    """Tell images that were trained on from those that were not, by several attacks; the best one counts at each site.

    Attributes:
        attacks: to try.
        fpr: false positive rate of the verdict.
        max_tpr: share of a site's members that may be recognised at that rate; by chance it is the rate itself.
        shadows: further federated runs of the same scenario, each on half of the images; even.
        images: most members, and most others, of a site.
        control_images: of the positive control; half of them are learned by heart.
        control_steps: of its training.
        canaries: sent through the mechanism of differential privacy, where there is one.
        label_draws: updates by which the attacker learns to read shares of labels.
    """

    title: ClassVar[str] = "Telling who was in the training data"

    attacks: Annotated[tuple[plugin_field("membership"), ...], Field(min_length=1)] = (  # type: ignore[valid-type]
        LossThreshold(),
        LiraOffline(),
        LiraOnline(),
        Rmia(),
    )
    fpr: Rate = 0.01
    max_tpr: Share = 0.1
    shadows: Annotated[int, Field(ge=4, multiple_of=2)] = 4
    images: Annotated[int, Field(ge=10)] = 2000
    control_images: Annotated[int, Field(ge=20)] = 200
    control_steps: Annotated[int, Field(ge=1)] = 100
    canaries: Annotated[int, Field(ge=50)] = 1000
    label_draws: Annotated[int, Field(ge=4)] = 12

    def __call__(self, context: AuditContext) -> SectionResult:
        """Train shadows, attack, compare with a control and with what was promised."""
        if not context.trained_here:
            raise NotTestedError("needs the images that the model was trained on; this audit was given the model alone")
        tables, checks, untested = self._besides(context)
        try:
            trial = self._trial(context)
        except NotTestedError as reason:
            reasons = (f"who was in the training data: {reason}", *untested)
            return SectionResult(checks=checks, tables=tables, not_tested=reasons)
        return SectionResult(
            tried=f"{int(trial.pool.members.sum())} images that were trained on were mixed with "
            f"{int((~trial.pool.members).sum())} that were not, and {len(self.attacks)} attacks had to tell which is "
            f"which, with {self.shadows} shadow models: the same federation, trained on random halves of the images.",
            meaning=f"At a threshold that wrongly accuses {self.fpr:.3g} of the others, this is the share of a site's "
            "training images that is rightly named: patients of whom an outsider with their image would know that they "
            "were treated there.",
            remedy="Train for fewer rounds, on more images, or with noise (privacy.mechanism); give the model to "
            "nobody who may hold such images.",
            findings=tuple(trial.findings()),
            positive_control=self._control(context, trial.pool),
            checks=checks,
            tables=(*trial.tables(), *tables),
            not_tested=(*trial.not_tested(), *untested),
        )

    def _besides(self, context: AuditContext) -> tuple[tuple[Table, ...], tuple[Check, ...], tuple[str, ...]]:
        """What needs no shadows: the canaries of a private run, and shares of labels; and why one is missing."""
        evidence = self._canaries(context) if context.scenario.privacy.is_on else None
        tables, checks = ((evidence.table,), evidence.checks) if evidence else ((), ())
        try:
            return (*tables, label_shares(context, self.label_draws)), checks, ()
        except NotTestedError as reason:
            return tables, checks, (f"what updates betray of a site's labels: {reason}",)

    def _canaries(self, context: AuditContext) -> Evidence:
        privacy, generator = context.scenario.privacy, context.numpy_generator("membership", "canaries")
        return canary_evidence(privacy.mechanism, privacy.delta, self.canaries, generator)

    def _trial(self, context: AuditContext) -> "_Trial":
        pool = attacked_images(context, self.images)
        others = int((~pool.members).sum())
        if not enough(others, self.fpr):
            raise NotTestedError(f"needs {round(1 / self.fpr)} images that were not trained on; there are {others}")
        batch_size = context.scenario.evaluation.batch_size
        target = confidences(context.model, pool.images, batch_size)
        found, inside = [], []
        for model, rows in shadow_models(context, self.shadows):
            found.append(confidences(model, pool.images, batch_size))
            every = set().union(*rows.values())
            inside.append([int(row) in every for row in pool.images.rows])
        signals = Signals(target, np.stack(found), np.array(inside))
        scores = {name_of("membership", attack): attack(signals) for attack in self.attacks}
        return _Trial(self, context, pool, scores)

    def _control(self, context: AuditContext, pool: Pool) -> PositiveControl:
        number = min(self.control_images, len(pool.images))
        tpr = control_tpr(context, pool, self.attacks, self.fpr, number, self.shadows, self.control_steps)
        luck = beyond_luck(number // 2, number - number // 2, self.fpr, _LUCK / len(self.attacks))
        return PositiveControl(
            description=f"The same attacks on a small network that learned {number // 2} of {number} images by "
            f"heart, with wrong labels, and {self.shadows} such shadows.",
            metric=f"members recognised at {self.fpr:.3g} false positives",
            expected=max(_CONTROL_TPR, luck),
            observed=tpr,
        )


@dataclass(frozen=True, eq=False)
class _Trial:
    """Scores of all attacks; thresholds are set on the non-members of all sites together."""

    section: Membership
    context: AuditContext
    pool: Pool
    scores: Named

    def estimate(self, attack: str, fpr: float, site: str | None, confidence: float = CONFIDENCE) -> Estimate:
        """The share of the site's (or all) members that the attack names."""
        scores, members = self.scores[attack], self.pool.members
        chosen = members if site is None else members & self.pool.of(site)
        return tpr_estimate(scores[chosen], scores[~members], fpr, confidence)

    def best(self, fpr: float, site: str | None) -> Estimate:
        """Of all attacks, at a joint confidence: no attack's share is above the highest upper end."""
        confidence = 1.0 - (1.0 - CONFIDENCE) / len(self.scores)
        found = [self.estimate(attack, fpr, site, confidence) for attack in self.scores]
        value, low, high = (max(getattr(each, end) for each in found) for end in ("value", "low", "high"))
        return Estimate(value=value, low=low, high=high, n=found[0].n)

    def sites(self) -> list[str]:
        """Those with members in the pool."""
        return sorted({site for site, inside in zip(self.pool.sites, self.pool.members, strict=True) if inside})

    def findings(self) -> list[Finding]:
        """Per site; and the promise of differential privacy, where it says anything."""
        fpr = self.section.fpr
        found = [
            Finding(
                what=f"Members recognised at {fpr:.3g} false positives, {site}",
                estimate=self.best(fpr, site),
                threshold=self.section.max_tpr,
                direction="at_most",
                kind="mean",
            )
            for site in self.sites()
        ]
        bound = self.bound(fpr)
        if bound is not None and bound < 1.0:
            what = f"Members recognised at {fpr:.3g} false positives, all sites, beside what (epsilon, delta) allows"
            estimate = self.best(fpr, None)
            found.append(Finding(what=what, estimate=estimate, threshold=bound, direction="at_most", kind="mean"))
        return found

    def bound(self, fpr: float) -> float | None:
        """What the run's differential privacy allows; None where it has none."""
        stated = self.context.run.summary.privacy
        guarantee = for_images(stated.guarantees) if stated else None
        return largest_tpr(guarantee.epsilon, guarantee.delta, fpr) if guarantee else None

    def tables(self) -> list[Table]:
        """All attacks at both rates, false alarms by site, and what was promised."""
        rates = sorted({self.section.fpr, _SMALL_FPR}, reverse=True)
        named = [self._named(fpr) for fpr in rates if self.enough(fpr)]
        return [*named, self._false_alarms(), *self._promised()]

    def enough(self, fpr: float) -> bool:
        """Whether there are non-members enough to speak of ``fpr``."""
        return enough(int((~self.pool.members).sum()), fpr)

    def not_tested(self) -> list[str]:
        """What there were too few images for."""
        others = int((~self.pool.members).sum())
        what = f"the share recognised at {_SMALL_FPR:.3g} false positives: it needs {round(1 / _SMALL_FPR)} images "
        return [] if self.enough(_SMALL_FPR) else [f"{what}that were not trained on, there are {others}"]

    def _named(self, fpr: float) -> Table:
        columns = ("Site", *self.scores)
        rows: list[tuple[Cell, ...]] = [
            (site or "all sites", *(self.estimate(attack, fpr, site) for attack in self.scores))
            for site in (*self.sites(), None)
        ]
        return Table(title=f"Members recognised at {fpr:.3g} false positives", columns=columns, rows=tuple(rows))

    def _false_alarms(self) -> Table:
        fpr, others = self.section.fpr, ~self.pool.members
        above = {name: scores > threshold_at(scores[others], fpr) for name, scores in self.scores.items()}
        rows: list[tuple[Cell, ...]] = []
        for site in self.sites():
            chosen = others & self.pool.of(site)
            number = int(chosen.sum())
            rows.append((site, *(share(int((named & chosen).sum()), number) for named in above.values())))
        title = "Other images of each site that are wrongly accused at the same thresholds"
        return Table(title=title, columns=("Site", *self.scores), rows=tuple(rows))

    def _promised(self) -> list[Table]:
        stated = self.context.run.summary.privacy
        guarantee = for_images(stated.guarantees) if stated else None
        if guarantee is None:
            return []
        rows: list[tuple[Cell, ...]] = [
            (f"{fpr:.3g}", guarantee.epsilon, guarantee.delta, largest_tpr(guarantee.epsilon, guarantee.delta, fpr),
             self.best(fpr, None) if self.enough(fpr) else "too few images")
            for fpr in (self.section.fpr, _SMALL_FPR)
        ]  # fmt: skip
        return [
            Table(
                title="What the run's differential privacy lets anybody tell of whether one image or another in its "
                f"place was trained on ({guarantee.unit} level, {guarantee.relation}): at most e^epsilon FPR + delta",
                columns=("False positives", "Epsilon", "Delta", "Members recognised at most", "Measured, all sites"),
                rows=tuple(rows),
            )
        ]
