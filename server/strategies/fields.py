"""Bounds of fields that several strategies have."""

from typing import Annotated

from pydantic import Field

ServerRate = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
"""A learning rate at the server: what the aggregate is multiplied by."""

Decay = Annotated[float, Field(ge=0.0, lt=1.0)]
"""How much of a moment is kept from round to round."""

Pull = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
"""Strength of a proximal term."""
