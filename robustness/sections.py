"""The sections that robustness brings to the audit, and what they cost."""

from robustness.adversarial import Adversarial
from robustness.poisoning import Poisoning
from robustness.section_costs import COSTS
from robustness.shortcuts import Shortcuts

__all__ = ["COSTS", "SECTIONS"]

SECTIONS = {
    "adversarial": Adversarial,
    "poisoning": Poisoning,
    "shortcuts": Shortcuts,
}
