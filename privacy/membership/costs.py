"""What the section on membership costs, for an audit with a time budget."""

from medfed.audit.contract import AuditContext
from medfed.audit.costs import GRADIENT, Cost, pass_seconds
from privacy.membership.section import Membership

_CONTROL_STEP = 0.005
"""Seconds, whatever the run's model: of 400 images through two layers of 128 units, there and back."""


def membership(section: Membership, context: AuditContext) -> float:
    """Gradients of the shadows, on half of the images; every attacked image through every model; the control."""
    scenario, training = context.scenario, context.scenario.training
    sizes = [len(context.site(site).train) for site in scenario.training_sites]
    steps = training.local_steps
    trained = sum(steps * training.batch_size if steps else (training.local_epochs or 1) * n / 2 for n in sizes)
    attacked = sum(min(section.images, n) for n in sizes) * (section.shadows + 1)
    passes = section.shadows * training.rounds * trained * GRADIENT + attacked
    return float(passes * pass_seconds(context) + (section.shadows + 1) * section.control_steps * _CONTROL_STEP)


COST = Cost(
    membership,
    cheaper=({"images": 500},),
)
