"""What the section on gradient inversion costs, for an audit with a time budget."""

from medfed.audit.contract import AuditContext
from medfed.audit.costs import Cost, pass_seconds
from privacy.leakage.section import GradientInversion

DOUBLE_BACKWARD = 22
"""Passes that an evaluation takes for an image: there, back, and back through both, of a few images at a time. So many
make the estimate that of the bundled classifier, 106 seconds on one core; 7 to 12 would do in large batches."""


def gradient_inversion(section: GradientInversion, context: AuditContext) -> float:
    """All evaluations of the attacks and of the control; nothing where nothing was recorded."""
    if not context.scenario.recorded_rounds:
        return 0.0
    images = section.updates * section.slots + section.control_images
    return images * section.max_iterations * DOUBLE_BACKWARD * pass_seconds(context)


COST = Cost(
    gradient_inversion,
    cheaper=(
        {"max_iterations": 300},
        {"updates": 1, "max_iterations": 300},
        {"updates": 1, "max_iterations": 300, "slots": 4},
    ),
)
