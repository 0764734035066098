"""Several sites trained as one stacked model. Oracle: :func:`train_local`, site by site.

In float64 layers, where it is exact but for the float32 loss: in float32 a rectifier that flips on a last bit is
enough to move a weight by a percent of what it moved in all.
"""

from typing import Any, ClassVar

import numpy as np
import pytest
import torch
from torch import Tensor, nn

from medfed.config import Scenario, parse_scenario
from medfed.data.location import resolve_path
from medfed.models.initial import initial_model
from medfed.params import get_weights, set_weights
from medfed.registry import plugin
from medfed.training.batched import SiteJob, train_batched
from medfed.training.local import train_local
from medfed.types import ImageSet, Weights
from tests.medfed.trial import TEXT

SIZES = {"a": 20, "b": 7, "c": 33}
"""Images per site: in batches of 8, two epochs are 6, 2 and 10 steps, of 6 to 8 images."""

CASES: dict[str, dict[str, Any]] = {
    "adamw, transforms": {},
    "sgd with momentum, weights per site": {
        "training.optimizer": {"name": "sgd", "lr": 0.05, "momentum": 0.9, "weight_decay": 0.01},
        "training.loss": {"name": "cross_entropy", "class_weights": "balanced"},
    },
    "nesterov, cosine, sigmoid": {
        "training.optimizer": {"name": "sgd", "lr": 0.05, "momentum": 0.9, "nesterov": True},
        "training.schedule": "cosine",
        "task.head": "sigmoid",
        "training.loss": {"name": "bce", "pos_weight": "balanced"},
    },
    "steps alike": {"training.local_epochs": None, "training.local_steps": 4},
    "frozen BatchNorm": {"model.norm": "batch", "federation.batch_norm": "frozen"},
    "segmentation": {
        "task.kind": "segmentation",
        "model": {"name": "unet", "width": 4, "depth": 2},
        "training.loss": "dice_ce",
    },
}


@plugin
class Double:
    """A transform that only makes the images float64; torch computes in what it is given."""

    kinds: ClassVar[tuple[str, ...]] = ("classification", "segmentation")

    def __call__(self, images: Tensor, targets: Tensor, generator: torch.Generator) -> tuple[Tensor, Tensor]:
        return images.double(), targets


@pytest.fixture(scope="module")
def pixels() -> dict[str, Any]:
    with np.load(resolve_path("package:medfed/data/samples/pneumoniamnist/pneumoniamnist.npz")) as file:
        return {"images": file["train_images"][:80, None], "labels": file["train_labels"][:80].ravel()}


def scenario(**changes: Any) -> Scenario:
    trial = parse_scenario(TEXT).replace(**{"model": {"name": "small_cnn", "width": 4}, **changes})
    transforms = (*trial.training.transforms, Double())
    return trial.model_copy(update={"training": trial.training.model_copy(update={"transforms": transforms})})


def prepared(scenario: Scenario) -> tuple[nn.Module, Weights]:
    """The model and its first weights, in float64."""
    model = initial_model(scenario).double()
    return model, get_weights(model)


def sites(pixels: dict[str, Any], scenario: Scenario) -> dict[str, ImageSet]:
    """Disjoint images; in segmentation the second class is what is bright."""
    targets = pixels["labels"] if scenario.task.kind == "classification" else (pixels["images"][:, 0] > 128)
    ends = np.cumsum(list(SIZES.values()))
    return {
        site: ImageSet(pixels["images"], targets.astype(np.uint8), np.arange(end - size, end), ("p",) * size, ("",))
        for (site, size), end in zip(SIZES.items(), ends, strict=True)
    }


def jobs(images: dict[str, ImageSet], weights: Weights) -> list[SiteJob]:
    return [SiteJob(site, held, weights) for site, held in images.items()]


@pytest.mark.parametrize("case", CASES)
def test_every_site_is_trained_as_if_alone(case: str, pixels: dict[str, Any]) -> None:
    trial = scenario(**CASES[case])
    model, start = prepared(trial)
    images = sites(pixels, trial)
    found = train_batched(model, jobs(images, start), trial, 2)
    assert get_weights(model).keys() == start.keys()
    assert all(torch.equal(value, start[name]) for name, value in get_weights(model).items())  # it is not touched
    for (site, held), outcome in zip(images.items(), found, strict=True):
        set_weights(model, start)
        expected = train_local(model, held, trial, site, 2)
        assert outcome.num_steps == expected.num_steps
        assert outcome.total_loss / outcome.num_steps == pytest.approx(expected.loss, rel=1e-5)
        after = get_weights(model)
        assert outcome.weights.keys() == after.keys()
        moved = max(float((after[name] - start[name]).abs().max()) for name in after)
        assert moved > 1e-3
        for name, value in after.items():
            torch.testing.assert_close(outcome.weights[name], value, rtol=0.0, atol=5e-6)


def test_each_site_starts_from_weights_of_its_own(pixels: dict[str, Any]) -> None:
    trial = scenario()
    (model, weights), images = prepared(trial), sites(pixels, trial)
    starts = [{name: value * scale for name, value in weights.items()} for scale in (1.0, 0.5, 2.0)]
    given = [SiteJob(site, held, start) for (site, held), start in zip(images.items(), starts, strict=True)]
    for job, outcome in zip(given, train_batched(model, given, trial, 1), strict=True):
        set_weights(model, job.weights)
        train_local(model, job.images, trial, job.site, 1)
        for name, value in get_weights(model).items():
            torch.testing.assert_close(outcome.weights[name], value, rtol=0.0, atol=5e-6)


def test_a_site_that_diverges_leaves_the_others_alone(pixels: dict[str, Any]) -> None:
    trial = scenario()
    (model, start), images = prepared(trial), sites(pixels, trial)
    spoilt = jobs(images, start)
    spoilt[1] = SiteJob("b", images["b"], {name: torch.full_like(value, torch.nan) for name, value in start.items()})
    whole, partly = (train_batched(model, given, trial, 1) for given in (jobs(images, start), spoilt))
    assert np.isnan(partly[1].total_loss)
    for place in (0, 2):  # nor does what another site holds change a bit
        assert partly[place].total_loss == whole[place].total_loss
        assert all(torch.equal(value, whole[place].weights[name]) for name, value in partly[place].weights.items())
