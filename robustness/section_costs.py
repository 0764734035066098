"""What the sections of robustness cost, for an audit with a time budget."""

from medfed.audit.contract import AuditContext
from medfed.audit.costs import GRADIENT, Cost, num_tests, pass_seconds
from robustness.adversarial import Adversarial
from robustness.poisoning import Poisoning

_CLIMBS = 5
"""Of ``segmentation_steps`` gradients each, over the losses of the worst case of a segmentation."""

_ENSEMBLE = 0.3
"""Share of the ensemble's steps that an image takes on average, as those that are fooled leave early."""


def adversarial(section: Adversarial, context: AuditContext) -> float:
    """Passes of the attack at every level and at the control; noise and checks are small beside them."""
    levels = len({*section.curve, section.eps_grey_levels}) + 1
    if context.task.kind == "segmentation":
        images, passes = section.segmentation_images, _CLIMBS * section.segmentation_steps * GRADIENT
    else:
        steps = section.steps * (1 + section.restarts) + context.task.num_classes * 20
        images, passes = section.images, round(_ENSEMBLE * (steps * GRADIENT + section.queries))
    return num_tests(context, images) * passes * levels * pass_seconds(context)


def poisoning(section: Poisoning, context: AuditContext) -> float:
    """Every update on the server's images, twice; and the federation once more, where malicious sites took part."""
    scenario = context.scenario
    updates = len(scenario.recorded_rounds) * len(scenario.training_sites)
    passes = float(2 * updates * num_tests(context, section.images))
    if scenario.malicious_sites and section.compare:
        training = scenario.training
        epochs = training.local_epochs or 1
        trained = sum(
            training.local_steps * training.batch_size if training.local_steps else epochs * len(context.site(s).train)
            for s in scenario.training_sites
        )
        passes += float(training.rounds * trained * GRADIENT)
    return passes * pass_seconds(context)


COSTS = {
    "adversarial": Cost(
        adversarial,
        cheaper=(
            {"curve": (4.0, 8.0)},
            {"curve": (8.0,), "images": 128, "segmentation_images": 16},
            {"curve": (8.0,), "images": 64, "segmentation_images": 8},
            {"curve": (8.0,), "images": 32, "segmentation_images": 6},
        ),
    ),
    "poisoning": Cost(poisoning, cheaper=({"images": 50}, {"images": 25}, {"images": 25, "compare": False})),
}
