"""Equal sites: patients are shuffled and dealt out in turn."""

from collections.abc import Sequence
from typing import Annotated, ClassVar

import numpy as np
from numpy.typing import NDArray
from pydantic import Field

from medfed.data.partition.contract import draw_until, group
from medfed.registry import plugin


@plugin
class Iid:
    """Every site is a random sample of all data, with the same number of patients (give or take one)."""

    keeps_sites: ClassVar[bool] = False
    num_sites: Annotated[int, Field(ge=2)]

    def __call__(
        self,
        labels: NDArray[np.int64] | None,
        patients: Sequence[str],
        sites: Sequence[str],
        generator: np.random.Generator,
        min_images: int,
    ) -> tuple[str, ...]:
        """Deal shuffled patients out in turn."""
        units = group(patients, labels)

        def draw() -> NDArray[np.int64]:
            return generator.permutation(np.arange(len(units)) % self.num_sites)

        return draw_until(draw, units, self.num_sites, min_images, "lower num_sites or data.min_images_per_site")
