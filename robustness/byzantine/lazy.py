"""Lazy sites: a few images, many times over, in the place of the whole set that they say they have."""

from dataclasses import replace

import numpy as np

from medfed.registry import plugin
from medfed.types import ImageSet, Task
from robustness.byzantine.base import Base
from robustness.byzantine.fields import Share


@plugin
class Lazy(Base):
    """Honest training on duplicates: a ``share`` of the site's training images, drawn once, stands for all of them.

    Attributes:
        share: of the site's training images that are different from each other; at least one.
    """

    share: Share = 0.05

    def poison(self, images: ImageSet, task: Task, generator: np.random.Generator) -> ImageSet:
        """As many images as before, few of them different."""
        total = len(images)
        kept = generator.permutation(total)[: max(1, round(self.share * total))]
        order = np.resize(np.sort(kept), total)
        return replace(
            images,
            rows=images.rows[order],
            patients=tuple(images.patients[i] for i in order),
            names=tuple(images.names[i] for i in order),
            subgroups={key: tuple(values[i] for i in order) for key, values in images.subgroups.items()},
        )
