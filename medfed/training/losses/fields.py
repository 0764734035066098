"""Field types of losses that take a word or numbers."""

from collections.abc import Callable
from typing import Annotated, Any, Literal

from pydantic import Field, ValidationError, WrapValidator

Positive = Annotated[float, Field(gt=0.0, allow_inf_nan=False)]


def _expecting(expected: str) -> WrapValidator:
    """One line for a fault of a union, instead of one fault per member."""

    def validate(value: Any, handler: Callable[[Any], Any]) -> Any:
        try:
            return handler(value)
        except ValidationError:
            shown = list(value) if isinstance(value, tuple) else value
            raise ValueError(f"expected {expected}; got {shown!r}") from None

    return WrapValidator(validate)


ClassWeights = Annotated[
    Literal["none", "balanced"] | Annotated[tuple[Positive, ...], Field(min_length=2)],
    _expecting('"none", "balanced" or one number above 0 per class'),
]
"""``none``, ``balanced`` (n / (C n_c) from the site's own counts), or one weight per class."""

PositiveWeight = Annotated[Literal["none", "balanced"] | Positive, _expecting('"none", "balanced" or a number above 0')]
"""``none``, ``balanced`` (negatives over positives at the site), or the weight of the second class."""
