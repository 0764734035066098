"""Mean and spread of an image's confidence over the shadows that were, or were not, trained on it."""

import numpy as np
from jaxtyping import Bool, Float64
from numpy import ndarray

from privacy.membership.contract import Scores

_LEAST_SPREAD = 1e-6
"""Confidences are of float32 logits: below, shadows do not differ."""


def moments(
    confidences: Float64[ndarray, "shadow image"], chosen: Bool[ndarray, "shadow image"], per_image: bool
) -> tuple[Scores, Scores]:
    """Mean and standard deviation over the chosen shadows of each image.

    Args:
        confidences: of every shadow in every image.
        chosen: the shadows that count for an image; at least one.
        per_image: a standard deviation of each image's own, which takes dozens of shadows; else one, over the
            deviations of all images (Carlini et al., IEEE S&P 2022, section VI-C).

    Raises:
        ValueError: an image has no shadow, or there are too few for a standard deviation.
    """
    counts = chosen.sum(axis=0)
    if (counts < 1).any():
        raise ValueError("every image needs a shadow that was trained on it and one that was not; train more shadows")
    mean = np.where(chosen, confidences, 0.0).sum(axis=0) / counts
    squares = np.where(chosen, (confidences - mean) ** 2, 0.0).sum(axis=0)
    freedom = counts - 1
    if freedom.sum() == 0 or (per_image and (freedom == 0).any()):
        raise ValueError("two shadows of a kind are needed for a standard deviation; train more shadows")
    variance = squares / freedom if per_image else np.full(len(mean), squares.sum() / freedom.sum())
    return mean, np.maximum(np.sqrt(variance), _LEAST_SPREAD)
