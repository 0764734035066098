"""How many sites must deliver, and what is said where too few did."""

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from medfed.errors import QuorumError
from medfed.results import Failure

_ROUNDING = 1e-9  # 0.55 * 100 is 55.00000000000001 in floating point, and 55 of 100 are enough
_TOLD = 3  # failures in a message; all of them are on the console


def required(quorum: float, num_sites: int) -> int:
    """The least number of sites out of ``num_sites`` that meets the share ``quorum``; at least one."""
    return max(1, math.ceil(quorum * num_sites - _ROUNDING))


def require_quorum(
    quorum: float, round_number: int, num_delivered: int, num_chosen: int, failed: Sequence[Failure]
) -> None:
    """Refuse a round in which too few of the ``num_chosen`` sites delivered.

    Raises:
        QuorumError: names who failed, why and what to do.
    """
    if num_delivered < required(quorum, num_chosen):
        raise QuorumError(
            f"round {round_number}: only {num_delivered} of {num_chosen} sites delivered "
            f"(federation.quorum = {quorum:g}){_causes(failed)}"
        )


@contextmanager
def naming_failures(round_number: int, failed: Sequence[Failure]) -> Iterator[None]:
    """Say of an aggregator that has too few updates in which round that was, and whose are missing.

    Raises:
        QuorumError: as :func:`require_quorum`, in the place of one inside the block.
    """
    try:
        yield
    except QuorumError as error:
        raise QuorumError(f"round {round_number}: {error}{_causes(failed)}") from error


def _causes(failed: Sequence[Failure]) -> str:
    """Who failed, to be appended to a message."""
    if not failed:
        return ""
    told = "; ".join(f"{failure.site}: {failure.cause}, {failure.remedy}" for failure in failed[:_TOLD])
    more = f"; and {len(failed) - _TOLD} more" if len(failed) > _TOLD else ""
    return f"; failed: {told}{more}"
