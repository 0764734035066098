"""Local-only and pooled models: what federating is compared with.

A baseline is a federation of one: as many rounds of the same local training, with the same schedule and a
fresh optimizer each round, but nothing is averaged. A local model takes its site's steps of every round; the
pooled model, which sees the images of all training sites together, takes as many steps as all sites together.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from medfed.config import Scenario
from medfed.data.dataset import Dataset, pool
from medfed.determinism import deterministic
from medfed.devices import current_device
from medfed.models.initial import initial_weights
from medfed.params import get_weights, set_weights
from medfed.results import Evaluation
from medfed.training.evaluation import evaluate
from medfed.training.local import steps_per_round, train_local
from medfed.types import SiteData, Weights


@dataclass(frozen=True)
class Task:
    """One baseline to train: a site's own model, or the pooled one (``site`` empty)."""

    kind: Literal["local", "pooled"]
    site: str = ""

    @property
    def label(self) -> str:
        """For people."""
        return f"local {self.site}" if self.kind == "local" else "pooled"


@dataclass(frozen=True, eq=False)
class Baseline:
    """A trained baseline and its evaluation on every site's test images."""

    task: Task
    weights: Weights
    tests: dict[str, Evaluation]


def baseline_tasks(scenario: Scenario, dataset: Dataset) -> list[Task]:
    """The baselines that the scenario asks for, the most work first."""
    sites = scenario.training_sites
    pooled = [Task("pooled")] if scenario.baselines.pooled else []
    by_size = sorted(sites, key=lambda site: (-len(dataset.site(site).train), site))
    return pooled + ([Task("local", site) for site in by_size] if scenario.baselines.local else [])


def train_baseline(
    scenario: Scenario, dataset: Dataset, task: Task, on_round: Callable[[int], None] = lambda done: None
) -> Baseline:
    """Train one baseline from the run's initial weights and test it at every site.

    ``on_round`` is called after each round with the number of rounds done; what it raises ends the training.
    """
    sites = [dataset.site(site) for site in scenario.training_sites]
    data = pool(sites) if task.kind == "pooled" else dataset.site(task.site)
    steps = [
        steps_per_round(scenario.training, len(site.train)) for site in (sites if task.kind == "pooled" else [data])
    ]
    with deterministic(scenario.engine.deterministic):
        weights = _train(scenario, data, sum(steps), on_round)
        return Baseline(task, weights, tests_at_all_sites(scenario, dataset, weights))


def _train(scenario: Scenario, data: SiteData, steps_each_round: int, on_round: Callable[[int], None]) -> Weights:
    model = scenario.model(scenario.model_task).to(current_device())
    set_weights(model, initial_weights(scenario))
    for round_number in range(1, scenario.training.rounds + 1):
        train_local(model, data.train, scenario, data.site, round_number, steps_each_round)
        on_round(round_number)
    return get_weights(model)


def tests_at_all_sites(scenario: Scenario, dataset: Dataset, weights: Weights) -> dict[str, Evaluation]:
    """Metrics of ``weights`` on the test images of every site, left-out ones included; shared images count once."""
    model = scenario.model(scenario.model_task).to(current_device())
    set_weights(model, weights)
    known: dict[bytes, Evaluation] = {}
    found = {}
    for site in scenario.federation.sites:
        images = dataset.site(site).test
        rows = images.rows.tobytes()
        if rows not in known:
            known[rows] = evaluate(model, images, scenario, ("bootstrap",))
        found[site] = known[rows]
    return found
