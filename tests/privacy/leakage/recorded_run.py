"""A run of two sites with recorded updates: images of one bright disc each, trained by the client's own code."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from client.local import local_round
from medfed.audit.contract import AuditContext
from medfed.config import Scenario, parse_scenario
from medfed.data.dataset import Dataset
from medfed.data.table import Record
from medfed.messages import Request
from medfed.models.initial import initial_model, initial_weights, personal_entries
from medfed.params import load_metadata, load_weights, save_weights
from medfed.report.load import RunData
from medfed.results import MeanSummary, Summary
from medfed.run_folder import RunFolder
from privacy.leakage.recorded import read_recorded
from privacy.leakage.truth import truth_of

SIDE, TRAIN, HELD = 12, 6, 40
SITES = ("a", "b")
SCENARIO = """
name = "discs"
task = { kind = "classification", classes = ["small", "large"] }
data = { path = "none.csv", image_size = 12, partition = "natural" }
model = { name = "small_cnn", width = 4 }
federation = { sites = ["a", "b"] }
record = { rounds = [1, -1] }

[training]
rounds = 2
local_steps = 1
batch_size = 1
loss = "cross_entropy"
optimizer = { name = "sgd", lr = 0.1 }
"""

NORMED = {"model.norm": "batch", "federation.batch_norm": "average"}
LOOSE = {"max_named": 0.99, "max_rebuilt": 0.99}
"""Thresholds that two images can meet: the interval of none of two ends at 0.84."""

NOISED = {"privacy.mechanism": {"name": "local", "clip": 1.0, "noise_multiplier": 1.0}}


def scenario_of(**changes: Any) -> Scenario:
    """The scenario with dotted keys changed."""
    return parse_scenario(SCENARIO).replace(**changes)


def dataset() -> Dataset:
    """Per site 6 training images and 40 others, each of a patient of its own, under noise of a tenth of the range."""
    draws, number = np.random.default_rng(5), len(SITES) * (TRAIN + HELD)
    rows, columns = np.mgrid[:SIDE, :SIDE]
    labels = np.arange(number) % 2
    centres = draws.uniform(3, SIDE - 3, (number, 2))
    radii = np.where(labels == 1, 3.5, 2.0)
    apart = np.hypot(rows - centres[:, :1, None], columns - centres[:, 1:, None])
    images = 60 + 140 / (1 + np.exp(apart - radii[:, None, None])) + draws.normal(0, 25, apart.shape)
    owners = [SITES[i % len(SITES)] for i in range(number)]
    of_site = {site: np.arange(s, number, len(SITES)) for s, site in enumerate(SITES)}
    splits = {
        s: {"train": r[:TRAIN], "val": r[TRAIN : TRAIN + 10], "test": r[TRAIN + 10 :]} for s, r in of_site.items()
    }
    records = tuple(Record(f"{i}.png", None, None, owners[i], "train", f"p{i}", i + 1) for i in range(number))
    decoded = images.clip(0, 255).astype(np.uint8)[:, None]
    return Dataset(Path("none.csv"), decoded, labels.astype(np.int64), records, splits, ())


def recorded_run(folder: Path, scenario: Scenario, rounds: tuple[int, ...] = (1, 2)) -> AuditContext:
    """Every site's first update, from the initial weights, recorded under each of ``rounds``; and its context."""
    data, run = dataset(), RunFolder(folder)
    weights = initial_weights(scenario)
    personal = personal_entries(scenario, initial_model(scenario))
    shared = {name: value for name, value in weights.items() if name not in personal}
    for number in rounds:
        run.record_global(number, shared)
        for site in SITES:
            update, _ = local_round(Request(scenario, "run", number, shared), data.site(site), {})
            sent = scenario.federation.compression.decompress(update.tensors, shared)
            run.record_update(number, replace(update, tensors=sent))
    return context_of(folder, scenario, data)


def context_of(folder: Path, scenario: Scenario, data: Dataset) -> AuditContext:
    """As an audit opens it."""
    figures = {"rounds": 2, "seconds": 1.0, "bytes_up": 0, "bytes_down": 0, "sites": {}}
    summary = Summary(
        name="discs", status="COMPLETED", task="classification", headline_metric="auroc", mean=MeanSummary(), **figures
    )
    return AuditContext(scenario, RunData(folder, summary), data, initial_model(scenario).eval(), seed=1)


def opened(folder: Path, site: str = "a", number: int = 1, **changes: Any) -> Any:
    """The scenario, what the site sent in that round, what it was made of, and the site's data."""
    scenario = scenario_of(**changes)
    context = recorded_run(folder, scenario)
    recorded = read_recorded(folder, scenario, number, site)
    data = context.site(site)
    return scenario, recorded, truth_of(scenario, recorded, data), data


def add_noise(folder: Path) -> None:
    """As a site would: of norm far above that of the updates."""
    draws = torch.Generator().manual_seed(0)
    for site in SITES:
        path = folder / "recorded" / "1" / f"{site}.safetensors"
        noised = {name: torch.randn(value.shape, generator=draws) for name, value in load_weights(path).items()}
        save_weights(path, noised, load_metadata(path))
