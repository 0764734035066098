"""What a second core can add at all: the training steps of :mod:`simulations.benchmarks.cohort` in a plain loop.

    python -m simulations.benchmarks.cohort_plain WIDTH STEPS PROCESSES

``PROCESSES`` processes with one torch thread each start together and take ``STEPS`` steps each, with nothing to tell
each other; printed is how long the slowest took. No program that trains in two processes gains more than these do.
"""

import json
import multiprocessing
import sys
import time
from multiprocessing.queues import Queue
from multiprocessing.synchronize import Barrier

import torch
from torch.nn.functional import cross_entropy

from simulations.benchmarks.peers.two_conv import two_conv

BATCH, SIZE, RATE = 10, 28, 0.1
WARM_UP = 20


def steps_per_second(width: int, steps: int, processes: int) -> float:
    """Steps that all processes together take in a second."""
    context = multiprocessing.get_context("spawn")
    barrier, found = context.Barrier(processes), context.Queue()
    workers = [context.Process(target=_work, args=(width, steps, barrier, found)) for _ in range(processes)]
    for worker in workers:
        worker.start()
    seconds: list[float] = [found.get() for _ in workers]
    for worker in workers:
        worker.join()
    return processes * steps / max(seconds)


def _work(width: int, steps: int, barrier: Barrier, found: "Queue[float]") -> None:
    torch.set_num_threads(1)
    torch.manual_seed(0)
    model = two_conv(1, SIZE, 2, width)
    optimizer = torch.optim.SGD(model.parameters(), lr=RATE)
    images, labels = torch.rand(BATCH, 1, SIZE, SIZE), torch.arange(BATCH) % 2

    def take(number: int) -> None:
        for _ in range(number):
            optimizer.zero_grad()
            cross_entropy(model(images), labels).backward()  # type: ignore[no-untyped-call]
            optimizer.step()

    take(WARM_UP)
    barrier.wait()
    start = time.perf_counter()
    take(steps)
    found.put(time.perf_counter() - start)


if __name__ == "__main__":
    print(json.dumps(steps_per_second(*map(int, sys.argv[1:4]))))
