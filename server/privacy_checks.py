"""What ``[privacy]`` needs of a scenario: that all which leaves the sites is noised, and noise can be scaled to it."""

from collections.abc import Iterator

from torch import nn

from medfed.config import Scenario
from medfed.errors import ScenarioError
from medfed.models.initial import personal_entries
from medfed.registry import lookup, name_of, table
from privacy.ledger.budget import UNITS
from privacy.mechanisms.contract import ServerMechanism, TrainingMechanism
from privacy.training.scenario import model_misfit
from robustness.aggregation.contract import StreamingAggregator
from server.secure_checks import check_shared_noise


def check_privacy(scenario: Scenario, model: nn.Module) -> None:
    """Refuse a scenario whose privacy cannot be what it says.

    Args:
        scenario: with ``federation.sites`` filled in.
        model: its model.

    Raises:
        ScenarioError: names the key, the reason and what would work.
    """
    if scenario.privacy.is_on:
        found = _of_training if isinstance(scenario.privacy.mechanism, TrainingMechanism) else _of_the_model
        for misfit in (
            *_at_the_server(scenario),
            *_of_the_ledger(scenario),
            *check_shared_noise(scenario),
            *_anywhere(scenario),
            *found(scenario, model),
        ):
            raise ScenarioError(misfit)


def _at_the_server(scenario: Scenario) -> Iterator[str]:
    if not isinstance(scenario.privacy.mechanism, ServerMechanism):
        return
    name, federation = name_of("mechanism", scenario.privacy.mechanism), scenario.federation
    if not isinstance(federation.aggregator, StreamingAggregator):
        rule = name_of("aggregator", federation.aggregator)
        yield (
            f'key "federation.aggregator": how far one site can move {rule} is not bounded as its mean is, so that '
            f'noise cannot be scaled to it; expected "mean" with privacy.mechanism = "{name}", or "local" with {rule}'
        )
    if not getattr(federation.strategy, "post_processing", False):
        rule = name_of("strategy", federation.strategy)
        served = [each for each, cls in table("strategy").items() if getattr(cls, "post_processing", False)]
        yield (
            f'key "federation.strategy": {rule} uses more of the updates than the noised mean; expected, with '
            f'privacy.mechanism = "{name}", one of: {", ".join(sorted(served))}'
        )


def _of_the_ledger(scenario: Scenario) -> Iterator[str]:
    """Budgets that no site could keep."""
    privacy = scenario.privacy
    units = [unit for unit in UNITS if getattr(privacy.budget, unit) is not None]
    name, hidden = name_of("mechanism", privacy.mechanism), getattr(privacy.mechanism, "unit", "site")
    for key in [*(f"budget.{unit}" for unit in units), *(["ledger"] if privacy.ledger else [])]:
        if isinstance(privacy.mechanism, ServerMechanism):
            yield f'key "privacy.{key}": is for ledgers at the sites, but {name} adds noise at the server; take it out'
    for unit in units:
        if UNITS.index(unit) > UNITS.index(hidden):
            yield (
                f'key "privacy.budget.{unit}": {name} hides one {hidden}, which no epsilon of a {unit} follows from; '
                f"expected budget.{hidden}, or noise for a {unit}"
            )


def _anywhere(scenario: Scenario) -> Iterator[str]:
    strategy, evaluation = scenario.federation.strategy, scenario.evaluation
    if strategy.extras:
        name = name_of("strategy", strategy)
        yield (
            f'key "federation.strategy": {name} sends {", ".join(strategy.extras)} beside the update, a second release '
            "without noise; expected another strategy, e.g. fedavg"
        )
    if evaluation.patience or evaluation.keep == "best":
        yield (
            'key "evaluation": patience and keep = "best" choose a round by scores without noise, which tells of them; '
            'expected patience = 0 and keep = "last"'
        )
    least = 1.0 / len(scenario.training_sites)
    if scenario.privacy.delta >= least and not isinstance(scenario.privacy.mechanism, TrainingMechanism):
        yield (
            f'key "privacy.delta": {scenario.privacy.delta:g} allows a site to be published outright; expected less '
            f"than 1 / number of sites = {least:g}, e.g. 1e-5"
        )


def _of_the_model(scenario: Scenario, model: nn.Module) -> Iterator[str]:
    tracked = _running_statistics(model) - personal_entries(scenario, model)
    if tracked and scenario.federation.batch_norm != "frozen":
        yield (
            f'key "model": running statistics ({sorted(tracked)[0]}, ...) are sums over images that no clip bounds; '
            'expected norm = "group", or federation.batch_norm = "local" or "frozen"'
        )


def _of_training(scenario: Scenario, model: nn.Module) -> Iterator[str]:
    training, name = scenario.training, name_of("mechanism", scenario.privacy.mechanism)
    if not isinstance(training.trainer, lookup("trainer", "standard")):
        trainer = name_of("trainer", training.trainer)
        yield f'key "training.trainer": {trainer} has a loop of its own, which {name} replaces; expected "standard"'
    if name_of("adversarial_training", training.adversarial) != "none":
        yield f'key "training.adversarial": {name} clips gradients of images as they are; expected "none"'
    if training.precision != "float32":
        yield (
            f'key "training.precision": gradients of single images gain nothing from {training.precision}; '
            'expected "float32"'
        )
    if scenario.privacy.mechanism.multiplicity > 1 and not training.transforms:
        yield (
            'key "privacy.mechanism.multiplicity": averages over augmentations of an image, and there are none; '
            "expected 1, or training.transforms"
        )
    yield from _of_the_loss(scenario)
    if misfit := model_misfit(scenario, model):
        yield misfit


def _of_the_loss(scenario: Scenario) -> Iterator[str]:
    loss = scenario.training.loss
    for field in ("class_weights", "pos_weight"):
        found = getattr(loss, field, "none")
        if found == "balanced":
            yield (
                f'key "training.loss.{field}": "balanced" reads the counts of the site\'s own classes, which are told '
                'without noise by what it weighs; expected "none" or numbers'
            )
    if isinstance(getattr(loss, "class_weights", None), tuple) and scenario.task.kind == "classification":
        yield (
            'key "training.loss.class_weights": cancel out in the weighted mean over a single image; expected "none", '
            'or loss "bce" with a pos_weight'
        )


def _running_statistics(model: nn.Module) -> frozenset[str]:
    """State-dict names of the means of all layers that keep some: batch and instance normalization."""
    return frozenset(name for name in model.state_dict() if name.endswith("running_mean"))
