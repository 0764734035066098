"""Fields that several mechanisms have."""

from typing import Annotated

from pydantic import Field

Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
"""A number above 0."""

Multiplier = Annotated[float, Field(ge=1e-9, allow_inf_nan=False)]
"""A noise multiplier; less noise than its least is none, and epsilon then has no sensible number."""
