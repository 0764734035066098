"""Which candidate images enter which step of the simulated training."""

from dataclasses import dataclass

import numpy as np

from privacy.inversion.observation import Observation


@dataclass(frozen=True)
class Schedule:
    """Slots and steps; a slot holds one candidate image.

    Attributes:
        steps: slots of each optimizer step.
        passes: slots of each pass over the images; one pass where every pass is the same single batch.
    """

    steps: tuple[tuple[int, ...], ...]
    passes: tuple[tuple[int, ...], ...]

    @property
    def num_slots(self) -> int:
        """Candidate images."""
        return sum(map(len, self.passes))

    @property
    def num_examples(self) -> int:
        """Images of the first pass: all that took part, or those that a pass cut short saw."""
        return len(self.passes[0])


def schedule_of(observation: Observation) -> Schedule:
    """The steps of a site that shuffles, splits into batches of nearly equal size, and goes on for ``local_steps``.

    Each pass gets slots of its own, because its order is not known (Dimitrov et al. 2022, section 4.2); where a pass is
    a single batch the order does not matter, and all passes share their slots.
    """
    examples, parts = observation.num_examples, observation.num_batches
    if parts == 1:
        whole = tuple(range(examples))
        return Schedule((whole,) * observation.local_steps, (whole,))
    steps: list[tuple[int, ...]] = []
    passes: list[tuple[int, ...]] = []
    while len(steps) < observation.local_steps:
        first = len(passes) * examples
        batches = np.array_split(np.arange(first, first + examples), parts)[: observation.local_steps - len(steps)]
        steps += [tuple(batch.tolist()) for batch in batches]
        passes.append(tuple(np.concatenate(batches).tolist()))
    return Schedule(tuple(steps), tuple(passes))
