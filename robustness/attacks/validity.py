"""When a robustness number means nothing: checks that every honest measurement passes.

After Carlini et al., "On evaluating adversarial robustness" (2019), sections 3 to 5, and Athalye et al., "Obfuscated
gradients give a false sense of security" (ICML 2018), section 3.1. Passing them proves no strength; failing one makes
the number INVALID, whatever it says.
"""

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

from medfed.audit.verdicts import clopper_pearson
from robustness.attacks.contract import Attack, AttackError, SideEffectError
from robustness.attacks.criteria import Criterion, default_criterion
from robustness.attacks.enforcer import run_attack
from robustness.attacks.fgsm import FGSM
from robustness.attacks.heads import Head
from robustness.attacks.losses import margin
from robustness.attacks.noise import Noise
from robustness.attacks.objective import Objective, Pool
from robustness.attacks.pgd import PGD
from robustness.attacks.result import AttackResult
from robustness.attacks.settings import RunSettings
from robustness.attacks.threat import ThreatModel

Scores = Float[Tensor, "batch choice unit"]

_ZERO_SHARE, _LARGE_REACH, _BEATS_NOISE = 0.01, 0.95, 0.9
_PARTS = (1.0, 0.5, 0.25)  # of the range: every point within a part is within the whole

_PROBE = PGD(steps=20, step=0.1)
_ONE_STEP = FGSM(loss=_PROBE.loss)
_NOISE = Noise(draws=_PROBE.steps + 1)
"""As many points as the probe tries."""


@dataclass(frozen=True)
class _Graded:
    """Success as ``inner`` has it; damage by the margin, which moves with every score where a Dice stands still."""

    inner: Criterion

    @property
    def pool(self) -> Pool:
        """As ``inner``."""
        return self.inner.pool

    def success(self, scores: Scores, objective: Objective) -> Bool[Tensor, " batch"]:
        """As ``inner``."""
        return self.inner.success(scores, objective)

    def damage(self, scores: Scores, objective: Objective) -> Float[Tensor, " batch"]:
        """The pooled margin, which the probe climbs."""
        return margin(scores, objective)


@dataclass(frozen=True)
class Finding:
    """One check.

    Attributes:
        name: of the check.
        holds: False makes the measurement INVALID.
        observed: the figure looked at.
        expected: what it must be, in words.
    """

    name: str
    holds: bool
    observed: float
    expected: str


@dataclass(frozen=True, eq=False)
class Probe:
    """Runs of attacks on one model and set, each made once.

    Attributes:
        run: attack and threat model -> result.
        threat: the one of the measurement.
        attack: the gradient attack whose behaviour is looked at.
        images: the clean images.
    """

    run: Callable[[Attack, ThreatModel], AttackResult]
    threat: ThreatModel
    attack: Attack
    images: Float[Tensor, "batch channel *space"]
    _kept: dict[tuple[Attack, ThreatModel], AttackResult] = field(default_factory=dict)

    def __call__(self, attack: Attack, eps: float) -> AttackResult:
        """The result at another eps."""
        key = (attack, self.threat.replace(eps=eps))
        if key not in self._kept:
            self._kept[key] = self.run(*key)
        return self._kept[key]

    def fooled(self, attack: Attack, eps: float) -> float:
        """The share of eligible images fooled, those wrong without an attack included."""
        return 1.0 - self(attack, eps).robust_share


def check_validity(
    model: nn.Module,
    images: Float[Tensor, "batch channel *space"],
    labels: Tensor,
    *,
    threat: ThreatModel,
    head: Head,
    criterion: Criterion | None = None,
    settings: RunSettings | None = None,
    measured: AttackResult | None = None,
) -> tuple[Finding, ...]:
    """All checks for a measurement under ``threat`` (linf or l2); a few hundred passes per image.

    Args:
        model: the model measured.
        images: 32 to 64 images are enough.
        labels: in the form of ``head``.
        threat: of the measurement.
        head: how to read the output.
        criterion: of the measurement.
        settings: seed and memory.
        measured: the measurement itself, on the same images, where there is one.

    Raises:
        AttackError: norm, head and data do not fit, or no image is about the goal.
    """
    graded = _Graded(criterion or default_criterion(head))

    def run(attack: Attack, at: ThreatModel) -> AttackResult:
        return run_attack(
            model, images, labels, attack=attack, threat=at, head=head, criterion=graded, settings=settings
        )

    probe = Probe(run, threat, _PROBE, images)
    try:
        first = probe(_PROBE, threat.eps)
    except SideEffectError as error:
        return (Finding("side_effects", False, 1.0, str(error)),)
    if not bool(first.eligible.any()):
        raise AttackError(f'goal "{threat.goal}": expected an image that it is about; got none of {len(images)}')
    findings = [check(probe) for check in _CHECKS]
    if measured is not None:
        findings.append(_not_weaker(probe, measured))
    return tuple(findings)


