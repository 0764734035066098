"""Evaluation and predictions. Oracles: the metric functions, scikit-learn and MONAI on the whole set at once."""

from types import MappingProxyType

import numpy as np
import pytest
import torch
from monai.metrics import compute_dice
from sklearn.metrics import roc_auc_score
from torch import nn
from torch.nn.functional import cross_entropy, one_hot

from medfed.config import Scenario, validate
from medfed.training.evaluation import evaluate, predict_batch, predictions
from medfed.types import ImageSet

MODELS = MappingProxyType({"segmentation": "unet", "classification": "small_cnn"})


def _scenario(kind: str, classes: tuple[str, ...], loss: str, head: str = "softmax", batch_size: int = 8) -> Scenario:
    return validate(
        {
            "name": "test",
            "task": {"kind": kind, "classes": classes, "head": head},
            "data": {"image_size": 12, "channels": 1},
            "model": {"name": MODELS[kind], "width": 4},
            "training": {"rounds": 1, "local_steps": 1, "batch_size": 4, "loss": loss},
            "evaluation": {"resamples": 200, "batch_size": batch_size},
        },
        "test",
    )


def _images(kind: str, num_classes: int, n: int = 30) -> ImageSet:
    generator = np.random.default_rng(0)
    shape = (n,) if kind == "classification" else (n, 12, 12)
    return ImageSet(
        images=generator.integers(0, 256, (n, 1, 12, 12), dtype=np.uint8),
        targets=generator.integers(0, num_classes, shape),
        rows=np.arange(n),
        patients=tuple(f"p{i // 2}" for i in range(n)),
        names=tuple(str(i) for i in range(n)),
    )


def _model(scenario: Scenario) -> nn.Module:
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model: nn.Module = scenario.model(scenario.model_task)
    return model


CASES = [
    ("classification", ("a", "b"), "cross_entropy", "softmax"),
    ("classification", ("a", "b"), "bce", "sigmoid"),
    ("classification", ("a", "b", "c"), "cross_entropy", "softmax"),
    ("segmentation", ("background", "a", "b"), "dice_ce", "softmax"),
    ("segmentation", ("background", "a"), "dice_ce", "sigmoid"),
]
every_case = pytest.mark.parametrize(("kind", "classes", "loss", "head"), CASES)


@every_case
def test_gives_every_metric_with_its_interval(kind, classes, loss, head):
    scenario, images = _scenario(kind, classes, loss, head), _images(kind, len(classes))
    result = evaluate(_model(scenario), images, scenario, ("site", 1))
    names = {
        "classification": {"auroc", "balanced_accuracy", "accuracy", "ece", "loss"},
        "segmentation": {"dice", "iou", "ece", "loss"},
    }
    assert set(result.metrics) == names[kind]
    assert set(result.per_class) == set(classes if kind == "classification" else classes[1:])
    assert result.num_images == 30
    for estimate in result.metrics.values():
        assert estimate.n == 15
        assert estimate.low <= estimate.high
        assert estimate.se >= 0


@every_case
def test_without_intervals_the_values_are_the_same(kind, classes, loss, head):
    scenario, images = _scenario(kind, classes, loss, head), _images(kind, len(classes))
    full = evaluate(_model(scenario), images, scenario, ("site", 1))
    fast = evaluate(_model(scenario), images, scenario, (), intervals=False)
    assert {k: e.value for k, e in fast.metrics.items()} == {k: e.value for k, e in full.metrics.items()}
    assert all((e.low, e.high, e.se) == (None, None, None) for e in fast.metrics.values())


@every_case
def test_the_batch_size_does_not_matter(kind, classes, loss, head):
    images = _images(kind, len(classes))
    values = []
    for batch_size in (1, 7, 64):
        scenario = _scenario(kind, classes, loss, head, batch_size)
        result = evaluate(_model(scenario), images, scenario, (), intervals=False)
        values.append({name: estimate.value for name, estimate in result.metrics.items()})
    assert values[0] == pytest.approx(values[1], abs=1e-5)
    assert values[0] == pytest.approx(values[2], abs=1e-5)


def test_the_stream_names_the_draws():
    scenario, images = _scenario("classification", ("a", "b"), "cross_entropy"), _images("classification", 2)
    model = _model(scenario)
    assert evaluate(model, images, scenario, ("a", 1)) == evaluate(model, images, scenario, ("a", 1))
    assert evaluate(model, images, scenario, ("a", 1)) != evaluate(model, images, scenario, ("a", 2))


