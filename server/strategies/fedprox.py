"""FedProx: federated averaging of proximal local training (Li et al., MLSys 2020, Algorithm 2).

Each site minimizes F_k(w) + mu / 2 ||w - w_t||^2, w_t the round's global weights, by the steps of the scenario; the
paper's variable amount of work is ``training.local_epochs`` at sites of different sizes.
"""

from collections.abc import Mapping
from typing import Any

from medfed.registry import plugin
from server.strategies.fedavg import FedAvg
from server.strategies.fields import Pull


@plugin
class FedProx(FedAvg):
    """The sites train with a pull towards the round's global weights; the server averages.

    Attributes:
        mu: strength of the pull; 0 is federated averaging. The paper tries 0.001, 0.01, 0.1 and 1.
    """

    mu: Pull = 0.01

    def client(self) -> Mapping[str, Any]:
        """Proximal local training."""
        return {"name": "proximal", "mu": self.mu}
