"""Classification metrics. Oracles: scikit-learn with sample weights, closed forms, laws of the ROC curve."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from sklearn import metrics as sklearn_metrics

from medfed.metrics.classification import accuracy, auroc, balanced_accuracy, binary_auroc, recall

N = 40
# Few distinct values, so that ties are common.
scores = hnp.arrays(np.float64, N, elements=st.sampled_from([0.0, 0.1, 0.25, 0.5, 0.75, 1.0]))
labels = hnp.arrays(np.int64, N, elements=st.integers(0, 1)).filter(lambda y: 0 < y.sum() < N)
weights = hnp.arrays(np.int64, N, elements=st.integers(0, 3))


def _probabilities(seed: int, num_classes: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    generator = np.random.default_rng(seed)
    p = generator.dirichlet(np.ones(num_classes), size=N).round(1)  # rounded: ties
    return p, generator.integers(num_classes, size=N), generator.integers(1, 4, size=N)


@given(scores=scores, labels=labels, weights=weights)
def test_auroc_is_scikit_learns(scores, labels, weights):
    ours = binary_auroc(scores, labels == 1, weights)
    if (weights * labels).sum() == 0 or (weights * (1 - labels)).sum() == 0:
        assert np.isnan(ours)
    else:
        assert ours == pytest.approx(sklearn_metrics.roc_auc_score(labels, scores, sample_weight=weights), abs=1e-12)


@given(scores=scores, labels=labels)
def test_auroc_only_sees_the_order(scores, labels):
    ones = np.ones(N)
    assert binary_auroc(np.exp(3 * scores) - 7, labels == 1, ones) == binary_auroc(scores, labels == 1, ones)


@given(scores=scores, labels=labels, weights=weights)
def test_auroc_of_swapped_labels_is_the_complement(scores, labels, weights):
    straight, swapped = (binary_auroc(scores, labels == label, weights) for label in (1, 0))
    assert np.isnan(straight) == np.isnan(swapped)
    assert np.isnan(straight) or straight + swapped == pytest.approx(1.0)


@given(scores=scores, labels=labels, weights=weights, seed=st.integers(0, 99))
def test_the_order_of_the_images_does_not_matter(scores, labels, weights, seed):
    order = np.random.default_rng(seed).permutation(N)
    p = np.stack([1 - scores, scores], axis=1)
    for metric in (auroc, accuracy, balanced_accuracy):
        np.testing.assert_allclose(metric(p[order], labels[order], weights[order]), metric(p, labels, weights))


@given(scores=scores, labels=labels, weights=weights)
def test_a_weight_is_a_repetition(scores, labels, weights):
    """Law: an integer weight counts an image that often."""
    p, times = np.stack([1 - scores, scores], axis=1), np.repeat(np.arange(N), weights)
    ones = np.ones(len(times))
    for metric in (auroc, accuracy, balanced_accuracy):
        np.testing.assert_allclose(metric(p, labels, weights), metric(p[times], labels[times], ones))


def test_auroc_by_hand():
    """Three positives, two negatives, one tie: (2 + 1.5 + 0) / 6."""
    scores, positive = np.array([0.9, 0.4, 0.1, 0.4, 0.2]), np.array([True, True, True, False, False])
    assert binary_auroc(scores, positive, np.ones(5)) == pytest.approx(3.5 / 6)


@pytest.mark.parametrize("seed", range(5))
@pytest.mark.parametrize("num_classes", [2, 3, 7])
def test_all_classes_against_scikit_learn(seed, num_classes):
    p, y, w = _probabilities(seed, num_classes)
    predicted = p.argmax(axis=1)
    each = [sklearn_metrics.roc_auc_score(y == c, p[:, c], sample_weight=w) for c in range(num_classes)]
    expected_auroc = each[1] if num_classes == 2 else np.mean(each)
    recalls = sklearn_metrics.recall_score(
        y, predicted, labels=range(num_classes), average=None, sample_weight=w, zero_division=0
    )
    assert auroc(p, y, w) == pytest.approx(expected_auroc)
    assert accuracy(p, y, w) == pytest.approx(sklearn_metrics.accuracy_score(y, predicted, sample_weight=w))
    assert balanced_accuracy(p, y, w) == pytest.approx(
        sklearn_metrics.balanced_accuracy_score(y, predicted, sample_weight=w)
    )
    assert [recall(p, y, c, w) for c in range(num_classes)] == pytest.approx(recalls)


@pytest.mark.parametrize("metric", [auroc, accuracy, balanced_accuracy])
def test_many_draws_are_one_call(metric):
    """Law: row by row is the same as all rows at once, for any number of leading axes."""
    p, y, _ = _probabilities(0, 3)
    draws = np.random.default_rng(1).integers(0, 3, size=(2, 5, N))
    rows = np.array([[metric(p, y, row) for row in block] for block in draws])
    np.testing.assert_allclose(metric(p, y, draws), rows)


def test_classes_that_do_not_occur_are_left_out():
    """By hand: no image of the third class, so it has no recall, no AUROC and no part in the means."""
    p = np.array([[0.8, 0.1, 0.1], [0.2, 0.7, 0.1], [0.6, 0.3, 0.1], [0.1, 0.8, 0.1]])
    y, ones = np.array([0, 1, 1, 1]), np.ones(4)
    assert np.isnan(recall(p, y, 2, ones))
    assert balanced_accuracy(p, y, ones) == pytest.approx((1 + 2 / 3) / 2)
    assert auroc(p, y, ones) == pytest.approx(1.0)


def test_one_class_alone_has_no_auroc():
    p, y = np.full((3, 3), 1 / 3), np.zeros(3, dtype=np.int64)
    assert np.isnan(auroc(p, y, np.ones(3)))
    assert np.isnan(accuracy(p, y, np.zeros(3)))
