"""How many neighbours a site needs, and how many of them must answer (Bell et al., CCS 2020, section 3.4).

In a random k-regular graph of n sites, d of which drop out and c of which collude with the server, three things must
not happen; the graph is drawn independently of who these are:

    secrecy       some site has c_i >= 2 t - k colluding neighbours: they and a server that asks half of the honest ones
                  for the site's own mask and half for its key to the others would get t shares of both
    connection    the sites that are left are not connected: the server would see sums over parts of them
    recovery      some site has less than t neighbours that are left: its masks cannot be taken off

c_i and the neighbours left are hypergeometric; their tails are computed, not bounded, and multiplied by n (union
bound). A circle in which everyone holds hands with k/2 sites on either side falls apart only where k/2 sites in a row
are gone; n times the probability of one such row bounds it. Among few sites everyone is a neighbour of everyone, and
nothing is left to chance.
"""

from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from scipy import stats

from medfed.errors import QuorumError

LEAST_SITES = 3
"""A sum of two shows each of the two what the other sent."""


@dataclass(frozen=True)
class Degree:
    """Every site has ``neighbours``; ``threshold`` shares open a secret of its own."""

    neighbours: int
    threshold: int


@lru_cache(maxsize=32)
def smallest_degree(
    num_sites: int, num_dropouts: int, num_colluding: int, security_bits: int, robustness_bits: int
) -> Degree:
    """The fewest neighbours for which nothing above happens, but with probability 2^-bits.

    Args:
        num_sites: n.
        num_dropouts: d.
        num_colluding: c.
        security_bits: of secrecy and connection together.
        robustness_bits: of recovery.

    Raises:
        QuorumError: no number is enough, or less than 3 sites would be left.
    """
    left = num_sites - num_dropouts
    if left >= LEAST_SITES:
        for degree in (*range(2, num_sites - 1, 2), num_sites - 1):
            thresholds = np.arange(1, degree + 1)
            unsafe = _unconnected(num_sites, num_dropouts + num_colluding, degree) + _exposed(
                num_sites, num_colluding, degree, thresholds
            )
            lost = num_sites * stats.hypergeom.cdf(thresholds - 1, num_sites - 1, left - 1, degree)
            good = thresholds[(unsafe <= 2.0**-security_bits) & (lost <= 2.0**-robustness_bits)]
            if good.size:
                return Degree(degree, int(good[0]))
    raise QuorumError(
        f"secure aggregation: {num_sites} sites, of which {num_dropouts} may drop out and {num_colluding} may collude, "
        f"are too few: expected {LEAST_SITES} to be left, and more neighbours left than could open two secrets of one "
        "site; lower its dropout or colluding, or ask more sites"
    )


def _exposed(num_sites: int, num_colluding: int, degree: int, thresholds: NDArray[np.int64]) -> NDArray[np.float64]:
    """At most this is the probability that colluding neighbours help to open both secrets of some site."""
    tail: NDArray[np.float64] = stats.hypergeom.sf(2 * thresholds - degree - 1, num_sites - 1, num_colluding, degree)
    return num_sites * tail


def _unconnected(num_sites: int, num_gone: int, degree: int) -> float:
    """At most this is the probability that sites which are left are cut off from each other."""
    if degree == num_sites - 1:
        return 0.0
    in_a_row = np.arange(degree // 2)
    return float(num_sites * np.prod(np.clip(num_gone - in_a_row, 0, None) / (num_sites - in_a_row)))
