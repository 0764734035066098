"""All runs of the matrix, in a few processes, each of which has one run at a time."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import torch

from simulations.benchmarks.poisoning import pair as one
from simulations.benchmarks.poisoning.plan import Pair


def work(pairs: Sequence[Pair], out: Path, workers: int) -> Iterator[tuple[Pair, one.Outcome]]:
    """Do what is not done; yields every run as it ends, those that were done first.

    Args:
        pairs: what is wanted.
        out: where outcomes are kept.
        workers: processes; 1 is this one.
    """
    out.mkdir(parents=True, exist_ok=True)
    todo = []
    for pair in pairs:
        found = one.stored(pair, out)
        if found is None:
            todo.append(pair)
        else:
            yield pair, found
    if workers == 1:
        yield from ((pair, one.run(pair, out)) for pair in todo)
        return
    start = partial(torch.set_num_threads, 1)
    with ProcessPoolExecutor(workers, mp_context=get_context("spawn"), initializer=start) as processes:
        running = {processes.submit(one.run, pair, out): pair for pair in todo}
        for done in as_completed(running):
            yield running[done], done.result()
