"""The sections that privacy brings to the audit, and what they cost."""

from privacy.leakage.costs import COST as INVERSION_COST
from privacy.leakage.section import GradientInversion
from privacy.membership.costs import COST as MEMBERSHIP_COST
from privacy.membership.section import Membership

SECTIONS = {"gradient_inversion": GradientInversion, "membership": Membership}

COSTS = {"gradient_inversion": INVERSION_COST, "membership": MEMBERSHIP_COST}