def test_classification_against_the_whole_set_at_once():
    scenario, images = _scenario("classification", ("a", "b"), "cross_entropy"), _images("classification", 2)
    model = _model(scenario)
    pixels, targets = images.batch(np.arange(30))
    with torch.no_grad():
        logits = model(pixels)
    metrics = evaluate(model, images, scenario, (), intervals=False).metrics
    assert metrics["auroc"].value == pytest.approx(roc_auc_score(targets, logits[:, 1] - logits[:, 0]))
    assert metrics["loss"].value == pytest.approx(cross_entropy(logits, targets).item(), rel=1e-5)
    assert metrics["accuracy"].value == pytest.approx((logits.argmax(1) == targets).float().mean().item())
    expected = torch.softmax(logits, dim=1)[torch.arange(30), targets]
    scores = predictions(model, images, scenario)
    assert scores.scores == pytest.approx(expected.numpy(), abs=1e-5)
    best, median, worst = scores.best_median_worst()
    assert scores.scores[best] == scores.scores.max()
    assert scores.scores[worst] == scores.scores.min()
    assert (scores.scores <= scores.scores[median]).sum() == 15


def test_segmentation_against_the_whole_set_at_once():
    scenario = _scenario("segmentation", ("background", "a", "b"), "dice")
    images = _images("segmentation", 3)
    model = _model(scenario)
    pixels, targets = images.batch(np.arange(30))
    predicted = predict_batch(model, pixels, scenario.model_task).argmax(dim=1)
    hot = [one_hot(maps, 3).movedim(-1, 1) for maps in (predicted, targets)]
    theirs = compute_dice(*hot, include_background=False)
    result = evaluate(model, images, scenario, (), intervals=False)
    assert result.metrics["dice"].value == pytest.approx(theirs.mean().item())
    assert result.per_class["b"]["dice"].value == pytest.approx(theirs[:, 1].mean().item())
    assert predictions(model, images, scenario).scores == pytest.approx(theirs.mean(dim=1).numpy())


def test_modes_and_gradients_are_left_as_they_were():
    scenario, images = _scenario("classification", ("a", "b"), "cross_entropy"), _images("classification", 2)
    model = _model(scenario).train()
    model.features.eval()
    before = [module.training for module in model.modules()]
    weights = {name: value.clone() for name, value in model.state_dict().items()}
    evaluate(model, images, scenario, (), intervals=False)
    assert [module.training for module in model.modules()] == before
    assert all(torch.equal(value, weights[name]) for name, value in model.state_dict().items())
    assert torch.is_grad_enabled()


def test_modes_come_back_after_an_error():
    scenario, images = _scenario("classification", ("a", "b"), "cross_entropy"), _images("classification", 2)
    model = nn.Sequential(nn.Dropout(), nn.Linear(3, 2)).train()  # cannot take images
    with pytest.raises(RuntimeError):
        evaluate(model, images, scenario, ())
    assert all(module.training for module in model.modules())


def test_a_diverged_model_has_no_metric():
    scenario, images = _scenario("classification", ("a", "b"), "cross_entropy"), _images("classification", 2)
    model = _model(scenario)
    with torch.no_grad():
        next(model.parameters()).fill_(float("nan"))
    result = evaluate(model, images, scenario, ())
    assert all((e.value, e.low, e.high) == (None, None, None) for e in result.metrics.values())


def test_one_class_alone_has_no_auroc_but_an_accuracy():
    scenario, images = _scenario("classification", ("a", "b"), "cross_entropy"), _images("classification", 2)
    images.targets[:] = 0
    metrics = evaluate(_model(scenario), images, scenario, ("x",)).metrics
    assert metrics["auroc"].value is None
    assert metrics["accuracy"].value is not None


def test_no_images_is_misuse():
    scenario, images = _scenario("classification", ("a", "b"), "cross_entropy"), _images("classification", 2, n=0)
    with pytest.raises(ValueError, match="no images"):
        evaluate(_model(scenario), images, scenario, ())
    with pytest.raises(ValueError, match="no images"):
        predictions(_model(scenario), images, scenario)


def test_a_model_of_another_task_is_misuse():
    scenario = _scenario("classification", ("a", "b"), "cross_entropy")
    other = _scenario("classification", ("a", "b", "c"), "cross_entropy")
    with pytest.raises(ValueError, match="2 outputs"):
        predict_batch(_model(scenario), torch.rand(1, 1, 12, 12), other.model_task)
