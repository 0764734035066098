"""A run on images of noise with labels by coin, and a linear model: what it knows of them, it knows by heart.

There are more pixels than training images, so that training to a small loss always succeeds.
"""

from pathlib import Path
from typing import ClassVar

import numpy as np
from torch import nn

from medfed.audit.contract import AuditContext
from medfed.config import Scenario, parse_scenario
from medfed.data.dataset import open_dataset, pool
from medfed.models.initial import initial_model
from medfed.models.layers import Center
from medfed.params import difference, get_weights, load_weights, save_weights, set_weights
from medfed.registry import plugin
from medfed.report.load import RunData
from medfed.results import PrivacyStatement, RunResult, Summary
from medfed.run_folder import RunFolder
from medfed.training.local import train_local
from medfed.types import Task, Update, Weights
from privacy.mechanisms.local import Local
from privacy.noise import Normal

COUNTS = {"train": 120, "val": 120, "test": 60}
SCENARIO = """
name = "noise"
seed = 1
task = {{ kind = "classification", classes = ["heads", "tails"] }}
data = {{ path = "{path}", image_size = 16, partition = {{ name = "iid", num_sites = 2 }} }}
model = "tests.privacy.membership.noise_run:Flat"
training = {{ rounds = 1, local_steps = 150, batch_size = 32, loss = "cross_entropy", optimizer = {{ lr = 0.01 }} }}
federation = {{ sites = ["site-01", "site-02"] }}
record = {{ rounds = [1] }}
"""


@plugin
class Flat:
    """One weight per pixel and class."""

    kinds: ClassVar[tuple[str, ...]] = ("classification",)

    def __call__(self, task: Task) -> nn.Module:
        """Build the module."""
        return nn.Sequential(Center(), nn.Flatten(), nn.Linear(task.channels * task.image_size**2, task.num_outputs))


@plugin
class Quiet(Local):
    """A mechanism with half of the noise that it claims."""

    def protect(self, change: Weights, trained: set[str], normal: Normal) -> Weights:
        """Draws of half the deviation."""
        return super().protect(change, trained, lambda number: 0.5 * normal(number))


def write_images(path: Path) -> None:
    """A MedMNIST file."""
    draws = np.random.default_rng(0)
    arrays = {}
    for split, count in COUNTS.items():
        arrays[f"{split}_images"] = draws.integers(0, 256, (count, 16, 16), dtype=np.uint8)
        arrays[f"{split}_labels"] = draws.integers(0, 2, (count, 1), dtype=np.uint8)
    np.savez(path, **arrays)


def run(scenario: Scenario, folder: Path) -> RunResult:
    """Train one model on the training images of all sites, as far as shadows and their readers need a run."""
    dataset = open_dataset(Path(scenario.data.path), scenario.data, scenario.model_task, scenario.seed)
    model = initial_model(scenario)
    before = get_weights(model)
    train_local(model, pool([dataset.site(site) for site in scenario.training_sites]).train, scenario, "all", 1)
    save_weights(folder / "model.safetensors", get_weights(model))
    if scenario.record.rounds:
        RunFolder(folder).record_global(1, before)
    for site in scenario.training_sites if scenario.record.rounds else ():
        update = difference(get_weights(model), before)
        RunFolder(folder).record_update(1, Update(site, update, 60, 20, {}))
    return RunResult(folder, _summary(scenario))


def context(folder: Path, learned: bool, privacy: PrivacyStatement | None = None, extra: str = "") -> AuditContext:
    """Of a run whose model learned its images, or has its first weights still."""
    write_images(folder / "noise.npz")
    scenario = parse_scenario(SCENARIO.format(path=folder / "noise.npz") + extra)
    summary = run(scenario, folder / "noise").summary.model_copy(update={"privacy": privacy})
    model = initial_model(scenario)
    if learned:
        set_weights(model, load_weights(folder / "noise" / "model.safetensors"))
    return AuditContext(
        scenario=scenario,
        run=RunData(folder / "noise", summary),
        dataset=open_dataset(Path(scenario.data.path), scenario.data, scenario.model_task, scenario.seed),
        module=model.eval(),
        seed=1,
        run_scenario=lambda shadow: run(shadow, folder / shadow.name),
    )


def _summary(scenario: Scenario) -> Summary:
    figures = {"rounds": 1, "seconds": 1.0, "bytes_up": 0, "bytes_down": 0, "sites": {}}
    return Summary(name=scenario.name, status="COMPLETED", task="classification", headline_metric="auroc", **figures)
