"""The folder of a small finished run, without training: three sites, 16-pixel images, a model of random weights."""

import csv
import json
from pathlib import Path

import numpy as np
from PIL import Image
from torch import nn

from medfed.config import Scenario, load_scenario
from medfed.data.dataset import Dataset, open_dataset
from medfed.models.initial import initial_model
from medfed.params import get_weights, save_weights
from medfed.results import SiteSummary, Summary, write_json
from medfed.training.evaluation import evaluate
from simulations import fingerprints

SITES = ("<b>north", "south & co", "x" * 64)
SPLITS = {"train": 6, "val": 2, "test": 8}
SCENARIO = """
name = "small"
seed = 3
task = { kind = "classification", classes = ["dark", "bright"] }
data = { path = "images/labels.csv", image_size = 16, min_images_per_site = 1, partition = "natural" }
model = { name = "small_cnn", width = 4 }
evaluation = { resamples = 100 }
training = { rounds = 1, local_epochs = 1, batch_size = 4, loss = "cross_entropy" }
federation = { sites = %s }
"""


def write_images(folder: Path, one_class: str = "") -> None:
    """Two images per patient, one of each class by its brightness; all of one class at the site ``one_class``."""
    folder.mkdir(parents=True)
    numbers = np.random.default_rng(0)
    rows = []
    for s, site in enumerate(SITES):
        for split, count in SPLITS.items():
            for i in range(count):
                label = 0 if site == one_class else i % 2
                pixels = numbers.integers(60 + 80 * label, 120 + 80 * label, (16, 16)).astype(np.uint8)
                name = f"{s}-{split}-{i}.png"
                Image.fromarray(pixels).save(folder / name)
                rows.append((name, ("dark", "bright")[label], site, split, f"{s}-{split}-{i // 2}"))
    with (folder / "labels.csv").open("w", newline="") as file:
        csv.writer(file).writerows([("image", "label", "site", "split", "patient"), *rows])


def write_small_run(parent: Path, one_class: str = "") -> Path:
    """``parent/small`` as ``medfed simulate`` would leave it, as far as an audit reads it."""
    write_images(parent / "images", one_class)
    (parent / "small.toml").write_text(SCENARIO % json.dumps(SITES))
    scenario = load_scenario(parent / "small.toml")
    return write_run(parent, scenario, initial_model(scenario))


def write_run(parent: Path, scenario: Scenario, model: nn.Module) -> Path:
    """The folder of a run of ``scenario`` that ended with ``model``."""
    folder = parent / scenario.name
    folder.mkdir()
    (folder / "scenario.toml").write_text(scenario.to_toml())
    (folder / "environment.json").write_text(json.dumps({"python": "3", "versions": {"torch": "2"}, "run": "1"}))
    (folder / "rounds.jsonl").write_text("")
    dataset = dataset_of(scenario)
    save_weights(folder / "model.safetensors", get_weights(model))
    fingerprints.write(folder, fingerprints.fingerprints(dataset, scenario.federation.sites))
    write_json(folder / "summary.json", _summary(scenario, dataset, model))
    return folder


def dataset_of(scenario: Scenario) -> Dataset:
    """The images of a scenario."""
    return open_dataset(Path(scenario.data.path), scenario.data, scenario.model_task, scenario.seed)


def _summary(scenario: Scenario, dataset: Dataset, model: nn.Module) -> Summary:
    sites = {}
    for name in scenario.federation.sites:
        data = dataset.site(name)
        found = evaluate(model, data.test, scenario, ("bootstrap",))
        counts = {"num_train": len(data.train), "num_val": len(data.val), "num_test": len(data.test)}
        sites[name] = SiteSummary(**counts, class_counts={}, federated=found.metrics, per_class=found.per_class)
    figures = {"rounds": 1, "seconds": 1.0, "bytes_up": 0, "bytes_down": 0}
    return Summary(
        name=scenario.name, status="COMPLETED", task="classification", headline_metric="auroc", sites=sites, **figures
    )
