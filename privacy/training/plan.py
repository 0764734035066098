"""How many steps a site's round has, and with which coin its units are drawn: from its number of units alone."""

from typing import NamedTuple

from medfed.sections import TrainingConfig
from medfed.training.local import steps_per_round
from privacy.mechanisms.contract import TrainingMechanism
from privacy.release import Release
from privacy.training.sampling import sampling_rate


class RoundPlan(NamedTuple):
    """``rate``: probability with which a unit is in a step."""

    num_steps: int
    rate: float


def round_plan(training: TrainingConfig, num_units: int) -> RoundPlan:
    """As many steps as plain training on so many images has; ``training.batch_size`` units are expected in each."""
    return RoundPlan(steps_per_round(training, num_units), sampling_rate(training.batch_size, num_units))


def round_release(mechanism: TrainingMechanism, training: TrainingConfig, num_units: int, round_number: int) -> Release:
    """What a site with so many units releases in a round."""
    plan = round_plan(training, num_units)
    return mechanism.steps_release(round_number, plan.rate, plan.num_steps)
