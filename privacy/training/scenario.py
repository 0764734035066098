"""What a scenario's model and loss mean for private training: whether they can be, and by which back end."""

from functools import lru_cache, partial

from torch import nn

from medfed.config import Scenario
from medfed.models.initial import initial_model
from privacy.training.choice import chosen_backend
from privacy.training.suitability import training_mode, trial_images, unsuited


def model_misfit(scenario: Scenario, model: nn.Module) -> str:
    """Why the scenario's model cannot be trained privately, with the key; empty if it can.

    Args:
        scenario: with a mechanism of training.
        model: its model; left in training mode.
    """
    frozen = scenario.federation.batch_norm == "frozen"
    images, _ = trial_images(scenario.model_task)
    if found := unsuited(model, frozen, images):
        return f'key "model": {found}'
    try:
        _choose(scenario, model)
    except ValueError as error:
        return (
            f'key "privacy.mechanism.backend": no gradients of single images of this model: {error}; expected "auto" '
            'or "loop"'
        )
    return ""


@lru_cache(maxsize=4)
def backend_of(scenario: Scenario) -> str:
    """The back end that all sites use: it follows from model, loss and image size alone."""
    return _choose(scenario, initial_model(scenario))


def _choose(scenario: Scenario, model: nn.Module) -> str:
    mechanism = scenario.privacy.mechanism
    training_mode(model, scenario.federation.batch_norm == "frozen")
    loss = partial(scenario.training.loss, class_counts=None)
    several = mechanism.unit == "patient" or mechanism.multiplicity > 1  # gradients are summed before the clip
    return chosen_backend(mechanism.backend, model, loss, scenario.model_task, several)
