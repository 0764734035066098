"""What every robust rule checks before it reads a row."""

from typing import Annotated

from pydantic import Field

from medfed.errors import QuorumError
from medfed.registry import name_of
from robustness.aggregation.contract import RobustAggregator, Rows

NumByzantine = Annotated[int, Field(ge=0)]
"""f: how many updates of a round may be anything at all. An assumption of the user, so it has no default."""

Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
"""A number above 0."""


def require_updates(rule: RobustAggregator, rows: Rows) -> None:
    """Refuse a round with fewer updates than the guarantee of ``rule`` needs.

    Raises:
        QuorumError: names the rule, what it needs, what there is and what to do.
    """
    least, found = rule.min_updates(), len(rows.sites)
    if found < least:
        raise QuorumError(
            f'key "federation.aggregator": "{name_of("aggregator", rule)}" as {rule} expected at least {least} updates '
            f"in a round; got {found}; let more sites take part, or give it fields with which it needs fewer"
        )
