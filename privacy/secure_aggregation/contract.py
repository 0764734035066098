"""What the settings of secure aggregation are; the protocol itself is one, and these say how it is run."""

from typing import ClassVar, Protocol, runtime_checkable

from privacy.secure_aggregation.degree import Degree


@runtime_checkable
class SecureAggregation(Protocol):
    """How updates are masked (:class:`privacy.secure_aggregation.settings.SecAggPlus` says what each field means).

    Where ``is_on`` is false, nothing is, and there is no more than :meth:`least_sites`.
    """

    is_on: ClassVar[bool]
    clip: float
    bits: int

    def least_sites(self, num_sites: int) -> int:
        """How many of ``num_sites`` must deliver at least."""
        ...

    def degree(self, num_sites: int) -> Degree:
        """How many neighbours a site has among ``num_sites``, and how many of them open its masks.

        Raises:
            QuorumError: no graph of so few sites holds what is asked.
        """
        ...
