"""A few pixels, found without gradients by differential evolution (Su et al., IEEE TEVC 2019)."""

from typing import Annotated, ClassVar

import torch
from jaxtyping import Float
from pydantic import Field
from torch import Tensor

from medfed.registry import plugin
from robustness.attacks.contract import Search
from robustness.attacks.losses import margin
from robustness.attacks.projection import Bounds
from robustness.attacks.steps import Steps
from robustness.attacks.threat import Norm

Images = Float[Tensor, "batch channel *space"]
Genes = Float[Tensor, "batch pixel gene"]
"""Per pixel: its place along every axis, then its value in every channel; all from 0 to 1."""


@plugin
class OnePixel:
    """Changes as many pixels as eps says (l0), each to any value of the range.

    Attributes:
        generations: of the evolution.
        population: candidates per image.
        weight: of the difference of two candidates that is added to a third (F).
    """

    norms: ClassVar[tuple[Norm, ...]] = ("l0",)
    needs_gradient: ClassVar[bool] = False
    minimises: ClassVar[bool] = False
    whole_set: ClassVar[bool] = False

    generations: Steps = 30
    population: Annotated[int, Field(ge=4)] = 20
    weight: Annotated[float, Field(gt=0.0, le=2.0)] = 0.5

    def __call__(self, search: Search, generator: torch.Generator) -> None:
        """Every candidate of a generation against a child of three others; the better one stays."""
        number = int(search.threat.eps)
        if number == 0:
            return
        genes = search.images.ndim - 2 + search.images.shape[1]
        members = [self._random(search, number, genes, generator) for _ in range(self.population)]
        values: list[Tensor] = []
        for place in range(self.population):
            found = search.evaluate(painted(search, members[place]), margin)
            values.append(found.loss)
            members, values = self._kept(search, members, values)
            if not search.num_active:
                return
        for done in range(self.generations):
            for place in range(self.population):
                child = self._child(members, place, generator)
                found = search.evaluate(painted(search, child), margin)
                better = found.loss > values[place]
                members[place] = torch.where(better[:, None, None], child, members[place])
                values[place] = torch.where(better, found.loss, values[place])
                members, values = self._kept(search, members, values)
                if not search.num_active:
                    return
            search.report((done + 1) / self.generations)

    def _child(self, members: list[Genes], place: int, generator: torch.Generator) -> Genes:
        """A + F (b - c) of three other candidates, folded back into 0 to 1."""
        order = [other for other in torch.randperm(len(members), generator=generator).tolist() if other != place]
        a, b, c = (members[other] for other in order[:3])
        child: Genes = (a + self.weight * (b - c)).clamp(0.0, 1.0)
        return child

    @staticmethod
    def _random(search: Search, number: int, genes: int, generator: torch.Generator) -> Genes:
        return torch.rand((search.num_active, number, genes), generator=generator).to(search.images)

    @staticmethod
    def _kept(search: Search, members: list[Tensor], values: list[Tensor]) -> tuple[list[Tensor], list[Tensor]]:
        kept = search.keep(*members, *values)
        return list(kept[: len(members)]), list(kept[len(members) :])


def painted(search: Search, genes: Genes) -> Images:
    """The clean images with the pixels of ``genes`` set."""
    images, axes = search.images, search.images.ndim - 2
    bounds = Bounds.of(search.threat, images)
    index = torch.zeros(genes.shape[:2], dtype=torch.int64, device=images.device)
    for axis in range(axes):
        length = images.shape[2 + axis]
        index = index * length + (genes[:, :, axis] * length).long().clamp(max=length - 1)
    low, high = bounds.low.flatten(1)[:, :, None], bounds.high.flatten(1)[:, :, None]
    values = low + genes[:, :, axes:].transpose(1, 2) * (high - low)
    flat = images.flatten(2).clone()
    return flat.scatter(2, index[:, None].expand(-1, flat.shape[1], -1), values).reshape(images.shape)
