"""How many worker processes a simulation has."""

import os
from collections.abc import Sequence

import torch

from medfed.config import Scenario
from medfed.devices import CPU
from medfed.training.memory import training_bytes

_PROCESS_BYTES = 700_000_000  # CUDA itself and its libraries, for every process on a GPU
_OF_FREE = 0.9


def num_workers(scenario: Scenario, devices: Sequence[torch.device]) -> int:
    """``engine.workers``; where it is 0, one per core, on GPUs at most as many as their free memory holds."""
    if scenario.engine.workers:
        return scenario.engine.workers
    cores = len(os.sched_getaffinity(0))
    if CPU in devices:
        return cores
    return min(cores, workers_in([torch.cuda.mem_get_info(device)[0] for device in devices], training_bytes(scenario)))


def workers_in(free: Sequence[int], training: int) -> int:
    """How many processes fit on GPUs that have so many bytes free, one at least on each.

    Sites are spread over the GPUs and workers are not, so that the fullest GPU decides for all.
    """
    return len(free) * max(1, int(_OF_FREE * min(free) / (_PROCESS_BYTES + training)))
