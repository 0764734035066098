"""Classification metrics under sample weights (:mod:`medfed.metrics.weights`)."""

import numpy as np
from jaxtyping import Bool, Float, Int

from medfed.metrics.weights import Values, Weights, mean_of_defined, ratio, weighted_mean

Scores = Float[np.ndarray, " image"]
Probabilities = Float[np.ndarray, "image class"]
Labels = Int[np.ndarray, " image"]


def binary_auroc(scores: Scores, positive: Bool[np.ndarray, " image"], weights: Weights) -> Values:
    """Area under the ROC curve: P(score of a positive > score of a negative) + P(equal) / 2.

    Exact with ties and weights: images are grouped by score, and each group's positives beat the negatives of all
    lower groups and half of those in their own (Hanley and McNeil, Radiology 1982). NaN without positives or without
    negatives.
    """
    order = np.argsort(scores, kind="stable")
    ranked = scores[order]
    starts = np.flatnonzero(np.r_[True, ranked[1:] != ranked[:-1]][: len(ranked)])
    ordered = np.asarray(weights, dtype=np.float64)[..., order]
    positives = _group_sums(ordered * positive[order], starts)
    negatives = _group_sums(ordered * ~positive[order], starts)
    below = np.cumsum(negatives, axis=-1) - 0.5 * negatives
    wins = np.einsum("...g,...g->...", positives, below)
    return ratio(wins, positives.sum(axis=-1) * negatives.sum(axis=-1))


def _group_sums(values: Float[np.ndarray, "*draws image"], starts: Int[np.ndarray, " group"]) -> np.ndarray:
    return values if len(starts) == values.shape[-1] else np.add.reduceat(values, starts, axis=-1)


def auroc(probabilities: Probabilities, labels: Labels, weights: Weights) -> Values:
    """AUROC of the second of two classes; above two, the plain mean of one-against-rest over the defined classes."""
    if probabilities.shape[1] == 2:
        return binary_auroc(probabilities[:, 1], labels == 1, weights)
    classes = range(probabilities.shape[1])
    each = [binary_auroc(probabilities[:, label], labels == label, weights) for label in classes]
    return mean_of_defined(np.stack(each, axis=-1))


def accuracy(probabilities: Probabilities, labels: Labels, weights: Weights) -> Values:
    """Share of images whose most probable class is the true one (the first of equals)."""
    return weighted_mean((probabilities.argmax(axis=1) == labels).astype(np.float64), weights)


def recall(probabilities: Probabilities, labels: Labels, label: int, weights: Weights) -> Values:
    """Share of the images of class ``label`` that are found (its sensitivity); NaN without such images."""
    members = (labels == label).astype(np.float64)
    found = members * (probabilities.argmax(axis=1) == label)
    weights = np.asarray(weights, dtype=np.float64)
    return ratio(weights @ found, weights @ members)


def balanced_accuracy(probabilities: Probabilities, labels: Labels, weights: Weights) -> Values:
    """Mean recall over the classes that occur (Brodersen et al., ICPR 2010)."""
    recalls = [recall(probabilities, labels, label, weights) for label in range(probabilities.shape[1])]
    return mean_of_defined(np.stack(recalls, axis=-1))
