"""Sample weights: every metric takes weights (..., n) and answers (...), so that a bootstrap is one call.

A weight is how often an image counts: 1 for plain evaluation, a count in a resample, any number >= 0 otherwise. Where
the metric is undefined the answer is NaN, which never leaves :mod:`medfed.metrics` and :mod:`medfed.training`: the
public results carry null.
"""

import numpy as np
from jaxtyping import Float, Num
from numpy.typing import ArrayLike

Weights = Num[np.ndarray, "*draws image"]
Values = Float[np.ndarray, "*draws"]


def ratio(above: ArrayLike, below: ArrayLike) -> Float[np.ndarray, "*shape"]:
    """``above / below`` element by element, NaN where ``below`` is 0."""
    top, bottom = np.broadcast_arrays(np.asarray(above, dtype=np.float64), np.asarray(below, dtype=np.float64))
    result = np.full(bottom.shape, np.nan)
    np.divide(top, bottom, out=result, where=bottom != 0)
    return result


def weighted_mean(values: Float[np.ndarray, " image"], weights: Weights) -> Values:
    """Sum of w v over the sum of w; NaN where all weights are 0."""
    weights = np.asarray(weights, dtype=np.float64)
    return ratio(weights @ np.asarray(values, dtype=np.float64), weights.sum(axis=-1))


def mean_of_defined(values: Float[np.ndarray, "*draws class"]) -> Values:
    """The mean over the last axis of what is not NaN; NaN where nothing is."""
    defined = ~np.isnan(values)
    return ratio(np.where(defined, values, 0.0).sum(axis=-1), defined.sum(axis=-1).astype(np.float64))
