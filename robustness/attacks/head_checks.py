"""What every head checks before it reads an output or labels."""

from jaxtyping import Int
from torch import Tensor, int64

from medfed.errors import MedfedError

UNKNOWN = -1
"""A label that nobody knows, in a multi-label table or a mask: never attacked, never counted."""


class HeadError(MedfedError):
    """The model's output or the labels are not what the head says they are."""


def indices(labels: Tensor, num_choices: int, head: object) -> Int[Tensor, "..."]:
    """Labels as int64, whatever dtype they came in.

    Raises:
        HeadError: a value is neither a choice nor unknown.
    """
    found = labels.to(int64)
    wrong = (found != labels) | (found < UNKNOWN) | (found >= num_choices)
    if bool(wrong.any()):
        value = labels[wrong].flatten()[0].item()
        raise HeadError(
            f"labels of {head}: expected whole numbers 0 to {num_choices - 1} (or {UNKNOWN} for unknown); got "
            f"{value:g} in row {int(wrong.nonzero()[0, 0])}"
        )
    return found


def class_index(target: int | None, number: int, head: object) -> int:
    """``target``, if it is one of ``number`` classes or findings.

    Raises:
        HeadError: it is not, or is not set.
    """
    if target is None or not 0 <= target < number:
        raise HeadError(f"target of {head}: expected 0 to {number - 1}; got {target}; set target in the threat model")
    return target


def expect_shape(holds: bool, head: object, what: str, found: Tensor) -> None:
    """Refuse an output, or labels, of a shape that ``head`` does not read.

    Raises:
        HeadError: ``holds`` is false; says what the head reads and what was found.
    """
    if not holds:
        form = " ".join((type(head).__doc__ or "").split())
        raise HeadError(f"{what} of {head}: expected {form} Got shape {tuple(found.shape)}; choose the head that fits")
