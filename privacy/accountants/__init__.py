"""Accountants: from releases to epsilon. One file each, one line here."""

from privacy.accountants.pld import Pld
from privacy.accountants.prv import Prv
from privacy.accountants.rdp import Rdp

ACCOUNTANTS = {"pld": Pld, "prv": Prv, "rdp": Rdp}

TIGHTEST = Pld()
"""What is used where nobody asks for another."""
