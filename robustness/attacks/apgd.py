"""Auto-PGD: a step size that halves itself when progress stalls (Croce and Hein, ICML 2020, algorithm 1)."""

import math
from typing import Annotated, ClassVar, NamedTuple

import torch
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor

from medfed.registry import plugin
from robustness.attacks.aims import aim, num_aims
from robustness.attacks.contract import Evaluation, Search
from robustness.attacks.losses import LOSSES, LossName
from robustness.attacks.objective import Objective
from robustness.attacks.projection import Bounds
from robustness.attacks.steps import Steps, ascent, wide
from robustness.attacks.threat import Norm

Images = Float[Tensor, "batch channel *space"]
PerImage = Float[Tensor, " batch"]
Mask = Bool[Tensor, " batch"]

_RISES = 0.75
"""rho of the paper: fewer rising steps than this share of a window halve the step."""

_MOMENTUM = 0.75
"""alpha of the paper: share of the gradient step, the rest is the last move."""


def checkpoints(steps: int) -> list[int]:
    """Steps after which the step size is looked at: shares 0, .22, then windows shorter by .03, at least .06 long."""
    shares = [0.0, 0.22]
    while shares[-1] < 1:
        shares.append(shares[-1] + max(shares[-1] - shares[-2] - 0.03, 0.06))
    return sorted({math.ceil(share * steps) for share in shares if share <= 1})


class _Walk(NamedTuple):
    """The state of the attack, one row per image."""

    points: Images
    previous: Images
    gradient: Images
    value: PerImage
    best_points: Images
    best_gradient: Images
    best_value: PerImage
    step: PerImage
    rises: PerImage
    checked: PerImage
    halved: Mask
    aim: Objective


def _start(points: Images, objective: Objective, eps: float) -> _Walk:
    nothing = torch.full_like(points.flatten(1)[:, 0], -torch.inf)
    return _Walk(
        points=points,
        previous=points,
        gradient=torch.zeros_like(points),
        value=-nothing,  # so that the first evaluation does not count as a rise
        best_points=points,
        best_gradient=torch.zeros_like(points),
        best_value=nothing,
        step=torch.full_like(nothing, 2 * eps),
        rises=torch.zeros_like(nothing),
        checked=nothing,
        halved=torch.ones_like(nothing, dtype=torch.bool),
        aim=objective,
    )


def _seen(walk: _Walk, found: Evaluation) -> _Walk:
    """Take in what the model said: the best point so far, and whether the loss rose."""
    better = found.loss > walk.best_value
    choose = wide(better, found.points)
    return walk._replace(
        points=found.points,
        gradient=found.gradient,
        value=found.loss,
        rises=walk.rises + (found.loss > walk.value),
        best_points=torch.where(choose, found.points, walk.best_points),
        best_gradient=torch.where(choose, found.gradient, walk.best_gradient),
        best_value=torch.where(better, found.loss, walk.best_value),
    )


def _checked(walk: _Walk, window: int) -> _Walk:
    """Halve the step, and go back to the best point, where the loss rose too rarely or the best stayed the same."""
    stalled = ~walk.halved & (walk.checked >= walk.best_value)
    halve = (walk.rises <= _RISES * window) | stalled
    back = wide(halve, walk.points)
    return walk._replace(
        points=torch.where(back, walk.best_points, walk.points),
        gradient=torch.where(back, walk.best_gradient, walk.gradient),
        step=torch.where(halve, walk.step / 2, walk.step),
        rises=torch.zeros_like(walk.rises),
        checked=walk.best_value,
        halved=halve,
    )


def _moved(walk: _Walk, search: Search, bounds: Bounds, momentum: float) -> _Walk:
    """Equation 1: the gradient step, mixed with the last move."""
    forward = search.project(walk.points + wide(walk.step, walk.points) * ascent(walk.gradient, bounds))
    mixed = momentum * (forward - walk.points) + (1 - momentum) * (walk.points - walk.previous)
    return walk._replace(points=walk.points + mixed, previous=walk.points)


def climb(
    search: Search, points: Images, objective: Objective, steps: int, loss: LossName, done: float, share: float
) -> Float[Tensor, " left"]:
    """Auto-PGD from ``points`` with ``steps`` gradients, aiming at ``objective``.

    Args:
        search: the rows.
        points: where to start.
        objective: what the loss aims at.
        steps: gradients taken.
        loss: what is made larger.
        done: share of the attack done before, for progress.
        share: of the attack that this is.

    Returns:
        The largest loss seen, for each row that is left in the search.
    """
    bounds = Bounds.of(search.threat, search.images)
    walk, last = _start(points, objective, bounds.eps), 0
    checks = set(checkpoints(steps)[1:])
    for count in range(steps):
        walk = _seen(walk, search.evaluate(walk.points, LOSSES[loss], objective=walk.aim, gradient=True))
        walk = _Walk(*search.keep(*walk))
        if not search.num_active:
            return walk.best_value
        if count in checks:
            walk, last = _checked(walk, count - last), count
        walk = _moved(walk, search, bounds, _MOMENTUM if count else 1.0)
        search.report(done + share * (count + 1) / steps)
    found = search.evaluate(walk.points, LOSSES[loss], objective=walk.aim)
    (best,) = search.keep(torch.maximum(walk.best_value, found.loss))
    return torch.as_tensor(best)


@plugin
class APGD:
    """Auto-PGD, untargeted or towards each way to be fooled in turn.

    Attributes:
        steps: gradients per climb.
        loss: ``cross_entropy``, ``dlr`` (targeted form where a target is aimed at) or ``margin``.
        targets: 0 climbs once, untargeted; else one climb to each of that many other classes (or findings), the
            likeliest first.
    """

    norms: ClassVar[tuple[Norm, ...]] = ("linf", "l2")
    needs_gradient: ClassVar[bool] = True
    minimises: ClassVar[bool] = False
    whole_set: ClassVar[bool] = False

    steps: Steps = 100
    loss: LossName = "cross_entropy"
    targets: Annotated[int, Field(ge=0)] = 0

    def __call__(self, search: Search, generator: torch.Generator) -> None:
        """One climb per target."""
        climbs = max(1, min(self.targets, num_aims(search)))
        for rank in range(climbs):
            if not search.num_active:
                return
            objective = aim(search, rank) if self.targets else search.objective
            points = search.random_points(generator)
            climb(search, points, objective, self.steps, self.loss, rank / climbs, 1 / climbs)
