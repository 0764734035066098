"""What the section on membership costs, for an audit with a time budget."""

from medfed.audit.contract import AuditContext
from medfed.audit.costs import Cost, num_tests, pass_seconds, training_passes
from privacy.membership.properties import OWN_IMAGES
from privacy.membership.roc import enough
from privacy.membership.section import Membership

_CONTROL_STEP = 0.005
"""Seconds, whatever the run's model: of 400 images through two layers of 128 units, there and back."""

_START = 5.0
"""Seconds of a shadow besides its training: processes start, and data are read."""


def membership(section: Membership, context: AuditContext) -> float:
    """Shadows, attacks and control, and what updates betray of labels.

    The former cost nothing where there are too few images that nobody trained on: the section says so, and trains none.
    """
    sites = context.scenario.training_sites if context.trained_here else ()
    others = sum(len({*context.site(site).val.patients}) for site in sites)
    attacks = _attacks(section, context) if enough(others, section.fpr) else 0.0
    return attacks + _label_shares(section, context) * pass_seconds(context)


def _attacks(section: Membership, context: AuditContext) -> float:
    """Training of the shadows, on half of the images; every attacked image through every model; the control."""
    scenario = context.scenario
    sizes = {site: len(context.site(site).train) for site in scenario.training_sites}
    trained = training_passes(scenario, {site: size / 2 for site, size in sizes.items()})
    attacked = sum(min(section.images, size) for size in sizes.values()) * (section.shadows + 1)
    shadows = section.shadows * (trained * pass_seconds(context) + _START)
    control = (section.shadows + 1) * section.control_steps * _CONTROL_STEP
    return float(shadows + attacked * pass_seconds(context) + control)


def _label_shares(section: Membership, context: AuditContext) -> float:
    """Passes of the updates that the attacker trains: so many for every recorded round and number of steps."""
    scenario = context.scenario
    if context.task.kind != "classification" or not context.trained_here:
        return 0.0
    sizes = {len(context.site(site).train): site for site in scenario.training_sites}
    of_round = training_passes(scenario, {site: float(size) for size, site in sizes.items()}) / scenario.training.rounds
    moved = len(sizes) * num_tests(context, OWN_IMAGES)
    return len(scenario.recorded_rounds) * section.label_draws * (of_round + moved)


COST = Cost(
    membership,
    cheaper=({"images": 500}, {"images": 500, "label_draws": 6}, {"images": 500, "label_draws": 4}),
)
