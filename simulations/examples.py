"""Real test images for the page: each site's best, median and worst case under the final federated model."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import nn

from medfed.config import Scenario
from medfed.data.dataset import Dataset
from medfed.files import write_text_atomic
from medfed.params import load_weights, set_weights
from medfed.training.evaluation import predict_batch, predictions
from medfed.types import ImageSet

MAX_SITES = 24
"""More sites than a reader would look at are not drawn."""


def save_examples(scenario: Scenario, dataset: Dataset, folder: Path) -> None:
    """Write ``figures/examples.npz`` (images, and in segmentation truth and prediction maps) and ``examples.json``."""
    model = scenario.model(scenario.model_task)
    set_weights(model, load_weights(folder / "model.safetensors"))
    model.eval()
    entries: list[dict[str, Any]] = []
    arrays: dict[str, Any] = {}
    for site, images in shown_tests(scenario, dataset).items():
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


def shown_tests(scenario: Scenario, dataset: Dataset) -> dict[str, ImageSet]:
    """The test images of each site that is drawn; one entry where all sites share them."""
    sites = scenario.federation.sites
    if not scenario.data.partition.keeps_sites:
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
