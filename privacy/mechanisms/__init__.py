"""Mechanisms of differential privacy. One file each, one line here."""

from privacy.mechanisms.central import Central
from privacy.mechanisms.central_adaptive import CentralAdaptive
from privacy.mechanisms.distributed import Distributed
from privacy.mechanisms.dp_sgd import DPSGD
from privacy.mechanisms.local import Local
from privacy.mechanisms.unprotected import Unprotected

MECHANISMS = {
    "none": Unprotected,
    "central": Central,
    "central_adaptive": CentralAdaptive,
    "local": Local,
    "distributed": Distributed,
    "dp_sgd": DPSGD,
}
