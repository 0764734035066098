"""Expected calibration error (Guo, Pleiss, Sun and Weinberger, ICML 2017, eq. 3), top-class confidence.

ECE = sum over bins m of |B_m| / n * |accuracy(B_m) - confidence(B_m)|, which is the sum over bins of
|sum in B_m of (correct - confidence)| / n. So all that must be kept of an image is, per bin, the sum of
(correct - confidence) over its predictions: one for a classified image, one per pixel for a segmented one.
"""

import numpy as np
import torch
from jaxtyping import Float, Int, Num
from torch import Tensor

from medfed.metrics.weights import Values, Weights, ratio

NUM_BINS = 15
"""As in the paper; bin m of M holds confidences in ((m - 1) / M, m / M]."""


def bin_gaps(
    probabilities: Float[Tensor, "batch class ..."], targets: Int[Tensor, "batch ..."]
) -> Float[Tensor, "batch bin"]:
    """Per image and bin: the sum over its predictions (1, or one per pixel) of (correct - confidence)."""
    images, classes = probabilities.shape[:2]
    confidence, predicted = probabilities.double().reshape(images, classes, -1).max(dim=1)
    correct = (predicted == targets.reshape(images, -1)).double()
    bins = (confidence * NUM_BINS).ceil().long().clamp(1, NUM_BINS) - 1
    gaps = torch.zeros(images, NUM_BINS, dtype=torch.float64, device=probabilities.device)
    return gaps.scatter_add_(1, bins, correct - confidence)


def expected_calibration_error(
    gaps: Float[np.ndarray, "image bin"], predictions: Num[np.ndarray, " image"], weights: Weights
) -> Values:
    """ECE from the images' gaps, in [0, 1]; NaN where all weights are 0.

    Args:
        gaps: from :func:`bin_gaps`.
        predictions: how many predictions each image made (1, or its pixels).
        weights: how often each image counts.
    """
    weights = np.asarray(weights, dtype=np.float64)
    return ratio(np.abs(weights @ gaps).sum(axis=-1), weights @ np.asarray(predictions, dtype=np.float64))
