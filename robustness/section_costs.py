"""What the sections of robustness cost, for an audit with a time budget."""

from medfed.audit.contract import AuditContext
from medfed.audit.costs import GRADIENT, Cost, num_tests, pass_seconds, training_passes
from robustness.adversarial import CHECKED, CONTROLS, Adversarial
from robustness.poisoning import Poisoning
from robustness.shortcuts import Shortcuts

_CLIMBS = 5
"""Of ``segmentation_steps`` gradients each, over the losses of the worst case of a segmentation."""

_ENSEMBLE = 0.3
"""Share of the ensemble's steps that an image takes on average, as those that are fooled leave early."""

_CHECKS = 100
"""Passes of an image in all checks together: 20 steps at six budgets, which most images leave early, and noise."""


def adversarial(section: Adversarial, context: AuditContext) -> float:
    """Passes of the attack at every level, at the control, and of the checks."""
    levels = len({*section.curve, section.eps_grey_levels})
    if context.task.kind == "segmentation":
        images, passes = section.segmentation_images, _CLIMBS * section.segmentation_steps * GRADIENT
    else:
        steps = section.steps * (1 + section.restarts) + context.task.num_classes * 20
        images, passes = section.images, round(_ENSEMBLE * (steps * GRADIENT + section.queries))
    number = num_tests(context, images)
    attacked = number * levels + min(number, CONTROLS)
    return (attacked * passes + min(number, CHECKED) * _CHECKS) * pass_seconds(context)


def poisoning(section: Poisoning, context: AuditContext) -> float:
    """Every update on the server's images, twice; and the federation once more, where malicious sites took part."""
    scenario = context.scenario
    updates = len(scenario.recorded_rounds) * len(scenario.training_sites)
    passes = float(2 * updates * num_tests(context, section.images))
    if scenario.malicious_sites and section.compare:
        passes += training_passes(scenario, {site: len(context.site(site).train) for site in scenario.training_sites})
    return passes * pass_seconds(context)


def shortcuts(section: Shortcuts, context: AuditContext) -> float:
    """Three passes of an image; segmentation is not served."""
    served = context.task.kind == "classification"
    return 3 * num_tests(context, section.images) * pass_seconds(context) if served else 0.0


COSTS = {
    "adversarial": Cost(
        adversarial,
        cheaper=(
            {"curve": (2.0, 8.0)},
            {"curve": (8.0,)},
            {"curve": (8.0,), "images": 128, "segmentation_images": 16},
            {"curve": (8.0,), "images": 64, "segmentation_images": 8},
            {"curve": (8.0,), "images": 32, "segmentation_images": 6},
        ),
    ),
    "poisoning": Cost(poisoning, cheaper=({"images": 50}, {"images": 25}, {"images": 25, "compare": False})),
    "shortcuts": Cost(shortcuts),
}
