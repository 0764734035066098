"""When an image counts as fooled, and what it must be driven to for that."""

from collections.abc import Callable
from typing import Annotated, Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from pydantic import Field
from torch import Tensor

from medfed.registry import plugin
from robustness.attacks.head_checks import HeadError
from robustness.attacks.heads import Decisions, Head, boundary, decisions
from robustness.attacks.losses import score_scale, unit_margins
from robustness.attacks.objective import ANY, Objective, Pool
from robustness.attacks.threat import Goal, ThreatModel

Scores = Float[Tensor, "batch choice unit"]


@runtime_checkable
class Criterion(Protocol):
    """Success per image, and how near it is."""

    @property
    def pool(self) -> Pool:
        """How a loss should pool the units to serve this criterion."""
        ...

    def success(self, scores: Scores, objective: Objective) -> Bool[Tensor, " batch"]:
        """Which images are fooled."""
        ...

    def damage(self, scores: Scores, objective: Objective) -> Float[Tensor, " batch"]:
        """How far each image is gone, the larger the worse for the model; the worst point found is handed back."""
        ...


@plugin
class WrongDecisions:
    """At least ``share`` of the units that count are decided as the goal wants (for 0: at least one).

    Softmax and single sigmoid: the wrong class. Multi-label: 0 = any finding flips, 1 = all flip, and the goals hide
    and invent with a target are about that one finding. Segmentation: that share of the pixels.

    Attributes:
        share: of the units that count, 0 to 1.
    """

    share: Annotated[float, Field(ge=0.0, le=1.0, allow_inf_nan=False)] = 0.0

    @property
    def pool(self) -> Pool:
        """The easiest unit where one is enough."""
        return "max" if self.share == 0 else "mean"

    def success(self, scores: Scores, objective: Objective) -> Bool[Tensor, " batch"]:
        """Units reached against units needed."""
        needed = (objective.active.sum(dim=1) * self.share).ceil().clamp(min=1)
        return objective.reached(decisions(scores)).sum(dim=1) >= needed

    def damage(self, scores: Scores, objective: Objective) -> Float[Tensor, " batch"]:
        """The pooled margin where one unit is enough, else the share of units reached."""
        if self.pool == "max":
            return objective.pooled(unit_margins(scores, objective))
        return objective.pooled(objective.reached(decisions(scores)).to(scores.dtype))


@plugin
class DiceBelow:
    """The Dice score of the predicted mask is below ``threshold``: mean over findings, background left out.

    A finding that neither truth nor prediction shows counts as 1, one that only one of them shows as 0 (as in
    medfed.metrics.segmentation).

    Attributes:
        threshold: success below it, 0 to 1.
        finding: only this one, from 1 (class of a softmax head), or from 0 (channel of a sigmoid head with several).
    """

    threshold: Annotated[float, Field(gt=0.0, le=1.0, allow_inf_nan=False)] = 0.5
    finding: Annotated[int, Field(ge=0)] | None = None

    @property
    def pool(self) -> Pool:
        """The mean over pixels."""
        return "mean"

    def dice(self, scores: Scores, objective: Objective) -> Float[Tensor, " batch"]:
        """The Dice score per image, unknown pixels left out."""
        per_finding = _dice(decisions(scores), objective, scores.shape[1])
        if self.finding is None:
            return per_finding.mean(dim=1)
        column = self.finding - (1 if objective.groups == 1 else 0)
        if not 0 <= column < per_finding.shape[1]:
            raise HeadError(f"finding of {self}: expected one of {per_finding.shape[1]} findings; got {self.finding}")
        return per_finding[:, column]

    def success(self, scores: Scores, objective: Objective) -> Bool[Tensor, " batch"]:
        """Dice below the threshold."""
        return self.dice(scores, objective) < self.threshold

    def damage(self, scores: Scores, objective: Objective) -> Float[Tensor, " batch"]:
        """1 - Dice."""
        return 1.0 - self.dice(scores, objective)


@plugin
class Confident:
    """The target (or, without one, any wrong choice) has at least ``probability``; for images made from noise.

    Attributes:
        probability: by the softmax over choices, for a sigmoid head its sigmoid.
    """

    probability: Annotated[float, Field(gt=0.0, lt=1.0)] = 0.99

    @property
    def pool(self) -> Pool:
        """The easiest unit."""
        return "max"

    def success(self, scores: Scores, objective: Objective) -> Bool[Tensor, " batch"]:
        """Probability reached."""
        return self.damage(scores, objective) >= self.probability

    def damage(self, scores: Scores, objective: Objective) -> Float[Tensor, " batch"]:
        """The probability."""
        p = scores.softmax(dim=1)
        wrong = p.scatter(1, objective.labels.clamp(min=0)[:, None], 0.0).amax(dim=1)
        aimed = p.gather(1, objective.targets.clamp(min=0)[:, None])[:, 0]
        return objective.pooled(torch.where(objective.targets == ANY, wrong, aimed))


