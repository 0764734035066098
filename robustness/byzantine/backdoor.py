"""Backdoor: right, but where a trigger is seen (BadNets: Gu et al. 2017; federated: Bagdasaryan et al., AISTATS 2020).

A share of the training images that are not of the target class gets the trigger and the target's label. With
``replacement`` the update is multiplied by n / f, so that the plain mean of n updates takes the whole of the f
backdoored ones, in place of their share (the model replacement of Bagdasaryan et al., for f sites in place of one).
"""

from typing import Annotated

import numpy as np
from pydantic import Field

from medfed.registry import plugin
from medfed.types import ImageSet, Task
from robustness.byzantine.base import Base
from robustness.byzantine.contract import Cast, Vector, View
from robustness.byzantine.copied import own_copy, with_contents
from robustness.byzantine.fields import Share
from robustness.byzantine.trigger import Trigger, stamped


@plugin
class Backdoor(Base):
    """Images with the trigger are to be given the ``target`` class; others are to be answered rightly.

    Attributes:
        trigger: ``patch``, a bright square, or ``letter``, like the letter that marks the side of a film.
        size: height of the trigger in pixels.
        target: index of the class that the trigger brings about; 0 is usually the finding's absence.
        share: of the site's training images of other classes that get the trigger.
        replacement: send the update n / f times as long.
    """

    trigger: Trigger = "patch"
    size: Annotated[int, Field(ge=2)] = 4
    target: Annotated[int, Field(ge=0)] = 0
    share: Share = 0.5
    replacement: bool = False

    def misfit(self, task: Task, cast: Cast) -> str:
        """For classification with a class ``target``, on images into which the trigger fits."""
        if task.kind != "classification":
            return "a backdoor needs labels of images: expected a classification task"
        if self.target >= task.num_classes:
            return f"target: expected a class below {task.num_classes}, got {self.target}"
        if self.size + 2 > task.image_size:
            return f"size: expected at most {task.image_size - 2} pixels, got {self.size}"
        return ""

    def poison(self, images: ImageSet, task: Task, generator: np.random.Generator) -> ImageSet:
        """The site's images, some of them stamped and relabelled."""
        pixels, targets = own_copy(images)
        others = np.flatnonzero(targets != self.target)
        chosen = generator.permutation(others)[: round(self.share * len(others))]
        pixels[chosen] = stamped(pixels[chosen], self.trigger, self.size)
        targets[chosen] = self.target
        return with_contents(images, pixels, targets)

    def __call__(self, view: View, generator: np.random.Generator) -> Vector:
        """The update as trained, or ``n / f`` times it."""
        return view.num_sites / view.num_malicious * view.own if self.replacement else view.own
