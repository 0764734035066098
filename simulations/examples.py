"""Real test images for the page: each site's best, median and worst case under the final federated model.

Where a strategy keeps parts of the model at the sites, each site is shown with its own.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from client.home import state_in
from client.local import own_weights
from medfed.config import Scenario
from medfed.data.dataset import Dataset
from medfed.files import file_name, write_text_atomic
from medfed.messages import Request
from medfed.params import load_weights, set_weights
from medfed.run_folder import RunFolder
from medfed.training.evaluation import predict_batch, predictions
from medfed.types import ImageSet, Weights

MAX_SITES = 24
"""More sites than a reader would look at are not drawn."""


def save_examples(scenario: Scenario, dataset: Dataset, folder: Path) -> None:
    """Write ``figures/examples.npz`` (images, and in segmentation truth and prediction maps) and ``examples.json``."""
    model = scenario.model(scenario.model_task)
    model.eval()
    shared = load_weights(folder / "model.safetensors")
    weights_of = _weights_of_sites(scenario, folder, shared)
    one_for_all = all(weights_of(site) is shared for site in scenario.federation.sites[:MAX_SITES])
    entries: list[dict[str, Any]] = []
    arrays: dict[str, Any] = {}
    for site, images in shown_tests(scenario, dataset, one_for_all).items():
        set_weights(model, shared if one_for_all else weights_of(site))
        found = predictions(model, images, scenario)
        for rank, position in zip(("best", "median", "worst"), found.best_median_worst(), strict=True):
            index = len(entries)
            entry, maps = _example(model, images, position, scenario)
            entries.append(
                {"site": site, "rank": rank, "index": index, "score": float(found.scores[position]), **entry}
            )
            arrays |= {f"{name}_{index}": value for name, value in maps.items()}
    figures = folder / "figures"
    figures.mkdir(exist_ok=True)
    np.savez_compressed(figures / "examples.npz", **arrays)
    write_text_atomic(figures / "examples.json", json.dumps(entries, indent=2) + "\n")


def _weights_of_sites(scenario: Scenario, folder: Path, shared: Weights) -> Callable[[str], Weights]:
    """What a site was tested with at the end: ``shared`` itself, where the strategy leaves it nothing of its own."""
    request = Request(scenario, RunFolder(folder).recorded("run"), scenario.training.rounds, shared)

    def weights_of(site: str) -> Weights:
        kept = state_in(folder / "sites" / file_name(site), request.run).load(request.round)
        return own_weights(request, kept)

    return weights_of


def shown_tests(scenario: Scenario, dataset: Dataset, one_for_all: bool) -> dict[str, ImageSet]:
    """The test images of each site that is drawn; one entry where all sites share images and model."""
    sites = scenario.federation.sites
    if one_for_all and not scenario.data.partition.keeps_sites:
        return {"all sites (one test set)": dataset.site(sites[0]).test}
    return {site: dataset.site(site).test for site in sites[:MAX_SITES]}


def _example(
    model: nn.Module, images: ImageSet, position: int, scenario: Scenario
) -> tuple[dict[str, Any], dict[str, Any]]:
    batch, target = images.batch(np.array([position]))
    with torch.no_grad():
        probabilities = predict_batch(model, batch, scenario.model_task)[0]
    predicted = probabilities.argmax(0)
    entry: dict[str, Any] = {"name": images.names[position], "truth": None, "prediction": None, "probability": None}
    maps: dict[str, Any] = {"image": images.images[images.rows[position]]}
    if scenario.task.kind == "segmentation":
        maps |= {"truth": target[0].numpy().astype(np.uint8), "prediction": predicted.numpy().astype(np.uint8)}
    else:
        classes = scenario.task.classes
        truth = int(target[0])
        entry |= {
            "truth": classes[truth],
            "prediction": classes[int(predicted)],
            "probability": float(probabilities[truth]),
        }
    return entry, maps
