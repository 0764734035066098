"""Distances, projections and random starts, one of each per norm."""

from collections.abc import Callable
from dataclasses import dataclass

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from robustness.attacks.threat import Norm, ThreatModel, per_channel

Images = Float[Tensor, "batch channel *space"]
PerImage = Float[Tensor, " batch"]


@dataclass(frozen=True, eq=False)
class Bounds:
    """A threat model as tensors that broadcast over images: range, units, and eps in units."""

    low: Tensor
    high: Tensor
    per_unit: Tensor
    eps: float
    norm: Norm

    @classmethod
    def of(cls, threat: ThreatModel, images: Images) -> "Bounds":
        """The bounds of ``threat`` for images of this shape, dtype and device."""
        low, high, unit = (per_channel(value, images) for value in (threat.low, threat.high, threat.per_unit))
        return cls(low, high, unit, threat.eps, threat.norm)

    @property
    def step(self) -> Tensor:
        """Eps in the model's input units, per channel."""
        return self.eps / self.per_unit


def distance(points: Images, images: Images, bounds: Bounds) -> PerImage:
    """How far each point is from its image, in units of eps; NaN for the norm ``spatial``, which has no distance."""
    return _DISTANCES[bounds.norm]((points - images) * bounds.per_unit)


def allowed(points: Images, images: Images, bounds: Bounds) -> Bool[Tensor, " batch"]:
    """Which points lie within eps and the range, up to the rounding of their dtype."""
    rounding = torch.finfo(points.dtype).eps
    width = torch.maximum(bounds.low.abs(), bounds.high.abs())
    inside = (points >= bounds.low - 4 * rounding * width) & (points <= bounds.high + 4 * rounding * width)
    slack = 4 * rounding * float((width * bounds.per_unit).max())
    if bounds.norm == "l2":
        slack *= images[0].numel() ** 0.5
    far = distance(points, images, bounds) > bounds.eps * (1 + 1e-5) + slack
    return inside.flatten(1).all(dim=1) & ~far


def project(points: Images, images: Images, bounds: Bounds) -> Images:
    """The points moved into eps and the range; for ``patch`` and ``spatial`` into the range only."""
    if bounds.eps == float("inf"):
        return points.clamp(bounds.low, bounds.high)
    return _PROJECTIONS[bounds.norm](points, images, bounds).clamp(bounds.low, bounds.high)


def random_points(images: Images, bounds: Bounds, generator: torch.Generator) -> Images:
    """Uniform in the box (linf), in the ball (l2), or new values at eps positions (l0); then in the range.

    Without a bound (eps infinite) and for ``patch`` and ``spatial`` the points are uniform in the range.
    """
    uniform = torch.rand(images.shape, generator=generator, dtype=torch.float32).to(images)
    if bounds.eps == float("inf") or bounds.norm in ("patch", "spatial"):
        return bounds.low + uniform * (bounds.high - bounds.low)
    if bounds.norm == "linf":
        return project(images + (2 * uniform - 1) * bounds.step, images, bounds)
    if bounds.norm == "l0":
        order = torch.rand((len(images), images[0, 0].numel()), generator=generator).to(images.device)
        chosen = _largest(order, int(bounds.eps)).reshape(len(images), 1, *images.shape[2:])
        return torch.where(chosen, bounds.low + uniform * (bounds.high - bounds.low), images)
    normal = torch.randn(images.shape, generator=generator, dtype=torch.float32).to(images)
    radius = torch.rand(len(images), generator=generator).to(images) ** (1 / images[0].numel())
    direction = normal / _expand(normal.flatten(1).norm(dim=1), images)
    return project(images + direction * _expand(radius, images) * bounds.step, images, bounds)


def _expand(values: PerImage, images: Images) -> Tensor:
    return values.reshape(-1, *[1] * (images.ndim - 1))


def _largest(values: Float[Tensor, "batch position"], number: int) -> Bool[Tensor, "batch position"]:
    """The ``number`` largest positions of each row."""
    chosen = torch.zeros_like(values, dtype=torch.bool)
    return chosen.scatter(1, values.topk(min(number, values.shape[1]), dim=1).indices, True)


def _positions(change: Images) -> Float[Tensor, "batch position"]:
    """The largest change over channels at every position."""
    return change.abs().amax(dim=1).flatten(1)


def _box_share(change: Images) -> PerImage:
    """The share of the image inside the smallest box around all changes."""
    changed = (change != 0).any(dim=1)
    share = torch.ones(len(change), dtype=change.dtype, device=change.device)
    for axis in range(1, changed.ndim):
        others = [dim for dim in range(1, changed.ndim) if dim != axis]
        line = changed.sum(dim=others) > 0
        places = torch.arange(line.shape[1], device=line.device)
        last = torch.where(line, places, -1).amax(dim=1)
        first = torch.where(line, places, line.shape[1]).amin(dim=1)
        share = share * (last - first + 1).clamp(min=0) / line.shape[1]
    return share


_DISTANCES: dict[Norm, Callable[[Images], PerImage]] = {
    "linf": lambda change: change.abs().flatten(1).amax(dim=1),
    "l2": lambda change: change.flatten(1).norm(dim=1),
    "l0": lambda change: (_positions(change) > 0).sum(dim=1).to(change.dtype),
    "patch": _box_share,
    "spatial": lambda change: torch.full_like(change.flatten(1)[:, 0], torch.nan),
}


def _box(points: Images, images: Images, bounds: Bounds) -> Images:
    return torch.minimum(torch.maximum(points, images - bounds.step), images + bounds.step)


def _ball(points: Images, images: Images, bounds: Bounds) -> Images:
    length = distance(points, images, bounds)
    return images + (points - images) * _expand((bounds.eps / length.clamp(min=1e-30)).clamp(max=1.0), images)


def _sparse(points: Images, images: Images, bounds: Bounds) -> Images:
    """Keep the largest changes, as they are inside the range."""
    points = points.clamp(bounds.low, bounds.high)
    kept = _largest(_positions(points - images), int(bounds.eps)).reshape(len(images), 1, *images.shape[2:])
    return torch.where(kept, points, images)


def _free(points: Images, images: Images, bounds: Bounds) -> Images:
    return points


_PROJECTIONS: dict[Norm, Callable[[Images, Images, Bounds], Images]] = {
    "linf": _box,
    "l2": _ball,
    "l0": _sparse,
    "patch": _free,
    "spatial": _free,
}
