"""What the section on gradient inversion costs, for an audit with a time budget."""

import copy
import math

from medfed.audit.contract import AuditContext
from medfed.audit.costs import FLOPS, GRADIENT, Cost, pass_seconds
from medfed.registry import build
from medfed.training.local import steps_per_round
from privacy.inversion.layer_inputs import Place
from privacy.inversion.local_steps import plain
from privacy.inversion.row_space import PER_CHECK, RowSpace, places_to_read
from privacy.leakage.default import ATTACK
from privacy.leakage.observed import noised
from privacy.leakage.section import GradientInversion

DOUBLE_BACKWARD = 9
"""Passes that an evaluation takes for an image: there, back, and back through both (8.4 of a U-Net, 8 at a time)."""

EVALUATION = 0.03
"""Seconds of an evaluation besides, for the weights, in every step. With both, the estimate of the bundled classifier
is 108 s by the full settings and 48 s with one update and 300 iterations; on one core it took 106 and 44."""

DESCENT = 0.003
"""Seconds of a step of ``row_space`` on its image besides the passes through the layers below. The estimate of an image
is 4.5 s of the bundled classifier at 28 pixels and 25 s of the U-Net at 64; on a busy core it took 6 and 33."""


def gradient_inversion(section: GradientInversion, context: AuditContext) -> float:
    """All attacks on updates and on both controls; nothing where nothing was recorded."""
    if not context.scenario.recorded_rounds:
        return 0.0
    attack = section.inversion or build("inversion", {"name": ATTACK})
    place = _read(attack, context)
    if place is not None:
        return (section.updates + section.control_images) * _row_space(attack, section, context, place)
    steps, images = _simulated(section, context)
    again = section.updates if noised(context.scenario) else 0
    evaluations = (section.updates + again) * steps + section.control_images
    passes = (section.updates + again) * images + section.control_images
    one = pass_seconds(context)
    return section.max_iterations * (evaluations * EVALUATION + passes * DOUBLE_BACKWARD * one)


def _simulated(section: GradientInversion, context: AuditContext) -> tuple[int, int]:
    """Steps of an update that are simulated, and images that are shown in them; of the site with the most images."""
    training = context.scenario.training
    held = max((len(context.site(name).train) for name in context.scenario.training_sites), default=1)
    steps, batches = steps_per_round(training, held), -(-held // training.batch_size)
    taken = min(held, steps * training.batch_size)
    if taken * -(-steps // batches) <= section.slots and steps <= section.most_steps:
        return steps, steps * min(training.batch_size, held)
    return 1, min(taken, section.slots)


def _read(attack: object, context: AuditContext) -> Place | None:
    """The layer that ``row_space`` reads, where it is that on every update: one image, one step of plain SGD."""
    training = context.scenario.training
    alone = training.batch_size == 1 and training.local_steps == 1 and plain(training.optimizer)
    if not isinstance(attack, RowSpace) or context.module is None or not alone or noised(context.scenario):
        return None
    model, task = copy.deepcopy(context.module).float().eval().requires_grad_(False), context.task
    shape = (task.channels, task.image_size, task.image_size)
    return next(places_to_read(model, shape, attack.most_inputs), None)


def _row_space(attack: RowSpace, section: GradientInversion, context: AuditContext, place: Place) -> float:
    """A Cholesky factor of a matrix as large as the layer's input, the descent, and an evaluation now and then."""
    one, size = pass_seconds(context), math.prod(place.shape)
    checks = min(section.max_iterations, -(-attack.steps // PER_CHECK))
    descent = checks * PER_CHECK * (DESCENT + GRADIENT * one)
    masks = attack.mask_iterations if context.task.kind == "segmentation" and not section.labels else 0
    return size**3 / FLOPS + descent + (checks + masks) * (EVALUATION + DOUBLE_BACKWARD * one)


COST = Cost(
    gradient_inversion,
    cheaper=(
        {"max_iterations": 300},
        {"updates": 1, "max_iterations": 300},
        {"updates": 1, "max_iterations": 300, "slots": 4},
    ),
)
