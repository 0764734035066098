"""Fields that several behaviours have."""

from typing import Annotated

from pydantic import Field

Factor = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]
"""A factor above 0."""

Share = Annotated[float, Field(gt=0.0, le=1.0)]
"""A share of a site's training images."""
