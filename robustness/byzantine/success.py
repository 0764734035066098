"""Whether a backdoor is in a model."""

from dataclasses import replace

import numpy as np
from torch import nn

from medfed.training.heads import most_probable, probabilities
from medfed.training.predictions import logits_in_batches
from medfed.types import ImageSet
from robustness.byzantine.backdoor import Backdoor
from robustness.byzantine.trigger import stamped

_BATCH = 256


def backdoor_success(model: nn.Module, images: ImageSet, backdoor: Backdoor) -> float | None:
    """The share of ``images`` of other classes that ``model`` gives the target class, once the trigger is on them.

    A model that errs without the trigger succeeds by that much as well: compare with the same share of a model that was
    not attacked.

    Args:
        model: of a classification task.
        images: of any classes.
        backdoor: trigger and target.

    Returns:
        The share in [0, 1]; None where no image is of another class.
    """
    others = images.rows[np.flatnonzero(images.targets[images.rows] != backdoor.target)]
    if not len(others):
        return None
    pixels = stamped(images.images[others], backdoor.trigger, backdoor.size)
    order = np.arange(len(others), dtype=np.int64)
    chosen = replace(images, images=pixels, targets=images.targets[others], rows=order)
    found = logits_in_batches(model, chosen, _BATCH)
    hits = [int((most_probable(probabilities(logits)) == backdoor.target).sum()) for logits, _ in found]
    return sum(hits) / len(others)
