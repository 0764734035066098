"""No compression."""

import numpy as np

from medfed.compression.wire import check_form, check_names
from medfed.registry import plugin
from medfed.types import Weights


@plugin
class Uncompressed:
    """Updates travel as they are."""

    def compress(self, tensors: Weights, residual: Weights, generator: np.random.Generator) -> tuple[Weights, Weights]:
        """Nothing is changed, nothing left out."""
        return tensors, {}

    def decompress(self, wire: Weights, like: Weights) -> Weights:
        """Nothing to undo."""
        check_names(wire, like)
        for name, value in like.items():
            check_form(wire, name, value.shape, value.dtype)
        return {name: wire[name] for name in like}
