"""Fields that several mechanisms have."""

from typing import Annotated

from pydantic import Field

Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
"""A number above 0."""
