"""Label counts from the last bias. Oracle: the labels that the gradient was taken with; rounding by hand."""

import pytest
import torch

from medfed.models.small_cnn import SmallCNN
from medfed.training.losses.bce import BinaryCrossEntropy
from medfed.training.losses.contract import Loss
from medfed.training.losses.cross_entropy import CrossEntropy
from medfed.training.optimizers import AdamW
from medfed.types import Task
from privacy.inversion.errors import InversionError
from privacy.inversion.labels import label_counts, rounded
from tests.privacy.inversion.cases import dense, gradient, pictures

TEN = Task("classification", tuple("abcdefghij"), "softmax", 1, 16)


def drawn(count: int, classes: int, seed: int) -> torch.Tensor:
    return torch.randint(0, classes, (count,), generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("count", [1, 2, 4, 8, 16, 32])
def test_an_untrained_network_gives_every_count_away(count: int) -> None:
    right = 0
    for seed in range(5):
        torch.manual_seed(seed)
        model = SmallCNN(width=8)(TEN)
        labels = drawn(count, 10, seed)
        seen = gradient(model, pictures(count, (1, 16, 16), seed), labels, task=TEN)
        right += int(torch.minimum(label_counts(seen), torch.bincount(labels, minlength=10)).sum())
    assert right == 5 * count


@pytest.mark.parametrize(
    "loss",
    [
        CrossEntropy(class_weights=(1.0, 2.0, 0.5, 4.0)),
        CrossEntropy(label_smoothing=0.2),
        CrossEntropy(class_weights="balanced"),
    ],
    ids=["weights", "smoothing", "balanced"],
)
def test_a_weighted_or_smoothed_loss_is_undone(loss: Loss) -> None:
    labels = drawn(16, 4, 3)
    seen = gradient(dense(), pictures(16), labels, loss=loss, class_counts=torch.tensor([40, 10, 30, 20]))
    assert label_counts(seen).tolist() == torch.bincount(labels, minlength=4).tolist()


@pytest.mark.parametrize("weight", ["none", 3.0])
@pytest.mark.parametrize("ones", [0, 1, 3, 8])
def test_a_sigmoid_head_gives_the_positives_away(weight: str | float, ones: int) -> None:
    task = Task("classification", ("a", "b"), "sigmoid", 1, 8)
    labels = torch.tensor([1] * ones + [0] * (8 - ones))
    seen = gradient(dense(1), pictures(8), labels, task=task, loss=BinaryCrossEntropy(pos_weight=weight))
    assert label_counts(seen).tolist() == [8 - ones, ones]


def test_an_unknown_learning_rate_changes_nothing_where_a_class_is_absent() -> None:
    labels = torch.tensor([0, 0, 2, 2, 2, 1])
    seen = gradient(dense(), pictures(6), labels)
    scaled = {name: 0.003 * value for name, value in seen.change.items()}
    assert label_counts(seen.replace(change=scaled, optimizer=None)).tolist() == [2, 1, 3, 0]


def test_one_step_of_adamw_names_the_class_of_a_single_image() -> None:
    seen = gradient(dense(), pictures(1), torch.tensor([2]))
    signs = {name: 0.001 * value.sign() for name, value in seen.change.items()}
    assert label_counts(seen.replace(change=signs, optimizer=AdamW())).tolist() == [0, 0, 1, 0]


def test_counts_are_whole_never_negative_and_sum_to_the_batch() -> None:
    assert rounded(torch.tensor([0.62, 0.38, 0.0]), 4).tolist() == [2, 2, 0]
    assert rounded(torch.tensor([1.3, -0.3]), 3).tolist() == [3, 0]


def test_without_the_last_bias_there_is_nothing_to_count() -> None:
    seen = gradient(dense(), pictures(1), torch.tensor([0]))
    less = {name: value for name, value in seen.change.items() if name != "4.bias"}
    with pytest.raises(InversionError, match=r'change of the last bias \("4.bias"\)'):
        label_counts(seen.replace(change=less))
