"""One round at one site: global weights and what the site kept -> an update, and what the site keeps now."""

import logging
import math
from collections.abc import Callable
from functools import lru_cache, partial

import torch
from torch import nn

from client.strategies.contract import ClientStrategy, Job, Outcome
from client.trainers.contract import Trainer
from medfed import registry
from medfed.config import Scenario
from medfed.devices import current_device
from medfed.errors import DivergedError
from medfed.messages import Request
from medfed.models.initial import initial_weights, personal_entries
from medfed.params import group, prefixed, set_weights
from medfed.rng import numpy_generator
from medfed.training.local import Correction, LocalResult, steps_per_round
from medfed.types import SiteData, Update, Weights
from privacy.mechanisms.contract import noised_at_site

log = logging.getLogger(__name__)

_PERSONAL = "personal"
_STRATEGY = "strategy"
_RESIDUAL = "residual"


def local_round(
    request: Request,
    data: SiteData,
    kept: Weights,
    trainer: Trainer | None = None,
    finish: Callable[[Outcome], Outcome] | None = None,
) -> tuple[Update, Weights]:
    """Train from the request's weights; returns what leaves the site and what it keeps for its next round.

    ``trainer`` takes the place of the scenario's: where the site was trained together with others already. ``finish``
    changes what leaves the site: it protects it (:mod:`client.private`), or forges it (:mod:`client.adversary`).
    """
    scenario = request.scenario
    weights = full_weights(request, kept)
    outcome = local_outcome(request, data, kept, trainer)
    outcome = finish(outcome) if finish else outcome
    shared = {name: outcome.change[name] for name in request.weights}
    noise = numpy_generator(scenario.seed, data.site, request.round, "compression")
    wire, residual = scenario.federation.compression.compress(shared, group(kept, _RESIDUAL), noise)
    personal = {name: weights[name] + outcome.change[name] for name in weights.keys() - request.weights.keys()}
    keeps = {_PERSONAL: personal, _STRATEGY: outcome.state, _RESIDUAL: residual}
    next_kept = {name: value for prefix, part in keeps.items() for name, value in prefixed(prefix, part).items()}
    return _update(data.site, wire, outcome, scenario), next_kept


def local_outcome(request: Request, data: SiteData, kept: Weights, trainer: Trainer | None = None) -> Outcome:
    """What training from the request's weights comes to, before anything is taken out of it or compressed."""
    scenario = request.scenario
    weights = full_weights(request, kept)
    model = warm_model(scenario)
    set_weights(model, weights)
    chosen = trainer or scenario.training.trainer
    train = partial(_train, trainer=chosen, data=data, scenario=scenario, round_number=request.round)
    return client_strategy(scenario)(Job(model, weights, request.extras, group(kept, _STRATEGY), train, scenario))


def _train(
    model: nn.Module,
    correct: Correction | None,
    *,
    trainer: Trainer,
    data: SiteData,
    scenario: Scenario,
    round_number: int,
) -> LocalResult:
    if not noised_at_site(scenario.privacy.mechanism):
        return trainer(model, data.train, scenario, data.site, round_number, correct)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    try:
        return trainer(model, data.train, scenario, data.site, round_number, correct)
    except DivergedError:  # to give up would tell of the data without noise: the noise goes on no change instead
        log.warning("round %d: training diverged; what leaves is noise alone", round_number, exc_info=True)
        set_weights(model, before)
        return LocalResult(steps_per_round(scenario.training, len(data.train)), len(data.train), math.nan)


def _update(site: str, tensors: Weights, outcome: Outcome, scenario: Scenario) -> Update:
    """The training loss is a sum over those whom noise is to hide: where a site adds noise, it stays at the site."""
    result = outcome.result
    loss = {} if noised_at_site(scenario.privacy.mechanism) else {"loss": result.loss}
    metrics = {**loss, **outcome.metrics}
    return Update(site, tensors, result.num_examples, result.num_steps, metrics, outcome.extras)


def own_weights(request: Request, kept: Weights) -> Weights:
    """The weights that this site would use itself: what a site is evaluated with."""
    return client_strategy(request.scenario).personalize(full_weights(request, kept), group(kept, _STRATEGY))


def full_weights(request: Request, kept: Weights) -> Weights:
    """Shared entries as they came, personal ones as this site left them, or at their initial values."""
    personal = _personal(request.scenario)
    if not personal:
        return request.weights
    initial = _initial(request.scenario)
    mine = group(kept, _PERSONAL)
    return {
        name: mine.get(name, value) if name in personal else request.weights[name] for name, value in initial.items()
    }


@lru_cache(maxsize=8)
def client_strategy(scenario: Scenario) -> ClientStrategy:
    """The client's side of the scenario's strategy."""
    strategy: ClientStrategy = registry.build("client_strategy", scenario.federation.strategy.client())
    return strategy


def warm_model(scenario: Scenario) -> nn.Module:
    """The architecture on the current device, kept warm between messages; every request overwrites its weights."""
    return _model_on(scenario, current_device())


@lru_cache(maxsize=8)
def _model_on(scenario: Scenario, device: torch.device) -> nn.Module:
    module: nn.Module = scenario.model(scenario.model_task)
    return module.to(device)


@lru_cache(maxsize=8)
def _personal(scenario: Scenario) -> frozenset[str]:
    return personal_entries(scenario, warm_model(scenario))


@lru_cache(maxsize=2)
def _initial(scenario: Scenario) -> Weights:
    return initial_weights(scenario)
