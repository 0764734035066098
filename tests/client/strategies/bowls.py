"""Sites whose loss is a bowl, h / 2 (w - b)^2, so that every result has a closed form; real strategies around it."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from client.strategies.contract import Job, Outcome
from medfed import registry
from medfed.models.entries import parameter_names
from medfed.params import get_weights
from medfed.training.local import LocalResult
from medfed.types import Update, Weights
from server.fold import MeanFold, MetricsFold
from server.strategies.contract import Aggregate
from tests.medfed.trial import BASE


class Bowl(nn.Module):
    """One parameter ``w``, and a buffer ``count`` that training counts up."""

    def __init__(self, start: float = 0.0) -> None:
        super().__init__()
        self.w = nn.Parameter(torch.tensor([start], dtype=torch.float64))
        self.register_buffer("count", torch.zeros((), dtype=torch.int64))


@dataclass(frozen=True)
class Site:
    """h, b, steps per round, and images that it says it has."""

    curvature: float
    minimum: float
    num_steps: int = 10
    num_examples: int = 1

    def train(self, optimizer: Any):
        """Full-batch descent; the gradient is written down, since autograd would take most of the time."""

        def run(model: nn.Module, correct) -> LocalResult:
            steps = optimizer(model.parameters(), 1.0)
            for _ in range(self.num_steps):
                apart = model.w.detach() - self.minimum
                model.w.grad = self.curvature * apart
                if correct is not None:
                    correct(model)
                steps.step()
            model.count += self.num_steps
            return LocalResult(self.num_steps, self.num_examples, 0.5 * self.curvature * scalar(apart) ** 2)

        return run


def scenario_with(strategy: Any, optimizer: dict[str, Any]) -> Any:
    """A scenario of these two."""
    described = registry.describe("strategy", strategy)
    return BASE.replace(**{"federation.strategy": described, "training.optimizer": optimizer})


def job(site: Site, scenario: Any, weights: Weights, extras: Any = None, state: Weights | None = None) -> Job:
    """One round at ``site``."""
    model = Bowl()
    model.load_state_dict(weights)
    return Job(model, weights, extras or {}, state or {}, site.train(scenario.training.optimizer), scenario)


def train_once(
    client: Any, site: Site, optimizer: dict[str, Any], start: float = 0.0, extras: Any = None, state: Any = None
) -> Outcome:
    """One round of a client strategy from ``start``."""
    scenario = BASE.replace(**{"training.optimizer": optimizer})
    return client(job(site, scenario, get_weights(Bowl(start)), extras, state))


def federate(
    strategy: Any, sites: Sequence[Site], num_rounds: int, lr: float = 0.1, momentum: float = 0.0, asked=None
) -> tuple[float, list[Weights]]:
    """The global w after so many rounds, and what the sites keep; ``asked(round)`` says which sites train."""
    scenario = scenario_with(strategy, {"name": "sgd", "lr": lr, "momentum": momentum})
    client = registry.build("client_strategy", strategy.client())
    weights, state = get_weights(Bowl()), {}
    kept: list[Weights] = [{} for _ in sites]
    for number in range(num_rounds):
        updates = []
        for index in range(len(sites)) if asked is None else asked(number):
            given = job(sites[index], scenario, weights, strategy.broadcast(state), kept[index])
            outcome = client(given)
            kept[index] = outcome.state
            updates.append(_update(f"site-{index}", outcome))
        weights, state = strategy(weights, aggregated(strategy, updates, len(sites)), state)
    return float(weights["w"]), kept


def _update(site: str, outcome: Outcome) -> Update:
    result = outcome.result
    metrics = {"loss": result.loss, **outcome.metrics}
    return Update(site, outcome.change, result.num_examples, result.num_steps, metrics, outcome.extras)


def aggregated(strategy: Any, updates: Sequence[Update], num_sites: int) -> Aggregate:
    """The weighted mean, as the collector makes it."""
    mean, metrics = MeanFold(), MetricsFold()
    extras = {name: MeanFold() for name in strategy.extras}
    for update in updates:
        mean.add(update.tensors, strategy.weight(update))
        metrics.add(update.metrics, strategy.weight(update))
        for name, fold in extras.items():
            fold.add(update.extras[name], 1.0)
    groups = {name: fold.result() for name, fold in extras.items()}
    return Aggregate(mean.result(), groups, metrics.result(), len(updates), num_sites, parameter_names(Bowl()))


def scalar(value: Tensor) -> float:
    """The one value of ``value``."""
    return float(value.reshape(()))
