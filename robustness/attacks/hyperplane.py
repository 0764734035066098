"""The way to a linear boundary inside the range, and the boundaries that a model seems to have around a point."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor

from robustness.attacks.aims import aim, num_aims
from robustness.attacks.contract import Search
from robustness.attacks.losses import margin
from robustness.attacks.projection import Bounds
from robustness.attacks.steps import wide

Images = Float[Tensor, "batch channel *space"]
PerImage = Float[Tensor, " batch"]

_HALVINGS = 40
"""Bisection of the step length: 2**-40 of the range is below float32's rounding."""


class Boundary(NamedTuple):
    """Per image the nearest linearised boundary at the points: ``margin + slope . (x - point) = 0``."""

    points: Images
    margin: PerImage
    slope: Images


def nearest_boundary(search: Search, points: Images, bounds: Bounds, most: int) -> Boundary:
    """Linearise the margin to each way of being fooled (at most ``most``) and keep the nearest by the dual norm."""
    best: Boundary | None = None
    reach = torch.zeros(len(points), device=points.device)
    for rank in range(min(num_aims(search), most)):
        found = search.evaluate(points, margin, objective=aim(search, rank), gradient=True, record=rank == 0)
        length = dual_norm(found.gradient, bounds)
        far = found.loss.abs() / length.clamp(min=torch.finfo(points.dtype).tiny)
        if best is None:
            best, reach = Boundary(found.points, found.loss, found.gradient), far
            continue
        nearer = far < reach
        reach = torch.where(nearer, far, reach)
        best = Boundary(
            best.points,
            torch.where(nearer, found.loss, best.margin),
            torch.where(wide(nearer, points), found.gradient, best.slope),
        )
    assert best is not None
    return best


def dual_norm(slope: Images, bounds: Bounds) -> PerImage:
    """By how much a linear loss rises per unit of eps: l1 norm for linf, l2 norm for l2, in units of eps."""
    by_unit = (slope / bounds.per_unit).flatten(1)
    return by_unit.abs().sum(dim=1) if bounds.norm == "linf" else by_unit.norm(dim=1)


def onto(points: Images, slope: Images, gain: PerImage, bounds: Bounds) -> Images:
    """The least change of ``points`` inside the range by which ``slope . x`` changes by ``gain``.

    linf: every pixel moves by the same amount towards its end of the range; l2: along the slope. Where the range ends
    before the gain is reached, as far as it goes. The length is found by bisection: the gain grows with it.

    Args:
        points: where to start, inside the range.
        slope: of the linear function.
        gain: wanted, of either sign.
        bounds: range, units and norm.
    """
    sign = wide(gain.sign(), points)
    direction = slope.sign() / bounds.per_unit if bounds.norm == "linf" else slope / bounds.per_unit**2
    direction = direction * sign
    room = torch.where(direction > 0, bounds.high - points, points - bounds.low).clamp(min=0.0)
    speed = direction.abs()
    needed = torch.where(speed > 0, room / speed.clamp(min=torch.finfo(points.dtype).tiny), 0.0)
    low, high = torch.zeros_like(gain), needed.flatten(1).amax(dim=1)
    for _ in range(_HALVINGS):
        middle = (low + high) / 2
        moved = torch.minimum(wide(middle, points) * speed, room)
        enough = (moved * slope.abs()).flatten(1).sum(dim=1) >= gain.abs()
        low, high = torch.where(enough, low, middle), torch.where(enough, middle, high)
    return torch.minimum(wide(high, points) * speed, room) * direction.sign()
