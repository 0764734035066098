"""A run with recorded updates of twenty sites, some of them malicious, drawn from a known distribution."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from medfed.audit.contract import AuditContext
from medfed.audit.results import SectionResult
from medfed.config import Scenario, parse_scenario
from medfed.data.dataset import Dataset
from medfed.data.table import Record
from medfed.models.initial import initial_model, trained_entries
from medfed.params import get_weights, save_weights, unflatten
from medfed.report.load import RunData
from medfed.results import Estimate, MeanSummary, Summary

SITES = tuple(f"s{number:02d}" for number in range(20))
BAD = ("s00", "s07", "s13", "s19")
ROUNDS = (1, 2, 3)
SIDE = 8
SCENARIO = """
name = "poisoned"
task = {{ kind = "classification", classes = ["dark", "bright"] }}
data = {{ path = "none.csv", image_size = 8, partition = "natural" }}
model = {{ name = "small_cnn", width = 4 }}
training = {{ rounds = 3, local_epochs = 1, batch_size = 4, loss = "cross_entropy" }}
federation = {{ sites = {sites}, aggregator = {rule} }}
{adversary}
"""


def scenario_of(behaviour: str = "", rule: str = '"mean"', sites: tuple[str, ...] = SITES) -> Scenario:
    adversary = f"adversary = {{ sites = {list(BAD)}, behaviour = {behaviour} }}" if behaviour else ""
    return parse_scenario(SCENARIO.format(sites=list(sites), rule=rule, adversary=adversary))


def drawn(scenario: Scenario, change: Callable[[Tensor], Tensor] | None = None) -> list[dict[str, Tensor]]:
    """Site -> update, by round: a common direction and noise of each site's own; ``change`` on those of BAD."""
    names = sorted(trained_entries(scenario))
    size = sum(value.numel() for name, value in get_weights(initial_model(scenario)).items() if name in names)
    draws = torch.Generator().manual_seed(7)
    rounds = []
    for _ in ROUNDS:
        updates = {site: 1e-3 * (1 + 3 * torch.randn(size, generator=draws)) for site in scenario.federation.sites}
        rounds.append({s: change(u) if change and s in BAD else u for s, u in updates.items()})
    return rounds


def record(folder: Path, scenario: Scenario, rounds: list[dict[str, Tensor]]) -> None:
    """As a run records them."""
    weights = get_weights(initial_model(scenario))
    like = {name: weights[name] for name in sorted(trained_entries(scenario))}
    for number, updates in zip(ROUNDS, rounds, strict=True):
        at = folder / "recorded" / str(number)
        at.mkdir(parents=True)
        save_weights(at / "global.weights.safetensors", weights)
        for site, update in updates.items():
            save_weights(at / f"{site}.safetensors", unflatten(update, like), {"site": site})


def summary(accuracy: float | None = None) -> Summary:
    found = None if accuracy is None else {"auroc": Estimate(value=accuracy, low=0, high=1, n=50, se=0.01)}
    figures = {"rounds": 3, "seconds": 1.0, "bytes_up": 0, "bytes_down": 0, "sites": {}}
    mean = MeanSummary(federated=found)
    return Summary(name="x", status="COMPLETED", task="classification", headline_metric="auroc", mean=mean, **figures)


def context_of(folder: Path, scenario: Scenario, module: nn.Module | None = None, **fields: object) -> AuditContext:
    """Forty flat test images, dark and bright in turn."""
    sites, labels = scenario.federation.sites, np.arange(40) % 2
    levels = np.where(labels == 1, 200, 50).astype(np.uint8)
    images = np.broadcast_to(levels[:, None, None, None], (40, 1, SIDE, SIDE)).copy()
    owners = [sites[i % len(sites)] for i in range(40)]
    records = tuple(Record(f"{i}.png", None, None, owners[i], "test", f"p{i}", i + 1) for i in range(40))
    rows = {
        site: {"train": np.arange(0), "val": np.arange(0), "test": np.arange(s, 40, len(sites))}
        for s, site in enumerate(sites)
    }
    dataset = Dataset(Path("none.csv"), images, labels.astype(np.int64), records, rows, ())
    module = initial_model(scenario) if module is None else module
    run = fields.pop("run", RunData(folder, summary(0.7)))
    return AuditContext(scenario, run, dataset, module.eval(), seed=1, **fields)


def names(result: SectionResult) -> set[str]:
    """All that the table of detectors names."""
    return {site for row in result.tables[1].rows for cell in row[1:] for site in str(cell).split(", ")} - {"none"}
