"""A scenario's model before round 1: its weights, and which of them never leave a site."""

from functools import lru_cache

import torch
from torch import nn

from medfed.config import Scenario
from medfed.models.entries import batch_norm_entries, parameter_names
from medfed.params import get_weights
from medfed.rng import derive_seed
from medfed.types import Weights


def initial_model(scenario: Scenario) -> nn.Module:
    """The architecture with its weights before round 1; they depend on the seed alone."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(derive_seed(scenario.seed, "initial weights"))
        module: nn.Module = scenario.model(scenario.model_task)
        return module


def initial_weights(scenario: Scenario) -> Weights:
    """The weights of :func:`initial_model`, buffers included."""
    return get_weights(initial_model(scenario))


def personal_entries(scenario: Scenario, model: nn.Module) -> frozenset[str]:
    """State-dict names that stay at the sites: the strategy's personal parts, and BatchNorm where it is ``local``."""
    personal: frozenset[str] = scenario.federation.strategy.personal(model)
    return personal | batch_norm_entries(model) if scenario.federation.batch_norm == "local" else personal


@lru_cache(maxsize=8)
def trained_entries(scenario: Scenario) -> frozenset[str]:
    """:func:`parameter_names` of the scenario's model."""
    return parameter_names(initial_model(scenario))
