"""What ``engine.vectorise`` needs of a scenario: that training a batch of sites differs by last bits only."""

from collections.abc import Iterator

import torch
from torch import Tensor, nn
from torch.func import functional_call, vmap

from client.local import client_strategy
from client.strategies.plain import Plain
from client.trainers.standard import Standard
from medfed import registry
from medfed.config import Scenario
from medfed.errors import ScenarioError
from medfed.models.entries import batch_norm_entries, freeze_batch_norm
from privacy.mechanisms.contract import TrainingMechanism

_OFF = "or engine.vectorise = 0"


def check_vectorise(scenario: Scenario, model: nn.Module) -> None:
    """Refuse a scenario with ``engine.vectorise`` above 1 whose sites cannot be trained in batches.

    Args:
        scenario: any.
        model: its model.

    Raises:
        ScenarioError: names what stands against it.
    """
    if scenario.engine.vectorise > 1:
        for misfit in (*_misfits(scenario), *_model_misfits(scenario, model)):
            raise ScenarioError(f'key "engine.vectorise": {misfit}')


def refuse_batches(scenario: Scenario) -> None:
    """Refuse ``engine.vectorise`` above 1 where sites train on several machines.

    Raises:
        ScenarioError: names the key.
    """
    if scenario.engine.vectorise > 1:
        raise ScenarioError(f'key "engine.vectorise": Ray trains one site at a time; leave out --engine ray, {_OFF}')


def _misfits(scenario: Scenario) -> Iterator[str]:
    training = scenario.training
    if scenario.adversary.sites:
        yield f"malicious sites ([adversary]) are trained one at a time; expected adversary.sites = 0, {_OFF}"
    if type(training.trainer) is not Standard:
        name = registry.name_of("trainer", training.trainer)
        yield f'the trainer "{name}" trains one site at a time; expected training.trainer = "standard", {_OFF}'
    if registry.name_of("adversarial_training", training.adversarial) != "none":
        yield f'adversarial training takes one site at a time; expected training.adversarial = "none", {_OFF}'
    if isinstance(scenario.privacy.mechanism, TrainingMechanism):
        name = registry.name_of("mechanism", scenario.privacy.mechanism)
        yield f'"{name}" clips gradients of single images, one site at a time; expected another mechanism, {_OFF}'
    if type(client_strategy(scenario)) is not Plain:
        name = registry.name_of("strategy", scenario.federation.strategy)
        yield f'the strategy "{name}" does more at a site than local training; expected another, e.g. "fedavg", {_OFF}'
    if not getattr(training.optimizer, "elementwise", False):
        name = registry.name_of("optimizer", training.optimizer)
        yield f'the optimizer "{name}" does not say elementwise = True; expected "sgd", "adamw", {_OFF}'
    if training.precision != "float32":
        yield f'stacked layers do not keep training.precision "{training.precision}"; expected "float32", {_OFF}'


def _model_misfits(scenario: Scenario, model: nn.Module) -> Iterator[str]:
    dropouts = [module for module in model.modules() if isinstance(module, nn.modules.dropout._DropoutNd)]
    if any(module.p > 0 for module in dropouts):
        yield f"the model has dropout, whose draws would differ; expected model.dropout = 0.0, {_OFF}"
    if batch_norm_entries(model) and scenario.federation.batch_norm != "frozen":
        yield (
            "the model has BatchNorm layers, whose statistics mix images; expected federation.batch_norm = "
            f'"frozen", model.norm = "group", {_OFF}'
        )
    elif len(list(model.parameters())) != len(list(model.named_parameters(remove_duplicate=False))):
        yield f"the model uses one tensor under two names; expected separate tensors, {_OFF}"
    elif fault := _trial(scenario, model):
        yield f"{fault}; expected another model, {_OFF}"


def _trial(scenario: Scenario, model: nn.Module) -> str:
    """What goes wrong where two sites run two images each, against one image each; empty if nothing does."""
    task = scenario.model_task
    weights = {name: torch.stack([value.detach()] * 2) for name, value in model.state_dict().items()}
    pixels = torch.linspace(0.0, 1.0, 4 * task.channels * task.image_size**2)
    images = pixels.reshape(2, 2, task.channels, task.image_size, task.image_size)
    model.train()
    freeze_batch_norm(model)

    def outputs(given: Tensor) -> Tensor:
        found: Tensor = vmap(lambda of_site, batch: functional_call(model, of_site, (batch,)))(weights, given)
        return found

    try:
        with torch.no_grad():
            alone = torch.cat([outputs(images[:, :1]), outputs(images[:, 1:])], dim=1)
            same = torch.allclose(outputs(images), alone, rtol=1e-3, atol=1e-4)
    except Exception as fault:  # a model may be a user's own
        return f"torch.func.vmap cannot run the model: {type(fault).__name__}: {' '.join(str(fault).split())[:200]}"
    return "" if same else "the model's output for an image depends on the other images of its batch"
