"""torchattacks as a back end behind a guard: adapted where it can be, refused with the reason where it cannot."""

from robustness.attacks.torchattacks_guard.catalogue import CATALOGUE, REFUSED
from robustness.attacks.torchattacks_guard.run import TorchAttack, run_torchattack

__all__ = ["CATALOGUE", "REFUSED", "TorchAttack", "run_torchattack"]
