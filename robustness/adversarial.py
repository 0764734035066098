"""The audit section on adversarial images: a change that is hard to see, beside noise and a control."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Annotated, Any, ClassVar, NamedTuple

import torch
from pydantic import Field, field_validator

from medfed.audit.contract import AuditContext, NotTestedError
from medfed.audit.results import Check, Finding, PositiveControl, SectionResult
from medfed.audit.verdicts import Verdict, judge
from medfed.registry import name_of, plugin, table
from medfed.results import Estimate
from medfed.section import plugin_field
from robustness.adversarial_scores import MaskOverlap, RightReadings, Score, Values, worst_so_far
from robustness.adversarial_tables import cost, curve, groups, lost, not_tested, remedy, samples, tried
from robustness.adversarial_trial import Trial, spread
from robustness.attacks.contract import Attack, AttackError, SideEffectError
from robustness.attacks.ensemble import Ensemble
from robustness.attacks.head_checks import HeadError
from robustness.attacks.heads import head_for
from robustness.attacks.noise import Noise
from robustness.attacks.result import AttackResult
from robustness.attacks.segmentation import SegmentationWorst
from robustness.attacks.settings import RunSettings
from robustness.attacks.threat import Norm, ThreatModel
from robustness.attacks.validity import check_validity

GreyLevels = Annotated[float, Field(gt=0.0, le=255.0, allow_inf_nan=False)]
Share = Annotated[float, Field(gt=0.0, le=1.0, allow_inf_nan=False)]
Count = Annotated[int, Field(ge=1)]

CHECKED = 64
"""Images on which the attack itself is checked, at most."""

CONTROLS = 16
"""Images of the positive control, at most: it must reach next to all of them, so that few decide."""


@plugin
class Adversarial:
    """Change test images by a few grey levels so that the model errs, and see what is left of its score.

    Attributes:
        eps_grey_levels: largest change of a pixel, in 1/255 of the range, at which the verdict is given; 8 is what most
            published figures are of (Croce et al. 2021, RobustBench).
        attack: in place of the section's own, with its fields; it must serve linf, the norm of the eps. Only the
            control and the checks say if it is strong.
        curve: further such changes, for the table.
        control_eps_grey_levels: a change so large that the attack must succeed.
        min_robust_accuracy: classification: of the images read rightly without an attack, the share to be read so under
            it, of all and of each class.
        min_robust_dice: segmentation: mean Dice under attack of the images with one of 0.5 or more without.
        images: classification: most test images, one of a patient.
        segmentation_images: the same for segmentation.
        steps: classification: gradient steps of each climb of the ensemble.
        restarts: classification: further climbs from random points.
        queries: classification: of the search without gradients, for each image that is left.
        blind_queries: classification: the same for images on which a gradient was exactly zero.
        segmentation_steps: gradient steps; soft Dice climbs four times as many, CosPGD as many.
    """

    title: ClassVar[str] = "Adversarial images"
    norm: ClassVar[Norm] = "linf"

    eps_grey_levels: GreyLevels = 8.0
    attack: plugin_field("attack") | None = None  # type: ignore[valid-type]
    curve: tuple[GreyLevels, ...] = (1.0, 2.0, 4.0, 8.0)
    control_eps_grey_levels: GreyLevels = 128.0
    min_robust_accuracy: Share = 0.5
    min_robust_dice: Share = 0.5
    images: Count = 256
    segmentation_images: Count = 32
    steps: Count = 40
    restarts: Count = 1
    queries: Count = 40
    blind_queries: Count = 500
    segmentation_steps: Count = 10

    @field_validator("attack")
    @classmethod
    def _attack_serves_the_norm(cls, attack: Attack | None) -> Attack | None:
        if attack is not None and cls.norm not in attack.norms:
            able = sorted(name for name, entry in table("attack").items() if cls.norm in entry.norms)
            raise ValueError(
                f'attack "{name_of("attack", attack)}" changes images in another way than by grey levels per pixel: '
                f"expected one that serves {cls.norm}; got {', '.join(attack.norms)}; use one of: {', '.join(able)}"
            )
        return attack

    def __call__(self, context: AuditContext) -> SectionResult:
        """Attack, compare with noise and with a control, and check the attack itself.

        What the model gets wrong without an attack is no attacker's work: the verdict is of the images that it gets
        right. A class of which there are none has an undefined figure, so that nothing passes for it.
        """
        own = _SETUPS[context.task.kind](self)
        setup = own if self.attack is None else own._replace(attack=self.attack)
        trial = Trial(context, context.draw_tests(setup.images, "adversarial"), setup.score)
        try:
            return self._result(trial, setup, own.attack)
        except SideEffectError as error:
            what = "The attack leaves the model as it was"
            return SectionResult(checks=(Check(what=what, holds=False, observed=str(error)),))
        except (AttackError, HeadError) as error:
            raise NotTestedError(f"no attack can serve this model: {error}") from error

    def _result(self, trial: Trial, setup: "_Setup", own: Attack) -> SectionResult:
        eps, score = self.eps_grey_levels, trial.score
        results = {level: trial.run(setup.attack, level) for level in sorted({*self.curve, eps})}
        judged = results[eps]
        clean, left = score.clean(judged), worst_so_far({at: score.attacked(r) for at, r in results.items()})
        right = (~judged.clean_success).nonzero()[:, 0].tolist()
        if not right:
            raise NotTestedError(f"no test image is {score.right}, so that there is nothing for an attack to take")
        kept = trial.of(right)
        finding = Finding(
            what=f"{score.name} under attack, {eps:g} grey levels, of those {score.right}",
            estimate=_attacked(kept, left[eps][right], clean[right], setup.threshold),
            threshold=setup.threshold,
            kind=score.kind,
        )
        where = lost(trial, judged, left[eps])
        return SectionResult(
            tried=tried(len(clean), eps, setup.attack),
            meaning=score.meaning(clean[right], left[eps][right], eps)
            + (f" {score.errors(len(clean) - len(right), len(clean))}" if len(right) < len(clean) else ""),
            remedy=remedy(where, setup.threshold),
            findings=(finding, *_by_class(trial, right, left[eps], clean, finding)),
            positive_control=self._control(kept, setup.attack),
            checks=_checks(trial, eps, judged),
            tables=(curve(trial, clean, left), where, cost(judged)),
            not_tested=tuple(not_tested(where, setup.attack, own)),
            samples=tuple(samples(trial, clean, left[eps], eps)),
        )

    def _control(self, trial: Trial, attack: Attack) -> PositiveControl:
        eps, score, trial = self.control_eps_grey_levels, trial.score, trial.some(CONTROLS)
        noise = trial.values(Noise(), eps).mean()
        return PositiveControl(
            description=f"The same attack with {eps:g} grey levels, against which no model can hold; it must also "
            f"leave at most half of the {noise:.3f} that random noise of that size leaves.",
            metric=f"{score.name} under attack",
            expected=min(score.at_control, float(noise) / 2),
            observed=float(trial.values(attack, eps).mean()),
            direction="at_most",
        )


class _Setup(NamedTuple):
    """What a task needs: score, threshold, number of images, attack."""

    score: Score
    threshold: float
    images: int
    attack: Attack


_SETUPS: dict[str, Callable[[Adversarial], _Setup]] = {
    "classification": lambda s: _Setup(
        RightReadings(),
        s.min_robust_accuracy,
        s.images,
        Ensemble(steps=s.steps, restarts=s.restarts, queries=s.queries, blind_queries=s.blind_queries),
    ),
    "segmentation": lambda s: _Setup(
        MaskOverlap(), s.min_robust_dice, s.segmentation_images, SegmentationWorst(steps=s.segmentation_steps)
    ),
}


def _attacked(trial: Trial, left: Values, clean: Values, threshold: float, *stream: str) -> Estimate:
    """What is left, without an interval where there was too little before the attack: that is not its work."""
    before, after = trial.estimate(clean, *stream), trial.estimate(left, *stream)
    if judge(before.low, before.high, threshold) is Verdict.FAIL:
        return after.model_copy(update={"low": None, "high": None})
    return after


def _by_class(trial: Trial, right: Sequence[int], left: Values, clean: Values, whole: Finding) -> Iterator[Finding]:
    """The same of the images of each class alone: a model that always gives the commonest answer resists everything."""
    for name, of_class in list(groups(trial))[1:]:
        rows = [row for row in right if row in of_class]
        if len(of_class):
            estimate = _attacked(trial.of(rows), left[rows], clean[rows], whole.threshold, name)
            what = f"{whole.what}: {name}"
            yield Finding(what=what, estimate=estimate, threshold=whole.threshold, kind=whole.kind)


def _checks(trial: Trial, eps: float, judged: AttackResult) -> tuple[Check, ...]:
    """Of :mod:`robustness.attacks.validity`, on images spread evenly over those of the measurement."""
    rows = torch.tensor(spread(len(trial.tests.images), CHECKED))
    same: dict[str, Any] = {
        name: value[rows] for name, value in vars(judged).items() if isinstance(value, torch.Tensor)
    }
    found = check_validity(
        trial.context.model,
        trial.tests.images[rows],
        trial.tests.labels[rows],
        threat=ThreatModel.grey_levels(eps),
        head=head_for(trial.context.task),
        criterion=trial.score.criterion,
        settings=RunSettings(seed=trial.context.seed),
        measured=replace(judged, **same),
    )
    return tuple(
        Check(what=check.expected[:1].upper() + check.expected[1:], holds=check.holds, observed=f"{check.observed:.3g}")
        for check in found
    )
