"""What a compression of updates is."""

from typing import Protocol, runtime_checkable

import numpy as np

from medfed.types import Weights


@runtime_checkable
class Compression(Protocol):
    """Makes an update smaller before it leaves the site; the server undoes it before any check or rule.

    What travels is a flat dict of tensors, whose bytes are what is accounted. Entries that may not be rounded pass
    unchanged (:func:`medfed.compression.wire.lossy_names`). Nothing depends on the order of names in a dict, since
    the two ends need not agree on it. Arguments are not written to; results may share memory with them.

    A method with error feedback obeys ``decompress(compress(x + residual)) + left = x + residual``: what is not
    delivered now is delivered later. A method without it takes no notice of ``residual`` and leaves nothing out.
    """

    def compress(self, tensors: Weights, residual: Weights, generator: np.random.Generator) -> tuple[Weights, Weights]:
        """Update, what earlier rounds left out (empty at first), noise -> what travels, what is left out now.

        Raises:
            DivergedError: a value that would be rounded is NaN or infinite.
        """
        ...

    def decompress(self, wire: Weights, like: Weights) -> Weights:
        """What travelled -> an update with the names, shapes and dtypes of ``like``, in its order.

        Whether the values that a site sent are finite is for the server to check afterwards, as of any update; what
        is checked here is what decompression itself relies on. What is allocated depends on ``like`` alone, however
        ``wire`` may look: nothing before names, shapes and dtypes are checked.

        Raises:
            UpdateError: ``wire`` does not fit ``like``; one line that does not know the site.
        """
        ...
