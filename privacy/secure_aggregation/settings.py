"""What a scenario says of secure aggregation (``federation.secure_aggregation``)."""

import math
from typing import Annotated, ClassVar, Literal

from pydantic import Field

from medfed.registry import plugin
from privacy.secure_aggregation.degree import Degree, smallest_degree


@plugin
class Unmasked:
    """The server receives every site's update as it is."""

    is_on: ClassVar[bool] = False

    def least_sites(self, num_sites: int) -> int:
        """One: the quorum alone says."""
        return min(1, num_sites)


@plugin
class SecAggPlus:
    """The server receives masked updates, which open to their sum only.

    Attributes:
        clip: largest magnitude of a value of an update; a larger one is cut there, and counted.
        bits: of every value that travels; the sum is exact modulo 2^bits.
        dropout: share of a round's sites that may drop out before the sum is lost.
        colluding: share of the sites that may show the server all that they see.
        security_bits: a site's update is safe but with probability 2^-security_bits.
        robustness_bits: a sum is lost within ``dropout`` with probability 2^-robustness_bits at most.
    """

    is_on: ClassVar[bool] = True

    clip: Annotated[float, Field(gt=0.0, le=1e6)] = 1.0
    bits: Literal[32, 64] = 32
    dropout: Annotated[float, Field(ge=0.0, lt=0.5)] = 0.3
    colluding: Annotated[float, Field(ge=0.0, lt=0.5)] = 0.1
    security_bits: Annotated[int, Field(ge=1, le=128)] = 40
    robustness_bits: Annotated[int, Field(ge=1, le=128)] = 20

    def least_sites(self, num_sites: int) -> int:
        """How many of ``num_sites`` must deliver at least."""
        return num_sites - math.floor(self.dropout * num_sites)

    def degree(self, num_sites: int) -> Degree:
        """How many neighbours a site has among ``num_sites``, and how many of them open its masks.

        Raises:
            QuorumError: no graph of so few sites holds what is asked.
        """
        return smallest_degree(
            num_sites,
            math.floor(self.dropout * num_sites),
            math.floor(self.colluding * num_sites),
            self.security_bits,
            self.robustness_bits,
        )
