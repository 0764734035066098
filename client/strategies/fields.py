"""Bounds of fields that several client strategies have."""

from typing import Annotated

from pydantic import Field

Pull = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
"""Strength of a proximal term."""