_MOST = WrongDecisions(share=0.5)

_BY_GOAL: dict[Goal, Criterion] = {
    "untargeted": DiceBelow(),
    "targeted": _MOST,
    "hide": _MOST,
    "invent": WrongDecisions(share=0.01),  # a spot a tenth as wide as the image
    "shift": _MOST,
}


@plugin
class MaskGoal:
    """Segmentation: the mask is wrong in the way that the goal asks for.

    Untargeted: Dice below one half. Hide, shift and targeted: half of the pixels that the goal is about are decided as
    it wants; invent: a hundredth of them, for they are nearly the whole image. Other findings do not count.
    """

    @property
    def pool(self) -> Pool:
        """The mean over pixels."""
        return "mean"

    def success(self, scores: Scores, objective: Objective) -> Bool[Tensor, " batch"]:
        """By the criterion of the goal."""
        return _BY_GOAL[objective.goal].success(scores, objective)

    def damage(self, scores: Scores, objective: Objective) -> Float[Tensor, " batch"]:
        """1 - Dice, or the share of the goal's pixels that are decided as it wants."""
        return _BY_GOAL[objective.goal].damage(scores, objective)


def default_criterion(head: Head) -> Criterion:
    """The wrong class or any finding that flips; in segmentation what the goal asks for."""
    return MaskGoal() if head.dense else WrongDecisions()


def objective_for(
    head: Head, criterion: Criterion, threat: ThreatModel, labels: Tensor, images: Tensor, clean: Scores
) -> Objective:
    """Goal, target and labels as tensors.

    Args:
        head: reads the labels.
        criterion: says how units are pooled.
        threat: goal and target.
        labels: in the head's form.
        images: the clean images.
        clean: their scores, for the scale of the losses.

    Raises:
        HeadError: labels or target do not fit the head, or the goal needs a segmentation.
    """
    choices = head.choices(labels, images)
    targets, active = _AIMS[threat.goal](head, threat, choices, tuple(images.shape[2:]))
    known = choices >= 0
    scale = score_scale(clean)
    return Objective(choices, targets, active & known, scale, criterion.pool, head.groups, threat.goal)


Aim = tuple[Int[Tensor, "batch unit"], Bool[Tensor, "batch unit"]]


def _untargeted(head: Head, threat: ThreatModel, choices: Decisions, space: tuple[int, ...]) -> Aim:
    return torch.full_like(choices, ANY), torch.ones_like(choices, dtype=torch.bool)


def _towards(head: Head, threat: ThreatModel, choices: Decisions, space: tuple[int, ...]) -> Aim:
    """Targeted and invent: the finding where it is not."""
    choice, units = head.finding(threat.target, choices)
    return torch.full_like(choices, choice), units & (choices != choice)


def _hide(head: Head, threat: ThreatModel, choices: Decisions, space: tuple[int, ...]) -> Aim:
    choice, units = head.finding(threat.target, choices)
    return torch.full_like(choices, ANY), units & (choices == choice)


def _shift(head: Head, threat: ThreatModel, choices: Decisions, space: tuple[int, ...]) -> Aim:
    if not head.dense:
        raise HeadError(f'goal "shift" of {head}: expected a segmentation head; use hide, invent or untargeted')
    return torch.full_like(choices, ANY), boundary(choices, space, head.groups)


_AIMS: dict[Goal, Callable[[Head, ThreatModel, Decisions, tuple[int, ...]], Aim]] = {
    "untargeted": _untargeted,
    "targeted": _towards,
    "hide": _hide,
    "invent": _towards,
    "shift": _shift,
}


def _dice(predicted: Decisions, objective: Objective, num_choices: int) -> Float[Tensor, "batch finding"]:
    """2 |P and T| / (|P| + |T|) per finding: per group of a sigmoid head, per class but the first of a softmax head."""
    shape = (len(predicted), objective.groups, -1)
    known = (objective.labels >= 0).reshape(shape)
    guess, truth = predicted.reshape(shape), objective.labels.reshape(shape)
    columns = []
    for choice in range(1, num_choices):
        p, t = (guess == choice) & known, (truth == choice) & known
        either = p.sum(dim=2) + t.sum(dim=2)
        columns.append(torch.where(either > 0, 2.0 * (p & t).sum(dim=2) / either.clamp(min=1), 1.0))
    return torch.cat(columns, dim=1)
