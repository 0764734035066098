"""How many sites must deliver."""

import math

_ROUNDING = 1e-9  # 0.55 * 100 is 55.00000000000001 in floating point, and 55 of 100 are enough


def required(quorum: float, num_sites: int) -> int:
    """The least number of sites out of ``num_sites`` that meets the share ``quorum``; at least one."""
    return max(1, math.ceil(quorum * num_sites - _ROUNDING))
