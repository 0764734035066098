"""The process as it was before an attack: global random states of torch, numpy and Python."""

import random
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np
import torch


@contextmanager
def global_state_kept() -> Iterator[None]:
    """Put the global random states of torch (CPU), numpy and Python back afterwards."""
    kept = np.random.get_state(), random.getstate()
    with torch.random.fork_rng(devices=[]):
        try:
            yield
        finally:
            np.random.set_state(kept[0])
            random.setstate(kept[1])
