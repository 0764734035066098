"""The least that a round of averaging can cost: numpy copies and sums, no engine; prints seconds per round as JSON.

python -m simulations.benchmarks.plain_loop PARAMETERS TENSORS COHORT ROUNDS
"""

import json
import sys
import time

import numpy as np


def rounds(parameters: int, tensors: int, cohort: int, number: int) -> list[float]:
    """Seconds of every round."""
    generator = np.random.default_rng(0)
    arrays = [generator.standard_normal(parameters // tensors, np.float32) for _ in range(tensors)]
    seconds = []
    for _ in range(number):
        started = time.perf_counter()
        sums = [np.zeros_like(array) for array in arrays]
        for _ in range(cohort):
            update = [array.copy() for array in arrays]
            for total, part in zip(sums, update, strict=True):
                total += part
        for total in sums:
            total /= cohort
        arrays = sums
        seconds.append(time.perf_counter() - started)
    return seconds


if __name__ == "__main__":
    print(json.dumps(rounds(*map(int, sys.argv[1:5]))))
