"""One torch thread per process: the condition under which equal seeds give equal bits.

Sums over one and over two threads differ in the last bit, so that a result would depend on the number of
cores; see ``docs/determinism.md``.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def deterministic(enabled: bool) -> Iterator[None]:
    """Inside the block use one torch thread, if ``enabled``; afterwards as many as before."""
    before = torch.get_num_threads()
    if enabled:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
