"""How an inversion is run: seed, limits and precision, the same for every attack."""

from typing import Annotated

from pydantic import Field

from medfed.registry import plugin


@plugin
class InversionSettings:
    """Limits of one run.

    Attributes:
        seed: of the starts.
        max_iterations: evaluations at most; None: what the attack asks for. It shortens the attack's own schedules.
        max_seconds: processor seconds at most; None: no limit. The one limit that makes a result depend on a timing;
            the result then says ``stopped = "seconds"``.
        goal: stop when the distance is this small, in the attack's own loss.
        max_bytes: memory for activations; restarts beyond it run one group after the other, and one is always tried
            (:func:`privacy.inversion.memory.restart_bytes` estimates what it takes).
        compile: pass the gradient through torch.compile, which needs a C++ compiler and takes seconds to minutes; the
            last digits may differ.
    """

    seed: int = 0
    max_iterations: Annotated[int, Field(ge=1)] | None = None
    max_seconds: Annotated[float, Field(gt=0.0)] | None = None
    goal: Annotated[float, Field(ge=0.0)] = 0.0
    max_bytes: Annotated[int, Field(ge=1)] = 1 << 30
    compile: bool = False
