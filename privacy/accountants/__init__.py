"""Accountants: from releases to epsilon. One file each, one line here."""

from privacy.accountants.contract import Accountant, Composition
from privacy.accountants.pld import Pld
from privacy.accountants.prv import Prv
from privacy.accountants.rdp import Rdp

ACCOUNTANTS = {"pld": Pld, "prv": Prv, "rdp": Rdp}

TIGHTEST = Pld()
"""What is used where nobody asks for another."""


def covering(composition: Composition, accountant: Accountant) -> Accountant:
    """``accountant``; the tightest for sampled units under the replace relation, of which others know little."""
    sampled = any(steps.sampling_rate < 1.0 for steps in composition.steps)
    return TIGHTEST if composition.replace and sampled else accountant