def valid(findings: tuple[Finding, ...]) -> bool:
    """Whether every check holds."""
    return all(finding.holds for finding in findings)


def _gradients(probe: Probe) -> Finding:
    flags = probe(probe.attack, probe.threat.eps).flags
    share = max(flags["zero_gradient"], flags["nonfinite_gradient"])
    text = "a gradient that is exactly zero, or not finite, on at most 1 % of the images"
    return Finding("gradients", share <= _ZERO_SHARE, share, text)


def _repeatable(probe: Probe) -> Finding:
    drew = probe(probe.attack, probe.threat.eps).flags["random_forward"]
    return Finding("repeatable", drew == 0, drew, "a model that draws no random numbers in eval mode")


def _nothing_at_zero(probe: Probe) -> Finding:
    result = probe(probe.attack, 0.0)
    share = float((result.success != result.clean_success).sum()) / max(1, int(result.eligible.sum()))
    return Finding("eps_zero", share == 0, share, "at eps 0 exactly the images that are wrong without an attack")


def _inside(probe: Probe) -> Finding:
    result = probe(probe.attack, probe.threat.eps)
    largest = float(result.distances.nan_to_num(0.0).max())
    slack = 1e-4 * probe.threat.eps
    return Finding("bound", largest <= probe.threat.eps + slack, largest, f"no perturbation above {probe.threat.eps:g}")


def _monotone(probe: Probe) -> Finding:
    """Image by image, as in a sign test: a start that is drawn may fool a few images at the smaller eps alone."""
    drop, holds = 0.0, True
    for part in (0.5, 1.0):
        low, high = (probe(probe.attack, min(k * probe.threat.eps, _whole(probe))) for k in (part, 2.0 * part))
        lost, won = (int((a.success & ~b.success & a.eligible).sum()) for a, b in ((low, high), (high, low)))
        drop = max(drop, (lost - won) / max(1, int(low.eligible.sum())))
        holds = holds and (lost == 0 or clopper_pearson(lost, lost + won)[0] <= 0.5)
    return Finding("monotone", holds, drop, "a larger eps fools as many (95 % interval of those one alone fools)")


def _reaches_all(probe: Probe) -> Finding:
    """At the whole range or a part of it: steps a tenth as long jump over a class that holds a narrow part."""
    reached, share = probe.images.new_zeros(len(probe.images), dtype=torch.bool), 0.0
    for part in _PARTS:
        if share < _LARGE_REACH:
            result = probe(probe.attack, part * _whole(probe))
            reached |= result.success
            share = float(reached.sum()) / max(1, int(result.eligible.sum()))
    text = "with an eps as wide as the range at least 95 % of the images are fooled"
    return Finding("large_eps", share >= _LARGE_REACH, share, text)


def _beats_fgsm(probe: Probe) -> Finding:
    """An image that falls at a lower loss than many steps reach speaks of the criterion, not of the steps."""
    many, one = (probe(attack, probe.threat.eps) for attack in (probe.attack, _ONE_STEP))
    ahead = int((one.success & ~many.success & (one.damage > many.damage)).sum())
    behind = int((many.success & ~one.success).sum())
    lead = (ahead - behind) / max(1, int(many.eligible.sum()))
    return Finding("stronger_than_fgsm", lead <= _one_image(probe), lead, "one step fools no more images than many")


def _beats_noise(probe: Probe) -> Finding:
    """Image by image, where noise leaves room; the exact interval of the share must reach 90 %."""
    result, noise = probe(probe.attack, probe.threat.eps), probe(_NOISE, probe.threat.eps)
    room = result.eligible & ~result.clean_success & ~noise.success
    better, count = int(((result.success | (result.damage > noise.damage)) & room).sum()), int(room.sum())
    holds = count == 0 or clopper_pearson(better, count)[1] >= _BEATS_NOISE
    text = "on 90 % of the images (95 % interval) the attack raises the loss more than random noise of the same size"
    return Finding("beats_noise", holds, better / max(1, count), text)


def _not_weaker(probe: Probe, measured: AttackResult) -> Finding:
    lead = probe.fooled(probe.attack, probe.threat.eps) - (1.0 - measured.robust_share)
    text = "the attack of the measurement fools as many images as 20 steps of PGD"
    return Finding("measured_not_weaker", lead <= _one_image(probe), lead, text)


_CHECKS: tuple[Callable[[Probe], Finding], ...] = (
    _gradients,
    _repeatable,
    _nothing_at_zero,
    _inside,
    _monotone,
    _reaches_all,
    _beats_fgsm,
    _beats_noise,
)


def _one_image(probe: Probe) -> float:
    return 1.0 / max(1, int(probe(probe.attack, probe.threat.eps).eligible.sum())) + 1e-9


def _whole(probe: Probe) -> float:
    """An eps that reaches every image of the range, in units of eps."""
    width = probe.threat.width
    return width * math.sqrt(probe.images[0].numel()) if probe.threat.norm == "l2" else width
