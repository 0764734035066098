"""The way to a linear boundary inside the range, and the boundaries that a model seems to have around a point."""

from typing import NamedTuple

import torch
from jaxtyping import Float
from torch import Tensor
from torch.nn import functional

from robustness.attacks.aims import aim, num_aims
from robustness.attacks.contract import Search
from robustness.attacks.losses import margin
from robustness.attacks.projection import Bounds
from robustness.attacks.steps import wide

Images = Float[Tensor, "batch channel *space"]
PerImage = Float[Tensor, " batch"]
Flat = Float[Tensor, "batch value"]


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
    before the gain is reached, as far as it goes.

    Args:
        points: where to start, inside the range.
        slope: of the linear function.
        gain: wanted, of either sign.
        bounds: range, units and norm.
    """
    direction = slope.sign() / bounds.per_unit if bounds.norm == "linf" else slope / bounds.per_unit**2
    direction = direction * wide(gain.sign(), points)
    room = torch.where(direction > 0, bounds.high - points, points - bounds.low).clamp(min=0.0)
    speed = direction.abs()
    length = _length(speed.flatten(1).double(), room.flatten(1).double(), slope.flatten(1).double().abs(), gain.abs())
    return torch.minimum(wide(length, points) * speed, room).to(points.dtype) * direction.sign()


def _length(speed: Flat, room: Flat, slope: Flat, gain: PerImage) -> PerImage:
    """The least length with ``sum(slope * min(length * speed, room)) = gain``; where there is none, the longest of use.

    The sum is linear between two corners, the lengths at which a pixel meets the end of its range; the corners are
    sorted (as in Croce and Hein, ICML 2020, appendix A), in float64, since they may differ by many orders.
    """
    corners, order = torch.where(speed > 0, room / speed, 0.0).sort(dim=1)
    at_end = torch.where(speed > 0, slope * room, 0.0).gather(1, order).cumsum(dim=1)
    before = functional.pad(at_end, (1, -1))
    rate = (slope * speed).gather(1, order).flip(1).cumsum(dim=1).flip(1)
    piece = torch.searchsorted(before + corners * rate, gain.double()[:, None]).clamp(max=corners.shape[1] - 1)
    start, steep, corner = (part.gather(1, piece)[:, 0] for part in (before, rate, corners))
    return torch.minimum((gain - start) / steep.clamp(min=torch.finfo(steep.dtype).tiny), corner)
