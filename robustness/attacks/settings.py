"""How an attack is run: seeds, restarts, memory, precision."""

from typing import Annotated

from pydantic import Field

from medfed.registry import plugin
from robustness.attacks.oracle import Precision


@plugin
class RunSettings:
    """How an attack is run.

    Attributes:
        seed: every random number of the run derives from it.
        restarts: how often the attack runs, each time on the images that are not fooled yet.
        batch_size: the most images in one pass of the model.
        max_bytes: memory for the state of a search, and again for what autograd keeps of a batch. Images are searched
            in as many parts as it asks for, each with random numbers of its own, so that it belongs to the result.
        precision: of the search; every success is confirmed in float32.
        stop_when_fooled: fooled images leave the search; False looks on, for the least distance or the most damage.
    """

    seed: int = 0
    restarts: Annotated[int, Field(ge=1)] = 1
    batch_size: Annotated[int, Field(ge=1)] = 64
    max_bytes: Annotated[int, Field(ge=1)] = 2**31
    precision: Precision = "float32"
    stop_when_fooled: bool = True
