"""Ditto: a model of its own for every site, beside the global one (Li et al., ICML 2021, Algorithm 1).

The global model is federated averaging's. Besides, site k trains v_k on F_k(v) + lam / 2 ||v - w_t||^2, w_t the round's
global weights, keeps it, and is evaluated with it.
"""

from collections.abc import Mapping
from typing import Any

from medfed.registry import plugin
from server.strategies.fedavg import FedAvg
from server.strategies.fields import Pull


@plugin
class Ditto(FedAvg):
    """Federated averaging, and at each site a personal model that is pulled towards the global one.

    Attributes:
        lam: strength of the pull (lambda in the paper): 0 is training alone, large is the global model.
    """

    lam: Pull = 0.1

    def client(self) -> Mapping[str, Any]:
        """Local training twice: of the global and of the personal model."""
        return {"name": "ditto", "lam": self.lam}
