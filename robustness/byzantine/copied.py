"""A site's images in memory of its own, so that they can be changed: a data set is shared, and often memory-mapped."""

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from medfed.types import ImageSet


def own_copy(images: ImageSet) -> tuple[NDArray[Any], NDArray[Any]]:
    """Copies of the set's images (image, channel, height, width) and targets (image, ...), in its order."""
    return images.images[images.rows].copy(), images.targets[images.rows].copy()


def with_contents(images: ImageSet, pixels: NDArray[Any], targets: NDArray[Any]) -> ImageSet:
    """The set with other ``pixels`` and ``targets``, one for each of its images."""
    return replace(images, images=pixels, targets=targets, rows=np.arange(len(images), dtype=np.int64))
