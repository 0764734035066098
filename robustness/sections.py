"""The sections that robustness brings to the audit."""

from robustness.adversarial import Adversarial

SECTIONS = {
    "adversarial": Adversarial,
}
