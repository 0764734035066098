"""The audit section on adversarial images: the strongest change that is hard to see, beside noise and a control."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from typing import Annotated, Any, ClassVar, NamedTuple

import torch
from pydantic import Field, field_validator

from medfed.audit.contract import AuditContext, NotTestedError, TestImages
from medfed.audit.results import Check, Finding, PositiveControl, Sample, SectionResult, Table
from medfed.registry import name_of, plugin, table
from medfed.results import Estimate
from medfed.section import plugin_field
from robustness.adversarial_scores import MaskOverlap, RightReadings, Score, Values, worst_so_far
from robustness.attacks.contract import Attack, AttackError, SideEffectError
from robustness.attacks.enforcer import run_attack
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
        min_robust_accuracy: classification: share of images to be read rightly under attack, of all and of each class.
        min_robust_dice: segmentation: mean Dice to be kept under attack.
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
        """Attack, compare with noise and with a control, and check the attack itself."""
        setup = _SETUPS[context.task.kind](self)
        setup = setup if self.attack is None else setup._replace(attack=self.attack)
        trial = _Trial(context, context.draw_tests(setup.images, "adversarial"), setup.score)
        try:
            return self._result(trial, setup)
        except SideEffectError as error:
            what = "The attack leaves the model as it was"
            return SectionResult(checks=(Check(what=what, holds=False, observed=str(error)),))
        except (AttackError, HeadError) as error:
            raise NotTestedError(f"no attack can serve this model: {error}") from error

    def _result(self, trial: "_Trial", setup: "_Setup") -> SectionResult:
        eps, score = self.eps_grey_levels, trial.score
        results = {level: trial.run(setup.attack, level) for level in sorted({*self.curve, eps})}
        judged = results[eps]
        clean, left = score.clean(judged), worst_so_far({at: score.attacked(r) for at, r in results.items()})
        finding = Finding(
            what=f"{score.name} under attack, {eps:g} grey levels",
            estimate=trial.estimate(left[eps]),
            threshold=setup.threshold,
            kind=score.kind,
        )
        return SectionResult(
            tried=f"{len(clean)} test images, no two of one patient, were changed by at most {eps:g} of 255 grey "
            "levels per pixel, in the way that harms the model most, as far as an attacker who knows it could find.",
            meaning=score.meaning(clean, left[eps], eps),
            remedy="Protect the way of an image from the scanner to the model; where outsiders can reach it, train "
            "against such changes. A PASS here would hold for changes of this kind and size only.",
            findings=(finding, *_by_class(trial, left[eps], finding)),
            positive_control=self._control(trial, setup.attack),
            checks=_checks(trial, eps, judged),
            tables=(_curve(trial, clean, left), _cost(judged)),
            not_tested=("changes of other kinds: rotations, patches, marks on the film, the noise of a scanner",),
            samples=tuple(_samples(trial, clean, left[eps], eps)),
        )

    def _control(self, trial: "_Trial", attack: Attack) -> PositiveControl:
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


@dataclass(frozen=True, eq=False)
class _Trial:
    """The drawn test images under any attack at any eps, always with the same seed."""

    context: AuditContext
    tests: TestImages
    score: Score

    def run(self, attack: Attack, eps: float) -> AttackResult:
        """Attack all images within ``eps`` grey levels."""
        return run_attack(
            self.context.model,
            self.tests.images,
            self.tests.labels,
            attack=attack,
            threat=ThreatModel.grey_levels(eps),
            head=head_for(self.context.task),
            criterion=self.score.criterion,
            settings=RunSettings(seed=self.context.seed, stop_when_fooled=self.score.stop_when_fooled),
            progress=lambda name, done: self.context.progress(f"{name}, {eps:g} grey levels", done),
        )

    def some(self, limit: int) -> "_Trial":
        """The same on at most ``limit`` images, spread evenly over all."""
        return replace(self, tests=self.tests.take(spread(len(self.tests.images), limit)))

    def values(self, attack: Attack, eps: float) -> Values:
        """What is left of each image's score."""
        return self.score.attacked(self.run(attack, eps))

    def estimate(self, values: Values) -> Estimate:
        """The mean with its interval; all with the same draws."""
        generator = self.context.numpy_generator("adversarial", "intervals")
        return self.score.estimate(values, self.tests.patients, generator)


def _by_class(trial: _Trial, left: Values, whole: Finding) -> Iterator[Finding]:
    """The same of the images of each class alone: a model that always gives the commonest answer resists everything."""
    task, labels = trial.context.task, trial.tests.labels.numpy()
    if task.kind != "classification":
        return
    for index, name in enumerate(task.classes):
        rows = (labels == index).nonzero()[0]
        if len(rows):
            patients = [trial.tests.patients[row] for row in rows]
            generator = trial.context.numpy_generator("adversarial", "intervals", name)
            estimate = trial.score.estimate(left[rows], patients, generator)
            what = f"{whole.what}: {name}"
            yield Finding(what=what, estimate=estimate, threshold=whole.threshold, kind=whole.kind)


def spread(number: int, limit: int) -> list[int]:
    """At most ``limit`` of the positions 0 to ``number`` - 1, evenly spread, first and last among them."""
    return [int(position) for position in torch.linspace(0, number - 1, min(limit, number)).long()]


def _checks(trial: _Trial, eps: float, judged: AttackResult) -> tuple[Check, ...]:
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


def _curve(trial: _Trial, clean: Values, left: dict[float, Values]) -> Table:
    noise = {eps: trial.values(Noise(), eps) for eps in left}
    rows = ((f"{eps:g}", trial.estimate(left[eps]), trial.estimate(noise[eps])) for eps in left)
    return Table(
        title="What is left of the score, by the largest change of a pixel",
        columns=("Grey levels of 255", "Under attack", "Under random noise"),
        rows=(("0", trial.estimate(clean), trial.estimate(clean)), *rows),
    )


def _cost(judged: AttackResult) -> Table:
    rows = [("Images passed through the model", judged.forward_images), ("Gradients taken", judged.gradient_images)]
    rows += [(f"Images not fooled after {stage}", left) for stage, left in judged.left.items()]
    return Table(title="What the attack of the verdict cost, and did", columns=("What", "Number"), rows=tuple(rows))


def _samples(trial: _Trial, clean: Values, left: Values, eps: float) -> Iterator[Sample]:
    name = trial.score.name.lower()
    for position, (site, row) in enumerate(zip(trial.tests.sites, trial.tests.rows, strict=True)):
        for measure, values in ((name, clean), (f"{name} under attack, {eps:g} grey levels", left)):
            yield Sample(site=site, row=row, measure=measure, value=float(values[position]))
