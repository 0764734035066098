"""The sections that robustness brings to the audit."""

from robustness.adversarial import Adversarial
from robustness.poisoning import Poisoning

SECTIONS = {
    "adversarial": Adversarial,
    "poisoning": Poisoning,
}
