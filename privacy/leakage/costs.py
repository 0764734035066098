"""What the section on gradient inversion costs, for an audit with a time budget."""

from medfed.audit.contract import AuditContext
from medfed.audit.costs import Cost, pass_seconds
from privacy.leakage.section import GradientInversion

DOUBLE_BACKWARD = 9
"""Passes that an evaluation takes for an image: there, back, and back through both (8.4 of a U-Net, 8 at a time)."""

EVALUATION = 0.03
"""Seconds of an evaluation besides, for the weights. With both, the estimate of the bundled classifier is 108 s by the
full settings and 48 s with one update and 300 iterations; on one core it took 106 and 44."""


def gradient_inversion(section: GradientInversion, context: AuditContext) -> float:
    """All evaluations of the attacks and of the control; nothing where nothing was recorded."""
    if not context.scenario.recorded_rounds:
        return 0.0
    evaluations = (section.updates + section.control_images) * section.max_iterations
    images = (section.updates * section.slots + section.control_images) * section.max_iterations
    return evaluations * EVALUATION + images * DOUBLE_BACKWARD * pass_seconds(context)


COST = Cost(
    gradient_inversion,
    cheaper=(
        {"max_iterations": 300},
        {"updates": 1, "max_iterations": 300},
        {"updates": 1, "max_iterations": 300, "slots": 4},
    ),
)
