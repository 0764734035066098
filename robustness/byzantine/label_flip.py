"""Label flip: honest training on wrong labels (Fang et al., USENIX Security 2020: l -> L - l - 1)."""

import numpy as np

from medfed.registry import plugin
from medfed.types import ImageSet, Task
from robustness.byzantine.base import Base
from robustness.byzantine.copied import own_copy, with_contents
from robustness.byzantine.fields import Share


@plugin
class LabelFlip(Base):
    """Every class l of L becomes L - l - 1, in masks too; of two classes, each becomes the other.

    Attributes:
        share: of the site's training images whose label is flipped.
    """

    share: Share = 1.0

    def poison(self, images: ImageSet, task: Task, generator: np.random.Generator) -> ImageSet:
        """The same images, with other targets."""
        pixels, targets = own_copy(images)
        chosen = generator.permutation(len(images))[: round(self.share * len(images))]
        targets[chosen] = task.num_classes - 1 - targets[chosen]
        return with_contents(images, pixels, targets)
