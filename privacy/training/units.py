"""Whose presence is hidden: single images, or all images of a patient together."""

import numpy as np
from numpy.typing import NDArray

from medfed.types import ImageSet
from privacy.training.names import TrainingUnit

Positions = NDArray[np.int64]
"""Which images of a set, 0..len-1."""


def units_of(images: ImageSet, unit: TrainingUnit) -> list[Positions]:
    """The images of each unit; patients in the order of their first image."""
    if unit == "record":
        return list(np.arange(len(images), dtype=np.int64)[:, None])
    found: dict[str, list[int]] = {}
    for position, patient in enumerate(images.patients):
        found.setdefault(patient, []).append(position)
    return [np.array(positions, dtype=np.int64) for positions in found.values()]


def num_units(images: ImageSet, unit: TrainingUnit) -> int:
    """How many units there are."""
    return len(images) if unit == "record" else len(set(images.patients))
