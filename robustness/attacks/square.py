"""Square Attack: random squares of changed pixels, kept where they help (Andriushchenko et al., ECCV 2020)."""

from typing import Annotated, ClassVar

import torch
from jaxtyping import Bool, Float
from pydantic import Field
from torch import Tensor

from medfed.registry import plugin
from robustness.attacks.contract import Search
from robustness.attacks.losses import margin
from robustness.attacks.projection import Bounds
from robustness.attacks.steps import Steps, wide
from robustness.attacks.threat import Norm

Images = Float[Tensor, "batch channel *space"]

_HALVINGS = (10, 50, 200, 500, 1000, 2000, 4000, 6000, 8000)
"""After these queries out of 10000 the share of the image in a square is halved (section 3.1 of the paper)."""


def square_share(query: int, queries: int, first: float) -> float:
    """The share of the image that a square covers at a query."""
    place = int(query / queries * 10000)
    return float(first / 2 ** sum(place > halving for halving in _HALVINGS))


def random_windows(images: Images, side: int, generator: torch.Generator) -> Bool[Tensor, "batch one *space"]:
    """A random square (cube in a volume) of ``side`` pixels per image, cut to the image's length on short axes."""
    inside = torch.ones((len(images), 1, *images.shape[2:]), dtype=torch.bool)
    for axis in range(2, images.ndim):
        length, form = images.shape[axis], [1] * images.ndim
        form[axis] = -1
        span = min(side, length)
        first = wide((torch.rand(len(images), generator=generator) * (length - span + 1)).long(), images)
        place = torch.arange(length).reshape(form)
        inside = inside & (place >= first) & (place < first + span)
    return inside.to(images.device)


def _signs(shape: tuple[int, ...], images: Images, generator: torch.Generator) -> Tensor:
    return (torch.randint(0, 2, shape, generator=generator) * 2 - 1).to(images)


@plugin
class Square:
    """Needs no gradient: works where gradients are dead or hidden.

    linf: every square gets +eps or -eps per channel. l2: a square gets a random sign per channel and the change is
    projected on the ball, a plain form without the paper's windows of falling height.

    Attributes:
        queries: model calls per image.
        first_share: of the image in the first squares.
    """

    norms: ClassVar[tuple[Norm, ...]] = ("linf", "l2")
    needs_gradient: ClassVar[bool] = False
    minimises: ClassVar[bool] = False
    whole_set: ClassVar[bool] = False

    queries: Steps = 5000
    first_share: Annotated[float, Field(gt=0.0, le=1.0)] = 0.8

    def __call__(self, search: Search, generator: torch.Generator) -> None:
        """Stripes first, then squares; a query that does not raise the margin is forgotten."""
        bounds = Bounds.of(search.threat, search.images)
        size, axes = search.images[0, 0].numel(), search.images.ndim - 2
        stripes = (len(search.images), search.images.shape[1], *[1] * (axes - 1), search.images.shape[-1])
        found = search.evaluate(search.images + bounds.step * _signs(stripes, search.images, generator), margin)
        points, value = search.keep(found.points, found.loss)
        for query in range(1, self.queries):
            if not search.num_active:
                return
            side = max(1, round((square_share(query, self.queries, self.first_share) * size) ** (1 / axes)))
            signs = _signs((len(points), points.shape[1], *[1] * axes), points, generator)
            moved = self._moved(points, search, bounds, signs)
            inside = random_windows(points, side, generator)
            found = search.evaluate(torch.where(inside, moved, points), margin)
            better = found.loss > value
            points = torch.where(wide(better, points), found.points, points)
            points, value = search.keep(points, torch.where(better, found.loss, value))
            search.report(query / self.queries)

    @staticmethod
    def _moved(points: Images, search: Search, bounds: Bounds, signs: Tensor) -> Images:
        """What a pixel inside the square becomes."""
        if bounds.norm == "linf":
            return search.images + bounds.step * signs
        return points + bounds.step * signs * 0.5
