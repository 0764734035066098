"""What is checked before a simulation writes anything: data, sites, and that the model takes the images."""

import torch

from medfed.config import Scenario
from medfed.data.dataset import Dataset, open_dataset
from medfed.data.location import resolve_path
from medfed.errors import ScenarioError
from medfed.models.initial import initial_model
from medfed.tracking.enforcer import check_trackers
from server.scenario_checks import check_federation
from simulations.adversary import check_adversary
from simulations.vectorise import check_vectorise


def check_inputs(scenario: Scenario) -> tuple[Scenario, Dataset]:
    """Open the data, fill in ``federation.sites``, and see that the model takes the images.

    Raises:
        ScenarioError, DataError: something does not fit.
    """
    check_trackers(scenario.tracking.trackers)
    if not scenario.data.path:
        raise ScenarioError('key "data.path": is missing; a simulation needs a manifest (.csv) or MedMNIST file (.npz)')
    dataset = open_dataset(resolve_path(scenario.data.path), scenario.data, scenario.model_task, scenario.seed)
    for key in ("sites", "leave_out"):
        unknown = sorted(set(getattr(scenario.federation, key)) - set(dataset.sites))
        if unknown:
            known = ", ".join(dataset.sites)
            raise ScenarioError(f'key "federation.{key}": no site "{", ".join(unknown)}"; the data have: {known}')
    expected = set(scenario.federation.sites) or set(dataset.sites)
    num_training = len(expected - set(scenario.federation.leave_out))
    if not num_training:
        remedy = f"take out one of: {', '.join(sorted(expected))}"
        raise ScenarioError(f'key "federation.leave_out": leaves no site to train at; {remedy}')
    if scenario.federation.sites_per_round > num_training:
        got = f"got {scenario.federation.sites_per_round}"
        raise ScenarioError(f'key "federation.sites_per_round": expected 1 to {num_training}, or 0 for all; {got}')
    _try_model(scenario)
    sites = tuple(sorted(expected))
    federation = scenario.federation.model_copy(update={"sites": sites})
    complete = scenario.model_copy(update={"federation": federation})
    check_together(complete)
    return complete, dataset


def check_together(scenario: Scenario) -> None:
    """See that sites, strategy, aggregator, model and engine go together; ``federation.sites`` is filled in.

    Raises:
        ScenarioError: names the key.
    """
    check_adversary(scenario)
    model = initial_model(scenario)
    check_federation(scenario, model)
    check_vectorise(scenario, model)


def _try_model(scenario: Scenario) -> None:
    """One forward pass of one black image, before anything is written."""
    task = scenario.model_task
    try:
        with torch.random.fork_rng(devices=[]), torch.no_grad():
            model = scenario.model(task).eval()
            shape = tuple(model(torch.zeros(1, task.channels, task.image_size, task.image_size)).shape)
    except Exception as error:  # a model may be a user's own: whatever it raises, the scenario names it
        size = f"{task.channels} x {task.image_size} x {task.image_size}"
        raise ScenarioError(f'key "model": does not take {size} images: {type(error).__name__}: {error}') from error
    expected = (
        (1, task.num_outputs)
        if task.kind == "classification"
        else (1, task.num_outputs, task.image_size, task.image_size)
    )
    if shape != expected:
        raise ScenarioError(f'key "model": gives outputs of shape {shape}, but the task needs {expected}')
