"""FedYogi (Reddi et al., ICLR 2021, Algorithm 2): v <- v - (1 - beta2) D^2 sign(v - D^2).

See :mod:`server.strategies.adaptive`.
"""

from torch import Tensor

from medfed.registry import plugin
from server.strategies.adaptive import Adaptive
from server.strategies.fields import Decay


@plugin
class FedYogi(Adaptive):
    """The server steps by Yogi: the second moment moves by what came, however large it has become.

    Attributes:
        beta2: share of D^2 by which the second moment does not move.
    """

    beta2: Decay = 0.99

    def second_moment(self, old: Tensor, square: Tensor) -> Tensor:
        """V - (1 - beta2) D^2 sign(v - D^2), which stays above zero."""
        return old - (1.0 - self.beta2) * square * (old - square).sign()
